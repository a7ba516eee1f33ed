"""The replicas of a fleet that never changes: what compiled/fleet.py and compiled/replica.py do.

A replica has one collector. What waits there is one list, its hand before its queue.
"""

from __future__ import annotations

from numba.extending import register_jitable

from policy import admission, batching, deadlines, routing
from policy.dice import Stream, happens
from policy.instant import UNSET
from policy.pass_time import pass_ns
from policy.rollout import SHARE_ONE
from policy.timeline import Outcome, Reason
from sim.engine.compiled.counting import count_pass
from sim.engine.compiled.dice import die, roll, route_die
from sim.engine.compiled.fixed_front_end import respond
from sim.engine.compiled.fixed_rows import batch_of, instance_of, replica_of, request_of
from sim.engine.compiled.fixed_state import NONE, Stage
from sim.engine.compiled.memory import int_at, ints_at, set_int
from sim.engine.compiled.rows import given_fleet
from sim.engine.compiled.tournament import earliest_ns, first_due, set_moment

__all__ = ["admit", "ask_replicas", "decide_replica", "take_in_batch", "touch", "withdraw"]


# Changes


@register_jitable(forceinline=True)
def touch(t, serial, now_ns):
    """Let a replica at which something has changed decide in this instant: the first one is remembered, others ask."""
    if t.run.touched == NONE:
        t.run.touched = serial
    elif t.run.touched != serial:
        set_moment(t.asks, t.asks_leaves, serial, now_ns)


@register_jitable(forceinline=True)
def take_in_batch(g, t, place, now_ns):
    """Let a batch return, and answer its members."""
    given, instance = given_fleet(g, 0), instance_of(t, place)
    index, serial = instance.batch, place // given.instances
    replica, batch = replica_of(t, serial), batch_of(t, index)
    instance.batch = NONE
    replica.idle += 1
    replica.running -= 1
    set_int(t.outstanding, serial, int_at(t.outstanding, serial) - batch.count)
    touch(t, serial, now_ns)
    request, may_fail = batch.request, given.error_share > 0
    for _ in range(batch.count):
        row = request_of(t, request)
        behind = row.next
        if row.stage != Stage.ENDED:
            outcome = Outcome.ANSWERED.value
            if may_fail and happens(given.error_share, SHARE_ONE, die(g.run.seed, Stream.ERROR.value, request, 0)):
                outcome = Outcome.FAILED.value
            respond(g, t, row, outcome, now_ns)
        row.stage = Stage.GONE.value
        request = behind
    batch.next = t.run.free_batch
    t.run.free_batch = index


@register_jitable
def withdraw(t, row, now_ns):
    """Take out a request that ended early, if its place can be freed: it is the first one that waits at its replica."""
    if not deadlines.frees_its_place(row.stage == Stage.FROZEN):
        row.stage = Stage.ENDED.value
        return
    row.stage = Stage.GONE.value
    replica = replica_of(t, row.replica)
    replica.head = row.next
    if row.next == NONE:
        replica.tail = NONE
    if replica.held > 0:
        replica.held -= 1
    else:
        replica.queued -= 1
    replica.waiting -= 1
    set_int(t.outstanding, row.replica, int_at(t.outstanding, row.replica) - 1)
    touch(t, row.replica, now_ns)


# Decisions


@register_jitable(forceinline=True)
def admit(g, t, row, request, now_ns):
    """Give a request to a replica, or refuse it; return the serial of the replica if it is to decide, else NONE."""
    run, given = t.run, given_fleet(g, 0)
    bits = 0
    if t.replicas_count > 1 and routing.uses_die(given.routing):
        bits = route_die(g.run.seed, request, 0)
    after, serial = routing.choose(
        given.routing,
        routing.RoutingState(run.routed_last),
        ints_at(t.serials, 0, t.replicas_count),
        ints_at(t.outstanding, 0, t.replicas_count),
        t.replicas_count,
        bits,
    )
    run.routed_last = after.last
    replica = replica_of(t, serial)
    if admission.decide(given.admission, admission.AdmissionView(replica.waiting, False)) != Reason.NONE:
        respond(g, t, row, Outcome.REFUSED.value, now_ns)
        row.stage = Stage.GONE.value
        return NONE
    row.stage = Stage.WAITING.value
    row.replica = serial
    row.placed_ns = now_ns
    row.next = NONE
    if replica.tail == NONE:
        replica.head = request
    else:
        request_of(t, replica.tail).next = request
    replica.tail = request
    replica.queued += 1
    replica.waiting += 1
    set_int(t.outstanding, serial, int_at(t.outstanding, serial) + 1)
    run.hang_up_ns = min(run.hang_up_ns, row.intended_ns + t.patience_ns)
    return NONE if replica.can_wait else serial


