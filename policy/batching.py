"""When to close a batch: the whole batching rule of a replica.

A replica has one queue and one or more collectors. A collector takes requests from the front of the queue into its
hand and closes (freezes) a batch from the front of its hand. Who collects, from when the wait counts, when contents
freeze and which sizes are preferred are settings; Triton, TF Serving, TorchServe, Ray Serve, MLServer, LitServe,
Mosec and KServe's batcher are settings of this one rule (tests/policy/test_batching.py names them).

Here is decided: how many requests to take, whether to close and how many, and when to ask again. The driver asks
after every change, and at the moment it was told; asking more often changes nothing, and can_wait() tells of changes
after which it need not ask.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from policy.instant import NEVER_NS, UNSET

__all__ = [
    "PREFERRED_SIZES_MAX",
    "BatchingDecision",
    "BatchingRule",
    "Cause",
    "Collector",
    "CollectorState",
    "CollectorView",
    "Freeze",
    "TimerOrigin",
    "can_wait",
    "closed_collector",
    "collector_count",
    "is_settled",
    "may_collect",
    "may_hand_over",
    "own_instance",
    "step",
]

PREFERRED_SIZES_MAX = 16


class TimerOrigin(IntEnum):
    """From when max_wait counts."""

    ENQUEUE = 0  # the moment the oldest request of the batch entered the queue
    COLLECT = 1  # the moment a free collector took the first request of the batch
    WINDOW = 2  # the moment the collector became free; windows without a request follow each other without a gap


class Freeze(IntEnum):
    """When the contents of a dispatcher's batch become final."""

    PULL = 0  # when a slot is free to take the batch: it grows while the device is busy
    TIMER = 1  # when it is full or its wait is over, even with no slot free: later arrivals open the next batch


class Collector(IntEnum):
    """Who collects."""

    DISPATCHER = 0  # one collector that never blocks
    EXCLUSIVE = 1  # an idle instance, one at a time
    COMPETING = 2  # every idle instance for itself; requests go to them one by one, in turn


class Cause(IntEnum):
    """Why a batch was closed."""

    NONE = 0
    FULL = 1
    PREFERRED = 2  # a preferred size was reached
    WAITED = 3  # max_wait was over


class BatchingRule(NamedTuple):
    """Settings of one replica's batching; policy/settings.py builds and checks them."""

    timer_origin: int  # TimerOrigin
    freeze: int  # Freeze
    collector: int  # Collector
    slots: int  # batches that may run at once; with PULL it holds for parked ones too; 0: no limit
    max_batch: int  # requests
    max_wait_ns: int
    preferred: tuple[int, ...]  # (PREFERRED_SIZES_MAX,), ascending, zeros behind
    preferred_count: int


class CollectorState(NamedTuple):
    """What a collector remembers from one question to the next."""

    opened_ns: int  # since when it has been free to collect, UNSET while it is not
    first_taken_ns: int  # when it took the first request of its hand, UNSET while the hand is empty


class CollectorView(NamedTuple):
    """What a collector sees."""

    collecting: bool  # may_collect(...)
    held: int  # requests in its hand
    queued: int  # requests in the queue
    oldest_enqueued_ns: int  # of the front of its hand, else of the front of the queue; UNSET with neither
    parked: int  # batches closed and not yet handed to an instance
    running: int  # batches handed to an instance and not yet returned


class BatchingDecision(NamedTuple):
    """Take `collect` from the queue into the hand; then close the first `close` of the hand as one batch."""

    collect: int
    close: int
    cause: Cause
    ask_again_ns: int  # at the latest, should nothing change before; NEVER_NS: not by the clock


def closed_collector() -> CollectorState:
    """Return the state of a collector that is not free to collect."""
    return CollectorState(UNSET, UNSET)


def collector_count(rule: BatchingRule, instances: int) -> int:
    """Return how many collectors a replica with that many instances has."""
    if rule.collector == Collector.COMPETING:
        return instances
    return 1


def may_collect(rule: BatchingRule, any_instance_idle: bool, own_instance_idle: bool) -> bool:
    """Return whether a collector is free to collect now.

    An instance counts as idle from the return of its pass until a batch is handed to it. A collecting instance stays
    idle until its batch is closed.
    """
    if rule.collector == Collector.DISPATCHER:
        return True
    if rule.collector == Collector.EXCLUSIVE:
        return any_instance_idle
    return own_instance_idle


def own_instance(rule: BatchingRule, collector: int) -> int:
    """Return the instance that must run what this collector closes, UNSET where any idle one may."""
    if rule.collector == Collector.COMPETING:
        return collector
    return UNSET


