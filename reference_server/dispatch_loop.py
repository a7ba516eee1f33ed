"""The asyncio shell of the dispatcher: feeds it events as they happen and carries out its actions.

It keeps what the dispatcher has no use for: payloads, futures of waiting handlers, the timer, the replicas.
It decides nothing. Everything runs in one thread, so each event is handled to its end before the next.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter_ns
from typing import NamedTuple

from policy.admission import retry_after_ns
from policy.autoscaling import Cause
from policy.dice import route_die
from policy.instant import UNSET
from policy.timeline import Attempt, Outcome, Reason, Scaling
from reference_server.backends import Batch, Output
from reference_server.dispatcher import (
    Answered,
    Arrived,
    Dispatcher,
    DrainReplica,
    Event,
    Failed,
    HungUp,
    Log,
    LogPass,
    LogReplica,
    LogScaling,
    Ready,
    Respond,
    Returned,
    StartPass,
    StartReplica,
    StopReplica,
    WakeAt,
)
from reference_server.frames import PassDone
from reference_server.journal import Journal
from reference_server.metrics import Metrics
from reference_server.replicas import Replicas
from reference_server.settings import ServerSettings
from reference_server.timeline_log import TimelineLog
from reference_server.timer import open_timer

__all__ = ["Answer", "DispatchLoop", "Key"]

_LOG = logging.getLogger(__name__)
_RECEIVED = Attempt._fields.index("received_ns")

Key = tuple[int, int]
"""(request, attempt)."""


class Answer(NamedTuple):
    """What a handler is to tell its client."""

    outcome: int  # Outcome
    reason: int  # Reason
    output: Output  # JSON text, empty unless answered; a bad input counts as answered, since its batch ran
    batch_size: int
    pass_ns: int
    problem: str = ""  # why its pass failed


class _Carried:
    """What belongs to one attempt from its arrival until its row is logged."""

    __slots__ = ("answer", "input", "problem", "received_ns", "result", "size")

    def __init__(self, text: bytes, size: int, received_ns: int, answer: Callable[[Answer], object]) -> None:
        self.input = text
        self.size = size
        self.received_ns = received_ns
        self.answer = answer
        self.result: tuple[Output, int, int] = (b"", 0, 0)  # output, batch size, pass_ns
        self.problem = ""  # why its pass failed


class DispatchLoop:
    """One dispatcher at work. Make it inside a running event loop."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        started_ns = perf_counter_ns()
        self._dispatcher = Dispatcher(settings.fleet, self._roll_route, started_ns)
        self._loop = asyncio.get_running_loop()
        self._timer = open_timer(self._loop, self._wake)
        self._carried: dict[Key, _Carried] = {}
        self._members: dict[tuple[int, int], tuple[Key, ...]] = {}  # of the running pass, by replica and instance
        self._latest_pass_ns = 0
        self._drained: asyncio.Future[None] | None = None
        self._replicas = Replicas(settings, self)
        self.timeline = TimelineLog(settings.timeline_rows, self._dispatcher.lives)
        self.journal = None if settings.journal_file is None else Journal(settings.journal_file, settings, started_ns)
        core = self._dispatcher
        self.metrics = Metrics(lambda: core.waiting, lambda: core.running, lambda: core.ready, lambda: core.wanted)
        self.timeline.scalings.add(Scaling(started_ns, settings.replicas, 0))
        # An instance takes nothing before its Ready: what arrives meanwhile waits in the queue.
        places = itertools.product(range(settings.replicas), range(settings.instances))
        self._handle([Failed(*place) for place in places])

    @property
    def timer_kind(self) -> str:
        """Which timer closes batches: "timerfd" or "event loop"."""
        return self._timer.kind

    @property
    def is_ready(self) -> bool:
        """Whether every instance of the replicas that are there can take passes."""
        return self._replicas.is_ready

    @property
    def is_draining(self) -> bool:
        """Whether the server is stopping."""
        return self._drained is not None

    @property
    def pids(self) -> list[int]:
        """The ids of the replica processes that live."""
        return self._replicas.pids

    # Life

    async def start(self) -> None:
        """Start the first replicas and wait until all their instances are ready. Raises CouldNotServe."""
        await self._replicas.start_first()

    async def drain(self) -> None:
        """Refuse every arrival from now on, and return when everything accepted is answered and logged."""
        self._drained = self._loop.create_future()
        self._dispatcher.drain()
        self._handle(())
        await self._drained

    async def close(self) -> None:
        """End the replica processes."""
        await self._replicas.close()
        self._timer.close()

    # What handlers report

    def holds(self, key: Key) -> bool:
        """Return whether an attempt of this number is in flight."""
        return key in self._carried

    def arrive(self, key: Key, size: int, text: bytes, received_ns: int, answer: Callable[[Answer], object]) -> None:
        """Take in an attempt, whose key is not held; `answer` is called by the event loop, never from within.

        Who calls this reports answered() when the answer is written, or hung_up() at any time.
        """
        self._carried[key] = _Carried(text, size, received_ns, answer)
        self._handle((Arrived(*key, size),))

    def answered(self, key: Key) -> None:
        """The answer of an attempt has been written."""
        self._handle((Answered(*key),))

    def hung_up(self, key: Key) -> None:
        """The client of an attempt has gone."""
        self._handle((HungUp(*key),))

    def abandoned_unread(self, key: Key, received_ns: int) -> None:
        """Log an attempt whose client hung up before the whole request was there."""
        unset = dict.fromkeys(Attempt._fields, UNSET)
        times = {"received_ns": received_ns, "outcome": int(Outcome.ABANDONED), "reason": int(Reason.NONE)}
        self._log_attempt(Attempt(**{**unset, "request": key[0], "attempt": key[1], "size": 1, "replica": 0, **times}))

    def retry_after_s(self) -> int:
        """Return how many whole seconds a refused client is told to wait, at least 1."""
        at_once = self._settings.instances * max(self._dispatcher.ready, 1)
        max_batch = self._settings.batching.max_batch
        wait_ns = retry_after_ns(self._dispatcher.waiting, max_batch, self._latest_pass_ns, at_once)
        return max(-(-wait_ns // 10**9), 1)

    # What the replicas report

    def ready(self, replica: int, instance: int) -> None:
        """An instance can take batches."""
        self._handle((Ready(replica, instance),))

    def pass_done(self, replica: int, instance: int, done: PassDone) -> None:
        """A pass has ended."""
        members = self._members.pop((replica, instance))
        self._latest_pass_ns = done.ended_ns - done.started_ns
        self.metrics.count_results(done.device_ns, done.outputs)
        for key, output in zip(members, done.outputs, strict=True):
            self._carried[key].result = (output, len(members), self._latest_pass_ns)
        self._handle((Returned(replica, instance, done.started_ns, done.ended_ns),))

    def pass_broken(self, replica: int, instance: int, sentence: str) -> None:
        """The backend raised in a pass; its instance is well."""
        self._fail_members(replica, instance, sentence)
        self._handle((Failed(replica, instance), Ready(replica, instance)))

    def lost(self, replica: int, sentences: Mapping[int, str]) -> None:
        """Instances are gone until they are ready again; what is told to the clients of each one's pass."""
        self.metrics.count_restart()
        for instance, sentence in sentences.items():
            self._fail_members(replica, instance, sentence)
        self._handle([Failed(replica, instance) for instance in sentences])

    def stale_frame(self) -> None:
        """Something that belongs to no running pass has come, and was dropped."""
        self.metrics.count_stale_frame()

    def _fail_members(self, replica: int, instance: int, sentence: str) -> None:
        for key in self._members.pop((replica, instance), ()):
            self._carried[key].problem = sentence

    # The dispatcher's actions

    def _wake(self) -> None:
        self._handle(())

    def _handle(self, events: Sequence[Event]) -> None:
        now_ns = perf_counter_ns()
        actions = self._dispatcher.handle(events, now_ns)
        if self.journal is not None:
            self.journal.add(now_ns, self.is_draining, events, actions)
        for action in actions:
            match action:
                case WakeAt():
                    self._timer.set(action.at_ns)
                case Respond():
                    self._respond(action)
                case Log():
                    row = action.row
                    received_ns = self._carried.pop((row.request, row.attempt)).received_ns
                    # As _replace(received_ns=...) would, at half its cost.
                    self._log_attempt(Attempt._make((*row[:_RECEIVED], received_ns, *row[_RECEIVED + 1 :])))
                case StartPass():
                    self._start_pass(action)
                case LogPass():
                    self.timeline.passes.add(action.row)
                    self.metrics.count_pass(action.row)
                case StartReplica():
                    self._replicas.order(action.replica)
                case StopReplica():
                    self._replicas.stop(action.replica)
                case LogReplica():
                    self.timeline.replicas.add(action.row)
                case LogScaling():
                    self._log_scaling(action.row)
                case DrainReplica():
                    pass  # it is sent nothing more
        if self._drained is not None and self._dispatcher.idle and not self._drained.done():
            self._drained.set_result(None)

    def _roll_route(self, key: Key) -> int:
        return route_die(self._settings.seed, *key)

    def _log_scaling(self, row: Scaling) -> None:
        _LOG.info("%d replicas are wanted: %s.", row.wanted, Cause(row.cause).name.lower())
        self.timeline.scalings.add(row)

    def _respond(self, action: Respond) -> None:
        carried = self._carried[action.request, action.attempt]
        # Answers of a batch leave one by one, behind what has come to the event loop before them.
        self._loop.call_soon(carried.answer, Answer(action.outcome, action.reason, *carried.result, carried.problem))

    def _start_pass(self, action: StartPass) -> None:
        self._members[action.replica, action.instance] = action.members
        carried = [self._carried[key] for key in action.members]
        batch = Batch(
            *action.members[0],
            action.longest,
            tuple(each.size for each in carried),
            tuple(each.input for each in carried),
        )
        self._replicas.run_pass(action.replica, action.instance, action.serial, batch)

    def _log_attempt(self, row: Attempt) -> None:
        self.timeline.attempts.add(row)
        self.metrics.count_attempt(row)
