"""The whole latency distribution, for pictures: quantiles of all runs pooled, and the band in which one run will be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.forecast.intervals import exceedances_are_enough, prediction
from sim.outcome.latencies import Latencies

__all__ = ["GRID", "LatencyCurve", "curve_of_quantiles", "grid_quantiles_ms", "latency_curve"]

Values = npt.NDArray[np.float64]

GRID: tuple[float, ...] = (
    *(round(step / 100, 2) for step in range(1, 99)),
    *(round(1.0 - slower, 6) for slower in (0.015, 0.01, 0.007, 0.005, 0.003, 0.002, 0.0015, 0.001)),
)
"""The quantiles of a curve, closer to each other towards the tail."""


@dataclass(frozen=True)
class LatencyCurve:
    """Latencies at ascending quantiles, with the 95 % prediction band of one run, point by point."""

    quantiles: Values  # (points,)
    latency_ms: Values  # (points,)
    low_ms: Values  # (points,)
    high_ms: Values  # (points,)

    def to_json(self) -> dict[str, object]:
        """Return the curve in the form of the forecast's JSON."""
        return {
            "quantiles": self.quantiles.tolist(),
            "latency_ms": self.latency_ms.tolist(),
            "low_ms": self.low_ms.tolist(),
            "high_ms": self.high_ms.tolist(),
        }


def grid_quantiles_ms(latencies: Latencies) -> Values:
    """Return one run's latencies at the quantiles of GRID, in ms; NaN without a latency."""
    return np.array(latencies.quantiles_ns(GRID)) / 1e6


def latency_curve(runs: Sequence[Latencies], others: Sequence[Latencies] | None = None) -> LatencyCurve:
    """Return the curve of at least 2 runs; those without a latency are left out.

    The band is that of `others` if given: the runs in which the calibration varies. The curve ends where all runs
    together have fewer than EXCEEDANCES_MIN latencies beyond it.
    """
    pooled = runs[0].joined(runs[1:])
    known = [index for index, q in enumerate(GRID) if exceedances_are_enough(len(pooled), q)]
    band = [grid_quantiles_ms(run) for run in (runs if others is None else others) if len(run)]
    if not known or len(band) < 2:
        return _curve([], np.empty(0), [])
    return _curve(known, grid_quantiles_ms(pooled), band)


def curve_of_quantiles(draws: Sequence[Values]) -> LatencyCurve:
    """Return the curve of at least 2 runs, each given by grid_quantiles_ms; its middle is the median of the runs."""
    middle = np.median(np.array(draws), axis=0)
    return _curve(list(range(len(GRID))), middle, draws)


def _curve(places: Sequence[int], middle: Values, draws: Sequence[Values]) -> LatencyCurve:
    """Return the curve at those places of GRID."""
    band = [prediction([float(draw[place]) for draw in draws]).clipped(0.0, np.inf) for place in places]
    return LatencyCurve(
        quantiles=np.array([GRID[place] for place in places]),
        latency_ms=np.array([middle[place] for place in places]),
        low_ms=np.array([bounds.low for bounds in band]),
        high_ms=np.array([bounds.high for bounds in band]),
    )
