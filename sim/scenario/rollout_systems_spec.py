"""A rollout in the words of Argo Rollouts, Flagger or KServe: their keys as they spell them, with their units.

What these words are as settings of the one rule stands in policy/rollout_presets.py, which also says where the rule
cannot do as they do, and rejects what is out of range. Here text is read: durations as Go writes them, conditions.
"""

# ruff: noqa: N815  (keys of other systems: setWeight is not set_weight to who knows it)

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

from pydantic import Field, model_validator

from policy.errors import SettingError
from policy.rollout import LIMITS_MAX, SHARE_ONE
from policy.rollout_presets import argo_rollouts, flagger, kserve
from policy.rollout_settings import LimitSettings, RolloutSettings
from policy.settings import COUNT_MAX, TIME_MAX_NS
from sim.scenario.fields import Kind, OrNone, Section, count_up_to, parts, written
from sim.scenario.units import GO_DURATION_PATTERN, parse_go_duration_ns, time_in_words, write_go_duration

__all__ = [
    "ArgoAnalysis",
    "ArgoInlineAnalysis",
    "ArgoMetric",
    "ArgoMirrorRoute",
    "ArgoPause",
    "ArgoRollouts",
    "ArgoStep",
    "Flagger",
    "FlaggerMetric",
    "KServe",
    "ThresholdRange",
]

