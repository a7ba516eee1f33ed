"""The compiled engine's loop: from instant to instant, in the order of policy/instant.py.

It does what process_engine.py does. Before each instant it looks whether the tables have room for whatever the instant
may bring, and returns if they have not: the caller makes them larger, or hands over the next arrivals, and calls again.
"""

from __future__ import annotations

from enum import IntEnum

import numba
from numba.extending import register_jitable

import sim.engine.compiled.rules  # noqa: F401  (before any rule is compiled)
from policy.dice import Stream, happens
from policy.instant import NEVER_NS, UNSET, Change
from policy.rollout import SHARE_ONE
from policy.timeline import Outcome, Reason
from sim.engine.compiled.cache import cache_directory
from sim.engine.compiled.calendar import has_room, next_ns, pop, top
from sim.engine.compiled.changes import drop_first_change, note_change
from sim.engine.compiled.counting import count_pass, end_when_all_are_over
from sim.engine.compiled.devices import (
    Event,
    block_front_end,
    call_dispatcher,
    count_end,
    crash_later,
    end_attempt,
    free_attempt,
    new_attempt,
    serve_at_front_end,
    settle,
    start_later,
    think_and_send,
)
from sim.engine.compiled.dice import die, roll
from sim.engine.compiled.fleet import begin_fleet, instance_ready
from sim.engine.compiled.memory import int_at, row_at, set_int
from sim.engine.compiled.replica import break_down, take_back
from sim.engine.compiled.rows import attempt_of, batch_of, change_of, given_fleet, instance_of, replica_of
from sim.engine.compiled.state import GIVEN, NONE, ORDER, TABLES
from sim.engine.compiled.versions import begin_shares, decide, withdraw

__all__ = ["Returned", "advance", "compile_kernel"]


class Returned(IntEnum):
    """Why advance() has returned."""

    FINISHED = 0
    NEEDS_ARRIVALS = 1  # the next chunk of them
    NEEDS_ATTEMPTS = 2  # more rows for attempts and batches
    NEEDS_ENTRIES = 3  # more room in the calendars
    NEEDS_REPLICAS = 4
    NEEDS_LOG = 5  # more rows for changes of wanted numbers, shares and rollouts


_elsewhere = numba.config.CACHE_DIR  # type: ignore[attr-defined]
numba.config.CACHE_DIR = str(cache_directory())  # type: ignore[attr-defined]


@numba.njit(cache=True, nogil=True)
def advance(given_record, state_record):
    """Go on until the run is over, or something is needed; return a number of Returned.

    All is left in the state, so that the next call goes on from there.
    """
    g, t = given_record[0], state_record[0]
    run, given = t.run, g.run
    if run.is_begun == 0:
        needed = _needed(g, t, 0)
        if needed != Returned.FINISHED.value:
            return needed
        _begin(g, t)
    while run.is_finished == 0:
        if run.next_arrival == t.arrivals_count and t.is_last == 0:
            return Returned.NEEDS_ARRIVALS.value
        now_ns = _next_moment(g, t)
        needed = _needed(g, t, now_ns)
        if needed != Returned.FINISHED.value:
            return needed
        run.now_ns = min(now_ns, given.stop_ns)
        if now_ns >= given.stop_ns:
            _receive(g, t, given.stop_ns)
            run.is_finished = 1
        elif _gather(g, t, now_ns):
            _end_instant(g, t, now_ns)
    return Returned.FINISHED.value


numba.config.CACHE_DIR = _elsewhere  # type: ignore[attr-defined]


def compile_kernel() -> None:
    """Compile advance() for the records that it takes, and keep the code."""
    advance.compile((numba.from_dtype(GIVEN)[::1], numba.from_dtype(TABLES)[::1]))


@register_jitable
def _begin(g, t):
    """Let everything be there that is there at the first moment."""
    run, given = t.run, g.run
    for version in range(given.versions):
        begin_fleet(g, t, version, 0)
    begin_shares(t, 0)
    for serial in range(run.replicas):
        for place in range(given_fleet(g, replica_of(t, serial).version).instances):
            crash_later(g, t, serial, place, 0, 0)
    for client in range(given.clients):
        think_and_send(g, t, client, 0, 0)
    run.is_begun = 1


