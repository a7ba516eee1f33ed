"""What nothing beats in both cost and latency."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from sim.planner.frontier import frontier_of

POINT = st.tuples(st.integers(0, 9), st.integers(0, 9))


@given(st.lists(POINT))
def test_frontier_is_what_nothing_beats(points: list[tuple[int, int]]) -> None:
    """Each of its points is beaten by none, every other one is beaten or equalled by one of it; latencies fall."""
    found = frontier_of([(float(cost), float(latency)) for cost, latency in points])
    kept = [points[place] for place in found]
    for cost, latency in kept:
        assert not any(c <= cost and p <= latency and (c, p) != (cost, latency) for c, p in points)
    for cost, latency in points:
        assert any(c <= cost and p <= latency for c, p in kept)
    assert kept == sorted(kept)


def test_unknown_latency_is_never_on_it() -> None:
    """NaN beats nothing."""
    assert frontier_of([(1.0, math.nan), (2.0, 5.0)]) == [1]
