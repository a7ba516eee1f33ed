"""The highest rate at which something holds that holds the less the higher it is, on the whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import RefusedToAnswer
from sim.planner.traffic import TrafficBench, ascend, crossing, descend, first_miss
from sim.scenario.load import load_scenario


@given(st.floats(0.012, 0.999))
def test_crossing_is_found_from_above(share: float) -> None:
    """Between a rate that meets the goals and one above it that does not, to a share of itself."""
    limit = share * 1000.0
    bracket = descend(lambda rate: rate <= limit, 1000.0)
    assert bracket is not None
    met = crossing(lambda rate: rate <= limit, *bracket, 0.001)
    assert met <= limit <= 1.001 * met


@given(st.floats(1.0, 5000.0))
def test_crossing_is_found_from_below(limit: float) -> None:
    """From a rate that meets the goals upwards."""
    met = ascend(lambda rate: rate <= limit, max(limit / 3.9, 1.0), 0.001)
    assert met <= limit <= 1.001 * met


@pytest.mark.parametrize(("gap", "expected"), [((1.2, 1.3), 1.2), ((2.5, 3.0), 2.0), ((0.0, 0.0), 2.0)])
def test_headroom_ends_at_the_first_gap(gap: tuple[float, float], expected: float) -> None:
    """A fleet that scales may miss its goals at a rate below one that meets them."""
    found = first_miss(lambda rate: not gap[0] < rate < gap[1], 1.0, 2.0, 0.01)
    assert found == pytest.approx(expected, rel=0.01)


def test_goal_that_overload_does_not_break_ends_the_search() -> None:
    """From below it is searched up to four times the rate, and no farther."""
    assert ascend(lambda rate: True, 100.0, 0.01) == 400.0


def test_goal_that_little_traffic_misses_is_asked_for_from_above() -> None:
    """A wait timer: below 300/s batches do not fill, and the goal is missed there, too."""
    bracket = descend(lambda rate: 300.0 <= rate <= 760.0, 1000.0)
    assert bracket == (700.0, 800.0)


def test_goals_that_no_rate_meets_have_no_crossing() -> None:
    """Not even one per cent of saturation."""
    assert descend(lambda rate: False, 1000.0) is None


def test_goals_that_overload_does_not_break_are_no_limit() -> None:
    """What a full queue refuses is no latency: a goal on that is needed."""
    with pytest.raises(RefusedToAnswer, match="four times what the fleet can take, no goal is missed"):
        descend(lambda rate: True, 1000.0)


def test_compressed_trace_goes_on_for_as_long_as_the_run(tmp_path: Path) -> None:
    """A trace as long as the run is shorter at twice its rate: it begins anew there, and its end is no limit."""
    file = tmp_path / "own.csv"
    file.write_text("\n".join(["timestamp", *(f"{place / 50}" for place in range(1_001))]) + "\n")
    scenario = load_scenario(
        {
            "traffic": {"arrivals": {"process": "trace", "file": str(file)}},
            "model": {"pass_time": {"base": "5ms", "per_item": "0ms"}},
            "batching": {"max_batch": 1, "max_wait": "0ms"},
            "horizon": {"duration": "20s", "warm_up": "0s", "runs": 3},
        }
    )
    bench = TrafficBench(scenario, {"latency_ms.p50": 10.0}, 0.95, seed=0, runs=3)
    standing = bench.at(100.0)
    assert standing.value < 1.0
    assert standing.figures["latency_ms.p50"].samples == pytest.approx(3 * 20 * 100, rel=0.01)
