"""The process engine on small loads whose timelines can be worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from policy.pass_time import SPREAD_ONE
from policy.settings import admission_rule, batching_rule, deadline_rule, pass_time_rule, retry_rule
from policy.timeline import Outcome
from sim.engine.engine_input import EngineInput, FleetInput, FrontEndInput, TrafficInput
from sim.engine.process_engine import run


def given_input(arrivals: list[int], **options: Any) -> EngineInput:
    """Return one instance, no batching, a pass of 100, no overheads; options change that."""
    times = np.array(arrivals, dtype=np.int64)
    batching = {"max_batch": 1, "max_wait_ns": 0, **options.get("batching", {})}
    return EngineInput(
        seed=1,
        traffic=TrafficInput(
            arrivals_ns=times,
            sizes=np.array(options.get("sizes", []), dtype=np.int64),
            size_table=[1],
            clients=options.get("clients", 0),
            think_table=options.get("think", [0]),
            timeout_table=options.get("timeout"),
            retry=retry_rule(**options.get("retry", {})),
            there_ns=options.get("there", 0),
            back_ns=options.get("back", 0),
        ),
        front_end=FrontEndInput(
            workers=options.get("workers", 1),
            request_table=[options.get("request", 0)],
            response_table=[options.get("response", 0)],
        ),
        fleet=FleetInput(
            instances=batching.get("instances", 1),
            batching=batching_rule(**batching),
            admission=admission_rule(cap=options.get("cap")),
            deadline=deadline_rule(deadline_ns=options.get("deadline")),
            pass_time=pass_time_rule(base_ns=100, max_batch=batching["max_batch"], **options.get("cost", {})),
            spread_table=[SPREAD_ONE],
            batch_in_table=[options.get("batch_in", 0)],
            results_out_table=[options.get("results_out", 0)],
        ),
        measure_from_ns=0,
        measure_to_ns=options.get("until", int(times[-1]) + 1 if len(times) else 1000),
        stop_ns=options.get("stop", 10**6),
    )


def test_lone_request_passes_every_station() -> None:
    """Network 5, front end 3, hop 7, pass 100, hop 11, response 2, network 6: 134 in all, each moment in its column."""
    timeline = run(given_input([10], there=5, request=3, batch_in=7, results_out=11, response=2, back=6))
    columns = ("sent_ns", "received_ns", "enqueued_ns", "started_ns", "ended_ns", "returned_ns", "answered_ns")
    assert [int(timeline.attempt(column)[0]) for column in columns] == [10, 15, 18, 25, 125, 136, 138]
    assert timeline.attempt("delivered_ns").tolist() == [144]


def test_front_end_worker_serves_requests_and_responses_in_turn() -> None:
    """Three requests at once, 10 each: enqueued at 10, 20, 30; the first answer waits behind the third request."""
    timeline = run(given_input([0, 0, 0], request=60, response=10, batching={"max_batch": 3, "instances": 3}))
    assert timeline.attempt("enqueued_ns").tolist() == [60, 120, 180]
    assert timeline.attempt("returned_ns").tolist() == [160, 220, 280]
    # Without the station's queue the first answer would leave at 170.
    assert timeline.attempt("answered_ns").tolist() == [190, 230, 290]


def test_two_front_end_workers_share_the_work() -> None:
    """Sixty-four requests at once on two workers: each worker serves its own one by one, together all."""
    timeline = run(given_input([0] * 64, request=10, workers=2, batching={"max_batch": 64, "max_wait_ns": 10**5}))
    enqueued = timeline.attempt("enqueued_ns")
    counts = np.bincount(enqueued // 10)
    assert counts.max() == 2
    assert 320 < enqueued.max() < 640


def test_turnaround_lies_between_two_passes() -> None:
    """The next pass starts results_out + batch_in after the last one's end, not at it."""
    timeline = run(given_input([0, 0], batch_in=7, results_out=11))
    assert timeline.passed("started_ns").tolist() == [7, 125]


