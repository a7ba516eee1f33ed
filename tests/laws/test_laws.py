"""The laws of DESIGN: on any input the audit finds nothing, and for each law it finds a planted fault."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings

from policy import admission, batching, deadlines, pass_time, retries
from policy.instant import UNSET, Change
from policy.timeline import Outcome, Reason
from sim.engine import process_engine, process_replica
from sim.engine.engine_input import EngineInput
from sim.engine.process_engine import run
from tests.laws.audit import Books, audit
from tests.laws.downtime import all_downs
from tests.parity import faults
from tests.parity.faults import decides_without_an_occasion
from tests.parity.inputs import busy_input, faulty_input, faulty_inputs, fleet_inputs, front_end_input, inputs
from tests.parity.virtual_server import VirtualServer


@settings(max_examples=300, deadline=None)
@given(inputs())
def test_any_timeline_of_the_engine_keeps_every_law(given_: EngineInput) -> None:
    """Whatever the rule, the load and the ties, the audit has nothing to say."""
    assert audit(given_, run(given_)) == []


@settings(max_examples=200, deadline=None)
@given(fleet_inputs())
def test_any_timeline_of_a_fleet_keeps_every_law(given_: EngineInput) -> None:
    """With several replicas, an autoscaler and cold starts too."""
    assert audit(given_, run(given_)) == []


@settings(max_examples=200, deadline=None)
@given(faulty_inputs())
def test_any_timeline_with_faults_keeps_every_law(given_: EngineInput) -> None:
    """Crashes lose what runs and nothing else; slow replicas and first passes take what they cost."""
    assert audit(given_, run(given_)) == []


@settings(max_examples=100, deadline=None)
@given(fleet_inputs())
def test_any_fleet_of_the_dispatcher_keeps_every_law(given_: EngineInput) -> None:
    """The same holds for the server's dispatcher core."""
    if not given_.traffic.clients:
        assert audit(given_, VirtualServer(given_).play()) == []


@settings(max_examples=100, deadline=None)
@given(inputs())
def test_any_timeline_of_the_dispatcher_keeps_every_law(given_: EngineInput) -> None:
    """The same holds for the server's dispatcher core."""
    given_open = given_ if not given_.traffic.clients else None
    if given_open is not None:
        assert audit(given_open, VirtualServer(given_open).play()) == []


def test_busy_input_has_every_outcome_and_no_breach() -> None:
    """The input on which faults are planted is sound, and rich enough for them to show."""
    timeline = run(busy_input())
    assert audit(busy_input(), timeline) == []
    assert set(timeline.attempt("outcome").tolist()) == {1, 2, 3, 4}


@pytest.mark.parametrize("blocking", [False, True])
def test_front_end_input_has_no_breach_and_waits_for_timers(blocking: bool) -> None:
    """The input on which faults of the front end are planted is sound, and its waits and deadlines end."""
    timeline = run(front_end_input(blocking=blocking))
    assert audit(front_end_input(blocking=blocking), timeline) == []
    assert {int(Outcome.ANSWERED), int(Outcome.TIMED_OUT)} <= set(timeline.attempt("outcome").tolist())
    assert int(batching.Cause.WAITED) in timeline.passed("cause").tolist()


def test_faulty_input_has_no_breach_and_every_kind_of_crash() -> None:
    """In a pass, between two, and with results on their way, which are answered: the last shows as a restart alone."""
    given_ = faulty_input()
    timeline = run(given_)
    assert audit(given_, timeline) == []
    assert {int(Outcome.ANSWERED), int(Outcome.FAILED)} <= set(timeline.attempt("outcome").tolist())
    lost = set(timeline.passed("serial")[(timeline.passed("started_ns") == UNSET)].tolist())
    downs = all_downs(Books(given_, timeline))
    returned = set(timeline.passed("returned_ns").tolist())
    kinds = {
        "in a pass" if down.lost in lost else "behind results" if down.from_ns in returned else "idle" for down in downs
    }
    assert kinds == {"in a pass", "behind results", "idle"}


Patch = Callable[[pytest.MonkeyPatch], None]


def one_too_many(patch: pytest.MonkeyPatch) -> None:
    """Batches grow to max_batch + 1."""
    step = batching.step
    patch.setattr(batching, "step", lambda rule, *rest: step(rule._replace(max_batch=rule.max_batch + 1), *rest))


def waits_too_long(patch: pytest.MonkeyPatch) -> None:
    """The wait counts 30 ns too long."""
    step = batching.step
    patch.setattr(batching, "step", lambda rule, *rest: step(rule._replace(max_wait_ns=rule.max_wait_ns + 30), *rest))


