"""Plans of small scenarios: who is found, what stands beside it, and what is said where nobody is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sim.errors import ScenarioError
from sim.forecast.estimates import Figure, exact
from sim.forecast.warnings import RECORDED_ARRIVALS, SCALED_TRACE
from sim.planner.edges import Edge
from sim.planner.grid import parse_axis
from sim.planner.plan import _frontier, plan
from sim.planner.plan_result import PLAN_VERSION, Plan, PlanRow
from sim.planner.search import State
from sim.planner.verdicts import is_met, upper_end
from tests.sim.planner.small import changed

REPLICAS = "fleet.replicas=1..6"


def planned(*varied: str, goals: str | dict[str, str] | None = None, **sections: Any) -> Plan:
    """Return a plan of the small scenario; goals as text go before its own, a mapping takes their place."""
    if isinstance(goals, dict):
        sections, goals = {**sections, "goals": goals}, None
    return plan(changed(**sections), [parse_axis(text) for text in varied], goals=goals, seed=3)


def test_cheapest_fleet_that_meets_the_goals_is_found() -> None:
    """Two replicas are too slow and three are not, as a run of each by itself shows; the cost is GPU hours."""
    found = planned(REPLICAS, goals="p90=32ms")
    assert found.answer is not None
    assert found.answer.is_confirmed
    assert found.unit == "GPU hours"
    replicas = int(found.answer.changes["fleet.replicas"])
    assert found.answer.cost == pytest.approx(replicas * 12 / 3600)
    assert is_met(found.answer.figures, found.limits, found.confidence)
    (one_fewer,) = [row for row in found.rows if row.changes["fleet.replicas"] == str(replicas - 1)]
    assert one_fewer.state in {State.MISSED, State.FAILED}
    assert one_fewer.figures["latency_ms.p90"].value or 99.0 > 32.0


def test_same_seed_gives_the_same_plan() -> None:
    """To the last digit; a plan is plain JSON."""
    told = [json.dumps(planned(REPLICAS).to_json(), allow_nan=False) for _ in range(2)]
    assert told[0] == told[1]
    assert json.loads(told[0])["version"] == PLAN_VERSION


def test_kind_of_machine_is_chosen_by_its_price() -> None:
    """The small kind is twice as slow, at a third of the price: two of it are cheaper than one of the large kind."""
    cost = {"replica_hour": 1, "machines": {"small": {"replica_hour": 1}, "large": {"replica_hour": 3}}}
    kinds = "fleet.machine+model.pass_time=small+{base: 20ms, per_item: 1ms},large+{base: 10ms, per_item: 0.5ms}"
    found = planned("fleet.replicas=1..4", kinds, cost=cost, goals="p90=60ms")
    assert found.answer is not None
    assert found.answer.changes["fleet.machine"] == "small"
    assert found.unit == "USD"


def test_spare_replica_is_paid_for_and_serves_nothing() -> None:
    """N+1: one more than without, at one more's cost."""
    plain, spared = (
        planned("fleet.replicas=2..6", fleet={"replicas": 2, "spare": spare}, goals="p90=32ms") for spare in (0, 1)
    )
    assert plain.answer is not None
    assert spared.answer is not None
    assert int(spared.answer.changes["fleet.replicas"]) == int(plain.answer.changes["fleet.replicas"]) + 1
    assert spared.provenance["spare"] == 1


def test_autoscaled_fleet_is_chosen_by_what_it_costs_over_the_time() -> None:
    """A higher target is cheaper and slower: the highest that still meets the goals is near, or is, the answer."""
    arrivals = {"process": "steps", "steps": [{"rate": f"{rate}/s", "duration": "4s"} for rate in (50, 150, 50)]}
    fleet = {
        "replicas": 3,
        "routing": {"balance": "least_outstanding"},
        "autoscaler": {"target": 4, "max_replicas": 8, "tick": "1s", "sample": "500ms"},
    }
    found = planned(
        "fleet.autoscaler.target=1,2,4,16",
        goals="p90=90ms",
        traffic={"arrivals": arrivals, "timeout": "5s"},
        fleet=fleet,
    )
    assert found.answer is not None
    costs = {row.changes["fleet.autoscaler.target"]: row.cost for row in found.rows}
    assert found.answer.cost <= 1.02 * min(
        cost
        for target, cost in costs.items()
        if any(row.changes["fleet.autoscaler.target"] == target and row.state != State.MISSED for row in found.rows)
    )


