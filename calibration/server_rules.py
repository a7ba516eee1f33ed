"""Whether a server runs what a scenario describes: a forecast checked against other rules would say nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping

from calibration.errors import BadSamples
from policy.autoscaling_settings import autoscaling_in_words
from policy.rollout_settings import shares_in_words
from policy.settings import admission_rule, routing_in_words, routing_rule, rules_in_words
from sim.scenario.costs import profile_of
from sim.scenario.profile import Profile
from sim.scenario.rules import serving_rules
from sim.scenario.spec import Scenario
from sim.scenario.versions import each_version, version_rules

__all__ = ["changes", "differing_key", "identity_of", "require_same_rules", "told"]

_RUN_ID = "run_id"  # of GET /config: another after every start
_CORES = "front_end_cores"  # decided when the first replica starts, which may be in mid-run; no rule
_CHANGES_SHOWN = 3
_ONE_REPLICA: Mapping[str, object] = {
    # What is taken for granted of a server that says nothing of replicas.
    "replicas": 1,
    "routing": routing_in_words(routing_rule(), admission_rule(cap=None)),
    "autoscaler": None,
    "drain": "youngest",
}
_HASH_SHOWN = 12


def require_same_rules(url: str, config: Mapping[str, object], scenario: Scenario) -> None:
    """Raise BadSamples for the first setting in which GET /config and the scenario differ."""
    served = {**dict(_leaves(_ONE_REPLICA)), **dict(_leaves(config))}
    for key, wanted in (*_leaves(_in_words(scenario)), *_leaves(_versions_in_words(scenario))):
        if served.get(key) != wanted:
            raise BadSamples(f"The server at {url} runs with {key} {served.get(key)}, and the scenario says {wanted}.")
    shares = config.get("shares")
    if scenario.rollout is None and isinstance(shares, Mapping) and shares.get("rollout") is not None:
        raise BadSamples(f"The server at {url} runs with a rollout, and the scenario says none.")
    _require_model_served(url, config, scenario.model.serve_with)
    profile = profile_of(scenario)
    if profile is not None:
        _require_same_model(url, config, profile)


def _require_model_served(url: str, config: Mapping[str, object], serve_with: str) -> None:
    """Raise BadSamples where the server says that it runs another model than the scenario names.

    A scenario that names none, which is emulated, can describe any server.
    """
    runs = _model_of(config).get("serve_with") or config.get("backend")
    is_told = "serve_with" in _model_of(config) or runs == "emulated"
    if serve_with != "emulated" and is_told and runs != serve_with:
        raise BadSamples(f"The server at {url} runs {runs}, and the scenario says model.serve_with {serve_with}.")


def _require_same_model(url: str, config: Mapping[str, object], profile: Profile) -> None:
    """Raise BadSamples if the calibration was made of another model than the server runs."""
    if profile.name != config.get("name"):
        raise BadSamples(
            f"The calibration was fitted to {profile.name}, and the server at {url} runs {config.get('name')}: "
            "calibrate that server."
        )
    fitted, served = profile.model, _model_of(config)
    key = differing_key(fitted, served)
    if key is not None:
        raise BadSamples(
            f"The calibration was fitted to a model with {told(key, fitted)}, and the server at {url} runs one with "
            f"{told(key, served)}: calibrate that server."
        )


def differing_key(one: Mapping[str, object], other: Mapping[str, object]) -> str | None:
    """Return the first key in which two descriptions of a model differ; None if in none, or where one is empty."""
    keys = {**one, **other} if one and other else {}
    return next((key for key in keys if one.get(key) != other.get(key)), None)


def told(key: str, model: Mapping[str, object]) -> str:
    """Return one thing that a description of a model tells, in words; of a hash the beginning."""
    value = str(model.get(key))
    return f"{key} {value[:_HASH_SHOWN] if key.endswith('sha256') else value}"


def identity_of(configs: Mapping[str, Mapping[str, object]]) -> dict[str, object]:
    """Return what a calibration file keeps of the servers, by their addresses: the model, and a hash of the rules.

    Raises BadSamples where two of them run different models.
    """
    (first_url, first), *others = configs.items()
    model = _model_of(first)
    for url, config in others:
        key = differing_key(model, _model_of(config))
        if key is not None:
            raise BadSamples(
                f"The servers at {first_url} and {url} run different models: the first says {told(key, model)}, the "
                f"other {told(key, _model_of(config))}."
            )
    rules = {key: first.get(key) for key in ("batching", "queue", "instances")}
    text = json.dumps(rules, sort_keys=True, separators=(",", ":"))
    return {"model": model, "rules_sha256": hashlib.sha256(text.encode()).hexdigest()}


def _model_of(config: Mapping[str, object]) -> dict[str, object]:
    """Return what a server says of its model; {} from one that says nothing."""
    model = config.get("model")
    return dict(model) if isinstance(model, Mapping) else {}


def changes(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    """Return in words what differs between two answers of GET /config of one address, a few at most; [] if nothing."""
    was, now = dict(_leaves(before)), dict(_leaves(after))
    keys = [key for key in {**was, **now} if key != _CORES and was.get(key) != now.get(key)]
    said = [f"{key} was {was.get(key)} and is {now.get(key)}" for key in keys if key != _RUN_ID]
    anew = ["it was started anew"] if _RUN_ID in keys else []
    return anew + said[:_CHANGES_SHOWN]


def _in_words(scenario: Scenario) -> dict[str, object]:
    """Return the scenario's rules in the words of GET /config: those of the first version, where there are several."""
    return {"name": scenario.name, **_fleet_in_words(each_version(scenario)[0])}


def _versions_in_words(scenario: Scenario) -> dict[str, object]:
    """Return what GET /config says of several versions, each by its place; nothing of a single one."""
    if len(scenario.versions) < 2:
        return {}
    rules = version_rules(scenario)
    return {
        "versions": {
            str(place): {"name": version.name, "loaded": version.loaded, **_fleet_in_words(alone)}
            for place, (version, alone) in enumerate(zip(scenario.versions, each_version(scenario), strict=True))
        },
        "shares": shares_in_words(rules.weights, rules.shadows, rules.rollout),
        "salt": str(scenario.split.salt),
    }


def _fleet_in_words(scenario: Scenario) -> dict[str, object]:
    """Return the rules of one version's fleet."""
    rules = serving_rules(scenario)
    return {
        "instances": scenario.fleet.instances,
        "replicas": scenario.fleet.replicas,
        "routing": routing_in_words(rules.routing, rules.admission),
        "autoscaler": autoscaling_in_words(rules.autoscaler),
        "drain": scenario.fleet.drain,
        **rules_in_words(rules.batching, rules.admission, rules.deadline),
    }


def _leaves(content: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield each value with its dotted name."""
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            yield from _leaves({str(place): each for place, each in enumerate(value)}, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
