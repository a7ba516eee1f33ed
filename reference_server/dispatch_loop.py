"""The asyncio shell of the dispatcher: feeds it events as they happen and carries out its actions.

It keeps what the dispatcher has no use for: payloads, futures of waiting handlers, the timer, the replicas.
It decides nothing. Everything runs in one thread, so each event is handled to its end before the next.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter_ns
from typing import NamedTuple

from policy.admission import retry_after_ns
from policy.autoscaling import Cause
from policy.dice import Stream, die, route_die, signed
from policy.instant import UNSET
from policy.orders import Order, Refusal
from policy.rollout import Action as Move
from policy.rollout import Cause as MoveCause
from policy.rollout import Phase
from policy.sticky import sticky_bits
from policy.timeline import COPIES_FROM, Attempt, Outcome, Reason, RolloutMove, Scaling, is_copy
from reference_server.actions import (
    Answered,
    Arrived,
    Copied,
    Decided,
    DrainReplica,
    Event,
    Failed,
    HungUp,
    Key,
    Log,
    LogPass,
    LogReplica,
    LogRollout,
    LogScaling,
    LogShare,
    Ordered,
    Ready,
    Respond,
    Returned,
    StartPass,
    StartReplica,
    StopReplica,
    WakeAt,
)
from reference_server.backends import Batch, ModelError, Output
from reference_server.dispatcher import Dispatcher
from reference_server.frames import PassDone
from reference_server.journal import Journal
from reference_server.metrics import Metrics
from reference_server.outcome_reports import OutcomeReports
from reference_server.replica_pool import ReplicaPool
from reference_server.replicas import Replicas
from reference_server.settings import ServerSettings
from reference_server.shadow_answers import ShadowAnswers
from reference_server.timeline_log import TimelineLog
from reference_server.timer import open_timer
from reference_server.version_shares import VersionShares

__all__ = ["Answer", "DispatchLoop", "Key", "SeededDice"]

_LOG = logging.getLogger(__name__)
_RECEIVED = Attempt._fields.index("received_ns")


class Answer(NamedTuple):
    """What a handler is to tell its client."""

    outcome: int  # Outcome
    reason: int  # Reason
    output: Output  # JSON text, empty unless answered; a bad input counts as answered, since its batch ran
    batch_size: int
    pass_ns: int
    problem: str = ""  # why its pass failed
    version: str = ""  # that answered it, where there are several


class SeededDice:
    """The dice of a server, by its seed."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def route(self, key: Key) -> int:
        """Return the die of an attempt's routing."""
        return route_die(self._seed, *key)

    def copy(self, request: int, version: int) -> int:
        """Return the die of whether a shadow version gets a copy."""
        return die(self._seed, Stream.COPY, request, version)


class _Carried:
    """What belongs to one attempt from its arrival until its row is logged."""

    __slots__ = ("answer", "input", "problem", "received_ns", "result", "size", "version")

    def __init__(self, text: bytes, size: int, received_ns: int, answer: Callable[[Answer], object]) -> None:
        self.input = text
        self.size = size
        self.received_ns = received_ns
        self.answer = answer
        self.result: tuple[Output, int, int] = (b"", 0, 0)  # output, batch size, pass_ns
        self.problem = ""  # why its pass failed
        self.version = ""  # whose pass it is, where there are several


def _drop(answer: Answer) -> None:
    """Nobody waits for the answer of a copy."""


