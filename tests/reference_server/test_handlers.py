"""The server over HTTP: each answer that it can give, and the sentence of each refusal."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from policy.timeline import Outcome, Reason
from reference_server.app import ReferenceServer
from reference_server.request_text import NUMBER_MAX
from tests.reference_server.gate import ECHO, GATED, Gate
from tests.reference_server.live import MS, connected, run, running, server_settings, until

ONE_MIB = 2**20


def test_prediction_is_answered_and_leaves_a_row() -> None:
    """Output, batch size and pass time come back; the row tells the way in ascending moments."""

    async def scene() -> None:
        async with running(server_settings()) as (_, client):
            reply = await client.predict("hello", number="7.2", size=30)
            assert (reply.status, reply.json["output"], reply.json["batch_size"]) == (200, {"bytes": 7}, 1)
            assert reply.json["pass_ms"] >= 1.0
            (row,) = await client.attempts()
            assert (row.request, row.attempt, row.size, row.outcome) == (7, 2, 30, Outcome.ANSWERED)
            there = [row.received_ns, row.enqueued_ns, row.closed_ns, row.started_ns]
            back = [row.ended_ns, row.returned_ns, row.answered_ns]
            assert there + back == sorted(there + back)
            assert (row.intended_ns, row.sent_ns, row.delivered_ns) == (-1, -1, -1)

    run(scene())


def test_requests_without_a_number_are_numbered_by_the_server() -> None:
    """From 2**40 up, where no client's number can be."""

    async def scene() -> None:
        async with running(server_settings(backend=ECHO)) as (_, client):
            await client.predict()
            await client.predict()
            rows = await client.attempts()
            assert [(row.request, row.attempt) for row in rows] == [(NUMBER_MAX, 0), (NUMBER_MAX + 1, 0)]

    run(scene())


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "sentence"),
    [
        (
            "POST",
            "/predict",
            b"nonsense",
            {},
            400,
            'The body must be a JSON object such as {"input": "some text", "size": 1}.',
        ),
        (
            "POST",
            "/predict",
            b'{"input": 1}',
            {"X-Servecast-Attempt": "7"},
            400,
            "X-Servecast-Attempt must be <request>.<attempt>, two whole numbers below 2**40. Got '7'.",
        ),
        ("POST", "/predict", b"x" * (ONE_MIB + 1), {}, 413, "The body may have at most 1048576 bytes."),
        (
            "POST",
            "/predict",
            b"not gzip",
            {"Content-Encoding": "gzip"},
            400,
            "The body does not match its Content-Encoding or Transfer-Encoding.",
        ),
        ("GET", "/predict", b"", {}, 405, "/predict takes POST only."),
        ("POST", "/health", b"", {}, 405, "/health takes GET only."),
        ("GET", "/timeline/clear", b"", {}, 405, "/timeline/clear takes POST only."),
        ("GET", "/timeline?limit=0", b"", {}, 400, "limit must be a whole number, at least 1. Got '0'."),
        ("GET", "/timeline?offset=-1", b"", {}, 400, "offset must be a whole number, at least 0. Got '-1'."),
        ("GET", "/", b"", {}, 404, "There is nothing here: try POST /predict or GET /health."),
    ],
)
def test_malformed_request_is_turned_away_in_one_sentence(
    method: str, path: str, body: bytes, headers: dict[str, str], status: int, sentence: str
) -> None:
    """It leaves no row, is counted by status, and the server goes on."""

    async def scene() -> None:
        async with running(server_settings(backend=ECHO)) as (_, client):
            reply = await client.ask(method, path, data=io.BytesIO(body) if body else None, headers=headers)
            assert (reply.status, reply.error) == (status, sentence)
            assert reply.headers["Content-Type"] == "application/json"
            assert (reply.headers.get("Allow") or "") in sentence
            assert ("Allow" in reply.headers) == (status == 405)
            has_no_end = status == 413 or body == b"not gzip"  # what comes behind could be part of it
            assert (reply.headers.get("Connection") == "close") == has_no_end
            metrics = (await client.ask("GET", "/metrics")).text
            assert f'servecast_malformed_requests_total{{status="{status}"}} 1.0' in metrics
            assert (await client.predict()).status == 200
            assert len(await client.attempts()) == 1

    run(scene())


