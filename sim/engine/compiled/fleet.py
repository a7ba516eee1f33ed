"""The fleet of one version in the compiled engine: which replica takes what, how many there are, what waits in front.

It does what process_fleet.py does, with rows for objects.
"""

from __future__ import annotations

from numba.extending import register_jitable
from numba.np.unsafe.ndarray import to_fixed_tuple

from policy import admission, autoscaling, fleet, routing
from policy.fleet import Stage
from policy.instant import NEVER_NS, UNSET
from policy.timeline import Reason
from sim.engine.compiled.chains import append, unlink
from sim.engine.compiled.devices import slow_by_die, start_later
from sim.engine.compiled.dice import route_die
from sim.engine.compiled.memory import int_at, ints_at, row_at, set_int
from sim.engine.compiled.replica import become_ready, enqueue, refusal, touch
from sim.engine.compiled.rows import attempt_of, collector_of, fleet_of, given_fleet, instance_of, replica_of
from sim.engine.compiled.state import NONE, SCALING

__all__ = [
    "admit",
    "begin_fleet",
    "begin_to_scale",
    "instance_ready",
    "let_go",
    "log_scaling",
    "place_held",
    "scale",
    "scale_for_held",
    "unhold",
    "want",
]

_AUTOSCALER_LENGTH = len(autoscaling.AutoscalerState._fields)


@register_jitable
def begin_fleet(g, t, version, now_ns):
    """Let a version begin with the replicas that are ready at the first moment."""
    state, given = fleet_of(t, version), given_fleet(g, version)
    state.head = NONE
    state.tail = NONE
    state.loaded = given.is_loaded
    state.routed_last = routing.fresh_routing().last
    begin_to_scale(g, t, version, now_ns)
    state.wanted = given.replicas if given.is_loaded else 0
    log_scaling(t, now_ns, version, state.wanted, 0)
    for _ in range(state.wanted):
        serial = _add(g, t, version, now_ns)
        for place in range(given.instances):
            instance_ready(g, t, serial, place, now_ns)


@register_jitable
def begin_to_scale(g, t, version, now_ns):
    """Let the autoscaler begin with nothing in its memory."""
    state = fleet_of(t, version)
    _keep_autoscaler(state, autoscaling.fresh_autoscaler(given_fleet(g, version).autoscaler, now_ns))
    ints_at(t.histories, version * t.history_length, t.history_length)[:] = 0
    state.asks_ns = now_ns


@register_jitable
def _keep_autoscaler(state, memory):
    row = state.autoscaler
    for place in range(_AUTOSCALER_LENGTH):
        row[place] = memory[place]


@register_jitable
def _autoscaler_of(state):
    return autoscaling.AutoscalerState(*to_fixed_tuple(state.autoscaler, _AUTOSCALER_LENGTH))


@register_jitable
def log_scaling(t, now_ns, version, wanted, cause):
    """Write down how many replicas of a version are wanted from now on."""
    run = t.run
    row = row_at(t.scalings, run.scalings, SCALING)
    run.scalings += 1
    row.at_ns = now_ns
    row.version = version
    row.wanted = wanted
    row.cause = cause


# Changes


@register_jitable
def instance_ready(g, t, serial, place, now_ns):
    """Note that an instance can take batches."""
    become_ready(t, serial, place, now_ns)
    replica = replica_of(t, serial)
    if replica.stage == Stage.STARTING and replica.starting == 0:
        replica.ready_ns = now_ns
        _move_on(t, serial, Stage.READY.value)


@register_jitable
def unhold(t, version, slot):
    """Take an attempt out of those that wait in front of the fleet."""
    state = fleet_of(t, version)
    unlink(t, state, attempt_of(t, slot))
    state.held -= 1


# Decisions


@register_jitable(forceinline=True)
def scale(g, t, version, now_ns):
    """Ask the autoscaler if its moment has come."""
    state = fleet_of(t, version)
    if state.loaded and now_ns >= state.asks_ns:
        _ask_autoscaler(g, t, version, now_ns)


@register_jitable
def _ask_autoscaler(g, t, version, now_ns):
    state = fleet_of(t, version)
    waiting = state.held + state.waiting
    view = autoscaling.FleetView(
        waiting,
        waiting + state.carried,
        state.arrived,
        state.busy_ns + state.running * now_ns - state.running_since_ns,
        state.ready,
        state.starting,
        state.wanted,
    )
    memory, decision = autoscaling.step(
        given_fleet(g, version).autoscaler,
        _autoscaler_of(state),
        ints_at(t.histories, version * t.history_length, t.history_length),
        view,
        now_ns,
    )
    _keep_autoscaler(state, memory)
    state.asks_ns = decision.ask_again_ns
    want(g, t, version, decision.wanted, decision.cause.value, now_ns)


@register_jitable
def want(g, t, version, wanted, cause, now_ns):
    """Order and drain replicas if another number is wanted from now on."""
    state, given = fleet_of(t, version), given_fleet(g, version)
    if wanted == state.wanted:
        return
    state.wanted = wanted
    log_scaling(t, now_ns, version, wanted, cause)
    for _ in range(fleet.missing(wanted, state.starting, state.ready)):
        serial = _add(g, t, version, now_ns)
        for place in range(given.instances):
            start_later(g, t, serial, place, 0, now_ns)
    while True:
        for place in range(state.members):
            replica = replica_of(t, int_at(t.members, version * t.replicas_room + place))
            set_int(t.scratch, place, replica.stage)
            set_int(t.scratch, t.replicas_room + place, replica.waiting + replica.carried)
        place = fleet.next_to_drain(
            given.drain,
            wanted,
            ints_at(t.scratch, 0, state.members),
            ints_at(t.scratch, t.replicas_room, state.members),
            state.members,
        )
        if place == UNSET:
            return
        serial = int_at(t.members, version * t.replicas_room + place)
        replica_of(t, serial).drained_ns = now_ns
        _move_on(t, serial, Stage.DRAINING.value)


