"""Distributions -> the inverse-CDF tables of integers that policy/dice.py reads. Every exp and log happens here.

Against the exact law, for every cv that a scenario may state: the mean is exact, p50 to p99.9 are within 0.3 %, which
straight lines over a curved tail cost (tests/sim/scenario/test_distributions.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from policy.dice import CELLS, LEVELS
from policy.errors import SettingError
from policy.pass_time import SPREAD_ONE
from policy.settings import SIZE_MAX, SPREAD_MAX, check_count, check_time_ns
from sim.engine.engine_input import Table
from sim.scenario.distribution_spec import (
    Choices,
    Exponential,
    ExponentialSpread,
    Gamma,
    GammaSpread,
    Lognormal,
    LognormalSpread,
    SizeLaw,
    Spread,
    TimeLaw,
    Uniform,
)

__all__ = ["lifetime_table", "mean_of", "size_table", "spread_table", "time_table"]

Floats = npt.NDArray[np.float64]
Law = TimeLaw | SizeLaw | Spread
SurvivalQuantile = Callable[[Floats], Floats]  # from P(X > x) to x: exact in the tail, where 1 - p is not

_SURVIVAL: Final = np.concatenate(
    [2.0 ** (-10 * level) * (1 - np.arange(CELLS + 1) / CELLS) for level in range(LEVELS)]
)
"""P(X > x) at every knot, row behind row."""

_END: Final = float(np.exp(-2.0))
"""The outermost knots would be 0 and infinity. At this part of their cells they give an exponential tail its mean."""

_FIRST_SURVIVAL: Final = 1 - _END / CELLS
_LAST_SURVIVAL: Final = _END * 2.0 ** (-10 * LEVELS)


def time_table(law: TimeLaw, key: str, least_ns: int = 0) -> Table:
    """Return the table of a time in ns; draws are at least `least_ns`. Raises SettingError of `key` beyond 31 days."""
    if isinstance(law, int):
        return (check_time_ns(key, law, least_ns),)
    knots = np.maximum(np.rint(_real_knots(law)), least_ns)
    check_time_ns(key, int(knots.max()), least_ns)
    return _as_table(knots)


def lifetime_table(mean_ns: int) -> Table:
    """Return the table of an exponential time until a crash, at least 1 ns; it may be longer than any run lasts."""
    knots = _real_knots(ExponentialSpread(distribution="exponential")) * mean_ns
    return _as_table(np.maximum(np.rint(knots), 1))


def size_table(law: SizeLaw, key: str = "traffic.sizes") -> Table:
    """Return the table of a size: whole units, at least 1. Raises SettingError of `key` beyond 10 million."""
    if isinstance(law, int):
        return (check_count(key, law, 1, SIZE_MAX),)
    if isinstance(law, Uniform):
        # Half a unit more at both ends leaves every whole number in between the same probability.
        knots = np.minimum(_uniform_knots(law.low - 0.5, law.high + 0.5), SIZE_MAX - 1)
    else:
        knots = _real_knots(law)
    # A draw is rounded down between two knots. Where knots lie further apart than one unit, that costs half a unit.
    steps = np.append(np.diff(knots), 0.0)
    whole = np.floor(knots + 0.5 + 0.5 * np.clip(steps, 0.0, 1.0))
    whole = np.maximum(np.maximum.accumulate(whole.reshape(LEVELS, -1), axis=1).ravel(), 1)
    check_count(key, int(whole.max()), 1, SIZE_MAX)
    return _as_table(whole)


def spread_table(law: Spread | None, key: str = "model.pass_time.spread") -> Table:
    """Return the table of a factor with mean 1, in units of 1 / SPREAD_ONE."""
    if law is None:
        return (SPREAD_ONE,)
    knots = _real_knots(law)
    if knots.max() > SPREAD_MAX:
        raise SettingError(key, f"a spread that stays below a factor of {SPREAD_MAX}", f"{knots.max():.3g}")
    return _as_table(np.rint(knots * SPREAD_ONE))


def mean_of(law: Law | None) -> float:
    """Return the exact mean of a law in its own unit; None is a spread of 1."""
    if isinstance(law, int):
        return float(law)
    if isinstance(law, Uniform):
        return (law.low + law.high) / 2
    if isinstance(law, Choices):
        return float(np.average(law.values, weights=law.weights))
    return float(law.mean) if isinstance(law, (Exponential, Lognormal, Gamma)) else 1.0


def _as_table(knots: Floats) -> Table:
    """Return knots as plain integers, which the process engine reads fastest."""
    return tuple(int(knot) for knot in knots)


def _real_knots(law: Law) -> Floats:
    """Return the knots of a law as real numbers, row behind row as policy/dice.py reads them."""
    if isinstance(law, Choices):
        return _choice_knots(law)
    if isinstance(law, Uniform):
        return _uniform_knots(law.low, law.high)
    knots = _quantile(law)(np.clip(_SURVIVAL, _LAST_SURVIVAL, _FIRST_SURVIVAL))
    return knots * (mean_of(law) / _mean_of_lines(knots))


def _uniform_knots(low: float, high: float) -> Floats:
    """Return the knots of the uniform law, which straight lines render exactly."""
    knots: Floats = high - _SURVIVAL * (high - low)
    return knots


def _mean_of_lines(knots: Floats) -> float:
    """Return the mean of what is drawn from knots."""
    mean = 0.0
    for level, row in enumerate(knots.reshape(LEVELS, -1)):
        # The last cell of a row belongs to the next one, but for the last row.
        cells = CELLS if level == LEVELS - 1 else CELLS - 1
        mean += float((row[:cells] + row[1 : cells + 1]).sum()) / 2 * 2.0 ** (-10 * level) / CELLS
    return mean


def _quantile(law: Law) -> SurvivalQuantile:
    """Return the quantile function of an unbounded law."""
    mean = mean_of(law)
    if isinstance(law, (Exponential, ExponentialSpread)):
        return lambda survival: -mean * np.log(survival)
    if isinstance(law, (Lognormal, LognormalSpread)):
        return _lognormal_quantile(mean, law.cv)
    assert isinstance(law, (Gamma, GammaSpread))
    return _gamma_quantile(mean, law.cv)


def _lognormal_quantile(mean: float, cv: float) -> SurvivalQuantile:
    """Return the quantile function of the lognormal law with that mean and cv."""
    from scipy.special import ndtri

    variance = np.log1p(cv**2)  # of the logarithm
    return lambda survival: np.asarray(mean * np.exp(-variance / 2 - np.sqrt(variance) * ndtri(survival)))


def _gamma_quantile(mean: float, cv: float) -> SurvivalQuantile:
    """Return the quantile function of the gamma law with that mean and cv."""
    from scipy.special import gammainccinv

    shape = cv**-2
    return lambda survival: np.asarray(gammainccinv(shape, survival) * mean / shape)


def _choice_knots(law: Choices[int]) -> Floats:
    """Return knots whose straight lines have exactly the mean of the choices.

    The quantile function is a staircase. Each knot is its mean over the half cells to both sides, at the ends of a row
    over the one half cell inside it; the lines between such knots have the same integral as the staircase.
    """
    weights = np.ones(len(law.values)) if law.weights is None else np.array(law.weights)
    # From the largest value down, because the probability of lying above is exact in the tail.
    shares = (weights / weights.sum())[::-1]
    survival = np.append(0.0, np.cumsum(shares))
    sums = np.append(0.0, np.cumsum(shares * np.array(law.values[::-1])))
    rows = []
    for level in range(LEVELS):
        last = CELLS if level == LEVELS - 1 else CELLS - 1  # knot behind the last cell in use
        edges = 2.0 ** (-10 * level) * (1 - np.clip(np.arange(-0.5, last + 1), 0, last) / CELLS)
        means = np.diff(np.interp(edges, survival, sums)) / np.diff(edges)
        rows.append(np.append(means, [law.values[-1]] * (CELLS - last)))
    knots: Floats = np.clip(np.concatenate(rows), law.values[0], law.values[-1])
    return knots
