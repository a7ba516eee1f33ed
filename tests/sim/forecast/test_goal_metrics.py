"""Figures that goals define, on runs that are made up."""

from __future__ import annotations

import numpy as np
import pytest

from policy.errors import SettingError
from sim.forecast.estimates import estimate
from sim.forecast.goal_metrics import goal_metrics
from tests.sim.forecast.made_runs import made_run, noisy_runs
from tests.sim.scenario.example import scenario

GOALS = scenario("goals={p99: 50ms, refused: 1%}").goals


def test_windows_in_which_either_goal_is_missed_are_counted_once() -> None:
    """Four windows of 5 s with 250 requests: good, slow, slow and refusing, refusing."""
    latencies = np.concatenate([np.full(250, 10.0), np.full(250, 60.0), np.full(230, 60.0)])
    run = made_run(latencies, refused=270, window_s=20.0)
    assert goal_metrics(GOALS)["breach_share"].pooled([run]) == 0.75
    only_p99 = scenario("goals.p99=50ms").goals
    assert goal_metrics(only_p99)["breach_share"].pooled([run]) == 0.5
    only_refused = scenario("goals.refused=1%").goals
    assert goal_metrics(only_refused)["breach_share"].pooled([run]) == 0.5


@pytest.mark.parametrize(("slow", "share"), [(2, 0.0), (3, 0.5)])
def test_p99_of_a_window_is_the_nearest_rank(slow: int, share: float) -> None:
    """Of 250 answers the 248th counts: two may be slow, three may not; the other window is well."""
    latencies = np.full(500, 10.0)
    latencies[:slow] = 60.0
    assert goal_metrics(GOALS)["breach_share"].pooled([made_run(latencies, window_s=10.0)]) == share


@pytest.mark.parametrize(("window_s", "windows"), [(3.0, 1), (10.0, 2), (14.0, 2), (15.0, 3)])
def test_windows_are_whole_and_equally_long(window_s: float, windows: int) -> None:
    """No short one at the end, whose p99 would be of a few requests."""
    assert goal_metrics(GOALS)["breach_share"].samples(made_run(np.ones(100), window_s=window_s)) == windows


def test_share_within_the_goal_is_of_all_requests() -> None:
    """60 of 100 in time, 20 late, 20 refused; exactly 50 ms is in time."""
    run = made_run(np.concatenate([np.full(60, 50.0), np.full(20, 51.0)]), refused=20)
    assert goal_metrics(GOALS)["within_goal_share"].pooled([run]) == 0.6


def test_figures_need_their_goals() -> None:
    """Nothing is shown that nobody has asked for."""
    assert goal_metrics(scenario("goals.p50=50ms").goals) == {}
    assert set(goal_metrics(scenario("goals.refused=1%").goals)) == {"breach_share"}
    with pytest.raises(SettingError, match=r"^goals\.breach must be stated beside goals\.p99 or goals\.refused"):
        scenario("goals.breach=5%")


def test_breach_that_was_never_seen_has_an_upper_limit() -> None:
    """20 windows without a breach: none, and at most 3 in 20."""
    figure = estimate(goal_metrics(scenario("goals.p99=10s").goals)["breach_share"], noisy_runs(10, 1_000, seed=1))
    assert (figure.value, figure.low) == (0.0, 0.0)
    assert figure.high == pytest.approx(3 / 20, rel=0.1)
