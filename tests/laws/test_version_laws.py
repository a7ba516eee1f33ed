"""The laws of several versions hold on every timeline, and each of them finds the fault that it is there for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from policy import dice, versions
from policy import faults as policy_faults
from policy.instant import UNSET
from policy.orders import Order, OrderKind
from policy.rollout import SHARE_ONE
from policy.rollout_settings import version_weights
from policy.settings import deadline_rule, fault_rule
from policy.timeline import COPIES_FROM, Outcome
from policy.versions import WEIGHT_ONE, VersionWeights
from sim.engine import process_engine
from sim.engine.engine_input import EngineInput, OrderAt, VersionsInput
from sim.engine.process_engine import run
from sim.engine.process_replica import LiveAttempt
from sim.engine.process_versions import Versions
from sim.engine.timelines import ATTEMPT_COLUMNS, SCALING_COLUMNS, Table, Timeline
from tests.laws.downtime import all_downs
from tests.laws.version_audit import VersionBooks, audit_versions
from tests.parity import faults
from tests.parity.inputs import COIN, busy_input, crash_times, faulty_version_inputs, version_inputs
from tests.parity.virtual_server import VirtualServer

Patch = Callable[[pytest.MonkeyPatch], None]
Tamper = Callable[[Timeline], Timeline]


@settings(max_examples=200, deadline=None)
@given(version_inputs())
def test_any_timeline_of_versions_keeps_every_law(given_: EngineInput) -> None:
    """Weights, users, pins, shadows, errors, rollouts, deploys and retirements: the audit has nothing to say."""
    assert audit_versions(given_, run(given_)) == []


@settings(max_examples=100, deadline=None)
@given(version_inputs())
def test_any_versions_of_the_dispatcher_keep_every_law(given_: EngineInput) -> None:
    """The same holds for the server's dispatcher core."""
    if not given_.traffic.clients:
        assert audit_versions(given_, VirtualServer(given_).play()) == []


@settings(max_examples=200, deadline=None)
@given(faulty_version_inputs())
def test_any_timeline_of_versions_with_faults_keeps_every_law(given_: EngineInput) -> None:
    """Crashes, slow replicas and first passes of some versions beside others that have none."""
    assert audit_versions(given_, run(given_)) == []


@settings(max_examples=100, deadline=None)
@given(faulty_version_inputs())
def test_any_versions_with_faults_of_the_dispatcher_keep_every_law(given_: EngineInput) -> None:
    """The same holds for the server's dispatcher core."""
    if not given_.traffic.clients:
        assert audit_versions(given_, VirtualServer(given_).play()) == []


