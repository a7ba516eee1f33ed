"""The versions in the compiled engine: which one takes a request, who gets a copy, what a rollout makes of that.

It does what process_versions.py does, with rows for objects.
"""

from __future__ import annotations

from numba.extending import register_jitable
from numba.np.unsafe.ndarray import to_fixed_tuple

from policy import deadlines, orders, rollout, versions
from policy.dice import Stream
from policy.instant import NEVER_NS, UNSET
from policy.orders import OrderKind, Refusal
from policy.rollout import Action
from policy.timeline import Outcome, Reason
from policy.versions import VersionWeights
from sim.engine.compiled.calendar import next_ns, pop, push, top
from sim.engine.compiled.devices import end_attempt, free_attempt, new_copy
from sim.engine.compiled.dice import die
from sim.engine.compiled.fleet import (
    admit,
    begin_to_scale,
    let_go,
    place_held,
    scale,
    scale_for_held,
    unhold,
    want,
)
from sim.engine.compiled.memory import int_at, row_at, set_int
from sim.engine.compiled.replica import decide_replica, touch, withdraw_from_replica
from sim.engine.compiled.rows import attempt_of, fleet_of, given_fleet, replica_of
from sim.engine.compiled.state import MOVE, NONE, ORDER, SHARE

__all__ = ["begin_shares", "decide", "withdraw"]

_ROLLOUT_LENGTH = len(rollout.RolloutState._fields)


@register_jitable
def begin_shares(t, now_ns):
    """Write down what each version gets at the start."""
    for version in range(t.versions):
        state = fleet_of(t, version)
        state.told_weight = state.weight
        state.told_shadow = state.shadow
        _log_share(t, now_ns, version)


@register_jitable
def withdraw(t, slot):
    """Take out an attempt that ended early, if its place can be freed; return whether it was."""
    attempt = attempt_of(t, slot)
    if attempt.replica == UNSET:
        unhold(t, attempt.version, slot)
        return True
    if not deadlines.frees_its_place(attempt.batch != NONE):
        return False
    withdraw_from_replica(t, slot)
    return True


@register_jitable
def decide(g, t, now_ns):
    """Decide until nothing more is to be decided; return when to decide again at the latest."""
    run, given = t.run, g.run
    fleets = given.versions
    ordered = run.orders_now
    for number in range(run.next_order - ordered, run.next_order):
        _carry_out(g, t, row_at(g.orders, number, ORDER), now_ns)
    run.orders_now = 0
    for version in range(fleets):
        scale(g, t, version, now_ns)
    if given.has_rollout:
        _roll_out(g, t, ordered > 0, now_ns)
    for version in range(fleets):
        if fleet_of(t, version).held > 0:
            place_held(g, t, version, now_ns)
    for place in range(run.arrived):
        _take_in(g, t, int_at(t.arrived, place), now_ns)
    run.arrived = 0
    for version in range(fleets):
        scale_for_held(g, t, version, now_ns)
    return min(run.rollout_asks_ns, _serve(g, t, now_ns))


@register_jitable(forceinline=True)
def _take_in(g, t, slot, now_ns):
    """Let a version admit an arrival, and the shadow versions copies of it."""
    given, attempt = g.run, attempt_of(t, slot)
    version = given.stable
    if given.versions > 1:
        version = versions.choose(_weights(g, t), attempt.key_bits, attempt.pinned)
    if fleet_of(t, version).loaded:
        attempt.version = version
        reason = admit(g, t, version, slot, now_ns)
    else:
        attempt.enqueued_ns = now_ns
        reason = Reason.NOT_LOADED.value
    _admission_decided(g, t, slot, reason, now_ns)
    if given.versions > 1:
        _take_in_copies(g, t, slot, now_ns)
    if reason != Reason.NONE:
        free_attempt(g, t, slot)


@register_jitable
def _take_in_copies(g, t, slot, now_ns):
    """Send copies of a request to the shadow versions."""
    given, attempt = g.run, attempt_of(t, slot)
    for version in range(given.versions):
        state = fleet_of(t, version)
        if state.shadow == 0 or version == attempt.version or not state.loaded:
            continue
        if versions.shadows(state.shadow, die(given.seed, Stream.COPY.value, attempt.request, version)):
            copy = new_copy(t, slot, version)
            reason = admit(g, t, version, copy, now_ns)
            _admission_decided(g, t, copy, reason, now_ns)
            if reason != Reason.NONE:
                free_attempt(g, t, copy)


