"""The server's dispatcher without I/O: events in, actions out, time as an argument.

It knows the fleet: which replicas there are, what waits in front of them, which attempts are in flight and when they
are given up. A replica's own queue is replica_queue.py's; every decision is asked of policy. The asyncio shell
(dispatch_loop.py) feeds it from sockets and timers; tests feed it from an event heap, where it must give the timeline
of sim/engine/process_engine.py row for row. The order inside an instant is the law written in policy/instant.py.
"""

from __future__ import annotations

import heapq
import itertools
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from policy import admission, autoscaling, batching, deadlines, fleet, routing
from policy.autoscaling_rule import AutoscalingRule
from policy.autoscaling_settings import fixed_fleet
from policy.fleet import Drain, Stage
from policy.instant import NEVER_NS, UNSET, Change
from policy.settings import routing_rule
from policy.timeline import Attempt, Outcome, Pass, Reason, ReplicaLife, Scaling
from reference_server.replica_queue import Arrived, Batch, Held, Key, ReplicaQueue

__all__ = [
    "Action",
    "Answered",
    "Arrived",
    "Dispatcher",
    "DrainReplica",
    "Event",
    "Failed",
    "FleetRules",
    "HungUp",
    "Log",
    "LogPass",
    "LogReplica",
    "LogScaling",
    "Ready",
    "Respond",
    "Returned",
    "StartPass",
    "StartReplica",
    "StopReplica",
    "WakeAt",
]


_ROUND_ROBIN = routing_rule()
_FIXED = fixed_fleet()


class FleetRules(NamedTuple):
    """The rules of a fleet whose replicas are all alike. By default it is one replica with one instance."""

    batching: batching.BatchingRule
    admission: admission.AdmissionRule
    deadline: deadlines.DeadlineRule
    routing: routing.RoutingRule = _ROUND_ROBIN
    autoscaler: AutoscalingRule = _FIXED
    drain: int = int(Drain.YOUNGEST)
    replicas: int = 1  # that are there from the start
    instances: int = 1  # of each replica


class HungUp(NamedTuple):
    """The client of an attempt has gone."""

    request: int
    attempt: int


class Returned(NamedTuple):
    """An instance has returned the results of its pass; the times are the device's own stamps."""

    replica: int
    instance: int
    started_ns: int
    ended_ns: int


class Failed(NamedTuple):
    """An instance has broken down; what it ran is lost. It takes no batch until Ready."""

    replica: int
    instance: int


class Ready(NamedTuple):
    """An instance can take batches: for the first time, or again after it had failed."""

    replica: int
    instance: int


class Answered(NamedTuple):
    """The response of an attempt has been written."""

    request: int
    attempt: int


Event = Arrived | HungUp | Returned | Failed | Ready | Answered


class StartPass(NamedTuple):
    """Send a batch to an idle instance."""

    serial: int
    replica: int
    instance: int
    members: tuple[Key, ...]
    longest: int  # the largest size of a member


class StartReplica(NamedTuple):
    """Start a replica; report Ready for each of its instances when it can take batches."""

    replica: int


class DrainReplica(NamedTuple):
    """A replica takes nothing new from now on."""

    replica: int


class StopReplica(NamedTuple):
    """End a replica, which holds nothing. It may never have been ready."""

    replica: int


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


class LogReplica(NamedTuple):
    """A replica is gone."""

    row: ReplicaLife


class LogScaling(NamedTuple):
    """Another number of replicas is wanted."""

    row: Scaling


Action = (
    StartPass | StartReplica | DrainReplica | StopReplica | Respond | WakeAt | Log | LogPass | LogReplica | LogScaling
)


class _Replica:
    """One replica and where it is in its life."""

    __slots__ = ("drained_ns", "ordered_ns", "queue", "ready_ns", "stage")

    def __init__(self, queue: ReplicaQueue, ordered_ns: int) -> None:
        self.queue = queue
        self.stage = Stage.STARTING
        self.ordered_ns = ordered_ns
        self.ready_ns = self.drained_ns = UNSET

    def row(self, gone_ns: int) -> ReplicaLife:
        return ReplicaLife(self.queue.serial, self.ordered_ns, self.ready_ns, self.drained_ns, gone_ns)


