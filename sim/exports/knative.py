"""Knative: a Service whose autoscaler, the KPA, is set by annotations; what holds for the cluster, in a ConfigMap.

The target stands at a utilisation of 100 per cent, since the rule has one number where Knative multiplies two. Requests
then always come through the activator, which chooses among the pods.
"""

from __future__ import annotations

from typing import Any, Final

from policy.autoscaling_rule import (
    REPLICAS_MAX,
    Activation,
    AutoscalingRule,
    Formula,
    Mean,
    Signal,
    Stabilisation,
    ZeroFrom,
)
from sim.exports.kubernetes import note_what_no_pod_says
from sim.exports.names import Names
from sim.exports.servers import stable_version
from sim.exports.telling import Draft, Telling
from sim.exports.texts import number, yaml_text
from sim.scenario.rules import serving_rules
from sim.scenario.spec import Scenario

__all__ = ["write"]

_A = "fleet.autoscaler."
_S: Final = 10**9
_PREFIX: Final = "autoscaling.knative.dev/"
_CONCURRENCY_MOST: Final = 1000
_TIMEOUT_MOST_S: Final = 600
_RATES: Final = (1000.0, 2.0)
"""Knative's own largest rates of change, up and down."""


def write(scenario: Scenario, names: Names) -> Draft:
    """Return knative.yaml, of the stable version. Raises DoesNotFit for an autoscaler that is no KPA."""
    alone, stated = stable_version(scenario)
    telling, name = Telling("Knative", stated), names.of(scenario)
    rule = serving_rules(alone).autoscaler
    annotations = {"class": "kpa.autoscaling.knative.dev"}
    if rule.formula == Formula.FIXED:
        telling.say("fleet.replicas")
        annotations |= {"min-scale": str(alone.fleet.replicas), "max-scale": str(alone.fleet.replicas)}
    else:
        _refuse_other_rules(rule, telling)
        annotations |= {**_bounds(alone, rule, telling), **_target(rule, telling), **_windows(rule, telling)}
        _note_what_knative_has_not(rule, telling)
    note_what_no_pod_says(rule, telling, names)
    pods = {**_limits(alone, rule, telling), "containers": [{"image": names.container_image()}]}
    template = {
        "metadata": {"annotations": {f"{_PREFIX}{key}": value for key, value in annotations.items()}},
        "spec": pods,
    }
    service = {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"template": template},
    }
    return telling.draft({"knative.yaml": yaml_text(service, *_of_the_cluster(rule, telling))})


def _refuse_other_rules(rule: AutoscalingRule, telling: Telling) -> None:
    """Raise DoesNotFit for an autoscaler that works its number out in another way than the KPA does."""
    if rule.formula != Formula.TOTAL:
        telling.refuse(f"{_A}formula", "the KPA divides the load of all pods by the target")
    if rule.signal not in (Signal.IN_FLIGHT, Signal.RATE):
        telling.refuse(f"{_A}signal", "the KPA knows in_flight (concurrency) and rate (rps)")
    if rule.panic_window_ns == 0:
        telling.refuse(f"{_A}panic_window", "the KPA always panics: --set fleet.autoscaler.panic_window says when")
    telling.say(f"{_A}formula", f"{_A}not_ready")


def _bounds(alone: Scenario, rule: AutoscalingRule, telling: Telling) -> dict[str, str]:
    """Return how many replicas there are at the least, at the most, at first, and back from none."""
    keys = ("min_replicas", "max_replicas", "scale_to_zero")
    telling.say("fleet.replicas", *(f"{_A}{key}" for key in keys))
    bounds = {
        "min-scale": "0" if rule.to_zero else str(rule.replicas_min),
        "max-scale": "0" if rule.replicas_max == REPLICAS_MAX else str(rule.replicas_max),
        "initial-scale": str(alone.fleet.replicas),
    }
    if alone.fleet.replicas == 0:
        telling.remark("An initial-scale of 0 needs allow-zero-initial-scale in config-autoscaler.")
    back = min(max(rule.replicas_min, rule.activation_replicas), rule.replicas_max)
    if rule.to_zero and back > 1:
        bounds["activation-scale"] = str(back)
        telling.note("Knative keeps so many for as long as there is any load", f"{_A}activation_replicas")
    return bounds


def _target(rule: AutoscalingRule, telling: Telling) -> dict[str, str]:
    """Return what is aimed at."""
    if rule.target < 0.01:
        telling.refuse(f"{_A}target", "the KPA takes 0.01 at least")
    telling.say(f"{_A}signal", f"{_A}target")
    return {
        "metric": "concurrency" if rule.signal == Signal.IN_FLIGHT else "rps",
        "target": number(rule.target),
        "target-utilization-percentage": "100",
    }


