"""What timestamps were cut to, how many stand at one moment, and what counts they become."""

from __future__ import annotations

import numpy as np
import pytest

from sim.arrivals.trace_file import TimeFile
from sim.arrivals.trace_resolution import as_counts, requests_at_once, resolution_ns

SECOND_NS = 10**9


def times(*seconds: float) -> TimeFile:
    """Return timestamps with the sizes 1, 2, ..."""
    return TimeFile((np.array(seconds) * SECOND_NS).astype(np.int64), np.arange(1, len(seconds) + 1), 3)


@pytest.mark.parametrize(
    ("seconds", "resolution_s"),
    [
        ((0, 1, 7), 1),
        ((0, 60, 180), 60),
        ((0, 60, 181), 1),
        ((0, 7200), 3600),
        ((0, 3600, 3660), 60),
        ((0, 0.5, 1), None),
        ((0, 1, 1.001), None),
        ((0, 0, 0), None),
        ((0,), None),
    ],
)
def test_resolution_is_the_longest_that_divides_all_distances(
    seconds: tuple[float, ...], resolution_s: int | None
) -> None:
    """One row with a fraction shows that nothing was cut, and one moment shows nothing."""
    assert resolution_ns(times(*seconds)) == (None if resolution_s is None else resolution_s * SECOND_NS)


def test_requests_at_once_are_a_mean_over_occupied_moments() -> None:
    """Six requests at three moments are two at each, however long the silence between is."""
    assert requests_at_once(times(0, 0, 0, 1, 9, 9)) == 2
    assert requests_at_once(times(0, 1, 9)) == 1


def test_counts_have_all_requests_their_sizes_and_their_order() -> None:
    """A bin without a request is one of 0."""
    counts = as_counts(times(0, 0, 2, 2, 2, 3), SECOND_NS)
    assert (counts.counts.tolist(), counts.bin_ns, counts.put_in_order) == ([2, 0, 3, 1], SECOND_NS, 3)
    assert counts.sizes.tolist() == [1, 2, 3, 4, 5, 6]
