"""The program of a replica process: one backend, one pass at a time, blocking.

It ends when the server closes its socket, however the server ended; signals of a terminal or of a service manager are
the server's business, because accepted requests are still to be served after them.
"""

from __future__ import annotations

import contextlib
import gc
import signal
import socket
import sys
import time
from collections.abc import Iterator

from reference_server import backends
from reference_server.frames import Broken, FrameBuffer, Load, Loaded, Message, PassDone, RunPass, encode

__all__ = ["main"]

_RECEIVE_BYTES = 2**18


def main(descriptor: int) -> int:
    """Serve passes on the inherited socket until it is closed; return the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with socket.socket(fileno=descriptor) as channel:
        messages = _messages(channel)
        load = next(messages, None)
        if not isinstance(load, Load):
            return 0
        try:
            backend = backends.create(load.backend, load.settings)
            backend.load()
            backend.warm_up()
        except Exception as problem:
            return _end_broken(channel, problem)
        _keep_collector_quiet()
        return _serve(channel, messages, backend)


def _serve(channel: socket.socket, messages: Iterator[Message], backend: backends.Backend) -> int:
    with contextlib.suppress(ConnectionError):  # the server has gone
        channel.sendall(encode(Loaded()))
        for message in messages:
            assert isinstance(message, RunPass)
            channel.sendall(encode(_run(backend, message)))
    return 0


def _run(backend: backends.Backend, message: RunPass) -> PassDone | Broken:
    started_ns = time.perf_counter_ns()
    try:
        outputs = tuple(backend.run_pass(message.batch))
    except Exception as problem:
        return Broken(_sentence(problem))
    ended_ns = time.perf_counter_ns()
    if len(outputs) != len(message.batch.inputs):
        return Broken(f"The backend returned {len(outputs)} outputs for {len(message.batch.inputs)} inputs.")
    return PassDone(message.serial, started_ns, ended_ns, outputs)


def _messages(channel: socket.socket) -> Iterator[Message]:
    """Yield what the server sends until it closes the channel."""
    frames = FrameBuffer()
    while True:
        try:
            data = channel.recv(_RECEIVE_BYTES)
        except ConnectionError:
            return
        if not data:
            return
        yield from frames.feed(data)


def _end_broken(channel: socket.socket, problem: Exception) -> int:
    """Report why the backend cannot be loaded."""
    with contextlib.suppress(ConnectionError):
        channel.sendall(encode(Broken(_sentence(problem))))
    return 1


def _sentence(problem: Exception) -> str:
    return str(problem) or type(problem).__name__


def _keep_collector_quiet() -> None:
    """Keep full collections out of passes: what was loaded stays, so it need not be looked at again."""
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
