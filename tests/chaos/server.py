"""The test's hold on a server process: start it, look at it from outside, signal it, read what it leaves behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from policy.timeline import Attempt, Pass

ROOT = Path(__file__).parents[2]
_PAGE = os.sysconf("SC_PAGE_SIZE")
_START_LIMIT_S = 30.0
_POLL_S = 0.05


class Usage(NamedTuple):
    """What a server and its replica processes hold of the machine."""

    memory: int  # resident bytes of the server
    children_memory: int  # and of its children together
    descriptors: int  # open in the server
    children_descriptors: int
    children: int


class ChaosServer:
    """One server process."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.folder = folder
        self.settings = {"folder": str(folder), **settings}
        self.url = ""

    async def start(self) -> None:
        """Start it and wait until it is ready."""
        with (self.folder / "said").open("wb") as said:
            self.process: Process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.chaos.serve", json.dumps(self.settings)),
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=said,
            )
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), _START_LIMIT_S)
        if not line:
            raise RuntimeError(f"The server did not start: {self.said()}")
        self.url = line.decode().strip()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rpartition(":")[2])

    def said(self) -> str:
        """Return what it wrote on stderr."""
        return (self.folder / "said").read_text(encoding="utf-8", errors="replace")

    def terminate(self) -> None:
        """Ask it to finish what it holds and to end."""
        self.process.terminate()

    async def ended(self, limit_s: float = 30.0) -> int | None:
        """Return its exit code; None if it did not end in time, and was killed."""
        try:
            return await asyncio.wait_for(self.process.wait(), limit_s)
        except TimeoutError:
            self.kill()
            return None

    def kill(self) -> None:
        """End it at once, with its children."""
        for pid in (*self.children(), self.process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def children(self) -> list[int]:
        """Return the ids of its child processes, whatever their state."""
        return [int(path.name) for path in Path("/proc").glob("[0-9]*") if _parent(path) == self.process.pid]

    def usage(self) -> Usage:
        """Return what it holds now."""
        server, children = Path("/proc") / str(self.process.pid), [Path("/proc") / str(pid) for pid in self.children()]
        return Usage(
            _memory(server),
            sum(map(_memory, children)),
            _descriptors(server),
            sum(map(_descriptors, children)),
            len(children),
        )

    async def settled(self, before: Usage, limit_s: float = 10.0) -> Usage:
        """Return what it holds once descriptors and children are what they were, or at the end of the limit."""
        for _ in range(int(limit_s / _POLL_S)):
            if self.usage()[2:] == before[2:]:
                break
            await asyncio.sleep(_POLL_S)
        return self.usage()

    def table(self, name: str) -> list[dict[str, int]]:
        """Return another table that it wrote when it ended, rows by the names of their columns."""
        page = json.loads((self.folder / "rows.json").read_text(encoding="utf-8"))
        columns = page[{"rollout": "rollout_columns", "replicas": "replica_columns"}[name]]
        return [dict(zip(columns, row, strict=True)) for row in page[name]]

    def rows(self) -> tuple[list[Attempt], list[Pass]]:
        """Return the rows that it wrote when it ended."""
        page = json.loads((self.folder / "rows.json").read_text(encoding="utf-8"))
        assert page["dropped"] == 0
        return [Attempt(*row) for row in page["attempts"]], [Pass(*row) for row in page["passes"]]


def _parent(path: Path) -> int:
    try:
        return int((path / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return -1


def _memory(path: Path) -> int:
    try:
        return int((path / "statm").read_text().split()[1]) * _PAGE
    except OSError:
        return 0


def _descriptors(path: Path) -> int:
    try:
        return len(os.listdir(path / "fd"))
    except OSError:
        return 0