def test_nothing_in_range_names_the_closest() -> None:
    """All are too slow: the one that is the least beyond, with all its runs, and by how much."""
    found = planned("fleet.replicas=1..3", goals="p90=21.5ms")
    assert found.answer is None
    assert found.closest is not None
    row = found.rows[found.closest]
    assert row.changes == {"fleet.replicas": "3"}
    assert row.runs == 5
    assert row.binding == "latency_ms.p90"
    assert upper_end(row.figures["latency_ms.p90"], 0.95) > 21.5
    assert found.to_json()["feasible"] is False


def test_what_arithmetic_excludes_is_not_simulated() -> None:
    """A pass alone takes longer than the goal: no run is made, and it says why."""
    found = planned(REPLICAS, goals="p90=20ms")
    assert found.states == {State.EXCLUDED.value: 6}
    assert found.closest is None
    assert found.excluded_why == "a pass takes 21 ms, and p90 may be 20 ms"
    assert sum(found.simulated.values()) == 0


@pytest.mark.parametrize(("wait", "goals"), [("0ms,1ms", "p90=40ms"), ("0ms,4ms", "p90=60ms")])
def test_runners_up_are_those_that_cost_more_and_meet_the_goals(wait: str, goals: str) -> None:
    """They were dropped for their cost before all their runs were made; the cheapest first, then the fastest."""
    found = planned(REPLICAS, "batching.max_batch=4,8", f"batching.max_wait={wait}", goals=goals)
    assert found.answer is not None
    shown = [found.rows[place] for place in found.runners_up]
    assert len(shown) == 3
    assert {row.state for row in shown} & {State.DEARER, State.SLOWER}
    order = [(row.cost, not row.is_confirmed, row.figures["latency_ms.p99"].value or 1e9) for row in shown]
    assert order == sorted(order)
    for row in shown:
        assert row.runs >= 2
        assert row.cost >= found.answer.cost
        assert is_met(row.figures, found.limits, found.confidence)
    others = [row for row in found.rows if row not in shown and row is not found.answer]
    assert not any(row.is_confirmed and row.cost < shown[-1].cost for row in others)
    assert all(row.cost >= shown[-1].cost or not is_met(row.figures, found.limits, found.confidence) for row in others)


def test_what_all_configurations_have_changed_is_kept() -> None:
    """Keys that change together one by one: the answer is not the answer without them."""
    found = planned("fleet.replicas=1,2", "queue.cap=32", "fleet.spare+fleet.instances=0+1", goals="p90=60ms")
    assert found.fixed == {"queue.cap": "32", "fleet.spare": "0", "fleet.instances": "1"}


def test_combinations_that_cannot_be_are_told() -> None:
    """A fleet of one has no spare replica: the answer is the smallest that has, and it says what was left out."""
    found = planned("fleet.replicas=1..3", "fleet.spare=1", goals="p90=60ms,refused=50%")
    assert found.answer is not None
    assert found.answer.changes == {"fleet.replicas": "2"}
    (said,) = [note for note in found.notes if "left out" in note]
    assert said.startswith("1 combination was left out: With fleet.replicas=1, fleet.spare=1, ")


