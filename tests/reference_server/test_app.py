"""The life of a server in a process of its own: ready, drained by a signal, gone with the right exit code."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from policy.timeline import Attempt, Outcome, Reason
from tests.reference_server.gate import ECHO, GATED, STUCK, UNLOADABLE, Gate
from tests.reference_server.live import Client, connected, run, until

ROOT = Path(__file__).parents[2]
SIGNALS = [signal.SIGTERM, signal.SIGINT]


async def launch(**changes: object) -> Process:
    """Start a server process with changed settings."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.reference_server.serve_main", json.dumps(changes)),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=PIPE,
        stderr=PIPE,
    )


@asynccontextmanager
async def served(**changes: object) -> AsyncIterator[tuple[Process, Client]]:
    """Give a server process that is ready, and a client."""
    process = await launch(**changes)
    assert process.stdout is not None
    try:
        url = (await process.stdout.readline()).decode().strip()
        async with connected(url) as client:
            yield process, client
    finally:
        if process.returncode is None:
            process.kill()  # the test has failed; its replica process holds the pipes until the gate is closed
        else:
            await process.communicate()


async def is_draining(client: Client) -> bool:
    """Return what /health says, on a connection that is open from an earlier question: new ones are refused."""
    return bool((await client.ask("GET", "/health")).json == {"status": "draining"})


@pytest.mark.parametrize("number", SIGNALS)
def test_signal_under_load_finishes_what_was_accepted_and_exits_0(tmp_path: Path, number: signal.Signals) -> None:
    """Twenty requests run or wait: all are answered. One that comes later is refused, a new connection too."""

    async def scene() -> None:
        rows_file = tmp_path / "rows.json"
        settings = {"max_batch": 4, "backend": GATED, "timeline_file": str(rows_file)}
        async with Gate(tmp_path) as gate, served(**settings, backend_settings=gate.settings) as (process, client):
            accepted = [asyncio.create_task(client.predict(number=f"{request}.0")) for request in range(20)]
            held = await gate.pass_started()
            await until(lambda: client.has_waiting(20 - len(held.lengths)))
            process.send_signal(number)
            await until(lambda: is_draining(client))

            late = await client.predict(number="99.0")
            assert (late.status, late.error) == (503, "The server is stopping; try again later.")
            assert int(late.headers["Retry-After"]) >= 1
            assert late.headers["Connection"] == "close"
            async with aiohttp.ClientSession() as stranger:
                with pytest.raises(aiohttp.ClientConnectorError):
                    await stranger.get(client.url + "/health")

            served_count = 0
            while served_count < 20:
                held.end()
                served_count += len(held.lengths)
                held = await gate.pass_started() if served_count < 20 else held
            assert [reply.status for reply in await asyncio.gather(*accepted)] == [200] * 20
            assert await process.wait() == 0

        rows = [Attempt(*row) for row in json.loads(rows_file.read_text(encoding="utf-8"))["attempts"]]
        ends = {row.request: (row.outcome, row.reason) for row in rows}
        assert len(rows) == len(ends) == 21
        assert ends.pop(99) == (Outcome.REFUSED, Reason.DRAINING)
        assert set(ends.values()) == {(Outcome.ANSWERED, Reason.NONE)}

    run(scene())


def test_second_signal_stops_at_once_with_code_1(tmp_path: Path) -> None:
    """For whoever does not want to wait: the pass here never ends."""

    async def scene() -> None:
        async with Gate(tmp_path) as gate, served(backend=GATED, backend_settings=gate.settings) as (process, client):
            lost = asyncio.create_task(client.predict())
            await gate.pass_started()
            assert not await is_draining(client)
            process.send_signal(signal.SIGTERM)
            await until(lambda: is_draining(client))
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 1
            with pytest.raises(aiohttp.ClientError):
                await lost

    run(scene())


@pytest.mark.parametrize("number", SIGNALS)
def test_signal_to_an_idle_server_ends_it_without_a_word(number: signal.Signals) -> None:
    """Exit code 0, nothing on stdout or stderr, although a connection is still open."""

    async def scene() -> None:
        async with served(backend=ECHO) as (process, client):
            assert (await client.predict()).status == 200
            process.send_signal(number)
            assert await process.communicate() == (b"", b"")
            assert process.returncode == 0

    run(scene())


def test_signal_while_starting_ends_it_with_code_0(tmp_path: Path) -> None:
    """Nothing was accepted, so there is nothing to wait for."""

    async def scene() -> None:
        async with Gate(tmp_path) as gate:
            process = await launch(backend=STUCK, backend_settings=gate.settings)
            await gate.pass_started()
            process.send_signal(signal.SIGTERM)
            assert await process.communicate() == (b"", b"")
            assert process.returncode == 0

    run(scene())


def test_start_that_fails_after_a_signal_ends_the_wait(tmp_path: Path) -> None:
    """A request that came early can never be served then: the server says why and ends, it does not wait for ever."""

    async def scene() -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        async with Gate(tmp_path) as gate, connected(f"http://127.0.0.1:{port}") as client:
            process = await launch(port=port, backend=STUCK, backend_settings=gate.settings)
            loading = await gate.pass_started()
            early = asyncio.create_task(client.predict())
            await until(lambda: client.has_waiting(1))
            process.send_signal(signal.SIGTERM)
            await until(lambda: is_draining(client))
            loading.end("fail")
            assert await process.communicate() == (b"", b"The backend could not be loaded: the weights are missing\n")
            assert process.returncode == 4
            with pytest.raises(aiohttp.ClientError):
                await early

    run(scene())


def test_backend_that_does_not_load_ends_the_start_with_a_sentence() -> None:
    """No traceback, no URL, and no process is left behind: stderr is closed by all."""

    async def scene() -> None:
        process = await launch(backend=UNLOADABLE)
        said = await process.communicate()
        assert said == (b"", b"The backend could not be loaded: the weights are missing\n")
        assert process.returncode == 4

    run(scene())


def test_rows_that_cannot_be_written_are_said(tmp_path: Path) -> None:
    """The server ends with a sentence instead of losing them in silence."""

    async def scene() -> None:
        async with served(backend=ECHO, timeline_file=str(tmp_path / "none" / "rows.json")) as (process, _):
            process.send_signal(signal.SIGTERM)
            _, said = await process.communicate()
            assert said.startswith(b"The rows could not be written to")
            assert (said.count(b"\n"), process.returncode) == (1, 4)

    run(scene())


def test_killed_server_leaves_no_replica_process(tmp_path: Path) -> None:
    """SIGKILL gives it no chance to tidy up: the process sees its socket close."""

    async def scene() -> None:
        async with Gate(tmp_path) as gate, served(backend=GATED, backend_settings=gate.settings) as (process, client):
            lost = asyncio.create_task(client.predict())
            held = await gate.pass_started()
            process.kill()
            held.end()
            await gate.backend_ended()
            await process.wait()
            with pytest.raises(aiohttp.ClientError):
                await lost

    run(scene())
