"""The layout of the histograms: every time has one bucket, and none is wider than 1/256 of its times."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.engine.histogram import BUCKETS, LAST_EXPONENT, MANTISSA_BITS, bucket_of, upper_edges_ns
from sim.outcome.quantiles import histogram_quantile, quantile

TIMES = st.integers(0, 2 ** (LAST_EXPONENT + MANTISSA_BITS + 1) - 1)


@given(TIMES)
def test_bucket_holds_its_times(time_ns: int) -> None:
    """Between the edge before, and its own, which is at most 1/256 higher."""
    bucket, edges = bucket_of(time_ns), upper_edges_ns()
    assert time_ns <= edges[bucket] <= time_ns * (1 + 2**-MANTISSA_BITS)
    assert bucket == 0 or edges[bucket - 1] < time_ns


def test_longer_times_are_in_the_last_bucket() -> None:
    """They are counted, though not told apart."""
    assert bucket_of(2**61) == BUCKETS - 1
    assert len(upper_edges_ns()) == BUCKETS


@given(st.lists(TIMES, min_size=1, max_size=50), st.sampled_from([0.01, 0.5, 0.99, 1.0]))
def test_quantile_is_that_of_the_values(times_ns: list[int], q: float) -> None:
    """By the same rank, and at most 1/256 higher."""
    counts = np.bincount([bucket_of(time_ns) for time_ns in times_ns], minlength=BUCKETS)
    exact = int(quantile(np.array(times_ns, dtype=np.int64), q))
    assert exact <= histogram_quantile(counts, q) <= exact * (1 + 2**-MANTISSA_BITS)


def test_empty_histogram_has_no_quantile() -> None:
    """One sentence says so."""
    with pytest.raises(ValueError, match="no values"):
        histogram_quantile(np.zeros(BUCKETS, dtype=np.int64), 0.5)
