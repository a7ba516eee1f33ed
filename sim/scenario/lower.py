"""A scenario and a seed -> the integer tables of one run. Behind this border there are no floats and no units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from policy.instant import UNSET
from policy.orders import Order, OrderKind
from policy.pass_time import SPREAD_ONE, pass_ns
from policy.rollout import Command
from sim.engine.engine_input import (
    EngineInput,
    FleetInput,
    FrontEndInput,
    OrderAt,
    Table,
    TrafficInput,
    VersionsInput,
)
from sim.errors import RefusedToAnswer
from sim.scenario.costs import Costs, costs_of, profile_of
from sim.scenario.distributions import lifetime_table, size_table, spread_table, time_table
from sim.scenario.fleet_spec import COLD_START_PARTS, RESTART_FROM
from sim.scenario.profile import Draw, Profile
from sim.scenario.rules import ServingRules, serving_rules
from sim.scenario.schedule import Schedule, dice_seed, draw_schedule
from sim.scenario.spec import Scenario
from sim.scenario.versions import each_version, rollout_start_ns, version_rules

__all__ = [
    "TAIL_LEAST_NS",
    "TAIL_PATIENCE_MAX_NS",
    "cold_start_tables",
    "crash_table",
    "lower",
    "tail_ns",
    "versions_input",
]

TAIL_LEAST_NS: Final = 10 * 10**9
TAIL_PATIENCE_MAX_NS: Final = 3_600 * 10**9
TAIL_PASSES: Final = 10

Ints = npt.NDArray[np.int64]


def lower(
    scenario: Scenario,
    *,
    seed: int,
    run: int = 0,
    profile_draw: Draw = None,
    arrivals_ns: Ints | None = None,
    sizes: Ints | None = None,
    warm_up_ns: int,
) -> EngineInput:
    """Return what an engine needs for run number `run` (0, 1, ...) of a seed.

    `profile_draw` says which values of the scenario's calibration are taken (sim.scenario.profile.Draw); without a
    calibration it changes nothing. `arrivals_ns` (ascending) puts a fixed schedule in place of the drawn one,
    with `sizes` of each request, or drawn ones. Measured is [warm_up_ns, warm_up_ns + horizon.duration); arrivals go on
    for tail_ns behind that. Raises ScenarioError or SettingError for bad input, RefusedToAnswer outside the
    calibration.
    """
    alone = each_version(scenario)
    for version in alone:
        _check_calibrated(version)
    rules = [serving_rules(version, profile_draw) for version in alone]
    of_versions = version_rules(scenario)
    first, *others = [
        replace(
            _fleet(version, rules[place], costs_of(version, profile_draw)),
            loaded=of_versions.loaded[place],
            error_share=of_versions.error_shares[place],
        )
        for place, version in enumerate(alone)
    ]
    costs = costs_of(scenario, profile_draw)
    measure_to_ns = warm_up_ns + scenario.horizon.duration
    stop_ns = measure_to_ns + _tail_ns(scenario, rules)
    if arrivals_ns is None:
        schedule = draw_schedule(scenario, seed=seed, run=run, horizon_ns=stop_ns)
    else:
        schedule = Schedule(arrivals_ns, np.empty(0, dtype=np.int64) if sizes is None else sizes)
    return EngineInput(
        seed=dice_seed(seed, run),
        traffic=_traffic(scenario, schedule, rules[0], costs),
        front_end=FrontEndInput(
            workers=scenario.front_end.workers,
            request_table=time_table(costs.request, "front_end.request"),
            response_table=time_table(costs.response, "front_end.response"),
            pass_result_table=time_table(costs.pass_result, "front_end.pass_result"),
            timer_table=time_table(costs.timer, "front_end.timer"),
            blocking=scenario.front_end.blocking,
        ),
        fleet=first,
        measure_from_ns=warm_up_ns,
        measure_to_ns=measure_to_ns,
        stop_ns=stop_ns,
        other_fleets=tuple(others),
        versions=versions_input(scenario, warm_up_ns),
    )


def tail_ns(scenario: Scenario) -> int:
    """Return for how long arrivals go on behind the measured part, so that its last requests meet the same load.

    As long as the measured part, ten full passes, 10 s, or the longest patience of a client (at most 1 h of it),
    whatever is longest. An engine stops before, when every measured request has its outcome.
    """
    return _tail_ns(scenario, [serving_rules(version) for version in each_version(scenario)])


def _tail_ns(scenario: Scenario, rules: Sequence[ServingRules]) -> int:
    """Return the tail, given the rules of each version."""
    largest = _largest_size(scenario)
    full_pass_ns = max(pass_ns(one.pass_time, one.batching.max_batch, largest, SPREAD_ONE) for one in rules)
    patience_ns = min(_patience_ns(scenario), TAIL_PATIENCE_MAX_NS)
    return max(scenario.horizon.duration, TAIL_PASSES * full_pass_ns, TAIL_LEAST_NS, patience_ns)


def _patience_ns(scenario: Scenario) -> int:
    """Return how long a request can last at most: all attempts and the waits between them; 0 if without limit."""
    timeout, deadline = scenario.traffic.timeout, scenario.queue.deadline
    if timeout is None:
        longest_ns = deadline or 0
    else:
        longest_ns = time_table(timeout, "traffic.timeout", least_ns=1)[-1]
    retries = scenario.traffic.retries
    return retries.attempts * longest_ns + (retries.attempts - 1) * retries.backoff_max


def _largest_size(scenario: Scenario) -> int:
    """Return the largest size that is drawn; recorded ones do not matter for a bound on the tail."""
    return 1 if scenario.traffic.sizes is None else size_table(scenario.traffic.sizes)[-1]


def _traffic(scenario: Scenario, schedule: Schedule, rules: ServingRules, costs: Costs) -> TrafficInput:
    """Return who sends what, and when."""
    traffic = scenario.traffic
    timeout_table: Table | None = None
    if traffic.timeout is not None:
        timeout_table = time_table(traffic.timeout, "traffic.timeout", least_ns=1)
    clients = traffic.clients
    return TrafficInput(
        arrivals_ns=schedule.arrivals_ns,
        sizes=schedule.sizes,
        size_table=size_table(1 if traffic.sizes is None else traffic.sizes),
        clients=0 if clients is None else clients.count,
        think_table=(0,) if clients is None else time_table(clients.think, "traffic.clients.think"),
        timeout_table=timeout_table,
        retry=rules.retry,
        there_ns=costs.there_ns,
        back_ns=costs.back_ns,
    )


def _fleet(scenario: Scenario, rules: ServingRules, costs: Costs) -> FleetInput:
    """Return what serves one version."""
    return FleetInput(
        instances=scenario.fleet.instances,
        batching=rules.batching,
        admission=rules.admission,
        deadline=rules.deadline,
        pass_time=rules.pass_time,
        spread_table=spread_table(costs.spread),
        batch_in_table=time_table(costs.batch_in, "fleet.turnaround.batch_in"),
        results_out_table=time_table(costs.results_out, "fleet.turnaround.results_out"),
        replicas=scenario.fleet.replicas,
        routing=rules.routing,
        autoscaler=rules.autoscaler,
        drain=rules.drain,
        cold_start_tables=cold_start_tables(scenario),
        restart_from=RESTART_FROM,
        crash_table=crash_table(scenario),
        faults=rules.faults,
    )


def versions_input(scenario: Scenario, rollout_origin_ns: int = 0) -> VersionsInput:
    """Return how requests come to the versions; rollout.start counts from `rollout_origin_ns`."""
    rules = version_rules(scenario)
    start = rollout_start_ns(scenario)
    order = Order(int(OrderKind.ROLLOUT), UNSET, int(Command.START))
    return VersionsInput(
        weights=rules.weights,
        shadows=rules.shadows,
        rollout=rules.rollout,
        orders=() if start is None else (OrderAt(rollout_origin_ns + start, order),),
        users=scenario.split.users or 0,
        salt=scenario.split.salt,
        pinned=rules.pinned,
    )


def cold_start_tables(scenario: Scenario) -> tuple[Table, ...]:
    """Return the tables of the parts of a replica's start, in their order."""
    written = scenario.fleet.cold_start
    return tuple(time_table(getattr(written, part), f"fleet.cold_start.{part}") for part in COLD_START_PARTS)