def test_longest_member_and_batch_size_set_the_cost() -> None:
    """Base 100, 10 an item, 1 a unit of the longest: two members, the longer of 30, cost 100 + 20 + 60."""
    timeline = run(
        given_input(
            [0, 0],
            sizes=[5, 30],
            batching={"max_batch": 2},
            cost={"per_item_ns": 10, "per_unit_ns": 1, "size_max": 30},
        )
    )
    assert (timeline.passed("ended_ns") - timeline.passed("started_ns")).tolist() == [180]


def test_refused_request_comes_again_after_its_backoff() -> None:
    """Cap 1: the third of three is refused at 0, refused behind the second at 50, and let in at 150."""
    timeline = run(
        given_input([0, 0, 0], cap=1, retry={"attempts": 5, "backoff_ns": 50, "backoff_max_ns": 100, "jitter": False})
    )
    third = timeline.attempts[timeline.attempt("request") == 2]
    assert third.shape[0] == 3
    sent = timeline.attempt("sent_ns")[timeline.attempt("request") == 2]
    assert sent.tolist() == [0, 50, 150]
    outcomes = timeline.attempt("outcome")[timeline.attempt("request") == 2]
    assert outcomes.tolist() == [Outcome.REFUSED, Outcome.REFUSED, Outcome.ANSWERED]
    assert set(timeline.attempt("intended_ns").tolist()) == {0}


def test_client_that_hangs_up_while_waiting_is_not_served() -> None:
    """Patience 150: the second of three would start at 100 and end at 200, the third never starts."""
    timeline = run(given_input([0, 0, 0], timeout=[150], stop=2000, until=1000))
    assert timeline.attempt("outcome").tolist() == [Outcome.ANSWERED, Outcome.ABANDONED, Outcome.ABANDONED]
    assert timeline.attempt("delivered_ns").tolist() == [100, 150, 150]
    # The second was in its pass when its client left: the pass ran, and nobody got the answer.
    assert timeline.attempt("ended_ns").tolist() == [100, 200, -1]


def test_deadline_answers_504_and_frees_the_place() -> None:
    """Deadline 120: the third request gets its 504 at 120 and never enters a pass."""
    timeline = run(given_input([0, 0, 0], deadline=120))
    assert timeline.attempt("outcome").tolist() == [Outcome.ANSWERED, Outcome.TIMED_OUT, Outcome.TIMED_OUT]
    assert timeline.attempt("delivered_ns").tolist() == [100, 120, 120]
    assert timeline.attempt("serial").tolist() == [0, 1, -1]


def test_closed_loop_sends_when_the_last_answer_is_there_and_thought_over() -> None:
    """Two clients, think 30, one device of 100: X = 2 / (2 x 100) once the queue is never empty."""
    timeline = run(given_input([], clients=2, think=[30], until=1000))
    first_client = timeline.attempt("request") % 2 == 0
    assert timeline.attempt("sent_ns")[first_client][:3].tolist() == [30, 160, 360]
    assert timeline.attempt("delivered_ns")[first_client][:3].tolist() == [130, 330, 530]


def test_two_instances_share_one_queue() -> None:
    """Three requests at once: two passes side by side, the third on whichever is free first, the lower of two."""
    timeline = run(given_input([0, 0, 0], batching={"instances": 2}))
    assert timeline.passed("instance").tolist() == [0, 1, 0]
    assert timeline.passed("idle_since_ns").tolist() == [0, 0, 100]


def test_run_ends_at_its_stop_with_the_rest_in_flight() -> None:
    """Ten requests of 100, stopped at 450: four are answered, the others have no outcome."""
    timeline = run(given_input([0] * 10, stop=450))
    outcomes = timeline.attempt("outcome").tolist()
    assert outcomes == [Outcome.ANSWERED] * 4 + [Outcome.IN_FLIGHT] * 6


@pytest.mark.parametrize("changed", ["seed", "nothing"])
def test_seed_and_only_the_seed_changes_the_dice(changed: str) -> None:
    """Retries with jitter: the same seed gives the same bytes, another seed other waits."""
    given = given_input([0] * 20, cap=2, retry={"attempts": 4, "backoff_ns": 500, "backoff_max_ns": 10_000})
    other = given if changed == "nothing" else EngineInput(**{**given.__dict__, "seed": 2})
    assert (run(given).tobytes() == run(other).tobytes()) == (changed == "nothing")
