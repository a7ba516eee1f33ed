"""A timer on the clock of time.perf_counter_ns that is late by tens of microseconds, not by milliseconds.

asyncio's own timers wake by the timeout of epoll, which counts whole milliseconds: they are 1 to 2 ms late, as much as
a batch may be allowed to wait. Linux' timerfd is exact and wakes the loop like a socket. Elsewhere the loop's timers
have to do; `kind` says which it is.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
import time
from collections.abc import Callable
from typing import Protocol

from policy.instant import NEVER_NS

__all__ = ["LoopTimer", "Timer", "TimerFd", "open_timer"]

_CLOCK_MONOTONIC = 1  # the clock of time.perf_counter_ns on Linux
_TFD_TIMER_ABSTIME = 1
_FLAGS = os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0)  # TFD_NONBLOCK and TFD_CLOEXEC have these values


class Timer(Protocol):
    """One alarm; setting it replaces what was set before."""

    kind: str

    def set(self, at_ns: int) -> None:
        """Call back once at this moment, or at once if it has passed; NEVER_NS: not at all."""

    def close(self) -> None:
        """Never call back again."""


def open_timer(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> Timer:
    """Return the best timer that this system has."""
    if sys.platform == "linux":
        try:
            return TimerFd(loop, callback)
        except (AttributeError, OSError):  # a libc or a sandbox without timerfd
            pass
    return LoopTimer(loop, callback)


class TimerFd:
    """An alarm by timerfd (Linux)."""

    kind = "timerfd"

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._settime = libc.timerfd_settime
        self._descriptor: int = libc.timerfd_create(_CLOCK_MONOTONIC, _FLAGS)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        self._loop = loop
        self._callback = callback
        self._at_ns = NEVER_NS
        self._spec = (ctypes.c_long * 4)()  # struct itimerspec: interval (s, ns), value (s, ns); value 0 disarms
        loop.add_reader(self._descriptor, self._fire)

    def set(self, at_ns: int) -> None:
        """Call back once at this moment, or at once if it has passed; NEVER_NS: not at all."""
        if at_ns == self._at_ns:
            return
        self._at_ns = at_ns
        self._spec[2], self._spec[3] = (0, 0) if at_ns == NEVER_NS else divmod(max(at_ns, 1), 10**9)
        self._settime(self._descriptor, _TFD_TIMER_ABSTIME, self._spec, None)

    def close(self) -> None:
        """Never call back again."""
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)

    def _fire(self) -> None:
        self._at_ns = NEVER_NS
        try:
            os.read(self._descriptor, 8)
        except BlockingIOError:
            return  # it was set anew between the wake-up and now
        self._callback()


class LoopTimer:
    """An alarm by the event loop: late by up to 2 ms."""

    kind = "event loop"

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop = loop
        self._callback = callback
        self._at_ns = NEVER_NS
        self._handle: asyncio.TimerHandle | None = None

    def set(self, at_ns: int) -> None:
        """Call back once at this moment, or at once if it has passed; NEVER_NS: not at all."""
        if at_ns == self._at_ns:
            return
        self.close()
        self._at_ns = at_ns
        if at_ns != NEVER_NS:
            self._handle = self._loop.call_later((at_ns - time.perf_counter_ns()) / 1e9, self._fire)

    def close(self) -> None:
        """Never call back again."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _fire(self) -> None:
        at_ns, self._at_ns = self._at_ns, NEVER_NS
        if time.perf_counter_ns() < at_ns:  # the loop's clock is coarser than ours
            self.set(at_ns)
        else:
            self._callback()
