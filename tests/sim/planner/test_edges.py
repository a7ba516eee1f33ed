"""Which answers lie at an edge of what was varied that may hide something."""

from __future__ import annotations

import pytest

from sim.planner.edges import Edge, edges_of
from sim.planner.grid import parse_axis
from tests.sim.planner.small import changed

P90 = "latency_ms.p90"


@pytest.mark.parametrize(
    ("axis", "value", "end"),
    [
        ("fleet.replicas=2..8", "2", "smallest"),
        ("fleet.replicas=2..8", "8", None),  # more replicas only cost more
        ("fleet.replicas=1..8", "1", None),  # a fixed fleet cannot have none
        ("batching.max_batch=2,4,8", "8", "largest"),
        ("batching.max_batch=8,2,4", "8", "largest"),  # in whatever order
        ("batching.max_batch=2,4,8", "4", None),
        ("batching.max_batch=2,4,8", "2", None),  # 1 takes 21 ms each, which is less than 100/s: arithmetic excludes it
        ("batching.max_wait=0ms..10ms:5", "0ms", None),
        ("batching.max_wait=1ms..10ms:5", "1ms", "smallest"),
        ("batching.max_wait=500us,10ms", "10ms", "largest"),
        ("fleet.routing.balance=random,round_robin", "random", None),  # names have no order
        ("batching.max_batch=1000000,4", "1000000", None),  # no scenario may have more
    ],
)
def test_edge_hides_something_where_a_value_beyond_is_possible(axis: str, value: str, end: str | None) -> None:
    """The smallest count of replicas, and either end of other keys."""
    varied = parse_axis(axis)
    content = changed(queue={}, traffic={"arrivals": {"process": "poisson", "rate": "70/s"}})
    found = edges_of(content, [parse_axis("goals.p90=70ms")], [varied], {varied.key: value}, {P90: 70.0})
    is_cheapest = varied.key != "fleet.replicas"  # the fleet is of one replica
    assert found == (() if end is None else (Edge(varied.key, value, end == "smallest", is_cheapest),))


def test_largest_share_that_was_given_is_an_edge() -> None:
    """Twice 80 % of a device's time is none, but nine tenths are more than eight."""
    axis = parse_axis("fleet.autoscaler.target=60%,80%")
    content = changed(fleet={"replicas": 2, "autoscaler": {"preset": "kubernetes_hpa", "max_replicas": 4}})
    (edge,) = edges_of(content, [], [axis], {axis.key: "80%"}, {P90: 70.0})
    assert edge == Edge(axis.key, "80%", is_smallest=False)


def test_autoscaler_without_a_choice_has_no_edge() -> None:
    """Between one replica and one, no target changes anything; the bounds themselves do."""
    target, most = parse_axis("fleet.autoscaler.target=2,4"), parse_axis("fleet.autoscaler.max_replicas=1,2")
    for least, keys in ((1, [target.key, most.key]), (2, [most.key])):
        content = changed(fleet={"replicas": 2, "autoscaler": {"min_replicas": least}})
        changes = {target.key: "2", most.key: "2"}
        assert [edge.key for edge in edges_of(content, [], [target, most], changes, {P90: 70.0})] == keys


@pytest.mark.parametrize(
    ("changes", "sections", "is_cheapest"),
    [
        ({"fleet.replicas": "1"}, {}, True),
        ({"fleet.replicas": "2"}, {}, False),  # with larger batches one may do
        ({"fleet.replicas": "2"}, {"fleet": {"spare": 1}}, True),
        ({}, {"fleet": {"replicas": 2}}, True),  # their count is the same in all
        ({}, {"fleet": {"autoscaler": {"target": 4, "max_replicas": 4}}}, False),  # it may need fewer
    ],
)
def test_edge_beyond_which_nothing_is_cheaper_is_known(
    changes: dict[str, str], sections: dict[str, object], is_cheapest: bool
) -> None:
    """A fleet that is as small as it may be costs the same whatever its batches."""
    varied = [parse_axis("batching.max_batch=2,4")]
    (found,) = edges_of(changed(**sections), [], varied, {**changes, "batching.max_batch": "4"}, {P90: 70.0})
    assert found.is_cheapest is is_cheapest


def test_what_a_machine_holds_has_no_edge() -> None:
    """Without one replica more on a node of the answer it would be another kind of node, which nobody may sell."""
    axis = parse_axis("cost.machines.a.gpus=1,2")
    cost = {"replica_hour": 1, "machines": {"a": {"replica_hour": 1}}}
    content = changed(cost=cost, fleet={"machine": "a", "replicas": 2})
    assert edges_of(content, [], [axis], {axis.key: "2"}, {P90: 70.0}) == ()


def test_keys_that_change_together_have_no_edge() -> None:
    """A kind of machine and its pass time are no number; a fixed pair is part of every configuration."""
    kinds = parse_axis("fleet.machine+model.pass_time=a+{base: 20ms},b+{base: 10ms}")
    changes = {"fleet.machine": "a", "model.pass_time": "{base: 20ms}", "fleet.replicas": "2"}
    replicas, prices = parse_axis("fleet.replicas=2,3"), parse_axis("fleet.spare+queue.cap=0+64")
    cost = {"replica_hour": 1, "machines": {"a": {"replica_hour": 1}, "b": {"replica_hour": 2}}}
    found = edges_of(changed(cost=cost), [prices], [kinds, replicas], changes, {P90: 70.0})
    assert found == (Edge("fleet.replicas", "2", is_smallest=True),)
