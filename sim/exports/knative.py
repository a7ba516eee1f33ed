"""Knative: a Service whose autoscaler, the KPA, is set by annotations; what holds for the cluster, in a ConfigMap.

The target stands at a utilisation of 100 per cent, since the rule has one number where Knative multiplies two. Requests
then always come through the activator, which chooses among the pods. Several versions are revisions of one Service, of
which traffic can name only those that are there: so there is a file for each, to be applied one after the other.
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
from sim.exports.hpa import settings_of_total
from sim.exports.kubernetes import VersionFleet, each_fleet, note_what_no_pod_says, version_labels
from sim.exports.names import Names
from sim.exports.stated import stated_of_others, stated_of_versions
from sim.exports.telling import Draft, Telling
from sim.exports.texts import number, yaml_text
from sim.scenario.rules import serving_rules
from sim.scenario.spec import Scenario
from sim.scenario.units import write_time
from sim.scenario.versions import version_rules

__all__ = ["write"]

_A = "fleet.autoscaler."
_S: Final = 10**9
_PREFIX: Final = "autoscaling.knative.dev/"
_CONCURRENCY_MOST: Final = 1000
_TIMEOUT_MOST_S: Final = 600
_SIGNALS: Final = (Signal.IN_FLIGHT, Signal.RATE)
_WINDOW_LEAST_NS: Final = 6 * _S
_WINDOW_MOST_NS: Final = 3600 * _S
_TARGET_LEAST: Final = 0.01
_AIMS_LOWER: Final = "the KPA aims at no more than fleet.routing.outstanding_max ({})"
_RATES: Final = (1000.0, 2.0)
"""Knative's own largest rates of change, up and down."""


def write(scenario: Scenario, names: Names) -> Draft:
    """Return knative.yaml, or a file for each version that has a weight. Raises DoesNotFit for what is no KPA."""
    weights = version_rules(scenario).weights
    others = [place for place, weight in enumerate(weights.weights) if weight > 0 and place != weights.stable]
    served, fleets = [weights.stable, *others], each_fleet(scenario, names, "Knative")
    sharing = Telling("Knative", {**stated_of_versions(scenario), **stated_of_others(scenario, *served)})
    shares = {place: sharing.whole_percent(f"versions.{place}.weight", weights.weights[place]) for place in others}
    files: dict[str, str] = {}
    name, labels, cluster = (
        names.of(scenario),
        version_labels(scenario),
        _of_the_cluster([fleets[one] for one in served]),
    )
    for count, place in enumerate(served, 1):
        metadata: dict[str, Any] = {"name": f"{name}-{labels[place]}"} if others else {}
        spec: dict[str, Any] = {"template": _template(fleets[place], metadata)}
        if others:
            spec["traffic"] = _traffic(name, labels, served[:count], shares)
        file = f"knative-{count}-{labels[place]}.yaml" if others else "knative.yaml"
        files[file] = yaml_text(_service(name, spec), *(cluster if count == 1 else ()))
        sharing.say(f"versions.{place}", f"versions.{place}.weight")
    if others:
        sharing.remark(
            f"Apply the files in their order, each once the revision of the one before is ready: {', '.join(files)}."
        )
    return sharing.draft(files, *(fleets[place].telling for place in served))


