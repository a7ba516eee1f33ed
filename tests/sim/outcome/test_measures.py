"""What a run amounts to, on timelines written by hand."""

from __future__ import annotations

import math

import pytest

from policy.instant import UNSET
from policy.timeline import Outcome
from sim.engine.timelines import timeline_from_rows
from sim.outcome.measures import last_attempts, measure
from tests.sim.outcome.hand_made import attempt, gpu_pass, unanswered


def test_latency_runs_from_the_first_intended_send() -> None:
    """A retry is sent later, but its client has waited since the first send: 400 ns, not 100."""
    rows = [
        unanswered(0, 100, Outcome.REFUSED),
        attempt(0, 100, attempt=1, sent_ns=400, delivered_ns=500),
    ]
    measures = measure(timeline_from_rows(rows, [gpu_pass(0, 410, 420)]), 0, 1_000)
    assert measures.answered_latencies_ns.tolist() == [400]
    assert measures.requests == 1
    assert measures.share(Outcome.ANSWERED) == 1.0


def test_outcome_of_a_request_is_that_of_its_last_attempt() -> None:
    """Per request one refusal of two; per attempt three refusals and an answer."""
    rows = [
        unanswered(0, 0, Outcome.REFUSED),
        attempt(0, 0, attempt=1),
        unanswered(1, 10, Outcome.REFUSED),
        unanswered(1, 10, Outcome.REFUSED, attempt=1),
    ]
    measures = measure(timeline_from_rows(rows, [gpu_pass(0, 40, 50)]), 0, 100)
    assert measures.share(Outcome.REFUSED) == 0.5
    assert measures.attempt_counts[Outcome.REFUSED] == 3
    assert measures.attempt_counts[Outcome.ANSWERED] == 1
    assert sum(measures.attempt_counts) == len(rows)


def test_requests_belong_to_the_window_of_their_intended_send() -> None:
    """The window is [from, to): its first moment is in, its end is out, whenever the answer comes."""
    rows = [attempt(request, at) for request, at in enumerate((99, 100, 150, 199, 200))]
    measures = measure(timeline_from_rows(rows, []), 100, 200)
    assert measures.intended_ns.tolist() == [100, 150, 199]
    assert len(measures.answered_latencies_ns) == 3


def test_closed_loop_requests_come_in_the_order_of_their_sends() -> None:
    """A closed loop numbers requests by cycle and client; measures go by time."""
    rows = [attempt(0, 500), attempt(1, 100), attempt(2, 300)]
    timeline = timeline_from_rows(rows, [])
    assert last_attempts(timeline, 0, 1_000).tolist() == [1, 2, 0]
    assert measure(timeline, 0, 1_000).intended_ns.tolist() == [100, 300, 500]


def test_every_outcome_counts_and_they_add_up() -> None:
    """Answered, refused, timed out, abandoned, failed and in flight are all there is."""
    outcomes = [outcome for outcome in Outcome if outcome != Outcome.ANSWERED]
    rows = [attempt(0, 0)] + [unanswered(place, place, outcome) for place, outcome in enumerate(outcomes, start=1)]
    measures = measure(timeline_from_rows(rows, []), 0, 100)
    assert [measures.count(outcome) for outcome in Outcome] == [1] * len(Outcome)
    assert math.isclose(sum(measures.share(outcome) for outcome in Outcome), 1.0)
    assert (measures.latency_ns == UNSET).sum() == len(outcomes)


def test_throughput_counts_answers_where_they_arrive() -> None:
    """One sent before the window is answered inside, one sent inside is answered behind: one answer in 1 us."""
    rows = [
        attempt(0, 900, delivered_ns=1_000),
        attempt(1, 1_500, delivered_ns=2_000),
        unanswered(2, 1_600, Outcome.REFUSED, delivered_ns=1_700),
    ]
    measures = measure(timeline_from_rows(rows, []), 1_000, 2_000)
    assert measures.delivered == 1
    assert measures.throughput_per_s == pytest.approx(1e6)


def test_batch_size_is_the_mean_over_passes_not_over_requests() -> None:
    """Batches of 1 and 3 have mean 2; the mean over their four requests would be 2.5. Passes count by their start."""
    passes = [
        gpu_pass(0, 90, 110, batch_size=8),
        gpu_pass(1, 110, 150, batch_size=1),
        gpu_pass(2, 150, 250, batch_size=3),
        gpu_pass(3, 200, 260, batch_size=8),
    ]
    measures = measure(timeline_from_rows([attempt(0, 100)], passes), 100, 200)
    assert measures.batch_size_mean == 2.0


def test_busy_share_counts_the_overlap_with_the_window_exactly() -> None:
    """Of two instances: 10 ns of a pass from before, 40 inside, 50 of one that goes on, over 2 x 100 ns."""
    passes = [
        gpu_pass(0, 50, 110),
        gpu_pass(1, 110, 150),
        gpu_pass(2, 150, 250, instance=1),
        gpu_pass(3, 260, 280, instance=1),
        gpu_pass(4, 10, 20),
    ]
    measures = measure(timeline_from_rows([attempt(0, 100)], passes), 100, 200, instances=[2])
    assert measures.busy_ns == 10 + 40 + 50
    assert measures.gpu_busy_share == 0.5


def test_pass_that_had_not_ended_is_busy_to_the_end_of_the_window() -> None:
    """A run stops in the middle of a pass; a batch that was handed over and never started is not busy."""
    passes = [
        gpu_pass(0, 150, UNSET, returned_ns=UNSET),
        gpu_pass(1, UNSET, UNSET, handed_ns=160, returned_ns=UNSET),
    ]
    measures = measure(timeline_from_rows([attempt(0, 100)], passes), 100, 200)
    assert measures.busy_ns == 50
    assert measures.passes == 1


def test_time_in_the_server_is_that_of_the_last_attempt() -> None:
    """From its enqueue to the response's leaving the front end: 50 ns of the 80 that the client saw."""
    measures = measure(timeline_from_rows([attempt(0, 100)], []), 0, 1_000)
    assert measures.answered_server_latencies_ns.tolist() == [50]
    assert measures.answered_latencies_ns.tolist() == [80]


def test_empty_run_has_no_shares_and_no_batch_size() -> None:
    """Nothing sent is no refusal and no success: NaN, not 0."""
    measures = measure(timeline_from_rows([], []), 0, 100)
    assert measures.requests == 0
    assert math.isnan(measures.share(Outcome.REFUSED))
    assert math.isnan(measures.batch_size_mean)
    assert measures.throughput_per_s == 0.0


def test_window_that_ends_before_it_begins_is_refused() -> None:
    """An empty window has no rates."""
    with pytest.raises(ValueError, match="end after it begins"):
        measure(timeline_from_rows([], []), 100, 100)