@register_jitable(forceinline=True)
def _admission_decided(g, t, slot, reason, now_ns):
    """Answer an arrival that was refused; note how long one that was taken may last."""
    attempt = attempt_of(t, slot)
    if reason != Reason.NONE:
        end_attempt(g, t, slot, Outcome.REFUSED.value, reason, now_ns)
        return
    due_ns = deadlines.due_ns(given_fleet(g, attempt.version).deadline, now_ns)
    if due_ns != NEVER_NS:
        push(t.deadlines, due_ns, 0, slot, attempt.born, 0, 0, 0)
    if attempt.hang_up_ns != NEVER_NS:
        push(t.hang_ups, attempt.hang_up_ns, 0, slot, attempt.born, 0, 0, 0)


@register_jitable(forceinline=True)
def _serve(g, t, now_ns):
    """Let the replicas decide at which something has changed or that asked for now; return when to ask again."""
    run = t.run
    while next_ns(t.asks) <= now_ns:
        serial = top(t.asks).a
        at_ns = top(t.asks).at_ns
        pop(t.asks)
        if replica_of(t, serial).ask_again_ns == at_ns:
            touch(t, serial)
    if run.touched > 1:
        _sort_touched(t)
    for place in range(run.touched):
        serial = int_at(t.touched, place)
        replica_of(t, serial).is_touched = 0
        if replica_of(t, serial).gone_ns == UNSET:
            decide_replica(g, t, serial, now_ns)
    run.touched = 0
    ask_again_ns = NEVER_NS
    for version in range(g.run.versions):
        state = fleet_of(t, version)
        if state.draining > 0:
            let_go(t, version, now_ns)
        if state.loaded:
            ask_again_ns = min(ask_again_ns, state.asks_ns)
    # Those that have another moment by now, or none, or are gone, are passed over.
    while True:
        at_ns = next_ns(t.asks)
        if at_ns == NEVER_NS:
            break
        serial = top(t.asks).a
        if replica_of(t, serial).ask_again_ns == at_ns and replica_of(t, serial).gone_ns == UNSET:
            ask_again_ns = min(ask_again_ns, at_ns)
            break
        pop(t.asks)
    return ask_again_ns


@register_jitable
def _sort_touched(t):
    """Put the replicas in the order of their versions, then of their serials: there are few."""
    for place in range(1, t.run.touched):
        serial = int_at(t.touched, place)
        version = replica_of(t, serial).version
        before = place
        while before > 0:
            other = int_at(t.touched, before - 1)
            of = replica_of(t, other).version
            if of < version or (of == version and other < serial):
                break
            set_int(t.touched, before, other)
            before -= 1
        set_int(t.touched, before, serial)


# Orders and rollouts


@register_jitable(forceinline=True)
def _weights(g, t):
    """Return the weights of the versions as the rules take them."""
    given = g.run
    row = (
        _weight(t, 0),
        _weight(t, 1),
        _weight(t, 2),
        _weight(t, 3),
        _weight(t, 4),
        _weight(t, 5),
        _weight(t, 6),
        _weight(t, 7),
    )
    return VersionWeights(row, given.versions, given.stable, given.canary)


@register_jitable(forceinline=True)
def _weight(t, version):
    return fleet_of(t, version).weight if version < t.versions else 0


@register_jitable
def _keep_weights(t, weights):
    for version in range(t.versions):
        fleet_of(t, version).weight = weights.weights[version]


@register_jitable
def _carry_out(g, t, order, now_ns):
    """Carry out an order, or do nothing if it is refused."""
    view = _order_view(g, t, order)
    what = orders.Order(order.kind, order.version, order.value)
    if orders.refusal(view, what) != Refusal.NONE:
        return
    if order.kind == OrderKind.ROLLOUT:
        _command(g, t, view, what, now_ns)
        return
    if order.kind == OrderKind.DEPLOY:
        _deploy(g, t, order.version, now_ns)
    elif order.kind == OrderKind.RETIRE:
        fleet_of(t, order.version).loaded = 0
        want(g, t, order.version, 0, 0, now_ns)
    elif order.kind == OrderKind.SHADOW:
        fleet_of(t, order.version).shadow = order.value
    else:
        _keep_weights(t, versions.with_weight(_weights(g, t), order.version, order.value))
    _tell_shares(t, now_ns)


