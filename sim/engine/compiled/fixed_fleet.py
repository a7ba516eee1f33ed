"""A fleet that never changes, counted as it goes: what compiled/kernel.py does, where little else can happen.

Of one version with replicas that are there from the start and stay, behind a front end of one worker, and requests that
are each sent once, all moments of a kind come in the order of the requests. So queues, what is at the front end,
deadlines and hang-ups are each a row of requests, and no calendar is needed but who of the replicas is next. Rules,
dice and counting are those of the kernel; fits() says for which inputs both come to the same, which the parity tests
show.
"""

from __future__ import annotations

import numba
from numba.extending import register_jitable

import sim.engine.compiled.rules  # noqa: F401  (before any rule is compiled)
from policy import deadlines
from policy.dice import Stream
from policy.instant import NEVER_NS, UNSET, Change
from policy.timeline import Outcome
from sim.engine.compiled.cache import cache_directory
from sim.engine.compiled.counting import end_when_all_are_over, is_measured
from sim.engine.compiled.dice import roll
from sim.engine.compiled.fixed_front_end import enter_front_end, note_job, respond, serve_in_order, settle
from sim.engine.compiled.fixed_replicas import admit, ask_replicas, decide_replica, take_in_batch, touch, withdraw
from sim.engine.compiled.fixed_rows import batch_of, instance_of, request_of
from sim.engine.compiled.fixed_state import FIXED, JOB, NONE, Stage
from sim.engine.compiled.kernel import Returned
from sim.engine.compiled.memory import int_at, row_at, set_int
from sim.engine.compiled.rows import given_fleet
from sim.engine.compiled.state import GIVEN
from sim.engine.compiled.tournament import earliest_ns, first_due, set_moment

__all__ = ["advance_fixed", "compile_fixed"]

_elsewhere = numba.config.CACHE_DIR  # type: ignore[attr-defined]
numba.config.CACHE_DIR = str(cache_directory())  # type: ignore[attr-defined]


@numba.njit(cache=True, nogil=True)
def advance_fixed(given_record, fixed_record):
    """Go on until the run is over, or something is needed; return a number of Returned, as advance() does."""
    g, t = given_record[0], fixed_record[0]
    run, given = t.run, g.run
    _find_next_arrival(g, t)
    while run.is_finished == 0:
        if run.next_arrival == t.arrivals_count and t.is_last == 0:
            return Returned.NEEDS_ARRIVALS.value
        others_ns = _next_of_others(t)
        if run.arrival_ns < others_ns:
            _let_come_alone(g, t, min(others_ns, run.hang_up_ns, given.stop_ns))
            if run.is_finished == 1 or run.next_arrival == t.arrivals_count:
                continue
            others_ns = _next_of_others(t)
        now_ns = min(run.arrival_ns, others_ns)
        if now_ns >= given.stop_ns:
            _receive_last(g, t)
            run.is_finished = 1
            break
        arriving = _count_arriving(g, t, now_ns)
        if (run.born + arriving > run.room_to or run.jobs + t.room > t.jobs_room) and _lacks_room(t, arriving):
            return Returned.NEEDS_ATTEMPTS.value
        _end_instant(g, t, arriving, others_ns <= now_ns, now_ns)
    return Returned.FINISHED.value


numba.config.CACHE_DIR = _elsewhere  # type: ignore[attr-defined]


def compile_fixed() -> None:
    """Compile advance_fixed() for the records that it takes, and keep the code."""
    advance_fixed.compile((numba.from_dtype(GIVEN)[::1], numba.from_dtype(FIXED)[::1]))


# What happens by itself


@register_jitable(forceinline=True)
def _let_come_alone(g, t, others_ns):
    """Take in requests as long as each comes alone, before anything else happens: instants that need little care."""
    run, given = t.run, g.run
    arrivals, there_ns = t.arrivals, given.there_ns
    times_out = given_fleet(g, 0).deadline.deadline_ns != NEVER_NS
    place = run.next_arrival
    end = min(t.arrivals_count - 1, place + run.room_to - run.born)
    intended_ns = int_at(arrivals, place)
    while place < end:
        behind_ns, now_ns = int_at(arrivals, place + 1), intended_ns + there_ns
        if behind_ns == intended_ns or now_ns >= others_ns or run.jobs == t.jobs_room:
            break
        row = request_of(t, run.born)
        done_ns = enter_front_end(g, t, row, place, intended_ns, now_ns)
        if done_ns == now_ns:
            if times_out:
                _time_out(g, t, now_ns)
            serial = admit(g, t, row, run.born - 1, now_ns)
            timer_ns = _let_decide(g, t, serial, now_ns)
            if times_out:
                timer_ns = min(timer_ns, _next_deadline_ns(g, t))
            run.timer_ns = timer_ns
            others_ns = min(others_ns, timer_ns, earliest_ns(t.ends), run.hang_up_ns)
        else:
            others_ns = min(others_ns, done_ns)
        place += 1
        intended_ns = behind_ns
        end_when_all_are_over(given, t, now_ns)
        if run.is_finished == 1:
            break
    run.next_arrival = place
    run.arrival_ns = intended_ns + given.there_ns


