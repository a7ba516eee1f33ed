"""Versions as a scenario writes them: what each one serves with, the rules of who gets which, and what is refused."""

from __future__ import annotations

import pytest

from policy.errors import SettingError
from policy.instant import UNSET
from policy.orders import Order, OrderKind
from policy.rollout import SHARE_ONE, Command
from policy.rollout_settings import rollout_rule
from policy.versions import WEIGHT_ONE
from sim.errors import ScenarioError
from sim.scenario.calibrated import one_replica
from sim.scenario.capacity import capacity_per_s
from sim.scenario.fields import parts
from sim.scenario.identity import resolved, scenario_hash
from sim.scenario.lower import lower, tail_ns
from sim.scenario.spec import Scenario
from sim.scenario.version_spec import SYSTEMS, Analysis, Rollout, RolloutLimit, RolloutStep
from sim.scenario.versions import each_version, instances_of_each, load_shares, version_names, version_rules
from tests.sim.scenario.example import DATA, scenario

TWO = "versions=[{name: v1}, {name: v2, role: canary, weight: 10%, copies: 5%, error_rate: 0.5%, pinned: 2%}]"
STEPS = "steps: [{weight: 10%, pause: 5s}, {weight: 50%, analysis: true, copies: 20%}, {weight: 75%, pause: none}]"
LIMITS = (
    "limits: [{metric: failed, pass_most: 1%, fail_over: 2%}, {metric: slow, against: stable_ratio, pass_most: 1.5}]"
)
ROLLOUT = f"rollout={{start: 3s, {STEPS}, slow_over: 200ms, analysis: {{interval: 2s, {LIMITS}}}}}"


def test_scenario_without_versions_has_one() -> None:
    """Everything goes to v1, on the scenario's own fleet."""
    plain = scenario()
    rules = version_rules(plain)
    assert version_names(plain) == ("v1",)
    assert each_version(plain) == (plain,)
    assert (rules.weights.weights[0], rules.weights.loaded, rules.rollout) == (WEIGHT_ONE, 1, None)
    assert len(lower(plain, seed=1, warm_up_ns=0).fleets) == 1


def test_stable_takes_what_the_others_leave() -> None:
    """Weights in hundredths of a percent, the other shares in parts of a million."""
    rules = version_rules(scenario(TWO))
    assert rules.weights.weights[:2] == (9_000, 1_000)
    assert (rules.weights.stable, rules.weights.canary) == (0, 1)
    assert rules.shadows == (0, 500)
    assert rules.error_shares == (0, 5_000)
    assert rules.pinned == (0, 20_000)


def test_roles_decide_the_defaults() -> None:
    """A shadow gets copies of everything; who is stable can be said; without a canary there is none."""
    rules = version_rules(
        scenario("versions=[{name: new, weight: 30%}, {name: old, role: stable}, {name: s, role: shadow}]")
    )
    assert rules.weights.weights[:3] == (3_000, 7_000, 0)
    assert (rules.weights.stable, rules.weights.canary) == (1, UNSET)
    assert rules.shadows == (0, 0, WEIGHT_ONE)


def test_each_version_has_its_own_model_and_fleet() -> None:
    """What is not written for a version is the scenario's."""
    several = scenario(
        "fleet={replicas: 3, instances: 2}",
        "versions=[{name: a}, {name: b, model: {pass_time: {base: 20ms}}, loaded: false}]",
        "versions.1.fleet={replicas: 1, instances: 4}",
    )
    first, second = lower(several, seed=1, warm_up_ns=0).fleets
    assert (first.replicas, first.instances, first.pass_time.base_ns, first.loaded) == (3, 2, 8_000_000, True)
    assert (second.replicas, second.instances, second.pass_time.base_ns, second.loaded) == (1, 4, 20_000_000, False)
    assert second.batching.slots == 4
    assert instances_of_each(several) == (2, 4)


def test_versions_reach_the_engine() -> None:
    """Users, salt, pins, shadows, and the start of the rollout behind the warm-up."""
    given = lower(scenario(TWO, ROLLOUT, "split={users: 50, salt: 7}"), seed=1, warm_up_ns=10**9)
    versions = given.versions
    assert (versions.users, versions.salt, versions.pinned, versions.shadows) == (50, 7, (0, 20_000), (0, 500))
    assert versions.rollout is not None
    (order,) = versions.orders
    assert order.at_ns == 4 * 10**9
    assert order.order == Order(OrderKind.ROLLOUT, UNSET, Command.START)
    assert given.fleets[1].error_share == 5_000


