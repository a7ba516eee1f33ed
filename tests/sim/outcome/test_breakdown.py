"""Where the time goes, on timelines written by hand and on a run."""

from __future__ import annotations

import numpy as np
import pytest

from policy.instant import UNSET
from policy.timeline import Outcome
from sim.engine.process_engine import run
from sim.engine.timelines import timeline_from_rows
from sim.outcome.breakdown import PARTS, breakdown_ns
from sim.outcome.measures import measure
from sim.scenario.lower import lower
from tests.sim.outcome.hand_made import attempt, gpu_pass, unanswered
from tests.sim.scenario.example import scenario


def test_each_part_is_what_it_says() -> None:
    """A retried request with a different length of time in every part."""
    row = attempt(
        0,
        0,
        attempt=1,
        sent_ns=1_000,  # retry 1000
        received_ns=1_007,  # there 7
        enqueued_ns=1_020,  # front end 13
        placed_ns=1_028,  # held 8
        closed_ns=1_050,
        started_ns=1_075,
        ended_ns=1_175,  # pass 100
        returned_ns=1_178,  # out 3
        answered_ns=1_199,  # front end 21
        delivered_ns=1_204,  # back 5
    )
    # The device was free at 1040: 12 ns of queue; the batch left at 1060: 20 more for company; then 15 on the way in.
    carried = gpu_pass(0, 1_075, 1_175, idle_since_ns=1_040, closed_ns=1_050, handed_ns=1_060, returned_ns=1_178)
    rows = [unanswered(0, 0, Outcome.REFUSED), row]
    parts = breakdown_ns(timeline_from_rows(rows, [carried]), 0, 100)
    assert {part: values.tolist() for part, values in parts.items()} == {
        "retry": [1_000],
        "network": [12],
        "front_end": [34],
        "held": [8],
        "queue": [12],
        "batch_wait": [20],
        "turnaround": [18],
        "pass": [100],
    }
    assert sum(values[0] for values in parts.values()) == 1_204


@pytest.mark.parametrize(
    ("idle_since_ns", "handed_ns", "queue_ns", "batch_wait_ns"),
    [
        (0, 150, 0, 50),  # idle before the request came: it waited for company
        (150, 150, 50, 0),  # handed over at the very moment the instance was idle
        (130, 150, 30, 20),
        (100, 100, 0, 0),
    ],
)
def test_wait_is_for_a_device_until_one_was_idle(
    idle_since_ns: int, handed_ns: int, queue_ns: int, batch_wait_ns: int
) -> None:
    """Enqueued at 100. What lies before the instance's idleness is queue, the rest of the wait is the rule's will."""
    row = attempt(0, 80, enqueued_ns=100, closed_ns=handed_ns, started_ns=handed_ns, ended_ns=200, returned_ns=200)
    carried = gpu_pass(0, handed_ns, 200, idle_since_ns=idle_since_ns)
    parts = breakdown_ns(timeline_from_rows([row], [carried]), 0, 100)
    assert (parts["queue"].tolist(), parts["batch_wait"].tolist()) == ([queue_ns], [batch_wait_ns])


def test_unanswered_requests_have_no_parts() -> None:
    """Only answered ones have a latency to explain."""
    rows = [attempt(0, 0), unanswered(1, 10, Outcome.REFUSED), unanswered(2, 20, Outcome.ABANDONED)]
    parts = breakdown_ns(timeline_from_rows(rows, [gpu_pass(0, 40, 50)]), 0, 100)
    assert tuple(parts) == PARTS
    assert {len(values) for values in parts.values()} == {1}


@pytest.mark.parametrize("serial", [5, UNSET])
def test_answer_without_its_pass_is_refused(serial: int) -> None:
    """A log that has lost its passes cannot say where the time went, rather than say it wrongly."""
    timeline = timeline_from_rows([attempt(0, 0, serial=serial)], [gpu_pass(0, 40, 50)])
    with pytest.raises(ValueError, match="does not hold"):
        breakdown_ns(timeline, 0, 100)


def test_results_that_wait_for_the_front_end_count_as_turnaround() -> None:
    """Way out 1 ms, work on the results 2 ms, and on requests and answers 1 ms each: 3 ms of turnaround."""
    scenario_ = scenario(
        "traffic.arrivals={process: even, rate: 50/s}",
        "batching={max_batch: 1, max_wait: 0s}",
        "front_end={request: 1ms, response: 1ms, pass_result: 2ms}",
        "fleet.turnaround.results_out=1ms",
        "horizon.duration=1s",
    )
    parts = breakdown_ns(run(lower(scenario_, seed=1, warm_up_ns=0)), 0, 10**9)
    assert {part: set(values.tolist()) for part, values in parts.items() if values.any()} == {
        "front_end": {2_000_000},
        "turnaround": {3_000_000},
        "pass": {8_500_000},
    }


def test_parts_add_up_to_the_latency_of_every_request_of_a_run() -> None:
    """To the nanosecond, with retries, network, front end, turnaround, a cap and two instances in play."""
    busy = scenario(
        "traffic.arrivals.rate=1500/s",
        "traffic.retries={attempts: 3, backoff: 20ms}",
        "traffic.network={there: 1ms, back: 2ms}",
        "front_end={workers: 2, request: {distribution: exponential, mean: 0.3ms}, response: 0.1ms}",
        "front_end.pass_result=0.2ms",
        "front_end.timer={distribution: exponential, mean: 0.1ms}",
        "fleet={instances: 2, turnaround: {batch_in: 0.2ms, results_out: {distribution: exponential, mean: 0.3ms}}}",
        "model.pass_time.spread={distribution: lognormal, cv: 20%}",
        "queue.cap=20",
        "fleet.routing={outstanding_max: 12, held_max: 10}",
        "horizon.duration=2s",
    )
    timeline = run(lower(busy, seed=3, warm_up_ns=0))
    latencies_ns = measure(timeline, 0, 2 * 10**9).answered_latencies_ns
    parts = breakdown_ns(timeline, 0, 2 * 10**9)
    assert np.array_equal(sum(parts.values()), latencies_ns)
    assert all((values >= 0).all() and values.any() for values in parts.values())