def crash_table(scenario: Scenario) -> Table | None:
    """Return the table of a replica's time from its readiness to its crash, None if it never does."""
    mean_ns = scenario.fleet.crash_every
    return None if mean_ns is None else lifetime_table(mean_ns)


def _check_calibrated(scenario: Scenario) -> None:
    """Raise RefusedToAnswer where batches can grow beyond those that were measured, or another model was measured."""
    profile = profile_of(scenario)
    if profile is not None:
        _check_model(scenario, profile)
    if profile is not None and scenario.batching.max_batch > profile.max_batch:
        raise RefusedToAnswer(
            f"batching.max_batch is {scenario.batching.max_batch}, but the calibration {profile.name} measured batches "
            f"up to {profile.max_batch}: calibrate with larger ones first."
        )


def _check_model(scenario: Scenario, profile: Profile) -> None:
    """Raise RefusedToAnswer where the scenario names another model. An emulated device can stand for any."""
    model = scenario.model
    if model.serve_with == "emulated" or profile.serve_with is None:
        return
    for key, asked, measured in (
        ("serve_with", model.serve_with, profile.serve_with),
        ("options", model.options, profile.options),
    ):
        if asked != measured:
            raise RefusedToAnswer(
                f"model.{key} is {asked}, but the calibration {profile.name} was measured of a server with {measured}: "
                "calibrate that model."
            )