_PERCENT = count_up_to(100, 0)
_FEW = count_up_to(COUNT_MAX, 0)
_SECONDS = count_up_to(TIME_MAX_NS // 10**9)

_TIME_MAX: Final = f"{TIME_MAX_NS // (3_600 * 10**9)}h"


def _seconds_or_go(value: object) -> int:
    """Return a duration in ns; Argo reads a whole number as seconds."""
    return value * 10**9 if isinstance(value, int) and not isinstance(value, bool) else parse_go_duration_ns(value)


def _in_range(least_ns: int) -> Callable[[int], int]:
    """Return the check of a duration."""

    def check(time_ns: int) -> int:
        if not least_ns <= time_ns <= TIME_MAX_NS:
            raise ValueError(f"must be {'above' if least_ns else 'from'} 0s, at most {_TIME_MAX}")
        return time_ns

    return check


_GO = Kind(
    "Go duration",
    f"above 0s, at most {_TIME_MAX}",
    {"type": "string", "pattern": GO_DURATION_PATTERN, "examples": ["30s", "1m30s"]},
    parse_go_duration_ns,
    _in_range(1),
    write_go_duration,
)
GoDuration = Annotated[int, _GO]
"""A time in ns, written 30s, 10m or 1h30m; m is a minute."""

_PAUSE = Kind(
    "Go duration, or seconds",
    f"from 0s to {_TIME_MAX}",
    {"anyOf": [{"type": "string", "pattern": GO_DURATION_PATTERN}, {"type": "integer", "minimum": 0}]},
    _seconds_or_go,
    _in_range(0),
    write_go_duration,
)

_CONDITION: Final = re.compile(r"result(?:\[0\])? *(>=|<=|<|>) *([0-9]*\.?[0-9]+)")
_LATENCIES: Final = {f"latency-p{percent}": percent for percent in (50, 90, 95, 99)}


class ArgoPause(Section):
    """A pause of Argo Rollouts."""

    duration: Annotated[int | None, _PAUSE] = Field(
        None, description="How long. Default: until it is promoted by hand."
    )


class ArgoMirrorRoute(Section):
    """Copies of requests for the canary, from this step on until it is set anew."""

    name: str | None = Field(None, description="Of the route; it changes nothing here.")
    percentage: Annotated[int, _PERCENT] = Field(description="Per cent of all requests that are copied.")


class ArgoInlineAnalysis(Section):
    """`analysis: {}`: the metrics of `rollout.argo.analysis` must succeed before the next step."""


class ArgoStep(Section):
    """One step of `strategy.canary.steps`, of exactly one kind."""

    setWeight: Annotated[int | None, _PERCENT] = Field(None, description="The canary's per cent of the requests.")
    pause: ArgoPause | None = Field(None, description="Wait.")
    setMirrorRoute: ArgoMirrorRoute | None = Field(None, description="Copy requests to the canary.")
    analysis: ArgoInlineAnalysis | None = Field(None, description="Measure, and go on if it succeeds.")

    @model_validator(mode="after")
    def _one_kind(self) -> ArgoStep:
        if len(self.model_fields_set) != 1 or getattr(self, self.kind) is None:
            raise ValueError(f"must have exactly one of {', '.join(type(self).model_fields)}")
        return self

    @property
    def kind(self) -> str:
        """The key that is written."""
        return min(self.model_fields_set)

    def settings(self) -> dict[str, Any]:
        """Return it as policy.rollout_presets.argo_rollouts takes it."""
        if self.pause is not None:
            return {"pause": {} if self.pause.duration is None else {"duration_ns": self.pause.duration}}
        if self.setMirrorRoute is not None:
            return {"setMirrorRoute": {"percentage": self.setMirrorRoute.percentage}}
        return {self.kind: {} if self.analysis is not None else self.setWeight}


class ArgoMetric(Section):
    """One metric of an AnalysisTemplate; of several all keys must be alike but for name and conditions."""

    name: Literal["success-rate", "error-rate", "latency-p50", "latency-p90", "latency-p95", "latency-p99"] = Field(
        description="What `result` is: the share of requests that succeed or that fail, or a quantile in seconds."
    )
    interval: GoDuration = Field(description="Between two measurements; each sees the requests since the last one.")
    initialDelay: GoDuration | None = Field(None, description="Before the first measurement. Default: one interval.")
    count: Annotated[int | None, count_up_to(COUNT_MAX)] = Field(
        None,
        description=(
            "Measurements of an `analysis` step. Default: 1; in the background, where it must be left out, as many as "
            "the pauses have room for."
        ),
    )
    successCondition: str | None = Field(
        None,
        description=(
            "`result[0] >= 0.95` of success-rate, `result[0] <= 0.05` of error-rate, `result[0] <= 0.5` of a latency. "
            "Default: whatever does not fail."
        ),
    )
    failureCondition: str | None = Field(
        None,
        description=(
            "`result[0] < 0.9` of success-rate, `result[0] > 0.1` of error-rate; what neither condition holds for is "
            "inconclusive. Default: whatever does not succeed."
        ),
    )
    failureLimit: Annotated[int, _FEW] = Field(0, description="Failures that are let pass; one more aborts.")
    inconclusiveLimit: Annotated[int, _FEW] = Field(
        0, description="Inconclusive measurements that are let pass; one more pauses."
    )
    consecutiveErrorLimit: Annotated[int, _FEW] = Field(
        4, description="Measurements in a row without any request that are let pass, 10s apart; one more aborts."
    )

    def limit(self, key: str) -> tuple[LimitSettings, int | None]:
        """Return its conditions as a limit, and the time beyond which an answer is slow. Raises SettingError."""
        if self.successCondition is None and self.failureCondition is None:
            raise SettingError(key, "given a successCondition or a failureCondition", "neither")
        if self.name in _LATENCIES:
            if self.successCondition is None or self.failureCondition is not None:
                raise SettingError(f"{key}.failureCondition", "left out for a latency", self.failureCondition)
            seconds = _number(f"{key}.successCondition", self.successCondition, "<=", most=TIME_MAX_NS / 10**9)
            return {"metric": "slow", "pass_most": SHARE_ONE * (100 - _LATENCIES[self.name]) // 100}, round(
                seconds * 10**9
            )
        good, bad = (">=", "<") if self.name == "success-rate" else ("<=", ">")
        told = {}
        for condition, sign in (("successCondition", good), ("failureCondition", bad)):
            text, place = getattr(self, condition), f"{key}.{condition}"
            if text is not None:
                share = _number(place, text, sign, most=1.0)
                told[condition] = parts(place, 1.0 - share if self.name == "success-rate" else share, SHARE_ONE)
        pass_most = told.get("successCondition", told.get("failureCondition", 0))
        fail_over = told.get("failureCondition", pass_most)
        if fail_over < pass_most:
            allowed = "a condition that no measurement meets which meets successCondition"
            raise SettingError(f"{key}.failureCondition", allowed, self.failureCondition)
        return {"metric": "failed", "pass_most": pass_most, "fail_over": fail_over}, None


class ArgoAnalysis(Section):
    """One AnalysisTemplate: for the steps with analysis, or, without any such step, in the background."""

    metrics: Annotated[tuple[ArgoMetric, ...], Field(min_length=1, max_length=LIMITS_MAX)] = Field(
        description="All of them must succeed."
    )
    startingStep: Annotated[int, _FEW] = Field(
        0, description="The first step, counted from 0, in whose pauses is measured in the background."
    )


class ArgoRollouts(Section):
    """A rollout as `strategy.canary` of Argo Rollouts writes it; weights are per cent, as there."""

    steps: tuple[ArgoStep, ...] = Field((), description="Behind the last one it is promoted.")
    analysis: ArgoAnalysis | None = Field(None, description="What is measured. Default: nothing.")
    progressDeadlineSeconds: Annotated[int, _SECONDS] = Field(
        600, description="For the canary's replicas to become ready, in seconds."
    )
    progressDeadlineAbort: bool = Field(False, description="Whether it is aborted when they are not.")

    def settings(self) -> RolloutSettings:
        """Return it as policy.rollout_settings.rollout_rule takes it. Raises SettingError."""
        deadline_ns = self.progressDeadlineSeconds * 10**9 if self.progressDeadlineAbort else None
        background = not any(step.kind == "analysis" for step in self.steps)
        return argo_rollouts(
            steps=[step.settings() for step in self.steps],
            progress_deadline_ns=deadline_ns,
            **({} if self.analysis is None else _argo_analysis(self.analysis, background=background)),
        )


def _argo_analysis(analysis: ArgoAnalysis, *, background: bool) -> dict[str, Any]:
    """Return an analysis as policy.rollout_presets.argo_rollouts takes it. Raises SettingError."""
    key, first = "rollout.argo.analysis", analysis.metrics[0]
    limits: list[LimitSettings] = []
    slow_over_ns: int | None = None
    for index, metric in enumerate(analysis.metrics):
        place = f"{key}.metrics.{index}"
        for name, value in metric.model_dump(exclude={"name", "successCondition", "failureCondition"}).items():
            if value != getattr(first, name):
                got = time_in_words(value) if name == "interval" else value
                raise SettingError(f"{place}.{name}", f"as in {key}.metrics.0: the rollout has one of it", got)
        limit, slower_ns = metric.limit(place)
        if slower_ns is not None and slow_over_ns not in (None, slower_ns):
            raise SettingError(
                f"{place}.successCondition", "on the same time as that of the other latency", metric.name
            )
        limits.append(limit)
        slow_over_ns = slower_ns if slower_ns is not None else slow_over_ns
    if background and first.count is not None:
        allowed = "left out when no step has analysis: it is then measured for as long as the pauses last"
        raise SettingError(f"{key}.metrics.0.count", allowed, first.count)
    return {
        "limits": limits,
        "slow_over_ns": slow_over_ns,
        "interval_ns": first.interval,
        "initial_delay_ns": first.initialDelay,
        "count": first.count or 1,
        "failure_limit": first.failureLimit,
        "inconclusive_limit": first.inconclusiveLimit,
        "consecutive_error_limit": first.consecutiveErrorLimit,
        "background": background,
        "starting_step": analysis.startingStep,
    }


def _number(key: str, condition: str, sign: str, *, most: float) -> float:
    """Return the number that `result` is compared with by that sign. Raises SettingError for any other condition."""
    found = _CONDITION.fullmatch(condition.strip())
    if found is None or found[1] != sign or not 0.0 <= float(found[2]) <= most:
        raise SettingError(key, f"`result[0] {sign}` and a number from 0 to {most:.0f}", repr(condition))
    return float(found[2])


class ThresholdRange(Section):
    """The range in which a metric of Flagger is good."""

    min: Annotated[float | None, Field(ge=0.0, le=100.0)] = Field(
        None, description="Of request-success-rate, per cent."
    )
    max: Annotated[float | None, Field(gt=0.0, le=TIME_MAX_NS / 10**6)] = Field(
        None, description="Of request-duration, milliseconds."
    )


class FlaggerMetric(Section):
    """One of Flagger's built-in metrics."""

    name: Literal["request-success-rate", "request-duration"] = Field(
        description="request-success-rate: per cent of requests that do not fail. request-duration: the p99."
    )
    thresholdRange: ThresholdRange = Field(description="In which range it is good: min of the one, max of the other.")
    interval: GoDuration | None = Field(None, description="Of the requests it looks at; as `interval`, if it is given.")

    @model_validator(mode="after")
    def _right_end(self) -> FlaggerMetric:
        end = "min" if self.name == "request-success-rate" else "max"
        if self.thresholdRange.model_fields_set != {end}:
            raise ValueError(f"must have a thresholdRange with {end} alone for {self.name}.")
        return self


class Flagger(Section):
    """A rollout as Flagger's `spec.analysis` writes it; weights are per cent, as there."""

    interval: GoDuration = written("1m", "Between two checks.")
    threshold: Annotated[int, _FEW] = Field(1, description="Bad checks at which it is rolled back.")
    maxWeight: Annotated[int, count_up_to(100)] = Field(100, description="The canary's highest weight.")
    stepWeight: Annotated[int, _PERCENT] = Field(0, description="By how much its weight grows.")
    stepWeights: tuple[Annotated[int, _PERCENT], ...] = Field((), description="Or each weight.")
    iterations: Annotated[int, _FEW] = Field(0, description="Or so many checks without weight (blue/green).")
    mirror: bool = Field(False, description="Whether it gets copies of requests before it gets a weight.")
    mirrorWeight: Annotated[int, _PERCENT] = Field(100, description="Per cent of the requests that are copied then.")
    metrics: tuple[FlaggerMetric, ...] = Field(
        (),
        description=(
            "What is checked. Default: request-success-rate of at least 99 (there: nothing, and every check is good)."
        ),
    )
    canaryReadyThreshold: Annotated[int, _PERCENT] = Field(
        100, description="Per cent of the wanted replicas that must be ready."
    )
    progressDeadlineSeconds: Annotated[int, _SECONDS] = Field(
        600, description="For the canary's replicas to become ready, in seconds (of `spec`, there)."
    )

    def settings(self) -> RolloutSettings:
        """Return it as policy.rollout_settings.rollout_rule takes it. Raises SettingError."""
        return flagger(
            interval_ns=self.interval,
            threshold=self.threshold,
            max_weight=self.maxWeight,
            step_weight=self.stepWeight,
            step_weights=self.stepWeights,
            iterations=self.iterations,
            mirror=self.mirror,
            mirror_weight=self.mirrorWeight,
            canary_ready_threshold=self.canaryReadyThreshold,
            progress_deadline_ns=self.progressDeadlineSeconds * 10**9,
            **self._thresholds(),
        )

    def _thresholds(self) -> dict[str, Any]:
        """Return the limits that the metrics are. Raises SettingError."""
        limits: dict[str, Any] = {"success_rate_min": None} if self.metrics else {}
        named = set[str]()
        for index, metric in enumerate(self.metrics):
            key = f"rollout.flagger.metrics.{index}"
            if metric.interval is not None and metric.interval != self.interval:
                allowed = "as rollout.flagger.interval, or left out: a check looks at what came since the last one"
                raise SettingError(f"{key}.interval", allowed, time_in_words(metric.interval))
            if metric.name in named:
                raise SettingError(f"{key}.name", "another one than those before", metric.name)
            named.add(metric.name)
            if metric.thresholdRange.min is not None:
                limits["success_rate_min"] = metric.thresholdRange.min
            if metric.thresholdRange.max is not None:
                limits["duration_max_ns"] = round(metric.thresholdRange.max * 10**6)
        return limits


class KServe(Section):
    """A rollout as KServe's `spec.predictor` writes it: a share that nothing but an operator changes."""

    canaryTrafficPercent: Annotated[Annotated[int, _PERCENT] | None, OrNone] = Field(
        None, description="The latest revision's per cent of the requests. Default: all, as soon as it is ready."
    )

    def settings(self) -> RolloutSettings:
        """Return it as policy.rollout_settings.rollout_rule takes it. Raises SettingError."""
        return kserve(canary_traffic_percent=self.canaryTrafficPercent)
