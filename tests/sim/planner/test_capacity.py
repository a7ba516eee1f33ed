"""Capacities of small scenarios, against what theory says of them."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sim.errors import ScenarioError
from sim.planner.capacity import CAPACITY_VERSION, capacity, gaps_at
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
    assert found.binding == ("latency_ms.mean",)
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
    assert found.binding == ("latency_ms.p90",)
    assert not math.isnan(found.saturation_per_s)


def recorded(folder: Path) -> dict[str, Any]:
    """Return the small scenario under a trace of 20 s, 100 requests a second at random moments."""
    moments = np.cumsum(np.random.default_rng(1).exponential(0.01, 2_000))
    (folder / "own.csv").write_text("\n".join(["timestamp", *(f"{moment:.6f}" for moment in moments)]) + "\n")
    traffic = {"arrivals": {"process": "trace", "file": str(folder / "own.csv")}, "timeout": "5s"}
    pass_time = {"base": "20ms", "per_item": "1ms", "spread": {"distribution": "lognormal", "cv": "20%"}}
    return changed(traffic=traffic, model={"pass_time": pass_time}, horizon={"warm_up": "0s", "runs": 3})


def test_rates_at_which_runs_do_not_tell_leave_the_rest_of_the_answer(tmp_path: Path) -> None:
    """p99.9 near saturation: up to 110/s goals are met, from 140/s on missed, and where the limit is is not known."""
    found = capacity(recorded(tmp_path), goals="p999=120ms", seed=1, runs=9)
    assert found.rate_per_s is None
    assert found.binding == ()
    assert found.unknown is not None
    assert found.low_per_s is not None
    assert found.high_per_s is not None
    assert found.low_per_s < found.unknown.rate_per_s < found.high_per_s


def test_no_rate_at_which_runs_tell_that_goals_are_met_is_not_one_that_misses_them(tmp_path: Path) -> None:
    """p99.9 of few runs: 12 of them do not tell at any rate, and one is missed all the same.

    Longer runs are no way out, since the trace is as long as it is.
    """
    found = capacity(recorded(tmp_path), goals="p999=90ms", seed=1)
    assert found.low_per_s is None
    assert found.rate_per_s is None
    assert found.high_per_s is not None
    assert found.high_per_s < 2 * found.saturation_per_s
    assert found.unknown is not None
    assert "a longer trace or a less extreme percentile would tell" in found.unknown.why
    assert "horizon.duration" not in found.unknown.why
    assert found.provenance["runs_most"] == 12
    told = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert told["unknown"] == {"at_per_s": found.unknown.rate_per_s, "why": found.unknown.why}


def test_runs_are_added_to_a_rate_of_a_trace_that_they_do_not_tell(tmp_path: Path) -> None:
    """Three runs show too little of p99 near saturation; twelve show the highest rate, with all that belongs to it."""
    found = capacity(recorded(tmp_path), goals="p99=90ms", seed=1)
    assert found.unknown is None
    assert found.low_per_s is not None
    assert found.rate_per_s is not None
    assert found.high_per_s is not None
    assert found.low_per_s <= found.rate_per_s <= found.high_per_s
    assert 3 < found.provenance["runs_most"] <= 12


def test_share_that_no_run_shows_is_not_taken_for_a_goal_that_no_rate_meets(tmp_path: Path) -> None:
    """Nothing is refused at little traffic, and 12 runs cannot show that it is below 0.001 %: that is not known."""
    found = capacity(recorded(tmp_path), goals="refused=0.001%,p90=5s", seed=1)
    assert found.low_per_s is None
    assert found.unknown is not None
    assert "though none is seen" in found.unknown.why


def test_trace_is_multiplied_and_its_length_stays(tmp_path: Path) -> None:
    """The stated scale and rate go into the mean rate; whether it was stretched before is told."""
    content = recorded(tmp_path)
    found = capacity(content, goals="p90=70ms", seed=1)
    assert (found.provenance["trace"], found.provenance["stretched"]) == (True, False)
    assert found.provenance["duration_s"] == pytest.approx(20.0, rel=0.1)
    traffic = {"arrivals": {**content["traffic"]["arrivals"], "rate": "50/s", "scale": 2.5}, "timeout": "5s"}
    again = capacity({**content, "traffic": traffic}, goals="p90=70ms", seed=1)
    assert again.provenance["stretched"]
    assert again.stated_per_s == pytest.approx(125.0)
    assert found.low_per_s is not None
    assert again.low_per_s == pytest.approx(found.low_per_s, rel=0.1)


@pytest.mark.parametrize("own", [0.01, 0.36, 0.5, 0.77, 1.2])
def test_gaps_are_asked_for_down_to_its_own_traffic(own: float) -> None:
    """A few more rates, the lowest its own; above the highest rate there is nothing to ask for."""
    shares = gaps_at(own)
    assert shares == sorted(shares)
    assert shares[-1] == 0.95
    assert 10 <= len(shares) <= 14
    assert shares[0] == min(own, 0.5)
    assert (own in shares) == (own < 1.0)
    if own > 0.3:
        assert max(high / low for low, high in pairwise(shares)) < 1.13


def test_capacity_of_versions_has_no_equal_parts() -> None:
    """Each has a fleet and passes of its own, so there is no rate of a replica."""
    versions = [{"name": "v1"}, {"name": "v2", "weight": "50%", "model": {"pass_time": {"base": "40ms"}}}]
    found = capacity(changed(versions=versions), seed=1)
    assert not found.are_alike
    assert found.to_json()["per_replica"] is None
    assert capacity(changed(), seed=1).are_alike


def test_closed_loop_has_no_rate() -> None:
    """Its rate follows from its answers."""
    content = changed(traffic={"clients": {"count": 4, "think": "10ms"}})
    with pytest.raises(ScenarioError, match=r"closed loop.* whatif --set traffic\.clients\.count=16,32,64 shows"):
        capacity(content, seed=1)


def test_what_is_met_for_sure_does_not_end_for_lack_of_runs_alone() -> None:
    """Nothing is refused up to 139/s; runs of 12 s show that for 0.1 % up to 89/s alone, so longer ones are made."""
    found = capacity(changed(goals={}), goals="p90=70ms,refused=0.1%", seed=1)
    assert found.rate_per_s is not None
    assert found.low_per_s is not None
    assert found.low_per_s > 0.97 * found.rate_per_s
    assert found.provenance["duration_s"] > 12.0
