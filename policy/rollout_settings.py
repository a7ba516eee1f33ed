"""Plain settings -> checked rules of versions and rollouts, and the way back. What is out of range is rejected here.

Times come in as integer nanoseconds, weights as integers in parts of WEIGHT_ONE, limits in parts of SHARE_ONE, names as
the lower-case names of the enums. See policy/settings.py for the other rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

from policy.errors import SettingError
from policy.instant import NEVER_NS, UNSET
from policy.rollout import (
    LIMITS_MAX,
    SHARE_ONE,
    STEPS_MAX,
    Against,
    Counted,
    FailureScope,
    Metric,
    NoData,
    RolloutRule,
)
from policy.settings import TIME_MAX_NS, check_count, check_name, check_time_ns
from policy.versions import VERSIONS_MAX, WEIGHT_ONE, VersionWeights

__all__ = [
    "RATIO_MAX",
    "VERSION_NAME",
    "VERSION_NAME_ALLOWED",
    "AnalysisSettings",
    "LimitSettings",
    "RolloutSettings",
    "StepSettings",
    "rollout_in_words",
    "rollout_rule",
    "shares_in_words",
    "version_weights",
]

RATIO_MAX = 1_000 * SHARE_ONE
"""The largest limit on a ratio: a thousandfold, far beyond what one would let pass."""


VERSION_NAME = "[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
"""The pattern of a version's name, which stands in paths, headers and metrics: as long as a label of DNS may be."""

VERSION_NAME_ALLOWED = "1 to 63 letters, digits, dots, dashes and underscores, a letter or digit first"


class StepSettings(TypedDict, total=False):
    """One step of a rollout. It is over when its pause has passed and its analysis, if it has one, has succeeded."""

    weight: int  # required: the canary's, parts of WEIGHT_ONE
    pause_ns: int | None  # 0; None: until it is promoted by hand
    analysis: bool  # false
    shadow: int  # 0: share of requests of which the canary gets a copy, parts of WEIGHT_ONE


class LimitSettings(TypedDict, total=False):
    """One limit of an analysis, in parts of SHARE_ONE: good up to and with `pass_most`, bad beyond `fail_over`."""

    metric: str  # required: failed or slow
    against: str  # nothing; or stable_difference, stable_ratio
    pass_most: int  # required
    fail_over: int  # as pass_most; between the two a check is inconclusive


class AnalysisSettings(TypedDict, total=False):
    """How the steps with analysis are checked."""

    limits: Sequence[LimitSettings]  # required
    interval_ns: int  # required: between two checks
    initial_delay_ns: int | None  # None: one interval
    count: int  # 1: checks of a step; 0: as many as its pause has room for
    counted: str  # good; or all
    failure_limit: int  # 0: checks that may fail
    failure_scope: str  # rollout; or step, consecutive
    inconclusive_limit: int  # 0
    samples_min: int  # 1
    no_data: str  # hold; or fail, pass
    no_data_limit: int | None  # None: without end; checks in a row that may be held for want of samples
    no_data_interval_ns: int | None  # None: as interval_ns; from a check that was held so to the next
    roll_back_delay_ns: int  # 0


class RolloutSettings(TypedDict, total=False):
    """What rollout_rule takes; presets return it."""

    steps: Sequence[StepSettings]
    analysis: AnalysisSettings | None
    slow_over_ns: int | None
    refusals_fail: bool
    ready_share: int
    ready_deadline_ns: int | None


def version_weights(
    *, weights: Sequence[int], stable: int = 0, canary: int | None = None, key: str = "versions"
) -> VersionWeights:
    """Return the weights of the versions loaded, parts of WEIGHT_ONE that add up to it.

    `stable` is the index of the version that takes what the others leave, `canary` of the one that a rollout is about.
    Raises SettingError.
    """
    if not 1 <= len(weights) <= VERSIONS_MAX:
        raise SettingError(key, f"1 to {VERSIONS_MAX} versions", len(weights))
    for weight in weights:
        check_count(f"{key}.weight", weight, 0, WEIGHT_ONE)
    if sum(weights) != WEIGHT_ONE:
        raise SettingError(f"{key}.weight", "100% in sum over all versions", _percent(sum(weights)))
    check_count(f"{key}.stable", stable, 0, len(weights) - 1)
    if canary is not None:
        check_count(f"{key}.canary", canary, 0, len(weights) - 1)
        if canary == stable:
            raise SettingError(f"{key}.canary", "another version than the stable one", canary)
    return VersionWeights(
        weights=_filled(weights, VERSIONS_MAX),
        loaded=len(weights),
        stable=stable,
        canary=UNSET if canary is None else canary,
    )


