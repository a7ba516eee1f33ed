"""One replica of the process engine: its queue, its collectors' hands, its closed batches and its idle instances.

It asks policy and carries out what policy decides; when time passes, what a pass costs and who waits for an answer is
process_engine.py's business. The order of decisions inside an instant is the law of policy/instant.py.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from policy import admission, batching, deadlines
from policy.instant import NEVER_NS, UNSET
from policy.timeline import Attempt, Outcome, Pass, Reason, copy_number
from sim.engine.engine_input import FleetInput

__all__ = ["Batch", "Life", "LiveAttempt", "Replica"]


class Life(NamedTuple):
    """A life of one instance, from its readiness until it crashes, if it does."""

    version: int
    replica: int
    instance: int
    number: int  # 0 before the first crash


@dataclass(slots=True, eq=False)
class LiveAttempt:
    """One attempt on its way; its fields become its row."""

    request: int
    attempt: int
    size: int
    intended_ns: int
    sent_ns: int
    received_ns: int
    hang_up_ns: int  # when the client's patience ends; NEVER_NS: it waits for ever
    worker: int  # of the front end
    key_bits: int = 0  # by which its version is chosen
    pinned: int = UNSET  # the version that it names
    version: int = UNSET  # that took or refused it
    replica: int = UNSET
    enqueued_ns: int = UNSET
    placed_ns: int = UNSET
    collector: int = UNSET  # whose hand holds it
    batch: Batch | None = None  # set when its batch is frozen
    answered_ns: int = UNSET
    delivered_ns: int = UNSET
    outcome: int = int(Outcome.IN_FLIGHT)
    reason: int = int(Reason.NONE)

    def copy_for(self, version: int) -> LiveAttempt:
        """Return a copy of this attempt for a shadow version."""
        number = copy_number(self.attempt, version)
        return LiveAttempt(self.request, number, self.size, UNSET, UNSET, UNSET, NEVER_NS, 0, version=version)

    def row(self) -> Attempt:
        """Return the attempt as a row of the timeline."""
        batch = self.batch
        returned = batch is not None and batch.returned_ns != UNSET
        return Attempt(
            request=self.request,
            attempt=self.attempt,
            size=self.size,
            version=self.version,
            replica=self.replica,
            instance=batch.instance if batch else UNSET,
            serial=batch.serial if batch else UNSET,
            batch_size=len(batch.members) if batch else UNSET,
            intended_ns=self.intended_ns,
            sent_ns=self.sent_ns,
            received_ns=self.received_ns,
            enqueued_ns=self.enqueued_ns,
            placed_ns=self.placed_ns,
            closed_ns=batch.closed_ns if batch else UNSET,
            started_ns=batch.started_ns if batch and returned else UNSET,
            ended_ns=batch.ended_ns if batch and returned else UNSET,
            returned_ns=batch.returned_ns if batch else UNSET,
            answered_ns=self.answered_ns,
            delivered_ns=self.delivered_ns,
            outcome=self.outcome,
            reason=self.reason,
        )


@dataclass(slots=True, eq=False)
class Batch:
    """One closed batch on its way."""

    serial: int
    replica: int
    members: list[LiveAttempt]
    cause: int
    closed_ns: int
    instance: int = UNSET
    idle_since_ns: int = UNSET
    handed_ns: int = UNSET
    started_ns: int = UNSET
    ended_ns: int = UNSET
    returned_ns: int = UNSET
    is_lost: bool = False  # with its instance
    crash: Life | None = None  # of its instance, when its results were on their way: it is heard of behind them

    @property
    def first(self) -> tuple[int, int]:
        """Return the request and attempt of the first member: the keys of the batch's dice."""
        return self.members[0].request, self.members[0].attempt

    @property
    def version(self) -> int:
        """Return the version that runs it."""
        return self.members[0].version

    def row(self) -> Pass:
        """Return the batch as a row of the timeline."""
        return Pass(
            serial=self.serial,
            replica=self.replica,
            instance=self.instance,
            batch_size=len(self.members),
            cause=self.cause,
            idle_since_ns=self.idle_since_ns,
            closed_ns=self.closed_ns,
            handed_ns=self.handed_ns,
            started_ns=self.started_ns,
            ended_ns=self.ended_ns,
            returned_ns=self.returned_ns,
        )


@dataclass(slots=True)
class _Collector:
    """A collector's memory, its hand, and when it wants to be asked again."""

    state: batching.CollectorState = field(default_factory=batching.closed_collector)
    hand: list[LiveAttempt] = field(default_factory=list)
    ask_again_ns: int = NEVER_NS


