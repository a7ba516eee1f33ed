"""How much more traffic the answer of a plan takes before a goal breaks, as far as that is asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sim.forecast.spending import fleet_changes
from sim.planner.question import Question
from sim.planner.traffic import TrafficBench, ascend, reach, up_to_first_gap
from sim.scenario.capacity import mean_rate_per_s
from sim.scenario.spec import Scenario

__all__ = ["HEADROOM_BEYOND", "Headroom", "headroom_of"]

_MOST: Final = 3.0
"""Up to so many times the traffic it is asked."""

_FIRST_STEP: Final = 1.15
_PRECISION: Final = 0.02
"""Factors by which the traffic is raised at first, and a share to which an end is narrowed."""

_QUESTIONS: Final = 20
"""About so many rates are asked for, by which progress is told."""

_RUNS: Final = 4
"""So many runs are made at each rate to begin with."""

HEADROOM_BEYOND: Final = 1.25
"""A goal that is missed with confidence is looked for up to so many times the traffic at which one breaks."""


@dataclass(frozen=True)
class Headroom:
    """How many times the traffic may be before a goal breaks. An end is None where it is not known, or was not found.

    Factors up to `most` were asked for, and for `high` up to HEADROOM_BEYOND times `factor`.
    """

    low: float  # up to here all goals are met with confidence
    factor: float | None  # up to here all are met by their values
    high: float | None  # from here on one is missed with confidence
    beyond: float | None  # the lowest factor above `factor` that was asked for, at which a goal is broken by its value
    binding: tuple[str, ...]  # the figures beyond their limits there, the farthest first
    most: float  # as far as was asked
    why: str | None = None  # `factor` is not known
    apart: float | None = None  # of a fleet that scales: how far apart factors were asked for, for gaps below
    is_beyond: bool = True  # `binding` is, at more traffic; else no figure can be given there, and it is the nearest

    def to_json(self) -> dict[str, object]:
        """Return it as plain values."""
        return {
            "factor": self.low if self.factor is None else self.factor,
            "at_least": self.factor is None,
            "low": self.low,
            "high": self.high,
            "beyond": self.beyond,
            "binding": list(self.binding),
            "binding_is_beyond": self.is_beyond,
            "why": self.why,
            "apart": self.apart,
        }


def headroom_of(
    question: Question, scenario: Scenario, fresh: int, progress: Callable[[float], None] | None = None
) -> tuple[Headroom | None, int]:
    """Return how many times the traffic may be before a goal breaks, and how many requests were simulated to find that.

    None of a closed loop, which has no rate. So many `fresh` runs have met the goals at the scenario's own rate.
    `progress` is called with about which share of the questions was asked.
    """
    asked = 0

    def tell() -> None:
        nonlocal asked
        if progress is not None:
            progress(min(asked / _QUESTIONS, 1.0))
        asked += 1

    rate = mean_rate_per_s(scenario)
    if rate == 0.0:
        return None, 0
    bench = TrafficBench(
        scenario,
        question.limits,
        question.confidence,
        seed=question.seed,
        runs=min(_RUNS, question.runs),
        most=fresh,
        together=fresh,
        tell=tell,
    )
    most, precision, apart = _MOST * rate, _PRECISION, None
    low = ascend(lambda each: bench.at(each).is_met, rate, precision, step=_FIRST_STEP, most=most)
    far = reach(bench, low, precision, most=most, beyond=HEADROOM_BEYOND)
    if fleet_changes(scenario):
        far, apart = up_to_first_gap(bench, rate, far, precision)
    found = Headroom(
        low=far.low / rate,
        factor=None if far.value is None else far.value / rate,
        high=None if far.high is None else far.high / rate,
        beyond=None if far.beyond is None else far.beyond / rate,
        binding=far.binding,
        most=_MOST,
        why=None if far.unknown is None else far.unknown.why,
        apart=None if apart is None else apart / rate,
        is_beyond=far.is_beyond,
    )
    return found, bench.simulated
