"""KEDA: a Deployment and a ScaledObject for each version, whose trigger asks Prometheus.

KEDA looks at the trigger at its polls and goes to none and back; between, the HPA that it creates does the rest.
"""

from __future__ import annotations

from typing import Any, Final, NoReturn

from policy.autoscaling_rule import Activation, AutoscalingRule, Formula, Signal, ZeroFrom
from sim.exports.hpa import (
    behavior,
    note_what_no_hpa_says,
    quantity,
    refuse_other_rules,
    settings_of_an_hpa,
    settings_of_total,
)
from sim.exports.kubernetes import VersionFleet, deployment, each_fleet
from sim.exports.names import Names
from sim.exports.stated import stated_of_versions
from sim.exports.telling import Draft, Telling
from sim.exports.texts import number, prometheus_span, yaml_text
from sim.scenario.rules import serving_rules
from sim.scenario.spec import Scenario

__all__ = ["write"]

_A = "fleet.autoscaler."
_S: Final = 10**9
_MS: Final = 10**6


def write(scenario: Scenario, names: Names) -> Draft:
    """Return keda.yaml. Raises DoesNotFit for an autoscaler that is none of KEDA's, ScenarioError for a name."""
    documents, fleets = [], each_fleet(scenario, names, "KEDA")
    rules = [serving_rules(fleet.alone).autoscaler for fleet in fleets]
    if all(rule.formula == Formula.FIXED for rule in rules):
        _refuse_fixed(scenario, fleets)
    for (name, alone, image, telling), rule in zip(fleets, rules, strict=True):
        documents.append(deployment(name, alone, rule, image, telling))
        if rule.formula != Formula.FIXED:
            documents.append(_scaled_object(name, rule, names, telling))
    sharing = Telling("keda", stated_of_versions(scenario))
    sharing.say(*(f"versions.{place}" for place in range(len(scenario.versions))))
    return sharing.draft({"keda.yaml": yaml_text(*documents)}, *(fleet.telling for fleet in fleets))


def _refuse_fixed(scenario: Scenario, fleets: list[VersionFleet]) -> NoReturn:
    """Raise DoesNotFit, with an autoscaler of KEDA's that has room for the replicas that there are."""
    most = max(10, *(fleet.alone.fleet.replicas for fleet in fleets))
    autoscaler = f"{{preset: keda, target: {scenario.batching.max_batch}, max_replicas: {most}}}"
    telling = fleets[0].telling
    telling.refuse("fleet.autoscaler", "KEDA is for a fleet that has one", {"fleet.autoscaler": autoscaler})


def _scaled_object(name: str, rule: AutoscalingRule, names: Names, telling: Telling) -> dict[str, Any]:
    """Return the ScaledObject of one version. Raises DoesNotFit."""
    if rule.formula != Formula.TOTAL:
        settings = {**settings_of_total(rule), **settings_of_an_hpa(rule, telling)}
        telling.refuse(f"{_A}formula", "KEDA divides the load of all pods by the target", settings)
    refuse_other_rules(rule, telling)
    spec: dict[str, Any] = {"scaleTargetRef": {"name": name}, **_to_none(rule, telling), **_bounds(rule, telling)}
    limits = behavior(rule, telling)
    if limits is not None:
        spec["advanced"] = {"horizontalPodAutoscalerConfig": {"behavior": limits}}
    spec["triggers"] = [_trigger(rule, names, telling)]
    note_what_no_hpa_says(rule, telling)
    metadata = {"name": name, "labels": {"app": name}}
    return {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": metadata, "spec": spec}


def _to_none(rule: AutoscalingRule, telling: Telling) -> dict[str, Any]:
    """Return when it goes to none, nothing where it never does."""
    if not rule.to_zero:
        return {}
    telling.say(f"{_A}scale_to_zero", f"{_A}idle")
    if rule.activation == Activation.AT_POLL:
        telling.say(f"{_A}activation")
    telling.note("KEDA looks at its polls only", f"{_A}activation")
    if rule.zero_from == ZeroFrom.ANY:
        telling.say(f"{_A}zero_from")
    telling.note("KEDA goes to none from any number of pods", f"{_A}zero_from")
    telling.note("KEDA counts from the last poll with load alone", f"{_A}active")
    telling.note("KEDA comes back with minReplicaCount, or one", f"{_A}activation_replicas")
    # KEDA waits for more than cooldownPeriod, the rule for as long as `idle`.
    cooldown_s = max(rule.idle_ns - 1, 0) // _S
    if rule.idle_ns not in (0, cooldown_s * _S + 1):
        spelled = telling.spelled(f"{_A}idle")
        telling.remark(f"{spelled} ends at the first poll that is more than cooldownPeriod behind: so {cooldown_s} s.")
    poll_s = telling.whole(f"{_A}poll", rule.poll_ns or rule.tick_ns, "s", _S, 1)
    return {"pollingInterval": poll_s, "cooldownPeriod": cooldown_s}


def _bounds(rule: AutoscalingRule, telling: Telling) -> dict[str, Any]:
    """Return the least and the most replicas; with a least number above one, none at all is KEDA's idle mode."""
    telling.say(f"{_A}min_replicas", f"{_A}max_replicas")
    idle = {"idleReplicaCount": 0} if rule.to_zero and rule.replicas_min > 1 else {}
    least = 0 if rule.to_zero and rule.replicas_min == 1 else rule.replicas_min
    return {**idle, "minReplicaCount": least, "maxReplicaCount": rule.replicas_max}


def _trigger(rule: AutoscalingRule, names: Names, telling: Telling) -> dict[str, Any]:
    """Return the trigger: the load of all pods, of which each is to have the threshold."""
    metadata = {
        "serverAddress": names.prometheus_address(),
        "query": _query(rule, names.series(rule.signal), telling),
        "threshold": number(rule.target),
    }
    quantity(f"{_A}target", rule.target, telling)
    telling.say(f"{_A}signal")
    if rule.to_zero and rule.activation_above > 0.0:
        metadata["activationThreshold"] = number(rule.activation_above)
        telling.say(f"{_A}activation_above")
    telling.remark("Prometheus must have the series of `query` from every pod; put your own labels in.")
    return {"type": "prometheus", "metricType": "AverageValue", "metadata": metadata}


def _query(rule: AutoscalingRule, series: str, telling: Telling) -> str:
    """Return the load in the language of Prometheus: the latest level or its mean, or how fast a counter moves."""
    scrape = "Prometheus must scrape so often"
    if rule.signal in (Signal.RATE, Signal.BUSY):
        telling.note(scrape, f"{_A}sample")
        if rule.window_ns == 0:
            return f"sum(irate({series}[5m]))"
        return f"sum(rate({series}[{_span('window', rule.window_ns, telling)}]))"
    if rule.window_ns == 0:
        telling.note(scrape, f"{_A}sample")
        return f"sum({series})"
    telling.say(f"{_A}mean")
    window, step = _span("window", rule.window_ns, telling), _span("sample", rule.sample_ns, telling)
    return f"avg_over_time(sum({series})[{window}:{step}])"


def _span(key: str, time_ns: int, telling: Telling) -> str:
    """Return a time of the autoscaler as Prometheus writes it."""
    return prometheus_span(telling.whole(f"{_A}{key}", time_ns, "ms", _MS, 1))
