"""Cores of their own: who gets which, and who gets none."""

from __future__ import annotations

import os
from collections.abc import Iterable

import pytest

from reference_server.cores import Cores, cores_here


@pytest.fixture
def bound(monkeypatch: pytest.MonkeyPatch) -> dict[int, set[int]]:
    """Give what each process was bound to last, by its id; 0 is the server. Nothing is really bound."""
    noted: dict[int, set[int]] = {}

    def note(pid: int, cores: Iterable[int]) -> None:
        noted[pid] = set(cores)

    monkeypatch.setattr(os, "sched_setaffinity", note)
    return noted


def test_each_process_gets_one_of_the_last_cores_and_the_server_the_rest(bound: dict[int, set[int]]) -> None:
    """The server keeps off cores that no process has asked for yet: what it keeps to does not change in mid-run."""
    cores = Cores(2, [0, 1, 2, 5])
    assert cores.front_end is None
    first = cores.give(11)
    assert bound == {11: {5}, 0: {0, 1}}
    assert cores.front_end == [0, 1]
    second = cores.give(12)
    assert (first, second) == (5, 2)
    assert bound == {11: {5}, 12: {2}, 0: {0, 1}}


@pytest.mark.parametrize(("wanted", "available"), [(2, [0, 1]), (1, [0]), (0, [0, 1]), (1, [])])
def test_nobody_gets_a_core_where_none_would_be_left(
    wanted: int, available: list[int], bound: dict[int, set[int]]
) -> None:
    """One of two processes with a core of its own would leave the other the worse for it."""
    cores = Cores(wanted, available)
    assert cores.give(11) is None
    assert bound == {}
    assert cores.front_end is None


def test_one_process_too_many_gets_none(bound: dict[int, set[int]]) -> None:
    """Such as one that is started while another still drains; a core that comes back is given again."""
    cores = Cores(1, [0, 1])
    core = cores.give(11)
    assert core == 1
    assert cores.give(12) is None
    assert 12 not in bound
    cores.take_back(core)
    assert cores.give(13) == 1


def test_successor_is_bound_to_the_core_of_the_lost_process(bound: dict[int, set[int]]) -> None:
    """It takes its place; no other core is used up."""
    cores = Cores(1, [0, 1])
    core = cores.give(11)
    assert core is not None
    cores.bind(12, core)
    assert bound[12] == {1}


def test_server_may_use_all_cores_again_in_the_end(bound: dict[int, set[int]]) -> None:
    """A server inside another program leaves it as it was."""
    cores = Cores(1, [0, 1])
    cores.give(11)
    cores.close()
    assert bound[0] == {0, 1}
    assert cores.front_end is None


def test_process_that_is_gone_is_no_error() -> None:
    """It may have ended since it asked: the server hears of that elsewhere."""
    cores = Cores(1, [*cores_here()[:1], 10**6])
    assert cores.give(2**30) == 10**6
    cores.close()


def test_cores_here_are_those_of_this_process() -> None:
    """A limit set from outside, as by taskset or a container, holds."""
    assert set(cores_here()) == os.sched_getaffinity(0)
