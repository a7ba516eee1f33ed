"""The compiled engine is the process engine, byte for byte: all tables, whatever the input and its chunks."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings

from policy import retries
from policy.pass_time import pass_ns
from policy.timeline import Attempt, Outcome
from sim.engine import compiled_engine, process_engine
from sim.engine.engine_input import EngineInput
from sim.engine.histogram import bucket_of
from sim.engine.timelines import Timeline
from sim.outcome.measures import measure
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
from tests.parity.same_bytes import assert_same

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


WINDOWS = 3
LIMIT_NS = 200  # some of the latencies are beyond it


def totals_of(timeline: Timeline, given_: EngineInput) -> tuple[list[list[int]], list[Counter[int]], int]:
    """Return what the rows of a run come to: outcomes and buckets of latencies by window, and who has no outcome."""
    counts = [[0] * len(Outcome) for _ in range(WINDOWS)]
    buckets: list[Counter[int]] = [Counter() for _ in range(WINDOWS)]
    unresolved = 0
    from_ns, to_ns = given_.measure_from_ns, given_.measure_to_ns
    last = {row.request: row for row in map(Attempt._make, timeline.attempts.tolist())}
    for row in last.values():
        if not from_ns <= row.intended_ns < to_ns:
            continue
        retried = retries.wants_retry(given_.traffic.retry, row.attempt, row.outcome)
        if row.outcome == Outcome.IN_FLIGHT or retried:
            unresolved += 1
            continue
        window = (row.intended_ns - from_ns) * WINDOWS // (to_ns - from_ns)
        counts[window][row.outcome] += 1
        if row.outcome == Outcome.ANSWERED:
            buckets[window][bucket_of(row.delivered_ns - row.intended_ns)] += 1
    return counts, buckets, unresolved


@settings(max_examples=300, deadline=None)
@given(faulty_version_inputs() | inputs())
def test_totals_are_those_of_the_rows(given_: EngineInput) -> None:
    """Rows that are used again, and arrivals in pieces: nothing is lost, and nothing is counted twice."""
    timeline = process_engine.run(given_)
    arrivals = given_.traffic.arrivals_ns
    pieces = None if len(given_.traffic.sizes) else [arrivals[:5], arrivals[5:5], arrivals[5:6], arrivals[6:]]
    totals = compiled_engine.run_totals(given_, WINDOWS, limit_ns=LIMIT_NS, arrivals=pieces, chunk=3)
    counts, buckets, unresolved = totals_of(timeline, given_)
    assert totals.counts.tolist() == counts
    assert [{place: n for place, n in enumerate(row) if n} for row in totals.latencies.tolist()] == buckets
    assert totals.unresolved == unresolved
    assert totals.born == len(timeline.attempts) + len(timeline.copies)
    measures = measure(timeline, given_.measure_from_ns, given_.measure_to_ns, instances=given_.instances)
    for flow in ("delivered", "passes", "batched", "busy_ns"):
        assert getattr(totals, flow) == getattr(measures, flow), flow
    answered_ns = measures.answered_latencies_ns
    assert totals.latency_sum_ns == answered_ns.sum()
    assert totals.beyond.sum() == np.count_nonzero(answered_ns > LIMIT_NS)
    assert np.array_equal(totals.fleet.replicas, timeline.replicas)
    assert np.array_equal(totals.fleet.scalings, timeline.scalings)
    assert np.array_equal(totals.fleet.rollout, timeline.rollout)


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
