"""One keep-alive HTTP/1.1 connection of the load generator: requests out as ready bytes, responses read no further
than is needed to tell where they end.

It knows nothing of schedules or retries: whoever owns it is told of responses and of losses.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple, cast

__all__ = ["Connection", "Response"]

_HEAD_MAX_BYTES = 65_536
_UNTIL_CLOSED = 2**62  # bytes: more than ever come


class Response(NamedTuple):
    """What a response says, and when it was complete."""

    delivered_ns: int  # time.perf_counter_ns()
    status: int
    body_bytes: int
    retry_after_s: int  # 0 if not given
    keeps_alive: bool  # the connection serves the next request


class Connection(asyncio.Protocol):
    """A connection that carries one request at a time. `load` belongs to the owner and is not touched here."""

    __slots__ = ("_awaiting", "_body_bytes", "_head", "_on_lost", "_on_response", "_transport", "load")

    def __init__(
        self, on_response: Callable[[Connection, Response], None], on_lost: Callable[[Connection, int], None]
    ) -> None:
        self._on_response = on_response
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._head = b""  # of a response whose head is not complete yet
        self._body_bytes = 0
        self._awaiting: _Head | None = None  # the head of a response whose body is not complete yet
        self.load: object = None

    def send(self, request: bytes) -> None:
        """Write a request; at most one may be under way."""
        assert self._transport is not None
        self._transport.write(request)

    def hang_up(self) -> None:
        """Close at once, whatever is under way. The owner is still told of the loss."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the owner, once, with a response that only the end of the connection completes."""
        now_ns = time.perf_counter_ns()
        if self._awaiting is not None and self._awaiting.length == _UNTIL_CLOSED and exc is None:
            self._finish(self._awaiting, now_ns)
        self._on_lost(self, now_ns)

    def data_received(self, data: bytes) -> None:
        """Stamp the time first; then read the head, or count the body."""
        now_ns = time.perf_counter_ns()
        head = self._awaiting
        if head is None:
            if self._head:
                data = self._head + data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._head = data
                if len(data) > _HEAD_MAX_BYTES:
                    self.hang_up()
                return
            self._head = b""
            head = _read_head(data[: end + 2])
            if head is None:
                self.hang_up()
                return
            self._awaiting = head
            self._body_bytes = len(data) - end - 4
        else:
            self._body_bytes += len(data)
        if self._body_bytes == head.length:
            self._finish(head, now_ns)
        elif self._body_bytes > head.length:
            self.hang_up()  # more than was announced: the stream can no longer be read

    def _finish(self, head: _Head, now_ns: int) -> None:
        """Hand the response over and be ready for the next."""
        self._awaiting = None
        response = Response(now_ns, head.status, self._body_bytes, head.retry_after_s, head.keeps_alive)
        self._on_response(self, response)


class _Head(NamedTuple):
    """What is read of a response's head."""

    status: int
    length: int  # of the body in bytes, _UNTIL_CLOSED without Content-Length
    retry_after_s: int
    keeps_alive: bool


def _read_head(head: bytes) -> _Head | None:
    """Return what the head says, None if it is no head of a response that can be followed."""
    if not head.startswith(b"HTTP/1.") or not head[9:12].isdigit():
        return None
    head = head.lower()
    status = int(head[9:12])
    length = _number(head, b"\r\ncontent-length:")
    if length is None:
        if b"\r\ntransfer-encoding:" in head:
            return None  # servecast's servers announce lengths; chunks would cost time in the measuring instrument
        length = 0 if status in (204, 304) else _UNTIL_CLOSED
    keeps_alive = length != _UNTIL_CLOSED and b"\r\nconnection: close" not in head
    retry_after_s = _number(head, b"\r\nretry-after:") if status in (429, 503) else None
    return _Head(status, length, retry_after_s or 0, keeps_alive)


def _number(head: bytes, name: bytes) -> int | None:
    """Return the number behind a header name, None where there is none."""
    start = head.find(name)
    if start < 0:
        return None
    start += len(name)
    digits = head[start : head.find(b"\r\n", start)].strip()
    return int(digits) if digits.isdigit() else None
