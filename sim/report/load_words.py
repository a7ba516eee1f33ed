"""How much load comes, and how much of what the fleet can take that is, in a sentence."""

from __future__ import annotations

from itertools import pairwise

from sim.arrivals.renewal import NS_PER_S
from sim.outcome.fleet_course import WINDOW_NS
from sim.report.units import about_time, quantity
from sim.scenario.arrival_spec import Mmpp, RecordedTrace
from sim.scenario.capacity import capacity_per_s, mean_rate_per_s, met_rate_per_s
from sim.scenario.schedule import expected_requests
from sim.scenario.spare import without_spare
from sim.scenario.spec import Scenario
from sim.scenario.traces import trace_peak
from sim.scenario.versions import each_version, load_shares, version_names

__all__ = ["load_in_words", "of_mean_in_words"]

_WINDOWS = 500
"""Most windows in which the busiest is looked for."""

_UNEVEN = 1.05
"""The busiest window is told where its rate is above so many times the mean."""


def load_in_words(scenario: Scenario) -> str | None:
    """Return the load beside the saturation, for device busy tells little of it: small batches keep devices busy, too.

    None of a closed loop; without a share of an autoscaled fleet. Of several versions the load is that of all, and the
    saturation that of the one which is full first, unless fleets or a rollout change it. Raises what the scenario
    raises.
    """
    left = without_spare(scenario)
    if left.traffic.clients is not None:
        return None
    alone = each_version(left)
    is_fixed = left.rollout is None and all(each.fleet.autoscaler is None for each in alone)
    load, most_per_s, of_busiest = met_rate_per_s(left), 0.0, ""
    busiest = _busiest(left)
    densest = left.traffic.arrivals
    if isinstance(densest, Mmpp) and max(densest.rates) > _UNEVEN * load:
        most_per_s = max(densest.rates)
        of_busiest = f", and {quantity('load_per_s', most_per_s)} in its densest state"
    elif busiest is not None:
        most_per_s, window_ns = busiest
        of_busiest = f", and {quantity('load_per_s', most_per_s)} in the busiest {about_time(window_ns)}"
    if len(alone) > 1:
        of_busiest += ", over all versions" if of_busiest else " over all versions"
    said = f"Load: {quantity('load_per_s', load)}{of_busiest}"
    if not is_fixed:
        return f"{said}."
    saturation, limit = _saturation(left)
    shares = [load, most_per_s] if most_per_s else [load]
    of_it = " and ".join(quantity("load_share", rate / saturation) for rate in shares)
    most = quantity("load_per_s", saturation)
    return f"{said}{':' if most_per_s else ','} {of_it} of the saturation of {most} ({limit})."


def of_mean_in_words(scenario: Scenario) -> str | None:
    """Return that the rates of traffic at other scales are means, and how much more comes in the busiest window.

    None where the traffic is about as dense throughout, and of a closed loop. Raises what the scenario raises.
    """
    busiest = None if scenario.traffic.clients is not None else _busiest(scenario)
    if busiest is None or busiest[0] <= _UNEVEN * mean_rate_per_s(scenario):
        return None
    times = busiest[0] / mean_rate_per_s(scenario)
    return f"Rates are means over the run: in the busiest {about_time(busiest[1])} there is {times:.3g} times as much."


def _saturation(scenario: Scenario) -> tuple[float, str]:
    """Return the rate that can just be served, and what sets it; of versions that of the one which is full first."""
    alone = each_version(scenario)
    if len(alone) == 1:
        return capacity_per_s(alone[0]), _limit(alone[0])
    rates = {
        place: capacity_per_s(alone[place]) / share for place, share in enumerate(load_shares(scenario)) if share > 0
    }
    first = min(rates, key=lambda place: rates[place])
    return rates[first], f"{_limit(alone[first])}, of {version_names(scenario)[first]}, which is full first"


def _limit(alone: Scenario) -> str:
    """Return what a fleet is full by: it is the front end where another replica would not help."""
    wider = alone.model_copy(update={"fleet": alone.fleet.model_copy(update={"replicas": alone.fleet.replicas + 1})})
    return "full batches" if capacity_per_s(wider) > capacity_per_s(alone) else "the front end is full"


def _busiest(scenario: Scenario) -> tuple[float, int] | None:
    """Return the highest rate in any window, and the windows' length in ns; None where it is about the mean."""
    if isinstance(scenario.traffic.arrivals, RecordedTrace):
        return trace_peak(scenario, WINDOW_NS)
    horizon_ns = scenario.horizon.stated_ns
    window_ns = max(WINDOW_NS, horizon_ns // _WINDOWS)
    sent = [expected_requests(scenario, edge_ns) for edge_ns in range(0, horizon_ns + 1, window_ns)]
    most = max((later - earlier for earlier, later in pairwise(sent)), default=0.0)
    is_uneven = most * horizon_ns > _UNEVEN * window_ns * expected_requests(scenario, horizon_ns)
    return (most / window_ns * NS_PER_S, window_ns) if is_uneven else None
