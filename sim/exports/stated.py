"""What a scenario asks of the systems that run it, key by key: what an export has to say, or to say that it cannot.

Not among it is what no file configures: traffic and clients, how long passes and front ends take, faults, goals, costs,
how much is simulated. A cold start is: no file sets how long it takes, but something has to allow for it. Nor is a key
that is off (no cap, no delay), or that changes nothing as the others stand (from when max_wait counts, where there is
none).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from policy.autoscaling_rule import AutoscalingRule, Direction, Formula, Select, Signal
from policy.autoscaling_settings import autoscaling_in_words
from policy.instant import NEVER_NS, UNSET
from policy.recommendation import ceil_replicas
from policy.rollout import SHARE_ONE, Against, Counted, FailureScope, Metric, NoData, RolloutRule
from policy.rollout_settings import rollout_in_words
from policy.settings import HELD_MAX, routing_in_words, rules_in_words
from policy.versions import WEIGHT_ONE
from sim.scenario.costs import costs_of
from sim.scenario.fleet_spec import COLD_START_PARTS, ColdStart
from sim.scenario.rules import ServingRules, serving_rules
from sim.scenario.spec import Scenario
from sim.scenario.units import shown, write_share, write_time
from sim.scenario.versions import VersionRules, each_version, version_rules

__all__ = ["COLD_START", "SAYS_NOTHING", "Stated", "stated_of_fleet", "stated_of_others", "stated_of_versions"]

SAYS_NOTHING: Final = (
    *("name", "traffic", "horizon", "goals", "cost", "seed"),
    *("model.profile", "model.serve_with", "model.options", "model.input"),
    *(f"model.pass_time.{part}" for part in ("base", "per_item", "per_unit", "table", "spread")),
    *(f"front_end.{part}" for part in ("request", "response", "pass_result", "timer")),
    *(f"fleet.{part}" for part in ("turnaround", "cold_start.first_passes", "crash_every", "slow", "spare")),
    *("versions.name", "versions.error_rate", "versions.success_rate", "versions.loaded"),
    *("split.salt", "rollout.start"),
)
"""Keys, with all below them, that configure no system: what is measured, what clients do, what is simulated."""

COLD_START: Final = tuple(f"fleet.cold_start.{part}" for part in COLD_START_PARTS)
"""Keys of how long a replica's start takes."""


class Stated(NamedTuple):
    """What a scenario says of one key."""

    key: str  # as its author finds it in docs/scenario.md
    words: str  # its value


def stated_of_fleet(scenario: Scenario, place: int = 0) -> dict[str, Stated]:
    """Return what the version at that place asks of what serves it, by the key that it would have alone.

    Raises ScenarioError or SettingError where the scenario contradicts itself.
    """
    alone = each_version(scenario)[place]
    rules = serving_rules(alone)
    told = {**_of_batching(alone, rules), **_of_pool(alone, rules)}
    for key, words in _of_autoscaler(rules.autoscaler).items():
        told[f"fleet.autoscaler.{key}"] = words
    version = scenario.versions[place] if scenario.versions else None
    own = {section for section in ("fleet", "model") if version is not None and getattr(version, section) is not None}
    return {
        key: Stated(f"versions.{place}.{key}" if key.partition(".")[0] in own else key, words)
        for key, words in told.items()
    }


def stated_of_versions(scenario: Scenario) -> dict[str, Stated]:
    """Return what a scenario asks of who gets which version. Raises SettingError."""
    rules, told = version_rules(scenario), dict[str, str]()
    for place, version in enumerate(scenario.versions):
        if place != rules.weights.stable:
            told[f"versions.{place}"] = version.name
            for name, share, one in (
                ("weight", rules.weights.weights[place], WEIGHT_ONE),
                ("copies", rules.shadows[place], WEIGHT_ONE),
            ):
                if share > 0:
                    told[f"versions.{place}.{name}"] = write_share(share / one)
        if rules.pinned[place] > 0:
            told[f"versions.{place}.pinned"] = write_share(rules.pinned[place] / SHARE_ONE)
    if scenario.split.users is not None and len(scenario.versions) > 1:
        told["split.users"] = str(scenario.split.users)
    for key, words in _of_rollout(rules).items():
        told[f"rollout.{key}"] = words
    return {key: Stated(key, words) for key, words in told.items()}


def stated_of_others(scenario: Scenario, *but: int) -> dict[str, Stated]:
    """Return what is asked, in fleets and models of their own, of all versions but those at the places given."""
    others = [place for place in range(len(scenario.versions)) if place not in but]
    told = [stated for place in others for stated in stated_of_fleet(scenario, place).values()]
    return {stated.key: stated for stated in told if stated.key.startswith("versions.")}


