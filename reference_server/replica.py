"""The server's side of a replica process: starts it, sends it passes, hands on its results, replaces it when it dies.

One process runs one instance. The socket never blocks the event loop: what it does not take at once is written when it
can take more. What a lost pass means for its members is the dispatcher's business.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from reference_server.errors import CouldNotServe
from reference_server.frames import Broken, FrameBuffer, Load, Loaded, Message, PassDone, RunPass, encode

__all__ = ["ReplicaListener", "ReplicaProcess"]

_LOG = logging.getLogger(__name__)
_RECEIVE_BYTES = 2**18
_RESTART_WAIT_S = 1.0  # after a process that died before it was ready: it may well do so again
_EXIT_WAIT_S = 1.0  # for a process to end by itself when its socket is closed; then it is killed
_STANDARD_ERROR = 2  # the server's results go to its standard output: a backend's talk must not


class ReplicaListener(Protocol):
    """What a replica process tells the server. Calls come from the event loop, never from within send()."""

    def ready(self, instance: int) -> None:
        """The backend is loaded and warm."""

    def pass_done(self, instance: int, done: PassDone) -> None:
        """A pass has ended."""

    def pass_broken(self, instance: int) -> None:
        """The backend raised in a pass; the process is well."""

    def lost(self, instance: int) -> None:
        """The process has died and is being started again."""


class ReplicaProcess:
    """One process, or the one that took its place."""

    def __init__(self, instance: int, backend: str, settings: Mapping[str, object], listener: ReplicaListener) -> None:
        self._instance = instance
        self._load = encode(Load(backend, dict(settings)))
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._channel: socket.socket | None = None
        self._process: Process | None = None
        self._restart: asyncio.Task[None] | None = None
        self._unsent = bytearray()
        self._frames = FrameBuffer()
        self._first_start: asyncio.Future[None] = self._loop.create_future()
        self.is_ready = False

    @property
    def pid(self) -> int | None:
        """The process id, None while there is no process."""
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Start the process and wait until its backend is ready. Raises CouldNotServe."""
        await self._spawn()
        await self._first_start

    def run_pass(self, message: RunPass) -> None:
        """Send a batch to the ready process."""
        self._send(encode(message))
        # Linux likes to wake a process on the core of its waker, where it would wait until the server has written all
        # answers of the batch before: 1 ms of idle device, growing with the batch. Measured on two cores, batches of 7:
        # hand-over to start of the pass 0.25 ms at p50 and 1.0 at p90 without this, 0.22 and 0.32 with it.
        os.sched_yield()

    async def close(self) -> None:
        """End the process."""
        if self._restart is not None:
            self._restart.cancel()
        self._close_channel()
        await self._reap()

    async def _spawn(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "reference_server.replica_process", str(theirs.fileno())),
                pass_fds=(theirs.fileno(),),
                env=_environment(),
                stdin=DEVNULL,
                stdout=_STANDARD_ERROR,
            )
        ours.setblocking(False)
        self._channel = ours
        self._loop.add_reader(ours, self._receive)
        self._send(self._load)

    def _receive(self) -> None:
        assert self._channel is not None
        try:
            data = self._channel.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self._lose()
            return
        for message in self._frames.feed(data):
            self._take(message)

    def _take(self, message: Message) -> None:
        match message:
            case PassDone():
                self._listener.pass_done(self._instance, message)
            case Loaded():
                self.is_ready = True
                if not self._first_start.done():
                    self._first_start.set_result(None)
                self._listener.ready(self._instance)
            case Broken(sentence) if self.is_ready:
                _LOG.error("The backend of instance %d failed in a pass: %s", self._instance, sentence)
                self._listener.pass_broken(self._instance)
            case Broken(sentence) if self._first_start.done():
                _LOG.error("The backend of instance %d could not be loaded again: %s", self._instance, sentence)
            case Broken(sentence):
                self._first_start.set_exception(CouldNotServe(f"The backend could not be loaded: {sentence}"))

    def _lose(self) -> None:
        """The other end has closed the socket, or died."""
        was_ready, self.is_ready = self.is_ready, False
        self._close_channel()
        if not self._first_start.done():
            self._first_start.set_exception(
                CouldNotServe(f"The process of instance {self._instance} ended before it was ready.")
            )
        if self._first_start.exception() is not None:
            return
        _LOG.error("The process of instance %d ended and is started again.", self._instance)
        self._listener.lost(self._instance)
        self._restart = self._loop.create_task(self._start_again(0.0 if was_ready else _RESTART_WAIT_S))

    async def _start_again(self, wait_s: float) -> None:
        await self._reap()
        await asyncio.sleep(wait_s)
        await self._spawn()

    async def _reap(self) -> None:
        """Let the process end by itself, else kill it."""
        process = self._process
        if process is None:
            return
        try:
            await asyncio.wait_for(process.wait(), _EXIT_WAIT_S)
        except TimeoutError:
            process.kill()
            await process.wait()
        self._process = None

    # Writing

    def _send(self, data: bytes) -> None:
        if self._channel is None:
            return  # lost: the dispatcher has been told, or is told as soon as the loop comes to it
        if not self._unsent:
            data = data[self._send_now(data) :]
            if not data:
                return
            self._loop.add_writer(self._channel, self._send_rest)
        self._unsent += data

    def _send_rest(self) -> None:
        assert self._channel is not None
        del self._unsent[: self._send_now(self._unsent)]
        if not self._unsent:
            self._loop.remove_writer(self._channel)

    def _send_now(self, data: bytes | bytearray) -> int:
        """Return how many bytes the socket took."""
        assert self._channel is not None
        try:
            return self._channel.send(data)
        except BlockingIOError:
            return 0
        except ConnectionError:
            return len(data)  # the process has died: _receive is about to see it

    def _close_channel(self) -> None:
        if self._channel is None:
            return
        self._loop.remove_reader(self._channel)
        self._loop.remove_writer(self._channel)
        self._channel.close()
        self._channel = None
        self._unsent.clear()
        self._frames = FrameBuffer()


def _environment() -> dict[str, str]:
    """Return an environment in which the process finds the packages that this one runs."""
    here = str(Path(__file__).resolve().parent.parent)
    rest = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": here if not rest else os.pathsep.join((here, rest))}
