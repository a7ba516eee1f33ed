"""Argo Rollouts, Flagger and KServe: the state machines that they document, as this rule runs them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from policy.errors import SettingError
from policy.rollout import Command, Phase, RolloutView
from policy.rollout_presets import argo_rollouts, flagger, kserve
from policy.rollout_settings import RolloutSettings, rollout_rule
from policy.versions import WEIGHT_ONE
from tests.policy.both_ways import WAYS
from tests.policy.rollout_driver import Event, Traffic, drive, steady

SECOND_NS = 10**9
LATE = 10**13
"""Later than any rollout here ends, in ns."""

Happened = tuple[float, str, str, float]
"""When in seconds, what, why, and the canary's weight from then on in percent."""


def run(
    way: str, settings: RolloutSettings, traffic: Traffic, commands: Mapping[int, Command] | None = None
) -> tuple[list[Happened], Phase]:
    """Run a preset; return what happened after the start, commands (at seconds) included, and where it ended."""
    said = {second * SECOND_NS: one for second, one in (commands or {}).items()}
    events, state = drive(way, rollout_rule(**settings), traffic, commands=said, until=LATE)
    return [in_words(event) for event in events[1:]], Phase(state.phase)


def in_words(event: Event) -> Happened:
    """Return an event in seconds and percent."""
    now, action, cause, weight = event
    return now / SECOND_NS, action.name.lower(), cause.name.lower(), weight * 100 / WEIGHT_ONE


def steps_of(events: list[Happened]) -> list[tuple[float, float]]:
    """Return when the canary got which weight."""
    return [(second, weight) for second, action, cause, weight in events if cause == "step" or action == "roll_back"]


HEALTHY = steady(per_s=1_000)
BAD = steady(canary_failed=50, per_s=1_000)
SILENT = steady(per_s=0)


def failing(*checks: int) -> Traffic:
    """Return traffic of which 5 % fail on the canary before those checks (1, 2, ...), and none before others."""
    passed_windows = 0

    def count(passed: int, weight: int, seen: RolloutView) -> RolloutView:
        nonlocal passed_windows
        passed_windows += 1
        return (BAD if passed_windows in checks else HEALTHY)(passed, weight, seen)

    return count


FLAGGER: dict[str, Any] = {"step_weight": 10, "max_weight": 50, "threshold": 5}


@pytest.mark.parametrize("way", WAYS)
def test_flagger_clean_canary_takes_interval_times_steps(way: str) -> None:
    """0 -> 10 % at the first tick without metrics, a step for each good tick, promoted with the good tick at 50 %."""
    events, phase = run(way, flagger(**FLAGGER), HEALTHY)
    assert steps_of(events) == [(0, 10), (60, 20), (120, 30), (180, 40), (240, 50), (300, 100)]
    assert phase == Phase.PROMOTED


@pytest.mark.parametrize("way", WAYS)
def test_flagger_failed_ticks_hold_and_add_up(way: str) -> None:
    """Two bad ticks hold 20 % for two intervals; good ones between two bad ones do not take the first one back."""
    events, phase = run(way, flagger(**FLAGGER), failing(2, 3))
    assert steps_of(events) == [(0, 10), (60, 20), (240, 30), (300, 40), (360, 50), (420, 100)]
    assert phase == Phase.PROMOTED
    events, phase = run(way, flagger(**{**FLAGGER, "threshold": 2}), failing(2, 5))
    assert steps_of(events) == [(0, 10), (60, 20), (180, 30), (240, 40), (360, 0)]
    assert phase == Phase.ROLLED_BACK


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("threshold", "rolled_back_s"), [(0, 120), (1, 120), (2, 180), (5, 360)])
def test_flagger_rolls_back_the_tick_after_the_threshold(way: str, threshold: int, rolled_back_s: int) -> None:
    """The tick that counts the last failure only counts; the next one looks at the count first. 0 means 1."""
    events, _ = run(way, flagger(**{**FLAGGER, "threshold": threshold}), BAD)
    assert events[-1] == (rolled_back_s, "roll_back", "failure_limit", 0)
    assert {weight for *_, weight in events[:-1]} == {10}, "a bad canary never gets beyond its first step"


@pytest.mark.parametrize("way", WAYS)
def test_flagger_without_data_fails(way: str) -> None:
    """A canary that nobody asks is not a good one."""
    events, phase = run(way, flagger(**{**FLAGGER, "threshold": 2}), SILENT)
    assert events[1:] == [
        (60, "hold", "check_failed", 10),
        (120, "hold", "failure_limit", 10),
        (180, "roll_back", "failure_limit", 0),
    ]
    assert phase == Phase.ROLLED_BACK


