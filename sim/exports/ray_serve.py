"""Ray Serve: the config of `serve deploy`, with the replicas, the autoscaler and the queues of one deployment.

What @serve.batch has only in code is handed over as user_config, which the deployment's reconfigure() has to take in.
"""

from __future__ import annotations

from typing import Any, Final

from policy.autoscaling_rule import Activation, AutoscalingRule, Formula, Mean, Signal, ZeroFrom
from policy.settings import HELD_MAX
from sim.exports.names import Names
from sim.exports.servers import NO_LIMIT, refuse_other_batching, stable_version
from sim.exports.stated import COLD_START
from sim.exports.telling import Draft, Telling
from sim.exports.texts import yaml_text
from sim.scenario.rules import serving_rules
from sim.scenario.spec import Scenario
from sim.scenario.units import write_time

__all__ = ["RULE", "write"]

RULE: Final = {
    "batching.timer_origin": "collect",
    "batching.freeze": "timer",
    "batching.collector": "dispatcher",
}
"""How @serve.batch closes a batch, in the words of a scenario."""

_A = "fleet.autoscaler."
_S: Final = 10**9
_TICK_NS: Final = 100 * 10**6
"""Of Ray Serve's control loop, unless the cluster says otherwise."""

_PUSH_S: Final = 10.0
_LOOK_BACK_NS: Final = 30 * _S
"""Ray Serve's own."""


def write(scenario: Scenario, names: Names) -> Draft:
    """Return serve_config.yaml, of the stable version. Raises DoesNotFit for another rule than Ray Serve's."""
    alone, stated = stable_version(scenario)
    telling, rules = Telling("Ray Serve", stated), serving_rules(alone)
    name, replicas = names.of(scenario), _replicas(alone, rules.autoscaler, telling)
    slots = {"batching.slots": str(rules.batching.slots)} if rules.batching.slots > 0 else {}
    refuse_other_batching(telling, stated, "@serve.batch", {**RULE, **slots})
    deployment = {
        "name": name,
        **replicas,
        **_queues(alone, telling),
        "user_config": _batching(alone, rules.batching.slots, telling),
    }
    _note_the_rest(alone, telling)
    application = {
        "name": name,
        "route_prefix": "/",
        "import_path": names.application(),
        "deployments": [deployment],
    }
    config = {**_http_options(alone, telling), "applications": [application]}
    return telling.draft({"serve_config.yaml": yaml_text(config)})


def _replicas(alone: Scenario, rule: AutoscalingRule, telling: Telling) -> dict[str, Any]:
    """Return how many replicas there are to be."""
    telling.say("fleet.replicas")
    if rule.formula == Formula.FIXED:
        return {"num_replicas": alone.fleet.replicas}
    _refuse_other_rules(alone, rule, telling)
    keys = ("min_replicas", "max_replicas", "scale_to_zero", "gain_up", "gain_down", "delay_up", "delay_down", "idle")
    telling.say(*(f"{_A}{key}" for key in keys))
    config: dict[str, Any] = {
        "min_replicas": 0 if rule.to_zero else rule.replicas_min,
        "initial_replicas": alone.fleet.replicas,
        "max_replicas": rule.replicas_max,
        "target_ongoing_requests": rule.target,
        "upscaling_factor": rule.up.gain,
        "downscaling_factor": rule.down.gain,
        "upscale_delay_s": rule.up.delay_ns / _S,
        "downscale_delay_s": rule.down.delay_ns / _S,
        "look_back_period_s": rule.window_ns / _S,
    }
    if rule.to_zero:
        # The delay begins with the first tick that finds the fleet idle.
        config["downscale_to_zero_delay_s"] = max(rule.idle_ns - _TICK_NS, 0) / _S
        if rule.replicas_min > 1:
            telling.remark(f"Ray Serve has no none-or-at-least-{rule.replicas_min}: min_replicas is 0.")
    return {"autoscaling_config": {**config, **_push(rule, telling)}}


def _refuse_other_rules(alone: Scenario, rule: AutoscalingRule, telling: Telling) -> None:
    """Raise DoesNotFit for an autoscaler that works its number out in another way than Ray Serve's does."""
    settings = _settings(alone, rule)
    if rule.formula != Formula.GAIN:
        telling.refuse(
            f"{_A}formula",
            "Ray Serve goes from where the fleet is to the load over the target, by its factors",
            settings,
        )
    if rule.signal != Signal.IN_FLIGHT:
        why = "Ray Serve counts ongoing requests, those that wait included (in_flight)"
        telling.refuse(f"{_A}signal", why, settings)
    if rule.window_ns == 0:
        telling.refuse(f"{_A}window", "Ray Serve looks back for a while", settings)
    telling.say(*(f"{_A}{key}" for key in ("formula", "signal", "target", "window")))
    fixed = (
        ("mean", rule.mean == Mean.TIME, "Ray Serve takes the mean over time"),
        ("sample", 5 * rule.sample_ns == rule.window_ns, "Ray Serve samples five times in a look-back"),
        ("tick", rule.tick_ns == _TICK_NS, "RAY_SERVE_CONTROL_LOOP_INTERVAL_S of the cluster says so, 0.1 by default"),
        ("activation", rule.activation == Activation.AT_ONCE, "a request at a fleet of none starts replicas at once"),
        ("zero_from", rule.zero_from == ZeroFrom.ONE, "Ray Serve comes down to one first"),
    )
    for key, holds, why in fixed:
        if holds:
            telling.say(f"{_A}{key}")
        telling.note(why, f"{_A}{key}")


