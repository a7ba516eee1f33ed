"""One replica as the dispatcher sees it: its queue, its collectors' hands, its closed batches, its idle instances.

Every decision is asked of policy. What becomes of an attempt besides (deadlines, answers, rows) is dispatcher.py's.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator

from policy import admission, batching, deadlines
from policy.instant import NEVER_NS, UNSET
from policy.timeline import Attempt, Outcome, Reason
from reference_server.actions import Arrived, Key

__all__ = ["Batch", "Held", "ReplicaQueue"]


class Held:
    """One attempt, or a copy of one, from its arrival until its row is logged."""

    __slots__ = (
        "answered_ns",
        "answering",
        "arrival",
        "batch",
        "ended_ns",
        "enqueued_ns",
        "hand",
        "key",
        "outcome",
        "placed_ns",
        "reason",
        "replica",
        "returned_ns",
        "started_ns",
        "version",
    )

    def __init__(self, arrival: Arrived, enqueued_ns: int) -> None:
        self.arrival = arrival
        self.key: Key = (arrival.request, arrival.attempt)
        self.enqueued_ns = enqueued_ns
        self.placed_ns = UNSET  # when the replica's queue took it
        self.version: int = UNSET  # that took or refused it
        self.replica: int = UNSET  # of that version
        self.hand: int = UNSET  # the collector that holds it
        self.batch: Batch | None = None  # set when its batch is frozen
        self.started_ns = self.ended_ns = self.returned_ns = self.answered_ns = UNSET
        self.outcome = int(Outcome.IN_FLIGHT)
        self.reason = int(Reason.NONE)
        self.answering = False  # told to respond, response not yet written

    @property
    def is_over(self) -> bool:
        """Whether nothing more can happen to it."""
        passing = self.batch is not None and self.returned_ns == UNSET
        return self.outcome != Outcome.IN_FLIGHT and not self.answering and not passing

    def row(self) -> Attempt:
        """Return it as a row of the timeline; the client's columns are UNSET."""
        arrival, batch = self.arrival, self.batch
        if batch is None:
            instance = serial = batch_size = closed_ns = UNSET
        else:
            instance, serial, batch_size, closed_ns = batch.instance, batch.serial, len(batch.members), batch.closed_ns
        # By place: names cost 2 us here, for every request.
        return Attempt(
            *(arrival.request, arrival.attempt, arrival.size),
            *(self.version, self.replica, instance, serial, batch_size),
            *(UNSET, UNSET, UNSET),  # intended_ns, sent_ns, received_ns
            *(self.enqueued_ns, self.placed_ns, closed_ns),
            *(self.started_ns, self.ended_ns, self.returned_ns, self.answered_ns),
            UNSET,  # delivered_ns
            *(self.outcome, self.reason),
        )


class Batch:
    """One closed batch."""

    __slots__ = ("cause", "closed_ns", "handed_ns", "idle_since_ns", "instance", "members", "replica", "serial")

    def __init__(
        self, serial: int, replica: int, members: list[Held], cause: int, closed_ns: int, instance: int
    ) -> None:
        self.serial = serial
        self.replica = replica
        self.members = members
        self.cause = cause
        self.closed_ns = closed_ns
        self.instance = instance  # UNSET until handed over, unless only one instance may run it
        self.idle_since_ns = self.handed_ns = UNSET


