"""How much load comes, and how much the fleet can take, by arithmetic alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from policy.dice import CELLS, LEVELS
from policy.pass_time import SPREAD_ONE, pass_ns
from sim.arrivals.renewal import NS_PER_S
from sim.arrivals.trace import requests_until
from sim.errors import ScenarioError
from sim.scenario.arrival_spec import DayCurve, Mmpp, RecordedTrace, Spike, Steps
from sim.scenario.costs import costs_of
from sim.scenario.distributions import mean_of, size_table
from sim.scenario.fleet_spec import COLD_START_PARTS, RESTART_FROM
from sim.scenario.rules import serving_rules
from sim.scenario.schedule import expected_requests
from sim.scenario.spec import Scenario
from sim.scenario.traces import load_trace, recorded_sizes, trace_lasts_ns, with_checked_trace
from sim.scenario.versions import each_version, load_shares

__all__ = ["at_rate", "capacity_per_s", "mean_rate_per_s", "met_rate_per_s", "times_over"]


def mean_rate_per_s(scenario: Scenario) -> float:
    """Return the mean rate of first sends over the stated warm-up and the measured part of a run.

    Of a trace it is the mean of all of it. A closed loop has no rate of its own and counts as 0.
    """
    horizon_ns = scenario.horizon.stated_ns
    return expected_requests(scenario, horizon_ns) / horizon_ns * NS_PER_S


def met_rate_per_s(scenario: Scenario) -> float:
    """Return the mean rate of first sends that runs meet: of a trace of which they meet the beginning, that of it."""
    spec, lasts_ns, horizon_ns = scenario.traffic.arrivals, trace_lasts_ns(scenario), scenario.horizon.stated_ns
    if not isinstance(spec, RecordedTrace) or lasts_ns is None or horizon_ns >= lasts_ns:
        return mean_rate_per_s(scenario)
    requests = requests_until(load_trace(scenario, spec), horizon_ns, spec.rate) * spec.scale
    return requests / horizon_ns * NS_PER_S


def capacity_per_s(scenario: Scenario, profile_draw: int | None = None) -> float:
    """Return the rate above which the backlog grows: that of full batches back to back, or of the front end.

    Of a fleet with an autoscaler it is that of the most replicas; of one with faults that of its mean replica, up as
    much of the time and slow as often as all of them are in the long run (first passes do not count); of several
    versions, that of the one which is full first by what it gets at the start.

    It is an upper bound: batches that are closed before they are full (freeze timer, slots above instances) take less,
    and so do results and timers that wait for the front end. Results are its worker 0's job, and passes that block it.
    """
    if len(scenario.versions) > 1:
        shares = zip(each_version(scenario), load_shares(scenario), strict=True)
        return min(capacity_per_s(alone, profile_draw) / share for alone, share in shares if share > 0)
    rules, costs = serving_rules(scenario, profile_draw), costs_of(scenario, profile_draw)
    size = rules.batching.max_batch
    instances = scenario.fleet.instances
    at_once = min(instances, rules.batching.slots) if rules.batching.slots else instances
    one_pass_ns = pass_ns(rules.pass_time, size, round(_longest(scenario, size)), SPREAD_ONE)
    blocking = scenario.front_end.blocking
    # What a batch costs the front end, and for how long an instance has it.
    of_front_end_ns = one_pass_ns if blocking else mean_of(costs.pass_result)
    cycle_ns = mean_of(costs.batch_in) + one_pass_ns + mean_of(costs.results_out) + (0 if blocking else of_front_end_ns)
    request_ns = (mean_of(costs.request) + mean_of(costs.response)) / scenario.front_end.workers
    front_end_ns = request_ns + of_front_end_ns / size
    front_end_per_s = NS_PER_S / front_end_ns if front_end_ns else math.inf
    replicas = scenario.fleet.replicas if scenario.fleet.autoscaler is None else rules.autoscaler.replicas_max
    replicas_per_s = replicas * at_once * size / cycle_ns * NS_PER_S
    return min(replicas_per_s * _availability(scenario) * _mean_speed(scenario), front_end_per_s)


def at_rate(scenario: Scenario, rate_per_s: float) -> Scenario:
    """Return the scenario with the same traffic at another mean rate.

    Rates are multiplied by one factor and times stay, but a trace is stretched. Raises ScenarioError in a closed loop,
    and where the traffic sends nothing within the run or its trace becomes shorter than that.
    """
    arrivals = scenario.traffic.arrivals
    if arrivals is None:
        raise ScenarioError("traffic.clients is a closed loop, whose rate follows from its answers: it cannot be set.")
    present_per_s = mean_rate_per_s(scenario)
    if present_per_s == 0:
        raise ScenarioError("traffic.arrivals sends nothing within the run: it has no rate that could be changed.")
    factor = rate_per_s / present_per_s
    change: dict[str, object]
    match arrivals:
        case Mmpp():
            change = {"rates": tuple(rate * factor for rate in arrivals.rates)}
        case Steps():
            steps = arrivals.steps
            change = {"steps": tuple(step.model_copy(update={"rate": step.rate * factor}) for step in steps)}
        case DayCurve():
            change = {"mean_rate": arrivals.mean_rate * factor}
        case Spike():
            change = {"rate": arrivals.rate * factor, "peak_rate": arrivals.peak_rate * factor}
        case RecordedTrace():
            change = {"rate": rate_per_s / arrivals.scale}
        case _:
            change = {"rate": float(rate_per_s)}
    traffic = scenario.traffic.model_copy(update={"arrivals": arrivals.model_copy(update=change)})
    return with_checked_trace(scenario.model_copy(update={"traffic": traffic}))


def times_over(scenario: Scenario, rate_per_s: float) -> Scenario:
    """Return the scenario with so many times its traffic that this is the mean rate, its course over time kept.

    As at_rate, but a trace is multiplied, or thinned, and lasts as long. Raises ScenarioError as at_rate does.
    """
    arrivals = scenario.traffic.arrivals
    if not isinstance(arrivals, RecordedTrace):
        return at_rate(scenario, rate_per_s)
    scale = arrivals.scale * (rate_per_s / mean_rate_per_s(scenario))
    traffic = scenario.traffic.model_copy(update={"arrivals": arrivals.model_copy(update={"scale": scale})})
    return scenario.model_copy(update={"traffic": traffic})


def _availability(scenario: Scenario) -> float:
    """Return the share of the time that a replica is up: an alternating renewal process of lives and restarts."""
    up_ns, start = scenario.fleet.crash_every, scenario.fleet.cold_start
    if up_ns is None:
        return 1.0
    return up_ns / (up_ns + sum(mean_of(getattr(start, part)) for part in COLD_START_PARTS[RESTART_FROM:]))


def _mean_speed(scenario: Scenario) -> float:
    """Return how fast the mean replica is against one that is not slow."""
    slow = scenario.fleet.slow
    return 1.0 if slow is None else 1.0 - slow.share + slow.share / slow.factor


def _longest(scenario: Scenario, batch_size: int) -> float:
    """Return the mean of the largest size in a batch of that many."""
    recorded = recorded_sizes(scenario)
    if scenario.traffic.sizes is None and len(recorded):
        below = (np.arange(len(recorded) + 1) / len(recorded)) ** batch_size
        return float(np.sort(recorded) @ np.diff(below))
    return _longest_drawn(size_table(1 if scenario.traffic.sizes is None else scenario.traffic.sizes), batch_size)


def _longest_drawn(table: Sequence[int], batch_size: int) -> float:
    """Return the mean of the largest of that many draws: the integral of the quantiles over d(p ** batch_size)."""
    if len(table) == 1:
        return float(table[0])
    mean = 0.0
    for level, row in enumerate(np.array(table, dtype=np.float64).reshape(LEVELS, -1)):
        cells = CELLS if level == LEVELS - 1 else CELLS - 1
        below = (1 - 2.0 ** (-10 * level) * (1 - np.arange(cells + 1) / CELLS)) ** batch_size
        mean += float((row[:cells] + row[1 : cells + 1]) / 2 @ np.diff(below))
    return mean
