"""A scenario in words: who asks, what serves, what is wanted. For people who read no scenario file.

It says what matters to the answer and leaves out what only a specialist would miss; the manifest has every key.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sim.arrivals.rate_curve import day_curve
from sim.forecast.goals import wanted_figures
from sim.forecast.warnings import part_of_a_trace
from sim.outcome.fleet_course import WINDOW_NS
from sim.report.fleet_words import autoscaled_in_words, counted, price_in_words, serving_in_words
from sim.report.units import about_time, capital, quantity, time_text
from sim.scenario.arrival_spec import DayCurve, GammaGaps, Mmpp, Poisson, RecordedTrace, Spike, Steps
from sim.scenario.capacity import met_rate_per_s
from sim.scenario.distribution_spec import Choices, TimeLaw, Uniform
from sim.scenario.fleet_spec import COLD_START_PARTS
from sim.scenario.spec import Model, Scenario, Version
from sim.scenario.traces import trace_lasts_ns, trace_peak
from sim.scenario.units import listed
from sim.scenario.versions import each_version, load_shares, version_names

__all__ = ["configurations_in_words", "goals_in_words", "scenario_in_words"]

_FEW = 4
"""Steps, and versions, that are told one by one; of more it is said how many."""

_LONG = 10_000.0
"""Rates from here on need no fourth digit."""

_BALANCES = {
    "round_robin": "the next one in turn",
    "random": "any one",
    "least_outstanding": "the one with the fewest requests",
    "power_of_two": "the one with fewer requests of two that are drawn",
}
_SHARES = {
    "refused": "Are {} of the requests refused?",
    "timed_out": "Do {} of the requests time out?",
    "abandoned": "Do clients give up on {} of the requests?",
    "failed": "Do {} of the requests fail?",
    "breach": "Are {} of the windows of 5 s in breach of that?",
}


def scenario_in_words(scenario: Scenario) -> tuple[str, ...]:
    """Return traffic, model, batching, queue and fleet, a sentence or two each. Raises what the scenario raises."""
    return tuple(sentence for sentences in _by_topic(scenario).values() for sentence in sentences)


def configurations_in_words(scenarios: Sequence[Scenario]) -> tuple[str, ...]:
    """Return what configurations share, as scenario_in_words has it, and all autoscalers and prices that they have.

    What the first and the last say alike does not vary, since their values differ in every key. Raises what the
    scenarios raise.
    """
    first, last = (_by_topic(scenarios[place]) for place in (0, -1))
    sentences = []
    for topic in first:
        shared = [sentence for sentence in first[topic] if sentence in last[topic]]
        own = [] if shared == first[topic] == last[topic] else _of_all(topic, scenarios)
        sentences += [*own, *(sentence for sentence in shared if sentence not in own)]
    return tuple(sentences)


def _of_all(topic: str, scenarios: Sequence[Scenario]) -> list[str]:
    """Return what is said of configurations that differ in a topic, beside their keys with all values."""
    if topic == "batching":
        return _batching_of_all(scenarios)
    if topic == "fleet":
        return _fleets(scenarios)
    price = price_in_words(scenarios) if topic == "price" else None
    return [] if price is None else [price]


def _by_topic(scenario: Scenario) -> dict[str, list[str]]:
    """Return what is said of each part of a scenario, in its order."""
    price = price_in_words([scenario])
    return {
        "traffic": _traffic(scenario),
        "model": [_model(scenario.model)],
        "batching": [_batching(scenario)],
        "queue": _queue(scenario),
        "versions": _versions(scenario),
        "fleet": _fleet(scenario),
        "price": [] if price is None else [price],
    }


def goals_in_words(scenario: Scenario) -> str:
    """Return the questions that the goals ask, or the one that stands without any."""
    asked = []
    for goal, limit in wanted_figures(scenario.goals).items():
        if goal in _SHARES:
            asked.append(_SHARES[goal].format(f"at most {_share(limit)}"))
        else:
            name = {"mean": "the mean latency", "p999": "p99.9"}.get(goal, goal)
            asked.append(f"Is {name} at most {limit:g} ms?")
    return " ".join(asked) or "How long do requests take, and how many have no answer?"


def _traffic(scenario: Scenario) -> list[str]:
    """Return who asks."""
    traffic = scenario.traffic
    if traffic.clients is not None:
        think = traffic.clients.think
        after = "at once" if think == 0 else f"after {_law(think)}"
        clients = capital(counted(traffic.clients.count, "client"))
        sentences = [
            f"{clients} in a closed loop: each sends a request, waits for its answer, and sends the next {after}."
        ]
    else:
        sentences = [f"Requests come {_arrivals(scenario)}."]
    if traffic.timeout is not None:
        sentences.append(f"A client hangs up after {_law(traffic.timeout)}.")
    if traffic.retries.attempts > 1:
        sentences.append(f"A client that is refused tries again, {traffic.retries.attempts} sends in all at most.")
    return sentences


def _arrivals(scenario: Scenario) -> str:
    """Return how requests come."""
    arrivals = scenario.traffic.arrivals
    mean = f"{_rate(met_rate_per_s(scenario))} in the mean"
    if isinstance(arrivals, Poisson):
        return f"independently of each other (Poisson), {_rate(arrivals.rate)}"
    if isinstance(arrivals, GammaGaps):
        kind = "in bursts" if arrivals.cv > 1 else "more evenly than by chance" if arrivals.cv < 1 else "by chance"
        return f"{kind} (gaps with a cv of {arrivals.cv:g}), {_rate(arrivals.rate)}"
    if isinstance(arrivals, Mmpp):
        rates = f"{_rate(min(arrivals.rates))} and {_rate(max(arrivals.rates))}"
        return f"at a rate that changes by chance between {rates}, {mean}"
    if isinstance(arrivals, Steps):
        return f"at a rate that changes in steps: {_steps(arrivals)}"
    if isinstance(arrivals, DayCurve):
        wave = f"a wave of {time_text(arrivals.period)}, {arrivals.peak_to_mean:g} times the mean at its peak"
        highest = _rate(arrivals.mean_rate * arrivals.peak_to_mean)
        curve = day_curve(arrivals.mean_rate, arrivals.peak_to_mean, arrivals.peak_at, arrivals.period)
        lowest = _rate(float(curve.from_per_s.min()))
        return f"along {wave} ({highest}) and {lowest} at its lowest, {_rate(arrivals.mean_rate)} in the mean"
    if isinstance(arrivals, Spike):
        when = f"that begins after {time_text(arrivals.at)} and lasts {time_text(arrivals.duration)}"
        return f"at {_rate(arrivals.rate)}, with a spike to {_rate(arrivals.peak_rate)} {when}"
    if isinstance(arrivals, RecordedTrace):
        lasts_ns, peak = trace_lasts_ns(scenario), trace_peak(scenario, WINDOW_NS)
        met_ns = scenario.horizon.stated_ns
        lasts = "" if lasts_ns is None else f" ({about_time(lasts_ns)})"
        if lasts_ns is not None and part_of_a_trace(scenario) is not None:
            lasts = f" (the first {about_time(met_ns)} of {about_time(lasts_ns)})"
        most = "" if peak is None else f", {quantity('rate_per_s', peak[0])} in the busiest {time_text(peak[1])}"
        times = "" if arrivals.scale == 1 else f", {arrivals.scale:g} times as many"
        return f"as recorded in {Path(arrivals.file).name}{lasts}{times}, {mean}{most}"
    return f"at equal gaps, {mean}"


def _steps(arrivals: Steps) -> str:
    """Return a few steps one by one, of many their number and range."""
    if len(arrivals.steps) <= _FEW:
        return ", ".join(f"{_rate(step.rate)} for {time_text(step.duration)}" for step in arrivals.steps)
    rates = [step.rate for step in arrivals.steps]
    return f"{len(rates)} of them, from {_rate(min(rates))} to {_rate(max(rates))}"


def _model(model: Model) -> str:
    """Return what a pass costs."""
    return f"A pass through the model takes {_cost(model)}."


def _cost(model: Model) -> str:
    """Return how long a pass takes."""
    written = model.pass_time
    if written is None:
        return "what its calibration measured"
    if written.table is not None:
        sizes = sorted(written.table)
        ends = [f"{time_text(written.table[size])} for {counted(size, 'request')}" for size in (sizes[0], sizes[-1])]
        cost = " and ".join(dict.fromkeys(ends))
    else:
        parts = [time_text(written.base)] if written.base or not written.per_item else []
        parts += [f"{time_text(written.per_item)} for each request in it"] if written.per_item else []
        cost = " and ".join(parts)
    if written.per_unit:
        cost += f", and {time_text(written.per_unit)} for each request and each unit of the longest one's size"
    return cost


def _batching(scenario: Scenario) -> str:
    """Return who shares a pass."""
    size = scenario.batching.max_batch
    if size == 1:
        return "Each request has a pass of its own."
    return f"Up to {size} requests share a pass, and a batch that is not full {_wait(scenario)}."


def _batching_of_all(scenarios: Sequence[Scenario]) -> list[str]:
    """Return the size of a batch or its wait, whichever does not vary."""
    if len({scenario.batching.max_wait for scenario in scenarios}) == 1:
        return [f"A batch that is not full {_wait(scenarios[0])}."]
    sizes = {scenario.batching.max_batch for scenario in scenarios}
    return [f"Up to {sizes.pop()} requests share a pass."] if len(sizes) == 1 else []


def _wait(scenario: Scenario) -> str:
    """Return how long a batch waits for company."""
    wait_ns = scenario.batching.max_wait
    return f"waits at most {time_text(wait_ns)} for more" if wait_ns else "does not wait for more"


def _queue(scenario: Scenario) -> list[str]:
    """Return what bounds the waiting, and where the model is in the server's way."""
    queue = scenario.queue
    sentences = []
    if queue.cap is None:
        sentences.append("Nothing limits how many requests wait.")
    else:
        sentences.append(f"At most {queue.cap} requests wait at a replica; the next one is refused.")
    if queue.deadline is not None:
        sentences.append(f"What has waited for {time_text(queue.deadline)} is given up.")
    if scenario.front_end.blocking:
        sentences.append("The model runs in the HTTP server's own process, which does nothing else meanwhile.")
    return sentences


