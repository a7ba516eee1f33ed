"""The fleet that is left when its spare replicas are down: what a forecast runs, so that goals hold then, too."""

from __future__ import annotations

from sim.scenario.rules import serving_rules
from sim.scenario.spec import Scenario

__all__ = ["without_spare"]


def without_spare(scenario: Scenario) -> Scenario:
    """Return the scenario with its spare replicas gone, of an autoscaled fleet from both of its limits.

    A lower limit of 1 stays, and one of 0, which an idle fleet goes to.
    """
    spare, fleet = scenario.fleet.spare, scenario.fleet
    if spare == 0:
        return scenario
    change: dict[str, object] = {"replicas": fleet.replicas - spare, "spare": 0}
    if fleet.autoscaler is not None:
        rule = serving_rules(scenario).autoscaler
        most, least = rule.replicas_max - spare, max(rule.replicas_min - spare, 1)
        limits = {"max_replicas": most} | ({"min_replicas": least} if rule.replicas_min > 1 else {})
        change["autoscaler"] = fleet.autoscaler.model_copy(update=limits)
        change["replicas"] = min(max(fleet.replicas - spare, 0 if rule.to_zero else least), most)
    return scenario.model_copy(update={"fleet": fleet.model_copy(update=change)})
