"""What is wrong with a replica by itself: whether it is slow for its life, and what its first passes cost more.

Both are factors of a pass time, for engines and for the emulated device alike; the dice are the driver's. When a
replica crashes is a die alone (policy/dice.py), and what a crash leads to is the law of policy/instant.py.
"""

from __future__ import annotations

from typing import NamedTuple

from policy.pass_time import SPREAD_ONE
from policy.rollout import SHARE_ONE
from policy.versions import point

__all__ = ["FAULTLESS", "FaultRule", "is_slow", "spread_with_faults"]


class FaultRule(NamedTuple):
    """Settings of the faults of a replica; policy/settings.py builds and checks them."""

    slow_share: int  # of the replicas, parts of policy.rollout.SHARE_ONE
    slow_factor: int  # of their pass times, in units of 1 / SPREAD_ONE, at least 1
    first_count: int  # passes of an instance, counted from its readiness, that take longer
    first_factor: int  # of those, in units of 1 / SPREAD_ONE, at least 1


FAULTLESS = FaultRule(0, SPREAD_ONE, 0, SPREAD_ONE)
"""All replicas are alike from their first pass on."""


def is_slow(rule: FaultRule, bits: int) -> bool:
    """Return whether the die of a replica, 64 bits, makes it a slow one."""
    return point(bits, SHARE_ONE) < rule.slow_share


def spread_with_faults(rule: FaultRule, spread: int, replica_is_slow: bool, passes_before: int) -> int:
    """Return the factor of a pass time, in units of 1 / SPREAD_ONE, given the one of its own spread.

    `passes_before` is how many passes the instance has begun since it was ready.
    """
    if replica_is_slow:
        spread = _times(spread, rule.slow_factor)
    if passes_before < rule.first_count:
        spread = _times(spread, rule.first_factor)
    return spread


def _times(spread: int, factor: int) -> int:
    """Return the product of two factors in units of 1 / SPREAD_ONE, in two parts: each stays below 2**62."""
    return (spread // SPREAD_ONE) * factor + (spread % SPREAD_ONE) * factor // SPREAD_ONE
