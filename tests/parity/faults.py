"""Faults of the engine that more than one test must find."""

from __future__ import annotations

from typing import Any

import pytest

from sim.engine import process_engine, process_replica


def decides_without_an_occasion(patch: pytest.MonkeyPatch) -> None:
    """A request that reaches the front end makes the dispatcher decide."""
    enter = process_engine._Run._enter_front_end

    def enter_and_look(self: Any, attempt: process_replica.LiveAttempt) -> None:
        self._to_decide = True
        enter(self, attempt)

    patch.setattr(process_engine._Run, "_enter_front_end", enter_and_look)
