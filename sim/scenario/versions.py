"""The versions of a scenario, checked: what each one serves with, and the rules of who gets which."""

from __future__ import annotations

from typing import NamedTuple

from policy.errors import SettingError
from policy.rollout import SHARE_ONE, RolloutRule
from policy.rollout_settings import rollout_rule, version_weights
from policy.settings import check_count
from policy.versions import WEIGHT_ONE, VersionWeights
from sim.scenario.fields import parts
from sim.scenario.rules import check_rules
from sim.scenario.spec import Scenario, Split, Version

__all__ = [
    "ONLY_VERSION",
    "VersionRules",
    "check_versions",
    "each_version",
    "instances_of_each",
    "load_shares",
    "rollout_start_ns",
    "version_names",
    "version_rules",
]

ONLY_VERSION = "v1"
"""The name of the version of a scenario that lists none."""


class VersionRules(NamedTuple):
    """The rules of who gets which version; a version is its place in the list."""

    weights: VersionWeights  # at the start
    shadows: tuple[int, ...]  # share of the requests of which each gets a copy, parts of policy.versions.WEIGHT_ONE
    pinned: tuple[int, ...]  # share of the requests that name each, parts of policy.rollout.SHARE_ONE
    error_shares: tuple[int, ...]  # share of its requests on which each fails, the same parts
    loaded: tuple[bool, ...]  # at the start
    rollout: RolloutRule | None


def version_names(scenario: Scenario) -> tuple[str, ...]:
    """Return the names of the versions, in their order."""
    return tuple(version.name for version in scenario.versions) or (ONLY_VERSION,)


def each_version(scenario: Scenario) -> tuple[Scenario, ...]:
    """Return the scenario that each version would be alone, with its own model and fleet."""
    if not scenario.versions:
        return (scenario,)
    return tuple(
        scenario.model_copy(
            update={
                "model": version.model or scenario.model,
                "fleet": version.fleet or scenario.fleet,
                "versions": (),
                "split": Split(),
                "rollout": None,
            }
        )
        for version in scenario.versions
    )


def instances_of_each(scenario: Scenario) -> tuple[int, ...]:
    """Return how many instances a replica of each version has."""
    return tuple(alone.fleet.instances for alone in each_version(scenario))


def load_shares(scenario: Scenario) -> tuple[float, ...]:
    """Return the share of the requests that each version has to serve at the start, copies included."""
    rules = version_rules(scenario)
    pinned = [share / SHARE_ONE for share in rules.pinned]
    shares = []
    for place, own in enumerate(pinned):
        taken = own + (1.0 - sum(pinned)) * rules.weights.weights[place] / WEIGHT_ONE
        shares.append(taken + (1.0 - taken) * rules.shadows[place] / WEIGHT_ONE)
    return tuple(shares)


def rollout_start_ns(scenario: Scenario) -> int | None:
    """Return when the rollout begins, from the begin of the measured time; None if there is none, or none begins."""
    return None if scenario.rollout is None else scenario.rollout.start


def version_rules(scenario: Scenario) -> VersionRules:
    """Return the rules. Raises SettingError for versions that cannot be together."""
    versions = scenario.versions or (Version(name=ONLY_VERSION),)
    stable, canary = _stable(versions), _canary(versions)
    if scenario.rollout is not None and canary is None:
        raise SettingError("rollout", "of a version whose role is canary, and none is", "a rollout")
    weights = _weights(versions, stable)
    return VersionRules(
        weights=version_weights(weights=weights, stable=stable, canary=canary),
        shadows=tuple(_copies(place, version, place == stable) for place, version in enumerate(versions)),
        pinned=_pinned(versions),
        error_shares=tuple(
            parts(f"versions.{place}.error_rate", version.error_rate, SHARE_ONE)
            for place, version in enumerate(versions)
        ),
        loaded=tuple(version.loaded for version in versions),
        rollout=None if scenario.rollout is None else rollout_rule(**scenario.rollout.settings()),
    )


