"""Runs of configurations: paired, fresh ones apart, on drawn calibrations too, and what stands in for a quantile."""

from __future__ import annotations

import pytest

from sim.forecast.goal_metrics import stand_in_of
from sim.planner.bench import ScenarioBench
from sim.planner.search import FRESH_FROM
from sim.scenario.spec import Scenario
from tests.sim.scenario.example import calibrated, scenario

P99 = "latency_ms.p99"
SHORT = ("traffic.arrivals.rate=200/s", "horizon={duration: 4s, runs: 3}")


def bench(*scenarios: Scenario, runs: int = 3, limit_ms: float = 30.0) -> ScenarioBench:
    """Return a bench of scenarios with a goal on p99."""
    return ScenarioBench(scenarios, {P99: limit_ms}, seed=1, runs=runs, more=["latency_ms.mean"])


def test_same_run_of_two_configurations_meets_the_same_arrivals() -> None:
    """Without a cap nothing is lost, so as many requests come in one as in the other; other runs have others."""
    made = bench(scenario(*SHORT), scenario(*SHORT, "batching.max_batch=4"))
    first, second, fresh = (
        made.runs(0, range(3)),
        made.runs(1, range(3)),
        made.runs(0, range(FRESH_FROM, FRESH_FROM + 3)),
    )
    counts = [[run.simulated for run in runs] for runs in (first, second, fresh)]
    assert counts[0] == counts[1] != counts[2]
    assert first[0].figures["latency_ms.mean"] != second[0].figures["latency_ms.mean"]


def test_calibrated_model_is_run_on_its_draws_too() -> None:
    """Every run is made twice, paid for twice, and the interval has the part of the calibration."""
    made = bench(calibrated(*SHORT))
    runs = made.runs(0, range(3))
    figure = made.figures(0, runs)["latency_ms.mean"]
    assert runs[0].simulated > 1.5 * bench(scenario(*SHORT)).runs(0, range(1))[0].simulated
    assert figure.calibration is not None
    assert figure.calibration.high > figure.calibration.low


def test_share_beyond_the_goal_stands_in_for_a_quantile_that_is_not_known() -> None:
    """Where all runs together show enough of it; it is the share of answers that took longer."""
    subject = scenario(*SHORT)
    alone = bench(subject, runs=3)
    runs = alone.runs(0, range(3))
    figures = alone.figures(0, runs)
    assert figures[P99].value is None
    assert stand_in_of(P99) not in figures  # 3 runs of 800 requests are too few
    stand_in = bench(subject, runs=1000).figures(0, runs)[stand_in_of(P99)]
    assert stand_in.value == pytest.approx(0.0, abs=0.05)
    assert bench(subject, runs=1000, limit_ms=1.0).figures(0, runs)[stand_in_of(P99)].value == 1.0
