"""The systems as settings of the one rule: timelines that follow from their documentation, interpreted and compiled."""

from __future__ import annotations

from typing import Any

import pytest

from policy.autoscaler_presets import PRESETS, preset
from policy.autoscaling_rule import REPLICAS_MAX
from policy.autoscaling_settings import autoscaling_in_words, autoscaling_rule
from policy.errors import SettingError
from tests.policy.both_ways import WAYS
from tests.policy.fleet_on_paper import S, moves, steps

POD_METRIC = {"formula": "ratio", "signal": "in_flight", "target": 60.0, "lag_ns": 0, "max_replicas": 100}
"""Kubernetes on requests in flight per pod instead of CPU, without a lag, so that the times are those of the rule."""


def of_system(name: str, **own: Any) -> Any:
    """Return the rule of a system with settings of one's own."""
    return autoscaling_rule(**{"target": 1.0, "max_replicas": 100, **preset(name), **own})


@pytest.mark.parametrize("name", PRESETS)
def test_preset_is_a_rule_and_comes_back_from_its_words(name: str) -> None:
    """Each builds with a target and a largest fleet, and autoscaling_in_words says all that a rule holds."""
    rule = of_system(name)
    words = autoscaling_in_words(rule)
    assert words is not None
    assert autoscaling_rule(**words) == rule


def test_preset_is_a_copy() -> None:
    """Who changes it changes his own."""
    preset("keda")["max_replicas"] = 7
    assert preset("keda")["max_replicas"] == 100
    assert preset("knative")["max_replicas"] == REPLICAS_MAX


def test_unknown_system_is_refused_with_the_names_of_the_known() -> None:
    """One sentence."""
    with pytest.raises(SettingError, match=r"must be one of kubernetes_hpa, .*, target_tracking\. Got nomad\."):
        preset("nomad")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("replicas", "per_pod", "own", "expected"),
    [
        (4, 90, {}, [(15, 6, "LOAD_UP")]),
        (4, 63, {}, []),
        (10, 20, {}, [(315, 4, "LOAD_DOWN")]),  # the first recommendation is the fleet as it is
        (10, 20, {"stabilisation_down_ns": 0}, [(15, 4, "LOAD_DOWN")]),
        (3, 200, {"target": 50.0, "max_replicas": 8}, [(15, 6, "LOAD_UP"), (30, 8, "LOAD_UP")]),
        (3, 200, {"target": 50.0, "max_replicas": 8, "step_up_percent": 0, "step_up_least": 0}, [(15, 8, "LOAD_UP")]),
        (1, 1200, {}, [(15, 4, "LOAD_UP"), (30, 8, "LOAD_UP"), (45, 16, "LOAD_UP"), (60, 20, "LOAD_UP")]),
    ],
)
def test_kubernetes_worked_examples(
    way: str, replicas: int, per_pod: int, own: dict[str, Any], expected: list[tuple[float, int, str]]
) -> None:
    """The ceiling of current * metric / target, nothing within 10 %; up to max(2 * current, 4), down after 300 s."""
    rule = of_system("kubernetes_hpa", **{**POD_METRIC, **own})
    assert moves(way, rule, steps((0, replicas * per_pod)), 600, replicas=replicas) == expected


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("replicas", "load", "own", "expected"),
    [
        (1, 6000, {}, [(15, 5), (30, 10), (45, 20), (60, 40)]),
        (1, 6000, {"step_up_select": "least"}, [(15, 2), (30, 4), (45, 8), (60, 12)]),
        (1, 6000, {"step_up_percent": 0, "step_up_percent_period_ns": 0, "step_up_count_period_ns": 60 * S}, [(15, 5)]),
        (1, 6000, {"step_up_select": "disabled"}, []),
        (1, 6000, {"stabilisation_up_ns": 30 * S}, [(45, 5), (60, 10)]),
        (10, 0, {"stabilisation_down_ns": 0}, [(15, 1)]),
        (10, 0, {"stabilisation_down_ns": 0, "step_down_percent": 50}, [(15, 5), (30, 2), (45, 1)]),
        (
            10,
            0,
            {"stabilisation_down_ns": 0, "step_down_percent": 50, "step_down_percent_period_ns": 60 * S},
            [(15, 5)],
        ),
    ],
)
def test_kubernetes_behavior_limits_the_steps(
    way: str, replicas: int, load: int, own: dict[str, Any], expected: list[tuple[float, int]]
) -> None:
    """Up by the more of 4 and 100 per cent in 15 s; the upward window starts with the fleet as it was."""
    rule = of_system("kubernetes_hpa_behavior", **{**POD_METRIC, **own})
    found = moves(way, rule, steps((0, load)), 60, replicas=replicas)
    assert [(second, wanted) for second, wanted, _ in found] == expected


