"""The process engine and the server's dispatcher core are two drivers of one policy: they must agree row for row."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings

from policy.instant import NEVER_NS, UNSET, Change
from policy.timeline import Outcome
from sim.engine import process_engine, process_replica
from sim.engine.engine_input import EngineInput
from sim.engine.process_engine import run
from sim.engine.timelines import REPLICA_COLUMNS, Table, Timeline
from tests.parity import faults
from tests.parity.faults import decides_without_an_occasion
from tests.parity.inputs import (
    busy_input,
    faulty_input,
    faulty_inputs,
    faulty_version_inputs,
    fleet_inputs,
    front_end_input,
    inputs,
    version_inputs,
)
from tests.parity.virtual_server import VirtualServer


def final_before(timeline: Timeline, end_ns: int) -> tuple[list[list[int]], list[list[int]]]:
    """Return the attempts and passes that were over before a moment."""
    returned = timeline.attempt("returned_ns")
    pass_is_over = (timeline.attempt("closed_ns") == UNSET) | ((returned != UNSET) & (returned < end_ns))
    delivered = timeline.attempt("delivered_ns")
    attempts = timeline.attempts[pass_is_over & (delivered != UNSET) & (delivered < end_ns)]
    pass_returned = timeline.passed("returned_ns")
    passes = timeline.passes[(pass_returned != UNSET) & (pass_returned < end_ns)]
    return attempts.tolist(), passes.tolist()


@settings(max_examples=400, deadline=None)
@given(inputs())
def test_any_input_gives_the_same_timeline_on_both(given_: EngineInput) -> None:
    """Every attempt and every pass is the same, column by column, whatever the rule and however many ties."""
    attempts, passes = final_before(run(given_), given_.measure_to_ns)
    played_attempts, played_passes = final_before(VirtualServer(given_).play(), given_.measure_to_ns)
    assert attempts == played_attempts
    assert passes == played_passes
    if not given_.traffic.clients:
        requests = {row[0] for row in attempts}
        assert requests == set(range(len(given_.traffic.arrivals_ns) - 1)), "all but the last request are compared"


def fleet_before(timeline: Timeline, end_ns: int) -> tuple[list[list[int]], list[list[int]]]:
    """Return the lives of the replicas up to a moment, and the changes of the wanted number before it."""
    lives = [[value if value < end_ns else UNSET for value in row] for row in timeline.replicas.tolist()]
    ordered = REPLICA_COLUMNS.index("ordered_ns")
    return [row for row in lives if row[ordered] != UNSET], changes_before(timeline.scalings, end_ns)


def changes_before(rows: Table, end_ns: int) -> list[list[int]]:
    """Return the changes before a moment, in the order of time and version: drivers note them version by version."""
    return sorted(row for row in rows.tolist() if row[0] < end_ns)


def versions_before(timeline: Timeline, end_ns: int) -> tuple[list[list[int]], ...]:
    """Return the copies that were over before a moment, the shares of the versions and the moves of the rollout."""
    returned, refused = timeline.copied("returned_ns"), timeline.copied("outcome") == Outcome.REFUSED
    is_over = ((returned != UNSET) & (returned < end_ns)) | (refused & (timeline.copied("enqueued_ns") < end_ns))
    shares, moves = timeline.shares.tolist(), timeline.rollout.tolist()
    return (
        timeline.copies[is_over].tolist(),
        [row for row in shares if row[0] < end_ns],
        [row for row in moves if row[0] < end_ns],
    )


@settings(max_examples=200, deadline=None)
@given(fleet_inputs())
def test_any_fleet_gives_the_same_timeline_on_both(given_: EngineInput) -> None:
    """Routing, holding, scaling, cold starts, draining: the same rows, and the same replicas at the same moments."""
    timeline, played = run(given_), VirtualServer(given_).play()
    assert fleet_before(timeline, given_.measure_to_ns) == fleet_before(played, given_.measure_to_ns)
    assert final_before(timeline, given_.measure_to_ns) == final_before(played, given_.measure_to_ns)


@settings(max_examples=200, deadline=None)
@given(faulty_inputs())
def test_any_faults_give_the_same_timeline_on_both(given_: EngineInput) -> None:
    """Crashes with ties of every kind, restarts, slow replicas, first passes: the same rows, lost passes among them."""
    timeline, played = run(given_), VirtualServer(given_).play()
    assert fleet_before(timeline, given_.measure_to_ns) == fleet_before(played, given_.measure_to_ns)
    assert final_before(timeline, given_.measure_to_ns) == final_before(played, given_.measure_to_ns)


@settings(max_examples=300, deadline=None)
@given(version_inputs())
def test_any_versions_give_the_same_timeline_on_both(given_: EngineInput) -> None:
    """Weights, sticky users, pins, shadows, errors, rollouts and orders: the same rows, copies, shares and moves."""
    timeline, played = run(given_), VirtualServer(given_).play()
    end_ns = given_.measure_to_ns
    assert versions_before(timeline, end_ns) == versions_before(played, end_ns)
    assert fleet_before(timeline, end_ns) == fleet_before(played, end_ns)
    assert final_before(timeline, end_ns) == final_before(played, end_ns)


@settings(max_examples=150, deadline=None)
@given(faulty_version_inputs())
def test_any_versions_with_faults_give_the_same_timeline_on_both(given_: EngineInput) -> None:
    """Replicas that crash while a rollout counts its failures, while copies run, while a version is retired."""
    timeline, played = run(given_), VirtualServer(given_).play()
    end_ns = given_.measure_to_ns
    assert versions_before(timeline, end_ns) == versions_before(played, end_ns)
    assert fleet_before(timeline, end_ns) == fleet_before(played, end_ns)
    assert final_before(timeline, end_ns) == final_before(played, end_ns)


@settings(max_examples=50, deadline=None)
@given(inputs())
def test_same_input_gives_the_same_bytes(given_: EngineInput) -> None:
    """A run is a function of its input."""
    assert run(given_).tobytes() == run(given_).tobytes()


def test_driver_with_an_order_of_its_own_is_told_from_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison can fail: an engine whose queue is a stack no longer gives the dispatcher's timeline."""
    given_ = busy_input()
    played = final_before(VirtualServer(given_).play(), given_.measure_to_ns)
    assert final_before(run(given_), given_.measure_to_ns) == played

    class Stack(OrderedDict[Any, Any]):
        def popitem(self, last: bool = True) -> Any:
            return super().popitem(last=not last)

    monkeypatch.setattr(process_replica, "OrderedDict", Stack)
    assert final_before(run(given_), given_.measure_to_ns) != played


