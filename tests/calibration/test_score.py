"""Tests of calibration/score.py."""

from __future__ import annotations

import math

import pytest

from calibration.score import Score, score
from sim.forecast.prediction import PredictedFigure


@pytest.mark.parametrize(
    ("figure", "load", "measured", "centre", "error", "tolerable"),
    [
        ("latency_ms.p50", 0.6, 20.0, 20.6, 0.03, True),  # positive: the forecast was too high
        ("latency_ms.p50", 1.3, 20.0, 19.3, -0.035, False),
        ("latency_ms.p99", 0.6, 40.0, 37.6, -0.06, True),
        ("latency_ms.p99", 0.6, 40.0, 43.6, 0.09, False),
        ("latency_ms.p99", 0.85, 40.0, 43.6, 0.09, True),  # near saturation it moves by several times as much
        ("latency_ms.p99", 0.85, 40.0, 44.8, 0.12, False),
        ("refused_share", 1.3, 0.20, 0.209, 0.009, True),  # points, not a share of the 20 %
        ("refused_share", 1.3, 0.001, 0.009, 0.008, True),  # nine times as many, and 0.8 points
        ("refused_share", 1.3, 0.20, 0.189, -0.011, False),
        ("batch_size_mean", 0.6, 4.0, 2.0, -0.5, None),
    ],
)
def test_error_is_signed_and_judged(
    figure: str, load: float, measured: float, centre: float, error: float, tolerable: bool | None
) -> None:
    """Relative for times and sizes, in points for shares; a figure without a tolerance is not judged."""
    (scored,) = score({figure: PredictedFigure(centre, centre, centre, "draws", 200)}, {figure: measured}, load)
    assert scored.error == pytest.approx(error)
    assert scored.within_tolerance is tolerable


def test_interval_holds_its_ends() -> None:
    """Inside means between low and high, both included."""
    assert [Score("latency_ms.p50", measured, 2.0, 1.0, 3.0).inside for measured in (0.99, 1.0, 3.0, 3.01)] == [
        False,
        True,
        True,
        False,
    ]


def test_interval_score_prefers_narrow_and_right() -> None:
    """The width, and 40 times the distance outside a 95 % interval: wide loses to narrow, a miss to both."""
    narrow = Score("latency_ms.p50", 10.0, 10.0, 9.5, 10.5).interval_score
    wide = Score("latency_ms.p50", 10.0, 10.0, 5.0, 15.0).interval_score
    missed = Score("latency_ms.p50", 11.0, 10.0, 9.5, 10.5).interval_score
    assert (narrow, wide, missed) == pytest.approx((1.0, 10.0, 1.0 + 40 * 0.5))


@pytest.mark.parametrize(
    ("figure", "low", "high", "too_wide"),
    [
        ("latency_ms.p99", 8.6, 11.5, False),
        ("latency_ms.p99", 8.4, 11.5, True),
        ("refused_share", 0.0, 0.29, False),
        ("refused_share", 0.0, 0.31, True),
    ],
)
def test_interval_that_holds_everything_is_called_too_wide(
    figure: str, low: float, high: float, too_wide: bool
) -> None:
    """Wider than 0.3 of the centre (15 % each way), or than 30 points of a share, an interval says nothing."""
    assert Score(figure, 10.0, 10.0, low, high).too_wide is too_wide


def test_figures_that_one_side_lacks_are_left_out() -> None:
    """A run without refusal may have no such figure; NaN is none either; nothing measured has no relative error."""
    predicted = {name: PredictedFigure(1.0, 0.5, 1.5, "draws", 200) for name in ("latency_ms.p50", "latency_ms.p99")}
    measured = {"latency_ms.p50": 2.0, "latency_ms.p99": math.nan, "refused_share": 0.1}
    scores = score(predicted, measured, load=0.6)
    assert [each.figure for each in scores] == ["latency_ms.p50"]
    assert Score("latency_ms.p50", 0.0, 1.0, 1.0, 1.0).to_json()["error"] is None
