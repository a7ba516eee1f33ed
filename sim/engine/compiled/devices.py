"""Devices, the front end and clients in the compiled engine: how long things take, and what comes of them when.

What process_engine.py says of front end, passes and clients, with calendars for SimPy's events. Decisions are taken in
compiled/replica.py, compiled/fleet.py and compiled/versions.py; what happens in which order, in compiled/kernel.py.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numba.extending import register_jitable

from policy import retries
from policy.dice import Stream, happens
from policy.faults import is_slow, spread_with_faults
from policy.instant import NEVER_NS, UNSET, Change
from policy.pass_time import pass_ns
from policy.rollout import SHARE_ONE, Tally, tally
from policy.timeline import Outcome, Reason, copy_number, is_copy
from sim.engine.compiled.calendar import heap_push, push
from sim.engine.compiled.changes import note_change
from sim.engine.compiled.counting import count_delivery, count_pass, count_request, is_measured
from sim.engine.compiled.dice import die, roll, sticky_bits, unsigned_die
from sim.engine.compiled.memory import int_at, row_at, set_int
from sim.engine.compiled.rows import attempt_of, batch_of, fleet_of, given_fleet, instance_of, replica_of
from sim.engine.compiled.state import KNOTS_AT, NONE

__all__ = [
    "Event",
    "block_front_end",
    "call_dispatcher",
    "count_end",
    "crash_later",
    "end_attempt",
    "free_attempt",
    "new_attempt",
    "new_copy",
    "serve_at_front_end",
    "settle",
    "slow_by_die",
    "start_later",
    "start_pass",
    "think_and_send",
]


class Event(IntEnum):
    """What a calendar's entry is, beside the changes (policy.instant.Change) that entries of the front end bring."""

    PASS_DONE = 20  # batch, its serial
    PASS_IN = 21  # batch, its serial
    READY = 22  # replica, instance, life
    CRASH = 23  # replica, instance, life


# Attempts


@register_jitable(forceinline=True)
def free_attempt(g, t, slot):
    """Note that nothing refers to an attempt any more; its row is used again where rows are not kept."""
    run = t.run
    run.live -= 1
    if g.run.recycle:
        attempt_of(t, slot).born = UNSET
        attempt_of(t, slot).next = run.free_attempt
        run.free_attempt = slot


@register_jitable(forceinline=True)
def _new_row(t):
    run = t.run
    slot = run.free_attempt
    if slot != NONE:
        run.free_attempt = attempt_of(t, slot).next
    else:
        slot = run.attempts
        run.attempts += 1
    attempt = attempt_of(t, slot)
    attempt.born = run.born
    run.born += 1
    run.live += 1
    attempt.version = UNSET
    attempt.replica = UNSET
    attempt.collector = UNSET
    attempt.batch = NONE
    attempt.next = NONE
    attempt.previous = NONE
    attempt.enqueued_ns = UNSET
    attempt.placed_ns = UNSET
    attempt.answered_ns = UNSET
    attempt.delivered_ns = UNSET
    attempt.outcome = Outcome.IN_FLIGHT.value
    attempt.reason = Reason.NONE.value
    return slot


@register_jitable(forceinline=True)
def new_attempt(g, t, request, number, size, intended_ns, sent_ns, now_ns):
    """Return the row of an attempt that has just reached the front end."""
    given, run = g.run, t.run
    slot = _new_row(t)
    attempt = attempt_of(t, slot)
    attempt.request = request
    attempt.attempt = number
    attempt.size = size
    attempt.intended_ns = intended_ns
    attempt.sent_ns = sent_ns
    attempt.received_ns = now_ns
    attempt.hang_up_ns = NEVER_NS
    if given.timeout.length > 0:
        patience_ns = roll(g.knots, given.timeout, given.seed, Stream.PATIENCE.value, request, 0)
        attempt.hang_up_ns = sent_ns + max(patience_ns, 1)
    attempt.worker = 0
    if given.workers > 1:
        bits = unsigned_die(given.seed, Stream.FRONT_END_WORKER.value, request, number)
        attempt.worker = np.int64(bits % np.uint64(given.workers))
    attempt.key_bits = 0
    attempt.pinned = UNSET
    if given.versions > 1:
        attempt.key_bits = _key_bits(given, request)
        if given.any_pinned:
            attempt.pinned = _pinned_to(given, request)
    if number == 0 and is_measured(given, intended_ns):
        run.measured_open += 1
    return slot


@register_jitable
def new_copy(t, of, version):
    """Return the row of a copy of an attempt for a shadow version."""
    slot = _new_row(t)
    attempt, original = attempt_of(t, slot), attempt_of(t, of)
    attempt.request = original.request
    attempt.attempt = copy_number(original.attempt, version)
    attempt.size = original.size
    attempt.intended_ns = UNSET
    attempt.sent_ns = UNSET
    attempt.received_ns = UNSET
    attempt.hang_up_ns = NEVER_NS
    attempt.worker = 0
    attempt.key_bits = 0
    attempt.pinned = UNSET
    attempt.version = version
    return slot


