"""A client that shares no code with the server: HTTP/1.1 by hand over asyncio's transports, and a book of its own.

The book notes every request that was sent whole, and every byte that came back: what came unasked is noted too.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

CUT = 0
"""The status of a request whose connection the server closed before anything of an answer came."""

TORN = -1
"""The status of a request whose answer broke off."""


@dataclass(eq=False)
class Asked:
    """One request that was sent whole."""

    number: int
    began_s: float
    kind: str = ""
    answers: int = 0
    status: int | None = None  # None: nothing has come (yet)
    body: bytes = b""
    hung_up: bool = False  # by the client, before the answer was there
    ended_s: float = 0.0

    @property
    def is_own_answer(self) -> bool:
        """Whether an answer with status 200 carries what this request sent."""
        try:
            return bool(json.loads(self.body)["output"]["id"] == str(self.number))
        except (ValueError, KeyError, TypeError):
            return False

    @property
    def sentence(self) -> str | None:
        """What an error says; None if it is not {"error": sentence}."""
        try:
            content = json.loads(self.body)
        except ValueError:
            return None
        if isinstance(content, dict) and list(content) == ["error"] and isinstance(content["error"], str):
            return content["error"]
        return None


@dataclass
class Book:
    """All that the clients of one server know."""

    asked: list[Asked] = field(default_factory=list)
    unasked_bytes: int = 0  # that came when nothing was asked

    def begin(self, kind: str = "") -> Asked:
        """Note a request that is about to be sent."""
        asked = Asked(len(self.asked), time.perf_counter(), kind)
        self.asked.append(asked)
        return asked

    def statuses(self, kind: str | None = None) -> Counter[str]:
        """Return how many ended how, of one kind or of all."""
        ends: Counter[str] = Counter()
        for asked in self.asked:
            if kind is None or asked.kind == kind:
                ends["hung up" if asked.hung_up else _end(asked.status)] += 1
        return ends


def _end(status: int | None) -> str:
    return {None: "nothing", CUT: "cut", TORN: "torn"}.get(status, str(status))


class Wire(asyncio.Protocol):
    """One connection with one request at a time."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._bytes = bytearray()
        self._asked: Asked | None = None
        self._answer: asyncio.Future[int] | None = None
        self._saw_head: asyncio.Future[None] | None = None
        self.transport: asyncio.Transport
        self.is_open = True
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self._asked is None:
            self._book.unasked_bytes += len(data)
            return
        self._bytes += data
        self._read()

    def connection_lost(self, _: Exception | None) -> None:
        self.is_open = False
        if self._asked is not None:
            self._end(TORN if self._bytes else CUT, b"")
        if not self.closed.done():
            self.closed.set_result(None)

    def ask(self, asked: Asked, data: bytes) -> asyncio.Future[int]:
        """Send a request and return the future of its status."""
        assert self._asked is None
        loop = asyncio.get_running_loop()
        self._asked, self._answer, self._saw_head = asked, loop.create_future(), loop.create_future()
        if self.is_open:
            self.transport.write(data)
        else:
            self._end(CUT, b"")
        return self._answer

    @property
    def saw_head(self) -> asyncio.Future[None]:
        """When the head of the answer is there."""
        assert self._saw_head is not None
        return self._saw_head

    def hang_up(self) -> None:
        """Close the connection with a reset, whatever is on its way."""
        if self._asked is not None:
            self._asked.hung_up = True
            self._asked.ended_s = time.perf_counter()
            self._asked = None
        with suppress(OSError):
            raw = self.transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self.transport.abort()

    def close(self) -> None:
        """Close the connection in order."""
        self.transport.close()

    def _read(self) -> None:
        """Take one answer out of the bytes, if it is whole."""
        assert self._saw_head is not None
        head_end = self._bytes.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = bytes(self._bytes[:head_end]).split(b"\r\n")
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in head[1:])
        }
        status = int(head[0].split()[1])
        if not self._saw_head.done():
            self._saw_head.set_result(None)
        end = head_end + 4 + int(headers[b"content-length"])
        if len(self._bytes) < end:
            return
        body = bytes(self._bytes[head_end + 4 : end])
        self._book.unasked_bytes += len(self._bytes) - end
        self._bytes.clear()
        if headers.get(b"connection", b"").lower() == b"close":
            self.is_open = False
            self.transport.close()
        self._end(status, body)

    def _end(self, status: int, body: bytes) -> None:
        asked, answer = self._asked, self._answer
        assert asked is not None
        assert answer is not None
        self._asked = None
        self._bytes.clear()
        asked.status, asked.body, asked.ended_s = status, body, time.perf_counter()
        asked.answers += status > 0
        if not answer.done():
            answer.set_result(status)


def prediction(asked: Asked, **orders: Any) -> bytes:
    """Return the request whose number is that of the book's entry."""
    body = json.dumps({"input": {"id": str(asked.number), **orders}}).encode()
    head = f"X-Servecast-Attempt: {asked.number}.0\r\nContent-Length: {len(body)}\r\n"
    return b"POST /predict HTTP/1.1\r\nHost: chaos\r\n" + head.encode() + b"\r\n" + body


class Clients:
    """What sends to one server."""

    def __init__(self, port: int, book: Book) -> None:
        self._port = port
        self.book = book

    async def connect(self) -> Wire:
        """Open a connection. Raises OSError."""
        loop = asyncio.get_running_loop()
        _, wire = await loop.create_connection(lambda: Wire(self.book), "127.0.0.1", self._port)
        return wire

    async def ask(self, kind: str = "", **orders: Any) -> Asked:
        """Send one request on a connection of its own and return its entry when it is over."""
        asked = self.book.begin(kind)
        wire = await self.connect()
        await wire.ask(asked, prediction(asked, **orders))
        wire.close()
        await wire.closed
        return asked

    async def keep_asking(self, stop: asyncio.Event, kind: str = "") -> None:
        """Send one request after the other until the event; a connection that the server closes is opened anew."""
        wire: Wire | None = None
        while not stop.is_set():
            if wire is None or not wire.is_open:
                try:
                    wire = await self.connect()
                except OSError:
                    return  # the server takes nobody any more
            asked = self.book.begin(kind)
            await wire.ask(asked, prediction(asked))
            if asked.status in {429, 503}:
                await asyncio.sleep(0.01)
        if wire is not None:
            wire.close()
            await wire.closed

    async def get(self, path: str) -> tuple[int, bytes]:
        """Ask about the server; the book has no entry of it."""
        return await self._talk(f"GET {path} HTTP/1.1\r\nHost: chaos\r\nConnection: close\r\n\r\n")

    async def order(self, path: str, body: str, token: str) -> tuple[int, bytes]:
        """Give the server an order."""
        head = f"POST {path} HTTP/1.1\r\nHost: chaos\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n"
        return await self._talk(f"{head}Content-Length: {len(body)}\r\n\r\n{body}")

    async def _talk(self, text: str) -> tuple[int, bytes]:
        """Send a request that is none of the book's and return the answer."""
        wire = Wire(Book())
        await asyncio.get_running_loop().create_connection(lambda: wire, "127.0.0.1", self._port)
        asked = Asked(-1, 0.0)
        status = await wire.ask(asked, text.encode())
        wire.close()
        await wire.closed
        return status, asked.body
