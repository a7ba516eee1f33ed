"""What-if as text."""

from __future__ import annotations

import pytest

from sim.forecast.paired import Difference
from sim.planner.grid import Axis
from sim.planner.whatif import WhatIf
from sim.report.tables import as_text
from sim.report.whatif_tables import changes_in_words, difference_in_words, short_reason, whatif_report
from tests.sim.report.whatif_answers import asked


@pytest.mark.parametrize(
    ("name", "ends", "said"),
    [
        ("latency_ms.p99", (-14.2, -17.0, -11.0), "p99 -14.2 ms (11.0 .. 17.0 lower)"),
        ("latency_ms.p99", (14.2, 11.0, 17.0), "p99 +14.2 ms (11.0 .. 17.0 higher)"),
        ("latency_ms.p50", (0.1, -0.25, 0.45), "p50 +0.100 ms (-0.250 .. +0.450 ms: within noise)"),
        ("refused_share", (0.002, 0.001, 0.003), "refused +0.200 points (0.100 .. 0.300 higher)"),
        ("refused_share", (0.0, 0.0, 0.0), "refused the same"),
        ("cost", (1.5, 1.5, 1.5), "cost +1.50 EUR"),
        ("throughput_per_s", (-3.0, -4.0, -2.0), "answered -3.00/s (2.00 .. 4.00 lower)"),
    ],
)
def test_difference_says_its_size_its_interval_and_its_way(name: str, ends: tuple[float, ...], said: str) -> None:
    """Shares differ by points; what is fixed has no interval; what may be noise says so."""
    assert difference_in_words(name, Difference(*ends, p_value=0.0, paired=True), "EUR") == said


def test_report_answers_then_lists_then_says_where_goals_break() -> None:
    """Each configuration has its values; the base case and an unanswered one are named for what they are."""
    text = as_text(whatif_report(asked("traffic.arrivals.rate=100/s,300/s,500/s,2000/s")), 160)
    assert text.startswith("shop: 4 configurations, compared with rate 300/s: p50 from ")
    lines = text.splitlines()
    assert sum(line.endswith("   the base case") for line in lines) == 1
    (unstable,) = [line for line in lines if line.startswith("2000/s")]
    assert "The load of 2000/s is not below the capacity of" in unstable
    assert "lower the rate" not in unstable
    assert any(line.startswith("goal p90 at most 18 ms: met in ") for line in lines)
    assert sum("lower the rate" in line for line in lines) == 1


def test_one_at_a_time_leaves_the_other_keys_empty() -> None:
    """The base case is the scenario itself."""
    answer = asked("batching.max_batch=4,16", "batching.max_wait=0ms,9ms", grid=False)
    assert changes_in_words(answer, answer.rows[0]) == "the scenario itself"
    assert [changes_in_words(answer, row) for row in answer.rows[1:]] == [
        "max_batch 4",
        "max_batch 16",
        "max_wait 0ms",
        "max_wait 9ms",
    ]
    assert "compared with the scenario itself" in as_text(whatif_report(answer))


def test_keys_with_the_same_last_word_are_told_apart() -> None:
    """Then the whole key stands there."""
    answer = asked("batching.max_batch=4,8")
    both = WhatIf(**{**vars(answer), "axes": (Axis("a.x", ("1", "2")), Axis("b.x", ("1", "2")))})
    row = answer.rows[0]
    assert changes_in_words(both, type(row)(**{**vars(row), "changes": {"a.x": "1", "b.x": "2"}})) == "a.x 1, b.x 2"


@pytest.mark.parametrize(
    ("reason", "short"),
    [
        (
            "The load of 9/s is not below 8/s and nothing bounds it, so: lower it.",
            "The load of 9/s is not below 8/s and nothing bounds it",
        ),
        ("batching.max_batch is 16, but 8 was measured: calibrate.", "batching.max_batch is 16"),
        ("Nothing.", "Nothing"),
    ],
)
def test_reason_is_cut_to_its_first_part(reason: str, short: str) -> None:
    """A table has room for a few words; the whole sentence stands below it."""
    assert short_reason(reason) == short
