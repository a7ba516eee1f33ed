"""Arrivals of a recorded trace: stretched to a mean rate, repeated, and cut at the horizon.

The mean rate of n timestamps is (n - 1) / (last - first), and a repetition follows after one more mean gap; that of
counts is their sum over all bins. Stretching multiplies every time by one factor, so the cv of the gaps stays.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.arrivals.renewal import NS_PER_S
from sim.arrivals.trace_file import CountFile, TimeFile

__all__ = ["Replay", "replay", "trace_length_ns", "trace_rate_per_s"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Replay:
    """Arrivals and their recorded sizes."""

    times_ns: Ints  # (requests,) ascending
    sizes: Ints  # (requests,), or empty where none were recorded


def trace_rate_per_s(trace: TimeFile | CountFile) -> float | None:
    """Return the mean rate of the whole trace as recorded; None for timestamps without any distance."""
    length_ns = trace_length_ns(trace)
    if length_ns is None:
        return None
    requests = trace.counts.sum() if isinstance(trace, CountFile) else len(trace.times_ns)
    return float(requests / length_ns * NS_PER_S)


def trace_length_ns(trace: TimeFile | CountFile) -> float | None:
    """Return how long the trace lasts as recorded, which is when it may start again; None if that is unknown."""
    if isinstance(trace, CountFile):
        return float(len(trace.counts) * trace.bin_ns)
    requests, last_ns = len(trace.times_ns), float(trace.times_ns[-1])
    return last_ns * requests / (requests - 1) if last_ns > 0 else None


def replay(
    trace: TimeFile | CountFile,
    *,
    rate_per_s: float | None,
    repeat: bool,
    inside_bin: str | None,
    horizon_ns: int,
    generator: np.random.Generator,
) -> Replay:
    """Return the arrivals in [0, horizon_ns).

    `rate_per_s` is the mean rate to stretch the whole trace to, None for as recorded; `inside_bin` (even, poisson,
    uniform) is needed for counts. Timestamps use no random numbers. A trace without any distance in time can be
    neither stretched nor repeated: ask trace_length_ns first.
    """
    own_per_s, length_ns = trace_rate_per_s(trace), trace_length_ns(trace)
    stretch = 1.0
    if rate_per_s is not None:
        assert own_per_s
        stretch = own_per_s / rate_per_s
    cycles = 1
    if repeat:
        assert length_ns
        cycles = int(horizon_ns // (length_ns * stretch)) + 1
    times, sizes = _rounds(trace, cycles, inside_bin, generator)
    times_ns = np.rint(times * stretch).astype(np.int64)
    kept = times_ns < horizon_ns
    return Replay(times_ns[kept], sizes[kept] if len(sizes) else sizes)


def _rounds(
    trace: TimeFile | CountFile, cycles: int, inside_bin: str | None, generator: np.random.Generator
) -> tuple[Floats, Ints]:
    """Return times in ns, as recorded and so many times round, and their sizes if there are any."""
    if isinstance(trace, CountFile):
        places = _inside_bins(np.tile(trace.counts, cycles), inside_bin, generator)
        return places * trace.bin_ns, np.empty(0, dtype=np.int64)
    starts = np.repeat(np.arange(cycles) * (trace_length_ns(trace) or 0.0), len(trace.times_ns))
    return starts + np.tile(trace.times_ns, cycles), np.tile(trace.sizes, cycles)


def _inside_bins(expected: Floats, inside_bin: str | None, generator: np.random.Generator) -> Floats:
    """Return times in bins, ascending, that lie in their bins the way that was asked for."""
    # A generator each, so that a longer horizon only adds arrivals.
    of_counts, of_places = generator.spawn(2)
    counts = of_counts.poisson(expected) if inside_bin == "poisson" else expected.astype(np.int64)
    bins = np.repeat(np.arange(len(counts)), counts)  # (requests,) the bin of each
    if inside_bin == "even":
        first = np.repeat(np.cumsum(counts) - counts, counts)
        places = (np.arange(len(bins)) - first) / np.repeat(counts, counts)
    else:
        places = of_places.random(len(bins))
    times: Floats = np.sort(bins + places)
    return times
