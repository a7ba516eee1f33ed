"""The program of a replica process, spoken to over a plain socket."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reference_server.backends import Batch
from reference_server.frames import Broken, FrameBuffer, Load, Loaded, Message, PassDone, RunPass, encode
from tests.reference_server.gate import ECHO, UNLOADABLE

ROOT = Path(__file__).parents[2]
LIMIT_S = 20


@contextmanager
def replica_process() -> Iterator[tuple[socket.socket, subprocess.Popen[bytes]]]:
    """Start the program and give our end of its socket."""
    ours, theirs = socket.socketpair()
    ours.settimeout(LIMIT_S)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "reference_server.replica_process", str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
        )
    with ours, process:
        yield ours, process
        process.kill()


def receive(channel: socket.socket) -> Message:
    """Return the next message."""
    frames, messages = FrameBuffer(), list[Message]()
    while not messages:
        messages = frames.feed(channel.recv(2**16))
    (message,) = messages
    return message


def ended(process: subprocess.Popen[bytes]) -> tuple[int, bytes]:
    """Return exit code and what was said on stderr."""
    _, said = process.communicate(timeout=LIMIT_S)
    return process.returncode, said


def test_process_loads_and_runs_passes_in_order() -> None:
    """Two passes sent at once come back one after the other, the second not begun before the first has ended."""
    with replica_process() as (channel, _):
        channel.sendall(encode(Load(ECHO, {})))
        assert receive(channel) == Loaded()
        passes = [encode(RunPass(serial, Batch(0, 0, 1, (1,), (b"%d" % serial,)))) for serial in (1, 2)]
        channel.sendall(passes[0])
        first = receive(channel)
        channel.sendall(passes[1])
        second = receive(channel)
        assert isinstance(first, PassDone)
        assert isinstance(second, PassDone)
        assert (first.outputs, second.outputs) == ((b"1",), (b"2",))
        assert first.ended_ns <= second.started_ns


@pytest.mark.parametrize("loaded", [False, True])
def test_process_ends_when_its_socket_closes(loaded: bool) -> None:
    """However the server ended, nothing is left running, and nothing is said about it."""
    with replica_process() as (channel, process):
        if loaded:
            channel.sendall(encode(Load(ECHO, {})))
            receive(channel)
        channel.close()
        assert ended(process) == (0, b"")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_process_outlives_the_signals_that_stop_the_server(number: signal.Signals) -> None:
    """Ctrl-C and a service manager reach all processes; accepted requests are still to be served."""
    with replica_process() as (channel, process):
        channel.sendall(encode(Load(ECHO, {})))
        receive(channel)
        process.send_signal(number)
        channel.sendall(encode(RunPass(3, Batch(0, 0, 1, (1,), (b"3",)))))
        answer = receive(channel)
        assert isinstance(answer, PassDone)
        assert answer.serial == 3


def test_backend_that_does_not_load_is_reported_without_a_traceback() -> None:
    """Its sentence goes to the server, its exit code says failure."""
    with replica_process() as (channel, process):
        channel.sendall(encode(Load(UNLOADABLE, {})))
        assert receive(channel) == Broken("the weights are missing")
        assert ended(process) == (1, b"")
