"""Which requests have begun to come in and are not complete yet, and which of them take too long.

One timer for all: each gets the same time, so they stand in the order in which their time runs out.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

__all__ = ["Sender", "SlowSenders"]


class Sender(Protocol):
    """A connection on which a request comes in."""

    def too_slow(self) -> None:
        """The request was not complete in time. The connection is watched no longer."""


class SlowSenders:
    """The connections on which a request is coming in. Make it inside a running event loop."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._due_s: dict[Sender, float] = {}  # in the order of their time
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, sender: Sender) -> None:
        """The first bytes of a request have come; no matter if the sender is watched already."""
        if sender in self._due_s:
            return
        self._due_s[sender] = self._loop.time() + self.timeout_s
        if self._timer is None:
            self._timer = self._loop.call_later(self.timeout_s, self._look)

    def end(self, sender: Sender) -> None:
        """The request is complete, or its connection is gone; no matter if the sender is not watched."""
        self._due_s.pop(sender, None)

    def due_s(self, sender: Sender) -> float:
        """Return when a sender's time is over, on the event loop's clock; one that is not watched has all its time."""
        return self._due_s.get(sender, self._loop.time() + self.timeout_s)

    def close(self) -> None:
        """Watch nobody any longer."""
        self._due_s.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        now_s = self._loop.time()
        late = []
        for sender, due_s in self._due_s.items():
            if due_s > now_s:
                break
            late.append(sender)
        for sender in late:
            del self._due_s[sender]
            sender.too_slow()
        first_s = next(iter(self._due_s.values()), None)
        self._timer = None if first_s is None else self._loop.call_at(first_s, self._look)