def _of_batching(alone: Scenario, rules: ServingRules) -> dict[str, str]:
    """Return what is asked of the server that batches."""
    batching = rules_in_words(rules.batching, rules.admission, rules.deadline)["batching"]
    told = {"batching.max_batch": str(batching["max_batch"])}
    if rules.batching.max_batch > 1:
        told |= {f"batching.{key}": str(batching[key]) for key in ("freeze", "collector")}
        told["batching.max_wait"] = write_time(rules.batching.max_wait_ns)
        if rules.batching.max_wait_ns > 0:
            told["batching.timer_origin"] = str(batching["timer_origin"])
            if alone.batching.preferred_sizes:  # without a wait a batch is closed at once, whatever its size
                told["batching.preferred_sizes"] = _list(alone.batching.preferred_sizes)
    if rules.batching.slots != alone.fleet.instances:
        told["batching.slots"] = str(rules.batching.slots) if rules.batching.slots else "unlimited"
    if alone.queue.cap is not None:
        told["queue.cap"] = str(alone.queue.cap)
    if alone.queue.deadline is not None:
        told["queue.deadline"] = write_time(alone.queue.deadline)
    if alone.front_end.workers != 1:
        told["front_end.workers"] = str(alone.front_end.workers)
    if alone.front_end.blocking:
        told["front_end.blocking"] = "true"
    padded = costs_of(alone).padded_sizes
    if padded:
        told["model.pass_time.padded_sizes"] = _list(padded)
    if alone.model.device != "auto":
        told["model.device"] = alone.model.device
    return told


def _of_pool(alone: Scenario, rules: ServingRules) -> dict[str, str]:
    """Return what is asked of what runs the replicas, but for the autoscaler."""
    fleet, told = alone.fleet, dict[str, str]()
    is_scaled = rules.autoscaler.formula != Formula.FIXED
    if is_scaled or fleet.replicas != 1:
        told["fleet.replicas"] = str(fleet.replicas)
    if fleet.instances != 1:
        told["fleet.instances"] = str(fleet.instances)
    most = rules.autoscaler.replicas_max if is_scaled else fleet.replicas
    if most > 1:
        routing = routing_in_words(rules.routing, rules.admission)
        told["fleet.routing.balance"] = str(routing["balance"])
        if routing["balance"] == "least_outstanding":
            told["fleet.routing.tie"] = str(routing["tie"])
        if is_scaled and fleet.drain != "youngest":
            told["fleet.drain"] = fleet.drain
    if fleet.routing.outstanding_max is not None:
        told["fleet.routing.outstanding_max"] = str(fleet.routing.outstanding_max)
    if fleet.routing.held_max != HELD_MAX:
        told["fleet.routing.held_max"] = str(fleet.routing.held_max)
    if fleet.machine is not None:
        told["fleet.machine"] = shown(fleet.machine)
    return told | _of_cold_start(fleet.cold_start)


def _of_cold_start(start: ColdStart) -> dict[str, str]:
    """Return how long the parts of a replica's start take, those that take any time; of a drawn one its law."""
    laws = {part: getattr(start, part) for part in COLD_START_PARTS}
    return {
        f"fleet.cold_start.{part}": write_time(law) if isinstance(law, int) else f"drawn ({law.distribution})"
        for part, law in laws.items()
        if law != 0
    }


def _of_autoscaler(rule: AutoscalingRule) -> dict[str, str]:
    """Return what is asked of the autoscaler, by the scenario's keys; nothing without one."""
    words = autoscaling_in_words(rule)
    if words is None:
        return {}
    up, down = rule.up, rule.down
    of_ratio = rule.formula in (Formula.RATIO, Formula.UTILISATION)
    least_back = max(rule.replicas_min, ceil_replicas(up.gain) if rule.formula == Formula.GAIN else 1)
    asked = {
        **dict.fromkeys(("formula", "signal", "target", "sample_ns", "tick_ns", "min_replicas", "max_replicas"), True),
        "window_ns": rule.window_ns > 0,
        "mean": rule.window_ns > 0 and rule.signal in (Signal.WAITING, Signal.IN_FLIGHT),
        "report_ns": rule.report_ns > 0,
        "lag_ns": rule.lag_ns > 0,
        "not_ready": of_ratio or (rule.formula == Formula.TOTAL and up.dead_band + down.dead_band > 0.0),
        "stabilisation": up.stabilisation_ns + down.stabilisation_ns > 0,
        "delay_restarts": not rule.delay_restarts and up.delay_ns + down.delay_ns > 0,
        "cooldown": up.cooldown_ns > 0,
        "step_up_least": rule.step_up_least > 0 and up.step_count + up.step_percent > 0,
        "panic_window_ns": rule.panic_window_ns > 0,
        "panic_threshold": rule.panic_window_ns > 0,
        "scale_to_zero": bool(rule.to_zero),
        "zero_from": bool(rule.to_zero),
        "activation": bool(rule.to_zero),
        "activation_above": bool(rule.to_zero) and rule.activation_above > 0.0,
        "activation_replicas": bool(rule.to_zero) and rule.activation_replicas > least_back,
        **{f"{key}_ns": bool(rule.to_zero) and getattr(rule, f"{key}_ns") > 0 for key in ("idle", "active", "poll")},
    }
    for side, direction in (("up", up), ("down", down)):
        asked |= _asked_of(side, direction)
    return {key.removesuffix("_ns"): _in_words(key, words[key]) for key in words if asked[key]}


