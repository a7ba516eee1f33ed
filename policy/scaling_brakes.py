"""What holds a recommendation back: the recommendations and moves of the last while, and a need that is too young.

policy/autoscaling.py applies the brakes in this order. What each system calls them is in policy/autoscaler_presets.py.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence

from policy.autoscaling_rule import (
    REPLICAS_MAX,
    AutoscalingRule,
    Direction,
    Select,
    Stabilisation,
    moves_of,
    recommendations_of,
)
from policy.instant import NEVER_NS, UNSET
from policy.recommendation import ceil_replicas
from policy.windows import highest_since, lowest_since, push, sum_between

__all__ = ["has_persisted", "is_cooling", "least_down", "most_up", "stabilised"]


def stabilised(rule: AutoscalingRule, history: MutableSequence[int], current: int, replicas: int, now_ns: int) -> int:
    """Return what the recommendations of the last while make of this one, which is written down with them."""
    recommendations = recommendations_of(rule)
    push(history, recommendations, now_ns, replicas)
    highest = highest_since(history, recommendations, now_ns - rule.down.stabilisation_ns, replicas)
    if rule.stabilisation == Stabilisation.HIGHEST:
        return highest
    lowest = lowest_since(history, recommendations, now_ns - rule.up.stabilisation_ns, replicas)
    return min(max(current, lowest), highest)


def has_persisted(rule: AutoscalingRule, direction: int, side: int, persisted_ns: int) -> bool:
    """Return whether the load has asked for a move in that direction for long enough."""
    delay_ns = rule.up.delay_ns if direction > 0 else rule.down.delay_ns
    return delay_ns == 0 or (side == direction and persisted_ns >= delay_ns)


def is_cooling(moved_ns: int, cooldown_ns: int, now_ns: int) -> bool:
    """Return whether the cooldown of a move goes on."""
    return moved_ns != UNSET and now_ns - moved_ns < cooldown_ns


def most_up(rule: AutoscalingRule, history: Sequence[int], current: int, now_ns: int) -> int:
    """Return the most replicas that the step limits allow, `current` at the least."""
    up = rule.up
    if up.step_select == Select.DISABLED:
        return current
    by_count = _at_begin(rule, history, current, now_ns - up.step_count_period_ns) + up.step_count
    begin = _at_begin(rule, history, current, now_ns - up.step_percent_period_ns)
    by_percent = ceil_replicas(float(begin) * (1.0 + float(up.step_percent) / 100.0))
    most = max(by_count, by_percent) if up.step_select == Select.MOST else min(by_count, by_percent)
    return max(_of_those_set(up, by_count, by_percent, most, REPLICAS_MAX), rule.step_up_least, current)


def least_down(rule: AutoscalingRule, history: Sequence[int], current: int, now_ns: int) -> int:
    """Return the fewest replicas that the step limits allow, `current` at the most."""
    down = rule.down
    if down.step_select == Select.DISABLED:
        return current
    by_count = _at_begin(rule, history, current, now_ns - down.step_count_period_ns) - down.step_count
    begin = _at_begin(rule, history, current, now_ns - down.step_percent_period_ns)
    by_percent = int(float(begin) * (1.0 - float(down.step_percent) / 100.0))
    least = min(by_count, by_percent) if down.step_select == Select.MOST else max(by_count, by_percent)
    return min(_of_those_set(down, by_count, by_percent, least, 0), current)


def _of_those_set(direction: Direction, by_count: int, by_percent: int, by_both: int, by_none: int) -> int:
    """Return the limit that follows from those of the two limits that are set."""
    if direction.step_count > 0 and direction.step_percent > 0:
        return by_both
    if direction.step_count > 0:
        return by_count
    return by_percent if direction.step_percent > 0 else by_none


def _at_begin(rule: AutoscalingRule, history: Sequence[int], current: int, since_ns: int) -> int:
    """Return how many replicas there were before the moves behind since_ns."""
    return current - sum_between(history, moves_of(rule), since_ns, NEVER_NS).total
