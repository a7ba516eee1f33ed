"""Settings of an autoscaler: what is out of range, or would have no effect, is refused in one sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest

from policy.autoscaler_presets import preset
from policy.autoscaling_rule import REPLICAS_MAX, Formula
from policy.autoscaling_settings import ENTRIES_MAX, autoscaling_in_words, autoscaling_rule, fixed_fleet
from policy.errors import SettingError
from policy.settings import TIME_MAX_NS

S = 10**9
PLAIN: dict[str, Any] = {"target": 2.0, "max_replicas": 8}

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"target": 0.0}, "target must be a number from 1e-06 to 1e+09. Got 0.0."),
    ({"target": True}, "target must be a number"),
    ({"target": float("nan")}, "target must be a number"),
    ({"max_replicas": 0}, "max_replicas must be a whole number from 1 to 100000. Got 0."),
    ({"min_replicas": 9}, "min_replicas must be a whole number from 0 to 8. Got 9."),
    ({"min_replicas": 0, "scale_to_zero": False}, "min_replicas must be at least 1 without scale_to_zero. Got 0."),
    ({"formula": "guess"}, "formula must be one of fixed, ratio, utilisation, total, gain. Got guess."),
    ({"formula": "fixed"}, "formula must be one that scales"),
    ({"signal": "latency"}, "signal must be one of waiting, in_flight, rate, busy. Got latency."),
    ({"tick_ns": 1}, "tick must be a time from 1ms to 31d. Got 1ns."),
    ({"sample_ns": 0}, "sample must be a time from 1ms"),
    ({"poll_ns": 5}, "poll must be a time from 1ms"),
    ({"window_ns": -1}, "window must be a time from 0ns"),
    ({"lag_ns": TIME_MAX_NS + 1}, "lag must be a time from 0ns to 31d"),
    ({"window_ns": S * ENTRIES_MAX}, "window must be at most 100000 periods long"),
    ({"stabilisation_down_ns": TIME_MAX_NS, "tick_ns": S}, "stabilisation must be at most 100000 periods long"),
    ({"dead_band_down": 1.5}, "dead_band_down must be a number from 0 to 1. Got 1.5."),
    ({"dead_band_up": -0.1}, "dead_band_up must be a number from 0"),
    ({"formula": "gain", "dead_band_up": 0.1}, "formula must be another than gain where there is a dead band"),
    ({"gain_up": 0.5}, "formula must be gain where gain_up or gain_down is not 1. Got total."),
    ({"formula": "gain", "gain_down": 0.0}, "gain_down must be a number from 1e-06"),
    ({"rate_up": 1.0}, "rate_up must be a number from 1.001"),
    ({"mean": "time", "signal": "busy"}, "mean must be samples where signal is busy"),
    ({"stabilisation": "highest", "stabilisation_up_ns": S}, "stabilisation must be between where there is"),
    ({"step_up_count": -1}, "step_up_count must be a whole number from 0"),
    ({"step_down_percent": 101}, "step_down_percent must be a whole number from 0 to 100. Got 101."),
    ({"step_down_count_period_ns": S}, "step_down_count must be at least 1 where it has a period. Got 0."),
    ({"step_up_select": "none"}, "step_up_select must be one of most, least, disabled. Got none."),
    (
        {"panic_window_ns": S, "formula": "gain", "window_ns": 9 * S},
        "formula must be total where there is a panic_window",
    ),
    (
        {"panic_window_ns": 9 * S, "window_ns": 9 * S},
        "panic_window must be shorter than fleet.autoscaler.window (9s). Got 9s.",
    ),
    (
        {"panic_window_ns": 6 * S},
        "panic_window must be shorter than fleet.autoscaler.window (none: state a longer one too). Got 6s.",
    ),
    ({"panic_threshold": 0.5}, "panic_threshold must be a number from 1"),
    (
        {"formula": "utilisation"},
        "signal must be busy where formula is utilisation (with another one say formula: ratio). Got in_flight.",
    ),
    ({"formula": "utilisation", "signal": "busy", "target": 0.805}, "target must be in whole per cent"),
    ({"zero_from": "two"}, "zero_from must be one of one, any. Got two."),
    ({"activation": "never"}, "activation must be one of at_once, at_poll. Got never."),
    ({"activation_replicas": 0}, "activation_replicas must be a whole number from 1"),
    ({"activation_above": -1.0}, "activation_above must be a number from 0"),
    ({"cooldown": "warm"}, "cooldown must be one of block, larger. Got warm."),
    ({"not_ready": "busy"}, "not_ready must be one of idle, left_out, alike. Got busy."),
]


@pytest.mark.parametrize(("options", "sentence"), REFUSED, ids=[row[1][:40].replace(" ", "_") for row in REFUSED])
def test_setting_out_of_range_is_refused_with_a_sentence(options: dict[str, Any], sentence: str) -> None:
    """One sentence with the key as a scenario file has it."""
    with pytest.raises(SettingError) as refusal:
        autoscaling_rule(**{**PLAIN, **options})
    message = str(refusal.value)
    assert message.startswith(f"fleet.autoscaler.{sentence}")
    assert message.endswith(".")
    assert "\n" not in message


def test_least_of_none_means_scale_to_zero() -> None:
    """Load leads to one at the least; to none leads idleness."""
    none = autoscaling_rule(**PLAIN, min_replicas=0)
    assert (none.replicas_min, none.to_zero) == (1, 1)
    assert autoscaling_rule(**PLAIN).to_zero == 0
    five_or_none = autoscaling_rule(**PLAIN, min_replicas=5, scale_to_zero=True)
    assert (five_or_none.replicas_min, five_or_none.to_zero) == (5, 1)


def test_no_largest_fleet_means_the_largest_there_is() -> None:
    """None is no limit, as elsewhere."""
    assert autoscaling_rule(target=1.0, max_replicas=None).replicas_max == REPLICAS_MAX


def test_numbers_of_a_rule_are_of_one_type() -> None:
    """A target of 2 is 2.0: compiled code would be made anew for a rule with another type."""
    rule = autoscaling_rule(target=2, max_replicas=8, dead_band_up=0, activation_above=1, rate_up=2)
    assert [type(value) for value in rule] == [type(value) for value in autoscaling_rule(**PLAIN)]
    assert [type(value) for value in rule.up] == [type(value) for value in rule.down]


def test_rule_in_words_is_json_and_builds_the_same_rule_again() -> None:
    """GET /config and a journal tell all that a rule holds; a fixed fleet has nothing to tell."""
    own = {"target": 3, "min_replicas": 2, "scale_to_zero": True, "gain_up": 2.5, "delay_restarts": False}
    rule = autoscaling_rule(**{**preset("ray_serve"), **own})
    words = json.loads(json.dumps(autoscaling_in_words(rule)))
    assert autoscaling_rule(**words) == rule
    assert autoscaling_in_words(fixed_fleet()) is None
    assert fixed_fleet().formula == Formula.FIXED