def _settings(alone: Scenario, rule: AutoscalingRule) -> dict[str, str]:
    """Return all that has to be set for an autoscaler to work its number out as Ray Serve's does."""
    is_other, sides = rule.formula != Formula.GAIN, (("up", rule.up), ("down", rule.down))
    changes: tuple[tuple[str, bool, str], ...] = (
        ("formula", is_other, "gain"),
        *((f"dead_band_{side}", direction.dead_band > 0.0, "0") for side, direction in sides),
        ("panic_window", rule.panic_window_ns > 0, "0s"),
        ("signal", rule.signal != Signal.IN_FLIGHT, "in_flight"),
        # A target in another unit says nothing of requests.
        ("target", rule.signal != Signal.IN_FLIGHT, str(alone.batching.max_batch)),
        ("window", rule.window_ns == 0, write_time(_LOOK_BACK_NS)),
    )
    return {f"{_A}{key}": text for key, is_off, text in changes if is_off}


def _push(rule: AutoscalingRule, telling: Telling) -> dict[str, float]:
    """Return how often what was counted comes to the autoscaler, where it is not the default."""
    if rule.report_ns == 0:
        telling.remark(f"{telling.spelled(f'{_A}report')} is 0s: Ray Serve pushes its counts every {_PUSH_S:g} s.")
        return {}
    telling.say(f"{_A}report")
    if rule.report_ns == _PUSH_S * _S:
        return {}
    telling.remark(
        "metrics_interval_s is to give way to RAY_SERVE_HANDLE_AUTOSCALING_METRIC_PUSH_INTERVAL_S of the cluster."
    )
    return {"metrics_interval_s": rule.report_ns / _S}


def _queues(alone: Scenario, telling: Telling) -> dict[str, int]:
    """Return how many requests a replica is sent, and how many wait in front of all."""
    routing = alone.fleet.routing
    telling.say("fleet.routing.outstanding_max")
    queued = -1 if routing.held_max == HELD_MAX else routing.held_max
    if routing.held_max == 0:
        telling.note("max_queued_requests is 1 at least", "fleet.routing.held_max")
        queued = 1
    telling.say("fleet.routing.held_max")
    if queued > 0:
        telling.remark("max_queued_requests is that of each proxy: with several, so many times as many may wait.")
    return {"max_ongoing_requests": routing.outstanding_max or NO_LIMIT, "max_queued_requests": queued}


def _batching(alone: Scenario, slots: int, telling: Telling) -> dict[str, Any]:
    """Return what reconfigure() hands to set_max_batch_size() and set_batch_wait_timeout_s()."""
    telling.say("batching.max_batch", "batching.max_wait", "fleet.instances")
    telling.remark(
        "reconfigure() of the deployment has to hand user_config to set_max_batch_size() and "
        f"set_batch_wait_timeout_s() of the function that @serve.batch(max_concurrent_batches={slots}) decorates."
    )
    return {"max_batch_size": alone.batching.max_batch, "batch_wait_timeout_s": alone.batching.max_wait / _S}


def _http_options(alone: Scenario, telling: Telling) -> dict[str, Any]:
    """Return the time limit of a request in a server, which Ray Serve has for all of its applications."""
    if alone.queue.deadline is None:
        return {}
    telling.say("queue.deadline")
    telling.remark("request_timeout_s counts from the proxy, holds for all applications, and answers 408.")
    return {"http_options": {"request_timeout_s": alone.queue.deadline / _S}}


def _note_the_rest(alone: Scenario, telling: Telling) -> None:
    """Tell what Ray Serve does otherwise."""
    telling.note(
        "Ray Serve refuses in front of the fleet only: fleet.routing.outstanding_max and held_max", "queue.cap"
    )
    if alone.fleet.routing.balance == "power_of_two":
        telling.say("fleet.routing.balance")
    telling.note(
        "Ray Serve takes the less loaded of two replicas that are drawn (power_of_two)",
        *("fleet.routing.balance", "fleet.routing.tie"),
    )
    telling.note("Ray Serve sends requests once the constructor of the deployment has returned", *COLD_START)
    telling.note("ray_actor_options.num_gpus reserves one", "model.device")
    telling.note("ray_actor_options.accelerator_type names one", "fleet.machine")
    telling.note("@serve.batch pads nothing: the model has to", "model.pass_time.padded_sizes")
    telling.remark("ray_actor_options and health checks are not in a scenario: add num_cpus, memory and num_gpus.")
