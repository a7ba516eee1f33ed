"""Capacities of small scenarios, against what theory says of them."""

from __future__ import annotations

import json
import math

import pytest

from sim.errors import ScenarioError
from sim.planner.capacity import CAPACITY_VERSION, capacity
from sim.planner.grid import parse_axis
from tests.sim.planner.small import changed


def test_capacity_of_a_known_queue_is_in_the_interval() -> None:
    """M/M/1: the mean is 1 / (mu - lam), so with mu = 100/s a mean of 40 ms is reached at 75/s."""
    content = changed(
        model={"pass_time": {"base": "10ms", "spread": {"distribution": "exponential"}}},
        batching={"max_batch": 1},
        horizon={"duration": "60s", "runs": 10},
        queue={},
        traffic={"arrivals": {"process": "poisson", "rate": "50/s"}},
        goals={"mean": "40ms"},
    )
    found = capacity(content, confidence=0.995, seed=1)
    assert found.low_per_s is not None
    assert found.high_per_s is not None
    assert found.low_per_s <= 75.0 <= found.high_per_s
    assert found.high_per_s / found.low_per_s < 1.15
    assert found.saturation_per_s == pytest.approx(100.0)
    assert found.stated_per_s == pytest.approx(50.0)
    assert found.binding == "latency_ms.mean"
    mean = found.figures["latency_ms.mean"].value
    assert mean is not None
    assert mean == pytest.approx(1000.0 / (100.0 - found.low_per_s), rel=0.1)


def test_replicas_share_the_rate() -> None:
    """Three take about three times as much as each of them; the answer is plain JSON."""
    found = capacity(changed(), [parse_axis("fleet.replicas=3")], seed=1)
    told = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert told["version"] == CAPACITY_VERSION
    assert told["replicas"] == 3
    assert told["fleet"]["rate_per_s"] == pytest.approx(3 * told["per_replica"]["rate_per_s"])
    ordered = [told["fleet"][name] for name in ("low_per_s", "rate_per_s", "high_per_s", "saturation_per_s")]
    assert ordered == sorted(ordered)


def test_goals_that_no_rate_meets_have_no_capacity() -> None:
    """A pass takes longer than the goal."""
    found = capacity(changed(), goals="p90=15ms", seed=1)
    assert (found.rate_per_s, found.low_per_s, found.high_per_s) == (None, None, None)
    assert found.binding == "latency_ms.p90"
    assert not math.isnan(found.saturation_per_s)


def test_closed_loop_has_no_rate() -> None:
    """Its rate follows from its answers."""
    content = changed(traffic={"clients": {"count": 4, "think": "10ms"}})
    with pytest.raises(ScenarioError, match="closed loop"):
        capacity(content, seed=1)
