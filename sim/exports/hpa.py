"""An autoscaler as a HorizontalPodAutoscaler has it: its formula, metric and `behavior`, which KEDA hands through.

What is a flag of the cluster's controller manager, for all of its autoscalers, no object can say: it is told.
"""

from __future__ import annotations

from typing import Any, Final

from policy.autoscaling_rule import AutoscalingRule, Direction, Formula, NotReady, Select, Stabilisation
from sim.exports.telling import Telling

__all__ = [
    "behavior",
    "note_what_no_hpa_says",
    "quantity",
    "refuse_other_rules",
    "settings_of_an_hpa",
    "settings_of_total",
]

_TOLERANCE: Final = 0.1
"""The controller manager's default, which holds where an HPA states none of its own."""

_S: Final = 10**9
_WINDOW_MOST_S: Final = 3600
_PERIOD_MOST_S: Final = 1800
_A = "fleet.autoscaler."

_FLAG: Final = "the controller manager of a cluster sets it for every HPA"


def refuse_other_rules(rule: AutoscalingRule, telling: Telling) -> None:
    """Raise DoesNotFit for an autoscaler that works its number out in another way than an HPA does."""
    settings = settings_of_an_hpa(rule, telling)
    if rule.formula == Formula.GAIN:
        telling.refuse(f"{_A}formula", "an HPA goes all of the way to what the load asks for", settings)
    if rule.panic_window_ns > 0:
        telling.refuse(f"{_A}panic_window", "an HPA knows no panic", settings)
    if telling.has(f"{_A}not_ready") and rule.not_ready != NotReady.IDLE:
        telling.refuse(f"{_A}not_ready", "an HPA takes starting pods for idle ones", settings)
    telling.say(f"{_A}formula", f"{_A}not_ready")


def settings_of_an_hpa(rule: AutoscalingRule, telling: Telling) -> dict[str, str]:
    """Return what has to be set for an autoscaler to work its number out as an HPA does."""
    settings = settings_of_total(rule) if rule.formula == Formula.GAIN else {}
    if rule.panic_window_ns > 0:
        settings[f"{_A}panic_window"] = "0s"
    if telling.has(f"{_A}not_ready") and rule.not_ready != NotReady.IDLE:
        settings[f"{_A}not_ready"] = "idle"
    return settings


def settings_of_total(rule: AutoscalingRule) -> dict[str, str]:
    """Return what has to be set for the load of all pods to be divided by the target; none where it is."""
    if rule.formula == Formula.TOTAL:
        return {}
    gains = {f"{_A}gain_{side}": "1" for side, one in (("up", rule.up), ("down", rule.down)) if one.gain != 1.0}
    return {f"{_A}formula": "total", **gains}


def behavior(rule: AutoscalingRule, telling: Telling) -> dict[str, Any] | None:
    """Return `behavior`, None where that of an HPA without one is meant. Raises DoesNotFit beyond its ranges.

    Without it an HPA goes to the highest recommendation of a window that is a flag of the cluster; with it, it moves
    between those of its two windows. So one that states anything here cannot do the former.
    """
    follows = rule.stabilisation == Stabilisation.HIGHEST and rule.down.stabilisation_ns > 0
    if follows and _is_without_behavior(rule):
        telling.say(f"{_A}stabilisation", *_step_keys())
        if rule.down.stabilisation_ns == 300 * _S:
            telling.say(f"{_A}stabilisation_down")
        telling.note(f"{_FLAG} (--horizontal-pod-autoscaler-downscale-stabilization)", f"{_A}stabilisation_down")
        for side, direction in (("up", rule.up), ("down", rule.down)):
            if direction.dead_band == _TOLERANCE:
                telling.say(f"{_A}dead_band_{side}")
            elif direction.dead_band == 0.0:
                spelled = telling.spelled(f"{_A}dead_band_{side}")
                telling.remark(f"{spelled} is 0, and an HPA without `behavior` has {_TOLERANCE:g}: {_FLAG}.")
            telling.note(f"{_FLAG} (--horizontal-pod-autoscaler-tolerance)", f"{_A}dead_band_{side}")
        return None
    if follows:
        telling.note("an HPA with `behavior` moves no further than between its windows", f"{_A}stabilisation")
    telling.say(f"{_A}stabilisation")
    telling.note("step limits of an HPA hold from the first pod on", f"{_A}step_up_least")
    return {"scaleUp": _scaling("up", rule, rule.up, telling), "scaleDown": _scaling("down", rule, rule.down, telling)}


