"""The way back: what a file says, as settings of policy's presets; written from the systems' words, not the exports."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from policy.autoscaler_presets import preset
from policy.autoscaling_rule import REPLICAS_MAX, AutoscalingRule
from policy.autoscaling_settings import autoscaling_rule
from sim.exports.export import Exported, export
from sim.exports.names import Names
from sim.scenario.load import load_scenario
from sim.scenario.rules import serving_rules
from sim.scenario.spec import Scenario
from sim.scenario.units import parse_go_duration_ns
from sim.scenario.versions import version_rules
from tests.sim.scenario.example import content

S = 10**9

SIGNAL_OF = {
    "requests_waiting": "waiting",
    "requests_in_flight": "in_flight",
    "requests_per_second": "rate",
    "requests_total": "rate",
    "devices_busy": "busy",
    "device_busy_seconds_total": "busy",
}


def scaled(autoscaler: Mapping[str, Any], **sections: Any) -> Scenario:
    """Return a minimal scenario with that autoscaler, which begins with its least fleet, or with one."""
    replicas = max(int(autoscaler.get("min_replicas", 1)), 1)
    fleet = {"replicas": replicas, "autoscaler": dict(autoscaler), **sections.pop("fleet", {})}
    return load_scenario({**content(), "fleet": fleet, **sections})


def rule_of(scenario: Scenario) -> AutoscalingRule:
    """Return the rule of a scenario's autoscaler."""
    return serving_rules(scenario).autoscaler


def documents(exported: Exported) -> dict[str, dict[str, Any]]:
    """Return the objects of the one YAML file by their kind."""
    (text,) = exported.files.values()
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


def exported_kinds(scenario: Scenario, to: str, names: Names | None = None) -> dict[str, dict[str, Any]]:
    """Return what an export holds, by kind."""
    return documents(export(scenario, to, names))


def quantity(text: str) -> float:
    """Return a quantity of Kubernetes."""
    return int(text.removesuffix("m")) / 1000 if text.endswith("m") else float(text)


def behavior_words(behavior: Mapping[str, Any] | None, most: int) -> dict[str, Any]:
    """Return `behavior` of an HPA, or its absence, as settings; `most` is maxReplicas."""
    if behavior is None:
        return {key: preset("kubernetes_hpa")[key] for key in ("stabilisation", "step_up_percent", "step_up_least")}
    words: dict[str, Any] = {"stabilisation": "between", "step_up_least": 0}
    words |= {f"step_{side}_{limit}": 0 for side in ("up", "down") for limit in ("count", "percent")}
    for side, scaling in (("up", behavior["scaleUp"]), ("down", behavior["scaleDown"])):
        words[f"stabilisation_{side}_ns"] = scaling["stabilizationWindowSeconds"] * S
        words[f"step_{side}_select"] = {"Max": "most", "Min": "least", "Disabled": "disabled"}[scaling["selectPolicy"]]
        words[f"dead_band_{side}"] = float(scaling.get("tolerance", 0.1))
        for policy in scaling.get("policies", ()):
            if (policy["type"], policy["value"]) in (("Pods", most), ("Percent", 100)) and policy["periodSeconds"] == 1:
                continue  # as many as there may be, or all, in a second: no limit
            name = f"step_{side}_{'count' if policy['type'] == 'Pods' else 'percent'}"
            words |= {name: policy["value"], f"{name}_period_ns": policy["periodSeconds"] * S}
    return words


def hpa_rule(spec: Mapping[str, Any], of: AutoscalingRule) -> AutoscalingRule:
    """Return the rule of an HPA's spec; its metric pipeline and sync period, which no HPA says, are those of `of`."""
    (metric,) = spec["metrics"]
    kind = metric["type"]
    source = metric[kind.lower()]
    words = {**preset("kubernetes_hpa"), **_elsewhere(of), **behavior_words(spec.get("behavior"), spec["maxReplicas"])}
    if kind == "Resource":
        words |= {"formula": "utilisation", "target": source["target"]["averageUtilization"] / 100}
    else:
        words |= {
            "formula": {"Pods": "ratio", "External": "total"}[kind],
            "signal": SIGNAL_OF[source["metric"]["name"]],
            "target": quantity(source["target"]["averageValue"]),
        }
    return autoscaling_rule(**{**words, "min_replicas": spec["minReplicas"], "max_replicas": spec["maxReplicas"]})


