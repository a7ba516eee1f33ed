"""Of things that have a price and a latency: those that nothing beats in both."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["frontier_of"]


def frontier_of(points: Sequence[tuple[float, float]]) -> list[int]:
    """Return the places of the points, cost and latency, that no other beats in both, by cost; NaN is no latency."""
    found, least = [], math.inf
    for place in sorted(range(len(points)), key=lambda each: points[each]):
        if points[place][1] < least:
            least = points[place][1]
            found.append(place)
    return found
