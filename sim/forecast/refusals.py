"""When no honest figure can be given at all, in one sentence each. What one quantile lacks is said by estimates.py."""

from __future__ import annotations

import math

from sim.errors import RefusedToAnswer
from sim.scenario.capacity import capacity_per_s, mean_rate_per_s
from sim.scenario.costs import costs_of
from sim.scenario.distributions import mean_of
from sim.scenario.spec import Scenario

__all__ = ["UNRESOLVED_MAX", "refuse_unresolved", "unsettled", "refuse_unstable"]

UNRESOLVED_MAX = 0.01
"""The largest share of measured requests that may be without an outcome when the runs end."""


def refuse_unstable(scenario: Scenario) -> None:
    """Raise RefusedToAnswer if a queue grows for as long as the run lasts, so that every latency is its length's."""
    if scenario.traffic.timeout is not None or scenario.traffic.clients is not None:
        return
    rate = mean_rate_per_s(scenario)
    front_end = _front_end_capacity_per_s(scenario)
    if rate >= front_end:
        raise RefusedToAnswer(
            f"The load of {rate:.4g}/s is not below the front end's capacity of {front_end:.4g}/s, and no queue.cap or "
            "queue.deadline reaches requests that wait there: lower the rate, add front_end.workers or set "
            "traffic.timeout."
        )
    capacity = capacity_per_s(scenario)
    if rate >= capacity and scenario.queue.cap is None and scenario.queue.deadline is None:
        raise RefusedToAnswer(
            f"The load of {rate:.4g}/s is not below the capacity of {capacity:.4g}/s and nothing bounds the queue, so "
            "latency grows for as long as the run lasts: lower the rate, or set queue.cap, queue.deadline or "
            "traffic.timeout."
        )


def refuse_unresolved(requests: int, unresolved: int) -> None:
    """Raise RefusedToAnswer if there is nothing to measure, or too much of it without an outcome."""
    if requests == 0:
        raise RefusedToAnswer("No request falls into the measured time: ask for a longer horizon.duration.")
    share = unresolved / requests
    if share > UNRESOLVED_MAX:
        raise RefusedToAnswer(
            f"{share:.1%} of the requests had no outcome when the runs ended (at most {UNRESOLVED_MAX:.0%} may), and "
            "they are the slowest: bound their time by queue.cap, queue.deadline or traffic.timeout, or lower the load."
        )


def unsettled(scenario: Scenario) -> RefusedToAnswer:
    """Return the refusal for when no warm-up of up to the measured time was long enough."""
    rate, capacity = mean_rate_per_s(scenario), capacity_per_s(scenario)
    seen = f"had not settled after a warm-up of {scenario.horizon.duration / 1e9:g}s, as long as the measured time"
    if rate >= capacity:
        return RefusedToAnswer(
            f"The load of {rate:.4g}/s is not below the capacity of {capacity:.4g}/s, and the latency {seen}: lower "
            "the rate, bound the queue by queue.cap, or state horizon.warm_up to measure from there on all the same."
        )
    return RefusedToAnswer(
        f"The latency {seen}: ask for a longer horizon.duration, or state horizon.warm_up to measure from there on all "
        "the same."
    )


def _front_end_capacity_per_s(scenario: Scenario) -> float:
    """Return how many requests and their responses the front end can serve per second."""
    costs = costs_of(scenario)
    work_ns = mean_of(costs.request) + mean_of(costs.response)
    return scenario.front_end.workers / work_ns * 1e9 if work_ns else math.inf
