"""A replay agrees with every journal that a dispatcher wrote, and finds every row that somebody changed."""

from __future__ import annotations

import dataclasses
from array import array
from collections import OrderedDict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration.journal_file import read_journal
from calibration.replay import ReplayReport, replay, replay_journal
from policy.autoscaling_settings import autoscaling_rule, fixed_fleet
from policy.instant import NEVER_NS
from policy.journal import FIELDS, Row
from policy.rollout_settings import rollout_rule, version_weights
from policy.settings import admission_rule, batching_rule, deadline_rule
from reference_server.actions import Arrived, Failed, HungUp, Ready, Returned
from reference_server.version_shares import VersionRules
from sim.engine import process_replica
from sim.engine.engine_input import EngineInput, FleetInput, VersionsInput
from tests.parity.inputs import busy_input, fleets, scaled_fleets, version_inputs
from tests.reference_server.recorded import Recorded, record_walk

OF_REPLICAS = ("scalings", "starts", "drains", "stops")
OF_VERSIONS = ("copies", "orders", "shares", "rollout moves")
NONE_OF_THEM = dict.fromkeys((*OF_REPLICAS, *OF_VERSIONS), 0)


def busy_fleet() -> FleetInput:
    """Return two instances, batches of up to four, a cap and a deadline."""
    return dataclasses.replace(busy_input().fleet, admission=admission_rule(cap=4))


@pytest.fixture
def walk(tmp_path: Path) -> Path:
    """Return the journal of a random life in which everything happens."""
    record_walk([busy_fleet()], tmp_path / "journal", seed=5, steps=400)
    return tmp_path / "journal"


@settings(max_examples=150, deadline=None)
@given(fleets(), st.integers(0, 2**32))
def test_any_life_of_a_dispatcher_replays(fleet: FleetInput, seed: int) -> None:
    """Every rule, with failures, hang-ups, draining, late timers and ties: the other bookkeeping decides the same."""
    with TemporaryDirectory() as folder:
        record_walk([fleet], Path(folder) / "journal", seed=seed, steps=60)
        report = replay(Path(folder) / "journal")
    assert (report.first_difference, report.stopped) == (None, None)
    assert report.identical == report.decisions
    assert report.is_complete


@settings(max_examples=100, deadline=None)
@given(fleets().flatmap(scaled_fleets), st.integers(0, 2**32))
def test_any_life_of_a_fleet_replays(fleet: FleetInput, seed: int) -> None:
    """With routing, holding, an autoscaler, replicas that start and go."""
    with TemporaryDirectory() as folder:
        record_walk([fleet], Path(folder) / "journal", seed=seed, steps=60, grid_ns=10**6)
        report = replay(Path(folder) / "journal")
    assert (report.first_difference, report.stopped) == (None, None)
    assert report.identical == report.decisions


def test_life_of_a_fleet_holds_decisions_about_replicas(tmp_path: Path) -> None:
    """Many of each kind, all confirmed; one changed is found."""
    rule = autoscaling_rule(target=1.0, max_replicas=3, min_replicas=0, tick_ns=2 * 10**6, sample_ns=10**6)
    record_walk(
        [dataclasses.replace(busy_fleet(), autoscaler=rule)], tmp_path / "journal", seed=5, steps=400, grid_ns=10**6
    )
    report = replay(tmp_path / "journal")
    assert report.agrees
    counts = {name: report.tallies[name].recorded for name in ("scalings", "starts", "drains", "stops")}
    assert min(counts.values()) > 20, counts
    for kind, name in ((Row.SCALE, "wanted"), (Row.START_REPLICA, "replica"), (Row.STOP_REPLICA, "replica")):
        assert not changed(tmp_path / "journal", kind, name, 3).agrees


def record_versions(given: EngineInput, file: Path, *, seed: int, steps: int) -> None:
    """Write the journal of a random life of several versions, without autoscalers: no journal takes ticks of 10 ns."""
    versions = given.versions
    shares = VersionRules(versions.weights, versions.shadows, versions.rollout)
    fleets = [dataclasses.replace(fleet, autoscaler=fixed_fleet()) for fleet in given.fleets]
    record_walk(fleets, file, seed=seed, steps=steps, shares=shares)


@settings(max_examples=150, deadline=None)
@given(version_inputs(), st.integers(0, 2**32))
def test_any_life_of_versions_replays(given: EngineInput, seed: int) -> None:
    """With copies, pins, failed members, a rollout, and orders of every kind."""
    with TemporaryDirectory() as folder:
        record_versions(given, Path(folder) / "journal", seed=seed, steps=60)
        report = replay(Path(folder) / "journal")
    assert (report.first_difference, report.stopped) == (None, None)
    assert report.identical == report.decisions


