"""The fleet that is left when spare replicas are down."""

from __future__ import annotations

import pytest

from policy.errors import SettingError
from sim.scenario.rules import serving_rules
from sim.scenario.spare import without_spare
from tests.sim.scenario.example import scenario


def test_fixed_fleet_loses_its_spare_replicas() -> None:
    """4 less 1; without a spare nothing changes."""
    assert without_spare(scenario("fleet={replicas: 4, spare: 1}")).fleet.replicas == 3
    assert without_spare(scenario("fleet.replicas=4")) == scenario("fleet.replicas=4")


@pytest.mark.parametrize(
    ("least", "most", "start", "spare", "expected"),
    [
        (3, 8, 4, 2, (1, 6, 2, False)),
        (2, 8, 2, 3, (1, 5, 1, False)),  # at least 1
        (1, 3, 3, 1, (1, 2, 2, False)),
        (0, 3, 1, 1, (1, 2, 0, True)),  # an idle fleet still goes to none
    ],
)
def test_autoscaled_fleet_loses_them_at_both_limits(
    least: int, most: int, start: int, spare: int, expected: tuple[int, int, int, bool]
) -> None:
    """As the autoscaler's rule has them."""
    autoscaler = f"{{target: 4, min_replicas: {least}, max_replicas: {most}}}"
    left = without_spare(scenario(f"fleet={{replicas: {start}, spare: {spare}, autoscaler: {autoscaler}}}"))
    rule = serving_rules(left).autoscaler
    assert (rule.replicas_min, rule.replicas_max, left.fleet.replicas, bool(rule.to_zero)) == expected


@pytest.mark.parametrize("fleet", ["{replicas: 2, spare: 2}", "{spare: 3, autoscaler: {target: 4, max_replicas: 3}}"])
def test_fleet_of_nothing_but_spares_is_refused(fleet: str) -> None:
    """One replica has to be left."""
    with pytest.raises(
        SettingError, match=r"^fleet\.spare must be from 0 to [0-9]+, fewer than the replicas that there can be"
    ):
        scenario(f"fleet={fleet}")


def test_machine_must_be_one_of_those_with_a_price() -> None:
    """The sentence names them."""
    cost = "cost={replica_hour: 2, machines: {l4: {replica_hour: 0.7}, h100: {replica_hour: 4, gpus: 8}}}"
    assert scenario(cost, "fleet.machine=h100").fleet.machine == "h100"
    with pytest.raises(SettingError, match=r"^fleet\.machine must be one of cost\.machines \(l4, h100\)\. Got a100\.$"):
        scenario(cost, "fleet.machine=a100")
    with pytest.raises(SettingError, match=r"^fleet\.machine must be one of cost\.machines \(none\)"):
        scenario("fleet.machine=a100")