def note_what_no_hpa_says(rule: AutoscalingRule, telling: Telling) -> None:
    """Tell what is set elsewhere, and what an HPA does not have."""
    if rule.tick_ns == 15 * _S:
        telling.say(f"{_A}tick")
    telling.note(f"{_FLAG} (--horizontal-pod-autoscaler-sync-period)", f"{_A}tick")
    of_metric = ("sample", "window", "mean", "report", "lag")
    telling.note("what supplies the metric has to see to that", *(f"{_A}{key}" for key in of_metric))
    for nearest, *keys in (
        ("stabilisation_up and stabilisation_down", "delay_up", "delay_down", "delay_restarts"),
        ("step_up_count and step_down_count with a period", "cooldown", "cooldown_up", "cooldown_down"),
        ("step_up_percent and step_down_percent", "rate_up", "rate_down"),
    ):
        telling.note(f"the nearest that an HPA has is {nearest}", *(f"{_A}{key}" for key in keys))


def quantity(key: str, value: float, telling: Telling) -> str:
    """Return a number as Kubernetes writes a quantity, whole or in thousandths, beyond which an HPA does not look.

    Raises DoesNotFit for one that is too small.
    """
    thousandths = round(1000 * value)
    if thousandths < 1:
        telling.refuse(key, "a target of an HPA is a whole number of thousandths", {key: "0.001"})
    telling.say(key)
    text = f"{thousandths // 1000}" if thousandths % 1000 == 0 else f"{thousandths}m"
    if thousandths / 1000 != value:
        rounded = f"{thousandths / 1000:.12g}"
        telling.remark(f"{telling.spelled(key)} is {value:.12g}: rounded to {rounded}, since an HPA has thousandths.")
    return text


def _is_without_behavior(rule: AutoscalingRule) -> bool:
    """Return whether the step limits are those of an HPA without `behavior`."""
    up, down = rule.up, rule.down
    return (
        (up.step_count, up.step_percent, rule.step_up_least) == (0, 100, 4)
        and up.step_percent_period_ns in (0, rule.tick_ns)
        and (down.step_count, down.step_percent) in ((0, 0), (0, 100))
        and Select.DISABLED not in (up.step_select, down.step_select)
    )


def _scaling(side: str, rule: AutoscalingRule, direction: Direction, telling: Telling) -> dict[str, Any]:
    """Return scaleUp or scaleDown."""
    key = f"{_A}stabilisation_{side}"
    window_s = telling.whole(key, direction.stabilisation_ns, "s", _S, most=_WINDOW_MOST_S)
    said: dict[str, Any] = {"stabilizationWindowSeconds": window_s}
    telling.say(f"{_A}step_{side}_select", f"{_A}dead_band_{side}")
    if direction.step_select == Select.DISABLED:
        said["selectPolicy"] = "Disabled"
    else:
        said["selectPolicy"] = "Max" if direction.step_select == Select.MOST else "Min"
        said["policies"] = _policies(side, rule, direction, telling)
    if direction.dead_band != _TOLERANCE:
        said["tolerance"] = f"{direction.dead_band:.9f}".rstrip("0").rstrip(".")
        telling.remark("`tolerance` is read from Kubernetes 1.35 on, before by the gate HPAConfigurableTolerance.")
    return said


def _policies(side: str, rule: AutoscalingRule, direction: Direction, telling: Telling) -> list[dict[str, Any]]:
    """Return the step limits; none of them would mean those of Kubernetes, so no limit is said as one."""
    policies = []
    for kind, name, value, period_ns in (
        ("Pods", "count", direction.step_count, direction.step_count_period_ns),
        ("Percent", "percent", direction.step_percent, direction.step_percent_period_ns),
    ):
        key = f"{_A}step_{side}_{name}"
        if value > 0:
            # Without a period a limit is that of one tick.
            seconds = telling.whole(f"{key}_period", period_ns or rule.tick_ns, "s", _S, 1, _PERIOD_MOST_S)
            telling.say(key)
            policies.append({"type": kind, "value": value, "periodSeconds": seconds})
    if policies:
        return policies
    if side == "up":
        return [{"type": "Pods", "value": rule.replicas_max, "periodSeconds": 1}]
    return [{"type": "Percent", "value": 100, "periodSeconds": 1}]


def _step_keys() -> list[str]:
    """Return the keys of all step limits."""
    names = ("count", "count_period", "percent", "percent_period", "select")
    return [f"{_A}step_{side}_{name}" for side in ("up", "down") for name in names] + [f"{_A}step_up_least"]
