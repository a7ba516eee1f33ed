"""The HTTP connections below the handlers."""

from __future__ import annotations

import asyncio
import json

import pytest

from reference_server.errors import CouldNotServe
from tests.reference_server.gate import ECHO
from tests.reference_server.live import Client, run, running, server_settings


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


def test_address_in_use_is_said_in_one_sentence() -> None:
    """The second server on a port does not start."""

    async def scene() -> None:
        async with running(server_settings(backend=ECHO)) as (server, client):
            with pytest.raises(
                CouldNotServe, match=rf"^Address 127.0.0.1:{client.port} cannot be listened on: .*in use"
            ):
                await server._connections.listen("127.0.0.1", client.port)

    run(scene())
