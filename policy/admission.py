"""Whether a request that has arrived is taken by its replica, may wait for one, or is refused and why."""

from __future__ import annotations

from typing import NamedTuple

from policy.timeline import Reason

__all__ = ["NO_CAP", "AdmissionRule", "AdmissionView", "decide", "may_hold", "retry_after_ns"]

NO_CAP = 0


class AdmissionRule(NamedTuple):
    """Settings of admission; policy/settings.py builds and checks them."""

    cap: int  # waiting requests per replica, running ones excluded; NO_CAP: no limit
    held_max: int  # requests in front of the fleet while no replica can take one


class AdmissionView(NamedTuple):
    """What admission sees."""

    waiting: int  # accepted and not in a running pass: queued, in a collector's hand, or in a closed batch
    draining: bool  # the server is stopping: it finishes what it holds and takes nothing new


def decide(rule: AdmissionRule, view: AdmissionView) -> Reason:
    """Return Reason.NONE to take the request, else the reason of the refusal."""
    if view.draining:
        return Reason.DRAINING
    if rule.cap != NO_CAP and view.waiting >= rule.cap:
        return Reason.QUEUE_FULL
    return Reason.NONE


def may_hold(rule: AdmissionRule, held: int, draining: bool) -> Reason:
    """Return Reason.NONE to let a request wait in front of the fleet, where `held` wait already, else why not."""
    if draining:
        return Reason.DRAINING
    if held >= rule.held_max:
        return Reason.NO_REPLICA
    return Reason.NONE


def retry_after_ns(waiting: int, max_batch: int, full_pass_ns: int, instances: int) -> int:
    """Return how long the waiting requests need to be served: what a refused client is told to wait."""
    passes = (waiting + max_batch * instances - 1) // (max_batch * instances)
    return max(passes, 1) * full_pass_ns
