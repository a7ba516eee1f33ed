"""A comparison as text: the answer first, what is more than noise told from what is not."""

from __future__ import annotations

from typing import Any

import pytest

from sim.forecast.comparison import ForecastDiff, compare, read_forecast
from sim.forecast.forecast import FORECAST_VERSION
from sim.report.diff_tables import diff_answer, diff_report
from sim.report.tables import as_text
from sim.scenario.changes import Change

WIDE = [0.0, 0.1, -0.1, 0.05]


def figure(value: float, noise: list[float] | None = None, **more: Any) -> dict[str, Any]:
    """Return a figure as JSON has it; without noise the scenario fixes it."""
    runs = None if noise is None else [value + each for each in noise]
    ends = {"low": min(runs or [value]), "high": max(runs or [value])}
    return {"value": value, **ends, **({"runs": runs} if runs else {}), **more}


def nothing(why: str) -> dict[str, Any]:
    """Return a figure without a value."""
    return {"value": None, "low": None, "high": None, "why": why}


def diff(a: dict[str, Any], b: dict[str, Any], seeds: tuple[int, int] = (1, 1)) -> ForecastDiff:
    """Return the comparison of two forecasts that hold these figures."""
    sides = [
        read_forecast({"version": FORECAST_VERSION, **tree, "provenance": {"seed": seed, "runs": 4}}, label)
        for tree, seed, label in ((a, seeds[0], "old.yaml"), (b, seeds[1], "new.yaml"))
    ]
    return compare(*sides)


A = {
    "latency_ms": {"p50": figure(16.0, WIDE), "p99": figure(52.0, WIDE), "mean": figure(18.0, WIDE)},
    "refused_share": figure(0.010, [0.0, 0.001, -0.001, 0.0]),
    "timed_out_share": figure(0.0),
    "replicas": {"mean": figure(2.0)},
    "cost": figure(2.5, currency="EUR"),
    "goals": [{"goal": "p99", "verdict": "missed"}],
}
B = {
    "latency_ms": {
        "p50": figure(16.0, [0.1, -0.1, 0.2, -0.2]),
        "p99": figure(38.0, [0.1, 0.0, 0.0, 0.1]),
        "mean": figure(18.12, [0.0, 0.13, -0.02, 0.12]),
    },
    "refused_share": figure(0.012, [0.0, 0.001, -0.001, 0.0]),
    "timed_out_share": figure(0.0),
    "replicas": {"mean": figure(2.0)},
    "cost": figure(3.75, currency="EUR"),
    "goals": [{"goal": "p99", "verdict": "met"}],
}


def line_of(diff: ForecastDiff, start: str) -> str:
    """Return the one line of the report that starts so, with single spaces."""
    (line,) = [line for line in as_text(diff_report(diff), 200).splitlines() if line.startswith(start)]
    return " ".join(line.split())


def test_answer_tells_what_moved_with_its_interval_and_what_is_noise() -> None:
    """Milliseconds of latencies, points of refusals, each as the difference of B from A."""
    said = diff_answer(diff(A, B))
    assert said.startswith("B against A: p50 no more than noise [-0.")
    assert "p99 -14.0 ms [-14.2 .. -13.8 ms]" in said
    assert said.endswith("refused +0.200 points.")


def test_narrow_page_cuts_no_key_and_no_label() -> None:
    """At 80 columns a long value wraps, and the figures become two tables."""
    found = diff(A, B)
    steps = "[{rate: 150/s, duration: 20s}, {rate: 250/s, duration: 20s}]"
    changes = (Change("fleet.autoscaler.scale_down.stabilization", "none", steps), Change("traffic.rate", steps, "1/s"))
    text = as_text(diff_report(ForecastDiff(found.a, found.b, changes, found.figures, (), ())), 80)
    lines = text.splitlines()
    assert sum(line.startswith("fleet.autoscaler.scale_down.stabilization   ") for line in lines) == 1
    for label in ("mean latency", "p50 latency", "p99 latency"):
        assert sum(line.startswith(f"{label}  ") for line in lines) == 2
    assert sum(line.split()[-3:] == ["more", "than", "noise"] for line in lines) == 1
    assert "…" not in text


