"""How a measured fleet is scored against the draws of its prediction."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from calibration.fleet_score import FleetScore, score_fleet
from sim.outcome.fleet_course import FleetCourse, FleetRun, Steps

S = 10**9


def fleet_of(*changes: tuple[float, int], p99_ms: Sequence[float] = (100.0, 200.0)) -> FleetRun:
    """Return a run whose replicas are there as soon as they are wanted, by (second, count)."""
    moments = np.array([round(second * S) for second, _ in changes], dtype=np.int64)
    steps = Steps(moments, np.array([count for _, count in changes], dtype=np.int64))
    return FleetRun(FleetCourse(steps, steps, steps, steps), np.array(p99_ms))


DRAWN = [fleet_of((0, 2), (4 + 0.1 * number, 4)) for number in range(10)]


def scored(measured: FleetRun, drawn: Sequence[FleetRun] = DRAWN, tick_s: float = 2.0) -> FleetScore:
    """Return the score of a run of ten seconds."""
    return score_fleet(drawn, measured, 10 * S, round(tick_s * S))


def test_mean_peak_and_moments_are_compared() -> None:
    """Draws go from 2 to 4 at 4.0 to 4.9 s of 10, the run at 5: forecast 3.1, measured 3.0."""
    score = scored(fleet_of((0, 2), (5, 4), p99_ms=(110.0, 200.0)))
    assert score.replicas_mean_measured == pytest.approx(3.0)
    assert score.replicas_mean == pytest.approx(3.11)
    assert (score.peaks, score.peak_set, score.peak_measured) == ({4: 1.0}, (4,), 4)
    (moment,) = score.moments
    assert (moment.wanted, moment.measured_s) == (4, 5.0)
    assert (moment.low_s, moment.forecast_s, moment.high_s) == pytest.approx((4.0, 4.4, 4.9))
    assert score.window_p99_errors == pytest.approx((100 / 110 - 1, 0.0))
    assert score.window_p99_error == pytest.approx((10 / 110) / 2)
    assert score.within_tolerance
    assert score.to_json()["within_tolerance"] is True


@pytest.mark.parametrize(
    ("measured", "why"),
    [
        (fleet_of((0, 2), (5, 5)), "a peak that no draw has"),
        (fleet_of((0, 2), (7, 4)), "two seconds and more late, and with it the mean"),
        (fleet_of((0, 2), (4.4, 4), p99_ms=(140.0, 280.0)), "latencies 29 % low"),
    ],
)
def test_what_is_out_of_tolerance_is_told(measured: FleetRun, why: str) -> None:
    """Each of the four can decide alone."""
    assert not scored(measured).within_tolerance, why


# At the edge: half of the draws have 4 replicas from 2 s on, the others from 8 s on: 3.6 and 2.4, in the mean 3.0.
EDGE = [fleet_of((0, 2), (2 if number < 99 else 8, 4)) for number in range(200)]


@pytest.mark.parametrize(
    ("measured_s", "tick_s", "within", "inside"),
    [
        (2.0, 0.5, False, True),  # 3.6, a fifth off; the moment, 8 s in the median, is 6 s off
        (5.0, 3.5, True, True),  # 3.0: as in the mean, and a moment 3 s off
        (9.0, 2.0, False, False),  # 2.2: a third off, outside both; the moment is within its tick, but outside too
    ],
)
def test_run_inside_the_intervals_is_as_forecast_and_may_be_out_of_tolerance(
    measured_s: float, tick_s: float, within: bool, inside: bool
) -> None:
    """Two answers: near enough, and where single runs lie; a forecast may know how far these stray."""
    score = scored(fleet_of((0, 2), (measured_s, 4)), EDGE, tick_s)
    assert (score.replicas_mean_low, score.replicas_mean_high) == pytest.approx((2.4, 3.6))
    assert (score.within_tolerance, score.mean_within) == (within, within)
    assert (score.as_forecast, score.mean_inside) == (inside, inside)
    assert score.to_json()["as_forecast"] is inside


def test_moments_are_compared_with_draws_of_the_same_sequence() -> None:
    """A run that nine draws in a hundred are like is held against these nine, and one like four in a hundred is not."""
    drawn = [fleet_of((0, 2), (4, 4))] * 87 + [fleet_of((0, 2), (5, 3), (6, 4))] * 9 + [fleet_of((0, 4))] * 4
    score = scored(fleet_of((0, 2), (5, 3), (6.5, 4)), drawn, tick_s=0.4)
    assert (score.wanted_forecast, score.wanted_share) == ((2, 4), 0.87)
    assert (score.wanted_measured, score.wanted_measured_share) == ((2, 3, 4), 0.09)
    assert [(moment.wanted, moment.forecast_s) for moment in score.moments] == [(3, 5.0), (4, 6.0)]
    assert (score.moments_within, score.moments_inside) == (1, 1)
    rare = scored(fleet_of((0, 4)), drawn)
    assert (rare.moments, rare.wanted_measured_share) == ((), 0.04)


def test_sequence_that_no_draw_shows_has_no_moments_to_compare() -> None:
    """A run that went up in two steps is not held against one."""
    score = scored(fleet_of((0, 2), (4, 3), (5, 4)))
    assert score.moments == ()
    assert (score.wanted_forecast, score.wanted_measured, score.wanted_share) == ((2, 4), (2, 3, 4), 1.0)
    assert score.wanted_measured_share == 0.0


def test_peak_set_holds_95_percent_of_the_draws() -> None:
    """The likeliest first: 60 % and 38 % are enough, the last 2 % are left out."""
    drawn = [fleet_of((0, 3))] * 60 + [fleet_of((0, 4))] * 38 + [fleet_of((0, 9))] * 2
    assert score_fleet(drawn, fleet_of((0, 3)), 10 * S, S).peak_set == (3, 4)


def test_windows_that_one_side_lacks_are_left_out() -> None:
    """A window needs the run's own p99 and that of half of the draws."""
    drawn = [fleet_of((0, 2), p99_ms=(100.0, math.nan, 50.0))] * 6 + [fleet_of((0, 2), p99_ms=(100.0, 9.0, 50.0))] * 4
    score = score_fleet(drawn, fleet_of((0, 2), p99_ms=(100.0, 100.0, math.nan)), 15 * S, S)
    assert score.window_p99_errors == (0.0,)
    nothing = score_fleet(drawn, fleet_of((0, 2), p99_ms=(math.nan,) * 3), 15 * S, S)
    assert math.isnan(nothing.window_p99_error)
    assert nothing.to_json()["window_p99_error"] is None
