"""Faults of the engine that more than one test must find."""

from __future__ import annotations

from typing import Any

import pytest

from policy import dice, faults
from policy.instant import NEVER_NS
from sim.engine import process_engine, process_replica


def decides_without_an_occasion(patch: pytest.MonkeyPatch) -> None:
    """A request that reaches the front end makes the dispatcher decide."""
    enter = process_engine._Run._enter_front_end

    def enter_and_look(self: Any, attempt: process_replica.LiveAttempt) -> None:
        self._to_decide = True
        enter(self, attempt)

    patch.setattr(process_engine._Run, "_enter_front_end", enter_and_look)


def takes_the_whole_start_again(patch: pytest.MonkeyPatch) -> None:
    """A replica that has crashed gets a new machine and a new image."""
    patch.setattr(process_engine, "cold_start_ns", lambda *keys: dice.cold_start_ns(*keys[:-1], 0))


def never_crashes(patch: pytest.MonkeyPatch) -> None:
    """Every life lasts for ever."""
    patch.setattr(process_engine, "crash_after_ns", lambda *keys: NEVER_NS // 2)


def crashes_when_idle_alone(patch: pytest.MonkeyPatch) -> None:
    """A pass that runs keeps its replica alive."""
    crash = process_engine._Run._crash

    def spare(self: Any, life: process_replica.Life) -> None:
        if self._versions.running_on(life.replica, life.instance) is None:
            crash(self, life)

    patch.setattr(process_engine._Run, "_crash", spare)


def first_passes_never_end(patch: pytest.MonkeyPatch) -> None:
    """An instance is new for ever."""
    patch.setattr(process_engine, "spread_with_faults", lambda *rest: faults.spread_with_faults(*rest[:-1], 0))


def first_passes_come_once(patch: pytest.MonkeyPatch) -> None:
    """A restarted instance is as warm as the one before."""
    start = process_engine._Run.__init__

    class Kept(dict[Any, Any]):
        def pop(self, *args: Any) -> None:
            """Forget nothing."""

    def keep(self: Any, given: Any) -> None:
        start(self, given)
        self._passes_begun = Kept()

    patch.setattr(process_engine._Run, "__init__", keep)


def nobody_is_slow(patch: pytest.MonkeyPatch) -> None:
    """All replicas are as fast."""
    patch.setattr(process_engine, "is_slow", lambda rule, bits: False)
