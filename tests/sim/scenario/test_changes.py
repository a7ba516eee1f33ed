"""What differs between two scenarios, as one would tell it."""

from __future__ import annotations

from typing import Any

import pytest

from sim.scenario.changes import Change, changes
from sim.scenario.identity import as_written
from tests.sim.scenario.example import scenario


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({"a": {"b": "5ms"}}, {"a": {"b": "8ms"}}, ["a.b: 5ms -> 8ms"]),
        ({"a": 1}, {"a": 1}, []),
        ({"a": 8}, {}, ["a: 8 -> none"]),
        ({}, {"a": None}, []),
        ({"a": True}, {"a": False}, ["a: true -> false"]),
        ({"a": 2.0}, {"a": 0.1}, ["a: 2 -> 0.1"]),
        ({"a": 0.1234567891}, {"a": 1e-7}, ["a: 0.1234567891 -> 1e-07"]),
        ({"a": [1, 2]}, {"a": [1, 3]}, ["a: [1, 2] -> [1, 3]"]),
        ({"a": "5ms"}, {"a": {"mean": "5ms", "cv": 1}}, ["a: 5ms -> {mean: 5ms, cv: 1}"]),
        ({"a": [{"b": 1}, {"b": 2}]}, {"a": [{"b": 1}, {"b": 3}]}, ["a.1.b: 2 -> 3"]),
        ({"a": []}, {"a": [{"b": 1}]}, ["a.0: none -> {b: 1}"]),
        ({"b": 1, "a": 1}, {"a": 2, "c": 3, "b": 2}, ["b: 1 -> 2", "a: 1 -> 2", "c: none -> 3"]),
    ],
)
def test_each_key_that_differs_is_told_with_both_values(
    before: dict[str, Any], after: dict[str, Any], said: list[str]
) -> None:
    """A list of mappings place by place, any other value whole; the order is that of the first, then of the second."""
    assert [f"{each.key}: {each.before} -> {each.after}" for each in changes(before, after)] == said


def test_scenarios_differ_in_the_keys_of_their_files() -> None:
    """Such a key and value could be given to --set."""
    one, other = scenario(), scenario("batching.max_batch=16", "traffic.arrivals={process: gamma, rate: 10/s, cv: 2}")
    assert changes(as_written(one), as_written(other)) == (
        Change("traffic.arrivals.process", "poisson", "gamma"),
        Change("traffic.arrivals.rate", "600/s", "10/s"),
        Change("traffic.arrivals.cv", "none", "2"),
        Change("batching.max_batch", "8", "16"),
    )
    assert changes(as_written(one), as_written(scenario("batching.max_wait=0.005s"))) == ()
