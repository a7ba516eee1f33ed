"""The compiled engine is the process engine, byte for byte: all tables, whatever the input and its chunks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from policy.pass_time import pass_ns
from policy.settings import admission_rule, batching_rule, deadline_rule, pass_time_rule, retry_rule
from sim.engine import compiled_engine, process_engine
from sim.engine.compiled.fixed_state import fits
from sim.engine.engine_input import EngineInput, FrontEndInput
from sim.scenario.lower import lower
from tests.parity.inputs import (
    busy_input,
    faulty_input,
    faulty_inputs,
    faulty_version_inputs,
    fixed_fleet_inputs,
    fleet_inputs,
    front_end_input,
    inputs,
    version_inputs,
)
from tests.parity.same_bytes import assert_same
from tests.parity.same_totals import LIMIT_NS, WINDOWS, assert_of_rows, assert_same_totals
from tests.sim.scenario.example import scenario, trace

pytestmark = pytest.mark.slow  # the first one in a process loads the compiled code, or compiles it


@settings(max_examples=420, deadline=None)
@given(inputs())
def test_any_input_gives_the_same_bytes(given_: EngineInput) -> None:
    """One replica: every batching rule, deadlines, patience, retries, closed loops, front ends, blocking passes."""
    assert_same(given_)


@settings(max_examples=420, deadline=None)
@given(fleet_inputs())
def test_any_fleet_gives_the_same_bytes(given_: EngineInput) -> None:
    """Routing, holding, autoscalers, cold starts, drains."""
    assert_same(given_)


@settings(max_examples=420, deadline=None)
@given(faulty_inputs())
def test_any_faults_give_the_same_bytes(given_: EngineInput) -> None:
    """Crashes, slow replicas, first passes."""
    assert_same(given_)


@settings(max_examples=420, deadline=None)
@given(version_inputs())
def test_any_versions_give_the_same_bytes(given_: EngineInput) -> None:
    """Weights, pins, sticky users, shadows, errors, rollouts, orders."""
    assert_same(given_)


@settings(max_examples=420, deadline=None)
@given(faulty_version_inputs())
def test_any_versions_with_faults_give_the_same_bytes(given_: EngineInput) -> None:
    """All of it together."""
    assert_same(given_)


@pytest.mark.parametrize("given_", [busy_input(), front_end_input(), front_end_input(blocking=True), faulty_input()])
def test_longer_input_gives_the_same_bytes(given_: EngineInput) -> None:
    """Hundreds of requests that meet every law."""
    assert_same(given_)


def test_scaled_trace_gives_the_same_bytes() -> None:
    """Requests with recorded sizes, their copies, and several at one moment."""
    scaled = scenario(trace("azure_llm.csv", ", rate: 20/s, scale: 7.5, repeat: true"), "horizon.duration=3s")
    assert_same(lower(scaled, seed=1, run=2, warm_up_ns=0))


@settings(max_examples=300, deadline=None)
@given(faulty_version_inputs() | inputs())
def test_totals_are_those_of_the_rows(given_: EngineInput) -> None:
    """Rows that are used again, and arrivals in pieces: nothing is lost, and nothing is counted twice."""
    arrivals = given_.traffic.arrivals_ns
    pieces = None if len(given_.traffic.sizes) else [arrivals[:5], arrivals[5:5], arrivals[5:6], arrivals[6:]]
    totals = compiled_engine.run_totals(given_, WINDOWS, limit_ns=LIMIT_NS, arrivals=pieces, chunk=3)
    assert_of_rows(totals, process_engine.run(given_), given_)


@settings(max_examples=1000, deadline=None)
@given(fixed_fleet_inputs())
def test_totals_of_a_fleet_that_never_changes_are_those_of_the_rows(given_: EngineInput) -> None:
    """The kernel for such fleets alone comes to what the rows of the process engine say, in any chunks."""
    assert fits(given_)
    assert_same_totals(given_)


def test_client_that_hangs_up_as_a_request_comes_is_seen_before_it() -> None:
    """The hang-up at 100 calls the dispatcher, whose late 504 holds up the request that comes: one of 10,000 inputs."""
    busy = busy_input()
    arrivals_ns = np.array([0, 0, 0, 40, 80, 80, 80, 90, 100, 120, 10_000], dtype=np.int64)
    once = replace(busy.traffic, arrivals_ns=arrivals_ns, timeout_table=[60], retry=retry_rule(attempts=1))
    fleet = replace(
        busy.fleet,
        instances=1,
        batching=batching_rule(max_batch=1, max_wait_ns=0),
        admission=admission_rule(cap=None),
        deadline=deadline_rule(deadline_ns=10),
        pass_time=pass_time_rule(base_ns=20, per_item_ns=0, max_batch=1),
        results_out_table=[20],
    )
    front_end = FrontEndInput(1, request_table=[0], response_table=[10], pass_result_table=[0], timer_table=[30])
    given_ = replace(busy, traffic=once, fleet=fleet, front_end=front_end, measure_to_ns=10_000, stop_ns=10_000)
    assert fits(given_)
    assert_same_totals(given_)


def test_each_input_gets_the_kernel_that_is_made_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fleet that never changes is counted by the kernel for such fleets alone, and one with retries is not."""

    def refuse(*_: object) -> int:
        raise AssertionError("advance_fixed was called")

    with_retries = busy_input()
    once = replace(with_retries, traffic=replace(with_retries.traffic, retry=retry_rule(attempts=1)))
    monkeypatch.setattr(compiled_engine, "advance_fixed", refuse)
    compiled_engine.run_totals(with_retries, WINDOWS)
    with pytest.raises(AssertionError, match="advance_fixed was called"):
        compiled_engine.run_totals(once, WINDOWS)


def test_histograms_may_be_of_several_windows_each() -> None:
    """Windows 0 to 4 in two batches: 0, 1 and 2 in the first, 3 and 4 in the second."""
    fine = compiled_engine.run_totals(busy_input(), 5)
    coarse = compiled_engine.run_totals(busy_input(), 5, batches=2)
    assert np.array_equal(coarse.counts, fine.counts)
    assert np.array_equal(coarse.latencies, [fine.latencies[:3].sum(axis=0), fine.latencies[3:].sum(axis=0)])
    assert fine.latencies.sum() > 0


def test_engine_with_another_rule_is_told_from_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison can fail: a process engine whose passes last one nanosecond more is told."""
    monkeypatch.setattr(process_engine, "pass_ns", lambda *arguments: pass_ns(*arguments) + 1)
    with pytest.raises(AssertionError, match="attempts"):
        assert_same(busy_input())
