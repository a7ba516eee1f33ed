"""The life of the server: start, ready, drain, stop.

The socket listens from the first moment on, so that /health can say "starting"; predictions that come early wait. After
SIGTERM or SIGINT nothing new is taken, everything accepted is finished, the rows are written, and the exit code is 0. A
second signal stops at once, with code 1.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import resource
import signal
from collections.abc import Callable
from pathlib import Path

from reference_server.connections import Connections
from reference_server.dispatch_loop import DispatchLoop
from reference_server.errors import CouldNotServe
from reference_server.handlers import Handlers
from reference_server.settings import ServerSettings
from reference_server.timeline_log import TimelineLog

__all__ = ["HANDLER_WAIT_S", "ReferenceServer", "serve"]

HANDLER_WAIT_S = 5.0
"""How long a closing server waits for handlers that still run, such as a long page of /timeline."""

_GIVE_UP_WAIT_S = 0.1  # after the second signal

_YOUNG_OBJECTS = 50_000
"""Container objects, more than were freed, after which the garbage collector looks at the young ones."""


_M_MMAP_THRESHOLD = -3  # malloc.h
_LARGE_BYTES = 2**18

_SPARE_DESCRIPTORS = 100
"""What a server needs besides its connections: sockets, pipes and files."""


def serve(settings: ServerSettings, *, ready: Callable[[str], None]) -> int:
    """Serve until a signal comes and return the exit code; `ready` is called once with the URL.

    Blocks; call it from the main thread. Raises CouldNotServe.
    """
    _allow_descriptors(settings.connections_max + _SPARE_DESCRIPTORS)
    _give_large_blocks_back()
    return asyncio.run(_serve(settings, ready))


class ReferenceServer:
    """A server inside a running event loop: start(), then drain(), then close()."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self.dispatch = DispatchLoop(settings)
        handlers = Handlers(self.dispatch, settings)
        self._connections = Connections(handlers, handlers.predictions, settings)

    async def listen(self) -> str:
        """Open the listening socket and return the URL. Raises CouldNotServe."""
        return await self._connections.listen(self._settings.host, self._settings.port)

    async def start(self) -> None:
        """Start the replica processes and wait until all are ready. Raises CouldNotServe."""
        await self.dispatch.start()

    async def drain(self) -> None:
        """Take nothing new and return when everything accepted is answered."""
        self._connections.stop_listening()
        await self.dispatch.drain()

    async def close(self, wait_s: float = HANDLER_WAIT_S) -> None:
        """Close the connections, after `wait_s` also those that still wait; end the processes and write the rows.

        Raises CouldNotServe when the file of the rows, or the journal, cannot be written.
        """
        await self._connections.close(wait_s)
        await self.dispatch.close()
        try:
            if self._settings.timeline_file is not None:
                _write_rows(self.dispatch.timeline, self._settings.timeline_file)
        finally:
            if self.dispatch.journal is not None:
                self.dispatch.journal.close()


async def _serve(settings: ServerSettings, ready: Callable[[str], None]) -> int:
    stop, give_up = asyncio.Event(), asyncio.Event()
    _on_signals(lambda: give_up.set() if stop.is_set() else stop.set())
    server = ReferenceServer(settings)
    wait_s = HANDLER_WAIT_S
    try:
        url = await server.listen()
        start = asyncio.create_task(server.start())
        start.add_done_callback(lambda task: None if _succeeded(task) else give_up.set())
        if await _comes_first(start, stop):
            await start
            _keep_collector_quiet()
            ready(url)
            await stop.wait()
        if await _comes_first(asyncio.create_task(server.drain()), give_up):
            return 0
        wait_s = _GIVE_UP_WAIT_S
        if start.done():
            start.result()  # raises what kept the server from starting, if that is why it gives up
        return 1
    finally:
        await server.close(wait_s)


def _write_rows(timeline: TimelineLog, file: Path) -> None:
    try:
        timeline.write(file)
    except OSError as problem:
        raise CouldNotServe(f"The rows could not be written to {file}: {problem.strerror}.") from problem


def _on_signals(act: Callable[[], None]) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, act)


async def _comes_first(work: asyncio.Task[None], event: asyncio.Event) -> bool:
    """Return whether the work is done before the event."""
    waiter = asyncio.create_task(event.wait())
    await asyncio.wait((work, waiter), return_when=asyncio.FIRST_COMPLETED)
    waiter.cancel()
    return work.done()


def _succeeded(work: asyncio.Task[None]) -> bool:
    return not work.cancelled() and work.exception() is None


def _allow_descriptors(count: int) -> None:
    """Allow this process so many open files, or as many as the system lets it; often the default is 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _give_large_blocks_back() -> None:
    """Let the allocator map large blocks one by one, so that the end of a body or an answer returns its memory.

    Left alone, glibc raises the size from which it does so to the largest block that was ever freed, up to 32 MiB, and
    keeps what smaller ones took. Another C library has no mallopt, and needs none.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def _keep_collector_quiet() -> None:
    """Keep the garbage collector out of the latencies.

    What is there after the start stays until the end: frozen, it is never walked through again. Requests leave next to
    no cycles behind (rows are plain integers, timeline_log.py), so collections can be rare.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, 10, 10)
