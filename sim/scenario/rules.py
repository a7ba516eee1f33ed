"""The checked rules of the fleet that a scenario describes, for engines and for a server alike."""

from __future__ import annotations

from itertools import pairwise
from typing import Final, NamedTuple

from policy.admission import AdmissionRule
from policy.autoscaler_presets import preset
from policy.autoscaling_rule import REPLICAS_MAX, AutoscalingRule, Signal
from policy.autoscaling_settings import autoscaling_rule, fixed_fleet, target_in_words
from policy.batching import BatchingRule
from policy.deadlines import DeadlineRule
from policy.errors import SettingError
from policy.faults import FAULTLESS, FaultRule
from policy.pass_time import PassTimeRule
from policy.retries import RetryRule
from policy.routing import RoutingRule
from policy.settings import (
    admission_rule,
    batching_rule,
    check_count,
    deadline_rule,
    drain_order,
    fault_rule,
    pass_time_rule,
    retry_rule,
    routing_rule,
)
from sim.errors import ScenarioError
from sim.scenario.costs import Costs, costs_of
from sim.scenario.distributions import size_table, spread_table, time_table
from sim.scenario.fields import SEED_MAX
from sim.scenario.fleet_spec import COLD_START_PARTS
from sim.scenario.profile import Draw
from sim.scenario.spec import Autoscaler, Fleet, Goals, Scenario
from sim.scenario.traces import recorded_sizes
from sim.scenario.units import write_time

__all__ = ["RUNS_MAX", "ServingRules", "check_rules", "check_seed", "seed_of", "serving_rules"]

_PERCENTILES: Final = ("p50", "p90", "p95", "p99", "p999")

RUNS_MAX: Final = 10_000
"""The most runs of one configuration."""


class ServingRules(NamedTuple):
    """Every rule of the fleet and its clients."""

    batching: BatchingRule
    admission: AdmissionRule
    deadline: DeadlineRule
    retry: RetryRule
    pass_time: PassTimeRule
    routing: RoutingRule
    autoscaler: AutoscalingRule
    drain: int  # policy.fleet.Drain
    faults: FaultRule


def serving_rules(scenario: Scenario, profile_draw: Draw = None) -> ServingRules:
    """Return the rules; `profile_draw` as in costs_of. Raises SettingError where one is out of its range."""
    batching = scenario.batching
    instances = check_count("fleet.instances", scenario.fleet.instances)
    retries, routing = scenario.traffic.retries, scenario.fleet.routing
    costs = costs_of(scenario, profile_draw)
    return ServingRules(
        batching=batching_rule(
            max_batch=batching.max_batch,
            max_wait_ns=batching.max_wait,
            timer_origin=batching.timer_origin,
            freeze=batching.freeze,
            collector=batching.collector,
            slots=batching.slots,
            instances=instances,
            preferred_sizes=batching.preferred_sizes,
        ),
        admission=admission_rule(cap=scenario.queue.cap, held_max=scenario.fleet.routing.held_max),
        deadline=deadline_rule(deadline_ns=scenario.queue.deadline),
        retry=retry_rule(
            attempts=retries.attempts,
            backoff_ns=retries.backoff,
            backoff_max_ns=retries.backoff_max,
            jitter=retries.jitter,
        ),
        pass_time=_pass_time(scenario, costs),
        routing=routing_rule(balance=routing.balance, tie=routing.tie, outstanding_max=routing.outstanding_max),
        autoscaler=_autoscaler(scenario.fleet.autoscaler),
        drain=drain_order(scenario.fleet.drain),
        faults=_faults(scenario.fleet, costs),
    )


def check_rules(scenario: Scenario) -> None:
    """Raise SettingError or ScenarioError for the first setting that is out of its range or contradicts another."""
    serving_rules(scenario)
    check_count("front_end.workers", scenario.front_end.workers)
    if scenario.front_end.blocking:
        for key, count in (
            ("front_end.workers", scenario.front_end.workers),
            ("fleet.instances", scenario.fleet.instances),
        ):
            if count != 1:
                raise SettingError(key, "1 with front_end.blocking, where one event loop does everything", count)
    check_count("horizon.runs", scenario.horizon.runs, 2, RUNS_MAX)
    _check_fleet(scenario)
    goals = scenario.goals
    if goals.breach is not None and goals.p99 is None and goals.refused is None:
        raise SettingError("goals.breach", "stated beside goals.p99 or goals.refused, whose breaches it limits", "none")
    _check_goals(goals)
    traffic, costs = scenario.traffic, costs_of(scenario)
    spread_table(costs.spread)
    time_table(costs.request, "front_end.request")
    time_table(costs.response, "front_end.response")
    time_table(costs.pass_result, "front_end.pass_result")
    time_table(costs.timer, "front_end.timer")
    time_table(costs.batch_in, "fleet.turnaround.batch_in")
    time_table(costs.results_out, "fleet.turnaround.results_out")
    if traffic.timeout is not None:
        time_table(traffic.timeout, "traffic.timeout", least_ns=1)
    if traffic.clients is not None:
        check_count("traffic.clients.count", traffic.clients.count)
        time_table(traffic.clients.think, "traffic.clients.think")
    if scenario.seed is not None:
        check_seed(scenario.seed)


def _check_goals(goals: Goals) -> None:
    """Raise ScenarioError for a percentile that is to be faster than a lower one may be."""
    stated = [name for name in _PERCENTILES if getattr(goals, name) is not None]
    for lower, higher in pairwise(stated):
        low_ns, high_ns = getattr(goals, lower), getattr(goals, higher)
        if low_ns > high_ns:
            raise ScenarioError(
                f"goals.{lower} must not be above goals.{higher}, since fewer requests are slower than {higher}. "
                f"Got {write_time(low_ns)} and {write_time(high_ns)}."
            )


