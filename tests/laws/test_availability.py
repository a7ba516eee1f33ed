"""Crashes against the theory of alternating renewals: how often a replica is up, and what its being down costs."""

from __future__ import annotations

import math

import numpy as np

from policy.timeline import Outcome
from sim.engine.process_engine import run
from sim.outcome.measures import RunMeasures, measure
from sim.scenario.lower import lower
from tests.sim.scenario.example import scenario

UP_S, RESTART_S = 0.2, 0.05


def measured(pass_ms: float, rate_per_s: int) -> RunMeasures:
    """Return 600 s of lone requests on one replica that is up 200 ms, exponential, and then down for 50 ms."""
    subject = scenario(
        f"traffic.arrivals={{process: poisson, rate: {rate_per_s}/s}}",
        f"model.pass_time={{base: {pass_ms}ms}}",
        "batching={max_batch: 8}",
        f"fleet.crash_every={1000 * UP_S}ms",
        f"fleet.cold_start={{provision: 1h, load: {1000 * RESTART_S}ms}}",
        "horizon={duration: 600s}",
    )
    given = lower(subject, seed=3, warm_up_ns=0)
    return measure(run(given), given.measure_from_ns, given.measure_to_ns)


def test_replica_is_up_as_often_as_renewal_theory_says() -> None:
    """Poisson arrivals see it up with probability (1/a) / (1/a + r) = 0.8; the others wait r / 2 in the mean.

    2,400 cycles leave 0.5 % of standard error: four of them. If provisioning were taken anew it would be nearly 0.
    """
    found = measured(pass_ms=0.1, rate_per_s=20)
    latency_ns = found.answered_latencies_ns
    waited = latency_ns > 300_000  # three passes: longer than company ever takes
    assert abs(1 - np.mean(waited) - UP_S / (UP_S + RESTART_S)) < 0.02
    assert abs(latency_ns[waited].mean() / 1e9 - RESTART_S / 2) < 0.002


def test_pass_is_lost_as_often_as_a_life_ends_in_it() -> None:
    """A life without memory ends within a pass of 20 ms with probability 1 - exp(-20 / 200), whenever that begins."""
    found = measured(pass_ms=20.0, rate_per_s=20)
    expected = 1 - math.exp(-20 / 200)
    assert abs(found.share(Outcome.FAILED) - expected) < 4 * math.sqrt(expected / found.requests)
    assert found.share(Outcome.FAILED) + found.share(Outcome.ANSWERED) == 1.0