@register_jitable(forceinline=True)
def _next_moment(g, t):
    """Return when something happens next; the first time, 0, at which the run begins with a decision."""
    run, given = t.run, g.run
    if run.is_begun == 1:
        return 0
    now_ns = min(next_ns(t.front), next_ns(t.devices))
    now_ns = min(now_ns, next_ns(t.sends), run.timer_ns)
    if run.next_arrival < t.arrivals_count:
        now_ns = min(now_ns, int_at(t.arrivals, run.next_arrival) + given.there_ns)
    if run.next_order < g.orders_given:
        now_ns = min(now_ns, row_at(g.orders, run.next_order, ORDER).at_ns)
    if given.timeout.length > 0:
        now_ns = min(now_ns, _next_in_flight_ns(t, t.hang_ups))
    return now_ns


@register_jitable(forceinline=True)
def _next_in_flight_ns(t, calendar):
    """Return the moment of the first deadline or hang-up of an attempt without an outcome; others are forgotten."""
    while True:
        at_ns = next_ns(calendar)
        if at_ns == NEVER_NS:
            return at_ns
        entry = top(calendar)
        if _is_in_flight(t, entry.a, entry.b):
            return at_ns
        pop(calendar)


@register_jitable(forceinline=True)
def _is_in_flight(t, slot, born):
    attempt = attempt_of(t, slot)
    return attempt.born == born and attempt.outcome == Outcome.IN_FLIGHT.value


@register_jitable(forceinline=True)
def _needed(g, t, now_ns):
    """Return which tables may be too small for what the instant may bring: a number of Returned, FINISHED for none."""
    run, given = t.run, g.run
    sent = t.sends.ringed + t.sends.heaped + given.clients
    place = run.next_arrival
    while place < t.arrivals_count and int_at(t.arrivals, place) + given.there_ns <= now_ns:
        place += 1
        sent += 1
    attempts = sent + (given.versions - 1) * (sent + run.in_front)
    used = run.live if given.recycle else run.attempts
    if used + attempts > t.attempts_room:
        return Returned.NEEDS_ATTEMPTS.value
    if run.replicas + run.orderable > t.replicas_room:
        return Returned.NEEDS_REPLICAS.value
    # An attempt is in one place at most (the front end, a queue, a batch), and may be settled and sent again.
    more = run.live + attempts + run.orderable * t.instances_each + 8
    if not (has_room(t.front, more) and has_room(t.devices, more) and has_room(t.sends, more)):
        return Returned.NEEDS_ENTRIES.value
    if not (has_room(t.deadlines, more) and has_room(t.hang_ups, more) and has_room(t.asks, more)):
        return Returned.NEEDS_ENTRIES.value
    logged = 4 * given.versions + 2 * (g.orders_given - run.next_order) * given.versions
    if run.scalings + logged > t.log_room:
        return Returned.NEEDS_LOG.value
    if run.shares + logged > t.log_room or run.moves + logged > t.log_room:
        return Returned.NEEDS_LOG.value
    return Returned.FINISHED.value


# What happens by itself


@register_jitable(forceinline=True)
def _receive(g, t, now_ns):
    """Let the attempts come that reach the front end now; return whether there are any."""
    run, given = t.run, g.run
    any_came = False
    while run.next_arrival < t.arrivals_count and int_at(t.arrivals, run.next_arrival) + given.there_ns <= now_ns:
        intended_ns = int_at(t.arrivals, run.next_arrival)
        request = run.requests + run.next_arrival
        if given.has_sizes:
            size = int_at(t.sizes, run.next_arrival)
        else:
            size = roll(g.knots, given.sizes, given.seed, Stream.SIZE.value, request, 0)
        run.next_arrival += 1
        slot = new_attempt(g, t, request, 0, size, intended_ns, intended_ns, now_ns)
        note_change(t, Change.SENT.value, request, 0, slot, 0)
        any_came = True
    while next_ns(t.sends) <= now_ns:
        entry = top(t.sends)
        request, number = entry.a, entry.b
        slot = new_attempt(g, t, request, number, entry.c, entry.d, entry.e, now_ns)
        pop(t.sends)
        note_change(t, Change.SENT.value, request, number, slot, 0)
        any_came = True
    return any_came


