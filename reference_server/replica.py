"""The instances of a replica, each behind a process: starts them, sends them passes, replaces a process that is lost.

A process hosts one instance, or all of them if its backend says so (backends.Backend). It is lost when it ends, when it
sends nonsense, and when a pass or a start takes longer than allowed: then it is killed. What a lost pass means for its
members is the dispatcher's business; nothing is run a second time.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter_ns
from typing import NamedTuple, Protocol

from policy.instant import UNSET
from reference_server.backends import Batch
from reference_server.channel import Channel
from reference_server.cores import Cores
from reference_server.errors import CouldNotServe
from reference_server.frames import Broken, Hosting, Load, Loaded, Message, PassDone, RunPass

__all__ = ["FAILED_PASS", "Hosted", "ProcessReplica", "Replica", "ReplicaListener", "ReplicaProcess"]

_LOG = logging.getLogger(__name__)
_RESTART_WAIT_S = 1.0  # after a process that died before it was ready: it may well do so again
_EXIT_WAIT_S = 1.0  # for a process to end by itself when its sockets are closed; then it is killed
_STANDARD_ERROR = 2  # the server's results go to its standard output: a backend's talk must not

FAILED_PASS = "The pass that carried this request failed."


class ReplicaListener(Protocol):
    """What a replica tells the server. Calls come from the event loop, never from within run_pass()."""

    def ready(self, instance: int) -> None:
        """The backend of an instance is loaded and warm."""

    def pass_done(self, instance: int, done: PassDone) -> None:
        """A pass has ended."""

    def pass_broken(self, instance: int, sentence: str) -> None:
        """The backend raised in a pass; the instance is well. The sentence is for its members' clients."""

    def lost(self, sentences: Mapping[int, str]) -> None:
        """The process of these instances is gone and is started again; a sentence for the clients of each pass."""

    def stale_frame(self) -> None:
        """A message of a process that is gone, or on a pass that is not running, was dropped."""


class Replica(Protocol):
    """The instances of a replica, wherever they run."""

    @property
    def is_ready(self) -> bool:
        """Whether every instance can take passes."""

    @property
    def pids(self) -> list[int]:
        """The ids of the processes that live."""

    async def start(self) -> None:
        """Make all instances ready. Raises CouldNotServe."""

    def run_pass(self, instance: int, serial: int, batch: Batch) -> None:
        """Run a batch on an instance that is ready and idle."""

    async def close(self) -> None:
        """End everything."""


@dataclass
class Hosted:
    """What a replica process is started with."""

    backend: str  # as backends.create takes it
    settings: Mapping[str, object]  # what JSON can carry
    pass_timeout_ns: int
    start_timeout_ns: int
    cores: Cores = field(default_factory=lambda: Cores(0))  # for those that compute on the CPU


class ProcessReplica:
    """A replica whose instances run in processes."""

    def __init__(self, instances: int, hosted: Hosted, listener: ReplicaListener) -> None:
        self._instances = instances
        self._hosted = hosted
        self._listener = listener
        self._processes: list[ReplicaProcess] = []
        self._hosts: list[ReplicaProcess] = []  # by instance

    @property
    def is_ready(self) -> bool:
        """Whether every instance can take passes."""
        return sum(process.ready_count for process in self._processes) == self._instances

    @property
    def pids(self) -> list[int]:
        """The ids of the processes that live."""
        return [process.pid for process in self._processes if process.pid is not None]

    async def start(self) -> None:
        """Start the first process, and one for each instance that it does not host. Raises CouldNotServe."""
        first = self._open(range(self._instances))
        self._hosts = [first] * self._instances
        hosted = await first.begin()
        others = [self._open([instance]) for instance in range(hosted, self._instances)]
        self._hosts[hosted:] = others
        await asyncio.gather(*(process.begin() for process in others))
        await asyncio.gather(*(process.loaded() for process in self._processes))

    def run_pass(self, instance: int, serial: int, batch: Batch) -> None:
        """Run a batch on an instance that is ready and idle."""
        self._hosts[instance].run_pass(instance, serial, batch)
        # Linux likes to wake a process on the core of its waker, where it would wait until the server has written all
        # answers of the batch before: 1 ms of idle device, growing with the batch. Measured on two cores, batches of 7:
        # hand-over to start of the pass 0.25 ms at p50 and 1.0 at p90 without this, 0.22 and 0.32 with it.
        os.sched_yield()

    async def close(self) -> None:
        """End the processes."""
        await asyncio.gather(*(process.close() for process in self._processes))

    def _open(self, instances: Iterable[int]) -> ReplicaProcess:
        process = ReplicaProcess(instances, self._hosted, self._listener)
        self._processes.append(process)
        return process


class _Running(NamedTuple):
    """A pass that was sent."""

    serial: int
    handed_ns: int


