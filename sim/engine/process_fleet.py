"""The fleet of the process engine: which replica takes what, how many there are, and what waits in front of them.

It asks policy and carries out what policy decides, in the order of policy/instant.py; one replica's queue and batches
are process_replica.py's. When time passes, and who waits for an answer, is process_engine.py's business.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from policy import admission, autoscaling, fleet, routing
from policy.fleet import Stage
from policy.instant import UNSET
from policy.timeline import Reason, ReplicaLife, Scaling
from sim.engine.engine_input import FleetInput
from sim.engine.process_replica import Batch, LiveAttempt, Replica

__all__ = ["Fleet", "FleetListener"]


class FleetListener(Protocol):
    """What a fleet asks for and reports while it decides."""

    def roll_route(self, attempt: LiveAttempt) -> int:
        """Return the die of an attempt's routing, in [0, policy.routing.DIE_ONE)."""

    def admission_decided(self, attempt: LiveAttempt, reason: Reason) -> None:
        """An arrival was taken (Reason.NONE) or refused."""

    def pass_started(self, batch: Batch) -> None:
        """A batch was handed to an instance; report take_back() when its results are there."""

    def replica_ordered(self, serial: int) -> None:
        """A replica was ordered; report become_ready() for each of its instances when its cold start is over."""

    def replica_drained(self, serial: int) -> None:
        """A replica takes nothing new."""

    def replica_gone(self, serial: int) -> None:
        """A replica that was drained holds nothing any more."""

    def scaled(self, scaling: Scaling) -> None:
        """Another number of replicas is wanted."""


@dataclass(slots=True, eq=False)
class _Member:
    """One replica and where it is in its life."""

    replica: Replica
    ordered_ns: int
    stage: Stage = Stage.STARTING
    ready_ns: int = UNSET
    drained_ns: int = UNSET
    gone_ns: int = UNSET

    def row(self) -> ReplicaLife:
        return ReplicaLife(self.replica.serial, self.ordered_ns, self.ready_ns, self.drained_ns, self.gone_ns)


