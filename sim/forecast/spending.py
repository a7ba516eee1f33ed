"""How many replicas are paid for and what they cost: those that a forecast runs, and the spare ones beside them.

Each version has its own fleet, its own machine and so its own price.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from sim.forecast.estimates import Figure, exact, mean_of_runs
from sim.outcome.fleet_course import FleetCourse, Steps
from sim.outcome.measures import MeasuredRun
from sim.scenario.rules import serving_rules
from sim.scenario.spec import Scenario
from sim.scenario.versions import each_version, version_rules

__all__ = [
    "PaidRun",
    "fleet_changes",
    "fleet_figures",
    "fleet_values",
    "least_fleet_values",
    "version_fleet_values",
]

_NS_PER_HOUR = 3.6e12

Counts = TypeVar("Counts", int, npt.NDArray[np.int64])


@dataclass(frozen=True)
class PaidRun:
    """What of a run is paid for."""

    whole: MeasuredRun
    fleets: tuple[FleetCourse, ...]  # of each version


def fleet_figures(
    scenario: Scenario, central: Sequence[PaidRun], drawn: Sequence[PaidRun] | None, *, calibration_known: bool
) -> dict[str, Figure]:
    """Return the replicas, their hours and their cost.

    In the runs the spare replicas of `scenario` were down. They are paid for all the same.
    """
    if not fleet_changes(scenario):
        figures = {name: exact(value) for name, value in _fixed_values(scenario).items()}
    else:
        runs = [fleet_values(scenario, run) for run in central]
        others = None if drawn is None else [fleet_values(scenario, run) for run in drawn]
        least, most = least_fleet_values(scenario), _most_fleet_values(scenario)
        seen = [*runs, *(others or ())]
        figures = {
            name: mean_of_runs(
                [run[name] for run in runs],
                None if others is None else [run[name] for run in others],
                calibration_known=calibration_known,
                least=min([least[name], *(run[name] for run in seen)]),
                most=max([most[name], *(run[name] for run in seen)]),  # those that drain are beside the most
            )
            for name in runs[0]
        }
    return figures if scenario.cost is not None else figures | {"cost": _NO_PRICE}


def fleet_values(scenario: Scenario, run: PaidRun) -> dict[str, float]:
    """Return the same figures of one run; the cost is NaN without a price."""
    if not fleet_changes(scenario):
        return _fixed_values(scenario)
    return _measured_values(each_version(scenario), version_rules(scenario).loaded, run)


def fleet_changes(scenario: Scenario) -> bool:
    """Return whether there may be more replicas at one time than at another."""
    return scenario.rollout is not None or any(alone.fleet.autoscaler is not None for alone in each_version(scenario))


def least_fleet_values(scenario: Scenario) -> dict[str, float]:
    """Return what the figures cannot be below, without a run: of a fleet that never changes, the figures themselves.

    An autoscaled fleet has its fewest replicas; of a rollout nothing is known. The cost is NaN without a price.
    """
    if not fleet_changes(scenario):
        return _fixed_values(scenario)
    if scenario.rollout is not None:
        return _values_of(scenario, [(alone, 0) for alone in each_version(scenario)])
    return _values_of(scenario, [(alone, _fewest(alone)) for alone in _loaded(scenario)])


def _most_fleet_values(scenario: Scenario) -> dict[str, float]:
    """Return what the figures of a fleet that changes can hardly be above; of a rollout nothing is known."""
    if scenario.rollout is not None:
        return dict.fromkeys(least_fleet_values(scenario), math.inf)
    return _values_of(scenario, [(alone, _most(alone)) for alone in _loaded(scenario)])


def version_fleet_values(alone: Scenario, run: MeasuredRun) -> dict[str, float]:
    """Return the same figures of one version in a run, whose fleet may come and go with it."""
    return _measured_values([alone], [True], PaidRun(run, (run.fleet,)))


_NO_PRICE = Figure(None, why="cost.replica_hour is not stated")


def _measured_values(fleets: Sequence[Scenario], loaded: Sequence[bool], run: PaidRun) -> dict[str, float]:
    whole = run.whole
    paid = [(alone, _paid(alone, course)) for alone, course in zip(fleets, run.fleets, strict=True)]
    hours = math.fsum(_hours(whole, steps) for _, steps in paid)
    spare = sum(alone.fleet.spare for alone, is_loaded in zip(fleets, loaded, strict=True) if is_loaded)
    return {
        "replicas.mean": hours / ((whole.to_ns - whole.from_ns) / _NS_PER_HOUR),
        "replicas.peak": whole.replicas_peak + spare,
        "gpu_hours": hours,
        "cost": math.fsum(_cost(alone, whole, steps) for alone, steps in paid),
    }


def _fixed_values(scenario: Scenario) -> dict[str, float]:
    """Return the figures of a fleet that never changes."""
    return _values_of(scenario, [(alone, alone.fleet.replicas) for alone in _loaded(scenario)])


def _loaded(scenario: Scenario) -> list[Scenario]:
    """Return the versions that are there from the start."""
    loaded = version_rules(scenario).loaded
    return [alone for alone, is_loaded in zip(each_version(scenario), loaded, strict=True) if is_loaded]


def _values_of(scenario: Scenario, fleets: Sequence[tuple[Scenario, int]]) -> dict[str, float]:
    """Return the figures of versions that have so many replicas each all the time."""
    replicas, hours = sum(count for _, count in fleets), scenario.horizon.duration / _NS_PER_HOUR
    return {
        "replicas.mean": replicas,
        "replicas.peak": replicas,
        "gpu_hours": replicas * hours,
        "cost": math.fsum(_nodes(alone, count) * hours * _price(alone) for alone, count in fleets),
    }


def _fewest(alone: Scenario) -> int:
    """Return how many replicas of a version are paid for at the least."""
    if alone.fleet.autoscaler is None:
        return alone.fleet.replicas
    rule = serving_rules(alone).autoscaler
    # In runs the spare ones are down, and at least one is left.
    return 0 if rule.to_zero else max(rule.replicas_min, 1 + alone.fleet.spare)


def _most(alone: Scenario) -> int:
    """Return how many replicas of a version there are to be at the most."""
    fleet = alone.fleet
    return fleet.replicas if fleet.autoscaler is None else serving_rules(alone).autoscaler.replicas_max


def _paid(alone: Scenario, course: FleetCourse) -> Steps:
    """Return the replicas of a version that are paid for, with its spare ones for as long as it has any."""
    paid = course.paid
    return replace(paid, values=paid.values + alone.fleet.spare * (paid.values > 0)) if alone.fleet.spare else paid


def _hours(run: MeasuredRun, paid: Steps) -> float:
    return paid.area(run.from_ns, run.to_ns) / _NS_PER_HOUR


def _cost(alone: Scenario, run: MeasuredRun, paid: Steps) -> float:
    """Return what the replicas of a version cost; a node is paid whole."""
    return _hours(run, replace(paid, values=_nodes(alone, paid.values))) * _price(alone)


def _nodes(alone: Scenario, replicas: Counts) -> Counts:
    """Return how many nodes so many replicas fill; without a machine each is one of its own."""
    if alone.cost is None or alone.fleet.machine is None:
        return replicas
    return -(-replicas // alone.cost.machines[alone.fleet.machine].gpus)


def _price(alone: Scenario) -> float:
    """Return the price of a node for an hour."""
    if alone.cost is None:
        return math.nan
    if alone.fleet.machine is None:
        return alone.cost.replica_hour
    kind = alone.cost.machines[alone.fleet.machine]
    return kind.gpus * kind.replica_hour
