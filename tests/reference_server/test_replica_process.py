"""The program of a replica process, spoken to over plain sockets."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from reference_server.backends import Batch
from reference_server.frames import Broken, FrameBuffer, Hosting, Load, Loaded, Message, PassDone, RunPass, encode
from tests.reference_server.gate import ECHO, SHARED, UNLOADABLE, WHERE

ROOT = Path(__file__).parents[2]
LIMIT_S = 20


class Line:
    """Our end of a socket to the program."""

    def __init__(self, end: socket.socket) -> None:
        end.settimeout(LIMIT_S)
        self.end = end
        self._frames = FrameBuffer()
        self._messages: list[Message] = []

    def send(self, message: Message) -> None:
        """Send a message."""
        self.end.sendall(encode(message))

    def receive(self) -> Message:
        """Return the next message."""
        while not self._messages:
            self._messages = self._frames.feed(self.end.recv(2**16))
        return self._messages.pop(0)

    def load(self, backend: str, *instances: int) -> None:
        """Have a backend loaded by a third incarnation."""
        self.send(Load(3, instances, backend, {}))
        assert isinstance(self.receive(), Hosting)
        assert self.receive() == Loaded(3, instances[0])


@contextmanager
def replica_process(sockets: int = 1) -> Iterator[tuple[list[Line], subprocess.Popen[bytes]]]:
    """Start the program and give our ends of its sockets."""
    with ExitStack() as stack:
        pairs = [socket.socketpair() for _ in range(sockets)]
        lines = [Line(stack.enter_context(pair[0])) for pair in pairs]
        descriptors = [pair[1].fileno() for pair in pairs]
        process = subprocess.Popen(
            [sys.executable, "-m", "reference_server.replica_process", *map(str, descriptors)],
            pass_fds=descriptors,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
        )
        for pair in pairs:
            pair[1].close()
        with process:
            yield lines, process
            process.kill()


def run_pass(instance: int, serial: int, text: bytes) -> RunPass:
    """Return a message that asks for a pass."""
    return RunPass(3, instance, serial, Batch(((0, 0),), 1, (1,), (text,)))


def ended(process: subprocess.Popen[bytes]) -> tuple[int, bytes]:
    """Return exit code and what was said on stderr."""
    _, said = process.communicate(timeout=LIMIT_S)
    return process.returncode, said


def test_process_loads_and_runs_passes_in_order() -> None:
    """Two passes sent at once come back one after the other, the second not begun before the first has ended."""
    with replica_process() as ((line,), _):
        line.load(ECHO, 5)
        line.end.sendall(encode(run_pass(5, 1, b"1")) + encode(run_pass(5, 2, b"2")))
        first, second = line.receive(), line.receive()
        assert isinstance(first, PassDone)
        assert isinstance(second, PassDone)
        assert (first[:3], first.outputs) == ((3, 5, 1), (b"1",))
        assert (second[:3], second.outputs) == ((3, 5, 2), (b"2",))
        assert first.ended_ns <= second.started_ns


def test_lone_instance_runs_in_the_main_thread() -> None:
    """No hop between threads lies between a batch and its pass, even if more sockets are there than are needed."""
    with replica_process(sockets=2) as ((line, spare), process):
        line.send(Load(3, (5, 6), WHERE, {}))
        assert line.receive() == Hosting(3, 1, False)
        assert line.receive() == Loaded(3, 5)
        line.send(run_pass(5, 0, b"0"))
        done = line.receive()
        assert isinstance(done, PassDone)
        assert done.outputs == (f"[{process.pid}, true]".encode(),)
        spare.end.close()
        line.send(run_pass(5, 1, b"0"))
        assert isinstance(line.receive(), PassDone)


def test_backend_that_shares_its_process_hosts_all_instances(tmp_path: Path) -> None:
    """Each on its own socket; none is ready before all are loaded."""
    path = str(tmp_path / "gate")
    with socket.socket(socket.AF_UNIX) as gate, replica_process(sockets=2) as (lines, _):
        gate.bind(path)
        gate.listen()
        lines[0].send(Load(3, (5, 6), SHARED, {"path": path}))
        assert lines[0].receive() == Hosting(3, 2, False)
        assert [line.receive() for line in lines] == [Loaded(3, 5), Loaded(3, 6)]
        gates = [gate.accept()[0] for _ in lines]
        for number, line in enumerate(lines):
            line.send(run_pass(5 + number, number, b"%d" % number))
        for each in gates:
            assert each.recv(2**10)
            each.sendall(b"finish\n")
            each.close()
        assert [line.receive()[:3] for line in lines] == [(3, 5, 0), (3, 6, 1)]


@pytest.mark.parametrize("loaded", [False, True])
def test_process_ends_when_its_socket_closes(loaded: bool) -> None:
    """However the server ended, nothing is left running, and nothing is said about it."""
    with replica_process() as ((line,), process):
        if loaded:
            line.load(ECHO, 0)
        line.end.close()
        assert ended(process) == (0, b"")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_process_outlives_the_signals_that_stop_the_server(number: signal.Signals) -> None:
    """Ctrl-C and a service manager reach all processes; accepted requests are still to be served."""
    with replica_process() as ((line,), process):
        line.load(ECHO, 0)
        process.send_signal(number)
        line.send(run_pass(0, 3, b"3"))
        answer = line.receive()
        assert isinstance(answer, PassDone)
        assert answer.serial == 3


def test_backend_that_does_not_load_is_reported_without_a_traceback() -> None:
    """Its sentence goes to the server, its exit code says failure."""
    with replica_process() as ((line,), process):
        line.send(Load(3, (0,), UNLOADABLE, {}))
        assert line.receive() == Hosting(3, 1, False)
        assert line.receive() == Broken(3, 0, -1, "the weights are missing")
        assert ended(process) == (1, b"")


def test_backend_that_there_is_not_is_reported_without_a_traceback() -> None:
    """Before anything is hosted."""
    with replica_process() as ((line,), process):
        line.send(Load(3, (0,), "no.such:Backend", {}))
        assert line.receive() == Broken(3, 0, -1, "No module named 'no'")
        assert ended(process) == (1, b"")


def test_outputs_that_are_too_few_are_reported() -> None:
    """A backend that loses a member has failed the whole pass: nobody knows whose output is missing."""
    with replica_process() as ((line,), _):
        line.load("tests.reference_server.gate:ForgetfulBackend", 0)
        line.send(run_pass(0, 4, b"0"))
        assert line.receive() == Broken(3, 0, 4, "The backend returned 0 outputs for 1 inputs.")
