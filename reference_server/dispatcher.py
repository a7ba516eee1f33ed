"""The server's dispatcher without I/O: events in, actions out, time as an argument.

It owns the queue, the collectors' hands, the closed batches and the instances' state; every decision is asked of
policy. The asyncio shell (dispatch_loop.py) feeds it from sockets and timers; tests feed it from an event heap, where
it must give the timeline of sim/engine/process_engine.py row for row. The order inside an instant is the law written
in policy/instant.py.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import NamedTuple

from policy import admission, batching, deadlines
from policy.instant import NEVER_NS, UNSET, Change
from policy.timeline import Attempt, Outcome, Pass, Reason

__all__ = [
    "Action",
    "Answered",
    "Arrived",
    "Dispatcher",
    "Event",
    "Failed",
    "HungUp",
    "Log",
    "LogPass",
    "Ready",
    "Respond",
    "Returned",
    "StartPass",
    "WakeAt",
]

_REPLICA = 0  # one replica for now: the columns and keys are there for more

Key = tuple[int, int]
"""(request, attempt): unique among the attempts in flight."""


class Arrived(NamedTuple):
    """An attempt is there to be admitted or refused."""

    request: int
    attempt: int
    size: int


class HungUp(NamedTuple):
    """The client of an attempt has gone."""

    request: int
    attempt: int


class Returned(NamedTuple):
    """An instance has returned the results of its pass; the times are the device's own stamps."""

    instance: int
    started_ns: int
    ended_ns: int


class Failed(NamedTuple):
    """An instance has broken down; what it ran is lost. It takes no batch until Ready."""

    instance: int


class Ready(NamedTuple):
    """An instance that had failed can take batches again."""

    instance: int


class Answered(NamedTuple):
    """The response of an attempt has been written."""

    request: int
    attempt: int


Event = Arrived | HungUp | Returned | Failed | Ready | Answered


class StartPass(NamedTuple):
    """Send a batch to an idle instance."""

    serial: int
    instance: int
    members: tuple[Key, ...]
    longest: int  # the largest size of a member


class Respond(NamedTuple):
    """Answer a client; report Answered when that is done, or HungUp when it cannot be."""

    request: int
    attempt: int
    outcome: int  # Outcome
    reason: int  # Reason


class WakeAt(NamedTuple):
    """Call handle again at this moment at the latest; replaces the wake-up asked for before, which stays without it."""

    at_ns: int  # NEVER_NS: no wake-up is needed


class Log(NamedTuple):
    """An attempt is over; the client's columns are UNSET."""

    row: Attempt


class LogPass(NamedTuple):
    """A pass is over. started_ns and ended_ns are UNSET if its instance failed."""

    row: Pass


Action = StartPass | Respond | WakeAt | Log | LogPass


class _Held:
    """One attempt from its arrival until its row is logged."""

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
        "reason",
        "returned_ns",
        "started_ns",
    )

    def __init__(self, arrival: Arrived, enqueued_ns: int) -> None:
        self.arrival = arrival
        self.key: Key = (arrival.request, arrival.attempt)
        self.enqueued_ns = enqueued_ns
        self.hand: int = UNSET  # the collector that holds it
        self.batch: _Batch | None = None  # set when its batch is frozen
        self.started_ns = self.ended_ns = self.returned_ns = self.answered_ns = UNSET
        self.outcome = int(Outcome.IN_FLIGHT)
        self.reason = int(Reason.NONE)
        self.answering = False  # told to respond, response not yet written

    @property
    def is_over(self) -> bool:
        passing = self.batch is not None and self.returned_ns == UNSET
        return self.outcome != Outcome.IN_FLIGHT and not self.answering and not passing

    def row(self) -> Attempt:
        arrival, batch = self.arrival, self.batch
        if batch is None:
            instance = serial = batch_size = closed_ns = UNSET
        else:
            instance, serial, batch_size, closed_ns = batch.instance, batch.serial, len(batch.members), batch.closed_ns
        # By place: names cost 2 us here, for every request.
        return Attempt(
            *(arrival.request, arrival.attempt, arrival.size),
            *(_REPLICA, instance, serial, batch_size),
            *(UNSET, UNSET, UNSET),  # intended_ns, sent_ns, received_ns
            *(self.enqueued_ns, closed_ns, self.started_ns, self.ended_ns, self.returned_ns, self.answered_ns),
            UNSET,  # delivered_ns
            *(self.outcome, self.reason),
        )


