"""How sure a figure is: two kinds of interval, which are never mixed.

A confidence interval says where the long-run figure lies, a prediction interval where ONE further run will land. Both
rest on independent runs: requests of one run depend on each other, and treating them as independent samples would give
intervals that are too narrow several times over (tests/sim/forecast/test_intervals.py shows it).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from sim.outcome.latencies import BATCHES_PER_RUN, BatchMeans, batch_means

__all__ = [
    "EMPIRICAL_DRAWS_MIN",
    "EXCEEDANCES_MIN",
    "MORE_THAN_NEEDED",
    "LEVEL",
    "Bounds",
    "PredictionBounds",
    "confidence",
    "effective_samples",
    "effective_samples_of",
    "exceedances_are_enough",
    "half_width",
    "none_seen_high",
    "prediction",
    "spread",
    "student_t",
]

LEVEL = 0.95
"""The level of every interval that is not named otherwise."""

EXCEEDANCES_MIN = 20.0
"""A q-quantile is given if a run is worth so many independent values beyond it: effective samples * (1 - q)."""

MORE_THAN_NEEDED = 1.3
"""How many times the runs, or their length, that seem to be needed are asked for: few show roughly what more will."""

EMPIRICAL_DRAWS_MIN = 200
"""From so many draws on, a prediction interval is read off the draws themselves."""


@dataclass(frozen=True)
class Bounds:
    """The two ends of an interval."""

    low: float
    high: float

    def clipped(self, least: float, most: float) -> Bounds:
        """Return the part of the interval that is possible at all."""
        return Bounds(min(max(self.low, least), most), min(max(self.high, least), most))


@dataclass(frozen=True)
class PredictionBounds(Bounds):
    """Where one further run will land, and how that was found."""

    method: str  # "empirical": order statistics of the draws; "normal": t * s * sqrt(1 + 1/draws) around their mean
    draws: int

    def clipped(self, least: float, most: float) -> PredictionBounds:
        """Return the part of the interval that is possible at all."""
        inside = Bounds(self.low, self.high).clipped(least, most)
        return PredictionBounds(inside.low, inside.high, self.method, self.draws)


def spread(centre: float, runs: Sequence[float]) -> float:
    """Return the root mean square deviation of the runs' own values from a centre, with one degree of freedom spent."""
    return math.sqrt(math.fsum((value - centre) ** 2 for value in runs) / (len(runs) - 1))


def half_width(centre: float, runs: Sequence[float], level: float = LEVEL, fitted: int = 1) -> float:
    """Return t * spread / sqrt(R), with R - fitted degrees of freedom. Needs more runs than are fitted."""
    return student_t(level, len(runs) - fitted) * spread(centre, runs) / math.sqrt(len(runs))


def confidence(centre: float, runs: Sequence[float], level: float = LEVEL) -> Bounds:
    """Return where the long-run figure lies, from R >= 2 independent runs.

    `centre` is the figure over all runs pooled. For a quantile it is not the mean of the runs' own quantiles, which is
    biased when runs are short; so the runs' spread is taken around the centre, and covers part of what bias is left.
    """
    half = half_width(centre, runs, level)
    return Bounds(centre - half, centre + half)


def prediction(draws: Sequence[float], level: float = LEVEL) -> PredictionBounds:
    """Return where one further run will land, from at least 2 independent runs like it.

    With EMPIRICAL_DRAWS_MIN draws or more the k-th smallest and k-th largest, k = floor((1 - level) / 2 * (draws + 1)):
    a further draw lies between them with probability 1 - 2k / (draws + 1) whatever the distribution. With fewer, the
    normal theory: mean +- t * s * sqrt(1 + 1/draws).
    """
    count = len(draws)
    if count >= EMPIRICAL_DRAWS_MIN:
        place = max(math.floor((1.0 - level) / 2.0 * (count + 1) + 1e-9), 1)
        ordered = sorted(draws)
        return PredictionBounds(ordered[place - 1], ordered[count - place], "empirical", count)
    mean = math.fsum(draws) / count
    half = student_t(level, count - 1) * spread(mean, draws) * math.sqrt(1.0 + 1.0 / count)
    return PredictionBounds(mean - half, mean + half, "normal", count)


def effective_samples(runs: Sequence[npt.NDArray[Any]]) -> float:
    """Return how many independent values one run is worth, for the mean of the given values. Needs at least 2 runs.

    By batch means: n * variance / (m * variance of the means of batches of m), BATCHES_PER_RUN batches a run. A batch
    is compared with the same batch of the other runs: so what separates whole runs counts as noise, and a load that
    changes over time does not. For a quantile pass the indicators "beyond the quantile". Never more than the run has;
    values that do not vary are worth their number.
    """
    return effective_samples_of([batch_means(values) for values in runs])


def effective_samples_of(runs: Sequence[BatchMeans]) -> float:
    """Return the same of runs of which only the means of their batches are known."""
    count = sum(run.count for run in runs)
    length = count / len(runs)
    if min(run.count for run in runs) < 2 * BATCHES_PER_RUN:
        return length
    mean = math.fsum(run.count * run.mean for run in runs) / count
    variance = math.fsum(run.count * run.square for run in runs) / count - mean**2
    beyond = np.array([run.sizes * (run.means - mean) for run in runs])  # (runs, batches)
    long_run_variance = float(beyond.var(axis=0, ddof=1).sum()) / length
    return min(length, length * variance / long_run_variance) if long_run_variance > 0.0 else length


def exceedances_are_enough(samples: float, q: float) -> bool:
    """Return whether a run with so many effective samples supports the q-quantile."""
    return samples * (1.0 - q) >= EXCEEDANCES_MIN * (1.0 - 1e-9)


def none_seen_high(samples: float, level: float = LEVEL) -> float:
    """Return the upper limit of a share of which nothing was seen in so many independent samples.

    The share at which none in n has probability 1 - level, for large n the "rule of three": 3 / n.
    """
    return float(-math.expm1(math.log1p(-level) / max(samples, 1.0)))


@cache  # windows ask for the same one hundreds of times
def student_t(level: float, freedom: int) -> float:
    """Return the two-sided quantile of Student's t. Raises ValueError without a degree of freedom."""
    if freedom < 1:
        raise ValueError("An interval needs at least two independent runs.")
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1.0 + level) / 2.0))
