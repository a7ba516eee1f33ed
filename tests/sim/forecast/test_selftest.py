"""The self-test passes where it should, and fails where it must."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from policy import admission, batching
from policy.pass_time import pass_ns
from policy.timeline import Reason
from sim.engine import process_engine
from sim.engine.engines import Engine, chosen_engine
from sim.forecast import selftest
from sim.forecast.selftest import LEVEL, SelftestRow, run_selftest
from sim.forecast.selftest_cases import Case, Expectation, known_systems


def case_named(name: str) -> Case:
    """Return the case whose name begins so."""
    (case,) = [case for case in known_systems() if case.name.startswith(name)]
    return case


def rows_of(cases: Sequence[Case], **options: Any) -> list[SelftestRow]:
    """Return the rows of cases at the very length that they state, from whichever engine is there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selftest, "briefly", lambda case: case)
        patch.setattr(selftest, "BRIEF_WIDTH", 1.0)
        return run_selftest(cases, engines=[chosen_engine()], **{"workers": 1, **options})


BATCHES = replace(case_named("batches of 1 to 8 on"), warm_up_ms=50, measured_ms=400, runs=30)


def test_right_simulator_passes() -> None:
    """Twenty thousand requests are enough for batches of 1 to 8: inside, and narrow."""
    rows = rows_of([BATCHES], seed=1)
    assert [row.figure for row in rows] == ["response mean (ms)", "batch mean"]
    for row in rows:
        assert row.inside
        assert row.narrow
        assert row.passed
        assert row.low < row.got < row.high
        assert row.requests > 20_000


@pytest.mark.parametrize("factor", [0.95, 1.05])
def test_wrong_service_time_fails(factor: float) -> None:
    """Passes that are 5 % off: the interval is as narrow, and the known answer lies outside."""
    wrong = replace(BATCHES, base_ns=round(BATCHES.base_ns * factor))
    row = rows_of([wrong], seed=1)[0]
    assert row.narrow
    assert not row.inside
    assert not row.passed


@pytest.mark.slow
@pytest.mark.parametrize(("factor", "passed"), [(1.0, True), (1.03, False)])
def test_wrong_service_rate_of_mm1_fails_in_spite_of_the_controls(factor: float, passed: bool) -> None:
    """A queue that serves 3 % too slowly, at a third of the length: the mean is 17 % off, and stays so."""
    case = case_named("M/M/1,")
    planted = replace(case, base_ns=round(case.base_ns * factor), measured_ms=14_000, runs=40)
    row = rows_of([planted], seed=2)[0]
    assert row.figure == "response mean (ms)"
    assert row.inside is passed


@pytest.mark.slow
def test_wrong_batching_rule_fails() -> None:
    """Batches of at most 7 where 8 are said."""
    row = rows_of([replace(case_named("batches of 1 to 8 on"), max_batch=7)], seed=3)[0]
    assert not row.inside


def test_run_too_brief_fails() -> None:
    """Inside an interval as wide as a barn door is no answer."""
    row = rows_of([replace(BATCHES, measured_ms=60, runs=4)], seed=1)[0]
    assert row.inside
    assert not row.narrow
    assert not row.passed


def test_rows_do_not_depend_on_the_number_of_workers() -> None:
    """Nor on the cases beside them; only on the seed."""
    brief = replace(BATCHES, measured_ms=20, runs=4)
    rows = rows_of([brief], seed=4, workers=1)
    assert rows_of([brief], seed=4, workers=3) == rows
    other = replace(brief, name="another")
    assert rows_of([other, brief], seed=4, workers=1)[2:] == rows
    assert rows_of([brief], seed=5, workers=1) != rows


def test_progress_counts_the_runs_of_all_cases() -> None:
    """What a bar on the terminal shows."""
    told: list[tuple[int, int]] = []
    brief = replace(BATCHES, measured_ms=20, runs=4)
    rows_of([brief, brief], workers=1, progress=lambda done, count: told.append((done, count)))
    assert told == [(done, 8) for done in range(1, 9)]


def test_rate_is_counted_per_ms() -> None:
    """A closed loop without thinking answers 3 per ms, whatever the number of runs."""
    closed = replace(case_named("closed loop, 10 clients, 3 servers, think 0"), measured_ms=200, runs=8)
    row = rows_of([replace(closed, expectations=(Expectation("answered", "rate", 3.0),))], seed=1)[0]
    assert row.figure == "answered per ms"
    assert row.got == pytest.approx(3.0, rel=0.05)


