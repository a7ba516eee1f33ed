"""How many runs a forecast makes: a stated number, or as many as its figures take to be as sure as is wanted.

Runs come in batches whose sizes follow from what the runs before have shown, and are looked at between batches: so the
number of workers changes nothing. Whoever stops as soon as an interval looks narrow stops too often where the spread
happens to be seen too small, which costs coverage and moves figures whose runs are skew. Three things keep that small:
not to look before FIRST_RUNS, to look seldom, and to ask for more runs than seem to be needed, so that most of the last
ones have no say in when to stop. tests/sim/forecast/test_enough_runs.py counts what is left of it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sim.errors import ScenarioError
from sim.forecast.estimates import Figure
from sim.forecast.intervals import MORE_THAN_NEEDED
from sim.forecast.replications import Replication
from sim.forecast.settling import RunBatch, settled_runs
from sim.scenario.rules import RUNS_MAX

__all__ = [
    "FIRST_RUNS",
    "MadeRuns",
    "Precision",
    "Stopped",
    "Why",
    "check_runs",
    "enough_runs",
    "first_runs",
    "runs_after",
]

FIRST_RUNS = 20
"""Runs before the first look; a spread that is seen over fewer is not to be trusted with the decision."""

_STEP = 10
"""The fewest runs between two looks."""

_POINTS = 0.001
"""A share is precise enough where it is known to 0.1 points, if that is more than the wanted part of it."""


class Why(StrEnum):
    """Why no more runs were made."""

    PRECISE = "precision reached"
    RUNS = "max_runs reached"
    TIME = "budget spent"
    NOTHING = "no figure to be more precise about"


@dataclass(frozen=True)
class Precision:
    """What is wanted, and what may be spent on it.

    `share` is half the width of the 95 % confidence interval as a share of the figure. Only the part that sampling
    leaves open is meant: no simulation makes a calibration surer. Raises ScenarioError for what is out of range.
    """

    share: float = 0.02
    budget_s: float | None = None  # of wall time
    runs_max: int = 400
    made: int | None = None  # runs that it took the first time: a forecast that is made again looks at no clock

    def __post_init__(self) -> None:
        if not 0.0 < self.share < 1.0:
            raise ScenarioError(f"precision must be above 0 and below 1, as in 0.02 for 2 %. Got {self.share:g}.")
        if self.budget_s is not None and not self.budget_s > 0.0:
            raise ScenarioError(f"budget_s must be above 0 seconds. Got {self.budget_s:g}.")
        if not 2 <= self.runs_max <= RUNS_MAX:
            raise ScenarioError(f"max_runs must be from 2 to {RUNS_MAX}. Got {self.runs_max}.")

    def to_json(self) -> dict[str, Any]:
        """Return what is wanted as plain values."""
        return {"precision": self.share, "budget_s": self.budget_s, "max_runs": self.runs_max}


@dataclass(frozen=True)
class Stopped:
    """What came of a wanted precision.

    `reached` says for each figure what sampling leaves open to either side: of a share in shares of 1, of any other as
    a share of its value.
    """

    wanted: Precision
    why: Why
    reached: Mapping[str, float]
    missed: tuple[str, ...]  # the figures that are less sure than is wanted, the least sure first

    def to_json(self) -> dict[str, Any]:
        """Return it in the form of the forecast's provenance."""
        return {
            "wanted": self.wanted.share,
            "budget_s": self.wanted.budget_s,
            "max_runs": self.wanted.runs_max,
            "stopped": self.why.value,
            "reached": dict(self.reached),
            "missed": list(self.missed),
        }


@dataclass(frozen=True)
class MadeRuns:
    """The runs of a forecast: on the central calibration and, pair by pair, on drawn ones if there are any."""

    central: list[Replication]
    drawn: list[Replication] | None
    warm_up_ns: int
    warm_up_how: str
    stopped: Stopped | None = None  # where a precision was wanted


def check_runs(runs: int) -> int:
    """Return a stated number of runs. Raises ScenarioError for one that horizon.runs may not have either."""
    if runs < 2:
        raise ScenarioError(f"runs must be at least 2: one run does not show how sure it is. Got {runs}.")
    if runs > RUNS_MAX:
        raise ScenarioError(f"runs must be at most {RUNS_MAX}. Got {runs}.")
    return runs


