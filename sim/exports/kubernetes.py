"""Kubernetes: a Deployment of each version, and a HorizontalPodAutoscaler (autoscaling/v2) if it has an autoscaler."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from policy.autoscaling_rule import AutoscalingRule, Formula
from sim.exports.hpa import behavior, note_what_no_hpa_says, quantity, refuse_other_rules
from sim.exports.names import Image, Names, label
from sim.exports.stated import COLD_START, stated_of_fleet, stated_of_versions
from sim.exports.telling import Draft, Telling
from sim.exports.texts import yaml_text
from sim.scenario.rules import serving_rules
from sim.scenario.spec import Scenario
from sim.scenario.versions import each_version, version_names

__all__ = [
    "VersionFleet",
    "deployment",
    "each_fleet",
    "note_what_no_pod_says",
    "pod_template",
    "version_labels",
    "write",
]

_A = "fleet.autoscaler."

_VERSION_MOST: Final = 20
"""Letters of a version in the names of its objects, which with that of the model may have 63."""


class VersionFleet(NamedTuple):
    """What serves one version."""

    name: str  # of its objects
    alone: Scenario  # that the version would be
    image: Image
    telling: Telling  # its account


def write(scenario: Scenario, names: Names) -> Draft:
    """Return kubernetes.yaml. Raises DoesNotFit for an autoscaler that is no HPA's, ScenarioError for a name."""
    documents, tellings = [], []
    for name, alone, image, telling in each_fleet(scenario, names, "an HPA"):
        rule = serving_rules(alone).autoscaler
        documents.append(deployment(name, alone, rule, image, telling))
        if rule.formula != Formula.FIXED:
            documents.append(_autoscaler(name, rule, names, telling))
        tellings.append(telling)
    sharing = Telling("kubernetes", stated_of_versions(scenario))
    sharing.say(*(f"versions.{place}" for place in range(len(scenario.versions))))
    return sharing.draft({"kubernetes.yaml": yaml_text(*documents)}, *tellings)


def each_fleet(scenario: Scenario, names: Names, system: str) -> list[VersionFleet]:
    """Return what serves each version. Raises ScenarioError for a name or an image."""
    name, labels, images = names.of(scenario), version_labels(scenario), names.images(scenario)
    return [
        VersionFleet(
            f"{name}-{labels[place]}" if scenario.versions else name,
            alone,
            images[place],
            Telling(system, stated_of_fleet(scenario, place)),
        )
        for place, alone in enumerate(each_version(scenario))
    ]


def version_labels(scenario: Scenario) -> list[str]:
    """Return what the versions are called in the names of objects, each otherwise."""
    labels = [label(version, _VERSION_MOST) for version in version_names(scenario)]
    if len(set(labels)) < len(labels):
        labels = [f"{text}-{place}" for place, text in enumerate(labels)]
    return labels


def deployment(name: str, alone: Scenario, rule: AutoscalingRule, image: Image, telling: Telling) -> dict[str, Any]:
    """Return the Deployment of one version."""
    telling.say("fleet.replicas")
    if rule.formula != Formula.FIXED:
        telling.remark(
            "spec.replicas is what the fleet starts with: take it out once it runs, or each apply sets it back."
        )
    note_what_no_pod_says(rule, telling, image)
    if (alone.fleet.replicas if rule.formula == Formula.FIXED else rule.replicas_min) == 1:
        telling.remark(
            "There may be one pod: while it is replaced or lost, nobody answers. With fleet.spare a plan keeps more."
        )
    telling.note("add the label of its nodes as nodeSelector", "fleet.machine")
    telling.note("a ReplicaSet takes the youngest ready pods first", "fleet.drain")
    spreads, holds = ("fleet.routing.balance", "fleet.routing.tie"), ("outstanding_max", "held_max")
    telling.note("a Service spreads connections by chance; an ingress or a mesh can do more", *spreads)
    telling.note("a Service holds nothing back; an ingress or a mesh can", *(f"fleet.routing.{key}" for key in holds))
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "replicas": alone.fleet.replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": pod_template(name, rule, image),
        },
    }


def pod_template(name: str, rule: AutoscalingRule, image: Image) -> dict[str, Any]:
    """Return the template of the pods; with a target of use, one device stands as one CPU."""
    container: dict[str, Any] = {"name": "server", "image": image.text}
    if rule.formula == Formula.UTILISATION:
        container["resources"] = {"requests": {"cpu": "1"}}
    return {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}


def note_what_no_pod_says(rule: AutoscalingRule, telling: Telling, image: Image) -> None:
    """Tell what the template of the pods lacks: an image, the time of a start, probes, what a node has to have."""
    if image.lacking:
        telling.remark(image.lacking)
    telling.note("no object sets how long a start takes; a startupProbe has to allow for it", *COLD_START)
    lacking = "probes, no limits and no memory" if rule.formula == Formula.UTILISATION else "probes and no resources"
    telling.remark(
        f"The template of the pods has no ports, no {lacking}, and no Service stands before them, since a "
        "scenario says nothing of these: add a readinessProbe that passes once the model is loaded, or pods get "
        "requests during their cold start; and resources, GPUs too."
    )


def _autoscaler(name: str, rule: AutoscalingRule, names: Names, telling: Telling) -> dict[str, Any]:
    """Return the HorizontalPodAutoscaler of one version. Raises DoesNotFit."""
    refuse_other_rules(rule, telling)
    spec: dict[str, Any] = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "minReplicas": rule.replicas_min,
        "maxReplicas": rule.replicas_max,
        "metrics": [_metric(rule, names, telling)],
    }
    telling.say(f"{_A}min_replicas", f"{_A}max_replicas")
    limits = behavior(rule, telling)
    if limits is not None:
        spec["behavior"] = limits
    note_what_no_hpa_says(rule, telling)
    to_none = ("scale_to_zero", "zero_from", "idle", "active", "activation", "activation_above")
    telling.note(
        "an HPA keeps one pod at least; KEDA and Knative go to none",
        *(f"{_A}{key}" for key in (*to_none, "activation_replicas", "poll")),
    )
    metadata = {"name": name, "labels": {"app": name}}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec}


def _metric(rule: AutoscalingRule, names: Names, telling: Telling) -> dict[str, Any]:
    """Return the one metric: of a pod where the formula is a ratio, external where it is a total over a target."""
    telling.say(f"{_A}signal")
    if rule.formula == Formula.UTILISATION:
        telling.say(f"{_A}target")
        telling.remark(
            "Use of the devices stands as use of the CPU, one CPU for a device: right where they are the CPU; use of a "
            "GPU takes a metric of the pods, which formula: ratio writes."
        )
        target: dict[str, Any] = {"type": "Utilization", "averageUtilization": round(rule.target)}
        return {"type": "Resource", "resource": {"name": "cpu", "target": target}}
    metric = {"name": names.metric(rule.signal)}
    target = {"type": "AverageValue", "averageValue": quantity(f"{_A}target", rule.target, telling)}
    kind, api = ("Pods", "custom") if rule.formula == Formula.RATIO else ("External", "external")
    what = "of each pod" if kind == "Pods" else "summed over the pods"
    telling.remark(f"A metrics adapter must supply {metric['name']} {what} ({api}.metrics.k8s.io).")
    return {"type": kind, kind.lower(): {"metric": metric, "target": target}}
