"""The process engine, on SimPy: the reference of what servecast models. Read it to learn the model.

Here time passes: clients send, the front end works, passes run, clients lose patience. What is decided is asked of
policy, mostly through process_replica.py. SimPy pops events by (time, priority); every change of an instant is only
reported when it happens, and one event of the lowest priority ends the instant: then the changes are taken in and
decisions are made in the order of policy/instant.py, whatever order SimPy had for them.
"""

from __future__ import annotations

import gc
import heapq
from collections.abc import Generator

import simpy
from simpy.events import EventPriority

from policy import deadlines, retries
from policy.dice import Stream, die, draw
from policy.instant import NEVER_NS, Change
from policy.pass_time import pass_ns
from policy.timeline import Outcome, Reason
from sim.engine.engine_input import EngineInput, Table
from sim.engine.process_replica import Batch, LiveAttempt, Replica
from sim.engine.timelines import Timeline, timeline_from_rows

__all__ = ["run"]

_END_OF_INSTANT = EventPriority(9)  # behind SimPy's own 0 and 1

Process = Generator[simpy.Event, None, None]


def run(engine_input: EngineInput) -> Timeline:
    """Return the timeline of one run: the same bytes for the same input."""
    # All rows live until the end, so the collector only walks them again and again: without it a run is 1.3x as fast.
    was_collecting = gc.isenabled()
    gc.disable()
    try:
        return _Run(engine_input).timeline()
    finally:
        if was_collecting:
            gc.enable()


class _EndOfInstant(simpy.Event):
    """Fires when SimPy has nothing more to do at the present time."""

    def __init__(self, env: simpy.Environment) -> None:
        super().__init__(env)
        self._ok = True
        self._value = None
        env.schedule(self, priority=_END_OF_INSTANT)


