"""The program of a replica process: one backend, or one for each instance, one pass at a time in each, blocking.

The first instance runs in the main thread, each further one in a thread of its own with a socket of its own, so that
nothing lies between a batch's arrival and its pass. The program ends when the server closes its sockets, however the
server ended; signals of a terminal or of a service manager are the server's business, because accepted requests are
still to be served after them.
"""

from __future__ import annotations

import contextlib
import gc
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from policy.instant import UNSET
from reference_server import backends
from reference_server.frames import Broken, FrameBuffer, Hosting, Load, Loaded, Message, PassDone, RunPass, encode

__all__ = ["main", "run_pass", "sentence_of"]

_RECEIVE_BYTES = 2**18


def main(descriptors: Sequence[int]) -> int:
    """Serve passes on the inherited sockets, one for each instance, until they are closed; return the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with contextlib.ExitStack() as stack:
        channels = [stack.enter_context(socket.socket(fileno=descriptor)) for descriptor in descriptors]
        messages = _messages(channels[0])
        load = next(messages, None)
        if not isinstance(load, Load):
            return 0
        with contextlib.suppress(ConnectionError):  # the server has gone
            return _host(load, channels, messages)
        return 0


def run_pass(backend: backends.Backend, message: RunPass) -> PassDone | Broken:
    """Run a batch and return what there is to say about it."""
    key = message[:3]  # incarnation, instance, serial
    started_ns = time.perf_counter_ns()
    try:
        outputs = tuple(backend.run_pass(message.batch))
    except Exception as problem:
        return Broken(*key, sentence_of(problem))
    ended_ns = time.perf_counter_ns()
    if len(outputs) != len(message.batch.inputs):
        return Broken(*key, f"The backend returned {len(outputs)} outputs for {len(message.batch.inputs)} inputs.")
    return PassDone(*key, started_ns, ended_ns, backends.device_ns_of(backend), outputs)


def sentence_of(problem: Exception) -> str:
    """Return what is told of an exception of a backend."""
    return str(problem) or type(problem).__name__


class _Lane:
    """One instance: its backend, and the socket on which its batches come."""

    def __init__(
        self, load: Load, instance: int, backend: backends.Backend, channel: socket.socket, messages: Iterator[Message]
    ) -> None:
        self._key = load.incarnation, instance
        self._backend = backend
        self._channel = channel
        self._messages = messages

    def load(self) -> bool:
        """Make the instance ready, or report why it cannot be."""
        try:
            self._backend.load()
            self._backend.warm_up()
        except Exception as problem:
            self._say(Broken(*self._key, UNSET, sentence_of(problem)))
            return False
        return True

    def serve(self) -> None:
        """Run passes until the socket is closed."""
        with self._channel, contextlib.suppress(ConnectionError):
            self._say(Loaded(*self._key))
            for message in self._messages:
                assert isinstance(message, RunPass)
                self._say(run_pass(self._backend, message))

    def _say(self, message: Message) -> None:
        self._channel.sendall(encode(message))


def _host(load: Load, channels: Sequence[socket.socket], messages: Iterator[Message]) -> int:
    """Serve as many instances as the backend wants in one process."""
    first = load.instances[0]
    try:
        backend = backends.create(load.backend, load.settings)
        count = len(load.instances) if backends.shares_process(backend) else 1
        on_cpu = backends.computes_on_cpu(backend)
        others = [backends.create(load.backend, load.settings) for _ in range(1, count)]
    except Exception as problem:
        channels[0].sendall(encode(Broken(load.incarnation, first, UNSET, sentence_of(problem))))
        return 1
    channels[0].sendall(encode(Hosting(load.incarnation, count, on_cpu)))
    for unused in channels[count:]:  # those of instances that get a process of their own
        unused.close()
    lane = _Lane(load, first, backend, channels[0], messages)
    if not others:
        return _serve_alone(lane)
    return _serve_together(
        lane,
        [
            _Lane(load, instance, other, channel, _messages(channel))
            for instance, other, channel in zip(load.instances[1:], others, channels[1:], strict=True)
        ],
    )


def _serve_alone(lane: _Lane) -> int:
    if not lane.load():
        return 1
    _keep_collector_quiet()
    lane.serve()
    return 0


def _serve_together(first: _Lane, others: Sequence[_Lane]) -> int:
    """Load one instance after the other, each in the thread that will run its passes, then serve them all."""
    threads = [ThreadPoolExecutor(1) for _ in others]
    if not first.load():
        return 1
    for thread, lane in zip(threads, others, strict=True):
        if not thread.submit(lane.load).result():
            return 1
    _keep_collector_quiet()
    for thread, lane in zip(threads, others, strict=True):
        thread.submit(lane.serve)
    first.serve()
    return 0


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


def _keep_collector_quiet() -> None:
    """Keep full collections out of passes: what was loaded stays, so it need not be looked at again."""
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    sys.exit(main([int(argument) for argument in sys.argv[1:]]))
