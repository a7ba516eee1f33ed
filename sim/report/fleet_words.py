"""An autoscaler and a price in words, of one scenario or of several that differ in them: then each value is told.

question.py says everything else of a scenario.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from policy.autoscaling_rule import AutoscalingRule, Formula, Signal
from policy.autoscaling_settings import target_in_words
from sim.scenario.rules import serving_rules
from sim.scenario.spec import Scenario
from sim.scenario.units import listed
from sim.scenario.versions import each_version

__all__ = ["autoscaled_in_words", "counted", "either", "price_in_words", "serving_in_words"]

Value = TypeVar("Value")

_FEW = 4
"""More values are told by the first two and the last."""

_SIGNALS = {
    Signal.WAITING: "waiting requests",
    Signal.IN_FLIGHT: "requests in flight",
    Signal.RATE: "requests per second",
    Signal.BUSY: "busy devices",
}


def autoscaled_in_words(scenarios: Sequence[Scenario], whose: str = "") -> str:
    """Return with how many replicas autoscaled fleets start, which autoscalers they have, and what those aim at.

    `whose` stands behind what serves, as in `each version`.
    """
    rules = [serving_rules(scenario).autoscaler for scenario in scenarios]
    serving = f"{serving_in_words(scenarios)}{whose} at the start"
    return f"{serving}; an autoscaler{_kinds(scenarios)} {_bounds(rules)} {_aims(rules)}"


def serving_in_words(scenarios: Sequence[Scenario]) -> str:
    """Return how many replicas serve; of their instances only what all have."""
    counts = _distinct(scenario.fleet.replicas for scenario in scenarios)
    instances = _distinct(scenario.fleet.instances for scenario in scenarios)
    are_several = counts != [1]
    told = f" with {instances[0]} instances of the model{' each' if are_several else ''}"
    of_instances = told if len(instances) == 1 and instances != [1] else ""
    words = either(["one" if count == 1 else str(count) for count in counts])
    return f"{words} {'replicas' if are_several else 'replica'}{of_instances} {'serve' if are_several else 'serves'}"


def price_in_words(scenarios: Sequence[Scenario]) -> str | None:
    """Return what a replica costs by the hour, each price where there are several; None without any."""
    prices = _distinct(price for scenario in scenarios for price in _prices(scenario))
    if not prices:
        return None
    return f"A replica costs {either(prices)} an hour."


def _prices(scenario: Scenario) -> list[str]:
    """Return the price of a replica of each version, with its currency."""
    cost = scenario.cost
    if cost is None:
        return []
    machines = [alone.fleet.machine for alone in each_version(scenario)]
    prices = [cost.replica_hour if kind is None else cost.machines[kind].replica_hour for kind in machines]
    return [f"{price:g} {cost.currency}" for price in prices]


def _kinds(scenarios: Sequence[Scenario]) -> str:
    """Return after which systems autoscalers are made."""
    presets = _distinct(scenario.fleet.autoscaler.preset for scenario in scenarios if scenario.fleet.autoscaler)
    if presets == [None]:
        return ""
    like = f" like {either([name for name in presets if name is not None])}"
    return f"{like}, or with settings of its own," if None in presets else like


def _bounds(rules: Sequence[AutoscalingRule]) -> str:
    """Return between how many replicas autoscalers keep a fleet."""
    ends = [(0 if rule.to_zero else rule.replicas_min, rule.replicas_max) for rule in rules]
    told = [
        f"{least} to {either([str(most) for most in _distinct(high for low, high in ends if low == least)])}"
        for least in _distinct(low for low, _ in ends)
    ]
    return f"keeps {' or '.join(told)} of them"


def _aims(rules: Sequence[AutoscalingRule]) -> str:
    """Return the load per replica that autoscalers aim at, a preset's where a scenario does not say it."""
    loads: dict[str, list[str]] = {}
    for rule in rules:
        amount, of_what = _aim(rule)
        loads.setdefault(of_what, []).append(amount)
    return f"and aims at {' or '.join(f'{either(_distinct(told))} {of_what}' for of_what, told in loads.items())}"


def _aim(rule: AutoscalingRule) -> tuple[str, str]:
    """Return how much an autoscaler aims at, and of what."""
    target = target_in_words(rule)
    if rule.formula == Formula.UTILISATION:
        return f"{100 * target:g} %", "of each one's devices busy"
    return f"{target:g}", f"{_SIGNALS[Signal(rule.signal)]} for each"


def counted(number: int, thing: str) -> str:
    """Return a number of things; one is a word."""
    return f"one {thing}" if number == 1 else f"{number} {thing}s"


def either(words: Sequence[str]) -> str:
    """Return words with commas, and `or` before the last; of many the first two and the last."""
    if len(words) > _FEW:
        return f"{', '.join(words[:2])} … {words[-1]}"
    return listed(words, "or")


def _distinct(values: Iterable[Value]) -> list[Value]:
    """Return values in their order, each once."""
    return list(dict.fromkeys(values))