def _fleet(scenario: Scenario) -> list[str]:
    """Return what serves; of versions that are not served alike, how many replicas each has."""
    alone = each_version(scenario)
    if any(each.fleet != alone[0].fleet for each in alone):
        names = version_names(scenario)
        told = [
            f"{name} with {counted(each.fleet.replicas, 'replica')}" for name, each in zip(names, alone, strict=True)
        ]
        return [f"Each version has a fleet of its own, {listed(told)}."]
    fleet, whose = scenario.fleet, " each version" if len(alone) > 1 else ""
    if fleet.autoscaler is None:
        sentences = [f"{capital(serving_in_words([scenario]))}{whose}."]
    else:
        sentences = [f"{capital(autoscaled_in_words([scenario], whose))}."]
    if fleet.replicas > 1 or fleet.autoscaler is not None:
        sentences.append(f"A request goes to {_BALANCES.get(fleet.routing.balance, fleet.routing.balance)}.")
    return [*sentences, *_starts_and_ends(scenario)]


def _fleets(scenarios: Sequence[Scenario]) -> list[str]:
    """Return all autoscalers that there are, and fixed fleets beside them; of those alone their keys say all."""
    by_fleet = list({repr(scenario.fleet): scenario for scenario in scenarios}.values())
    scaled = [scenario for scenario in by_fleet if scenario.fleet.autoscaler is not None]
    fixed = [scenario for scenario in by_fleet if scenario.fleet.autoscaler is None]
    if not scaled or any(version.fleet is not None for version in scaled[0].versions):
        return []
    said = autoscaled_in_words(scaled, " each version" if len(scaled[0].versions) > 1 else "")
    others = [sentence for sentence in _fleet(scaled[0])[1:] if sentence in _fleet(scaled[-1])]
    if not fixed:
        return [f"{capital(said)}.", *others]
    return [f"In some configurations {serving_in_words(fixed)} all the time.", f"In the others {said}.", *others]


