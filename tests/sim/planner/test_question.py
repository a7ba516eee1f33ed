"""What is asked of a planner, and what is no question."""

from __future__ import annotations

from typing import Any

import pytest

from sim.errors import ScenarioError
from sim.planner.grid import parse_axis
from sim.planner.question import Question, asked, goals_apart, parse_goals

CONTENT: dict[str, Any] = {
    "traffic": {"arrivals": {"process": "poisson", "rate": "200/s"}, "timeout": "1s"},
    "model": {"pass_time": {"base": "8ms"}},
    "batching": {"max_batch": 8},
    "cost": {"replica_hour": 2, "machines": {"t4": {"replica_hour": 1}, "l4": {"replica_hour": 3}}},
}


PRICED = {"replica_hour": 1, "machines": {"t4": {"replica_hour": 1}, "l4": {"replica_hour": 2}}}


def question(*varied: str, goals: str | None = "p99=50ms", confidence: float = 0.95, **content: object) -> Question:
    """Return a question about the small scenario."""
    axes = [parse_axis(text) for text in varied]
    return asked({**CONTENT, **content}, axes, goals=goals, confidence=confidence, runs=None, seed=None)


def test_goals_go_before_those_of_the_scenario() -> None:
    """Limits are by figure, in its unit; goals that only the scenario has stay."""
    found = asked(
        {**CONTENT, "goals": {"p99": "1s", "p50": "20ms"}},
        [parse_axis("fleet.replicas=1,2")],
        goals="p99=50ms, refused=0.1%",
        confidence=0.95,
        runs=None,
        seed=None,
    )
    assert found.limits == {"latency_ms.p50": 20.0, "latency_ms.p99": 50.0, "refused_share": 0.001}
    assert [one.changes for one in found.configurations] == [{"fleet.replicas": "1"}, {"fleet.replicas": "2"}]


@pytest.mark.parametrize(
    ("change", "goals", "limits"),
    [
        ("goals=none", "p99=250ms", {"latency_ms.p99": 250.0}),
        ("goals=null", "p99=250ms", {"latency_ms.p99": 250.0}),
        ("goals={p90: 5ms}", "p99=250ms", {"latency_ms.p90": 5.0, "latency_ms.p99": 250.0}),
        ("goals.p50=none", "refused=1%", {"latency_ms.p99": 1000.0, "refused_share": 0.01}),
        ("goals.p99=2s", "p99=250ms", {"latency_ms.p50": 20.0, "latency_ms.p99": 250.0}),
        ("fleet.replicas=1", "p99=none", {"latency_ms.p50": 20.0}),
    ],
)
def test_goals_come_to_what_a_change_leaves(change: str, goals: str, limits: dict[str, float]) -> None:
    """Of the scenario's goals p99 and p50: a change may drop or replace them, and --goals goes before both."""
    content = {**CONTENT, "goals": {"p99": "1s", "p50": "20ms"}}
    axes = goals_apart(content, [parse_axis(change), parse_axis("batching.max_batch=4,8")], goals)
    assert asked(content, axes, goals=goals, confidence=0.95, runs=None, seed=None).limits == limits


def test_keys_change_together_where_a_plus_joins_them() -> None:
    """A kind of machine has its own times: two kinds are two configurations, not four."""
    kinds = "fleet.machine+model.pass_time=t4+{base: 20ms, per_item: 1ms},l4+{base: 5ms}"
    found = question("fleet.replicas=1,2", kinds)
    assert len(found.configurations) == 4
    told = [(one.scenario.fleet.machine, one.scenario.model.pass_time) for one in found.configurations]
    bases = [(name, time.base) for name, time in told if time is not None]
    assert bases == [("t4", 20 * 10**6), ("t4", 20 * 10**6), ("l4", 5 * 10**6), ("l4", 5 * 10**6)]
    assert found.configurations[2].changes["fleet.machine"] == "l4"


@pytest.mark.parametrize(
    ("said", "arguments"),
    [
        ("There must be a goal: ", {"goals": None}),
        ("confidence must be from 50% to 99.9%. Got 40%.", {"confidence": 0.4}),
        ("confidence must be from 50% to 99.9%. Got 100%.", {"confidence": 1.0}),
        (
            "With fleet.replicas=1, goals.p50=30ms, goals.p99=20ms: goals.p50 must not be above goals.p99, ",
            {"goals": "p50=30ms,p99=20ms"},
        ),
        ("With fleet.replicas=1, goals.p98=1ms: goals.p98 is not a known key", {"goals": "p98=1ms"}),
        (
            "With fleet.replicas=1, goals.p99.9=1ms: goals.p99.9 is not a known key: did you mean goals.p999?",
            {"goals": "p99.9=1ms"},
        ),
    ],
)
def test_what_is_no_goal_is_refused(said: str, arguments: dict[str, Any]) -> None:
    """One sentence: none, one that contradicts another, one that nobody knows, a confidence out of range."""
    with pytest.raises(ScenarioError) as error:
        question("fleet.replicas=1,2", **arguments)
    assert str(error.value).startswith(said)


