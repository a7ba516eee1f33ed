"""The process engine, on SimPy: the reference of what servecast models. Read it to learn the model.

Here time passes: clients send, the front end works, passes run, clients lose patience. What is decided is asked of
policy, mostly through process_versions.py. SimPy pops events by (time, priority); every change of an instant is only
reported when it happens, and one event of the lowest priority ends the instant: then the changes are taken in and
decisions are made in the order of policy/instant.py, whatever order SimPy had for them.
"""

from __future__ import annotations

import gc
import heapq
from collections.abc import Callable, Generator

import simpy
from simpy.events import EventPriority

from policy import deadlines, retries
from policy.dice import Stream, cold_start_ns, crash_after_ns, die, draw, happens, route_die
from policy.faults import FAULTLESS, is_slow, spread_with_faults
from policy.instant import NEVER_NS, UNSET, Change
from policy.orders import Order, Refusal
from policy.pass_time import pass_ns
from policy.rollout import SHARE_ONE
from policy.timeline import Outcome, Reason, RolloutMove, Scaling, Share, is_copy
from sim.engine.engine_input import EngineInput, OrderAt, Table
from sim.engine.process_replica import Batch, Life, LiveAttempt
from sim.engine.process_versions import Versions
from sim.engine.timelines import Timeline, timeline_from_rows
from sim.engine.version_keys import key_bits, pinned_to

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
    """Fires when SimPy has nothing more to do at the present time; may be scheduled again once it has fired."""

    def __init__(self, env: simpy.Environment, callback: Callable[[simpy.Event], None]) -> None:
        super().__init__(env)
        self._ok = True
        self._value = None
        self._callback = callback

    def schedule(self) -> None:
        """Let it fire at the end of the present instant."""
        self.callbacks = [self._callback]  # SimPy takes them away from an event that fires
        self.env.schedule(self, priority=_END_OF_INSTANT)


