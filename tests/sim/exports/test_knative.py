"""Knative: a Service and config-autoscaler read back are the KPA that was written."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import RefusedToAnswer
from sim.exports.export import Exported, export
from sim.exports.names import Names
from sim.scenario.load import load_scenario
from tests.sim.exports.reading import exported_kinds, knative_rule, rule_of, scaled
from tests.sim.scenario.example import content, scenario


@st.composite
def kpas(draw: st.DrawFn) -> dict[str, Any]:
    """Return an autoscaler that the KPA can be."""
    window_s = draw(st.integers(6, 3600))
    least_panic_s = -(-window_s // 100)
    panic_s = draw(st.integers(least_panic_s, min(window_s - 1, 10 * least_panic_s)))
    autoscaler: dict[str, Any] = {
        "preset": "knative",
        "signal": draw(st.sampled_from(["in_flight", "rate"])),
        "target": draw(st.integers(1, 100_000)) / 100,
        "window": f"{window_s}s",
        "active": f"{window_s}s",
        "panic_window": f"{panic_s}s",
        "panic_threshold": draw(st.integers(11, 100)) / 10,
        "max_replicas": draw(st.integers(5, 100_000)),
        "stabilisation_down": f"{draw(st.integers(0, 3600))}s",
        "rate_up": draw(st.sampled_from([1000, 3.5])),
        "rate_down": draw(st.sampled_from([2, 1.5])),
    }
    if draw(st.booleans()):
        least = draw(st.integers(1, 5))
        return autoscaler | {"min_replicas": least, "scale_to_zero": True, "idle": f"{draw(st.integers(0, 60))}s"}
    return autoscaler | {"min_replicas": draw(st.integers(1, 5))}


@settings(max_examples=60)
@given(kpas())
def test_service_read_back_is_the_same_rule(autoscaler: dict[str, Any]) -> None:
    """Scenario -> annotations -> Knative's preset with these words; rates of change are the cluster's."""
    given_scenario = scaled(autoscaler)
    kinds = exported_kinds(given_scenario, "knative")
    cluster = kinds.get("ConfigMap", {"data": {}})["data"]
    rule = rule_of(given_scenario)
    assert knative_rule(kinds["Service"], cluster) == rule


def test_preset_of_knative_needs_no_word_for_the_cluster() -> None:
    """Its defaults come back, and where the target of 70 stands it is all of what is aimed at."""
    given_scenario = scaled({"preset": "knative"})
    kinds = exported_kinds(given_scenario, "knative")
    assert set(kinds) == {"Service"}
    assert knative_rule(kinds["Service"], {}) == rule_of(given_scenario)


def test_no_largest_rate_is_one_beyond_any_fleet() -> None:
    """Knative always has one, so no limit is said as 100,000 times."""
    off = scaled({"formula": "total", "target": 5, "max_replicas": 9, "window": "60s", "panic_window": "6s"})
    cluster = exported_kinds(off, "knative")["ConfigMap"]["data"]
    assert cluster == {"max-scale-up-rate": "100000", "max-scale-down-rate": "100000"}


def test_fixed_fleet_has_one_scale() -> None:
    """Without an autoscaler the least and the most are the replicas."""
    service = exported_kinds(scenario("fleet.replicas=3"), "knative")["Service"]
    annotations = service["spec"]["template"]["metadata"]["annotations"]
    assert annotations["autoscaling.knative.dev/min-scale"] == "3"
    assert annotations["autoscaling.knative.dev/max-scale"] == "3"


def test_limits_of_a_pod_are_those_of_requests() -> None:
    """outstanding_max is containerConcurrency, a deadline timeoutSeconds; the activator chooses each in turn then."""
    routing = {"outstanding_max": 8, "balance": "round_robin"}
    exported = export(
        scaled({"preset": "knative", "target": 5}, fleet={"routing": routing}, queue={"deadline": "2s"}), "knative"
    )
    assert "containerConcurrency: 8" in exported.files["knative.yaml"]
    assert "timeoutSeconds: 2" in exported.files["knative.yaml"]
    assert "routing" not in " ".join(exported.notes)


@pytest.mark.parametrize(
    ("own", "refused"),
    [
        ({"preset": "keda", "target": 5}, "panic_window is none, and the KPA always panics"),
        ({"preset": "ray_serve"}, "formula is gain, and the KPA divides"),
        ({"preset": "knative", "signal": "waiting", "target": 5}, "signal is waiting, and the KPA knows in_flight"),
        ({"preset": "knative", "window": "5s", "panic_window": "1s"}, "window is 5s, and the KPA takes 6s at least"),
        ({"preset": "knative", "panic_threshold": 20}, r"panic_threshold is 20, and the KPA takes 1\.1 to 10"),
        ({"preset": "knative", "panic_window": "500ms"}, "panic_window is 500ms, and the KPA takes a hundredth"),
        ({"preset": "knative", "target": 0.001}, r"target is 0\.001, and the KPA takes 0\.01 at least"),
    ],
)
def test_what_is_no_kpa_is_refused(own: dict[str, Any], refused: str) -> None:
    """Another formula, or a setting beyond what Knative takes."""
    with pytest.raises(RefusedToAnswer, match=refused):
        export(scaled(own), "knative")


def test_target_above_what_a_pod_takes_is_refused() -> None:
    """Knative would aim at the smaller of the two."""
    with pytest.raises(RefusedToAnswer, match=r"target is 70, and the KPA aims at no more than .* \(8\)"):
        export(scaled({"preset": "knative"}, fleet={"routing": {"outstanding_max": 8}}), "knative")


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ({"tick": "1s"}, "fleet.autoscaler.tick is 1s: the KPA ticks every 2s."),
        ({"sample": "2s"}, "fleet.autoscaler.sample is 2s: "),
        ({"active": "5s"}, "fleet.autoscaler.active is 5s: a fleet of the KPA stays for a window."),
        ({"dead_band_up": 0.1}, "fleet.autoscaler.dead_band_up (0.1)"),
        ({"activation_replicas": 3}, "fleet.autoscaler.activation_replicas is 3: "),
        ({"stabilisation": "between", "stabilisation_down": "5s"}, "fleet.autoscaler.stabilisation is between: "),
        ({"window": "60500ms"}, "fleet.autoscaler.window is 60.5s: rounded to 61 s."),
    ],
)
def test_what_knative_does_otherwise_is_told(own: dict[str, Any], told: str) -> None:
    """One sentence for each."""
    assert told in " ".join(export(scaled({"preset": "knative", **own}), "knative").notes)


def of_versions(*versions: dict[str, Any], names: Names | None = None, **sections: Any) -> Exported:
    """Return the export of several versions."""
    return export(load_scenario({**content(), "versions": list(versions), **sections}), "knative", names)


def service_of(exported: Exported, file: str) -> dict[str, Any]:
    """Return the Service of a file."""
    service: dict[str, Any] = next(iter(yaml.safe_load_all(exported.files[file])))
    return service


def test_each_version_is_a_revision_that_gets_its_share_once_it_is_there() -> None:
    """Traffic names no revision that an earlier file did not make; the last file has the weights of the scenario."""
    images = Names(image={"v1": "shop:1", "v2": "shop:2"})
    exported = of_versions(
        {"name": "v1"}, {"name": "v2", "weight": "10%"}, {"name": "v3", "weight": "30%"}, names=images
    )
    assert list(exported.files) == ["knative-1-v1.yaml", "knative-2-v2.yaml", "knative-3-v3.yaml"]
    services = [service_of(exported, file) for file in exported.files]
    assert {service["metadata"]["name"] for service in services} == {"scenario"}
    made = [service["spec"]["template"]["metadata"]["name"] for service in services]
    assert made == ["scenario-v1", "scenario-v2", "scenario-v3"]
    shares = [{one["revisionName"]: one["percent"] for one in service["spec"]["traffic"]} for service in services]
    assert shares == [
        {"scenario-v1": 100},
        {"scenario-v1": 90, "scenario-v2": 10},
        {"scenario-v1": 60, "scenario-v2": 10, "scenario-v3": 30},
    ]
    containers = [service["spec"]["template"]["spec"]["containers"][0]["image"] for service in services]
    assert containers == ["shop:1", "shop:2", "registry.example.com/YOUR-IMAGE:TAG"]
    notes = " ".join(exported.notes)
    assert "Apply the files in their order" in notes
    assert "The image of v3 is a placeholder" in notes
    assert "weight" not in notes


def test_version_without_a_weight_gets_no_revision() -> None:
    """A shadow or a canary that waits for its rollout: nothing of Knative's sends it requests."""
    exported = of_versions({"name": "v1"}, {"name": "v2", "role": "shadow", "copies": "5%"})
    assert list(exported.files) == ["knative.yaml"]
    assert "traffic" not in service_of(exported, "knative.yaml")["spec"]
    assert exported.without == ("v2",)


