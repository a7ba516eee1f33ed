"""The model's own error at the loads of the fit: none of a server that is the model, that of one that is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from calibration.discrepancy import with_discrepancy
from calibration.pass_profiler import fixed_plan
from calibration.samples import LoadSample, Samples, join
from policy.settings import batching_rule
from sim.engine.timelines import ATTEMPT_COLUMNS, Timeline
from sim.scenario.load import load_scenario
from sim.scenario.profile import DISCREPANCIES, Profile, load_profile
from sim.scenario.spec import Scenario
from tests.sim.scenario.example import DATA

OF_THE_DEVICE = {"base": 8.0, "per_item": 0.5, "batch_in": 0.2, "results_out": 0.2}
OF_THE_FRONT_END = {"request": 0.15, "response": 0.1, "pass_result": 0.1, "timer": 0.05}
OF_THE_NETWORK = {"there": 0.2, "back": 0.3}
SERVER = OF_THE_DEVICE | OF_THE_FRONT_END | OF_THE_NETWORK
CONTENT: dict[str, Any] = {
    "name": "known",
    "traffic": {"arrivals": {"process": "poisson", "rate": "100/s"}},
    "model": {"pass_time": {"base": "8ms", "per_item": "0.5ms"}},
    "batching": {"max_batch": 8, "max_wait": "5ms"},
}


def exact_profile() -> Profile:
    """Return a calibration of the simulated server that has every part right."""
    wanted = {
        **OF_THE_DEVICE,
        **{f"front_end_{name}": value for name, value in OF_THE_FRONT_END.items()},
        **{f"network_{name}": value for name, value in OF_THE_NETWORK.items()},
    }
    profile = load_profile(DATA / "profile.json")
    parts = {name: {"value_ms": value, "low_ms": value, "high_ms": value} for name, value in wanted.items()}
    content = profile.model_dump(mode="json") | {"parts": parts, "spread_cv": 0.0, "answer_share": 0.0, "table": None}
    return Profile.model_validate({**content, "draws": [{}], "run_draws": [{}], "lone_request": None})


def samples_of(server: Any, change: Callable[[Timeline], Timeline] = lambda timeline: timeline) -> Samples:
    """Return two loads, each driven twice, at a simulated server; `change` spoils their timelines."""
    rng = np.random.default_rng(3)
    loads = []
    for rate in (150.0, 450.0) * 2:
        moments = np.sort(rng.integers(0, 3 * 10**9, round(3 * rate)))
        measured = server.measure(None, fixed_plan(moments, 1))
        loads.append(LoadSample(rate, change(join(measured.run, measured.log)), 0.1))
    return Samples("known", batching_rule(max_batch=8, max_wait_ns=5_000_000), 1, 1, (), tuple(loads))


def scenario() -> Scenario:
    """Return the scenario that the simulated server runs."""
    return load_scenario(CONTENT)


def later(timeline: Timeline, share: float) -> Timeline:
    """Return the timeline with every answer later by a share of its latency."""
    attempts = timeline.attempts.copy()
    intended, delivered = (attempts[:, ATTEMPT_COLUMNS.index(name)] for name in ("intended_ns", "delivered_ns"))
    delivered += np.rint(share * (delivered - intended)).astype(np.int64)
    return replace(timeline, attempts=attempts)


def test_server_that_is_the_model_has_none(simulated_server: Callable[..., Any]) -> None:
    """Every part right, the same schedule, no dice that matter: below a tenth of a percent."""
    profile = with_discrepancy(exact_profile(), [samples_of(simulated_server(**SERVER))], scenario())
    assert set(profile.discrepancy) == set(DISCREPANCIES)
    assert max(profile.discrepancy.values()) < 0.001


def test_what_the_model_leaves_out_is_its_size(simulated_server: Callable[..., Any]) -> None:
    """Answers that come 4 % later than the parts say: every latency is forecast 1 - 1/1.04 too low, batches are not."""
    spoilt = samples_of(simulated_server(**SERVER), lambda timeline: later(timeline, 0.04))
    found = with_discrepancy(exact_profile(), [spoilt], scenario()).discrepancy
    for name in ("latency_ms.mean", "latency_ms.p50", "latency_ms.p90", "latency_ms.p99"):
        assert found[name] == pytest.approx(1 - 1 / 1.04, abs=0.002)
    assert found["batch_size_mean"] < 0.001


def test_errors_of_runs_that_cancel_out_are_luck(simulated_server: Callable[..., Any]) -> None:
    """One process 4 % slower than the model, another as much faster: on the mean the model is right."""
    both = [
        samples_of(simulated_server(**SERVER), lambda timeline, share=share: later(timeline, share))  # type: ignore[misc]
        for share in (0.04, -0.04)
    ]
    found = with_discrepancy(exact_profile(), both, scenario()).discrepancy
    assert found["latency_ms.p50"] < 0.004
