"""How a fleet is written: presets, what is written over them, and what is refused."""

from __future__ import annotations

import inspect
import math

import pytest

from policy.autoscaler_presets import PRESETS, preset
from policy.autoscaling_settings import autoscaling_rule, fixed_fleet
from policy.errors import SettingError
from policy.faults import FAULTLESS, FaultRule
from policy.fleet import Drain
from policy.pass_time import SPREAD_ONE
from policy.routing import Balance
from sim.errors import ScenarioError
from sim.scenario.fleet_spec import Autoscaler
from sim.scenario.lower import lower
from sim.scenario.rules import serving_rules
from tests.sim.scenario.example import scenario


def test_fleet_without_an_autoscaler_stays_as_it_is() -> None:
    """The default: one replica, round robin."""
    fleet = lower(scenario(), seed=1, warm_up_ns=0).fleet
    assert (fleet.replicas, fleet.autoscaler, fleet.routing.balance) == (1, fixed_fleet(), Balance.ROUND_ROBIN)


def test_every_setting_of_the_rule_can_be_written() -> None:
    """No setting of policy is out of a scenario's reach, and no key of a scenario leads nowhere."""
    names = set(inspect.signature(autoscaling_rule).parameters)
    written = {name.removesuffix("_ns") for name in names}
    assert written == set(Autoscaler.model_fields) - {"preset"}


@pytest.mark.parametrize("name", PRESETS)
def test_preset_is_the_systems_own(name: str) -> None:
    """With what it has no default for, it is policy's preset."""
    own = {"target": 0.8 if "kubernetes" in name else 3.0, "max_replicas": 5}
    rules = serving_rules(
        scenario(f"fleet.autoscaler={{preset: {name}, target: {own['target']}, max_replicas: {own['max_replicas']}}}")
    )
    assert rules.autoscaler == autoscaling_rule(**{**preset(name), **own})


def test_what_is_written_goes_before_the_preset() -> None:
    """Times carry their unit and ratios may be percentages."""
    text = "{preset: ray_serve, target: 4, max_replicas: 8, tick: 1s, window: 5s, delay_up: 3s, gain_up: 150%}"
    rule = serving_rules(scenario(f"fleet.autoscaler={text}")).autoscaler
    assert (rule.target, rule.replicas_max, rule.tick_ns, rule.window_ns) == (4.0, 8, 10**9, 5 * 10**9)
    assert (rule.up.delay_ns, rule.up.gain, rule.down.delay_ns) == (3 * 10**9, 1.5, 600 * 10**9)


def test_cold_start_and_routing_reach_the_engine() -> None:
    """Four parts in their order; which replica goes first."""
    fleet = lower(
        scenario(
            "fleet.cold_start={provision: 1s, load: {distribution: exponential, mean: 3s}}",
            "fleet.routing={balance: power_of_two, outstanding_max: 16, held_max: 9}",
            "fleet.drain=idlest",
        ),
        seed=1,
        warm_up_ns=0,
    ).fleet
    assert [len(table) > 1 for table in fleet.cold_start_tables] == [False, False, True, False]
    assert fleet.cold_start_tables[0][0] == 10**9
    assert (fleet.routing.balance, fleet.routing.outstanding_max) == (Balance.POWER_OF_TWO, 16)
    assert (fleet.admission.held_max, fleet.drain) == (9, Drain.IDLEST)


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("fleet.replicas=0", "fleet.replicas"),
        ("fleet.routing.balance=fastest", "fleet.routing.balance"),
        ("fleet.routing.outstanding_max=0", "fleet.routing.outstanding_max"),
        ("fleet.drain=oldest", "fleet.drain"),
        ("fleet.autoscaler={preset: nomad}", "fleet.autoscaler.preset"),
        ("fleet.autoscaler={target: 3}", "fleet.autoscaler.max_replicas"),
        ("fleet.autoscaler={max_replicas: 3}", "fleet.autoscaler.target"),
        ("fleet.autoscaler={target: 3, max_replicas: 0}", "fleet.autoscaler.max_replicas"),
        ("fleet.autoscaler={target: 3, max_replicas: 4, min_replicas: 2}", "fleet.replicas"),
        ("fleet.autoscaler={target: 3, max_replicas: 4, tick: 5}", "fleet.autoscaler.tick"),
        ("fleet.autoscaler={target: 3, max_replicas: 4, ticks: 5s}", "fleet.autoscaler.ticks"),
        ("fleet.cold_start.load=-1s", "fleet.cold_start.load"),
        ("fleet.crash_every=0s", "fleet.crash_every"),
        ("fleet={crash_every: 1s, turnaround: {}, slow: {share: 5%}}", "fleet.slow.factor"),
        ("fleet.slow={share: 5%, factor: 0.5}", "fleet.slow.factor"),
        ("fleet.slow={share: 105%, factor: 2}", "fleet.slow.share"),
        ("fleet.cold_start.first_passes={count: 0, factor: 2}", "fleet.cold_start.first_passes.count"),
        ("fleet.cold_start.first_passes={count: 3, factor: 2000}", "fleet.cold_start.first_passes.factor"),
    ],
)
def test_bad_fleet_is_refused_with_its_key(override: str, key: str) -> None:
    """One sentence each."""
    with pytest.raises((ScenarioError, SettingError), match=key):
        scenario(override)


def test_faults_reach_the_engine() -> None:
    """Crashes with what they take anew, slow replicas and first passes, in the units of the rules."""
    fleet = lower(
        scenario(
            "fleet.crash_every=30d",  # whose tail is longer than any time that a rule may have
            "fleet.slow={share: 10%, factor: 150%}",
            "fleet.cold_start.first_passes={count: 5, factor: 4}",
        ),
        seed=1,
        warm_up_ns=0,
    ).fleet
    assert fleet.faults == FaultRule(100_000, SPREAD_ONE * 3 // 2, 5, 4 * SPREAD_ONE)
    assert fleet.crash_table is not None
    assert fleet.crash_table[1024 * 3 // 4] == pytest.approx(30 * 86_400e9 * math.log(4), rel=0.01)
    assert fleet.crash_table[-1] > 31 * 86_400e9
    assert (len(fleet.cold_start_tables), fleet.restart_from) == (4, 2)
    sound = lower(scenario(), seed=1, warm_up_ns=0).fleet
    assert (sound.crash_table, sound.faults) == (None, FAULTLESS)


def test_faults_can_be_switched_off_by_a_word() -> None:
    """As other optional settings, with --set."""
    written = scenario("fleet.crash_every=5s", "fleet.slow={share: 10%, factor: 2}", "fleet.crash_every=none")
    assert (written.fleet.crash_every, scenario("fleet.slow=none").fleet.slow) == (None, None)


def test_crash_of_a_blocking_server_is_refused() -> None:
    """It would take the whole server along."""
    with pytest.raises(SettingError, match=r"^fleet\.crash_every must be none with front_end\.blocking"):
        scenario("front_end.blocking=true", "fleet.crash_every=5s")