class _Run:
    def __init__(self, engine_input: EngineInput) -> None:
        self._input = engine_input
        self._traffic = engine_input.traffic
        self._env = simpy.Environment()
        self._changes: list[tuple[int, int, int, LiveAttempt | Batch]] = []  # a heap, ordered by the law
        self._instant_is_open = False
        self._to_decide = True
        self._arrived: list[LiveAttempt] = []
        self._expiries: list[tuple[int, int, int, int, LiveAttempt]] = []  # a heap of deadlines and hang-ups
        self._wake_up_ns = NEVER_NS
        self._front_end_free_ns = [0] * engine_input.front_end.workers
        self._handed = [simpy.Store(self._env) for _ in range(engine_input.fleet.instances)]
        self._replica = Replica(engine_input.fleet, self._start_pass)
        self._attempts: list[LiveAttempt] = []
        self._batches: list[Batch] = []
        self._measured_open = 0
        self._finished = self._env.event()

    def timeline(self) -> Timeline:
        """Run to the end and return what happened."""
        for index in range(self._input.fleet.instances):
            self._env.process(self._instance(index))
        if self._traffic.clients:
            for client in range(self._traffic.clients):
                self._think_and_send(client, cycle=0, after_ns=0)
        else:
            self._env.process(self._open_loop())
        self._end_instant_later()  # the decision at time 0
        self._env.timeout(self._input.stop_ns).callbacks.append(lambda _: self._finish())
        self._env.run(until=self._finished)
        return timeline_from_rows(
            (attempt.row() for attempt in self._attempts),
            (batch.row() for batch in self._batches),
        )

    @property
    def _now(self) -> int:
        return self._env.now  # type: ignore[return-value]  # every delay is an integer, so the time is

    def _finish(self) -> None:
        if not self._finished.triggered:
            self._finished.succeed()

    # Clients

    def _open_loop(self) -> Process:
        """Send each request when it is due, whatever became of those before."""
        sizes = self._traffic.sizes.tolist()
        for request, intended_ns in enumerate(self._traffic.arrivals_ns.tolist()):
            received_ns = intended_ns + self._traffic.there_ns
            if received_ns > self._now:
                yield self._env.timeout(received_ns - self._now)
            size = sizes[request] if sizes else self._roll(self._traffic.size_table, Stream.SIZE, request, 0)
            attempt = self._new_attempt(request, 0, size, intended_ns, intended_ns)
            self._report(Change.SENT, request, 0, attempt)

    def _think_and_send(self, client: int, cycle: int, after_ns: int) -> None:
        """Let a closed-loop client think, then send its next request."""
        think_ns = self._roll(self._traffic.think_table, Stream.THINK, client, cycle)
        intended_ns = after_ns + max(think_ns, 1)
        request = cycle * self._traffic.clients + client
        size = self._roll(self._traffic.size_table, Stream.SIZE, request, 0)
        self._send_later(request, 0, size, intended_ns, intended_ns)

    def _send_later(self, request: int, attempt: int, size: int, intended_ns: int, sent_ns: int) -> None:
        """Send an attempt at a moment to come."""

        def receive(_: simpy.Event) -> None:
            live = self._new_attempt(request, attempt, size, intended_ns, sent_ns)
            self._report(Change.SENT, request, attempt, live)

        self._env.timeout(sent_ns + self._traffic.there_ns - self._now).callbacks.append(receive)

    def _new_attempt(self, request: int, attempt: int, size: int, intended_ns: int, sent_ns: int) -> LiveAttempt:
        """Return an attempt that has just reached the front end."""
        hang_up_ns = NEVER_NS
        if self._traffic.timeout_table is not None:
            hang_up_ns = sent_ns + max(self._roll(self._traffic.timeout_table, Stream.PATIENCE, request, 0), 1)
        workers = self._input.front_end.workers
        worker = die(self._input.seed, Stream.FRONT_END_WORKER, request, attempt) % workers if workers > 1 else 0
        live = LiveAttempt(request, attempt, size, intended_ns, sent_ns, self._now, hang_up_ns, worker)
        self._attempts.append(live)
        if attempt == 0 and self._is_measured(live):
            self._measured_open += 1
        return live

    def _is_measured(self, attempt: LiveAttempt) -> bool:
        return self._input.measure_from_ns <= attempt.intended_ns < self._input.measure_to_ns

    # The front end: each worker is one queue, so a job's end is known when it joins

    def _serve_at_front_end(self, worker: int, work_ns: int) -> int:
        """Return when the worker will have done this job, behind all it has."""
        done_ns = max(self._now, self._front_end_free_ns[worker]) + work_ns
        self._front_end_free_ns[worker] = done_ns
        return done_ns

    def _enter_front_end(self, attempt: LiveAttempt) -> None:
        """Let an attempt pass the front end on its way in. The work is done even for a client that goes meanwhile."""
        table = self._input.front_end.request_table
        work_ns = self._roll(table, Stream.FRONT_END_REQUEST, attempt.request, attempt.attempt)
        done_ns = self._serve_at_front_end(attempt.worker, work_ns)
        if attempt.hang_up_ns <= done_ns:
            self._settle(attempt, Outcome.ABANDONED, attempt.hang_up_ns)
            return
        if done_ns == self._now:
            heapq.heappush(self._changes, (Change.ARRIVED, attempt.request, attempt.attempt, attempt))
            return

        def arrive(_: simpy.Event) -> None:
            self._report(Change.ARRIVED, attempt.request, attempt.attempt, attempt)

        self._env.timeout(done_ns - self._now).callbacks.append(arrive)

    def _respond(self, attempt: LiveAttempt, outcome: Outcome, reason: Reason) -> None:
        """Send a response through the front end; the client takes it unless it will have hung up by then."""
        table = self._input.front_end.response_table
        work_ns = self._roll(table, Stream.FRONT_END_RESPONSE, attempt.request, attempt.attempt)
        answered_ns = self._serve_at_front_end(attempt.worker, work_ns)
        attempt.reason = int(reason)
        if answered_ns <= attempt.hang_up_ns:
            attempt.answered_ns = answered_ns
        if answered_ns + self._traffic.back_ns <= attempt.hang_up_ns:
            self._settle(attempt, outcome, answered_ns + self._traffic.back_ns)
        else:
            self._settle(attempt, Outcome.ABANDONED, attempt.hang_up_ns)

    def _settle(self, attempt: LiveAttempt, outcome: Outcome, delivered_ns: int) -> None:
        """Note how an attempt ends for its client, and what the client does next."""
        attempt.outcome = int(outcome)
        attempt.delivered_ns = delivered_ns
        request, number = attempt.request, attempt.attempt
        if retries.wants_retry(self._traffic.retry, number, attempt.outcome):
            jitter = die(self._input.seed, Stream.BACKOFF, request, number) % retries.JITTER_ONE
            sent_ns = delivered_ns + retries.wait_ns(self._traffic.retry, number, jitter)
            self._send_later(request, number + 1, attempt.size, attempt.intended_ns, sent_ns)
            return
        if self._is_measured(attempt):
            self._measured_open -= 1
        if self._traffic.clients:
            cycle, client = divmod(request, self._traffic.clients)
            self._think_and_send(client, cycle + 1, delivered_ns)

    # Devices

    def _start_pass(self, batch: Batch) -> None:
        self._batches.append(batch)
        self._handed[batch.instance].put(batch)

    def _instance(self, index: int) -> Process:
        """Run the batches that are handed to an instance, one after the other."""
        fleet = self._input.fleet
        while True:
            batch: Batch = yield self._handed[index].get()  # type: ignore[assignment]  # a Store's event has the item as its value
            first = (batch.members[0].request, batch.members[0].attempt)
            yield self._env.timeout(self._roll(fleet.batch_in_table, Stream.BATCH_IN, *first))
            batch.started_ns = self._now
            longest = max(attempt.size for attempt in batch.members)
            spread = self._roll(fleet.spread_table, Stream.PASS_SPREAD, *first)
            yield self._env.timeout(pass_ns(fleet.pass_time, len(batch.members), longest, spread))
            batch.ended_ns = self._now
            yield self._env.timeout(self._roll(fleet.results_out_table, Stream.RESULTS_OUT, *first))
            self._report(Change.RETURNED, 0, index, batch)

    # Instants

    def _report(self, change: Change, first: int, second: int, what: LiveAttempt | Batch) -> None:
        """Note a change of the present instant; it is taken in at the instant's end."""
        heapq.heappush(self._changes, (change, first, second, what))
        self._end_instant_later()

    def _end_instant_later(self) -> None:
        if not self._instant_is_open:
            self._instant_is_open = True
            _EndOfInstant(self._env).callbacks.append(self._end_instant)

    def _end_instant(self, _: simpy.Event) -> None:
        """Take in all changes of this instant, then decide until nothing more is to be decided."""
        self._instant_is_open = False
        self._collect_expiries()
        while self._changes:
            change, _first, _second, changed = heapq.heappop(self._changes)
            self._take_in(change, changed)
        if self._to_decide:
            self._decide()
        if self._now >= self._input.measure_to_ns + self._traffic.there_ns and self._measured_open == 0:
            self._finish()

    def _take_in(self, change: int, what: LiveAttempt | Batch) -> None:
        if change == Change.SENT:
            assert isinstance(what, LiveAttempt)
            self._enter_front_end(what)
            return  # nothing that policy looks at has changed
        self._to_decide = True
        if isinstance(what, Batch):
            self._replica.take_back(what, self._now)
            for attempt in what.members:
                if attempt.outcome == Outcome.IN_FLIGHT:
                    self._respond(attempt, Outcome.ANSWERED, Reason.NONE)
        elif change == Change.ARRIVED:
            self._arrived.append(what)
        elif what.outcome == Outcome.IN_FLIGHT:
            self._replica.withdraw(what)
            if change == Change.DEADLINE:
                self._respond(what, Outcome.TIMED_OUT, Reason.NONE)
            else:
                self._settle(what, Outcome.ABANDONED, self._now)

    def _decide(self) -> None:
        """Admit or refuse the arrivals, let the replica decide, and see to being asked again."""
        self._to_decide = False
        for attempt in self._arrived:
            self._admit(attempt)
        self._arrived.clear()
        ask_again_ns = self._replica.decide(self._now)
        self._set_wake_up(min(ask_again_ns, self._expiries[0][0] if self._expiries else NEVER_NS))

    def _admit(self, attempt: LiveAttempt) -> None:
        """Let an arrival into the replica, or refuse it."""
        reason = self._replica.admit(attempt, self._now)
        if reason != Reason.NONE:
            self._respond(attempt, Outcome.REFUSED, reason)
            return
        self._expire_at(deadlines.due_ns(self._input.fleet.deadline, self._now), Change.DEADLINE, attempt)
        self._expire_at(attempt.hang_up_ns, Change.HANG_UP, attempt)

    def _expire_at(self, at_ns: int, change: Change, attempt: LiveAttempt) -> None:
        if at_ns != NEVER_NS:
            heapq.heappush(self._expiries, (at_ns, change, attempt.request, attempt.attempt, attempt))

    def _collect_expiries(self) -> None:
        """Turn the deadlines and hang-ups that are due into changes; forget those of settled attempts."""
        while self._expiries and (
            self._expiries[0][0] <= self._now or self._expiries[0][4].outcome != Outcome.IN_FLIGHT
        ):
            at_ns, change, first, second, attempt = heapq.heappop(self._expiries)
            if at_ns <= self._now:
                heapq.heappush(self._changes, (change, first, second, attempt))

    def _set_wake_up(self, at_ns: int) -> None:
        """See to it that an instant ends at that time. One that turns out needless decides nothing."""
        if self._wake_up_ns <= self._now:
            self._wake_up_ns = NEVER_NS
        if at_ns < self._wake_up_ns:
            self._wake_up_ns = at_ns
            self._env.timeout(at_ns - self._now).callbacks.append(self._wake_up)

    def _wake_up(self, _: simpy.Event) -> None:
        self._to_decide = True
        self._end_instant_later()

    # Dice

    def _roll(self, table: Table, stream: Stream, entity: int, ordinal: int) -> int:
        """Return a draw from a table; a constant needs no die."""
        if len(table) == 1:
            return table[0]
        return draw(table, die(self._input.seed, stream, entity, ordinal))
