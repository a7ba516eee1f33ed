"""What a refusal advises works: whoever follows each --set in turn ends with the files."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
import yaml

from policy.autoscaler_presets import PRESETS
from sim.exports.export import Fit, fitting
from sim.exports.formats import FORMATS
from sim.scenario.load import load_scenario
from sim.scenario.spec import Scenario
from tests.sim.scenario.example import content

OF_FLEET: dict[str, dict[str, Any]] = {
    **{name: {"preset": name, "max_replicas": 9} for name in PRESETS},
    "keda": {"preset": "keda", "target": 5},
    "target_tracking": {"preset": "target_tracking", "target": 5, "max_replicas": 9},
    "ray with gains": {"preset": "ray_serve", "gain_up": 0.5, "gain_down": 2},
    "ratio, left out": {"formula": "ratio", "target": 5, "max_replicas": 9, "not_ready": "left_out"},
    "total, alike": {"target": 5, "max_replicas": 9, "not_ready": "alike", "dead_band_up": 0.2},
    "busy": {"target": 0.5, "max_replicas": 9, "signal": "busy"},
    "tiny target": {"target": 0.00001, "max_replicas": 9},
    "long stabilisation": {"target": 5, "max_replicas": 9, "stabilisation_down": "2h", "stabilisation_up": "2h"},
    "slow steps": {"target": 5, "max_replicas": 9, "step_up_count": 1, "step_up_count_period": "1h"},
    "slow ticks": {"target": 5, "max_replicas": 9, "step_down_count": 1, "tick": "1h"},
    "short window": {"preset": "knative", "window": "5s", "panic_window": "1s"},
    "short panic": {"preset": "knative", "panic_window": "500ms"},
    "rare panic": {"preset": "knative", "panic_threshold": 20},
    "long window": {"preset": "knative", "window": "3h", "panic_window": "2h", "sample": "10s"},
    "low target": {"preset": "knative", "target": 0.002},
    "long pauses": {"preset": "knative", "idle": "2h", "stabilisation_down": "2h"},
}

RESTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "narrow pods": {"fleet": {"routing": {"outstanding_max": 2}}},
    "slots and sizes": {
        "batching": {"max_batch": 8, "max_wait": "5ms", "slots": 2, "preferred_sizes": [4], "freeze": "timer"}
    },
}


def given(autoscaler: dict[str, Any] | None, rest: dict[str, Any], *, own: bool = False) -> dict[str, Any]:
    """Return a scenario's content with that autoscaler, of all versions or of one that has its own fleet."""
    fleet = {**rest.get("fleet", {}), **({} if autoscaler is None else {"autoscaler": autoscaler})}
    others = {key: value for key, value in rest.items() if key != "fleet"}
    if own:
        return {**content(), **others, "versions": [{"name": "v1", "fleet": fleet}, {"name": "v2", "weight": "5%"}]}
    return {**content(), **others, "fleet": fleet}


def advised(refusal: str) -> list[str]:
    """Return the settings that a refusal names, as a shell would hand them over."""
    return [shlex.split(text)[0] for text in re.findall(r"--set ('[^']*'|\S+)", refusal)]


def fit_of(to: str, scenario: Scenario) -> Fit:
    """Return what becomes of a format."""
    return next(fit for fit in fitting(scenario) if fit.format.name == to)


def follow_once(to: str, written: dict[str, Any]) -> None:
    """Follow the advice of a refusal that knows how to load the scenario again, once."""
    fits = fitting(load_scenario(written), lambda more: load_scenario(written, more))
    fit = next(fit for fit in fits if fit.format.name == to)
    if fit.exported is None:
        assert fit_of(to, load_scenario(written, advised(fit.refusal))).exported is not None, fit.refusal


def follow(to: str, written: dict[str, Any]) -> None:
    """Follow the advice until the format fits; fail where a refusal has none, or says the same again."""
    settings: list[str] = []
    for _ in range(5):
        fit = fit_of(to, load_scenario(written, settings))
        if fit.exported is not None:
            return
        further = advised(fit.refusal)
        assert further, fit.refusal
        assert not set(further) <= set(settings), fit.refusal
        settings += further
    pytest.fail(f"{to} still does not fit with {settings}: {fit.refusal}")


@pytest.mark.parametrize("rest", RESTS)
@pytest.mark.parametrize("name", [*OF_FLEET, "fixed"])
def test_whoever_follows_a_refusal_can_export(name: str, rest: str) -> None:
    """For each format but Argo Rollouts, which no setting gives a rollout."""
    for one in FORMATS:
        if one.name != "argo-rollouts":
            follow(one.name, given(OF_FLEET.get(name), RESTS[rest]))
            follow_once(one.name, given(OF_FLEET.get(name), RESTS[rest]))


@pytest.mark.parametrize("to", ["kubernetes", "keda", "knative", "ray-serve"])
@pytest.mark.parametrize("name", ["ray_serve", "knative", "target_tracking", "keda"])
def test_advice_is_for_the_version_that_has_its_own_fleet(to: str, name: str) -> None:
    """A key that is not stated yet stands beside those of its fleet: versions.0.fleet.autoscaler.panic_window."""
    follow(to, given(OF_FLEET[name], {}, own=True))


def test_nothing_helps_where_a_refusal_says_so() -> None:
    """A rollout takes versions, which are more than a setting."""
    refusal = fit_of("argo-rollouts", load_scenario(given(None, {}))).refusal
    assert not advised(refusal.replace("no --set alone", ""))
    assert "no --set alone helps" in refusal


def test_background_analysis_is_advised_to_go_on() -> None:
    """Argo checks in the background to the last step, so each of them has to be checked."""
    text = """
    versions: [{name: v1}, {name: v2, role: canary}]
    rollout:
      steps: [{weight: 5%, pause: 10s, analysis: true}, {weight: 20%, pause: 10s}, {weight: 50%, pause: 10s}]
      analysis: {limits: [{metric: failed, pass_most: 1%}], interval: 5s, count: 0}
    """
    written = {**content(), **yaml.safe_load(text)}
    refusal = fit_of("argo-rollouts", load_scenario(written)).refusal
    assert advised(refusal) == ["rollout.steps.1.analysis=true", "rollout.steps.2.analysis=true"]
    follow("argo-rollouts", written)


def test_every_refusal_says_who_can_or_what_helps() -> None:
    """As docs/export.md promises."""
    for autoscaler in OF_FLEET.values():
        for fit in fitting(load_scenario(given(autoscaler, {}))):
            if fit.exported is None:
                assert re.search(r"--to .* can say it|--set ", fit.refusal), fit.refusal
