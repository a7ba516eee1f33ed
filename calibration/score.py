"""A forecast of one run against one measured run, figure by figure: signed error, and whether the interval held it.

The error of a time, a rate or a size is relative to what was measured; that of a share is a difference in points,
since a share of nearly nothing has no meaningful relative error. Positive: the forecast was too high.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from sim.forecast.prediction import PredictedFigure

__all__ = ["SCORED", "TOLERANCES", "Score", "score"]

SCORED = (
    "latency_ms.p50",
    "latency_ms.p90",
    "latency_ms.p99",
    "latency_ms.mean",
    "refused_share",
    "timed_out_share",
    "abandoned_share",
    "batch_size_mean",
    "throughput_per_s",
    "server_latency_ms.p50",
    "server_latency_ms.p99",
)
"""The figures that are compared, by the names of a Prediction; server_latency_ms is the server's own timeline."""

TOLERANCES: Mapping[str, float] = {"latency_ms.p50": 0.05, "latency_ms.p99": 0.15, "refused_share": 0.02}
"""How far a forecast may be off: a share of the measured value, or points of a share."""

_MISSED = 2 / 0.05  # of the distance outside a 95 % interval: Gneiting and Raftery, JASA 102:359, 2007, eq. 43
_WIDTH_SHARE_MAX = 0.5  # of the centre: an interval that is wider holds everything and says nothing


@dataclass(frozen=True)
class Score:
    """One figure: forecast against measurement."""

    figure: str
    measured: float
    centre: float  # of the prediction
    low: float  # of the 95 % prediction interval of one run
    high: float

    @property
    def is_share(self) -> bool:
        """Whether the figure is a share, whose error is counted in points."""
        return self.figure.endswith("_share")

    @property
    def error(self) -> float:
        """The forecast's error, signed: relative to the measured value, of a share the difference; NaN without."""
        if self.is_share:
            return self.centre - self.measured
        return self.centre / self.measured - 1 if self.measured else math.nan

    @property
    def inside(self) -> bool:
        """Whether the prediction interval holds the measured value."""
        return self.low <= self.measured <= self.high

    @property
    def too_wide(self) -> bool:
        """Whether the interval is so wide that holding the value says nothing."""
        scale = 1.0 if self.is_share else self.centre
        return self.high - self.low > _WIDTH_SHARE_MAX * scale

    @property
    def interval_score(self) -> float:
        """The interval score in the figure's unit: its width, and 40 times the distance outside it. Small is good."""
        outside = max(self.low - self.measured, self.measured - self.high, 0.0)
        return self.high - self.low + _MISSED * outside

    @property
    def within_tolerance(self) -> bool | None:
        """Whether the error is tolerable; None for a figure without a tolerance."""
        tolerance = TOLERANCES.get(self.figure)
        return None if tolerance is None else round(abs(self.error), 9) <= tolerance  # 21 / 20 - 1 > 0.05

    def to_json(self) -> dict[str, object]:
        """Return the score as plain values; what does not exist is null."""
        return {
            "figure": self.figure,
            "measured": self.measured,
            "predicted": {"centre": self.centre, "low": self.low, "high": self.high},
            "error": None if math.isnan(self.error) else self.error,
            "inside": self.inside,
            "too_wide": self.too_wide,
            "interval_score": self.interval_score,
            "within_tolerance": self.within_tolerance,
        }


def score(predicted: Mapping[str, PredictedFigure], measured: Mapping[str, float]) -> tuple[Score, ...]:
    """Return the scores of the figures that both sides show."""
    return tuple(
        Score(name, measured[name], predicted[name].centre, predicted[name].low, predicted[name].high)
        for name in SCORED
        if name in predicted and math.isfinite(measured.get(name, math.nan))
    )