def test_rollout_that_does_not_start_has_its_rule_all_the_same() -> None:
    """An operator may start it."""
    versions = lower(scenario(TWO, ROLLOUT, "rollout.start=none"), seed=1, warm_up_ns=0).versions
    assert versions.orders == ()
    assert versions.rollout is not None


def test_every_setting_of_a_rollout_reaches_its_rule() -> None:
    """As rollout_rule has it when it is written in its own words."""
    assert version_rules(scenario(TWO, ROLLOUT)).rollout == rollout_rule(
        steps=[
            {"weight": 1_000, "pause_ns": 5 * 10**9},
            {"weight": 5_000, "analysis": True, "shadow": 2_000},
            {"weight": 7_500, "pause_ns": None},
        ],
        analysis={
            "limits": [
                {"metric": "failed", "pass_most": 10_000, "fail_over": 20_000},
                {"metric": "slow", "against": "stable_ratio", "pass_most": 1_500_000},
            ],
            "interval_ns": 2 * 10**9,
        },
        slow_over_ns=200_000_000,
    )


def test_every_setting_can_be_written() -> None:
    """No key of policy is out of a scenario's reach, and no key of a scenario leads nowhere."""
    step = RolloutStep.model_validate({"weight": "1%"}).settings("key")
    limit = RolloutLimit.model_validate({"metric": "failed", "pass_most": "1%", "fail_over": "1%"})
    analysis = Analysis.model_validate({"limits": (limit,), "interval": "1s"}).settings()
    assert set(step) == {"weight", "pause_ns", "analysis", "shadow"}
    assert set(limit.settings("key")) == set(RolloutLimit.model_fields)
    assert {key.removesuffix("_ns") for key in analysis} == set(Analysis.model_fields)
    own = {key.removesuffix("_ns") for key in Rollout.model_validate({}).settings()}
    assert own == set(Rollout.model_fields) - {"start", *SYSTEMS}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("versions.1.weight=110%", "versions.1.weight must be a percentage from 0% to 100%. Got 110%."),
        ("versions.1.weight=0.005%", "versions.1.weight must be a multiple of 0.01%. Got 0.005%."),
        ("versions.0.weight=50%", "versions.weight must be 100% in sum over all versions. Got 60%."),
        ("versions.1.role=stable", "rollout must be of a version whose role is canary, and none is."),
        ("versions.0.role=canary", "versions.0.role must be stable, or another version must be. Got canary."),
        ("versions.1.name=v1", "versions.1.name must be another name than those before. Got v1."),
        ("versions.1.name=v/2", "versions.1.name must be 1 to 63 letters, digits, dots"),
        (f"versions.1.name={63 * 'x'}", None),
        (
            f"versions.1.name={64 * 'x'}",
            "versions.1.name must be 1 to 63 letters, digits, dots, dashes and underscores, a le",
        ),
        ("versions.1.error_rate=0.00001%", "versions.1.error_rate must be a multiple of 0.0001%."),
        ("versions.0.copies=10%", "versions.0.copies must be 0% for the stable version. Got 10%."),
        ("versions.1.loaded=false", "versions.1.loaded must be true for a version with a weight. Got false for v2."),
        ("versions.1.pinned=99%", None),
        ("versions.0.pinned=99%", "versions.pinned must be at most 100% in sum. Got 101%."),
        ("versions.1.fleet.replicas=0", "versions.1.fleet.replicas must be a whole number from 1 to"),
        ("versions.1.fleet.autoscaler={target: 0, max_replicas: 1}", "versions.1.fleet.autoscaler.target must be"),
        (
            "versions.1.fleet.autoscaler={target: 1, max_replicas: 1, min_replicas: 2}",
            "autoscaler.min_replicas must be",
        ),
        ("versions.1.model.pass_time.base=2h", "versions.1.model.pass_time.base must be"),
        ("versions.1.colour=red", "versions.1.colour is not a known key: known here are name, role"),
        ("versions.1.role=blue", "versions.1.role must be one of stable, canary, arm, shadow. Got 'blue'."),
        ("rollout.steps.0.weight=200%", "rollout.steps.0.weight must be a percentage from 0% to 100%. Got 200%."),
        ("rollout.steps.1.weight=0.005%", "rollout.steps.1.weight must be a multiple of 0.01%. Got 0.005%."),
        (
            "rollout.analysis.limits.0.fail_over=0.5%",
            "rollout.analysis.limits.0.fail_over must be from 1% to 100%. Got 0.5%.",
        ),
        ("rollout.analysis.limits=[]", "rollout.analysis.limits must have at least 1 entries. Got 0."),
        ("rollout.analysis.limits.0.metric=speed", "rollout.analysis.limits.0.metric must be"),
        ("rollout.slow_over=none", "rollout.slow_over must be given when a limit is on slow answers. Got nothing."),
        ("rollout.flagger={stepWeight: 10}", "rollout must have either flagger or analysis."),
        ("rollout={argo: {}, kserve: {}}", "rollout must have either argo or kserve."),
        ("split.users=0", "split.users must be"),
        ("front_end.blocking=true", "versions must be one with front_end.blocking"),
    ],
)
def test_bad_versions_are_one_sentence(change: str, said: str | None) -> None:
    """The key, what is allowed, what was got."""
    if said is None:
        assert isinstance(scenario(TWO, ROLLOUT, change), Scenario)
        return
    with pytest.raises((SettingError, ScenarioError)) as error:
        scenario(TWO, ROLLOUT, change)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_shadow_with_a_weight_and_two_stable_versions_are_refused() -> None:
    """Which the table above has no room for."""
    with pytest.raises(SettingError, match=r"^versions.1.weight must be 0% for a shadow. Got 10%.$"):
        scenario("versions=[{name: a}, {name: b, role: shadow, weight: 10%}]")
    with pytest.raises(SettingError, match=r"^versions.1.role must be of one version only stable. Got a second one.$"):
        scenario("versions=[{name: a, role: stable}, {name: b, role: stable}]")
    with pytest.raises(SettingError, match=r"^versions.0.role must be stable, or another version must be. Got arm.$"):
        scenario("versions=[{name: a, role: arm}, {name: b}]")
    with pytest.raises(
        SettingError, match=r"^versions.2.role must be of one version at most canary. Got a second one.$"
    ):
        scenario("versions=[{name: a}, {name: b, role: canary}, {name: c, role: canary}]")
    with pytest.raises(SettingError, match=r"^versions.weight must be at most 100% in sum. Got 110%.$"):
        scenario("versions=[{name: a}, {name: b, weight: 70%}, {name: c, weight: 40%}]")


