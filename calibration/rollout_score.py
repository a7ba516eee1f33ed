"""A forecast of a rollout against a measured one: how it ended, when, and whom it touched until then.

What a run may do is a set of rollouts, one for each draw of the prediction; a measured one is inside if 95 % of them
are as it is. How it ends is a set of ends, likeliest first.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from policy.rollout import Phase
from sim.forecast.intervals import prediction
from sim.outcome.rollout_course import RolloutRun

__all__ = ["RolloutFigure", "RolloutScore", "score_rollout"]

_SET_SHARE = 0.95


@dataclass(frozen=True)
class RolloutFigure:
    """One figure: the 95 % interval of the draws, and what was measured."""

    centre: float
    low: float
    high: float
    measured: float

    @property
    def inside(self) -> bool:
        """Whether the interval holds what was measured."""
        return self.low <= self.measured <= self.high


@dataclass(frozen=True)
class RolloutScore:
    """One measured rollout against its prediction."""

    ends: dict[str, float]  # share of the draws by how they end
    end_measured: str
    figures: dict[str, RolloutFigure]  # of the draws that end as the measured one did

    @property
    def end_set(self) -> tuple[str, ...]:
        """The likeliest ends that together have 95 % of the draws."""
        kept: list[str] = []
        for end, _ in sorted(self.ends.items(), key=lambda item: -item[1]):
            if sum(self.ends[each] for each in kept) < _SET_SHARE:
                kept.append(end)
        return tuple(kept)

    @property
    def within(self) -> bool:
        """Whether the measured rollout is one of those that were predicted."""
        return self.end_measured in self.end_set and all(figure.inside for figure in self.figures.values())

    def to_json(self) -> dict[str, object]:
        """Return the score as plain values."""
        return {
            "ends": dict(self.ends),
            "end_set": list(self.end_set),
            "end_measured": self.end_measured,
            "figures": {name: {**vars(figure), "inside": figure.inside} for name, figure in self.figures.items()},
            "within": self.within,
        }


def score_rollout(drawn: Sequence[RolloutRun], measured: RolloutRun) -> RolloutScore:
    """Return how a measured rollout compares with the draws of its prediction."""
    ends = Counter(_end(run) for run in drawn)
    own = _end(measured)
    alike = [run for run in drawn if _end(run) == own]
    figures = {}
    for name, read in _FIGURES.items():
        values = [value for run in alike if math.isfinite(value := read(run))]
        value = read(measured)
        if len(values) > 1 and math.isfinite(value):
            bounds = prediction(values)
            figures[name] = RolloutFigure(sorted(values)[len(values) // 2], bounds.low, bounds.high, value)
    return RolloutScore({end: count / len(drawn) for end, count in ends.items()}, own, figures)


def _end(run: RolloutRun) -> str:
    """Return how a rollout ended, in a word."""
    if run.promoted or run.rolled_back:
        return Phase(run.phase).name.lower()
    return "under way"


def _share(part: int | None, whole: int | None) -> float:
    return part / whole if part is not None and whole else math.nan


_FIGURES: dict[str, Callable[[RolloutRun], float]] = {
    "duration_s": lambda run: run.duration_s,
    "requests_touched_share": lambda run: _share(run.touched, run.requests),
    "users_touched_share": lambda run: _share(run.users_touched, run.users),
}
