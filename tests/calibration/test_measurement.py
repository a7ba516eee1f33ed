"""Tests of calibration/measurement.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from calibration import measurement
from calibration.live_server import LiveServer
from calibration.load_plan import LoadPlan, LoadRun, SentAttempt
from calibration.measurement import measure_load
from calibration.pass_profiler import fixed_plan
from calibration.samples import ServerLog
from policy.timeline import Attempt, Pass


class _Server(LiveServer):
    """Keeps what it is asked, in order."""

    def __init__(self, asked: list[str]) -> None:
        super().__init__("http://127.0.0.1:4242")
        self._asked = asked
        self._cpu_s = 1.0

    def wait_until_idle(self, limit_s: float = 60.0) -> None:
        self._asked.append("idle")

    def clear_timeline(self) -> None:
        self._asked.append("clear")

    def cpu_s(self) -> float:
        self._asked.append("cpu")
        self._cpu_s += 0.5
        return self._cpu_s

    def timeline(self) -> ServerLog:
        self._asked.append("timeline")
        rows = np.zeros((1, len(Attempt._fields)), dtype=np.int64)
        return ServerLog(rows, np.zeros((0, len(Pass._fields)), dtype=np.int64), 0)


def test_load_is_measured_on_a_server_at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rest, an empty log, the CPU clock before and after the load, rest, the log: in this order."""
    asked: list[str] = []

    def drive(plan: LoadPlan, progress: Any = None) -> LoadRun:
        asked.append(f"drive {plan.url}")
        return LoadRun(0, np.zeros((1, len(SentAttempt._fields)), dtype=np.int64), 1, 0, "timerfd")

    monkeypatch.setattr(measurement, "drive", drive)
    measured = measure_load(_Server(asked), fixed_plan(np.zeros(1, dtype=np.int64), 1))
    assert asked == ["idle", "clear", "cpu", "drive http://127.0.0.1:4242", "cpu", "idle", "timeline"]
    assert measured.server_cpu_s == 0.5
    assert len(measured.timeline().attempts) == 1
