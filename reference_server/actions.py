"""What the dispatcher is told (events) and what it wants done (actions): its whole language with the shell.

Attempts go by (request, attempt), copies for shadow versions by (request, policy.timeline.copy_number).
"""

from __future__ import annotations

from typing import NamedTuple

from policy.instant import UNSET
from policy.timeline import Attempt, Pass, ReplicaLife, RolloutMove, Scaling, Share, copy_number

__all__ = [
    "Action",
    "Answered",
    "Arrived",
    "Copied",
    "Decided",
    "DrainReplica",
    "Event",
    "Failed",
    "HungUp",
    "Key",
    "Log",
    "LogPass",
    "LogReplica",
    "LogRollout",
    "LogScaling",
    "LogShare",
    "Ordered",
    "Ready",
    "Respond",
    "Returned",
    "StartPass",
    "StartReplica",
    "StopReplica",
    "WakeAt",
]

Key = tuple[int, int]
"""(request, attempt): unique among the attempts in flight."""


class Arrived(NamedTuple):
    """An attempt is there to be admitted or refused."""

    request: int
    attempt: int
    size: int
    key_bits: int = 0  # 64 bits, signed, by which its version is chosen: a die's, or those of a sticky key
    pinned: int = UNSET  # the version that it names

    def copy_for(self, version: int) -> Arrived:
        """Return the copy of it for a shadow version."""
        return Arrived(self.request, copy_number(self.attempt, version), self.size)


class HungUp(NamedTuple):
    """The client of an attempt has gone."""

    request: int
    attempt: int


class Returned(NamedTuple):
    """An instance has returned the results of its pass; the times are the device's own stamps."""

    replica: int
    instance: int
    started_ns: int
    ended_ns: int
    failed: tuple[Key, ...] = ()  # members on which the model failed: their batch mates are answered all the same


class Failed(NamedTuple):
    """An instance has broken down; what it ran is lost. It takes no batch until Ready."""

    replica: int
    instance: int


class Ready(NamedTuple):
    """An instance can take batches: for the first time, or again after it had failed."""

    replica: int
    instance: int


class Answered(NamedTuple):
    """The response of an attempt has been written."""

    request: int
    attempt: int


class Ordered(NamedTuple):
    """An operator orders something of the versions; the verdict is a Decided of the same handle()."""

    kind: int  # policy.orders.OrderKind
    version: int
    value: int


Event = Arrived | HungUp | Returned | Failed | Ready | Answered | Ordered


class StartPass(NamedTuple):
    """Send a batch to an idle instance."""

    serial: int
    replica: int
    instance: int
    members: tuple[Key, ...]
    longest: int  # the largest size of a member


class StartReplica(NamedTuple):
    """Start a replica; report Ready for each of its instances when it can take batches."""

    replica: int
    version: int  # that it serves


class DrainReplica(NamedTuple):
    """A replica takes nothing new from now on."""

    replica: int


class StopReplica(NamedTuple):
    """End a replica, which holds nothing. It may never have been ready."""

    replica: int


class Copied(NamedTuple):
    """A copy of a request was taken for a shadow version, or refused. Nobody is answered; its Log comes."""

    request: int
    attempt: int  # policy.timeline.copy_number of the attempt and the version
    reason: int  # Reason


class Decided(NamedTuple):
    """An order was carried out or refused."""

    kind: int  # policy.orders.OrderKind
    version: int
    value: int
    refusal: int  # policy.orders.Refusal


class Respond(NamedTuple):
    """Answer a client; report Answered when that is done, or HungUp when it cannot be."""

    request: int
    attempt: int
    outcome: int  # Outcome
    reason: int  # Reason


class WakeAt(NamedTuple):
    """Call handle again at this moment at the latest; replaces the wake-up asked for before, which stays without it."""

    at_ns: int  # NEVER_NS: no wake-up is needed


class Log(NamedTuple):
    """An attempt or a copy is over; the client's columns are UNSET."""

    row: Attempt


class LogPass(NamedTuple):
    """A pass is over. started_ns and ended_ns are UNSET if its instance failed."""

    row: Pass


class LogReplica(NamedTuple):
    """A replica is gone."""

    row: ReplicaLife


class LogScaling(NamedTuple):
    """Another number of replicas of a version is wanted."""

    row: Scaling


class LogShare(NamedTuple):
    """A version gets another share."""

    row: Share


class LogRollout(NamedTuple):
    """The rollout did something."""

    row: RolloutMove


Action = (
    StartPass
    | StartReplica
    | DrainReplica
    | StopReplica
    | Copied
    | Decided
    | Respond
    | WakeAt
    | Log
    | LogPass
    | LogReplica
    | LogScaling
    | LogShare
    | LogRollout
)
