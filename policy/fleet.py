"""Which replicas a fleet starts and which it drains, once it is known how many are wanted.

How many are wanted is the autoscaler's decision. A replica is ordered, becomes ready after its cold start, takes
requests, is drained (it finishes what it holds and takes nothing new), and is gone. Serials are never used twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from policy.instant import UNSET

__all__ = ["Drain", "Stage", "missing", "next_to_drain"]


class Stage(IntEnum):
    """Where a replica is in its life."""

    STARTING = 0  # ordered, not ready yet
    READY = 1  # takes requests
    DRAINING = 2  # finishes what it holds
    GONE = 3


class Drain(IntEnum):
    """Which of the ready replicas is drained first."""

    YOUNGEST = 0  # as Kubernetes' ReplicaSets do
    IDLEST = 1  # the one with the fewest requests, of equals the youngest


def missing(wanted: int, starting: int, ready: int) -> int:
    """Return how many replicas to order now. One that drains is not called back: its end is under way."""
    return max(wanted - starting - ready, 0)


def next_to_drain(drain: int, wanted: int, stages: Sequence[int], outstanding: Sequence[int], count: int) -> int:
    """Return the place of the replica that is drained next, UNSET while there are not too many.

    `drain` is a Drain. The first `count` entries are replicas that are not gone, in the order of their serials: where
    each is in its life, and how many requests it holds. One that is not ready goes before one that is; of those the
    youngest.
    """
    have = 0
    starting = UNSET
    ready = UNSET
    for place in range(count):
        if stages[place] == Stage.STARTING:
            have += 1
            starting = place
        elif stages[place] == Stage.READY:
            have += 1
            if ready == UNSET or drain == Drain.YOUNGEST or outstanding[place] <= outstanding[ready]:
                ready = place
    if have <= wanted:
        return UNSET
    return starting if starting != UNSET else ready
