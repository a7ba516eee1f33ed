"""Goals met, missed, or not clear."""

from __future__ import annotations

import pytest

from sim.forecast.estimates import METRICS, Figure, exact
from sim.forecast.goals import GoalResult, all_met, judge, runs_that_tell, wanted_figures
from tests.sim.scenario.example import scenario


@pytest.mark.parametrize(
    ("value", "low", "high", "met", "verdict"),
    [
        (90.0, 85.0, 95.0, True, "met"),
        (99.0, 95.0, 103.0, True, "not clear"),
        (101.0, 97.0, 105.0, False, "not clear"),
        (110.0, 105.0, 115.0, False, "missed"),
        (100.0, 100.0, 100.0, True, "met"),  # at most 100 is met by 100
        (95.0, 90.0, 100.0, True, "met"),
        (105.0, 100.0, 110.0, False, "not clear"),
    ],
)
def test_goal_is_met_by_its_value_and_clear_by_its_interval(
    value: float, low: float, high: float, met: bool, verdict: str
) -> None:
    """A limit of 100 and an interval below, across and above it."""
    result = GoalResult("p99", "latency_ms.p99", 100.0, value, low, high)
    assert (result.met, result.verdict) == (met, verdict)
    assert result.to_json()["verdict"] == verdict


@pytest.mark.parametrize(
    ("intervals", "runs"),
    [
        ([(0.0005, 0.0, 0.002)], 117),  # three times too wide: nine times the runs
        ([(0.0015, 0.0005, 0.0025)], 52),  # twice too wide, from above
        ([(0.0015, 0.0005, 0.0025), (0.0005, 0.0, 0.002)], 117),
        ([(0.0, 0.0, 0.003)], 39),
        ([(0.0005, 0.0004, 0.0006)], None),
        ([], None),
    ],
)
def test_runs_that_would_tell_follow_from_how_far_the_limit_is(
    intervals: list[tuple[float, float, float]], runs: int | None
) -> None:
    """Ten were made, the limit is 0.1 %, and 1.3 times as many are said as seem to be needed."""
    goals = [GoalResult("refused", "refused_share", 0.001, *each) for each in intervals]
    assert runs_that_tell(goals, {}, 10) == runs


def test_runs_that_would_tell_of_a_quantile_show_enough_beyond_it_together() -> None:
    """A run shows half an answer beyond p99: forty show twenty, and a third more are said."""
    figures = {"latency_ms.p99": Figure(None, effective_samples=50.0, why="too few")}
    goals = judge(scenario("goals={p99: 200ms}").goals, figures)
    assert runs_that_tell(goals, figures, 10) == 52


def test_stated_goals_come_with_limits_in_the_units_of_the_figures() -> None:
    """Latencies in ms, shares of 1; goals that are not stated are not judged."""
    goals = scenario("goals={p99: 0.2s, mean: 5ms, refused: 0.1%}").goals
    assert wanted_figures(goals) == {"mean": 5.0, "p99": 200.0, "refused": 0.001}
    assert wanted_figures(scenario().goals) == {}


def test_every_goal_has_its_figure() -> None:
    """Each kind of goal is judged on the figure of its name."""
    names = ("mean", "p50", "p90", "p95", "p99", "p999")
    shares = ("refused", "timed_out", "abandoned", "failed", "breach")
    text = ", ".join([*(f"{name}: 7ms" for name in names), *(f"{name}: 1%" for name in shares)])
    figures = {name: exact(place / 2_000) for place, name in enumerate([*METRICS, "breach_share"])}
    results = judge(scenario(f"goals={{{text}}}").goals, figures)
    assert [result.figure for result in results] == [
        *(f"latency_ms.{name}" for name in names),
        "refused_share",
        "timed_out_share",
        "abandoned_share",
        "failed_share",
        "breach_share",
    ]
    assert all(result.met for result in results)


def test_goal_on_a_figure_without_a_value_is_not_known() -> None:
    """Neither met nor missed, with the reason; the other goals are judged all the same."""
    figures = {name: exact(0.0) for name in METRICS} | {"latency_ms.p999": Figure(None, why="too few")}
    known, unknown = judge(scenario("goals={p99: 1s, p999: 1s}").goals, figures)
    assert (known.met, known.verdict) == (True, "met")
    assert (unknown.met, unknown.verdict, unknown.why) == (False, "not known", "too few")
    assert unknown.to_json()["value"] is None
    assert all_met([known]) is True
    assert all_met([known, unknown]) is None
    missed = GoalResult("p50", "latency_ms.p50", 1.0, 3.0, 2.0, 4.0)
    assert all_met([known, unknown, missed]) is False
    assert all_met([known, GoalResult("p50", "latency_ms.p50", 3.0, 3.0, 2.0, 4.0)]) is None
    assert all_met([]) is True


@pytest.mark.parametrize(("share", "verdict"), [(0.004, "met"), (0.02, "missed")])
def test_share_that_is_slower_stands_in_for_a_quantile_that_runs_are_too_short_for(share: float, verdict: str) -> None:
    """p99 is within 200 ms where at most 1 % take longer; the goal keeps its name, and says what it was judged by."""
    figures = {"latency_ms.p99": Figure(None, why="too few"), "beyond_goal.p99_share": exact(share)}
    (result,) = judge(scenario("goals={p99: 200ms}").goals, figures)
    assert (result.goal, result.figure, result.limit) == ("p99", "beyond_goal.p99_share", 0.01)
    assert (result.slower_than_ms, result.verdict) == (200.0, verdict)
    assert result.to_json()["slower_than_ms"] == 200.0
