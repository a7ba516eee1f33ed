"""The server's dispatcher core on a virtual clock: clients, front end and devices are played from one event heap.

It shares no code with the process engine but policy: two drivers that agree row for row agree on the model.
"""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from policy import retries
from policy.autoscaling_rule import Formula
from policy.dice import Stream, die, draw
from policy.instant import NEVER_NS, UNSET
from policy.pass_time import SPREAD_ONE, pass_ns
from policy.rollout import SHARE_ONE
from policy.routing import DIE_ONE
from policy.sticky import sticky_bits
from policy.timeline import Attempt, Outcome, Pass, ReplicaLife, RolloutMove, is_copy
from reference_server.actions import (
    Action,
    Answered,
    Arrived,
    Event,
    Failed,
    HungUp,
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
    WakeAt,
)
from reference_server.dispatcher import Dispatcher
from reference_server.replica_pool import FleetRules
from reference_server.version_shares import VersionRules
from sim.engine.engine_input import EngineInput, FleetInput, Table
from sim.engine.timelines import Timeline, timeline_from_rows

AFTER_NS = 20_000
"""Behind the measured part no generated attempt or pass lasts as long as this."""

Key = tuple[int, int]
Place = tuple[int, int]  # replica and instance


@dataclass
class Client:
    """What the client of one attempt knows."""

    size: int
    intended_ns: int
    sent_ns: int
    received_ns: int
    hang_up_ns: int
    worker: int
    answered_ns: int = -1
    delivered_ns: int = -1
    outcome: int = int(Outcome.IN_FLIGHT)


class Ended(NamedTuple):
    """The results of a pass, on their way back."""

    replica: int
    instance: int
    serial: int
    first: Key
    started_ns: int
    ended_ns: int
    failed: tuple[Key, ...]


@dataclass
class Due:
    """What happens at one moment."""

    results: list[Ended] = field(default_factory=list)  # at the front end, which is yet to work on them
    blocking: list[StartPass] = field(default_factory=list)  # at a front end that runs passes itself
    at_server: list[Event] = field(default_factory=list)  # passes back, responses written
    crashes: list[Place] = field(default_factory=list)  # of processes; the server has yet to hear of it
    woken: bool = False  # the work on a timer is done
    hang_up: list[Key] = field(default_factory=list)
    sent: list[Key] = field(default_factory=list)
    arrived: list[Key] = field(default_factory=list)


def fleet_rules(fleet: FleetInput) -> FleetRules:
    """Return the rules by which a server runs this fleet."""
    rules = fleet.batching, fleet.admission, fleet.deadline, fleet.routing, fleet.autoscaler, fleet.drain
    return FleetRules(*rules, fleet.replicas, fleet.instances, fleet.loaded)


