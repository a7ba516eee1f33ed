"""Tests of calibration/batch_timers.py on timelines written by hand; moments in ms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from calibration.batch_timers import due_moments, woken_by_timer
from policy.batching import Cause
from policy.instant import UNSET
from policy.settings import batching_rule
from policy.timeline import Attempt, Pass
from sim.engine.timelines import Timeline, timeline_from_rows

MS = 1_000_000


def _timeline(*batches: tuple[list[float], float, float, Cause]) -> Timeline:
    """Return batches of (moments of enqueue, idle since, closed, cause)."""
    attempts, passes = [], []
    for serial, (enqueued, idle, closed, cause) in enumerate(batches):
        for moment in enqueued:
            row = {"request": len(attempts), "serial": serial, "placed_ns": round(moment * MS)}
            attempts.append(Attempt(**(dict.fromkeys(Attempt._fields, UNSET) | row)))
        row = {"serial": serial, "idle_since_ns": round(idle * MS), "closed_ns": round(closed * MS), "cause": cause}
        passes.append(Pass(**(dict.fromkeys(Pass._fields, UNSET) | row)))
    return timeline_from_rows(attempts, passes)


def _rule(**settings: Any) -> Any:
    return batching_rule(**({"max_batch": 4, "max_wait_ns": 5 * MS} | settings))


def _due_ms(timeline: Timeline, instances: int = 1, **settings: Any) -> list[float]:
    due_ns = due_moments(timeline, _rule(**settings), instances)
    return [float(due) / MS if due != UNSET else UNSET for due in due_ns.tolist()]


def test_wait_counts_from_the_oldest_request() -> None:
    """The first of a batch came at 10, so it is due at 15, whoever came since; closed at 15.1 it was 0.1 ms late."""
    timeline = _timeline(([11, 10, 12], 0, 15.1, Cause.WAITED))
    assert _due_ms(timeline) == [15.0]
    assert woken_by_timer(timeline, _rule(), np.array([15 * MS])).tolist() == [True]


def test_full_batch_had_no_timer() -> None:
    """It was closed at 13, before its wait was over."""
    assert _due_ms(_timeline(([10, 11, 12, 13], 0, 13, Cause.FULL))) == [UNSET]


def test_timer_of_a_busy_device_closes_nothing() -> None:
    """The device came back at 18: the timer came at 15 and kept the front end busy, but held nothing back."""
    timeline = _timeline(([10, 11], 18, 18, Cause.WAITED))
    assert _due_ms(timeline) == [15.0]
    assert woken_by_timer(timeline, _rule(), np.array([15 * MS])).tolist() == [False]


def test_frozen_batch_is_closed_by_its_timer_whatever_the_device_does() -> None:
    """With freeze timer a busy device is no reason to wait."""
    timeline = _timeline(([10, 11], 18, 15.2, Cause.WAITED))
    assert woken_by_timer(timeline, _rule(freeze="timer"), np.array([15 * MS])).tolist() == [True]


def test_request_that_is_overdue_when_its_turn_comes_sets_no_timer() -> None:
    """The batch before closed at 30, when the next oldest, of 21, was overdue by 4 ms: it left at once."""
    assert _due_ms(_timeline(([10], 30, 30, Cause.WAITED), ([21], 30, 30, Cause.WAITED))) == [15.0, UNSET]


@pytest.mark.parametrize(
    ("settings", "due"),
    [
        ({"timer_origin": "enqueue", "collector": "exclusive"}, UNSET),  # overdue when the instance came back
        ({"timer_origin": "collect", "collector": "exclusive"}, 25.0),  # taken at 20, when the instance came back
        ({"timer_origin": "window", "collector": "exclusive"}, 25.0),  # the window opened at 20
        ({"max_wait_ns": 0}, UNSET),  # there is nothing to wait for
        ({"max_batch": 1}, UNSET),  # one request is a full batch
    ],
)
def test_due_moment_is_that_of_the_rule(settings: dict[str, Any], due: float) -> None:
    """A request of 10 met an instance that was idle from 20 on, and left at 25.1: policy says when it was due."""
    assert _due_ms(_timeline(([10], 20, 25.1, Cause.WAITED)), **settings) == [due]


def test_several_collecting_instances_are_not_told_apart() -> None:
    """A timeline does not show which of two instances took a request, so its wait is not known."""
    timeline = _timeline(([10], 20, 25.1, Cause.WAITED))
    assert _due_ms(timeline, instances=2, timer_origin="collect", collector="competing") == [UNSET]
