"""Plans and capacities as text, and the picture of cost against p99."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sim.forecast.estimates import Figure, exact, mean_of_runs
from sim.forecast.intervals import Bounds
from sim.planner.capacity import Capacity
from sim.planner.edges import Edge
from sim.planner.headroom import Headroom
from sim.planner.plan_result import Looked, Plan, PlanRow
from sim.planner.search import State
from sim.planner.traffic import Unknown
from sim.report.capacity_tables import capacity_answer, capacity_report
from sim.report.load_words import of_mean_in_words
from sim.report.plan_figure import frontier_picture
from sim.report.plan_tables import plan_answer, plan_report
from sim.report.tables import as_text
from sim.scenario.load import load_scenario
from tests.sim.report.conftest import PLAIN

P99 = "latency_ms.p99"


def row(place: int, p99_ms: float, state: State, binding: str = P99) -> PlanRow:
    """Return a configuration of so many replicas."""
    figures = {
        P99: mean_of_runs([p99_ms - 1, p99_ms, p99_ms + 1]),
        "refused_share": mean_of_runs([0.0, 0.002, 0.001]),
        "replicas.mean": mean_of_runs([1.4, 1.5, 1.6]),
    }
    return PlanRow(
        place,
        {"fleet.replicas": str(place)},
        state,
        2.0 * place,
        figures,
        3,
        state == State.CONFIRMED,
        binding,
        0.9,
        "",
    )


def plan(**changes: object) -> Plan:
    """Return a plan with an answer, one that misses and one that costs more."""
    rows = (row(1, 150.0, State.MISSED), row(2, 80.0, State.CONFIRMED), row(3, 60.0, State.PASSED))
    made = Plan(
        name="shop",
        axes=(),
        scenarios=(load_scenario(PLAIN),) * 4,
        limits={P99: 100.0, "refused_share": 0.01},
        confidence=0.95,
        unit="EUR",
        rows=rows,
        chosen=1,
        closest=None,
        runners_up=(2,),
        frontier=(0, 1, 2),
        headroom=Headroom(1.2, 1.3, 1.4, 1.32, (P99,), 4.0),
        edges=(),
        states={State.MISSED.value: 1, State.CONFIRMED.value: 1, State.PASSED.value: 1},
        excluded_why=None,
        simulated={"search": 500_000, "confirmation": 500_000},
        notes=("a note.",),
        provenance={"duration_s": 7200.0, "runs": 10, "spare": 1},
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def said(found: Plan) -> str:
    """Return a report as one line."""
    return " ".join(as_text(plan_report(found), width=200).split())


def test_report_begins_with_the_answer_and_says_what_it_rests_on() -> None:
    """Cost for the time and by the hour, binding goal, headroom, spare, runners-up, frontier, statistics."""
    words = said(plan())
    assert words.startswith(
        "shop: the cheapest that meets the goals is fleet.replicas=2: 4.00 EUR for 2 h, 2.00 EUR/h; p99 80.0 ms (at "
    )
    for part in (
        "At this traffic p99 is the goal nearest its limit: at most 81.7 ms of 100 ms (90.0 %).",
        "Headroom: the goals are met up to 1.20 times the traffic, and missed from 1.40 times on, with 95 % confidence "
        "each. By the values alone they are met up to 1.30 times; at 1.32 times, the next that was asked for, p99 "
        "latency is beyond its limit.",
        "The goals hold with 1 replica down; the cost counts all.",
        "the answer, the next cheapest looked at that seem to meet the goals and what less latency costs (*)",
        "*: nothing that is known to keep the goals is cheaper and faster.",
        "Of 3 configurations, confirmed: 1; seems to meet the goals: 1; misses a goal: 1.",
        "At most: with 95 % confidence the figure is no higher than that.",
        "1 million requests were simulated",
        "a note.",
    ):
        assert part in words


@pytest.mark.parametrize(
    ("headroom", "words"),
    [
        (Headroom(4.0, None, None, None, (), 4.0), "no goal breaks up to 4 times the traffic, with 95 % confidence."),
        (
            Headroom(3.5, None, None, None, (), 4.0),
            "no goal breaks up to 4 times the traffic; with 95 % confidence, up to 3.50 times.",
        ),
        (
            Headroom(1.1, None, 1.3, None, (), 4.0, "at 120/s p99 is not known: too few"),
            "the goals are met up to 1.10 times the traffic, and missed from 1.30 times on, with 95 % confidence; "
            "of what lies between, the runs do not tell (--runs). servecast capacity tells more: it "
            "makes more of them",
        ),
        (
            Headroom(1.1, 2.0, None, 2.02, (P99,), 4.0),
            "the goals are met up to 1.10 times the traffic, and not missed yet at 2.50 times,",
        ),
        (
            Headroom(1.0, 1.0, None, 1.02, (P99,), 4.0, apart=0.0),
            "Headroom: none is known. Just above this traffic the few runs",
        ),
        (
            Headroom(1.1, 3.6, None, 3.62, (P99,), 4.0),
            "the goals are met up to 1.10 times the traffic, and not missed yet at 4.00 times,",
        ),
        (
            Headroom(1.1, 1.2, None, 1.22, (P99,), 4.0, is_beyond=False),
            "met up to 1.20 times, where p99 latency is the nearest its limit; at more, no figures can be given.",
        ),
        (
            Headroom(1.2, 1.3, 1.4, 1.32, (P99,), 4.0, apart=0.033),
            "it was asked for every 0.033 times up to there, and narrower gaps are not seen.",
        ),
    ],
)
def test_headroom_that_is_not_known_is_not_told_as_if(headroom: Headroom, words: str) -> None:
    """Where nothing broke, and where the runs do not tell."""
    assert words in said(plan(headroom=headroom))


def test_warnings_stand_before_what_to_do_next() -> None:
    """Those of the answer, as its forecast has them."""
    words = said(plan(warnings=("the fleet grows.",)))
    assert "warning: the fleet grows. The answer as files for Kubernetes" in words


def test_goal_that_is_missed_and_has_no_interval_is_told_by_what_the_runs_show() -> None:
    """Another goal, which is met, is not blamed."""
    closest = replace(row(1, 150.0, State.MISSED), seen=75.6)
    words = said(plan(rows=(closest,), chosen=None, closest=0, runners_up=(), frontier=(), headroom=None))
    assert "The closest is fleet.replicas=1: 3 runs, each too short to give its p99 latency an interval, show" in words
    assert "show 75.6 ms in the mean, and the limit is 100 ms." in words


def test_doubt_about_the_answer_stands_behind_it() -> None:
    """Whoever reads the answer reads what it depends on, without an answer too."""
    doubt = "1 cheaper configuration may meet the goals, and its runs do not tell: with fleet.replicas=1, too few."
    for found in (plan(doubt=doubt), plan(doubt=doubt, chosen=None, closest=0, runners_up=(), headroom=None)):
        lines = as_text(plan_report(found), width=400).splitlines()
        assert lines[0].startswith("shop: ")
        assert lines[1] == doubt
        assert sum(doubt in line for line in lines) == 1


def test_cost_that_is_simulated_has_its_interval() -> None:
    """One that is exact has none: both ends are the cost. Both have a price by the hour."""
    chosen = row(2, 80.0, State.CONFIRMED)
    for cost, words in (
        (mean_of_runs([3.0, 4.0, 5.0]), " (1.52 .. 6.48 with 95 % confidence), 2.00 EUR/h in the mean"),
        (exact(4.0), ", 2.00 EUR/h"),
    ):
        changed = replace(chosen, figures={**chosen.figures, "cost": cost})
        assert f": 4.00 EUR for 2 h{words}; p99" in said(plan(rows=(changed,), chosen=0, runners_up=(), frontier=()))


def test_share_of_which_nothing_is_seen_is_not_the_nearest_to_its_limit() -> None:
    """Its end says how much the runs tell, not how near it is."""
    unseen = Figure(0.0, 0.0, 0.009, Bounds(0.0, 0.009), None, None, 1000)
    chosen = replace(
        row(2, 80.0, State.CONFIRMED, "refused_share"),
        figures={P99: mean_of_runs([79.0, 81.0]), "refused_share": unseen},
    )
    words = said(plan(rows=(chosen,), chosen=0, runners_up=(), frontier=(), limits={"refused_share": 0.01}))
    assert "At this traffic no goal is seen near its limit; of refused the runs tell the least: at most " in words
    assert "goal nearest" not in words


def test_what_kubernetes_has_no_word_for_is_told_behind_its_command() -> None:
    """Who applies the files alone would keep the old batch size."""
    words = said(plan())
    assert "must be set in the server" not in words
    rows = plan().rows
    changes = {"fleet.replicas": "2", "batching.max_batch": "16"}
    found = plan(rows=(replace(rows[0], changes=changes), *rows[1:]), chosen=0)
    told = (
        "batching.max_batch=16 must be set in the server: Kubernetes has no word for it; --to triton or tf-serving has."
    )
    assert told in said(found)


AS_RAY = {"max_batch": 16, "max_wait": "5ms", "timer_origin": "collect", "freeze": "timer"}


@pytest.mark.parametrize(
    ("preset", "batching", "words"),
    [
        (
            {"preset": "knative"},
            {},
            "The answer as files for Knative (--image names the server's container; servecast forecast takes the same "
            "--set): servecast export SCENARIO --set batching.max_batch=16 --to knative --output deploy "
            "batching.max_batch=16 must be set in the server: ",
        ),
        ({"preset": "ray_serve"}, {"batching": AS_RAY}, "--set batching.max_batch=16 --to ray-serve"),
        (
            {"preset": "target_tracking", "target": 5, "max_replicas": 9},
            {},
            "servecast export has no files for this answer: fleet.autoscaler.not_ready is alike, and an HPA takes "
            "starting pods for idle ones: --set fleet.autoscaler.not_ready=idle is what an HPA takes.",
        ),
    ],
)
def test_answer_goes_to_the_format_that_takes_its_autoscaler(
    preset: dict[str, object], batching: dict[str, object], words: str
) -> None:
    """Kubernetes would refuse all of these; where each format would, the nearest says why, in place of a command."""
    answer = load_scenario({**PLAIN, **batching, "fleet": {"autoscaler": preset}})
    chosen = replace(row(0, 80.0, State.CONFIRMED), changes={"batching.max_batch": "16"})
    found = said(plan(rows=(chosen,), scenarios=(answer,), chosen=0, runners_up=(), frontier=()))
    assert words in found
    assert ("servecast export SCENARIO" in found) == ("no files" not in words)
    assert ("must be set in the server" in found) == (preset["preset"] == "knative")


def test_narrower_gaps_are_no_matter_of_a_fixed_fleet() -> None:
    """More traffic is never better for it, so nothing was asked for between."""
    assert "narrower gaps" not in said(plan())


@pytest.mark.parametrize(
    ("edges", "words"),
    [
        (
            (Edge("fleet.replicas", "2", is_smallest=True),),
            "fleet.replicas=2 is the smallest value given: a smaller one may be cheaper.",
        ),
        (
            (Edge("batching.max_batch", "8", is_smallest=False),),
            "batching.max_batch=8 is the largest value given: a larger one may be cheaper or faster.",
        ),
        (
            (Edge("batching.max_batch", "8", is_smallest=False, is_cheapest=True),),
            "batching.max_batch=8 is the largest value given: a larger one may be faster.",
        ),
        (
            (Edge("fleet.replicas", "2", is_smallest=True), Edge("batching.max_batch", "8", is_smallest=False)),
            "fleet.replicas=2 (the smallest) and batching.max_batch=8 (the largest) are ends of what was given: values "
            "beyond may be cheaper or faster.",
        ),
    ],
)
def test_answer_at_an_edge_says_so(edges: tuple[Edge, ...], words: str) -> None:
    """One sentence for all keys; without an edge none."""
    assert words in said(plan(edges=edges))
    assert "value given" not in said(plan())


def test_states_are_counted_in_the_words_of_their_rows() -> None:
    """The best first; few requests are not "0 million"."""
    states = {State.CONFIRMED.value: 1, State.INFERRED.value: 10, State.DEARER.value: 1}
    words = said(plan(states=states, simulated={"search": 400}))
    assert (
        "Of 12 configurations, confirmed: 1; costs more: 1; misses a goal, as one with more replicas does: 10." in words
    )
    assert "400 requests were simulated." in words


def test_answer_is_handed_over_as_a_command() -> None:
    """In one line however narrow the page, quoted for a shell, with what all configurations had changed."""
    chosen = replace(row(2, 80.0, State.CONFIRMED), changes={"fleet.replicas": "2", "model.pass_time": "{base: 8ms}"})
    found = plan(rows=(chosen,), chosen=0, runners_up=(), frontier=(), fixed={"fleet.autoscaler": "none"})
    command = (
        "servecast export 'my day.yaml' --set fleet.autoscaler=none --set fleet.replicas=2 "
        "--set 'model.pass_time={base: 8ms}' --to kubernetes --output deploy"
    )
    assert command in as_text(plan_report(found, "my day.yaml"), width=60).splitlines()
    assert "servecast export SCENARIO --set " in said(found)
    assert "servecast export" not in said(plan(chosen=None, closest=0, runners_up=(), headroom=None))


@pytest.mark.parametrize("width", [80, 120])
def test_configuration_cost_and_state_stay_readable_on_a_narrow_page(width: int) -> None:
    """Three goals and three keys: the table becomes several, and no key, number or state is cut."""
    limits = {P99: 100.0, "refused_share": 0.01, "timed_out_share": 0.01}
    changes = {"fleet.replicas": "2", "batching.max_batch": "16", "batching.max_wait": "2ms"}
    rows = tuple(
        replace(one, changes=changes, figures={**one.figures, "timed_out_share": mean_of_runs([0.0, 0.001, 0.002])})
        for one in plan().rows
    )
    lines = as_text(plan_report(plan(rows=rows, limits=limits)), width=width).splitlines()
    tables = [line for line in lines if line.startswith("replicas   max_batch   max_wait   ")]
    assert len(tables) >= 2
    assert sum(line.startswith("2          16          2ms   ") for line in lines) == 3 * len(tables)
    text = " ".join(" ".join(lines).split())
    for part in (
        "cost, EUR runs",
        "4.00 3 confirmed *",
        "p99 latency p99, at most",
        "80.0 ms 81.7 ms",
        "timed out (504), at most",
    ):
        assert part in text
    assert "…" not in text


def test_each_row_stands_once_with_its_state_and_those_of_the_frontier_are_marked() -> None:
    """The answer goes first, the others by cost. A frontier of one is no choice: it has no mark, and no words."""
    rows = (row(1, 150.0, State.MISSED), row(2, 80.0, State.CONFIRMED), row(3, 60.0, State.DEARER))
    for frontier, states in (
        ((0, 1, 2), ["confirmed *", "misses a goal *", "costs more *"]),
        ((0, 1), ["confirmed *", "misses a goal *", "costs more"]),
        ((1,), ["confirmed", "costs more"]),
    ):
        found = plan(rows=rows, runners_up=(2,), frontier=frontier)
        lines = as_text(plan_report(found), width=200).splitlines()
        first = next(place for place, line in enumerate(lines) if line.startswith("replicas "))
        shown = lines[first + 2 : first + 2 + len(states)]
        assert [line.split("   ")[-1].strip() for line in shown] == states
        assert ("*" in said(found)) == (len(frontier) > 1)


SCALED = {**PLAIN, "fleet": {"autoscaler": {"preset": "kubernetes_hpa", "max_replicas": 4}}}


def scaling(place: int, cost: float, state: State, p99_ms: float = 80.0) -> PlanRow:
    """Return a configuration of the scenario at that place, with another cost."""
    return replace(row(place, p99_ms, state), cost=cost)


def test_replicas_beside_an_autoscaler_are_those_of_the_start() -> None:
    """How many there are in the mean stands beside them; a fixed fleet has the number that it has."""
    fixed = load_scenario(PLAIN)
    rows = (scaling(0, 3.0, State.CONFIRMED), scaling(1, 4.0, State.PASSED))
    found = plan(rows=rows, scenarios=(load_scenario(SCALED), fixed), chosen=0, runners_up=(1,), frontier=())
    table = " ".join(as_text(plan_report(found), width=200).split())
    assert "replicas at start cost, EUR replicas, mean p99 latency" in table
    assert " 3.00 1.50 80.0 ms" in table
    narrow = as_text(plan_report(found), width=80)
    assert "cost, EUR   replicas, mean   runs" in narrow
    both_fixed = said(replace(found, scenarios=(fixed, fixed)))
    assert "at start" not in both_fixed
    assert "replicas, mean" not in both_fixed


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            (scaling(0, 3.0, State.CONFIRMED), scaling(1, 4.0, State.PASSED)),
            "Scaling saves 25 %: the cheapest fixed fleet that is not seen to miss a goal, fleet.replicas=1, "
            "costs 4.00 EUR.",
        ),
        (
            (scaling(1, 3.0, State.CONFIRMED), scaling(0, 3.3, State.DEARER)),
            "Scaling saves nothing: the cheapest fleet that scales and is not seen to miss a goal, "
            "fleet.replicas=0, costs 3.30 EUR, 10.0 % more.",
        ),
        ((scaling(1, 3.0, State.CONFIRMED), scaling(0, 3.3, State.MISSED, 150.0)), None),
        ((scaling(1, 3.0, State.CONFIRMED), scaling(1, 3.3, State.PASSED)), None),
    ],
)
def test_what_scaling_saves_is_said_where_it_was_asked(rows: tuple[PlanRow, ...], words: str | None) -> None:
    """Of what has too few runs for figures, too; not of what misses a goal, nor of a fleet of the same kind."""
    scenarios = (load_scenario(SCALED), load_scenario(PLAIN))
    looked = tuple(Looked(row.place, row.changes, row.state, row.runs, 0.0, False, row.cost, "") for row in rows)
    found = said(plan(rows=rows[:1], looked=looked, scenarios=scenarios, chosen=0, runners_up=(), frontier=()))
    assert (words in found) if words else ("Scaling" not in found)


def test_where_goals_break_by_their_values_is_told_as_far_as_it_was_asked() -> None:
    """Between two factors nothing is known. All goals that are beyond their limits at the upper one are named."""
    names = ("refused_share", P99)
    words = said(plan(headroom=Headroom(1.8, 1.8, 1.87, 1.87, names, 4.0)))
    assert (
        "By the values alone they are met up to 1.80 times; at 1.87 times, the next that was asked for, refused and "
        "p99 latency are beyond their limits." in words
    )


def test_infeasible_names_the_closest_and_the_limit() -> None:
    """And where arithmetic alone excludes all, why."""
    none = plan(chosen=None, closest=0, runners_up=(), headroom=None)
    answer = plan_answer(none)
    assert answer.startswith(
        "shop: nothing in range meets the goals. The closest is fleet.replicas=1: p99 latency 150 ms ("
    )
    assert answer.endswith("; the limit is 100 ms.")
    assert plan_answer(plan(chosen=None, excluded_why="a pass takes 9 ms")) == (
        "shop: nothing in range meets the goals, by arithmetic alone: a pass takes 9 ms."
    )


def test_share_stands_in_for_a_quantile_that_is_not_known() -> None:
    """It is said how many answers are slower than the goal, and why p99 itself is not there."""
    figures = {
        P99: Figure(None, why="too few"),
        "beyond_goal.p99_share": mean_of_runs([0.004, 0.005, 0.006]),
        "refused_share": mean_of_runs([0.0, 0.0, 0.001]),
    }
    changed = replace(row(2, 80.0, State.CONFIRMED), figures=figures)
    found = plan(rows=(row(1, 150.0, State.MISSED), changed, row(3, 60.0, State.PASSED)), frontier=(0, 2))
    words = said(found)
    assert "0.500 % slower than 100 ms (at most 0.669 %; the goal allows 1 %)" in words
    assert (
        "p99 is the goal nearest its limit: at most 0.669 % are slower than 100 ms, of 1 % that may be (90.0" in words
    )
    assert "the goal is judged by the share of answers beyond it, of all runs together: too few." in words


def test_picture_is_drawn_with_units_on_its_axes(tmp_path: Path) -> None:
    """The goal, the frontier, a ring around the answer; without an answer, and without a p99 goal, too."""
    picture = frontier_picture(plan())
    (axes,) = picture.figure.axes
    assert axes.get_xlabel() == "cost of the measured time (EUR)"
    assert axes.get_ylabel() == "p99 latency, 95 % confidence (ms)"
    labels = [text.get_text() for text in axes.get_legend().get_texts()]  # type: ignore[union-attr]
    assert {"goal p99 100 ms", "the answer", "nothing is cheaper and faster"} <= set(labels)
    picture.save(tmp_path / "frontier.svg")
    for other in (
        plan(chosen=None, closest=0),
        plan(limits={"refused_share": 0.01}),
        plan(rows=(), chosen=None, frontier=()),
    ):
        frontier_picture(other).save(tmp_path / "other.png")


def capacity(**changes: object) -> Capacity:
    """Return a capacity of two replicas."""
    made = Capacity(
        name="shop",
        scenario=load_scenario(PLAIN),
        limits={P99: 100.0},
        confidence=0.95,
        rate_per_s=200.0,
        low_per_s=190.0,
        high_per_s=210.0,
        binding=(P99,),
        unknown=None,
        gaps_per_s=(),
        saturation_per_s=250.0,
        stated_per_s=95.0,
        replicas=2,
        is_autoscaled=False,
        figures={P99: mean_of_runs([94.0, 95.0, 96.0])},
        simulated=2_000_000,
        provenance={"duration_s": 120.0, "stated_duration_s": 60.0, "spare": 0, "runs": 10},
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def test_rates_of_uneven_traffic_are_said_to_be_means() -> None:
    """Of a spike of 400/s in 100/s the mean is 150/s; steady traffic and a closed loop have no busiest time."""
    spike = {"process": "spike", "rate": "100/s", "peak_rate": "400/s", "at": "20s", "duration": "10s"}
    for traffic, words in (
        ({"arrivals": spike}, "Rates are means over the run: in the busiest 5 s there is 2.67 times as much."),
        (PLAIN["traffic"], None),
    ):
        found = capacity(scenario=load_scenario({**PLAIN, "traffic": traffic, "horizon": {"duration": "60s"}}))
        said_of_it = " ".join(as_text(capacity_report(found), width=200).split())
        assert (words in said_of_it) if words else ("Rates are means" not in said_of_it)
    assert of_mean_in_words(load_scenario({**PLAIN, "traffic": {"clients": {"count": 5}}})) is None


def test_capacity_names_all_goals_that_bound_it() -> None:
    """Two that are beyond their limits at the next rate are both what reaches it."""
    answer = capacity_answer(capacity(binding=("refused_share", P99)))
    assert answer.endswith(": just above, refused and p99 latency are beyond their limits.")


def test_capacity_with_gaps_says_where() -> None:
    """It does not say that the goals hold up to there."""
    words = " ".join(as_text(capacity_report(capacity(gaps_per_s=(120.0, 150.0))), width=200).split())
    assert words.startswith(
        "shop: the goals hold at 200/s [190 .. 210/s], and not at all rates below: they are missed at 120/s, 150/s."
    )
    assert "Less traffic may be worse for a fleet that scales" in words


def test_capacity_that_is_known_in_part_says_where_gaps_are_too() -> None:
    """What is not known above does not hide what is known below."""
    unknown = Unknown(195.0, "at 195/s p999 is not known", 2.0)
    part = capacity(rate_per_s=None, unknown=unknown, gaps_per_s=(120.0, 150.0))
    for found, words in (
        (part, "the goals hold at 190/s and are missed from 210/s on, with 95 % confidence each; between, it is"),
        (replace(part, high_per_s=None), "the goals hold at 190/s with 95 % confidence; above that it is"),
    ):
        answer = capacity_answer(found)
        assert answer.startswith(f"shop: {words} not known. ")
        assert answer.endswith(" They do not hold at all rates below: they are missed at 120/s, 150/s.")


def test_capacity_does_not_say_that_what_is_not_seen_breaks() -> None:
    """The nearest goal is told as that, and why it is no more."""
    words = " ".join(as_text(capacity_report(capacity(is_beyond=False)), width=200).split())
    assert words.startswith(
        "shop: the goals hold up to 200/s [190 .. 210/s], where p99 latency is the nearest its limit."
    )
    assert "At more traffic no figures can be given: which goal breaks there is not seen." in words


def test_capacity_is_told_for_fleet_and_replica() -> None:
    """The rate with its interval, saturation, the goals in fresh runs, the scenario's own traffic, longer runs."""
    words = " ".join(as_text(capacity_report(capacity()), width=200).split())
    assert words.startswith(
        "shop: the goals hold up to 200/s [190 .. 210/s]: just above, p99 latency is beyond its limit."
    )
    for part in (
        "fleet 200/s 190 .. 210/s 250/s 80.0 %",
        "each of 2 replicas 100/s 95.0 .. 105/s 125/s 80.0 %",
        "In fresh runs at 190/s: p99 95.0 ms (at most 96.7 ms; the goal is 100 ms).",
        "The scenario's own traffic of 95.0/s is 50 % of what is met for sure.",
        "Runs of 60 s show too little so near to saturation, and were made 120 s long.",
    ):
        assert part in words


