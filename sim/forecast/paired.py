"""Whether two configurations differ by more than noise: the difference of a figure, with its interval.

Run r of both has the same arrivals and dice where their seed is the same, so what chance does to both alike falls out
of the difference of the pair. Without common seeds the difference has the noise of both. How often a difference that is
none seems to be one is measured by tests/benchmarks/paired_differences.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sim.forecast.estimates import Figure
from sim.forecast.intervals import LEVEL, half_width, student_t

__all__ = ["Difference", "beyond_noise_together", "figure_difference", "paired_difference", "unpaired_difference"]

_MANY = 10**9
"""Degrees of freedom of what is as good as normal."""

_ROUNDING = 1e-9
"""Of a figure: what is smaller is no difference, and no spread of one, but the rounding of floats."""


@dataclass(frozen=True)
class Difference:
    """By how much B lies above A, with the interval of that."""

    value: float
    low: float
    high: float
    p_value: float  # chance of a difference this far from 0 where there is none; below 1 - level outside the interval
    paired: bool

    @property
    def beyond_noise(self) -> bool:
        """Whether the interval leaves out "no difference"."""
        return not self.low <= 0.0 <= self.high

    def to_json(self) -> dict[str, object]:
        """Return the difference as plain values."""
        return {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "p_value": self.p_value,
            "beyond_noise": self.beyond_noise,
            "paired": self.paired,
        }


def figure_difference(a: Figure, b: Figure, *, same_seed: bool = True) -> Difference | None:
    """Return the difference of a figure between A and B, None where one of them has no value.

    It is paired where the runs of both had the same seed and tell what each of them showed. A figure that the scenario
    fixes, or of which nothing was seen, has an interval only; what has a constant for a partner loses nothing by that.
    """
    a_told, b_told = _interval(a), _interval(b)
    if a_told is None or b_told is None:
        return None
    both_show = [math.isfinite(one) and math.isfinite(other) for one, other in zip(a.runs, b.runs, strict=False)]
    if not same_seed or len(a.runs) != len(b.runs) or sum(both_show) < 2:
        counts = [len(figure.runs) for figure in (a, b) if len(figure.runs) > 1]
        return unpaired_difference(a_told, b_told, freedom=min(counts) - 1 if counts else _MANY)
    drawn = (a.drawn or a.runs, b.drawn or b.runs) if a.drawn or b.drawn else None
    return paired_difference(a.runs, b.runs, a_told[0], b_told[0], drawn=drawn)


def paired_difference(
    a_runs: Sequence[float],
    b_runs: Sequence[float],
    a_pooled: float,
    b_pooled: float,
    *,
    drawn: tuple[Sequence[float], Sequence[float]] | None = None,
    level: float = LEVEL,
) -> Difference:
    """Return the difference of a figure between A and B, from what each run showed and from all runs pooled.

    Run r of both must have met the same arrivals and dice. The centre is the difference of the pooled figures, and the
    spread that of the pairs around it, for the reasons that sim.forecast.intervals.confidence gives. `drawn` is what
    the same runs showed on a drawn calibration each, of A and of B: how far their pairs shift is what the calibration
    leaves open. Pairs of which one run shows nothing (NaN) are left out. Raises ValueError for lists of unequal length
    and for fewer than two pairs.
    """
    pairs = [b - a for a, b in zip(a_runs, b_runs, strict=True)]
    shown = [pair for pair in pairs if math.isfinite(pair)]
    value = b_pooled - a_pooled
    freedom = len(shown) - 1
    half = half_width(value, shown, level)
    if drawn is not None:
        shifts = [b - a - pair for a, b, pair in zip(*drawn, pairs, strict=True) if math.isfinite(b - a - pair)]
        mean_square = math.fsum(shift * shift for shift in shifts) / max(len(shifts), 1)
        half = math.hypot(half, student_t(level, freedom) * math.sqrt(mean_square))
    rounding = _ROUNDING * max(abs(a_pooled), abs(b_pooled))
    value, half = (0.0 if abs(each) <= rounding else each for each in (value, half))
    error = half / student_t(level, freedom)
    return Difference(value, value - half, value + half, _p_value(value, error, freedom), paired=True)


def unpaired_difference(
    a: tuple[float, float, float], b: tuple[float, float, float], *, freedom: int, level: float = LEVEL
) -> Difference:
    """Return the difference of two figures that have nothing in common, each given as (value, low, high).

    `freedom` are the degrees of freedom of their intervals; it matters for p-values far below 1 - level alone.
    The ends of both intervals, which may lie unevenly around their values, are added in squares: G. Y. Zou and
    A. Donner, "Construction of confidence limits about effect measures", Statistics in Medicine 27, 2008.
    """
    (a_value, a_low, a_high), (b_value, b_low, b_high) = a, b
    value = b_value - a_value
    below = math.hypot(b_value - b_low, a_high - a_value)
    above = math.hypot(b_high - b_value, a_value - a_low)
    towards_none = below if value > 0.0 else above
    p_value = _p_value(value, towards_none / student_t(level, freedom), freedom)
    return Difference(value, value - below, value + above, p_value, paired=False)


def beyond_noise_together(p_values: Sequence[float], level: float = LEVEL) -> list[bool]:
    """Return which of several differences are more than noise when all of them are looked at.

    S. Holm's procedure (Scandinavian Journal of Statistics 6, 1979): whatever the figures have to do with each other,
    one or more that did not change are named with a chance of 1 - level at most.
    """
    named = [False] * len(p_values)
    ascending = sorted(range(len(p_values)), key=lambda place: p_values[place])
    for rank, place in enumerate(ascending):
        if p_values[place] > (1.0 - level) / (len(p_values) - rank):
            break
        named[place] = True
    return named


def _interval(figure: Figure) -> tuple[float, float, float] | None:
    """Return a figure's value and its interval, None without a value."""
    if figure.value is None or figure.low is None or figure.high is None:
        return None
    return figure.value, figure.low, figure.high


def _p_value(value: float, error: float, freedom: int) -> float:
    """Return the two-sided chance of a value this far from 0 with a standard error, by Student's t."""
    if error == 0.0:
        return float(value == 0.0)
    from scipy.special import stdtr

    return float(2.0 * stdtr(freedom, -abs(value) / error))
