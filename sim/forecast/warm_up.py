"""From when on a run counts: one cut for all runs, found on the latency averaged over them.

Only a load that does not change over time settles at all. Under any other the runs start empty, on purpose, and count
from the start: sim/forecast/forecast.py says so in the provenance.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["JUDGEABLE_MIN", "RUNGS", "mser5", "settled_after_ns"]

RUNGS: tuple[float, ...] = (0.125, 0.25, 0.5, 1.0)
"""Warm-ups that are tried, as shares of the measured time: the first that holds the cut is taken."""

_GROUP = 5

JUDGEABLE_MIN = 10 * _GROUP
"""Answered requests of a run below which nothing can be said about its settling."""


def mser5(series: npt.NDArray[np.float64]) -> int | None:
    """Return how many values to cut from the front of a series, or None if it has not settled in its first half.

    MSER-5 (K. P. White, M. J. Cobb, S. C. Spratt, WSC 2000): of the means of groups of 5, cut the front that makes the
    variance of the mean of the rest, as if they were independent, smallest.
    """
    groups = len(series) // _GROUP
    if len(series) < JUDGEABLE_MIN:
        return None
    means = series[: groups * _GROUP].reshape(groups, _GROUP).mean(axis=1)
    means = means - means.mean()  # sums of squares lose no digits
    if np.abs(means).max() <= 1e-9 * np.abs(series).max():
        return 0  # constant but for rounding
    rest = np.arange(groups, 0, -1)
    sums = means[::-1].cumsum()[::-1]
    squares = (means**2)[::-1].cumsum()[::-1]
    variances = np.maximum(squares - sums**2 / rest, 0.0) / rest.astype(np.float64) ** 2
    half = groups // 2
    cut = int(np.argmin(variances[: half + 1]))
    return None if cut == half and half > 0 and variances[half] < variances[0] else cut * _GROUP


def settled_after_ns(
    intended_ns: Sequence[npt.NDArray[np.int64]], latency_ns: Sequence[npt.NDArray[np.int64]]
) -> int | None:
    """Return the time after which the mean latency over the runs has settled, None if it does not.

    Each run gives its answered requests in the order of their intended sends, from time 0 on. Requests are averaged by
    their index; the time is that at which the first request behind the cut is sent on average.
    """
    length = min(len(run) for run in latency_ns)
    if length < JUDGEABLE_MIN:
        return None
    averaged = np.mean([run[:length] for run in latency_ns], axis=0)
    cut = mser5(averaged)
    if cut is None:
        return None
    return 0 if cut == 0 else int(np.mean([run[cut] for run in intended_ns]))
