"""Tests of sim/scenario/calibrated.py."""

from __future__ import annotations

from sim.scenario.calibrated import ONE_REPLICA, calibrated, one_replica
from sim.scenario.costs import costs_of
from sim.scenario.load import load_scenario
from tests.sim.scenario.example import DATA, content

WRITTEN = {
    "front_end": {"workers": 2, "request": "9ms", "response": "9ms", "pass_result": "9ms", "timer": "9ms"},
    "fleet": {"instances": 3, "turnaround": {"batch_in": "9ms", "results_out": "9ms"}},
}


def test_every_written_time_gives_way_to_the_calibration() -> None:
    """None of the 9 ms is left, in any part."""
    traffic = {**content()["traffic"], "network": {"there": "9ms", "back": "9ms"}}
    scenario = load_scenario({**content(), **WRITTEN, "traffic": traffic})
    costs = costs_of(calibrated(scenario, DATA / "profile.json"))
    times = (costs.request, costs.response, costs.pass_result, costs.timer, costs.batch_in, costs.results_out)
    assert 9_000_000 not in (*times, costs.there_ns, costs.back_ns)
    assert (costs.base_ns, costs.batch_in) == (8_000_000, 200_000)


def test_rules_traffic_and_model_stay() -> None:
    """What a calibration does not measure is the scenario's own: workers, instances, which model is served."""
    model = {**content()["model"], "serve_with": "minilm", "options": {"max_tokens": 16}}
    scenario = load_scenario({**content(), **WRITTEN, "model": model})
    result = calibrated(scenario, DATA / "profile.json")
    assert (result.front_end.workers, result.fleet.instances) == (2, 3)
    assert (result.model.serve_with, result.model.options) == ("minilm", {"max_tokens": 16})
    assert (result.batching, result.queue) == (scenario.batching, scenario.queue)
    assert result.traffic.arrivals == scenario.traffic.arrivals


def test_one_replica_is_measured_without_its_faults() -> None:
    """A calibration is of a sound replica; the words for --set say the same."""
    faulty = [
        "fleet.replicas=3",
        "fleet.crash_every=5s",
        "fleet.slow={share: 10%, factor: 2}",
        "fleet.cold_start={load: 1s, first_passes: {count: 5, factor: 2}}",
    ]
    alone = one_replica(load_scenario(content(), faulty))
    assert alone == load_scenario(content())
    assert load_scenario(content(), [*faulty, *ONE_REPLICA]) == alone