def test_loss_that_no_goal_limits_is_named() -> None:
    """A fleet that refuses a third of its requests is fast for the others."""
    content = changed(queue={"cap": 4}, goals={})
    found = plan(content, [parse_axis("fleet.replicas=1,2")], goals="p90=90ms", seed=3)
    assert found.answer is not None
    assert found.answer.changes == {"fleet.replicas": "1"} or not found.warnings
    crowded = plan(
        changed(queue={"cap": 4}, goals={}, traffic={"arrivals": {"process": "poisson", "rate": "400/s"}}),
        [parse_axis("fleet.replicas=1,2")],
        goals="p90=90ms",
        seed=3,
    )
    assert any("(refused_share) are lost, and no goal limits that" in warning for warning in crowded.warnings)


def test_frontier_falls_with_the_cost() -> None:
    """Each step costs more and is faster."""
    found = planned(REPLICAS, "batching.max_batch=4,8")
    steps = [
        (found.rows[place].cost, found.rows[place].figures["latency_ms.p99"].value or 0.0) for place in found.frontier
    ]
    assert steps == sorted(steps)
    assert [latency for _, latency in steps] == sorted((latency for _, latency in steps), reverse=True)


def test_headroom_is_told() -> None:
    """How many times the traffic may be: more than once, as the goals are met."""
    found = planned(REPLICAS, goals="p90=60ms")
    headroom = found.headroom
    assert headroom is not None
    assert headroom.factor is not None
    assert headroom.high is not None
    assert 1.0 <= headroom.low <= headroom.factor <= headroom.high <= 3.0
    assert headroom.apart is None
    told = headroom.to_json()
    assert (told["factor"], told["at_least"], told["low"]) == (headroom.factor, False, headroom.low)


def test_plan_of_a_trace_says_of_what_it_speaks(tmp_path: Path) -> None:
    """That the day is one day, and what its headroom takes more traffic to be."""
    file = tmp_path / "own.csv"
    file.write_text("\n".join(["timestamp", *(f"{place / 100}" for place in range(1_200))]) + "\n")
    traffic = {"arrivals": {"process": "trace", "file": str(file)}, "timeout": "5s"}
    found = planned("fleet.replicas=1..3", goals="p90=60ms", traffic=traffic, horizon={"runs": 5})
    assert found.headroom is not None
    assert found.headroom.low > 1.0
    assert f"{RECORDED_ARRIVALS} Another day may be busier." in found.notes
    assert SCALED_TRACE in found.notes


def test_headroom_is_known_where_full_length_is_enough_for_the_answer() -> None:
    """p99 rests on 20 runs together, each too short by itself; the quarter of them that ask of more traffic must do."""
    horizon = {"duration": "8s", "runs": 20}
    found = planned("fleet.replicas=2..4", goals={"p99": "60ms", "refused": "2%"}, horizon=horizon)
    assert found.answer is not None
    assert found.answer.figures["latency_ms.p99"].value is None
    assert found.headroom is not None
    assert found.headroom.factor is not None
    assert found.headroom.binding


def test_headroom_of_a_fleet_that_scales_says_how_fine_it_was_asked() -> None:
    """Eight rates below it; and that a fixed fleet was not tried, with what asks for one."""
    fleet = {"replicas": 2, "autoscaler": {"target": 4, "max_replicas": 5, "tick": "1s", "sample": "500ms"}}
    found = planned("fleet.autoscaler.target=2,4", goals="p90=120ms", fleet=fleet)
    assert found.answer is not None
    headroom = found.headroom
    assert headroom is not None
    assert headroom.apart == pytest.approx(((headroom.factor or headroom.low) - 1.0) / 9.0, rel=0.5)
    hint = "give --set fleet.autoscaler=none --vary fleet.replicas=1..5."
    assert any(note.startswith("A fixed fleet was not tried:") and note.endswith(hint) for note in found.notes)
    assert any(note.startswith("Runs begin with 2 replicas (fleet.replicas)") for note in found.notes)
    fixed = planned("fleet.autoscaler=none", "fleet.replicas=1..5", goals="p90=120ms", fleet=fleet)
    assert fixed.answer is not None
    assert not any("fixed fleet" in note or "Runs begin" in note for note in fixed.notes)


