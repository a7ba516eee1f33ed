"""A client of bytes: what the tests of the HTTP edge say, and what they hear."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import NamedTuple


def request(body: bytes, lines: bytes = b"") -> bytes:
    """Return a plain prediction."""
    return b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n%b\r\n%b" % (len(body), lines, body)


class Answer(NamedTuple):
    """One answer; names of headers in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Talk:
    """A connection of its own."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> Talk:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=2**22)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.transport.abort()

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self._writer.write(data)

    async def answer(self) -> Answer:
        """Return the next answer."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        return Answer(
            int(first.split()[1]), headers, await self._reader.readexactly(int(headers.get("content-length", "0")))
        )

    async def rest(self) -> bytes:
        """Return what comes until the server closes the connection."""
        return await self._reader.read()