class ReplicaQueue:
    """The bookkeeping of one replica.

    `pass_serials` numbers the batches of the whole fleet in the order in which they close; `start` is called with each
    batch that an instance takes.
    """

    def __init__(
        self,
        serial: int,
        rule: batching.BatchingRule,
        admission_rule: admission.AdmissionRule,
        instances: int,
        pass_serials: Iterator[int],
        start: Callable[[Batch], None],
    ) -> None:
        self.serial = serial
        self._rule = rule
        self._admission_rule = admission_rule
        self._instances = instances
        self._pass_serials = pass_serials
        self._start = start
        self._queue: OrderedDict[Key, Held] = OrderedDict()
        self._parked: deque[Batch] = deque()
        self._running: dict[int, Batch] = {}  # by instance
        self._idle_since_ns: dict[int, int] = {}
        self._starting = set(range(instances))  # that have never been ready
        self._waiting = 0  # in the queue, in a hand, in a parked batch
        self._carried = 0  # members of running passes
        count = batching.collector_count(rule, instances)
        self._hands: list[list[Held]] = [[] for _ in range(count)]
        self._collectors = [batching.closed_collector() for _ in range(count)]
        self._ask_again_ns = [NEVER_NS] * count
        self._took_last = count - 1

    @property
    def waiting(self) -> int:
        """Requests that no running pass carries."""
        return self._waiting

    @property
    def outstanding(self) -> int:
        """All requests here, those in running passes included."""
        return self._waiting + self._carried

    @property
    def running(self) -> int:
        """Passes handed to an instance and not yet returned."""
        return len(self._running)

    @property
    def has_started(self) -> bool:
        """Whether every instance has been ready once."""
        return not self._starting

    @property
    def ask_again_ns(self) -> int:
        """When to decide again at the latest."""
        return min(self._ask_again_ns)

    def refusal(self, *, draining: bool) -> Reason:
        """Return why the queue would not take one more request; Reason.NONE: it would."""
        view = admission.AdmissionView(waiting=self._waiting, draining=draining)
        return admission.decide(self._admission_rule, view)

    # Changes

    def enqueue(self, held: Held, now_ns: int) -> None:
        """Take an attempt that was admitted."""
        held.placed_ns = now_ns
        self._queue[held.key] = held
        self._waiting += 1

    def withdraw(self, held: Held) -> None:
        """Take out an attempt that ends early, if its place can be freed."""
        if not deadlines.frees_its_place(held.batch is not None):
            return
        if held.hand == UNSET:
            del self._queue[held.key]
        else:
            self._hands[held.hand].remove(held)
        self._waiting -= 1

    def become_ready(self, instance: int, now_ns: int) -> None:
        """Note that an instance can take batches: for the first time, or again."""
        self._starting.discard(instance)
        self._idle_since_ns[instance] = now_ns

    def take_back(self, instance: int, now_ns: int) -> Batch:
        """Return the batch whose results an instance has returned, which is idle from now on."""
        batch = self._running.pop(instance)
        self._idle_since_ns[instance] = now_ns
        self._carried -= len(batch.members)
        return batch

    def break_down(self, instance: int) -> Batch | None:
        """Return the batch that is lost with an instance, if any; it takes no other before become_ready()."""
        self._idle_since_ns.pop(instance, None)
        batch = self._running.pop(instance, None)
        if batch is not None:
            self._carried -= len(batch.members)
        return batch

    # Decisions

    def decide(self, now_ns: int) -> None:
        """Hand over and close batches until nothing more is to be decided."""
        self._hand_over(now_ns)
        # The collectors in a ring, going on behind the one that took last, until none decides anything.
        collector = self._took_last
        quiet = 0
        while quiet < len(self._collectors):
            collector = (collector + 1) % len(self._collectors)
            decision = self._ask(collector, now_ns)
            quiet = quiet + 1 if batching.is_settled(self._rule, decision) else 0

    def _hand_over(self, now_ns: int) -> None:
        """Give parked batches to idle instances while the rule lets them go."""
        while self._parked and batching.may_hand_over(self._rule, len(self._running)):
            instance = self._instance_for(self._parked[0])
            if instance == UNSET:
                return
            batch = self._parked.popleft()
            batch.instance = instance
            batch.handed_ns = now_ns
            batch.idle_since_ns = self._idle_since_ns.pop(instance)
            self._running[instance] = batch
            self._waiting -= len(batch.members)
            self._carried += len(batch.members)
            self._start(batch)

    def _instance_for(self, batch: Batch) -> int:
        """Return the idle instance that takes the batch: its own, else the lowest; UNSET if there is none."""
        if batch.instance != UNSET:
            return batch.instance if batch.instance in self._idle_since_ns else UNSET
        return min(self._idle_since_ns, default=UNSET)

    def _ask(self, collector: int, now_ns: int) -> batching.BatchingDecision:
        """Ask one collector and carry out what it decides."""
        hand = self._hands[collector]
        rule = self._rule
        view = batching.CollectorView(
            collecting=batching.may_collect(rule, bool(self._idle_since_ns), collector in self._idle_since_ns),
            held=len(hand),
            queued=len(self._queue),
            oldest_enqueued_ns=self._oldest_enqueued_ns(hand),
            parked=len(self._parked),
            running=len(self._running),
        )
        self._collectors[collector], decision = batching.step(rule, self._collectors[collector], view, now_ns)
        self._ask_again_ns[collector] = decision.ask_again_ns
        for _ in range(decision.collect):
            _, held = self._queue.popitem(last=False)
            held.hand = collector
            hand.append(held)
            self._took_last = collector
        if decision.close:
            self._close(collector, decision.close, decision.cause, now_ns)
            self._hand_over(now_ns)
        return decision

    def _oldest_enqueued_ns(self, hand: list[Held]) -> int:
        if hand:
            return hand[0].placed_ns
        if self._queue:
            return next(iter(self._queue.values())).placed_ns
        return UNSET

    def _close(self, collector: int, size: int, cause: int, now_ns: int) -> None:
        """Freeze the front of a hand as a batch and park it."""
        hand = self._hands[collector]
        members, self._hands[collector] = hand[:size], hand[size:]
        instance = batching.own_instance(self._rule, collector)
        batch = Batch(next(self._pass_serials), self.serial, members, int(cause), now_ns, instance)
        for held in members:
            held.batch = batch
        self._parked.append(batch)
