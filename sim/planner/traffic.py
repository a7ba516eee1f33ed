"""How much traffic a fleet can take before a goal breaks: the root of a noisy function that rises on the whole.

Every rate meets the same arrivals, scaled, and the same dice, so what is compared differs by the rate alone. It is
searched from saturation downwards: with a wait timer a goal may be missed at little load, too, where batches do not
fill, and the highest rate that meets the goals is what is asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from sim.errors import RefusedToAnswer, ScenarioError
from sim.forecast.estimates import Figure
from sim.forecast.intervals import EXCEEDANCES_MIN
from sim.planner.bench import ScenarioBench
from sim.planner.verdicts import quantile_of, shares_of_limits, stand_in_of, too_few
from sim.scenario.arrival_spec import RecordedTrace
from sim.scenario.capacity import at_rate
from sim.scenario.spec import Scenario

__all__ = ["Standing", "TooShort", "TrafficBench", "ascend", "crossing", "descend", "first_miss"]

_STEPS: Final = (1.0, 0.97, 0.93, 0.88, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01)
"""Shares of saturation at which the goals are asked for, from above."""


_BETWEEN: Final = 8
"""So many rates are asked for between two that meet the goals, where there may be gaps."""

_OVERLOAD_MOST: Final = 4.0
"""So many times the rate from which it is searched upwards: what no goal forbids there has no limit."""


class TooShort(RefusedToAnswer):
    """Runs do not show enough of what a goal is about; `times` as long ones would."""

    def __init__(self, name: str, figure: Figure, rate_per_s: float, runs: int) -> None:
        super().__init__(f"At {rate_per_s:.4g}/s, {too_few(name, figure, runs)}.")
        q, worth = quantile_of(name), figure.effective_samples
        self.times = math.inf if q is None or not worth else EXCEEDANCES_MIN / (worth * (1.0 - q) * runs)


@dataclass(frozen=True)
class Standing:
    """How the goals stand at one rate: the worst figure as a share of its limit, and the ends of its interval."""

    low: float
    value: float
    high: float
    figure: str | None  # the one whose upper end is the farthest beyond its limit
    figures: Mapping[str, Figure]


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
        first: int = 0,
        together: int | None = None,
    ) -> None:
        """A share stands in for a quantile where `together` runs, None: these, would show enough of it."""
        self.simulated = 0
        self._together = runs if together is None else together
        self._scenario, self._limits, self._confidence = scenario, limits, confidence
        self._seed, self._indices = seed, range(first, first + runs)
        self._known: dict[float, Standing] = {}

    def at(self, rate_per_s: float) -> Standing:
        """Return how the goals stand; infinitely bad where no honest figure can be given of too high a load."""
        if rate_per_s not in self._known:
            self._known[rate_per_s] = self._ask(rate_per_s)
        return self._known[rate_per_s]

    def missed(self) -> list[float]:
        """Return the rates that were asked for and at which a value is beyond its limit."""
        return [rate for rate, standing in self._known.items() if standing.value > 1.0]

    def _ask(self, rate_per_s: float) -> Standing:
        try:
            scenario = at_rate(_going_on(self._scenario), rate_per_s)
            bench = ScenarioBench([scenario], self._limits, seed=self._seed, runs=self._together)
            runs = bench.runs(0, self._indices)
            self.simulated += sum(run.simulated for run in runs)
            figures = bench.figures(0, runs)
        except (RefusedToAnswer, ScenarioError):  # overloaded
            return Standing(math.inf, math.inf, math.inf, None, {})
        for name, limit in self._limits.items():
            if figures[name].value is None and stand_in_of(name) not in figures:
                seen = [run.figures[name] for run in runs]
                if math.fsum(seen) / len(seen) > limit or any(map(math.isnan, seen)):
                    return Standing(math.inf, math.inf, math.inf, name, figures)
                raise TooShort(name, figures[name], rate_per_s, len(runs))
        return _standing(figures, self._limits, self._confidence)


def _going_on(scenario: Scenario) -> Scenario:
    """Return the scenario with a trace that begins anew behind its end: compressed, it is shorter than the run."""
    spec = scenario.traffic.arrivals
    if not isinstance(spec, RecordedTrace):
        return scenario
    arrivals = spec.model_copy(update={"repeat": True})
    return scenario.model_copy(update={"traffic": scenario.traffic.model_copy(update={"arrivals": arrivals})})


def _standing(figures: Mapping[str, Figure], limits: Mapping[str, float], confidence: float) -> Standing:
    """Return how figures that have a value stand."""
    shares = shares_of_limits(figures, limits, confidence)
    worst = max(shares, key=lambda name: shares[name].high)
    of_all = shares.values()
    low, value, high = max(s.low for s in of_all), max(s.value for s in of_all), max(s.high for s in of_all)
    return Standing(low, value, high, worst, figures)


def descend(is_met: Callable[[float], bool], saturation_per_s: float) -> tuple[float, float] | None:
    """Return a rate that meets the goals and one above it that does not, next to each other; None if no rate does.

    Raises RefusedToAnswer where even four times the saturation breaks no goal.
    """
    missed = saturation_per_s
    if is_met(saturation_per_s):
        met = saturation_per_s
        while missed < _OVERLOAD_MOST * saturation_per_s:
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


def ascend(is_met: Callable[[float], bool], met: float, precision: float) -> float:
    """Return the highest rate that meets the goals, from one that does up to four times as much, to a share of it."""
    missed, step, most = met, 1.0 + precision, _OVERLOAD_MOST * met
    while missed < most:
        missed, step = min(missed * step, most), step**1.5
        if not is_met(missed):
            return crossing(is_met, met, missed, precision)
        met = missed
    return met


def first_miss(is_met: Callable[[float], bool], begin: float, met: float, precision: float) -> float:
    """Return up to where goals hold without a gap, between two rates that meet them.

    Where a fleet scales, a rate may be worse than a higher one, at which the autoscaler takes a step in time.
    """
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
