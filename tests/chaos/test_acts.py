"""Every act of `make chaos` in small: the same clients, the same book, the same judge."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from tests.chaos.acts import hang_in_pass, hang_up, kill_in_pass, kill_in_rollout, overload, signal_under_load
from tests.chaos.hostile import send_malformed, send_slowly
from tests.chaos.malformed import malformed_requests
from tests.chaos.scene import Result

SMALL: dict[str, Any] = {"timed": False, "warm_up": 20}
"""How long things took is for `make chaos` on a quiet machine."""

LIMIT_S = 60.0  # of one scene: it is there to end a hang


def require_as_expected(scene: Coroutine[Any, Any, Result]) -> Result:
    """Play a scene; show what was not as expected."""
    result = asyncio.run(asyncio.wait_for(scene, LIMIT_S))
    missed = [what for what, met in result.expected if not met]
    assert missed == [], (result.notes, result.statuses)
    return result


def test_killed_replicas_fail_the_members_of_their_passes_only() -> None:
    """Three kills in a pass: everyone else is served, by the process that takes the dead one's place."""
    assert require_as_expected(kill_in_pass(3, seed=1, warm_up=20)).statuses["500"] >= 3


def test_hung_pass_is_given_up() -> None:
    """The watchdog ends it; its clients are told, and all others are served."""
    assert require_as_expected(hang_in_pass(1, seed=1, timeout_s=0.5, **SMALL)).statuses["500"] >= 1


def test_clients_that_go_leave_nothing_behind() -> None:
    """Waiting, in their pass, and in the middle of a large answer."""
    assert require_as_expected(hang_up(5, seed=1, warm_up=20)).statuses["hung up"] >= 15


def test_signal_under_load_loses_nothing() -> None:
    """What was in flight is answered, what comes later is refused."""
    assert require_as_expected(signal_under_load(16, seed=1, warm_up=20)).statuses["503"] >= 8


def test_overload_is_refused_and_the_device_stays_at_work() -> None:
    """Ten times the capacity for 1.5 s."""
    result = require_as_expected(overload(1.5, seed=1, cap=16, **SMALL))
    assert result.statuses["429"] > result.statuses["200"] / 2


def test_rollback_among_kills_loses_nothing() -> None:
    """Three seconds of kills, a rollback in the middle, then down to none and back."""
    assert require_as_expected(kill_in_rollout(3.0, seed=1, warm_up=20)).statuses["200"] > 50


def test_malformed_requests_are_told_so_and_go_no_further() -> None:
    """Each kind of `make chaos` three times."""
    require_as_expected(send_malformed(3 * 27, seed=7, warm_up=20))


def test_slow_senders_are_told_so() -> None:
    """Ten of them, half in the head and half in the body; others are served beside them."""
    assert require_as_expected(send_slowly(10, seed=1, timeout_s=1.0, **SMALL)).statuses["408"] == 10


def test_malformed_requests_are_a_function_of_the_seed() -> None:
    """The same seed gives the same bytes, another one gives others; every kind is there as often as the others."""
    first, again, other = (list(malformed_requests(54, seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    kinds = [request.kind for request in first]
    assert len(set(kinds)) == 27
    assert {kinds.count(kind) for kind in kinds} == {2}
