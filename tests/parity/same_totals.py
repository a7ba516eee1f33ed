"""Runs that are counted as they go come to what the rows of the process engine say."""

from __future__ import annotations

from collections import Counter

import numpy as np

from policy import retries
from policy.timeline import Attempt, Outcome
from sim.engine import compiled_engine, process_engine
from sim.engine.engine_input import EngineInput
from sim.engine.histogram import bucket_of
from sim.engine.timelines import Timeline
from sim.engine.totals import Totals
from sim.outcome.measures import measure

__all__ = ["LIMIT_NS", "WINDOWS", "assert_of_rows", "assert_same_totals"]

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


def assert_ends_of_buckets(totals: Totals, latencies_ns: list[int]) -> None:
    """Assert that each bucket tells the shortest and the longest latency in it, and an empty one that there is none."""
    inside: dict[int, list[int]] = {}
    for latency_ns in latencies_ns:
        inside.setdefault(bucket_of(latency_ns), []).append(latency_ns)
    used = sorted(inside)
    assert np.flatnonzero(totals.longest_ns >= 0).tolist() == used
    assert totals.shortest_ns[used].tolist() == [min(inside[bucket]) for bucket in used]
    assert totals.longest_ns[used].tolist() == [max(inside[bucket]) for bucket in used]


def assert_same_totals(given_: EngineInput) -> None:
    """Assert that the compiled engine counts what the process engine's rows come to, in any chunks."""
    timeline = process_engine.run(given_)
    for chunk in (1, 7, 1_000_000):
        assert_of_rows(compiled_engine.run_totals(given_, WINDOWS, limit_ns=LIMIT_NS, chunk=chunk), timeline, given_)


def assert_of_rows(totals: Totals, timeline: Timeline, given_: EngineInput) -> None:
    """Assert that totals are what the rows of the same run come to."""
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
    assert_ends_of_buckets(totals, answered_ns.tolist())
    assert totals.beyond.sum() == np.count_nonzero(answered_ns > LIMIT_NS)
    assert np.array_equal(totals.fleet.replicas, timeline.replicas)
    assert np.array_equal(totals.fleet.scalings, timeline.scalings)
    assert np.array_equal(totals.fleet.rollout, timeline.rollout)
