"""How much traffic a scenario's fleet can take while its goals hold: the highest rate, with its interval.

All of the scenario's traffic is scaled by one factor, its course over time kept. Where the figures of a goal have an
interval, the rate has one: from where the goal is met with confidence, to where it is missed with confidence. The lower
end is confirmed by runs that had no say in it. Where runs do not tell, longer ones are made under a steady load, and
else more of them; if that is not enough, what is known is the answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sim.engine.engines import chosen_engine
from sim.errors import RefusedToAnswer, ScenarioError
from sim.forecast.estimates import Figure, tree_of
from sim.forecast.intervals import MORE_THAN_NEEDED
from sim.forecast.manifest import Manifest, manifest_of
from sim.forecast.provenance import host, versions
from sim.forecast.settling import is_steady
from sim.forecast.spending import fleet_changes
from sim.planner.grid import Axis
from sim.planner.question import CONFIDENCE, Question, Source, asked, longer_runs
from sim.planner.search import FRESH_FROM
from sim.planner.traffic import (
    OVERLOAD_MOST,
    Reach,
    Standing,
    TooShort,
    TrafficBench,
    Unknown,
    crossing,
    descend,
    reach,
    surely_missed,
)
from sim.scenario.arrival_spec import RecordedTrace
from sim.scenario.capacity import capacity_per_s, mean_rate_per_s, times_over
from sim.scenario.identity import scenario_hash
from sim.scenario.rules import serving_rules
from sim.scenario.spare import spare_of, without_spare
from sim.scenario.spec import Scenario
from sim.scenario.traces import is_stretched
from sim.scenario.versions import each_version

__all__ = ["CAPACITY_VERSION", "Capacity", "capacity", "gaps_at"]

CAPACITY_VERSION: Final = "servecast-capacity/1"

_PRECISION: Final = 0.005
"""Of a rate: it is searched no more closely."""

_LONGER_LEAST: Final = 2.0
"""How many times as long runs are made at the least where they were too short."""

_LONGER_MOST: Final = 30.0
_REQUESTS_MOST: Final = 5_000_000
"""The longest runs that are made unasked: so many times as long as stated, and of so many requests."""

_MORE_RUNS_MOST: Final = 4
"""Where runs cannot be made longer, up to so many times as many are made at a rate at which they do not tell."""

_CONFIRM_STEP: Final = 0.99
_CONFIRM_MOST: Final = 10
"""Where fresh runs do not confirm a rate, lower ones are tried, in so many steps that grow from this one."""

_GAPS_AT: Final = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
"""Shares of the capacity of a fleet that scales at which it is looked whether the goals hold there too."""

_GAPS_STEP: Final = 1.12
_GAPS_MORE: Final = 4
"""Below those, it is looked down to the scenario's own traffic: in such steps, or in longer ones, so many at most."""