def test_life_of_versions_holds_decisions_about_them(tmp_path: Path) -> None:
    """Many of each kind, all confirmed; one changed is found."""
    given = dataclasses.replace(
        busy_input(),
        other_fleets=(busy_fleet(),),
        versions=VersionsInput(
            weights=version_weights(weights=[5_000, 5_000], stable=0, canary=1),
            shadows=(0, 5_000),
            rollout=rollout_rule(
                steps=[{"weight": weight, "shadow": 5_000, "pause_ns": 500} for weight in (500, 5_000, 9_000)]
            ),
        ),
    )
    record_versions(given, tmp_path / "journal", seed=5, steps=600)
    report = replay(tmp_path / "journal")
    assert report.agrees
    counts = {name: report.tallies[name].recorded for name in OF_VERSIONS}
    assert min(counts.values()) > 5, counts
    for kind, name in (
        (Row.COPIED, "reason"),
        (Row.DECIDED, "refusal"),
        (Row.SHARE, "weight"),
        (Row.ROLLOUT, "step"),
    ):
        assert not changed(tmp_path / "journal", kind, name, 3).agrees, kind
    # One that had ended before its pass did, or a copy, may leave no trace in the decisions.
    failed = [changed(tmp_path / "journal", Row.FAILED_MEMBER, "request", ordinal) for ordinal in range(10)]
    assert not all(report.agrees for report in failed)


def test_walk_holds_decisions_of_every_kind(walk: Path) -> None:
    """The tests here compare something: all kinds are there, in numbers, with refusals and lost passes among them."""
    report = replay(walk)
    assert report.agrees
    tallies = [tally for name, tally in report.tallies.items() if name not in NONE_OF_THEM]
    assert all(tally.recorded == tally.identical > 50 for tally in tallies)
    decisions = [entry for instant in read_journal(walk).instants() for entry in instant.decisions]
    ends = {(entry.fields[2], entry.fields[3]) for entry in decisions if entry.kind == Row.RESPOND}
    assert ends == {(1, 0), (2, 1), (2, 2), (3, 0), (5, 0)}
    assert {entry.fields[2] for entry in decisions if entry.kind == Row.PASS_OVER} == {1, 3}


