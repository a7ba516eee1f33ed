"""One replica in the compiled engine: its queue, its collectors' hands, its closed batches and its idle instances.

It does what process_replica.py does, with rows for objects. `t` is a row of TABLES, `g` one of GIVEN.
"""

from __future__ import annotations

from numba.extending import register_jitable

from policy import admission, batching
from policy.instant import NEVER_NS, UNSET
from sim.engine.compiled.calendar import heap_push
from sim.engine.compiled.chains import append, cut, unlink
from sim.engine.compiled.devices import start_pass
from sim.engine.compiled.memory import set_int
from sim.engine.compiled.rows import (
    add_outstanding,
    attempt_of,
    batch_of,
    collector_of,
    fleet_of,
    given_fleet,
    instance_of,
    replica_of,
)
from sim.engine.compiled.state import NONE

__all__ = [
    "become_ready",
    "break_down",
    "decide_replica",
    "enqueue",
    "refusal",
    "take_back",
    "touch",
    "withdraw_from_replica",
]


@register_jitable(forceinline=True)
def touch(t, serial):
    """Note that something has changed at a replica: it is asked in this instant's decision."""
    replica = replica_of(t, serial)
    if replica.is_touched == 0:
        replica.is_touched = 1
        run = t.run
        set_int(t.touched, run.touched, serial)
        run.touched += 1


@register_jitable(forceinline=True)
def refusal(g, t, serial):
    """Return why the queue would not take one more request."""
    replica = replica_of(t, serial)
    return admission.decide(given_fleet(g, replica.version).admission, admission.AdmissionView(replica.waiting, False))


@register_jitable(forceinline=True)
def enqueue(t, serial, slot, now_ns):
    """Take an attempt that was admitted."""
    attempt, replica = attempt_of(t, slot), replica_of(t, serial)
    if replica.can_wait == 0:
        touch(t, serial)
    attempt.replica = serial
    attempt.placed_ns = now_ns
    append(t, replica, slot, slot)
    replica.queued += 1
    replica.waiting += 1
    fleet_of(t, replica.version).waiting += 1
    if replica.place != NONE:
        add_outstanding(t, replica.version, replica.place, 1)


@register_jitable
def withdraw_from_replica(t, slot):
    """Take an attempt that is not in a frozen batch out of the queue or the hand that holds it."""
    attempt = attempt_of(t, slot)
    replica = replica_of(t, attempt.replica)
    if attempt.collector == UNSET:
        unlink(t, replica, attempt)
        replica.queued -= 1
    else:
        hand = collector_of(t, attempt.replica, attempt.collector)
        unlink(t, hand, attempt)
        hand.held -= 1
    replica.waiting -= 1
    fleet_of(t, replica.version).waiting -= 1
    if replica.place != NONE:
        add_outstanding(t, replica.version, replica.place, -1)
    touch(t, attempt.replica)


@register_jitable(forceinline=True)
def take_back(t, index, now_ns):
    """Note that an instance has returned its batch and is idle."""
    batch = batch_of(t, index)
    instance = instance_of(t, batch.replica, batch.instance)
    instance.idle_since_ns = now_ns
    replica_of(t, batch.replica).idle += 1
    _end_pass(t, index, now_ns)


@register_jitable(forceinline=True)
def _end_pass(t, index, now_ns):
    batch = batch_of(t, index)
    replica, fleet = replica_of(t, batch.replica), fleet_of(t, batch.version)
    batch.returned_ns = now_ns
    instance_of(t, batch.replica, batch.instance).running = NONE
    replica.running -= 1
    replica.carried -= batch.count
    fleet.carried -= batch.count
    fleet.running -= 1
    fleet.running_since_ns -= batch.handed_ns
    fleet.busy_ns += now_ns - batch.handed_ns
    if replica.place != NONE:
        add_outstanding(t, batch.version, replica.place, -batch.count)
    touch(t, batch.replica)


@register_jitable
def break_down(t, serial, place, now_ns):
    """Note that an instance is gone; return the batch that is lost with it, NONE without one."""
    instance, replica = instance_of(t, serial, place), replica_of(t, serial)
    if instance.idle_since_ns != UNSET:
        instance.idle_since_ns = UNSET
        replica.idle -= 1
    index = instance.running
    if index != NONE:
        batch = batch_of(t, index)
        batch.is_lost = 1
        batch.started_ns = UNSET
        batch.ended_ns = UNSET
        _end_pass(t, index, now_ns)
    touch(t, serial)
    return index


@register_jitable
def become_ready(t, serial, place, now_ns):
    """Note that an instance can take batches: for the first time, or again after it had broken down."""
    replica, instance = replica_of(t, serial), instance_of(t, serial, place)
    if replica.starting > 0:
        # The instances of a replica start for the first time together, before one can crash.
        replica.starting -= 1
    if instance.idle_since_ns == UNSET:
        replica.idle += 1
    instance.idle_since_ns = now_ns
    touch(t, serial)


@register_jitable(forceinline=True)
def decide_replica(g, t, serial, now_ns):
    """Hand over and close batches until nothing more is to be decided, and note when to ask again."""
    replica = replica_of(t, serial)
    fleet = given_fleet(g, replica.version)
    if replica.parked > 0:
        _hand_over(g, t, serial, now_ns)
    index = replica.took_last
    quiet = 0
    while quiet < fleet.collectors:
        index += 1
        if index == fleet.collectors:
            index = 0
        if _ask(g, t, serial, index, now_ns):
            quiet += 1
        else:
            quiet = 0
    replica.can_wait = fleet.collectors == 1 and batching.can_wait(fleet.batching, _view(g, t, serial, 0))
    ask_again_ns = collector_of(t, serial, 0).ask_again_ns
    for collector in range(1, fleet.collectors):
        ask_again_ns = min(ask_again_ns, collector_of(t, serial, collector).ask_again_ns)
    if ask_again_ns != replica.ask_again_ns:
        replica.ask_again_ns = ask_again_ns
        if ask_again_ns != NEVER_NS:
            heap_push(t.asks, ask_again_ns, 0, serial, 0, 0, 0, 0)


