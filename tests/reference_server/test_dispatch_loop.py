"""The asyncio shell around the dispatcher: batches form, failures hit their members only, everyone gets one answer."""

from __future__ import annotations

import asyncio
import io
import os
import signal
from pathlib import Path

import pytest

from policy.batching import Cause
from policy.timeline import Outcome
from reference_server.frames import PassDone, encode
from tests.reference_server.gate import ECHO, FRAMES, GATED, PICKY, SHARED, WHERE, Gate
from tests.reference_server.live import MS, Client, run, running, server_settings, until

LONG_WAIT_NS = 10_000 * MS  # no test waits for it: a batch is full before


def test_requests_that_come_together_share_a_pass() -> None:
    """Four requests fill a batch of four: one pass, closed because it was full, as all five rows say."""

    async def scene() -> None:
        async with running(server_settings(max_batch=4, max_wait_ns=LONG_WAIT_NS, backend=ECHO)) as (_, client):
            replies = await asyncio.gather(*(client.predict(number, number=f"{number}.0") for number in range(4)))
            assert [(reply.json["output"], reply.json["batch_size"]) for reply in replies] == [(n, 4) for n in range(4)]
            (passed,) = await client.passes()
            assert (passed.batch_size, passed.cause) == (4, Cause.FULL)
            rows = await client.attempts()
            assert {row.request for row in rows} == {0, 1, 2, 3}
            assert {(row.serial, row.batch_size, row.closed_ns) for row in rows} == {
                (passed.serial, 4, passed.closed_ns)
            }
            assert max(row.enqueued_ns for row in rows) == passed.closed_ns

    run(scene())


def test_lone_request_waits_for_the_timer() -> None:
    """A batch that does not fill is closed by the clock, not before max_wait is over."""

    async def scene() -> None:
        async with running(server_settings(max_batch=4, max_wait_ns=5 * MS, backend=ECHO)) as (_, client):
            await client.predict()
            (row,), (passed,) = await client.attempts(), await client.passes()
            assert passed.cause == Cause.WAITED
            assert row.closed_ns >= row.enqueued_ns + 5 * MS

    run(scene())


def test_requests_behind_a_running_pass_grow_into_one_batch(tmp_path: Path) -> None:
    """While the device is busy the next batch grows: three that came meanwhile are one pass, not three."""

    async def scene() -> None:
        async with Gate(tmp_path) as gate:
            settings = server_settings(max_batch=4, backend=GATED, backend_settings=gate.settings)
            async with running(settings) as (_, client):
                asks = [asyncio.create_task(client.predict("first"))]
                held = await gate.pass_started()
                asks += [asyncio.create_task(client.predict("x" * length)) for length in (10, 20, 30)]
                await until(lambda: client.has_waiting(3))
                held.end()
                grown = await gate.pass_started()
                assert sorted(grown.lengths) == [12, 22, 32]
                grown.end()
                assert [reply.json["batch_size"] for reply in await asyncio.gather(*asks)] == [1, 3, 3, 3]

    run(scene())


def test_two_instances_run_two_passes_at_once(tmp_path: Path) -> None:
    """Each instance is a process of its own."""

    async def scene() -> None:
        async with Gate(tmp_path) as gate:
            settings = server_settings(instances=2, backend=GATED, backend_settings=gate.settings)
            async with running(settings) as (server, client):
                asks = [asyncio.create_task(client.predict(number)) for number in range(2)]
                held = [await gate.pass_started(), await gate.pass_started()]
                assert len(set(server.dispatch.pids)) == 2
                for each in held:
                    each.end()
                assert {reply.json["output"] for reply in await asyncio.gather(*asks)} == {0, 1}
                assert {row.instance for row in await client.attempts()} == {0, 1}

    run(scene())


