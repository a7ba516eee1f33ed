"""A forecast of one run against one measured run, figure by figure: signed error, and whether the interval held it.

The error of a time, a rate or a size is relative to what was measured; that of a share is a difference in points,
since a share of nearly nothing has no meaningful relative error. Positive: the forecast was too high. A hit is an
interval that held the value and was not so wide that it would hold any.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from policy.timeline import Outcome
from sim.forecast.prediction import PredictedFigure
from sim.outcome.measures import RunMeasures

__all__ = [
    "HIT_FIGURES",
    "SCORED",
    "SERVER_FIGURES",
    "TOLERANCES",
    "Score",
    "Tolerance",
    "resolutions_of",
    "score",
    "tolerance_of",
]

SCORED = (
    "latency_ms.p50",
    "latency_ms.p90",
    "latency_ms.p99",
    "latency_ms.mean",
    "refused_share",
    "timed_out_share",
    "abandoned_share",
    "failed_share",
    "batch_size_mean",
    "throughput_per_s",
    "server_latency_ms.p50",
    "server_latency_ms.p99",
)
"""The figures that are compared, by the names of a Prediction; server_latency_ms is the server's own timeline."""

HIT_FIGURES = ("latency_ms.p50", "latency_ms.p90", "latency_ms.p99", "refused_share", "batch_size_mean")
"""The figures of every single run whose intervals are counted: how many held what was measured?"""

SERVER_FIGURES = ("server_latency_ms.p50", "server_latency_ms.p99")
"""The same on the server's own timeline, where the client's time cannot hide what the server's is."""


class Tolerance(NamedTuple):
    """How far a forecast may be off at loads up to `load_max`: a share of the measured value, or points of a share."""

    load_max: float  # of the capacity
    error: float


TOLERANCES: Mapping[str, tuple[Tolerance, ...]] = {
    "latency_ms.p50": (Tolerance(math.inf, 0.03),),
    "latency_ms.p99": (Tolerance(0.7, 0.06), Tolerance(math.inf, 0.10)),
    "refused_share": (Tolerance(math.inf, 0.01),),
}
"""The figures that are judged; near saturation a p99 moves by several times what moves the capacity."""

_MISSED = 2 / 0.05  # of the distance outside a 95 % interval: Gneiting and Raftery, JASA 102:359, 2007, eq. 43
_WIDTH_SHARE_MAX = 0.3  # of the centre, +-15 %: a wider interval holds everything and says nothing


@dataclass(frozen=True)
class Score:
    """One figure: forecast against measurement."""

    figure: str
    measured: float
    centre: float  # of the prediction
    low: float  # of the 95 % prediction interval of one run
    high: float
    tolerance: float | None = None  # of the error; None: the figure is not judged
    resolution: float = 0.0  # what one request or one pass of those counted makes

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
        """Whether the prediction interval holds the measured value, to the resolution of the figure."""
        return self.low - self.resolution <= self.measured <= self.high + self.resolution

    @property
    def too_wide(self) -> bool:
        """Whether the interval is so wide that holding the value says nothing."""
        scale = 1.0 if self.is_share else self.centre
        return self.high - self.low > _WIDTH_SHARE_MAX * scale

    @property
    def hit(self) -> bool:
        """Whether the interval held the value and was narrow enough to say something by it."""
        return self.inside and not self.too_wide

    @property
    def interval_score(self) -> float:
        """The interval score in the figure's unit: its width, and 40 times the distance outside it. Small is good."""
        outside = max(self.low - self.measured, self.measured - self.high, 0.0)
        return self.high - self.low + _MISSED * outside

    @property
    def within_tolerance(self) -> bool | None:
        """Whether the error is tolerable; None for a figure without a tolerance."""
        return None if self.tolerance is None else round(abs(self.error), 9) <= self.tolerance  # 21 / 20 - 1 > 0.05

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
            "tolerance": self.tolerance,
            "within_tolerance": self.within_tolerance,
        }


def score(
    predicted: Mapping[str, PredictedFigure],
    measured: Mapping[str, float],
    load: float,
    resolutions: Mapping[str, float] | None = None,
) -> tuple[Score, ...]:
    """Return the scores of the figures that both sides show, at a load as a share of the capacity."""
    return tuple(
        Score(
            name,
            measured[name],
            predicted[name].centre,
            predicted[name].low,
            predicted[name].high,
            tolerance_of(name, load),
            (resolutions or {}).get(name, 0.0),
        )
        for name in SCORED
        if name in predicted and math.isfinite(measured.get(name, math.nan))
    )


def tolerance_of(figure: str, load: float) -> float | None:
    """Return how far off a figure may be at a load as a share of the capacity; None if it is not judged."""
    return next((error for load_max, error in TOLERANCES.get(figure, ()) if load <= load_max), None)


def resolutions_of(measures: RunMeasures) -> dict[str, float]:
    """Return by how much one request or one pass changes each figure of a run that counts them."""
    resolutions = {"throughput_per_s": 1.0 / measures.window_s}
    if measures.requests:
        shares = [f"{outcome.name.lower()}_share" for outcome in Outcome]
        resolutions |= dict.fromkeys(shares, 1.0 / measures.requests)
    if measures.passes:
        resolutions["batch_size_mean"] = measures.batch_size_mean / measures.passes
    return resolutions
