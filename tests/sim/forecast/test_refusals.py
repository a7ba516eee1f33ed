"""When no honest figure can be given."""

from __future__ import annotations

import pytest

from sim.errors import RefusedToAnswer
from sim.forecast.refusals import refuse_unresolved, refuse_unstable, unsettled
from tests.sim.scenario.example import scenario

OVERLOAD = "traffic.arrivals.rate=700/s"  # of 666.7/s


def test_load_above_capacity_without_a_bound_is_refused() -> None:
    """Every latency would be a matter of how long is simulated."""
    with pytest.raises(RefusedToAnswer, match=r"^The load of 700/s is not below the capacity of 666\.7/s and nothing"):
        refuse_unstable(scenario(OVERLOAD))


@pytest.mark.parametrize(
    "bound",
    [
        "queue.cap=100",
        "queue.deadline=1s",
        "traffic.timeout=1s",
        "traffic={clients: {count: 64}}",
        "traffic.arrivals.rate=660/s",
    ],
)
def test_bounded_load_is_not_refused(bound: str) -> None:
    """A cap, a deadline, impatient or waiting clients, or less load: there is a steady state to tell of."""
    refuse_unstable(scenario(OVERLOAD, bound))


def test_full_load_is_unstable_too() -> None:
    """At exactly the capacity the queue still grows, if slowly."""
    even = scenario(
        "traffic.arrivals={process: even, rate: 500/s}", "model.pass_time={base: 2ms}", "batching.max_batch=1"
    )
    with pytest.raises(RefusedToAnswer, match="not below the capacity of 500/s"):
        refuse_unstable(even)


def test_cap_does_not_save_an_overloaded_front_end() -> None:
    """Requests wait there before any cap sees them; only clients that hang up bound that queue."""
    slow = ("front_end={request: 2ms, response: 1ms}", "queue={cap: 10, deadline: 1s}")
    with pytest.raises(RefusedToAnswer, match=r"^The load of 600/s is not below the front end's capacity of 333\.3/s"):
        refuse_unstable(scenario(*slow))
    refuse_unstable(scenario(*slow, "front_end.workers=2"))
    refuse_unstable(scenario(*slow, "traffic.timeout=1s"))


@pytest.mark.parametrize(("requests", "unresolved"), [(1_000, 0), (1_000, 10), (1, 0)])
def test_few_requests_without_an_outcome_are_accepted(requests: int, unresolved: int) -> None:
    """Up to 1 %."""
    refuse_unresolved(requests, unresolved)


def test_many_requests_without_an_outcome_are_refused() -> None:
    """They are the slowest ones: the quantiles of the rest would be too good."""
    with pytest.raises(RefusedToAnswer, match=r"^1\.1% of the requests had no outcome"):
        refuse_unresolved(1_000, 11)


def test_no_requests_are_refused() -> None:
    """A horizon in which nothing is sent shows nothing."""
    with pytest.raises(RefusedToAnswer, match=r"^No request falls into the measured time"):
        refuse_unresolved(0, 0)


def test_unsettled_latency_is_refused_with_a_way_out() -> None:
    """How long was tried, and what to ask for: of a load that is too high it is not a longer run."""
    said = str(unsettled(scenario("horizon.duration=60s", "traffic.arrivals.rate=100/s")))
    assert "warm-up of 60s" in said
    assert "longer horizon.duration" in said
    over = str(unsettled(scenario("horizon.duration=60s", "traffic.arrivals.rate=90000/s")))
    assert over.startswith("The load of 9e+04/s is not below the capacity of ")
    assert "longer horizon.duration" not in over
