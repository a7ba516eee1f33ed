"""Lists of attempts in the compiled engine: queues, hands, and what is held, chained through `next` and `previous`.

A list belongs to a row with a `head` and a `tail`; how many are in it, its owner counts.
"""

from __future__ import annotations

from numba.extending import register_jitable

from sim.engine.compiled.rows import attempt_of
from sim.engine.compiled.state import NONE

__all__ = ["append", "cut", "unlink"]


@register_jitable(forceinline=True)
def append(t, chain, first, last):
    """Put attempts that are chained from first to last behind those of a list."""
    attempt_of(t, last).next = NONE
    attempt_of(t, first).previous = chain.tail
    if chain.tail == NONE:
        chain.head = first
    else:
        attempt_of(t, chain.tail).next = first
    chain.tail = last


@register_jitable(forceinline=True)
def cut(t, chain, last):
    """Take the front of a list, up to and with an attempt, out of it; it stays chained."""
    behind = attempt_of(t, last).next
    chain.head = behind
    if behind == NONE:
        chain.tail = NONE
    else:
        attempt_of(t, behind).previous = NONE
    attempt_of(t, last).next = NONE


@register_jitable
def unlink(t, chain, attempt):
    """Take one attempt out of a list."""
    if attempt.previous == NONE:
        chain.head = attempt.next
    else:
        attempt_of(t, attempt.previous).next = attempt.next
    if attempt.next == NONE:
        chain.tail = attempt.previous
    else:
        attempt_of(t, attempt.next).previous = attempt.previous