def test_driver_with_an_order_of_its_own_is_found(walk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison can fail: a replica whose queue is a stack makes other batches."""

    class Stack(OrderedDict[Any, Any]):
        def popitem(self, last: bool = True) -> Any:
            return super().popitem(last=not last)

    monkeypatch.setattr(process_replica, "OrderedDict", Stack)
    report = replay(walk)
    assert not report.agrees
    assert "handed batch" in str(report.first_difference)


DECISION_FIELDS = [
    (Row.RESPOND, "outcome"),
    (Row.RESPOND, "request"),
    (Row.START_PASS, "serial"),
    (Row.START_PASS, "instance"),
    (Row.MEMBER, "request"),
    (Row.PASS_OVER, "size"),
    (Row.PASS_OVER, "cause"),
    (Row.PASS_OVER, "idle_since_ns"),
    (Row.PASS_OVER, "closed_ns"),
    (Row.PASS_OVER, "handed_ns"),
    (Row.WAKE_AT, "at_ns"),
]


def changed(path: Path, kind: Row, name: str, ordinal: int) -> ReplayReport:
    """Return the replay of a journal in which one field of one row is one more than was written."""
    journal = read_journal(path)
    rows = list(journal.rows)
    at = 0
    while rows[at] != kind or ordinal:
        ordinal -= rows[at] == kind
        at += 1 + len(FIELDS[Row(rows[at])])
    rows[at + 1 + FIELDS[kind].index(name)] += 1
    return replay_journal(dataclasses.replace(journal, rows=array("q", rows)))


@pytest.mark.parametrize(("kind", "name"), DECISION_FIELDS)
@pytest.mark.parametrize("ordinal", [0, 40])
def test_one_changed_decision_is_found(walk: Path, kind: Row, name: str, ordinal: int) -> None:
    """All other decisions are confirmed, and the sentence shows both sides."""
    report = changed(walk, kind, name, ordinal)
    assert not report.agrees
    assert report.stopped is None
    # Where an answer became another one, what stands behind it no longer has its partner.
    assert 1 <= report.decisions - report.identical <= 4
    assert " s behind the start: the server " in str(report.first_difference)
    assert ", and the replay " in str(report.first_difference)


@pytest.mark.parametrize(
    ("kind", "name"),
    [(Row.ARRIVED, "request"), (Row.HUNG_UP, "request"), (Row.RETURNED, "instance")],
)
def test_one_changed_event_is_found(walk: Path, kind: Row, name: str) -> None:
    """Other events lead to other decisions; the replay goes on as far as the two sides fit."""
    report = changed(walk, kind, name, 3)
    assert not report.agrees
    assert report.identical < report.decisions + sum(tally.replay_only for tally in report.tallies.values())


def fleet_of(max_batch: int = 2, cap: int | None = None, deadline_ns: int | None = None) -> FleetInput:
    """Return one instance that waits 30 ns for company."""
    return dataclasses.replace(
        busy_fleet(),
        instances=1,
        batching=batching_rule(max_batch=max_batch, max_wait_ns=30),
        admission=admission_rule(cap=cap),
        deadline=deadline_rule(deadline_ns=deadline_ns),
    )


def test_decisions_are_counted_by_kind(tmp_path: Path) -> None:
    """Two requests share a pass, a third is refused: counted by hand."""
    life = Recorded([fleet_of(cap=1)], tmp_path / "journal")
    life.tell(Arrived(0, 0, 1))
    life.wait(5, 0)
    life.tell(Arrived(1, 0, 1))  # refused: one waits already
    life.wait(40, 0)  # the timer closes the batch of one
    life.tell(Returned(0, 0, 36, 45))
    life.journal.close()
    report = replay(tmp_path / "journal")
    assert {name: tally.recorded for name, tally in report.tallies.items()} == {
        "admissions": 2,
        "batches": 1,
        "closings": 1,
        "answers": 1,
        "wake-ups": 4,
        **NONE_OF_THEM,
    }
    assert (report.decisions, report.identical, report.instants, report.span_ns) == (9, 9, 4, 45)
    assert report.to_json()["kinds"] == {
        "admissions": {"recorded": 2, "identical": 2, "replay_only": 0},
        "batches": {"recorded": 1, "identical": 1, "replay_only": 0},
        "closings": {"recorded": 1, "identical": 1, "replay_only": 0},
        "answers": {"recorded": 1, "identical": 1, "replay_only": 0},
        "wake-ups": {"recorded": 4, "identical": 4, "replay_only": 0},
        **{name: {"recorded": 0, "identical": 0, "replay_only": 0} for name in NONE_OF_THEM},
    }


def test_late_timer_is_no_difference(tmp_path: Path) -> None:
    """The wake-up is recorded as it came: 25 ns late, it closes the batch then, on both sides."""
    life = Recorded([fleet_of()], tmp_path / "journal")
    life.tell(Arrived(0, 0, 1))
    life.wait(100, late_ns=25)
    life.journal.close()
    started = [instant for instant in read_journal(tmp_path / "journal").instants() if not instant.events]
    assert [instant.now_ns for instant in started] == [55]
    assert replay(tmp_path / "journal").agrees


def test_lost_pass_and_its_return_are_told_apart(tmp_path: Path) -> None:
    """An instance breaks down, recovers, and serves what waited; a client hangs up while its pass runs."""
    life = Recorded([fleet_of(max_batch=1)], tmp_path / "journal")
    life.tell(Arrived(0, 0, 1), Arrived(1, 0, 1))
    life.wait(10, 0)
    life.tell(Failed(0, 0))
    life.wait(10, 0)
    life.tell(Ready(0, 0))
    life.tell(HungUp(1, 0))
    life.wait(10, 0)
    life.tell(Returned(0, 0, 22, 28))
    life.journal.close()
    report = replay(tmp_path / "journal")
    assert report.agrees
    assert report.tallies["answers"].recorded == 1, "the one that failed; nobody waits for the other"


def test_events_that_do_not_fit_end_the_replay(tmp_path: Path) -> None:
    """A pass that nobody started comes back: the rest is counted as recorded, and as confirmed no more."""
    life = Recorded([fleet_of()], tmp_path / "journal")
    life.tell(Arrived(0, 0, 1))
    life.journal.add(10, False, [Returned(0, 0, 5, 9)], [])
    life.now_ns = 20
    life.tell(Arrived(1, 0, 1))
    life.journal.close()
    report = replay(tmp_path / "journal")
    assert report.stopped is not None
    assert "instance 0 of replica 0 returned a pass which the replay did not start" in report.stopped
    assert report.identical < report.decisions
    assert not report.agrees


def test_journal_that_was_cut_off_is_confirmed_as_far_as_it_goes(walk: Path) -> None:
    """A killed server leaves no end behind; what it wrote is compared all the same."""
    journal = read_journal(walk)
    report = replay_journal(dataclasses.replace(journal, rows=journal.rows[:-100]))
    assert report.agrees
    assert not report.is_complete


def test_no_wake_up_is_said_in_words(tmp_path: Path) -> None:
    """The largest moment is no number that a reader knows."""
    life = Recorded([fleet_of()], tmp_path / "journal")
    life.tell()
    life.journal.close()
    report = changed(tmp_path / "journal", Row.WAKE_AT, "at_ns", 0)
    assert f"asked for a wake-up at {NEVER_NS + 1} ns, and the replay asked for no wake-up" in str(
        report.first_difference
    )
