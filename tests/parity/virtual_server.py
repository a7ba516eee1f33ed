"""The server's dispatcher core on a virtual clock: clients, front end and devices are played from one event heap.

It shares no code with the process engine but policy: two drivers that agree row for row agree on the model.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from dataclasses import dataclass, field

from policy import retries
from policy.dice import Stream, die, draw
from policy.instant import NEVER_NS, UNSET
from policy.pass_time import pass_ns
from policy.timeline import Attempt, Outcome, Pass
from reference_server.dispatcher import (
    Action,
    Answered,
    Arrived,
    Dispatcher,
    Event,
    HungUp,
    Log,
    LogPass,
    Respond,
    Returned,
    StartPass,
    WakeAt,
)
from sim.engine.engine_input import EngineInput, Table
from sim.engine.timelines import Timeline, timeline_from_rows

Key = tuple[int, int]


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


@dataclass
class Due:
    """What happens at one moment."""

    at_server: list[Event] = field(default_factory=list)  # passes back, responses written
    hang_up: list[Key] = field(default_factory=list)
    sent: list[Key] = field(default_factory=list)
    arrived: list[Key] = field(default_factory=list)


class VirtualServer:
    """Play a whole input against a Dispatcher."""

    def __init__(self, given: EngineInput) -> None:
        self.given = given
        fleet = given.fleet
        self.core = Dispatcher(
            batching=fleet.batching, admission=fleet.admission, deadline=fleet.deadline, instances=fleet.instances
        )
        self.calendar: list[int] = [0]
        self.due: dict[int, Due] = defaultdict(Due)
        self.clients: dict[Key, Client] = {}
        self.free_ns = [0] * given.front_end.workers
        self.rows: dict[Key, Attempt] = {}
        self.passes: list[Pass] = []
        self.now = 0

    def roll(self, table: Table, stream: Stream, entity: int, ordinal: int) -> int:
        return draw(table, die(self.given.seed, stream, entity, ordinal))

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
        while self.calendar:
            self.now = heapq.heappop(self.calendar)
            while self.calendar and self.calendar[0] == self.now:
                heapq.heappop(self.calendar)
            self.instant()
        return timeline_from_rows([self.whole(key) for key in self.clients], self.passes)

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
        self.carry_out(self.core.take_in(due.at_server, self.now))
        gone = sorted(key for key in due.hang_up if self.clients[key].outcome == Outcome.IN_FLIGHT)
        for key in gone:
            self.settle(key, Outcome.ABANDONED, self.now)
        self.carry_out(self.core.take_in([HungUp(*key) for key in gone], self.now))
        arrivals: list[Event] = [Arrived(*key, self.clients[key].size) for key in due.arrived]
        for key in sorted(due.sent):
            self.join_front_end(key, arrivals)
        self.carry_out(self.core.take_in(arrivals, self.now))
        self.carry_out(self.core.decide(self.now))

    def join_front_end(self, key: Key, arrivals: list[Event]) -> None:
        client = self.clients[key]
        work = self.roll(self.given.front_end.request_table, Stream.FRONT_END_REQUEST, *key)
        done = max(self.now, self.free_ns[client.worker]) + work
        self.free_ns[client.worker] = done
        if done >= client.hang_up_ns:
            return  # the work is done, but nobody is there any more
        if done == self.now:
            arrivals.append(Arrived(*key, client.size))
        else:
            self.at(done).arrived.append(key)

    def carry_out(self, actions: list[Action]) -> None:
        fleet = self.given.fleet
        for action in actions:
            match action:
                case StartPass():
                    first = action.members[0]
                    started = self.now + self.roll(fleet.batch_in_table, Stream.BATCH_IN, *first)
                    spread = self.roll(fleet.spread_table, Stream.PASS_SPREAD, *first)
                    ended = started + pass_ns(fleet.pass_time, len(action.members), action.longest, spread)
                    back = ended + self.roll(fleet.results_out_table, Stream.RESULTS_OUT, *first)
                    self.at(back).at_server.append(Returned(action.instance, started, ended))
                case Respond():
                    self.respond((action.request, action.attempt), action.outcome)
                case WakeAt():
                    if action.at_ns != NEVER_NS:
                        heapq.heappush(self.calendar, action.at_ns)
                case Log():
                    self.rows[action.row.request, action.row.attempt] = action.row
                case LogPass():
                    self.passes.append(action.row)

    def respond(self, key: Key, outcome: int) -> None:
        client = self.clients[key]
        work = self.roll(self.given.front_end.response_table, Stream.FRONT_END_RESPONSE, *key)
        answered = max(self.now, self.free_ns[client.worker]) + work
        self.free_ns[client.worker] = answered
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
            known = {"request": key[0], "attempt": key[1], "size": client.size, "replica": 0, "reason": 0}
            row = Attempt(**{**dict.fromkeys(Attempt._fields, UNSET), **known})
        return row._replace(
            intended_ns=client.intended_ns,
            sent_ns=client.sent_ns,
            received_ns=client.received_ns,
            delivered_ns=client.delivered_ns,
            outcome=client.outcome,
        )