@pytest.mark.parametrize(
    ("varied", "said"),
    [
        ("fleet.replicass=1,2", "fleet.replicass is not a known key: did you mean fleet.replicas?"),
        ("batching.max_batch=4,0", "With batching.max_batch=0"),
        ("traffic.arrivals.rate=1/s,2/s", "traffic.arrivals.rate must be the same in all configurations: "),
        ("horizon.runs=2,3", "horizon.runs must be the same in all configurations: "),
        ("fleet.machine+fleet.spare=t4+0,l4", "fleet.machine+fleet.spare must have 2 values with + between. Got 'l4'."),
        ("cost=null,{replica_hour: 1}", "cost must be stated for all configurations or for none."),
        ("cost.currency=USD,EUR", "cost.currency must be the same in all configurations."),
        ("name=a,b", "name must be the same in all configurations: it changes nothing that serves."),
        ("cost.replica_hour=1,2", "cost.replica_hour must vary together with what has that price, as in "),
        ("cost={replica_hour: 1},{replica_hour: 2}", "cost must vary together with what has that price, "),
        (
            "cost.machines.t4.replica_hour+name=1+a,2+b",
            "cost.machines.t4.replica_hour+name must vary together with what has that price, ",
        ),
    ],
)
def test_configurations_that_are_no_choice_are_refused(varied: str, said: str) -> None:
    """An unknown key with the nearest match, a value that is not allowed, what would change the question."""
    with pytest.raises(ScenarioError) as error:
        question(varied, **({} if varied.startswith("cost=null") else {"cost": PRICED}))
    assert said in str(error.value)


@pytest.mark.parametrize(
    "varied",
    [
        "model.pass_time+cost.replica_hour={base: 20ms}+1,{base: 9ms}+2",
        "fleet.machine+name=t4+of t4,l4+of l4",
        "cost.machines.t4.gpus=1,2",
    ],
)
def test_price_or_name_may_vary_with_what_has_it(varied: str) -> None:
    """A machine costs what it costs; nodes of other sizes are other nodes."""
    assert len(question(varied, cost=PRICED).configurations) == 2


def test_price_may_be_set() -> None:
    """In all configurations, as anything may."""
    found = question("cost.replica_hour=3", "fleet.replicas=1,2", cost=PRICED)
    assert {one.scenario.cost.replica_hour for one in found.configurations if one.scenario.cost} == {3.0}


def test_bounds_that_leave_the_stated_replicas_outside_say_how_both_move() -> None:
    """3 replicas are fewer than 4; what the message recommends is a question. Where some can be, the rest is told."""
    scaled = {"fleet": {"replicas": 3, "autoscaler": {"target": 4, "max_replicas": 10}}}
    with pytest.raises(ScenarioError) as error:
        question("fleet.autoscaler.min_replicas=4,5", **scaled)
    why = (
        "With fleet.autoscaler.min_replicas=4, goals.p99=50ms: fleet.replicas must be a whole number from 4 to 10 "
        "(min_replicas and max_replicas of fleet.autoscaler). Got 3. To vary both together: --vary {}"
    )
    assert str(error.value) == why.format("fleet.replicas+fleet.autoscaler.min_replicas=4+4,5+5")
    together = "fleet.replicas+fleet.autoscaler.min_replicas=2+2,3+3,4+4,5+5"
    some = question("fleet.autoscaler.min_replicas=2..5", **scaled)
    assert [one.changes["fleet.autoscaler.min_replicas"] for one in some.configurations] == ["2", "3"]
    assert some.left_out[0] == why.format(together)
    assert len(some.left_out) == 2
    found = question(together, **scaled)
    assert [one.scenario.fleet.replicas for one in found.configurations] == [2, 3, 4, 5]


def test_combinations_that_cannot_be_are_left_out() -> None:
    """One replica cannot have a spare one, and no more of them than there may be; the others are asked about."""
    found = question("fleet.replicas=1..3", "fleet.spare=1,2")
    assert [tuple(one.changes.values()) for one in found.configurations] == [("2", "1"), ("3", "1"), ("3", "2")]
    assert found.left_out[0] == (
        "With fleet.replicas=1, fleet.spare=1, goals.p99=50ms: fleet.spare must be from 0 to 0, fewer than the "
        "replicas that there can be. Got 1."
    )
    assert len(found.left_out) == 3


@pytest.mark.parametrize("text", ["p99", "p99=", "=1ms", "", "p99=1ms,"])
def test_goals_that_cannot_be_read_are_refused(text: str) -> None:
    """With an example."""
    with pytest.raises(ScenarioError, match=r"--goals must be like p99=200ms,refused=0\.1%\. Got "):
        parse_goals(text)


def test_goal_that_is_stated_twice_is_refused() -> None:
    """Whichever was meant."""
    with pytest.raises(ScenarioError, match=r"goals\.p99 must be stated once\. Got 1ms and 2ms\."):
        parse_goals("p99=1ms,p99=2ms")
