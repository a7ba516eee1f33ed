"""Counted runs give a forecast's figures: the same runs, counted instead of kept."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

from policy.timeline import Outcome
from sim.engine.engines import ENGINE_VARIABLE
from sim.errors import RefusedToAnswer, ScenarioError
from sim.forecast.counted_runs import CountedRun, CountedTask, count_run, counted_figures, counted_warm_up_ns, draw_of
from sim.forecast.enough_runs import Precision
from sim.forecast.forecast import forecast
from sim.scenario.load import load_scenario
from sim.scenario.spec import Scenario

RUNS = 4


def scenario_of(**changes: object) -> Scenario:
    """Return a queue with a cap, goals and a price."""
    return load_scenario(
        {
            "name": "counted",
            "traffic": {"arrivals": {"process": "poisson", "rate": "700/s"}},
            "model": {"pass_time": {"base": "8ms", "per_item": "0.5ms"}},
            "batching": {"max_batch": 8, "max_wait": "2ms"},
            "queue": {"cap": 8},
            "fleet": {"replicas": 1},
            "horizon": {"duration": "10s", "warm_up": "1s", "runs": RUNS},
            "goals": {"p99": "25ms", "refused": "1%", "breach": "50%"},
            "cost": {"replica_hour": 3.6, "currency": "EUR"},
            **changes,
        }
    )


def runs_of(scenario: Scenario, seed: int = 0) -> list[CountedRun]:
    """Return the runs of a forecast, counted."""
    warm_up_ns = counted_warm_up_ns(scenario)
    return [count_run(CountedTask(scenario, seed, run, None, warm_up_ns)) for run in range(RUNS)]


@pytest.mark.parametrize("engine", ["process", "compiled"])
def test_figures_are_those_of_the_forecast(monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    """Shares, flows, replicas and cost to the digit; latencies to the width of a bucket, and with them the samples."""
    monkeypatch.setenv(ENGINE_VARIABLE, engine)
    scenario = scenario_of()
    expected, got = forecast(scenario, workers=1).figures, counted_figures(scenario, runs_of(scenario))
    assert got.keys() == expected.keys()
    for name, figure in expected.items():
        mine = got[name]
        is_quantile = name.startswith("latency_ms.p")
        assert mine.samples == figure.samples, name
        if figure.value is None:
            assert mine.value is None, name
            continue
        assert mine.value == pytest.approx(figure.value, rel=0.004 if is_quantile else 1e-9), name
        assert mine.low == pytest.approx(figure.low, rel=0.01 if is_quantile else 1e-9), name
    assert got["refused_share"].value > 0.0
    assert got["breach_share"].value > 0.0


@pytest.mark.parametrize("engine", ["process", "compiled"])
def test_every_request_of_a_month_is_in_its_window(monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    """A request every 100 s in windows of 5 s: times that are multiplied by so many windows do not fit into 64 bits."""
    monkeypatch.setenv(ENGINE_VARIABLE, engine)
    month = scenario_of(
        traffic={"arrivals": {"process": "even", "rate": "0.01/s"}},
        horizon={"duration": "31d", "warm_up": "0s", "runs": 2},
    )
    outcomes = count_run(CountedTask(month, 0, 0, None, 0)).counts.outcomes
    used, counts = np.flatnonzero(outcomes.sum(axis=1)), outcomes.sum(axis=1)
    assert len(outcomes) == 31 * 86_400 // 5
    assert set(np.diff(used).tolist()) == {20}
    assert counts[used].tolist() == [1] * len(used)
    assert len(used) >= 31 * 864 - 1


def test_closed_loop_of_days_is_counted_and_versions_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many requests as the fleet can answer are too many to keep; of two versions a run so long is refused."""
    loop = {"clients": {"count": 8, "think": "0ms"}}
    kept = forecast(scenario_of(traffic=loop), workers=1)
    monkeypatch.setattr("sim.forecast.forecast._KEPT_MAX", 1_000)
    monkeypatch.setattr("sim.forecast.forecast._KEPT_OF_VERSIONS_MAX", 4_000)
    counted = forecast(scenario_of(traffic=loop), workers=1)
    assert kept.breakdown_ms
    assert not counted.breakdown_ms
    assert counted["throughput_per_s"].value == pytest.approx(kept["throughput_per_s"].value)
    several = [{"name": "v1"}, {"name": "v2", "weight": "10%", "fleet": {"replicas": 1}}]
    said = r"A run of 10s \(horizon\.duration\) would have 0\.007 million requests, and of several versions"
    with pytest.raises(RefusedToAnswer, match=said):
        forecast(scenario_of(versions=several), workers=1)


