"""Timelines written by hand: rows with every moment a fixed step after the one before, and what a test changes."""

from __future__ import annotations

from typing import Any

from policy.batching import Cause
from policy.instant import UNSET
from policy.timeline import Attempt, Outcome, Pass, Reason

MOMENTS = (
    "received_ns",
    "enqueued_ns",
    "closed_ns",
    "started_ns",
    "ended_ns",
    "returned_ns",
    "answered_ns",
    "delivered_ns",
)


def attempt(request: int, intended_ns: int, **changes: Any) -> Attempt:
    """Return an answered attempt, carried by pass `request`, whose moments follow each other by 10 ns."""
    moments = {name: intended_ns + 10 * place for place, name in enumerate(MOMENTS, start=1)}
    row: dict[str, Any] = {
        "request": request,
        "attempt": 0,
        "size": 1,
        "version": 0,
        "replica": 0,
        "instance": 0,
        "serial": request,
        "batch_size": 1,
        "intended_ns": intended_ns,
        "sent_ns": intended_ns,
        **moments,
        "outcome": int(Outcome.ANSWERED),
        "reason": int(Reason.NONE),
    }
    row |= {key: int(value) for key, value in changes.items()}
    return Attempt(**{"placed_ns": row["enqueued_ns"], **row})  # taken by a replica at once


def unanswered(request: int, intended_ns: int, outcome: Outcome, **changes: Any) -> Attempt:
    """Return an attempt that never came to a pass and ended 50 ns after it was sent."""
    unset = dict.fromkeys(("serial", "batch_size", "closed_ns", "started_ns", "ended_ns", "returned_ns"), UNSET)
    times = {"answered_ns": intended_ns + 40, "delivered_ns": intended_ns + 50}
    return attempt(request, intended_ns, **(unset | times | {"outcome": outcome} | changes))


def gpu_pass(serial: int, started_ns: int, ended_ns: int, **changes: Any) -> Pass:
    """Return a pass of one request on an instance that had always been idle, without turnaround."""
    row: dict[str, Any] = {
        "serial": serial,
        "replica": 0,
        "instance": 0,
        "batch_size": 1,
        "cause": int(Cause.FULL),
        "idle_since_ns": 0,
        "closed_ns": started_ns,
        "handed_ns": started_ns,
        "started_ns": started_ns,
        "ended_ns": ended_ns,
        "returned_ns": ended_ns,
    }
    return Pass(**row | changes)