def rollout_rule(
    *,
    steps: Sequence[StepSettings],
    analysis: AnalysisSettings | None = None,
    slow_over_ns: int | None = None,
    refusals_fail: bool = True,
    ready_share: int = WEIGHT_ONE,
    ready_deadline_ns: int | None = None,
) -> RolloutRule:
    """Return the rule of a rollout; without steps the canary gets all at once.

    `slow_over_ns` is the latency beyond which an answer is slow, None: no limit is on it. `ready_share` of the wanted
    replicas of either version must be ready, parts of WEIGHT_ONE; the canary's within `ready_deadline_ns`, None: it
    waits without end. Raises SettingError.
    """
    checked = [_step(f"rollout.steps.{index}", **one) for index, one in enumerate(steps)]
    if len(checked) > STEPS_MAX:
        raise SettingError("rollout.steps", f"at most {STEPS_MAX} steps", len(checked))
    analysed = any(one["analysis"] for one in checked)
    if analysed and analysis is None:
        raise SettingError("rollout.analysis", "given when a step has analysis", "nothing")
    if analysis is not None and not analysis.get("limits"):
        raise SettingError("rollout.analysis.limits", f"1 to {LIMITS_MAX} limits", 0)
    fields = _analysis(**(analysis if analysis is not None else _NO_ANALYSIS))
    if analysed and fields["check_count"] == 0:
        for index, one in enumerate(checked):
            if one["analysis"] and one["pause_ns"] == 0:
                allowed = "more than zero when rollout.analysis.count is 0 (it is checked for as long as it pauses)"
                raise SettingError(f"rollout.steps.{index}.pause", allowed, "0ns")
    if slow_over_ns is None and Metric.SLOW in fields["limit_metric"][: fields["limit_count"]]:
        raise SettingError("rollout.slow_over", "given when a limit is on slow answers", "nothing")
    return RolloutRule(
        step_weight=_filled([one["weight"] for one in checked], STEPS_MAX),
        step_shadow=_filled([one["shadow"] for one in checked], STEPS_MAX),
        step_pause_ns=_filled([one["pause_ns"] for one in checked], STEPS_MAX),
        step_analysis=_filled([one["analysis"] for one in checked], STEPS_MAX),
        step_count=len(checked),
        slow_over_ns=NEVER_NS if slow_over_ns is None else check_time_ns("rollout.slow_over", slow_over_ns, 1),
        refusals_fail=int(refusals_fail),
        ready_share=check_count("rollout.ready_share", ready_share, 0, WEIGHT_ONE),
        ready_deadline_ns=_time_or_never("rollout.ready_deadline", ready_deadline_ns, 1),
        **fields,
    )


def rollout_in_words(rule: RolloutRule) -> RolloutSettings:
    """Return a rule with the names of its settings, for JSON: rollout_rule(**words) is the same rule again."""
    limits: list[LimitSettings] = [
        {
            "metric": Metric(rule.limit_metric[index]).name.lower(),
            "against": Against(rule.limit_against[index]).name.lower(),
            "pass_most": rule.limit_pass[index],
            "fail_over": rule.limit_fail[index],
        }
        for index in range(rule.limit_count)
    ]
    steps: list[StepSettings] = [
        {
            "weight": rule.step_weight[index],
            "shadow": rule.step_shadow[index],
            "pause_ns": _none_if_never(rule.step_pause_ns[index]),
            "analysis": bool(rule.step_analysis[index]),
        }
        for index in range(rule.step_count)
    ]
    analysis: AnalysisSettings = {
        "limits": limits,
        "interval_ns": rule.interval_ns,
        "initial_delay_ns": rule.initial_delay_ns,
        "count": rule.check_count,
        "counted": Counted(rule.counted).name.lower(),
        "failure_limit": rule.failure_limit,
        "failure_scope": FailureScope(rule.failure_scope).name.lower(),
        "inconclusive_limit": rule.inconclusive_limit,
        "samples_min": rule.samples_min,
        "no_data": NoData(rule.no_data).name.lower(),
        "no_data_limit": None if rule.no_data_limit == UNSET else rule.no_data_limit,
        "no_data_interval_ns": rule.no_data_interval_ns,
        "roll_back_delay_ns": rule.roll_back_delay_ns,
    }
    return {
        "steps": steps,
        "analysis": analysis if limits else None,
        "slow_over_ns": _none_if_never(rule.slow_over_ns),
        "refusals_fail": bool(rule.refusals_fail),
        "ready_share": rule.ready_share,
        "ready_deadline_ns": _none_if_never(rule.ready_deadline_ns),
    }


def shares_in_words(weights: VersionWeights, shadows: Sequence[int], rollout: RolloutRule | None) -> dict[str, Any]:
    """Return how requests come to the versions, for JSON; weights and shadows in parts of WEIGHT_ONE."""
    return {
        "weights": list(weights.weights[: weights.loaded]),
        "stable": weights.stable,
        "canary": None if weights.canary == UNSET else weights.canary,
        "shadows": list(shadows),
        "rollout": None if rollout is None else rollout_in_words(rollout),
    }


