"""Generated inputs for parity and laws: every rule and feature, with times on a coarse grid so that ties abound."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from policy.admission import NO_CAP
from policy.autoscaling_rule import Activation, AutoscalingRule, NotReady
from policy.autoscaling_settings import autoscaling_rule, fixed_fleet
from policy.batching import Collector, Freeze, TimerOrigin
from policy.dice import CELLS, LEVELS
from policy.fleet import Drain
from policy.instant import UNSET
from policy.orders import Order, OrderKind
from policy.pass_time import SPREAD_ONE
from policy.rollout import SHARE_ONE, Against, Command, Counted, FailureScope, NoData, RolloutRule
from policy.rollout_settings import StepSettings, rollout_rule, version_weights
from policy.routing import Balance, Tie
from policy.settings import (
    admission_rule,
    batching_rule,
    deadline_rule,
    fault_rule,
    pass_time_rule,
    retry_rule,
    routing_rule,
)
from policy.versions import WEIGHT_ONE
from sim.engine.engine_input import EngineInput, FleetInput, FrontEndInput, OrderAt, TrafficInput, VersionsInput

GRID = 10  # ns

QUIET_NS = 10**6
"""All that a generated open loop sends has ended by then; one last request comes then, so that engines run so far."""


FLEET_QUIET_NS = 12_000
"""The same of a fleet, whose autoscaler ticks until then."""


COIN = [0] * (CELLS // 2) + [2 * GRID] * (LEVELS * (CELLS + 1) - CELLS // 2)
"""A table whose draws are 0 or 2 * GRID: drivers that roll with different keys soon differ."""


SPREADS = [SPREAD_ONE] * (CELLS // 2) + [2 * SPREAD_ONE] * (LEVELS * (CELLS + 1) - CELLS // 2)
"""The same of a factor: as it is, or twice as long."""


def grid(least: int, most: int) -> st.SearchStrategy[int]:
    """Multiples of GRID: many things happen in the same nanosecond."""
    return st.integers(least, most).map(lambda steps: steps * GRID)


@st.composite
def fleets(draw: st.DrawFn) -> FleetInput:
    """Any replica: all batching rules, caps, deadlines, pass times and turnarounds."""
    max_batch = draw(st.integers(1, 5))
    instances = draw(st.integers(1, 3))
    collector = draw(st.sampled_from(Collector))
    dispatcher = collector == Collector.DISPATCHER
    options: dict[str, Any] = {
        "max_batch": max_batch,
        "max_wait_ns": draw(grid(0, 6)),
        "timer_origin": draw(st.sampled_from(TimerOrigin)).name.lower(),
        "freeze": draw(st.sampled_from(Freeze)).name.lower() if dispatcher else "pull",
        "collector": collector.name.lower(),
        "slots": draw(st.sampled_from([None, 0, 1, 2, 4])) if dispatcher else None,
        "instances": instances,
        "preferred_sizes": sorted(draw(st.sets(st.integers(1, max_batch), max_size=2))),
    }
    table = draw(st.none() | st.just({1: 3 * GRID, max_batch + 1: 5 * GRID}))
    return FleetInput(
        instances=instances,
        batching=batching_rule(**options),
        admission=admission_rule(cap=draw(st.none() | st.integers(1, 8))),
        deadline=deadline_rule(deadline_ns=draw(st.none() | grid(1, 12))),
        pass_time=pass_time_rule(
            base_ns=draw(grid(1, 8)),
            per_item_ns=draw(grid(0, 2)),
            per_unit_ns=draw(st.sampled_from([0, 0, GRID])),
            padded_sizes=draw(st.sampled_from([(), (2, max_batch + 1)])) if max_batch > 1 else (),
            table=table,
            max_batch=max_batch,
            size_max=3,
        ),
        spread_table=draw(st.sampled_from([[SPREAD_ONE], [SPREAD_ONE * 2]])),
        batch_in_table=[draw(grid(0, 2))],
        results_out_table=[draw(grid(0, 2))],
    )


@st.composite
def traffics(draw: st.DrawFn) -> TrafficInput:
    """Open or closed loop, with time-outs and retries."""
    closed = draw(st.integers(0, 3)) == 0
    gaps = [] if closed else draw(st.lists(grid(0, 6), min_size=1, max_size=40))
    arrivals = np.append(np.cumsum(np.array(gaps, dtype=np.int64)), [] if closed else [QUIET_NS]).astype(np.int64)
    recorded = draw(st.booleans())
    sizes = np.array([1 + index % 3 for index in range(len(arrivals))] if recorded else [], dtype=np.int64)
    return TrafficInput(
        arrivals_ns=arrivals,
        sizes=sizes,
        size_table=[2],
        clients=draw(st.integers(1, 6)) if closed else 0,
        think_table=[draw(grid(0, 6))],
        timeout_table=draw(st.none() | grid(1, 15).map(lambda ns: [ns])),
        retry=retry_rule(
            attempts=draw(st.integers(1, 3)),
            backoff_ns=draw(grid(1, 5)),
            backoff_max_ns=8 * GRID,
            jitter=draw(st.booleans()),
        ),
        there_ns=draw(grid(0, 2)),
        back_ns=draw(grid(0, 2)),
    )


@st.composite
def front_ends(draw: st.DrawFn, fleet: FleetInput) -> FrontEndInput:
    """Any front end, one that costs nothing and one that runs the passes itself among them; half wait for a timer."""
    blocking = fleet.instances == 1 and draw(st.integers(0, 3)) == 0
    return FrontEndInput(
        workers=1 if blocking else draw(st.integers(1, 2)),
        request_table=[draw(grid(0, 2))],
        response_table=[draw(grid(0, 2))],
        pass_result_table=draw(st.sampled_from([[0], [GRID], [2 * GRID], COIN])),
        timer_table=draw(st.sampled_from([[0], [0], [GRID], [3 * GRID], COIN])),
        blocking=blocking,
    )


@st.composite
def inputs(draw: st.DrawFn) -> EngineInput:
    """A whole run: what has ended before measure_to_ns is final."""
    traffic = draw(traffics())
    fleet = draw(fleets())
    measured_ns = 120 * GRID if traffic.clients else QUIET_NS
    return EngineInput(
        seed=draw(st.integers(0, 2**64 - 1)),
        traffic=traffic,
        front_end=draw(front_ends(fleet)),
        fleet=fleet,
        measure_from_ns=0,
        measure_to_ns=measured_ns,
        stop_ns=2 * QUIET_NS,
    )


@st.composite
def fixed_fleet_inputs(draw: st.DrawFn) -> EngineInput:
    """A run of a fleet that never changes, behind a front end of one worker: to its end, or stopped before."""
    given = draw(inputs().filter(lambda each: each.traffic.clients == 0))
    gaps = draw(st.lists(grid(0, 4), min_size=10, max_size=60))
    fleet, arrivals = given.fleet, np.append(np.cumsum(gaps), QUIET_NS)
    if fleet.batching.collector == Collector.COMPETING:
        fleet = replace(fleet, instances=1)
    retried = fleet.admission.cap == NO_CAP and draw(st.booleans())
    measure_from_ns = draw(st.sampled_from([0, 0, 0, 20 * GRID]))
    measure_to_ns = draw(st.just(QUIET_NS) | grid(21, 150))
    return replace(
        given,
        traffic=replace(
            given.traffic,
            arrivals_ns=arrivals.astype(np.int64),
            sizes=np.resize([1, 2, 3], len(arrivals) if len(given.traffic.sizes) else 0).astype(np.int64),
            retry=given.traffic.retry if retried else retry_rule(attempts=1),
        ),
        front_end=replace(
            given.front_end,
            workers=1,
            blocking=False,
            request_table=draw(st.sampled_from([[0], [0], [GRID], COIN])),
            response_table=draw(st.sampled_from([[0], [0], [GRID], COIN])),
        ),
        fleet=replace(
            fleet,
            replicas=draw(st.integers(1, 4)),
            routing=routing_rule(
                balance=draw(st.sampled_from(Balance)).name.lower(), tie=draw(st.sampled_from(Tie)).name.lower()
            ),
            error_share=draw(st.sampled_from([0, 0, SHARE_ONE // 2])),
            spread_table=draw(st.sampled_from([[SPREAD_ONE], [SPREAD_ONE * 2], SPREADS])),
            batch_in_table=draw(st.sampled_from([[0], [2 * GRID], COIN])),
            results_out_table=draw(st.sampled_from([[0], [2 * GRID], COIN])),
        ),
        measure_from_ns=measure_from_ns,
        measure_to_ns=measure_to_ns,
        stop_ns=measure_to_ns + draw(st.sampled_from([0, 3 * GRID, QUIET_NS, QUIET_NS])),
    )


@st.composite
def fleet_inputs(draw: st.DrawFn) -> EngineInput:
    """A whole run of a fleet: routing of every kind, holding, an autoscaler in most of them, cold starts."""
    given = draw(inputs().filter(lambda each: not each.front_end.blocking))
    traffic = given.traffic
    arrivals = traffic.arrivals_ns.copy()
    arrivals[-1:] = FLEET_QUIET_NS
    fleet = draw(scaled_fleets(given.fleet))
    return replace(
        given,
        traffic=replace(traffic, arrivals_ns=arrivals),
        fleet=replace(fleet, autoscaler=shrunk(fleet.autoscaler, 10**6 // (4 * GRID))),
        measure_to_ns=given.measure_to_ns if traffic.clients else FLEET_QUIET_NS,
        stop_ns=2 * FLEET_QUIET_NS,
    )


@st.composite
def scaled_fleets(draw: st.DrawFn, fleet: FleetInput) -> FleetInput:
    """The same replicas, any number of them."""
    rule = draw(st.one_of(st.just(fixed_fleet()), autoscalers(), autoscalers()))
    is_fixed = rule == fixed_fleet()
    least = 1 if is_fixed else (0 if rule.to_zero else rule.replicas_min)
    return replace(
        fleet,
        admission=fleet.admission._replace(held_max=draw(st.sampled_from([0, 2, 100, 100]))),
        replicas=draw(st.integers(least, 3 if is_fixed else rule.replicas_max)),
        routing=routing_rule(
            balance=draw(st.sampled_from(Balance)).name.lower(),
            tie=draw(st.sampled_from(Tie)).name.lower(),
            outstanding_max=draw(st.sampled_from([None, None, 1, 2, 6])),
        ),
        autoscaler=rule,
        drain=int(draw(st.sampled_from(Drain))),
        cold_start_tables=([draw(grid(0, 20))], COIN),
    )


@st.composite
def autoscalers(draw: st.DrawFn) -> AutoscalingRule:
    """Any autoscaler whose times are a few milliseconds."""
    formula = draw(st.sampled_from(["total", "ratio", "gain"]))

    def ms(least: int, most: int) -> int:
        return draw(st.integers(least, most)) * 10**6

    most = draw(st.integers(1, 4))
    rule = autoscaling_rule(
        formula=formula,
        signal=draw(st.sampled_from(["waiting", "in_flight", "rate", "busy"])),
        target=draw(st.sampled_from([0.5, 1.0, 3.0])),
        max_replicas=most,
        min_replicas=draw(st.integers(0, 1)),
        sample_ns=ms(1, 3),
        window_ns=ms(0, 4),
        lag_ns=ms(0, 2),
        tick_ns=ms(1, 4),
        not_ready=draw(st.sampled_from(NotReady)).name.lower(),
        dead_band_up=0.0 if formula == "gain" else draw(st.sampled_from([0.0, 0.1])),
        stabilisation_down_ns=ms(0, 5),
        delay_up_ns=ms(0, 3),
        delay_down_ns=ms(0, 3),
        cooldown_up_ns=ms(0, 3),
        step_up_count=draw(st.integers(0, 2)),
        idle_ns=ms(0, 6),
        activation=draw(st.sampled_from(Activation)).name.lower(),
    )
    return rule._replace(phase_ns=draw(st.integers(0, 20)) * 10**6 // 4)


def version_inputs() -> st.SearchStrategy[EngineInput]:
    """A whole run of several versions."""
    return fleet_inputs().flatmap(several_versions)


@st.composite
def faulty_inputs(draw: st.DrawFn) -> EngineInput:
    """A whole run of a fleet whose replicas crash, or are slow, or pay for their first passes."""
    given = draw(fleet_inputs())
    return replace(given, fleet=draw(with_faults(given.fleet)))


@st.composite
def with_faults(draw: st.DrawFn, fleet: FleetInput) -> FleetInput:
    """The same fleet with faults; crashes come after a few passes, or after so many that one instance sees few."""
    some = draw(grid(3, 60))
    return replace(
        fleet,
        restart_from=draw(st.integers(0, len(fleet.cold_start_tables))),
        crash_table=draw(st.sampled_from([None, [some], crash_times(some)])),
        faults=fault_rule(
            slow_share=draw(st.sampled_from([0.0, 0.5, 1.0])),
            slow_factor=draw(st.sampled_from([1.0, 1.5, 3.0])),
            first_count=draw(st.integers(0, 3)),
            first_factor=draw(st.sampled_from([1.0, 2.0, 2.5])),
        ),
    )


def crash_times(some: int) -> list[int]:
    """A table whose draws are often `some`, and else five times as much."""
    return [some] * (CELLS // 2) + [5 * some] * (LEVELS * (CELLS + 1) - CELLS // 2)


@st.composite
def several_versions(draw: st.DrawFn, given: EngineInput) -> EngineInput:
    """The same run with more versions: each with a fleet of its own, shadows, pins, errors, a rollout and orders."""
    fleets_ = [given.fleet]
    for _ in range(draw(st.integers(1, 2))):
        fleet = draw(scaled_fleets(draw(fleets())))
        fleets_.append(replace(fleet, autoscaler=shrunk(fleet.autoscaler, 10**6 // (4 * GRID))))
    count = len(fleets_)
    stable = draw(st.integers(0, count - 1))
    canary = draw(st.sampled_from([version for version in range(count) if version != stable]))
    loaded = [version == stable or draw(st.booleans()) for version in range(count)]
    parts = [draw(st.sampled_from([0, 1_000, 5_000])) if loaded[version] else 0 for version in range(count)]
    parts[stable] = 0
    if sum(parts) > WEIGHT_ONE:
        parts = [0] * count
    parts[stable] = WEIGHT_ONE - sum(parts)
    for version, is_loaded in enumerate(loaded):
        errors = draw(st.sampled_from([0, 0, SHARE_ONE // 2, SHARE_ONE]))
        fleets_[version] = replace(fleets_[version], loaded=is_loaded, error_share=errors)
    rule = draw(st.none() | rollouts())
    return replace(
        given,
        fleet=fleets_[0],
        other_fleets=tuple(fleets_[1:]),
        versions=VersionsInput(
            weights=version_weights(weights=parts, stable=stable, canary=canary),
            shadows=tuple(
                draw(st.sampled_from([0, 0, 5_000, WEIGHT_ONE])) if version != stable else 0 for version in range(count)
            ),
            rollout=rule,
            orders=draw(orders_at(count, begins=rule is not None)),
            users=draw(st.sampled_from([0, 1, 5])),
            salt=draw(st.integers(0, 3)),
            pinned=draw(st.sampled_from([(), (SHARE_ONE // 10,) * count])),
        ),
    )


@st.composite
def faulty_version_inputs(draw: st.DrawFn) -> EngineInput:
    """A whole run of several versions, each of which may have faulty replicas."""
    given = draw(version_inputs())
    fleet, *others = [draw(with_faults(each)) if draw(st.booleans()) else each for each in given.fleets]
    return replace(given, fleet=fleet, other_fleets=tuple(others))


@st.composite
def rollouts(draw: st.DrawFn) -> RolloutRule:
    """Any rollout whose times are a few steps of the grid."""
    checks = draw(st.integers(0, 2))
    steps: list[StepSettings] = [
        {
            "weight": draw(st.sampled_from([0, 1_000, 5_000, WEIGHT_ONE])),
            "shadow": draw(st.sampled_from([0, 0, 5_000])),
            "pause_ns": draw(st.sampled_from([1, 5, 20])) * GRID,
            "analysis": draw(st.booleans()),
        }
        for _ in range(draw(st.integers(0, 3)))
    ]
    no_data = draw(st.sampled_from(NoData)).name.lower()
    return rollout_rule(
        steps=steps,
        analysis={
            "limits": [
                {"metric": "failed", "pass_most": draw(st.sampled_from([0, SHARE_ONE // 4]))},
                {
                    "metric": "slow",
                    "pass_most": SHARE_ONE // 10,
                    "fail_over": SHARE_ONE // 2,
                    "against": draw(st.sampled_from(Against)).name.lower(),
                },
            ],
            "interval_ns": draw(grid(1, 12)),
            "initial_delay_ns": draw(st.none() | grid(1, 5)),
            "count": checks,
            "counted": draw(st.sampled_from(Counted)).name.lower(),
            "failure_limit": draw(st.integers(0, 1)),
            "failure_scope": draw(st.sampled_from(FailureScope)).name.lower(),
            "no_data": no_data,
            "no_data_limit": draw(st.none() | st.integers(0, 2)) if no_data == "hold" else None,
            "no_data_interval_ns": draw(st.none() | grid(1, 5)),
            "roll_back_delay_ns": draw(grid(0, 5)),
        },
        slow_over_ns=draw(grid(1, 20)),
        refusals_fail=draw(st.booleans()),
        ready_share=draw(st.sampled_from([0, WEIGHT_ONE])),
        ready_deadline_ns=draw(st.none() | grid(1, 30)),
    )


@st.composite
def orders_at(draw: st.DrawFn, versions: int, *, begins: bool) -> tuple[OrderAt, ...]:
    """Orders of every kind, senseless ones among them, several in one instant; a rollout begins early."""
    moments = sorted(draw(st.lists(grid(0, 120), max_size=5)))
    orders = [OrderAt(moment, draw(any_order(versions))) for moment in moments]
    if begins:
        orders.append(OrderAt(draw(grid(0, 10)), Order(int(OrderKind.ROLLOUT), UNSET, int(Command.START))))
    return tuple(sorted(orders, key=lambda each: each.at_ns))


@st.composite
def any_order(draw: st.DrawFn, versions: int) -> Order:
    """Any order, a senseless one too."""
    kind = draw(st.sampled_from(OrderKind))
    if kind == OrderKind.ROLLOUT:
        return Order(int(kind), UNSET, int(draw(st.sampled_from(Command))))
    return Order(int(kind), draw(st.integers(-1, versions)), draw(st.sampled_from([0, 500, 5_000, WEIGHT_ONE])))


def shrunk(rule: AutoscalingRule, divisor: int) -> AutoscalingRule:
    """Return the rule with every time divided, so that its ticks tie with all else: settings let none below 1 ms in."""

    def smaller(fields: dict[str, Any]) -> dict[str, Any]:
        return {name: value // divisor for name, value in fields.items() if name.endswith("_ns")}

    up, down = (side._replace(**smaller(side._asdict())) for side in (rule.up, rule.down))
    return rule._replace(**smaller(rule._asdict()), up=up, down=down)


def busy_input() -> EngineInput:
    """A load that meets every law: ties, a cap, a deadline, a timeout and retries, at twice the capacity."""
    rng = np.random.default_rng(7)
    arrivals = np.cumsum(rng.integers(0, 4, 400)) * 10
    return EngineInput(
        seed=3,
        traffic=TrafficInput(
            arrivals_ns=arrivals.astype(np.int64),
            sizes=np.array([], dtype=np.int64),
            size_table=[1],
            clients=0,
            think_table=[0],
            timeout_table=[123],
            retry=retry_rule(attempts=2, backoff_ns=50, backoff_max_ns=100),
            there_ns=0,
            back_ns=0,
        ),
        front_end=FrontEndInput(workers=1, request_table=[1], response_table=[1], pass_result_table=[1]),
        fleet=FleetInput(
            instances=2,
            batching=batching_rule(max_batch=4, max_wait_ns=40, instances=2),
            admission=admission_rule(cap=10),
            deadline=deadline_rule(deadline_ns=120),
            pass_time=pass_time_rule(base_ns=60, per_item_ns=10, max_batch=4),
            spread_table=[SPREAD_ONE],
            batch_in_table=[2],
            results_out_table=[3],
        ),
        measure_from_ns=0,
        measure_to_ns=int(arrivals[-1]) + 1,
        stop_ns=10**9,
    )


def front_end_input(*, blocking: bool = False) -> EngineInput:
    """A load of which much happens in the front end: timers that wait there, with a deadline and no timeout."""
    busy = busy_input()
    arrivals = np.cumsum(np.random.default_rng(11).integers(0, 12, 400)) * 10
    return replace(
        busy,
        traffic=replace(busy.traffic, arrivals_ns=arrivals.astype(np.int64), timeout_table=None),
        front_end=FrontEndInput(
            workers=1,
            request_table=[10],
            response_table=[5],
            pass_result_table=[10],
            timer_table=[0] if blocking else [20],
            blocking=blocking,
        ),
        fleet=replace(
            busy.fleet,
            instances=1,
            batching=batching_rule(max_batch=4, max_wait_ns=40, instances=1),
            deadline=deadline_rule(deadline_ns=200),
            batch_in_table=[0],
            results_out_table=[10],
        ),
        measure_to_ns=int(arrivals[-1]) + 1,
    )


def faulty_input() -> EngineInput:
    """A load on two replicas that crash in passes, between them and with results on their way; one of them is slow."""
    busy = busy_input()
    arrivals = np.cumsum(np.random.default_rng(5).integers(0, 9, 400)) * 10
    return replace(
        busy,
        traffic=replace(busy.traffic, arrivals_ns=arrivals.astype(np.int64), timeout_table=[400]),
        fleet=replace(
            busy.fleet,
            replicas=2,
            deadline=deadline_rule(deadline_ns=500),
            results_out_table=[30],
            cold_start_tables=([40], COIN, [60]),
            restart_from=1,
            crash_table=crash_times(220),
            faults=fault_rule(slow_share=0.5, slow_factor=1.5, first_count=2, first_factor=2.0),
        ),
        measure_to_ns=int(arrivals[-1]) + 1,
    )
