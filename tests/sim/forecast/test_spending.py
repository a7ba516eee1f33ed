"""What a fleet costs: nodes that are paid whole, and spares that are paid for though they are down."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sim.forecast.spending import PaidRun, fleet_figures, least_fleet_values, version_fleet_values
from sim.outcome.fleet_course import FleetCourse, Steps, steady
from tests.sim.forecast.made_runs import made_run
from tests.sim.scenario.example import scenario

COST = "cost={replica_hour: 100, machines: {node: {replica_hour: 3600, gpus: 4}}}"


def run_with(paid: Steps, *versions: Steps) -> PaidRun:
    """Return a run of 10 s in which so many replicas were paid for, of all versions and of each."""
    whole, *parts = [FleetCourse(steps, steps, steps, steps) for steps in (paid, *versions)]
    return PaidRun(replace(made_run([1.0], window_s=10.0), fleet=whole), tuple(parts) or (whole,))


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
        scenario(COST, more, "horizon.duration=10s"), [run_with(steady(1).paid)] * 2, None, calibration_known=True
    )
    assert found["cost"].value == pytest.approx(cost)
    assert found["replicas.mean"].value in (4, 5)


def test_autoscaled_fleet_pays_for_nodes_over_time_and_for_its_spares() -> None:
    """3 replicas for 4 s and 5 for 6 s: one node, then two; the 4 with a spare still fit on one, the 5 with two not."""
    paid = Steps(np.array([0, 4 * 10**9]), np.array([3, 5]))
    run = run_with(paid)
    costs, peaks = [], []
    for spare in (0, 1, 2):
        fleet = f"fleet={{machine: node, spare: {spare}, autoscaler: {{target: 4, max_replicas: 8}}}}"
        subject = scenario(COST, fleet, "horizon.duration=10s")
        found = fleet_figures(subject, [run, run], None, calibration_known=True)
        costs.append(found["cost"].value)
        peaks.append(found["replicas.peak"].value)
    assert costs == pytest.approx([4.0 * (4 + 12), 4.0 * (4 + 12), 4.0 * (8 + 12)])
    assert peaks == [5.0, 6.0, 7.0]


def test_fewest_replicas_bound_every_interval() -> None:
    """Peaks of 1, 1 and 3 have a mean of 1.67, give or take more than 0.67: no fleet of at least one has had fewer."""
    subject = scenario(COST, "fleet.autoscaler={target: 4, max_replicas: 8}", "horizon.duration=10s")
    runs = [run_with(steady(peak).paid) for peak in (1, 1, 3)]
    found = fleet_figures(subject, runs, None, calibration_known=True)
    for name, least in (("replicas.peak", 1.0), ("replicas.mean", 1.0), ("gpu_hours", 10 / 3600)):
        figure = found[name]
        assert figure.prediction is not None
        assert figure.low == figure.prediction.low == pytest.approx(least)


def test_most_replicas_bound_every_interval() -> None:
    """Peaks of 1 and 8 have a mean of 4.5, give or take 44: no fleet of at most eight has had more.

    One that drains beside the most has been there, and moves the bound. Of a rollout nothing is known.
    """
    subject = scenario(COST, "fleet.autoscaler={target: 4, max_replicas: 8}", "horizon.duration=10s")
    for peaks, most in (((1, 8), 8), ((1, 9), 9)):
        runs = [run_with(steady(peak).paid) for peak in peaks]
        found = fleet_figures(subject, runs, None, calibration_known=True)
        for name, bound in (("replicas.peak", most), ("replicas.mean", most), ("gpu_hours", most * 10 / 3600)):
            figure = found[name]
            assert figure.prediction is not None
            assert figure.high == figure.prediction.high == pytest.approx(bound)


def test_each_version_has_its_own_price() -> None:
    """v1 on its own replicas, v2 on a node of four that is started after 4 s and paid whole from then on."""
    first, second = steady(2).paid, Steps(np.array([4 * 10**9]), np.array([1]))
    both = Steps(np.array([0, 4 * 10**9]), np.array([2, 3]))
    versions = "versions=[{name: v1}, {name: v2, role: canary, loaded: false, fleet: {machine: node, spare: 0}}]"
    subject = scenario(
        COST, versions, "rollout={steps: [{weight: 10%}]}", "fleet.replicas=2", "horizon={duration: 10s, warm_up: 0s}"
    )
    run = run_with(both, first, second)
    found = fleet_figures(subject, [run, run], None, calibration_known=True)
    assert found["cost"].value == pytest.approx(2 * 100 * 10 / 3600 + 1 * 4 * 6.0)
    assert found["gpu_hours"].value == pytest.approx((2 * 10 + 6) / 3600)
    assert found["replicas.mean"].value == pytest.approx(2.6)
    assert found["replicas.peak"].value == 3.0


def test_version_pays_for_its_own_spares() -> None:
    """Three replicas for 4 s and five for 6 s, and a spare one beside them all the time."""
    paid = Steps(np.array([0, 4 * 10**9]), np.array([3, 5]))
    alone = scenario(COST, "fleet={machine: node, spare: 1, autoscaler: {target: 4, max_replicas: 8}}")
    values = version_fleet_values(alone, run_with(paid).whole)
    assert values["replicas.mean"] == pytest.approx((4 * 4 + 6 * 6) / 10)
    assert values["replicas.peak"] == 6
    assert values["gpu_hours"] == pytest.approx((4 * 4 + 6 * 6) / 3600)


@pytest.mark.parametrize(
    ("more", "replicas"),
    [
        ("fleet={replicas: 3, spare: 1}", 3),
        ("fleet={replicas: 6, autoscaler: {target: 4, min_replicas: 2, max_replicas: 8}}", 2),
        ("fleet={replicas: 6, spare: 2, autoscaler: {target: 4, max_replicas: 8}}", 3),  # at least one runs
        ("fleet={replicas: 1, autoscaler: {target: 4, min_replicas: 0, max_replicas: 8}}", 0),
    ],
)
def test_least_that_a_fleet_costs_is_known_without_a_run(more: str, replicas: int) -> None:
    """A fixed fleet's own cost, an autoscaled one's fewest replicas for 10 s."""
    found = least_fleet_values(scenario(COST, more, "horizon.duration=10s"))
    assert found["replicas.mean"] == replicas
    assert found["gpu_hours"] == pytest.approx(replicas * 10 / 3600)