def _service(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    """Return the Service."""
    metadata = {"name": name}
    return {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": metadata, "spec": spec}


def _traffic(name: str, labels: list[str], there: list[int], shares: dict[int, int]) -> list[dict[str, Any]]:
    """Return the shares of the revisions that are there; the first, the stable version's, has what the others leave."""
    stable, *others = there
    percents = {stable: 100 - sum(shares[place] for place in others), **{place: shares[place] for place in others}}
    return [{"revisionName": f"{name}-{labels[place]}", "percent": percent} for place, percent in percents.items()]


def _template(fleet: VersionFleet, metadata: dict[str, Any]) -> dict[str, Any]:
    """Return the template of a revision; `metadata` is what it has besides its annotations."""
    _, alone, image, telling = fleet
    rule = serving_rules(alone).autoscaler
    annotations = {"class": "kpa.autoscaling.knative.dev"}
    if rule.formula == Formula.FIXED:
        telling.say("fleet.replicas")
        annotations |= {"min-scale": str(alone.fleet.replicas), "max-scale": str(alone.fleet.replicas)}
    else:
        _refuse_other_rules(alone, rule, telling)
        annotations |= {**_bounds(alone, rule, telling), **_target(rule, telling), **_windows(rule, telling)}
        _note_what_knative_has_not(rule, telling)
    note_what_no_pod_says(rule, telling, image)
    return {
        "metadata": {**metadata, "annotations": {f"{_PREFIX}{key}": value for key, value in annotations.items()}},
        "spec": {**_limits(alone, telling), "containers": [{"image": image.text}]},
    }


def _refuse_other_rules(alone: Scenario, rule: AutoscalingRule, telling: Telling) -> None:
    """Raise DoesNotFit for an autoscaler that works its number out in another way than the KPA does."""
    for key, holds, why in (
        ("formula", rule.formula == Formula.TOTAL, "the KPA divides the load of all pods by the target"),
        ("signal", rule.signal in _SIGNALS, "the KPA knows in_flight (concurrency) and rate (rps)"),
        ("panic_window", rule.panic_window_ns > 0, "the KPA always panics"),
        ("window", rule.window_ns >= _WINDOW_LEAST_NS, "the KPA takes 6s at least"),
        ("window", rule.window_ns <= _WINDOW_MOST_NS, "the KPA takes 1h at most"),
        (
            "panic_window",
            100 * rule.panic_window_ns >= rule.window_ns,
            "the KPA takes a hundredth of the window at least",
        ),
        ("panic_threshold", 1.1 <= rule.panic_threshold <= 10.0, "the KPA takes 1.1 to 10"),
        ("target", rule.target >= _TARGET_LEAST, "the KPA takes 0.01 at least"),
        ("target", rule.target <= _target_most(alone, rule.signal), _AIMS_LOWER),
    ):
        if not holds:
            most = alone.fleet.routing.outstanding_max
            telling.refuse(f"{_A}{key}", why.format(most), _settings(alone, rule))
    telling.say(f"{_A}formula", f"{_A}not_ready")


def _settings(alone: Scenario, rule: AutoscalingRule) -> dict[str, str]:
    """Return all that has to be set for an autoscaler to be a KPA: what is in range stays as it is."""
    window_ns = min(max(rule.window_ns, _WINDOW_LEAST_NS), _WINDOW_MOST_NS) if rule.window_ns else 60 * _S
    panic_ns, threshold = rule.panic_window_ns, min(max(rule.panic_threshold, 1.1), 10.0)
    if not window_ns <= 100 * panic_ns < 100 * window_ns:
        panic_ns = window_ns // 10
    knows, target = rule.signal in _SIGNALS, max(rule.target, _TARGET_LEAST)
    if not knows:
        target = float(alone.batching.max_batch)  # a target in another unit says nothing of requests
    target = min(target, _target_most(alone, rule.signal if knows else Signal.IN_FLIGHT))
    changes = (
        ("signal", not knows, "in_flight"),
        ("target", target != rule.target, number(target)),
        ("window", window_ns != rule.window_ns, write_time(window_ns)),
        ("panic_window", panic_ns != rule.panic_window_ns, write_time(panic_ns)),
        ("panic_threshold", threshold != rule.panic_threshold, number(threshold)),
    )
    return settings_of_total(rule) | {f"{_A}{key}": text for key, is_other, text in changes if is_other}


def _target_most(alone: Scenario, signal: int) -> float:
    """Return the largest target: no more requests at once than a pod takes."""
    most = alone.fleet.routing.outstanding_max
    return (
        float(most) if most is not None and most <= _CONCURRENCY_MOST and signal == Signal.IN_FLIGHT else float("inf")
    )


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
    telling.say(f"{_A}signal", f"{_A}target")
    return {
        "metric": "concurrency" if rule.signal == Signal.IN_FLIGHT else "rps",
        "target": number(rule.target),
        "target-utilization-percentage": "100",
    }


def _windows(rule: AutoscalingRule, telling: Telling) -> dict[str, str]:
    """Return over what time is averaged, and for how long what was needed holds."""
    window_s = telling.whole(f"{_A}window", rule.window_ns, "s", _S)
    share = rule.panic_window_ns / rule.window_ns
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


def _limits(alone: Scenario, telling: Telling) -> dict[str, int]:
    """Return what holds for the requests of a pod."""
    told: dict[str, int] = {}
    most = alone.fleet.routing.outstanding_max
    if most is not None and most <= _CONCURRENCY_MOST:
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


def _of_the_cluster(fleets: list[VersionFleet]) -> list[dict[str, Any]]:
    """Return the ConfigMap with the largest rates of change, where they are not Knative's own; none is a huge one."""
    rates = _RATES
    for place, (_, alone, _, telling) in enumerate(_scaled(fleets)):
        rule = serving_rules(alone).autoscaler
        own = (rule.up.rate or float(REPLICAS_MAX), rule.down.rate or float(REPLICAS_MAX))
        rates = own if place == 0 else rates
        if own == rates:
            telling.say(f"{_A}rate_up", f"{_A}rate_down")
        telling.note("config-autoscaler has one for all: that of the first version", f"{_A}rate_up", f"{_A}rate_down")
        if place == 0 and rates != _RATES:
            telling.remark("config-autoscaler holds for every Service of the cluster.")
    if rates == _RATES:
        return []
    data = {"max-scale-up-rate": number(rates[0]), "max-scale-down-rate": number(rates[1])}
    metadata = {"name": "config-autoscaler", "namespace": "knative-serving"}
    return [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}]


def _scaled(fleets: list[VersionFleet]) -> list[VersionFleet]:
    """Return those that have an autoscaler."""
    return [fleet for fleet in fleets if serving_rules(fleet.alone).autoscaler.formula != Formula.FIXED]
