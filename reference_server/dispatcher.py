"""The server's dispatcher without I/O: events in, actions out, time as an argument.

It knows the versions and their pools of replicas, which attempts are in flight and when they are given up. What waits
for replicas is replica_pool.py's, how requests come to the versions version_shares.py's; every decision is asked of
policy. The asyncio shell (dispatch_loop.py) feeds it from sockets and timers; tests feed it from an event heap, where
it must give the timeline of sim/engine/process_engine.py row for row. The order inside an instant is the law written in
policy/instant.py.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from typing import Protocol

from policy import deadlines
from policy.fleet import Stage
from policy.instant import NEVER_NS, UNSET, Change
from policy.timeline import Outcome, Pass, Reason, ReplicaLife, Scaling, Share, is_copy
from reference_server.actions import (
    Action,
    Answered,
    Arrived,
    Copied,
    Event,
    Failed,
    HungUp,
    Key,
    Log,
    LogPass,
    Ordered,
    Ready,
    Respond,
    Returned,
    WakeAt,
)
from reference_server.replica_pool import FleetRules, ReplicaPool
from reference_server.replica_queue import Batch, Held
from reference_server.version_shares import ONE_VERSION, VersionRules, VersionShares

__all__ = ["Dice", "Dispatcher"]


class Dice(Protocol):
    """The dice that the dispatcher has rolled for it."""

    def route(self, key: Key) -> int:
        """Return the die of an attempt's routing, an integer in [0, policy.routing.DIE_ONE)."""

    def copy(self, request: int, version: int) -> int:
        """Return the die, 64 bits, of whether a shadow version gets a copy of a request."""


