"""Histories of fixed size: rings of (time, value) in one preallocated sequence of ints, written in place.

The sequence is a list in the interpreter and an int64 array in compiled code; it starts as zeros and may hold several
rings, one behind the other. Only this module writes into it. What a history means is for its owner to say: samples,
recommendations and changes of an autoscaler are its users. A window is half open: behind `since_ns`, up to `until_ns`.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from typing import NamedTuple

from policy.instant import UNSET

__all__ = [
    "Ring",
    "Total",
    "difference_of_newest",
    "highest_since",
    "latest_until",
    "lowest_since",
    "push",
    "ring_length",
    "size_of",
    "sum_between",
    "time_at",
    "time_mean_between",
    "value_at",
]

_NEXT = 0  # offset of the slot that is written next
_SIZE = 1  # offset of the number of entries held
_ENTRIES = 2  # offset of the first entry: its time, its value


class Ring(NamedTuple):
    """Where a ring lies in the history."""

    start: int  # index of its first int
    capacity: int  # entries; one more pushes out the oldest


class Total(NamedTuple):
    """What a window amounts to."""

    entries: int
    total: int  # the sum of their values


def ring_length(capacity: int) -> int:
    """Return how many ints a ring takes."""
    return _ENTRIES + 2 * capacity


def size_of(history: Sequence[int], ring: Ring) -> int:
    """Return how many entries are held, 0..capacity."""
    return history[ring.start + _SIZE]


def push(history: MutableSequence[int], ring: Ring, time_ns: int, value: int) -> None:
    """Append an entry; times never descend. With a capacity of 0 nothing is kept."""
    if ring.capacity == 0:
        return
    slot = history[ring.start + _NEXT]
    history[ring.start + _ENTRIES + 2 * slot] = time_ns
    history[ring.start + _ENTRIES + 2 * slot + 1] = value
    history[ring.start + _NEXT] = (slot + 1) % ring.capacity
    history[ring.start + _SIZE] = min(history[ring.start + _SIZE] + 1, ring.capacity)


def time_at(history: Sequence[int], ring: Ring, back: int) -> int:
    """Return the time of an entry; `back` counts from the newest, 0..size - 1."""
    return history[_index_of(history, ring, back)]


def value_at(history: Sequence[int], ring: Ring, back: int) -> int:
    """Return the value of an entry; `back` counts from the newest, 0..size - 1."""
    return history[_index_of(history, ring, back) + 1]


def latest_until(history: Sequence[int], ring: Ring, until_ns: int) -> int:
    """Return how far back the latest entry of a time <= until_ns is, UNSET without one."""
    for back in range(size_of(history, ring)):
        if time_at(history, ring, back) <= until_ns:
            return back
    return UNSET


def sum_between(history: Sequence[int], ring: Ring, since_ns: int, until_ns: int) -> Total:
    """Return the number and the sum of the values in the window; the sum must stay below 2**62."""
    entries = 0
    total = 0
    for back in range(size_of(history, ring)):
        time_ns = time_at(history, ring, back)
        if time_ns <= since_ns:
            break
        if time_ns <= until_ns:
            entries += 1
            total += value_at(history, ring, back)
    return Total(entries, total)


def time_mean_between(history: Sequence[int], ring: Ring, since_ns: int, until_ns: int) -> float:
    """Return the mean over time of the step function in which each value holds until the next entry.

    It runs over that part of the window for which there is a value, and is the latest value where that part is a point.
    The ring must hold an entry of a time <= until_ns. Areas are float64: in integers they might pass 2**62.
    """
    newest = latest_until(history, ring, until_ns)
    area = 0.0
    end_ns = until_ns
    for back in range(newest, size_of(history, ring)):
        begin_ns = max(time_at(history, ring, back), since_ns)
        area += float(value_at(history, ring, back)) * float(end_ns - begin_ns)
        end_ns = begin_ns
        if begin_ns == since_ns:
            break
    if end_ns == until_ns:
        return float(value_at(history, ring, newest))
    return area / float(until_ns - end_ns)


def difference_of_newest(history: Sequence[int], ring: Ring, since_ns: int, until_ns: int) -> tuple[int, int]:
    """Return (time, value) by which a counter moved over the window, (0, 0) with fewer than two entries.

    From the latest entry of a time <= since_ns, or else the oldest one held, to the latest of a time <= until_ns. They
    are two entries at least where there are two: a window shorter than the period of the samples is one period.
    """
    newest = latest_until(history, ring, until_ns)
    size = size_of(history, ring)
    if newest == UNSET or newest + 1 >= size:
        return 0, 0
    first = newest + 1
    while first + 1 < size and time_at(history, ring, first) > since_ns:
        first += 1
    elapsed_ns = time_at(history, ring, newest) - time_at(history, ring, first)
    return elapsed_ns, value_at(history, ring, newest) - value_at(history, ring, first)


def highest_since(history: Sequence[int], ring: Ring, since_ns: int, least: int) -> int:
    """Return the highest value behind since_ns, `least` at the least."""
    highest = least
    for back in range(size_of(history, ring)):
        if time_at(history, ring, back) <= since_ns:
            break
        highest = max(highest, value_at(history, ring, back))
    return highest


def lowest_since(history: Sequence[int], ring: Ring, since_ns: int, most: int) -> int:
    """Return the lowest value behind since_ns, `most` at the most."""
    lowest = most
    for back in range(size_of(history, ring)):
        if time_at(history, ring, back) <= since_ns:
            break
        lowest = min(lowest, value_at(history, ring, back))
    return lowest


def _index_of(history: Sequence[int], ring: Ring, back: int) -> int:
    """Return where the time of an entry lies; its value lies behind it."""
    slot = (history[ring.start + _NEXT] - 1 - back) % ring.capacity
    return ring.start + _ENTRIES + 2 * slot