def test_answer_at_the_edge_of_its_range_says_so() -> None:
    """One replica would do, and was not given; in a range that holds it, it is found, and there is none below."""
    assert planned("fleet.replicas=2..4").edges == (Edge("fleet.replicas", "2", is_smallest=True),)
    assert planned("fleet.replicas=1..4").edges == ()
    told = planned("fleet.replicas=2..4").to_json()["edges"]
    assert told == [{"key": "fleet.replicas", "value": "2", "end": "smallest"}]


def test_warnings_about_the_answer_are_those_of_its_forecast() -> None:
    """A fleet that grows by replicas which are ready at once."""
    scaler = {"target": 1, "max_replicas": 4, "tick": "1s", "sample": "500ms", "window": "1s"}
    found = planned("fleet.autoscaler.target=1,2", goals="p90=1s", fleet={"replicas": 1, "autoscaler": scaler})
    assert any("fleet.cold_start states no time" in sentence for sentence in found.warnings)
    assert found.to_json()["warnings"] == list(found.warnings)
    assert planned("fleet.replicas=1..2").warnings == ()


def test_warnings_about_others_are_told_once_each() -> None:
    """Of the cheapest that shows it, by its own values: what the answer was held against had a start without a time."""
    scaler = "{target: 1, max_replicas: 4, tick: 1s, sample: 500ms}"
    found = planned("fleet.replicas=1,4", f"fleet.autoscaler=none,{scaler}", goals="p90=32ms")
    assert found.answer is not None
    assert found.answer.changes == {"fleet.replicas": "4", "fleet.autoscaler": "none"}
    (warning,) = found.warnings
    assert warning.startswith(f"With fleet.replicas=1, fleet.autoscaler={scaler}: The fleet grows from 1 to ")


def priced(place: int, cost: float, p99_ms: float, state: State) -> PlanRow:
    """Return a configuration of which cost and p99 are known."""
    return PlanRow(place, {}, state, cost, {"latency_ms.p99": exact(p99_ms)}, 3, False, None, None, "")


def test_what_seems_to_beat_the_answer_is_not_drawn_beside_it() -> None:
    """It misses another goal, or more runs say that it costs no less. What costs more, and is faster, is drawn."""
    rows = [
        priced(0, 2.91, 60.0, State.DEARER),
        priced(1, 2.93, 61.0, State.CONFIRMED),
        priced(2, 2.5, 400.0, State.MISSED),
        priced(3, 2.93, 61.0, State.SLOWER),
        priced(4, 3.5, 70.0, State.DEARER),
        priced(5, 4.0, 40.0, State.DEARER),
    ]
    assert _frontier(rows, 1) == (2, 1, 5)
    assert _frontier(rows, None) == (2, 0, 5)
    unknown = replace(rows[1], figures={"latency_ms.p99": Figure(None, why="too short")})
    assert _frontier([rows[0], unknown], 1) == ()


def test_goal_that_is_missed_binds_though_it_has_no_interval() -> None:
    """Runs of 12 s are too short for a p99, and every one of them shows one far beyond its limit; refusals are met."""
    found = planned("batching.max_wait=0ms,1ms", goals={"p99": "25ms", "refused": "50%"})
    assert found.closest is not None
    closest = found.rows[found.closest]
    assert closest.figures["latency_ms.p99"].value is None
    assert closest.binding == "latency_ms.p99"
    assert closest.seen is not None
    assert closest.seen > 25.0
    assert closest.of_limit == pytest.approx(closest.seen / 25.0)