@register_jitable
def _hand_over(g, t, serial, now_ns):
    """Hand closed batches to idle instances, oldest batch first."""
    replica = replica_of(t, serial)
    fleet = given_fleet(g, replica.version)
    while replica.parked > 0 and batching.may_hand_over(fleet.batching, replica.running):
        index = replica.parked_head
        batch = batch_of(t, index)
        wanted = batch.instance
        if wanted == UNSET:
            wanted = _lowest_idle(fleet, t, serial)
        if wanted == UNSET or instance_of(t, serial, wanted).idle_since_ns == UNSET:
            return
        replica.parked_head = batch.next
        if batch.next == NONE:
            replica.parked_tail = NONE
        replica.parked -= 1
        instance = instance_of(t, serial, wanted)
        batch.instance = wanted
        batch.handed_ns = now_ns
        batch.idle_since_ns = instance.idle_since_ns
        instance.idle_since_ns = UNSET
        instance.running = index
        replica.idle -= 1
        replica.running += 1
        replica.waiting -= batch.count
        replica.carried += batch.count
        state = fleet_of(t, batch.version)
        state.waiting -= batch.count
        state.carried += batch.count
        state.running += 1
        state.running_since_ns += now_ns
        start_pass(g, t, index, now_ns)


@register_jitable(forceinline=True)
def _lowest_idle(fleet, t, serial):
    if replica_of(t, serial).idle > 0:
        for place in range(fleet.instances):
            if instance_of(t, serial, place).idle_since_ns != UNSET:
                return place
    return UNSET


@register_jitable(forceinline=True)
def _view(g, t, serial, index):
    """Return what a collector sees."""
    replica, collector = replica_of(t, serial), collector_of(t, serial, index)
    fleet = given_fleet(g, replica.version)
    oldest_ns = UNSET
    if collector.head != NONE:
        oldest_ns = attempt_of(t, collector.head).placed_ns
    elif replica.head != NONE:
        oldest_ns = attempt_of(t, replica.head).placed_ns
    own_is_idle = False
    if index < fleet.instances:
        own_is_idle = instance_of(t, serial, index).idle_since_ns != UNSET
    return batching.CollectorView(
        batching.may_collect(fleet.batching, replica.idle > 0, own_is_idle),
        collector.held,
        replica.queued,
        oldest_ns,
        replica.parked,
        replica.running,
    )


@register_jitable(forceinline=True)
def _ask(g, t, serial, index, now_ns):
    """Ask one collector and carry out what it decides; return whether it decides nothing more."""
    replica, collector = replica_of(t, serial), collector_of(t, serial, index)
    rule = given_fleet(g, replica.version).batching
    view = _view(g, t, serial, index)
    state, decision = batching.step(
        rule, batching.CollectorState(collector.opened_ns, collector.first_taken_ns), view, now_ns
    )
    collector.opened_ns = state.opened_ns
    collector.first_taken_ns = state.first_taken_ns
    collector.ask_again_ns = decision.ask_again_ns
    if decision.collect > 0:
        _collect(t, replica, collector, index, decision.collect)
    if decision.close > 0:
        _close(g, t, serial, index, decision.close, decision.cause.value, now_ns)
    return batching.is_settled(rule, decision)


@register_jitable(forceinline=True)
def _collect(t, replica, collector, index, count):
    """Move the front of the queue behind the hand."""
    first = replica.head
    last = first
    attempt_of(t, last).collector = index
    for _ in range(count - 1):
        last = attempt_of(t, last).next
        attempt_of(t, last).collector = index
    cut(t, replica, last)
    replica.queued -= count
    replica.took_last = index
    append(t, collector, first, last)
    collector.held += count


@register_jitable(forceinline=True)
def _close(g, t, serial, index, size, cause, now_ns):
    """Freeze the front of a hand as a batch, and hand it over where that can be."""
    replica, collector, run = replica_of(t, serial), collector_of(t, serial, index), t.run
    place = run.free_batch
    if place != NONE:
        run.free_batch = batch_of(t, place).next
    else:
        place = run.batches
        run.batches += 1
    batch = batch_of(t, place)
    first = collector.head
    last = first
    attempt_of(t, last).batch = place
    for _ in range(size - 1):
        last = attempt_of(t, last).next
        attempt_of(t, last).batch = place
    cut(t, collector, last)
    collector.held -= size
    batch.serial = run.passes
    run.passes += 1
    batch.version = replica.version
    batch.replica = serial
    batch.head = first
    batch.count = size
    batch.cause = cause
    batch.instance = batching.own_instance(given_fleet(g, replica.version).batching, index)
    batch.idle_since_ns = UNSET
    batch.closed_ns = now_ns
    batch.handed_ns = UNSET
    batch.started_ns = UNSET
    batch.ended_ns = UNSET
    batch.returned_ns = UNSET
    batch.is_lost = 0
    batch.is_blocking = 0
    batch.crash = UNSET
    batch.request = attempt_of(t, first).request
    batch.attempt = attempt_of(t, first).attempt
    batch.next = NONE
    if replica.parked_tail == NONE:
        replica.parked_head = place
    else:
        batch_of(t, replica.parked_tail).next = place
    replica.parked_tail = place
    replica.parked += 1
    _hand_over(g, t, serial, now_ns)
