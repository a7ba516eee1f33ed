"""The dice of policy/dice.py for compiled code, in unsigned 64-bit arithmetic; a test holds the two against each other.

Python's integers do not wrap and Numba mixes signed and unsigned ones to floats, so this one source cannot serve both.
Dice leave as signed numbers of the same 64 bits, which is what rules take.
"""

from __future__ import annotations

import numpy as np
from numba.extending import register_jitable

from policy.dice import CELLS, KNOTS, LEVELS, Stream
from policy.routing import DIE_ONE
from policy.sticky import FNV_BASIS, FNV_PRIME
from sim.engine.compiled.memory import int_at

__all__ = ["die", "draw", "roll", "route_die", "sticky_bits", "unsigned_die"]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_BASIS = np.uint64(FNV_BASIS)
_PRIME = np.uint64(FNV_PRIME)
_ONE = np.uint64(1)
_TEN = np.uint64(10)
_ZERO_DIGIT = np.uint64(ord("0"))
_LAST_CELL = CELLS - 1
_ROUTE_DIVISOR = np.uint64(2**64 // DIE_ONE)


@register_jitable(forceinline=True)
def _mix(bits):
    bits = (bits ^ (bits >> np.uint64(30))) * _FIRST
    bits = (bits ^ (bits >> np.uint64(27))) * _SECOND
    return bits ^ (bits >> np.uint64(31))


@register_jitable(forceinline=True)
def unsigned_die(seed, stream, entity, ordinal):
    """Return the 64 bits of a die, unsigned."""
    bits = _mix(np.uint64(seed) + _GOLDEN * (np.uint64(stream) + _ONE))
    bits = _mix(bits + _GOLDEN * (np.uint64(entity) + _ONE))
    return _mix(bits + _GOLDEN * (np.uint64(ordinal) + _ONE))


@register_jitable(forceinline=True)
def die(seed, stream, entity, ordinal):
    """Return the 64 bits of a die, signed."""
    return np.int64(unsigned_die(seed, stream, entity, ordinal))


@register_jitable(forceinline=True)
def route_die(seed, request, attempt):
    """Return the die with which an attempt is routed, in [0, policy.routing.DIE_ONE)."""
    return np.int64(unsigned_die(seed, Stream.ROUTE.value, request, attempt) // _ROUTE_DIVISOR)


@register_jitable
def draw(knots, at, bits):
    """Return the value that unsigned bits have in the inverse-CDF table that begins at an index of `knots`."""
    level = 0
    cell = np.int64(bits >> np.uint64(54))
    while cell == _LAST_CELL and level < LEVELS - 1:
        level += 1
        cell = np.int64(bits >> np.uint64(54 - 10 * level)) & _LAST_CELL
    fraction = np.int64(bits & np.uint64(0xFFFF))
    low = int_at(knots, at + level * KNOTS + cell)
    span = int_at(knots, at + level * KNOTS + cell + 1) - low
    return low + (span >> 16) * fraction + ((span & 0xFFFF) * fraction >> 16)


@register_jitable(forceinline=True)
def roll(knots, where, seed, stream, entity, ordinal):
    """Return a draw from one of the tables behind the address `knots`; a constant needs no die."""
    if where.length == 1:
        return int_at(knots, where.at)
    return draw(knots, where.at, unsigned_die(seed, stream, entity, ordinal))


@register_jitable
def sticky_bits(user, salt):
    """Return the bits of a user's key, signed; `user` is the unsigned number whose decimal digits are the key."""
    place = _ONE
    while user // place >= _TEN:
        place *= _TEN
    bits = _BASIS
    while place > np.uint64(0):
        bits = (bits ^ (_ZERO_DIGIT + user // place % _TEN)) * _PRIME
        place //= _TEN
    return np.int64(_mix(bits ^ _mix(np.uint64(salt))))
