"""Deadlines: a table of cases, each run interpreted and compiled."""

from __future__ import annotations

import pytest

from policy import deadlines
from policy.instant import NEVER_NS
from policy.settings import deadline_rule
from tests.policy.both_ways import WAYS, run_way


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("deadline_ns", "due_ns"), [(None, NEVER_NS), (50, 1050)])
def test_deadline_counts_from_the_enqueue(way: str, deadline_ns: int | None, due_ns: int) -> None:
    """Without a deadline the server never gives up; NEVER_NS is not added to."""
    assert run_way(way, deadlines.due_ns)(deadline_rule(deadline_ns=deadline_ns), 1000) == due_ns


@pytest.mark.parametrize("way", WAYS)
def test_place_is_freed_only_before_the_batch_is_frozen(way: str) -> None:
    """After that the pass runs with the request and its answer is thrown away."""
    assert run_way(way, deadlines.frees_its_place)(False)
    assert not run_way(way, deadlines.frees_its_place)(True)
