"""The checked rules of the replica that a scenario describes, for engines and for a server alike."""

from __future__ import annotations

from typing import NamedTuple

from policy.admission import AdmissionRule
from policy.batching import BatchingRule
from policy.deadlines import DeadlineRule
from policy.errors import SettingError
from policy.pass_time import PassTimeRule
from policy.retries import RetryRule
from policy.settings import (
    admission_rule,
    batching_rule,
    check_count,
    deadline_rule,
    pass_time_rule,
    retry_rule,
)
from sim.scenario.costs import Costs, costs_of
from sim.scenario.distributions import size_table, spread_table, time_table
from sim.scenario.profile import Draw
from sim.scenario.spec import Scenario
from sim.scenario.traces import recorded_sizes

__all__ = ["ServingRules", "check_rules", "serving_rules"]

RUNS_MAX = 10_000


class ServingRules(NamedTuple):
    """Every rule of one replica and its clients."""

    batching: BatchingRule
    admission: AdmissionRule
    deadline: DeadlineRule
    retry: RetryRule
    pass_time: PassTimeRule


def serving_rules(scenario: Scenario, profile_draw: Draw = None) -> ServingRules:
    """Return the rules; `profile_draw` as in costs_of. Raises SettingError where one is out of its range."""
    batching = scenario.batching
    instances = check_count("fleet.instances", scenario.fleet.instances)
    retries = scenario.traffic.retries
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
        admission=admission_rule(cap=scenario.queue.cap),
        deadline=deadline_rule(deadline_ns=scenario.queue.deadline),
        retry=retry_rule(
            attempts=retries.attempts,
            backoff_ns=retries.backoff,
            backoff_max_ns=retries.backoff_max,
            jitter=retries.jitter,
        ),
        pass_time=_pass_time(scenario, costs_of(scenario, profile_draw)),
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
    check_count("fleet.replicas", scenario.fleet.replicas, 1, 1)
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
        check_count("seed", scenario.seed, 0, 2**63 - 1)


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