class _Run:
    """One run; the listener of its versions and their fleets."""

    def __init__(self, engine_input: EngineInput) -> None:
        self._input = engine_input
        self._traffic = engine_input.traffic
        self._env = simpy.Environment()
        self._changes: list[
            tuple[int, int, int, LiveAttempt | Batch | OrderAt | Life | None]
        ] = []  # a heap, ordered by the law
        self._instant_is_open = False
        self._end_of_instant = _EndOfInstant(self._env, self._end_instant)
        self._to_decide = True  # the dispatcher is called in this instant
        self._arrived: list[LiveAttempt] = []
        self._ready: list[Life] = []  # whose cold start ends in this instant
        self._crashed: list[Life] = []  # that end in this instant
        self._passes_begun: dict[tuple[int, int], int] = {}  # by replica and instance, since it was ready
        self._deadlines: list[tuple[int, int, int, LiveAttempt]] = []  # heaps by (moment, request, attempt)
        self._hang_ups: list[tuple[int, int, int, LiveAttempt]] = []
        self._timer_ns = NEVER_NS  # the moment for which the dispatcher asked
        self._timers = 0  # that have come
        self._alarm_ns = NEVER_NS  # the earliest moment at which _ring is called
        self._front_end_free_ns = [0] * engine_input.front_end.workers
        self._fleets = engine_input.fleets
        self._versions = Versions(engine_input.versions, self._fleets, self)
        self._attempts: list[LiveAttempt] = []
        self._batches: list[Batch] = []
        self._measured_open = 0
        self._finished = self._env.event()

    def timeline(self) -> Timeline:
        """Run to the end and return what happened."""
        if self._traffic.clients:
            for client in range(self._traffic.clients):
                self._think_and_send(client, cycle=0, after_ns=0)
        else:
            self._env.process(self._open_loop())
        for number, order in enumerate(self._input.versions.orders):
            self._order_later(number, order)
        for replica in self._versions.lives():  # that are ready from the start
            for instance in range(self._fleets[replica.version].instances):
                self._crash_later(Life(replica.version, replica.replica, instance, 0))
        self._end_instant_later()  # the decision at time 0
        self._env.timeout(self._input.stop_ns).callbacks.append(lambda _: self._finish())
        self._env.run(until=self._finished)
        return timeline_from_rows(
            (attempt.row() for attempt in self._attempts),
            (batch.row() for batch in self._batches),
            self._versions.lives(),
            self._versions.scalings(),
            self._versions.shares(),
            self._versions.moves(),
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
        sizes, now_ns = self._traffic.sizes.tolist(), 0
        for request, intended_ns in enumerate(self._traffic.arrivals_ns.tolist()):
            received_ns = intended_ns + self._traffic.there_ns
            if received_ns > now_ns:
                yield self._env.timeout(received_ns - now_ns)
                now_ns = received_ns
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
        seed, versions = self._input.seed, self._input.versions
        keys = key_bits(versions, seed, request), pinned_to(versions, seed, request)
        live = LiveAttempt(request, attempt, size, intended_ns, sent_ns, self._now, hang_up_ns, worker, *keys)
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

    def _call_dispatcher(
        self, at_ns: int, change: Change, first: int, second: int, what: LiveAttempt | Batch | None
    ) -> None:
        """Note a change for which the dispatcher is called, now or when a job is done; only an open instant has now."""
        now_ns = self._now
        if at_ns == now_ns:
            heapq.heappush(self._changes, (change, first, second, what))
            return

        def call(_: simpy.Event) -> None:
            self._to_decide = True
            self._report(change, first, second, what)

        self._env.timeout(at_ns - now_ns).callbacks.append(call)

    def _enter_front_end(self, attempt: LiveAttempt) -> None:
        """Let an attempt pass the front end on its way in. The work is done even for a client that goes meanwhile."""
        table = self._input.front_end.request_table
        work_ns = self._roll(table, Stream.FRONT_END_REQUEST, attempt.request, attempt.attempt)
        done_ns = self._serve_at_front_end(attempt.worker, work_ns)
        if attempt.hang_up_ns <= done_ns:
            self._settle(attempt, Outcome.ABANDONED, attempt.hang_up_ns)
            return
        self._call_dispatcher(done_ns, Change.ARRIVED, attempt.request, attempt.attempt, attempt)

    def _enter_with_results(self, batch: Batch) -> None:
        """Let the results of a pass pass the front end."""
        work_ns = self._roll(self._input.front_end.pass_result_table, Stream.PASS_RESULT, *batch.first)
        done_ns = self._serve_at_front_end(0, work_ns)
        self._call_dispatcher(done_ns, Change.RETURNED, batch.replica, batch.instance, batch)

    def _enter_with_timer(self) -> None:
        """Let a timer that has come pass the front end."""
        number = self._timers
        self._timers += 1
        work_ns = self._roll(self._input.front_end.timer_table, Stream.TIMER, 0, number)
        self._call_dispatcher(self._serve_at_front_end(0, work_ns), Change.WOKEN, 0, number, None)

    def _respond(self, attempt: LiveAttempt, outcome: Outcome, reason: Reason) -> None:
        """Send a response through the front end; the client takes it unless it will have hung up by then."""
        table = self._input.front_end.response_table
        work_ns = self._roll(table, Stream.FRONT_END_RESPONSE, attempt.request, attempt.attempt)
        answered_ns = self._serve_at_front_end(attempt.worker, work_ns)
        self._versions.end(attempt, outcome, self._now)
        attempt.reason = int(reason)
        if answered_ns <= attempt.hang_up_ns:
            attempt.answered_ns = answered_ns
        if answered_ns + self._traffic.back_ns <= attempt.hang_up_ns:
            self._settle(attempt, outcome, answered_ns + self._traffic.back_ns)
        else:
            self._settle(attempt, Outcome.ABANDONED, attempt.hang_up_ns)

    def _end(self, attempt: LiveAttempt, outcome: Outcome, reason: Reason) -> None:
        """Answer an attempt, or note how a copy ends, for which nobody waits."""
        if not is_copy(attempt.attempt):
            self._respond(attempt, outcome, reason)
            return
        self._versions.end(attempt, outcome, self._now)
        attempt.outcome, attempt.reason = int(outcome), int(reason)

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

    def pass_started(self, batch: Batch) -> None:
        """Send a batch to its instance."""
        self._batches.append(batch)
        if not self._input.front_end.blocking:
            self._env.process(self._run_pass(batch))
            return
        batch_in_ns = self._batch_in_ns(batch)
        if batch_in_ns == 0:
            self._block_front_end(batch)
        else:
            self._env.timeout(batch_in_ns).callbacks.append(
                lambda _: self._report(Change.PASS_IN, batch.replica, batch.instance, batch)
            )

    def _block_front_end(self, batch: Batch) -> None:
        """Run a pass as a job of the front end, which does nothing else meanwhile."""
        work_ns = self._pass_ns(batch)
        batch.ended_ns = self._serve_at_front_end(0, work_ns)
        batch.started_ns = batch.ended_ns - work_ns
        returned_ns = batch.ended_ns + self._results_out_ns(batch)
        self._call_dispatcher(returned_ns, Change.RETURNED, batch.replica, batch.instance, batch)

    def _run_pass(self, batch: Batch) -> Process:
        """Run a batch on its instance."""
        yield self._env.timeout(self._batch_in_ns(batch))
        if batch.is_lost:
            return
        batch.started_ns = self._now
        yield self._env.timeout(self._pass_ns(batch))
        if batch.is_lost:
            return
        batch.ended_ns = self._now
        yield self._env.timeout(self._results_out_ns(batch))
        self._report(Change.RESULTS, batch.replica, batch.instance, batch)

    def replica_ordered(self, version: int, serial: int) -> None:
        """Let a replica that was ordered go through its cold start."""
        for instance in range(self._fleets[version].instances):
            self._start_later(Life(version, serial, instance, 0))

    def _start_later(self, life: Life) -> None:
        """Let an instance go through its cold start: all of it, or what a process that has crashed takes again."""
        fleet = self._fleets[life.version]
        tables, restart_from = fleet.cold_start_tables, fleet.restart_from
        start_ns = cold_start_ns(tables, self._input.seed, life.replica, life.number, restart_from)

        def become_ready(_: simpy.Event) -> None:
            self._to_decide = True
            self._ready.append(life)
            self._end_instant_later()

        self._env.timeout(max(start_ns, 1)).callbacks.append(become_ready)

    def _crash_later(self, life: Life) -> None:
        """Let an instance that has just become ready crash when its life is over. Those of a replica do so together."""
        table = self._fleets[life.version].crash_table
        if table is None:
            return

        def crash(_: simpy.Event) -> None:
            self._crashed.append(life)
            self._end_instant_later()

        after_ns = crash_after_ns(table, self._input.seed, life.replica, life.number)
        self._env.timeout(after_ns).callbacks.append(crash)

    def _crash(self, life: Life) -> None:
        """Let a life end. What its process has sent before comes first: a pass that has ended is not lost."""
        if not self._versions.has(life.replica):
            return
        batch = self._versions.running_on(life.replica, life.instance)
        if batch is not None and batch.ended_ns != UNSET:
            batch.crash = life
        else:
            heapq.heappush(self._changes, (Change.RETURNED, life.replica, life.instance, life))

    def _fail(self, life: Life) -> None:
        """Take in that an instance is gone, with the pass that it ran, and start it again."""
        self._to_decide = True
        batch = self._versions.break_down(life.replica, life.instance, self._now)
        for attempt in batch.members if batch is not None else ():
            if attempt.outcome == Outcome.IN_FLIGHT:
                self._end(attempt, Outcome.FAILED, Reason.NONE)
        self._start_later(life._replace(number=life.number + 1))

    def replica_drained(self, serial: int) -> None:
        """Nothing is to be done: the fleet sends it no more."""

    def replica_gone(self, serial: int) -> None:
        """Nothing is to be done: it has no process here."""

    def scaled(self, scaling: Scaling) -> None:
        """Nothing is to be done: the fleet keeps the row."""

    def shared(self, share: Share) -> None:
        """Nothing is to be done: the versions keep the row."""

    def moved(self, move: RolloutMove) -> None:
        """Nothing is to be done: the versions keep the row."""

    def order_decided(self, order: Order, refusal: Refusal) -> None:
        """Nothing is to be done: nobody waits for the verdict."""

    def _order_later(self, number: int, order: OrderAt) -> None:
        """Let an operator's order reach the dispatcher at its moment; the work on it is none."""

        def arrive(_: simpy.Event) -> None:
            self._to_decide = True
            self._report(Change.ORDERED, number, 0, order)

        self._env.timeout(order.at_ns).callbacks.append(arrive)

    def _batch_in_ns(self, batch: Batch) -> int:
        return self._roll(self._fleets[batch.version].batch_in_table, Stream.BATCH_IN, *batch.first)

    def _results_out_ns(self, batch: Batch) -> int:
        return self._roll(self._fleets[batch.version].results_out_table, Stream.RESULTS_OUT, *batch.first)

    def _pass_ns(self, batch: Batch) -> int:
        fleet = self._fleets[batch.version]
        longest = max(attempt.size for attempt in batch.members)
        spread = self._roll(fleet.spread_table, Stream.PASS_SPREAD, *batch.first)
        if fleet.faults != FAULTLESS:
            spread = self._with_faults(batch, spread)
        return pass_ns(fleet.pass_time, len(batch.members), longest, spread)

    def _with_faults(self, batch: Batch, spread: int) -> int:
        """Return the factor of a pass on a replica that may be slow, by an instance that may be new."""
        rule, place = self._fleets[batch.version].faults, (batch.replica, batch.instance)
        before = self._passes_begun.get(place, 0)
        self._passes_begun[place] = before + 1
        slow = is_slow(rule, die(self._input.seed, Stream.SLOW, batch.replica, 0))
        return spread_with_faults(rule, spread, slow, before)

    # Instants

    def _report(self, change: Change, first: int, second: int, what: LiveAttempt | Batch | OrderAt | None) -> None:
        """Note a change of the present instant; it is taken in at the instant's end."""
        heapq.heappush(self._changes, (change, first, second, what))
        self._end_instant_later()

    def _end_instant_later(self) -> None:
        if not self._instant_is_open:
            self._instant_is_open = True
            self._end_of_instant.schedule()

    def _end_instant(self, _: simpy.Event) -> None:
        """Take in all changes of this instant, then decide until nothing more is to be decided."""
        self._instant_is_open = False
        if self._ready or self._crashed:
            self._take_in_lives()
        while True:
            if self._to_decide and self._deadlines:
                self._collect_deadlines()
            if not self._changes:
                break
            change, _first, _second, what = heapq.heappop(self._changes)
            if isinstance(what, LiveAttempt):
                self._take_in_attempt(change, what)
            elif isinstance(what, OrderAt):
                self._versions.order(what.order)
            elif isinstance(what, Life):
                self._fail(what)
            elif what is not None:
                self._take_in_batch(change, what)
            elif change == Change.TIMER:
                self._enter_with_timer()
            else:
                self._to_decide = True  # woken
        if self._to_decide:
            self._decide()
        if self._measured_open == 0 and self._now >= self._input.measure_to_ns + self._traffic.there_ns:
            self._finish()

    def _take_in_lives(self) -> None:
        """Take in who has become ready and who has crashed, before all else."""
        for life in self._ready:
            self._versions.become_ready(life.replica, life.instance, self._now)
            self._passes_begun.pop((life.replica, life.instance), None)
            self._crash_later(life)
        self._ready.clear()
        for life in self._crashed:
            self._crash(life)
        self._crashed.clear()

    def _take_in_attempt(self, change: int, attempt: LiveAttempt) -> None:
        if change == Change.SENT:
            self._enter_front_end(attempt)
            return  # nothing that the dispatcher sees
        self._to_decide = True
        if change == Change.ARRIVED:
            self._arrived.append(attempt)
        elif attempt.outcome == Outcome.IN_FLIGHT:
            self._versions.withdraw(attempt)
            if change == Change.DEADLINE:
                self._end(attempt, Outcome.TIMED_OUT, Reason.NONE)
            else:
                self._versions.end(attempt, Outcome.ABANDONED, self._now)
                self._settle(attempt, Outcome.ABANDONED, self._now)

    def _take_in_batch(self, change: int, batch: Batch) -> None:
        if change == Change.RESULTS:
            self._enter_with_results(batch)
        elif change == Change.PASS_IN:
            self._block_front_end(batch)
        else:
            self._to_decide = True
            self._versions.take_back(batch, self._now)
            for attempt in batch.members:
                if attempt.outcome == Outcome.IN_FLIGHT:
                    self._end(attempt, self._outcome_of(attempt), Reason.NONE)
            if batch.crash is not None:
                self._fail(batch.crash)

    def _outcome_of(self, attempt: LiveAttempt) -> Outcome:
        """Return what a pass gives one of its members: an answer, or an error of the model."""
        share = self._fleets[attempt.version].error_share
        if share and happens(share, SHARE_ONE, die(self._input.seed, Stream.ERROR, attempt.request, 0)):
            return Outcome.FAILED
        return Outcome.ANSWERED

    def _decide(self) -> None:
        """Let the versions decide, answer whom they refuse, and set the timer to when they are to be asked again."""
        self._to_decide = False
        arrived, self._arrived = self._arrived, []
        ask_again_ns = self._versions.decide(arrived, self._now)
        while self._deadlines and self._deadlines[0][3].outcome != Outcome.IN_FLIGHT:
            heapq.heappop(self._deadlines)
        self._timer_ns = min(ask_again_ns, self._deadlines[0][0] if self._deadlines else NEVER_NS)
        self._set_alarm()

    def admission_decided(self, attempt: LiveAttempt, reason: Reason) -> None:
        """Answer an arrival that was refused; note how long one that was taken may last."""
        if is_copy(attempt.attempt):
            self._attempts.append(attempt)
        if reason != Reason.NONE:
            self._end(attempt, Outcome.REFUSED, reason)
            return
        due_ns = deadlines.due_ns(self._fleets[attempt.version].deadline, self._now)
        if due_ns != NEVER_NS:
            heapq.heappush(self._deadlines, (due_ns, attempt.request, attempt.attempt, attempt))
        if attempt.hang_up_ns != NEVER_NS:
            heapq.heappush(self._hang_ups, (attempt.hang_up_ns, attempt.request, attempt.attempt, attempt))

    def _collect_deadlines(self) -> None:
        """Turn the deadlines that have run out into changes: the dispatcher is called, so it looks at its clock."""
        while self._deadlines and self._deadlines[0][0] <= self._now:
            _, first, second, attempt = heapq.heappop(self._deadlines)
            heapq.heappush(self._changes, (Change.DEADLINE, first, second, attempt))

    def _collect_hang_ups(self) -> None:
        """Turn the hang-ups of this instant into changes; forget those of attempts that are being answered."""
        while self._hang_ups:
            at_ns, first, second, attempt = self._hang_ups[0]
            if attempt.outcome == Outcome.IN_FLIGHT:
                if at_ns > self._now:
                    return
                self._to_decide = True
                heapq.heappush(self._changes, (Change.HANG_UP, first, second, attempt))
            heapq.heappop(self._hang_ups)

    def _set_alarm(self) -> None:
        """See to it that _ring is called at the timer and at the next hang-up, whatever comes first."""
        at_ns = min(self._timer_ns, self._hang_ups[0][0] if self._hang_ups else NEVER_NS)
        if at_ns < self._alarm_ns:
            self._alarm_ns = at_ns
            self._env.timeout(at_ns - self._now).callbacks.append(self._ring)

    def _ring(self, _: simpy.Event) -> None:
        """Bring about what is due now. SimPy cannot call back an event: an alarm that nobody wants any more is none."""
        now_ns = self._now
        if self._alarm_ns == now_ns:
            self._alarm_ns = NEVER_NS
        if self._timer_ns == now_ns:
            self._timer_ns = NEVER_NS
            self._report(Change.TIMER, 0, 0, None)
        self._collect_hang_ups()
        if self._changes:
            self._end_instant_later()
        self._set_alarm()

    # Dice

    def roll_route(self, attempt: LiveAttempt) -> int:
        """Return the die of an attempt's routing."""
        return route_die(self._input.seed, attempt.request, attempt.attempt)

    def roll_copy(self, attempt: LiveAttempt, version: int) -> int:
        """Return the die of whether a shadow version gets a copy of a request."""
        return die(self._input.seed, Stream.COPY, attempt.request, version)

    def _roll(self, table: Table, stream: Stream, entity: int, ordinal: int) -> int:
        """Return a draw from a table; a constant needs no die."""
        if len(table) == 1:
            return table[0]
        return draw(table, die(self._input.seed, stream, entity, ordinal))
