"""Kubernetes: an HPA read back is the rule that was written, and what none can say is told or refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.autoscaler_presets import PRESETS
from sim.errors import RefusedToAnswer
from sim.exports.export import export, fitting
from sim.exports.names import Names
from sim.scenario.load import load_scenario
from tests.sim.exports.autoscalers import hpa_autoscalers
from tests.sim.exports.reading import documents, exported_kinds, hpa_rule, rule_of, scaled
from tests.sim.scenario.example import content, scenario

ON_PODS = {"formula": "ratio", "signal": "in_flight", "target": 10, "max_replicas": 8}


@settings(max_examples=60)
@given(st.sampled_from(["ratio", "total", "utilisation"]).flatmap(hpa_autoscalers))
def test_hpa_with_behavior_read_back_is_the_same_rule(autoscaler: dict[str, Any]) -> None:
    """Scenario -> HPA -> the rule of an HPA with these words: formula, target, bounds, windows, limits, tolerances."""
    given_scenario = scaled(autoscaler)
    hpa = exported_kinds(given_scenario, "kubernetes")["HorizontalPodAutoscaler"]
    assert hpa_rule(hpa["spec"], rule_of(given_scenario)) == rule_of(given_scenario)


@pytest.mark.parametrize("own", [{}, ON_PODS, {"formula": "ratio", "signal": "rate", "target": "50%"}])
@pytest.mark.parametrize("name", ["kubernetes_hpa", "kubernetes_hpa_behavior"])
def test_presets_of_kubernetes_come_back(name: str, own: dict[str, Any]) -> None:
    """The first one is an HPA without `behavior`: with any, it would move between windows and not to the highest."""
    given_scenario = scaled({"preset": name, "max_replicas": 8, **own})
    hpa = exported_kinds(given_scenario, "kubernetes")["HorizontalPodAutoscaler"]
    assert ("behavior" in hpa["spec"]) == (name == "kubernetes_hpa_behavior")
    assert hpa_rule(hpa["spec"], rule_of(given_scenario)) == rule_of(given_scenario)


def test_deployment_has_the_replicas_and_the_names() -> None:
    """Without an autoscaler there is a Deployment alone, with the image and the name that were asked for."""
    kinds = exported_kinds(scenario("fleet.replicas=3"), "kubernetes", Names(name="shop", image="example.com/shop:1"))
    assert set(kinds) == {"Deployment"}
    spec = kinds["Deployment"]["spec"]
    assert spec["replicas"] == 3
    assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
    assert spec["template"]["spec"]["containers"][0]["image"] == "example.com/shop:1"


def test_hpa_scales_its_deployment_on_the_named_metric() -> None:
    """The default name is that of the signal, and a comment says that an adapter must supply it."""
    exported = export(scaled(ON_PODS), "kubernetes", Names(metric_name="queue_depth"))
    kinds = documents(exported)
    hpa = kinds["HorizontalPodAutoscaler"]["spec"]
    assert hpa["scaleTargetRef"]["name"] == kinds["Deployment"]["metadata"]["name"]
    assert hpa["metrics"][0]["pods"]["metric"]["name"] == "queue_depth"
    assert "A metrics adapter must supply queue_depth of each pod (custom.metrics.k8s.io)." in exported.notes


def test_one_device_is_one_cpu_where_use_is_the_target() -> None:
    """Use is of what a pod asks for, so 80 % of one device takes a request of one CPU."""
    kinds = exported_kinds(scaled({"preset": "kubernetes_hpa", "max_replicas": 4}), "kubernetes")
    container = kinds["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["requests"]["cpu"] == "1"


@pytest.mark.parametrize(
    ("name", "own", "refused"),
    [
        ("ray_serve", {}, "fleet.autoscaler.formula is gain"),
        ("knative", {}, "fleet.autoscaler.panic_window is 6s"),
        ("target_tracking", {"target": 10, "max_replicas": 4}, "fleet.autoscaler.not_ready is alike"),
    ],
)
def test_other_formulas_are_refused(name: str, own: dict[str, Any], refused: str) -> None:
    """An HPA would work another number out; the sentence has key, value, and the format that can, if there is one."""
    with pytest.raises(RefusedToAnswer, match=refused) as refusal:
        export(scaled({"preset": name, **own}), "kubernetes")
    able = {"ray_serve": ": --to ray-serve can say it; ", "knative": ": --to knative can say it; "}.get(name, "ones: ")
    assert f"{able}--set " in str(refusal.value)


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ({"tick": "2s"}, "fleet.autoscaler.tick is 2s: the controller manager"),
        ({"sample": "500ms", "window": "2s"}, "fleet.autoscaler.sample is 500ms, fleet.autoscaler.window is 2s and"),
        ({"delay_up": "30s"}, "fleet.autoscaler.delay_up is 30s: the nearest that an HPA has is stabilisation_up"),
        ({"cooldown_down": "1min"}, "fleet.autoscaler.cooldown_down is 1min: "),
        ({"rate_up": 2}, "fleet.autoscaler.rate_up is 2: "),
        ({"min_replicas": 0}, "fleet.autoscaler.scale_to_zero is true"),
        ({"stabilisation_down": "2500ms"}, "fleet.autoscaler.stabilisation_down is 2.5s: rounded to 3 s."),
        ({"target": 10.0004}, "fleet.autoscaler.target is 10.0004: rounded to 10, since"),
        ({"dead_band_up": 0.2}, "`tolerance` is read from Kubernetes 1.35 on"),
    ],
)
def test_what_no_hpa_says_is_told(own: dict[str, Any], told: str) -> None:
    """Each in one sentence, in the file and in the notes."""
    exported = export(scaled({**ON_PODS, "dead_band_up": 0.1, "dead_band_down": 0.1, **own}), "kubernetes")
    (text,) = exported.files.values()
    (note,) = [note for note in exported.notes if note.startswith(told)]
    head = " ".join(line.removeprefix("#").strip() for line in text.splitlines() if line.startswith("#"))
    assert note in head


def test_window_and_tolerance_of_an_hpa_without_behavior_are_flags_of_the_cluster() -> None:
    """Any `behavior` would change how it goes down, so other values than the flags' defaults cannot be said."""
    notes = export(
        scaled({"preset": "kubernetes_hpa", "max_replicas": 4, "stabilisation_down": "1min", "dead_band_up": 0.2}),
        "kubernetes",
    ).notes
    told = " ".join(notes)
    assert "stabilisation_down is 1min: the controller manager" in told
    assert "dead_band_up is 0.2: the controller manager" in told
    assert "dead_band_down" not in told


