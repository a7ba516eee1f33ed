"""Which replicas are ordered and drained: a table of cases, each run interpreted and compiled."""

from __future__ import annotations

import pytest

from policy import fleet
from policy.fleet import Drain, Stage
from policy.instant import UNSET
from tests.policy.both_ways import WAYS, ints_for, run_way

S, R, D, G = Stage.STARTING, Stage.READY, Stage.DRAINING, Stage.GONE


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("wanted", "starting", "ready", "expected"), [(3, 0, 1, 2), (3, 1, 1, 1), (3, 1, 2, 0), (1, 1, 2, 0), (0, 0, 0, 0)]
)
def test_missing(wanted: int, starting: int, ready: int, expected: int, way: str) -> None:
    """What is wanted less what is there or on its way, and never less than nothing."""
    assert run_way(way, fleet.missing)(wanted, starting, ready) == expected


YOUNGEST, IDLEST = Drain.YOUNGEST, Drain.IDLEST


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("name", "drain", "wanted", "stages", "outstanding", "place"),
    [
        ("as many as wanted", YOUNGEST, 2, [R, R], [0, 0], UNSET),
        ("the youngest ready one", YOUNGEST, 2, [R, R, R], [0, 0, 5], 2),
        ("the idlest", IDLEST, 2, [R, R, R], [3, 1, 5], 1),
        ("of equally idle ones the youngest", IDLEST, 2, [R, R, R], [3, 1, 1], 2),
        ("one that is not ready goes first", IDLEST, 2, [R, S, R], [0, 0, 0], 1),
        ("the youngest of those", YOUNGEST, 1, [S, S, R], [0, 0, 0], 1),
        ("one that drains does not count", YOUNGEST, 2, [R, R, D], [1, 1, 1], UNSET),
        ("nor is it drained again", IDLEST, 1, [R, R, D], [1, 1, 0], 1),
        ("to zero", YOUNGEST, 0, [R, D], [4, 1], 0),
        ("none is left", YOUNGEST, 0, [D, G], [1, 0], UNSET),
    ],
)
def test_next_to_drain(
    name: str, drain: Drain, wanted: int, stages: list[Stage], outstanding: list[int], place: int, way: str
) -> None:
    """One row of the table."""
    replicas = ints_for(way, [int(stage) for stage in stages]), ints_for(way, outstanding)
    assert run_way(way, fleet.next_to_drain)(int(drain), wanted, *replicas, len(stages)) == place, name
