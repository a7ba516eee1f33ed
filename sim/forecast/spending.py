"""How many replicas are paid for and what they cost: those that a forecast runs, and the spare ones beside them.

Each version has its own fleet, its own machine and so its own price.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from sim.forecast.estimates import Figure, exact, mean_of_runs
from sim.forecast.replications import Replication
from sim.outcome.fleet_course import Steps
from sim.outcome.measures import RunMeasures
from sim.scenario.spec import Scenario
from sim.scenario.versions import each_version, version_rules

__all__ = ["fleet_figures"]

_NS_PER_HOUR = 3.6e12

Counts = TypeVar("Counts", int, npt.NDArray[np.int64])


def fleet_figures(
    scenario: Scenario,
    central: Sequence[Replication],
    drawn: Sequence[Replication] | None,
    *,
    calibration_known: bool,
) -> dict[str, Figure]:
    """Return the replicas, their hours and their cost.

    In the runs the spare replicas of `scenario` were down. They are paid for all the same.
    """
    fleets, loaded = each_version(scenario), version_rules(scenario).loaded
    changes = scenario.rollout is not None or any(alone.fleet.autoscaler is not None for alone in fleets)
    if not changes:
        there = [alone for alone, is_loaded in zip(fleets, loaded, strict=True) if is_loaded]
        replicas, hours = sum(alone.fleet.replicas for alone in there), scenario.horizon.duration / _NS_PER_HOUR
        cost = math.fsum(_nodes(alone, alone.fleet.replicas) * hours * _price(alone) for alone in there)
        return {
            "replicas.mean": exact(replicas),
            "replicas.peak": exact(replicas),
            "gpu_hours": exact(replicas * hours),
            "cost": _NO_PRICE if scenario.cost is None else exact(cost),
        }

    def of_runs(read: Callable[[Replication], float]) -> Figure:
        others = None if drawn is None else [read(run) for run in drawn]
        return mean_of_runs([read(run) for run in central], others, calibration_known=calibration_known)

    def hours_of(run: Replication) -> float:
        return math.fsum(_hours(run.measures, _paid(alone, mine)) for alone, mine in _parts(fleets, run))

    def cost_of(run: Replication) -> float:
        return math.fsum(_cost(alone, run.measures, _paid(alone, mine)) for alone, mine in _parts(fleets, run))

    window_hours = (central[0].measures.to_ns - central[0].measures.from_ns) / _NS_PER_HOUR
    spare = sum(alone.fleet.spare for alone, is_loaded in zip(fleets, loaded, strict=True) if is_loaded)
    return {
        "replicas.mean": of_runs(lambda run: hours_of(run) / window_hours),
        "replicas.peak": of_runs(lambda run: run.measures.replicas_peak + spare),
        "gpu_hours": of_runs(hours_of),
        "cost": _NO_PRICE if scenario.cost is None else of_runs(cost_of),
    }


_NO_PRICE = Figure(None, why="cost.replica_hour is not stated")


def _parts(fleets: Sequence[Scenario], run: Replication) -> list[tuple[Scenario, RunMeasures]]:
    """Return each version with its part of a run."""
    parts = [version.measures for version in run.versions] or [run.measures]
    return list(zip(fleets, parts, strict=True))


def _paid(alone: Scenario, run: RunMeasures) -> Steps:
    """Return the replicas of a version that are paid for, with its spare ones for as long as it has any."""
    paid = run.fleet.paid
    return replace(paid, values=paid.values + alone.fleet.spare * (paid.values > 0)) if alone.fleet.spare else paid


def _hours(run: RunMeasures, paid: Steps) -> float:
    return paid.area(run.from_ns, run.to_ns) / _NS_PER_HOUR


def _cost(alone: Scenario, run: RunMeasures, paid: Steps) -> float:
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