class VirtualServer:
    """Play a whole input against a Dispatcher."""

    def __init__(self, given: EngineInput) -> None:
        self.given = given
        versions = given.versions
        self.core = Dispatcher(
            [fleet_rules(fleet) for fleet in given.fleets],
            self,
            VersionRules(versions.weights, versions.shadows, versions.rollout),
        )
        self.scalings, self.shares = self.core.first_rows()
        self.version_of = {life.replica: life.version for life in self.core.lives()}
        self.moves: list[RolloutMove] = []
        self.calendar: list[int] = [0]
        self.due: dict[int, Due] = defaultdict(Due)
        self.clients: dict[Key, Client] = {}
        self.running: dict[Place, tuple[int, int]] = {}  # serial of the pass, and when it ends
        self.lives_begun: dict[Place, int] = {}
        self.passes_begun: dict[Place, int] = {}  # since the instance was ready
        self.lost: set[int] = set()  # passes whose process is gone
        self.heard_behind: set[Place] = set()  # crashes that are told behind results on their way
        self.free_ns = [0] * given.front_end.workers
        self.unanswered: set[Key] = set()  # taken in by the core, and not yet told to respond
        self.timer_ns = NEVER_NS
        self.timers = 0
        self.rows: dict[Key, Attempt] = {}
        self.passes: list[Pass] = []
        self.lives: list[ReplicaLife] = []
        self.now = 0
        for life in self.core.lives():
            for instance in range(self.fleet_of(life.replica).instances):
                self.begin_life((life.replica, instance))

    def roll(self, table: Table, stream: Stream, entity: int, ordinal: int) -> int:
        return draw(table, die(self.given.seed, stream, entity, ordinal))

    def route(self, key: Key) -> int:
        return die(self.given.seed, Stream.ROUTE, *key) * DIE_ONE >> 64

    def copy(self, request: int, version: int) -> int:
        return die(self.given.seed, Stream.COPY, request, version)

    def fleet_of(self, replica: int) -> FleetInput:
        return self.given.fleets[self.version_of[replica]]

    def at(self, when: int) -> Due:
        heapq.heappush(self.calendar, when)
        return self.due[when]

    def play(self) -> Timeline:
        """Play until nothing is left to happen."""
        traffic = self.given.traffic
        for request, when in enumerate(traffic.arrivals_ns.tolist()):
            recorded = len(traffic.sizes) > 0
            size = int(traffic.sizes[request]) if recorded else self.roll(traffic.size_table, Stream.SIZE, request, 0)
            self.send((request, 0), size, when, when)
        for client in range(traffic.clients):
            self.think(client, 0, 0)
        for when, order in self.given.versions.orders:
            self.at(when).at_server.append(Ordered(*order))
        # An autoscaler or a rollout may ask to be woken, and a replica crash, for ever: play on until what is compared
        # must be over.
        scales = any(fleet.autoscaler.formula != Formula.FIXED for fleet in self.given.fleets)
        scales = scales or self.given.versions.rollout is not None
        scales = scales or any(fleet.crash_table is not None for fleet in self.given.fleets)
        self.play_before(self.given.measure_to_ns + AFTER_NS + 1 if scales else NEVER_NS)
        return self.timeline()

    def play_before(self, end_ns: int) -> None:
        """Play every instant before a moment."""
        while self.calendar and self.calendar[0] < end_ns:
            self.now = heapq.heappop(self.calendar)
            while self.calendar and self.calendar[0] == self.now:
                heapq.heappop(self.calendar)
            self.instant()

    def timeline(self) -> Timeline:
        """Return what has happened so far."""
        copies = [row for key, row in self.rows.items() if is_copy(key[1])]
        return timeline_from_rows(
            [self.whole(key) for key in self.clients] + copies,
            self.passes,
            self.lives + self.core.lives(),
            self.scalings,
            self.shares,
            self.moves,
        )

    # clients

    def think(self, client: int, cycle: int, after: int) -> None:
        traffic = self.given.traffic
        sent = after + max(self.roll(traffic.think_table, Stream.THINK, client, cycle), 1)
        if sent < self.given.measure_to_ns:
            request = cycle * traffic.clients + client
            self.send((request, 0), self.roll(traffic.size_table, Stream.SIZE, request, 0), sent, sent)

    def send(self, key: Key, size: int, intended: int, sent: int) -> None:
        traffic = self.given.traffic
        hang_up = NEVER_NS
        if traffic.timeout_table is not None:
            hang_up = sent + max(self.roll(traffic.timeout_table, Stream.PATIENCE, key[0], 0), 1)
        worker = die(self.given.seed, Stream.FRONT_END_WORKER, *key) % self.given.front_end.workers
        self.clients[key] = Client(size, intended, sent, sent + traffic.there_ns, hang_up, worker)
        self.at(sent + traffic.there_ns).sent.append(key)
        if hang_up != NEVER_NS:
            self.at(hang_up).hang_up.append(key)

    def settle(self, key: Key, outcome: int, delivered: int) -> None:
        client, traffic = self.clients[key], self.given.traffic
        client.outcome, client.delivered_ns = int(outcome), delivered
        if retries.wants_retry(traffic.retry, key[1], outcome):
            jitter = die(self.given.seed, Stream.BACKOFF, *key) % retries.JITTER_ONE
            again = delivered + retries.wait_ns(traffic.retry, key[1], jitter)
            self.send((key[0], key[1] + 1), client.size, client.intended_ns, again)
        elif traffic.clients:
            self.think(key[0] % traffic.clients, key[0] // traffic.clients + 1, delivered)

    # one instant

    def instant(self) -> None:
        due = self.due.pop(self.now, Due())
        for place in sorted(due.crashes):
            self.crash(place, due)
        self.join_without_attempt(due)
        at_once = self.due.pop(self.now, Due())  # of a job that was done in the instant in which it joined
        gone = sorted(key for key in due.hang_up if self.in_flight(key))
        woken = due.woken or at_once.woken
        looks = woken or bool(due.arrived) or not self.unanswered.isdisjoint(gone)

        self.take_in(due.at_server + at_once.at_server)
        if looks:
            self.carry_out(self.core.take_in((), self.now))
        for key in filter(self.in_flight, gone):
            self.unanswered.discard(key)
            self.settle(key, Outcome.ABANDONED, self.now)
            self.take_in([HungUp(*key)])
        for key in sorted(due.sent):
            self.join_front_end(key)
        arrived = due.arrived + self.due.pop(self.now, Due()).arrived
        self.unanswered.update(arrived)
        self.take_in([self.arrived(key) for key in arrived])
        if self.core.to_decide:
            self.carry_out(self.core.decide(self.now))

    def arrived(self, key: Key) -> Arrived:
        """Put to an attempt who sends it and which version it names."""
        seed, versions, request = self.given.seed, self.given.versions, key[0]
        bits, pinned = 0, UNSET
        if versions.weights.loaded > 1:
            bits = die(seed, Stream.VERSION, request, 0)
            if versions.users:
                bits = sticky_bits(str(die(seed, Stream.USER, request, 0) % versions.users), versions.salt)
        edges = list(itertools.accumulate(versions.pinned))
        point = (die(seed, Stream.PINNED, request, 0) >> 33) * SHARE_ONE >> 31
        if edges and point < edges[-1]:
            pinned = next(version for version, edge in enumerate(edges) if point < edge)
        return Arrived(*key, self.clients[key].size, bits, pinned)

    def in_flight(self, key: Key) -> bool:
        return self.clients[key].outcome == Outcome.IN_FLIGHT

    def take_in(self, events: Sequence[Event]) -> None:
        heard: list[Event] = []
        for event in events:
            heard.append(event)
            if isinstance(event, Ready) and event.replica in self.core.stages():
                self.begin_life((event.replica, event.instance))
            if isinstance(event, Returned):
                place = event.replica, event.instance
                del self.running[place]
                if place in self.heard_behind:
                    self.heard_behind.remove(place)
                    heard.append(Failed(*place))
                    self.start_instance(place)
        if heard:
            self.carry_out(self.core.take_in(heard, self.now))

    # processes that crash

    def begin_life(self, place: Place) -> None:
        """Let a process that is ready run until its life is over."""
        self.passes_begun[place] = 0
        table = self.fleet_of(place[0]).crash_table
        number = self.lives_begun.get(place, 0)
        self.lives_begun[place] = number + 1
        if table is not None:
            self.at(self.now + max(self.roll(table, Stream.CRASH, place[0], number), 1)).crashes.append(place)

    def crash(self, place: Place, due: Due) -> None:
        """End a process: results that it has sent come first, a pass that it runs is lost."""
        if place[0] not in self.core.stages():
            return
        serial, ended = self.running.get(place, (UNSET, NEVER_NS))
        if ended <= self.now:
            self.heard_behind.add(place)
            return
        if self.running.pop(place, None) is not None:
            self.lost.add(serial)
        due.at_server.append(Failed(*place))
        self.start_instance(place)

    def start_instance(self, place: Place) -> None:
        """Begin what a start takes: all parts the first time, later those that a crash calls for."""
        fleet, life = self.fleet_of(place[0]), self.lives_begun.get(place, 0)
        parts = len(fleet.cold_start_tables)
        start = sum(
            self.roll(fleet.cold_start_tables[part], Stream.COLD_START, place[0], life * parts + part)
            for part in range(fleet.restart_from if life else 0, parts)
        )
        self.at(self.now + max(start, 1)).at_server.append(Ready(*place))

    # the front end

    def join(self, worker: int, work: int) -> int:
        """Return when a job that joins a worker now is done."""
        self.free_ns[worker] = max(self.now, self.free_ns[worker]) + work
        return self.free_ns[worker]

    def join_without_attempt(self, due: Due) -> None:
        """Let results, the timer and blocking passes join, which are worker 0's."""
        front_end = self.given.front_end
        for ended in sorted(each for each in due.results if each.serial not in self.lost):
            done = self.join(0, self.roll(front_end.pass_result_table, Stream.PASS_RESULT, *ended.first))
            times = ended.started_ns, ended.ended_ns
            self.at(done).at_server.append(Returned(ended.replica, ended.instance, *times, ended.failed))
        if self.timer_ns == self.now:
            self.timer_ns = NEVER_NS
            self.at(self.join(0, self.roll(front_end.timer_table, Stream.TIMER, 0, self.timers))).woken = True
            self.timers += 1
        for batch in due.blocking:
            self.join_with_pass(batch)

    def join_with_pass(self, batch: StartPass) -> None:
        """Let the front end run a pass itself."""
        work = self.pass_ns(batch)
        ended = self.join(0, work)
        self.running[batch.replica, batch.instance] = batch.serial, ended
        fleet = self.fleet_of(batch.replica)
        back = ended + self.roll(fleet.results_out_table, Stream.RESULTS_OUT, *batch.members[0])
        failed = self.failed_of(batch)
        self.at(back).at_server.append(Returned(batch.replica, batch.instance, ended - work, ended, failed))

    def join_front_end(self, key: Key) -> None:
        client = self.clients[key]
        done = self.join(client.worker, self.roll(self.given.front_end.request_table, Stream.FRONT_END_REQUEST, *key))
        if done < client.hang_up_ns:  # else the work is done, but nobody is there any more
            self.at(done).arrived.append(key)

    # the core's actions

    def carry_out(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case StartPass():
                    self.start(action)
                case StartReplica():
                    self.version_of[action.replica] = action.version
                    self.start_replica(action.replica)
                case LogReplica():
                    self.lives.append(action.row)
                case LogScaling():
                    self.scalings.append(action.row)
                case LogShare():
                    self.shares.append(action.row)
                case LogRollout():
                    self.moves.append(action.row)
                case Respond():
                    self.unanswered.remove((action.request, action.attempt))
                    self.respond((action.request, action.attempt), action.outcome)
                case WakeAt():
                    self.timer_ns = action.at_ns
                    if action.at_ns != NEVER_NS:
                        heapq.heappush(self.calendar, action.at_ns)
                case Log():
                    self.rows[action.row.request, action.row.attempt] = action.row
                case LogPass():
                    self.passes.append(action.row)

    def start(self, batch: StartPass) -> None:
        first, fleet = batch.members[0], self.fleet_of(batch.replica)
        there = self.now + self.roll(fleet.batch_in_table, Stream.BATCH_IN, *first)
        if self.given.front_end.blocking:
            if there == self.now:
                self.join_with_pass(batch)
            else:
                self.at(there).blocking.append(batch)
            return
        ended = there + self.pass_ns(batch)
        self.running[batch.replica, batch.instance] = batch.serial, ended
        back = ended + self.roll(fleet.results_out_table, Stream.RESULTS_OUT, *first)
        failed = self.failed_of(batch)
        self.at(back).results.append(Ended(batch.replica, batch.instance, batch.serial, first, there, ended, failed))

    def failed_of(self, batch: StartPass) -> tuple[Key, ...]:
        """Return the members on which the model fails."""
        share = self.fleet_of(batch.replica).error_share
        seed = self.given.seed
        return tuple(
            key for key in batch.members if (die(seed, Stream.ERROR, key[0], 0) >> 33) * SHARE_ONE >> 31 < share
        )

    def start_replica(self, serial: int) -> None:
        for instance in range(self.fleet_of(serial).instances):
            self.start_instance((serial, instance))

    def pass_ns(self, batch: StartPass) -> int:
        fleet = self.fleet_of(batch.replica)
        spread = self.roll(fleet.spread_table, Stream.PASS_SPREAD, *batch.members[0])
        rule, place = fleet.faults, (batch.replica, batch.instance)
        if (die(self.given.seed, Stream.SLOW, batch.replica, 0) >> 33) * SHARE_ONE >> 31 < rule.slow_share:
            spread = spread * rule.slow_factor // SPREAD_ONE
        self.passes_begun[place] += 1
        if self.passes_begun[place] <= rule.first_count:
            spread = spread * rule.first_factor // SPREAD_ONE
        return pass_ns(fleet.pass_time, len(batch.members), batch.longest, spread)

    def respond(self, key: Key, outcome: int) -> None:
        client = self.clients[key]
        work = self.roll(self.given.front_end.response_table, Stream.FRONT_END_RESPONSE, *key)
        answered = self.join(client.worker, work)
        if answered <= client.hang_up_ns:
            client.answered_ns = answered
            if answered == self.now:
                self.carry_out(self.core.take_in([Answered(*key)], self.now))
            else:
                self.at(answered).at_server.append(Answered(*key))
        delivered = answered + self.given.traffic.back_ns
        if delivered <= client.hang_up_ns:
            self.settle(key, outcome, delivered)

    # rows

    def whole(self, key: Key) -> Attempt:
        """Put the client's columns to the server's row, as calibration does with a live one."""
        client = self.clients[key]
        row = self.rows.get(key)
        if row is None:  # it never reached the dispatcher
            known = {"request": key[0], "attempt": key[1], "size": client.size, "reason": 0}
            row = Attempt(**{**dict.fromkeys(Attempt._fields, UNSET), **known})
        return row._replace(
            intended_ns=client.intended_ns,
            sent_ns=client.sent_ns,
            received_ns=client.received_ns,
            delivered_ns=client.delivered_ns,
            outcome=client.outcome,
        )
