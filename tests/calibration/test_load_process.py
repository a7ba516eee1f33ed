"""Tests of calibration/load_process.py: the generator behind its pipe."""

from __future__ import annotations

import dataclasses
import io
import socket
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from calibration import load_process
from calibration.errors import BadAddress, CalibrationError, ServerUnreachable
from calibration.load_plan import LoadPlan
from calibration.load_process import drive
from policy.retries import RetryRule

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def _plan(url: str, requests: int = 20) -> LoadPlan:
    return LoadPlan(
        url=url,
        arrivals_ns=np.arange(requests, dtype=np.int64) * 1_000_000,
        sizes=np.ones(requests, dtype=np.int64),
        timeouts_ns=np.zeros(0, dtype=np.int64),
        retry=RetryRule(1, 1, 1, False),
        seed=1,
        connections=4,
        tail_ns=2_000_000_000,
    )


def test_plan_is_driven_from_another_process(tiny_server: Callable[..., Any]) -> None:
    """The rows come back through the pipe, and progress is told in shares."""
    server = tiny_server(lambda _: (0.002, OK))
    told: list[float] = []
    run = drive(_plan(server.url), told.append)
    assert run.outcomes()["answered"] == 20
    assert len(server.received) == 20
    assert all(0 < share <= 1 for share in told)


def test_child_keeps_to_the_cores_of_its_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that the server leaves to it, if any; a core that is not there does no harm."""
    bound: list[object] = []

    def bind(pid: int, cores: object) -> None:
        bound.append((pid, cores))
        raise OSError("no such core")

    monkeypatch.setattr(load_process.os, "sched_setaffinity", bind)
    for cores in ((0, 2), ()):
        plan = dataclasses.replace(_plan("http://127.0.0.1:1"), cores=cores)
        monkeypatch.setattr(load_process.sys, "stdin", SimpleNamespace(buffer=io.BytesIO(plan.to_bytes())))
        assert load_process.main() == 4  # nobody answers at that port
    assert bound == [(0, (0, 2))]


def test_child_that_is_slow_to_start_gets_the_whole_plan(
    monkeypatch: pytest.MonkeyPatch, tiny_server: Callable[..., Any]
) -> None:
    """A plan of 80 kB, more than a pipe holds, for a child that reads only after several of the parent's polls."""
    server = tiny_server(lambda _: (0.0, OK))
    popen = subprocess.Popen

    def start_late(command: list[str], **settings: Any) -> subprocess.Popen[bytes]:
        return popen(["sh", "-c", 'sleep 0.7; exec "$@"', "sh", *command], **settings)

    monkeypatch.setattr(load_process.subprocess, "Popen", start_late)
    monkeypatch.setattr(load_process, "_START_S", 10.0)
    plan = dataclasses.replace(_plan(server.url, 5_000), arrivals_ns=np.arange(5_000, dtype=np.int64) * 100_000)
    assert len(plan.to_bytes()) > 80_000
    assert len(drive(plan).attempts) == 5_000


def test_child_imports_neither_forecast_nor_server() -> None:
    """The measuring instrument is light: what it need not have cannot disturb it."""
    code = (
        "import sys, calibration.load_process;"
        "heavy = {'sim', 'pydantic', 'scipy', 'simpy', 'aiohttp', 'reference_server'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_unreachable_server_is_told_from_the_child() -> None:
    """The child's sentence is the parent's error."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(ServerUnreachable, match="cannot be reached"):
            drive(_plan(f"http://127.0.0.1:{taken.getsockname()[1]}"))


def test_other_machine_is_refused_before_a_process_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """No child is started for an address that is not this machine's."""

    def start(*_args: object, **_settings: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(load_process.subprocess, "Popen", start)
    with pytest.raises(BadAddress):
        drive(_plan("http://198.51.100.1:80"))


def test_child_that_dies_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken child gives its last line, not a traceback."""
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    with pytest.raises(CalibrationError, match=r"^The load process failed: .*\.$") as error:
        drive(_plan("http://127.0.0.1:9"))
    assert "\n" not in str(error.value)


def test_child_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch, tiny_server: Callable[..., Any]) -> None:
    """The parent waits for a bounded time and leaves no process behind."""
    server = tiny_server(lambda _: (60.0, OK))
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def start(*args: Any, **settings: Any) -> subprocess.Popen[bytes]:
        started.append(popen(*args, **settings))
        return started[-1]

    monkeypatch.setattr(load_process.subprocess, "Popen", start)
    monkeypatch.setattr(load_process, "_START_S", -1.4)  # the limit falls to 0.6 s
    with pytest.raises(CalibrationError, match="did not end"):
        drive(_plan(server.url))
    assert started[0].poll() is not None