def test_long_runs_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A forecast of runs too long to be kept says the same, in twenty windows, without the breakdown."""
    scenario = scenario_of()
    kept = forecast(scenario, workers=1)
    monkeypatch.setattr("sim.forecast.forecast._KEPT_MAX", 1_000)
    counted = forecast(scenario, workers=1)
    assert counted.figures.keys() == kept.figures.keys()
    for name, figure in kept.figures.items():
        assert (counted[name].value is None) == (figure.value is None), name
        assert counted[name].value is None or counted[name].value == pytest.approx(figure.value, rel=0.004), name
    assert [goal.met for goal in counted.goals] == [goal.met for goal in kept.goals]
    assert (len(counted.timeline), counted.breakdown_ms) == (20, {})
    rates = [window.figures["requests_per_s"].value for window in counted.timeline]
    assert sum(rates) / len(rates) == pytest.approx(700, rel=0.05)
    assert counted.latency_curve.latency_ms == pytest.approx(kept.latency_curve.latency_ms, rel=0.004)
    assert counted.provenance["warm_up"] == kept.provenance["warm_up"]
    json.dumps(counted.to_json(), allow_nan=False)


def test_pairs_have_the_same_arrivals() -> None:
    """Whatever is changed but the traffic: as many requests in each run, and another seed gives others."""
    few, many = runs_of(scenario_of()), runs_of(scenario_of(batching={"max_batch": 2, "max_wait": "0ms"}))
    assert [run.requests for run in few] == [run.requests for run in many]
    assert [run.requests for run in runs_of(scenario_of(), seed=1)] != [run.requests for run in few]


def test_figures_of_a_run_are_its_own() -> None:
    """Their mean is the pooled throughput; what a run costs to make is counted."""
    runs = runs_of(scenario_of())
    pooled = counted_figures(scenario_of(), runs)["throughput_per_s"].value
    assert sum(run.figures["throughput_per_s"] for run in runs) / RUNS == pytest.approx(pooled)
    for run in runs:
        assert run.simulated > run.requests  # the warm-up's too
        assert run.figures["refused_share"] == run.counts.count(Outcome.REFUSED) / run.requests
        assert pickle.loads(pickle.dumps(run)).figures == run.figures
        assert len(pickle.dumps(run)) < 200_000


def test_overload_without_a_bound_is_refused() -> None:
    """As a forecast refuses it."""
    with pytest.raises(RefusedToAnswer, match="nothing bounds the queue"):
        runs_of(scenario_of(queue={"cap": None}, traffic={"arrivals": {"process": "poisson", "rate": "900/s"}}))


@pytest.mark.parametrize(
    ("changes", "expected_s"),
    [
        ({}, 1.0),
        ({"horizon": {"duration": "10s", "warm_up": "auto"}}, 1.25),
        (
            {
                "horizon": {"duration": "10s", "warm_up": "auto"},
                "traffic": {"arrivals": {"process": "steps", "steps": [{"rate": "5/s", "duration": "10s"}]}},
            },
            0.0,
        ),
    ],
)
def test_warm_up_is_known_before_any_run(changes: dict[str, object], expected_s: float) -> None:
    """Stated, a share of a steady load's time, or none."""
    assert counted_warm_up_ns(scenario_of(**changes)) == expected_s * 1e9


def test_runs_take_turns_with_the_draws_of_a_calibration() -> None:
    """Nothing is drawn where nothing is calibrated."""
    assert draw_of(scenario_of(), 3) is None


def test_long_runs_have_no_precision_to_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs are few where each is long, so their number is stated."""
    monkeypatch.setattr("sim.forecast.forecast._KEPT_MAX", 1_000)
    with pytest.raises(ScenarioError, match="state runs instead"):
        forecast(scenario_of(), precision=Precision(0.02))
