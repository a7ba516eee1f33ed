"""Rollouts in the words of Argo Rollouts, Flagger and KServe: what they write is read as they mean it, or refused."""

from __future__ import annotations

import pytest
import yaml

from policy.errors import SettingError
from policy.instant import NEVER_NS
from policy.rollout import RolloutRule
from policy.rollout_presets import argo_rollouts, flagger, kserve
from policy.rollout_settings import rollout_rule
from sim.errors import ScenarioError
from sim.scenario.version_spec import Rollout
from sim.scenario.versions import version_rules
from tests.sim.scenario.example import scenario

TWO = "versions=[{name: v1}, {name: v2, role: canary}]"
MINUTE_NS = 60 * 10**9

ARGO = """
argo:
  steps:
  - setWeight: 20
  - pause: {duration: 10m}
  - setWeight: 40
  - pause: {duration: 90}
  - setWeight: 60
  - pause: {}
  analysis:
    startingStep: 2
    metrics:
    - name: success-rate
      interval: 5m
      successCondition: result[0] >= 0.95
      failureLimit: 3
"""
"""The background analysis of Argo's own documentation, of a template with one metric."""

FLAGGER = """
flagger:
  interval: 1m
  threshold: 5
  maxWeight: 50
  stepWeight: 10
  metrics:
  - {name: request-success-rate, thresholdRange: {min: 99}, interval: 1m}
  - {name: request-duration, thresholdRange: {max: 500}, interval: 1m}
"""
"""The analysis of Flagger's own documentation."""


def rule_of(rollout: str, *changes: str) -> RolloutRule:
    """Return the rule of a rollout that is written so."""
    written = yaml.safe_load(rollout)
    found = version_rules(
        scenario(TWO, f"rollout={yaml.safe_dump(written, default_flow_style=True)}", *changes)
    ).rollout
    assert found is not None
    return found


def metric(text: str, *more: str) -> str:
    """Return an Argo rollout with one step of analysis, of these metrics with an interval of 1 s."""
    metrics = "".join(f"\n    - {{interval: 1s, {one}}}" for one in (text, *more))
    return f"argo:\n  steps: [setWeight: 10, analysis: {{}}]\n  analysis:\n    metrics:{metrics}\n".replace(
        "[setWeight: 10, analysis: {}]", "[{setWeight: 10}, {analysis: {}}]"
    )


def test_argo_is_read_as_argo_means_it() -> None:
    """Weights in per cent, 10m are ten minutes, a bare number is seconds, {} is a gate, 95 % may be reached."""
    assert rule_of(ARGO) == rollout_rule(
        **argo_rollouts(
            steps=[
                {"setWeight": 20},
                {"pause": {"duration_ns": 10 * MINUTE_NS}},
                {"setWeight": 40},
                {"pause": {"duration_ns": 90 * 10**9}},
                {"setWeight": 60},
                {"pause": {}},
            ],
            limits=[{"metric": "failed", "pass_most": 50_000}],
            interval_ns=5 * MINUTE_NS,
            failure_limit=3,
            background=True,
            starting_step=2,
        )
    )


def test_argo_with_an_analysis_step_measures_there_alone() -> None:
    """No word says inline or background: the step does, and then there is a count."""
    rule = rule_of(
        metric("name: error-rate, successCondition: 'result[0] <= 0.02', count: 5, consecutiveErrorLimit: 2")
    )
    assert (rule.step_weight[0], rule.step_analysis[0], rule.step_count, rule.check_count) == (1_000, 1, 1, 5)
    assert (rule.limit_pass[0], rule.limit_fail[0], rule.no_data_limit) == (20_000, 20_000, 2)


@pytest.mark.parametrize(
    ("conditions", "limits"),
    [
        ("name: success-rate, successCondition: 'result >= 0.95', failureCondition: 'result < 0.9'", (50_000, 100_000)),
        ("name: success-rate, failureCondition: 'result[0]<0.9'", (100_000, 100_000)),
        (
            "name: error-rate, successCondition: 'result[0] <= .01', failureCondition: 'result[0] > 0.05'",
            (10_000, 50_000),
        ),
        ("name: latency-p99, successCondition: 'result[0] <= 0.5'", (10_000, 10_000)),
        ("name: latency-p50, successCondition: 'result[0] <= 0.5'", (500_000, 500_000)),
    ],
)
def test_argo_conditions_are_limits(conditions: str, limits: tuple[int, int]) -> None:
    """A success rate of at least 95 % is at most 5 % failed; a p99 of at most 0.5 s is at most 1 % slower than that."""
    rule = rule_of(metric(conditions))
    assert (rule.limit_pass[0], rule.limit_fail[0]) == limits
    assert rule.slow_over_ns == (500_000_000 if "latency" in conditions else NEVER_NS)


def test_argo_aborts_on_its_deadline_only_when_told_to() -> None:
    """ProgressDeadlineSeconds by itself only makes it degraded there."""
    assert rule_of(ARGO).ready_deadline_ns == NEVER_NS
    assert rule_of(ARGO, "rollout.argo.progressDeadlineAbort=true").ready_deadline_ns == 600 * 10**9


def test_flagger_is_read_as_flagger_means_it() -> None:
    """Its own words, its own defaults; a duration is milliseconds."""
    own = flagger(threshold=5, step_weight=10, max_weight=50, success_rate_min=99.0, duration_max_ns=500_000_000)
    assert rule_of(FLAGGER) == rollout_rule(**own)
    duration_alone = "rollout.flagger.metrics=[{name: request-duration, thresholdRange: {max: 500}}]"
    assert rule_of(FLAGGER, duration_alone).limit_count == 1
    plain = Rollout.model_validate({"flagger": {"stepWeight": 10}})
    assert plain.settings() == flagger(step_weight=10)
    mirrored = {"stepWeight": 10, "mirror": True, "mirrorWeight": 20, "canaryReadyThreshold": 50}
    assert Rollout.model_validate({"flagger": mirrored}).settings() == flagger(
        step_weight=10, mirror=True, mirror_weight=20, canary_ready_threshold=50
    )


