"""The rules that a scenario stands for."""

from __future__ import annotations

import pytest

from policy.admission import NO_CAP
from policy.batching import Collector, Freeze, TimerOrigin
from policy.errors import SettingError
from policy.instant import NEVER_NS
from policy.pass_time import SPREAD_ONE, pass_ns
from sim.errors import ScenarioError
from sim.scenario.rules import check_rules, serving_rules
from tests.sim.scenario.example import calibrated, scenario, trace


def test_minimal_scenario_gives_the_default_rules() -> None:
    """No cap, no deadline, no retry, and one slot for each instance."""
    rules = serving_rules(scenario("fleet.instances=3"))
    assert (rules.batching.max_batch, rules.batching.max_wait_ns, rules.batching.slots) == (8, 5_000_000, 3)
    assert rules.batching.timer_origin == TimerOrigin.ENQUEUE
    assert rules.admission.cap == NO_CAP
    assert rules.deadline.deadline_ns == NEVER_NS
    assert rules.retry.attempts == 1
    assert pass_ns(rules.pass_time, 8, 1, SPREAD_ONE) == 12_000_000


def test_every_setting_reaches_its_rule() -> None:
    """Each key of a scenario ends in the field of that meaning."""
    rules = serving_rules(
        scenario(
            "batching={max_batch: 4, max_wait: 2ms, timer_origin: window, freeze: timer, slots: 7}",
            "batching.preferred_sizes=[2, 3]",
            "queue={cap: 5, deadline: 1s}",
            "traffic.retries={attempts: 3, backoff: 1ms, backoff_max: 2ms, jitter: false}",
            "model.pass_time={table: {1: 8ms, 8: 15ms}, per_unit: 1us, padded_sizes: [1, 8]}",
        )
    )
    assert (rules.batching.timer_origin, rules.batching.freeze) == (TimerOrigin.WINDOW, Freeze.TIMER)
    assert (rules.batching.slots, rules.batching.preferred[:2], rules.batching.preferred_count) == (7, (2, 3), 2)
    assert (rules.admission.cap, rules.deadline.deadline_ns) == (5, 10**9)
    assert rules.retry == (3, 10**6, 2 * 10**6, False)
    assert pass_ns(rules.pass_time, 2, 1, SPREAD_ONE) == 15_000_000 + 8_000
    assert serving_rules(scenario("batching.collector=competing")).batching.collector == Collector.COMPETING


def test_calibrated_rules_follow_the_draw() -> None:
    """The pass time of a draw is that draw's line."""
    central = serving_rules(calibrated()).pass_time
    drawn = serving_rules(calibrated(), 1).pass_time
    assert (central.base_ns, drawn.base_ns) == (8_000_000, 8_100_000)


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (("front_end.request={distribution: exponential, mean: 20d}",), "front_end.request"),
        (("front_end.response={distribution: exponential, mean: 20d}",), "front_end.response"),
        (("front_end.pass_result={distribution: exponential, mean: 20d}",), "front_end.pass_result"),
        (("front_end.timer={distribution: exponential, mean: 20d}",), "front_end.timer"),
        (("front_end={blocking: true, workers: 2}",), "front_end.workers"),
        (("front_end.blocking=true", "fleet.instances=2"), "fleet.instances"),
        (("fleet.turnaround.batch_in={distribution: exponential, mean: 20d}",), "fleet.turnaround.batch_in"),
        (("fleet.turnaround.results_out={distribution: exponential, mean: 20d}",), "fleet.turnaround.results_out"),
        (("traffic.timeout={distribution: exponential, mean: 20d}",), "traffic.timeout"),
        (("traffic={clients: {count: 1, think: {distribution: gamma, mean: 9d, cv: 5}}}",), "traffic.clients.think"),
        (("traffic={clients: {count: 0}}",), "traffic.clients.count"),
        (("model.pass_time.per_unit=1ms", "traffic.sizes=500000"), "model.pass_time"),
        (("batching.collector=competing", "batching.freeze=timer"), "batching.freeze"),
        (("model.pass_time.padded_sizes=[1, 4]",), "model.pass_time.padded_sizes"),
    ],
)
def test_setting_out_of_range_is_found_when_loading(overrides: tuple[str, ...], key: str) -> None:
    """Tails of distributions and products of settings are judged before anything runs."""
    with pytest.raises(SettingError) as error:
        scenario(*overrides)
    assert error.value.key == key


def test_recorded_sizes_bound_the_pass_time() -> None:
    """A trace with a context of 4808 tokens at 1 s a token makes passes longer than an hour."""
    with pytest.raises(SettingError, match="at most 1h for the largest batch and request"):
        scenario(trace("azure_llm.csv", ", repeat: true"), "model.pass_time.per_unit=1s")
    check_rules(scenario(trace("azure_llm.csv", ", repeat: true"), "model.pass_time.per_unit=1ms"))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (
            "{preset: kubernetes_hpa, target: 10, max_replicas: 4}",
            "at most 2 where signal is busy, as preset kubernetes_hpa",
        ),
        ("{signal: busy, target: 2.5, max_replicas: 4}", "at most 2 where signal is busy: busy devices of a replica"),
    ],
)
def test_busy_target_that_no_replica_reaches_is_refused(written: str, said: str) -> None:
    """With two devices to a replica no more than two are ever busy: such a fleet would never grow."""
    with pytest.raises(SettingError, match=r"fleet\.autoscaler\.target must be .* Got ") as error:
        scenario("fleet.instances=2", f"fleet.autoscaler={written}")
    assert said in str(error.value)
    assert "signal: in_flight and formula: ratio" in str(error.value)


@pytest.mark.parametrize(
    "written", ["{preset: kubernetes_hpa, target: 1.6, max_replicas: 4}", "{target: 10, max_replicas: 4}"]
)
def test_target_within_reach_is_taken(written: str) -> None:
    """Of two devices 1.6 may be busy; requests in flight have no such limit."""
    scenario("fleet.instances=2", f"fleet.autoscaler={written}")


@pytest.mark.parametrize("preset", ["kubernetes_hpa", "knative", "ray_serve"])
def test_target_of_a_preset_is_for_its_own_signal(preset: str) -> None:
    """80 % of a device are not 0.8 requests, and 70 in flight no 70 that wait."""
    formula = ", formula: ratio" if preset == "kubernetes_hpa" else ""
    autoscaler = f"fleet.autoscaler={{preset: {preset}, max_replicas: 4, signal: waiting{formula}"
    with pytest.raises((SettingError, ScenarioError), match=r"target must be stated where signal is waiting: that of "):
        serving_rules(scenario(f"{autoscaler}}}"))
    assert serving_rules(scenario(f"{autoscaler}, target: 3}}")).autoscaler.target == 3


def test_percentile_may_not_be_faster_than_a_lower_one() -> None:
    """p99 within 20 ms has p50 within 20 ms: whoever allows more has mixed them up."""
    assert scenario("goals={p50: 20ms, p99: 20ms}").goals.p50 == 20 * 10**6
    with pytest.raises(ScenarioError, match=r"^goals\.p50 must not be above goals\.p99, .* Got 21ms and 20ms\.$"):
        scenario("goals={p50: 21ms, p99: 20ms}")