class Fleet:
    """All replicas of a run. Those that are there from the start are ready at its first moment."""

    def __init__(self, given: FleetInput, listener: FleetListener, start_ns: int = 0) -> None:
        self._given = given
        self._listener = listener
        self._draining = False
        self._pass_serials = itertools.count()
        self._members: dict[int, _Member] = {}  # by serial, ascending; those that are gone leave
        self._ready: list[int] = []  # serials of those that take requests
        self._lives: list[_Member] = []
        self._held: OrderedDict[tuple[int, int], LiveAttempt] = OrderedDict()
        self._routing = routing.fresh_routing()
        self._wanted = given.replicas
        self._scalings = [Scaling(start_ns, given.replicas, 0)]
        self._arrived = 0
        self._busy_ns = 0  # of the passes that are over
        self._running: dict[int, Batch] = {}  # by serial of the pass
        self._autoscaler = autoscaling.fresh_autoscaler(given.autoscaler, start_ns)
        self._history = [0] * autoscaling.history_length(given.autoscaler)
        self._autoscaler_asks_ns = start_ns
        for _ in range(given.replicas):
            serial = self._add(start_ns).replica.serial
            for instance in range(given.instances):
                self.become_ready(serial, instance, start_ns)

    def lives(self) -> Iterable[ReplicaLife]:
        """Return the life of every replica."""
        return (member.row() for member in self._lives)

    def scalings(self) -> Iterable[Scaling]:
        """Return the wanted number at the start and every change of it."""
        return self._scalings

    def drain(self) -> None:
        """From now on refuse every arrival; what was accepted is still served."""
        self._draining = True

    # Changes

    def become_ready(self, serial: int, instance: int, now_ns: int) -> None:
        """Note that an instance can take batches; that of a replica that was called off meanwhile is gone already."""
        member = self._members.get(serial)
        if member is None:
            return
        member.replica.become_ready(instance, now_ns)
        if member.stage == Stage.STARTING and member.replica.has_started:
            member.ready_ns = now_ns
            self._move_on(member, Stage.READY)

    def take_back(self, batch: Batch, now_ns: int) -> None:
        """Note that an instance has returned its batch and is idle."""
        self._members[batch.replica].replica.take_back(batch, now_ns)
        self._end_pass(batch, now_ns)

    def break_down(self, serial: int, instance: int, now_ns: int) -> Batch | None:
        """Note that an instance is gone and return the batch that is lost with it, if any."""
        member = self._members.get(serial)
        if member is None:
            return None
        running = self._running.values()
        batch = next((each for each in running if (each.replica, each.instance) == (serial, instance)), None)
        member.replica.break_down(instance, batch, now_ns)
        if batch is not None:
            self._end_pass(batch, now_ns)
        return batch

    def _end_pass(self, batch: Batch, now_ns: int) -> None:
        del self._running[batch.serial]
        self._busy_ns += now_ns - batch.handed_ns

    def withdraw(self, attempt: LiveAttempt) -> None:
        """Take out an attempt that ended early, if its place can be freed."""
        if attempt.replica == UNSET:
            del self._held[attempt.request, attempt.attempt]
        else:
            self._members[attempt.replica].replica.withdraw(attempt)

    # Decisions

    def decide(self, arrived: Iterable[LiveAttempt], now_ns: int) -> int:
        """Decide until nothing more is to be decided; return when to decide again at the latest."""
        self._scale(now_ns)
        self._place_held(now_ns)
        for attempt in arrived:
            self._listener.admission_decided(attempt, self._admit(attempt, now_ns))
        if self._held and not any(member.stage <= Stage.READY for member in self._members.values()):
            self._scale(now_ns, is_called=True)
        ask_again_ns = self._autoscaler_asks_ns
        for member in self._members.values():
            ask_again_ns = min(ask_again_ns, member.replica.decide(now_ns))
        self._let_go(now_ns)
        return ask_again_ns

    def _admit(self, attempt: LiveAttempt, now_ns: int) -> Reason:
        self._arrived += 1
        attempt.enqueued_ns = now_ns
        serial = UNSET if self._held else self._choose(attempt)
        if serial == UNSET:
            reason = admission.may_hold(self._given.admission, len(self._held), self._draining)
            if reason == Reason.NONE:
                self._held[attempt.request, attempt.attempt] = attempt
            return reason
        attempt.replica = serial
        replica = self._members[serial].replica
        reason = replica.refusal(draining=self._draining)
        if reason == Reason.NONE:
            replica.enqueue(attempt, now_ns)
        return reason

    def _place_held(self, now_ns: int) -> None:
        """Send what is held to replicas, first come, first served, until one finds no place."""
        while self._held:
            key, attempt = next(iter(self._held.items()))
            before = self._routing
            serial = self._choose(attempt)
            if serial == UNSET or self._members[serial].replica.refusal(draining=False) != Reason.NONE:
                self._routing = before
                return
            del self._held[key]
            attempt.replica = serial
            self._members[serial].replica.enqueue(attempt, now_ns)

    def _choose(self, attempt: LiveAttempt) -> int:
        """Return the serial of the replica that takes an attempt, UNSET if none can."""
        rule = self._given.routing
        ready = self._ready
        outstanding = [self._members[serial].replica.outstanding for serial in ready]
        die = self._listener.roll_route(attempt) if routing.uses_die(rule) else 0
        self._routing, place = routing.choose(rule, self._routing, ready, outstanding, len(ready), die)
        return UNSET if place == UNSET else ready[place]

    def _scale(self, now_ns: int, *, is_called: bool = False) -> None:
        """Ask the autoscaler if its moment has come or something calls for it; order and drain replicas."""
        if not (is_called or now_ns >= self._autoscaler_asks_ns):
            return
        rule, view = self._given.autoscaler, self._view(now_ns)
        self._autoscaler, decision = autoscaling.step(rule, self._autoscaler, self._history, view, now_ns)
        self._autoscaler_asks_ns = decision.ask_again_ns
        if decision.wanted == self._wanted:
            return
        self._wanted = decision.wanted
        self._scalings.append(Scaling(now_ns, decision.wanted, int(decision.cause)))
        self._listener.scaled(self._scalings[-1])
        for _ in range(fleet.missing(self._wanted, view.starting, view.ready)):
            self._listener.replica_ordered(self._add(now_ns).replica.serial)
        while (serial := self._next_to_drain()) != UNSET:
            member = self._members[serial]
            # Whoever has never been ready holds nothing: _let_go sees it in this same instant.
            member.drained_ns = now_ns
            self._move_on(member, Stage.DRAINING)
            self._listener.replica_drained(serial)

    def _next_to_drain(self) -> int:
        stages = [int(member.stage) for member in self._members.values()]
        outstanding = [member.replica.outstanding for member in self._members.values()]
        place = fleet.next_to_drain(self._given.drain, self._wanted, stages, outstanding, len(stages))
        return UNSET if place == UNSET else list(self._members)[place]

    def _view(self, now_ns: int) -> autoscaling.FleetView:
        waiting = len(self._held) + sum(member.replica.waiting for member in self._members.values())
        running = self._running.values()
        stages = [member.stage for member in self._members.values()]
        return autoscaling.FleetView(
            waiting=waiting,
            in_flight=waiting + sum(len(batch.members) for batch in running),
            arrived=self._arrived,
            busy_ns=self._busy_ns + sum(now_ns - batch.handed_ns for batch in running),
            ready=stages.count(Stage.READY),
            starting=stages.count(Stage.STARTING),
            wanted=self._wanted,
        )

    def _add(self, now_ns: int) -> _Member:
        """Add a replica with the next serial."""
        serial = len(self._lives)
        member = _Member(Replica(serial, self._given, self._pass_serials, self._start), now_ns)
        self._members[serial] = member
        self._lives.append(member)
        return member

    def _move_on(self, member: _Member, stage: Stage) -> None:
        """Note where a replica is in its life from now on."""
        member.stage = stage
        self._ready = [serial for serial, each in self._members.items() if each.stage == Stage.READY]

    def _start(self, batch: Batch) -> None:
        self._running[batch.serial] = batch
        self._listener.pass_started(batch)

    def _let_go(self, now_ns: int) -> None:
        """Let those go that drain and hold nothing."""
        for serial, member in list(self._members.items()):
            if member.stage == Stage.DRAINING and member.replica.outstanding == 0:
                member.stage, member.gone_ns = Stage.GONE, now_ns
                del self._members[serial]
                self._listener.replica_gone(serial)