class DispatchLoop:
    """One dispatcher at work. Make it inside a running event loop."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self.names = [version.name for version in settings.versions]
        started_ns = perf_counter_ns()
        self._dispatcher = Dispatcher(settings.fleets, SeededDice(settings.seed), settings.shares, started_ns)
        self._loop = asyncio.get_running_loop()
        self._timer = open_timer(self._loop, self._wake)
        self._carried: dict[Key, _Carried] = {}
        self._members: dict[tuple[int, int], tuple[Key, ...]] = {}  # of the running pass, by replica and instance
        self._latest_pass_ns = 0
        self._drained: asyncio.Future[None] | None = None
        lives = self._dispatcher.lives()
        self._replicas = Replicas(settings, {life.replica: life.version for life in lives}, self)
        self._version_of = {life.replica: life.version for life in lives}
        self._verdict = Refusal.NONE
        self._phase = int(Phase.IDLE)
        self.shadows = ShadowAnswers(self.names)
        self.outcomes = OutcomeReports(self.names, settings.outcome_rows)
        self.phase_since_ns = started_ns  # of the rollout
        self.timeline = TimelineLog(settings.timeline_rows, self._dispatcher.lives)
        self.journal = None if settings.journal_file is None else Journal(settings.journal_file, settings, started_ns)
        core = self._dispatcher
        self.metrics = Metrics(self.names, core)
        scalings, shares = core.first_rows()
        for scaling in scalings:
            self.timeline.scalings.add(scaling)
        for share in shares:
            self.timeline.shares.add(share)
        # An instance takes nothing before its Ready: what arrives meanwhile waits in the queue.
        instances = [rules.instances for rules in settings.fleets]
        self._handle([Failed(life.replica, each) for life in lives for each in range(instances[life.version])])

    @property
    def timer_kind(self) -> str:
        """Which timer closes batches: "timerfd" or "event loop"."""
        return self._timer.kind

    @property
    def front_end_cores(self) -> list[int] | None:
        """The cores that this process keeps to; None: it may use all."""
        return self._replicas.front_end_cores

    @property
    def is_ready(self) -> bool:
        """Whether every instance of the replicas that are there can take passes."""
        return self._replicas.is_ready

    @property
    def is_draining(self) -> bool:
        """Whether the server is stopping."""
        return self._drained is not None

    @property
    def pools(self) -> Sequence[ReplicaPool]:
        """The pool of each version, to be looked at."""
        return self._dispatcher.pools

    @property
    def shares(self) -> VersionShares:
        """What each version gets, to be looked at."""
        return self._dispatcher.shares

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

    def arrive(
        self,
        key: Key,
        size: int,
        text: bytes,
        received_ns: int,
        answer: Callable[[Answer], object],
        *,
        sticky: str | None = None,
        pinned: int = UNSET,
    ) -> None:
        """Take in an attempt, whose key is not held; `answer` is called by the event loop, never from within.

        `sticky` is the key of a user who stays with a version, `pinned` the version that the request names. Who calls
        this reports answered() when the answer is written, or hung_up() at any time.
        """
        self._carried[key] = _Carried(text, size, received_ns, answer)
        bits = 0
        if len(self.names) > 1:
            if sticky is None:
                bits = signed(die(self._settings.seed, Stream.VERSION, key[0], 0))
            else:
                bits = signed(sticky_bits(sticky, self._settings.salt))
        self._handle((Arrived(*key, size, bits, pinned),))

    def answered(self, key: Key) -> None:
        """The answer of an attempt has been written."""
        self._handle((Answered(*key),))

    def hung_up(self, key: Key) -> None:
        """The client of an attempt has gone."""
        self._handle((HungUp(*key),))

    def order(self, order: Order) -> Refusal:
        """Carry out an operator's order, or return why not."""
        self._handle((Ordered(*order),))
        return self._verdict

    def abandoned_unread(self, key: Key, received_ns: int) -> None:
        """Log an attempt whose client hung up before the whole request was there."""
        unset = dict.fromkeys(Attempt._fields, UNSET)
        times = {"received_ns": received_ns, "outcome": int(Outcome.ABANDONED), "reason": int(Reason.NONE)}
        self._log_attempt(Attempt(**{**unset, "request": key[0], "attempt": key[1], "size": 1, "replica": 0, **times}))

    def retry_after_s(self) -> int:
        """Return how many whole seconds a refused client is told to wait, at least 1."""
        rules = self._settings.fleets[0]
        at_once = rules.instances * max(sum(pool.ready for pool in self._dispatcher.pools), 1)
        max_batch = rules.batching.max_batch
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
        failed: tuple[Key, ...] = ()
        for key, output in zip(members, done.outputs, strict=True):
            carried = self._carried[key]
            carried.result = (output, len(members), self._latest_pass_ns)
            if isinstance(output, ModelError):
                carried.problem = str(output)
                failed = (*failed, key)
        self._handle((Returned(replica, instance, done.started_ns, done.ended_ns, failed),))

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
                    self._log(action.row)
                case StartPass():
                    self._start_pass(action)
                case LogPass():
                    self.timeline.passes.add(action.row)
                    self.metrics.count_pass(action.row)
                case StartReplica():
                    self._version_of[action.replica] = action.version
                    self._replicas.order(action.replica, action.version)
                case StopReplica():
                    del self._version_of[action.replica]
                    self._replicas.stop(action.replica)
                case LogReplica():
                    self.timeline.replicas.add(action.row)
                case LogScaling():
                    self._log_scaling(action.row)
                case LogShare():
                    self.timeline.shares.add(action.row)
                case LogRollout():
                    self._log_move(action.row)
                case Copied():
                    original = self._carried[action.request, action.attempt % COPIES_FROM]
                    copy = _Carried(original.input, original.size, UNSET, _drop)
                    self._carried[action.request, action.attempt] = copy
                    self.shadows.expect_copies()
                case Decided():
                    self._verdict = Refusal(action.refusal)
                case DrainReplica():
                    pass  # it is sent nothing more
        if self._drained is not None and self._dispatcher.idle and not self._drained.done():
            self._drained.set_result(None)

    def _log_scaling(self, row: Scaling) -> None:
        name = self.names[row.version]
        _LOG.info("%d replicas of %s are wanted: %s.", row.wanted, name, Cause(row.cause).name.lower())
        self.timeline.scalings.add(row)

    def _log_move(self, row: RolloutMove) -> None:
        words = Move(row.action).name.lower(), MoveCause(row.cause).name.lower()
        _LOG.info("The rollout: %s (%s), step %d, weight %.2f %%.", *words, row.step, row.weight / 100)
        if row.phase != self._phase:
            self._phase, self.phase_since_ns = row.phase, row.at_ns
        self.timeline.rollout.add(row)

    def _log(self, row: Attempt) -> None:
        """Keep the row of an attempt or a copy that is over, and hold the answers of shadows against the others."""
        carried = self._carried.pop((row.request, row.attempt))
        if len(self.names) > 1:
            output = carried.result[0] if row.outcome == Outcome.ANSWERED else None
            self.shadows.add(row, output)
            if isinstance(output, bytes) and not is_copy(row.attempt):
                self.outcomes.add((row.request, row.attempt), row.version)
        if is_copy(row.attempt):
            self.timeline.copies.add(row)
            return
        # As _replace(received_ns=...) would, at half its cost.
        self._log_attempt(Attempt._make((*row[:_RECEIVED], carried.received_ns, *row[_RECEIVED + 1 :])))

    def _respond(self, action: Respond) -> None:
        carried = self._carried[action.request, action.attempt]
        told = Answer(action.outcome, action.reason, *carried.result, carried.problem, carried.version)
        # Answers of a batch leave one by one, behind what has come to the event loop before them.
        self._loop.call_soon(carried.answer, told)

    def _start_pass(self, action: StartPass) -> None:
        self._members[action.replica, action.instance] = action.members
        carried = [self._carried[key] for key in action.members]
        if len(self.names) > 1:
            for each in carried:
                each.version = self.names[self._version_of[action.replica]]
        batch = Batch(
            action.members,
            action.longest,
            tuple(each.size for each in carried),
            tuple(each.input for each in carried),
        )
        self._replicas.run_pass(action.replica, action.instance, action.serial, batch)

    def _log_attempt(self, row: Attempt) -> None:
        self.timeline.attempts.add(row)
        self.metrics.count_attempt(row)
