"""Tests of calibration/live_server.py against a small server that answers as a servecast server does."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest

from calibration import live_server
from calibration.errors import BadAddress, BadSamples, ServerUnreachable
from calibration.live_server import LiveServer
from policy.timeline import Attempt, Pass

Start = Callable[..., Any]

METRICS = (
    "# HELP process_cpu_seconds_total Total user and system CPU time spent in seconds.\n"
    "process_cpu_seconds_total {cpu}\n"
    'servecast_requests_total{{outcome="answered"}} 5.0\n'
    'servecast_waiting_requests{{version="v1"}} {waiting}\nservecast_waiting_requests{{version="v2"}} 0\n'
    'servecast_running_passes{{version="v1"}} 0\nservecast_running_passes{{version="v2"}} {running}\n'
)


def _response(content: object, status: str = "200 OK") -> bytes:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (status.encode(), len(body), body)


def _metrics(cpu: float = 1.5, waiting: float = 0.0, running: float = 0.0) -> bytes:
    return _response(METRICS.format(cpu=cpu, waiting=waiting, running=running).encode())


def _replicas(wanted: float, ready: float) -> bytes:
    gauges = {"servecast_wanted_replicas": wanted, "servecast_ready_replicas": ready}
    return _response("".join(f'{name}{{version="v1"}} {value}\n' for name, value in gauges.items()).encode())


def _serve(start: Start, answers: dict[str, Callable[[], bytes]]) -> LiveServer:
    def reply(text: bytes) -> tuple[float, bytes]:
        method, path, _ = text.split(b"\r\n")[0].decode().split(" ")
        return 0.0, answers.get(f"{method} {path}", lambda: _response({"error": "No."}, "404 Not Found"))()

    return LiveServer(start(reply).url)


def test_ready_server_is_ready(tiny_server: Start) -> None:
    """200 of /health is ready."""
    _serve(tiny_server, {"GET /health": lambda: _response({"status": "ready"})}).require_ready()


def test_draining_server_is_not_ready(tiny_server: Start) -> None:
    """503 of /health is said."""
    server = _serve(tiny_server, {"GET /health": lambda: _response({}, "503 Service Unavailable")})
    with pytest.raises(ServerUnreachable, match="not ready: GET /health answers 503"):
        server.require_ready()


def test_cpu_time_is_read_from_metrics(tiny_server: Start) -> None:
    """The server's own process, in seconds."""
    assert _serve(tiny_server, {"GET /metrics": lambda: _metrics(cpu=12.25)}).cpu_s() == 12.25


