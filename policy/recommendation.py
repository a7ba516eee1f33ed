"""What the load alone asks for: from samples to the load, from the load to a number of replicas.

Nothing here remembers anything but samples. What the autoscaler makes of the recommendation (windows, delays, limits)
is in policy/autoscaling.py. The float formulas are in the order in which the systems have them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from policy.autoscaling_rule import REPLICAS_MAX, AutoscalingRule, Formula, Mean, NotReady, Signal
from policy.instant import UNSET
from policy.windows import (
    Ring,
    difference_of_newest,
    latest_until,
    sum_between,
    time_mean_between,
    value_at,
)

__all__ = ["Load", "Recommendation", "ceil_replicas", "known_until_ns", "load_of", "recommend", "within_rates"]

_NS_PER_S = 1e9


class Load(NamedTuple):
    """The load of a window, summed over the pool."""

    known: bool  # False: no sample is known yet
    total: float  # in the unit of the signal


class Recommendation(NamedTuple):
    """How many replicas the load asks for."""

    known: bool  # False: there is no ready replica whose load could be told
    replicas: int
    side: int  # 1: the load is above what the fleet is for, -1: below, 0: neither


def known_until_ns(rule: AutoscalingRule, started_ns: int, now_ns: int) -> int:
    """Return the moment up to which samples have come through the metric pipeline; before the start: none has."""
    until_ns = now_ns - rule.lag_ns
    if rule.report_ns > 0:
        until_ns = started_ns + (until_ns - started_ns) // rule.report_ns * rule.report_ns
    return until_ns


def load_of(rule: AutoscalingRule, history: Sequence[int], samples: Ring, until_ns: int, window_ns: int) -> Load:
    """Return the load over the window that ends at until_ns."""
    since_ns = until_ns - window_ns
    if rule.signal == Signal.RATE or rule.signal == Signal.BUSY:
        elapsed_ns, moved = difference_of_newest(history, samples, since_ns, until_ns)
        if elapsed_ns <= 0:
            return Load(False, 0.0)
        if rule.signal == Signal.RATE:
            return Load(True, float(moved) * _NS_PER_S / float(elapsed_ns))
        return Load(True, float(moved) / float(elapsed_ns))
    latest = latest_until(history, samples, until_ns)
    if latest == UNSET:
        return Load(False, 0.0)
    if rule.mean == Mean.TIME:
        return Load(True, time_mean_between(history, samples, since_ns, until_ns))
    window = sum_between(history, samples, since_ns, until_ns)
    if window.entries == 0:
        # A window shorter than the period of the samples: the latest stands for it.
        return Load(True, float(value_at(history, samples, latest)))
    return Load(True, float(window.total) / float(window.entries))


def recommend(
    rule: AutoscalingRule, total: float, ready: int, starting: int, current: int, base: int
) -> Recommendation:
    """Return how many replicas the load asks for.

    `current` is what the fleet was told to have, >= 1; `base` what a ratio above 1 multiplies under NotReady.ALIKE:
    `current`, or what it was before a move up that is still in its cooldown.
    """
    if rule.formula == Formula.TOTAL:
        return _by_total(rule, total, ready, starting, current)
    if rule.formula == Formula.GAIN:
        return _by_gain(rule, total, current)
    return _by_ratio(rule, total, ready, starting, current, base)


def within_rates(rule: AutoscalingRule, replicas: int, ready: int) -> int:
    """Return the replicas within the largest rates of change (Knative: max-scale-up-rate, max-scale-down-rate)."""
    counted = max(ready, 1)
    if rule.down.rate > 0.0:
        replicas = max(replicas, int(float(counted) / rule.down.rate))
    if rule.up.rate > 0.0:
        replicas = min(replicas, ceil_replicas(rule.up.rate * float(counted)))
    return replicas


def ceil_replicas(replicas: float) -> int:
    """Return the least whole number of replicas that is not below, 0..REPLICAS_MAX."""
    if replicas >= REPLICAS_MAX:
        return REPLICAS_MAX
    if replicas <= 0.0:
        return 0
    whole = int(replicas)
    return whole + 1 if float(whole) < replicas else whole


def _by_ratio(
    rule: AutoscalingRule, total: float, ready: int, starting: int, current: int, base: int
) -> Recommendation:
    """Kubernetes, per-pod and resource metrics; target tracking under NotReady.ALIKE."""
    if ready == 0:
        return Recommendation(False, current, 0)
    ratio = _ratio(rule, total, ready)
    if _within_band(rule, ratio):
        return Recommendation(True, current, 0)
    side = 1 if ratio > 1.0 else -1
    if rule.not_ready == NotReady.ALIKE:
        # A need that does not exceed what was added already leaves the fleet as it is.
        needed = max(ceil_replicas(ratio * float(base)), current) if side > 0 else ceil_replicas(ratio * float(current))
        return Recommendation(True, needed, side)
    if rule.not_ready == NotReady.LEFT_OUT or starting == 0 or side < 0:
        return Recommendation(True, ceil_replicas(ratio * float(ready)), side)
    # With those that are starting, and as yet carry nothing, the load might be bearable.
    counted = ready + starting
    dampened = _ratio(rule, total, counted)
    replicas = ceil_replicas(dampened * float(counted))
    if _within_band(rule, dampened) or dampened < 1.0 or replicas < current:
        return Recommendation(True, current, 0)
    return Recommendation(True, replicas, side)


def _by_total(rule: AutoscalingRule, total: float, ready: int, starting: int, current: int) -> Recommendation:
    """Kubernetes, average values of external metrics (so KEDA), and Knative, which has no dead band."""
    counted = ready if rule.not_ready == NotReady.LEFT_OUT else ready + starting
    has_band = rule.up.dead_band > 0.0 or rule.down.dead_band > 0.0
    if has_band and counted > 0 and _within_band(rule, total / (rule.target * float(counted))):
        return Recommendation(True, current, 0)
    replicas = ceil_replicas(total / rule.target)
    return Recommendation(True, replicas, _side(replicas, current))


def _by_gain(rule: AutoscalingRule, total: float, current: int) -> Recommendation:
    """Ray Serve. A gain below 1 must not keep a fleet one replica above its need for ever: then it gives up one."""
    raw = total / rule.target
    gain = rule.up.gain if raw > float(current) else rule.down.gain
    replicas = ceil_replicas(float(current) + gain * (raw - float(current)))
    if ceil_replicas(raw) < current and replicas == current:
        replicas = current - 1
    return Recommendation(True, replicas, _side(replicas, current))


def _ratio(rule: AutoscalingRule, total: float, replicas: int) -> float:
    """Return the load per replica in targets."""
    if rule.formula == Formula.UTILISATION:
        return float(int(100.0 * total / float(replicas))) / rule.target
    return total / float(replicas) / rule.target


def _within_band(rule: AutoscalingRule, ratio: float) -> bool:
    """Return whether the ratio is so close to 1 that nothing is to be done."""
    return 1.0 - rule.down.dead_band <= ratio <= 1.0 + rule.up.dead_band


def _side(replicas: int, current: int) -> int:
    """Return in which direction the recommendation lies."""
    if replicas > current:
        return 1
    return -1 if replicas < current else 0
