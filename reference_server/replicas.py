"""The replicas of the fleet as they really run: started when ordered, stopped when told, their reports passed on.

When one is ordered or stopped is the dispatcher's decision; how its processes live is replica.py's business.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from time import perf_counter_ns
from typing import Any, Protocol

from reference_server.backends import Batch
from reference_server.cores import Cores, cores_here
from reference_server.errors import CouldNotServe
from reference_server.frames import PassDone
from reference_server.inline_replica import InlineReplica
from reference_server.replica import Hosted, ProcessReplica, Replica
from reference_server.settings import ServerSettings

__all__ = ["FleetListener", "Replicas"]

_LOG = logging.getLogger(__name__)
_RESTART_WAIT_S = 1.0  # after a replica that could not be started: it may well fail again


class FleetListener(Protocol):
    """What the replicas tell the server. Calls come from the event loop, never from within a call of Replicas."""

    def ready(self, replica: int, instance: int) -> None:
        """The backend of an instance is loaded and warm."""

    def pass_done(self, replica: int, instance: int, done: PassDone) -> None:
        """A pass has ended."""

    def pass_broken(self, replica: int, instance: int, sentence: str) -> None:
        """The backend raised in a pass; the instance is well. The sentence is for its members' clients."""

    def lost(self, replica: int, sentences: Mapping[int, str]) -> None:
        """The process of these instances is gone and is started again; a sentence for the clients of each pass."""

    def stale_frame(self) -> None:
        """A message of a process that is gone, or on a pass that is not running, was dropped."""


class Replicas:
    """All replicas that are there or on their way, by serial."""

    def __init__(self, settings: ServerSettings, first: Mapping[int, int], listener: FleetListener) -> None:
        """`first` are the replicas that are there from the start: the version of each, by its serial."""
        self._settings = settings
        self._first = dict(first)
        self._listener = listener
        self._replicas: dict[int, Replica] = {}
        self._starts: dict[int, asyncio.Task[None]] = {}
        self._ends: set[asyncio.Task[None]] = set()
        self._has_started = False
        self._cores = Cores(settings.processes_max, cores_here())
        self._is_closed = False  # the dispatcher may still decide something; nothing is done about it

    @property
    def is_ready(self) -> bool:
        """Whether the first replicas have been ready, and every one that is not on its way can take passes."""
        there = (replica for serial, replica in self._replicas.items() if serial not in self._starts)
        return self._has_started and all(replica.is_ready for replica in there)

    @property
    def pids(self) -> list[int]:
        """The ids of the replica processes that live."""
        return [pid for replica in self._replicas.values() for pid in replica.pids]

    @property
    def front_end_cores(self) -> list[int] | None:
        """The cores that the server keeps to beside processes with one of their own; None: it may use all."""
        return self._cores.front_end

    async def start_first(self) -> None:
        """Start the replicas that are there from the start, and wait until all are ready. Raises CouldNotServe."""
        for serial, version in self._first.items():
            self._open(serial, version)
        await asyncio.gather(*(replica.start() for replica in list(self._replicas.values())))
        self._has_started = True

    def order(self, serial: int, version: int) -> None:
        """Begin to start a replica of a version; one that cannot be started is tried again until it is stopped."""
        if self._is_closed:
            return
        self._open(serial, version)
        self._starts[serial] = asyncio.create_task(self._start(serial, version))

    def run_pass(self, replica: int, instance: int, serial: int, batch: Batch) -> None:
        """Run a batch on an instance that is ready and idle."""
        if self._is_closed:
            return
        self._replicas[replica].run_pass(instance, serial, batch)

    def stop(self, serial: int) -> None:
        """Begin to end a replica, wherever its start has come to."""
        if not self._is_closed:
            self._in_background(self._end(self._replicas.pop(serial), self._starts.pop(serial, None)))

    async def close(self) -> None:
        """End everything."""
        for serial in list(self._replicas):
            self.stop(serial)
        self._is_closed = True
        while self._ends:
            await asyncio.gather(*self._ends)
        self._cores.close()

    def _open(self, serial: int, number: int) -> None:
        settings, version = self._settings, self._settings.versions[number]
        reports = _Reports(serial, self._listener)
        if settings.blocking:
            self._replicas[serial] = InlineReplica(version.backend, version.backend_settings, reports)
            return
        # An emulated device takes its cold start from the order on, whatever of it the process has used up.
        known = {"replica": serial, "ordered_ns": perf_counter_ns()}
        filled = {key: known.get(key, value) for key, value in version.backend_settings.items()}
        hosted = Hosted(version.backend, filled, settings.pass_timeout_ns, settings.start_timeout_ns, self._cores)
        self._replicas[serial] = ProcessReplica(version.rules.instances, hosted, reports)

    async def _start(self, serial: int, version: int) -> None:
        while True:
            try:
                await self._replicas[serial].start()
            except CouldNotServe as problem:
                _LOG.error("Replica %d could not be started and is tried again: %s", serial, problem)
                await self._replicas[serial].close()
                await asyncio.sleep(_RESTART_WAIT_S)
                self._open(serial, version)
            else:
                del self._starts[serial]
                return

    async def _end(self, replica: Replica, start: asyncio.Task[None] | None) -> None:
        if start is not None:
            start.cancel()
            await asyncio.wait([start])
        await replica.close()

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._ends.add(task)
        task.add_done_callback(self._ends.discard)


class _Reports:
    """What one replica tells, passed on with its serial."""

    def __init__(self, serial: int, listener: FleetListener) -> None:
        self._serial = serial
        self._listener = listener

    def ready(self, instance: int) -> None:
        self._listener.ready(self._serial, instance)

    def pass_done(self, instance: int, done: PassDone) -> None:
        self._listener.pass_done(self._serial, instance, done)

    def pass_broken(self, instance: int, sentence: str) -> None:
        self._listener.pass_broken(self._serial, instance, sentence)

    def lost(self, sentences: Mapping[int, str]) -> None:
        self._listener.lost(self._serial, sentences)

    def stale_frame(self) -> None:
        self._listener.stale_frame()