_QUESTIONS: Final = 25
"""About so many rates are asked for, by which progress is told."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Capacity:
    """The answer; rates are means over the run, of first sends per second."""

    name: str
    scenario: Scenario = field(repr=False)  # with its own traffic and its own length of runs
    limits: dict[str, float]
    confidence: float
    rate_per_s: float | None  # at which a goal's figure reaches its limit; None: no rate meets the goals, or `unknown`
    low_per_s: float | None  # up to here all goals are met with confidence, in fresh runs too; None as above
    high_per_s: float | None  # from here on one is missed with confidence; None as above, or none was found
    binding: tuple[str, ...]  # the figures beyond their limits just above, the farthest first
    unknown: Unknown | None  # a rate at which runs do not tell, where that hides an answer
    gaps_per_s: tuple[float, ...]  # rates below that were asked for and miss a goal: an autoscaler may come late there
    saturation_per_s: float  # above which the backlog grows, by arithmetic
    stated_per_s: float  # the scenario's own
    replicas: int  # that serve; of an autoscaled fleet the most
    is_autoscaled: bool
    figures: dict[str, Figure]  # of the goals, at low_per_s; where no rate meets them, at the lowest one asked for
    simulated: int  # requests
    provenance: dict[str, Any] = field(repr=False)
    manifest: Manifest | None = field(default=None, repr=False)  # what was asked
    is_beyond: bool = True  # `binding` is, just above; else no figure can be given there, and it is the nearest to it

    @property
    def are_alike(self) -> bool:
        """Whether each replica may be said to have an equal part of the rate: versions have fleets of their own."""
        return len(self.scenario.versions) <= 1

    def to_json(self) -> dict[str, object]:
        """Return the capacity as a tree of plain values, version CAPACITY_VERSION."""
        return {
            "version": CAPACITY_VERSION,
            "name": self.name,
            "goals": dict(self.limits),
            "confidence": self.confidence,
            "fleet": self.rates(1),
            "per_replica": self.rates(self.replicas) if self.are_alike else None,
            "replicas": self.replicas,
            "autoscaled": self.is_autoscaled,
            "binding": list(self.binding),
            "binding_is_beyond": self.is_beyond,
            "unknown": None if self.unknown is None else {"at_per_s": self.unknown.rate_per_s, "why": self.unknown.why},
            "gaps_per_s": list(self.gaps_per_s),
            "stated_per_s": self.stated_per_s,
            "figures": tree_of(self.figures),
            "simulated": self.simulated,
            "provenance": self.provenance,
            "manifest": None if self.manifest is None else self.manifest.to_json(),
        }

    def rates(self, replicas: int) -> dict[str, float | None]:
        """Return the rates, shared among so many replicas."""
        rates = {
            "rate_per_s": self.rate_per_s,
            "low_per_s": self.low_per_s,
            "high_per_s": self.high_per_s,
            "saturation_per_s": self.saturation_per_s,
        }
        return {name: None if rate is None else rate / replicas for name, rate in rates.items()}


def capacity(
    source: Source,
    axes: Sequence[Axis] = (),
    *,
    goals: str | None = None,
    confidence: float = CONFIDENCE,
    seed: int | None = None,
    runs: int | None = None,
    progress: Progress | None = None,
) -> Capacity:
    """Return the highest rate of a scenario's traffic that meets its goals.

    `axes` are changes of the scenario, each with one value; `goals` (p99=200ms,refused=0.1%) go before its own. Goals
    are met and missed with a one-sided `confidence` from 0.5 to 0.999, over `runs` runs (None: horizon.runs). Where
    they show too little, they are made longer under a steady load, else up to four times as many are made. `progress`
    is called with the number of rates asked for, and about how many there will be. Raises ScenarioError for bad input
    and a closed loop, and RefusedToAnswer where no rate misses a goal.
    """
    question = asked(source, axes, goals=goals, confidence=confidence, runs=runs, seed=seed)
    scenario = question.first
    if scenario.traffic.clients is not None:
        raise ScenarioError(
            "traffic.clients is a closed loop, whose rate follows from its answers, so that there is no highest one to "
            "ask for: servecast whatif --set traffic.clients.count=16,32,64 shows how many clients meet the goals."
        )
    times_over(scenario, mean_rate_per_s(scenario) or 1.0)  # traffic that sends nothing is refused here
    times, simulated = 1.0, 0
    is_last = not _may_be_longer(scenario, _LONGER_LEAST)
    while True:
        search = _Search(_longer(scenario, times), question, progress, is_last=is_last)
        try:
            return search.answer(scenario, already=simulated)
        except TooShort as error:
            longer = times * max(MORE_THAN_NEEDED * error.times, _LONGER_LEAST)
            is_last = not _may_be_longer(scenario, longer)
            times, simulated = times if is_last else longer, simulated + search.simulated


class _Search:
    """One search. Unless it is the last, TooShort is raised where runs do not tell."""

    def __init__(self, scenario: Scenario, question: Question, progress: Progress | None, *, is_last: bool) -> None:
        self._scenario, self._question, self._progress, self._is_last = scenario, question, progress, is_last
        self._most = _MORE_RUNS_MOST * question.runs if is_last else question.runs
        self._bench = self._bench_from(0, self._most)
        self._fresh = 0  # requests of confirmations
        self._asked = 0

    @property
    def simulated(self) -> int:
        """Requests so far."""
        return self._bench.simulated + self._fresh

    def answer(self, stated: Scenario, *, already: int) -> Capacity:
        """Return the capacity. Raises RefusedToAnswer."""
        question, tested = self._question, without_spare(self._scenario)
        saturation = capacity_per_s(tested)
        bracket = descend(lambda rate: self._bench.at(rate).is_met, saturation)
        shares: list[float] = []
        if bracket is None:
            found, standing = self._none_met(saturation)
        else:
            low = crossing(lambda rate: self._bench.at(rate).is_met, *bracket, _PRECISION)
            _, above = self._bench.next_above(low)
            if above.unknown is not None and not self._is_last:
                raise TooShort(above.unknown)  # what is met with confidence ends there for lack of runs alone
            found = reach(self._bench, low, _PRECISION)
            low, standing = self._confirmed(low)
            found = replace(found, low=low)
            if fleet_changes(tested):
                shares = gaps_at(mean_rate_per_s(stated) / low)
        return Capacity(
            name=self._scenario.name,
            scenario=stated,
            limits=question.limits,
            confidence=question.confidence,
            rate_per_s=found.value,
            low_per_s=None if bracket is None else found.low,
            high_per_s=found.high,
            binding=found.binding,
            is_beyond=found.is_beyond,
            unknown=found.unknown,
            gaps_per_s=self._gaps([share * found.low for share in shares]),
            saturation_per_s=saturation,
            stated_per_s=mean_rate_per_s(stated),
            replicas=_replicas(tested),
            is_autoscaled=any(alone.fleet.autoscaler is not None for alone in each_version(tested)),
            figures=dict(standing.figures),
            simulated=already + self.simulated,
            provenance={
                "scenario": stated.name,
                "scenario_hash": scenario_hash(stated),
                "seed": question.seed,
                "runs": question.runs,
                "gaps_at": shares,
                "runs_most": self._bench.runs_most,
                "duration_s": self._scenario.horizon.duration / 1e9,
                "stated_duration_s": stated.horizon.duration / 1e9,
                "spare": spare_of(self._scenario),
                "trace": isinstance(stated.traffic.arrivals, RecordedTrace),
                "stretched": is_stretched(stated),
                "initial_state": "empty",
                "engine": chosen_engine().value,
                "versions": versions(),
                "host": host(),
            },
            manifest=manifest_of(
                stated,
                command="capacity",
                seed=question.seed,
                runs=question.runs,
                options={"confidence": question.confidence},
            ),
        )

    def _tell(self) -> None:
        """Tell that a rate is asked for."""
        self._asked += 1
        if self._progress is not None:
            self._progress(min(self._asked, _QUESTIONS - 1), _QUESTIONS)

    def _none_met(self, saturation: float) -> tuple[Reach, Standing]:
        """Return what is known where no rate is seen to meet the goals. Raises TooShort."""
        unknown = min(self._bench.unknown(), key=lambda each: each.times, default=None)
        if unknown is None:
            lowest = self._bench.at(min(self._bench.missed()))
            return Reach(0.0, None, None, lowest.binding, None), lowest
        if not self._is_last:
            raise TooShort(unknown)
        highest = max(each.rate_per_s for each in self._bench.unknown())
        high = surely_missed(self._bench, highest, _PRECISION, OVERLOAD_MOST * saturation)
        return Reach(0.0, None, high, (), unknown), self._bench.at(unknown.rate_per_s)

    def _gaps(self, rates_per_s: Sequence[float]) -> tuple[float, ...]:
        """Return the rates at which a figure is beyond its limit."""
        gaps = []
        for rate in rates_per_s:
            try:
                if self._bench.at(rate).value > 1.0:
                    gaps.append(rate)
            except TooShort:
                continue
        return tuple(gaps)

    def _confirmed(self, rate_per_s: float) -> tuple[float, Standing]:
        """Return the highest rate, from one downwards, at which fresh runs meet the goals too; how they stand there."""
        step = _CONFIRM_STEP
        most = 2 * self._most if self._is_last else self._most
        for attempt in range(_CONFIRM_MOST):
            bench = self._bench_from(FRESH_FROM + attempt * most, most)
            standing = bench.at(rate_per_s)
            self._fresh += bench.simulated
            if standing.is_met:
                return rate_per_s, standing
            rate_per_s, step = step * rate_per_s, step**1.5
        raise RefusedToAnswer(
            f"Fresh runs do not confirm that the goals are met at {rate_per_s:.4g}/s: runs differ too much, so ask for "
            f"more (--runs) or {longer_runs(self._scenario)}."
        )

    def _bench_from(self, first: int, most: int) -> TrafficBench:
        question = self._question
        return TrafficBench(
            self._scenario,
            question.limits,
            question.confidence,
            seed=question.seed,
            runs=question.runs,
            most=most,
            first=first,
            is_strict=not self._is_last,
            tell=self._tell,
        )


def gaps_at(own: float) -> list[float]:
    """Return the shares of a capacity at which it is asked for gaps, ascending; `own` is that of its own traffic."""
    if own >= 1.0:
        return list(_GAPS_AT)
    count = 0
    if own < _GAPS_AT[0]:
        count = min(math.ceil(math.log(_GAPS_AT[0] / own, _GAPS_STEP)), _GAPS_MORE)
    below = [own * (_GAPS_AT[0] / own) ** (place / count) for place in range(1, count)]
    return sorted({own, *below, *_GAPS_AT})


def _longer(scenario: Scenario, times: float) -> Scenario:
    """Return the scenario with its runs so many times as long."""
    horizon = scenario.horizon.model_copy(update={"duration": round(scenario.horizon.duration * times)})
    return scenario.model_copy(update={"horizon": horizon})


def _may_be_longer(scenario: Scenario, times: float) -> bool:
    """Return whether runs so many times as long answer the same question, and are no unreasonable price for it."""
    if times > _LONGER_MOST or not is_steady(scenario):
        return False
    return capacity_per_s(scenario) * scenario.horizon.duration / 1e9 * times <= _REQUESTS_MOST


def _replicas(tested: Scenario) -> int:
    """Return how many replicas serve at the most."""
    return sum(
        alone.fleet.replicas if alone.fleet.autoscaler is None else serving_rules(alone).autoscaler.replicas_max
        for alone in each_version(tested)
    )
