"""The HTTP connections below the handlers."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from reference_server import connections, plain_requests
from reference_server.app import ReferenceServer
from reference_server.connections import HEADERS_MAX, LINE_MAX
from reference_server.errors import CouldNotServe
from tests.reference_server.gate import ECHO, GATED, Gate
from tests.reference_server.live import LIMIT_S, Client, run, running, server_settings
from tests.reference_server.talk import Talk, request


async def say(client: Client, text: bytes) -> bytes:
    """Send bytes on a connection of its own and return all that comes until the server closes it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(text)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.parametrize("text", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nbad header\r\n\r\n"])
def test_what_is_not_http_is_answered_400_in_json(text: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    """The connection is closed, the fault is counted, nothing is written to the terminal, the server goes on."""

    async def scene() -> None:
        async with running(server_settings(backend=ECHO)) as (_, client):
            head, _, body = (await say(client, text)).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.0 400 Bad Request\r\n") or head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
            assert json.loads(body) == {"error": "The request is not valid HTTP/1.1."}
            assert 'servecast_malformed_requests_total{status="400"} 1.0' in (await client.ask("GET", "/metrics")).text
            assert (await client.predict()).status == 200

    run(scene())
    assert capfd.readouterr() == ("", "")


def test_request_in_two_pieces_is_received_when_it_is_whole() -> None:
    """received_ns is the moment of the last bytes: a slow sender is no time of the front end."""

    async def scene() -> None:
        async with running(server_settings(backend=ECHO)) as (_, client):
            reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
            writer.write(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n")
            await client.predict(number="0.0")  # the server has seen the first piece before it answers this
            writer.write(b'{"input":1}')
            assert b"200 OK" in await reader.readline()
            writer.close()
            await writer.wait_closed()
            whole, pieces = await client.attempts()
            assert whole.request == 0
            assert whole.answered_ns <= pieces.received_ns <= pieces.enqueued_ns

    run(scene())


def test_two_requests_sent_at_once_on_one_connection_are_answered_in_order() -> None:
    """HTTP pipelining, as the protocol has it."""

    async def scene() -> None:
        async with running(server_settings(backend=ECHO)) as (_, client):
            bodies = [b'{"input":"%s"}' % name for name in (b"one", b"two")]
            head = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 15\r\n"
            ends = (b"\r\n", b"Connection: close\r\n\r\n")
            answer = await say(client, b"".join(head + end + body for end, body in zip(ends, bodies, strict=True)))
            assert answer.index(b'"one"') < answer.index(b'"two"')

    run(scene())


@pytest.mark.parametrize(
    ("head", "sentence"),
    [
        (b"X: " + b"x" * (LINE_MAX + 1) + b"\r\n", "A line of the head may have at most 8190 bytes."),
        (b"x" * (LINE_MAX + 1) + b": x\r\n", "A line of the head may have at most 8190 bytes."),
        (
            b"".join(b"X-%d: x\r\n" % number for number in range(HEADERS_MAX + 1)),
            "The head may have at most 100 lines.",
        ),
    ],
)
@pytest.mark.parametrize("path", [b"POST /predict", b"GET /health"])
def test_head_that_is_too_large_is_answered_431(path: bytes, head: bytes, sentence: str) -> None:
    """In one sentence of JSON, and the connection is closed."""

    async def scene() -> None:
        async with running(server_settings(backend=ECHO)) as (_, client), Talk(client.port) as talk:
            talk.send(path + b" HTTP/1.1\r\nHost: a\r\n" + head + b"\r\n")
            answer = await talk.answer()
            assert (answer.status, json.loads(answer.body)) == (431, {"error": sentence})
            assert await talk.rest() == b""
            assert (await client.predict()).status == 200

    run(scene())


@pytest.mark.parametrize(
    "begun",
    [
        b"P",
        b"POST /predict HTTP/1.1\r\nHost: a\r\n",
        b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{",
        b"POST /predict HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /predict HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
        b"GET /health HTTP/1.1\r\n",
    ],
)
def test_request_that_is_not_complete_in_time_is_answered_408(begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever in head or body it stops; the connection is closed, others are served meanwhile."""
    monkeypatch.setattr(connections, "LINGER_S", 0.05)

    async def scene() -> None:
        settings = server_settings(backend=ECHO, receive_timeout_s=0.1)
        async with running(settings) as (_, client), Talk(client.port) as talk:
            talk.send(begun)
            assert (await client.predict()).status == 200
            answer = await talk.answer()
            while answer.status == 100:
                answer = await talk.answer()
            assert (answer.status, answer.headers["connection"]) == (408, "close")
            assert json.loads(answer.body) == {"error": "The request was not complete within 0.1 s."}
            assert await talk.rest() == b""
            metrics = (await client.ask("GET", "/metrics")).text
            assert 'servecast_malformed_requests_total{status="408"} 1.0' in metrics
            assert len(await client.attempts()) == 1

    run(scene())


def test_drop_by_drop_is_too_slow() -> None:
    """Time runs from the first byte to the last; each byte in between wins nothing."""

    async def scene() -> None:
        settings = server_settings(backend=ECHO, receive_timeout_s=0.1)
        async with running(settings) as (_, client), Talk(client.port) as talk:

            async def drip() -> None:
                for byte in request(b" " * 10_000):
                    talk.send(bytes((byte,)))
                    await asyncio.sleep(0.005)

            dripping = asyncio.create_task(drip())
            assert (await talk.answer()).status == 408
            dripping.cancel()

    run(scene())


@pytest.mark.parametrize("path", [b"POST /predict", b"GET /health"])
def test_connection_that_carries_nothing_is_closed(path: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while: before its first request, and after an answer."""
    monkeypatch.setattr(plain_requests, "IDLE_S", 0.05)
    monkeypatch.setattr(connections, "IDLE_S", 0.05)

    async def scene() -> None:
        async with running(server_settings(backend=ECHO)) as (_, client):
            async with Talk(client.port) as talk:
                assert await talk.rest() == b""
            async with Talk(client.port) as talk:
                talk.send(path + b" HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n" + b'{"input":1}')
                assert (await talk.answer()).status == 200
                assert await talk.rest() == b""

    run(scene())


def test_waiting_for_an_answer_is_not_idleness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass may take longer than an idle connection lives."""
    monkeypatch.setattr(plain_requests, "IDLE_S", 0.02)

    async def scene() -> None:
        async with Gate(tmp_path) as gate:
            settings = server_settings(backend=GATED, backend_settings=gate.settings)
            async with running(settings) as (_, client), Talk(client.port) as talk:
                talk.send(request(b'{"input": 1}'))
                held = await gate.pass_started()
                await asyncio.sleep(0.1)
                held.end()
                assert (await talk.answer()).status == 200

    run(scene())


def test_connection_above_the_limit_is_turned_away() -> None:
    """503 in one sentence; when another has gone its place is free."""

    async def scene() -> None:
        async with running(server_settings(backend=ECHO, connections_max=2)) as (_, client), Talk(client.port) as first:
            async with Talk(client.port) as second:
                for talk in (first, second):
                    talk.send(request(b'{"input": 1}'))
                    assert (await talk.answer()).status == 200
                async with Talk(client.port) as third:
                    answer = await third.answer()
                    assert (answer.status, answer.headers["retry-after"]) == (503, "1")
                    assert json.loads(answer.body) == {"error": "The server has too many connections; try again later."}
                    assert await third.rest() == b""
            while True:
                async with Talk(client.port) as again:
                    again.send(request(b'{"input": 1}'))
                    if (await again.answer()).status == 200:
                        break

    run(scene())


@pytest.mark.parametrize("path", [b"POST /predict", b"GET /health"])
def test_connections_without_a_request_do_not_hold_up_the_end(path: bytes) -> None:
    """They are closed at once, begun requests too."""

    async def scene() -> None:
        server = ReferenceServer(server_settings(backend=ECHO))
        port = int((await server.listen()).rpartition(":")[2])
        await server.start()
        async with Talk(port) as silent, Talk(port) as begun:
            begun.send(path)
            await asyncio.sleep(0.01)
            await server.close(wait_s=LIMIT_S)
            assert await silent.rest() == b""
            assert await begun.rest() == b""

    run(scene())


def test_address_in_use_is_said_in_one_sentence() -> None:
    """The second server on a port does not start."""

    async def scene() -> None:
        async with running(server_settings(backend=ECHO)) as (server, client):
            with pytest.raises(
                CouldNotServe, match=rf"^Address 127.0.0.1:{client.port} cannot be listened on: .*in use"
            ):
                await server._connections.listen("127.0.0.1", client.port)

    run(scene())
