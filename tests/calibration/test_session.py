"""Tests of calibration/session.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from calibration.front_end_waits import Services
from calibration.pass_profiler import fixed_plan
from calibration.samples import LoadSample, Samples
from calibration.session import Sum, resample, session_of
from policy.batching import BatchingRule
from policy.settings import batching_rule

Simulated = Callable[..., Any]


def _rule(server: Any) -> BatchingRule:
    """Return the rule by which a simulated server makes batches."""
    return batching_rule(max_batch=server.max_batch, max_wait_ns=round(server.max_wait_ms * 1e6))


def _samples(server: Any, rates: tuple[float, ...] = (120.0, 300.0)) -> Samples:
    rng = np.random.default_rng(3)
    loads = []
    for rate in rates * 2:
        moments = np.sort(rng.integers(0, 2 * 10**9, round(rate * 2)))
        measured = server.measure(None, fixed_plan(moments, 1))
        loads.append(LoadSample(rate, measured.timeline(), measured.server_cpu_s))
    return Samples("known", _rule(server), 1, 1, (), tuple(loads))


def test_blocks_hold_all_requests_and_passes(simulated_server: Simulated) -> None:
    """Nothing is lost between a timeline and its sums: every request, answer, pass and step from answer to answer."""
    samples = _samples(simulated_server())
    session = session_of(samples)
    requests = sum(len(load.timeline.attempts) for load in samples.loads)
    passes = sum(len(load.timeline.passes) for load in samples.loads)
    totals = session.blocks.sum(axis=0)
    assert totals[Sum.REQUESTS] == totals[Sum.RESPONSES] == requests
    assert totals[Sum.PASSES] == passes
    assert totals[Sum.STEPS] == requests - passes
    assert sum(cost.requests for cost in session.costs) == requests
    assert sum(len(times) for times in session.pass_ns.values()) == passes


def test_waits_for_the_front_end_are_taken_off(simulated_server: Simulated) -> None:
    """With the service times known a way out is service and network, 0.4 ms; without them the queue is in it too."""
    samples = _samples(simulated_server())
    services = Services(response_ns=100_000, request_ns=200_000)
    plain, known = session_of(samples).blocks, session_of(samples, services).blocks
    ways_ms = [blocks[:, Sum.OUT_TIME].sum() / blocks[:, Sum.RESPONSES].sum() / 1e6 for blocks in (plain, known)]
    assert ways_ms[1] == pytest.approx(0.4, abs=0.001)
    assert ways_ms[0] > 0.45


def test_timers_are_those_that_found_nothing_else_to_do(simulated_server: Simulated) -> None:
    """A timer of 0.08 ms behind another job is overtaken by it: only those of an idle front end tell the 0.08 ms."""
    samples = _samples(simulated_server(timer=0.08))
    totals = session_of(samples, Services(timer_ns=80_000, response_ns=100_000, request_ns=200_000)).blocks.sum(axis=0)
    assert totals[Sum.TIMERS] > 100
    assert totals[Sum.TIMER_TIME] / totals[Sum.TIMERS] == pytest.approx(80_000, abs=10)


def test_time_until_the_answer_is_part_of_the_way_out(simulated_server: Simulated) -> None:
    """A simulated server writes the answer at once: 0.1 ms of the 0.4 ms out are the server's."""
    totals = session_of(_samples(simulated_server()), Services(0, 0, 100_000, 200_000)).blocks.sum(axis=0)
    assert totals[Sum.ANSWER_TIME] / totals[Sum.RESPONSES] == pytest.approx(100_000, rel=0.01)


def test_passes_of_a_run_are_known_by_size(simulated_server: Simulated) -> None:
    """Each run keeps the mean and the number of its own passes, from which its level follows."""
    session = session_of(_samples(simulated_server()))
    assert len(session.run_passes) == len(session.costs)
    for cost, passes in zip(session.costs, session.run_passes, strict=True):
        assert sum(count for _, count in passes.values()) == cost.passes
        assert all(mean == pytest.approx(8e6 + 0.5e6 * size) for size, (mean, _) in passes.items())


def test_resample_keeps_every_rate(simulated_server: Simulated) -> None:
    """Runs are drawn within their rate, one of two: a draw with one rate could not tell passes from requests."""
    session = session_of(_samples(simulated_server()))
    drawn = resample(session, np.random.default_rng(0))
    assert [cost.rate_per_s for cost in drawn.costs] == [120.0, 300.0]
    assert np.unique(drawn.runs).tolist() == [0, 1]
    assert {size: len(times) for size, times in drawn.pass_ns.items()} == {
        size: len(times) for size, times in session.pass_ns.items()
    }


def test_blocks_are_drawn_from_the_run_that_was_drawn(simulated_server: Simulated) -> None:
    """A run that differed differs in all its blocks: they stay together, beside the CPU time of that very run."""
    session = session_of(_samples(simulated_server()))
    drawn = resample(session, np.random.default_rng(4))
    for run, cost in enumerate(drawn.costs):
        own = session.blocks[session.runs == session.costs.index(cost)]
        picked = drawn.blocks[drawn.runs == run]
        assert len(picked) == len(own) - 1
        assert all(any(np.array_equal(block, other) for other in own) for block in picked)


def test_spread_of_draws_is_that_of_the_mean() -> None:
    """Of 4 runs that cost 1, 2, 3 and 6 the mean has a standard error of 1.08; with as many drawn it would be 0.94."""
    rng = np.random.default_rng(1)
    costs = np.array([1.0, 2.0, 3.0, 6.0])
    session = _session_with_costs(costs)
    means = [np.mean([cost.cpu_ns for cost in resample(session, rng).costs]) for _ in range(4000)]
    assert np.std(means) == pytest.approx(np.std(costs, ddof=1) / 2, rel=0.05)


def _session_with_costs(costs: Any) -> Any:
    from calibration.session import RunCost, Session

    blocks, runs = np.zeros((len(costs), len(Sum))), np.arange(len(costs))
    return Session(1, blocks, runs, tuple(RunCost(1.0, cost, 1, 1) for cost in costs), {})


def test_pass_of_a_host_that_stood_still_is_left_out(simulated_server: Simulated) -> None:
    """One pass of a second among passes of 8.5 ms: it is no property of the model. Spread times are all kept."""
    samples = _samples(simulated_server(), rates=(30.0,))
    stalled = samples.loads[0].timeline.passes.copy()
    timeline = replace(samples.loads[0].timeline, passes=stalled)
    count = int(np.count_nonzero(timeline.passed("batch_size") == 1))
    timeline.passed("ended_ns")[np.flatnonzero(timeline.passed("batch_size") == 1)[3]] += 10**9
    session = session_of(replace(samples, loads=(LoadSample(30.0, timeline, 0.1),)))
    assert len(session.pass_ns[1]) == count - 1
    rng = np.random.default_rng(0)
    timeline.passed("ended_ns")[:] = timeline.passed("started_ns") + rng.exponential(8e6, len(stalled)).astype(np.int64)
    session = session_of(replace(samples, loads=(LoadSample(30.0, timeline, 0.1),)))
    assert len(session.pass_ns[1]) == count