def _asked_of(side: str, direction: Direction) -> dict[str, bool]:
    """Return which settings of moves up, or down, are asked for."""
    count, percent = direction.step_count > 0, direction.step_percent > 0
    is_disabled = direction.step_select == Select.DISABLED
    return {
        f"dead_band_{side}": direction.dead_band > 0.0,
        f"gain_{side}": direction.gain != 1.0,
        f"rate_{side}": direction.rate > 0.0,
        f"stabilisation_{side}_ns": direction.stabilisation_ns > 0,
        f"delay_{side}_ns": direction.delay_ns > 0,
        f"cooldown_{side}_ns": direction.cooldown_ns > 0,
        f"step_{side}_count": count and not is_disabled,
        f"step_{side}_count_period_ns": count and not is_disabled and direction.step_count_period_ns > 0,
        f"step_{side}_percent": percent and not is_disabled,
        f"step_{side}_percent_period_ns": percent and not is_disabled and direction.step_percent_period_ns > 0,
        f"step_{side}_select": is_disabled or (count and percent),
    }


def _of_rollout(rules: VersionRules) -> dict[str, str]:
    """Return what is asked of what leads a rollout, by the keys of our own words; nothing without one."""
    rule = rules.rollout
    if rule is None:
        return {}
    words = rollout_in_words(rule)
    told = {"steps": ", ".join(_step_in_words(rule, place) for place in range(rule.step_count)) or "none"}
    if any(rule.step_shadow):
        told["steps.copies"] = ", ".join(
            write_share(share / WEIGHT_ONE) for share in rule.step_shadow[: rule.step_count]
        )
    if rule.ready_share < WEIGHT_ONE:
        told["ready_share"] = write_share(rule.ready_share / WEIGHT_ONE)
    if words["ready_deadline_ns"] is not None:
        told["ready_deadline"] = write_time(words["ready_deadline_ns"])
    if any(rule.step_analysis):
        if Metric.FAILED in rule.limit_metric[: rule.limit_count]:
            told["refusals_fail"] = _in_words("", bool(rule.refusals_fail))
        told |= {f"analysis.{key}": text for key, text in _of_analysis(rule).items()}
        if Metric.SLOW in rule.limit_metric[: rule.limit_count]:
            told["slow_over"] = write_time(rule.slow_over_ns)
    return told


def _step_in_words(rule: RolloutRule, place: int) -> str:
    """Return one step of a rollout."""
    weight, pause_ns = write_share(rule.step_weight[place] / WEIGHT_ONE), rule.step_pause_ns[place]
    pause = " until it is promoted" if pause_ns == NEVER_NS else f" for {write_time(pause_ns)}" if pause_ns else ""
    return f"{weight}{pause}{' with checks' if rule.step_analysis[place] else ''}"


def _of_analysis(rule: RolloutRule) -> dict[str, str]:
    """Return what is asked of the checks of a rollout."""
    may_fail, may_be_unsure = rule.failure_limit > 0, rule.limit_fail != rule.limit_pass
    holds = rule.no_data == NoData.HOLD
    asked = {
        "interval": (True, write_time(rule.interval_ns)),
        "initial_delay": (True, write_time(rule.initial_delay_ns)),
        "count": (True, str(rule.check_count)),
        "counted": (may_fail or may_be_unsure, Counted(rule.counted).name.lower()),
        "failure_limit": (may_fail, str(rule.failure_limit)),
        "failure_scope": (may_fail, FailureScope(rule.failure_scope).name.lower()),
        "inconclusive_limit": (may_be_unsure, str(rule.inconclusive_limit)),
        "samples_min": (True, str(rule.samples_min)),
        "no_data": (True, NoData(rule.no_data).name.lower()),
        "no_data_limit": (holds and rule.no_data_limit != UNSET, str(rule.no_data_limit)),
        "no_data_interval": (holds, write_time(rule.no_data_interval_ns)),
        "roll_back_delay": (rule.roll_back_delay_ns > 0, write_time(rule.roll_back_delay_ns)),
    }
    told = {key: text for key, (is_asked, text) in asked.items() if is_asked}
    for place in range(rule.limit_count):
        metric, against = Metric(rule.limit_metric[place]), Against(rule.limit_against[place])
        most = write_share(rule.limit_pass[place] / SHARE_ONE)
        told[f"limits.{place}"] = f"at most {most} {metric.name.lower()}"
        if against != Against.NOTHING:
            told[f"limits.{place}.against"] = against.name.lower()
        if rule.limit_fail[place] != rule.limit_pass[place]:
            told[f"limits.{place}.fail_over"] = write_share(rule.limit_fail[place] / SHARE_ONE)
    return told


def _in_words(key: str, value: Any) -> str:
    """Return a value of a rule as a scenario would have it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if key.endswith("_ns"):
        return write_time(value)
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _list(sizes: Sequence[int]) -> str:
    """Return sizes as a scenario would have them."""
    return f"[{', '.join(map(str, sizes))}]"
