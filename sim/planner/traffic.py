"""How much traffic a fleet can take before a goal breaks: the root of a noisy function that rises on the whole.

Every rate meets the same arrivals, scaled, and the same dice, so what is compared differs by the rate alone. It is
searched from saturation downwards: with a wait timer a goal may be missed at little load, too, where batches do not
fill, and the highest rate that meets the goals is what is asked for. Where the runs at a rate do not tell, more are
made there; where those do not tell either, nothing is said of that rate, and the search goes on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from sim.errors import RefusedToAnswer, ScenarioError
from sim.forecast.estimates import Figure
from sim.forecast.goal_metrics import stand_in_of
from sim.forecast.intervals import MORE_THAN_NEEDED
from sim.planner.bench import ScenarioBench
from sim.planner.question import longer_runs
from sim.planner.search import Run
from sim.planner.verdicts import (
    Share,
    shares_of_limits,
    times_needed,
    why_unknown,
    worst_of,
)
from sim.scenario.capacity import times_over
from sim.scenario.spec import Scenario

__all__ = [
    "OVERLOAD_MOST",
    "Reach",
    "Standing",
    "TooShort",
    "TrafficBench",
    "Unknown",
    "ascend",
    "crossing",
    "descend",
    "first_miss",
    "reach",
    "surely_missed",
    "up_to_first_gap",
]

_STEPS: Final = (1.0, 0.97, 0.93, 0.88, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01)
"""Shares of saturation at which the goals are asked for, from above."""


_BETWEEN: Final = 8
"""So many rates are asked for between two that meet the goals, where there may be gaps."""

OVERLOAD_MOST: Final = 4.0
"""So many times the rate from which it is searched upwards: what no goal forbids there has no limit."""


@dataclass(frozen=True)
class Unknown:
    """Why runs do not tell how the goals stand at a rate; so many `times` as many runs, or as long ones, would."""

    rate_per_s: float
    why: str
    times: float


@dataclass(frozen=True)
class Standing:
    """How the goals stand at one rate: the worst figure as a share of its limit, and the ends of its interval.

    An end is NaN where it is not known, and what is known of other goals does not settle the matter.
    """

    low: float
    value: float
    high: float
    figure: str | None  # the one that is the nearest to its limit, or the farthest beyond it
    figures: Mapping[str, Figure]
    unknown: Unknown | None = None  # else these runs tell
    runs: int = 0
    broken: tuple[str, ...] = ()  # those whose values are beyond their limits, the farthest first

    @property
    def binding(self) -> tuple[str, ...]:
        """What is beyond its limit, else what is the nearest to it; nothing where no figure is known."""
        return self.broken or (() if self.figure is None else (self.figure,))

    @property
    def is_met(self) -> bool:
        """Whether all goals are met with confidence."""
        return self.high <= 1.0

    @property
    def is_within(self) -> bool:
        """Whether all values are within their limits."""
        return self.value <= 1.0

    @property
    def is_missed(self) -> bool:
        """Whether a goal is missed with confidence."""
        return self.low > 1.0


class TooShort(RefusedToAnswer):
    """Runs do not tell how the goals stand at a rate that was asked for."""

    def __init__(self, unknown: Unknown) -> None:
        super().__init__(f"{unknown.why[0].upper()}{unknown.why[1:]}.")
        self.times = unknown.times


class TrafficBench:
    """Asks how the goals of a scenario stand at other rates of its traffic, each rate once."""

    def __init__(
        self,
        scenario: Scenario,
        limits: Mapping[str, float],
        confidence: float,
        *,
        seed: int,
        runs: int,
        most: int | None = None,
        first: int = 0,
        together: int | None = None,
        is_strict: bool = False,
        tell: Callable[[], None] | None = None,
    ) -> None:
        """Where `runs` do not tell, up to `most` are made, None: no more; if strict, TooShort is raised then.

        A share stands in for a quantile where `together` runs, None: those that are made, would show enough of it.
        `tell` is called before a rate is asked for.
        """
        self.simulated = 0
        self._scenario, self._limits, self._confidence = scenario, limits, confidence
        self._seed, self._first, self._runs, self._most = seed, first, runs, runs if most is None else most
        self._together, self._is_strict, self._tell = together or 0, is_strict, tell
        self._known: dict[float, Standing] = {}

    @property
    def runs_most(self) -> int:
        """The most runs that were made at one rate."""
        return max((standing.runs for standing in self._known.values()), default=0)

    def at(self, rate_per_s: float) -> Standing:
        """Return how the goals stand; infinitely bad where no honest figure can be given of too high a load.

        Raises TooShort if a value is not known, and this is strict.
        """
        if rate_per_s not in self._known:
            if self._tell is not None:
                self._tell()
            self._known[rate_per_s] = self._ask(rate_per_s)
        standing = self._known[rate_per_s]
        if self._is_strict and standing.unknown is not None and math.isnan(standing.value):
            raise TooShort(standing.unknown)
        return standing

    def missed(self) -> list[float]:
        """Return the rates that were asked for and at which a value is beyond its limit."""
        return [rate for rate, standing in self._known.items() if standing.value > 1.0]

    def unknown(self) -> list[Unknown]:
        """Return what was asked for and is not known."""
        return [standing.unknown for standing in self._known.values() if standing.unknown is not None]

    def asked_above(self, rate_per_s: float) -> list[float]:
        """Return the rates above one that were asked for, ascending."""
        return sorted(rate for rate in self._known if rate > rate_per_s)

    def next_above(self, rate_per_s: float) -> tuple[float, Standing]:
        """Return the lowest rate above one that was asked for, and how the goals stand there. There must be one."""
        above = self.asked_above(rate_per_s)[0]
        return above, self._known[above]

    def _ask(self, rate_per_s: float) -> Standing:
        """Make runs until they tell, or there are as many as there may be."""
        runs: list[Run] = []
        count = self._runs
        try:
            scenario = times_over(self._scenario, rate_per_s)
            while True:
                bench = ScenarioBench([scenario], self._limits, seed=self._seed, runs=max(self._together, count))
                new = bench.runs(0, range(self._first + len(runs), self._first + count))
                self.simulated += sum(run.simulated for run in new)
                runs += new
                standing = self._standing(rate_per_s, bench.figures(0, runs), runs)
                if standing.unknown is None or count >= self._most:
                    return standing
                count = min(
                    max(math.ceil(min(MORE_THAN_NEEDED * standing.unknown.times * count, self._most)), count + 1),
                    self._most,
                )
        except (RefusedToAnswer, ScenarioError):  # overloaded
            return _overloaded(None, {}, len(runs))

    def _standing(self, rate_per_s: float, figures: Mapping[str, Figure], runs: list[Run]) -> Standing:
        """Return what the figures of all runs say."""
        for name, limit in self._limits.items():
            if figures[name].value is None and stand_in_of(name) not in figures:
                seen = [run.figures[name] for run in runs]
                if math.fsum(seen) / len(seen) > limit or any(map(math.isnan, seen)):
                    return _overloaded(name, figures, len(runs))
        shares = shares_of_limits(figures, self._limits, self._confidence)
        low = _worst(share.low for share in shares.values())
        value = _worst(share.value for share in shares.values())
        high = _worst(share.high for share in shares.values())
        worst = worst_of(shares)
        beyond = [name for name in shares if shares[name].value > 1.0]
        broken = tuple(sorted(beyond, key=lambda name: -shares[name].value))
        unknown = None if value > 1.0 else self._unknown_at(rate_per_s, figures, len(runs), shares)
        return Standing(low, value, high, worst, figures, unknown, len(runs), broken)

    def _unknown_at(
        self, rate_per_s: float, figures: Mapping[str, Figure], made: int, shares: Mapping[str, Share]
    ) -> Unknown | None:
        """Return what runs do not tell: first of goals whose figure has no value, of several the farthest from it."""
        limits, confidence = self._limits, self._confidence
        untold = [
            (math.isnan(shares[name].value), times, name)
            for name, limit in limits.items()
            if (times := times_needed(figures, name, limit, confidence, made)) is not None
        ]
        if not untold:
            return None
        _, times, name = max(untold)
        longer = longer_runs(self._scenario)
        why = why_unknown(figures, name, limits[name], confidence, made=made, longer=longer)
        return Unknown(rate_per_s, f"at {rate_per_s:.4g}/s {why}", times)


def _overloaded(name: str | None, figures: Mapping[str, Figure], runs: int) -> Standing:
    return Standing(math.inf, math.inf, math.inf, name, figures, runs=runs, broken=() if name is None else (name,))


def _worst(shares: Iterable[float]) -> float:
    """Return the largest share of a limit; NaN where all that are known are within, and one is not known."""
    listed = list(shares)
    worst = max((share for share in listed if not math.isnan(share)), default=math.nan)
    return worst if worst > 1.0 or not any(map(math.isnan, listed)) else math.nan


def descend(is_met: Callable[[float], bool], saturation_per_s: float) -> tuple[float, float] | None:
    """Return a rate that meets the goals and one above it that does not, next to each other; None if no rate does.

    Raises RefusedToAnswer where even four times the saturation breaks no goal.
    """
    missed = saturation_per_s
    if is_met(saturation_per_s):
        met = saturation_per_s
        while missed < OVERLOAD_MOST * saturation_per_s:
            missed *= 1.25
            if not is_met(missed):
                return met, missed
            met = missed
        raise RefusedToAnswer(
            f"At {missed:.4g}/s, four times what the fleet can take, no goal is missed: a goal that limits what is "
            "lost (refused, timed_out or abandoned) is needed to say how much is too much."
        )
    for share in _STEPS[1:]:
        if is_met(share * saturation_per_s):
            return share * saturation_per_s, missed
        missed = share * saturation_per_s
    return None


def ascend(
    is_met: Callable[[float], bool],
    met: float,
    precision: float,
    *,
    step: float | None = None,
    most: float | None = None,
) -> float:
    """Return the highest rate that meets the goals, from one that does upwards, to a share of it.

    The first step is `step`, None: as fine as the answer. `most` bounds it, None: four times the rate to begin with.
    """
    missed, step = met, 1.0 + precision if step is None else step
    most = OVERLOAD_MOST * met if most is None else most
    while missed < most:
        missed, step = min(missed * step, most), step**1.5
        if not is_met(missed):
            return crossing(is_met, met, missed, precision)
        met = missed
    return met


@dataclass(frozen=True)
class Reach:
    """How far goals hold, by rate. An end is None where runs do not tell, or nothing breaks as far as was asked."""

    low: float  # up to here all goals are met with confidence
    value: float | None  # here a figure reaches its limit
    high: float | None  # from here on one is missed with confidence
    binding: tuple[str, ...]  # the figures beyond their limits just above `value`, the farthest first
    unknown: Unknown | None  # the nearest rate above `low` of which runs do not tell, where that hides `value`
    is_beyond: bool = True  # by its value; else no figure can be given above, and `binding` is the nearest at `value`
    beyond: float | None = None  # the lowest rate above `value` that was asked for, and at which that is so


def reach(
    bench: TrafficBench, low: float, precision: float, *, most: float | None = None, beyond: float = math.inf
) -> Reach:
    """Return how far goals hold above a rate up to which they are met with confidence, to a share of each end.

    Rates up to `most` are asked for, and up to `beyond` times where a figure reaches its limit.
    """
    most = OVERLOAD_MOST * low if most is None else most
    value = _within(bench, ascend(lambda rate: bench.at(rate).is_within, low, precision, most=most))
    unknown = _unknown_above(bench, value) if value < most else None
    is_known = value < most and unknown is None
    binding, is_beyond, broken_at = _broken_above(bench, value) if is_known else ((), True, None)
    return Reach(
        low=low,
        value=value if is_known else None,
        high=surely_missed(bench, value, precision, min(most, beyond * value)),
        binding=binding,
        unknown=unknown,
        is_beyond=is_beyond,
        beyond=broken_at,
    )


def surely_missed(bench: TrafficBench, begin: float, precision: float, most: float) -> float | None:
    """Return the rate from which a goal is missed with confidence, above one where it is not; None up to `most`."""

    def is_open(rate_per_s: float) -> bool:
        return not bench.at(rate_per_s).is_missed

    for rate in bench.asked_above(begin):  # what was asked before saves questions
        if not is_open(rate):
            return bench.next_above(crossing(is_open, begin, rate, precision))[0]
        begin = rate
    before = ascend(is_open, begin, precision, most=most)
    return bench.next_above(before)[0] if before < most else None


def _within(bench: TrafficBench, value: float) -> float:
    """Return the highest rate, of those next above one, at which all values are within their limits.

    What was asked before is not asked again: such a rate may lie above the one that the search ended at.
    """
    for rate in bench.asked_above(value):
        if not bench.at(rate).is_within:
            break
        value = rate
    return value


def _unknown_above(bench: TrafficBench, value: float) -> Unknown | None:
    """Return what hides where a figure reaches its limit, above the highest rate at which it is within."""
    _, standing = bench.next_above(value)
    return standing.unknown


def _broken_above(bench: TrafficBench, value: float) -> tuple[tuple[str, ...], bool, float]:
    """Return the figures that are beyond their limits just above the highest rate at which all are within, and where.

    At that rate another one may be the nearest to its limit: what a queue refuses rises from nothing within one step.
    Where no figure can be given above, the nearest has to do, and False is returned beside it.
    """
    above = next(rate for rate in bench.asked_above(value) if bench.at(rate).value > 1.0)
    broken = bench.at(above).broken
    return broken or bench.at(value).binding, bool(broken), above


def up_to_first_gap(bench: TrafficBench, begin: float, found: Reach, precision: float) -> tuple[Reach, float]:
    """Return how far goals hold without a gap, from a rate that meets them, and how far apart the rates are asked for.

    Where a fleet scales, a rate may be worse than a higher one, at which the autoscaler takes a step in time.
    """
    end = found.low if found.value is None else found.value
    low = first_miss(lambda rate: rate > found.low or bench.at(rate).is_met, begin, end, precision)
    value = first_miss(lambda rate: not bench.at(rate).value > 1.0, begin, end, precision)
    high = first_miss(lambda rate: not bench.at(rate).is_missed, begin, end, precision)
    is_gap, is_sure_gap = value < end, high < end
    binding, is_beyond, broken_at = (
        _broken_above(bench, value) if is_gap else (found.binding, found.is_beyond, found.beyond)
    )
    return (
        Reach(
            low=min(low, found.low),
            value=value if is_gap else found.value,
            high=next(r for r in bench.asked_above(high) if bench.at(r).is_missed) if is_sure_gap else found.high,
            binding=binding,
            unknown=None if is_gap else found.unknown,
            is_beyond=is_beyond,
            beyond=broken_at,
        ),
        (end - begin) / (_BETWEEN + 1),
    )


def first_miss(is_met: Callable[[float], bool], begin: float, met: float, precision: float) -> float:
    """Return up to where goals hold without a gap among the rates that are asked for, between two that meet them."""
    before = begin
    for part in range(1, _BETWEEN + 1):
        between = begin + (met - begin) * part / (_BETWEEN + 1)
        if not is_met(between):
            return crossing(is_met, before, between, precision)
        before = between
    return met


def crossing(is_met: Callable[[float], bool], met: float, missed: float, precision: float) -> float:
    """Return the highest rate that meets the goals between two that do and do not, to a share of itself."""
    while missed / met > 1.0 + precision:
        middle = math.sqrt(met * missed)
        if is_met(middle):
            met = middle
        else:
            missed = middle
    return met
