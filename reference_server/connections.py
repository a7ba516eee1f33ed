"""The listening socket and all connections: how many there may be, how long they may take, and who reads them.

A connection begins as a plain one (plain_requests.py) and may become one of aiohttp, whose low-level server is used
without the layers that cost time on every request: router, signals, access log. Added to it are when the last bytes of
a request came in, a limit of time for slow senders, and that protocol errors are JSON like all others.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from time import perf_counter_ns
from typing import Any, cast

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from reference_server.answers import HttpAnswer, as_bytes, as_response, error
from reference_server.errors import CouldNotServe, too_slow
from reference_server.plain_requests import IDLE_S, LINGER_S, PlainConnection
from reference_server.predictions import Predictions
from reference_server.settings import ServerSettings
from reference_server.slow_senders import SlowSenders

__all__ = ["HEADERS_MAX", "LINE_MAX", "Connection", "Connections", "Handler", "receive_due_s", "received_ns"]

_LOG = logging.getLogger(__name__)
_BACKLOG = 1024  # connections that the kernel holds before they are taken: a burst of clients is not turned away

LINE_MAX = 8_190
"""Bytes of a request line, of a header's name and of its value."""

HEADERS_MAX = 100
"""Header lines of a request."""

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def received_ns(request: web.BaseRequest) -> int:
    """Return when the latest bytes of a request's connection came in (time.perf_counter_ns)."""
    return cast(Connection, request.protocol).received_ns


def receive_due_s(request: web.BaseRequest) -> float:
    """Return until when a request must be complete, on the event loop's clock."""
    return cast(Connection, request.protocol).receive_due_s


class Connection(web.RequestHandler):
    """One connection of a client that aiohttp reads."""

    __slots__ = ("_owner", "handling", "receive_due_s", "received_ns")

    def __init__(self, server: web.Server, owner: Connections, **settings: Any) -> None:
        super().__init__(server, **settings)
        self._owner = owner
        self.received_ns = perf_counter_ns()
        self.handling = False  # a handler is at work: what comes now belongs to its request or waits behind it
        self.receive_due_s = 0.0  # of the request that a handler is at work on

    def data_received(self, data: bytes) -> None:
        """Stamp the bytes and go on as ever."""
        self.received_ns = perf_counter_ns()
        if not self.handling:
            self._owner.slow_senders.begin(self)
        super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the connection."""
        self._owner.slow_senders.end(self)
        self._owner.lost(self)
        super().connection_lost(exc)

    def too_slow(self) -> None:
        """The head was not complete in time; of a body the handler takes care."""
        told = self._owner.predictions.turn_away(too_slow(self._owner.slow_senders.timeout_s))
        if self.transport is not None:
            self.transport.write(as_bytes(told))
        self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is not HTTP with 400 or 431, a fault of the server's own with 500; then close the connection."""
        if status >= 500:
            _LOG.error("A handler failed.", exc_info=exc)
            return as_response(error(status, "The server failed on this request.", closes=True))
        told = _not_http(exc)
        self._owner.count_malformed(told.status)
        return as_response(told)


def _not_http(problem: BaseException | None) -> HttpAnswer:
    """Return what is said of bytes that aiohttp cannot read."""
    if isinstance(problem, LineTooLong):
        status, sentence = 431, f"A line of the head may have at most {LINE_MAX} bytes."
    elif "Too many headers" in str(problem):
        status, sentence = 431, f"The head may have at most {HEADERS_MAX} lines."
    else:
        status, sentence = 400, "The request is not valid HTTP/1.1."
    return error(status, sentence, closes=True)


class _Surplus(asyncio.Protocol):
    """A connection above the limit: told so, and closed."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say it, and give the client time to read it."""
        out = cast(asyncio.Transport, transport)
        sentence = "The server has too many connections; try again later."
        out.write(as_bytes(error(HTTPStatus.SERVICE_UNAVAILABLE, sentence, ("Retry-After", "1"), closes=True)))
        out.write_eof()
        asyncio.get_running_loop().call_later(LINGER_S, out.abort)


