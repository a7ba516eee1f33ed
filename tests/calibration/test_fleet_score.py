"""How a measured fleet is scored against the draws of its prediction."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from calibration.fleet_score import score_fleet
from sim.outcome.fleet_course import FleetCourse, FleetRun, Steps

S = 10**9


def fleet_of(*changes: tuple[float, int], p99_ms: Sequence[float] = (100.0, 200.0)) -> FleetRun:
    """Return a run whose replicas are there as soon as they are wanted, by (second, count)."""
    moments = np.array([round(second * S) for second, _ in changes], dtype=np.int64)
    steps = Steps(moments, np.array([count for _, count in changes], dtype=np.int64))
    return FleetRun(FleetCourse(steps, steps, steps, steps), np.array(p99_ms))


DRAWN = [fleet_of((0, 2), (4 + 0.1 * number, 4)) for number in range(10)]


def test_mean_peak_and_moments_are_compared() -> None:
    """Draws go from 2 to 4 at 4.0 to 4.9 s of 10, the run at 5: forecast 3.1, measured 3.0."""
    score = score_fleet(DRAWN, fleet_of((0, 2), (5, 4), p99_ms=(110.0, 200.0)), 10 * S, 2 * S)
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
    assert not score_fleet(DRAWN, measured, 10 * S, 2 * S).within_tolerance, why


def test_other_sequence_has_no_moments_to_compare() -> None:
    """A run that went up in two steps is not held against one."""
    score = score_fleet(DRAWN, fleet_of((0, 2), (4, 3), (5, 4)), 10 * S, 2 * S)
    assert score.moments == ()
    assert (score.wanted_forecast, score.wanted_measured, score.wanted_share) == ((2, 4), (2, 3, 4), 1.0)


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