def _step(
    key: str, *, weight: int, pause_ns: int | None = 0, analysis: bool = False, shadow: int = 0
) -> dict[str, int]:
    """Return the checked fields of one step."""
    return {
        "weight": check_count(f"{key}.weight", weight, 0, WEIGHT_ONE),
        "shadow": check_count(f"{key}.shadow", shadow, 0, WEIGHT_ONE),
        "pause_ns": _time_or_never(f"{key}.pause", pause_ns, 0),
        "analysis": int(analysis),
    }


_NO_ANALYSIS: AnalysisSettings = {"limits": (), "interval_ns": TIME_MAX_NS}
"""What stands in a rule whose steps have none; it is never looked at."""


def _analysis(
    *,
    limits: Sequence[LimitSettings],
    interval_ns: int,
    initial_delay_ns: int | None = None,
    count: int = 1,
    counted: str = "good",
    failure_limit: int = 0,
    failure_scope: str = "rollout",
    inconclusive_limit: int = 0,
    samples_min: int = 1,
    no_data: str = "hold",
    no_data_limit: int | None = None,
    no_data_interval_ns: int | None = None,
    roll_back_delay_ns: int = 0,
) -> dict[str, Any]:
    """Return the checked fields of the analysis."""
    key = "rollout.analysis"
    if len(limits) > LIMITS_MAX:
        raise SettingError(f"{key}.limits", f"at most {LIMITS_MAX} limits", len(limits))
    rows = [_limit(f"{key}.limits.{index}", **one) for index, one in enumerate(limits)]
    first_ns = interval_ns if initial_delay_ns is None else initial_delay_ns
    retry_ns = interval_ns if no_data_interval_ns is None else no_data_interval_ns
    no_data_value = int(check_name(f"{key}.no_data", no_data, NoData))
    if no_data_limit is not None and no_data_value != NoData.HOLD:
        raise SettingError(f"{key}.no_data_limit", "left out unless rollout.analysis.no_data is hold", no_data_limit)
    return {
        "interval_ns": check_time_ns(f"{key}.interval", interval_ns, 1),
        "initial_delay_ns": check_time_ns(f"{key}.initial_delay", first_ns, 1),
        "check_count": check_count(f"{key}.count", count, 0),
        "counted": int(check_name(f"{key}.counted", counted, Counted)),
        "failure_limit": check_count(f"{key}.failure_limit", failure_limit, 0),
        "failure_scope": int(check_name(f"{key}.failure_scope", failure_scope, FailureScope)),
        "inconclusive_limit": check_count(f"{key}.inconclusive_limit", inconclusive_limit, 0),
        "samples_min": check_count(f"{key}.samples_min", samples_min),
        "no_data": no_data_value,
        "no_data_limit": UNSET if no_data_limit is None else check_count(f"{key}.no_data_limit", no_data_limit, 0),
        "no_data_interval_ns": check_time_ns(f"{key}.no_data_interval", retry_ns, 1),
        "roll_back_delay_ns": check_time_ns(f"{key}.roll_back_delay", roll_back_delay_ns),
        "limit_metric": _filled([row[0] for row in rows], LIMITS_MAX),
        "limit_against": _filled([row[1] for row in rows], LIMITS_MAX),
        "limit_pass": _filled([row[2] for row in rows], LIMITS_MAX),
        "limit_fail": _filled([row[3] for row in rows], LIMITS_MAX),
        "limit_count": len(rows),
    }


def _limit(
    key: str, *, metric: str, pass_most: int, against: str = "nothing", fail_over: int | None = None
) -> tuple[int, int, int, int]:
    """Return the checked fields of one limit: metric, against, pass, fail."""
    against_value = check_name(f"{key}.against", against, Against)
    most = RATIO_MAX if against_value == Against.STABLE_RATIO else SHARE_ONE
    _check_share(f"{key}.pass_most", pass_most, 0, most)
    bad_from = pass_most if fail_over is None else _check_share(f"{key}.fail_over", fail_over, pass_most, most)
    return int(check_name(f"{key}.metric", metric, Metric)), int(against_value), pass_most, bad_from


def _check_share(key: str, share: int, least: int, most: int) -> int:
    """Return a share or a ratio that lies in [least, most], all in parts of SHARE_ONE, or raise SettingError."""
    if not least <= share <= most:
        low, high, got = (f"{part * 100 / SHARE_ONE:g}%" for part in (least, most, share))
        raise SettingError(key, f"from {low} to {high}", got)
    return share


def _time_or_never(key: str, time_ns: int | None, least_ns: int) -> int:
    """Return a checked time, NEVER_NS for None."""
    return NEVER_NS if time_ns is None else check_time_ns(key, time_ns, least_ns)


def _none_if_never(time_ns: int) -> int | None:
    """Return a time as a setting has it."""
    return None if time_ns == NEVER_NS else time_ns


def _filled(values: Sequence[int], length: int) -> tuple[int, ...]:
    """Return the values with zeros behind: tuples of one length compile once."""
    return tuple(values) + (0,) * (length - len(values))


def _percent(weight: int) -> str:
    """Return a weight as a user writes it."""
    return f"{weight * 100 / WEIGHT_ONE:g}%"
