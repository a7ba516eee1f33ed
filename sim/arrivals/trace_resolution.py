"""Timestamps that were cut to whole seconds, minutes or hours: what they were cut to, and their requests as counts.

Logs write whole seconds unless they are told otherwise. Replayed as they stand, all requests of a second come at once.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from sim.arrivals.trace_file import CountFile, TimeFile

__all__ = ["BINS_MAX", "as_counts", "requests_at_once", "resolution_ns"]

BINS_MAX: Final = 40_000_000
"""More than a year of seconds: 320 MB of counts."""

_RESOLUTIONS_NS: Final = (3600 * 10**9, 60 * 10**9, 10**9)


def resolution_ns(trace: TimeFile) -> int | None:
    """Return the longest of an hour, a minute and a second that lies a whole number of times between any two requests.

    None where none does, and where all requests come at one moment, which tells nothing.
    """
    if not trace.times_ns[-1]:
        return None
    return next((length_ns for length_ns in _RESOLUTIONS_NS if not (trace.times_ns % length_ns).any()), None)


def requests_at_once(trace: TimeFile) -> float:
    """Return how many requests stand at one moment, as a mean over the moments at which any does."""
    return len(trace.times_ns) / (1 + np.count_nonzero(np.diff(trace.times_ns)))


def as_counts(trace: TimeFile, bin_ns: int) -> CountFile:
    """Return the requests of timestamps as counts of bins, with their sizes; at most BINS_MAX of them."""
    assert trace.times_ns[-1] // bin_ns < BINS_MAX
    counts = np.bincount(trace.times_ns // bin_ns).astype(np.float64)
    return CountFile(counts, bin_ns, trace.sizes, trace.put_in_order)
