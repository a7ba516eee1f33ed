"""Calendars give their entries back in the order of their moments, whichever way they came in."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.engine.compiled.calendar import CALENDAR, ENTRY, has_room, heap_push, next_ns, pop, push, top
from tests.sim.engine.compiled.addresses import address_of

pytestmark = pytest.mark.slow  # compiles

ROOM = 8


@numba.njit
def played(calendars, moves, seen):  # type: ignore[no-untyped-def]
    """Push the moments, at random by way of the ring or straight to the heap; -1 pops. Return how much came out."""
    calendar, count = calendars[0], 0
    for number in range(len(moves)):
        if moves[number] < 0:
            seen[count, 0] = next_ns(calendar)
            seen[count, 1] = top(calendar).a
            pop(calendar)
            count += 1
        elif number % 3 == 0:
            heap_push(calendar, moves[number], 0, number, 0, 0, 0, 0)
        else:
            push(calendar, moves[number], 0, number, 0, 0, 0, 0)
    return count, has_room(calendar, 1), next_ns(calendar)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.integers(0, 20) | st.none(), max_size=60))
def test_entries_come_out_by_their_moments(wanted: list[int | None]) -> None:
    """Against a sorted list: what comes out is the earliest of what is in, and each entry comes out once."""
    moves: list[int] = []
    inside: list[int] = []
    expected: list[int] = []
    for moment in wanted:
        if moment is None and inside:
            moves.append(-1)
            inside.sort()
            expected.append(inside.pop(0))
        elif moment is not None and len(inside) < ROOM:
            moves.append(moment)
            inside.append(moment)
    ring, heap = np.zeros(ROOM, ENTRY), np.zeros(ROOM, ENTRY)
    calendars = np.zeros(1, CALENDAR)
    calendars["ring"], calendars["heap"], calendars["room"] = address_of(ring), address_of(heap), ROOM
    seen = np.zeros((60, 2), dtype=np.int64)
    count, room, left_ns = played(calendars, np.array(moves, dtype=np.int64), seen)
    assert seen[:count, 0].tolist() == expected
    assert [moves[number] for number in seen[:count, 1]] == expected
    assert len(set(seen[:count, 1].tolist())) == count
    assert left_ns == min(inside, default=2**62)
    assert room or len(inside) >= ROOM / 2
