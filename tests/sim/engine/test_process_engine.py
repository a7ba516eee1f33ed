"""The process engine on small loads whose timelines can be worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from policy.pass_time import SPREAD_ONE
from policy.settings import admission_rule, batching_rule, deadline_rule, fault_rule, pass_time_rule, retry_rule
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
            pass_result_table=[options.get("pass_result", 0)],
            timer_table=[options.get("timer", 0)],
            blocking=options.get("blocking", False),
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
    """Three requests at once, 60 each: enqueued at 60, 120, 180; the first results wait behind the third request."""
    timeline = run(given_input([0, 0, 0], request=60, response=10, batching={"max_batch": 3, "instances": 3}))
    assert timeline.attempt("enqueued_ns").tolist() == [60, 120, 180]
    assert timeline.attempt("ended_ns").tolist() == [160, 220, 280]
    # Without the station's queue the first results would be there at 160, and their answer would leave at 170.
    assert timeline.attempt("returned_ns").tolist() == [180, 220, 280]
    assert timeline.attempt("answered_ns").tolist() == [190, 230, 290]


def test_results_are_a_job_and_their_answers_are_the_next_ones() -> None:
    """Two passes end at 110 and 120. Results take 30 each, answers 5: returned at 140, 170, each answer behind both."""
    timeline = run(
        given_input([0, 0], request=10, response=5, pass_result=30, batching={"max_batch": 1, "instances": 2})
    )
    assert timeline.passed("ended_ns").tolist() == [110, 120]
    # One after the other, and no sooner: the second results joined at 120, before the first answer did at 140.
    assert timeline.passed("returned_ns").tolist() == [140, 170]
    assert timeline.attempt("answered_ns").tolist() == [175, 180]
    # The instance is idle only when the dispatcher knows.
    assert timeline.passed("idle_since_ns").tolist() == [0, 0]


def test_results_and_timers_are_the_first_workers() -> None:
    """Thirty-two requests of 1,000 each on two workers: results wait for one of them, never for both."""
    timeline = run(given_input([0] * 32, request=1000, workers=2, batching={"max_batch": 1, "instances": 32}))
    waits = (timeline.passed("returned_ns") - timeline.passed("ended_ns")).tolist()
    enqueued = sorted(timeline.attempt("enqueued_ns").tolist())
    assert max(waits) > 0
    assert {timeline.passed("returned_ns")[index] for index in np.flatnonzero(waits)} <= set(enqueued)
    assert len({timeline.passed("returned_ns")[index] for index in np.flatnonzero(waits)}) == 1


def test_batch_waits_for_its_timer_to_be_seen_to() -> None:
    """Wait 50, timer 20: due at 50, closed at 70. With a request of 30 in work at 50 it is closed at 90."""
    batching = {"max_batch": 4, "max_wait_ns": 50}
    assert run(given_input([0], timer=20, batching=batching)).passed("closed_ns").tolist() == [70]
    # The second request joins at 70, when 15 of its 30 lie before the timer's moment at 80, and arrives at 95.
    timeline = run(given_input([0, 65], request=30, timer=20, batching=batching))
    assert timeline.attempt("enqueued_ns").tolist() == [30, 95]
    assert timeline.passed("closed_ns").tolist() == [95]


def test_batch_that_is_due_goes_with_whatever_comes_before_its_timer() -> None:
    """Due at 60, timer behind a request until 85: its arrival at 65 makes the dispatcher look, and both go."""
    batching = {"max_batch": 4, "max_wait_ns": 50}
    timeline = run(given_input([0, 55], request=10, timer=20, batching=batching))
    assert (timeline.passed("closed_ns").tolist(), timeline.passed("batch_size").tolist()) == ([65], [2])
    alone = run(given_input([0], request=10, timer=20, batching=batching))
    assert alone.passed("closed_ns").tolist() == [80]


def test_timer_that_is_not_asked_for_any_more_costs_nothing() -> None:
    """A batch filled at 40 has no timer at 50: the next request joins an idle front end at 55."""
    batching = {"max_batch": 2, "max_wait_ns": 50}
    timeline = run(given_input([0, 40, 50], request=5, timer=1000, batching={**batching, "instances": 2}))
    assert timeline.attempt("enqueued_ns").tolist() == [5, 45, 55]
    assert timeline.passed("closed_ns").tolist()[0] == 45


def test_deadline_is_seen_when_its_timer_is() -> None:
    """Deadline 120, timer 7: it is seen at 127. Results that joined before, at 115, have the dispatcher look at 125."""
    late = run(given_input([0, 0, 0], deadline=120, timer=7, cost={"per_item_ns": 50}))
    assert late.attempt("outcome").tolist() == [Outcome.TIMED_OUT] * 3
    assert late.attempt("delivered_ns").tolist() == [127, 127, 127]
    sooner = run(given_input([0, 0, 0], deadline=120, timer=7, pass_result=10, cost={"per_item_ns": 15}))
    # The first was answered though its deadline had passed: nobody had looked. All answers leave behind the timer.
    assert sooner.attempt("outcome").tolist() == [Outcome.ANSWERED, Outcome.TIMED_OUT, Outcome.TIMED_OUT]
    assert sooner.attempt("returned_ns").tolist() == [125, -1, -1]
    assert sooner.attempt("delivered_ns").tolist() == [132, 132, 132]


def test_written_answer_and_request_on_its_way_are_no_occasion_to_look() -> None:
    """Due at 149, timer behind two answers until 180: nothing closes with the request of 150 or the answer of 160."""
    batching = {"max_batch": 2, "max_wait_ns": 50, "instances": 2}
    timeline = run(given_input([0, 0, 99, 150], response=30, timer=20, batching=batching))
    assert timeline.attempt("answered_ns").tolist()[:2] == [130, 160]
    assert timeline.attempt("enqueued_ns").tolist()[2:] == [99, 180]
    assert timeline.passed("closed_ns").tolist() == [0, 180]


def test_blocking_pass_stops_the_front_end() -> None:
    """A pass of 100 from 10 on: the request of 40 is not read before 110, and the answer leaves behind it at 125."""
    blocked = run(given_input([0, 40], request=10, response=5, blocking=True))
    assert blocked.attempt("enqueued_ns").tolist() == [10, 120]
    assert blocked.attempt("returned_ns").tolist() == [110, 225]
    assert blocked.attempt("answered_ns").tolist() == [125, 230]
    beside = run(given_input([0, 40], request=10, response=5))
    assert beside.attempt("enqueued_ns").tolist() == [10, 50]
    assert beside.attempt("answered_ns").tolist() == [115, 215]


def test_blocking_pass_waits_its_turn_and_its_results_do_not() -> None:
    """Way in 7: the pass joins at 17 behind the request of 12 and starts at 22; way out 11, and no work on results."""
    timeline = run(given_input([0, 12], request=10, batch_in=7, results_out=11, pass_result=50, blocking=True))
    assert timeline.passed("handed_ns").tolist()[0] == 10
    assert timeline.passed("started_ns").tolist()[0] == 22
    assert timeline.passed("returned_ns").tolist()[0] == 133


def test_blocking_server_saturates_at_the_sum_of_its_work() -> None:
    """Known answer: a station that never rests serves 4 requests in one pass and 4 requests' work: 4 / (140 + 4 x 15).

    Beside the front end it would be 4 / 140 for as long as 4 x 15 is less than that.
    """
    options: dict[str, Any] = {"request": 10, "response": 5, "clients": 12, "think": [0], "until": 10**5}
    batching, cost = {"max_batch": 4}, {"per_item_ns": 10}
    for blocking, cycle_ns in ((True, 200), (False, 140)):
        timeline = run(given_input([], blocking=blocking, batching=batching, cost=cost, **options))
        answered = timeline.attempt("answered_ns")
        count = np.count_nonzero((answered > 10**4) & (answered <= 10**4 + 80 * 1000))
        assert count == pytest.approx(80_000 * 4 / cycle_ns, rel=0.005)


def test_blocking_front_end_without_other_work_is_a_queue_of_its_own() -> None:
    """Known answer, Pollaczek and Khinchine: M/D/1 at 60 % waits 0.6 / (2 x 0.4) of a pass in the mean."""
    gaps = np.random.default_rng(3).exponential(10**6 / 0.6, 40_000)
    given = given_input(np.cumsum(gaps).astype(int).tolist(), blocking=True, cost={}, stop=10**12)
    given = replace(given, fleet=replace(given.fleet, pass_time=pass_time_rule(base_ns=10**6, max_batch=1)))
    timeline = run(given)
    waits = timeline.attempt("delivered_ns") - timeline.attempt("intended_ns") - 10**6
    assert waits.mean() == pytest.approx(0.75 * 10**6, rel=0.04)


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


def crashing(**changes: Any) -> EngineInput:
    """Return two requests, at 10 and 20, on one instance that crashes 60 after each readiness and restarts in 50."""
    given = given_input([10, 20], until=1000, **{"results_out": 5, **changes.pop("options", {})})
    faulty = {"crash_table": [60], "cold_start_tables": ([1000], [50]), "restart_from": 1, **changes}
    return replace(given, fleet=replace(given.fleet, **faulty))


def test_crash_loses_the_pass_that_runs_and_its_queue_waits() -> None:
    """A pass of 100 never ends in lives of 60: the first fails at 60, the second, begun at 110, at 170."""
    timeline = run(crashing())
    assert timeline.attempt("outcome").tolist() == [Outcome.FAILED] * 2
    assert timeline.attempt("answered_ns").tolist() == [60, 170]
    assert timeline.passed("handed_ns").tolist() == [10, 110], "the machine stays: 1000 would be that of a new one"
    assert timeline.passed("returned_ns").tolist() == [60, 170]
    assert timeline.passed("started_ns").tolist() == [-1, -1], "a pass that is lost has no times"


@pytest.mark.parametrize(
    ("lives", "answered", "handed"),
    [
        (100, 60, 110),  # the crash comes in a pass
        (110, 115, 165),  # in the very instant in which it ends: its results come first, the restart counts from there
        (114, 115, 165),
        (115, 115, 165),  # in the instant in which they are there
        (116, 115, 115),  # behind them: the second pass has begun, and is lost
    ],
)
def test_results_on_their_way_survive_a_crash(lives: int, answered: int, handed: int) -> None:
    """A pass from 10 to 110, whose results are there at 115."""
    timeline = run(crashing(crash_table=[lives]))
    first = Outcome.FAILED if lives < 110 else Outcome.ANSWERED
    assert timeline.attempt("outcome").tolist()[0] == first
    assert timeline.attempt("answered_ns").tolist()[0] == (100 if lives < 110 else answered)
    assert timeline.passed("handed_ns").tolist()[1] == (150 if lives < 110 else handed)


def test_crash_between_passes_holds_up_the_next() -> None:
    """Ready until 5, again from 55 on: the request of 10 begins then, and nothing failed."""
    timeline = run(crashing(crash_table=[5, *[5] * 0], options={"results_out": 0}))
    assert timeline.passed("idle_since_ns").tolist()[:1] == [55]
    assert timeline.passed("handed_ns").tolist()[:1] == [55]


def test_slow_replica_and_first_passes_take_longer() -> None:
    """Passes of 100: three times as long on a slow replica, the first two of an instance twice that."""
    given = given_input([0] * 3)
    slow = replace(given.fleet, faults=fault_rule(slow_share=1.0, slow_factor=3.0, first_count=2, first_factor=2.0))
    timeline = run(replace(given, fleet=slow))
    lasted = timeline.passed("ended_ns") - timeline.passed("started_ns")
    assert lasted.tolist() == [600, 600, 300]