def never_waits(patch: pytest.MonkeyPatch) -> None:
    """Whatever is there goes at once."""
    step = batching.step
    patch.setattr(batching, "step", lambda rule, *rest: step(rule._replace(max_wait_ns=0), *rest))


def last_come_first_served(patch: pytest.MonkeyPatch) -> None:
    """The queue is a stack."""

    class Stack(OrderedDict[Any, Any]):
        def popitem(self, last: bool = True) -> Any:
            return super().popitem(last=not last)

    patch.setattr(process_replica, "OrderedDict", Stack)


def cap_is_ignored(patch: pytest.MonkeyPatch) -> None:
    """Everybody is let in."""
    patch.setattr(admission, "decide", lambda rule, view: Reason.NONE)


def refuses_with_room(patch: pytest.MonkeyPatch) -> None:
    """The cap is one lower than it says."""
    decide = admission.decide
    patch.setattr(admission, "decide", lambda rule, view: decide(rule._replace(cap=rule.cap - 1), view))


def deadline_too_early(patch: pytest.MonkeyPatch) -> None:
    """The deadline runs 20 ns less than it says."""
    due_ns = deadlines.due_ns
    patch.setattr(deadlines, "due_ns", lambda rule, enqueued_ns: due_ns(rule, enqueued_ns) - 20)


def withdrawn_keeps_its_place(patch: pytest.MonkeyPatch) -> None:
    """A request that timed out is batched all the same."""
    patch.setattr(deadlines, "frees_its_place", lambda frozen: False)


def no_retry(patch: pytest.MonkeyPatch) -> None:
    """Clients give up at once."""
    patch.setattr(retries, "wants_retry", lambda rule, attempt, outcome: False)


def pass_too_short(patch: pytest.MonkeyPatch) -> None:
    """A pass costs a member less."""
    pass_ns = pass_time.pass_ns
    patch.setattr(process_engine, "pass_ns", lambda rule, size, *rest: pass_ns(rule, size - 1, *rest))


def instance_runs_two(patch: pytest.MonkeyPatch) -> None:
    """A batch goes to an instance that has not returned the one before."""

    def hand_over(self: Any, now_ns: int) -> None:
        while self._parked:
            batch = self._parked.popleft()
            batch.instance, batch.handed_ns = 0, now_ns
            batch.idle_since_ns = self._idle_since_ns.get(0, 0)
            self._running += 1
            self._carried += len(batch.members)
            self._waiting -= len(batch.members)
            self._start(batch)

    patch.setattr(process_replica.Replica, "_hand_over", hand_over)


def delivers_too_early(patch: pytest.MonkeyPatch) -> None:
    """Clients hold responses before they have left the front end."""
    settle = process_engine._Run._settle
    patch.setattr(
        process_engine._Run,
        "_settle",
        lambda self, attempt, outcome, delivered_ns: settle(self, attempt, outcome, delivered_ns - 2),
    )


def forgets_a_row(patch: pytest.MonkeyPatch) -> None:
    """The last attempt leaves no row."""
    build = process_engine.timeline_from_rows
    patch.setattr(process_engine, "timeline_from_rows", lambda rows, *tables: build(list(rows)[:-1], *tables))


def returns_too_early(patch: pytest.MonkeyPatch) -> None:
    """The table of passes says 1 ns less than the attempts."""
    row = process_replica.Batch.row
    patch.setattr(process_replica.Batch, "row", lambda self: row(self)._replace(returned_ns=self.returned_ns - 1))


def front_end_does_all_at_once(patch: pytest.MonkeyPatch) -> None:
    """A job begins when it joins, whatever its worker is at."""
    patch.setattr(process_engine._Run, "_serve_at_front_end", lambda self, worker, work_ns: self._now + work_ns)


def front_end_rests(patch: pytest.MonkeyPatch) -> None:
    """A worker waits 1 ns after each job."""
    serve = process_engine._Run._serve_at_front_end
    patch.setattr(
        process_engine._Run,
        "_serve_at_front_end",
        lambda self, worker, work_ns: serve(self, worker, work_ns + 1) - 1,
    )


def results_jump_the_queue(patch: pytest.MonkeyPatch) -> None:
    """The dispatcher has the results when they reach the front end."""
    patch.setattr(process_engine._Run, "_enter_with_results", _returned_at_once)