def may_hand_over(rule: BatchingRule, running: int) -> bool:
    """Return whether a closed batch may go to an idle instance."""
    return rule.slots == 0 or running < rule.slots


def step(
    rule: BatchingRule, state: CollectorState, view: CollectorView, now_ns: int
) -> tuple[CollectorState, BatchingDecision]:
    """Decide for one collector; the driver carries the decision out and asks again until nothing is decided.

    Under COMPETING the driver asks the collectors in a ring, going on behind the one that took a request last.
    """
    if not view.collecting:
        return CollectorState(UNSET, UNSET), BatchingDecision(0, 0, Cause.NONE, NEVER_NS)
    opened_ns = now_ns if state.opened_ns == UNSET else state.opened_ns
    collect = _to_collect(rule, view)
    size = view.held + collect
    if size == 0:
        return CollectorState(opened_ns, UNSET), BatchingDecision(0, 0, Cause.NONE, NEVER_NS)

    first_taken_ns = now_ns if state.first_taken_ns == UNSET else state.first_taken_ns
    due_ns = _due_ns(rule, opened_ns, first_taken_ns, view.oldest_enqueued_ns)
    due = now_ns >= due_ns
    still_queued = view.queued - collect
    if _must_hold(rule, view.parked + view.running, size, still_queued):
        close, cause = 0, Cause.NONE
    elif size >= rule.max_batch:
        close, cause = rule.max_batch, Cause.FULL
    elif due:
        close, cause = size, Cause.WAITED
    else:
        close, cause = _preferred_size(rule, size), Cause.PREFERRED

    if close > 0:
        # What is left over (a preferred size was closed) is the next batch, first taken now.
        first_taken_ns = now_ns if size > close else UNSET
        return CollectorState(now_ns, first_taken_ns), BatchingDecision(collect, close, cause, NEVER_NS)
    ask_again_ns = NEVER_NS if due else due_ns
    return CollectorState(opened_ns, first_taken_ns), BatchingDecision(collect, 0, Cause.NONE, ask_again_ns)


def can_wait(rule: BatchingRule, view: CollectorView) -> bool:
    """Return whether a collector need not be asked about one request more in its queue before something else changes.

    One that is not free to collect takes none, and one that must hold what it has closes nothing; whether the latter
    takes the request into its hand now or when it is asked next comes to the same. `view` is as it was before the
    request, and the collector was asked then.
    """
    if not view.collecting:
        return rule.collector != Collector.COMPETING
    if rule.collector != Collector.DISPATCHER or view.held == 0:
        return False
    return _must_hold(rule, view.parked + view.running, 0, 0)


def is_settled(rule: BatchingRule, decision: BatchingDecision) -> bool:
    """Return whether a collector that has decided this decides nothing more when it is asked again at once.

    What it collects is all that fits, so that without a close only COMPETING can go on: it takes one at a time.
    """
    return decision.close == 0 and (decision.collect == 0 or rule.collector != Collector.COMPETING)


def _to_collect(rule: BatchingRule, view: CollectorView) -> int:
    """Return how many requests to take: all that fit, or one at a time where collectors compete."""
    room = max(rule.max_batch - view.held, 0)
    if rule.collector == Collector.COMPETING:
        room = min(room, 1)
    return min(room, view.queued)


def _due_ns(rule: BatchingRule, opened_ns: int, first_taken_ns: int, oldest_enqueued_ns: int) -> int:
    """Return when the wait of the batch is over."""
    if rule.timer_origin == TimerOrigin.ENQUEUE:
        return oldest_enqueued_ns + rule.max_wait_ns
    if rule.timer_origin == TimerOrigin.COLLECT or rule.max_wait_ns == 0:
        return first_taken_ns + rule.max_wait_ns
    # The window in which the first request was taken; one taken at the very end of a window still belongs to it.
    windows = max((first_taken_ns - opened_ns + rule.max_wait_ns - 1) // rule.max_wait_ns, 1)
    return opened_ns + windows * rule.max_wait_ns


def _must_hold(rule: BatchingRule, slots_used: int, size: int, still_queued: int) -> bool:
    """Return whether nothing may be closed now, whatever the size and the wait."""
    if rule.collector == Collector.COMPETING:
        # Requests in the queue are there for the taking: an open hand is not closed before they are dealt.
        return still_queued > 0 and size < rule.max_batch
    if rule.collector == Collector.DISPATCHER and rule.freeze == Freeze.PULL:
        return rule.slots > 0 and slots_used >= rule.slots
    return False


def _preferred_size(rule: BatchingRule, size: int) -> int:
    """Return the largest preferred size that is reached, else 0."""
    best = 0
    for index in range(rule.preferred_count):
        if rule.preferred[index] <= size:
            best = rule.preferred[index]
    return best
