"""Tests of calibration/load_generator.py against a small asyncio server of their own."""

from __future__ import annotations

import asyncio
import json
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from calibration.errors import BadAddress, ServerUnreachable
from calibration.load_generator import LoadGenerator
from calibration.load_plan import LoadPlan, LoadRun, PlannedOrder
from policy.dice import Stream, die
from policy.instant import UNSET
from policy.retries import JITTER_ONE, RetryRule, wait_ns
from policy.timeline import Outcome

MS = 1_000_000
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
FULL = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n"

Start = Callable[..., Any]


def _plan(url: str, arrivals_ms: list[float], **changes: Any) -> LoadPlan:
    settings: dict[str, Any] = {
        "url": url,
        "arrivals_ns": np.array([round(at * MS) for at in arrivals_ms], dtype=np.int64),
        "sizes": np.ones(len(arrivals_ms), dtype=np.int64),
        "timeouts_ns": np.zeros(0, dtype=np.int64),
        "retry": RetryRule(1, 1, 1, False),
        "seed": 11,
        "connections": 4,
        "tail_ns": 2_000 * MS,
    }
    return LoadPlan(**(settings | changes))


def _drive(plan: LoadPlan) -> LoadRun:
    async def run() -> LoadRun:
        return await LoadGenerator(plan).run()

    return asyncio.run(run())


def test_every_request_is_sent_once_with_its_number_and_size(tiny_server: Start) -> None:
    """Each request of the schedule reaches the server one time, as POST /predict with its id and its size."""
    server = tiny_server(lambda _: (0.002, OK))
    run = _drive(_plan(server.url, [float(at) for at in range(50)], sizes=np.arange(50, dtype=np.int64)))
    assert Counter(server.ids()) == Counter(f"{request}.0" for request in range(50))
    assert run.column("request").tolist() == list(range(50))
    assert run.outcomes()["answered"] == 50
    for text in server.received:
        head, body = text.split(b"\r\n\r\n")
        assert head.startswith(b"POST /predict HTTP/1.1\r\n")
        assert b"Content-Length: %d" % len(body) in head
        assert f"X-Servecast-Attempt: {json.loads(body)['size']}.0".encode() in head


def test_request_carries_what_the_model_takes(tiny_server: Start) -> None:
    """The input of the plan and the size of the request, as one JSON object, in UTF-8."""
    server = tiny_server(lambda _: (0.0, OK))
    _drive(_plan(server.url, [0.0], input='{"text":"très bien"}', sizes=np.array([3], dtype=np.int64)))
    [text] = server.received
    head, body = text.split(b"\r\n\r\n")
    assert b"Content-Length: %d" % len(body) in head
    assert json.loads(body) == {"input": {"text": "très bien"}, "size": 3}


def test_rows_hold_schedule_and_stamps(tiny_server: Start) -> None:
    """Intended moments are the schedule's to the nanosecond; nothing is sent before, nothing delivered before sent."""
    server = tiny_server(lambda _: (0.005, OK))
    arrivals = [0.0, 1.0, 1.0, 7.25, 20.0]
    run = _drive(_plan(server.url, arrivals))
    assert (run.column("intended_ns") - run.origin_ns).tolist() == [round(at * MS) for at in arrivals]
    assert (run.column("due_ns") == run.column("intended_ns")).all()
    assert (run.column("sent_ns") >= run.column("due_ns")).all()
    # The server waits 5 ms by its own clock before it answers; its timer may be early by its resolution.
    assert (run.column("delivered_ns") - run.column("sent_ns") >= 4 * MS).all()
    assert run.column("status").tolist() == [200] * 5
    assert run.column("body_bytes").tolist() == [2] * 5
    assert run.lateness.p50_ns <= run.lateness.p99_ns <= run.lateness.max_ns


def test_load_is_open_loop_and_never_waits_for_a_connection(tiny_server: Start) -> None:
    """A server that answers nobody before all 40 are there gets all 40, though 2 connections were open at first."""
    server = tiny_server(lambda _: (-1.0, OK))
    server.hold = 40
    run = _drive(_plan(server.url, [at / 2 for at in range(40)], connections=2, tail_ns=10_000 * MS))
    assert run.outcomes()["answered"] == 40
    assert run.connections >= 40


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("200 OK", Outcome.ANSWERED),
        ("201 Created", Outcome.ANSWERED),
        ("400 Bad", Outcome.FAILED),
        ("429 Full", Outcome.REFUSED),
        ("500 Broken", Outcome.FAILED),
        ("503 Draining", Outcome.REFUSED),
        ("504 Late", Outcome.TIMED_OUT),
    ],
)
def test_status_gives_the_outcome(tiny_server: Start, status: str, outcome: Outcome) -> None:
    """The outcomes are those of the timeline."""
    server = tiny_server(lambda _: (0.0, f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()))
    run = _drive(_plan(server.url, [0.0]))
    assert run.column("status").tolist() == [int(status[:3])]
    assert run.column("outcome").tolist() == [outcome]


def test_impatient_client_hangs_up(tiny_server: Start) -> None:
    """After its timeout the client closes the connection; another request on the same run is not touched."""
    server = tiny_server(lambda text: (5.0 if b": 0.0\r" in text else 0.001, OK))
    timeouts = np.array([30 * MS, 5_000 * MS], dtype=np.int64)
    run = _drive(_plan(server.url, [0.0, 1.0], timeouts_ns=timeouts))
    assert run.column("outcome").tolist() == [Outcome.ABANDONED, Outcome.ANSWERED]
    assert run.column("status").tolist() == [0, 200]
    waited = run.column("delivered_ns") - run.column("intended_ns")
    assert waited[0] >= 30 * MS
    assert server.wait_for(lambda: server.lost >= 1)


