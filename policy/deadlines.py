"""The two clocks that end a request early, and what its end does to the batch it waits in.

The server's deadline runs from the enqueue and answers 504; the client's timeout runs from the send and hangs up.
"""

from __future__ import annotations

from typing import NamedTuple

from policy.instant import NEVER_NS

__all__ = ["DeadlineRule", "due_ns", "frees_its_place"]


class DeadlineRule(NamedTuple):
    """Settings of the server's time limit; policy/settings.py builds and checks them."""

    deadline_ns: int  # from the enqueue to the 504; NEVER_NS: no limit


def due_ns(rule: DeadlineRule, enqueued_ns: int) -> int:
    """Return when the server gives the request up, NEVER_NS if it does not."""
    if rule.deadline_ns == NEVER_NS:
        return NEVER_NS
    return enqueued_ns + rule.deadline_ns


def frees_its_place(frozen: bool) -> bool:
    """Return whether a request that ends early leaves its batch.

    Before its batch is frozen it does; after, the pass runs with it and its answer is discarded.
    """
    return not frozen
