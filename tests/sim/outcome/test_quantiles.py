"""The one definition of a quantile."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.outcome.quantiles import QUANTILE_NAMES, quantile, quantiles, rank


@pytest.mark.parametrize(
    ("count", "q", "place"),
    [
        (1, 0.5, 1),
        (10, 0.5, 5),
        (11, 0.5, 6),
        (100, 0.99, 99),
        (101, 0.99, 100),
        (1000, 0.999, 999),
        (100, 0.07, 7),  # 0.07 * 100 is 7.000000000000001 in floats, whose ceiling is 8
        (100, 0.55, 55),  # and 0.55 * 100 is 55.00000000000001
        (7, 1.0, 7),
    ],
)
def test_rank_is_the_ceiling_of_q_n_in_decimals(count: int, q: float, place: int) -> None:
    """A q is read as it is written; binary rounding moves no rank."""
    assert rank(count, q) == place


@pytest.mark.parametrize(("count", "q"), [(10, 0.0), (10, -0.1), (10, 1.01), (0, 0.5)])
def test_impossible_rank_is_refused(count: int, q: float) -> None:
    """There is no quantile at 0, beyond 1, or of nothing."""
    with pytest.raises(ValueError, match="quantile"):
        rank(count, q)


def test_quantile_is_a_value_that_occurred() -> None:
    """Nearest rank does not interpolate: half of [1, 1, 2, 9] is 1, where interpolation would say 1.5."""
    values = np.array([9, 1, 2, 1], dtype=np.int64)
    assert quantile(values, 0.5) == 1
    assert quantile(values, 0.51) == 2
    assert quantile(values, 1.0) == 9


@given(
    st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=200),
    st.lists(st.sampled_from([0.001, 0.1, 0.25, 0.5, 0.9, 0.99, 1.0]), min_size=1, max_size=5),
)
def test_quantiles_are_those_of_the_sorted_values(values: list[int], qs: list[float]) -> None:
    """Whatever the order of the values, and with ties, rank k is the k-th smallest; equal qs may come twice."""
    ordered = sorted(values)
    got = quantiles(np.array(values, dtype=np.int64), qs)
    assert [int(value) for value in got] == [ordered[rank(len(values), q) - 1] for q in qs]
    beyond = [sum(value > answer for value in values) for answer in got]
    assert all(count <= math.floor((1 - q) * len(values) + 1e-9) for count, q in zip(beyond, qs, strict=True))


def test_quantile_leaves_the_values_in_their_order() -> None:
    """Latencies are kept in the order of their requests: partitioning works on a copy."""
    values = np.array([3, 1, 2], dtype=np.int64)
    quantile(values, 0.5)
    assert values.tolist() == [3, 1, 2]


def test_reported_quantiles_have_their_names() -> None:
    """The names in scenarios and results, p999 being 99.9 %."""
    assert QUANTILE_NAMES == {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}