def keda_rule(spec: Mapping[str, Any], of: AutoscalingRule) -> AutoscalingRule:
    """Return the rule of a ScaledObject's spec; what no query says is that of `of`."""
    (trigger,) = spec["triggers"]
    query, most = trigger["metadata"]["query"], spec["maxReplicaCount"]
    advanced = spec.get("advanced", {}).get("horizontalPodAutoscalerConfig", {})
    words = {
        **preset("keda"),
        **_elsewhere(of),
        "window_ns": 0,  # unless the query has one
        **behavior_words(advanced.get("behavior"), most),
        "signal": SIGNAL_OF[re.findall(r"[a-z_]{8,}", query.removeprefix("avg_over_time"))[0]],
        "target": float(trigger["metadata"]["threshold"]),
        "activation_above": float(trigger["metadata"].get("activationThreshold", 0.0)),
        "max_replicas": most,
        "min_replicas": spec["minReplicaCount"],
        "scale_to_zero": spec["minReplicaCount"] == 0 or spec.get("idleReplicaCount") == 0,
    }
    if "cooldownPeriod" in spec:
        words |= {"poll_ns": spec["pollingInterval"] * S, "idle_ns": spec["cooldownPeriod"] * S + 1}
    if ranges := re.findall(r"\[([0-9ms]+):([0-9ms]+)\]", query):
        words |= dict(zip(("window_ns", "sample_ns"), map(parse_go_duration_ns, ranges[0]), strict=True))
    elif query.startswith("sum(rate("):
        words["window_ns"] = parse_go_duration_ns(re.findall(r"\[([0-9ms]+)\]", query)[0])
    return autoscaling_rule(**words)


def knative_rule(service: Mapping[str, Any], cluster: Mapping[str, Any]) -> AutoscalingRule:
    """Return the rule of a Knative Service, with what config-autoscaler holds."""
    template = service["spec"]["template"]
    said = {
        key.removeprefix("autoscaling.knative.dev/"): text for key, text in template["metadata"]["annotations"].items()
    }
    window_ns = parse_go_duration_ns(said["window"])
    to_zero = said["min-scale"] == "0"
    words = {
        **preset("knative"),
        "signal": {"concurrency": "in_flight", "rps": "rate"}[said["metric"]],
        "target": float(said["target"]) * float(said["target-utilization-percentage"]) / 100.0,
        "window_ns": window_ns,
        "active_ns": window_ns,
        "panic_window_ns": round(window_ns / S * float(said["panic-window-percentage"]) / 100.0) * S,
        "panic_threshold": float(said["panic-threshold-percentage"]) / 100.0,
        "scale_to_zero": to_zero,
        "min_replicas": int(said.get("activation-scale", "1")) if to_zero else int(said["min-scale"]),
        "max_replicas": int(said["max-scale"]) or REPLICAS_MAX,
        "stabilisation_down_ns": parse_go_duration_ns(said.get("scale-down-delay", "0s")),
        "idle_ns": parse_go_duration_ns(said.get("scale-to-zero-pod-retention-period", "0s")),
        "rate_up": _rate(cluster.get("max-scale-up-rate", "1000")),
        "rate_down": _rate(cluster.get("max-scale-down-rate", "2")),
    }
    return autoscaling_rule(**words)