class Dispatcher:
    """The decisions of one server, driven by handle().

    `roll` gives the die of an attempt's routing, an integer in [0, policy.routing.DIE_ONE). Replicas that are there
    from the start are ready at once; who cannot give them work yet reports their instances as Failed.
    """

    def __init__(self, rules: FleetRules, roll: Callable[[Key], int], now_ns: int = 0) -> None:
        self._rules = rules
        self._roll = roll
        self._draining = False
        self._attempts: dict[Key, Held] = {}
        self._in_front: OrderedDict[Key, Held] = OrderedDict()  # held until a replica can take them
        self._replicas: dict[int, _Replica] = {}  # by serial, ascending; those that are gone leave
        self._ready: list[int] = []  # serials of those that take requests
        self._next_replica = 0
        self._pass_serials = itertools.count()
        self._routing = routing.fresh_routing()
        self._deadlines: list[tuple[int, Key]] = []
        self._arrivals: list[Arrived] = []
        self._to_decide = True
        self._now_ns = now_ns
        self._actions: list[Action] = []
        self._arrived = 0
        self._busy_ns = 0  # of the passes that are over
        self._running: dict[int, Batch] = {}  # by serial of the pass
        self._wanted = rules.replicas
        self._autoscaler = autoscaling.fresh_autoscaler(rules.autoscaler, now_ns)
        self._history = [0] * autoscaling.history_length(rules.autoscaler)
        self._autoscaler_asks_ns = now_ns
        for _ in range(rules.replicas):
            replica = self._add_replica()
            self._move_on(replica, Stage.READY)
            replica.ready_ns = now_ns
            for instance in range(rules.instances):
                replica.queue.become_ready(instance, now_ns)

    # What the shell may ask

    @property
    def waiting(self) -> int:
        """Requests accepted and not in a running pass."""
        return len(self._in_front) + sum(replica.queue.waiting for replica in self._replicas.values())

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
        return not self._attempts

    @property
    def wanted(self) -> int:
        """Replicas that are wanted."""
        return self._wanted

    @property
    def ready(self) -> int:
        """Replicas that take requests."""
        return len(self._ready)

    def stages(self) -> dict[int, Stage]:
        """Return where each replica that is not gone is in its life, by serial."""
        return {serial: replica.stage for serial, replica in self._replicas.items()}

    def lives(self) -> list[ReplicaLife]:
        """Return the rows of the replicas that are not gone."""
        return [replica.row(UNSET) for replica in self._replicas.values()]

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
        self._scale()
        self._place_held()
        for arrival in self._arrivals:
            self._admit(arrival)
        self._arrivals.clear()
        if self._in_front and not any(replica.stage <= Stage.READY for replica in self._replicas.values()):
            self._scale(is_called=True)
        for replica in self._replicas.values():
            replica.queue.decide(now_ns)
        self._let_go()
        wake_ns = min(self._autoscaler_asks_ns, self._next_deadline_ns())
        for replica in self._replicas.values():
            wake_ns = min(wake_ns, replica.queue.ask_again_ns)
        self._actions.append(WakeAt(wake_ns))
        return self._actions

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
            case None:
                self._give_up(key)

    def _become_ready(self, event: Ready) -> None:
        replica = self._replicas.get(event.replica)
        if replica is None:
            return  # it was called off meanwhile
        replica.queue.become_ready(event.instance, self._now_ns)
        if replica.stage == Stage.STARTING and replica.queue.has_started:
            self._move_on(replica, Stage.READY)
            replica.ready_ns = self._now_ns

    def _return_pass(self, event: Returned) -> None:
        batch = self._replicas[event.replica].queue.take_back(event.instance, self._now_ns)
        for held in batch.members:
            held.started_ns, held.ended_ns = event.started_ns, event.ended_ns
        self._end_pass(batch, Outcome.ANSWERED, event.started_ns, event.ended_ns)

    def _fail(self, event: Failed) -> None:
        replica = self._replicas.get(event.replica)
        batch = None if replica is None else replica.queue.break_down(event.instance)
        if batch is not None:
            self._end_pass(batch, Outcome.FAILED, UNSET, UNSET)

    def _end_pass(self, batch: Batch, outcome: Outcome, started_ns: int, ended_ns: int) -> None:
        del self._running[batch.serial]
        self._busy_ns += self._now_ns - batch.handed_ns
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
        for held in batch.members:
            held.returned_ns = self._now_ns
            if held.outcome == Outcome.IN_FLIGHT:
                self._respond(held, outcome, Reason.NONE)
            self._log_if_over(held)

    def _hang_up(self, key: Key) -> None:
        """The client has gone: nobody waits for an answer, written or not."""
        held = self._attempts.get(key)
        if held is None:
            return
        if held.outcome == Outcome.IN_FLIGHT:
            self._withdraw(held)
        held.outcome = int(Outcome.ABANDONED)
        held.answering = False
        self._log_if_over(held)

    def _give_up(self, key: Key) -> None:
        """The server's deadline has passed."""
        held = self._attempts.get(key)
        if held is None or held.outcome != Outcome.IN_FLIGHT:
            return  # its result came back in this same instant
        self._withdraw(held)
        self._respond(held, Outcome.TIMED_OUT, Reason.NONE)

    def _withdraw(self, held: Held) -> None:
        """Take an attempt that ends early out of where it waits, if its place can be freed."""
        if held.replica == UNSET:
            del self._in_front[held.key]
        else:
            self._replicas[held.replica].queue.withdraw(held)

    def _finish_answer(self, key: Key) -> None:
        held = self._attempts.get(key)
        if held is None:
            return  # its client had gone before the last byte
        held.answering = False
        held.answered_ns = self._now_ns
        self._log_if_over(held)

    # Decisions: who takes what

    def _admit(self, arrival: Arrived) -> None:
        self._arrived += 1
        held = Held(arrival, self._now_ns)
        self._attempts[held.key] = held
        serial = UNSET if self._in_front else self._choose(held)
        if serial == UNSET:
            reason = admission.may_hold(self._rules.admission, len(self._in_front), self._draining)
        else:
            held.replica = serial
            reason = self._replicas[serial].queue.refusal(draining=self._draining)
        if reason != Reason.NONE:
            self._respond(held, Outcome.REFUSED, reason)
            return
        if serial == UNSET:
            self._in_front[held.key] = held
        else:
            self._replicas[serial].queue.enqueue(held, self._now_ns)
        due_ns = self._due_ns(held)
        if due_ns != NEVER_NS:
            heapq.heappush(self._deadlines, (due_ns, held.key))

    def _place_held(self) -> None:
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
            self._replicas[serial].queue.enqueue(held, self._now_ns)

    def _choose(self, held: Held) -> int:
        """Return the serial of the replica that takes an attempt, UNSET if none can."""
        ready = self._ready
        outstanding = [self._replicas[serial].queue.outstanding for serial in ready]
        die = self._roll(held.key) if routing.uses_die(self._rules.routing) else 0
        self._routing, place = routing.choose(self._rules.routing, self._routing, ready, outstanding, len(ready), die)
        return UNSET if place == UNSET else ready[place]

    # Decisions: how many there are

    def _scale(self, *, is_called: bool = False) -> None:
        """Ask the autoscaler if its moment has come or something calls for it; order and drain replicas."""
        rule, now_ns = self._rules.autoscaler, self._now_ns
        if not (is_called or now_ns >= self._autoscaler_asks_ns):
            return
        view = self._fleet_view()
        self._autoscaler, decision = autoscaling.step(rule, self._autoscaler, self._history, view, now_ns)
        self._autoscaler_asks_ns = decision.ask_again_ns
        if decision.wanted == self._wanted:
            return
        self._wanted = decision.wanted
        self._actions.append(LogScaling(Scaling(now_ns, decision.wanted, int(decision.cause))))
        for _ in range(fleet.missing(self._wanted, view.starting, view.ready)):
            self._actions.append(StartReplica(self._add_replica().queue.serial))
        while (serial := self._next_to_drain()) != UNSET:
            replica = self._replicas[serial]
            # Whoever has never been ready holds nothing: _let_go sees it in this same instant.
            self._move_on(replica, Stage.DRAINING)
            replica.drained_ns = now_ns
            self._actions.append(DrainReplica(serial))

    def _next_to_drain(self) -> int:
        stages = [int(replica.stage) for replica in self._replicas.values()]
        outstanding = [replica.queue.outstanding for replica in self._replicas.values()]
        place = fleet.next_to_drain(self._rules.drain, self._wanted, stages, outstanding, len(stages))
        return UNSET if place == UNSET else list(self._replicas)[place]

    def _fleet_view(self) -> autoscaling.FleetView:
        waiting = self.waiting
        running = self._running.values()
        stages = [replica.stage for replica in self._replicas.values()]
        return autoscaling.FleetView(
            waiting=waiting,
            in_flight=waiting + sum(len(batch.members) for batch in running),
            arrived=self._arrived,
            busy_ns=self._busy_ns + sum(self._now_ns - batch.handed_ns for batch in running),
            ready=stages.count(Stage.READY),
            starting=stages.count(Stage.STARTING),
            wanted=self._wanted,
        )

    def _move_on(self, replica: _Replica, stage: Stage) -> None:
        """Note where a replica is in its life from now on."""
        replica.stage = stage
        self._ready = [serial for serial, each in self._replicas.items() if each.stage == Stage.READY]

    def _add_replica(self) -> _Replica:
        """Add a replica with the next serial, which is yet to start."""
        rules, serial = self._rules, self._next_replica
        self._next_replica += 1
        queue = ReplicaQueue(
            serial, rules.batching, rules.admission, rules.instances, self._pass_serials, self._start_pass
        )
        replica = _Replica(queue, self._now_ns)
        self._replicas[serial] = replica
        return replica

    def _let_go(self) -> None:
        """Let those go that drain and hold nothing."""
        for serial, replica in list(self._replicas.items()):
            if replica.stage == Stage.DRAINING and replica.queue.outstanding == 0:
                del self._replicas[serial]
                self._actions += [StopReplica(serial), LogReplica(replica.row(self._now_ns))]

    def _start_pass(self, batch: Batch) -> None:
        self._running[batch.serial] = batch
        members = tuple(held.key for held in batch.members)
        longest = max(held.arrival.size for held in batch.members)
        self._actions.append(StartPass(batch.serial, batch.replica, batch.instance, members, longest))

    # Ends

    def _respond(self, held: Held, outcome: Outcome, reason: Reason) -> None:
        held.outcome, held.reason = int(outcome), int(reason)
        held.answering = True
        self._actions.append(Respond(*held.key, held.outcome, held.reason))

    def _log_if_over(self, held: Held) -> None:
        if held.is_over:
            del self._attempts[held.key]
            self._actions.append(Log(held.row()))
            held.batch = None  # else the two keep each other, and the garbage collector stops the server to find them

    def _due_ns(self, held: Held) -> int:
        return deadlines.due_ns(self._rules.deadline, held.enqueued_ns)

    def _next_deadline_ns(self) -> int:
        """Return the earliest deadline of an attempt that has no outcome yet, NEVER_NS without one."""
        while self._deadlines:
            due_ns, key = self._deadlines[0]
            held = self._attempts.get(key)
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
            return Change.RETURNED, event.replica, event.instance, event
