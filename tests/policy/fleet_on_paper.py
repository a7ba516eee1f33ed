"""A fleet that does what an autoscaler says, and a load that knows nothing of it: what the tests of the rule watch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from policy.autoscaling import AutoscalingRule, FleetView, fresh_autoscaler, history_length, step
from tests.policy.both_ways import run_way

S = 10**9

Load = Callable[[float], float]
"""From seconds to requests in the pool, or to requests (busy devices) per second where the rule watches a counter."""


def steps(*levels: tuple[float, float]) -> Load:
    """Return the load that has each level from its second on, and none before the first."""
    return lambda second: next((level for since, level in reversed(levels) if since <= second), 0.0)


def history_for(way: str, rule: AutoscalingRule) -> Any:
    """Return the empty history of a driver: a list, or an array where the rule is compiled."""
    length = history_length(rule)
    return [0] * length if way == "interpreted" else np.zeros(length, np.int64)


def moves(
    way: str,
    rule: AutoscalingRule,
    load: Load,
    until_s: float,
    *,
    replicas: int = 1,
    cold_start_s: float = 0.0,
    extra_asks_s: tuple[float, ...] = (),
    counters: bool = False,
) -> list[tuple[float, int, str]]:
    """Return the moves (second, replicas wanted, cause) of a run; a fleet without replicas holds its load waiting.

    The run asks when it was told to, at `extra_asks_s`, and nowhere else. A replica is ready a cold start after it was
    ordered. Counters are exact up to each whole second, where the loads of these tests change.
    """
    state, history, decide = fresh_autoscaler(rule, 0), history_for(way, rule), run_way(way, step)
    ready_s = [0.0] * replicas
    extra_ns = sorted(round(second * S) for second in extra_asks_s)
    total, counted_s = 0.0, 0
    found: list[tuple[float, int, str]] = []
    now_ns = 0
    while now_ns <= until_s * S:
        second = now_ns / S
        level = load(second)
        while counted_s < second:
            total, counted_s = total + load(counted_s), counted_s + 1
        ready = sum(at <= second for at in ready_s)
        in_flight = 0 if counters else round(level)
        view = FleetView(
            waiting=0 if ready_s else in_flight,
            in_flight=in_flight,
            arrived=round(total),
            busy_ns=round(total * S),
            ready=ready,
            starting=len(ready_s) - ready,
            wanted=len(ready_s),
        )
        state, scaling = decide(rule, state, history, view, now_ns)
        assert scaling.ask_again_ns > now_ns
        if scaling.wanted != view.wanted:
            found.append((second, scaling.wanted, scaling.cause.name))
        ready_s = sorted(ready_s)[: scaling.wanted]
        ready_s += [second + cold_start_s] * (scaling.wanted - len(ready_s))
        extra_ns = [at_ns for at_ns in extra_ns if at_ns > now_ns]
        now_ns = min([scaling.ask_again_ns, *extra_ns[:1]])
    return found
