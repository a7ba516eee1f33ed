"""Predictions that never see aiohttp: what counts as plain, and that the same is said to those that are not."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp.http import HttpRequestParser
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.timeline import Outcome
from reference_server.plain_requests import Head, read_head
from tests.reference_server.gate import ECHO, GATED, Gate
from tests.reference_server.live import run, running, server_settings, until
from tests.reference_server.talk import Talk, request

START = b"POST /predict HTTP/1.1\r\n"
HOST = START + b"Host: a\r\n"


@pytest.mark.parametrize(
    ("lines", "head"),
    [
        (b"Host: a\r\nContent-Length: 5\r\n", Head(5, None, False)),
        (b"content-length:5\r\nhost: a\r\nx-servecast-attempt: 7.1\r\n", Head(5, "7.1", False)),
        (b"HOST:\r\nContent-Length: \t 5 \r\nConnection: Close\r\n", Head(5, None, True)),
        (b"Connection: keep-alive\r\nHost: a\r\nContent-Length: 0\r\n", Head(0, None, False)),
        (b"Host: a\r\nContent-Length: 5\r\nX-Servecast-Key: me\r\n", Head(5, None, False, "me")),
        (b"Host: a\r\nContent-Length: 5\r\nx-servecast-version:v2\r\n", Head(5, None, False, None, "v2")),
    ],
)
def test_plain_head_is_read(lines: bytes, head: Head) -> None:
    """Names in any case, white space around values."""
    assert read_head(START + lines + b"\r\n") == head


@pytest.mark.parametrize(
    "head",
    [
        b"GET /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
        b"POST /predict?x=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
        b"POST /predict HTTP/1.0\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
        HOST + b"\r\n",
        START + b"Content-Length: 5\r\n\r\n",
        HOST + b"Content-Length: 5\r\nHost: a\r\n\r\n",
        HOST + b"Content-Length: 5\r\nX: a\r\nx: a\r\n\r\n",
        HOST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
        HOST + b"Content-Length: 5, 5\r\n\r\n",
        HOST + b"Content-Length: +5\r\n\r\n",
        HOST + b"Content-Length: -5\r\n\r\n",
        HOST + b"Content-Length: 0x5\r\n\r\n",
        HOST + b"Content-Length: \r\n\r\n",
        HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        HOST + b"Content-Length: 5\r\nContent-Encoding: gzip\r\n\r\n",
        HOST + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n",
        HOST + b"Content-Length: 5\r\nUpgrade: websocket\r\n\r\n",
        HOST + b"Content-Length: 5\r\nConnection: keep-alive, upgrade\r\n\r\n",
        HOST + b"Content-Length : 5\r\n\r\n",
        HOST + b"Content-Length: 5\r\n folded\r\n\r\n",
        HOST + b"Content-Length: 5\r\nno colon\r\n\r\n",
        HOST + b"Content-Length: 5\r\nX: a\nb\r\n\r\n",
        HOST + b"Content-Length: 5\r\nX: a\rb\r\n\r\n",
        HOST + b"Content-Length: 5\r\nX: \xe4\r\n\r\n",
        HOST + b"Content-Length: 5\r\n" + b"".join(b"X-%d: a\r\n" % number for number in range(63)) + b"\r\n",
        HOST + b"Content-Length: 5\r\nX-Servecast-Attempt: 1.0\r\nX-Servecast-Attempt: 2.0\r\n\r\n",
    ],
)
def test_head_that_is_not_plain_is_left_to_aiohttp(head: bytes) -> None:
    """Whatever could mean two things to two readers, or needs more than a body of known length."""
    assert read_head(head) is None


NAMES = st.sampled_from(
    [
        "Content-Length",
        "content-LENGTH",
        "Connection",
        "X-Servecast-Attempt",
        "X-Servecast-Key",
        "x-servecast-version",
        "Host",
        "Expect",
        "Transfer-Encoding",
        "X",
    ]
)
VALUES = st.sampled_from(["5", "05", " 12 ", "5 5", "close", "keep-alive", "chunked", "1.0", "", "\t", "a:b", "x\x7f"])
LINES = st.lists(st.tuples(NAMES, st.sampled_from([":", ": ", " :", ""]), VALUES), max_size=4)


@settings(max_examples=300, derandomize=True)
@given(LINES, st.integers(0, 2))
def test_what_is_plain_means_the_same_to_aiohttp(lines: list[tuple[str, str, str]], some: int) -> None:
    """No head is read here that aiohttp would refuse or read otherwise: two readings of one request are an attack."""
    known = [("Host", ":", "a"), ("Content-Length", ":", "5")]  # else few would be plain
    text = (
        START + "".join(f"{name}{colon}{value}\r\n" for name, colon, value in known[:some] + lines).encode() + b"\r\n"
    )
    head = read_head(text)
    if head is None:
        return

    async def scene() -> Any:
        parser = HttpRequestParser(asyncio.Protocol(), asyncio.get_running_loop(), 2**16)
        return parser.feed_data(text)[0]

    ((message, _),) = asyncio.run(scene())
    assert (message.method, message.path, message.chunked, message.compression) == ("POST", "/predict", False, None)
    assert int(message.headers["Content-Length"]) == head.length
    assert message.headers.get("X-Servecast-Attempt") == head.number
    assert message.headers.get("X-Servecast-Key") == head.sticky
    assert message.headers.get("X-Servecast-Version") == head.pinned
    assert message.should_close == head.closes


def test_request_in_any_two_pieces_is_answered() -> None:
    """Wherever the network cuts it."""

    async def scene() -> None:
        async with running(server_settings(backend=ECHO)) as (_, client), Talk(client.port) as talk:
            whole = request(b'{"input": [1]}')
            for cut in range(1, len(whole)):
                talk.send(whole[:cut])
                await asyncio.sleep(0)
                talk.send(whole[cut:])
                assert json.loads((await talk.answer()).body)["output"] == [1]

    run(scene())


def test_model_output_alone_is_the_answer_to_a_text() -> None:
    """{"text": ...} is the input, the output is the body; how it was served stands in headers."""

    async def scene() -> None:
        async with running(server_settings(backend=ECHO)) as (_, client):
            reply = await client.ask("POST", "/predict", data=b'{"text": "great movie"}')
            assert (reply.status, reply.json) == (200, {"text": "great movie"})
            assert reply.headers["X-Servecast-Batch-Size"] == "1"
            assert float(reply.headers["X-Servecast-Pass-Ms"]) > 0
            assert reply.headers["Content-Type"] == "application/json"

    run(scene())


def test_answer_says_the_same_over_either_way_in() -> None:
    """A chunked body goes by way of aiohttp: status, body and headers are those of a plain request."""

    async def scene() -> None:
        async with running(server_settings(backend=ECHO)) as (_, client):
            for body in (b'{"input": 1}', b'{"text": "a"}', b"nonsense"):
                async with Talk(client.port) as plain, Talk(client.port) as chunked:
                    plain.send(request(body))
                    chunked.send(HOST + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
                    first, second = await plain.answer(), await chunked.answer()
                    assert first.status == second.status
                    assert first.headers.keys() == second.headers.keys()
                    assert json.loads(first.body).keys() == json.loads(second.body).keys()

    run(scene())


def test_connection_goes_over_to_aiohttp_between_two_requests() -> None:
    """Plain, then another path, then a prediction: one connection serves them all."""

    async def scene() -> None:
        async with running(server_settings(backend=ECHO)) as (_, client), Talk(client.port) as talk:
            health = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
            talk.send(request(b'{"input": 1}') + health + request(b'{"input": 2}') + health)
            answers = [await talk.answer() for _ in range(4)]
            assert [answer.status for answer in answers] == [200] * 4
            assert [json.loads(answers[index].body)["output"] for index in (0, 2)] == [1, 2]

    run(scene())


def test_requests_sent_ahead_are_answered_one_by_one_in_order() -> None:
    """A thousand at once, some malformed: each waits for the answer before it, and nothing recurses."""

    async def scene() -> None:
        async with running(server_settings(backend=ECHO, max_batch=8)) as (_, client), Talk(client.port) as talk:
            talk.send(b"".join(request(b'{"input": %d}' % n if n % 3 else b"nonsense") for n in range(1_000)))
            for number in range(1_000):
                answer = await talk.answer()
                if number % 3:
                    assert json.loads(answer.body)["output"] == number
                else:
                    assert answer.status == 400
            assert {row.batch_size for row in await client.attempts()} == {1}

    run(scene())


def test_client_that_does_not_read_is_not_served_on() -> None:
    """Answers of 1 MB pile up to a bound, then its next requests wait; it gets them all when it reads."""

    async def scene() -> None:
        async with running(server_settings(backend=ECHO)) as (_, client), Talk(client.port) as talk:
            body = b'{"input": "%b"}' % (b"x" * 900_000)
            for _ in range(20):
                talk.send(request(body))

            async def one_is_over() -> bool:
                return len(await client.attempts()) >= 1  # where sockets hold much, more than one may be at once

            await until(one_is_over)
            for _ in range(20):
                assert len((await talk.answer()).body) > 900_000
            await until(lambda: client.has_rows(20))

    run(scene())


def test_connection_is_closed_when_the_client_asks_for_it() -> None:
    """After the answer, which says so."""

    async def scene() -> None:
        async with running(server_settings(backend=ECHO)) as (_, client), Talk(client.port) as talk:
            talk.send(request(b'{"input": 1}', b"Connection: close\r\n"))
            assert (await talk.answer()).headers["connection"] == "close"
            assert await talk.rest() == b""

    run(scene())


def test_client_gone_in_its_pass_is_abandoned(tmp_path: Any) -> None:
    """The pass ends after the hang-up: one row, abandoned, and the server goes on with the next request."""

    async def scene() -> None:
        async with Gate(tmp_path) as gate:
            settings = server_settings(backend=GATED, backend_settings=gate.settings)
            async with running(settings) as (_, client), Talk(client.port) as next_one:
                async with Talk(client.port) as gone:
                    gone.send(request(b'{"input": 1}'))
                    held = await gate.pass_started()
                next_one.send(request(b'{"input": 2}'))
                await until(lambda: client.has_waiting(1))  # the server has seen it, and before it the hang-up
                held.end()
                (await gate.pass_started()).end()
                assert (await next_one.answer()).status == 200
                await until(lambda: client.has_rows(2))
                outcomes = [row.outcome for row in await client.attempts()]
                assert sorted(outcomes) == [Outcome.ANSWERED, Outcome.ABANDONED]

    run(scene())
