"""The changes of the present instant in the compiled engine: a heap, ordered by the law of policy/instant.py."""

from __future__ import annotations

from numba.extending import register_jitable

from sim.engine.compiled.rows import change_of

__all__ = ["drop_first_change", "note_change"]


@register_jitable(forceinline=True)
def note_change(t, change, first, second, what, more):
    """Note a change; there is room."""
    run = t.run
    place = run.changes
    run.changes += 1
    while place > 0:
        parent = (place - 1) >> 1
        if not _comes_before(change, first, second, change_of(t, parent)):
            break
        _copy(t, place, parent)
        place = parent
    _write(change_of(t, place), change, first, second, what, more)


@register_jitable(forceinline=True)
def drop_first_change(t):
    """Take out the change that comes first; there is one. It is read before, as row 0."""
    run = t.run
    run.changes -= 1
    count = run.changes
    last = change_of(t, count)  # sinks from the top
    place = 0
    while True:
        child = 2 * place + 1
        if child >= count:
            break
        if child + 1 < count and _row_comes_before(change_of(t, child + 1), change_of(t, child)):
            child += 1
        if not _row_comes_before(change_of(t, child), last):
            break
        _copy(t, place, child)
        place = child
    _copy(t, place, count)


@register_jitable(forceinline=True)
def _comes_before(change, first, second, row):
    if change != row.change:
        return change < row.change
    if first != row.first:
        return first < row.first
    return second < row.second


@register_jitable(forceinline=True)
def _row_comes_before(row, other):
    return _comes_before(row.change, row.first, row.second, other)


@register_jitable(forceinline=True)
def _write(row, change, first, second, what, more):
    row.change = change
    row.first = first
    row.second = second
    row.what = what
    row.more = more


@register_jitable(forceinline=True)
def _copy(t, to, source):
    row = change_of(t, source)
    _write(change_of(t, to), row.change, row.first, row.second, row.what, row.more)