@register_jitable(forceinline=True)
def _let_decide(g, t, serial, now_ns):
    """Let a replica decide that has got a request, and those that asked for this moment; return when they ask next."""
    asks_ns = earliest_ns(t.asks)
    if asks_ns <= now_ns:
        t.run.touched = serial
        ask_replicas(g, t, now_ns)
    elif serial != NONE:
        set_moment(t.asks, t.asks_leaves, serial, decide_replica(g, t, serial, now_ns))
    else:
        return asks_ns
    return earliest_ns(t.asks)


@register_jitable(forceinline=True)
def _next_of_others(t):
    """Return when something happens next other than that a request comes; a hang-up behind the next one is left out."""
    run = t.run
    next_ns = min(earliest_ns(t.ends), run.timer_ns)
    if run.jobs > 0:
        next_ns = min(next_ns, row_at(t.jobs, run.first_job, JOB).done_ns)
    if run.hang_up_ns <= min(next_ns, run.arrival_ns):
        _find_hang_up(t)
        next_ns = min(next_ns, run.hang_up_ns)
    return next_ns


@register_jitable(forceinline=True)
def _find_next_arrival(g, t):
    """Note when the next request of the chunk reaches the front end."""
    run = t.run
    run.arrival_ns = NEVER_NS
    if run.next_arrival < t.arrivals_count:
        run.arrival_ns = int_at(t.arrivals, run.next_arrival) + g.run.there_ns


@register_jitable(forceinline=True)
def _count_arriving(g, t, now_ns):
    """Return how many requests reach the front end now."""
    if t.run.arrival_ns > now_ns:
        return 0
    place = t.run.next_arrival + 1
    while place < t.arrivals_count and int_at(t.arrivals, place) + g.run.there_ns <= now_ns:
        place += 1
    return place - t.run.next_arrival


@register_jitable
def _lacks_room(t, arriving):
    """Return whether what may come in an instant with so many new requests would not fit."""
    run = t.run
    while run.room_to - t.room < run.born and _is_gone(t, run.room_to - t.room):
        run.room_to += 1
    return run.born + arriving > run.room_to or run.jobs + t.instances_count + arriving + 1 > t.jobs_room


@register_jitable(forceinline=True)
def _is_gone(t, request):
    """Return whether nothing refers any more to a request that was there."""
    row = request_of(t, request)
    return row.request != request or row.stage == Stage.GONE


@register_jitable
def _receive_last(g, t):
    """Count the requests that reach the front end when the run is stopped."""
    run, given = t.run, g.run
    while run.next_arrival < t.arrivals_count:
        intended_ns = int_at(t.arrivals, run.next_arrival)
        if intended_ns + given.there_ns > given.stop_ns:
            return
        run.next_arrival += 1
        run.born += 1
        if is_measured(given, intended_ns):
            run.measured_open += 1


# Instants


@register_jitable(forceinline=True)
def _end_instant(g, t, arriving, others, now_ns):
    """Take in all changes of this instant in the order of policy/instant.py, then decide."""
    run, given = t.run, g.run
    to_decide = looked = others and _take_in_others(g, t, now_ns)
    if arriving > 0:
        for place in range(run.next_arrival, run.next_arrival + arriving):
            row = request_of(t, run.born)
            if enter_front_end(g, t, row, place, int_at(t.arrivals, place), now_ns) == now_ns:
                _note_arrived(t, run.born - 1)
                to_decide = True
        run.next_arrival += arriving
        _find_next_arrival(g, t)
    if to_decide:
        if not looked:
            _time_out(g, t, now_ns)
        _decide(g, t, now_ns)
    end_when_all_are_over(given, t, now_ns)