def test_answer_without_a_figure_says_so() -> None:
    """What one of both does not know has no difference."""
    assert diff_answer(diff({"latency_ms": {"p50": nothing("too short")}}, B)) == (
        "B against A: p50 not known, p99 not known, refused not known."
    )


def test_table_has_both_figures_the_difference_and_the_verdict() -> None:
    """Surely, by itself, or not at all. What both scenarios fix alike is left out, what they fix apart is sure."""
    found = diff(A, B)
    assert line_of(found, "p99 latency").startswith("p99 latency 52.0 ms 38.0 ms -14.0 ms -14.2 .. -13.8 ms")
    verdicts = {label: line_of(found, label).split("ms ")[-1] for label in ("p50 latency", "p99 latency")}
    assert verdicts == {"p50 latency": "no", "p99 latency": "yes"}
    assert line_of(found, "mean latency").endswith("by itself")
    assert line_of(found, "refused") == "refused 1.00 % 1.20 % +0.200 points yes"
    assert line_of(found, "cost") == "cost 2.50 EUR 3.75 EUR +1.25 EUR yes"
    text = as_text(diff_report(found))
    assert "replicas" not in text
    assert "timed out" not in text
    assert "goal p99: missed -> met" in text


def test_chance_of_many_figures_is_told() -> None:
    """Of the three that chance has a part in, 5 % each."""
    text = " ".join(as_text(diff_report(diff(A, B))).split())
    assert "3 figures are compared. Had nothing changed, 0.2 of them would seem to differ by chance." in text


@pytest.mark.parametrize(
    ("seeds", "words"),
    [
        ((1, 1), "Both had seed 1 and 4 runs: run by run they met the same dice, and are paired."),
        ((1, 2), "A had seed 1 and 4 runs, B seed 2 and 4 runs: they are not paired"),
    ],
)
def test_report_says_whether_they_are_paired(seeds: tuple[int, int], words: str) -> None:
    """It makes all the difference to how narrow the intervals are."""
    assert words in " ".join(as_text(diff_report(diff(A, B, seeds))).split())


def test_missing_difference_has_its_reason_once() -> None:
    """The first quantile that is lacking says what the runs lack; the others lack more of it."""
    lacking = {"latency_ms": {"p99": nothing("too short"), "p999": nothing("far too short")}}
    text = as_text(diff_report(diff(A | lacking, B | lacking)))
    assert "No difference of p99 latency. A: too short; B: too short. Nor of p99.9 latency; --json says why.\n" in text


def test_prices_that_neither_states_are_no_loss() -> None:
    """A forecast without a price is whole."""
    unpriced = {"cost": nothing("cost.replica_hour is not stated")}
    assert "cost" not in as_text(diff_report(diff(A | unpriced, B | unpriced)))


def test_versions_and_rollout_are_shown_where_they_moved() -> None:
    """Each version by its name; what stayed is left to --json."""
    a = {"versions": {"v2": {"latency_ms": {"p99": figure(52.0, WIDE), "p50": figure(16.0, WIDE)}}}}
    b = {"versions": {"v2": {"latency_ms": {"p99": figure(38.0, WIDE), "p50": figure(16.0, WIDE)}}}}
    a |= {"rollout": {"rolled_back_share": figure(0.0)}}
    b |= {"rollout": {"rolled_back_share": figure(1.0)}}
    found = diff(A | a, B | b)
    assert line_of(found, "v2: p99 latency") == "v2: p99 latency 52.0 ms 38.0 ms -14.0 ms yes"
    assert line_of(found, "rolled back") == "rolled back 0 % 100 % +100 points yes"
    assert "v2: p50" not in as_text(diff_report(found))


def test_input_is_shown_in_short() -> None:
    """A page of a staircase is cut, and a hundred keys are; --json has them all."""
    many = tuple(Change(f"key.{index}", "none", "x" * 100) for index in range(100))
    found = diff(A, B)
    assert "What changed in the input is not known." in as_text(diff_report(found))
    text = as_text(diff_report(ForecastDiff(found.a, found.b, many, found.figures, (), ())), 200)
    assert "x" * 57 + "..." in text
    assert "and 60 more keys; --json has them all" in text
    text = as_text(diff_report(ForecastDiff(found.a, found.b, (), found.figures, (), ())))
    assert "Nothing changed in the input." in text
