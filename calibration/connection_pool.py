"""The load generator's connections: opened ahead of need, and the one used last is used next, so that few stay warm."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from calibration.errors import ServerUnreachable
from calibration.http_connection import Connection, Response
from calibration.load_plan import Address

__all__ = ["ConnectionPool"]

_CONNECT_TIMEOUT_S = 5.0
_OPEN_AT_ONCE = 32  # connections under way: an asyncio server's backlog holds about 100
_CONNECTIONS_MAX = 8_192
_RESERVE = 8  # free connections to keep, so that no send meets an empty pool


class ConnectionPool:
    """Connections to one address. Whoever takes one gives it back, or hangs up.

    `on_opened` is given each connection that ask_for has opened, None for one that could not be.
    """

    def __init__(
        self,
        address: Address,
        on_response: Callable[[Connection, Response], None],
        on_lost: Callable[[Connection, int], None],
        on_opened: Callable[[Connection | None], None],
    ) -> None:
        self._address = address
        self._on_response = on_response
        self._on_lost = on_lost
        self._on_opened = on_opened
        self._free: list[Connection] = []
        self._live: set[Connection] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self.opened = 0
        """Connections opened so far."""

    @property
    def live(self) -> list[Connection]:
        """The connections that are open."""
        return list(self._live)

    async def open_first(self, count: int) -> None:
        """Open that many before anything is sent. Raises ServerUnreachable."""
        while self.opened < count:
            at_once = min(count - self.opened, _OPEN_AT_ONCE)
            try:
                self._free += await asyncio.gather(*(self._connect() for _ in range(at_once)))
            except OSError as error:
                # A TimeoutError is an OSError without a number.
                reason = os.strerror(error.errno).lower() if error.errno else "it takes no connection"
                url = self._address.url
                raise ServerUnreachable(f"The server at {url} cannot be reached: {reason}.") from None

    def take(self) -> Connection | None:
        """Return a free connection, None if there is none: then ask_for one."""
        return self._free.pop() if self._free else None

    def give_back(self, connection: Connection) -> None:
        """Keep a connection for the next request."""
        self._free.append(connection)

    def ask_for(self, count: int) -> None:
        """Open connections until that many are on their way and a reserve is there."""
        missing = count + _RESERVE - len(self._free) - len(self._opening)
        room = min(_OPEN_AT_ONCE, _CONNECTIONS_MAX - len(self._live)) - len(self._opening)
        for _ in range(min(missing, room)):
            task = asyncio.get_running_loop().create_task(self._open_one())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def close(self) -> None:
        """Hang up everywhere and let the loop carry it out."""
        for task in self._opening:
            task.cancel()
        while self._live or self._opening:
            for connection in self._live:
                connection.hang_up()
            await asyncio.sleep(0)

    async def _open_one(self) -> None:
        """Open one connection and hand it over."""
        try:
            connection: Connection | None = await self._connect()
        except OSError:
            connection = None
        task = asyncio.current_task()
        if task is not None:
            self._opening.discard(task)  # it is no longer under way when its owner asks for more
        self._on_opened(connection)

    async def _connect(self) -> Connection:
        """Return a new connection."""
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: Connection(self._on_response, self._lost), self._address.host, self._address.port
            )
        self._live.add(connection)
        self.opened += 1
        return connection

    def _lost(self, connection: Connection, now_ns: int) -> None:
        """Forget a connection that is gone and tell its owner."""
        self._live.discard(connection)
        if connection.load is None and connection in self._free:
            self._free.remove(connection)
        self._on_lost(connection, now_ns)
