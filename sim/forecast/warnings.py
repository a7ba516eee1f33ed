"""Where experience says that people go wrong: a sentence for each mistake, with the figure that shows it.

Some follow from a scenario and its figures alone. Others need the runs of a second configuration, which differs by what
may be the mistake: `second_looks` says which, and sim/planner/whatif.py makes the runs where they are asked for. A
setting that does no harm here is passed over in silence.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from policy.autoscaling_rule import Signal
from policy.errors import SettingError
from sim.arrivals.trace import trace_rate_per_s
from sim.arrivals.trace_file import TimeFile
from sim.errors import ScenarioError
from sim.forecast.estimates import Figure
from sim.forecast.goals import limits_of_figures
from sim.forecast.paired import Difference
from sim.scenario.arrival_spec import Arrivals, DayCurve, GammaGaps, Mmpp, Poisson, RecordedTrace, Spike, Steps
from sim.scenario.capacity import capacity_per_s, mean_rate_per_s
from sim.scenario.costs import costs_of, profile_of
from sim.scenario.distributions import mean_of
from sim.scenario.fleet_spec import COLD_START_PARTS
from sim.scenario.rules import check_rules, serving_rules
from sim.scenario.spec import Scenario
from sim.scenario.traces import hole_in_trace, is_stretched, load_trace, meets_one_trace, trace_lasts_ns
from sim.scenario.units import listed, time_in_words
from sim.scenario.versions import each_version, load_shares, version_names

__all__ = [
    "LOSSES",
    "RECORDED_ARRIVALS",
    "SCALED_TRACE",
    "STRETCHED_TRACE",
    "SecondLook",
    "on_recorded_arrivals",
    "part_of_a_trace",
    "figure_warnings",
    "plain_warnings",
    "second_looks",
]

Figures = Mapping[str, Figure]
Differences = Mapping[str, Difference]

_BLOCKED_LEAST: Final = 0.1
"""Share of the time in which a front end reads no request, from which it is worth a word."""

_BUSY_AHEAD_LEAST: Final = 0.2
"""How far device busy may be ahead of the load and still be a signal for scaling."""

_GAIN_LEAST: Final = 0.1
"""Share of what a wait costs at the median, from which less at p99 is worth it."""

_GROWS_LEAST: Final = 0.5
"""Replicas at the peak above those of the beginning, from which on it matters how long a start takes."""

_THROUGHPUT_SAME: Final = 0.01
_LATENCY_MATTERS: Final = 1.2
_BURSTS_DOUBLE: Final = 2.0
_BATCHES_QUEUED: Final = 2
_S: Final = 10**9

LOSSES: Final = ("refused_share", "timed_out_share", "abandoned_share", "failed_share")
"""Figures of what is lost."""

_LOST_MUCH: Final = 0.01
"""A share that is lost and that no goal limits is named from here on."""

RECORDED_ARRIVALS: Final = "The arrivals are those recorded, in every run: the intervals hold for this trace."
"""What to say where every run meets the same trace."""

STRETCHED_TRACE: Final = (
    "traffic.arrivals.rate stretches a trace in time, or compresses it: its bursts last longer, or shorter. "
    "traffic.arrivals.scale multiplies its requests and keeps its course over time."
)
"""What to say where a stated rate is not that of the trace."""

SCALED_TRACE: Final = (
    "More traffic is the trace with copies of its requests, within a second of them or in their bins, and less is some "
    "of them: its course over time stays."
)
"""What to say where a trace is asked about at several scales."""

_SLOW_TRACE: Final = 1.0
_MANY: Final = 100
"""A trace of so many requests with less than so many a second, all in whole seconds, may be one in milliseconds."""

_WHOLE_TRACE: Final = 0.95
"""Share of a trace from which it is as good as all of it."""


@dataclass(frozen=True)
class SecondLook:
    """Another configuration whose runs show whether a setting is a mistake.

    `judge` is given the figures of the scenario and of `other`, and by how much those of the scenario lie above.
    """

    other: Scenario
    judge: Callable[[Figures, Figures, Differences], str | None]


def plain_warnings(scenario: Scenario, figures: Figures) -> list[str]:
    """Return what a scenario and its figures show."""
    said = [part_of_a_trace(scenario), _in_milliseconds(scenario), _silent_trace(scenario)]
    return [*(sentence for sentence in said if sentence is not None), *figure_warnings(scenario, figures).values()]


def figure_warnings(scenario: Scenario, figures: Figures) -> dict[str, str]:
    """Return what a scenario shows only together with its figures, by what it is about."""
    said = {about: check(scenario, figures) for about, check in _CHECKS.items()}
    return {about: sentence for about, sentence in said.items() if sentence is not None}


def second_looks(scenario: Scenario) -> list[SecondLook]:
    """Return the configurations that are worth running beside a scenario."""
    looks = []
    for look in (_without_timer(scenario), _with_short_queue(scenario), _without_bursts(scenario)):
        if look is not None and _is_allowed(look.other):
            looks.append(look)
    return looks


def part_of_a_trace(scenario: Scenario) -> str | None:
    """Return what to say of a recorded trace of which the runs meet the beginning alone."""
    lasts_ns = trace_lasts_ns(scenario)
    run_ns = scenario.horizon.stated_ns
    if lasts_ns is None or run_ns >= _WHOLE_TRACE * lasts_ns:
        return None
    return (
        f"horizon.duration: runs meet the first {time_in_words(run_ns)} of a trace of {time_in_words(lasts_ns)}, and "
        "nothing of what comes behind. Without that key they meet all of it."
    )


def on_recorded_arrivals(scenario: Scenario, varied: Collection[str] = ()) -> list[str]:
    """Return what there is to know of recorded arrivals, in sentences: of which the intervals speak, what a rate does.

    `varied` are keys that have other values beside those of the scenario. Nothing is said of other arrivals. Raises as
    load_trace does.
    """
    spec = scenario.traffic.arrivals
    if not isinstance(spec, RecordedTrace):
        return []
    said = []
    if "traffic.arrivals.scale" in varied:
        said.append(f"{SCALED_TRACE} The intervals hold for this trace.")
    elif meets_one_trace(scenario):
        said.append(RECORDED_ARRIVALS)
    elif spec.scale != 1:
        said.append(
            f"The arrivals follow the recorded course over time in every run, with {spec.scale:g} times the requests: "
            "the intervals hold for this trace."
        )
    if "traffic.arrivals.rate" in varied or is_stretched(scenario):
        said.append(STRETCHED_TRACE)
    return said


def _in_milliseconds(scenario: Scenario) -> str | None:
    """Timestamps without fractions so far apart that their unit is probably another one."""
    spec = scenario.traffic.arrivals
    if not isinstance(spec, RecordedTrace) or spec.unit != "s":
        return None
    trace = load_trace(scenario, spec)
    if not isinstance(trace, TimeFile) or len(trace.times_ns) < _MANY:
        return None
    own_per_s = trace_rate_per_s(trace)
    if own_per_s is None or own_per_s >= _SLOW_TRACE or (trace.times_ns % _S).any():
        return None
    lasts = time_in_words(int(trace.times_ns[-1]))
    return (
        f"traffic.arrivals.file: {len(trace.times_ns)} requests in {lasts}, all at whole seconds. Are they "
        "milliseconds? They are read as seconds; traffic.arrivals.unit: ms reads them so."
    )


def _silent_trace(scenario: Scenario) -> str | None:
    """One gap that is most of a trace: a stray row, or a log that lacks its middle."""
    hole = hole_in_trace(scenario)
    return None if hole is None else f"traffic.arrivals.file: {hole}, or a part of the log missing."


def _blocking(scenario: Scenario, figures: Figures) -> str | None:
    """A handler that runs the model in the event loop."""
    busy = _value(figures, "gpu_busy_share")
    if not scenario.front_end.blocking or busy is None or busy < _BLOCKED_LEAST:
        return None
    costs = costs_of(scenario)
    own = mean_rate_per_s(scenario) * (mean_of(costs.request) + mean_of(costs.response)) / 1e9
    return (
        f"front_end.blocking: passes hold the front end for {100 * busy:.0f} % of the time, in which no request is "
        f"read and no answer written; its own work takes {100 * own:.0f} %. Run the model in a process of its own."
    )


def _busy_signal(scenario: Scenario, figures: Figures) -> str | None:
    """Device busy as a signal for scaling, where small batches keep devices as busy as full ones."""
    busy, replicas = _value(figures, "gpu_busy_share"), _value(figures, "replicas.mean")
    if scenario.versions or scenario.fleet.autoscaler is None or not busy or not replicas:
        return None
    if serving_rules(scenario).autoscaler.signal != Signal.BUSY:
        return None
    alone = scenario.fleet.model_copy(update={"autoscaler": None, "replicas": 1})
    one_per_s = capacity_per_s(scenario.model_copy(update={"fleet": alone}))
    load = mean_rate_per_s(scenario) / (one_per_s * replicas)
    if scenario.traffic.clients is not None or busy - load < _BUSY_AHEAD_LEAST:
        return None
    full = scenario.batching.max_batch * scenario.fleet.instances
    return (
        f"fleet.autoscaler scales on device busy, which is {100 * busy:.0f} % where the load is {100 * load:.0f} % of "
        f"what {replicas:.3g} replicas can take: small batches keep a device as busy as full ones. Scale on requests "
        f"in flight, as in formula: ratio, signal: in_flight, target: {full} (a full batch for each device), or on the "
        "rate."
    )


def _instant_start(scenario: Scenario, figures: Figures) -> str | None:
    """A fleet that grows by replicas which are ready as soon as they are wanted."""
    peak = _value(figures, "replicas.peak")
    if scenario.versions or scenario.fleet.autoscaler is None or peak is None:
        return None
    start = scenario.fleet.cold_start
    if peak - scenario.fleet.replicas < _GROWS_LEAST or any(getattr(start, part) != 0 for part in COLD_START_PARTS):
        return None
    return (
        f"The fleet grows from {scenario.fleet.replicas} to {peak:.3g} replicas, and fleet.cold_start states no time: "
        "each is ready at once, as no real one is. State how long a start takes, as in fleet.cold_start.load=40s."
    )


def _small_version(scenario: Scenario, figures: Figures) -> str | None:
    """A canary, or another version, whose fleet cannot take its share."""
    if len(scenario.versions) < 2 or scenario.traffic.clients is not None:
        return None
    rate, names = mean_rate_per_s(scenario), version_names(scenario)
    shares = list(load_shares(scenario))
    for place, version in enumerate(scenario.versions):
        if version.role == "canary" and scenario.rollout is not None:
            shares[place] = 1.0  # behind its last step it is promoted
    for place, alone in enumerate(each_version(scenario)):
        takes = capacity_per_s(alone)
        if place > 0 and shares[place] * rate > takes:
            return (
                f"versions.{place} ({names[place]}) gets up to {100 * shares[place]:.3g} % of the requests, "
                f"{shares[place] * rate:.4g}/s, and its replicas can take {takes:.4g}/s: what is seen of it then is "
                "its queue. Give it replicas for its share."
            )
    return None


def _lost(scenario: Scenario, figures: Figures) -> str | None:
    """Requests that are lost where goals speak of others: those on latency hold for answered ones alone."""
    limits = limits_of_figures(scenario.goals)
    lost = {name: _value(figures, name) or 0.0 for name in LOSSES if name not in limits}
    much = {name: share for name, share in lost.items() if share >= _LOST_MUCH}
    if not limits or not much:
        return None
    said = listed(f"{100 * share:.3g} % ({name})" for name, share in much.items())
    return f"Of the requests {said} are lost, and no goal limits that: goals on latency are about answered ones alone."


def _not_calibrated(scenario: Scenario, figures: Figures) -> str | None:
    """A load at which the calibration measured nothing."""
    profile, replicas = profile_of(scenario), _value(figures, "replicas.mean")
    if profile is None or scenario.traffic.clients is not None or not replicas:
        return None
    low, high = profile.rate_range
    each_per_s = mean_rate_per_s(scenario) / replicas
    if low <= each_per_s <= high:
        return None
    return (
        f"Each replica takes {each_per_s:.3g}/s, and the calibration {profile.name} was fitted at {low:.3g}/s to "
        f"{high:.3g}/s: nothing was measured there. Calibrate at this load."
    )


_CHECKS: Final[Mapping[str, Callable[[Scenario, Figures], str | None]]] = {
    "blocking": _blocking,
    "busy_signal": _busy_signal,
    "instant_start": _instant_start,
    "small_version": _small_version,
    "lost": _lost,
    "not_calibrated": _not_calibrated,
}


def _without_timer(scenario: Scenario) -> SecondLook | None:
    """A wait for company that costs time and brings nothing."""
    wait_ns = scenario.batching.max_wait
    if wait_ns == 0:
        return None
    other = scenario.model_copy(update={"batching": scenario.batching.model_copy(update={"max_wait": 0})})

    def judge(here: Figures, there: Figures, above: Differences) -> str | None:
        median, tail, refused = (above.get(name) for name in ("latency_ms.p50", "latency_ms.p99", "refused_share"))
        if median is None or tail is None or refused is None or median.low <= 0:
            return None
        if refused.high < 0 or (tail.high < 0 and -tail.value > _GAIN_LEAST * median.value):
            return None  # larger batches pay
        return (
            f"batching.max_wait of {time_in_words(wait_ns)} only costs at this load: with it p50 is {median.value:.2g} "
            f"ms higher (95 % {median.low:.2g} .. {median.high:.2g}), p99 moves by {tail.value:.2g} ms (95 % "
            f"{tail.low:.2g} .. {tail.high:.2g}), and no fewer requests are refused."
        )

    return SecondLook(other, judge)


def _with_short_queue(scenario: Scenario) -> SecondLook | None:
    """A queue so long that it only makes those wait who are not refused."""
    cap = scenario.queue.cap
    short = _BATCHES_QUEUED * scenario.batching.max_batch * scenario.fleet.instances
    if cap is None or cap <= short:
        return None
    other = scenario.model_copy(update={"queue": scenario.queue.model_copy(update={"cap": short})})

    def judge(here: Figures, there: Figures, above: Differences) -> str | None:
        refused, answered = _value(here, "refused_share"), _value(here, "throughput_per_s")
        tail, short_tail = above.get("latency_ms.p99"), _value(there, "latency_ms.p99")
        more = above.get("throughput_per_s")
        if not refused or not answered or not short_tail or tail is None or more is None or tail.low <= 0:
            return None
        if more.high > _THROUGHPUT_SAME * answered or short_tail + tail.value < _LATENCY_MATTERS * short_tail:
            return None
        return (
            f"queue.cap of {cap} buys waiting and no throughput: with {short}, p99 is {tail.value:.3g} ms lower (95 % "
            f"{tail.low:.3g} .. {tail.high:.3g}), and {answered - more.value:.4g}/s are answered in place of "
            f"{answered:.4g}/s."
        )

    return SecondLook(other, judge)


def _without_bursts(scenario: Scenario) -> SecondLook | None:
    """Bursts that a mean rate does not show."""
    arrivals = scenario.traffic.arrivals
    if isinstance(arrivals, Mmpp):
        even: Arrivals = Poisson.model_construct(process="poisson", rate=mean_rate_per_s(scenario))
    elif isinstance(arrivals, (GammaGaps, Steps, DayCurve, Spike)) and arrivals.cv > 1:
        even = arrivals.model_copy(update={"cv": 1.0})
    else:
        return None
    other = scenario.model_copy(update={"traffic": scenario.traffic.model_copy(update={"arrivals": even})})

    def judge(here: Figures, there: Figures, above: Differences) -> str | None:
        tail, plain = _value(here, "latency_ms.p99"), _value(there, "latency_ms.p99")
        difference = above.get("latency_ms.p99")
        if tail is None or not plain or difference is None or difference.low <= 0 or tail < _BURSTS_DOUBLE * plain:
            return None
        return (
            f"Bursts make p99 {tail / plain:.2g} times as high at the same rate: {tail:.3g} ms, and {plain:.3g} ms "
            f"with Poisson arrivals (95 % {difference.low:.3g} .. {difference.high:.3g} ms higher). Plan for the "
            "bursts, not for the rate."
        )

    return SecondLook(other, judge)


def _is_allowed(scenario: Scenario) -> bool:
    """Return whether the rules of a scenario that was changed here can be together."""
    try:
        for alone in each_version(scenario):
            check_rules(alone)
    except (SettingError, ScenarioError):
        return False
    return True


def _value(figures: Figures, name: str) -> float | None:
    """Return a figure's value, None where there is none."""
    figure = figures.get(name)
    return None if figure is None else figure.value