@pytest.mark.parametrize(
    ("low", "high", "inside", "narrow"),
    [(9.9, 10.1, True, True), (9.7, 10.3, True, False), (10.05, 10.15, False, True), (10.1, 10.6, False, False)],
)
def test_row_needs_both(low: float, high: float, inside: bool, narrow: bool) -> None:
    """Expected 10, at most 2 % to either side."""
    row = SelftestRow("case", "figure", "process", 10.0, (low + high) / 2, low, high, 0.02, 1)
    assert (row.inside, row.narrow, row.passed) == (inside, narrow, inside and narrow)
    assert json.loads(json.dumps(row.to_json()))["passed"] is (inside and narrow)
    assert replace(row, is_same=True).passed == row.passed
    assert not replace(row, is_same=False).passed


def test_level_is_high_enough_for_all_rows_at_once() -> None:
    """With as many rows as there are of both engines, chance fails at most one self-test in 14."""
    rows = 2 * sum(len(case.expectations) for case in known_systems())
    assert rows * (1 - LEVEL) < 1 / 14


def test_both_engines_have_their_rows() -> None:
    """Those of the process engine have a sixteenth of the requests, and may be five times as wide."""
    compiled, process = run_selftest([replace(BATCHES, expectations=BATCHES.expectations[:1], runs=16)], workers=1)
    assert (compiled.engine, process.engine) == ("compiled", "process")
    assert (compiled.is_same, process.is_same) == (None, True)
    assert compiled.requests == pytest.approx(16 * process.requests, rel=0.1)
    assert process.half_width_share_max == 5 * compiled.half_width_share_max


def a_little(case: Case) -> Case:
    """Return a case with so few requests that theory would tell nothing."""
    if case.warm_up_ms == 0:
        return replace(case, runs=64)
    return replace(case, warm_up_ms=min(case.warm_up_ms, 20), measured_ms=60, runs=16)


def longer_passes(*arguments: Any) -> int:
    """Return the time of a pass, and one nanosecond more."""
    return pass_ns(*arguments) + 1


@pytest.mark.slow
@pytest.mark.parametrize("case", known_systems(), ids=lambda case: case.name)
def test_process_engine_that_differs_fails_in_every_case(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a nanosecond for each pass: no row of the process engine passes, and those of the other do not change."""
    right = run_selftest([a_little(case)], workers=1)
    monkeypatch.setattr(process_engine, "pass_ns", longer_passes)
    wrong = run_selftest([a_little(case)], workers=1)
    assert [row.is_same for row in right if row.engine == "process"] == [True] * len(case.expectations)
    assert [row.is_same for row in wrong if row.engine == "process"] == [False] * len(case.expectations)
    assert not any(row.passed for row in wrong if row.engine == "process")
    assert [row for row in wrong if row.engine == "compiled"] == [row for row in right if row.engine == "compiled"]


def slow_passes(*arguments: Any) -> int:
    """Return the time of a pass, and a twentieth more."""
    return pass_ns(*arguments) * 21 // 20


def three_fewer_wait(rule: admission.AdmissionRule, view: admission.AdmissionView) -> Reason:
    """Admit three requests fewer than the cap says."""
    return admit(rule._replace(cap=rule.cap - 3), view)


def one_fewer_in_a_batch(rule: batching.BatchingRule, *rest: Any) -> Any:
    """Close batches of one request fewer."""
    return step(rule._replace(max_batch=rule.max_batch - 1), *rest)


admit, step = admission.decide, batching.step


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "owner", "function", "wrong"),
    [
        ("batches of 1 to 8 on", process_engine, "pass_ns", slow_passes),
        ("batches of 1 to 8, at most 20 wait", admission, "decide", three_fewer_wait),
        ("batches of exactly 8", batching, "step", one_fewer_in_a_batch),
        ("batch former", batching, "step", one_fewer_in_a_batch),
    ],
)
def test_process_engine_alone_is_found_out_by_theory(
    name: str, owner: object, function: str, wrong: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nothing is compiled: in a sixteenth of the requests a wrong rule still shows, and the right one passes."""
    case = case_named(name)
    assert all(row.passed for row in run_selftest([case], engines=[Engine.PROCESS], workers=1))
    monkeypatch.setattr(owner, function, wrong)
    rows = run_selftest([case], engines=[Engine.PROCESS], workers=1)
    assert not all(row.inside for row in rows)
    assert {row.is_same for row in rows} == {None}


@pytest.mark.slow
@pytest.mark.parametrize("case", known_systems(), ids=lambda case: case.name)
def test_all_known_answers_are_met(case: Case) -> None:
    """Every system, with its fixed seed, at a quarter of its length: twice as wide. `make selftest` has all of it.

    A transient keeps its length and has a quarter of its runs.
    """
    is_transient = case.warm_up_ms == 0
    brief = {"runs": case.runs // 4} if is_transient else {"measured_ms": case.measured_ms // 4}
    rows = rows_of([replace(case, **brief)], workers=1)
    assert [row.figure for row in rows if not row.inside] == []
    assert [row.figure for row in rows if row.half_width_share > 2.5 * row.half_width_share_max] == []
