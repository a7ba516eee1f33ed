"""Whether a server runs what a scenario describes: a forecast checked against other rules would say nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from calibration.errors import BadSamples
from policy.admission import NO_CAP
from policy.batching import Collector, Freeze, TimerOrigin
from policy.instant import NEVER_NS
from sim.scenario.costs import profile_of
from sim.scenario.rules import serving_rules
from sim.scenario.spec import Scenario

__all__ = ["require_same_rules"]


def require_same_rules(url: str, config: Mapping[str, object], scenario: Scenario) -> None:
    """Raise BadSamples for the first setting in which GET /config and the scenario differ."""
    served = dict(_leaves(config))
    for key, wanted in _leaves(_in_words(scenario)):
        if served.get(key) != wanted:
            raise BadSamples(f"The server at {url} runs with {key} {served.get(key)}, and the scenario says {wanted}.")
    profile = profile_of(scenario)
    if profile is not None and profile.name != scenario.name:
        raise BadSamples(
            f"The calibration was fitted to {profile.name}, and the server at {url} runs {scenario.name}: "
            "calibrate that server."
        )


def _in_words(scenario: Scenario) -> dict[str, object]:
    """Return the scenario's rules in the words of GET /config."""
    rules = serving_rules(scenario)
    batching, cap, deadline_ns = rules.batching, rules.admission.cap, rules.deadline.deadline_ns
    return {
        "name": scenario.name,
        "instances": scenario.fleet.instances,
        "batching": {
            "max_batch": batching.max_batch,
            "max_wait_ns": batching.max_wait_ns,
            "timer_origin": TimerOrigin(batching.timer_origin).name.lower(),
            "freeze": Freeze(batching.freeze).name.lower(),
            "collector": Collector(batching.collector).name.lower(),
            "slots": batching.slots,
            "preferred_sizes": list(batching.preferred[: batching.preferred_count]),
        },
        "queue": {
            "cap": None if cap == NO_CAP else cap,
            "deadline_ns": None if deadline_ns == NEVER_NS else deadline_ns,
        },
    }


def _leaves(content: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield each value with its dotted name."""
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
