"""Which replica of a fleet takes a request, or none for now.

A replica can take requests while it is ready and has fewer than `outstanding_max` of them, those in a running pass
included. Where none can, the request is held in front of the fleet, first come, first served, until one can; how many
may be held is admission's business. With a small `outstanding_max` replicas in effect pull their work from one queue.

Round robin goes by the replicas' serial numbers, so one that comes or goes leaves the order of the others as it was.
Power of two choices: M. Mitzenmacher, IEEE Trans. Parallel and Distributed Systems 12(10), 2001.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

from policy.instant import UNSET

__all__ = [
    "DIE_ONE",
    "NO_LIMIT",
    "Balance",
    "RoutingRule",
    "RoutingState",
    "Tie",
    "choose",
    "fresh_routing",
    "uses_die",
]

DIE_ONE = 2**62
"""The die of a choice is an integer in [0, DIE_ONE)."""

NO_LIMIT = 0

_HALF = 2**31  # each of the two parts of a die lies in [0, _HALF)


class Balance(IntEnum):
    """How the load is spread over the replicas that can take a request."""

    ROUND_ROBIN = 0  # the next one in the order of their serials
    RANDOM = 1
    LEAST_OUTSTANDING = 2  # the one with the fewest requests
    POWER_OF_TWO = 3  # of two that are drawn the one with fewer requests


class Tie(IntEnum):
    """Who of several with equally few requests takes one (LEAST_OUTSTANDING)."""

    RANDOM = 0
    ROTATE = 1  # the next one in the order of their serials
    FIRST = 2  # the lowest serial: load gathers, and batches fill


class RoutingRule(NamedTuple):
    """Settings of routing; policy/settings.py builds and checks them."""

    balance: int  # Balance
    tie: int  # Tie
    outstanding_max: int  # requests at one replica beyond which it is sent no more; NO_LIMIT: no such limit


class RoutingState(NamedTuple):
    """What routing remembers."""

    last: int  # the serial of the replica that was chosen last, UNSET before the first


def fresh_routing() -> RoutingState:
    """Return the state before the first choice."""
    return RoutingState(UNSET)


def uses_die(rule: RoutingRule) -> bool:
    """Return whether a choice depends on a die; for one that does not, any number will do."""
    ties = rule.balance == Balance.LEAST_OUTSTANDING and rule.tie == Tie.RANDOM
    return ties or rule.balance == Balance.RANDOM or rule.balance == Balance.POWER_OF_TWO


def choose(
    rule: RoutingRule, state: RoutingState, serials: Sequence[int], outstanding: Sequence[int], count: int, die: int
) -> tuple[RoutingState, int]:
    """Return the place in `serials` of the replica that takes a request, UNSET if none can.

    The first `count` entries are the ready replicas: their serials, ascending, and their requests.
    """
    if count == 0:
        return RoutingState(state.last), UNSET
    fewest = outstanding[0] if count == 1 else _fewest(outstanding, count)
    if not _is_able(rule, fewest):
        return RoutingState(state.last), UNSET
    if count == 1:
        return RoutingState(serials[0]), 0
    if rule.balance == Balance.LEAST_OUTSTANDING:
        chosen = _among_fewest(rule, state.last, serials, outstanding, count, fewest, die)
    elif rule.balance == Balance.POWER_OF_TWO:
        chosen = _better_of_two(rule, outstanding, count, _count_able(rule, outstanding, count), die)
    elif rule.balance == Balance.RANDOM:
        number = _part(die >> 31, _count_able(rule, outstanding, count))
        chosen = _nth_able(rule, outstanding, count, number)
    else:
        chosen = _next_able(rule, state.last, serials, outstanding, count, UNSET)
    return RoutingState(serials[chosen]), chosen


def _fewest(outstanding: Sequence[int], count: int) -> int:
    """Return the fewest requests; of a loop that does nothing else compiled code looks at several at once."""
    fewest = outstanding[0]
    for place in range(count):
        fewest = min(fewest, outstanding[place])
    return fewest


def _count_able(rule: RoutingRule, outstanding: Sequence[int], count: int) -> int:
    able = 0
    for place in range(count):
        if _is_able(rule, outstanding[place]):
            able += 1
    return able


def _is_able(rule: RoutingRule, outstanding: int) -> bool:
    return rule.outstanding_max == NO_LIMIT or outstanding < rule.outstanding_max


def _part(half: int, count: int) -> int:
    """Return a number in [0, count) from one in [0, _HALF)."""
    return half * count // _HALF


def _nth_able(rule: RoutingRule, outstanding: Sequence[int], count: int, number: int) -> int:
    """Return the place of the able replica with this number, 0 the first."""
    seen = UNSET
    for place in range(count):
        if _is_able(rule, outstanding[place]):
            seen += 1
            if seen == number:
                return place
    return UNSET


def _next_able(
    rule: RoutingRule, last: int, serials: Sequence[int], outstanding: Sequence[int], count: int, wanted: int
) -> int:
    """Return the first able place behind the serial `last`, round the ring; `wanted` UNSET or requests it must have."""
    first = UNSET
    for place in range(count):
        if _is_able(rule, outstanding[place]) and wanted in (UNSET, outstanding[place]):
            if serials[place] > last:
                return place
            if first == UNSET:
                first = place
    return first


def _among_fewest(
    rule: RoutingRule,
    last: int,
    serials: Sequence[int],
    outstanding: Sequence[int],
    count: int,
    fewest: int,
    die: int,
) -> int:
    """Return the place of a replica with the fewest requests, as the rule breaks ties."""
    if rule.tie == Tie.ROTATE:
        return _next_able(rule, last, serials, outstanding, count, fewest)
    number = 0
    if rule.tie == Tie.RANDOM:
        tied = 0
        for place in range(count):
            if outstanding[place] == fewest:
                tied += 1
        number = _part(die >> 31, tied)
    before, chosen = 0, 0
    for place in range(count):
        before += outstanding[place] == fewest
        chosen += before <= number
    return chosen


def _better_of_two(rule: RoutingRule, outstanding: Sequence[int], count: int, able: int, die: int) -> int:
    """Return the better of two different able replicas; of equals the one that was drawn first."""
    number = _part(die >> 31, able)
    first = _nth_able(rule, outstanding, count, number)
    if able == 1:
        return first
    other = _part(die % _HALF, able - 1)
    if other >= number:
        other += 1
    second = _nth_able(rule, outstanding, count, other)
    return second if outstanding[second] < outstanding[first] else first