class _Batch:
    """One closed batch."""

    __slots__ = ("cause", "closed_ns", "handed_ns", "idle_since_ns", "instance", "members", "serial")

    def __init__(self, serial: int, members: list[_Held], cause: int, closed_ns: int, instance: int) -> None:
        self.serial = serial
        self.members = members
        self.cause = cause
        self.closed_ns = closed_ns
        self.instance = instance  # UNSET until handed over, unless only one instance may run it
        self.idle_since_ns = self.handed_ns = UNSET


class Dispatcher:
    """The decisions of one replica, driven by handle()."""

    def __init__(
        self,
        *,
        batching: batching.BatchingRule,
        admission: admission.AdmissionRule,
        deadline: deadlines.DeadlineRule,
        instances: int,
    ) -> None:
        self._batching_rule = batching
        self._admission_rule = admission
        self._deadline_rule = deadline
        self._draining = False
        self._held: dict[Key, _Held] = {}
        self._queue: OrderedDict[Key, _Held] = OrderedDict()
        self._parked: deque[_Batch] = deque()
        self._running: dict[int, _Batch] = {}  # by instance
        self._idle_since_ns: dict[int, int] = dict.fromkeys(range(instances), 0)
        self._deadlines: list[tuple[int, Key]] = []
        self._arrivals: list[Arrived] = []
        self._to_decide = True
        self._next_serial = 0
        self._frozen_waiting = 0  # members of parked batches
        self._open_collectors()
        self._now_ns = 0
        self._actions: list[Action] = []

    def _open_collectors(self) -> None:
        count = batching.collector_count(self._batching_rule, len(self._idle_since_ns))
        self._hands: list[list[_Held]] = [[] for _ in range(count)]
        self._collectors = [batching.closed_collector() for _ in range(count)]
        self._ask_again_ns = [NEVER_NS] * count
        self._took_last = count - 1

    # What the shell may ask

    @property
    def waiting(self) -> int:
        """Requests accepted and not in a running pass."""
        return len(self._queue) + sum(map(len, self._hands)) + self._frozen_waiting

    @property
    def running(self) -> int:
        """Passes handed to an instance and not yet returned."""
        return len(self._running)

    @property
    def to_decide(self) -> bool:
        """Whether something has come since the last decision that calls for one."""
        return self._to_decide

    @property
    def idle(self) -> bool:
        """Whether no attempt is left that has to be served, answered or logged."""
        return not self._held

    def drain(self) -> None:
        """From now on refuse every arrival; what was accepted is still served."""
        self._draining = True

    def handle(self, events: Sequence[Event], now_ns: int) -> list[Action]:
        """Take in the events of this instant, decide, and return what is to be done.

        Without events it is a wake-up. `now_ns` never runs backwards.
        """
        actions = self.take_in(events, now_ns)
        if self._to_decide:
            actions += self.decide(now_ns)
        return actions

    def take_in(self, events: Sequence[Event], now_ns: int) -> list[Action]:
        """Apply the events of this instant in the order of the law, without deciding anything.

        Deadlines that have run out are among them if one of the events is an occasion to look, or if there are none.
        For a driver whose front end is a station of its own: it has to queue the answers before the next requests.
        """
        self._now_ns = now_ns
        self._actions = []
        if len(events) == 1 and isinstance(events[0], Answered):
            # Half of a live server's calls: it completes a row, and there is nothing to sort or to look at.
            self._finish_answer((events[0].request, events[0].attempt))
            return self._actions
        changes: list[tuple[int, int, int, Event | None]] = []
        is_occasion = not events
        for event in events:
            changes.append(_keyed(event))
            is_occasion = is_occasion or self._is_occasion(event)
        if is_occasion:
            self._to_decide = True
            while self._next_deadline_ns() <= now_ns:
                _, (request, attempt) = heapq.heappop(self._deadlines)
                changes.append((Change.DEADLINE, request, attempt, None))
        if len(changes) > 1:
            changes.sort(key=lambda change: change[:3])
        for _, first, second, change in changes:
            self._take_in_one((first, second), change)
        return self._actions

    def decide(self, now_ns: int) -> list[Action]:
        """Decide until nothing more is to be decided at this instant."""
        self._now_ns = now_ns
        self._actions = []
        self._to_decide = False
        for arrival in self._arrivals:
            self._admit(arrival)
        self._arrivals.clear()
        self._hand_over()
        self._collect()
        self._actions.append(WakeAt(min(*self._ask_again_ns, self._next_deadline_ns())))
        return self._actions

    # Changes

    def _is_occasion(self, event: Event) -> bool:
        """Return whether an event makes the dispatcher look, as the law has it: one of an answered attempt does not."""
        if isinstance(event, Answered):
            return False
        if isinstance(event, HungUp):
            held = self._held.get((event.request, event.attempt))
            return held is not None and held.outcome == Outcome.IN_FLIGHT
        return True

    def _take_in_one(self, key: Key, event: Event | None) -> None:
        match event:
            case Arrived():
                self._arrivals.append(event)
            case Returned():
                self._return_pass(event)
            case Failed():
                self._fail(event.instance)
            case Ready():
                self._idle_since_ns[event.instance] = self._now_ns
            case Answered():
                self._finish_answer(key)
            case HungUp():
                self._hang_up(key)
            case None:
                self._give_up(key)

    def _return_pass(self, event: Returned) -> None:
        batch = self._running.pop(event.instance)
        self._idle_since_ns[event.instance] = self._now_ns
        for held in batch.members:
            held.started_ns, held.ended_ns = event.started_ns, event.ended_ns
        self._end_pass(batch, Outcome.ANSWERED, event.started_ns, event.ended_ns)

    def _fail(self, instance: int) -> None:
        self._idle_since_ns.pop(instance, None)
        batch = self._running.pop(instance, None)
        if batch is not None:
            self._end_pass(batch, Outcome.FAILED, UNSET, UNSET)

    def _end_pass(self, batch: _Batch, outcome: Outcome, started_ns: int, ended_ns: int) -> None:
        row = Pass(
            serial=batch.serial,
            replica=_REPLICA,
            instance=batch.instance,
            batch_size=len(batch.members),
            cause=batch.cause,
            idle_since_ns=batch.idle_since_ns,
            closed_ns=batch.closed_ns,
            handed_ns=batch.handed_ns,
            started_ns=started_ns,
            ended_ns=ended_ns,
            returned_ns=self._now_ns,
        )
        self._actions.append(LogPass(row))
        for held in batch.members:
            held.returned_ns = self._now_ns
            if held.outcome == Outcome.IN_FLIGHT:
                self._respond(held, outcome, Reason.NONE)
            self._log_if_over(held)

    def _hang_up(self, key: Key) -> None:
        """The client has gone: nobody waits for an answer, written or not."""
        held = self._held.get(key)
        if held is None:
            return
        if held.outcome == Outcome.IN_FLIGHT:
            self._withdraw(held)
        held.outcome = int(Outcome.ABANDONED)
        held.answering = False
        self._log_if_over(held)

    def _give_up(self, key: Key) -> None:
        """The server's deadline has passed."""
        held = self._held.get(key)
        if held is None or held.outcome != Outcome.IN_FLIGHT:
            return  # its result came back in this same instant
        self._withdraw(held)
        self._respond(held, Outcome.TIMED_OUT, Reason.NONE)

    def _withdraw(self, held: _Held) -> None:
        """Take an attempt that ends early out of the queue or the hand, if its place can be freed."""
        if not deadlines.frees_its_place(held.batch is not None):
            return
        if held.hand == UNSET:
            del self._queue[held.key]
        else:
            self._hands[held.hand].remove(held)

    def _finish_answer(self, key: Key) -> None:
        held = self._held.get(key)
        if held is None:
            return  # its client had gone before the last byte
        held.answering = False
        held.answered_ns = self._now_ns
        self._log_if_over(held)

    # Decisions

    def _admit(self, arrival: Arrived) -> None:
        held = _Held(arrival, self._now_ns)
        self._held[held.key] = held
        view = admission.AdmissionView(waiting=self.waiting, draining=self._draining)
        reason = admission.decide(self._admission_rule, view)
        if reason != Reason.NONE:
            self._respond(held, Outcome.REFUSED, reason)
            return
        self._queue[held.key] = held
        due_ns = self._due_ns(held)
        if due_ns != NEVER_NS:
            heapq.heappush(self._deadlines, (due_ns, held.key))

    def _hand_over(self) -> None:
        """Give parked batches to idle instances while the rule lets them go."""
        while self._parked and batching.may_hand_over(self._batching_rule, len(self._running)):
            instance = self._instance_for(self._parked[0])
            if instance == UNSET:
                return
            batch = self._parked.popleft()
            batch.instance = instance
            batch.handed_ns = self._now_ns
            batch.idle_since_ns = self._idle_since_ns.pop(instance)
            self._running[instance] = batch
            self._frozen_waiting -= len(batch.members)
            members = tuple(held.key for held in batch.members)
            longest = max(held.arrival.size for held in batch.members)
            self._actions.append(StartPass(batch.serial, instance, members, longest))

    def _instance_for(self, batch: _Batch) -> int:
        """Return the idle instance that takes the batch: its own, else the lowest; UNSET if there is none."""
        if batch.instance != UNSET:
            return batch.instance if batch.instance in self._idle_since_ns else UNSET
        return min(self._idle_since_ns, default=UNSET)

    def _collect(self) -> None:
        """Ask the collectors in a ring, going on behind the one that took last, until none decides anything."""
        collector = self._took_last
        quiet = 0
        while quiet < len(self._collectors):
            collector = (collector + 1) % len(self._collectors)
            decision = self._ask(collector)
            quiet = 0 if decision.collect or decision.close else quiet + 1

    def _ask(self, collector: int) -> batching.BatchingDecision:
        """Ask one collector and carry out what it decides."""
        hand = self._hands[collector]
        rule = self._batching_rule
        view = batching.CollectorView(
            collecting=batching.may_collect(rule, bool(self._idle_since_ns), collector in self._idle_since_ns),
            held=len(hand),
            queued=len(self._queue),
            oldest_enqueued_ns=self._oldest_enqueued_ns(hand),
            parked=len(self._parked),
            running=len(self._running),
        )
        self._collectors[collector], decision = batching.step(rule, self._collectors[collector], view, self._now_ns)
        self._ask_again_ns[collector] = decision.ask_again_ns
        for _ in range(decision.collect):
            _, held = self._queue.popitem(last=False)
            held.hand = collector
            hand.append(held)
            self._took_last = collector
        if decision.close:
            self._close(collector, decision.close, decision.cause)
            self._hand_over()
        return decision

    def _oldest_enqueued_ns(self, hand: list[_Held]) -> int:
        if hand:
            return hand[0].enqueued_ns
        if self._queue:
            return next(iter(self._queue.values())).enqueued_ns
        return UNSET

    def _close(self, collector: int, size: int, cause: int) -> None:
        """Freeze the front of a hand as a batch and park it."""
        hand = self._hands[collector]
        members, self._hands[collector] = hand[:size], hand[size:]
        instance = batching.own_instance(self._batching_rule, collector)
        batch = _Batch(self._next_serial, members, int(cause), self._now_ns, instance)
        self._next_serial += 1
        for held in members:
            held.batch = batch
        self._parked.append(batch)
        self._frozen_waiting += size

    # Ends

    def _respond(self, held: _Held, outcome: Outcome, reason: Reason) -> None:
        held.outcome, held.reason = int(outcome), int(reason)
        held.answering = True
        self._actions.append(Respond(*held.key, held.outcome, held.reason))

    def _log_if_over(self, held: _Held) -> None:
        if held.is_over:
            del self._held[held.key]
            self._actions.append(Log(held.row()))

    def _due_ns(self, held: _Held) -> int:
        return deadlines.due_ns(self._deadline_rule, held.enqueued_ns)

    def _next_deadline_ns(self) -> int:
        """Return the earliest deadline of an attempt that has no outcome yet, NEVER_NS without one."""
        while self._deadlines:
            due_ns, key = self._deadlines[0]
            held = self._held.get(key)
            if held is not None and held.outcome == Outcome.IN_FLIGHT and self._due_ns(held) == due_ns:
                return due_ns
            heapq.heappop(self._deadlines)
        return NEVER_NS


def _keyed(event: Event) -> tuple[int, int, int, Event | None]:
    """Return an event with its place in the order of an instant."""
    match event:
        case Arrived():
            return Change.ARRIVED, event.request, event.attempt, event
        case HungUp():
            return Change.HANG_UP, event.request, event.attempt, event
        case Answered():
            # Before anything else, so that its row is complete when its client hangs up in the same instant.
            return UNSET, event.request, event.attempt, event
        case Returned() | Failed() | Ready():
            return Change.RETURNED, _REPLICA, event.instance, event
