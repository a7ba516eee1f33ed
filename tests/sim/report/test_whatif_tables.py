"""What-if as text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sim.forecast.estimates import Figure
from sim.forecast.paired import Difference
from sim.planner.grid import Axis
from sim.planner.whatif import WhatIf
from sim.report.tables import as_text
from sim.report.whatif_tables import (
    changes_in_words,
    difference_in_words,
    leading_figure,
    whatif_answer,
    whatif_notes,
    whatif_report,
    whatif_table,
    why_unknown,
)
from tests.sim.report.whatif_answers import asked


@pytest.mark.parametrize(
    ("name", "ends", "said"),
    [
        ("latency_ms.p99", (-14.2, -17.0, -11.0), "-14.2 ms [-17.0 .. -11.0]"),
        ("latency_ms.p99", (14.2, 11.0, 17.0), "+14.2 ms [+11.0 .. +17.0]"),
        ("latency_ms.p50", (0.1, -0.25, 0.45), "+0.100 ms [-0.250 .. +0.450: noise]"),
        ("latency_ms.p50", (0.0, -0.25, 0.25), "0 ms [-0.250 .. +0.250: noise]"),
        ("latency_ms.p99", (669.1, 669.08, 669.12), "+669 ms"),
        ("latency_ms.p99", (20.85, 20.849, 20.851), "+20.9 ms"),
        ("refused_share", (0.002, 0.001, 0.003), "+0.200 points [+0.100 .. +0.300]"),
        ("refused_share", (0.0, 0.0, 0.0), "the same"),
        ("cost", (1.5, 1.5, 1.5), "+1.50 EUR"),
        ("throughput_per_s", (-3.0, -4.0, -2.0), "-3.00/s [-4.00 .. -2.00]"),
    ],
)
def test_difference_says_its_size_and_its_interval(name: str, ends: tuple[float, ...], said: str) -> None:
    """Shares differ by points; what is fixed to the digits shown has no interval; what may be noise says so."""
    assert difference_in_words(name, Difference(*ends, p_value=0.0, paired=True), "EUR") == said


def test_report_answers_then_lists_then_says_where_goals_break() -> None:
    """Each configuration has its values; the base case and an unanswered one are named for what they are."""
    text = as_text(whatif_report(asked("traffic.arrivals.rate=100/s,300/s,500/s,2000/s")), 160)
    assert text.startswith("shop: 4 configurations, compared with rate 300/s: p50 from ")
    lines = text.splitlines()
    assert sum("base case            base case" in line for line in lines) == 1
    (unstable,) = [line for line in lines if line.startswith("2000/s")]
    assert set(unstable.split()) == {"2000/s", "-"}
    assert any(line.startswith("goal p90 at most 18 ms: met in ") for line in lines)
    assert sum(line.startswith("No answer with rate 2000/s: The load of 2000/s is not below") for line in lines) == 1
    assert sum("lower the rate" in line for line in lines) == 1


_LONGER = "horizon.duration=30s"
"""Long enough for a p90."""


@pytest.mark.parametrize(("width", "tables"), [(80, 2), (120, 1), (140, 1)])
def test_table_too_wide_for_the_page_becomes_two_and_no_number_is_broken(width: int, tables: int) -> None:
    """One row needs more than 80 columns: there figures and differences stand one below the other.

    Were the differences one wrapping column, rows would be several lines, and numbers broken at the edge.
    """
    answer = asked("batching.max_batch=4,8", "batching.max_wait=0ms,5ms", _LONGER, figures=("p50", "p90", "refused"))
    text = as_text(whatif_report(answer), width)
    lines = text.splitlines()
    assert sum(line.startswith("max_batch  max_wait") for line in lines) == tables
    assert sum(line.startswith(("4  ", "8  ")) for line in lines) == tables * len(answer.rows)
    assert "…" not in text
    for row in answer.rows:
        for name, difference in row.differences.items():
            if name == "latency_ms.p90":
                assert difference_in_words(name, difference) in text


def test_goal_comes_first_and_the_rest_is_named() -> None:
    """The difference of p90, which the goal is about, is a column; that of p50 is said to be elsewhere."""
    answer = asked("batching.max_batch=4,8", _LONGER, figures=("p50", "p90", "refused"))
    assert leading_figure(answer) == "latency_ms.p90"
    assert "The differences of p50 and refused, with their intervals, are in --json and --csv FILE." in whatif_notes(
        answer
    )
    text = as_text(whatif_report(answer))
    assert "p90, difference [95 %]" in text
    assert "p50, difference" not in text


def test_base_case_without_a_figure_says_that_nothing_is_compared_with_it() -> None:
    """4 s hold too few samples for p99: then p50 leads, and a line says why p99 does not."""
    answer = asked("batching.max_batch=4,8", figures=("p99", "p50"))
    assert "No difference of p99: the base case has none." in whatif_notes(answer)
    assert "p50, difference [95 %]" in as_text(whatif_report(answer))


def test_difference_that_is_sure_says_why_it_has_no_interval() -> None:
    """Even gaps and a constant pass leave nothing to chance; without the line the missing interval would look lost."""
    answer = asked("traffic.arrivals.process=even", "batching.max_batch=8", "model.pass_time.base=8ms,9ms")
    (note,) = [line for line in whatif_notes(answer) if "without an interval" in line]
    assert (
        note == "A difference of p90 without an interval is sure to the digits shown: the runs came to the same there."
    )


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


def test_one_at_a_time_shows_the_values_of_the_base_case_once() -> None:
    """A value that the scenario has anyway, 8 and no cap, is the base case and no other configuration."""
    answer = asked("batching.max_batch=8,16", "queue.cap=64,none", grid=False)
    base, other, capped = as_text(whatif_table(answer), 160).splitlines()[2:]
    assert base.split()[:2] == ["8", "none"]
    assert base.count("base case") == 2
    assert other.split()[0] == "16"
    assert "noise" in other
    assert capped.split()[0] == "64"


def test_goal_of_p999_is_called_what_people_call_it() -> None:
    """A goal on a latency has its limit in ms, though 4 s hold too few samples to judge it."""
    answer = asked("batching.max_batch=4,8", "goals={p999: 100ms, refused: 1%}")
    lines = [line.partition(":")[0] for line in as_text(whatif_report(answer), 160).splitlines()]
    assert "goal p99.9 at most 100 ms" in lines
    assert "goal refused at most 1 %" in lines
    assert "not known: p99.9" in as_text(whatif_report(answer), 160)


@pytest.mark.parametrize(
    ("tried", "said"),
    [
        (
            ("batching.max_wait 0ms", "queue.cap 16"),
            "Tried beside the base case: batching.max_wait 0ms; queue.cap 16. None of them is clearly better: there is "
            "nothing to warn of.",
        ),
        ((), "Nothing to warn of, and nothing to try: there is no wait, no long queue and no burst to do without."),
    ],
)
def test_tries_without_a_warning_are_told(tried: tuple[str, ...], said: str) -> None:
    """Were there no line, nobody would know that anything was tried; beside a warning there is none."""
    answer = replace(asked("batching.max_batch=4,8"), tried=tried)
    assert said in whatif_notes(answer)
    assert said not in whatif_notes(replace(answer, warnings=("queue.cap buys waiting.",)))
    assert said not in whatif_notes(replace(answer, tried=None))


def test_recorded_arrivals_are_said_to_be_one_trace(tmp_path: Path) -> None:
    """The intervals of differences hold for that trace alone, as those of a forecast do."""
    (tmp_path / "trace.csv").write_text("timestamp\n" + "".join(f"{time / 100}\n" for time in range(600)))
    arrivals = f"traffic.arrivals={{process: trace, file: '{tmp_path}/trace.csv'}}"
    note = "The arrivals are those recorded, in every run: the intervals hold for this trace."
    assert note in whatif_notes(asked("batching.max_batch=4,8", arrivals))
    assert note not in whatif_notes(asked("batching.max_batch=4,8"))


@pytest.mark.parametrize(
    ("varied", "said"),
    [
        ("traffic.arrivals.rate", "traffic.arrivals.rate stretches a trace in time, or compresses it"),
        ("traffic.arrivals.scale", "More traffic is the trace with copies of its requests"),
    ],
)
def test_what_more_traffic_of_a_trace_is_stands_beside_it(varied: str, said: str, tmp_path: Path) -> None:
    """Whoever varies the rate hears that it moves the bursts in time, and what multiplies them."""
    (tmp_path / "trace.csv").write_text("timestamp\n" + "".join(f"{time / 100}\n" for time in range(600)))
    arrivals = f"traffic.arrivals={{process: trace, file: '{tmp_path}/trace.csv'}}"
    answer = asked("batching.max_batch=4,8", arrivals)
    assert not any(note.startswith(said) for note in whatif_notes(answer))
    assert any(note.startswith(said) for note in whatif_notes(replace(answer, axes=(Axis(varied, ("1", "2")),))))


def test_keys_with_the_same_last_word_are_told_apart() -> None:
    """Then the whole key stands there."""
    answer = asked("batching.max_batch=4,8")
    both = WhatIf(**{**vars(answer), "axes": (Axis("a.x", ("1", "2")), Axis("b.x", ("1", "2")))})
    row = answer.rows[0]
    assert changes_in_words(both, type(row)(**{**vars(row), "changes": {"a.x": "1", "b.x": "2"}})) == "a.x 1, b.x 2"


def test_one_value_of_all_is_said_once() -> None:
    """Ends that are the same would have the reader look for a difference."""
    answer = asked("queue.cap=60,64", figures=("p50",))
    label = "shop: 2 configurations, compared with cap 60: p50 is "
    assert whatif_answer(answer).startswith(label)
    assert whatif_answer(answer).endswith(" ms in all of them.")


def test_headline_counts_those_of_which_nothing_is_known() -> None:
    """A load above the capacity has no p50: what is said is not said of it."""
    answer = asked("traffic.arrivals.rate=100/s,2000/s", figures=("p50",))
    assert whatif_answer(answer).endswith(" ms in 1 of them, and not known of 1.")
    assert whatif_answer(asked("traffic.arrivals.rate=100/s,300/s,2000/s", figures=("p50",))).endswith(
        "), and not known of 1."
    )


def with_p50(values: dict[tuple[str, str], float | None], *, grid: bool = True) -> WhatIf:
    """Return what-if of two keys with these p50, in ms, by the values of the keys."""
    answer = asked("batching.max_batch=4,8", "batching.max_wait=0ms,5ms", figures=("p50",), grid=grid)
    keys = [axis.key for axis in answer.axes]
    found = [values[(row.changes.get(keys[0], ""), row.changes.get(keys[1], ""))] for row in answer.rows]
    rows = (
        replace(row, figures={"latency_ms.p50": Figure(value)}) for row, value in zip(answer.rows, found, strict=True)
    )
    return replace(answer, rows=tuple(rows))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((12.0, 18.0, 12.5, 20.0), "from 12.0 ms (max_batch 4, max_wait 0ms) to 20.0 ms (max_batch 8, max_wait 5ms)."),
        ((12.0, 18.0, 12.001, 20.0), "from 12.0 ms (max_wait 0ms) to 20.0 ms (max_batch 8, max_wait 5ms)."),
        ((12.0, 20.0, 12.5, 20.001), "from 12.0 ms (max_batch 4, max_wait 0ms) to 20.0 ms (max_wait 5ms)."),
        (
            (12.0, 20.0, 20.0, 12.0),
            "from 12.0 ms (max_batch 4, max_wait 0ms, and 1 more) to 20.0 ms (max_batch 4, max_wait 5ms, and 1 more).",
        ),
        (
            (12.0, 12.0, 20.0, 12.0),
            "from 12.0 ms (max_batch 4, max_wait 0ms, and 2 more) to 20.0 ms (max_batch 8, max_wait 0ms).",
        ),
        ((12.0, 20.0, None, 20.0), "from 12.0 ms (max_batch 4, max_wait 0ms) to 20.0 ms (max_wait 5ms), and not known"),
    ],
)
def test_headline_names_the_keys_that_matter_or_how_many_are_alike(values: tuple[float | None, ...], said: str) -> None:
    """None of several that are the same to the digits shown is called the best as if it alone were."""
    places = [("4", "0ms"), ("4", "5ms"), ("8", "0ms"), ("8", "5ms")]
    assert said in whatif_answer(with_p50(dict(zip(places, values, strict=True))))


def test_headline_of_one_at_a_time_counts_the_scenario_itself() -> None:
    """It has no value of any key that others could share."""
    values = {("", ""): 12.0, ("4", ""): 20.0, ("", "0ms"): 12.0, ("", "5ms"): 13.0}
    said = whatif_answer(with_p50(dict(values), grid=False))
    assert said.endswith("p50 from 12.0 ms (the scenario itself, and 1 more) to 20.0 ms (max_batch 4).")


def test_costs_say_of_how_much_traffic_they_are() -> None:
    """3 EUR say nothing without it; where the time itself varies, each cost is of its own."""
    priced = "cost={replica_hour: 3}"
    both = asked("batching.max_batch=4,8", priced, figures=("gpu_hours", "cost"))
    assert whatif_notes(both)[0] == "Replica hours and cost: of 4 s of traffic."
    varied = asked("horizon.duration=4s,8s", priced, figures=("cost",))
    assert whatif_notes(varied)[0] == "Cost: of each one's own time (horizon.duration)."
    without_price = asked("batching.max_batch=4,8", figures=("cost",))
    without_costs = asked("batching.max_batch=4,8", priced, figures=("p50",))
    for answer in (without_price, without_costs):
        assert not any("of traffic" in note for note in whatif_notes(answer))


def test_refusals_without_room_for_an_interval_are_not_said_to_be_sure() -> None:
    """A third or so is refused with a queue of 4, give or take what the runs leave open: that stands in --csv."""
    overload = ("queue.cap=4,64", "traffic.arrivals.rate=900/s", "goals={p90: 1s}", _LONGER)
    answer = asked(*overload, figures=("p90", "refused"))
    row = next(row for row in answer.rows if "refused_share" in row.differences)
    assert row.differences["refused_share"].low < row.differences["refused_share"].high
    notes = whatif_notes(answer)
    assert any("refused, with their intervals, are in --json" in note for note in notes)
    assert not any("without an interval" in note and "of p90" not in note for note in notes)


def test_goals_that_are_not_clear_say_how_many_runs_may_tell() -> None:
    """The largest number that any configuration needs; nothing where all are told."""
    unclear = asked("batching.max_batch=4,8", "goals={refused: 0.001%}", "queue.cap=64")
    assert "not clear" in {goal.verdict for row in unclear.rows for goal in row.goals}
    assert any(line.startswith("Where a goal is not clear, more runs may tell, ") for line in why_unknown(unclear))
    told = asked("batching.max_batch=4,8", "goals={p50: 10s}")
    assert not any("not clear" in line for line in why_unknown(told))
