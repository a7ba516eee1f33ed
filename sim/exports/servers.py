"""What the servers that batch have in common: a rule of batching is theirs, or the export is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from policy.settings import COUNT_MAX
from sim.exports.stated import Stated, stated_of_fleet, stated_of_others, stated_of_versions
from sim.exports.telling import Telling
from sim.scenario.spec import Scenario
from sim.scenario.versions import each_version, version_rules

__all__ = ["NO_LIMIT", "refuse_other_batching", "stable_version"]

NO_LIMIT: Final = COUNT_MAX
"""What stands for no limit where a server has to have one."""

_OFF: Final = {"batching.preferred_sizes": "[]", "batching.slots": "null"}


def stable_version(scenario: Scenario) -> tuple[Scenario, dict[str, Stated]]:
    """Return the scenario that the stable version would be alone, and all that is stated of it and of the others."""
    stable = version_rules(scenario).weights.stable
    others = {**stated_of_versions(scenario), **stated_of_others(scenario, stable)}
    return each_version(scenario)[stable], {**stated_of_fleet(scenario, stable), **others}


def refuse_other_batching(telling: Telling, stated: Mapping[str, Stated], server: str, rule: Mapping[str, str]) -> None:
    """Raise DoesNotFit where a batch is closed in another way than `rule` says, which is how the server does it.

    `stated` has only what matters: with batches of one request every rule is the same, and without a wait it does not
    matter from when it counts. Where `rule` does not name them, a server closes no batch at a preferred size, and runs
    one for each instance.
    """
    others = {key: value for key, value in rule.items() if key in stated and stated[key].words != value}
    others |= {key: off for key, off in _OFF.items() if key in stated and key not in rule}
    if others:
        key, value = next(iter(others.items()))
        has = "has one for each instance" if key == "batching.slots" else f"has {value} there"
        telling.refuse(key, f"{server} {has}", others)
    telling.say(*rule)