def test_fleet_that_scales_is_confirmed_by_ten_runs_unless_fewer_are_asked_for() -> None:
    """Five might show one course alone of several that it takes; a fixed fleet takes the stated five."""
    scaler = {"target": 4, "max_replicas": 4, "tick": "1s", "sample": "500ms", "window": "1s"}
    content = changed(fleet={"replicas": 1, "autoscaler": scaler})
    axes = [parse_axis("fleet.autoscaler.target=4,5")]
    assert plan(content, axes, goals="p90=1s", seed=3).provenance["runs"] == 10
    assert plan(content, axes, goals="p90=1s", seed=3, runs=4).provenance["runs"] == 4
    assert planned("fleet.replicas=1..2").provenance["runs"] == 5


def test_nothing_to_vary_is_refused() -> None:
    """A plan chooses among configurations."""
    with pytest.raises(ScenarioError, match="Nothing varies: give a key several values"):
        planned("fleet.replicas=2")


def test_every_configuration_is_told_of() -> None:
    """Those without figures too: excluded, inferred or dearer, with the cost that a fixed fleet has without a run."""
    found = planned("fleet.replicas=1..12", goals="p90=32ms")
    assert sorted(each.place for each in found.looked) == list(range(12))
    assert len(found.rows) < 12
    for each in found.looked:
        assert each.cost == each.least_cost == pytest.approx(int(each.changes["fleet.replicas"]) * 12 / 3600)
    assert len(found.to_json()["looked"]) == 12  # type: ignore[arg-type]


def test_cost_of_a_fleet_that_scales_is_known_at_least() -> None:
    """Without a run its fewest replicas, with one the figure; the answer's has an interval."""
    fleet = {"replicas": 2, "autoscaler": {"target": 4, "max_replicas": 5, "tick": "1s", "sample": "500ms"}}
    found = planned("fleet.autoscaler.target=2,4", goals="p90=120ms", fleet=fleet)
    assert found.answer is not None
    hours = found.answer.figures["gpu_hours"]
    assert hours.value == pytest.approx(found.answer.cost)
    assert hours.low is not None
    assert hours.low < found.answer.cost
    for each in found.looked:
        assert each.least_cost == pytest.approx(12 / 3600)
        assert (each.cost is None) == (each.runs == 0)


def test_headroom_is_no_break_where_runs_do_not_tell() -> None:
    """The seed's search ends below a rate at which refusals are unseen, in too few runs: that is no limit of them."""
    found = planned(
        "fleet.replicas=1..3",
        traffic={"arrivals": {"process": "poisson", "rate": "800/s"}, "timeout": "1s"},
        model={"pass_time": {"base": "12ms", "per_item": "1.5ms"}},
        batching={"max_batch": 16, "max_wait": "5ms"},
        queue={"cap": 256},
        horizon={"duration": "40s", "runs": 5},
        goals={"p99": "200ms", "refused": "0.1%"},
    )
    assert found.answer is not None
    assert found.answer.changes == {"fleet.replicas": "2"}
    headroom = found.headroom
    assert headroom is not None
    assert (headroom.factor, headroom.binding) == (None, ())  # it was 1.00 times, before refused breaks
    assert headroom.why is not None
    assert found.answer.figures["latency_ms.p99"].value is None
    assert found.frontier == ()  # of those that have a p99, none can be said to be the cheapest
    assert len(found.rows) > 1


def test_cheaper_one_of_which_runs_do_not_tell_is_a_doubt_about_the_answer() -> None:
    """One replica at 90 % of its capacity refuses nobody in the few runs there are; it is no note at the end."""
    found = planned(
        "fleet.replicas=1..3",
        traffic={"arrivals": {"process": "poisson", "rate": "150/s"}, "timeout": "9s"},
        queue={"cap": 512},
        horizon={"duration": "30s", "runs": 3},
        goals={"refused": "0.1%"},
    )
    assert found.answer is not None
    assert found.answer.changes == {"fleet.replicas": "2"}
    assert found.doubt is not None
    assert found.doubt.startswith(
        "1 cheaper configuration may meet the goals, and its runs do not tell: with fleet.replicas=1, 3 runs are too"
    )
    assert found.to_json()["doubt"] == found.doubt
    assert not any("may meet the goals" in note for note in found.notes)
