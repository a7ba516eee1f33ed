"""A timer of an asyncio loop that fires to within tens of microseconds.

The loop's own timers wait in epoll, whose timeout is rounded up to a millisecond. On Linux a timerfd wakes the loop
at an absolute moment of CLOCK_MONOTONIC, the clock of time.perf_counter_ns() there. Elsewhere loop.call_at serves,
to about a millisecond. Python has timerfd of its own from 3.13 on; before, the C library is called.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import sys
import time
from collections.abc import Callable

__all__ = ["PreciseTimer"]

_CLOCK_MONOTONIC = 1
_TFD_TIMER_ABSTIME = 1
_TFD_FLAGS = 0o4000 | 0o2000000  # TFD_NONBLOCK | TFD_CLOEXEC
_S_NS = 10**9


class _TimeSpec(ctypes.Structure):
    """struct timespec."""

    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


class _TimerSpec(ctypes.Structure):
    """struct itimerspec."""

    _fields_ = [("interval", _TimeSpec), ("value", _TimeSpec)]


class PreciseTimer:
    """Calls back once at a moment of time.perf_counter_ns(). Arming it again replaces the earlier moment."""

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop = loop
        self._callback = callback
        self._handle: asyncio.TimerHandle | None = None
        self._spec = _TimerSpec()
        self._spec_pointer = ctypes.byref(self._spec)
        self._descriptor = _open_timerfd()
        if self._descriptor >= 0:
            loop.add_reader(self._descriptor, self._expired)

    @property
    def kind(self) -> str:
        """Which timer is at work: timerfd or call_at."""
        return "timerfd" if self._descriptor >= 0 else "call_at"

    def arm(self, at_ns: int) -> None:
        """Fire at that moment, at once if it has passed."""
        if self._descriptor < 0:
            self._arm_loop(at_ns)
            return
        value = self._spec.value
        # A value of zero would disarm.
        value.seconds, value.nanoseconds = divmod(max(at_ns, 1), _S_NS)
        _libc().timerfd_settime(self._descriptor, _TFD_TIMER_ABSTIME, self._spec_pointer, None)

    def close(self) -> None:
        """Disarm for good."""
        if self._handle is not None:
            self._handle.cancel()
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _expired(self) -> None:
        """Take the expiry out of the descriptor, or it would fire again, and call back."""
        with contextlib.suppress(BlockingIOError):  # armed anew between the wake-up and now
            os.read(self._descriptor, 8)
        self._callback()

    def _arm_loop(self, at_ns: int) -> None:
        """Use the loop's own timer."""
        if self._handle is not None:
            self._handle.cancel()
        wait_ns = max(at_ns - time.perf_counter_ns(), 0)
        self._handle = self._loop.call_later(wait_ns / _S_NS, self._callback)


def _open_timerfd() -> int:
    """Return a timerfd, -1 where there is none or where perf_counter_ns reads another clock."""
    if not sys.platform.startswith("linux"):
        return -1
    if "CLOCK_MONOTONIC" not in time.get_clock_info("perf_counter").implementation:
        return -1
    try:
        return int(_libc().timerfd_create(_CLOCK_MONOTONIC, _TFD_FLAGS))
    except (AttributeError, OSError):
        return -1


_LIBRARY: list[ctypes.CDLL] = []


def _libc() -> ctypes.CDLL:
    """Return the C library, opened once."""
    if not _LIBRARY:
        _LIBRARY.append(ctypes.CDLL(None, use_errno=True))
    return _LIBRARY[0]
