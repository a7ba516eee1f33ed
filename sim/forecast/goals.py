"""Whether the goals are met: by the figure itself, and whether its interval leaves that in doubt.

A quantile that the runs are too short for is judged by the share of answers that take longer than its goal, where all
runs together tell that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sim.forecast.estimates import Figure
from sim.forecast.goal_metrics import judged_by, quantile_of
from sim.forecast.intervals import EXCEEDANCES_MIN, MORE_THAN_NEEDED
from sim.outcome.quantiles import QUANTILE_NAMES
from sim.scenario.spec import Goals

__all__ = ["GoalResult", "all_met", "figures_needed", "judge", "limits_of_figures", "runs_that_tell", "wanted_figures"]

_FIGURES = {
    **{name: f"latency_ms.{name}" for name in ("mean", *QUANTILE_NAMES)},
    "refused": "refused_share",
    "timed_out": "timed_out_share",
    "abandoned": "abandoned_share",
    "failed": "failed_share",
    "breach": "breach_share",
}
"""The figure that each goal is about."""

_RUNS_MOST = 1e9

_RUNS_LEAST = 10
"""Fewer runs are not recommended: how much two or three differ says little of how much more would."""


@dataclass(frozen=True)
class GoalResult:
    """One goal and what became of it. `limit` is in the unit of the figure: ms, or a share of 1."""

    goal: str
    figure: str
    limit: float
    value: float | None  # None where the runs do not support the figure
    low: float | None
    high: float | None
    slower_than_ms: float | None = None  # `figure` is the share of answers that are, and stands in for a quantile
    why: str | None = None  # there is no value

    @property
    def met(self) -> bool:
        """Whether the value is within the goal; False where it is not known."""
        return self.value is not None and self.value <= self.limit

    @property
    def verdict(self) -> str:
        """`met` or `missed` if the whole interval says so, `not clear` if it straddles the limit, or `not known`."""
        if self.low is None or self.high is None:
            return "not known"
        if self.low <= self.limit < self.high:
            return "not clear"
        return "met" if self.met else "missed"

    def to_json(self) -> dict[str, object]:
        """Return the goal in the form of the forecast's JSON."""
        return {
            "goal": self.goal,
            "figure": self.figure,
            "limit": self.limit,
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "met": self.met,
            "verdict": self.verdict,
            **({} if self.slower_than_ms is None else {"slower_than_ms": self.slower_than_ms}),
            **({} if self.why is None else {"why": self.why}),
        }


def wanted_figures(goals: Goals) -> dict[str, float]:
    """Return the goals that are stated, with their limits in the units of the figures: ms, or a share of 1."""
    limits = {goal: getattr(goals, goal) for goal in _FIGURES}
    return {
        goal: limit / 1e6 if _FIGURES[goal].startswith("latency_ms.") else limit
        for goal, limit in limits.items()
        if limit is not None
    }


def figures_needed(goals: Goals) -> tuple[str, ...]:
    """Return the figures that the stated goals are about, by their names in the forecast's JSON."""
    return tuple(_FIGURES[goal] for goal in wanted_figures(goals))


def limits_of_figures(goals: Goals) -> dict[str, float]:
    """Return the figures that the stated goals are about with their limits, in the units of the figures."""
    return {_FIGURES[goal]: limit for goal, limit in wanted_figures(goals).items()}


def runs_that_tell(goals: Sequence[GoalResult], figures: Mapping[str, Figure], made: int) -> int | None:
    """Return about how many runs would tell of goals that `made` runs leave open, None where none is.

    An interval narrows with the root of the number of runs, that of a share of which nothing was seen with the number.
    A quantile that no run is long enough for is judged as soon as all runs together show enough answers beyond it.
    """
    times = 0.0
    for goal in goals:
        if goal.verdict == "not known":
            q, worth = quantile_of(goal.figure), figures[goal.figure].effective_samples
            times = max(times, EXCEEDANCES_MIN / (made * worth * (1.0 - q)) if q is not None and worth else 0.0)
        if goal.verdict != "not clear":
            continue
        assert goal.value is not None
        end = goal.high if goal.met else goal.low
        assert end is not None
        width = end - goal.value
        room = goal.limit - goal.value
        is_unseen = goal.value == 0.0
        times = max(times, (width / room) ** (1 if is_unseen else 2) if room else math.inf)
    if times == 0.0:
        return None
    return max(math.ceil(round(min(MORE_THAN_NEEDED * times * made, _RUNS_MOST), 6)), _RUNS_LEAST)


def judge(goals: Goals, figures: Mapping[str, Figure]) -> list[GoalResult]:
    """Return what became of each goal."""
    results = []
    for goal, limit in wanted_figures(goals).items():
        name, most = judged_by(figures, _FIGURES[goal], limit)
        figure, slower_than_ms = figures[name], None if name == _FIGURES[goal] else limit
        ends = (None, None) if figure.value is None else (figure.low, figure.high)
        results.append(GoalResult(goal, name, most, figure.value, *ends, slower_than_ms, figure.why))
    return results


def all_met(goals: Sequence[GoalResult]) -> bool | None:
    """Return whether all goals are met, their whole intervals; None where none is missed, and not all are told."""
    verdicts = {goal.verdict for goal in goals}
    return False if "missed" in verdicts else None if verdicts - {"met"} else True
