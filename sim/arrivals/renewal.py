"""Renewal processes: arrivals with independent gaps of one law, from even over Poisson to bursty gamma gaps.

The process is stationary from time 0 on: the first gap is a residual gap, what is left of a gap that an observer meets
at a random moment. With a full first gap the expected count would be off by (cv**2 - 1) / 2 requests (Cox, Renewal
Theory, 1962, ch. 4): at cv 4 seven and a half requests too many in the first moments of every run, which start empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["NS_PER_S", "draw_renewal", "epoch_pieces", "renewal_pieces", "unit_epochs"]

NS_PER_S: Final = 1e9
CHUNK: Final = 4_096


def draw_renewal(
    rate_per_s: float, cv: float, horizon_ns: int, generator: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Return the arrivals in [0, horizon_ns), ascending, in ns.

    `rate_per_s` above 0; `cv` of the gaps: 0 is even (the first arrival at 0), 1 Poisson, else gamma gaps. A longer
    horizon only adds arrivals.
    """
    epochs = unit_epochs(cv, rate_per_s * horizon_ns / NS_PER_S, generator)
    times_ns = np.rint(epochs * (NS_PER_S / rate_per_s)).astype(np.int64)
    return times_ns[times_ns < horizon_ns]


def renewal_pieces(
    rate_per_s: float, cv: float, horizon_ns: int, generator: np.random.Generator
) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the same arrivals in pieces, so that they need not exist all at once."""
    for epochs in epoch_pieces(cv, generator):
        times_ns = np.rint(epochs * (NS_PER_S / rate_per_s)).astype(np.int64)
        yield times_ns[times_ns < horizon_ns]
        if times_ns[-1] >= horizon_ns:
            return


def unit_epochs(cv: float, total: float, generator: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return the epochs in [0, total) of a stationary renewal process with mean gap 1, ascending.

    The same generator gives the same epochs whatever the total: gaps are drawn in pieces of one size.
    """
    if cv == 0:
        return np.arange(np.ceil(total), dtype=np.float64)
    pieces = []
    for epochs in epoch_pieces(cv, generator):
        pieces.append(epochs)
        if epochs[-1] >= total:
            break
    drawn = np.concatenate(pieces)
    return drawn[drawn < total]


def epoch_pieces(cv: float, generator: np.random.Generator) -> Iterator[npt.NDArray[np.float64]]:
    """Yield the epochs of that process in pieces, without end."""
    if cv == 0:
        for first in count(0, CHUNK):
            yield np.arange(first, first + CHUNK, dtype=np.float64)
    shape = cv**-2
    # The gap that covers a random moment is length-biased, here Gamma(shape + 1); the moment lies anywhere in it.
    reached = generator.random() * generator.standard_gamma(shape + 1) / shape
    yield np.array([reached])
    while True:
        epochs = reached + np.cumsum(generator.standard_gamma(shape, CHUNK) / shape)
        reached = epochs[-1]
        yield epochs
