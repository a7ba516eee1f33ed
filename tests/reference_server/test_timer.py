"""Both timers: once, not before the moment, and the last setting counts."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable

import pytest

from policy.instant import NEVER_NS
from reference_server.timer import LoopTimer, Timer, TimerFd, open_timer
from tests.reference_server.live import MS, run

Kind = Callable[[asyncio.AbstractEventLoop, Callable[[], None]], Timer]

KINDS = [
    pytest.param(TimerFd, marks=pytest.mark.skipif(sys.platform != "linux", reason="timerfd is Linux only")),
    LoopTimer,
]


class Bell:
    """Counts how often a timer called, and lets a test wait for it."""

    def __init__(self, kind: Kind) -> None:
        self.rang_ns: list[int] = []
        self._rang = asyncio.Event()
        self.timer = kind(asyncio.get_running_loop(), self._ring)

    def _ring(self) -> None:
        self.rang_ns.append(time.perf_counter_ns())
        self._rang.set()

    async def rings(self) -> int:
        """Wait for the next call and return its moment."""
        await self._rang.wait()
        self._rang.clear()
        return self.rang_ns[-1]


@pytest.mark.parametrize("kind", KINDS)
def test_timer_set_calls_back_not_before_its_moment(kind: Kind) -> None:
    """Ten moments, each set in the callback of the one before: none is early."""

    async def scene() -> None:
        bell = Bell(kind)
        for step in range(10):
            at_ns = time.perf_counter_ns() + (step % 3) * MS + 137
            bell.timer.set(at_ns)
            assert await bell.rings() >= at_ns
        bell.timer.close()
        assert len(bell.rang_ns) == 10

    run(scene())


@pytest.mark.parametrize("kind", KINDS)
def test_timer_set_to_the_past_calls_back(kind: Kind) -> None:
    """A moment that has passed, even the zero of the clock, is due now, and as often as it is set."""

    async def scene() -> None:
        bell = Bell(kind)
        for at_ns in (time.perf_counter_ns() - MS, 0, 0):
            bell.timer.set(at_ns)
            await bell.rings()
        bell.timer.close()

    run(scene())


@pytest.mark.parametrize("kind", KINDS)
def test_timer_set_again_forgets_the_earlier_moment(kind: Kind) -> None:
    """Of an early and a late moment only the one set last is called; NEVER_NS calls off."""

    async def scene() -> None:
        bell, late = Bell(kind), Bell(kind)
        start_ns = time.perf_counter_ns()
        bell.timer.set(start_ns + 1 * MS)
        bell.timer.set(NEVER_NS)
        late.timer.set(start_ns + 1 * MS)
        late.timer.set(start_ns + 5 * MS)
        assert await late.rings() >= start_ns + 5 * MS
        assert (bell.rang_ns, len(late.rang_ns)) == ([], 1)
        bell.timer.set(start_ns + 6 * MS)  # it still works after being called off
        await bell.rings()
        bell.timer.close()
        late.timer.close()

    run(scene())


@pytest.mark.parametrize("kind", KINDS)
def test_timer_closed_does_not_call_back(kind: Kind) -> None:
    """A closed timer stays silent while a later one rings."""

    async def scene() -> None:
        closed, later = Bell(kind), Bell(kind)
        closed.timer.set(time.perf_counter_ns() + MS)
        closed.timer.close()
        later.timer.set(time.perf_counter_ns() + 3 * MS)
        await later.rings()
        later.timer.close()
        assert closed.rang_ns == []

    run(scene())


@pytest.mark.skipif(sys.platform != "linux", reason="timerfd is Linux only")
def test_open_timer_on_linux_is_a_timerfd() -> None:
    """The exact timer is taken where there is one, and it says so."""

    async def scene() -> None:
        timer = open_timer(asyncio.get_running_loop(), lambda: None)
        assert timer.kind == "timerfd"
        timer.close()

    run(scene())