class Dispatcher:
    """The decisions of one server, driven by handle().

    `fleets` are those of the versions, in their order. Replicas that are there from the start are ready at once; who
    cannot give them work yet reports their instances as Failed.
    """

    def __init__(
        self, fleets: Sequence[FleetRules], dice: Dice, versions: VersionRules = ONE_VERSION, now_ns: int = 0
    ) -> None:
        self._dice = dice
        self._draining = False
        self._attempts: dict[Key, Held] = {}
        self._deadlines: list[tuple[int, Key]] = []
        self._arrivals: list[Arrived] = []
        self._orders: list[Ordered] = []
        self._to_decide = True
        self._now_ns = now_ns
        self._actions: list[Action] = []
        replica_serials, pass_serials = itertools.count(), itertools.count()
        self._pools = [
            ReplicaPool(version, rules, dice.route, self._act, replica_serials, pass_serials, now_ns)
            for version, rules in enumerate(fleets)
        ]
        self._shares = VersionShares(versions, self._pools, self._act)

    # What the shell may ask

    @property
    def waiting(self) -> int:
        """Requests accepted and not in a running pass."""
        return sum(pool.waiting for pool in self._pools)

    @property
    def running(self) -> int:
        """Passes handed to an instance and not yet returned."""
        return sum(pool.running for pool in self._pools)

    @property
    def to_decide(self) -> bool:
        """Whether something has come since the last decision that calls for one."""
        return self._to_decide

    @property
    def idle(self) -> bool:
        """Whether no attempt is left that has to be served, answered or logged."""
        return not self._attempts

    @property
    def pools(self) -> Sequence[ReplicaPool]:
        """The pool of each version, to be looked at."""
        return self._pools

    @property
    def shares(self) -> VersionShares:
        """What each version gets, to be looked at."""
        return self._shares

    def stages(self) -> dict[int, Stage]:
        """Return where each replica that is not gone is in its life, by serial."""
        return {serial: stage for pool in self._pools for serial, stage in pool.stages().items()}

    def lives(self) -> list[ReplicaLife]:
        """Return the rows of the replicas that are not gone."""
        return [life for pool in self._pools for life in pool.lives()]

    def first_rows(self) -> tuple[list[Scaling], list[Share]]:
        """Return how many replicas of each version are wanted now and what it gets: for a log to begin with."""
        scalings = [Scaling(self._now_ns, pool.version, pool.wanted, 0) for pool in self._pools]
        return scalings, [Share(self._now_ns, pool.version, *self._shares.of(pool.version)) for pool in self._pools]

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
        changes = [_keyed(event) for event in events]
        if not events or any(map(self._is_occasion, events)):
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
        orders, self._orders = self._orders, []
        for order in orders:
            self._shares.carry_out(order, now_ns)
        for pool in self._pools:
            pool.scale(now_ns)
        self._shares.roll_out(now_ns, is_called=bool(orders))
        for pool in self._pools:
            pool.place_held(now_ns)
        for arrival in self._arrivals:
            self._admit(arrival)
        self._arrivals.clear()
        for pool in self._pools:
            pool.scale_for_held(now_ns)
        wake_ns = min(self._shares.asks_ns, self._next_deadline_ns())
        for pool in self._pools:
            wake_ns = min(wake_ns, pool.serve(now_ns))
        self._actions.append(WakeAt(wake_ns))
        return self._actions

    def _act(self, action: Action) -> None:
        self._actions.append(action)

    # Changes

    def _is_occasion(self, event: Event) -> bool:
        """Return whether an event makes the dispatcher look, as the law has it: one of an answered attempt does not."""
        if isinstance(event, Answered):
            return False
        if isinstance(event, HungUp):
            held = self._attempts.get((event.request, event.attempt))
            return held is not None and held.outcome == Outcome.IN_FLIGHT
        return True

    def _take_in_one(self, key: Key, event: Event | None) -> None:
        match event:
            case Arrived():
                self._arrivals.append(event)
            case Returned():
                self._return_pass(event)
            case Failed():
                self._fail(event)
            case Ready():
                self._become_ready(event)
            case Answered():
                self._finish_answer(key)
            case HungUp():
                self._hang_up(key)
            case Ordered():
                self._orders.append(event)
            case None:
                self._give_up(key)

    def _become_ready(self, event: Ready) -> None:
        pool = self._pool_of(event.replica)
        if pool is not None:  # else it was called off meanwhile
            pool.become_ready(event.replica, event.instance, self._now_ns)

    def _return_pass(self, event: Returned) -> None:
        pool = self._pool_of(event.replica)
        assert pool is not None, "a replica that runs a pass is not gone"
        batch = pool.take_back(event.replica, event.instance, self._now_ns)
        for held in batch.members:
            held.started_ns, held.ended_ns = event.started_ns, event.ended_ns
        self._log_pass(batch, event.started_ns, event.ended_ns)
        for held in batch.members:
            self._end_member(held, Outcome.FAILED if held.key in event.failed else Outcome.ANSWERED)

    def _fail(self, event: Failed) -> None:
        pool = self._pool_of(event.replica)
        batch = None if pool is None else pool.break_down(event.replica, event.instance, self._now_ns)
        if batch is not None:
            self._log_pass(batch, UNSET, UNSET)
            for held in batch.members:
                self._end_member(held, Outcome.FAILED)

    def _log_pass(self, batch: Batch, started_ns: int, ended_ns: int) -> None:
        row = Pass(
            serial=batch.serial,
            replica=batch.replica,
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

    def _end_member(self, held: Held, outcome: Outcome) -> None:
        """Note that the pass of an attempt is over; it may have ended before."""
        held.returned_ns = self._now_ns
        if held.outcome == Outcome.IN_FLIGHT:
            self._end(held, outcome, Reason.NONE)
        self._log_if_over(held)

    def _hang_up(self, key: Key) -> None:
        """The client has gone: nobody waits for an answer, written or not."""
        held = self._attempts.get(key)
        if held is None:
            return
        if held.outcome == Outcome.IN_FLIGHT:
            self._pools[held.version].withdraw(held)
            self._shares.count(held, Outcome.ABANDONED, self._now_ns)
        held.outcome = int(Outcome.ABANDONED)
        held.answering = False
        self._log_if_over(held)

    def _give_up(self, key: Key) -> None:
        """The server's deadline has passed."""
        held = self._attempts.get(key)
        if held is None or held.outcome != Outcome.IN_FLIGHT:
            return  # its result came back in this same instant
        self._pools[held.version].withdraw(held)
        self._end(held, Outcome.TIMED_OUT, Reason.NONE)

    def _finish_answer(self, key: Key) -> None:
        held = self._attempts.get(key)
        if held is None:
            return  # its client had gone before the last byte
        held.answering = False
        held.answered_ns = self._now_ns
        self._log_if_over(held)

    # Decisions

    def _admit(self, arrival: Arrived) -> None:
        """Take an arrival for a version or refuse it; then its copies, which a server that stops makes no more."""
        held = Held(arrival, self._now_ns)
        self._attempts[held.key] = held
        version = self._shares.choose(arrival)
        if not self._pools[version].loaded:
            self._end(held, Outcome.REFUSED, Reason.NOT_LOADED)
        else:
            self._begin(held, version, draining=self._draining)
        if self._draining or not self._shares.has_shadows:
            return
        for shadow in self._shares.shadows_of(arrival.request, held.version, self._dice.copy):
            copy = Held(arrival.copy_for(shadow), self._now_ns)
            self._attempts[copy.key] = copy
            place = len(self._actions)
            self._begin(copy, shadow, draining=False)
            self._actions.insert(place, Copied(*copy.key, copy.reason))

    def _begin(self, held: Held, version: int, *, draining: bool) -> None:
        """Let a version take an attempt or a copy, or end it."""
        held.version = version
        pool = self._pools[version]
        reason = pool.admit(held, draining, self._now_ns)
        if reason != Reason.NONE:
            self._end(held, Outcome.REFUSED, reason)
            return
        due_ns = deadlines.due_ns(pool.rules.deadline, held.enqueued_ns)
        if due_ns != NEVER_NS:
            heapq.heappush(self._deadlines, (due_ns, held.key))

    # Ends

    def _end(self, held: Held, outcome: Outcome, reason: Reason) -> None:
        """Give an attempt its outcome and answer its client; nobody waits for a copy."""
        held.outcome, held.reason = int(outcome), int(reason)
        self._shares.count(held, outcome, self._now_ns)
        if is_copy(held.key[1]):
            self._log_if_over(held)
            return
        held.answering = True
        self._actions.append(Respond(*held.key, held.outcome, held.reason))

    def _log_if_over(self, held: Held) -> None:
        if held.is_over and self._attempts.pop(held.key, None) is not None:
            self._actions.append(Log(held.row()))
            held.batch = None  # else the two keep each other, and the garbage collector stops the server to find them

    def _next_deadline_ns(self) -> int:
        """Return the earliest deadline of an attempt that has no outcome yet, NEVER_NS without one."""
        while self._deadlines:
            due_ns, key = self._deadlines[0]
            held = self._attempts.get(key)
            if held is not None and held.outcome == Outcome.IN_FLIGHT:
                rule = self._pools[held.version].rules.deadline
                if deadlines.due_ns(rule, held.enqueued_ns) == due_ns:  # else it is of another one of this number
                    return due_ns
            heapq.heappop(self._deadlines)
        return NEVER_NS

    def _pool_of(self, serial: int) -> ReplicaPool | None:
        """Return the pool of a replica that is not gone."""
        return next((pool for pool in self._pools if pool.has(serial)), None)


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
        case Ordered():
            return Change.ORDERED, 0, 0, event  # orders of one instant stay in the order in which they came
        case Returned() | Failed() | Ready():
            return Change.RETURNED, event.replica, event.instance, event
