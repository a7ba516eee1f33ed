"""The fleet of one version in the process engine: which replica takes what, how many there are, what waits in front.

It asks policy and carries out what policy decides. One replica's queue and batches are process_replica.py's; which
version takes what, and which fleet decides when, is process_versions.py's.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from policy import admission, autoscaling, fleet, routing
from policy.fleet import Stage
from policy.instant import NEVER_NS, UNSET
from policy.timeline import Reason, ReplicaLife, Scaling
from sim.engine.engine_input import FleetInput
from sim.engine.process_replica import Batch, LiveAttempt, Replica

__all__ = ["Fleet", "FleetListener"]


class FleetListener(Protocol):
    """What a fleet asks for and reports while it decides."""

    def roll_route(self, attempt: LiveAttempt) -> int:
        """Return the die of an attempt's routing, in [0, policy.routing.DIE_ONE)."""

    def pass_started(self, batch: Batch) -> None:
        """A batch was handed to an instance; report take_back() when its results are there."""

    def replica_ordered(self, version: int, serial: int) -> None:
        """A replica was ordered; report become_ready() for each of its instances when its cold start is over."""

    def replica_drained(self, serial: int) -> None:
        """A replica takes nothing new."""

    def replica_gone(self, serial: int) -> None:
        """A replica that was drained holds nothing any more."""

    def scaled(self, scaling: Scaling) -> None:
        """Another number of replicas of a version is wanted."""


@dataclass(slots=True, eq=False)
class _Member:
    """One replica and where it is in its life."""

    replica: Replica
    ordered_ns: int
    stage: Stage = Stage.STARTING
    ready_ns: int = UNSET
    drained_ns: int = UNSET
    gone_ns: int = UNSET

    def row(self, version: int) -> ReplicaLife:
        moments = self.ordered_ns, self.ready_ns, self.drained_ns, self.gone_ns
        return ReplicaLife(self.replica.serial, version, *moments)


