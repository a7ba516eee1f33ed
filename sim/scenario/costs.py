"""What a pass and the way to it cost: as the scenario says, else as a calibration measured, else nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sim.scenario.distribution_spec import LognormalSpread, Spread, TimeLaw
from sim.scenario.profile import Draw, Profile, load_profile
from sim.scenario.spec import PassTime, Scenario

__all__ = ["Costs", "costs_of", "profile_of"]


@dataclass(frozen=True)
class Costs:
    """All times of a replica, in ns."""

    base_ns: int
    per_item_ns: int
    per_unit_ns: int
    table_ns: Mapping[int, int]  # by batch size; empty: the line counts
    padded_sizes: tuple[int, ...]
    spread: Spread | None
    request: TimeLaw
    response: TimeLaw
    pass_result: TimeLaw
    timer: TimeLaw
    batch_in: TimeLaw
    results_out: TimeLaw
    there_ns: int
    back_ns: int


def profile_of(scenario: Scenario) -> Profile | None:
    """Return the calibration that the scenario names, if any. Raises ScenarioError if it cannot be read."""
    file = scenario.model.profile
    return None if file is None else load_profile(scenario.path_of(file))


def costs_of(scenario: Scenario, profile_draw: Draw = None) -> Costs:
    """Return the costs; with a calibration, those of its central fit or of one of its draws.

    What the scenario states goes before the calibration. Raises ScenarioError if the calibration cannot be read.
    """
    profile = profile_of(scenario)
    measured = {} if profile is None else profile.times_ns(profile_draw)

    def either(written: TimeLaw | None, part: str) -> TimeLaw:
        return measured.get(part, 0) if written is None else written

    written = scenario.model.pass_time or PassTime()
    there, back = scenario.traffic.network.there, scenario.traffic.network.back
    return Costs(
        base_ns=measured.get("base", written.base),
        per_item_ns=measured.get("per_item", written.per_item),
        per_unit_ns=written.per_unit,
        table_ns=(written.table or {}) if profile is None else profile.table_ns(profile_draw),
        padded_sizes=written.padded_sizes,
        spread=written.spread if profile is None else _spread(profile.spread_cv),
        request=either(scenario.front_end.request, "front_end_request"),
        response=either(scenario.front_end.response, "front_end_response"),
        pass_result=either(scenario.front_end.pass_result, "front_end_pass_result"),
        timer=either(scenario.front_end.timer, "front_end_timer"),
        batch_in=either(scenario.fleet.turnaround.batch_in, "batch_in"),
        results_out=either(scenario.fleet.turnaround.results_out, "results_out"),
        there_ns=measured.get("network_there", 0) if there is None else there,
        back_ns=measured.get("network_back", 0) if back is None else back,
    )


def _spread(cv: float) -> Spread | None:
    """Return a measured spread: lognormal, the usual shape of times with a floor and a tail."""
    return LognormalSpread(distribution="lognormal", cv=cv) if cv > 0 else None