def test_idle_is_waited_for(tiny_server: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither waiting requests nor a running pass may be left; it asks until that is so."""
    monkeypatch.setattr(live_server, "_POLL_S", 0.001)
    states = [(3.0, 1.0), (0.0, 1.0), (0.0, 0.0), (9.0, 9.0)]
    asked: list[tuple[float, float]] = []

    def answer() -> bytes:
        asked.append(states[len(asked)])
        return _metrics(waiting=asked[-1][0], running=asked[-1][1])

    _serve(tiny_server, {"GET /metrics": answer}).wait_until_idle()
    assert asked == states[:3]


def test_server_that_is_never_idle_is_given_up(tiny_server: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait is bounded, and says what is the matter."""
    monkeypatch.setattr(live_server, "_POLL_S", 0.001)
    server = _serve(tiny_server, {"GET /metrics": lambda: _metrics(waiting=1.0)})
    with pytest.raises(BadSamples, match="was not idle within 0 s: something else loads it"):
        server.wait_until_idle(limit_s=0.003)


@pytest.mark.parametrize(("rest_polls", "asked_often"), [(0, 3), (2, 8)])
def test_replicas_are_at_rest_when_they_have_stayed(
    tiny_server: Start, monkeypatch: pytest.MonkeyPatch, rest_polls: int, asked_often: int
) -> None:
    """A move that an earlier load is still to bring starts the wait anew."""
    monkeypatch.setattr(live_server, "_POLL_S", 0.001)
    states = [(3.0, 3.0), (2.0, 3.0), (2.0, 2.0), (2.0, 2.0), (3.0, 2.0), *[(2.0, 2.0)] * 9]
    asked: list[tuple[float, float]] = []

    def answer() -> bytes:
        asked.append(states[len(asked)])
        return _replicas(*asked[-1])

    _serve(tiny_server, {"GET /metrics": answer}).wait_for_replicas(2, rest_s=rest_polls * 0.001)
    assert asked == states[:asked_often]


def test_fleet_that_does_not_come_to_rest_is_given_up(tiny_server: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait is bounded, the longer the rest is; and it says which setting to look at."""
    monkeypatch.setattr(live_server, "_POLL_S", 0.001)
    server = _serve(tiny_server, {"GET /metrics": lambda: _replicas(3.0, 3.0)})
    with pytest.raises(BadSamples, match=r"did not come to rest at 2 replicas within 0 s: let fleet\.replicas be"):
        server.wait_for_replicas(2, rest_s=0.001, limit_s=0.003)


def test_timeline_is_read_page_by_page(tiny_server: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages are asked for until one is not full; attempts and passes may end at different pages."""
    monkeypatch.setattr(live_server, "_PAGE_ROWS", 2)
    attempts = [[row] * len(Attempt._fields) for row in range(5)]
    passes = [[row] * len(Pass._fields) for row in range(2)]

    def page(offset: int) -> Callable[[], bytes]:
        return lambda: _response(
            {
                "attempt_columns": Attempt._fields,
                "attempts": attempts[offset : offset + 2],
                "pass_columns": Pass._fields,
                "passes": passes[offset : offset + 2],
                "dropped": 0,
            }
        )

    answers = {f"GET /timeline?offset={offset}&limit=2": page(offset) for offset in (0, 2, 4)}
    log = _serve(tiny_server, answers).timeline()
    assert log.attempts.tolist() == attempts
    assert log.passes.tolist() == passes


def test_timeline_is_cleared_by_post(tiny_server: Start) -> None:
    """A server that does not know how is no server for a calibration."""
    _serve(tiny_server, {"POST /timeline/clear": lambda: _response({"cleared": 3})}).clear_timeline()
    with pytest.raises(ServerUnreachable, match="does not clear its timeline: it answers 404"):
        _serve(tiny_server, {}).clear_timeline()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (_response(b"<html>", "200 OK"), "no servecast server: GET /config answers 200"),
        (_response({"error": "No."}, "404 Not Found"), "no servecast server: GET /config answers 404"),
        (_response([1, 2]), "no servecast server"),
        (b"SSH-2.0-OpenSSH\r\n\r\nConnection: close", "gives no answer that is HTTP"),
        (b"Connection: close", "gives no answer that is HTTP"),
    ],
)
def test_something_else_at_the_address_is_said(tiny_server: Start, answer: bytes, said: str) -> None:
    """Whatever answers there, the user reads one sentence."""
    with pytest.raises(ServerUnreachable, match=said) as error:
        _serve(tiny_server, {"GET /config": lambda: answer}).config()
    assert "\n" not in str(error.value)


def test_metrics_without_the_figures_are_said(tiny_server: Start) -> None:
    """The first figure that is missing is named."""
    with pytest.raises(ServerUnreachable, match="GET /metrics lacks process_cpu_seconds_total"):
        _serve(tiny_server, {"GET /metrics": lambda: _response(b"up 1\n")}).cpu_s()


def test_nobody_there_is_said() -> None:
    """A port without a server, and an address that is not this machine's."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(ServerUnreachable, match=r"cannot be reached: connection refused\."):
            LiveServer(f"http://127.0.0.1:{taken.getsockname()[1]}").require_ready()
    with pytest.raises(BadAddress):
        LiveServer("http://203.0.113.5:80")


def test_server_must_stay_the_one_it_was(tiny_server: Start) -> None:
    """The first answer is what later ones are compared with."""
    run_ids = iter(["a", "a", "b"])
    server = _serve(tiny_server, {"GET /config": lambda: _response({"run_id": next(run_ids)})})
    server.require_unchanged()
    server.require_unchanged()
    with pytest.raises(BadSamples, match="changed in mid-run: it was started anew"):
        server.require_unchanged()


def test_server_that_comes_back_as_another_is_waited_for(tiny_server: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a supervisor starts it anew nobody answers; what happened is said all the same."""
    monkeypatch.setattr(live_server, "_POLL_S", 0.001)
    answers = iter([{"run_id": "a"}, None, None, {"run_id": "b"}])

    def config() -> bytes:
        answer = next(answers)
        return b"Connection: close" if answer is None else _response(answer)

    server = _serve(tiny_server, {"GET /config": config})
    server.require_unchanged()
    with pytest.raises(BadSamples, match="changed in mid-run: it was started anew"):
        server.require_unchanged()


def test_server_that_goes_away_in_mid_run_is_said(tiny_server: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was there, so "cannot be reached" would be half of the truth."""
    monkeypatch.setattr(live_server, "_POLL_S", 0.0)
    answers = iter([_response({})])
    server = _serve(tiny_server, {"GET /config": lambda: next(answers, b"Connection: close")})
    server.require_unchanged()
    with pytest.raises(ServerUnreachable, match=r"^The server at http://127\.0\.0\.1:\d+ went away in mid-run\.$"):
        server.require_unchanged()
