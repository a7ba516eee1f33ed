"""Latencies that are counted say of themselves what listed ones say, to the width of a bucket."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.engine.histogram import BUCKETS, buckets_of, no_latencies
from sim.outcome.latencies import BATCHES_PER_RUN, CountedLatencies, ListedLatencies

BUCKET = 2**-8  # the width of a bucket, relative


def counted(latencies_ns: np.ndarray) -> CountedLatencies:
    """Return latencies in BATCHES_PER_RUN batches of equally many."""
    histograms = np.zeros((BATCHES_PER_RUN, BUCKETS), dtype=np.int64)
    batch = np.arange(len(latencies_ns)) * BATCHES_PER_RUN // max(len(latencies_ns), 1)
    buckets = buckets_of(latencies_ns)
    np.add.at(histograms, (batch, buckets), 1)
    shortest_ns, longest_ns = no_latencies()
    for bucket, latency_ns in zip(buckets.tolist(), latencies_ns.tolist(), strict=True):
        shortest_ns[bucket] = min(shortest_ns[bucket], latency_ns)
        longest_ns[bucket] = max(longest_ns[bucket], latency_ns)
    return CountedLatencies.of_histograms(histograms, shortest_ns, longest_ns, int(latencies_ns.sum()))


@given(st.lists(st.integers(0, 2**44), min_size=1, max_size=200), st.sampled_from([0.01, 0.5, 0.9, 0.99, 1.0]))
def test_counted_quantile_is_near_the_listed_one(latencies_ns: list[int], q: float) -> None:
    """Within the bucket that has the nearest rank."""
    values = np.array(latencies_ns)
    exact, got = ListedLatencies(values).quantile_ns(q), counted(values).quantile_ns(q)
    assert abs(got - exact) <= exact * BUCKET + 1
    assert counted(values).mean_ns() == pytest.approx(ListedLatencies(values).mean_ns())


def test_quantiles_within_a_bucket_are_spread_over_what_is_in_it() -> None:
    """Of ninety in the bucket of 65,536 to 65,791 ns the median is half way from the shortest to the longest."""
    one = counted(np.array([65_600] * 45 + [65_700] * 45))
    assert one.quantile_ns(0.5) == pytest.approx(65_650)
    assert one.quantile_ns(1.0) == 65_700


@given(st.lists(st.sampled_from([35_000_000, 50_000_000, 70_000_000, 70_300_000]), min_size=1, max_size=60))
def test_few_values_have_exact_quantiles(latencies_ns: list[int]) -> None:
    """Under passes that always take as long latencies are few values, each in a bucket of its own."""
    values = np.array(latencies_ns)
    for q in (0.5, 0.9, 0.99):
        assert counted(values).quantile_ns(q) == ListedLatencies(values).quantile_ns(q)
        assert counted(values).batch_means(70_000_000).mean == ListedLatencies(values).batch_means(70_000_000).mean


@given(st.lists(st.lists(st.integers(0, 10**9), max_size=60), min_size=1, max_size=4))
def test_joined_is_the_same_as_counted_together(runs: list[list[int]]) -> None:
    """No latency is lost or moved, whichever buckets the runs use."""
    parts = [counted(np.array(run, dtype=np.int64)) for run in runs]
    first, *others = parts
    together = first.joined(others)
    assert len(together) == sum(map(len, runs))
    assert together.sum_ns == sum(map(sum, runs))
    everything = np.array([value for run in runs for value in run], dtype=np.int64)
    for q in (0.5, 0.99):
        expected = counted(everything).quantile_ns(q)
        assert together.quantile_ns(q) == expected or (math.isnan(expected) and not len(together))


def test_batches_of_counted_latencies_spread_as_listed_ones_do() -> None:
    """Of values and of the indicators of being beyond a time: mean, square and the means of the batches."""
    values = np.random.default_rng(1).exponential(1e7, 20_000).astype(np.int64)
    for beyond_ns in (None, 20_000_000):
        listed, of_counts = ListedLatencies(values).batch_means(beyond_ns), counted(values).batch_means(beyond_ns)
        assert of_counts.count == listed.count
        assert of_counts.mean == pytest.approx(listed.mean, rel=0.01)
        assert of_counts.square == pytest.approx(listed.square, rel=0.01)
        assert of_counts.means == pytest.approx(listed.means, rel=0.06)


def test_shortest_latency_is_exact() -> None:
    """Listed or counted."""
    values = np.array([9_000_123, 8_500_001, 8_500_002, 70_000_000])
    assert ListedLatencies(values).least_ns() == counted(values).least_ns() == 8_500_001


def test_no_latency_has_no_figure() -> None:
    """Nothing was answered: NaN, and not an error."""
    for nothing in (ListedLatencies(np.empty(0, dtype=np.int64)), counted(np.empty(0, dtype=np.int64))):
        assert len(nothing) == 0
        assert math.isnan(nothing.mean_ns())
        assert math.isnan(nothing.least_ns())
        assert math.isnan(nothing.quantile_ns(0.5))
        assert nothing.batch_means(None).count == 0


def test_latencies_are_equal_if_they_are_told_in_the_same_way() -> None:
    """Listed and counted ones never are; another order of listed ones is another run."""
    values = np.array([1, 2, 3])
    assert ListedLatencies(values).equals(ListedLatencies(values.copy()))
    assert not ListedLatencies(values).equals(ListedLatencies(values[::-1]))
    assert counted(values).equals(counted(values.copy()))
    assert not counted(values).equals(counted(values + 1))
    assert not counted(values).equals(ListedLatencies(values))
