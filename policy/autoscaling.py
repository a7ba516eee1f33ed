"""How many replicas to want: the whole rule of the autoscaler of one pool of replicas.

A tick takes the load of a window of samples, what the load asks for (policy/recommendation.py), and what the
recommendations, moves and needs of the last while allow: stabilisation, delays, cooldowns, step limits. A poll sends an
idle fleet to none and fetches it back; some systems fetch it back at once. Kubernetes HPA, KEDA, Knative, Ray Serve and
target tracking are settings of it (policy/autoscaler_presets.py).

The driver asks at the moment it was told, and in any instant in which no replica is there or starting and a request
waits. What is due, a sample, a tick or a poll, follows from the time: to ask more often changes nothing. A driver that
comes late takes one sample, and makes one tick, for all that it missed. What an instant has decided stands in it.

Samples, ticks and polls count as of the moment at which they were due. A timer is always late by some microseconds,
never by the same, and windows and delays are often whole numbers of periods: by the moments at which the driver came,
chance would decide whether a delay of four ticks takes four or five.
"""

from __future__ import annotations

from collections.abc import MutableSequence
from enum import IntEnum
from typing import NamedTuple

from policy.autoscaling_rule import (
    Activation,
    AutoscalingRule,
    Cooldown,
    Formula,
    Signal,
    ZeroFrom,
    moves_of,
    recommendations_of,
    samples_of,
)
from policy.instant import NEVER_NS, UNSET
from policy.recommendation import ceil_replicas, known_until_ns, load_of, recommend, within_rates
from policy.scaling_brakes import has_persisted, is_cooling, least_down, most_up, stabilised
from policy.windows import push, ring_length, size_of

__all__ = [
    "AutoscalerState",
    "AutoscalingRule",
    "Cause",
    "FleetView",
    "Scaling",
    "fresh_autoscaler",
    "history_length",
    "step",
]


class Cause(IntEnum):
    """Why the fleet is to change."""

    NONE = 0
    LOAD_UP = 1
    LOAD_DOWN = 2
    PANIC = 3  # the short window asked for more than the long one
    LIMIT = 4  # it was outside min..max
    ACTIVATED = 5  # from none
    IDLE = 6  # to none


class FleetView(NamedTuple):
    """What the autoscaler sees of one pool of replicas."""

    waiting: int  # requests that no running pass carries: held before a replica, queued, in a hand, in a closed batch
    in_flight: int  # waiting, and carried by running passes
    arrived: int  # requests since the start, refused ones included
    busy_ns: int  # device time of all instances since the start
    ready: int  # replicas that take requests
    starting: int  # replicas that were ordered and are not ready yet
    wanted: int  # what the fleet was last told to have; draining ones are not in it


class AutoscalerState(NamedTuple):
    """What the autoscaler remembers besides its history. Moments are UNSET until they come, or when they are over."""

    started_ns: int
    next_sample_ns: int
    next_tick_ns: int
    next_poll_ns: int  # NEVER_NS where the ticks are the polls
    pending_side: int  # the direction in which the load has asked since pending_since_ns: 1, -1, 0
    pending_since_ns: int
    panic_ns: int  # when the need was last that of a panic which goes on
    panic_highest: int  # the most replicas wanted in this panic
    up_ns: int  # the last move up
    down_ns: int  # the last move down, if none up came behind it
    before_up: int  # replicas before the first of the moves up whose cooldowns hang together
    active_ns: int  # when a poll last found the fleet in use
    activated_ns: int  # when it last came back from none
    decided_ns: int  # the last instant with a move
    decided: int  # replicas it led to
    decided_cause: int  # Cause


class Scaling(NamedTuple):
    """Have `wanted` replicas from now on; as many as before: no move."""

    wanted: int
    cause: Cause
    ask_again_ns: int  # the next sample, tick or poll; NEVER_NS: no autoscaler


class _Tick(NamedTuple):
    """What a tick or a poll came to."""

    wanted: int
    cause: Cause
    pending_side: int
    pending_since_ns: int
    panic_ns: int
    panic_highest: int
    active_ns: int


