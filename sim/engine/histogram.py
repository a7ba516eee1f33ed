"""Integer histograms of times: buckets of equal width up to 512 ns, then 256 to each doubling.

So a quantile read from one is at most 1/256 = 0.4 % too high and never too low; histograms of windows, chunks and runs
add up. The layout is that of G. Tene's HdrHistogram with 8 bits of mantissa.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

__all__ = [
    "BUCKETS",
    "HALF",
    "LAST_EXPONENT",
    "MANTISSA_BITS",
    "bucket_of",
    "buckets_of",
    "no_latencies",
    "upper_edges_ns",
]

MANTISSA_BITS = 8
HALF: int = 2**MANTISSA_BITS

LAST_EXPONENT = 36
"""Times from 2**(LAST_EXPONENT + 9) ns, nearly ten hours, on are in the last bucket."""

BUCKETS = (LAST_EXPONENT + 2) * HALF

Ints = npt.NDArray[np.int64]


def bucket_of(time_ns: int) -> int:
    """Return the bucket of a time >= 0."""
    if time_ns < HALF:
        return time_ns
    exponent: int = time_ns.bit_length() - MANTISSA_BITS - 1
    return min(exponent * HALF + (time_ns >> exponent), BUCKETS - 1)


def buckets_of(times_ns: Ints) -> Ints:
    """Return the bucket of each of several times >= 0."""
    return np.searchsorted(upper_edges_ns()[:-1], times_ns)


def no_latencies() -> tuple[Ints, Ints]:
    """Return the shortest and the longest time in each bucket, where there is none yet."""
    return np.full(BUCKETS, np.iinfo(np.int64).max), np.full(BUCKETS, -1)


@cache
def upper_edges_ns() -> Ints:
    """Return the largest time of each bucket; of the last one, the largest that is its own."""
    index = np.arange(BUCKETS, dtype=np.int64)
    exponent = np.maximum(index // HALF - 1, 0)
    mantissa: Ints = np.where(index < HALF, index, index % HALF + HALF)
    edges: Ints = ((mantissa + 1) << exponent) - 1
    return edges