@register_jitable(forceinline=True)
def _key_bits(given, request):
    """Return the bits by which a request's version is chosen: a die's, or those of its user's key."""
    if given.users == 0:
        return die(given.seed, Stream.VERSION.value, request, 0)
    user = unsigned_die(given.seed, Stream.USER.value, request, 0) % np.uint64(given.users)
    return sticky_bits(user, given.salt)


@register_jitable
def _pinned_to(given, request):
    """Return the version that a request names, UNSET if it names none."""
    bits, up_to = die(given.seed, Stream.PINNED.value, request, 0), 0
    for version in range(given.versions):
        up_to += given.pinned[version]
        if happens(up_to, SHARE_ONE, bits):
            return version
    return UNSET


# Clients


@register_jitable
def think_and_send(g, t, client, cycle, after_ns):
    """Let a closed-loop client think, then send its next request."""
    given = g.run
    think_ns = roll(g.knots, given.think, given.seed, Stream.THINK.value, client, cycle)
    intended_ns = after_ns + max(think_ns, 1)
    request = cycle * given.clients + client
    size = roll(g.knots, given.sizes, given.seed, Stream.SIZE.value, request, 0)
    push(t.sends, intended_ns + given.there_ns, 0, request, 0, size, intended_ns, intended_ns)


@register_jitable(forceinline=True)
def settle(g, t, slot, outcome, delivered_ns):
    """Note how an attempt ends for its client, and what the client does next."""
    given, run, attempt = g.run, t.run, attempt_of(t, slot)
    attempt.outcome = outcome
    attempt.delivered_ns = delivered_ns
    if t.windows > 0:
        count_delivery(given, t, outcome, delivered_ns)
    if retries.wants_retry(given.retry, attempt.attempt, outcome):
        _retry(g, t, slot, delivered_ns)
        return
    if is_measured(given, attempt.intended_ns):
        run.measured_open -= 1
        if t.windows > 0:
            count_request(given, t, attempt.intended_ns, outcome, delivered_ns)
    if given.clients > 0:
        client = attempt.request % given.clients
        think_and_send(g, t, client, attempt.request // given.clients + 1, delivered_ns)


@register_jitable
def _retry(g, t, slot, delivered_ns):
    given, attempt = g.run, attempt_of(t, slot)
    bits = unsigned_die(given.seed, Stream.BACKOFF.value, attempt.request, attempt.attempt)
    jitter = np.int64(bits & np.uint64(retries.JITTER_ONE - 1))
    sent_ns = delivered_ns + retries.wait_ns(given.retry, attempt.attempt, jitter)
    push(
        t.sends,
        sent_ns + given.there_ns,
        0,
        attempt.request,
        attempt.attempt + 1,
        attempt.size,
        attempt.intended_ns,
        sent_ns,
    )


# The front end: each worker is one queue, so a job's end is known when it joins


@register_jitable(forceinline=True)
def serve_at_front_end(t, worker, work_ns, now_ns):
    """Return when the worker will have done this job, behind all it has."""
    done_ns = max(now_ns, int_at(t.free_ns, worker)) + work_ns
    set_int(t.free_ns, worker, done_ns)
    return done_ns


@register_jitable(forceinline=True)
def call_dispatcher(t, at_ns, change, first, second, what, now_ns):
    """Note a change for which the dispatcher is called, now or when a job is done."""
    if at_ns == now_ns:
        note_change(t, change, first, second, what, 0)
    else:
        push(t.front, at_ns, change, first, second, what, 0, 0)


@register_jitable(forceinline=True)
def _respond(g, t, slot, outcome, reason, now_ns):
    """Send a response through the front end; the client takes it unless it will have hung up by then."""
    given, attempt = g.run, attempt_of(t, slot)
    work_ns = roll(
        g.knots, given.response, given.seed, Stream.FRONT_END_RESPONSE.value, attempt.request, attempt.attempt
    )
    answered_ns = serve_at_front_end(t, attempt.worker, work_ns, now_ns)
    attempt.reason = reason
    if answered_ns <= attempt.hang_up_ns:
        attempt.answered_ns = answered_ns
    if answered_ns + given.back_ns <= attempt.hang_up_ns:
        settle(g, t, slot, outcome, answered_ns + given.back_ns)
    else:
        settle(g, t, slot, Outcome.ABANDONED.value, attempt.hang_up_ns)


@register_jitable(forceinline=True)
def end_attempt(g, t, slot, outcome, reason, now_ns):
    """Answer an attempt, or note how a copy ends, for which nobody waits."""
    attempt = attempt_of(t, slot)
    if g.run.has_rollout:
        count_end(g, t, slot, outcome, now_ns)
    if is_copy(attempt.attempt):
        attempt.outcome = outcome
        attempt.reason = reason
    else:
        _respond(g, t, slot, outcome, reason, now_ns)


@register_jitable
def count_end(g, t, slot, outcome, now_ns):
    """Count an attempt or a copy that has its outcome, for the rollout."""
    attempt = attempt_of(t, slot)
    if attempt.version == UNSET:
        return
    counted = tally(g.rollout, outcome, now_ns - attempt.enqueued_ns)
    fleet = fleet_of(t, attempt.version)
    if counted == Tally.ANSWERED or counted == Tally.SLOW:
        fleet.ended_well += 1
        if counted == Tally.SLOW:
            fleet.ended_slowly += 1
    elif counted == Tally.FAILED:
        fleet.ended_badly += 1


# Devices


@register_jitable(forceinline=True)
def start_pass(g, t, index, now_ns):
    """Send a batch to its instance."""
    given, batch = g.run, batch_of(t, index)
    fleet = given_fleet(g, batch.version)
    batch_in_ns = roll(g.knots, fleet.batch_in, given.seed, Stream.BATCH_IN.value, batch.request, batch.attempt)
    if given.blocking:
        if batch_in_ns == 0:
            block_front_end(g, t, index, now_ns)
        else:
            heap_push(t.devices, now_ns + batch_in_ns, Event.PASS_IN.value, index, batch.serial, 0, 0, 0)
        return
    batch.started_ns = now_ns + batch_in_ns
    batch.ended_ns = batch.started_ns + _pass_ns(g, t, index)
    if t.windows > 0:
        count_pass(given, t, batch, 1)
    out_ns = roll(g.knots, fleet.results_out, given.seed, Stream.RESULTS_OUT.value, batch.request, batch.attempt)
    heap_push(t.devices, batch.ended_ns + out_ns, Event.PASS_DONE.value, index, batch.serial, 0, 0, 0)


@register_jitable
def block_front_end(g, t, index, now_ns):
    """Run a pass as a job of the front end, which does nothing else meanwhile."""
    given, batch = g.run, batch_of(t, index)
    work_ns = _pass_ns(g, t, index)
    batch.is_blocking = 1
    batch.ended_ns = serve_at_front_end(t, 0, work_ns, now_ns)
    batch.started_ns = batch.ended_ns - work_ns
    if t.windows > 0:
        count_pass(given, t, batch, 1)
    fleet = given_fleet(g, batch.version)
    out_ns = roll(g.knots, fleet.results_out, given.seed, Stream.RESULTS_OUT.value, batch.request, batch.attempt)
    call_dispatcher(t, batch.ended_ns + out_ns, Change.RETURNED.value, batch.replica, batch.instance, index, now_ns)


@register_jitable(forceinline=True)
def _pass_ns(g, t, index):
    given, batch = g.run, batch_of(t, index)
    fleet = given_fleet(g, batch.version)
    slot = batch.head
    longest = attempt_of(t, slot).size
    if fleet.pass_time.per_unit_ns > 0:
        for _ in range(batch.count - 1):
            slot = attempt_of(t, slot).next
            longest = max(longest, attempt_of(t, slot).size)
    spread = roll(g.knots, fleet.spread, given.seed, Stream.PASS_SPREAD.value, batch.request, batch.attempt)
    if fleet.has_faults:
        instance = instance_of(t, batch.replica, batch.instance)
        before = instance.passes_begun
        instance.passes_begun += 1
        spread = spread_with_faults(fleet.faults, spread, replica_of(t, batch.replica).is_slow == 1, before)
    return pass_ns(fleet.pass_time, batch.count, longest, spread)


@register_jitable
def start_later(g, t, serial, place, life, now_ns):
    """Let an instance go through its cold start: all of it, or what a process that has crashed takes again."""
    version = replica_of(t, serial).version
    fleet, seed = given_fleet(g, version), g.run.seed
    start_ns = 0
    for part in range(fleet.restart_from if life > 0 else 0, fleet.parts):
        number = life * fleet.parts + part
        start_ns += roll(
            g.knots,
            row_at(g.cold_starts, version * g.parts + part, KNOTS_AT),
            seed,
            Stream.COLD_START.value,
            serial,
            number,
        )
    heap_push(t.devices, now_ns + max(start_ns, 1), Event.READY.value, serial, place, life, 0, 0)


@register_jitable
def crash_later(g, t, serial, place, life, now_ns):
    """Let an instance that has just become ready crash when its life is over."""
    fleet = given_fleet(g, replica_of(t, serial).version)
    if fleet.crash.length == 0:
        return
    after_ns = max(roll(g.knots, fleet.crash, g.run.seed, Stream.CRASH.value, serial, life), 1)
    heap_push(t.devices, now_ns + after_ns, Event.CRASH.value, serial, place, life, 0, 0)


@register_jitable
def slow_by_die(g, version, serial):
    """Return 1 if the die of a replica makes it a slow one, else 0."""
    bits = die(g.run.seed, Stream.SLOW.value, serial, 0)
    return 1 if is_slow(given_fleet(g, version).faults, bits) else 0
