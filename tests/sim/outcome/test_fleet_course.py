"""Replicas over time, read from rows that were written by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from policy.instant import UNSET
from policy.timeline import ReplicaLife, Scaling
from sim.engine.timelines import Timeline, timeline_from_rows
from sim.outcome.fleet_course import WINDOW_NS, Steps, course_of, fleet_run, steady

LIVES = [
    ReplicaLife(0, 0, 0, 0, UNSET, UNSET),
    ReplicaLife(1, 0, 100, 400, 600, 650),
    ReplicaLife(2, 0, 100, UNSET, 300, 300),  # called off before it was ready
]
SCALINGS = [Scaling(0, 0, 1, 0), Scaling(100, 0, 3, 1), Scaling(300, 0, 2, 2), Scaling(600, 0, 1, 2)]


def timeline() -> Timeline:
    """Return one replica that stays, one that comes and goes, one that never comes."""
    return timeline_from_rows([], [], LIVES, SCALINGS)


@pytest.mark.parametrize(
    ("moment", "wanted", "paid", "ready"),
    [(0, 1, 1, 1), (99, 1, 1, 1), (100, 3, 3, 1), (300, 2, 2, 1), (400, 2, 2, 2), (600, 1, 2, 1), (650, 1, 1, 1)],
)
def test_counts_at_a_moment(moment: int, wanted: int, paid: int, ready: int) -> None:
    """Paid for from the order until it is gone, ready from its readiness until it is drained."""
    course = course_of(timeline())
    assert (course.wanted.at(moment), course.paid.at(moment), course.ready.at(moment)) == (wanted, paid, ready)


def test_mean_area_and_peak_of_a_window() -> None:
    """Paid for in [50, 450): one for 50 ns, three for 200, two for 150."""
    paid = course_of(timeline()).paid
    assert paid.area(50, 450) == 50 + 3 * 200 + 2 * 150
    assert paid.mean(50, 450) == pytest.approx(950 / 400)
    assert (paid.peak(50, 450), paid.peak(50, 100), paid.peak(400, 650), paid.peak(700, 800)) == (3, 1, 2, 1)


def test_timeline_without_replicas_is_of_one_that_never_changes() -> None:
    """As a server that says nothing of replicas has it."""
    course = course_of(timeline_from_rows([], []))
    assert course.ready.mean(0, 10) == steady(1).ready.mean(0, 10) == 1.0


def test_several_changes_of_one_moment_count_as_the_last() -> None:
    """A replica that comes as another goes is no peak."""
    rows = [ReplicaLife(0, 0, 0, 0, 50, 50), ReplicaLife(1, 0, 50, 60, UNSET, UNSET)]
    assert course_of(timeline_from_rows([], [], rows, [Scaling(0, 0, 1, 0)])).paid.peak(0, 100) == 1


def test_nothing_before_the_first_moment() -> None:
    """A count begins with its first change."""
    steps = Steps(np.array([10]), np.array([4]))
    assert (steps.at(9), steps.at(10), steps.area(0, 20)) == (0, 4, 40)


def test_p99_of_a_window_needs_a_hundred_answers() -> None:
    """Nearest rank, of the answered alone; a window with fewer has none."""
    intended_ns = np.concatenate([np.arange(100), WINDOW_NS + np.arange(99), WINDOW_NS + np.arange(5)])
    latency_ns = np.concatenate([np.arange(1, 101) * 10**6, np.full(99, 7 * 10**6), np.full(5, UNSET)])
    run = fleet_run(steady(1), intended_ns, latency_ns, 2 * WINDOW_NS)
    assert run.window_p99_ms[0] == 99.0
    assert math.isnan(run.window_p99_ms[1])


def test_timeline_counted_from_a_moment() -> None:
    """What was before is at 0, what never came stays so."""
    since = timeline().since(200)
    assert since.replicas.tolist()[1] == [1, 0, 0, 200, 400, 450]
    assert since.replicas.tolist()[2] == [2, 0, 0, UNSET, 100, 100]
    assert since.scalings.tolist() == [[0, 0, 1, 0], [0, 0, 3, 1], [100, 0, 2, 2], [400, 0, 1, 2]]
    assert course_of(since).wanted.at(0) == 3
