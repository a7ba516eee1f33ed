"""Dice: every random number is a function of (seed, stream, entity, ordinal), never of the order of use.

So a what-if that changes a batch size leaves every other draw as it was. A die is 64 bits of splitmix64 (Steele, Lea,
Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014); an integer inverse-CDF table turns it into
nanoseconds or counts. Tables are built outside the engines (sim/scenario/distributions.py); reading one takes integers
only. It stands in policy because engines and server must roll alike; rules never import it, drivers roll and pass on.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from policy.routing import DIE_ONE
from policy.versions import point

__all__ = [
    "CELLS",
    "KNOTS",
    "LEVELS",
    "Stream",
    "cold_start_ns",
    "crash_after_ns",
    "die",
    "draw",
    "happens",
    "mix",
    "route_die",
    "signed",
]

_MASK = 2**64 - 1
_ROUTE_DIVISOR = 2**64 // DIE_ONE

CELLS = 1024
"""Cells of equal probability in one level of an inverse-CDF table."""

LEVELS = 3
"""Level k + 1 divides the last cell of level k again, so the last cell of all has probability 2**-30."""

KNOTS = CELLS + 1


class Stream(IntEnum):
    """What a die is for; entity and ordinal follow."""

    SIZE = 1  # request, 0
    PATIENCE = 2  # request, 0: the client's timeout
    BACKOFF = 3  # request, attempt: jitter of the wait after that attempt's refusal
    THINK = 4  # client, cycle
    PASS_SPREAD = 5  # request, attempt of the first member of the batch
    FRONT_END_WORKER = 6  # request, attempt
    FRONT_END_REQUEST = 7  # request, attempt
    FRONT_END_RESPONSE = 8  # request, attempt
    BATCH_IN = 9  # request, attempt of the first member of the batch
    RESULTS_OUT = 10  # request, attempt of the first member of the batch
    PASS_RESULT = 11  # request, attempt of the first member of the batch: the front end's work on its results
    TIMER = 12  # replica, number of the timer: the front end's work on it
    ROUTE = 13  # request, attempt: which replica takes it
    COLD_START = 14  # replica, number of the part of its start: those of later lives go on counting
    PHASE = 15  # draw of a prediction, or version, 0: where the autoscaler's clocks stand when its load begins
    VERSION = 16  # request, 0: which version takes it, where no key is to stay with one
    COPY = 17  # request, version: whether that shadow version gets a copy
    ERROR = 18  # request, 0: whether a version fails on it; one that fails more often fails on these and more
    USER = 19  # request, 0: who sends it
    PINNED = 20  # request, 0: which version it names
    CRASH = 21  # replica, number of its life (0: before its first crash): when that ends
    SLOW = 22  # replica, 0: whether it is slow for all its lives; where more are slow, these are and more


def die(seed: int, stream: int, entity: int, ordinal: int) -> int:
    """Return 64 random bits, the same for the same arguments on every machine."""
    bits = mix(seed + 0x9E3779B97F4A7C15 * (stream + 1))
    bits = mix(bits + 0x9E3779B97F4A7C15 * (entity + 1))
    return mix(bits + 0x9E3779B97F4A7C15 * (ordinal + 1))


def route_die(seed: int, request: int, attempt: int) -> int:
    """Return the die with which an attempt is routed, an integer in [0, policy.routing.DIE_ONE)."""
    return die(seed, Stream.ROUTE, request, attempt) // _ROUTE_DIVISOR


def cold_start_ns(tables: Sequence[Sequence[int]], seed: int, replica: int, life: int, restart_from: int) -> int:
    """Return how long the start of a replica takes: all parts the first time, later those from `restart_from` on."""
    parts = range(restart_from if life else 0, len(tables))
    return sum(draw(tables[part], die(seed, Stream.COLD_START, replica, life * len(tables) + part)) for part in parts)


def crash_after_ns(table: Sequence[int], seed: int, replica: int, life: int) -> int:
    """Return how long after its readiness a life of a replica ends in a crash, at least 1."""
    return max(draw(table, die(seed, Stream.CRASH, replica, life)), 1)


def happens(share: int, of: int, bits: int) -> bool:
    """Return whether a die says that something happens which happens in `share` of `of` cases; of < 2**31."""
    return point(bits, of) < share


def signed(bits: int) -> int:
    """Return 64 bits as a row of int64 holds them."""
    return bits - 2**64 if bits >= 2**63 else bits


def mix(bits: int) -> int:
    """Return 64 bits thoroughly mixed: the finaliser of splitmix64. policy/sticky.py uses it too; 0 stays 0."""
    bits &= _MASK
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & _MASK
    return bits ^ (bits >> 31)


def draw(knots: Sequence[int], bits: int) -> int:
    """Return the value that a die has in an inverse-CDF table.

    `knots` is one constant, or LEVELS rows of KNOTS non-decreasing values, one row behind the other: knot i of level k
    is the quantile 1 - 2**(-10 k) (1 - i / CELLS). Between two knots the value runs on a straight line.
    """
    if len(knots) == 1:
        return knots[0]
    level = 0
    cell = bits >> 54
    while cell == CELLS - 1 and level < LEVELS - 1:
        level += 1
        cell = (bits >> (54 - 10 * level)) & (CELLS - 1)
    fraction = bits & 0xFFFF
    low = knots[level * KNOTS + cell]
    span = knots[level * KNOTS + cell + 1] - low
    # In two parts, so that the product stays below 2**62.
    return low + (span >> 16) * fraction + ((span & 0xFFFF) * fraction >> 16)