def test_replica_killed_in_a_pass_fails_its_members_only(tmp_path: Path) -> None:
    """Both members get 500 at once; the request that waited is served by the process that takes its place."""

    async def scene() -> None:
        async with Gate(tmp_path) as gate:
            settings = server_settings(max_batch=2, backend=GATED, backend_settings=gate.settings)
            async with running(settings) as (server, client):
                first = asyncio.create_task(client.predict(number="0.0"))
                held = await gate.pass_started()
                members = [asyncio.create_task(client.predict(number=f"{number}.0")) for number in (1, 2)]
                await until(lambda: client.has_waiting(2))
                held.end()
                assert (await first).status == 200
                await gate.pass_started()
                waiting = asyncio.create_task(client.predict(number="3.0"))
                await until(lambda: client.has_waiting(1))
                (killed,) = server.dispatch.pids
                os.kill(killed, signal.SIGKILL)
                for reply in await asyncio.gather(*members):
                    assert (reply.status, reply.error) == (500, "The pass that carried this request failed.")
                (await gate.pass_started()).end()
                assert (await waiting).status == 200
                assert server.dispatch.pids != [killed]
                rows = {row.request: row for row in await client.attempts()}
                assert [rows[number].outcome for number in range(4)] == [
                    Outcome.ANSWERED,
                    Outcome.FAILED,
                    Outcome.FAILED,
                    Outcome.ANSWERED,
                ]
                assert rows[1].started_ns == rows[2].started_ns == -1
                assert [row.started_ns == -1 for row in await client.passes()] == [False, True, False]

    run(scene())


@pytest.mark.parametrize("how", ["fail", "lose one"])
def test_backend_that_raises_fails_its_batch_and_goes_on(tmp_path: Path, how: str) -> None:
    """An exception, or too few outputs: 500 for the members, and the same process serves the next request."""

    async def scene() -> None:
        async with Gate(tmp_path) as gate:
            settings = server_settings(backend=GATED, backend_settings=gate.settings)
            async with running(settings) as (server, client):
                pids = server.dispatch.pids
                broken = asyncio.create_task(client.predict())
                (await gate.pass_started()).end(how)
                assert (await broken).status == 500
                whole = asyncio.create_task(client.predict())
                (await gate.pass_started()).end()
                assert (await whole).status == 200
                assert server.dispatch.pids == pids
                assert (await client.ask("GET", "/health")).status == 200

    run(scene())


def test_replica_that_dies_idle_is_replaced() -> None:
    """Nobody is harmed: the next request waits for the new process."""

    async def scene() -> None:
        async with running(server_settings(backend=ECHO)) as (server, client):
            (killed,) = server.dispatch.pids
            os.kill(killed, signal.SIGKILL)
            await until(lambda: _is_starting(client))
            assert (await client.predict("again")).json["output"] == "again"
            assert server.dispatch.pids != [killed]

    async def _is_starting(client: Client) -> bool:
        return bool((await client.ask("GET", "/health")).json == {"status": "starting"})

    run(scene())


def test_two_thousand_requests_are_each_answered_once() -> None:
    """Every client gets its own output, and the log holds each attempt exactly once."""
    count, clients = 2_000, 50

    async def scene() -> None:
        async with running(server_settings(max_batch=16, max_wait_ns=MS, backend=ECHO)) as (_, client):
            numbers = iter(range(count))

            async def ask_on() -> None:
                for number in numbers:
                    reply = await client.predict({"number": number}, number=f"{number}.0")
                    assert (reply.status, reply.json["output"]) == (200, {"number": number})

            await asyncio.gather(*(ask_on() for _ in range(clients)))
            rows = await client.attempts()
            assert sorted(row.request for row in rows) == list(range(count))
            assert {row.outcome for row in rows} == {Outcome.ANSWERED}
            passes = await client.passes()
            assert sum(row.batch_size for row in passes) == count
            assert len(passes) < count / 2, "batches formed"

    run(scene())


def test_large_inputs_do_not_stop_the_server(tmp_path: Path) -> None:
    """16 MB are on their way to a busy process that does not read, and /health is answered meanwhile."""

    async def scene() -> None:
        async with Gate(tmp_path) as gate:
            settings = server_settings(max_batch=2, body_limit=2**24, backend=GATED, backend_settings=gate.settings)
            async with running(settings) as (_, client):
                first = asyncio.create_task(client.predict())
                held = await gate.pass_started()
                text = "x" * 8_000_000
                bodies = [io.BytesIO(b'{"input": "%b"}' % text.encode()) for _ in range(2)]
                large = [asyncio.create_task(client.ask("POST", "/predict", data=body)) for body in bodies]
                await until(lambda: client.has_waiting(2))
                held.end()
                assert (await client.ask("GET", "/health")).status == 200
                (await gate.pass_started()).end()
                assert (await first).status == 200
                assert [reply.json["output"] == text for reply in await asyncio.gather(*large)] == [True, True]

    run(scene())


