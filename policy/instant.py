"""The law of an instant: in which order the changes of one nanosecond are taken in before anything is decided.

Every driver sorts the changes of an instant by (change, first key, second key), takes all of them in, and then decides
one decision at a time, each seeing the one before, until nothing more is to be decided: admissions in the order of
their arrivals; then closed batches go to idle instances, oldest batch first, to the idle instance of the lowest index;
then collectors decide (policy/batching.py), and what one closes is handed over at once where that can be. Every cycle
costs at least 1 ns, so an instant ends. A run begins with a decision at time 0, before anything has happened. A timer
that a rule asked for changes nothing: it only brings about an instant.
"""

from __future__ import annotations

from enum import IntEnum

__all__ = ["NEVER_NS", "UNSET", "Change"]

NEVER_NS = 2**62
"""A moment after every other one: "do not ask again until something changes"."""

UNSET = -1
"""A time, index or serial that does not exist (yet)."""


class Change(IntEnum):
    """What can happen in an instant. The numbers are the order in which changes are taken in."""

    RETURNED = 0  # an instance returned a pass, failed or became ready; keys: replica, instance
    DEADLINE = 1  # the server's own time limit of a request ran out (504); keys: request, attempt
    HANG_UP = 2  # the client's patience ran out and it closed the connection; keys: request, attempt
    SENT = 3  # an attempt reached the front end; keys: request, attempt
    ARRIVED = 4  # an attempt left the front end and reached the dispatcher; keys: request, attempt