@register_jitable
def _add(g, t, version, now_ns):
    """Add a replica with the next serial."""
    run, state, given = t.run, fleet_of(t, version), given_fleet(g, version)
    serial = run.replicas
    run.replicas += 1
    replica = replica_of(t, serial)
    replica.version = version
    replica.ordered_ns = now_ns
    replica.ready_ns = UNSET
    replica.drained_ns = UNSET
    replica.gone_ns = UNSET
    replica.stage = Stage.STARTING.value
    replica.starting = given.instances
    replica.head = NONE
    replica.tail = NONE
    replica.took_last = given.collectors - 1
    replica.parked_head = NONE
    replica.parked_tail = NONE
    replica.ask_again_ns = NEVER_NS
    replica.place = NONE
    replica.can_wait = 0
    replica.is_slow = slow_by_die(g, version, serial) if given.slow_possible else 0
    for place in range(given.instances):
        instance = instance_of(t, serial, place)
        instance.idle_since_ns = UNSET
        instance.running = NONE
    for index in range(given.collectors):
        collector = collector_of(t, serial, index)
        collector.opened_ns = UNSET
        collector.first_taken_ns = UNSET
        collector.head = NONE
        collector.tail = NONE
        collector.ask_again_ns = NEVER_NS
    set_int(t.members, version * t.replicas_room + state.members, serial)
    state.members += 1
    state.starting += 1
    touch(t, serial)  # its collectors begin to collect now, before anything can come
    return serial


@register_jitable
def _move_on(t, serial, stage):
    """Note where a replica is in its life from now on."""
    replica = replica_of(t, serial)
    version = replica.version
    state = fleet_of(t, version)
    if replica.stage == Stage.STARTING:
        state.starting -= 1
    if stage == Stage.DRAINING:
        state.draining += 1
    replica.stage = stage
    replica.place = NONE
    state.ready = 0
    for place in range(state.members):
        other = replica_of(t, int_at(t.members, version * t.replicas_room + place))
        if other.stage == Stage.READY:
            other.place = state.ready
            set_int(
                t.ready, version * t.replicas_room + state.ready, int_at(t.members, version * t.replicas_room + place)
            )
            set_int(t.outstanding, version * t.replicas_room + state.ready, other.waiting + other.carried)
            state.ready += 1


@register_jitable(forceinline=True)
def _choose(g, t, version, slot):
    """Return the serial of the replica that takes an attempt, UNSET if none can, and what routing then remembers."""
    state, rule = fleet_of(t, version), given_fleet(g, version).routing
    bits = 0
    if state.ready > 1 and routing.uses_die(rule):
        attempt = attempt_of(t, slot)
        bits = route_die(g.run.seed, attempt.request, attempt.attempt)
    after, place = routing.choose(
        rule,
        routing.RoutingState(state.routed_last),
        ints_at(t.ready, version * t.replicas_room, t.replicas_room),
        ints_at(t.outstanding, version * t.replicas_room, t.replicas_room),
        state.ready,
        bits,
    )
    return (UNSET if place == UNSET else int_at(t.ready, version * t.replicas_room + place)), after.last


@register_jitable
def place_held(g, t, version, now_ns):
    """Send what is held to replicas, first come, first served, until one finds no place."""
    state = fleet_of(t, version)
    while state.held > 0:
        slot = state.head
        serial, last = _choose(g, t, version, slot)
        if serial == UNSET or refusal(g, t, serial) != Reason.NONE:
            return
        state.routed_last = last
        unhold(t, version, slot)
        enqueue(t, serial, slot, now_ns)


@register_jitable(forceinline=True)
def admit(g, t, version, slot, now_ns):
    """Give an arrival to a replica, hold it, or return why it is refused."""
    state, attempt = fleet_of(t, version), attempt_of(t, slot)
    state.arrived += 1
    attempt.enqueued_ns = now_ns
    serial = UNSET
    if state.held == 0:
        serial, state.routed_last = _choose(g, t, version, slot)
    if serial == UNSET:
        return _hold(g, t, version, slot)
    attempt.replica = serial
    reason = refusal(g, t, serial)
    if reason == Reason.NONE:
        enqueue(t, serial, slot, now_ns)
    return reason.value


@register_jitable
def _hold(g, t, version, slot):
    """Let an arrival wait in front of the fleet, or return why it may not."""
    state = fleet_of(t, version)
    reason = admission.may_hold(given_fleet(g, version).admission, state.held, False)
    if reason == Reason.NONE:
        append(t, state, slot, slot)
        state.held += 1
    return reason.value


@register_jitable(forceinline=True)
def scale_for_held(g, t, version, now_ns):
    """Ask the autoscaler at once if something is held that no replica is there or on its way for."""
    state = fleet_of(t, version)
    if state.held > 0 and state.starting + state.ready == 0:
        _ask_autoscaler(g, t, version, now_ns)


@register_jitable
def let_go(t, version, now_ns):
    """Let those go that drain and hold nothing."""
    state = fleet_of(t, version)
    kept = 0
    for place in range(state.members):
        serial = int_at(t.members, version * t.replicas_room + place)
        replica = replica_of(t, serial)
        if replica.stage == Stage.DRAINING and replica.waiting + replica.carried == 0:
            replica.stage = Stage.GONE.value
            replica.gone_ns = now_ns
            state.draining -= 1
        else:
            set_int(t.members, version * t.replicas_room + kept, serial)
            kept += 1
    state.members = kept
