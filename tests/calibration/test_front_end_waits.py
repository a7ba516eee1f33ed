"""Tests of calibration/front_end_waits.py."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from calibration.front_end_waits import front_end_waits

Moments = st.lists(st.integers(0, 2_000), max_size=30)


def _waits(*kinds: tuple[list[int], int]) -> list[list[int]]:
    """Return the waits of each kind of jobs: (sorted moments, service)."""
    moments = [np.array(sorted(came), dtype=np.int64) for came, _ in kinds]
    return [waits.tolist() for waits in front_end_waits(moments, [service for _, service in kinds])]


def test_jobs_wait_for_those_before_them() -> None:
    """Requests of 10 at 0 and 4, responses of 3 at 5 and 100: they are served at 0, 10, 20 and 100."""
    assert _waits(([0, 4], 10), ([5, 100], 3)) == [[0, 6], [15, 0]]


def test_every_kind_of_job_holds_up_the_others() -> None:
    """A result of 20 at 0 and a timer of 5 at 2 come before a request at 3: it waits for both."""
    assert _waits(([0], 20), ([2], 5), ([3], 10)) == [[0], [18], [22]]


def test_earlier_kinds_go_first_in_one_instant() -> None:
    """All at 7: the order of the kinds decides."""
    assert _waits(([7], 4), ([7], 2), ([7, 7], 1)) == [[0], [4], [6, 7]]


def test_answers_of_one_batch_leave_one_by_one() -> None:
    """Four answers at once: each waits for those before it."""
    assert _waits(([], 10), ([50] * 4, 3))[1] == [0, 3, 6, 9]


def test_nothing_waits_for_a_station_that_takes_no_time() -> None:
    """With service times of zero there are no waits, whatever comes."""
    assert _waits(([1, 1, 2], 0), ([1, 2], 0)) == [[0, 0, 0], [0, 0]]


@given(kinds=st.lists(st.tuples(Moments, st.integers(0, 50)), min_size=1, max_size=4))
def test_station_serves_one_job_at_a_time(kinds: list[tuple[list[int], int]]) -> None:
    """Service times never overlap, nothing is served before it comes, no job waits for an idle station."""
    jobs = []
    for (came, service), waits in zip(kinds, _waits(*kinds), strict=True):
        jobs += [(at, wait, service) for at, wait in zip(sorted(came), waits, strict=True)]
    free = 0
    for begin, end, came_at in sorted((at + wait, at + wait + service, at) for at, wait, service in jobs):
        assert begin == max(free, came_at)
        free = end