def test_body_too_large_without_a_length_is_turned_away() -> None:
    """A chunked body is counted while it comes in."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 100

    async def scene() -> None:
        async with running(server_settings(backend=ECHO, body_limit=1_000)) as (_, client):
            reply = await client.ask("POST", "/predict", data=chunks())
            assert (reply.status, reply.error) == (413, "The body may have at most 1000 bytes.")

    run(scene())


def test_client_that_waits_for_a_go_ahead_gets_one() -> None:
    """Expect: 100-continue, as curl sends it before large bodies, is answered, and then the request is."""

    async def scene() -> None:
        async with running(server_settings(backend=ECHO)) as (_, client):
            reply = await client.ask("POST", "/predict", data=b'{"input": 5}', expect100=True)
            assert reply.json["output"] == 5

    run(scene())


def test_number_in_flight_is_a_conflict(tmp_path: Path) -> None:
    """409 for the second; the first is not harmed, and afterwards the number is free again."""

    async def scene() -> None:
        async with Gate(tmp_path) as gate:
            settings = server_settings(backend=GATED, backend_settings=gate.settings)
            async with running(settings) as (_, client):
                first = asyncio.create_task(client.predict(number="5.0"))
                held = await gate.pass_started()
                reply = await client.predict(number="5.0")
                assert (reply.status, reply.error) == (409, "Attempt 5.0 is in flight already.")
                held.end()
                assert (await first).status == 200
                again = asyncio.create_task(client.predict(number="5.0"))
                (await gate.pass_started()).end()
                assert (await again).status == 200

    run(scene())


def test_full_queue_refuses_with_retry_after(tmp_path: Path) -> None:
    """Cap 1: one runs, one waits, the third is told to come back; its row says why."""

    async def scene() -> None:
        async with Gate(tmp_path) as gate:
            settings = server_settings(cap=1, backend=GATED, backend_settings=gate.settings)
            async with running(settings) as (_, client):
                first = asyncio.create_task(client.predict(number="0.0"))
                held = await gate.pass_started()
                second = asyncio.create_task(client.predict(number="1.0"))
                await until(lambda: client.has_waiting(1))
                third = await client.predict(number="2.0")
                assert (third.status, third.error) == (429, "The queue is full; try again later.")
                assert int(third.headers["Retry-After"]) >= 1
                held.end()
                (await gate.pass_started()).end()
                assert [(await first).status, (await second).status] == [200, 200]
                refused = next(row for row in await client.attempts() if row.request == 2)
                assert (refused.outcome, refused.reason) == (Outcome.REFUSED, Reason.QUEUE_FULL)
                assert refused.enqueued_ns <= refused.answered_ns
                assert refused.closed_ns == -1

    run(scene())


def test_deadline_in_a_running_pass_is_answered_504(tmp_path: Path) -> None:
    """The answer does not wait for the pass, which runs on; its row comes when the pass is over."""

    async def scene() -> None:
        async with Gate(tmp_path) as gate:
            settings = server_settings(deadline_ns=20 * MS, backend=GATED, backend_settings=gate.settings)
            async with running(settings) as (_, client):
                late = asyncio.create_task(client.predict(number="0.0"))
                held = await gate.pass_started()
                reply = await late
                assert (reply.status, reply.error) == (
                    504,
                    "The request was not answered within the server's deadline.",
                )
                assert await client.attempts() == []
                held.end()
                await until(lambda: client.has_rows(1))
                (row,) = await client.attempts()
                assert row.outcome == Outcome.TIMED_OUT
                assert row.enqueued_ns + 20 * MS <= row.answered_ns <= row.returned_ns

    run(scene())


def test_client_that_hangs_up_frees_its_place(tmp_path: Path) -> None:
    """With cap 1 the next request takes the place; without the hang-up it would be refused."""

    async def scene() -> None:
        async with Gate(tmp_path) as gate:
            settings = server_settings(cap=1, backend=GATED, backend_settings=gate.settings)
            async with running(settings) as (_, client):
                first = asyncio.create_task(client.predict(number="0.0"))
                held = await gate.pass_started()
                impatient = asyncio.create_task(client.predict(number="1.0"))
                await until(lambda: client.has_waiting(1))
                impatient.cancel()
                await until(lambda: client.has_rows(1))
                (gone,) = await client.attempts()
                assert (gone.request, gone.outcome, gone.closed_ns) == (1, Outcome.ABANDONED, -1)
                third = asyncio.create_task(client.predict(number="2.0"))
                held.end()
                (await gate.pass_started()).end()
                assert [(await first).status, (await third).status] == [200, 200]

    run(scene())


def test_client_that_hangs_up_in_its_pass_is_logged_with_the_pass(tmp_path: Path) -> None:
    """The batch is frozen: the pass runs to its end, and its answer is discarded."""

    async def scene() -> None:
        async with Gate(tmp_path) as gate:
            settings = server_settings(backend=GATED, backend_settings=gate.settings)
            async with running(settings) as (_, client):
                impatient = asyncio.create_task(client.predict(number="0.0"))
                held = await gate.pass_started()
                impatient.cancel()
                next_one = asyncio.create_task(client.predict(number="1.0"))
                await until(lambda: client.has_waiting(1))
                held.end()
                (await gate.pass_started()).end()
                assert (await next_one).status == 200
                rows = {row.request: row for row in await client.attempts()}
                assert rows[0].outcome == Outcome.ABANDONED
                assert rows[0].ended_ns <= rows[0].returned_ns
                assert rows[0].answered_ns == -1
                assert rows[1].outcome == Outcome.ANSWERED

    run(scene())


def test_client_that_hangs_up_in_its_body_leaves_a_row() -> None:
    """The request reached the handler and was never admitted."""

    async def scene() -> None:
        async with running(server_settings()) as (_, client):
            _, writer = await asyncio.open_connection("127.0.0.1", client.port)
            writer.write(
                b"POST /predict HTTP/1.1\r\nHost: a\r\nX-Servecast-Attempt: 4.1\r\nContent-Length: 100\r\n\r\n{"
            )
            writer.close()
            await writer.wait_closed()
            await until(lambda: client.has_rows(1))
            (row,) = await client.attempts()
            assert (row.request, row.attempt, row.outcome, row.enqueued_ns) == (4, 1, Outcome.ABANDONED, -1)
            assert row.received_ns > 0

    run(scene())


def test_metrics_are_readable_and_count_the_requests() -> None:
    """Prometheus' own parser reads them."""

    async def scene() -> None:
        async with running(server_settings(backend=ECHO)) as (_, client):
            for _ in range(3):
                await client.predict()
            reply = await client.ask("GET", "/metrics")
            assert reply.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            families = {family.name: family for family in text_string_to_metric_families(reply.text)}
            answered = {
                sample.labels["outcome"]: sample.value
                for sample in families["servecast_requests"].samples
                if sample.name.endswith("_total") and sample.labels["reason"] == "none"
            }
            assert answered == {"answered": 3, "timed_out": 0, "abandoned": 0, "failed": 0}

    run(scene())


