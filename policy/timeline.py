"""The columns of a timeline: a row for every attempt of a request, every GPU pass, every replica, and every change.

Both engines and the server's log write these columns, so one set of outcome code reads all three. All values are
integers; times are nanoseconds on the clock of the run, UNSET (-1) where the moment never came.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

__all__ = [
    "COPIES_FROM",
    "Attempt",
    "Outcome",
    "Pass",
    "Reason",
    "ReplicaLife",
    "RolloutMove",
    "Scaling",
    "Share",
    "copy_number",
    "is_copy",
]

COPIES_FROM = 2**40
"""Attempts that a client sent are numbered below this, copies for shadow versions from here up."""


def copy_number(attempt: int, version: int) -> int:
    """Return the number that the copy of an attempt for a shadow version goes by, in place of the attempt's own."""
    return (version + 1) * COPIES_FROM + attempt


def is_copy(attempt: int) -> bool:
    """Return whether this is the number of a copy, for which no client waits."""
    return attempt >= COPIES_FROM


class Outcome(IntEnum):
    """How an attempt ended, as its client saw it."""

    IN_FLIGHT = 0  # not ended when the run stopped
    ANSWERED = 1
    REFUSED = 2  # 429 or 503, see Reason
    TIMED_OUT = 3  # the server's deadline passed: 504
    ABANDONED = 4  # the client's timeout passed and it hung up
    FAILED = 5  # accepted, then lost or broken by the server: 500


class Reason(IntEnum):
    """Why an attempt was refused. The HTTP status belongs to the server's handlers."""

    NONE = 0
    QUEUE_FULL = 1
    DRAINING = 2  # the server is stopping
    NO_REPLICA = 3  # no replica can take it, and no more may wait for one
    NOT_LOADED = 4  # it names a version that is not loaded


class Attempt(NamedTuple):
    """One attempt of one request, or one copy of it. Rows are ordered by (request, attempt).

    Nobody waits for a copy, so its client's columns are UNSET.
    """

    request: int  # 0, 1, ... by intended send; closed loop: cycle * clients + client
    attempt: int  # 0 is the first send, 1 the first retry; of a copy its copy_number()
    size: int  # in the model's unit, for example tokens; 1 where sizes play no role
    version: int  # index of the version that took or refused it; UNSET: it never came so far
    replica: int  # that took or refused it; UNSET: none did
    instance: int
    serial: int  # of the pass that carried it
    batch_size: int
    intended_ns: int  # when the request should first have been sent: latency runs from here
    sent_ns: int  # when this attempt was sent
    received_ns: int  # it reached the front end
    enqueued_ns: int  # it left the front end and was admitted or refused
    placed_ns: int  # a replica's queue took it; before, it was held in front of the fleet
    closed_ns: int  # its batch was frozen
    started_ns: int
    ended_ns: int
    returned_ns: int  # the dispatcher held the result
    answered_ns: int  # the response left the front end
    delivered_ns: int  # the client held the response, or hung up
    outcome: int  # Outcome
    reason: int  # Reason


class Pass(NamedTuple):
    """One pass of a batch through the device. Rows are ordered by serial, the order in which batches closed."""

    serial: int
    replica: int
    instance: int
    batch_size: int
    cause: int  # policy.batching.Cause: why the batch was closed
    idle_since_ns: int  # when this instance last became idle: before it, members waited for a device
    closed_ns: int
    handed_ns: int  # the batch left for the instance
    started_ns: int
    ended_ns: int
    returned_ns: int


class ReplicaLife(NamedTuple):
    """The life of one replica. Rows are ordered by replica. It is paid for from ordered_ns to gone_ns."""

    replica: int  # 0, 1, ... in the order in which they were ordered
    version: int  # that it serves
    ordered_ns: int
    ready_ns: int  # it takes requests from then on
    drained_ns: int  # it was told to take nothing new
    gone_ns: int  # it had finished what it held


class Scaling(NamedTuple):
    """A change of the number of replicas of a version that is wanted. Rows are in the order of time."""

    at_ns: int
    version: int
    wanted: int
    cause: int  # policy.autoscaling.Cause; its NONE: so it began, or an operator ordered it


class Share(NamedTuple):
    """What a version gets from a moment on. Rows are in the order of time; the first ones say how it began."""

    at_ns: int
    version: int
    weight: int  # of the requests, parts of policy.versions.WEIGHT_ONE
    shadow: int  # of the requests copies go to it, the same parts


class RolloutMove(NamedTuple):
    """What a rollout did at a moment. Rows are in the order of time."""

    at_ns: int
    action: int  # policy.rollout.Action
    cause: int  # policy.rollout.Cause
    phase: int  # policy.rollout.Phase from then on
    step: int
    weight: int  # the canary's, parts of policy.versions.WEIGHT_ONE
    shadow: int
