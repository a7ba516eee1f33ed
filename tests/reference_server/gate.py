"""Backends for tests, and the gate through which a test holds a pass and lets it end as it likes.

GatedBackend runs in a replica process and talks to the test over a Unix socket: a line when a pass starts, and the
pass lasts until a line comes back. So a test knows that a pass is running, and needs no sleep to make it so.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import threading
import time
from pathlib import Path
from types import TracebackType

from reference_server.backends import BadInput, Batch, Output

BUSY = "tests.reference_server.gate:BusyBackend"
ECHO = "tests.reference_server.gate:EchoBackend"
FIRST = "tests.reference_server.gate:FirstBackend"
FRAMES = "tests.reference_server.gate:FramesBackend"
GATED = "tests.reference_server.gate:GatedBackend"
PICKY = "tests.reference_server.gate:PickyBackend"
SHARED = "tests.reference_server.gate:SharedBackend"
SLEEPY = "tests.reference_server.gate:SleepyBackend"
STUCK = "tests.reference_server.gate:StuckBackend"
UNLOADABLE = "tests.reference_server.gate:UnloadableBackend"
WHERE = "tests.reference_server.gate:WhereBackend"


class EchoBackend:
    """Returns its inputs at once."""

    def load(self) -> None:
        pass

    def warm_up(self) -> None:
        pass

    def run_pass(self, batch: Batch) -> list[Output]:
        return list(batch.inputs)


class BusyBackend(EchoBackend):
    """Computes on the CPU, as it says."""

    computes_on_cpu = True


class WhereBackend(EchoBackend):
    """Tells where a pass runs: the process, and whether it is its main thread."""

    def run_pass(self, batch: Batch) -> list[Output]:
        main = threading.current_thread() is threading.main_thread()
        return [json.dumps([os.getpid(), main]).encode() for _ in batch.inputs]


class ForgetfulBackend(EchoBackend):
    """Returns one output less than there are members."""

    def run_pass(self, batch: Batch) -> list[Output]:
        return list(batch.inputs[1:])


class PickyBackend(EchoBackend):
    """Takes numbers only; every pass takes 7 ms of a device that nobody sees."""

    last_device_ns: int | None = None

    def run_pass(self, batch: Batch) -> list[Output]:
        self.last_device_ns = 7_000_000
        return [text if text.isdigit() else BadInput("The input must be a number.") for text in batch.inputs]


class FramesBackend(EchoBackend):
    """Writes given bytes on its program's own socket before each answer."""

    def __init__(self, frames: str) -> None:
        self._frames = bytes.fromhex(frames)

    def run_pass(self, batch: Batch) -> list[Output]:
        os.write(int(sys.argv[1]), self._frames)
        return list(batch.inputs)


class SleepyBackend(EchoBackend):
    """Does not get ready while a file is there."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def load(self) -> None:
        while self._path.exists():
            time.sleep(0.005)


class FirstBackend(EchoBackend):
    """Serves as the first replica, 20 ms a pass; as a later one it fails to load, or never gets ready."""

    def __init__(self, replica: int, later: str) -> None:
        self._fate = later if replica else ""

    def load(self) -> None:
        if self._fate == "fails":
            raise RuntimeError("there is no device left")
        while self._fate == "hangs":
            time.sleep(0.005)

    def run_pass(self, batch: Batch) -> list[Output]:
        time.sleep(0.02)
        return list(batch.inputs)


class UnloadableBackend(EchoBackend):
    """Cannot be loaded."""

    def load(self) -> None:
        raise RuntimeError("the weights are missing")


class GatedBackend(EchoBackend):
    """Returns its inputs when the gate lets it; raises, returns too little or dies when the gate says so."""

    def __init__(self, path: str) -> None:
        self._path = path

    def load(self) -> None:
        self._gate = socket.socket(socket.AF_UNIX)
        self._gate.connect(self._path)
        self._answers = self._gate.makefile("r")

    def run_pass(self, batch: Batch) -> list[Output]:
        started = {"sizes": batch.sizes, "lengths": [len(text) for text in batch.inputs]}
        self._gate.sendall(json.dumps(started).encode() + b"\n")
        match self._answers.readline().strip():
            case "fail":
                raise RuntimeError("the device is on fire")
            case "die":
                os._exit(3)
            case "die in its answer":
                os.write(int(sys.argv[1]), b"\x04\xff")  # the first bytes of a frame, on the program's own socket
                os._exit(3)
            case "lose one":
                return list(batch.inputs[1:])
            case "finish":
                return list(batch.inputs)
        os._exit(0)  # the test is over


class SharedBackend(GatedBackend):
    """All instances in one process; each has a connection to the gate of its own."""

    instances_share_process = True


class StuckBackend(GatedBackend):
    """Comes to the gate while it loads, and stays there until it is told to fail."""

    def load(self) -> None:
        super().load()
        self._gate.sendall(b'{"lengths": []}\n')
        self._answers.readline()
        raise RuntimeError("the weights are missing")


class Gate:
    """The test's side. `settings` are the backend's."""

    def __init__(self, directory: Path) -> None:
        self._path = str(directory / "gate")
        self.settings = {"path": self._path}
        self._started: asyncio.Queue[tuple[list[int], asyncio.StreamWriter]] = asyncio.Queue()
        self._writers: list[asyncio.StreamWriter] = []
        self._gone = asyncio.Event()

    async def __aenter__(self) -> Gate:
        self._server = await asyncio.start_unix_server(self._listen, self._path)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in self._writers), return_exceptions=True)

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        while line := await reader.readline():
            self._started.put_nowait((json.loads(line)["lengths"], writer))
        self._gone.set()

    async def pass_started(self) -> Held:
        """Wait until a pass runs; with StuckBackend, until it loads."""
        lengths, writer = await self._started.get()
        return Held(lengths, writer)

    async def backend_ended(self) -> None:
        """Wait until a backend has ended."""
        await self._gone.wait()


class Held:
    """One running pass."""

    def __init__(self, lengths: list[int], writer: asyncio.StreamWriter) -> None:
        self.lengths = lengths  # (members,) of the inputs, in bytes
        self._writer = writer

    def end(self, how: str = "finish") -> None:
        """Let it end: finish, fail, die, die in its answer, or lose one."""
        self._writer.write(how.encode() + b"\n")