class Connections:
    """The listening socket and all connections. Make it inside a running event loop."""

    def __init__(self, handler: Handler, predictions: Predictions, settings: ServerSettings) -> None:
        self._loop = asyncio.get_running_loop()
        self._handler = handler
        self._connections_max = settings.connections_max
        self._open: set[PlainConnection | Connection] = set()
        self._one_lost = asyncio.Event()
        self._listener: asyncio.Server | None = None
        self.predictions = predictions
        self.body_limit = settings.body_limit
        self.slow_senders = SlowSenders(settings.receive_timeout_s)
        self.count_malformed = predictions.dispatch.metrics.count_malformed

        def make_request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
            limit = self.body_limit
            return web.BaseRequest(message, payload, protocol, writer, task, self._loop, client_max_size=limit)

        # handler_cancellation: the handler of a client that hangs up is cancelled, which is how it learns of it.
        self._server = web.Server(self._handle, request_factory=make_request, handler_cancellation=True)

    async def listen(self, host: str, port: int) -> str:
        """Open the listening socket and return the server's URL. Raises CouldNotServe."""
        try:
            self._listener = await self._loop.create_server(self._connect, host, port, backlog=_BACKLOG)
        except OSError as problem:
            reason = problem.strerror or str(problem)
            raise CouldNotServe(f"Address {host}:{port} cannot be listened on: {reason}.") from problem
        own = self._listener.sockets[0]
        shown = f"[{host}]" if own.family == socket.AF_INET6 else host
        return f"http://{shown}:{own.getsockname()[1]}"

    def stop_listening(self) -> None:
        """Close the listening socket; connections go on."""
        if self._listener is not None:
            self._listener.close()

    async def close(self, wait_s: float) -> None:
        """Close all connections, those with a request at work after it has ended, at the latest after that time."""
        self.stop_listening()
        await asyncio.sleep(0)  # requests that have come in are begun
        await asyncio.gather(self._close_plain(wait_s), self._close_aiohttp(wait_s))
        self.slow_senders.close()

    # What connections report

    def hand_over(self, connection: PlainConnection, transport: asyncio.Transport, unread: bytes) -> None:
        """Give a connection to aiohttp, which reads it from these bytes on."""
        taken = Connection(
            self._server,
            self,
            loop=self._loop,
            access_log=None,
            keepalive_timeout=IDLE_S,
            lingering_time=LINGER_S,
            max_line_size=LINE_MAX,
            max_field_size=LINE_MAX,
            max_headers=HEADERS_MAX,
        )
        self._open.remove(connection)
        self._open.add(taken)
        transport.set_protocol(taken)
        taken.connection_made(transport)
        taken.data_received(unread)

    def lost(self, connection: PlainConnection | Connection) -> None:
        """Forget a connection that is gone."""
        self._open.discard(connection)
        self._one_lost.set()

    def _connect(self) -> asyncio.Protocol:
        if len(self._open) >= self._connections_max:
            self.count_malformed(HTTPStatus.SERVICE_UNAVAILABLE)
            return _Surplus()
        connection = PlainConnection(self, self._loop)
        self._open.add(connection)
        return connection

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request that aiohttp has read."""
        connection = cast(Connection, request.protocol)
        connection.receive_due_s = self.slow_senders.due_s(connection)
        self.slow_senders.end(connection)
        connection.handling = True
        try:
            return await self._handler(request)
        finally:
            connection.handling = False

    async def _close_plain(self, wait_s: float) -> None:
        for connection in self._plain():
            connection.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                while self._plain():
                    self._one_lost.clear()
                    await self._one_lost.wait()
        for connection in self._plain():
            connection.abort()
        await asyncio.sleep(0)  # their requests are given up

    async def _close_aiohttp(self, wait_s: float) -> None:
        self._server.pre_shutdown()
        await self._server.shutdown(wait_s)

    def _plain(self) -> list[PlainConnection]:
        return [connection for connection in self._open if isinstance(connection, PlainConnection)]