def history_length(rule: AutoscalingRule) -> int:
    """Return how many ints the driver must preallocate as zeros."""
    newest = moves_of(rule)
    return newest.start + ring_length(newest.capacity)


def fresh_autoscaler(rule: AutoscalingRule, now_ns: int) -> AutoscalerState:
    """Return the state at the start: the first sample is due now, the first tick and poll one period later.

    Where the clocks have been running for a while, all of these come when they are due next.
    """
    started_ns = now_ns - rule.phase_ns
    first_poll_ns = _next_ns(started_ns, rule.poll_ns, started_ns, now_ns) if rule.poll_ns > 0 else NEVER_NS
    return AutoscalerState(
        started_ns=started_ns,
        next_sample_ns=_next_ns(started_ns, rule.sample_ns, started_ns, now_ns - 1),
        next_tick_ns=_next_ns(started_ns, rule.tick_ns, started_ns, now_ns),
        next_poll_ns=first_poll_ns,
        pending_side=0,
        pending_since_ns=UNSET,
        panic_ns=UNSET,
        panic_highest=0,
        up_ns=UNSET,
        down_ns=UNSET,
        before_up=UNSET,
        active_ns=now_ns,
        activated_ns=now_ns,
        decided_ns=UNSET,
        decided=UNSET,
        decided_cause=0,
    )


def step(
    rule: AutoscalingRule, state: AutoscalerState, history: MutableSequence[int], view: FleetView, now_ns: int
) -> tuple[AutoscalerState, Scaling]:
    """Take the sample that is due and decide.

    `history` holds history_length(rule) ints, zeros at the start, and is written in place: it goes with the state.
    """
    if rule.formula == Formula.FIXED:
        return state, Scaling(view.wanted, Cause.NONE, NEVER_NS)
    stands = state.decided_ns == now_ns
    current = state.decided if stands else view.wanted

    if now_ns >= state.next_sample_ns:
        push(history, samples_of(rule), _due_ns(state, rule.sample_ns, now_ns), _observed(rule, view))
    tick_is_due = now_ns >= state.next_tick_ns
    tick_ns = _due_ns(state, rule.tick_ns, now_ns)
    poll_is_due = tick_is_due if rule.poll_ns == 0 else now_ns >= state.next_poll_ns
    poll_ns = tick_ns if rule.poll_ns == 0 else _due_ns(state, rule.poll_ns, now_ns)
    moved_ns = now_ns  # when a move counts as made

    tick = _unmoved(state, current)
    if tick_is_due:
        moved_ns = tick_ns
        tick = _decide_tick(rule, state, history, view, current, tick_ns)
        if tick.wanted != current:
            push(history, moves_of(rule), tick_ns, tick.wanted - current)
    if poll_is_due and rule.to_zero:
        moved_ns = max(tick_ns, poll_ns) if tick_is_due else poll_ns
        tick = _decide_poll(rule, state, history, view, current, tick, poll_ns)
    if rule.to_zero and rule.activation == Activation.AT_ONCE and tick.wanted == 0 and view.waiting > 0:
        tick = _activated(rule, tick, now_ns)

    cause = tick.cause
    up_ns, down_ns, before_up = state.up_ns, state.down_ns, state.before_up
    activated_ns = state.activated_ns
    decided_ns, decided, decided_cause = state.decided_ns, state.decided, state.decided_cause
    if tick.wanted != current:
        decided_ns, decided, decided_cause = now_ns, tick.wanted, cause.value
        if current == 0:
            activated_ns = moved_ns
    elif stands and view.wanted != current:
        cause = _cause_of(decided_cause)
    if tick.wanted > current:
        before_up = before_up if is_cooling(up_ns, rule.up.cooldown_ns, moved_ns) else current
        up_ns, down_ns = moved_ns, UNSET
    elif tick.wanted < current:
        down_ns = moved_ns
    after = AutoscalerState(
        started_ns=state.started_ns,
        next_sample_ns=_next_ns(state.started_ns, rule.sample_ns, state.next_sample_ns, now_ns),
        next_tick_ns=_next_ns(state.started_ns, rule.tick_ns, state.next_tick_ns, now_ns),
        next_poll_ns=_next_ns(state.started_ns, rule.poll_ns, state.next_poll_ns, now_ns),
        pending_side=tick.pending_side,
        pending_since_ns=tick.pending_since_ns,
        panic_ns=tick.panic_ns,
        panic_highest=tick.panic_highest,
        up_ns=up_ns,
        down_ns=down_ns,
        before_up=before_up,
        active_ns=tick.active_ns,
        activated_ns=activated_ns,
        decided_ns=decided_ns,
        decided=decided,
        decided_cause=decided_cause,
    )
    ask_again_ns = min(after.next_sample_ns, after.next_tick_ns, after.next_poll_ns)
    return after, Scaling(tick.wanted, cause, ask_again_ns)


