"""What is known of a configuration before any run."""

from __future__ import annotations

import pytest

from sim.planner.arithmetic import excluded, family_of
from sim.planner.grid import Configuration
from tests.sim.scenario.example import scenario

P99, REFUSED = "latency_ms.p99", "refused_share"
LIMITS = {P99: 100.0, REFUSED: 0.01}


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["traffic.arrivals.rate=700/s"], "The load of 700/s is not below the capacity of 666.7/s and nothing bounds"),
        (["traffic.arrivals.rate=900/s", "queue.cap=64"], "of 900/s at most 666.7/s can be served, so 24.1 % are lost"),
        (["traffic.arrivals.rate=600/s", "queue.cap=64"], None),
        (["traffic.arrivals.rate=670/s", "queue.cap=64"], None),  # the queue may hold what is too much
        (["traffic.arrivals.rate=900/s", "queue.cap=64", "fleet={replicas: 3, spare: 2}"], "of 900/s at most 666.7/s"),
        (["model.pass_time={base: 120ms}", "traffic.arrivals.rate=1/s"], "a pass takes 120 ms, and p99 may be 100 ms"),
        (
            ["model.pass_time={base: 90ms, spread: {distribution: lognormal, cv: 0.5}}", "traffic.arrivals.rate=1/s"],
            None,
        ),
    ],
)
def test_only_what_is_sure_to_miss_is_excluded(overrides: list[str], said: str | None) -> None:
    """8 + 0.5 ms an item, batches of 8: 666.7/s, of which spare replicas serve nothing."""
    why = excluded(scenario(*overrides), LIMITS)
    assert (why is None) if said is None else (why or "").startswith(said)


def test_loss_that_no_goal_limits_excludes_nothing() -> None:
    """Without a goal on refusals an overloaded fleet with a cap may meet its p99."""
    assert excluded(scenario("traffic.arrivals.rate=900/s", "queue.cap=64"), {P99: 100.0}) is None


@pytest.mark.parametrize(
    ("overrides", "is_family"),
    [
        (["batching.max_wait=0ms"], True),
        (["batching.max_wait=5ms"], True),  # 5 + 2 * 12 ms leave room below 100
        (["batching.max_wait=80ms"], False),
        (["batching.max_wait=0ms", "fleet.slow={share: 10%, factor: 3}"], False),
        (["batching.max_wait=0ms", "fleet.crash_every=1h"], False),
        (["batching.max_wait=0ms", "fleet.autoscaler={target: 4, max_replicas: 8}"], False),
    ],
)
def test_family_is_where_more_replicas_never_hurt(overrides: list[str], is_family: bool) -> None:
    """Not with a timer that could break the goal by itself, nor where a further replica may be a bad one."""
    one = Configuration({"fleet.replicas": "2", "batching.max_batch": "8"}, scenario("fleet.replicas=2", *overrides))
    assert (family_of(one, LIMITS) is not None) == is_family


def test_family_shares_everything_but_the_replicas() -> None:
    """Two batch sizes are two families."""
    two = [
        family_of(Configuration({"fleet.replicas": replicas, "batching.max_batch": size}, scenario()), LIMITS)
        for replicas, size in (("1", "4"), ("2", "4"), ("1", "8"))
    ]
    assert two[0] == two[1] != two[2]
    assert family_of(Configuration({"batching.max_batch": "4"}, scenario()), LIMITS) is None
