"""The replicas of one version as the dispatcher sees them: which takes what, how many there are, what waits for them.

Every decision is asked of policy. A replica's own queue is replica_queue.py's; which version takes what, and in which
order the pools decide, is dispatcher.py's.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import NamedTuple

from policy import admission, autoscaling, batching, deadlines, fleet, routing
from policy.autoscaling_rule import AutoscalingRule
from policy.autoscaling_settings import fixed_fleet
from policy.fleet import Drain, Stage
from policy.instant import NEVER_NS, UNSET
from policy.settings import routing_rule
from policy.timeline import Reason, ReplicaLife, Scaling
from reference_server.actions import (
    Action,
    DrainReplica,
    Key,
    LogReplica,
    LogScaling,
    StartPass,
    StartReplica,
    StopReplica,
)
from reference_server.replica_queue import Batch, Held, ReplicaQueue

__all__ = ["FleetRules", "ReplicaPool"]

_ROUND_ROBIN = routing_rule()
_FIXED = fixed_fleet()


class FleetRules(NamedTuple):
    """The rules of a version's fleet, whose replicas are all alike. By default it is one replica with one instance."""

    batching: batching.BatchingRule
    admission: admission.AdmissionRule
    deadline: deadlines.DeadlineRule
    routing: routing.RoutingRule = _ROUND_ROBIN
    autoscaler: AutoscalingRule = _FIXED
    drain: int = int(Drain.YOUNGEST)
    replicas: int = 1  # with which it begins
    instances: int = 1  # of each replica
    loaded: bool = True  # from the start


class _Replica:
    """One replica and where it is in its life."""

    __slots__ = ("drained_ns", "ordered_ns", "queue", "ready_ns", "stage")

    def __init__(self, queue: ReplicaQueue, ordered_ns: int) -> None:
        self.queue = queue
        self.stage = Stage.STARTING
        self.ordered_ns = ordered_ns
        self.ready_ns = self.drained_ns = UNSET

    def row(self, version: int, gone_ns: int) -> ReplicaLife:
        return ReplicaLife(self.queue.serial, version, self.ordered_ns, self.ready_ns, self.drained_ns, gone_ns)


