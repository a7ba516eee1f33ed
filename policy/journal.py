"""The rows of a dispatcher's journal: what reached it and when, and what it decided.

A server writes them and a replay reads them, so their form belongs to neither. A journal is a line of JSON, which names
the form and the rules, and rows behind it: a kind and the fields of that kind, all of them little-endian int64.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

__all__ = ["FIELDS", "FORMAT", "Row"]

FORMAT = "servecast-journal/3"
"""The value of "format" in the first line."""


class Row(IntEnum):
    """The kinds of rows. An instant's row comes first, then those of its events, then those of its decisions."""

    INSTANT = 1  # the dispatcher was called; without events behind it: woken by its timer

    ARRIVED = 10
    HUNG_UP = 11
    RETURNED = 12
    FAILED = 13
    READY = 14
    ANSWERED = 15
    ORDERED = 16
    FAILED_MEMBER = 17  # of the pass that was returned in the row before: the model failed on it

    RESPOND = 20  # an answer, whatever its outcome; an arrival without a refusal was admitted
    START_PASS = 21  # a batch was handed to an instance; its members follow, in their order
    MEMBER = 22
    PASS_OVER = 23  # a pass is over or lost: how its batch had been closed
    WAKE_AT = 24
    SCALE = 25  # another number of replicas is wanted
    START_REPLICA = 26
    DRAIN_REPLICA = 27
    STOP_REPLICA = 28
    COPIED = 29  # a copy for a shadow version was taken or refused
    DECIDED = 30  # an order was carried out or refused
    SHARE = 31  # a version gets another share
    ROLLOUT = 32  # the rollout did something

    END = 99  # the server stopped by itself; a journal without it was cut off


FIELDS: Mapping[Row, tuple[str, ...]] = {
    Row.INSTANT: ("now_ns", "draining"),
    Row.ARRIVED: ("request", "attempt", "size", "key_bits", "pinned"),
    Row.HUNG_UP: ("request", "attempt"),
    Row.RETURNED: ("replica", "instance", "started_ns", "ended_ns"),
    Row.FAILED: ("replica", "instance"),
    Row.READY: ("replica", "instance"),
    Row.ANSWERED: ("request", "attempt"),
    Row.ORDERED: ("kind", "version", "value"),
    Row.FAILED_MEMBER: ("request", "attempt"),
    Row.RESPOND: ("request", "attempt", "outcome", "reason"),
    Row.START_PASS: ("serial", "replica", "instance"),
    Row.MEMBER: ("request", "attempt"),
    Row.PASS_OVER: ("serial", "size", "cause", "idle_since_ns", "closed_ns", "handed_ns"),
    Row.WAKE_AT: ("at_ns",),
    Row.SCALE: ("version", "wanted", "cause"),
    Row.START_REPLICA: ("replica", "version"),
    Row.DRAIN_REPLICA: ("replica",),
    Row.STOP_REPLICA: ("replica",),
    Row.COPIED: ("request", "attempt", "reason"),
    Row.DECIDED: ("kind", "version", "value", "refusal"),
    Row.SHARE: ("version", "weight", "shadow"),
    Row.ROLLOUT: ("action", "cause", "phase", "step", "weight", "shadow"),
    Row.END: (),
}
"""The fields of each kind, in their order."""
