"""Tests of calibration/traffic_plan.py: the load generator sends what the simulator simulates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from calibration.errors import BadSamples
from calibration.traffic_plan import input_text, traffic_plan
from policy.timeline import Outcome
from sim.engine.process_engine import run
from sim.scenario.load import load_scenario
from sim.scenario.lower import lower
from sim.scenario.spec import Scenario

URL = "http://127.0.0.1:1"
SECOND = 10**9


def _scenario(**traffic: Any) -> Scenario:
    return load_scenario(
        {
            "traffic": {"arrivals": {"process": "poisson", "rate": "200/s"}} | traffic,
            "model": {"pass_time": {"base": "8ms", "per_unit": "1ms"}},
            "batching": {"max_batch": 4},
            "queue": {"cap": 10},
        }
    )


def test_plan_is_the_simulators_schedule() -> None:
    """Same seed and run, same arrivals and dice; another run, other ones."""
    scenario = _scenario()
    plan = traffic_plan(URL, scenario, 2 * SECOND, seed=5, run=1)
    lowered = lower(scenario, seed=5, run=1, warm_up_ns=0)
    arrivals = lowered.traffic.arrivals_ns
    assert plan.arrivals_ns.tolist() == arrivals[arrivals < 2 * SECOND].tolist()
    assert plan.seed == lowered.seed
    assert plan.retry == lowered.traffic.retry
    assert plan.timeouts_ns.tolist() == []
    other = traffic_plan(URL, scenario, 2 * SECOND, seed=5, run=2)
    assert plan.arrivals_ns.tolist() != other.arrivals_ns.tolist()
    assert plan.seed != other.seed


def test_sizes_are_those_that_the_engine_rolls() -> None:
    """A drawn size belongs to its request: the simulated timeline has the same ones."""
    scenario = _scenario(sizes={"distribution": "choices", "values": [1, 3, 9], "weights": [1, 1, 1]})
    plan = traffic_plan(URL, scenario, SECOND, seed=2)
    timeline = run(lower(scenario, seed=2, arrivals_ns=plan.arrivals_ns, warm_up_ns=0))
    assert set(plan.sizes.tolist()) == {1, 3, 9}
    assert timeline.attempt("size").tolist() == plan.sizes.tolist()


def test_patience_is_that_which_the_engine_rolls() -> None:
    """Clients hang up after the same times: a simulated hang-up comes exactly one timeout after its send."""
    scenario = _scenario(timeout={"distribution": "uniform", "low": "2ms", "high": "30ms"})
    plan = traffic_plan(URL, scenario, SECOND, seed=2)
    timeline = run(lower(scenario, seed=2, arrivals_ns=plan.arrivals_ns, warm_up_ns=0))
    gone = timeline.attempt("outcome") == Outcome.ABANDONED
    waited = (timeline.attempt("delivered_ns") - timeline.attempt("sent_ns"))[gone]
    assert np.count_nonzero(gone) > 50
    assert waited.tolist() == plan.timeouts_ns[timeline.attempt("request")[gone]].tolist()


def test_connections_suffice_for_a_full_queue() -> None:
    """Those that wait and those that run: opened beforehand, so that no burst waits for a connection."""
    scenario = _scenario()
    capped = scenario.model_copy(update={"queue": scenario.queue.model_copy(update={"cap": 300})})
    assert traffic_plan(URL, capped, SECOND, seed=0).connections == 304


def test_closed_loop_has_no_schedule() -> None:
    """Its sends follow from its answers: one sentence says what to state instead."""
    closed = load_scenario(
        {
            "traffic": {"clients": {"count": 4, "think": "10ms"}},
            "model": {"pass_time": {"base": "8ms"}},
            "batching": {"max_batch": 4},
        }
    )
    with pytest.raises(BadSamples, match="closed loop and has no schedule"):
        traffic_plan(URL, closed, SECOND, seed=0)


def test_every_request_asks_what_the_scenario_says() -> None:
    """As JSON text, so that a model that takes texts or images is given one; by default a text."""
    assert traffic_plan(URL, _scenario(), SECOND, seed=0).input == '"servecast"'
    scenario = _scenario()
    asked = scenario.model.model_copy(update={"input": {"text": "great movie", "ids": (1, 2)}})
    assert input_text(scenario.model_copy(update={"model": asked})) == '{"text":"great movie","ids":[1,2]}'