def _starts_and_ends(scenario: Scenario) -> list[str]:
    """Return how replicas start, fail and are spared."""
    fleet, start = scenario.fleet, scenario.fleet.cold_start
    laws = [law for part in COLD_START_PARTS if (law := getattr(start, part)) != 0]
    taken = [time_text(sum(laws))] if laws and all(isinstance(law, int) for law in laws) else list(map(_law, laws))
    sentences = []
    if taken and (fleet.autoscaler is not None or fleet.crash_every is not None or scenario.rollout is not None):
        sentences.append(f"A new replica is ready after {' and '.join(taken)}.")
    if fleet.crash_every is not None:
        sentences.append(f"Each replica crashes every {time_text(fleet.crash_every)} in the mean.")
    if fleet.slow is not None:
        sentences.append(f"{_share(fleet.slow.share)} of the replicas are {fleet.slow.factor:g} times as slow.")
    if fleet.spare:
        sentences.append(f"{capital(counted(fleet.spare, 'replica'))} may be down, and the goals are to hold.")
    return sentences


def _versions(scenario: Scenario) -> list[str]:
    """Return which versions there are, and whether one is rolled out."""
    versions = scenario.versions
    if len(versions) < 2:
        return []
    shares = load_shares(scenario)
    told = [_version(version, share) for version, share in zip(versions, shares, strict=True)]
    names = listed(told) if len(told) <= _FEW else f"{len(told)} of them"
    sentences = [
        f"Versions of the model are loaded side by side, with these shares of the requests at the start: {names}."
    ]
    if scenario.rollout is not None and scenario.rollout.start is not None:
        canary = next((version.name for version in versions if version.role == "canary"), "the canary")
        steps = f" in {counted(len(scenario.rollout.steps), 'step')}" if scenario.rollout.steps else ""
        sentences.append(f"{time_text(scenario.rollout.start)} into the run a rollout of {canary} begins{steps}.")
    return sentences


def _version(version: Version, share: float) -> str:
    """Return a version with what it gets at the start; `share` is that of the load."""
    parts = [f"{version.role}" if version.role else ""]
    parts.append(f"a copy of {_share(share)} of the requests" if version.role == "shadow" else _share(share))
    parts.append(f"a pass takes {_cost(version.model)}" if version.model is not None else "")
    parts.append(f"fails on {_share(version.error_rate)}" if version.error_rate else "")
    return f"{version.name} ({', '.join(part for part in parts if part)})"


def _law(law: TimeLaw) -> str:
    """Return a time, or the mean of one that is drawn."""
    if isinstance(law, int):
        return time_text(law)
    if isinstance(law, Uniform):
        return f"{time_text(law.low)} to {time_text(law.high)}"
    if isinstance(law, Choices):
        return f"{time_text(law.values[0])} to {time_text(law.values[-1])}"
    return f"{time_text(law.mean)} in the mean"


def _rate(rate_per_s: float) -> str:
    return f"{rate_per_s:.4g}/s" if rate_per_s < _LONG else quantity("rate_per_s", rate_per_s)


def _share(share: float) -> str:
    return f"{100 * share:g} %"