def _decide_tick(
    rule: AutoscalingRule,
    state: AutoscalerState,
    history: MutableSequence[int],
    view: FleetView,
    current: int,
    now_ns: int,
) -> _Tick:
    """Return what the load leads to. To none and from none leads a poll, or a waiting request."""
    unmoved = _unmoved(state, current)
    if current == 0 and rule.to_zero:
        return unmoved
    bounded = min(max(current, rule.replicas_min), rule.replicas_max)
    if size_of(history, recommendations_of(rule)) == 0:
        # As if the fleet had been recommended before: no move down before the first window is over.
        push(history, recommendations_of(rule), now_ns, bounded)
    if bounded != current:
        return _move(unmoved, bounded, Cause.LIMIT)
    until_ns = known_until_ns(rule, state.started_ns, now_ns)
    load = load_of(rule, history, samples_of(rule), until_ns, rule.window_ns)
    if not load.known:
        return unmoved
    base = min(current, state.before_up) if _counts_before(rule, state, now_ns) else current
    asked = recommend(rule, load.total, view.ready, view.starting, current, base)
    if not asked.known:
        return unmoved

    replicas, side = within_rates(rule, asked.replicas, view.ready), asked.side
    steady = replicas
    panic_ns, panic_highest = state.panic_ns, state.panic_highest
    if rule.panic_window_ns > 0:
        short = load_of(rule, history, samples_of(rule), until_ns, rule.panic_window_ns)
        needed = ceil_replicas(short.total / rule.target)
        if float(needed) / float(max(view.ready, 1)) >= rule.panic_threshold:
            panic_ns = now_ns
        elif panic_ns != UNSET and now_ns - panic_ns > rule.window_ns:
            panic_ns, panic_highest = UNSET, 0
        if panic_ns != UNSET:
            panic_highest = max(panic_highest, replicas, within_rates(rule, needed, view.ready))
            replicas = panic_highest
            side = _sign(replicas - current)

    replicas = min(max(replicas, rule.replicas_min), rule.replicas_max)
    replicas = stabilised(rule, history, current, replicas, now_ns)
    since_ns = state.pending_since_ns if side == state.pending_side and side != 0 else now_ns
    if not has_persisted(rule, _sign(replicas - current), side, now_ns - since_ns):
        replicas = current
    if _is_in_cooldown(rule, state, _sign(replicas - current), now_ns):
        replicas = current
    if replicas > current:
        replicas = min(replicas, most_up(rule, history, current, now_ns))
    elif replicas < current:
        replicas = max(replicas, least_down(rule, history, current, now_ns))

    cause = Cause.NONE
    if replicas > current:
        cause = Cause.PANIC if panic_ns != UNSET and panic_highest > steady else Cause.LOAD_UP
    elif replicas < current:
        cause = Cause.LOAD_DOWN
    if side == 0 or (replicas != current and rule.delay_restarts):
        side, since_ns = 0, UNSET
    return _Tick(replicas, cause, side, since_ns, panic_ns, panic_highest, state.active_ns)