class Fleet:
    """All replicas of a version. Those that are there from the start are ready at its first moment.

    `replica_serials` numbers the replicas of all versions, `pass_serials` their batches.
    """

    def __init__(
        self,
        version: int,
        given: FleetInput,
        listener: FleetListener,
        replica_serials: Iterator[int],
        pass_serials: Iterator[int],
        start_ns: int = 0,
    ) -> None:
        self.version = version
        self._given = given
        self._listener = listener
        self._replica_serials = replica_serials
        self._pass_serials = pass_serials
        self._loaded = given.loaded
        self._members: dict[int, _Member] = {}  # by serial, ascending; those that are gone leave
        self._ready: list[int] = []  # serials of those that take requests
        self._lives: list[_Member] = []
        self._held: OrderedDict[tuple[int, int], LiveAttempt] = OrderedDict()
        self._routing = routing.fresh_routing()
        self._arrived = 0
        self._busy_ns = 0  # of the passes that are over
        self._running: dict[int, Batch] = {}  # by serial of the pass
        self._begin_to_scale(start_ns)
        self._wanted = given.replicas if given.loaded else 0
        self._scalings = [Scaling(start_ns, version, self._wanted, 0)]
        for _ in range(self._wanted):
            serial = self._add(start_ns).replica.serial
            for instance in range(given.instances):
                self.become_ready(serial, instance, start_ns)

    @property
    def loaded(self) -> bool:
        """Whether the version is there to take requests."""
        return self._loaded

    @property
    def ready(self) -> int:
        """Replicas that take requests."""
        return len(self._ready)

    @property
    def wanted(self) -> int:
        """Replicas that are wanted."""
        return self._wanted

    @property
    def held(self) -> int:
        """Requests that wait for a replica."""
        return len(self._held)

    def lives(self) -> Iterable[ReplicaLife]:
        """Return the life of every replica."""
        return (member.row(self.version) for member in self._lives)

    def scalings(self) -> list[Scaling]:
        """Return the wanted number at the start and every change of it."""
        return self._scalings

    def has(self, serial: int) -> bool:
        """Return whether a replica of this number is here and not gone."""
        return serial in self._members

    # Changes

    def become_ready(self, serial: int, instance: int, now_ns: int) -> None:
        """Note that an instance can take batches."""
        member = self._members[serial]
        member.replica.become_ready(instance, now_ns)
        if member.stage == Stage.STARTING and member.replica.has_started:
            member.ready_ns = now_ns
            self._move_on(member, Stage.READY)

    def take_back(self, batch: Batch, now_ns: int) -> None:
        """Note that an instance has returned its batch and is idle."""
        self._members[batch.replica].replica.take_back(batch, now_ns)
        self._end_pass(batch, now_ns)

    def running_on(self, serial: int, instance: int) -> Batch | None:
        """Return the batch that an instance has not returned yet, if any."""
        running = self._running.values()
        return next((each for each in running if (each.replica, each.instance) == (serial, instance)), None)

    def break_down(self, serial: int, instance: int, now_ns: int) -> Batch | None:
        """Note that an instance is gone and return the batch that is lost with it, if any."""
        batch = self.running_on(serial, instance)
        self._members[serial].replica.break_down(instance, batch, now_ns)
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

    # Decisions, in the order in which they are asked for

    def deploy(self, now_ns: int) -> None:
        """Order the replicas with which the version begins."""
        self._loaded = True
        self._begin_to_scale(now_ns)
        self._want(self._given.replicas, 0, now_ns)

    def retire(self, now_ns: int) -> None:
        """Drain all replicas; there are to be none any more."""
        self._loaded = False
        self._want(0, 0, now_ns)

    def scale(self, now_ns: int) -> None:
        """Ask the autoscaler if its moment has come."""
        if self._loaded and now_ns >= self._autoscaler_asks_ns:
            self._ask_autoscaler(now_ns)

    def place_held(self, now_ns: int) -> None:
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

    def admit(self, attempt: LiveAttempt, draining: bool, now_ns: int) -> Reason:
        """Give an arrival to a replica, hold it, or return why it is refused."""
        self._arrived += 1
        attempt.enqueued_ns = now_ns
        serial = UNSET if self._held else self._choose(attempt)
        if serial == UNSET:
            reason = admission.may_hold(self._given.admission, len(self._held), draining)
            if reason == Reason.NONE:
                self._held[attempt.request, attempt.attempt] = attempt
            return reason
        attempt.replica = serial
        replica = self._members[serial].replica
        reason = replica.refusal(draining=draining)
        if reason == Reason.NONE:
            replica.enqueue(attempt, now_ns)
        return reason

    def scale_for_held(self, now_ns: int) -> None:
        """Ask the autoscaler at once if something is held that no replica is there or on its way for."""
        if self._held and not any(member.stage <= Stage.READY for member in self._members.values()):
            self._ask_autoscaler(now_ns)

    def serve(self, now_ns: int) -> int:
        """Let the replicas decide, and those go that are done; return when to decide again at the latest."""
        ask_again_ns = self._autoscaler_asks_ns if self._loaded else NEVER_NS
        for member in self._members.values():
            ask_again_ns = min(ask_again_ns, member.replica.decide(now_ns))
        self._let_go(now_ns)
        return ask_again_ns

    def _choose(self, attempt: LiveAttempt) -> int:
        """Return the serial of the replica that takes an attempt, UNSET if none can."""
        rule = self._given.routing
        ready, members = self._ready, self._members
        outstanding = [members[serial].replica.outstanding for serial in ready]
        die = self._listener.roll_route(attempt) if routing.uses_die(rule) else 0
        self._routing, place = routing.choose(rule, self._routing, ready, outstanding, len(ready), die)
        return UNSET if place == UNSET else ready[place]

    def _begin_to_scale(self, now_ns: int) -> None:
        """Let the autoscaler begin with nothing in its memory."""
        self._autoscaler = autoscaling.fresh_autoscaler(self._given.autoscaler, now_ns)
        self._history = [0] * autoscaling.history_length(self._given.autoscaler)
        self._autoscaler_asks_ns = now_ns

    def _ask_autoscaler(self, now_ns: int) -> None:
        rule, view = self._given.autoscaler, self._view(now_ns)
        self._autoscaler, decision = autoscaling.step(rule, self._autoscaler, self._history, view, now_ns)
        self._autoscaler_asks_ns = decision.ask_again_ns
        self._want(decision.wanted, int(decision.cause), now_ns)

    def _want(self, wanted: int, cause: int, now_ns: int) -> None:
        """Order and drain replicas if another number is wanted from now on."""
        if wanted == self._wanted:
            return
        self._wanted = wanted
        self._scalings.append(Scaling(now_ns, self.version, wanted, cause))
        self._listener.scaled(self._scalings[-1])
        stages = [member.stage for member in self._members.values()]
        for _ in range(fleet.missing(wanted, stages.count(Stage.STARTING), stages.count(Stage.READY))):
            self._listener.replica_ordered(self.version, self._add(now_ns).replica.serial)
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
        serial = next(self._replica_serials)
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
        if len(self._ready) == len(self._members):
            return  # nobody drains
        for serial, member in list(self._members.items()):
            if member.stage == Stage.DRAINING and member.replica.outstanding == 0:
                member.stage, member.gone_ns = Stage.GONE, now_ns
                del self._members[serial]
                self._listener.replica_gone(serial)