def test_capacity_that_is_known_in_part_says_what_and_why_not_more() -> None:
    """From where to where nothing is known; the reason is a sentence of its own."""
    unknown = Unknown(195.0, "at 195/s p999 is not known: 3 runs show too few", 2.0)
    part = capacity(rate_per_s=None, unknown=unknown)
    words = " ".join(as_text(capacity_report(part), width=200).split())
    assert words.startswith(
        "shop: the goals hold up to 190/s and are missed from 210/s on, with 95 % confidence each; between, it is not "
        "known. Not known: at 195/s p999 is not known: 3 runs show too few."
    )
    assert "fleet - 190 .. 210/s 250/s -" in words
    words = " ".join(as_text(capacity_report(replace(part, high_per_s=None)), width=200).split())
    assert "up to 190/s with 95 % confidence; above that it is not known." in words
    assert "190/s .. not known" in words
    words = " ".join(as_text(capacity_report(replace(part, low_per_s=None)), width=200).split())
    assert words.startswith("shop: whether any rate meets the goals is not known; they are missed from 210/s on.")


def test_capacity_that_is_none_says_so() -> None:
    """With the figure at next to no traffic."""
    none = capacity(rate_per_s=None, low_per_s=None, high_per_s=None)
    words = " ".join(as_text(capacity_report(none), width=200).split())
    assert words.startswith(
        "shop: no rate meets the goals: with next to no traffic p99 latency is 95.0 ms, and the limit is"
    )
