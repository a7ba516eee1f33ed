"""No rule may need the interpreter: Numba compiles every function, and one that it cannot compile is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from numba.core.errors import TypingError

from policy import (
    admission,
    autoscaling,
    autoscaling_rule,
    autoscaling_settings,
    batching,
    deadlines,
    faults,
    fleet,
    orders,
    pass_time,
    recommendation,
    retries,
    rollout,
    routing,
    scaling_brakes,
    versions,
    windows,
)
from policy.autoscaler_presets import preset
from policy.rollout_settings import rollout_rule, version_weights
from policy.settings import (
    admission_rule,
    batching_rule,
    deadline_rule,
    fault_rule,
    pass_time_rule,
    retry_rule,
    routing_rule,
)
from sim.engine.compiled.rules import RULE_MODULES, functions_of
from tests.policy.both_ways import compiled

BATCHING = batching_rule(max_batch=4, max_wait_ns=100, collector="competing", instances=2)
STATE = batching.closed_collector()
VIEW = batching.CollectorView(True, 1, 2, 5, 0, 0)
SERIALS = np.array([0, 1], dtype=np.int64)
FAULTS = fault_rule(slow_share=0.5, slow_factor=1.5, first_count=2, first_factor=4.0)
PASS = pass_time_rule(base_ns=5, max_batch=4)
SCALING = autoscaling_settings.autoscaling_rule(**preset("ray_serve"))
FLEET = autoscaling.FleetView(3, 9, 12, 40, 2, 1, 3)
HISTORY = np.zeros(autoscaling.history_length(SCALING), np.int64)
RING = autoscaling_rule.samples_of(SCALING)
windows.push(HISTORY, RING, 10, 6)
windows.push(HISTORY, RING, 20, 8)
ROLLOUT = rollout_rule(
    steps=[{"weight": 1_000, "analysis": True}],
    analysis={"limits": [{"metric": "failed", "pass_most": 10_000}], "interval_ns": 60},
)
UNDER_WAY, _ = rollout.command(ROLLOUT, rollout.idle_rollout(), rollout.Command.START, 0)
SEEN = rollout.RolloutView(90, 10, 0, 900, 0, 0, 1, 1, 9, 9)
ORDERED = orders.OrderView(2, 0, 1, True, 1, False, True, 9_000, 1_000, 0, True, 0)
WEIGHTS = version_weights(weights=[7_000, 1_000, 2_000], canary=1)

ARGUMENTS: dict[Callable[..., Any], tuple[Any, ...]] = {
    admission.decide: (admission_rule(cap=3), admission.AdmissionView(3, False)),
    admission.may_hold: (admission_rule(cap=3), 9, False),
    admission.retry_after_ns: (9, 4, 12, 1),
    autoscaling.fresh_autoscaler: (SCALING, 5),
    autoscaling.history_length: (SCALING,),
    autoscaling.step: (SCALING, autoscaling.fresh_autoscaler(SCALING, 0), HISTORY, FLEET, 20),
    autoscaling_rule.moves_of: (SCALING,),
    autoscaling_rule.recommendations_of: (SCALING,),
    autoscaling_rule.samples_of: (SCALING,),
    batching.can_wait: (BATCHING, VIEW),
    batching.closed_collector: (),
    batching.collector_count: (BATCHING, 2),
    batching.may_collect: (BATCHING, True, False),
    batching.is_settled: (BATCHING, batching.BatchingDecision(1, 0, batching.Cause.NONE, 50)),
    batching.may_hand_over: (BATCHING, 1),
    batching.own_instance: (BATCHING, 1),
    batching.step: (BATCHING, STATE, VIEW, 50),
    deadlines.due_ns: (deadline_rule(deadline_ns=9), 5),
    deadlines.frees_its_place: (True,),
    faults.is_slow: (FAULTS, 1 << 61),
    faults.spread_with_faults: (FAULTS, 3 * 2**19, True, 1),
    fleet.missing: (3, 1, 1),
    fleet.next_to_drain: (0, 1, SERIALS, SERIALS, 2),
    orders.deploys: (ORDERED, orders.Order(0, -1, int(rollout.Command.START))),
    orders.refusal: (ORDERED, orders.Order(1, 1, 500)),
    pass_time.pad: (PASS, 3),
    pass_time.pass_ns: (PASS, 3, 1, 2**20),
    recommendation.ceil_replicas: (2.5,),
    recommendation.known_until_ns: (SCALING, 5, 70),
    recommendation.load_of: (SCALING, HISTORY, RING, 20, 10),
    recommendation.recommend: (SCALING, 9.0, 2, 1, 3, 3),
    recommendation.within_rates: (SCALING, 9, 2),
    retries.wait_ns: (retry_rule(attempts=3), 1, 77),
    retries.wants_retry: (retry_rule(attempts=3), 1, 2),
    rollout.command: (ROLLOUT, UNDER_WAY, int(rollout.Command.PROMOTE), 50),
    rollout.idle_rollout: (),
    rollout.step: (ROLLOUT, UNDER_WAY, SEEN, 50),
    rollout.tally: (ROLLOUT, 1, 10**9),
    routing.choose: (routing_rule(balance="power_of_two"), routing.RoutingState(0), SERIALS, SERIALS, 2, 2**61),
    routing.fresh_routing: (),
    routing.uses_die: (routing_rule(balance="random"),),
    scaling_brakes.has_persisted: (SCALING, 1, 1, 5),
    scaling_brakes.is_cooling: (5, 10, 7),
    scaling_brakes.least_down: (SCALING, HISTORY, 3, 20),
    scaling_brakes.most_up: (SCALING, HISTORY, 3, 20),
    scaling_brakes.stabilised: (SCALING, HISTORY, 3, 2, 20),
    versions.choose: (WEIGHTS, 1 << 61, -1),
    versions.point: (1 << 61, 9_000),
    versions.shadows: (500, 1 << 61),
    versions.with_canary: (WEIGHTS, 5_000),
    versions.with_weight: (WEIGHTS, 1, 5_000),
    windows.difference_of_newest: (HISTORY, RING, 10, 20),
    windows.highest_since: (HISTORY, RING, 10, 0),
    windows.latest_until: (HISTORY, RING, 15),
    windows.lowest_since: (HISTORY, RING, 10, 99),
    windows.push: (HISTORY, RING, 20, 8),
    windows.ring_length: (3,),
    windows.size_of: (HISTORY, RING),
    windows.sum_between: (HISTORY, RING, 5, 20),
    windows.time_at: (HISTORY, RING, 1),
    windows.time_mean_between: (HISTORY, RING, 5, 20),
    windows.value_at: (HISTORY, RING, 1),
}


@pytest.mark.parametrize(
    "function",
    [f for module in RULE_MODULES for f in functions_of(module) if not f.__name__.startswith("_")],
    ids=lambda f: f"{f.__module__}.{f.__name__}",
)
def test_public_function_gives_the_same_compiled(function: Callable[..., Any]) -> None:
    """A rule that is added without an entry in ARGUMENTS fails here."""
    assert compiled(function)(*ARGUMENTS[function]) == function(*ARGUMENTS[function])


class Setting(NamedTuple):
    """A rule's setting, as one might be tempted to write it."""

    limit: int


def uses_replace(setting: Setting) -> Setting:
    """Change a field the interpreter's way."""
    return setting._replace(limit=setting.limit + 1)


def test_function_that_cannot_be_compiled_is_told() -> None:
    """The check can fail: `_replace` works in Python and not in Numba."""
    assert uses_replace(Setting(1)) == Setting(2)
    with pytest.raises(TypingError):
        compiled(uses_replace)(Setting(1))
