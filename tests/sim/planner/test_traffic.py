"""The highest rate at which something holds that holds the less the higher it is, on the whole."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import RefusedToAnswer
from sim.planner.traffic import (
    Standing,
    TooShort,
    TrafficBench,
    Unknown,
    ascend,
    crossing,
    descend,
    first_miss,
    reach,
    up_to_first_gap,
)
from sim.scenario.capacity import mean_rate_per_s
from sim.scenario.load import load_scenario
from tests.sim.planner.small import changed

P90, REFUSED = "latency_ms.p90", "refused_share"


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


class Known(TrafficBench):
    """A bench without runs: a figure is the rate, its interval 10 % to both sides, and its limit 100/s.

    From one rate to another nothing is known.
    """

    def __init__(self, *, hidden: tuple[float, float] = (0.0, 0.0)) -> None:
        super().__init__(load_scenario(changed()), {P90: 100.0}, 0.95, seed=0, runs=2)
        self._hidden = hidden

    def _ask(self, rate_per_s: float) -> Standing:
        if self._hidden[0] <= rate_per_s < self._hidden[1]:
            return Standing(math.nan, math.nan, math.nan, None, {}, Unknown(rate_per_s, "too few runs", 2.0))
        share = rate_per_s / 100.0
        return Standing(share / 1.1, share, share / 0.9, P90, {})


def test_reach_goes_from_met_to_missed() -> None:
    """Met up to 90/s, the limit at 100/s, missed from 110/s on; each to a share of itself."""
    found = reach(Known(), 90.0, 0.01)
    assert found.value == pytest.approx(100.0, rel=0.01)
    assert found.high == pytest.approx(110.0, rel=0.01)
    assert found.high >= 110.0
    assert (found.binding, found.unknown) == ((P90,), None)


class Two(Known):
    """A bench with one more figure: what is refused, nothing up to 93/s, and from there on far more than may be."""

    def _ask(self, rate_per_s: float) -> Standing:
        p90, refused = 0.98 * rate_per_s / 93.0, 0.4 if rate_per_s <= 93.0 else 1.5
        worst = P90 if p90 > refused else REFUSED
        beyond = (REFUSED,) if refused > 1.0 else ()
        return Standing(0.9 * max(p90, refused), max(p90, refused), max(p90, refused), worst, {}, broken=beyond)


def test_reach_names_the_goal_that_is_beyond_its_limit_above() -> None:
    """p90 is at 98 % of its limit where a queue begins to refuse; it is not what breaks."""
    found = reach(Two(), 50.0, 0.001)
    assert found.value == pytest.approx(93.0, rel=0.002)
    assert found.binding == (REFUSED,)


def test_bench_tells_which_figures_are_beyond_their_limits() -> None:
    """By their values, not by the upper ends, the farthest first: a queue of 8 refuses much at twice the capacity."""
    scenario = load_scenario(changed(queue={"cap": 8}))
    bench = TrafficBench(scenario, {P90: 500.0, REFUSED: 0.02}, 0.95, seed=1, runs=3)
    assert bench.at(50.0).broken == ()
    assert bench.at(330.0).broken == (REFUSED,)
    strict = TrafficBench(scenario, {P90: 30.0, REFUSED: 0.02}, 0.95, seed=1, runs=3)
    assert strict.at(330.0).broken == (REFUSED, P90)


class Unseen(Known):
    """A bench of which nothing is refused, in so few runs that its end is above the limit from 91/s on.

    `p90` is known to be beyond its limit from 100/s on; from `hidden` on it is not known.
    """

    def _ask(self, rate_per_s: float) -> Standing:
        standing = super()._ask(rate_per_s)
        if standing.unknown is not None or standing.value > 1.0:
            return replace(standing, broken=(P90,) if standing.value > 1.0 else ())
        high = 2.0 if rate_per_s > 91.0 else 0.5
        return replace(standing, high=max(standing.high, high), figure=REFUSED)


def test_reach_does_not_take_what_is_unseen_for_what_breaks() -> None:
    """A rate that was asked before, above the last of the search: all values are within, and p90 breaks above it.

    By its upper end refused would be what binds, at 90/s.
    """
    bench = Unseen()
    assert not bench.at(99.0).is_met
    found = reach(bench, 90.0, 0.2)
    assert found.value == 99.0
    assert (found.binding, found.is_beyond, found.unknown) == ((P90,), True, None)


def test_reach_does_not_take_what_is_not_known_for_a_break() -> None:
    """94/s was asked before and is within; of 95/s and more nothing is known: that is no limit at 90/s."""
    bench = Unseen(hidden=(94.5, 105.0))
    assert not bench.at(94.0).is_met
    found = reach(bench, 90.0, 0.06)
    assert (found.value, found.binding) == (None, ())
    assert found.unknown is not None
    assert found.unknown.rate_per_s == pytest.approx(95.4)


class Overloaded(Known):
    """A bench without any figure from 100/s on: too many requests have no outcome there."""

    def _ask(self, rate_per_s: float) -> Standing:
        if rate_per_s > 100.0:
            return Standing(math.inf, math.inf, math.inf, None, {})
        return super()._ask(rate_per_s)


def test_reach_says_that_it_does_not_see_what_breaks() -> None:
    """The nearest has to do where no figure can be given above, and is told to be that alone."""
    found = reach(Overloaded(), 80.0, 0.01)
    assert found.value == pytest.approx(100.0, rel=0.01)
    assert (found.binding, found.is_beyond) == ((P90,), False)


def test_sure_miss_in_a_gap_is_at_a_rate_that_is_missed() -> None:
    """Other ends of the gap were asked for before, between the last rate that is not missed and the first that is."""

    class Gap(Known):
        def _ask(self, rate_per_s: float) -> Standing:
            return replace(super()._ask(150.0 if 40.0 < rate_per_s < 60.0 else rate_per_s), broken=(P90,))

    bench = Gap()
    found, _ = up_to_first_gap(bench, 20.0, reach(bench, 90.0, 0.01), 0.05)
    assert found.value == pytest.approx(40.0, rel=0.05)
    assert found.high is not None
    assert bench.at(found.high).is_missed


def test_reach_says_what_hides_where_the_limit_is() -> None:
    """From 92 to 105/s nothing is known: the limit lies there, and from 110/s on it is missed all the same."""
    found = reach(Known(hidden=(92.0, 105.0)), 90.0, 0.01)
    assert found.value is None
    assert found.binding == ()
    assert found.unknown is not None
    assert found.unknown.rate_per_s == pytest.approx(92.0, rel=0.01)
    assert found.high == pytest.approx(110.0, rel=0.01)


def test_reach_that_ends_nowhere_has_no_ends() -> None:
    """Up to 99/s nothing breaks, which is as far as was asked."""
    found = reach(Known(), 50.0, 0.01, most=99.0)
    assert (found.value, found.high, found.binding, found.unknown) == (None, None, (), None)


def test_runs_are_added_where_they_do_not_tell() -> None:
    """3 runs of 1,200 requests show too little of p99, and up to 24 are made there; where 3 tell, they are enough."""
    scenario = load_scenario(changed(goals={"p99": "100ms", "p50": "90ms"}))
    limits = {"latency_ms.p99": 100.0}
    few, more = (TrafficBench(scenario, limits, 0.95, seed=1, runs=3, most=most).at(100.0) for most in (3, 24))
    assert few.unknown is not None
    assert math.isnan(few.value)
    assert not few.is_met
    assert not few.is_missed
    assert more.unknown is None
    assert more.is_met
    assert 3 < more.runs <= 24
    assert TrafficBench(scenario, {"latency_ms.p50": 90.0}, 0.95, seed=1, runs=3, most=24).at(100.0).runs == 3


def test_strict_bench_refuses_what_runs_do_not_tell() -> None:
    """It says at which rate, and how many times as long runs would have to be."""
    scenario = load_scenario(changed())
    bench = TrafficBench(scenario, {"latency_ms.p999": 100.0}, 0.95, seed=1, runs=3, is_strict=True)
    with pytest.raises(TooShort, match=r"At 100/s p99\.9 is not known: 3 runs show .* and 20 are needed") as raised:
        bench.at(100.0)
    assert raised.value.times > 1.0


def test_trace_keeps_its_course_over_time_at_other_rates(tmp_path: Path) -> None:
    """Twice the rate is twice the requests in the same 20 s; a burst of 4 s outruns the fleet for as long.

    Compressed in time it would come twice and last 2 s, for a mean of 755 ms.
    """
    file = tmp_path / "own.csv"
    burst = [f"{5 + place / 150}" for place in range(600)]
    file.write_text("\n".join(["timestamp", *(f"{place / 50}" for place in range(1_001)), *burst]) + "\n")
    scenario = load_scenario(
        {
            "traffic": {"arrivals": {"process": "trace", "file": str(file)}},
            "model": {"pass_time": {"base": "5ms", "per_item": "0ms"}},
            "batching": {"max_batch": 1, "max_wait": "0ms"},
            "horizon": {"duration": "20s", "warm_up": "0s", "runs": 3},
        }
    )
    rate = mean_rate_per_s(scenario)
    bench = TrafficBench(scenario, {"latency_ms.p50": 10.0}, 0.95, seed=0, runs=3)
    own, twice, half = (bench.at(factor * rate) for factor in (1.0, 2.0, 0.5))
    assert own.figures["latency_ms.p50"].samples == 3 * 1_600  # the last one comes as runs end
    assert twice.figures["latency_ms.p50"].samples == pytest.approx(2 * 3 * 1_600, rel=0.01)
    assert half.figures["latency_ms.p50"].samples == pytest.approx(3 * 1_600 / 2, rel=0.1)
    assert own.value < 1.0
    of_queue = TrafficBench(scenario, {"latency_ms.mean": 10.0}, 0.95, seed=0, runs=3).at(2.0 * rate)
    mean = of_queue.figures["latency_ms.mean"].value
    assert mean is not None
    assert mean > 1_200.0
