"""Calendars of the compiled engine: what is to happen, by its moment, in tables of fixed size.

Most entries are pushed in the order of their moments (answers of a front end, time-outs of requests), so each calendar is
a ring for those and a heap for the others. Of equal moments either may come first: whoever empties a calendar for an
instant takes all of them, and the law of policy/instant.py sorts them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba.extending import register_jitable

from policy.instant import NEVER_NS

__all__ = ["ENTRY", "Calendar", "has_room", "new_calendar", "next_ns", "pop", "push", "top"]

ENTRY = np.dtype(
    [
        ("at_ns", np.int64),
        ("kind", np.int64),
        ("a", np.int64),
        ("b", np.int64),
        ("c", np.int64),
        ("d", np.int64),
        ("e", np.int64),
    ]
)
"""One entry: its moment, what it is, and five numbers whose meaning is the kind's."""

_MARKS = np.dtype([("head", np.int64), ("ringed", np.int64), ("last_ns", np.int64), ("heaped", np.int64)])


class Calendar(NamedTuple):
    """A ring of entries in the order of their moments, and a heap of those that came out of it."""

    ring: npt.NDArray[Any]
    heap: npt.NDArray[Any]
    marks: npt.NDArray[Any]  # one row: where the ring begins, how much is in it and in the heap


def new_calendar(capacity: int) -> Calendar:
    """Return an empty calendar; its ring and its heap each hold `capacity` entries, a power of two."""
    return Calendar(np.zeros(capacity, ENTRY), np.zeros(capacity, ENTRY), np.zeros(1, _MARKS))


@register_jitable(forceinline=True)
def has_room(calendar, entries):  # type: ignore[no-untyped-def]
    """Return whether so many entries more would fit, wherever they go."""
    marks = calendar.marks[0]
    capacity = len(calendar.ring)
    return marks.ringed + entries <= capacity and marks.heaped + entries <= capacity


@register_jitable(forceinline=True)
def push(calendar, at_ns, kind, a, b, c, d, e):  # type: ignore[no-untyped-def]
    """Add an entry; there is room."""
    marks = calendar.marks[0]
    if marks.ringed == 0 or at_ns >= marks.last_ns:
        entry = calendar.ring[(marks.head + marks.ringed) & (len(calendar.ring) - 1)]
        marks.ringed += 1
        marks.last_ns = at_ns
        entry.at_ns = at_ns
        entry.kind = kind
        entry.a = a
        entry.b = b
        entry.c = c
        entry.d = d
        entry.e = e
        return
    heap_push(calendar, at_ns, kind, a, b, c, d, e)


@register_jitable(forceinline=True)
def heap_push(calendar, at_ns, kind, a, b, c, d, e):  # type: ignore[no-untyped-def]
    """Add an entry to the heap; there is room."""
    marks = calendar.marks[0]
    heap = calendar.heap
    place = marks.heaped
    marks.heaped += 1
    while place > 0:
        parent = (place - 1) >> 1
        if heap[parent].at_ns <= at_ns:
            break
        _copy(heap, place, parent)
        place = parent
    entry = heap[place]
    entry.at_ns = at_ns
    entry.kind = kind
    entry.a = a
    entry.b = b
    entry.c = c
    entry.d = d
    entry.e = e


@register_jitable(forceinline=True)
def next_ns(calendar):  # type: ignore[no-untyped-def]
    """Return the moment of the earliest entry, NEVER_NS without one."""
    marks = calendar.marks[0]
    at_ns = NEVER_NS
    if marks.ringed > 0:
        at_ns = calendar.ring[marks.head].at_ns
    if marks.heaped > 0:
        at_ns = min(at_ns, calendar.heap[0].at_ns)
    return at_ns


@register_jitable(forceinline=True)
def _ring_is_first(calendar):  # type: ignore[no-untyped-def]
    marks = calendar.marks[0]
    return marks.ringed > 0 and (marks.heaped == 0 or calendar.ring[marks.head].at_ns <= calendar.heap[0].at_ns)


@register_jitable(forceinline=True)
def top(calendar):  # type: ignore[no-untyped-def]
    """Return the earliest entry; there is one. It is to be read before anything is pushed or popped."""
    if _ring_is_first(calendar):
        return calendar.ring[calendar.marks[0].head]
    return calendar.heap[0]


@register_jitable(forceinline=True)
def pop(calendar):  # type: ignore[no-untyped-def]
    """Take out the earliest entry; there is one."""
    marks = calendar.marks[0]
    if _ring_is_first(calendar):
        marks.head = (marks.head + 1) & (len(calendar.ring) - 1)
        marks.ringed -= 1
        return
    heap = calendar.heap
    marks.heaped -= 1
    count = marks.heaped
    # The last entry sinks from the top.
    at_ns = heap[count].at_ns
    place = 0
    while True:
        child = 2 * place + 1
        if child >= count:
            break
        if child + 1 < count and heap[child + 1].at_ns < heap[child].at_ns:
            child += 1
        if heap[child].at_ns >= at_ns:
            break
        _copy(heap, place, child)
        place = child
    if place != count:
        _copy(heap, place, count)


@register_jitable(forceinline=True)
def _copy(heap, to, source):  # type: ignore[no-untyped-def]
    target, entry = heap[to], heap[source]
    target.at_ns = entry.at_ns
    target.kind = entry.kind
    target.a = entry.a
    target.b = entry.b
    target.c = entry.c
    target.d = entry.d
    target.e = entry.e