def test_refused_request_is_sent_again_after_the_wait_of_the_policy(tiny_server: Start) -> None:
    """Retries are numbered 0.1, 0.2, and each is due exactly the policy's wait, by the policy's dice, after the 429."""
    server = tiny_server(lambda text: (0.0, OK if b".2\r" in text else FULL))
    rule = RetryRule(attempts=4, backoff_ns=20 * MS, backoff_max_ns=50 * MS, jitter=True)
    run = _drive(_plan(server.url, [0.0, 3.0], retry=rule))
    assert Counter(server.ids()) == Counter(f"{request}.{attempt}" for request in (0, 1) for attempt in (0, 1, 2))
    assert run.column("outcome").tolist() == [Outcome.REFUSED, Outcome.REFUSED, Outcome.ANSWERED] * 2
    assert run.column("retry_after_s").tolist() == [3, 3, 0] * 2
    due, delivered = run.column("due_ns").tolist(), run.column("delivered_ns").tolist()
    for row, (request, attempt) in enumerate((request, attempt) for request in (0, 1) for attempt in (0, 1, 2)):
        if attempt == 0:
            continue
        jitter = die(11, Stream.BACKOFF, request, attempt - 1) % JITTER_ONE
        assert due[row] == delivered[row - 1] + wait_ns(rule, attempt - 1, jitter)
    assert (run.column("sent_ns") >= run.column("due_ns")).all()
    assert run.column("intended_ns")[2] == run.column("intended_ns")[0]


def test_refusals_end_with_the_last_attempt(tiny_server: Start) -> None:
    """A server that always refuses gets as many attempts as the rule has, no more."""
    server = tiny_server(lambda _: (0.0, FULL))
    run = _drive(_plan(server.url, [0.0], retry=RetryRule(3, MS, MS, False)))
    assert run.outcomes()["refused"] == 3
    assert len(server.received) == 3


def test_answer_that_never_comes_ends_with_the_tail(tiny_server: Start) -> None:
    """The run is bounded: what has no answer when the tail is over is in flight, without a delivery."""
    server = tiny_server(lambda _: (60.0, OK))
    run = _drive(_plan(server.url, [0.0, 1.0], tail_ns=100 * MS))
    assert run.outcomes()["in_flight"] == 2
    assert run.column("delivered_ns").tolist() == [UNSET, UNSET]


def test_server_that_closes_each_connection_is_still_loaded(tiny_server: Start) -> None:
    """Connection: close is obeyed; the next request takes another connection and none fails."""
    server = tiny_server(lambda _: (0.0, OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")))
    run = _drive(_plan(server.url, [float(at) for at in range(30)]))
    assert run.outcomes()["answered"] == 30
    assert run.connections >= 30


def test_connection_lost_under_way_is_a_failure(tiny_server: Start) -> None:
    """No response, no status: the attempt has failed, and the run goes on."""
    server = tiny_server(lambda _: (0.0, b"Connection: close"))  # no HTTP at all, and the server closes
    run = _drive(_plan(server.url, [0.0, 5.0]))
    assert run.outcomes()["failed"] == 2
    assert run.connection_losses == 2


def test_nobody_there_is_said_in_one_sentence() -> None:
    """A port without a server: ServerUnreachable."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ServerUnreachable, match=r"cannot be reached: connection refused\.") as error:
            _drive(_plan(url, [0.0]))
    assert "\n" not in str(error.value)


def test_other_machine_is_not_loaded() -> None:
    """The generator itself refuses, whoever made the plan."""
    with pytest.raises(BadAddress):
        _drive(_plan("http://192.0.2.1:80", [0.0]))


def test_requests_say_who_sends_them_and_which_version_they_name(tiny_server: Start) -> None:
    """In headers of their own; who names none says nothing of versions."""
    server = tiny_server(lambda _: (0.0, OK))
    who = {"users": np.array([7, 8, 7]), "pins": np.array([UNSET, 1, UNSET]), "versions": ("a", "b")}
    _drive(_plan(server.url, [0.0, 1.0, 2.0], **who))
    heads = sorted(text.split(b"\r\n\r\n")[0] for text in server.received)
    keys = [[line for line in head.split(b"\r\n") if line.startswith(b"X-Servecast-Key")] for head in heads]
    assert keys == [[b"X-Servecast-Key: 7"], [b"X-Servecast-Key: 8"], [b"X-Servecast-Key: 7"]]
    assert [b"X-Servecast-Version: b" in head for head in heads] == [False, True, False]


def test_orders_go_out_at_their_moment_with_the_token(tiny_server: Start) -> None:
    """Between the requests, and are none of the rows; one that is not carried out is counted."""

    def answer(text: bytes) -> tuple[float, bytes]:
        return 0.0, FULL if b"/admin/no" in text else OK

    server = tiny_server(answer)
    orders = tuple(
        PlannedOrder(round(at * MS), path, "{}", "secret") for at, path in ((15, "/admin/no"), (5, "/admin/yes"))
    )
    run = _drive(_plan(server.url, [0.0, 10.0, 30.0], orders=orders))
    assert [text.split()[1] for text in server.received] == [
        b"/predict",
        b"/admin/yes",
        b"/predict",
        b"/admin/no",
        b"/predict",
    ]
    assert b"\r\nAuthorization: Bearer secret\r\n" in server.received[1]
    assert server.received[1].endswith(b"Content-Length: 2\r\n\r\n{}")
    assert (run.orders_refused, run.outcomes()["answered"], len(run.attempts)) == (1, 3, 3)