def ray_rule(config: Mapping[str, Any]) -> AutoscalingRule:
    """Return the rule of an autoscaling_config of Ray Serve."""
    tick_ns = int(preset("ray_serve")["tick_ns"])
    words = {
        **preset("ray_serve"),
        "target": config["target_ongoing_requests"],
        "window_ns": round(config["look_back_period_s"] * S),
        "sample_ns": round(config["look_back_period_s"] * S) // 5,
        "report_ns": round(config.get("metrics_interval_s", 10.0) * S),
        "gain_up": config["upscaling_factor"],
        "gain_down": config["downscaling_factor"],
        "delay_up_ns": round(config["upscale_delay_s"] * S),
        "delay_down_ns": round(config["downscale_delay_s"] * S),
        "idle_ns": round(config.get("downscale_to_zero_delay_s", 0.0) * S) + tick_ns,
        "min_replicas": config["min_replicas"],
        "max_replicas": config["max_replicas"],
    }
    return autoscaling_rule(**words)


def argo_words(rollout: Mapping[str, Any], template: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a Rollout and its AnalysisTemplate as a scenario writes them under rollout.argo."""
    spec = rollout["spec"]
    canary = spec["strategy"]["canary"]
    first, *steps = canary["steps"]
    assert set(first) == {"setCanaryScale"}
    words: dict[str, Any] = {"steps": [_argo_step(step) for step in steps]}
    for key in ("progressDeadlineSeconds", "progressDeadlineAbort"):
        if key in spec:
            words[key] = spec[key]
    if template is not None:
        analysis: dict[str, Any] = {"metrics": [_argo_metric(metric) for metric in template["spec"]["metrics"]]}
        if "analysis" in canary:
            analysis["startingStep"] = canary["analysis"]["startingStep"] - 1  # setCanaryScale stands before
        words["analysis"] = analysis
    return words


def argo_rule(scenario: Scenario, words: Mapping[str, Any]) -> Any:
    """Return the rule of a scenario whose rollout is written in Argo's words."""
    versions = [{"name": "v1"}, {"name": "v2", "role": "canary"}]
    read = load_scenario({**content(), "versions": versions, "rollout": {"argo": dict(words)}})
    return version_rules(read).rollout


def text_fields(text: str) -> dict[str, list[Any]]:
    """Return the fields of a text in protobuf's text format; each may stand there several times."""
    tokens = re.findall(r'"[^"]*"|[{}]|[A-Za-z_0-9]+', re.sub(r"#.*", "", text))
    fields, rest = _fields(tokens)
    assert rest == []
    return fields


def _fields(tokens: list[str]) -> tuple[dict[str, list[Any]], list[str]]:
    """Return the fields up to the end of a message, and what is behind it."""
    found: dict[str, list[Any]] = {}
    while tokens and tokens[0] != "}":
        name, *tokens = tokens
        value: Any = tokens[0]
        if value == "{":
            value, tokens = _fields(tokens[1:])
        elif value.isdigit():
            value = int(value)
        found.setdefault(name, []).append(value)
        tokens = tokens[1:]
    return found, tokens


def _argo_step(step: Mapping[str, Any]) -> dict[str, Any]:
    """Return a step as a scenario has it: without what only a router needs."""
    ((kind, value),) = step.items()
    if kind == "analysis":
        return {"analysis": {}}
    if kind == "setMirrorRoute":
        return {kind: {"name": value["name"], "percentage": value.get("percentage", 0)}}
    return {kind: value}


def _argo_metric(metric: Mapping[str, Any]) -> dict[str, Any]:
    """Return a metric as a scenario has it: without its query."""
    return {key: value for key, value in metric.items() if key != "provider"}


def _rate(text: str) -> float:
    """Return a largest rate of change of Knative; one beyond any fleet is none."""
    rate = float(text)
    return 0.0 if rate >= REPLICAS_MAX else rate


def _elsewhere(of: AutoscalingRule) -> dict[str, Any]:
    """Return what no HPA says: its sync period, and how its metric comes to it."""
    keys = ("tick_ns", "sample_ns", "window_ns", "report_ns", "lag_ns")
    return {key: getattr(of, key) for key in keys} | {"mean": ("samples", "time")[of.mean]}
