"""Histories of fixed size: each table interpreted on a list and compiled on an array."""

from __future__ import annotations

from collections.abc import Callable, MutableSequence
from typing import Any

import numpy as np
import pytest

from policy import windows
from policy.instant import UNSET
from policy.windows import Ring, Total, push, ring_length
from tests.policy.both_ways import WAYS, run_way

RING = Ring(3, 4)


def history_of(way: str, entries: list[tuple[int, int]]) -> MutableSequence[int]:
    """Return a history with the entries in RING and foreign ints around it."""
    length = RING.start + ring_length(RING.capacity) + 1
    history: Any = [0] * length if way == "interpreted" else np.zeros(length, np.int64)
    history[0] = history[-1] = 77
    for time_ns, value in entries:
        run_way(way, push)(history, RING, time_ns, value)
    return history  # type: ignore[no-any-return]


FOUR = [(10, 1), (20, 5), (30, 3), (40, 7)]
SIX = [(1, 90), (2, 91), *FOUR]

CASES: list[tuple[str, Callable[..., Any], list[tuple[int, int]], tuple[int, ...], Any]] = [
    # name, function, entries, arguments behind history and ring -> answer
    ("empty", windows.size_of, [], (), 0),
    ("half full", windows.size_of, FOUR[:2], (), 2),
    ("overfull", windows.size_of, SIX, (), 4),
    ("newest", windows.value_at, SIX, (0,), 7),
    ("oldest", windows.value_at, SIX, (3,), 1),
    ("its time", windows.time_at, SIX, (3,), 10),
    ("latest of all", windows.latest_until, FOUR, (99,), 0),
    ("latest at the moment itself", windows.latest_until, FOUR, (30,), 1),
    ("latest just before", windows.latest_until, FOUR, (29,), 2),
    ("none so early", windows.latest_until, FOUR, (9,), UNSET),
    ("none at all", windows.latest_until, [], (9,), UNSET),
    ("sum: open at the begin", windows.sum_between, FOUR, (10, 40), Total(3, 15)),
    ("sum: closed at the end", windows.sum_between, FOUR, (9, 30), Total(3, 9)),
    ("sum: nothing in it", windows.sum_between, FOUR, (40, 50), Total(0, 0)),
    ("sum: pushed out is gone", windows.sum_between, SIX, (0, 99), Total(4, 16)),
    ("mean over time", windows.time_mean_between, FOUR, (10, 40), (1 * 10 + 5 * 10 + 3 * 10) / 30),
    ("mean: a value from before holds", windows.time_mean_between, FOUR, (15, 35), (1 * 5 + 5 * 10 + 3 * 5) / 20),
    ("mean: the newest holds to the end", windows.time_mean_between, FOUR, (30, 60), (3 * 10 + 7 * 20) / 30),
    ("mean: from the first entry on", windows.time_mean_between, FOUR, (0, 20), 1.0),
    ("mean: a point", windows.time_mean_between, FOUR, (40, 40), 7.0),
    ("mean: the only entry, now", windows.time_mean_between, [(10, 4)], (0, 10), 4.0),
    ("counter over the window", windows.difference_of_newest, FOUR, (20, 40), (20, 2)),
    ("counter: from before the window", windows.difference_of_newest, FOUR, (25, 40), (20, 2)),
    ("counter: no further than there is", windows.difference_of_newest, FOUR, (0, 30), (20, 2)),
    ("counter: at least one period", windows.difference_of_newest, FOUR, (40, 40), (10, 4)),
    ("counter: one entry says nothing", windows.difference_of_newest, FOUR[:1], (0, 40), (0, 0)),
    ("counter: one entry so early", windows.difference_of_newest, FOUR, (0, 10), (0, 0)),
    ("highest", windows.highest_since, FOUR, (20, 2), 7),
    ("highest: open at the begin", windows.highest_since, FOUR, (40, 2), 2),
    ("lowest", windows.lowest_since, FOUR, (10, 9), 3),
    ("lowest: the one given", windows.lowest_since, FOUR, (10, 2), 2),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("name", "function", "entries", "arguments", "answer"), CASES, ids=[f"{c[1].__name__}-{c[0]}" for c in CASES]
)
def test_window_holds_what_lies_behind_its_begin_up_to_its_end(
    way: str,
    name: str,
    function: Callable[..., Any],
    entries: list[tuple[int, int]],
    arguments: tuple[int, ...],
    answer: Any,
) -> None:
    """Half open at the begin, so that windows which follow each other share no entry."""
    assert run_way(way, function)(history_of(way, entries), RING, *arguments) == answer


@pytest.mark.parametrize("way", WAYS)
def test_push_writes_inside_its_ring_only(way: str) -> None:
    """Several rings lie in one history."""
    history = history_of(way, SIX * 3)
    assert [history[0], history[1], history[2], history[-1]] == [77, 0, 0, 77]


@pytest.mark.parametrize("way", WAYS)
def test_ring_without_capacity_keeps_nothing(way: str) -> None:
    """A rule without a window pays two ints for it."""
    history: Any = [0, 0] if way == "interpreted" else np.zeros(2, np.int64)
    run_way(way, push)(history, Ring(0, 0), 5, 9)
    assert list(history) == [0, 0]
    assert run_way(way, windows.sum_between)(history, Ring(0, 0), 0, 9) == Total(0, 0)
    assert ring_length(0) == 2