@pytest.mark.parametrize("way", WAYS)
def test_kubernetes_follows_a_past_peak_only_without_behavior(way: str) -> None:
    """A peak asks for 8 and is let up to 4; it is over at the next tick.

    Without `behavior` the fleet still grows to 8, since the highest recommendation of the window holds.
    """
    peak = steps((0, 480), (16, 0))
    limits = {"step_up_percent": 100, "step_up_least": 4, "step_up_percent_period_ns": 0, "step_up_count": 0}
    own = {**POD_METRIC, **limits, "step_up_count_period_ns": 0}
    without = moves(way, of_system("kubernetes_hpa", **own), peak, 60)
    assert without == [(15, 4, "LOAD_UP"), (30, 8, "LOAD_UP")]
    assert moves(way, of_system("kubernetes_hpa_behavior", **own), peak, 60) == [(15, 4, "LOAD_UP")]


@pytest.mark.parametrize("way", WAYS)
def test_kubernetes_does_not_ask_twice_for_what_is_starting(way: str) -> None:
    """Ready after 100 s: left out, the pods that start would count for nothing; as idle ones they dampen the ratio.

    Both multiply what is ready, so neither runs away; a ratio that multiplies the whole fleet does.
    """
    found = {}
    for how in ("idle", "left_out", "alike"):
        rule = of_system("kubernetes_hpa", **{**POD_METRIC, "not_ready": how})
        found[how] = [wanted for _, wanted, _ in moves(way, rule, steps((0, 240)), 60, cold_start_s=100)]
    assert found == {"idle": [4], "left_out": [4], "alike": [4, 8, 16, 32]}


@pytest.mark.parametrize("way", WAYS)
def test_kubernetes_cpu_is_seen_through_its_pipeline(way: str) -> None:
    """Four devices, 90 per cent busy: two samples 15 s apart, 30 s old, so the tick at 45 s is the first to know."""
    assert moves(way, of_system("kubernetes_hpa"), steps((0, 3.6)), 120, replicas=4, counters=True) == [
        (45, 5, "LOAD_UP")
    ]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({}, [(60, 1, "ACTIVATED"), (75, 3, "LOAD_UP"), (495, 1, "LOAD_DOWN"), (510, 0, "IDLE")]),
        ({"idle_ns": 60 * S}, [(60, 1, "ACTIVATED"), (75, 3, "LOAD_UP"), (240, 0, "IDLE")]),
        ({"min_replicas": 1}, [(15, 1, "LIMIT"), (45, 3, "LOAD_UP"), (495, 1, "LOAD_DOWN")]),
    ],
)
def test_keda_polls_for_load_and_leaves_the_rest_to_kubernetes(
    way: str, own: dict[str, Any], expected: list[tuple[float, int, str]]
) -> None:
    """None, 12 requests from 40 s to 200 s, 5 each: one at the poll of 60 s, three at the tick of 75 s.

    The last poll with load is that of 180 s: at 480 s just the cooldown has passed, at 510 s more than that. With a
    short cooldown it goes from three to none at once.
    """
    rule = of_system("keda", target=5.0, **own)
    assert moves(way, rule, steps((40, 12), (200, 0)), 700, replicas=0) == expected


@pytest.mark.parametrize("way", WAYS)
def test_knative_panics_holds_and_comes_down_by_halves(way: str) -> None:
    """10 a replica; 1 request, 50 from 100 s, 1 again from 110 s.

    102 s: the 6 s window has (3 * 1 + 3 * 50) / 6 = 25.5, three for one ready, which is panic; the 60 s window alone
    would ask for one. 104 s: 41.8. Then no tick is over the threshold, and for more than 60 s nothing comes down.
    """
    found = moves(way, of_system("knative", target=10.0), steps((0, 1), (100, 50), (110, 1)), 240)
    assert found == [(102, 3, "PANIC"), (104, 5, "PANIC"), (164, 2, "LOAD_DOWN"), (166, 1, "LOAD_DOWN")]


