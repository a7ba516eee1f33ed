"""What is known of a configuration before any run: whether it can meet the goals at all, and where theory orders some.

An exclusion is sure, or it is not made: what is left over is simulated.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Final

from policy.pass_time import SPREAD_ONE, pass_ns
from sim.errors import RefusedToAnswer
from sim.forecast.refusals import refuse_unstable
from sim.forecast.settling import is_steady
from sim.forecast.spending import fleet_changes
from sim.planner.grid import Configuration
from sim.scenario.capacity import capacity_per_s, mean_rate_per_s
from sim.scenario.rules import serving_rules
from sim.scenario.spare import without_spare
from sim.scenario.spec import Scenario

__all__ = ["REPLICAS", "excluded", "family_of"]

REPLICAS: Final = "fleet.replicas"

_LOST: Final = ("refused_share", "timed_out_share", "abandoned_share", "failed_share")
"""What may become of a request that is not answered."""

_DEVIATIONS: Final = 4.0
"""By so many standard deviations there may be fewer requests than on the mean."""


def excluded(scenario: Scenario, limits: Mapping[str, float]) -> str | None:
    """Return why a scenario cannot meet limits on figures, in their units; None where a run must tell."""
    tested = without_spare(scenario)
    try:
        refuse_unstable(tested)
    except RefusedToAnswer as error:
        return str(error)
    return _too_little(tested, limits) or _too_slow(tested, limits)


def family_of(one: Configuration, limits: Mapping[str, float]) -> Hashable:
    """Return what a configuration shares with those of other replica counts alone, where more replicas never hurt.

    None where they may. Without a wait for company more replicas leave each a part of the load and take nothing. With
    a timer that is not so: batches fill more slowly. It cannot break a goal, though, that leaves room for the longest
    wait of an idle fleet: the timer, a pass that is running, and one's own. Slow replicas come with more of them.
    """
    scenario = one.scenario
    fleet = scenario.fleet
    if REPLICAS not in one.changes or fleet_changes(scenario) or len(scenario.versions) > 1:
        return None
    if fleet.slow is not None or fleet.crash_every is not None:
        return None
    if scenario.batching.max_wait > 0 and not _has_room_for_timer(scenario, limits):
        return None
    return tuple(sorted((key, value) for key, value in one.changes.items() if key != REPLICAS))


def _too_little(scenario: Scenario, limits: Mapping[str, float]) -> str | None:
    """Return why more requests are lost than the goals allow: those beyond what the fleet can take."""
    losses, waiting = _possible_losses(scenario), _waiting_most(scenario)
    if scenario.traffic.clients is not None or waiting is None or not all(name in limits for name in losses):
        return None
    if not is_steady(scenario) and scenario.horizon.warm_up not in {"auto", 0}:
        return None  # the measured part may be the quiet one
    rate, capacity = mean_rate_per_s(scenario), capacity_per_s(scenario)
    requests = rate * scenario.horizon.duration / 1e9
    if rate <= capacity:
        return None
    chance = _DEVIATIONS / math.sqrt(requests)
    lost, allowed = 1.0 - capacity / rate - waiting / requests - chance, sum(limits[name] for name in losses)
    if lost <= allowed:
        return None
    return (
        f"of {rate:.4g}/s at most {capacity:.4g}/s can be served, so {100 * lost:.3g} % are lost, and the goals allow "
        f"{100 * allowed:.3g} %"
    )


def _possible_losses(scenario: Scenario) -> list[str]:
    """Return the shares that requests beyond the capacity may add to."""
    may_be = (
        scenario.queue.cap is not None,
        scenario.queue.deadline is not None,
        scenario.traffic.timeout is not None,
        scenario.fleet.crash_every is not None,
    )
    return [name for name, is_possible in zip(_LOST, may_be, strict=True) if is_possible]


def _waiting_most(scenario: Scenario) -> float | None:
    """Return how many requests the fleet may hold when a run ends, None where nothing says."""
    cap, fleet = scenario.queue.cap, scenario.fleet
    if cap is None or len(scenario.versions) > 1 or fleet.routing.outstanding_max is not None:
        return None
    replicas = fleet.replicas if fleet.autoscaler is None else serving_rules(scenario).autoscaler.replicas_max
    return float(replicas * (cap + fleet.instances * scenario.batching.max_batch))


def _too_slow(scenario: Scenario, limits: Mapping[str, float]) -> str | None:
    """Return why no request is answered in time: one that finds the fleet idle takes longer."""
    wanted = {name: limit for name, limit in limits.items() if name.startswith("latency_ms.")}
    model = scenario.model.pass_time
    if not wanted or len(scenario.versions) > 1 or model is None or model.spread is not None or model.per_unit > 0:
        return None
    rules = serving_rules(scenario)
    sizes = range(1, rules.batching.max_batch + 1)
    least_ms = min(pass_ns(rules.pass_time, size, 1, SPREAD_ONE) for size in sizes) / 1e6
    name = min(wanted, key=lambda each: wanted[each])
    if least_ms <= wanted[name]:
        return None
    return f"a pass takes {least_ms:.4g} ms, and {name.removeprefix('latency_ms.')} may be {wanted[name]:.4g} ms"


def _has_room_for_timer(scenario: Scenario, limits: Mapping[str, float]) -> bool:
    """Return whether every latency goal leaves room for the timer, a pass that is running and one's own."""
    rules, model = serving_rules(scenario), scenario.model.pass_time
    if model is None or model.spread is not None or model.per_unit > 0:
        return False
    one_pass_ns = pass_ns(rules.pass_time, rules.batching.max_batch, 1, SPREAD_ONE)
    most_ms = (rules.batching.max_wait_ns + 2 * one_pass_ns) / 1e6
    return all(most_ms < limit for name, limit in limits.items() if name.startswith("latency_ms."))
