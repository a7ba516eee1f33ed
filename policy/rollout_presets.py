"""Argo Rollouts, Flagger and KServe as settings: their words in, what rollout_rule and its checks take out.

Weights and success rates are percent, as they write them, and refusals name their keys; times are integer nanoseconds
(`duration_ns`), since units are read elsewhere. Where the one rule cannot do as they do, the docstring says so.
Sources: the documentation and code of Argo Rollouts (`strategy.canary`, AnalysisTemplate), Flagger (`spec.analysis`)
and KServe (`canaryTrafficPercent`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from policy.errors import SettingError
from policy.rollout import SHARE_ONE, STEPS_MAX
from policy.rollout_settings import AnalysisSettings, LimitSettings, RolloutSettings, StepSettings
from policy.settings import check_count
from policy.versions import WEIGHT_ONE

__all__ = ["argo_rollouts", "flagger", "kserve"]

MINUTE_NS = 60 * 10**9

_ERROR_RETRY_NS = 10 * 10**9
"""From a measurement of Argo's without a result to the next one."""


def flagger(
    *,
    interval_ns: int = MINUTE_NS,
    threshold: int = 1,
    max_weight: int = 100,
    step_weight: int = 0,
    step_weights: Sequence[int] = (),
    iterations: int = 0,
    mirror: bool = False,
    mirror_weight: int = 100,
    success_rate_min: float | None = 99.0,
    duration_max_ns: int | None = None,
    canary_ready_threshold: int = 100,
    progress_deadline_ns: int = 10 * MINUTE_NS,
) -> RolloutSettings:
    """Return Flagger's `spec.analysis` as settings of a rollout.

    The rollout is started where Flagger has its first tick, which raises the weight (or begins to mirror) and looks at
    no metric. Failed checks add up over the whole rollout, a check without a single sample is a failed one, and the
    tick after the one that reached the threshold rolls back. `iterations` is the blue/green form (with an A/B match the
    driver pins those who match). `duration_max_ns` limits the p99, hence the share of slower answers to 1 %.

    Other than Flagger: the promotion is at once. There the primary becomes the new version in the tick that promotes,
    and `stepWeightPromotion` moves traffic between two copies of it. A metric's own interval is the checks'.
    Raises SettingError.
    """
    if sum(map(bool, (step_weight, step_weights, iterations))) != 1:
        raise SettingError("rollout.flagger", "one of stepWeight, stepWeights or iterations", "none of them or several")
    check_count("rollout.flagger.maxWeight", max_weight, 1, 100)
    check_count("rollout.flagger.stepWeight", step_weight, 0, 100)
    check_count("rollout.flagger.iterations", iterations, 0)
    check_count("rollout.flagger.mirrorWeight", mirror_weight, 0, 100)
    check_count("rollout.flagger.canaryReadyThreshold", canary_ready_threshold, 0, 100)
    for index, percent in enumerate(step_weights):
        check_count(f"rollout.flagger.stepWeights.{index}", percent, 0, 100)
    shadow = _weight(mirror_weight) if mirror else 0
    steps: list[StepSettings] = []
    if iterations:
        steps.append({"weight": 0, "analysis": True, "shadow": shadow})
    else:
        if mirror:
            steps.append({"weight": 0, "analysis": True, "shadow": shadow})
        weights = step_weights or _climb(step_weight, max_weight)
        steps += [{"weight": _weight(percent), "analysis": True} for percent in weights]

    _check_steps("rollout.flagger.stepWeight", steps)
    limits: list[LimitSettings] = []
    if success_rate_min is not None:
        limits.append({"metric": "failed", "pass_most": _share(100.0 - success_rate_min)})
    if duration_max_ns is not None:
        limits.append({"metric": "slow", "pass_most": SHARE_ONE // 100})
    return {
        "steps": steps,
        "analysis": {
            "limits": limits,
            "interval_ns": interval_ns,
            "count": max(iterations, 1),
            "counted": "good",
            "failure_limit": max(threshold, 1) - 1,
            "failure_scope": "rollout",
            "no_data": "fail",
            "roll_back_delay_ns": interval_ns,
        },
        "slow_over_ns": duration_max_ns,
        "refusals_fail": False,  # its success rate is that of answers other than 5xx; a full queue is a 429
        "ready_share": _weight(canary_ready_threshold),
        "ready_deadline_ns": progress_deadline_ns,
    }


def argo_rollouts(
    *,
    steps: Sequence[Mapping[str, Any]],
    limits: Sequence[LimitSettings] = (),
    interval_ns: int = MINUTE_NS,
    initial_delay_ns: int | None = None,
    count: int = 1,
    failure_limit: int = 0,
    inconclusive_limit: int = 0,
    consecutive_error_limit: int = 4,
    background: bool = False,
    starting_step: int = 0,
    slow_over_ns: int | None = None,
    progress_deadline_ns: int | None = None,
) -> RolloutSettings:
    """Return Argo Rollouts' `strategy.canary` with one AnalysisTemplate as settings of a rollout.

    `steps` are its own: {"setWeight": 20}, {"pause": {}} (until promoted), {"pause": {"duration_ns": ...}},
    {"analysis": {}}, {"setMirrorRoute": {"percentage": 35}}. A limit's `pass_most` is the successCondition, its
    `fail_over` the failureCondition. With `background` the metrics are measured during all pauses from the step with
    the index `starting_step` on, for as long as they last. `progress_deadline_ns` is given where
    `progressDeadlineAbort` is set. A setWeight is done at once, so it is the begin of what it is followed by.

    Other than Argo: a check looks at what came since the last one, so the first comes `interval_ns` (or
    `initial_delay_ns`) after the analysis began, not at once. A check is an error when the canary had no request since;
    `consecutive_error_limit` of them in a row are let pass, 10 s apart, and the next one sees their time too. All
    metrics have the same limits. With `background`, failures add up over the rollout, as they do there. Raises
    SettingError.
    """
    moves: list[StepSettings] = []
    weight, shadow, is_new = 0, 0, False
    for index, one in enumerate(steps):
        key = f"rollout.argo.steps.{index}"
        kind, value = _only_item(key, one)
        if kind == "setWeight":
            weight, is_new = _weight(check_count(f"{key}.setWeight", value, 0, 100)), True
        elif kind == "setMirrorRoute":
            percent = check_count(f"{key}.setMirrorRoute.percentage", value["percentage"], 0, 100)
            shadow, is_new = _weight(percent), True
        elif kind == "pause":
            is_measured = background and index >= starting_step
            pause: StepSettings = {"weight": weight, "shadow": shadow, "pause_ns": value.get("duration_ns")}
            moves.append({**pause, "analysis": is_measured})
            is_new = False
        elif kind == "analysis" and not background:
            moves.append({"weight": weight, "shadow": shadow, "analysis": True})
            is_new = False
        else:
            allowed = "one of setWeight, pause, setMirrorRoute, and analysis unless it is in the background"
            raise SettingError(key, allowed, kind)
    if is_new:
        moves.append({"weight": weight, "shadow": shadow})
    _check_steps("rollout.argo.steps", moves)
    if not limits and any(move.get("analysis") for move in moves) and not background:
        raise SettingError("rollout.argo.analysis", "given when a step has analysis", "nothing")
    analysis: AnalysisSettings = {
        "limits": limits,
        "interval_ns": interval_ns,
        "initial_delay_ns": initial_delay_ns,
        "count": 0 if background else count,
        "counted": "all",
        "failure_limit": failure_limit,
        "failure_scope": "rollout" if background else "step",
        "inconclusive_limit": inconclusive_limit,
        "no_data": "hold",
        "no_data_limit": consecutive_error_limit,
        "no_data_interval_ns": _ERROR_RETRY_NS,
    }
    return {
        "steps": moves,
        "analysis": analysis if limits else None,
        "slow_over_ns": slow_over_ns,
        "refusals_fail": False,  # as with Flagger: success rates are measured of answers other than 5xx
        "ready_deadline_ns": progress_deadline_ns,
    }


def kserve(*, canary_traffic_percent: int | None = None) -> RolloutSettings:
    """Return KServe's `canaryTrafficPercent` as settings of a rollout: a share that only an operator changes.

    None or 100 gives the new revision everything as soon as it is ready; until then the old one keeps it.
    """
    if canary_traffic_percent is not None:
        check_count("rollout.kserve.canaryTrafficPercent", canary_traffic_percent, 0, 100)
    if canary_traffic_percent is None or canary_traffic_percent == 100:
        return {"steps": ()}
    return {"steps": ({"weight": _weight(canary_traffic_percent), "pause_ns": None},)}


def _climb(step: int, most: int) -> list[int]:
    """Return the weights of Flagger's ticks in percent: by `step` until `most` is reached or passed, never over 100."""
    weights = [min(step, 100)]
    while weights[-1] < most and weights[-1] < 100:
        weights.append(min(weights[-1] + step, 100))
    return weights


def _check_steps(key: str, steps: Sequence[StepSettings]) -> None:
    """Raise SettingError for more steps than a rollout has."""
    if len(steps) > STEPS_MAX:
        raise SettingError(key, f"such that there are at most {STEPS_MAX} steps", len(steps))


def _only_item(key: str, step: Mapping[str, Any]) -> tuple[str, Any]:
    """Return the kind of a step and its value."""
    if len(step) != 1:
        raise SettingError(key, "one of its kinds and its value", list(step))
    return next(iter(step.items()))


def _weight(percent: int) -> int:
    """Return percent as a weight."""
    return percent * WEIGHT_ONE // 100


def _share(percent: float) -> int:
    """Return percent as a share of SHARE_ONE, to the nearest part."""
    return round(percent * SHARE_ONE / 100.0)