@pytest.mark.parametrize("way", WAYS)
def test_knative_renews_a_panic_while_the_need_is_large(way: str) -> None:
    """Replicas need 30 s: five are five times the ready one, so it is renewed until the peak is over, at 112 s."""
    rule = of_system("knative", target=10.0)
    found = moves(way, rule, steps((0, 1), (100, 50), (110, 1)), 240, cold_start_s=30)
    assert found[:3] == [(102, 3, "PANIC"), (104, 5, "PANIC"), (174, 2, "LOAD_DOWN")]


@pytest.mark.parametrize("way", WAYS)
def test_knative_goes_to_none_after_its_stable_window(way: str) -> None:
    """No load from 200 s on: at 258 s the sample of 199 s still counts, at 260 s none does.

    A request at 300.5 s fetches it back at once; it is gone at 301 s, and the fleet stays for a stable window.
    """
    load = steps((0, 1), (200, 0), (300.5, 1), (301, 0))
    found = moves(way, of_system("knative"), load, 400, extra_asks_s=(300.5,))
    assert found == [(260, 0, "IDLE"), (300.5, 1, "ACTIVATED"), (362, 0, "IDLE")]


@pytest.mark.parametrize("way", WAYS)
def test_knative_bounds_its_steps_up(way: str) -> None:
    """At most 3 times the ready ones."""
    found = moves(way, of_system("knative", target=1.0, rate_up=3.0), steps((0, 1), (100, 500)), 107)
    assert [wanted for _, wanted, _ in found[:3]] == [3, 9, 27]


@pytest.mark.parametrize("way", WAYS)
def test_ray_serve_moves_when_the_need_persisted_by_the_clock(way: str) -> None:
    """2 a replica, 2 requests, 20 from 100 s on: the report of 110 s shows them, and 30 s later there are ten.

    Not four, as the mean of 6.8 over the look-back of 110 s would ask: the need of the moment counts.
    """
    assert moves(way, of_system("ray_serve"), steps((0, 2), (100, 20)), 160) == [(140, 10, "LOAD_UP")]


@pytest.mark.parametrize("way", WAYS)
def test_ray_serve_goes_to_one_and_then_to_none(way: str) -> None:
    """600 s to one, which starts the delay anew: 600 s to none. A request at none has one replica at once."""
    rule = of_system("ray_serve", min_replicas=0)
    found = moves(way, rule, steps((1210.04, 2)), 1211, replicas=3, extra_asks_s=(1210.04,))
    assert found == [(600.1, 1, "LOAD_DOWN"), (1200.2, 0, "IDLE"), (1210.04, 1, "ACTIVATED")]


@pytest.mark.parametrize("way", WAYS)
def test_target_tracking_adds_in_its_cooldown_only_what_is_needed_beyond(way: str) -> None:
    """Ten instances, 12/s from the start, 15/s from 240 s on; what is added needs 600 s.

    The third datapoint is that of 180 s: twelve. They count in the cooldown: 1.2 times the ten of before is no more,
    1.5 times it is fifteen. Without a cooldown 1.2 times twelve would follow at 240 s.
    """
    load = steps((0, 12), (240, 15))
    rule = of_system("target_tracking")
    found = moves(way, rule, load, 540, replicas=10, cold_start_s=600, counters=True)
    assert found == [(180, 12, "LOAD_UP"), (300, 15, "LOAD_UP")]
    hasty = of_system("target_tracking", cooldown_up_ns=0)
    assert moves(way, hasty, load, 240, replicas=10, cold_start_s=600, counters=True)[1] == (240, 15, "LOAD_UP")


@pytest.mark.parametrize("way", WAYS)
def test_target_tracking_takes_away_after_15_datapoints_and_a_cooldown(way: str) -> None:
    """5/s for ten instances: five at 900 s. Then 4/s: the alarm goes on, and the next move waits for the cooldown."""
    found = moves(way, of_system("target_tracking"), steps((0, 5), (900, 4)), 1300, replicas=10, counters=True)
    assert found == [(900, 5, "LOAD_DOWN"), (1200, 4, "LOAD_DOWN")]