def test_nine_versions_are_too_many() -> None:
    """Eight are not."""
    eight = ", ".join(f"{{name: v{number}}}" for number in range(8))
    assert len(version_names(scenario(f"versions=[{eight}]"))) == 8
    with pytest.raises(ScenarioError, match="versions must have at most 8 entries"):
        scenario(f"versions=[{eight}, {{name: v8}}]")


@pytest.mark.parametrize(
    ("share", "one", "whole"), [(0.1, WEIGHT_ONE, 1_000), (0.29, WEIGHT_ONE, 2_900), (1e-6, SHARE_ONE, 1)]
)
def test_share_becomes_parts(share: float, one: int, whole: int) -> None:
    """0.29 * 10,000 is 2,899.9999999999995 to a machine."""
    assert parts("key", share, one) == whole


def test_load_of_each_version_counts_pins_and_copies() -> None:
    """Pins first, the rest by weight, copies of what went to others."""
    shares = load_shares(
        scenario("versions=[{name: a, pinned: 10%}, {name: b, weight: 20%}, {name: c, role: shadow, copies: 50%}]")
    )
    assert shares == pytest.approx((0.1 + 0.9 * 0.8, 0.9 * 0.2, 0.5))


def test_capacity_is_that_of_the_version_that_is_full_first() -> None:
    """A canary at 10 % on one replica of ten has as much as the other nine at 90 %; at 20 % it is full at half."""
    alone = capacity_per_s(scenario())
    for weight, expected in (("10%", 10 * alone), ("20%", 5 * alone)):
        text = f"versions=[{{name: a, fleet: {{replicas: 9}}}}, {{name: b, weight: {weight}}}]"
        assert capacity_per_s(scenario(text)) == pytest.approx(expected)


def test_tail_is_long_enough_for_the_slowest_version() -> None:
    """Ten of its full passes."""
    slow = scenario("versions=[{name: a}, {name: b, model: {pass_time: {base: 30s}}}]", "horizon.duration=1s")
    assert tail_ns(slow) == 300 * 10**9


def test_identity_holds_the_versions_and_no_path() -> None:
    """Another weight is another question; a calibration stands there by its content."""
    measured = f"versions=[{{name: a}}, {{name: b, model: {{profile: '{DATA / 'profile.json'}'}}}}]"
    content = resolved(scenario(measured))
    assert content["versions"][1]["model"]["profile"].startswith("sha256:")
    assert scenario_hash(scenario(TWO)) != scenario_hash(scenario(TWO, "versions.1.weight=20%"))


def test_one_replica_is_of_one_version() -> None:
    """Calibration measures the scenario's own model."""
    alone = one_replica(scenario(TWO, ROLLOUT, "split.users=5"))
    assert (alone.versions, alone.rollout, alone.split.users) == ((), None, None)