@pytest.mark.parametrize("own", [{"stabilisation_down": "2h"}, {"step_up_count": 1, "step_up_count_period": "31min"}])
def test_times_that_no_hpa_takes_are_refused(own: dict[str, Any]) -> None:
    """A window is an hour at the most, a period 30 minutes: to cut them would be another rule."""
    with pytest.raises(RefusedToAnswer, match=r"an HPA takes (3600|1800) s at most"):
        export(scaled({**ON_PODS, **own}), "kubernetes")


def test_names_of_versions_stay_labels() -> None:
    """Of 63 letters at most, each another one."""
    versions = [{"name": "v" * 63}, {"name": "V" * 63}]
    (text,) = export(load_scenario({**content(), "name": "2" * 90, "versions": versions}), "kubernetes").files.values()
    names = {line for line in text.splitlines() if line.startswith("  name: ")}
    assert len(names) == 2
    assert all(len(name.removeprefix("  name: ")) <= 63 for name in names)


def test_each_version_has_its_deployment() -> None:
    """A version has a fleet of its own, and its keys are named as their author finds them."""
    fleet = {"replicas": 2, "autoscaler": {**ON_PODS, "delay_up": "1s", "dead_band_up": 0.1, "dead_band_down": 0.1}}
    versions = [{"name": "V.1"}, {"name": "v2", "weight": "20%", "fleet": fleet}]
    exported = export(load_scenario({**content(), "name": "My shop", "versions": versions}), "kubernetes")
    (text,) = exported.files.values()
    assert [line for line in text.splitlines() if line.startswith("  name: ")] == [
        "  name: my-shop-v-1",
        "  name: my-shop-v2",
        "  name: my-shop-v2",
    ]
    told = " ".join(exported.notes)
    assert "versions.1.fleet.autoscaler.delay_up is 1s" in told
    assert "versions.1.weight (20%)" in told


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_written_or_refused(name: str) -> None:
    """None ends in an error of its own."""
    for fit in fitting(scaled({"preset": name, "target": 0.5, "max_replicas": 4})):
        assert fit.exported is not None or fit.refusal.startswith(("fleet.autoscaler.", "batching.", "rollout is none"))