def results_join_last(patch: pytest.MonkeyPatch) -> None:
    """Results join the front end behind what reaches it in the same instant, not before it."""
    take_in = process_engine._Run._take_in_batch

    def last(self: Any, change: int, batch: process_replica.Batch) -> None:
        if change == Change.RESULTS and self._changes and self._changes[0][0] <= Change.SENT:
            self._report(Change.SENT + 0.5, 0, batch.instance, batch)
        else:
            take_in(self, Change.RESULTS if change == Change.SENT + 0.5 else change, batch)

    patch.setattr(process_engine._Run, "_take_in_batch", last)


def replaced_timer_rings(patch: pytest.MonkeyPatch) -> None:
    """A moment for which the dispatcher no longer asks is a job of the front end all the same."""

    def ring(self: Any, _: object) -> None:
        self._alarm_ns = NEVER_NS
        self._timer_ns = NEVER_NS
        self._report(Change.TIMER, 0, 0, None)

    patch.setattr(process_engine._Run, "_ring", ring)


@pytest.mark.parametrize(
    ("plant", "blocking"),
    [
        (decides_without_an_occasion, False),
        (decides_without_an_occasion, True),
        (results_join_last, False),
        (replaced_timer_rings, False),
        (replaced_timer_rings, True),
    ],
    ids=lambda value: value.__name__ if callable(value) else str(value),
)
def test_driver_with_another_front_end_is_told_from_the_other(
    plant: Callable[[pytest.MonkeyPatch], None], blocking: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who joins first, when the dispatcher looks and which timer rings: each shows in the timeline."""
    given_ = front_end_input(blocking=blocking)
    played = final_before(VirtualServer(given_).play(), given_.measure_to_ns)
    assert final_before(run(given_), given_.measure_to_ns) == played
    plant(monkeypatch)
    assert final_before(run(given_), given_.measure_to_ns) != played


@pytest.mark.parametrize(
    "plant",
    [
        faults.takes_the_whole_start_again,
        faults.never_crashes,
        faults.crashes_when_idle_alone,
        faults.first_passes_never_end,
        faults.first_passes_come_once,
        faults.nobody_is_slow,
    ],
    ids=lambda plant: plant.__name__,
)
def test_driver_with_other_faults_is_told_from_the_other(
    plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who crashes when, what it costs to come back, and which passes take longer: each shows in the timeline."""
    given_ = faulty_input()
    played = final_before(VirtualServer(given_).play(), given_.measure_to_ns)
    assert final_before(run(given_), given_.measure_to_ns) == played
    plant(monkeypatch)
    assert final_before(run(given_), given_.measure_to_ns) != played


def test_die_that_depends_on_the_order_of_use_breaks_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other comparison can fail too: with one generator for all dice a second run is another run."""
    numbers = itertools.count()
    monkeypatch.setattr(process_engine, "die", lambda *keys: next(numbers) * 2**10)
    assert run(busy_input()).tobytes() != run(busy_input()).tobytes()
