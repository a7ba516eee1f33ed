"""How many replicas are paid for and what they cost: those that a forecast runs, and the spare ones beside them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from sim.forecast.estimates import Figure, Metric, estimate, exact
from sim.forecast.intervals import Bounds, PredictionBounds
from sim.outcome.measures import RunMeasures
from sim.scenario.spec import Cost, Scenario

__all__ = ["fleet_figures"]

Ends = TypeVar("Ends", Bounds | None, PredictionBounds | None)


def fleet_figures(
    scenario: Scenario,
    measured: dict[str, Figure],
    central: Sequence[RunMeasures],
    drawn: Sequence[RunMeasures] | None,
    *,
    calibration_known: bool,
) -> dict[str, Figure]:
    """Return the replicas, their hours and their cost.

    `measured` are the figures of the runs, in which the spare replicas of `scenario` were down. They are paid for all
    the same.
    """
    hours, spare = scenario.horizon.duration / 3.6e12, scenario.fleet.spare
    if scenario.fleet.autoscaler is None:
        replicas = scenario.fleet.replicas
        counts = {
            "replicas.mean": exact(replicas),
            "replicas.peak": exact(replicas),
            "gpu_hours": exact(replicas * hours),
        }
    else:
        counts = {name: _moved(measured[name], spare) for name in ("replicas.mean", "replicas.peak")}
        counts["gpu_hours"] = _moved(measured["gpu_hours"], spare * hours)
    if scenario.cost is None:
        return counts | {"cost": Figure(None, why="cost.replica_hour is not stated")}
    if scenario.fleet.machine is None:
        return counts | {"cost": _times(counts["gpu_hours"], scenario.cost.replica_hour)}
    gpus, node_hour = _node(scenario.cost, scenario.fleet.machine)
    if scenario.fleet.autoscaler is None:
        return counts | {"cost": exact(math.ceil(scenario.fleet.replicas / gpus) * hours * node_hour)}
    nodes = Metric(lambda runs: math.fsum(_node_hours(run, gpus, spare) for run in runs) / len(runs), _replicas_peak)
    node_hours = estimate(nodes, central, drawn, calibration_known=calibration_known)
    return counts | {"cost": _times(node_hours, node_hour)}


def _node(cost: Cost, machine: str) -> tuple[int, float]:
    """Return how many replicas a node holds, and its price for an hour."""
    kind = cost.machines[machine]
    return kind.gpus, kind.gpus * kind.replica_hour


def _node_hours(run: RunMeasures, gpus: int, spare: int) -> float:
    """Return the hours of nodes, each paid whole, that the replicas and the spare ones of a run fill."""
    paid = run.fleet.paid
    nodes = replace(paid, values=-(-(paid.values + spare) // gpus))
    return nodes.area(run.from_ns, run.to_ns) / 3.6e12


def _replicas_peak(run: RunMeasures) -> int:
    return run.replicas_peak


def _times(figure: Figure, factor: float) -> Figure:
    """Return a figure in another unit."""
    return _changed(figure, factor, 0.0)


def _moved(figure: Figure, amount: float) -> Figure:
    """Return a figure with a fixed amount more."""
    return _changed(figure, 1.0, amount)


def _changed(figure: Figure, factor: float, amount: float) -> Figure:
    if figure.value is None:
        return figure

    def of(bounds: Ends) -> Ends:
        if bounds is None:
            return None
        return replace(bounds, low=bounds.low * factor + amount, high=bounds.high * factor + amount)

    return replace(
        figure,
        value=figure.value * factor + amount,
        low=None if figure.low is None else figure.low * factor + amount,
        high=None if figure.high is None else figure.high * factor + amount,
        sampling=of(figure.sampling),
        calibration=of(figure.calibration),
        prediction=of(figure.prediction),
    )