class Replica:
    """The queue and the batches of one replica.

    `pass_serials` numbers the batches of the whole fleet in the order in which they close; `start` is called with each
    batch that an instance takes.
    """

    def __init__(
        self, serial: int, fleet: FleetInput, pass_serials: Iterator[int], start: Callable[[Batch], None]
    ) -> None:
        self.serial = serial
        self._fleet = fleet
        self._pass_serials = pass_serials
        self._start = start
        self._queue: OrderedDict[tuple[int, int], LiveAttempt] = OrderedDict()
        self._collectors = [_Collector() for _ in range(batching.collector_count(fleet.batching, fleet.instances))]
        self._took_last = len(self._collectors) - 1
        self._parked: deque[Batch] = deque()
        self._idle_since_ns: dict[int, int] = {}
        self._waiting = 0
        self._running = 0
        self._carried = 0
        self._starting = set(range(fleet.instances))  # instances that have never been ready

    @property
    def waiting(self) -> int:
        """Requests that no running pass carries."""
        return self._waiting

    @property
    def outstanding(self) -> int:
        """All requests here, those in running passes included."""
        return self._waiting + self._carried

    @property
    def has_started(self) -> bool:
        """Whether every instance has been ready once."""
        return not self._starting

    def enqueue(self, attempt: LiveAttempt, now_ns: int) -> None:
        """Take an attempt that was admitted."""
        attempt.placed_ns = now_ns
        self._queue[attempt.request, attempt.attempt] = attempt
        self._waiting += 1

    def refusal(self, *, draining: bool) -> Reason:
        """Return why the queue would not take one more request; Reason.NONE: it would."""
        view = admission.AdmissionView(waiting=self._waiting, draining=draining)
        return admission.decide(self._fleet.admission, view)

    def withdraw(self, attempt: LiveAttempt) -> None:
        """Take out an attempt that ended early, if its place can be freed."""
        if not deadlines.frees_its_place(attempt.batch is not None):
            return
        if attempt.collector == UNSET:
            del self._queue[attempt.request, attempt.attempt]
        else:
            self._collectors[attempt.collector].hand.remove(attempt)
        self._waiting -= 1

    def take_back(self, batch: Batch, now_ns: int) -> None:
        """Note that an instance has returned its batch and is idle."""
        self._idle_since_ns[batch.instance] = now_ns
        self._end_pass(batch, now_ns)

    def break_down(self, instance: int, batch: Batch | None, now_ns: int) -> None:
        """Note that an instance is gone, with the batch that it ran; it takes no other before become_ready()."""
        self._idle_since_ns.pop(instance, None)
        if batch is not None:
            batch.is_lost, batch.started_ns, batch.ended_ns = True, UNSET, UNSET
            self._end_pass(batch, now_ns)

    def become_ready(self, instance: int, now_ns: int) -> None:
        """Note that an instance can take batches: for the first time, or again after it had broken down."""
        self._starting.discard(instance)
        self._idle_since_ns[instance] = now_ns

    def _end_pass(self, batch: Batch, now_ns: int) -> None:
        batch.returned_ns = now_ns
        self._running -= 1
        self._carried -= len(batch.members)

    def decide(self, now_ns: int) -> int:
        """Hand over and close batches until nothing more is to be decided; return when to ask again at the latest."""
        self._hand_over(now_ns)
        index = self._took_last
        quiet = 0
        while quiet < len(self._collectors):
            index = (index + 1) % len(self._collectors)
            decision = self._ask(index, now_ns)
            quiet = quiet + 1 if batching.is_settled(self._fleet.batching, decision) else 0
        return min([collector.ask_again_ns for collector in self._collectors])

    def _hand_over(self, now_ns: int) -> None:
        while self._parked and batching.may_hand_over(self._fleet.batching, self._running):
            batch = self._parked[0]
            wanted = batch.instance if batch.instance != UNSET else min(self._idle_since_ns, default=UNSET)
            if wanted not in self._idle_since_ns:
                return
            self._parked.popleft()
            batch.instance = wanted
            batch.handed_ns = now_ns
            batch.idle_since_ns = self._idle_since_ns.pop(wanted)
            self._running += 1
            self._waiting -= len(batch.members)
            self._carried += len(batch.members)
            self._start(batch)

    def _ask(self, index: int, now_ns: int) -> batching.BatchingDecision:
        """Ask one collector and carry out what it decides."""
        collector = self._collectors[index]
        hand = collector.hand
        rule = self._fleet.batching
        oldest = hand[0] if hand else next(iter(self._queue.values()), None)
        view = batching.CollectorView(
            batching.may_collect(rule, bool(self._idle_since_ns), index in self._idle_since_ns),
            len(hand),
            len(self._queue),
            oldest.placed_ns if oldest is not None else UNSET,
            len(self._parked),
            self._running,
        )
        collector.state, decision = batching.step(rule, collector.state, view, now_ns)
        collector.ask_again_ns = decision.ask_again_ns
        for _ in range(decision.collect):
            _, attempt = self._queue.popitem(last=False)
            attempt.collector = index
            hand.append(attempt)
            self._took_last = index
        if decision.close:
            self._close(index, decision.close, int(decision.cause), now_ns)
        return decision

    def _close(self, index: int, size: int, cause: int, now_ns: int) -> None:
        """Freeze the front of a hand as a batch, and hand it over where that can be."""
        collector = self._collectors[index]
        members, collector.hand = collector.hand[:size], collector.hand[size:]
        instance = batching.own_instance(self._fleet.batching, index)
        batch = Batch(next(self._pass_serials), self.serial, members, cause, now_ns, instance)
        for attempt in members:
            attempt.batch = batch
        self._parked.append(batch)
        self._hand_over(now_ns)
