"""The dispatcher core: what it does on each event, hand by hand. Whole timelines are compared in tests/parity."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from policy.instant import NEVER_NS, UNSET
from policy.settings import admission_rule, batching_rule, deadline_rule
from policy.timeline import Attempt, Outcome, Pass, Reason
from reference_server.actions import (
    Action,
    Answered,
    Arrived,
    Failed,
    HungUp,
    Log,
    LogPass,
    Ready,
    Respond,
    Returned,
    StartPass,
    WakeAt,
)
from reference_server.dispatch_loop import SeededDice
from reference_server.dispatcher import Dispatcher
from reference_server.replica_pool import FleetRules


def dispatcher(cap: int | None = None, deadline_ns: int | None = None, **batching: Any) -> Dispatcher:
    """Return a core for batches of at most 2 and a wait of 100."""
    options = {"max_batch": 2, "max_wait_ns": 100, **batching}
    rules = batching_rule(**options), admission_rule(cap=cap), deadline_rule(deadline_ns=deadline_ns)
    return Dispatcher([FleetRules(*rules, instances=options.get("instances", 1))], SeededDice(0))


def of_kind(kind: type[Any], actions: list[Action]) -> list[Any]:
    """Return the actions of one kind."""
    return [action for action in actions if isinstance(action, kind)]


def test_lone_request_waits_and_runs_when_its_wait_is_over() -> None:
    """The core asks to be woken at the end of the wait, and starts the pass then."""
    core = dispatcher()
    assert core.handle([Arrived(7, 0, 3)], 10) == [WakeAt(110)]
    assert core.handle([], 110) == [StartPass(0, 0, 0, ((7, 0),), 3), WakeAt(NEVER_NS)]


def test_full_batch_starts_at_once_with_its_longest_member() -> None:
    """Two of two: no wait; the pass is told the largest size."""
    core = dispatcher()
    core.handle([Arrived(0, 0, 3)], 10)
    assert of_kind(StartPass, core.handle([Arrived(1, 0, 9)], 20)) == [StartPass(0, 0, 0, ((0, 0), (1, 0)), 9)]


def test_results_are_answered_and_logged_once_the_response_is_written() -> None:
    """The pass is logged when it returns, the attempt when its response is out, with all moments."""
    core = dispatcher(max_wait_ns=0)
    core.handle([Arrived(4, 1, 3)], 10)
    actions = core.handle([Returned(0, 0, 12, 30)], 33)
    assert of_kind(Respond, actions) == [Respond(4, 1, Outcome.ANSWERED, Reason.NONE)]
    assert of_kind(LogPass, actions) == [
        LogPass(
            Pass(
                serial=0,
                replica=0,
                instance=0,
                batch_size=1,
                cause=3,
                idle_since_ns=0,
                closed_ns=10,
                handed_ns=10,
                started_ns=12,
                ended_ns=30,
                returned_ns=33,
            )
        )
    ]
    assert not of_kind(Log, actions)
    assert not core.idle
    row = Attempt(
        request=4,
        attempt=1,
        size=3,
        version=0,
        replica=0,
        instance=0,
        serial=0,
        batch_size=1,
        intended_ns=UNSET,
        sent_ns=UNSET,
        received_ns=UNSET,
        enqueued_ns=10,
        placed_ns=10,
        closed_ns=10,
        started_ns=12,
        ended_ns=30,
        returned_ns=33,
        answered_ns=35,
        delivered_ns=UNSET,
        outcome=Outcome.ANSWERED,
        reason=Reason.NONE,
    )
    assert of_kind(Log, core.handle([Answered(4, 1)], 35)) == [Log(row)]
    assert core.idle


def test_arrival_beyond_the_cap_is_refused_and_never_waits() -> None:
    """With a cap of 1 and a busy device the second waiter is told that the queue is full."""
    core = dispatcher(cap=1, max_batch=1)
    core.handle([Arrived(0, 0, 1)], 10)
    core.handle([Arrived(1, 0, 1)], 20)
    actions = core.handle([Arrived(2, 0, 1)], 30)
    assert of_kind(Respond, actions) == [Respond(2, 0, Outcome.REFUSED, Reason.QUEUE_FULL)]
    assert core.waiting == 1
    assert core.running == 1


def test_draining_refuses_new_arrivals_and_serves_the_old() -> None:
    """What was accepted before is still batched and answered."""
    core = dispatcher()
    core.handle([Arrived(0, 0, 1)], 10)
    core.drain()
    actions = core.handle([Arrived(1, 0, 1)], 20)
    assert of_kind(Respond, actions) == [Respond(1, 0, Outcome.REFUSED, Reason.DRAINING)]
    assert of_kind(StartPass, core.handle([], 110)) == [StartPass(0, 0, 0, ((0, 0),), 1)]


def test_deadline_of_a_waiting_request_frees_its_place() -> None:
    """At 60 the first gets its 504 and leaves the batch; the second runs alone."""
    core = dispatcher(deadline_ns=50)
    core.handle([Arrived(0, 0, 1)], 10)
    actions = core.handle([], 60)
    assert of_kind(Respond, actions) == [Respond(0, 0, Outcome.TIMED_OUT, Reason.NONE)]
    assert core.waiting == 0
    core.handle([Answered(0, 0), Arrived(1, 0, 1)], 70)
    assert core.waiting == 1


def test_deadline_during_the_pass_answers_and_discards_the_result() -> None:
    """The 504 leaves at once; when the pass returns nobody is answered twice, and the row has both."""
    core = dispatcher(deadline_ns=50, max_wait_ns=0)
    core.handle([Arrived(0, 0, 1)], 10)
    assert of_kind(Respond, core.handle([], 60)) == [Respond(0, 0, Outcome.TIMED_OUT, Reason.NONE)]
    assert not of_kind(Log, core.handle([Answered(0, 0)], 61))
    actions = core.handle([Returned(0, 0, 11, 80)], 81)
    assert not of_kind(Respond, actions)
    (log,) = of_kind(Log, actions)
    assert (log.row.outcome, log.row.answered_ns, log.row.ended_ns) == (Outcome.TIMED_OUT, 61, 80)


def test_result_in_the_instant_of_the_deadline_wins() -> None:
    """The law of an instant: passes return before deadlines are looked at."""
    core = dispatcher(deadline_ns=50, max_wait_ns=0)
    core.handle([Arrived(0, 0, 1)], 10)
    actions = core.handle([Returned(0, 0, 11, 60)], 60)
    assert of_kind(Respond, actions) == [Respond(0, 0, Outcome.ANSWERED, Reason.NONE)]


def test_reused_key_keeps_its_own_deadline() -> None:
    """A client may use a number again when its request is over: the old deadline must not end the new one."""
    core = dispatcher(deadline_ns=50, max_wait_ns=0)
    core.handle([Arrived(0, 0, 1)], 10)
    core.handle([Returned(0, 0, 11, 15)], 15)
    core.handle([Answered(0, 0)], 16)
    core.handle([Arrived(0, 0, 1)], 40)
    assert not of_kind(Respond, core.handle([], 60))
    assert of_kind(Respond, core.handle([], 90)) == [Respond(0, 0, Outcome.TIMED_OUT, Reason.NONE)]


def test_client_that_hangs_up_while_waiting_frees_its_place() -> None:
    """Nobody is answered, a row is left."""
    core = dispatcher()
    core.handle([Arrived(0, 0, 1)], 10)
    actions = core.handle([HungUp(0, 0)], 20)
    assert not of_kind(Respond, actions)
    (log,) = of_kind(Log, actions)
    assert (log.row.outcome, log.row.closed_ns) == (Outcome.ABANDONED, UNSET)
    assert core.idle
    assert core.waiting == 0


@pytest.mark.parametrize("late", [Answered(0, 0), HungUp(0, 0)])
def test_news_of_a_client_that_is_gone_changes_nothing(late: Answered | HungUp) -> None:
    """A response that was being written when the client left ends in an abandoned row, once."""
    core = dispatcher(max_wait_ns=0)
    core.handle([Arrived(0, 0, 1)], 10)
    core.handle([Returned(0, 0, 11, 15)], 15)
    (log,) = of_kind(Log, core.handle([HungUp(0, 0)], 16))
    assert (log.row.outcome, log.row.answered_ns) == (Outcome.ABANDONED, UNSET)
    assert not of_kind(Log, core.handle([late], 17))
    assert core.idle


def test_failed_instance_loses_its_pass_and_takes_none_until_ready() -> None:
    """Its members are told at once; the next batch waits for Ready."""
    core = dispatcher(max_wait_ns=0)
    core.handle([Arrived(0, 0, 1)], 10)
    actions = core.handle([Failed(0, 0)], 20)
    assert of_kind(Respond, actions) == [Respond(0, 0, Outcome.FAILED, Reason.NONE)]
    (log,) = of_kind(LogPass, actions)
    assert (log.row.started_ns, log.row.returned_ns) == (UNSET, 20)
    assert not of_kind(StartPass, core.handle([Arrived(1, 0, 1)], 30))
    assert of_kind(StartPass, core.handle([Ready(0, 0)], 40)) == [StartPass(1, 0, 0, ((1, 0),), 1)]


def test_idle_instance_that_fails_is_taken_out() -> None:
    """Nothing was running: nobody is told, and the other instance gets the batch."""
    core = dispatcher(max_wait_ns=0, instances=2)
    assert core.handle([Failed(0, 0)], 5) == [WakeAt(NEVER_NS)]
    assert of_kind(StartPass, core.handle([Arrived(1, 0, 1)], 30)) == [StartPass(0, 0, 1, ((1, 0),), 1)]


def test_answered_requests_leave_nothing_to_the_garbage_collector() -> None:
    """A batch and its members name each other: left so, every ten thousand requests stopped the server for 50 ms."""
    core = dispatcher()
    gc.collect()
    gc.disable()
    try:
        for request in range(20):
            core.handle([Arrived(request, 0, 1)], request * 1_000)
            core.handle([], request * 1_000 + 100)
            core.handle([Returned(0, 0, 0, 0)], request * 1_000 + 200)
            core.handle([Answered(request, 0)], request * 1_000 + 300)
        assert core.idle
        assert gc.collect() == 0
    finally:
        gc.enable()