@register_jitable
def ask_replicas(g, t, now_ns):
    """Let the replicas decide that have seen a change or asked for this moment."""
    run = t.run
    serial = run.touched
    run.touched = NONE
    if serial != NONE and earliest_ns(t.asks) <= now_ns:  # not the only one
        set_moment(t.asks, t.asks_leaves, serial, now_ns)
        serial = NONE
    if serial == NONE:
        serial = _first_that_asks(t, now_ns)
    while serial != NONE:
        set_moment(t.asks, t.asks_leaves, serial, decide_replica(g, t, serial, now_ns))
        serial = _first_that_asks(t, now_ns)


@register_jitable(forceinline=True)
def _first_that_asks(t, now_ns):
    """Return the lowest serial of the replicas that asked for this moment, NONE if none did."""
    return first_due(t.asks, t.asks_leaves, now_ns) if earliest_ns(t.asks) <= now_ns else NONE


@register_jitable(forceinline=True)
def decide_replica(g, t, serial, now_ns):
    """Hand over and close batches until nothing more is to be decided; return when to ask again at the latest."""
    given, replica = given_fleet(g, 0), replica_of(t, serial)
    rule = given.batching
    if replica.parked > 0:
        _hand_over(g, t, serial, now_ns)
    while True:
        view = _view(t, rule, replica)
        state, decision = batching.step(
            rule, batching.CollectorState(replica.opened_ns, replica.first_taken_ns), view, now_ns
        )
        replica.opened_ns = state.opened_ns
        replica.first_taken_ns = state.first_taken_ns
        replica.queued -= decision.collect
        replica.held += decision.collect
        if decision.close > 0:
            _close(g, t, serial, decision.close, now_ns)
        if batching.is_settled(rule, decision):
            replica.can_wait = batching.can_wait(rule, _view(t, rule, replica))
            return decision.ask_again_ns


@register_jitable(forceinline=True)
def _view(t, rule, replica):
    """Return what the collector of a replica sees."""
    oldest_ns = UNSET if replica.head == NONE else request_of(t, replica.head).placed_ns
    is_idle = replica.idle > 0
    return batching.CollectorView(
        batching.may_collect(rule, is_idle, is_idle),
        replica.held,
        replica.queued,
        oldest_ns,
        replica.parked,
        replica.running,
    )


@register_jitable(forceinline=True)
def _close(g, t, serial, size, now_ns):
    """Freeze the front of the hand as a batch, and hand it over where that can be."""
    run, replica = t.run, replica_of(t, serial)
    index = run.free_batch
    if index != NONE:
        run.free_batch = batch_of(t, index).next
    else:
        index = run.batches
        run.batches += 1
    batch = batch_of(t, index)
    batch.request = replica.head
    batch.count = size
    batch.next = NONE
    behind, largest = replica.head, 0
    for _ in range(size):
        row = request_of(t, behind)
        row.stage = Stage.FROZEN.value
        largest = max(largest, row.size)
        behind = row.next
    batch.largest = largest
    replica.head = behind
    if behind == NONE:
        replica.tail = NONE
    replica.held -= size
    if replica.parked == 0:
        replica.first_parked = index
    else:
        batch_of(t, replica.last_parked).next = index
    replica.last_parked = index
    replica.parked += 1
    _hand_over(g, t, serial, now_ns)


@register_jitable(forceinline=True)
def _hand_over(g, t, serial, now_ns):
    """Hand closed batches to idle instances, oldest batch first, to the lowest idle instance."""
    given, replica = given_fleet(g, 0), replica_of(t, serial)
    while replica.parked > 0 and replica.idle > 0 and batching.may_hand_over(given.batching, replica.running):
        place = serial * given.instances
        while instance_of(t, place).batch != NONE:
            place += 1
        index = replica.first_parked
        batch = batch_of(t, index)
        replica.first_parked = batch.next
        replica.parked -= 1
        instance_of(t, place).batch = index
        replica.idle -= 1
        replica.running += 1
        replica.waiting -= batch.count
        _start_pass(g, t, place, batch, now_ns)


@register_jitable(forceinline=True)
def _start_pass(g, t, place, batch, now_ns):
    """Send a batch to its instance."""
    given, seed, first = given_fleet(g, 0), g.run.seed, batch.request
    spread = roll(g.knots, given.spread, seed, Stream.PASS_SPREAD.value, first, 0)
    batch.started_ns = now_ns + roll(g.knots, given.batch_in, seed, Stream.BATCH_IN.value, first, 0)
    batch.ended_ns = batch.started_ns + pass_ns(given.pass_time, batch.count, batch.largest, spread)
    count_pass(g.run, t, batch, 1)
    out_ns = roll(g.knots, given.results_out, seed, Stream.RESULTS_OUT.value, first, 0)
    set_moment(t.ends, t.ends_leaves, place, batch.ended_ns + out_ns)