def test_kserve_is_read_as_kserve_means_it() -> None:
    """A share that nothing changes; none is all."""
    assert rule_of("kserve: {canaryTrafficPercent: 10}") == rollout_rule(**kserve(canary_traffic_percent=10))
    assert rule_of("kserve: {}") == rollout_rule(steps=())


TWICE = ("name: latency-p99, successCondition: 'result <= 0.5'", "name: latency-p50, successCondition: 'result <= 0.1'")


@pytest.mark.parametrize(
    ("rollout", "said"),
    [
        (
            "argo: {steps: [{setWeight: 120}]}",
            "rollout.argo.steps.0.setWeight must be a whole number from 0 to 100. Got 120.",
        ),
        (
            "argo: {steps: [{setWeight: 20, pause: {}}]}",
            "rollout.argo.steps.0 must have exactly one of setWeight, pause, setMirrorRoute, analysis. Got",
        ),
        ("argo: {steps: [{}]}", "rollout.argo.steps.0 must have exactly one of setWeight, pause,"),
        ("argo: {steps: [{pause: null}]}", "rollout.argo.steps.0 must have exactly one of setWeight, pause,"),
        ("argo: {steps: [{set_weight: 20}]}", "rollout.argo.steps.0.set_weight is not a known key: did you mean"),
        (
            "argo: {steps: [{setCanaryScale: {weight: 20}}]}",
            "rollout.argo.steps.0.setCanaryScale is not a known key: known here are setWeight, pause, setMirrorRoute,",
        ),
        (
            "argo: {steps: [{pause: {duration: 10min}}]}",
            "rollout.argo.steps.0.pause.duration must be a duration as Go writes it, for example 30s, 10m or 1h30m.",
        ),
        (
            "argo: {steps: [{pause: {duration: 800h}}]}",
            "rollout.argo.steps.0.pause.duration must be from 0s, at most 744h. Got 800h.",
        ),
        (
            "argo: {steps: [{analysis: {}}]}",
            "rollout.argo.analysis must be given when a step has analysis. Got nothing.",
        ),
        (
            metric("name: success-rate"),
            "rollout.argo.analysis.metrics.0 must be given a successCondition or a failureCond",
        ),
        (
            metric("name: success-rate, successCondition: 'result > 0.9'"),
            "rollout.argo.analysis.metrics.0.successCondition must be `result[0] >=` and a number from 0 to 1. Got",
        ),
        (
            metric("name: success-rate, successCondition: 'result >= 0.9', failureCondition: 'result < 0.95'"),
            "rollout.argo.analysis.metrics.0.failureCondition must be a condition that no measurement meets",
        ),
        (
            metric("name: latency-p99, successCondition: 'result <= 1', failureCondition: 'result > 2'"),
            "rollout.argo.analysis.metrics.0.failureCondition must be left out for a latency. Got result > 2.",
        ),
        (
            metric(*TWICE),
            "rollout.argo.analysis.metrics.1.successCondition must be on the same time as that of the other",
        ),
        (
            metric(TWICE[0], "name: error-rate, successCondition: 'result <= 0.5', count: 3"),
            "rollout.argo.analysis.metrics.1.count must be as in rollout.argo.analysis.metrics.0: the rollout has one",
        ),
        (
            ARGO.replace("failureLimit: 3", "count: 3"),
            "rollout.argo.analysis.metrics.0.count must be left out when no step has analysis",
        ),
        (
            ARGO.replace("interval: 5m", "interval: 0s"),
            "rollout.argo.analysis.metrics.0.interval must be above 0s, at most",
        ),
        ("flagger: {}", "rollout.flagger must be one of stepWeight, stepWeights or iterations. Got none"),
        (
            "flagger: {step_weight: 10}",
            "rollout.flagger.step_weight is not a known key: did you mean rollout.flagger.stepWei",
        ),
        (
            "flagger: {stepWeight: 1}",
            "rollout.flagger.stepWeight must be such that there are at most 32 steps. Got 100.",
        ),
        (
            FLAGGER.replace("{min: 99}", "{max: 99}"),
            "rollout.flagger.metrics.0 must have a thresholdRange with min alone for request-success-rate.",
        ),
        (
            FLAGGER.replace("interval: 1m}", "interval: 30s}"),
            "rollout.flagger.metrics.0.interval must be as rollout.flagger.interval, or left out: a check looks at "
            "what came since the last one. Got 30s.",
        ),
        (FLAGGER.replace("request-duration", "request-success-rate").replace("max: 500", "min: 9"),
         "rollout.flagger.metrics.1.name must be another one than those before. Got request-success-rate."),
        (
            "kserve: {canaryTrafficPercent: 110}",
            "rollout.kserve.canaryTrafficPercent must be a whole number from 0 to 100.",
        ),
        (
            "kserve: {canaryTraffic: 10}",
            "rollout.kserve.canaryTraffic is not a known key: did you mean rollout.kserve.can",
        ),
    ],
)  # fmt: skip
def test_what_the_rule_does_not_know_is_refused_in_their_words(rollout: str, said: str) -> None:
    """One sentence: the key as it is written there, what is allowed, what was got."""
    with pytest.raises((SettingError, ScenarioError)) as error:
        rule_of(rollout)
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)