def three_versions() -> EngineInput:
    """Return a load with two versions by weight, an order that moves it, pins, a shadow of all, and errors."""
    given_ = busy_input()
    fleet = given_.fleet
    return replace(
        given_,
        other_fleets=(replace(fleet, error_share=SHARE_ONE // 2), fleet),
        versions=VersionsInput(
            weights=version_weights(weights=[8_000, 2_000, 0], stable=0),
            shadows=(0, 0, WEIGHT_ONE),
            orders=(OrderAt(3_000, Order(int(OrderKind.WEIGHT), 1, 5_000)),),
            users=40,
            pinned=(0, SHARE_ONE // 20, SHARE_ONE // 20),
        ),
    )


def test_three_versions_have_no_breach_and_show_everything() -> None:
    """The input on which faults are planted is sound, and rich enough for them to show."""
    timeline = run(three_versions())
    assert audit_versions(three_versions(), timeline) == []
    assert set(timeline.attempt("version").tolist()) >= {0, 1, 2}
    assert timeline.share("weight").tolist() == [8_000, 2_000, 0, 5_000, 5_000]
    assert set(timeline.copied("outcome").tolist()) >= {Outcome.ANSWERED, Outcome.REFUSED}
    assert Outcome.FAILED in timeline.attempt("outcome").tolist()


def gains_without_a_loss(patch: pytest.MonkeyPatch) -> None:
    """A weight grows and the stable one keeps its own."""

    def moved(weights: VersionWeights, version: int, index: int, weight: int, _: int) -> int:
        return weight if index == version else weights.weights[index]

    patch.setattr(versions, "_moved", moved)


def choosing(patch: pytest.MonkeyPatch, choose: Callable[[Any, VersionWeights, int, int], int]) -> None:
    """Let another function choose, which is given the right one."""
    original = versions.choose
    patch.setattr(versions, "choose", lambda *asked: choose(original, *asked))


def pins_are_ignored(patch: pytest.MonkeyPatch) -> None:
    """Nobody is asked which version a request names."""
    choosing(patch, lambda original, weights, bits, _: original(weights, bits, UNSET))


def users_are_moved(patch: pytest.MonkeyPatch) -> None:
    """Every second request goes by other bits than its user has."""
    dice = iter(range(10**9))
    choosing(patch, lambda original, weights, bits, pinned: original(weights, bits ^ (next(dice) % 2 << 62), pinned))


def weights_are_ignored(patch: pytest.MonkeyPatch) -> None:
    """All go to the version without any weight."""
    choosing(patch, lambda original, weights, bits, pinned: 2 if pinned == UNSET else original(weights, bits, pinned))


def no_copies(patch: pytest.MonkeyPatch) -> None:
    """The shadow gets none."""
    patch.setattr(versions, "shadows", lambda share, bits: False)


def copies_are_kept_secret(patch: pytest.MonkeyPatch) -> None:
    """The shares do not tell of shadows."""
    patch.setattr(Versions, "_share", lambda self, version: (self._weights.weights[version], 0))


def copies_are_numbered_as_another_ones(patch: pytest.MonkeyPatch) -> None:
    """They bear the next version's number."""
    original = LiveAttempt.copy_for

    def misnumbered(self: LiveAttempt, version: int) -> LiveAttempt:
        copy = original(self, version)
        copy.attempt += COPIES_FROM
        return copy

    patch.setattr(LiveAttempt, "copy_for", misnumbered)


@pytest.mark.parametrize(
    ("plant", "law"),
    [
        (gains_without_a_loss, "weights_add_up"),
        (pins_are_ignored, "pinned_requests_go_where_they_say"),
        (users_are_moved, "users_stay_while_weights_do"),
        (weights_are_ignored, "versions_take_what_their_weight_says"),
        (no_copies, "copies_go_where_shadows_are"),
        (copies_are_kept_secret, "copies_go_where_shadows_are"),
        (copies_are_numbered_as_another_ones, "copies_have_an_original"),
    ],
    ids=lambda value: value.__name__ if callable(value) else value,
)
def test_planted_fault_is_found_by_its_law(plant: Patch, law: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A law that no fault can break would be no law."""
    plant(monkeypatch)
    breaches = audit_versions(three_versions(), run(three_versions()))
    assert law in {breach.split(":")[0] for breach in breaches}


def faulty_versions() -> EngineInput:
    """Return the same load with two replicas each: the first version's crash, the others' are slow or new."""
    given_ = three_versions()
    first, second, shadow = (
        replace(fleet, replicas=2, cold_start_tables=([40], COIN, [60]), restart_from=1, results_out_table=[30])
        for fleet in given_.fleets
    )
    slow = fault_rule(slow_share=0.5, slow_factor=1.5, first_count=2, first_factor=2.0)
    first = replace(first, crash_table=crash_times(220), faults=slow)
    second = replace(second, crash_table=[700], error_share=0, faults=fault_rule(slow_share=1.0, slow_factor=3.0))
    shadow = replace(shadow, crash_table=crash_times(400))
    return replace(given_, fleet=first, other_fleets=(second, shadow))


def test_faulty_versions_have_no_breach_and_show_everything() -> None:
    """Each version loses passes, with attempts and with copies in them."""
    given_ = faulty_versions()
    timeline = run(given_)
    assert audit_versions(given_, timeline) == []
    books = VersionBooks(given_, timeline)
    for version, fleet in enumerate(given_.fleets):
        own = books.of_version(version, fleet)
        lost = {down.lost for down in all_downs(own)} - {UNSET}
        assert set() < {row.serial for row in own.rows if row.outcome == Outcome.FAILED} <= lost


def everybody_crashes_as_the_first_version_does(patch: pytest.MonkeyPatch) -> None:
    """The life of every replica is drawn from the first version's table."""
    table = faulty_versions().fleet.crash_table
    assert table is not None
    patch.setattr(process_engine, "crash_after_ns", lambda _, *keys: dice.crash_after_ns(table, *keys))


def everybody_is_as_slow_as_the_first_version(patch: pytest.MonkeyPatch) -> None:
    """Slow is who would be by the first version's share."""
    rule = faulty_versions().fleet.faults
    patch.setattr(process_engine, "is_slow", lambda _, bits: policy_faults.is_slow(rule, bits))


@pytest.mark.parametrize(
    ("plant", "law"),
    [
        (faults.takes_the_whole_start_again, "instances_run_one_pass"),
        (faults.never_crashes, "crashes_lose_what_runs"),
        (faults.crashes_when_idle_alone, "crashes_lose_what_runs"),
        (faults.first_passes_never_end, "passes_last_what_they_cost"),
        (faults.first_passes_come_once, "passes_last_what_they_cost"),
        (faults.nobody_is_slow, "passes_last_what_they_cost"),
        (everybody_crashes_as_the_first_version_does, "crashes_lose_what_runs"),
        (everybody_is_as_slow_as_the_first_version, "passes_last_what_they_cost"),
    ],
    ids=lambda value: value.__name__ if callable(value) else value,
)
def test_fault_of_the_faults_is_found_by_its_law(plant: Patch, law: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version's faults are judged by its own settings: those of another one would be a breach."""
    given_ = faulty_versions()
    plant(monkeypatch)
    breaches = audit_versions(given_, run(given_))
    assert law in {breach.split(":")[0] for breach in breaches}


def with_cell(table: Table, row: int, column: int, value: int) -> Table:
    """Return a table with one cell changed."""
    changed = np.array(table)
    changed[row, column] = value
    return changed


def fails_where_nothing_errs(timeline: Timeline) -> Timeline:
    """A version without errors fails."""
    is_answered = (timeline.attempt("outcome") == Outcome.ANSWERED) & (timeline.attempt("version") == 0)
    row, column = int(np.flatnonzero(is_answered)[0]), ATTEMPT_COLUMNS.index("outcome")
    return replace(timeline, attempts=with_cell(timeline.attempts, row, column, int(Outcome.FAILED)))


def is_told_of_another_version(timeline: Timeline) -> Timeline:
    """A row names another version than its replica serves."""
    is_placed = (timeline.attempt("placed_ns") != UNSET) & (timeline.attempt("version") == 0)
    row, column = int(np.flatnonzero(is_placed)[0]), ATTEMPT_COLUMNS.index("version")
    return replace(timeline, attempts=with_cell(timeline.attempts, row, column, 1))


def wants_one_more(timeline: Timeline) -> Timeline:
    """One replica more is wanted than there is."""
    return replace(timeline, scalings=with_cell(timeline.scalings, 1, SCALING_COLUMNS.index("wanted"), 2))


@pytest.mark.parametrize(
    ("tamper", "law"),
    [
        (fails_where_nothing_errs, "only_a_model_that_errs_fails"),
        (is_told_of_another_version, "every_attempt_is_of_one_version"),
        (wants_one_more, "replicas_within_limits"),
    ],
    ids=lambda value: value.__name__ if callable(value) else value,
)
def test_changed_row_is_found_by_its_law(tamper: Tamper, law: str) -> None:
    """Where no single line of a driver makes the fault, one number of the timeline does."""
    breaches = audit_versions(three_versions(), tamper(run(three_versions())))
    assert law in {breach.split(":")[0] for breach in breaches}


def test_versions_that_return_their_passes_otherwise_have_no_breach() -> None:
    """When the front end was busy is read from each version's own turnaround, not from the first one's."""
    given_ = three_versions()
    fleets = [
        replace(fleet, results_out_table=[out_ns], deadline=deadline_rule(deadline_ns=None))
        for fleet, out_ns in zip(given_.fleets, (60, 20, 3), strict=True)
    ]
    front_end = replace(given_.front_end, pass_result_table=[25], response_table=[0], timer_table=[5])
    given_ = replace(given_, fleet=fleets[0], other_fleets=tuple(fleets[1:]), front_end=front_end)
    assert audit_versions(given_, run(given_)) == []
