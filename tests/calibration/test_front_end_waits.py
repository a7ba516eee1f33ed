"""Tests of calibration/front_end_waits.py."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from calibration.front_end_waits import front_end_waits

Moments = st.lists(st.integers(0, 2_000), max_size=40)


def _waits(requests: list[int], responses: list[int], request: int, response: int) -> tuple[list[int], list[int]]:
    come, go = np.array(sorted(requests), dtype=np.int64), np.array(sorted(responses), dtype=np.int64)
    before, behind = front_end_waits(come, go, request, response)
    return before.tolist(), behind.tolist()


def test_jobs_wait_for_those_before_them() -> None:
    """Requests of 10 at 0 and 4, responses of 3 at 5 and 100: they are served at 0, 10, 20 and 100."""
    assert _waits([0, 4], [5, 100], 10, 3) == ([0, 6], [15, 0])


def test_answers_of_one_batch_leave_one_by_one() -> None:
    """Four answers at once: each waits for those before it."""
    assert _waits([], [50] * 4, 10, 3)[1] == [0, 3, 6, 9]


def test_nothing_waits_for_a_station_that_takes_no_time() -> None:
    """With service times of zero there are no waits, whatever comes."""
    assert _waits([1, 1, 2], [1, 2], 0, 0) == ([0, 0, 0], [0, 0])


@given(requests=Moments, responses=Moments, request=st.integers(0, 50), response=st.integers(0, 50))
def test_station_serves_one_job_at_a_time(
    requests: list[int], responses: list[int], request: int, response: int
) -> None:
    """Service times never overlap, nothing is served before it comes, no job waits for an idle station."""
    before, behind = _waits(requests, responses, request, response)
    jobs = [(at, wait, request) for at, wait in zip(sorted(requests), before, strict=True)]
    jobs += [(at, wait, response) for at, wait in zip(sorted(responses), behind, strict=True)]
    spans = sorted((at + wait, at + wait + service, at) for at, wait, service in jobs)
    free = 0
    for begin, end, came in spans:
        assert begin >= free
        assert begin == max(free, came)
        free = end