def check_seed(seed: int | str) -> int:
    """Return a seed, or raise SettingError for a number out of range, and for what is no whole number, as a text."""
    if not isinstance(seed, int) or isinstance(seed, bool):
        raise SettingError("seed", f"a whole number from 0 to {SEED_MAX}", seed)
    return check_count("seed", seed, 0, SEED_MAX)


def seed_of(scenario: Scenario, stated: int | None) -> int:
    """Return the seed that counts: the one stated, else the scenario's, else 0. Raises ScenarioError for no seed."""
    try:
        return check_seed((scenario.seed or 0) if stated is None else stated)
    except SettingError as error:
        raise ScenarioError(str(error)) from None


def _autoscaler(written: Autoscaler | None) -> AutoscalingRule:
    """Return the rule that says how many replicas there are to be."""
    if written is None:
        return fixed_fleet()
    of_preset, own = preset(written.preset) if written.preset else {}, written.settings()
    settings = {**of_preset, **own}
    signal = own.get("signal", of_preset.get("signal"))
    if "target" in of_preset and "target" not in own and signal != of_preset["signal"]:
        raise SettingError(
            "fleet.autoscaler.target",
            f"stated where signal is {signal}: that of {written.preset} is for {of_preset['signal']}",
            "nothing",
        )
    for key in ("target", "max_replicas"):
        if key not in settings:
            raise SettingError(
                f"fleet.autoscaler.{key}", "stated: the preset has none, or there is no preset", "nothing"
            )
    return autoscaling_rule(**settings)


def _check_fleet(scenario: Scenario) -> None:
    """Raise SettingError for a fleet that cannot serve."""
    fleet, rule = scenario.fleet, _autoscaler(scenario.fleet.autoscaler)
    least, most = (1, REPLICAS_MAX) if fleet.autoscaler is None else (0, rule.replicas_max)
    if fleet.autoscaler is not None and not rule.to_zero:
        least = rule.replicas_min
    if fleet.autoscaler is not None and not least <= fleet.replicas <= most:
        ends = "max_replicas" if least == 0 else "min_replicas and max_replicas"
        allowed = f"a whole number from {least} to {most} ({ends} of fleet.autoscaler)"
        raise SettingError("fleet.replicas", allowed, fleet.replicas)
    check_count("fleet.replicas", fleet.replicas, least, most)
    if scenario.front_end.blocking and (fleet.replicas != 1 or fleet.autoscaler is not None):
        raise SettingError(
            "fleet.replicas", "1 with front_end.blocking, where one event loop does everything", fleet.replicas
        )
    there = fleet.replicas if fleet.autoscaler is None else rule.replicas_max
    if not 0 <= fleet.spare < max(there, 1):
        raise SettingError(
            "fleet.spare", f"from 0 to {there - 1}, fewer than the replicas that there can be", fleet.spare
        )
    if rule.signal == Signal.BUSY and fleet.autoscaler is not None:
        _check_busy_target(fleet.autoscaler, rule, fleet.instances)
    machines = {} if scenario.cost is None else scenario.cost.machines
    if fleet.machine is not None and fleet.machine not in machines:
        raise SettingError("fleet.machine", f"one of cost.machines ({', '.join(machines) or 'none'})", fleet.machine)
    if scenario.front_end.blocking and fleet.crash_every is not None:
        allowed = "none with front_end.blocking, where a crash takes the server along"
        raise SettingError("fleet.crash_every", allowed, f"{fleet.crash_every / 1e9:g}s")
    for part in COLD_START_PARTS:
        time_table(getattr(fleet.cold_start, part), f"fleet.cold_start.{part}")


def _check_busy_target(written: Autoscaler, rule: AutoscalingRule, instances: int) -> None:
    """Raise SettingError for a target that the devices of a replica cannot reach, all of them busy."""
    target = target_in_words(rule)
    if target > instances:
        of_preset = (
            f", as preset {written.preset} has it" if written.preset is not None and written.signal is None else ""
        )
        raise SettingError(
            "fleet.autoscaler.target",
            f"at most {instances} where signal is busy{of_preset}: busy devices of a replica (80 %: 0.8); a target in "
            "requests needs signal: in_flight and formula: ratio",
            target,
        )


def _faults(fleet: Fleet, costs: Costs) -> FaultRule:
    """Return the rule of slow replicas and slow first passes."""
    slow, first = fleet.slow, fleet.cold_start.first_passes
    if slow is None and first is None:
        return FAULTLESS
    return fault_rule(
        slow_share=slow.share if slow else 0.0,
        slow_factor=slow.factor if slow else 1.0,
        first_count=check_count("fleet.cold_start.first_passes.count", first.count) if first else 0,
        first_factor=first.factor if first else 1.0,
        spread_most=max(spread_table(costs.spread)),
    )


def _pass_time(scenario: Scenario, costs: Costs) -> PassTimeRule:
    """Return the rule of a pass time, its products bounded for the largest batch and request that can come."""
    return pass_time_rule(
        base_ns=costs.base_ns,
        per_item_ns=costs.per_item_ns,
        per_unit_ns=costs.per_unit_ns,
        padded_sizes=costs.padded_sizes,
        table=costs.table_ns,
        max_batch=scenario.batching.max_batch,
        size_max=_size_max(scenario),
    )


def _size_max(scenario: Scenario) -> int:
    """Return the largest size that a request can have."""
    if scenario.traffic.sizes is not None:
        return size_table(scenario.traffic.sizes)[-1]
    recorded = recorded_sizes(scenario)
    return int(recorded.max()) if len(recorded) else 1