@register_jitable(forceinline=True)
def _gather(g, t, now_ns):
    """Note all changes of this instant; return whether there are any, or anything that opens it."""
    run, given = t.run, g.run
    is_open = run.is_begun == 1
    run.is_begun = 2
    if _receive(g, t, now_ns):
        is_open = True
    while next_ns(t.front) <= now_ns:
        entry = top(t.front)
        change, first, second, what = entry.kind, entry.a, entry.b, entry.c
        pop(t.front)
        note_change(t, change, first, second, what, 0)
        run.to_decide = 1
        is_open = True
    while next_ns(t.devices) <= now_ns:
        if _take_from_devices(g, t, now_ns):
            is_open = True
    while run.next_order < g.orders_given and row_at(g.orders, run.next_order, ORDER).at_ns <= now_ns:
        run.next_order += 1
        run.orders_now += 1
        run.to_decide = 1
        is_open = True
    if run.timer_ns <= now_ns:
        run.timer_ns = NEVER_NS
        note_change(t, Change.TIMER.value, 0, 0, UNSET, 0)
        is_open = True
    if given.timeout.length > 0:
        while _next_in_flight_ns(t, t.hang_ups) <= now_ns:
            slot = top(t.hang_ups).a
            pop(t.hang_ups)
            attempt = attempt_of(t, slot)
            note_change(t, Change.HANG_UP.value, attempt.request, attempt.attempt, slot, attempt.born)
            run.to_decide = 1
            is_open = True
    return is_open


@register_jitable(forceinline=True)
def _take_from_devices(g, t, now_ns):
    """Take in the next entry of the devices; return whether it opens the instant."""
    run = t.run
    entry = top(t.devices)
    kind, a, b, c = entry.kind, entry.a, entry.b, entry.c
    pop(t.devices)
    if kind == Event.PASS_DONE:
        batch = batch_of(t, a)
        if batch.serial != b or batch.is_lost:
            return False
        note_change(t, Change.RESULTS.value, batch.replica, batch.instance, a, 0)
        return True
    if kind == Event.PASS_IN:
        batch = batch_of(t, a)
        note_change(t, Change.PASS_IN.value, batch.replica, batch.instance, a, 0)
        return True
    if kind == Event.READY:
        run.to_decide = 1
        if replica_of(t, a).gone_ns == UNSET:
            instance_ready(g, t, a, b, now_ns)
        instance_of(t, a, b).passes_begun = 0
        crash_later(g, t, a, b, c, now_ns)
        return True
    _crash(t, a, b, c, now_ns)
    return True


@register_jitable
def _crash(t, serial, place, life, now_ns):
    """Let a life end. What its process has sent before comes first: a pass that has ended is not lost."""
    if replica_of(t, serial).gone_ns != UNSET:
        return
    index = instance_of(t, serial, place).running
    if index != NONE:
        batch = batch_of(t, index)
        if batch.is_blocking == 1 or batch.ended_ns <= now_ns:
            batch.crash = life
            return
    note_change(t, Change.RETURNED.value, serial, place, UNSET, life)


@register_jitable
def _fail(g, t, serial, place, life, now_ns):
    """Take in that an instance is gone, with the pass that it ran, and start it again."""
    t.run.to_decide = 1
    index = NONE
    if replica_of(t, serial).gone_ns == UNSET:
        lost = instance_of(t, serial, place).running
        if lost != NONE and t.windows > 0:
            count_pass(g.run, t, batch_of(t, lost), -1)
        index = break_down(t, serial, place, now_ns)
    if index != NONE:
        _end_members(g, t, index, True, now_ns)
    start_later(g, t, serial, place, life + 1, now_ns)


# Instants


@register_jitable(forceinline=True)
def _end_instant(g, t, now_ns):
    """Take in all changes of this instant, then decide until nothing more is to be decided."""
    run, given = t.run, g.run
    while True:
        if run.to_decide == 1 and next_ns(t.deadlines) <= now_ns:
            _collect_deadlines(t, now_ns)
        if run.changes == 0:
            break
        first_row = change_of(t, 0)
        change, first, second, what, more = (
            first_row.change,
            first_row.first,
            first_row.second,
            first_row.what,
            first_row.more,
        )
        drop_first_change(t)
        if change == Change.SENT:
            _enter_front_end(g, t, what, now_ns)
        elif change == Change.ARRIVED:
            run.to_decide = 1
            run.in_front -= 1
            set_int(t.arrived, run.arrived, what)
            run.arrived += 1
        elif change == Change.RETURNED:
            if what == UNSET:
                _fail(g, t, first, second, more, now_ns)
            else:
                _take_in_batch(g, t, what, now_ns)
        elif change == Change.RESULTS:
            batch = batch_of(t, what)
            work_ns = roll(
                g.knots, given.pass_result, given.seed, Stream.PASS_RESULT.value, batch.request, batch.attempt
            )
            done_ns = serve_at_front_end(t, 0, work_ns, now_ns)
            call_dispatcher(t, done_ns, Change.RETURNED.value, batch.replica, batch.instance, what, now_ns)
        elif change == Change.TIMER:
            number = run.timers
            run.timers += 1
            work_ns = roll(g.knots, given.timer, given.seed, Stream.TIMER.value, 0, number)
            done_ns = serve_at_front_end(t, 0, work_ns, now_ns)
            call_dispatcher(t, done_ns, Change.WOKEN.value, 0, number, UNSET, now_ns)
        elif change == Change.PASS_IN:
            block_front_end(g, t, what, now_ns)
        elif change == Change.WOKEN:
            run.to_decide = 1
        else:
            _give_up(g, t, change, what, more, now_ns)
    if run.to_decide == 1:
        run.to_decide = 0
        ask_again_ns = decide(g, t, now_ns)
        run.timer_ns = min(ask_again_ns, _next_in_flight_ns(t, t.deadlines))
    end_when_all_are_over(given, t, now_ns)


