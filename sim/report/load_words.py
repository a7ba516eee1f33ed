"""How much load comes, and how much of what the fleet can take that is, in a sentence."""

from __future__ import annotations

from itertools import pairwise

from sim.arrivals.renewal import NS_PER_S
from sim.outcome.fleet_course import WINDOW_NS
from sim.report.units import about_time, quantity
from sim.scenario.arrival_spec import RecordedTrace
from sim.scenario.capacity import capacity_per_s, mean_rate_per_s
from sim.scenario.schedule import expected_requests
from sim.scenario.spare import without_spare
from sim.scenario.spec import Scenario
from sim.scenario.traces import trace_peak

__all__ = ["load_in_words"]

_WINDOWS = 500
"""Most windows in which the busiest is looked for."""

_UNEVEN = 1.05
"""The busiest window is told where its rate is above so many times the mean."""


def load_in_words(scenario: Scenario) -> str | None:
    """Return the load beside the saturation, for device busy tells little of it: small batches keep devices busy, too.

    None where there is no such share: of a closed loop, an autoscaled fleet, and several versions. Raises what the
    scenario raises.
    """
    left = without_spare(scenario)
    if left.traffic.clients is not None or left.fleet.autoscaler is not None or left.versions:
        return None
    load, saturation = mean_rate_per_s(left), capacity_per_s(left)
    wider = left.model_copy(update={"fleet": left.fleet.model_copy(update={"replicas": left.fleet.replicas + 1})})
    limit = "full batches" if capacity_per_s(wider) > saturation else "the front end is full"
    said, share = quantity("load_per_s", load), quantity("load_share", load / saturation)
    busiest = _busiest(left)
    if busiest is not None:
        most_per_s, window_ns = busiest
        said = f"{said}, and {quantity('load_per_s', most_per_s)} in the busiest {about_time(window_ns)}"
        share = f"{share} and {quantity('load_share', most_per_s / saturation)}"
    most = quantity("load_per_s", saturation)
    return f"Load: {said}{',' if busiest is None else ':'} {share} of the saturation of {most} ({limit})."


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