class ReplicaPool:
    """The fleet of one version.

    `replica_serials` and `pass_serials` number the replicas and batches of all versions, `roll` gives the die of an
    attempt's routing, and `act` is told what is to be done. Replicas that are there from the start are ready at once.
    """

    def __init__(
        self,
        version: int,
        rules: FleetRules,
        roll: Callable[[Key], int],
        act: Callable[[Action], None],
        replica_serials: Iterator[int],
        pass_serials: Iterator[int],
        now_ns: int,
    ) -> None:
        self.version = version
        self.rules = rules
        self._roll = roll
        self._act = act
        self._replica_serials = replica_serials
        self._pass_serials = pass_serials
        self._in_front: OrderedDict[Key, Held] = OrderedDict()  # held until a replica can take them
        self._replicas: dict[int, _Replica] = {}  # by serial, ascending; those that are gone leave
        self._ready: list[int] = []  # serials of those that take requests
        self._routing = routing.fresh_routing()
        self._arrived = 0
        self._busy_ns = 0  # of the passes that are over
        self._running: dict[int, Batch] = {}  # by serial of the pass
        self._loaded = rules.loaded
        self._wanted = rules.replicas if rules.loaded else 0
        self._begin_to_scale(now_ns)
        for _ in range(self._wanted):
            replica = self._add_replica(now_ns)
            self._move_on(replica, Stage.READY)
            replica.ready_ns = now_ns
            for instance in range(rules.instances):
                replica.queue.become_ready(instance, now_ns)

    @property
    def loaded(self) -> bool:
        """Whether the version is there to take requests."""
        return self._loaded

    @property
    def wanted(self) -> int:
        """Replicas that are wanted."""
        return self._wanted

    @property
    def ready(self) -> int:
        """Replicas that take requests."""
        return len(self._ready)

    @property
    def held(self) -> int:
        """Requests that wait for a replica."""
        return len(self._in_front)

    @property
    def waiting(self) -> int:
        """Requests accepted and not in a running pass."""
        return len(self._in_front) + sum(replica.queue.waiting for replica in self._replicas.values())

    @property
    def running(self) -> int:
        """Passes handed to an instance and not yet returned."""
        return len(self._running)

    def stages(self) -> dict[int, Stage]:
        """Return where each replica that is not gone is in its life, by serial."""
        return {serial: replica.stage for serial, replica in self._replicas.items()}

    def lives(self) -> list[ReplicaLife]:
        """Return the rows of the replicas that are not gone."""
        return [replica.row(self.version, UNSET) for replica in self._replicas.values()]

    def has(self, serial: int) -> bool:
        """Return whether a replica of this number is here and not gone."""
        return serial in self._replicas

    # Changes

    def become_ready(self, serial: int, instance: int, now_ns: int) -> None:
        """Note that an instance can take batches."""
        replica = self._replicas[serial]
        replica.queue.become_ready(instance, now_ns)
        if replica.stage == Stage.STARTING and replica.queue.has_started:
            self._move_on(replica, Stage.READY)
            replica.ready_ns = now_ns

    def take_back(self, serial: int, instance: int, now_ns: int) -> Batch:
        """Return the batch whose results an instance has returned, which is idle from now on."""
        batch = self._replicas[serial].queue.take_back(instance, now_ns)
        self._end_pass(batch, now_ns)
        return batch

    def break_down(self, serial: int, instance: int, now_ns: int) -> Batch | None:
        """Return the batch that is lost with an instance, if any; it takes no other before become_ready()."""
        batch = self._replicas[serial].queue.break_down(instance)
        if batch is not None:
            self._end_pass(batch, now_ns)
        return batch

    def withdraw(self, held: Held) -> None:
        """Take an attempt that ends early out of where it waits, if its place can be freed."""
        if held.replica == UNSET:
            del self._in_front[held.key]
        else:
            self._replicas[held.replica].queue.withdraw(held)

    def _end_pass(self, batch: Batch, now_ns: int) -> None:
        del self._running[batch.serial]
        self._busy_ns += now_ns - batch.handed_ns

    # Decisions: who takes what

    def place_held(self, now_ns: int) -> None:
        """Send what is held to replicas, first come, first served, until one finds no place."""
        while self._in_front:
            held = next(iter(self._in_front.values()))
            before = self._routing
            serial = self._choose(held)
            if serial == UNSET or self._replicas[serial].queue.refusal(draining=False) != Reason.NONE:
                self._routing = before
                return
            del self._in_front[held.key]
            held.replica = serial
            self._replicas[serial].queue.enqueue(held, now_ns)

    def admit(self, held: Held, draining: bool, now_ns: int) -> Reason:
        """Give an arrival to a replica, let it wait for one, or return why it is refused."""
        self._arrived += 1
        serial = UNSET if self._in_front else self._choose(held)
        if serial == UNSET:
            reason = admission.may_hold(self.rules.admission, len(self._in_front), draining)
            if reason == Reason.NONE:
                self._in_front[held.key] = held
            return reason
        held.replica = serial
        queue = self._replicas[serial].queue
        reason = queue.refusal(draining=draining)
        if reason == Reason.NONE:
            queue.enqueue(held, now_ns)
        return reason

    def serve(self, now_ns: int) -> int:
        """Let the replicas decide, and those go that are done; return when to decide again at the latest."""
        ask_again_ns = self._autoscaler_asks_ns if self._loaded else NEVER_NS
        for replica in self._replicas.values():
            replica.queue.decide(now_ns)
            ask_again_ns = min(ask_again_ns, replica.queue.ask_again_ns)
        self._let_go(now_ns)
        return ask_again_ns

    def _choose(self, held: Held) -> int:
        """Return the serial of the replica that takes an attempt, UNSET if none can."""
        rule, ready = self.rules.routing, self._ready
        outstanding = [self._replicas[serial].queue.outstanding for serial in ready]
        die = self._roll(held.key) if routing.uses_die(rule) else 0
        self._routing, place = routing.choose(rule, self._routing, ready, outstanding, len(ready), die)
        return UNSET if place == UNSET else ready[place]

    # Decisions: how many there are

    def deploy(self, now_ns: int) -> None:
        """Order the replicas with which the version begins."""
        self._loaded = True
        self._begin_to_scale(now_ns)
        self._want(self.rules.replicas, 0, now_ns)

    def retire(self, now_ns: int) -> None:
        """Drain all replicas: there are to be none any more."""
        self._loaded = False
        self._want(0, 0, now_ns)

    def scale(self, now_ns: int) -> None:
        """Ask the autoscaler if its moment has come."""
        if self._loaded and now_ns >= self._autoscaler_asks_ns:
            self._ask_autoscaler(now_ns)

    def scale_for_held(self, now_ns: int) -> None:
        """Ask the autoscaler at once if something is held that no replica is there or on its way for."""
        if self._in_front and not any(replica.stage <= Stage.READY for replica in self._replicas.values()):
            self._ask_autoscaler(now_ns)

    def _begin_to_scale(self, now_ns: int) -> None:
        rule = self.rules.autoscaler
        self._autoscaler = autoscaling.fresh_autoscaler(rule, now_ns)
        self._history = [0] * autoscaling.history_length(rule)
        self._autoscaler_asks_ns = now_ns

    def _ask_autoscaler(self, now_ns: int) -> None:
        rule, view = self.rules.autoscaler, self._view(now_ns)
        self._autoscaler, decision = autoscaling.step(rule, self._autoscaler, self._history, view, now_ns)
        self._autoscaler_asks_ns = decision.ask_again_ns
        self._want(decision.wanted, int(decision.cause), now_ns)

    def _want(self, wanted: int, cause: int, now_ns: int) -> None:
        """Order and drain replicas if another number is wanted from now on."""
        if wanted == self._wanted:
            return
        self._wanted = wanted
        self._act(LogScaling(Scaling(now_ns, self.version, wanted, cause)))
        stages = list(self.stages().values())
        for _ in range(fleet.missing(wanted, stages.count(Stage.STARTING), stages.count(Stage.READY))):
            self._act(StartReplica(self._add_replica(now_ns).queue.serial, self.version))
        while (serial := self._next_to_drain()) != UNSET:
            replica = self._replicas[serial]
            # Whoever has never been ready holds nothing: _let_go sees it in this same instant.
            self._move_on(replica, Stage.DRAINING)
            replica.drained_ns = now_ns
            self._act(DrainReplica(serial))

    def _next_to_drain(self) -> int:
        stages = [int(replica.stage) for replica in self._replicas.values()]
        outstanding = [replica.queue.outstanding for replica in self._replicas.values()]
        place = fleet.next_to_drain(self.rules.drain, self._wanted, stages, outstanding, len(stages))
        return UNSET if place == UNSET else list(self._replicas)[place]

    def _view(self, now_ns: int) -> autoscaling.FleetView:
        waiting = self.waiting
        running = self._running.values()
        stages = list(self.stages().values())
        return autoscaling.FleetView(
            waiting=waiting,
            in_flight=waiting + sum(len(batch.members) for batch in running),
            arrived=self._arrived,
            busy_ns=self._busy_ns + sum(now_ns - batch.handed_ns for batch in running),
            ready=stages.count(Stage.READY),
            starting=stages.count(Stage.STARTING),
            wanted=self._wanted,
        )

    def _add_replica(self, now_ns: int) -> _Replica:
        """Add a replica with the next serial, which is yet to start."""
        rules, serial = self.rules, next(self._replica_serials)
        queue = ReplicaQueue(
            serial, rules.batching, rules.admission, rules.instances, self._pass_serials, self._start_pass
        )
        self._replicas[serial] = _Replica(queue, now_ns)
        return self._replicas[serial]

    def _move_on(self, replica: _Replica, stage: Stage) -> None:
        """Note where a replica is in its life from now on."""
        replica.stage = stage
        self._ready = [serial for serial, each in self._replicas.items() if each.stage == Stage.READY]

    def _let_go(self, now_ns: int) -> None:
        """Let those go that drain and hold nothing."""
        for serial, replica in list(self._replicas.items()):
            if replica.stage == Stage.DRAINING and replica.queue.outstanding == 0:
                del self._replicas[serial]
                self._act(StopReplica(serial))
                self._act(LogReplica(replica.row(self.version, now_ns)))

    def _start_pass(self, batch: Batch) -> None:
        self._running[batch.serial] = batch
        members = tuple(held.key for held in batch.members)
        longest = max(held.arrival.size for held in batch.members)
        self._act(StartPass(batch.serial, batch.replica, batch.instance, members, longest))
