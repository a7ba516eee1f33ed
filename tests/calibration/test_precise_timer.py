"""Tests of calibration/precise_timer.py."""

from __future__ import annotations

import asyncio
import sys
import time

import pytest

from calibration import precise_timer
from calibration.precise_timer import PreciseTimer


def _fire(moments_ns: list[int], kind: str | None = None) -> tuple[int, int, str]:
    """Arm a timer for each offset in turn; return when it fired, how often, and its kind."""

    async def wait() -> tuple[int, int, str]:
        loop = asyncio.get_running_loop()
        fired = loop.create_future()
        count = 0

        def expired() -> None:
            nonlocal count
            count += 1
            if not fired.done():
                fired.set_result(time.perf_counter_ns())

        timer = PreciseTimer(loop, expired)
        start_ns = time.perf_counter_ns()
        for offset_ns in moments_ns:
            timer.arm(start_ns + offset_ns)
        at_ns = await asyncio.wait_for(fired, 5) - start_ns
        await asyncio.sleep(0.01)
        kept = timer.kind
        timer.close()
        return at_ns, count, kept

    return asyncio.run(wait())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="timerfd is Linux'")
def test_linux_timer_is_a_timerfd() -> None:
    """On Linux the timer is a timerfd: the loop's own would be up to a millisecond late."""
    assert _fire([1_000_000])[2] == "timerfd"


@pytest.mark.parametrize("has_timerfd", [True, False])
def test_armed_timer_fires_once_and_not_before(monkeypatch: pytest.MonkeyPatch, has_timerfd: bool) -> None:
    """A timer fires one time, at its moment or later, with a timerfd and without."""
    if not has_timerfd:
        monkeypatch.setattr(precise_timer, "_open_timerfd", lambda: -1)
    at_ns, count, kind = _fire([20_000_000])
    # Loops sleep by another clock than they measure with: allow its grain.
    assert at_ns >= 20_000_000 - (0 if kind == "timerfd" else 2_000_000)
    assert count == 1


@pytest.mark.parametrize("has_timerfd", [True, False])
def test_timer_armed_again_forgets_the_earlier_moment(monkeypatch: pytest.MonkeyPatch, has_timerfd: bool) -> None:
    """The last moment counts: one of a minute replaced by 5 ms fires now, and only once."""
    if not has_timerfd:
        monkeypatch.setattr(precise_timer, "_open_timerfd", lambda: -1)
    at_ns, count, _ = _fire([60_000_000_000, 5_000_000])
    assert at_ns < 4_000_000_000
    assert count == 1


def test_moment_that_has_passed_fires_at_once() -> None:
    """A moment in the past is not lost."""
    assert _fire([-1_000_000_000])[1] == 1


def test_closed_timer_fires_no_more() -> None:
    """close() disarms."""

    async def wait() -> int:
        calls: list[int] = []
        timer = PreciseTimer(asyncio.get_running_loop(), lambda: calls.append(1))
        timer.arm(time.perf_counter_ns() + 5_000_000)
        timer.close()
        await asyncio.sleep(0.03)
        return len(calls)

    assert asyncio.run(wait()) == 0
