"""The one definition of a quantile: nearest rank, the ceil(q n)-th smallest of n values.

It is always a value that occurred, it needs no interpolation rule, and a histogram can give the same one.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from sim.engine.histogram import upper_edges_ns

__all__ = ["QUANTILE_NAMES", "histogram_quantile", "quantile", "quantiles", "rank"]

Scalar = TypeVar("Scalar", np.int64, np.float64)

QUANTILE_NAMES: dict[str, float] = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}
"""The quantiles that forecasts report, by their names in scenarios and results."""


def rank(count: int, q: float) -> int:
    """Return the 1-based rank ceil(q count) of the q-quantile of `count` values, 0 < q <= 1.

    q is read as the decimal it is written as: 0.07 of 100 values is rank 7, though 0.07 * 100 > 7 in binary floats.
    Raises ValueError for a q outside (0, 1] or without values.
    """
    if not 0.0 < q <= 1.0:
        raise ValueError(f"A quantile must be above 0 and at most 1. Got {q}.")
    if count < 1:
        raise ValueError("A quantile of no values does not exist.")
    part, whole = _ratio(q)
    return -(-part * count // whole)


@lru_cache(maxsize=256)
def _ratio(q: float) -> tuple[int, int]:
    """Return the decimal that q is written as, as a ratio: reading it costs more than finding a quantile."""
    return Fraction(repr(float(q))).as_integer_ratio()


def quantile(values: npt.NDArray[Scalar], q: float) -> Scalar:
    """Return the q-quantile of values in any order. Raises ValueError as `rank` does."""
    return quantiles(values, [q])[0]


def quantiles(values: npt.NDArray[Scalar], qs: Sequence[float]) -> list[Scalar]:
    """Return several quantiles at the cost of little more than one. Raises ValueError as `rank` does."""
    places = [rank(len(values), q) - 1 for q in qs]
    partitioned = np.partition(values, sorted(set(places)))
    return [partitioned[place] for place in places]


def histogram_quantile(counts: npt.NDArray[np.int64], q: float) -> int:
    """Return the q-quantile of a histogram of sim.engine.histogram, in ns: the largest time of its bucket.

    So it is at most 0.4 % above that of the values. Raises ValueError as `rank` does.
    """
    place = np.searchsorted(np.cumsum(counts), rank(int(counts.sum()), q))
    return int(upper_edges_ns()[place])