def _windows(rule: AutoscalingRule, telling: Telling) -> dict[str, str]:
    """Return over what time is averaged, and for how long what was needed holds."""
    if rule.window_ns < 6 * _S:
        telling.refuse(f"{_A}window", "the KPA takes 6s at least")
    window_s = telling.whole(f"{_A}window", rule.window_ns, "s", _S, most=3600)
    share = rule.panic_window_ns / rule.window_ns
    if share < 0.01:
        telling.refuse(f"{_A}panic_window", "the KPA takes a hundredth of the window at least")
    if not 1.1 <= rule.panic_threshold <= 10.0:
        telling.refuse(f"{_A}panic_threshold", "the KPA takes 1.1 to 10")
    telling.whole(f"{_A}panic_window", rule.panic_window_ns, "s", _S, 1)
    telling.say(f"{_A}panic_threshold")
    told = {
        "window": f"{window_s}s",
        "panic-window-percentage": number(round(100.0 * share, 9)),
        "panic-threshold-percentage": number(round(100.0 * rule.panic_threshold, 9)),
    }
    if rule.down.stabilisation_ns > 0:
        delay_s = telling.whole(f"{_A}stabilisation_down", rule.down.stabilisation_ns, "s", _S, most=3600)
        told["scale-down-delay"] = f"{delay_s}s"
        if rule.stabilisation == Stabilisation.HIGHEST:
            telling.say(f"{_A}stabilisation")
        telling.note("scale-down-delay goes to the highest recommendation of its time, up too", f"{_A}stabilisation")
    if rule.to_zero and rule.idle_ns > 0:
        idle_s = telling.whole(f"{_A}idle", rule.idle_ns, "s", _S, most=3600)
        told["scale-to-zero-pod-retention-period"] = f"{idle_s}s"
    return told


def _note_what_knative_has_not(rule: AutoscalingRule, telling: Telling) -> None:
    """Tell what is fixed in Knative, and what it does not have."""
    fixed = (
        ("tick", rule.tick_ns == 2 * _S, "the KPA ticks every 2s"),
        ("sample", rule.sample_ns == _S, "the KPA asks every pod once a second"),
        ("mean", rule.mean == Mean.SAMPLES, "the KPA takes the plain mean of its samples"),
        ("activation", rule.activation == Activation.AT_ONCE, "the activator asks for a pod at once"),
        ("zero_from", rule.zero_from == ZeroFrom.ONE, "the KPA comes down to one first"),
        ("active", rule.active_ns == rule.window_ns, "a fleet of the KPA stays for a window"),
    )
    for key, holds, why in fixed:
        if holds:
            telling.say(f"{_A}{key}")
        telling.note(why, f"{_A}{key}")


def _limits(alone: Scenario, rule: AutoscalingRule, telling: Telling) -> dict[str, int]:
    """Return what holds for the requests of a pod. Raises DoesNotFit where the target would not be what it aims at."""
    told: dict[str, int] = {}
    most = alone.fleet.routing.outstanding_max
    if most is not None and most <= _CONCURRENCY_MOST:
        if rule.formula != Formula.FIXED and rule.signal == Signal.IN_FLIGHT and rule.target > most:
            telling.refuse(f"{_A}target", f"the KPA aims at no more than fleet.routing.outstanding_max ({most})")
        told["containerConcurrency"] = most
        telling.say("fleet.routing.outstanding_max")
    telling.note(f"containerConcurrency is {_CONCURRENCY_MOST} at most", "fleet.routing.outstanding_max")
    telling.note("the activator holds 10000 requests", "fleet.routing.held_max")
    if (most is None and alone.fleet.routing.balance == "power_of_two") or (
        most is not None and most > 3 and alone.fleet.routing.balance == "round_robin"
    ):
        telling.say("fleet.routing.balance")
    telling.note(
        "the activator takes the less loaded of two pods; with an outstanding_max up to 3 the first that is free, with "
        "a larger one each in turn",
        *("fleet.routing.balance", "fleet.routing.tie"),
    )
    deadline_ns = alone.queue.deadline
    if deadline_ns is not None and deadline_ns <= _TIMEOUT_MOST_S * _S:
        told["timeoutSeconds"] = telling.whole("queue.deadline", deadline_ns, "s", _S, 1)
    telling.note(f"timeoutSeconds is {_TIMEOUT_MOST_S} at most", "queue.deadline")
    return told


def _of_the_cluster(rule: AutoscalingRule, telling: Telling) -> list[dict[str, Any]]:
    """Return the ConfigMap with the largest rates of change, where they are not Knative's own; none is a huge one."""
    rates = (rule.up.rate or float(REPLICAS_MAX), rule.down.rate or float(REPLICAS_MAX))
    telling.say(f"{_A}rate_up", f"{_A}rate_down")
    if rule.formula == Formula.FIXED or rates == _RATES:
        return []
    telling.remark("config-autoscaler holds for every Service of the cluster.")
    data = {"max-scale-up-rate": number(rates[0]), "max-scale-down-rate": number(rates[1])}
    metadata = {"name": "config-autoscaler", "namespace": "knative-serving"}
    return [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}]
