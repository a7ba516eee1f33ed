"""What a fleet costs: nodes that are paid whole, and spares that are paid for though they are down."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sim.forecast.estimates import exact
from sim.forecast.spending import fleet_figures
from sim.outcome.fleet_course import FleetCourse, Steps
from tests.sim.forecast.made_runs import made_run
from tests.sim.scenario.example import scenario

COST = "cost={replica_hour: 100, machines: {node: {replica_hour: 3600, gpus: 4}}}"
MEASURED = {"replicas.mean": exact(2.5), "replicas.peak": exact(5.0), "gpu_hours": exact(25 / 3600)}


@pytest.mark.parametrize(
    ("more", "cost"),
    [
        ("fleet.replicas=5", 5 * 100 * 10 / 3600),
        ("fleet={replicas: 5, machine: node}", 2 * 4 * 10.0),  # two nodes of four, 4 a second each
        ("fleet={replicas: 4, machine: node}", 1 * 4 * 10.0),
        ("fleet={replicas: 5, machine: node, spare: 1}", 2 * 4 * 10.0),  # the spare one is among the five
    ],
)
def test_fixed_fleet_costs_what_its_nodes_do(more: str, cost: float) -> None:
    """10 s, without a run: nodes are paid whole."""
    found = fleet_figures(
        scenario(COST, more, "horizon.duration=10s"), MEASURED, [made_run([1.0])] * 2, None, calibration_known=True
    )
    assert found["cost"].value == pytest.approx(cost)
    assert found["replicas.mean"].value in (4, 5)


def test_autoscaled_fleet_pays_for_nodes_over_time_and_for_its_spares() -> None:
    """3 replicas for 4 s and 5 for 6 s: one node, then two; the 4 with a spare still fit on one, the 5 with two not."""
    paid = Steps(np.array([0, 4 * 10**9]), np.array([3, 5]))
    run = replace(made_run([1.0], window_s=10.0), fleet=FleetCourse(paid, paid, paid))
    costs, peaks = [], []
    for spare in (0, 1, 2):
        fleet = f"fleet={{machine: node, spare: {spare}, autoscaler: {{target: 4, max_replicas: 8}}}}"
        subject = scenario(COST, fleet, "horizon.duration=10s")
        found = fleet_figures(subject, MEASURED, [run, run], None, calibration_known=True)
        costs.append(found["cost"].value)
        peaks.append(found["replicas.peak"].value)
    assert costs == pytest.approx([4.0 * (4 + 12), 4.0 * (4 + 12), 4.0 * (8 + 12)])
    assert peaks == [5.0, 6.0, 7.0]
