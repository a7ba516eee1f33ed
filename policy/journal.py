"""The rows of a dispatcher's journal: what reached it and when, and what it decided.

A server writes them and a replay reads them, so their form belongs to neither. A journal is a line of JSON, which names
the form and the rules, and rows behind it: a kind and the fields of that kind, all of them little-endian int64.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

__all__ = ["FIELDS", "FORMAT", "Row"]

FORMAT = "servecast-journal/2"
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

    RESPOND = 20  # an answer, whatever its outcome; an arrival without a refusal was admitted
    START_PASS = 21  # a batch was handed to an instance; its members follow, in their order
    MEMBER = 22
    PASS_OVER = 23  # a pass is over or lost: how its batch had been closed
    WAKE_AT = 24
    SCALE = 25  # another number of replicas is wanted
    START_REPLICA = 26
    DRAIN_REPLICA = 27
    STOP_REPLICA = 28

    END = 99  # the server stopped by itself; a journal without it was cut off


FIELDS: Mapping[Row, tuple[str, ...]] = {
    Row.INSTANT: ("now_ns", "draining"),
    Row.ARRIVED: ("request", "attempt", "size"),
    Row.HUNG_UP: ("request", "attempt"),
    Row.RETURNED: ("replica", "instance", "started_ns", "ended_ns"),
    Row.FAILED: ("replica", "instance"),
    Row.READY: ("replica", "instance"),
    Row.ANSWERED: ("request", "attempt"),
    Row.RESPOND: ("request", "attempt", "outcome", "reason"),
    Row.START_PASS: ("serial", "replica", "instance"),
    Row.MEMBER: ("request", "attempt"),
    Row.PASS_OVER: ("serial", "size", "cause", "idle_since_ns", "closed_ns", "handed_ns"),
    Row.WAKE_AT: ("at_ns",),
    Row.SCALE: ("wanted", "cause"),
    Row.START_REPLICA: ("replica",),
    Row.DRAIN_REPLICA: ("replica",),
    Row.STOP_REPLICA: ("replica",),
    Row.END: (),
}
"""The fields of each kind, in their order."""
