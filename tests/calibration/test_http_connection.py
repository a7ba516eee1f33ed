"""Tests of calibration/http_connection.py: bytes in, responses out, without a socket."""

from __future__ import annotations

import asyncio

import pytest

from calibration.http_connection import Connection, Response


class _Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.aborted = False
        self.written = b""

    def abort(self) -> None:
        self.aborted = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)


class _Listener:
    def __init__(self) -> None:
        self.responses: list[Response] = []
        self.losses = 0
        self.transport = _Transport()
        self.connection = Connection(lambda _, response: self.responses.append(response), self._lost)
        self.connection.connection_made(self.transport)

    def _lost(self, _connection: Connection, _now_ns: int) -> None:
        self.losses += 1

    def feed(self, *pieces: bytes) -> list[tuple[int, int, int, bool]]:
        for piece in pieces:
            self.connection.data_received(piece)
        return [(each.status, each.body_bytes, each.retry_after_s, each.keeps_alive) for each in self.responses]


OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\nabcde"


def test_response_in_one_piece_is_read() -> None:
    """Status and length of the body; the connection stays."""
    assert _Listener().feed(OK) == [(200, 5, 0, True)]


def test_response_in_any_pieces_is_read_the_same() -> None:
    """Wherever TCP cuts, the response is one and complete with its last byte."""
    for cut in range(1, len(OK)):
        listener = _Listener()
        assert listener.feed(OK[:cut]) == []
        assert listener.feed(OK[cut:]) == [(200, 5, 0, True)]


def test_delivery_is_stamped_by_the_last_byte() -> None:
    """A response is held when all of it is there, not when it begins."""
    listener = _Listener()
    listener.feed(OK[:-1])
    assert listener.responses == []
    listener.feed(OK[-1:])
    listener.feed(OK)
    first, second = listener.responses
    assert first.delivered_ns <= second.delivered_ns


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"HTTP/1.1 429 Too Many\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", (429, 0, 7, True)),
        (b"HTTP/1.1 503 No\r\nretry-after:2\r\ncontent-length:0\r\nConnection: close\r\n\r\n", (503, 0, 2, False)),
        (b"HTTP/1.1 200 OK\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", (200, 0, 0, True)),
        (b"HTTP/1.1 429 No\r\nRetry-After: Fri, 31 Dec 1999\r\nContent-Length: 0\r\n\r\n", (429, 0, 0, True)),
        (b"HTTP/1.1 204 No Content\r\n\r\n", (204, 0, 0, True)),
    ],
)
def test_head_tells_status_retry_after_and_keep_alive(head: bytes, expected: tuple[int, int, int, bool]) -> None:
    """Names of headers count in any case; Retry-After is read of refusals, in seconds only."""
    assert _Listener().feed(head) == [expected]


def test_body_without_a_length_ends_with_the_connection() -> None:
    """HTTP/1.1 without Content-Length: the end of the connection is the end of the body."""
    listener = _Listener()
    assert listener.feed(b"HTTP/1.1 200 OK\r\n\r\nab", b"cd") == []
    listener.connection.connection_lost(None)
    assert listener.feed() == [(200, 4, 0, False)]
    assert listener.losses == 1


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\n" + b"x" * 70_000,
    ],
)
def test_stream_that_cannot_be_followed_is_hung_up_on(data: bytes) -> None:
    """What is no response, is chunked, or is longer than announced ends the connection; no answer is reported."""
    listener = _Listener()
    assert listener.feed(data) == []
    assert listener.transport.aborted


def test_request_is_written_as_it_is() -> None:
    """Requests are ready bytes."""
    listener = _Listener()
    listener.connection.send(b"POST / HTTP/1.1\r\n\r\n")
    assert listener.transport.written == b"POST / HTTP/1.1\r\n\r\n"