class ReplicaProcess:
    """One process, or the one that took its place. It hosts the given instances, or the first of them."""

    def __init__(self, instances: Iterable[int], hosted: Hosted, listener: ReplicaListener) -> None:
        self._instances = tuple(instances)
        self._hosted = hosted
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._incarnation = 0
        self._lost_ns = UNSET  # when the process was lost whose place the present one takes
        self._process: Process | None = None
        self._channels: dict[int, Channel] = {}  # by instance; empty while there is no process
        self._spare: list[socket.socket] = []  # for the instances that the process may not want to host
        self._ready: set[int] = set()
        self._running: dict[int, _Running] = {}  # by instance
        self._core: int | None = None  # of its own
        self._pass_watch: asyncio.TimerHandle | None = None  # set at the first pass, renewed only when it rings
        self._start_watch: asyncio.TimerHandle | None = None
        self._restart: asyncio.Task[None] | None = None
        self._first_hosting: asyncio.Future[int] = self._loop.create_future()
        self._first_loaded: asyncio.Future[None] = self._loop.create_future()

    @property
    def pid(self) -> int | None:
        """The process id, None while there is no process."""
        return None if self._process is None else self._process.pid

    @property
    def ready_count(self) -> int:
        """Instances that can take passes."""
        return len(self._ready)

    async def begin(self) -> int:
        """Start the process and return how many of the instances it hosts. Raises CouldNotServe."""
        try:
            await self._spawn()
        except OSError as problem:
            raise CouldNotServe(f"The process of {self._name} could not be started: {problem.strerror}.") from problem
        return await self._first_hosting

    async def loaded(self) -> None:
        """Wait until the instances are ready for the first time. Raises CouldNotServe."""
        await self._first_loaded

    def run_pass(self, instance: int, serial: int, batch: Batch) -> None:
        """Send a batch to an instance."""
        channel = self._channels.get(instance)
        if channel is None:
            return  # only a server that is closing still holds a batch for a process that is gone
        channel.send(RunPass(self._incarnation, instance, serial, batch))
        self._running[instance] = _Running(serial, perf_counter_ns())
        if self._pass_watch is None:
            self._pass_watch = self._loop.call_later(self._hosted.pass_timeout_ns / 1e9, self._look_for_hung_pass)

    async def close(self) -> None:
        """End the process."""
        if self._restart is not None:
            self._restart.cancel()
            await asyncio.wait([self._restart])
        self._let_go()
        await self._reap()
        if self._core is not None:
            self._hosted.cores.take_back(self._core)
            self._core = None

    # What the process says

    def _take(self, message: Message) -> None:
        assert not isinstance(message, (Load, RunPass)), "only the server says these"
        if self._is_stale(message):
            _LOG.warning("A stale message of the process of %s was dropped.", self._name)
            self._listener.stale_frame()
            return
        match message:
            case PassDone():
                del self._running[message.instance]
                self._listener.pass_done(message.instance, message)
            case Hosting():
                self._host(message.hosted)
                if message.on_cpu:
                    self._bind_to_core()
            case Loaded():
                self._load(message.instance)
            case Broken(_, instance, _, sentence) if instance in self._running:
                _LOG.error("The backend of instance %d failed in a pass: %s", instance, sentence)
                del self._running[instance]
                self._listener.pass_broken(instance, FAILED_PASS)
            case Broken(_, instance, _, sentence) if self._first_loaded.done():
                _LOG.error("The backend of instance %d could not be loaded again: %s", instance, sentence)
            case Broken(_, _, _, sentence):
                self._fail_first_start(f"The backend could not be loaded: {sentence}")

    def _is_stale(self, message: Hosting | Loaded | PassDone | Broken) -> bool:
        """Return whether a message is of another incarnation, or on a pass that does not run."""
        if message.incarnation != self._incarnation:
            return True
        match message:
            case Hosting():
                return False
            case Loaded(_, instance):
                return instance not in self._channels or instance in self._ready
            case Broken(_, _, serial, _) if serial == UNSET:
                return self._is_ready
            case PassDone(_, instance, serial) | Broken(_, instance, serial):
                return instance not in self._running or self._running[instance].serial != serial

    def _host(self, count: int) -> None:
        """Open the channels of the instances that the process hosts; others are left to other processes."""
        if not self._first_hosting.done():
            self._instances = self._instances[:count]
            self._first_hosting.set_result(count)
        for instance, end in zip(self._instances[1:], self._spare, strict=False):
            self._channels[instance] = self._open_channel(end)
        for end in self._spare[len(self._instances) - 1 :]:
            end.close()
        self._spare = []

    def _bind_to_core(self) -> None:
        """Give the process a core to itself, where there is one: that of the process whose place it takes."""
        assert self.pid is not None
        if self._core is None:
            self._core = self._hosted.cores.give(self.pid)
        else:
            self._hosted.cores.bind(self.pid, self._core)

    def _load(self, instance: int) -> None:
        self._ready.add(instance)
        if self._is_ready:
            self._cancel(self._start_watch)
            if not self._first_loaded.done():
                self._first_loaded.set_result(None)
        self._listener.ready(instance)

    # Its end, and the next one

    def _look_for_hung_pass(self) -> None:
        """Kill the process if a pass has not come back in time, else look again when the oldest one is due."""
        self._pass_watch = None
        if not self._running:
            return
        limit_ns, now_ns = self._hosted.pass_timeout_ns, perf_counter_ns()
        hung = [instance for instance, running in self._running.items() if running.handed_ns + limit_ns <= now_ns]
        if hung:
            sentence = f"The pass that carried this request did not end within {limit_ns / 1e9:g} s."
            self._kill()
            self._lose(f"ran a pass for more than {limit_ns / 1e9:g} s, was killed", dict.fromkeys(hung, sentence))
            return
        oldest_ns = min(running.handed_ns for running in self._running.values())
        self._pass_watch = self._loop.call_later((oldest_ns + limit_ns - now_ns) / 1e9, self._look_for_hung_pass)

    def _give_up_start(self) -> None:
        """The process has not become ready in time."""
        limit_s = self._hosted.start_timeout_ns / 1e9
        self._kill()
        if not self._first_loaded.done():
            self._fail_first_start(f"The backend of {self._name} was not ready within {limit_s:g} s.")
        self._lose(f"was not ready within {limit_s:g} s, was killed")

    def _lose(self, how: str, sentences: Mapping[int, str] | None = None) -> None:
        """The process is gone; the sentences are for the clients of passes whose end is known better than that."""
        was_ready = self._is_ready
        self._lost_ns = perf_counter_ns()
        self._let_go()
        if not self._first_loaded.done():
            self._fail_first_start(f"The process of {self._name} {how} before it was ready.")
        if self._first_loaded.exception() is not None:
            return
        _LOG.error("The process of %s %s and is started again.", self._name, how)
        self._listener.lost({**dict.fromkeys(self._instances, FAILED_PASS), **(sentences or {})})
        self._restart = self._loop.create_task(self._start_again(0.0 if was_ready else _RESTART_WAIT_S))

    def _fail_first_start(self, sentence: str) -> None:
        for future in (self._first_hosting, self._first_loaded):
            if not future.done():
                future.set_exception(CouldNotServe(sentence))
                future.exception()  # both tell the same: whoever waits for one need not ask the other

    def _let_go(self) -> None:
        """Forget the process, but for its end."""
        for channel in self._channels.values():
            channel.close()
        for end in self._spare:
            end.close()
        self._cancel(self._start_watch)
        self._cancel(self._pass_watch)
        self._pass_watch = None
        self._channels, self._spare = {}, []
        self._ready.clear()
        self._running.clear()

    async def _start_again(self, wait_s: float) -> None:
        await self._reap()
        while True:
            await asyncio.sleep(wait_s)
            try:
                return await self._spawn()
            except OSError as problem:
                _LOG.error("The process of %s could not be started again: %s.", self._name, problem.strerror)
                wait_s = _RESTART_WAIT_S

    async def _spawn(self) -> None:
        """Start the program. Raises OSError."""
        hosted = self._hosted
        self._incarnation += 1
        with ExitStack() as ours, ExitStack() as theirs:
            pairs = [socket.socketpair() for _ in self._instances]
            ends = [ours.enter_context(pair[0]) for pair in pairs]
            descriptors = [theirs.enter_context(pair[1]).fileno() for pair in pairs]
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "reference_server.replica_process", *map(str, descriptors)),
                pass_fds=descriptors,
                env=_environment(),
                stdin=DEVNULL,
                stdout=_STANDARD_ERROR,
            )
            ours.pop_all()
        channel, self._spare = self._open_channel(ends[0]), ends[1:]
        self._channels = {self._instances[0]: channel}
        channel.send(Load(self._incarnation, self._instances, hosted.backend, self._settings_now()))
        self._start_watch = self._loop.call_later(hosted.start_timeout_ns / 1e9, self._give_up_start)

    def _settings_now(self) -> dict[str, object]:
        """Return the backend's settings; an emulated device takes its next life and its restart from there."""
        settings = dict(self._hosted.settings)
        if self._incarnation > 1 and {"life", "ordered_ns"} <= set(settings):
            settings |= {"life": self._incarnation - 1, "ordered_ns": self._lost_ns}
        return settings

    def _open_channel(self, end: socket.socket) -> Channel:
        return Channel(end, self._take, self._lose)

    def _kill(self) -> None:
        assert self._process is not None
        with suppress(ProcessLookupError):
            self._process.kill()

    async def _reap(self) -> None:
        """Let the process end by itself, else kill it."""
        process = self._process
        if process is None:
            return
        try:
            await asyncio.wait_for(process.wait(), _EXIT_WAIT_S)
        except TimeoutError:
            self._kill()
            await process.wait()
        self._process = None

    @property
    def _is_ready(self) -> bool:
        return len(self._ready) == len(self._instances)

    @property
    def _name(self) -> str:
        first, *rest = self._instances
        return f"instances {first} to {rest[-1]}" if rest else f"instance {first}"

    @staticmethod
    def _cancel(watch: asyncio.TimerHandle | None) -> None:
        if watch is not None:
            watch.cancel()


def _environment() -> dict[str, str]:
    """Return an environment in which the process finds the packages that this one runs."""
    here = str(Path(__file__).resolve().parent.parent)
    rest = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": here if not rest else os.pathsep.join((here, rest))}