def _decide_poll(
    rule: AutoscalingRule,
    state: AutoscalerState,
    history: MutableSequence[int],
    view: FleetView,
    current: int,
    tick: _Tick,
    now_ns: int,
) -> _Tick:
    """Return what becomes of the tick where the fleet is idle, or none and needed."""
    until_ns = known_until_ns(rule, state.started_ns, now_ns)
    load = load_of(rule, history, samples_of(rule), until_ns, rule.window_ns)
    if not load.known:
        return tick
    in_use = load.total > rule.activation_above or tick.panic_ns != UNSET
    if current == 0:
        return _activated(rule, tick, now_ns) if in_use and rule.activation == Activation.AT_POLL else tick
    if rule.activation == Activation.AT_ONCE and view.waiting > 0:
        in_use = True  # it would be fetched back at once
    if in_use or (rule.zero_from == ZeroFrom.ONE and current > 1):
        return _used(tick, now_ns)
    if now_ns - state.active_ns < rule.idle_ns or now_ns - state.activated_ns < rule.active_ns:
        return tick
    return _move(tick, 0, Cause.IDLE)


def _is_in_cooldown(rule: AutoscalingRule, state: AutoscalerState, direction: int, now_ns: int) -> bool:
    """Return whether an earlier move forbids one in that direction."""
    if direction < 0:
        return is_cooling(state.down_ns, rule.down.cooldown_ns, now_ns)
    return rule.cooldown == Cooldown.BLOCK and is_cooling(state.up_ns, rule.up.cooldown_ns, now_ns)


def _counts_before(rule: AutoscalingRule, state: AutoscalerState, now_ns: int) -> bool:
    """Return whether the load is still that of the fleet before its last move up."""
    return rule.cooldown == Cooldown.LARGER and is_cooling(state.up_ns, rule.up.cooldown_ns, now_ns)


def _observed(rule: AutoscalingRule, view: FleetView) -> int:
    """Return what a sample holds: the level, or how far the counter is."""
    if rule.signal == Signal.WAITING:
        return view.waiting
    if rule.signal == Signal.IN_FLIGHT:
        return view.in_flight
    return view.arrived if rule.signal == Signal.RATE else view.busy_ns


def _due_ns(state: AutoscalerState, period_ns: int, now_ns: int) -> int:
    """Return the latest moment, up to now, at which the clock of that period was due."""
    if period_ns == 0:
        return now_ns
    return now_ns - (now_ns - state.started_ns) % period_ns


def _next_ns(started_ns: int, period_ns: int, due_ns: int, now_ns: int) -> int:
    """Return when the clock of that period is due next: at multiples of it from the start, behind now."""
    if now_ns < due_ns:
        return due_ns
    return started_ns + ((now_ns - started_ns) // period_ns + 1) * period_ns


def _unmoved(state: AutoscalerState, current: int) -> _Tick:
    """Return the tick that changes nothing."""
    return _Tick(
        current,
        Cause.NONE,
        state.pending_side,
        state.pending_since_ns,
        state.panic_ns,
        state.panic_highest,
        state.active_ns,
    )


def _move(tick: _Tick, wanted: int, cause: Cause) -> _Tick:
    """Return the tick with another outcome; what was pending is over."""
    return _Tick(wanted, cause, 0, UNSET, tick.panic_ns, tick.panic_highest, tick.active_ns)


def _activated(rule: AutoscalingRule, tick: _Tick, now_ns: int) -> _Tick:
    """Return the tick that fetches the fleet back from none."""
    wanted = min(max(rule.activation_replicas, rule.replicas_min), rule.replicas_max)
    return _used(_move(tick, wanted, Cause.ACTIVATED), now_ns)


def _used(tick: _Tick, now_ns: int) -> _Tick:
    """Return the tick that found the fleet in use."""
    return _Tick(
        tick.wanted,
        tick.cause,
        tick.pending_side,
        tick.pending_since_ns,
        tick.panic_ns,
        tick.panic_highest,
        now_ns,
    )


def _sign(number: int) -> int:
    """Return 1, -1 or 0."""
    if number > 0:
        return 1
    return -1 if number < 0 else 0


def _cause_of(number: int) -> Cause:
    """Return the cause of that number. Compiled code cannot call the enum."""
    if number == Cause.LOAD_UP:
        return Cause.LOAD_UP
    if number == Cause.LOAD_DOWN:
        return Cause.LOAD_DOWN
    if number == Cause.PANIC:
        return Cause.PANIC
    if number == Cause.LIMIT:
        return Cause.LIMIT
    if number == Cause.ACTIVATED:
        return Cause.ACTIVATED
    return Cause.IDLE