def test_stable_version_is_applied_first_wherever_it_stands() -> None:
    """All requests are its own until the others are there."""
    exported = of_versions({"name": "new", "weight": "5%"}, {"name": "old", "role": "stable"})
    assert list(exported.files) == ["knative-1-old.yaml", "knative-2-new.yaml"]


@pytest.mark.parametrize(("weight", "percents"), [("2.6%", [97, 3]), ("0.2%", [99, 1])])
def test_shares_of_revisions_are_whole_per_cent(weight: str, percents: list[int]) -> None:
    """Rounded and told, and never to none; together they stay all of the requests."""
    exported = of_versions({"name": "v1"}, {"name": "v2", "weight": weight})
    traffic = service_of(exported, "knative-2-v2.yaml")["spec"]["traffic"]
    assert [one["percent"] for one in traffic] == percents
    told = f"versions.1.weight is {weight}: rounded to {percents[1]}%, for Knative counts in whole ones."
    assert told in exported.notes


def test_rates_of_the_cluster_are_those_of_the_first_version() -> None:
    """There is one ConfigMap, which stands in the first file; another version's own rates are told."""
    first, second = ({"autoscaler": {"preset": "knative", "rate_up": rate}} for rate in (5, 7))
    exported = of_versions({"name": "v1", "fleet": first}, {"name": "v2", "weight": "5%", "fleet": second})
    texts = list(exported.files.values())
    assert "max-scale-up-rate: '5'" in texts[0]
    assert "ConfigMap" not in texts[1]
    assert "versions.1.fleet.autoscaler.rate_up is 7 and" in " ".join(exported.notes)
