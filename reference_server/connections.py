"""aiohttp's low-level HTTP server, without the layers that cost time on every request: router, signals, access log.

Two things are added: when the last bytes of a request came in, and that protocol errors are JSON like all others.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Awaitable, Callable
from time import perf_counter_ns
from typing import Any

from aiohttp import web

from reference_server.errors import CouldNotServe

__all__ = ["JSON_HEADERS", "Connection", "Connections", "Handler", "error_response", "received_ns"]

_LOG = logging.getLogger(__name__)
_BACKLOG = 1024  # connections that the kernel holds before they are taken: a burst of clients is not turned away

JSON_HEADERS = {"Content-Type": "application/json", "Server": "servecast"}

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def error_response(status: int, sentence: str, headers: dict[str, str] | None = None) -> web.Response:
    """Return {"error": sentence}."""
    body = json.dumps({"error": sentence}).encode()
    return web.Response(status=status, body=body, headers={**JSON_HEADERS, **(headers or {})})


def received_ns(request: web.BaseRequest) -> int:
    """Return when the latest bytes of a request's connection came in (time.perf_counter_ns)."""
    connection = request.protocol
    assert isinstance(connection, Connection)
    return connection.received_ns


class Connection(web.RequestHandler):
    """One connection of a client."""

    __slots__ = ("_count_malformed", "received_ns")

    def __init__(self, server: web.Server, count_malformed: Callable[[int], None], **settings: Any) -> None:
        super().__init__(server, **settings)
        self._count_malformed = count_malformed
        self.received_ns = perf_counter_ns()

    def data_received(self, data: bytes) -> None:
        """Stamp the bytes and go on as ever."""
        self.received_ns = perf_counter_ns()
        super().data_received(data)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is not HTTP with 400, and a fault of the server's own with 500; then close the connection."""
        if status >= 500:
            _LOG.error("A handler failed.", exc_info=exc)
            response = error_response(status, "The server failed on this request.")
        else:
            self._count_malformed(status)
            response = error_response(status, "The request is not valid HTTP/1.1.")
        response.force_close()
        return response


class Connections:
    """The listening socket and all connections."""

    def __init__(self, handler: Handler, *, body_limit: int, count_malformed: Callable[[int], None]) -> None:
        self._loop = asyncio.get_running_loop()

        def make_request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
            return web.BaseRequest(message, payload, protocol, writer, task, self._loop, client_max_size=body_limit)

        # handler_cancellation: the handler of a client that hangs up is cancelled, which is how it learns of it.
        self._server = web.Server(handler, request_factory=make_request, handler_cancellation=True)
        self._count_malformed = count_malformed
        self._listener: asyncio.Server | None = None

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
        """Close all connections, those with a running handler after it has ended, at the latest after that time."""
        self.stop_listening()
        await asyncio.sleep(0)  # requests that have come in are begun
        self._server.pre_shutdown()
        await self._server.shutdown(wait_s)

    def _connect(self) -> Connection:
        return Connection(self._server, self._count_malformed, loop=self._loop, access_log=None)