@register_jitable(forceinline=True)
def _enter_front_end(g, t, slot, now_ns):
    """Let an attempt pass the front end on its way in. The work is done even for a client that goes meanwhile."""
    given, attempt = g.run, attempt_of(t, slot)
    work_ns = roll(g.knots, given.request, given.seed, Stream.FRONT_END_REQUEST.value, attempt.request, attempt.attempt)
    done_ns = serve_at_front_end(t, attempt.worker, work_ns, now_ns)
    if attempt.hang_up_ns <= done_ns:
        settle(g, t, slot, Outcome.ABANDONED.value, attempt.hang_up_ns)
        free_attempt(g, t, slot)
        return
    t.run.in_front += 1
    call_dispatcher(t, done_ns, Change.ARRIVED.value, attempt.request, attempt.attempt, slot, now_ns)


@register_jitable
def _give_up(g, t, change, slot, born, now_ns):
    """Let an attempt end whose deadline or whose client's patience is over, unless it has ended otherwise."""
    t.run.to_decide = 1
    if not _is_in_flight(t, slot, born):
        return
    is_freed = withdraw(t, slot)
    if change == Change.DEADLINE:
        end_attempt(g, t, slot, Outcome.TIMED_OUT.value, Reason.NONE.value, now_ns)
    else:
        if g.run.has_rollout:
            count_end(g, t, slot, Outcome.ABANDONED.value, now_ns)
        settle(g, t, slot, Outcome.ABANDONED.value, now_ns)
    if is_freed:
        free_attempt(g, t, slot)


@register_jitable(forceinline=True)
def _take_in_batch(g, t, index, now_ns):
    """Let a batch return, and answer its members."""
    t.run.to_decide = 1
    batch = batch_of(t, index)
    serial, place, crash = batch.replica, batch.instance, batch.crash
    take_back(t, index, now_ns)
    _end_members(g, t, index, False, now_ns)
    if crash != UNSET:
        _fail(g, t, serial, place, crash, now_ns)


@register_jitable(forceinline=True)
def _end_members(g, t, index, is_lost, now_ns):
    """Answer the members of a batch that still wait for an answer; the batch is over."""
    batch = batch_of(t, index)
    slot = batch.head
    error_share = given_fleet(g, batch.version).error_share
    for _ in range(batch.count):
        behind = attempt_of(t, slot).next
        if attempt_of(t, slot).outcome == Outcome.IN_FLIGHT:
            outcome = Outcome.FAILED.value if is_lost else Outcome.ANSWERED.value
            if error_share > 0 and not is_lost:
                bits = die(g.run.seed, Stream.ERROR.value, attempt_of(t, slot).request, 0)
                if happens(error_share, SHARE_ONE, bits):
                    outcome = Outcome.FAILED.value
            end_attempt(g, t, slot, outcome, Reason.NONE.value, now_ns)
        free_attempt(g, t, slot)
        slot = behind
    if g.run.recycle:
        run = t.run
        batch.serial = UNSET
        batch.next = run.free_batch
        run.free_batch = index


# Deadlines


@register_jitable
def _collect_deadlines(t, now_ns):
    """Turn the deadlines that have run out into changes: the dispatcher is called, so it looks at its clock."""
    while next_ns(t.deadlines) <= now_ns:
        entry = top(t.deadlines)
        slot, born = entry.a, entry.b
        pop(t.deadlines)
        if _is_in_flight(t, slot, born):
            attempt = attempt_of(t, slot)
            note_change(t, Change.DEADLINE.value, attempt.request, attempt.attempt, slot, born)