def test_health_is_starting_until_the_replica_is_ready_and_draining_at_the_end() -> None:
    """503 before and after; a prediction that comes early waits and is answered."""

    async def scene() -> None:
        server = ReferenceServer(server_settings(backend=ECHO))
        async with connected(await server.listen()) as client:
            before = await client.ask("GET", "/health")
            assert (before.status, before.json) == (503, {"status": "starting"})
            early = asyncio.create_task(client.predict())
            await until(lambda: client.has_waiting(1))
            await server.start()
            assert (await early).status == 200
            between = await client.ask("GET", "/health")
            assert (between.status, between.json) == (200, {"status": "ready"})
            await server.drain()
            after = await client.ask("GET", "/health")
            assert (after.status, after.json) == (503, {"status": "draining"})
        await server.close()

    run(scene())


def test_config_tells_the_rules_in_force() -> None:
    """A calibration can see what it measures."""

    async def scene() -> None:
        async with running(server_settings(max_batch=4, cap=9)) as (_, client):
            config = (await client.ask("GET", "/config")).json
            assert (config["batching"]["max_batch"], config["queue"]["cap"], config["backend"]) == (4, 9, "emulated")
            assert config["timer"] in ("timerfd", "event loop")
            assert config["front_end_cores"] is None  # an emulated device computes nothing
            assert config["run_id"] == (await client.ask("GET", "/config")).json["run_id"]

    run(scene())


def test_timeline_is_given_in_pages_and_cleared() -> None:
    """Pages do not overlap and together hold every row."""

    async def scene() -> None:
        async with running(server_settings(backend=ECHO)) as (_, client):
            for number in range(5):
                await client.predict(number=f"{number}.0")
            pages = [(await client.ask("GET", f"/timeline?offset={at}&limit=2")).json for at in (0, 2, 4, 6)]
            assert [[row[0] for row in page["attempts"]] for page in pages] == [[0, 1], [2, 3], [4], []]
            assert [len(page["passes"]) for page in pages] == [2, 2, 1, 0]
            assert {page["attempts_total"] for page in pages} == {5}
            assert (await client.ask("POST", "/timeline/clear")).json == {"cleared": 5}
            assert await client.attempts() == []

    run(scene())
