"""The autoscalers of real systems as settings of the one rule: autoscaling_rule(**{**preset(name), **own}).

What a system gives no default for is not in its preset: the target where there is none, the most replicas. Beside each
stands which source it was read from; what no source says is marked as our figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from policy.autoscaling_rule import REPLICAS_MAX
from policy.errors import SettingError

__all__ = ["PRESETS", "preset"]

_MS = 10**6
_S = 10**9

_METRICS_SERVER: Mapping[str, Any] = {
    # Use of the device as the metrics server has it: the difference of the newest two of its samples, half a minute
    # old. Our figure: pipelines of 10 s to 60 s are seen, so replace it by one's own.
    "signal": "busy",
    "sample_ns": 15 * _S,
    "lag_ns": 30 * _S,
}

_HPA: Mapping[str, Any] = {
    # Kubernetes: horizontal-pod-autoscaler-sync-period, -tolerance, -downscale-stabilization.
    "tick_ns": 15 * _S,
    "dead_band_up": 0.1,
    "dead_band_down": 0.1,
    "stabilisation_down_ns": 300 * _S,
    "not_ready": "idle",
    "min_replicas": 1,
}

_HPA_WITHOUT_BEHAVIOR: Mapping[str, Any] = {
    # The highest recommendation of 300 s, then at most max(2 * current, 4) in one tick.
    "stabilisation": "highest",
    "step_up_percent": 100,
    "step_up_least": 4,
}

PRESETS: Mapping[str, Mapping[str, Any]] = {
    # Kubernetes HPA v2 with `behavior` unset, on the CPU resource at its default of 80 per cent; the replica calculator
    # of about 1.33, the controller of about 1.26-1.30. Our device stands where its CPU stands. For a per-pod metric:
    # formula ratio and its signal. The first recommendation is the fleet as it is: none is given up for 300 s.
    "kubernetes_hpa": {
        **_HPA,
        **_METRICS_SERVER,
        **_HPA_WITHOUT_BEHAVIOR,
        "formula": "utilisation",
        "target": 0.8,
    },
    # The same with `behavior` as its defaults have it: up by 4 or by 100 per cent in 15 s, whichever is more, down by
    # up to 100 per cent in 15 s.
    "kubernetes_hpa_behavior": {
        **_HPA,
        **_METRICS_SERVER,
        "formula": "utilisation",
        "target": 0.8,
        "stabilisation": "between",
        "step_up_count": 4,
        "step_up_count_period_ns": 15 * _S,
        "step_up_percent": 100,
        "step_up_percent_period_ns": 15 * _S,
        "step_down_percent": 100,
        "step_down_percent_period_ns": 15 * _S,
    },
    # KEDA (8b4f083c) moves between none and one at its polls; the HPA it creates, on an external metric per replica,
    # does the rest. It goes to none from any number when the last active poll lies more than the cooldown back.
    "keda": {
        **_HPA,
        **_HPA_WITHOUT_BEHAVIOR,
        "formula": "total",
        "signal": "in_flight",
        "sample_ns": 15 * _S,
        "min_replicas": 0,
        "max_replicas": 100,
        "activation": "at_poll",
        "activation_above": 0.0,
        "poll_ns": 30 * _S,
        "idle_ns": 300 * _S + 1,  # "more than": a poll at exactly 300 s still waits
        "zero_from": "any",
    },
    # Knative KPA (98e5ef90, config-autoscaler), concurrency: 70 per cent of 100 per replica, stable window 60 s, panic
    # window a tenth of it. Not ready ones do not count. The activator pokes a fleet of none, which then has its
    # activation-scale. The grace of scale-to-zero would be idle_ns, 0..30 s.
    "knative": {
        "formula": "total",
        "signal": "in_flight",
        "target": 70.0,
        "sample_ns": _S,
        "window_ns": 60 * _S,
        "tick_ns": 2 * _S,
        "not_ready": "left_out",
        "rate_up": 1000.0,
        "rate_down": 2.0,
        "stabilisation": "highest",  # of scale-down-delay, which is 0 by default
        "panic_window_ns": 6 * _S,
        "panic_threshold": 2.0,
        "min_replicas": 0,
        "max_replicas": REPLICAS_MAX,  # 0, which means no limit
        "active_ns": 60 * _S,
        "activation": "at_once",
    },
    # Ray Serve 2.60 (autoscaling_policy, config) with num_replicas "auto": samples every fifth of the look-back, pushed
    # every 10 s, merged as step functions; the control loop looks every 100 ms, and the delays are wall clock. To none
    # with min_replicas 0.
    "ray_serve": {
        "formula": "gain",
        "signal": "in_flight",
        "target": 2.0,
        "sample_ns": 6 * _S,
        "mean": "time",
        "window_ns": 30 * _S,
        "report_ns": 10 * _S,
        "tick_ns": 100 * _MS,
        "gain_up": 1.0,
        "gain_down": 1.0,
        "delay_up_ns": 30 * _S,
        "delay_down_ns": 600 * _S,
        "min_replicas": 1,
        "max_replicas": 100,
        "idle_ns": 600 * _S + 100 * _MS,  # downscale_to_zero_delay_s, and a tick: the first idle one starts it
        "activation": "at_once",
    },
    # Target tracking of Application Auto Scaling on SageMaker variants (its API reference), on invocations per instance
    # and minute; `target` is per second. Its alarms want 3 minutes above the target or 15 below nine tenths of it (as
    # users report) and then act every minute, cooldowns permitting. What an action adds is unpublished. Our figure: in
    # proportion, as if the instances still starting were as loaded as the others.
    "target_tracking": {
        "formula": "ratio",
        "signal": "rate",
        "sample_ns": 60 * _S,
        "window_ns": 60 * _S,
        "tick_ns": 60 * _S,
        "not_ready": "alike",
        "dead_band_up": 0.0,
        "dead_band_down": 0.1,
        "delay_up_ns": 120 * _S,  # from the first of 3 datapoints to the third
        "delay_down_ns": 840 * _S,
        "delay_restarts": False,  # an alarm stays an alarm
        "cooldown": "larger",
        "cooldown_up_ns": 300 * _S,
        "cooldown_down_ns": 300 * _S,
        "min_replicas": 1,
    },
}
"""Settings of policy/autoscaling_settings.py by the name of the system; times in nanoseconds."""


def preset(name: str) -> dict[str, Any]:
    """Return a copy of the settings of that system. Raises SettingError for a name that is not in PRESETS."""
    if name not in PRESETS:
        raise SettingError("fleet.autoscaler.preset", "one of " + ", ".join(PRESETS), name)
    return dict(PRESETS[name])
