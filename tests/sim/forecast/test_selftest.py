"""The self-test passes where it should, and fails where it must."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from sim.forecast.selftest import LEVEL, SelftestRow, run_selftest
from sim.forecast.selftest_cases import Case, Expectation, known_systems


def case_named(name: str) -> Case:
    """Return the case whose name begins so."""
    (case,) = [case for case in known_systems() if case.name.startswith(name)]
    return case


BATCHES = replace(case_named("batches of 1 to 8 on"), warm_up_ms=50, measured_ms=400, runs=30)


def test_right_simulator_passes() -> None:
    """Twenty thousand requests are enough for batches of 1 to 8: inside, and narrow."""
    rows = run_selftest([BATCHES], seed=1)
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
    row = run_selftest([wrong], seed=1)[0]
    assert row.narrow
    assert not row.inside
    assert not row.passed


@pytest.mark.slow
@pytest.mark.parametrize(("factor", "passed"), [(1.0, True), (1.03, False)])
def test_wrong_service_rate_of_mm1_fails_in_spite_of_the_controls(factor: float, passed: bool) -> None:
    """A queue that serves 3 % too slowly, at a third of the length: the mean is 17 % off, and stays so."""
    case = case_named("M/M/1,")
    planted = replace(case, base_ns=round(case.base_ns * factor), measured_ms=14_000, runs=40)
    row = run_selftest([planted], seed=2)[0]
    assert row.figure == "response mean (ms)"
    assert row.inside is passed


@pytest.mark.slow
def test_wrong_batching_rule_fails() -> None:
    """Batches of at most 7 where 8 are said."""
    row = run_selftest([replace(case_named("batches of 1 to 8 on"), max_batch=7)], seed=3)[0]
    assert not row.inside


def test_run_too_brief_fails() -> None:
    """Inside an interval as wide as a barn door is no answer."""
    row = run_selftest([replace(BATCHES, measured_ms=60, runs=4)], seed=1)[0]
    assert row.inside
    assert not row.narrow
    assert not row.passed


def test_rows_do_not_depend_on_the_number_of_workers() -> None:
    """Nor on the cases beside them; only on the seed."""
    brief = replace(BATCHES, measured_ms=20, runs=4)
    rows = run_selftest([brief], seed=4, workers=1)
    assert run_selftest([brief], seed=4, workers=3) == rows
    other = replace(brief, name="another")
    assert run_selftest([other, brief], seed=4, workers=1)[2:] == rows
    assert run_selftest([brief], seed=5, workers=1) != rows


def test_progress_counts_the_runs_of_all_cases() -> None:
    """What a bar on the terminal shows."""
    told: list[tuple[int, int]] = []
    brief = replace(BATCHES, measured_ms=20, runs=4)
    run_selftest([brief, brief], workers=1, progress=lambda done, count: told.append((done, count)))
    assert told == [(done, 8) for done in range(1, 9)]


def test_rate_is_counted_per_ms() -> None:
    """A closed loop without thinking answers 3 per ms, whatever the number of runs."""
    closed = replace(case_named("closed loop, 10 clients, 3 servers, think 0"), measured_ms=200, runs=8)
    row = run_selftest([replace(closed, expectations=(Expectation("answered", "rate", 3.0),))], seed=1)[0]
    assert row.figure == "answered per ms"
    assert row.got == pytest.approx(3.0, rel=0.05)


@pytest.mark.parametrize(
    ("low", "high", "inside", "narrow"),
    [(9.9, 10.1, True, True), (9.7, 10.3, True, False), (10.05, 10.15, False, True), (10.1, 10.6, False, False)],
)
def test_row_needs_both(low: float, high: float, inside: bool, narrow: bool) -> None:
    """Expected 10, at most 2 % to either side."""
    row = SelftestRow("case", "figure", 10.0, (low + high) / 2, low, high, 0.02, 1)
    assert (row.inside, row.narrow, row.passed) == (inside, narrow, inside and narrow)
    assert json.loads(json.dumps(row.to_json()))["passed"] is (inside and narrow)


def test_level_is_high_enough_for_all_rows_at_once() -> None:
    """With as many rows as there are, chance fails at most one self-test in 28."""
    rows = sum(len(case.expectations) for case in known_systems())
    assert rows * (1 - LEVEL) < 1 / 28


@pytest.mark.slow
@pytest.mark.parametrize("case", known_systems(), ids=lambda case: case.name)
def test_all_known_answers_are_met(case: Case) -> None:
    """Every system, with its fixed seed, at a quarter of its length: twice as wide. `make selftest` has all of it.

    A transient keeps its length and has a quarter of its runs.
    """
    is_transient = case.warm_up_ms == 0
    brief = {"runs": case.runs // 4} if is_transient else {"measured_ms": case.measured_ms // 4}
    rows = run_selftest([replace(case, **brief)], workers=1)
    assert [row.figure for row in rows if not row.inside] == []
    assert [row.figure for row in rows if row.half_width_share > 2.5 * row.half_width_share_max] == []