@register_jitable
def _take_in_others(g, t, now_ns):
    """Take in what happens now before requests come; return whether the dispatcher is called, which sees deadlines."""
    run, given = t.run, g.run
    to_decide, returned = False, 0
    while run.jobs > 0 and row_at(t.jobs, run.first_job, JOB).done_ns <= now_ns:
        to_decide = True
        job = row_at(t.jobs, run.first_job, JOB)
        change, what = job.change, job.what
        run.first_job = (run.first_job + 1) & (t.jobs_room - 1)
        run.jobs -= 1
        if change == Change.RETURNED:
            returned = _note_returned(t, returned, what)
        elif change == Change.ARRIVED:
            _note_arrived(t, what)
    while earliest_ns(t.ends) <= now_ns:  # RESULTS
        place = first_due(t.ends, t.ends_leaves, now_ns)
        set_moment(t.ends, t.ends_leaves, place, NEVER_NS)
        first = batch_of(t, instance_of(t, place).batch).request
        work_ns = roll(g.knots, given.pass_result, given.seed, Stream.PASS_RESULT.value, first, 0)
        done_ns = serve_in_order(t, work_ns, now_ns)
        if done_ns == now_ns:
            returned = _note_returned(t, returned, place)
        else:
            note_job(t, done_ns, Change.RETURNED.value, place)
    if run.timer_ns <= now_ns:  # TIMER
        run.timer_ns = NEVER_NS
        work_ns = roll(g.knots, given.timer, given.seed, Stream.TIMER.value, 0, run.timers)
        run.timers += 1
        done_ns = serve_in_order(t, work_ns, now_ns)
        if done_ns == now_ns:
            to_decide = True
        else:
            note_job(t, done_ns, Change.WOKEN.value, UNSET)
    for number in range(returned):
        take_in_batch(g, t, int_at(t.returned, number), now_ns)
    hangs_up = run.hang_up_ns <= now_ns
    to_decide = to_decide or hangs_up or returned > 0
    if to_decide:
        _time_out(g, t, now_ns)
    if hangs_up:
        _hang_up(g, t, now_ns)
    return to_decide


@register_jitable(forceinline=True)
def _note_arrived(t, request):
    set_int(t.arrived, t.run.arrived, request)
    t.run.arrived += 1


@register_jitable(forceinline=True)
def _note_returned(t, count, place):
    """Put an instance among those whose passes have returned, by its place; return how many there are."""
    before = count
    while before > 0 and int_at(t.returned, before - 1) > place:
        set_int(t.returned, before, int_at(t.returned, before - 1))
        before -= 1
    set_int(t.returned, before, place)
    return count + 1


@register_jitable(forceinline=True)
def _decide(g, t, now_ns):
    """Admit what has arrived, and let the replicas decide."""
    run = t.run
    for place in range(run.arrived):
        request = int_at(t.arrived, place)
        serial = admit(g, t, request_of(t, request), request, now_ns)
        if serial != NONE:
            touch(t, serial, now_ns)
    run.arrived = 0
    ask_replicas(g, t, now_ns)
    run.timer_ns = min(earliest_ns(t.asks), _next_deadline_ns(g, t))


# Deadlines and hang-ups: those of earlier requests come first


@register_jitable(forceinline=True)
def _next_deadline_ns(g, t):
    """Return the moment of the first deadline of those without an outcome."""
    run, rule = t.run, given_fleet(g, 0).deadline
    if rule.deadline_ns == NEVER_NS:
        return NEVER_NS
    run.times_out = _skip_ended(t, run.times_out)
    if not _is_admitted(t, run.times_out):
        return NEVER_NS
    return deadlines.due_ns(rule, request_of(t, run.times_out).placed_ns)


@register_jitable(forceinline=True)
def _time_out(g, t, now_ns):
    """Answer those whose deadline has run out."""
    while _next_deadline_ns(g, t) <= now_ns:
        row = request_of(t, t.run.times_out)
        respond(g, t, row, Outcome.TIMED_OUT.value, now_ns)
        withdraw(t, row, now_ns)


@register_jitable
def _find_hang_up(t):
    """Note when the next client hangs up of those whose requests were admitted."""
    run = t.run
    run.hangs_up = _skip_ended(t, run.hangs_up)
    run.hang_up_ns = NEVER_NS
    if _is_admitted(t, run.hangs_up):
        run.hang_up_ns = request_of(t, run.hangs_up).intended_ns + t.patience_ns


@register_jitable
def _hang_up(g, t, now_ns):
    """Let the clients hang up whose patience is over."""
    run = t.run
    _find_hang_up(t)
    while run.hang_up_ns <= now_ns:
        row = request_of(t, run.hangs_up)
        settle(g, t, row.intended_ns, Outcome.ABANDONED.value, now_ns)
        withdraw(t, row, now_ns)
        _find_hang_up(t)


@register_jitable(forceinline=True)
def _skip_ended(t, request):
    """Return the first request from one on that is not over for its client, else the next one to come."""
    end = t.run.born
    while request < end:
        row = request_of(t, request)
        if row.request == request and row.stage != Stage.GONE and row.stage != Stage.ENDED:
            return request
        request += 1
    return end


@register_jitable(forceinline=True)
def _is_admitted(t, request):
    """Return whether a request that is not over is there and has left the front end."""
    return request < t.run.born and request_of(t, request).stage != Stage.IN_FRONT