@register_jitable
def _deploy(g, t, version, now_ns):
    """Order the replicas with which a version begins."""
    fleet_of(t, version).loaded = 1
    begin_to_scale(g, t, version, now_ns)
    want(g, t, version, given_fleet(g, version).replicas, 0, now_ns)


@register_jitable
def _command(g, t, view, order, now_ns):
    memory, decision = rollout.command(g.rollout, _rollout_of(t), order.value, now_ns)
    _keep_rollout(t, memory)
    if decision.action == Action.REFUSE:
        return
    if orders.deploys(view, order):
        _deploy(g, t, g.run.canary, now_ns)
    _move(g, t, decision, now_ns)


@register_jitable
def _roll_out(g, t, is_called, now_ns):
    """Ask the rollout if its moment has come, or if anything that it waits for may have changed."""
    run, given = t.run, g.run
    new, old = fleet_of(t, given.canary), fleet_of(t, given.stable)
    seen = run.readiness
    is_same = seen[0] == new.ready and seen[1] == new.wanted and seen[2] == old.ready and seen[3] == old.wanted
    if is_same and not is_called and now_ns < run.rollout_asks_ns:
        return
    seen[0] = new.ready
    seen[1] = new.wanted
    seen[2] = old.ready
    seen[3] = old.wanted
    view = rollout.RolloutView(
        new.ended_well,
        new.ended_badly,
        new.ended_slowly,
        old.ended_well,
        old.ended_badly,
        old.ended_slowly,
        new.ready,
        new.wanted,
        old.ready,
        old.wanted,
    )
    memory, decision = rollout.step(g.rollout, _rollout_of(t), view, now_ns)
    _keep_rollout(t, memory)
    run.rollout_asks_ns = decision.ask_again_ns
    if decision.action != Action.NONE:
        _move(g, t, decision, now_ns)


@register_jitable
def _move(g, t, decision, now_ns):
    """Give the canary what the rollout has decided."""
    run, given = t.run, g.run
    _keep_weights(t, versions.with_canary(_weights(g, t), decision.weight))
    fleet_of(t, given.canary).shadow = decision.shadow
    row = row_at(t.moves, run.moves, MOVE)
    run.moves += 1
    row.at_ns = now_ns
    row.action = decision.action.value
    row.cause = decision.cause.value
    row.phase = run.rollout[0]
    row.step = run.rollout[1]
    row.weight = decision.weight
    row.shadow = decision.shadow
    _tell_shares(t, now_ns)


@register_jitable
def _tell_shares(t, now_ns):
    for version in range(t.versions):
        state = fleet_of(t, version)
        if state.weight != state.told_weight or state.shadow != state.told_shadow:
            state.told_weight = state.weight
            state.told_shadow = state.shadow
            _log_share(t, now_ns, version)


@register_jitable
def _log_share(t, now_ns, version):
    run, state = t.run, fleet_of(t, version)
    row = row_at(t.shares, run.shares, SHARE)
    run.shares += 1
    row.at_ns = now_ns
    row.version = version
    row.weight = state.weight
    row.shadow = state.shadow


@register_jitable
def _order_view(g, t, order):
    given, run = g.run, t.run
    named = 0 <= order.version < given.versions
    version = order.version if named else given.stable
    state = fleet_of(t, version)
    canary_loaded = False
    if given.canary != UNSET:
        canary_loaded = fleet_of(t, given.canary).loaded == 1
    return orders.OrderView(
        given.versions,
        given.stable,
        given.canary,
        given.has_rollout == 1,
        run.rollout[0],
        canary_loaded,
        fleet_of(t, given.stable).loaded == 1,
        fleet_of(t, given.stable).weight,
        state.weight if named else 0,
        state.shadow if named else 0,
        named and state.loaded == 1,
        state.held if named else 0,
    )


@register_jitable
def _rollout_of(t):
    return rollout.RolloutState(*to_fixed_tuple(t.run.rollout, _ROLLOUT_LENGTH))


@register_jitable
def _keep_rollout(t, memory):
    row = t.run.rollout
    for place in range(_ROLLOUT_LENGTH):
        row[place] = memory[place]
