"""The latencies of the answered requests of a run, listed one by one or counted in histograms.

Both say the same things of themselves, so a figure of a forecast has one definition whichever way its runs were made.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from sim.engine.histogram import no_latencies
from sim.outcome.quantiles import quantiles, rank

__all__ = ["BATCHES_PER_RUN", "BatchMeans", "CountedLatencies", "Latencies", "ListedLatencies", "batch_means"]

BATCHES_PER_RUN = 20
"""Batches into which a run is cut to see how strongly its requests depend on each other."""

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class BatchMeans:
    """How the values of one run spread: each by itself, and the means of its batches."""

    count: int
    mean: float
    square: float  # mean of the squares
    sizes: Ints  # (BATCHES_PER_RUN,) requests of each batch
    means: Floats  # (BATCHES_PER_RUN,)


class Latencies(ABC):
    """The latencies of some answered requests, in ns."""

    @abstractmethod
    def __len__(self) -> int:
        """Return how many there are."""

    @abstractmethod
    def mean_ns(self) -> float:
        """Return their mean, NaN without any."""

    @abstractmethod
    def least_ns(self) -> float:
        """Return the shortest, NaN without any."""

    def quantile_ns(self, q: float) -> float:
        """Return the q-quantile by nearest rank, NaN without any. Raises ValueError for a q outside (0, 1]."""
        return self.quantiles_ns([q])[0]

    @abstractmethod
    def quantiles_ns(self, qs: Sequence[float]) -> list[float]:
        """Return several at the cost of little more than one."""

    @abstractmethod
    def joined(self, others: Sequence[Self]) -> Self:
        """Return these and those of other runs together."""

    @abstractmethod
    def equals(self, other: Latencies) -> bool:
        """Return whether others are the same, told in the same way."""

    @abstractmethod
    def batch_means(self, beyond_ns: int | None) -> BatchMeans:
        """Return how the latencies spread, or with `beyond_ns` the indicators of being beyond it."""


@dataclass(frozen=True)
class ListedLatencies(Latencies):
    """Every one, in the order of the intended sends."""

    values_ns: Ints

    def __len__(self) -> int:
        return len(self.values_ns)

    def mean_ns(self) -> float:
        """Return their mean, NaN without any."""
        return float(self.values_ns.mean()) if len(self) else math.nan

    def least_ns(self) -> float:
        """Return the shortest, NaN without any."""
        return float(self.values_ns.min()) if len(self) else math.nan

    def quantiles_ns(self, qs: Sequence[float]) -> list[float]:
        """Return quantiles by nearest rank, NaN without any latency."""
        return [float(value) for value in quantiles(self.values_ns, qs)] if len(self) else [math.nan] * len(qs)

    def joined(self, others: Sequence[ListedLatencies]) -> ListedLatencies:
        """Return these and those of other runs together."""
        if not others:
            return self
        return ListedLatencies(np.concatenate([self.values_ns, *(other.values_ns for other in others)]))

    def equals(self, other: Latencies) -> bool:
        """Return whether others are the same, told in the same way."""
        return isinstance(other, ListedLatencies) and np.array_equal(self.values_ns, other.values_ns)

    def batch_means(self, beyond_ns: int | None) -> BatchMeans:
        """Return how they spread, or the indicators of being beyond a time."""
        return batch_means(self.values_ns if beyond_ns is None else self.values_ns > beyond_ns)


@dataclass(frozen=True)
class CountedLatencies(Latencies):
    """Histograms of sim/engine/histogram.py, one for each of BATCHES_PER_RUN stretches of the measured time.

    A quantile lies within its bucket, which is at most 0.4 % wide, as if the bucket's latencies were evenly spread from
    the shortest to the longest of them. Where all of a bucket are equal, as under passes that always take as long, it
    is exact.
    """

    buckets: Ints  # (used,) ascending: those in which there is any
    shortest_ns: Ints  # (used,) in each of them
    longest_ns: Ints
    counts: Ints  # (BATCHES_PER_RUN, used)
    sum_ns: int

    @classmethod
    def of_histograms(cls, counts: Ints, shortest_ns: Ints, longest_ns: Ints, sum_ns: int) -> CountedLatencies:
        """Return what histograms over all buckets say, (BATCHES_PER_RUN, BUCKETS), and the ends of each, (BUCKETS,)."""
        buckets = np.flatnonzero(counts.any(axis=0))
        return cls(buckets, shortest_ns[buckets], longest_ns[buckets], counts[:, buckets], sum_ns)

    def __len__(self) -> int:
        return int(self.counts.sum())

    def mean_ns(self) -> float:
        """Return their mean, NaN without any."""
        return self.sum_ns / len(self) if len(self) else math.nan

    def least_ns(self) -> float:
        """Return the shortest, NaN without any."""
        return float(self.shortest_ns[0]) if len(self) else math.nan

    def quantiles_ns(self, qs: Sequence[float]) -> list[float]:
        """Return quantiles by nearest rank, NaN without any latency."""
        count = len(self)
        if not count:
            return [math.nan] * len(qs)
        of_each = self.counts.sum(axis=0)
        up_to = np.cumsum(of_each)
        wanted = np.array([rank(count, q) for q in qs])
        places = np.searchsorted(up_to, wanted)
        lows, highs = self.shortest_ns[places], self.longest_ns[places]
        within = (wanted - (up_to[places] - of_each[places])) / of_each[places]
        values: list[float] = (lows + (highs - lows) * within).tolist()
        return values

    def of_batch(self, batch: int) -> CountedLatencies:
        """Return those of one batch, the others empty; their sum is that of the middles of their buckets."""
        counts = np.zeros_like(self.counts)
        counts[batch] = self.counts[batch]
        middles = (self.shortest_ns + self.longest_ns) / 2
        return replace(self, counts=counts, sum_ns=int(self.counts[batch] @ middles))

    def joined(self, others: Sequence[CountedLatencies]) -> CountedLatencies:
        """Return these and those of other runs together."""
        if not others:
            return self
        parts = [self, *others]
        buckets = np.unique(np.concatenate([part.buckets for part in parts]))
        counts = np.zeros((BATCHES_PER_RUN, len(buckets)), dtype=np.int64)
        shortest_ns, longest_ns = (ends[buckets] for ends in no_latencies())
        for part in parts:
            places = np.searchsorted(buckets, part.buckets)
            counts[:, places] += part.counts
            shortest_ns[places] = np.minimum(shortest_ns[places], part.shortest_ns)
            longest_ns[places] = np.maximum(longest_ns[places], part.longest_ns)
        return CountedLatencies(buckets, shortest_ns, longest_ns, counts, sum(part.sum_ns for part in parts))

    def equals(self, other: Latencies) -> bool:
        """Return whether others are the same, told in the same way."""
        return (
            isinstance(other, CountedLatencies)
            and np.array_equal(self.buckets, other.buckets)
            and np.array_equal(self.shortest_ns, other.shortest_ns)
            and np.array_equal(self.longest_ns, other.longest_ns)
            and np.array_equal(self.counts, other.counts)
            and self.sum_ns == other.sum_ns
        )

    def batch_means(self, beyond_ns: int | None) -> BatchMeans:
        """Return how they spread, or the indicators of being beyond a time."""
        values = (self.shortest_ns + self.longest_ns) / 2.0
        if beyond_ns is not None:
            values = (self.shortest_ns > beyond_ns).astype(np.float64)
        sizes = self.counts.sum(axis=1)
        of_each, count = self.counts.sum(axis=0), max(len(self), 1)
        return BatchMeans(
            count=len(self),
            mean=float(of_each @ values) / count,
            square=float(of_each @ values**2) / count,
            sizes=sizes,
            means=(self.counts @ values) / np.maximum(sizes, 1),
        )


def batch_means(values: npt.NDArray[Any]) -> BatchMeans:
    """Return how values spread; what does not fill the batches is left out of their means at the front."""
    size = len(values) // BATCHES_PER_RUN
    batches = values[len(values) - size * BATCHES_PER_RUN :].reshape(BATCHES_PER_RUN, size)
    floats = values.astype(np.float64)
    return BatchMeans(
        count=len(values),
        mean=float(floats.mean()) if len(values) else math.nan,
        square=float((floats**2).mean()) if len(values) else math.nan,
        sizes=np.full(BATCHES_PER_RUN, size, dtype=np.int64),
        means=np.asarray(batches.mean(axis=1, dtype=np.float64)) if size else np.zeros(BATCHES_PER_RUN),
    )
