"""What holds a recommendation back: tables, each interpreted and compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from policy import scaling_brakes
from policy.autoscaling import history_length
from policy.autoscaling_rule import REPLICAS_MAX, AutoscalingRule, moves_of, recommendations_of
from policy.autoscaling_settings import autoscaling_rule
from policy.instant import UNSET
from policy.windows import push
from tests.policy.both_ways import WAYS, run_way

S = 10**9


def rule(**options: Any) -> AutoscalingRule:
    """Return a rule without a largest fleet."""
    return autoscaling_rule(**{"target": 1.0, "max_replicas": None, "tick_ns": S, **options})


def history_of(way: str, chosen: AutoscalingRule) -> Any:
    """Return an empty history."""
    length = history_length(chosen)
    return [0] * length if way == "interpreted" else np.zeros(length, np.int64)


FOUR_IN_15 = {"step_up_count": 4, "step_up_count_period_ns": 15 * S}
DOUBLE_IN_15 = {"step_up_percent": 100, "step_up_percent_period_ns": 15 * S}
LEAST = {"step_up_select": "least"}

UP: list[tuple[str, dict[str, Any], int, list[tuple[int, int]], int]] = [
    # name, rule, current at 100 s, moves (s, replicas) -> at most
    ("no limit", {}, 7, [], REPLICAS_MAX),
    ("HPA, no behavior, doubles", {"step_up_percent": 100, "step_up_least": 4}, 7, [], 14),
    ("HPA, no behavior, but to 4 at once", {"step_up_percent": 100, "step_up_least": 4}, 1, [], 4),
    ("count", FOUR_IN_15, 7, [], 11),
    ("count, partly used", FOUR_IN_15, 7, [(90, 3)], 8),
    ("count, used up", FOUR_IN_15, 7, [(90, 6)], 7),
    ("count, used up 15 s ago", FOUR_IN_15, 7, [(85, 6)], 11),
    ("what was removed may come back", FOUR_IN_15, 7, [(90, -2)], 13),
    ("per cent of the begin", DOUBLE_IN_15, 7, [(90, 2)], 10),
    ("the more of both", {**FOUR_IN_15, **DOUBLE_IN_15}, 3, [], 7),
    ("the less of both", {**FOUR_IN_15, **DOUBLE_IN_15, **LEAST}, 3, [], 6),
    ("a part of a replica is one", {"step_up_percent": 10}, 7, [], 8),
    ("disabled", {**FOUR_IN_15, "step_up_select": "disabled"}, 7, [], 7),
]

DOWN: list[tuple[str, dict[str, Any], int, list[tuple[int, int]], int]] = [
    # name, rule, current at 100 s, moves (s, replicas) -> at least
    ("no limit", {}, 7, [], 0),
    ("all of it", {"step_down_percent": 100}, 7, [], 0),
    ("half of it", {"step_down_percent": 50}, 7, [], 3),
    ("count", {"step_down_count": 2, "step_down_count_period_ns": 60 * S}, 7, [], 5),
    ("count, used up", {"step_down_count": 2, "step_down_count_period_ns": 60 * S}, 7, [(50, -2)], 7),
    ("the more of both", {"step_down_count": 2, "step_down_percent": 50}, 7, [], 3),
    ("the less of both", {"step_down_count": 2, "step_down_percent": 50, "step_down_select": "least"}, 7, [], 5),
    ("disabled", {"step_down_select": "disabled"}, 7, [], 7),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("side", "name", "options", "current", "moves", "limit"),
    [("up", *case) for case in UP] + [("down", *case) for case in DOWN],
    ids=lambda value: value.replace(" ", "_") if isinstance(value, str) else None,
)
def test_step_limits_count_from_the_begin_of_their_period(
    way: str, side: str, name: str, options: dict[str, Any], current: int, moves: list[tuple[int, int]], limit: int
) -> None:
    """Kubernetes: the fleet of the begin is today's less what was added since, plus what was removed."""
    chosen = rule(**options)
    history = history_of(way, chosen)
    for time, replicas in moves:
        push(history, moves_of(chosen), time * S, replicas)
    function = scaling_brakes.most_up if side == "up" else scaling_brakes.least_down
    assert run_way(way, function)(chosen, history, current, 100 * S) == limit


HIGHEST = {"stabilisation": "highest", "stabilisation_down_ns": 30 * S}
BETWEEN = {"stabilisation_up_ns": 10 * S, "stabilisation_down_ns": 30 * S}
EARLIER = [(60, 1), (75, 9), (95, 4)]

STABLE: list[tuple[str, dict[str, Any], int, int, int]] = [
    # name, rule, current, recommended now at 100 s -> replicas
    ("no window", {}, 5, 2, 2),
    ("the highest of 30 s holds", HIGHEST, 9, 2, 9),
    ("and leads up", HIGHEST, 5, 2, 9),
    ("a higher one counts at once", HIGHEST, 5, 12, 12),
    ("between: the highest holds", BETWEEN, 9, 2, 9),
    ("between: it does not lead up", BETWEEN, 5, 2, 5),
    ("between: down to the highest", BETWEEN, 11, 2, 9),
    ("between: up to the lowest of 10 s", BETWEEN, 2, 12, 4),
    ("between: that does not lead down", BETWEEN, 6, 12, 6),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("name", "options", "current", "now", "replicas"), STABLE, ids=[case[0].replace(" ", "_") for case in STABLE]
)
def test_recommendations_of_the_last_while_hold_a_move_back(
    way: str, name: str, options: dict[str, Any], current: int, now: int, replicas: int
) -> None:
    """Recommended before: 1 at 60 s (outside of every window), 9 at 75 s, 4 at 95 s."""
    chosen = rule(**options)
    history = history_of(way, chosen)
    for time, earlier in EARLIER:
        push(history, recommendations_of(chosen), time * S, earlier)
    assert run_way(way, scaling_brakes.stabilised)(chosen, history, current, now, 100 * S) == replicas


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("direction", "side", "persisted", "may"),
    [
        (1, 1, 29, False),
        (1, 1, 30, True),
        (-1, -1, 599, False),
        (-1, -1, 600, True),
        (1, 0, 99, False),
        (1, -1, 99, False),
    ],
)
def test_need_must_have_persisted(way: str, direction: int, side: int, persisted: int, may: bool) -> None:
    """Up for 30 s, down for 600 s; a need in the other direction is none in this."""
    chosen = rule(delay_up_ns=30 * S, delay_down_ns=600 * S)
    assert run_way(way, scaling_brakes.has_persisted)(chosen, direction, side, persisted * S) == may
    assert run_way(way, scaling_brakes.has_persisted)(rule(), direction, side, persisted * S)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("moved", "now", "cools"), [(UNSET, 5, False), (10, 309, True), (10, 310, False)])
def test_cooldown_is_over_when_its_time_is(way: str, moved: int, now: int, cools: bool) -> None:
    """Its last nanosecond still belongs to it; without a move there is none."""
    assert run_way(way, scaling_brakes.is_cooling)(moved, 300, now) == cools
