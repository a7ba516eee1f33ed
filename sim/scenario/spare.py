"""The fleets that are left when their spare replicas are down: what a forecast runs, so that goals hold then, too."""

from __future__ import annotations

from sim.scenario.rules import serving_rules
from sim.scenario.spec import Fleet, Scenario
from sim.scenario.versions import each_version

__all__ = ["spare_of", "without_spare"]


def spare_of(scenario: Scenario) -> int:
    """Return how many replicas are spare, of all versions together."""
    return sum(alone.fleet.spare for alone in each_version(scenario))


def without_spare(scenario: Scenario) -> Scenario:
    """Return the scenario with its spare replicas gone, of an autoscaled fleet from both of its limits.

    A lower limit of 1 stays, and one of 0, which an idle fleet goes to.
    """
    if spare_of(scenario) == 0:
        return scenario
    versions = tuple(
        version if version.fleet is None else version.model_copy(update={"fleet": _left(alone)})
        for version, alone in zip(scenario.versions, each_version(scenario), strict=False)
    )
    return scenario.model_copy(update={"fleet": _left(scenario), "versions": versions})


def _left(scenario: Scenario) -> Fleet:
    """Return the fleet of a scenario of one version without its spare replicas."""
    spare, fleet = scenario.fleet.spare, scenario.fleet
    if spare == 0:
        return fleet
    change: dict[str, object] = {"replicas": fleet.replicas - spare, "spare": 0}
    if fleet.autoscaler is not None:
        rule = serving_rules(scenario).autoscaler
        most, least = rule.replicas_max - spare, max(rule.replicas_min - spare, 1)
        limits = {"max_replicas": most} | ({"min_replicas": least} if rule.replicas_min > 1 else {})
        change["autoscaler"] = fleet.autoscaler.model_copy(update=limits)
        change["replicas"] = min(max(fleet.replicas - spare, 0 if rule.to_zero else least), most)
    return fleet.model_copy(update=change)
