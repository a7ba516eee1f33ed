"""KEDA: a ScaledObject read back is the rule that was written."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import RefusedToAnswer
from sim.exports.export import export
from sim.exports.names import Names
from tests.sim.exports.autoscalers import hpa_autoscalers
from tests.sim.exports.reading import S, exported_kinds, keda_rule, rule_of, scaled
from tests.sim.scenario.example import scenario

TO_NONE = {"activation": "at_poll", "zero_from": "any"}


@st.composite
def keda_autoscalers(draw: st.DrawFn) -> dict[str, Any]:
    """Return an autoscaler that KEDA can say, with or without a way to none, over a window or not."""
    autoscaler = draw(hpa_autoscalers("total"))
    if draw(st.booleans()):
        autoscaler |= {"window": f"{draw(st.integers(1, 90))}s", "sample": "500ms"}
    if autoscaler["signal"] == "rate":
        autoscaler["sample"] = "15s"
    if draw(st.booleans()):
        idle_s, poll_s = draw(st.integers(1, 900)), draw(st.integers(1, 90))
        above = draw(st.sampled_from([0, 2.5]))
        times = {"idle": f"{idle_s * S + 1}ns", "poll": f"{poll_s}s"}
        autoscaler |= {"scale_to_zero": True, **TO_NONE, **times, "activation_above": above}
    return autoscaler


@settings(max_examples=60)
@given(keda_autoscalers())
def test_scaled_object_read_back_is_the_same_rule(autoscaler: dict[str, Any]) -> None:
    """Scenario -> ScaledObject -> KEDA's preset with these words: the query's window and samples are among them."""
    given_scenario = scaled(autoscaler)
    rule = rule_of(given_scenario)
    if not rule.to_zero:  # then these mean nothing, and nobody says them
        preset_idle = {"activation": 1, "zero_from": 1, "poll_ns": 30 * S, "idle_ns": 300 * S + 1}
        rule = rule._replace(**preset_idle)
    assert keda_rule(exported_kinds(given_scenario, "keda")["ScaledObject"]["spec"], rule) == rule


@pytest.mark.parametrize(
    "own", [{}, {"min_replicas": 1}, {"max_replicas": 7, "scale_to_zero": True, "min_replicas": 3}]
)
def test_preset_of_keda_comes_back(own: dict[str, Any]) -> None:
    """With a least number above one, none at all is KEDA's idle mode."""
    given_scenario = scaled({"preset": "keda", "target": 5, **own}, fleet={"replicas": 3})
    spec = exported_kinds(given_scenario, "keda")["ScaledObject"]["spec"]
    assert keda_rule(spec, rule_of(given_scenario)) == rule_of(given_scenario)
    assert spec.get("idleReplicaCount") == (0 if own.get("min_replicas") == 3 else None)


@pytest.mark.parametrize(
    ("signal", "own", "query"),
    [
        ("in_flight", {}, "sum(requests_in_flight)"),
        ("in_flight", {"window": "1min", "sample": "1500ms"}, "avg_over_time(sum(requests_in_flight)[60s:1500ms])"),
        ("rate", {"window": "1min"}, "sum(rate(requests_total[60s]))"),
        ("rate", {}, "sum(irate(requests_total[5m]))"),
        ("busy", {"window": "30s", "target": 0.5}, "sum(rate(device_busy_seconds_total[30s]))"),
    ],
)
def test_query_asks_for_the_load_of_all_pods(signal: str, own: dict[str, Any], query: str) -> None:
    """A level is summed and averaged over its window, a counter's rate is summed."""
    autoscaler = {"preset": "keda", "signal": signal, "target": 5, **own}
    (trigger,) = exported_kinds(scaled(autoscaler), "keda")["ScaledObject"]["spec"]["triggers"]
    assert trigger["metadata"]["query"] == query
    assert trigger["metricType"] == "AverageValue"


def test_names_stand_in_the_trigger() -> None:
    """The series and the address of Prometheus are the reader's own."""
    names = Names(metric_name="shop:in_flight", prometheus="http://prometheus.shop:9090")
    spec = exported_kinds(scaled({"preset": "keda", "target": 5}), "keda", names)["ScaledObject"]["spec"]
    (trigger,) = spec["triggers"]
    assert trigger["metadata"]["query"] == "sum(shop:in_flight)"
    assert trigger["metadata"]["serverAddress"] == "http://prometheus.shop:9090"


def test_idle_of_a_whole_time_ends_at_the_same_poll() -> None:
    """KEDA waits for more than cooldownPeriod: 60 s of the rule end at the poll 60 s behind, as more than 59 s do."""
    exported = export(scaled({"preset": "keda", "target": 5, "idle": "60s"}), "keda")
    assert "cooldownPeriod: 59" in exported.files["keda.yaml"]
    assert any("fleet.autoscaler.idle" in note and "59 s" in note for note in exported.notes)


@pytest.mark.parametrize(
    ("autoscaler", "refused"),
    [
        (
            {"formula": "ratio", "target": 5, "max_replicas": 4},
            "formula is ratio, and KEDA .*: --to kubernetes can say it",
        ),
        ({"preset": "knative"}, "panic_window is 6s, .*: --to knative can say it"),
        (
            {"preset": "keda", "target": 0.0004},
            "target is 0.0004, and a target of an HPA is a whole number of thousandths",
        ),
    ],
)
def test_other_formulas_are_refused(autoscaler: dict[str, Any], refused: str) -> None:
    """Key, value, and who can."""
    with pytest.raises(RefusedToAnswer, match=refused):
        export(scaled(autoscaler), "keda")


def test_fleet_without_an_autoscaler_is_refused() -> None:
    """KEDA has nothing to do there; the autoscaler advised has room for the replicas that there are."""
    refused = r"^fleet\.autoscaler is none, and KEDA is for a fleet that has one: --set '.*, max_replicas: 12\}' is "
    with pytest.raises(RefusedToAnswer, match=refused):
        export(scenario("fleet.replicas=12"), "keda")


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ({"activation": "at_once"}, "fleet.autoscaler.activation is at_once: KEDA looks at its polls only."),
        ({"zero_from": "one"}, "fleet.autoscaler.zero_from is one: KEDA goes to none from any number of pods."),
        ({"activation_replicas": 2}, "fleet.autoscaler.activation_replicas is 2: "),
        ({"poll": "1500ms"}, "fleet.autoscaler.poll is 1.5s: rounded to 2 s."),
    ],
)
def test_what_keda_does_otherwise_is_told(own: dict[str, Any], told: str) -> None:
    """One sentence for each."""
    notes = export(scaled({"preset": "keda", "target": 5, **own}), "keda").notes
    assert [note for note in notes if note.startswith(told)] != []
