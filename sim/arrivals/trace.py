"""Arrivals of a recorded trace: stretched to a mean rate, repeated, multiplied, and cut at the horizon.

The mean rate of n timestamps is (n - 1) / (last - first), and a repetition follows after one more mean gap; that of
counts is their sum over all bins. Stretching multiplies every time by one factor, so the cv of the gaps stays.

Multiplying keeps the times. The trace comes in layers, the first as recorded, each of the others with all its requests
at moments of their own; of the last one each request is there with the probability that is left of the scale. The dice
of a layer know nothing of the scale, so a larger one has all the requests of a smaller one, and more.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from sim.arrivals.renewal import NS_PER_S
from sim.arrivals.trace_file import CountFile, TimeFile

__all__ = ["COPY_WITHIN_NS", "Replay", "replay", "requests_until", "trace_length_ns", "trace_rate_per_s"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Layer = Callable[[int, np.random.Generator], tuple[Ints, Ints]]
"""The times of a layer in ns, (requests,), by its number, 0 as recorded, and dice of its own; and which request of the
file each one is, counted on from round to round."""

COPY_WITHIN_NS: Final = 10**9
"""How far a copy is from the request as recorded, at most: more users do the same in the same second, and not the same
request twice in the same instant."""


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


def requests_until(trace: TimeFile | CountFile, horizon_ns: int, rate_per_s: float | None = None) -> float:
    """Return how many requests a trace has in [0, horizon_ns), all of it at the most, stretched to a stated mean rate.

    Of counts it is the mean number: a bin that the horizon cuts has its part.
    """
    own_per_s = trace_rate_per_s(trace)
    own_ns = horizon_ns if rate_per_s is None or own_per_s is None else horizon_ns * rate_per_s / own_per_s
    if isinstance(trace, TimeFile):
        return float(np.searchsorted(trace.times_ns, own_ns))
    whole = int(own_ns // trace.bin_ns)
    cut = trace.counts[whole] * (own_ns / trace.bin_ns - whole) if whole < len(trace.counts) else 0.0
    return float(trace.counts[:whole].sum() + cut)


def replay(
    trace: TimeFile | CountFile,
    *,
    rate_per_s: float | None,
    repeat: bool,
    inside_bin: str | None,
    horizon_ns: int,
    generator: np.random.Generator,
    scale: float = 1.0,
) -> Replay:
    """Return the arrivals in [0, horizon_ns).

    `rate_per_s` is the mean rate to stretch the whole trace to, None for as recorded; `scale`, above 0, says how many
    times the requests come then; `inside_bin` (even, poisson, uniform) is needed for counts.

    A copy of a timestamp is uniform within COPY_WITHIN_NS, inside the trace; one of a count lies in its bin. A larger
    scale adds to the requests of a smaller one; only with even bins it adds to their number alone, and moves them.
    Timestamps use random numbers where a scale is not 1. A trace without any distance in time can be neither
    stretched, repeated nor multiplied: ask trace_length_ns first.
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
    if isinstance(trace, CountFile):
        bins = int(horizon_ns // (trace.bin_ns * stretch)) + 1
        recorded = counts = np.tile(trace.counts, cycles)[:bins]
        if inside_bin == "even" and scale != 1:
            (of_rounding,) = generator.spawn(1)
            counts, scale = np.floor(counts * scale + of_rounding.random(len(counts))), 1.0
        of_file = recorded.astype(np.int64) if len(trace.sizes) else None
        layer = _layers_of_counts(counts, of_file, trace.bin_ns, stretch, inside_bin)
    else:
        assert length_ns or scale == 1
        layer = _layers_of_times(trace, cycles, stretch, horizon_ns)
    times_ns, requests = _multiplied(layer, scale, generator)
    kept = times_ns < horizon_ns
    times_ns, requests = times_ns[kept], requests[kept]
    sizes = trace.sizes
    return Replay(times_ns, sizes[requests % len(sizes)] if len(sizes) else sizes)


def _multiplied(layer: Layer, scale: float, generator: np.random.Generator) -> tuple[Ints, Ints]:
    """Return the times of as many layers as a scale has, ascending, and which request of the file each one is."""
    first = layer(0, generator)
    if scale == 1:
        return first
    of_chance, of_layers = generator.spawn(2)
    more = math.ceil(scale) - 1
    drawn = [first, *(layer(number, own) for number, own in enumerate(of_layers.spawn(more), start=1))]
    layers, requests = [times_ns for times_ns, _ in drawn], [places for _, places in drawn]
    # Every layer has dice of its own for this, too: a layer that is whole at this scale is thinned at a smaller one.
    stays = of_chance.spawn(more + 1)[more].random(len(layers[more])) < scale - more
    layers[more], requests[more] = layers[more][stays], requests[more][stays]
    times_ns, places = np.concatenate(layers), np.concatenate(requests)
    order = np.argsort(times_ns, kind="stable")
    return times_ns[order], places[order]


def _layers_of_times(trace: TimeFile, cycles: int, stretch: float, horizon_ns: int) -> Layer:
    """Return the layers of timestamps, so many times round, with all requests that may come before the horizon."""
    count, length_ns = len(trace.times_ns), trace_length_ns(trace) or 0.0
    starts = np.repeat(np.arange(cycles) * length_ns, count)
    recorded_ns = np.rint((starts + np.tile(trace.times_ns, cycles)) * stretch).astype(np.int64)
    recorded_ns = recorded_ns[: np.searchsorted(recorded_ns, horizon_ns + COPY_WITHIN_NS)]
    starts = starts[: len(recorded_ns)]
    requests = np.arange(len(recorded_ns))

    def layer(number: int, generator: np.random.Generator) -> tuple[Ints, Ints]:
        if number == 0:
            return recorded_ns, requests
        low_ns = np.maximum(recorded_ns - COPY_WITHIN_NS, np.rint(starts * stretch).astype(np.int64))
        high_ns = np.minimum(recorded_ns + COPY_WITHIN_NS, np.rint((starts + length_ns) * stretch).astype(np.int64))
        times_ns: Ints = low_ns + (generator.random(len(recorded_ns)) * (high_ns - low_ns)).astype(np.int64)
        return times_ns, requests

    return layer


def _layers_of_counts(
    counts: Floats, recorded: Ints | None, bin_ns: int, stretch: float, inside_bin: str | None
) -> Layer:
    """Return the layers of counts, all of which are alike; `recorded` has the requests of each bin in the file, if any.

    Without it nobody asks which request of the file is which.
    """

    def layer(_: int, generator: np.random.Generator) -> tuple[Ints, Ints]:
        times, drawn = _inside_bins(counts, inside_bin, generator)
        times_ns = np.rint(times * bin_ns * stretch).astype(np.int64)
        return times_ns, np.arange(len(times)) if recorded is None else _of_file(drawn, recorded, generator)

    return layer


def _of_file(drawn: Ints, recorded: Ints, generator: np.random.Generator) -> Ints:
    """Return which request of the file each drawn one is: one of its bin, in their order.

    As many as recorded are those recorded. Of more or fewer, each recorded one is there equally often in the mean: they
    are a systematic sample, begun at random in each bin.
    """
    (of_begin,) = generator.spawn(1)
    begin = (of_begin.random(len(recorded)) * recorded).astype(np.int64)
    bins = np.repeat(np.arange(len(drawn)), drawn)
    rank = np.arange(len(bins)) - np.repeat(np.cumsum(drawn) - drawn, drawn)
    before = np.cumsum(recorded) - recorded
    requests: Ints = before[bins] + (rank * recorded[bins] + begin[bins]) // drawn[bins]
    return requests


def _inside_bins(expected: Floats, inside_bin: str | None, generator: np.random.Generator) -> tuple[Floats, Ints]:
    """Return times in bins, ascending, that lie in their bins the way that was asked for; and how many in each."""
    # A generator each, so that a longer horizon only adds arrivals.
    of_counts, of_places = generator.spawn(2)
    counts = of_counts.poisson(expected) if inside_bin == "poisson" else expected.astype(np.int64)
    bins = np.repeat(np.arange(len(counts)), counts)  # (requests,) the bin of each
    if inside_bin == "even":
        first = np.repeat(np.cumsum(counts) - counts, counts)
        places = (np.arange(len(bins)) - first) / np.repeat(counts, counts)
    else:
        places = of_places.random(len(bins))
    return np.sort(bins + places), counts