def check_versions(scenario: Scenario) -> None:
    """Raise SettingError or ScenarioError for the first thing that is wrong with a version or the rollout."""
    rules = version_rules(scenario)
    names = version_names(scenario)
    if scenario.split.users is not None:
        check_count("split.users", scenario.split.users)
    check_count("split.salt", scenario.split.salt, 0, 2**63 - 1)
    for place, name in enumerate(names):
        if name in names[:place]:
            raise SettingError(f"versions.{place}.name", "another name than those before", name)
    if scenario.front_end.blocking and len(names) > 1:
        raise SettingError("versions", "one with front_end.blocking, where one event loop does everything", len(names))
    for place, (version, alone) in enumerate(zip(scenario.versions, each_version(scenario), strict=False)):
        try:
            check_rules(alone)
        except SettingError as error:
            section = error.key.partition(".")[0]
            own = {"model": version.model, "fleet": version.fleet}.get(section)
            raise (error if own is None else error.below(f"versions.{place}")) from None
    _check_loaded(rules, names)


def _stable(versions: tuple[Version, ...]) -> int:
    """Return the place of the version that takes what the others leave."""
    named = [place for place, version in enumerate(versions) if version.role == "stable"]
    if len(named) > 1:
        raise SettingError(f"versions.{named[1]}.role", "of one version only stable", "a second one")
    if named:
        return named[0]
    if versions[0].role is not None:
        raise SettingError("versions.0.role", "stable, or another version must be", versions[0].role)
    return 0


def _canary(versions: tuple[Version, ...]) -> int | None:
    """Return the place of the version that a rollout is about."""
    named = [place for place, version in enumerate(versions) if version.role == "canary"]
    if len(named) > 1:
        raise SettingError(f"versions.{named[1]}.role", "of one version at most canary", "a second one")
    return named[0] if named else None


def _weights(versions: tuple[Version, ...], stable: int) -> list[int]:
    """Return the weight of each version at the start, in parts of WEIGHT_ONE."""
    weights = []
    for place, version in enumerate(versions):
        if version.role == "shadow" and version.weight:
            raise SettingError(f"versions.{place}.weight", "0% for a shadow", f"{100 * version.weight:g}%")
        weights.append(parts(f"versions.{place}.weight", version.weight or 0.0, WEIGHT_ONE))
    if versions[stable].weight is None:
        left = WEIGHT_ONE - sum(weights)
        if left < 0:
            raise SettingError("versions.weight", "at most 100% in sum", f"{100 - 100 * left / WEIGHT_ONE:g}%")
        weights[stable] = left
    return weights


def _copies(place: int, version: Version, is_stable: bool) -> int:
    """Return of which share of the requests a version gets a copy."""
    key = f"versions.{place}.copies"
    if version.copies is None:
        return WEIGHT_ONE if version.role == "shadow" else 0
    if is_stable and version.copies > 0:
        raise SettingError(key, "0% for the stable version", f"{100 * version.copies:g}%")
    return parts(key, version.copies, WEIGHT_ONE)


def _pinned(versions: tuple[Version, ...]) -> tuple[int, ...]:
    """Return the share of the requests that name each version."""
    pinned = tuple(
        parts(f"versions.{place}.pinned", version.pinned, SHARE_ONE) for place, version in enumerate(versions)
    )
    if sum(pinned) > SHARE_ONE:
        raise SettingError("versions.pinned", "at most 100% in sum", f"{100 * sum(pinned) / SHARE_ONE:g}%")
    return pinned


def _check_loaded(rules: VersionRules, names: tuple[str, ...]) -> None:
    """Raise SettingError for a version that is to take requests and is not there."""
    for place, name in enumerate(names):
        if rules.weights.weights[place] > 0 and not rules.loaded[place]:
            raise SettingError(f"versions.{place}.loaded", "true for a version with a weight", f"false for {name}")