@pytest.mark.parametrize(
    ("options", "weights"),
    [
        ({"step_weight": 20, "max_weight": 50}, [20, 40, 60]),  # the last step passes the maximum
        ({"step_weight": 30}, [30, 60, 90, 100]),  # but not 100 %
        ({"step_weight": 60, "max_weight": 50}, [60]),
        ({"step_weights": (1, 2, 10, 80)}, [1, 2, 10, 80]),
    ],
)
def test_flagger_weights_climb_until_the_maximum(options: dict[str, Any], weights: list[int]) -> None:
    """As its scheduler adds them up: it compares with the maximum before it adds."""
    events, _ = run("interpreted", flagger(**options), HEALTHY)
    assert [weight for _, weight in steps_of(events)] == [*weights, 100]


def test_flagger_mirrors_one_tick_first_and_iterates_without_traffic() -> None:
    """Mirroring is a step at weight 0 with all requests copied; iterations are good checks of one step at weight 0."""
    rule = rollout_rule(**flagger(step_weight=50, max_weight=50, mirror=True))
    assert (rule.step_weight[:2], rule.step_shadow[:2], rule.step_count) == ((0, 5_000), (WEIGHT_ONE, 0), 2)
    assert rollout_rule(**flagger(step_weight=50, mirror=True, mirror_weight=30)).step_shadow[0] == 3_000
    rule = rollout_rule(**flagger(iterations=7))
    assert (rule.step_weight[0], rule.step_shadow[0], rule.step_count, rule.check_count) == (0, 0, 1, 7)


def test_flagger_latency_is_a_share_of_slow_answers() -> None:
    """The p99 over the interval is at most 500 ms just if at most 1 % are slower."""
    rule = rollout_rule(**flagger(**FLAGGER, success_rate_min=99.5, duration_max_ns=500_000_000))
    assert (rule.limit_pass[:2], rule.slow_over_ns) == ((5_000, 10_000), 500_000_000)


ARGO_STEPS: list[dict[str, Any]] = [
    {"setWeight": 20},
    {"pause": {"duration_ns": 30 * SECOND_NS}},
    {"setWeight": 40},
    {"analysis": {}},
    {"setWeight": 60},
    {"pause": {}},
]
ARGO: dict[str, Any] = {"steps": ARGO_STEPS, "limits": [{"metric": "failed", "pass_most": 10_000}]}


@pytest.mark.parametrize("way", WAYS)
def test_argo_follows_its_steps_and_waits_at_the_gate(way: str) -> None:
    """A setWeight is done at once, a pause by the clock, an analysis by its checks, a bare pause by `promote` alone."""
    events, phase = run(way, argo_rollouts(**ARGO, count=2), HEALTHY, {5_000: Command.PROMOTE})
    assert events == [
        (0, "go_on", "step", 20),
        (30, "go_on", "step", 40),
        (90, "go_on", "check_passed", 40),
        (150, "go_on", "step", 60),
        (5_000, "go_on", "command", 60),
        (5_000, "promote", "step", 100),
    ]
    assert phase == Phase.PROMOTED


@pytest.mark.parametrize("way", WAYS)
def test_argo_aborts_with_the_first_failure_by_default(way: str) -> None:
    """Its failureLimit is 0; the weight goes to 0 with the measurement itself, 60 s after the analysis began."""
    events, phase = run(way, argo_rollouts(**ARGO, count=5), BAD)
    assert events[-1] == (90, "roll_back", "failure_limit", 0)
    assert phase == Phase.ROLLED_BACK


def test_argo_analysis_with_failures_allowed_takes_no_longer() -> None:
    """Measurements count whatever they say: with two of five allowed to fail, five are made and it goes on.

    Flagger would want five good ones, and make seven.
    """
    events, _ = run("interpreted", argo_rollouts(**ARGO, count=5, failure_limit=2), failing(2, 4))
    assert steps_of(events) == [(0, 20), (30, 40), (330, 60)]


@pytest.mark.parametrize("way", WAYS)
def test_argo_inconclusive_pauses_and_measures_anew_when_resumed(way: str) -> None:
    """5 % failed lie between the conditions of success and of failure."""
    limits = [{"metric": "failed", "pass_most": 10_000, "fail_over": 100_000}]
    settings = argo_rollouts(steps=ARGO_STEPS, limits=limits)
    events, phase = run(way, settings, BAD, {500: Command.RESUME, 600: Command.ABORT})
    assert events[2:] == [
        (90, "pause", "inconclusive", 40),
        (500, "go_on", "command", 40),
        (560, "pause", "inconclusive", 40),
        (600, "roll_back", "command", 0),
    ]
    assert phase == Phase.ROLLED_BACK


def test_argo_in_the_background_measures_during_all_pauses() -> None:
    """Every 60 s through a pause of 90 s and a gate, whatever the weight; a failure at the gate aborts."""
    steps = [{"setWeight": 20}, {"pause": {"duration_ns": 90 * SECOND_NS}}, {"setWeight": 40}, {"pause": {}}]
    settings = argo_rollouts(steps=steps, limits=ARGO["limits"], background=True)
    events, _ = run("interpreted", settings, failing(4))
    assert events == [
        (0, "go_on", "step", 20),
        (60, "go_on", "check_passed", 20),
        (90, "go_on", "step", 40),
        (120, "go_on", "check_passed", 40),
        (180, "roll_back", "failure_limit", 0),
    ]