def _returned_at_once(self: Any, batch: process_replica.Batch) -> None:
    self._call_dispatcher(self._now, Change.RETURNED, 0, batch.instance, batch)


def timer_jumps_the_queue(patch: pytest.MonkeyPatch) -> None:
    """The dispatcher wakes at the moment for which it asked."""
    patch.setattr(
        process_engine._Run,
        "_enter_with_timer",
        lambda self: self._call_dispatcher(self._now, Change.WOKEN, 0, 0, None),
    )


def timer_is_lost(patch: pytest.MonkeyPatch) -> None:
    """Nothing wakes the dispatcher."""
    patch.setattr(process_engine._Run, "_enter_with_timer", lambda self: None)


def passes_do_not_block(patch: pytest.MonkeyPatch) -> None:
    """The pass of a blocking handler takes none of the front end's time."""
    block = process_engine._Run._block_front_end

    def free_again(self: Any, batch: process_replica.Batch) -> None:
        free_ns = list(self._front_end_free_ns)
        block(self, batch)
        self._front_end_free_ns[:] = free_ns

    patch.setattr(process_engine._Run, "_block_front_end", free_again)


def blocked_results_take_work(patch: pytest.MonkeyPatch) -> None:
    """The results of a pass in the front end are a job of their own besides."""
    patch.setattr(process_engine._Run, "_results_out_ns", lambda self, batch: 20)


@pytest.mark.parametrize(
    ("plant", "law"),
    [
        (one_too_many, "batch_within_maximum"),
        (waits_too_long, "no_wait_past_bound"),
        (never_waits, "no_partial_batch_early"),
        (last_come_first_served, "batches_in_queue_order"),
        (cap_is_ignored, "queue_cap_holds"),
        (refuses_with_room, "queue_cap_holds"),
        (deadline_too_early, "time_limits_hold"),
        (withdrawn_keeps_its_place, "time_limits_hold"),
        (no_retry, "every_attempt_ends_once"),
        (pass_too_short, "passes_last_what_they_cost"),
        (instance_runs_two, "instances_run_one_pass"),
        (delivers_too_early, "moments_in_order"),
        (forgets_a_row, "every_attempt_ends_once"),
        (returns_too_early, "little"),
    ],
    ids=lambda value: value.__name__ if callable(value) else value,
)
def test_planted_fault_is_found_by_its_law(plant: Patch, law: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A law that no fault can break would be no law."""
    plant(monkeypatch)
    breaches = audit(busy_input(), run(busy_input()))
    assert law in {breach.split(":")[0] for breach in breaches}


@pytest.mark.parametrize(
    ("plant", "law", "blocking"),
    [
        (front_end_does_all_at_once, "front_end_serves_in_order", False),
        (front_end_rests, "front_end_serves_in_order", True),
        (results_jump_the_queue, "front_end_serves_in_order", False),
        (timer_jumps_the_queue, "decisions_have_an_occasion", False),
        (timer_is_lost, "no_wait_past_bound", False),
        (timer_is_lost, "no_wait_past_bound", True),
        (decides_without_an_occasion, "decisions_have_an_occasion", False),
        (passes_do_not_block, "front_end_serves_in_order", True),
        (blocked_results_take_work, "passes_last_what_they_cost", True),
    ],
    ids=lambda value: value.__name__ if callable(value) else str(value),
)
def test_fault_of_the_front_end_is_found_by_its_law(
    plant: Patch, law: str, blocking: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The station, its timers and its blocking passes have laws that can be broken, too."""
    plant(monkeypatch)
    breaches = audit(front_end_input(blocking=blocking), run(front_end_input(blocking=blocking)))
    assert law in {breach.split(":")[0] for breach in breaches}


@pytest.mark.parametrize(
    ("plant", "law"),
    [
        (faults.takes_the_whole_start_again, "instances_run_one_pass"),
        (faults.never_crashes, "crashes_lose_what_runs"),
        (faults.crashes_when_idle_alone, "crashes_lose_what_runs"),
        (faults.first_passes_never_end, "passes_last_what_they_cost"),
        (faults.first_passes_come_once, "passes_last_what_they_cost"),
        (faults.nobody_is_slow, "passes_last_what_they_cost"),
    ],
    ids=lambda value: value.__name__ if callable(value) else value,
)
def test_fault_of_the_faults_is_found_by_its_law(plant: Patch, law: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a replica is down, what that loses and what a pass then costs can be judged from the outside."""
    plant(monkeypatch)
    breaches = audit(faulty_input(), run(faulty_input()))
    assert law in {breach.split(":")[0] for breach in breaches}