Look = Callable[[Sequence[Replication]], Mapping[str, Figure]]


def first_runs(precision: Precision, stated: int) -> int:
    """Return how many runs are made before anything is asked; `stated` is horizon.runs, which are made in any case.

    With a budget they say how long a run takes, and whether there is time for FIRST_RUNS.
    """
    least = 2 if precision.budget_s is not None else FIRST_RUNS
    return min(max(least, stated), precision.runs_max)


def runs_after(count: int, excess: float, most: int) -> int:
    """Return how many runs there should be in all, after so many have shown an interval `excess` > 1 times too wide.

    Its width falls with the root of the number of runs. The number is doubled at most: what few runs show of the spread
    is not worth a longer leap.
    """
    needed = math.ceil(MORE_THAN_NEEDED * count * min(excess, 2.0) ** 2)
    return min(max(min(needed, 2 * count), count + _STEP), most)


def enough_runs(
    batch: RunBatch, precision: Precision | None, look: Look, *, clock: Callable[[], float] = time.monotonic
) -> MadeRuns:
    """Return the runs of a batch and, where a precision is wanted, those behind them that it takes.

    `look` returns the figures that must be precise, from all runs so far on the central calibration; what it raises
    ends the forecast. The warm-up stays that of the first batch. Raises RefusedToAnswer as settled_runs() does.
    """
    began_s = clock()
    central, warm_up_ns, how = settled_runs(batch)
    drawn = batch.run(warm_up_ns, drawn=True) if batch.draws > 1 else None
    if precision is None:
        return MadeRuns(central, drawn, warm_up_ns, how)
    while True:
        count, figures = len(central), {name: one for name, one in look(central).items() if one.value is not None}
        excesses = {name: _open(name, figure) / _allowed(name, figure, precision) for name, figure in figures.items()}
        more = _more(count, max(excesses.values(), default=0.0), precision, clock() - began_s)
        if precision.made is not None:
            more = max(precision.made - count, 0)
        if more == 0:
            reached = {name: _open(name, figure) for name, figure in figures.items()}
            return MadeRuns(central, drawn, warm_up_ns, how, _stopped(precision, count, reached, excesses))
        indices = range(count, count + more)
        central += batch.run(warm_up_ns, indices=indices)
        if drawn is not None:
            drawn += batch.run(warm_up_ns, drawn=True, indices=indices)


def _more(count: int, excess: float, precision: Precision, took_s: float) -> int:
    """Return how many runs to add: none if these are precise enough, or as many as are allowed or there is time for."""
    more = min(FIRST_RUNS, precision.runs_max) - count  # fewer do not show how precise they are
    if more <= 0 and excess <= 1.0:
        return 0
    if more <= 0:
        more = runs_after(count, excess, precision.runs_max) - count
    return more if precision.budget_s is None else min(more, _affordable(count, took_s, precision.budget_s))


def _affordable(count: int, took_s: float, budget_s: float) -> int:
    """Return for how many more runs there is time, if they take as long as those before."""
    return max(int((budget_s - took_s) * count / took_s), 0) if took_s > 0.0 else count


def _stopped(precision: Precision, count: int, reached: Mapping[str, float], excesses: Mapping[str, float]) -> Stopped:
    """Return why there are no more than so many runs, and how sure the figures are."""
    missed = [name for name in sorted(excesses, key=lambda name: -excesses[name]) if excesses[name] > 1.0]
    if missed or (reached and count < min(FIRST_RUNS, precision.runs_max)):
        why = Why.RUNS if count >= precision.runs_max else Why.TIME
    else:
        why = Why.PRECISE if reached else Why.NOTHING
    return Stopped(precision, why, reached, tuple(missed))


def _open(name: str, figure: Figure) -> float:
    """Return what sampling leaves open to either side: of a share in shares of 1, else as a share of the value."""
    assert figure.value is not None
    assert figure.sampling is not None
    half = max(figure.sampling.high - figure.value, figure.value - figure.sampling.low)
    return half if name.endswith("_share") or half == 0.0 else half / abs(figure.value)


def _allowed(name: str, figure: Figure, precision: Precision) -> float:
    """Return what may be left open of a figure, in the unit of _open."""
    if not name.endswith("_share"):
        return precision.share
    assert figure.value is not None
    return max(precision.share * figure.value, _POINTS)