def test_argo_mirror_route_lasts_until_it_is_set_anew() -> None:
    """A share of requests is copied from that step on."""
    steps = [{"setMirrorRoute": {"percentage": 35}}, {"pause": {}}, {"setMirrorRoute": {"percentage": 0}}]
    rule = rollout_rule(**argo_rollouts(steps=steps))
    assert rule.step_shadow[: rule.step_count] == (3_500, 0)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("limit", "aborted_s"), [(4, 90 + 40), (0, 90)])
def test_argo_aborts_when_measurements_are_errors_in_a_row(way: str, limit: int, aborted_s: int) -> None:
    """Without a request there is no result: it is tried again every 10 s, four times more."""
    events, phase = run(way, argo_rollouts(**ARGO, consecutive_error_limit=limit), SILENT)
    assert events[-1] == (aborted_s, "roll_back", "no_data", 0)
    assert phase == Phase.ROLLED_BACK


def test_argo_in_the_background_measures_from_its_starting_step_on() -> None:
    """A canary that is bad from the begin is found in the second pause, where the analysis begins."""
    steps = [{"setWeight": 20}, {"pause": {"duration_ns": 90 * SECOND_NS}}, {"setWeight": 40}, {"pause": {}}]
    settings = argo_rollouts(steps=steps, limits=ARGO["limits"], background=True, starting_step=2)
    events, _ = run("interpreted", settings, BAD)
    assert events == [(0, "go_on", "step", 20), (90, "go_on", "step", 40), (150, "roll_back", "failure_limit", 0)]


def test_argo_pauses_and_analyses_begin_with_their_weight() -> None:
    """Twenty weights and twenty pauses are twenty steps; a weight behind the last pause is one of its own."""
    rule = rollout_rule(**argo_rollouts(**ARGO))
    assert rule.step_weight[: rule.step_count] == (2_000, 4_000, 6_000)
    rule = rollout_rule(**argo_rollouts(steps=[{"pause": {"duration_ns": 1}}, {"setWeight": 50}]))
    assert rule.step_weight[: rule.step_count] == (0, 5_000)


@pytest.mark.parametrize("way", WAYS)
def test_kserve_share_moves_by_hand_alone(way: str) -> None:
    """10 % stay 10 % until somebody says otherwise; without a share the new revision gets all once it is ready."""
    events, phase = run(way, kserve(canary_traffic_percent=10), BAD)
    assert events == [(0, "go_on", "step", 10)]
    assert phase == Phase.PROGRESSING
    events, phase = run(way, kserve(), HEALTHY)
    assert events == [(0, "promote", "step", 100)]
    assert rollout_rule(**kserve(canary_traffic_percent=100)) == rollout_rule(**kserve())


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (flagger, "rollout.flagger must be one of stepWeight, stepWeights or iterations. Got none"),
        (lambda: flagger(step_weight=5, iterations=5), "rollout.flagger must be one of"),
        (lambda: flagger(step_weight=-5), "rollout.flagger.stepWeight must be a whole number from 0 to 100. Got -5."),
        (lambda: flagger(step_weight=5, max_weight=0), "rollout.flagger.maxWeight must be a whole number from 1"),
        (lambda: argo_rollouts(steps=[{"experiment": {}}]), "rollout.argo.steps.0 must be one of setWeight, pause,"),
        (lambda: argo_rollouts(steps=[{}]), "rollout.argo.steps.0 must be one of its kinds and its value. Got []."),
        (lambda: argo_rollouts(**ARGO, background=True), "rollout.argo.steps.3 must be one of setWeight, pause,"),
        (
            lambda: argo_rollouts(steps=[{"analysis": {}}]),
            "rollout.argo.analysis must be given when a step has analysis.",
        ),
        (
            lambda: argo_rollouts(steps=[{"setWeight": 101}]),
            "rollout.argo.steps.0.setWeight must be a whole number from",
        ),
        (
            lambda: argo_rollouts(steps=[{"setMirrorRoute": {"percentage": -1}}]),
            "rollout.argo.steps.0.setMirrorRoute.percentage must be a whole number from 0 to 100. Got -1.",
        ),
        (
            lambda: argo_rollouts(steps=[{"setWeight": 1}, {"pause": {}}] * 33),
            "rollout.argo.steps must be such that there are at most 32 steps. Got 33.",
        ),
        (lambda: flagger(step_weight=1), "rollout.flagger.stepWeight must be such that there are at most 32 steps."),
        (lambda: flagger(step_weights=[5, 101]), "rollout.flagger.stepWeights.1 must be a whole number from 0 to 100."),
        (lambda: kserve(canary_traffic_percent=101), "rollout.kserve.canaryTrafficPercent must be a whole number from"),
    ],
)
def test_preset_out_of_range_is_refused_with_a_sentence(build: Any, sentence: str) -> None:
    """In the words of the system that it speaks for."""
    with pytest.raises(SettingError) as refusal:
        build()
    assert str(refusal.value).startswith(sentence)
