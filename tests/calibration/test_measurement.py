"""Tests of calibration/measurement.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from calibration import measurement
from calibration.errors import BadSamples, ServerUnreachable
from calibration.host import HostLoad
from calibration.live_server import LiveServer
from calibration.load_plan import LoadPlan, LoadRun, SentAttempt
from calibration.measurement import Measurement, measure_load
from calibration.pass_profiler import fixed_plan
from calibration.samples import ServerLog
from policy.timeline import Attempt, Pass, Scaling


class _Server(LiveServer):
    """Keeps what it is asked, in order."""

    def __init__(self, asked: list[str]) -> None:
        super().__init__("http://127.0.0.1:4242")
        self._asked = asked
        self._cpu_s = 1.0
        self.configs: list[dict[str, object]] = []  # of the next answers; then none

    def config(self) -> dict[str, object]:
        self._asked.append("config")
        return self.configs.pop(0) if self.configs else {}

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


PLAN = fixed_plan(np.zeros(1, dtype=np.int64), 1)


def _no_run() -> LoadRun:
    """Return a load of one request that took no time."""
    return LoadRun(0, np.zeros((1, len(SentAttempt._fields)), dtype=np.int64), 1, 0, "timerfd")


def _drive_nothing(monkeypatch: pytest.MonkeyPatch, asked: list[str]) -> None:
    """Put a load of one request that costs no time in the place of a real one."""

    def drive(plan: LoadPlan, progress: Any = None) -> LoadRun:
        asked.append(f"drive {plan.url}")
        return _no_run()

    monkeypatch.setattr(measurement, "drive", drive)


def test_load_is_measured_on_a_server_at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rest, an empty log, the CPU clock before and after the load, rest, the log: in this order."""
    asked: list[str] = []
    _drive_nothing(monkeypatch, asked)
    measured = measure_load(_Server(asked), PLAN)
    in_order = ["config", "idle", "clear", "cpu", "drive http://127.0.0.1:4242", "config", "cpu", "idle", "timeline"]
    assert asked == [*in_order, "config"]
    assert measured.server_cpu_s == 0.5
    assert len(measured.timeline().attempts) == 1


@pytest.mark.parametrize(
    ("scalings", "at_work_ns"),
    [
        ([(300, 0, 2, 0), (450, 0, 4, 1)], 700),
        ([(450, 0, 4, 1)], None),  # the row of the start is gone from the server's log
        ([], None),
    ],
)
def test_autoscalers_have_been_at_work_since_the_servers_start(
    scalings: list[tuple[int, ...]], at_work_ns: int | None
) -> None:
    """The load began at 1000 on the clock on which the server's first row says 300."""
    rows = np.array(scalings, dtype=np.int64).reshape(-1, len(Scaling._fields))
    log = ServerLog(np.zeros((0, 1)), np.zeros((0, 1)), 0, scalings=rows)
    run = LoadRun(1000, np.zeros((0, len(SentAttempt._fields)), dtype=np.int64), 1, 0, "timerfd")
    assert Measurement(run, log, HostLoad(0.0, 0.0), 0.5, 1.0).at_work_ns == at_work_ns


def test_load_asks_what_the_servers_model_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans without an address, such as bursts, get it with the address."""
    sent: list[LoadPlan] = []
    monkeypatch.setattr(measurement, "drive", lambda plan, _: (sent.append(plan), _no_run())[1])
    server = _Server([])
    server.input_text = '{"text":"great movie"}'
    measure_load(server, PLAN)
    assert [(plan.url, plan.input) for plan in sent] == [("http://127.0.0.1:4242", '{"text":"great movie"}')]


def test_load_keeps_to_the_cores_that_the_server_keeps_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """What computes passes has its core to itself; a server that says nothing leaves the load all of them."""
    sent: list[LoadPlan] = []
    monkeypatch.setattr(measurement, "drive", lambda plan, _: (sent.append(plan), _no_run())[1])
    server, silent = _Server([]), _Server([])
    server.configs = [{"front_end_cores": [0, 2]}, {"front_end_cores": [0, 2]}]
    silent.configs = [{"front_end_cores": None}, {"front_end_cores": None}]
    for each in (server, silent):
        measure_load(each, PLAN)
    assert [plan.cores for plan in sent] == [(0, 2), ()]


def test_server_that_is_started_anew_in_mid_run_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows and CPU time of two processes are no measurement, however well the second one answers."""
    _drive_nothing(monkeypatch, [])
    server = _Server([])
    server.configs = [{"run_id": "a"}, {"run_id": "b"}]
    with pytest.raises(BadSamples, match=r"changed in mid-run: it was started anew; measure it again\."):
        measure_load(server, PLAN)


def test_server_that_changes_between_two_loads_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A campaign is of one server: its second load is not taken from another one at the same address."""
    _drive_nothing(monkeypatch, [])
    server = _Server([])
    server.configs = [{"queue": {"cap": 4}}] * 3 + [{"queue": {"cap": 5}}]
    measure_load(server, PLAN)
    with pytest.raises(BadSamples, match=r"changed in mid-run: queue\.cap was 4 and is 5; measure it again\."):
        measure_load(server, PLAN)


def test_load_that_meets_a_closed_port_is_told_by_what_became_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is being started anew refuses connections for a moment; unchanged, the refusal itself is told."""

    def drive(plan: LoadPlan, progress: Any = None) -> LoadRun:
        raise ServerUnreachable("refused")

    monkeypatch.setattr(measurement, "drive", drive)
    for run_id, error, said in (("b", BadSamples, "it was started anew"), ("a", ServerUnreachable, "refused")):
        server = _Server([])
        server.configs = [{"run_id": "a"}, {"run_id": run_id}]
        with pytest.raises(error, match=said):
            measure_load(server, PLAN)