def test_hung_pass_fails_its_members_with_the_reason_and_its_process_is_replaced(tmp_path: Path) -> None:
    """500 with the limit in the sentence, instead of a client that waits for ever; the next request is served."""

    async def scene() -> None:
        async with Gate(tmp_path) as gate:
            settings = server_settings(backend=GATED, backend_settings=gate.settings, pass_timeout_ns=200 * MS)
            async with running(settings) as (server, client):
                (hung,) = server.dispatch.pids
                asked = asyncio.create_task(client.predict())
                await gate.pass_started()
                reply = await asked
                sentence = "The pass that carried this request did not end within 0.2 s."
                assert (reply.status, reply.error) == (500, sentence)
                assert await client.figure("servecast_replica_restarts_total") == 1
                whole = asyncio.create_task(client.predict())
                (await gate.pass_started()).end()
                assert (await whole).status == 200
                assert server.dispatch.pids != [hung]
                assert [row.outcome for row in await client.attempts()] == [Outcome.FAILED, Outcome.ANSWERED]

    run(scene())


def test_instances_in_one_process_are_lost_together_and_come_back_together(tmp_path: Path) -> None:
    """Two passes run at once in one process; its death fails both, and the request that waited is served."""

    async def scene() -> None:
        async with Gate(tmp_path) as gate:
            settings = server_settings(instances=2, backend=SHARED, backend_settings=gate.settings)
            async with running(settings) as (server, client):
                asks = [asyncio.create_task(client.predict(number)) for number in range(2)]
                for _ in asks:
                    await gate.pass_started()
                waiting = asyncio.create_task(client.predict("waiting"))
                await until(lambda: client.has_waiting(1))
                (killed,) = server.dispatch.pids
                os.kill(killed, signal.SIGKILL)
                assert [reply.status for reply in await asyncio.gather(*asks)] == [500, 500]
                (await gate.pass_started()).end()
                assert (await waiting).json["output"] == "waiting"
                assert len(server.dispatch.pids) == 1
                assert await client.figure("servecast_replica_restarts_total") == 1

    run(scene())


def test_input_that_the_model_does_not_take_fails_alone() -> None:
    """422 with the model's sentence for it, 200 for its batch mates; the device's time and the count are figures."""

    async def scene() -> None:
        async with running(server_settings(max_batch=3, max_wait_ns=LONG_WAIT_NS, backend=PICKY)) as (_, client):
            good, bad, other = await asyncio.gather(*(client.predict(value) for value in (1, "two", 3)))
            assert (good.json["output"], other.json["output"], other.json["batch_size"]) == (1, 3, 3)
            assert (bad.status, bad.error) == (422, "The input must be a number.")
            assert await client.figure("servecast_bad_inputs_total") == 1
            assert await client.figure("servecast_device_seconds_count") == 1
            assert await client.figure("servecast_device_seconds_sum") == 0.007
            assert {row.outcome for row in await client.attempts()} == {Outcome.ANSWERED}

    run(scene())


def test_stale_frames_of_a_process_are_counted() -> None:
    """A second answer to a pass that is over changes nothing for anybody."""

    async def scene() -> None:
        frame = encode(PassDone(1, 0, 99, 1, 2, -1, (b'"wrong"',)))
        settings = server_settings(backend=FRAMES, backend_settings={"frames": frame.hex()})
        async with running(settings) as (_, client):
            assert [(await client.predict(number)).json["output"] for number in range(3)] == [0, 1, 2]
            assert await client.figure("servecast_stale_frames_total") == 3

    run(scene())


def test_blocking_server_runs_passes_in_its_own_process() -> None:
    """The mistake that a scenario's front_end.blocking forecasts: the rules are the same, no process is there."""

    async def scene() -> None:
        async with running(server_settings(max_batch=2, backend=WHERE, blocking=True)) as (server, client):
            replies = await asyncio.gather(*(client.predict(number) for number in range(5)))
            assert [reply.json["output"] for reply in replies] == [[os.getpid(), True]] * 5
            assert server.dispatch.pids == []
            assert sum(row.batch_size for row in await client.passes()) == 5

    run(scene())
