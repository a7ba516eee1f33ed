"""Calendars of the compiled engine: what is to happen, by its moment, in tables of fixed size.

Most entries are pushed in the order of their moments (answers of a front end, time-outs of requests), so each calendar
is a ring for those and a heap for the others. Of equal moments either may come first: whoever empties a calendar for an
instant takes all of them, and the law of policy/instant.py sorts them.
"""

from __future__ import annotations

import numpy as np
from numba.extending import register_jitable

from policy.instant import NEVER_NS
from sim.engine.compiled.memory import row_at

__all__ = ["CALENDAR", "ENTRY", "has_room", "heap_push", "next_ns", "pop", "push", "top"]

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

CALENDAR = np.dtype(
    [
        ("ring", np.int64),  # the addresses of its tables
        ("heap", np.int64),
        ("room", np.int64),  # rows of each of them, a power of two
        ("head", np.int64),  # where the ring begins
        ("ringed", np.int64),  # entries in the ring
        ("last_ns", np.int64),  # the moment of the last one
        ("heaped", np.int64),  # entries in the heap
    ]
)
"""A calendar: a ring of entries in the order of their moments, and a heap of those that came out of it."""


@register_jitable(forceinline=True)
def has_room(calendar, entries):
    """Return whether so many entries more would fit, wherever they go."""
    capacity = calendar.room
    return calendar.ringed + entries <= capacity and calendar.heaped + entries <= capacity


@register_jitable(forceinline=True)
def push(calendar, at_ns, kind, a, b, c, d, e):
    """Add an entry; there is room."""
    if calendar.ringed == 0 or at_ns >= calendar.last_ns:
        entry = row_at(calendar.ring, (calendar.head + calendar.ringed) & (calendar.room - 1), ENTRY)
        calendar.ringed += 1
        calendar.last_ns = at_ns
        _write(entry, at_ns, kind, a, b, c, d, e)
        return
    heap_push(calendar, at_ns, kind, a, b, c, d, e)


@register_jitable(forceinline=True)
def heap_push(calendar, at_ns, kind, a, b, c, d, e):
    """Add an entry to the heap; there is room."""
    place = calendar.heaped
    calendar.heaped += 1
    while place > 0:
        parent = (place - 1) >> 1
        if row_at(calendar.heap, parent, ENTRY).at_ns <= at_ns:
            break
        _copy(calendar, place, parent)
        place = parent
    _write(row_at(calendar.heap, place, ENTRY), at_ns, kind, a, b, c, d, e)


@register_jitable(forceinline=True)
def next_ns(calendar):
    """Return the moment of the earliest entry, NEVER_NS without one."""
    at_ns = NEVER_NS
    if calendar.ringed > 0:
        at_ns = row_at(calendar.ring, calendar.head, ENTRY).at_ns
    if calendar.heaped > 0:
        at_ns = min(at_ns, row_at(calendar.heap, 0, ENTRY).at_ns)
    return at_ns


@register_jitable(forceinline=True)
def _ring_is_first(calendar):
    return calendar.ringed > 0 and (
        calendar.heaped == 0
        or row_at(calendar.ring, calendar.head, ENTRY).at_ns <= row_at(calendar.heap, 0, ENTRY).at_ns
    )


@register_jitable(forceinline=True)
def top(calendar):
    """Return the earliest entry; there is one. It is to be read before anything is pushed or popped."""
    if _ring_is_first(calendar):
        return row_at(calendar.ring, calendar.head, ENTRY)
    return row_at(calendar.heap, 0, ENTRY)


@register_jitable(forceinline=True)
def pop(calendar):
    """Take out the earliest entry; there is one."""
    if _ring_is_first(calendar):
        calendar.head = (calendar.head + 1) & (calendar.room - 1)
        calendar.ringed -= 1
        return
    calendar.heaped -= 1
    count = calendar.heaped
    # The last entry sinks from the top.
    at_ns = row_at(calendar.heap, count, ENTRY).at_ns
    place = 0
    while True:
        child = 2 * place + 1
        if child >= count:
            break
        if (
            child + 1 < count
            and row_at(calendar.heap, child + 1, ENTRY).at_ns < row_at(calendar.heap, child, ENTRY).at_ns
        ):
            child += 1
        if row_at(calendar.heap, child, ENTRY).at_ns >= at_ns:
            break
        _copy(calendar, place, child)
        place = child
    if place != count:
        _copy(calendar, place, count)


@register_jitable(forceinline=True)
def _copy(calendar, to, source):
    entry = row_at(calendar.heap, source, ENTRY)
    target = row_at(calendar.heap, to, ENTRY)
    _write(target, entry.at_ns, entry.kind, entry.a, entry.b, entry.c, entry.d, entry.e)


@register_jitable(forceinline=True)
def _write(entry, at_ns, kind, a, b, c, d, e):
    entry.at_ns = at_ns
    entry.kind = kind
    entry.a = a
    entry.b = b
    entry.c = c
    entry.d = d
    entry.e = e
