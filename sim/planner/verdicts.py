"""Whether a configuration meets its goals with a stated confidence, and what its first runs say of all of them.

A goal is met with confidence where the one-sided upper end of its figure is within the limit: at 97.5 % that end is the
upper end of a forecast's interval. A quantile that runs are too short for is judged by what its goal says in other
words: p99 is within 200 ms where no more than 1 % of the answers take longer. That share has an honest interval as soon
as all runs together show enough of them. Before all runs are made, those that are there say how likely it is that all
of them will say so: who goes on is decided by that, and who is dropped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from sim.forecast.estimates import Figure
from sim.forecast.goal_metrics import judged_by, quantile_of
from sim.forecast.intervals import EXCEEDANCES_MIN, LEVEL, none_seen_high, student_t

__all__ = [
    "LONGER_RUNS",
    "Prospect",
    "Share",
    "is_met",
    "lower_end",
    "one_sided_t",
    "prospect",
    "shares_of_limits",
    "times_to_clear",
    "times_needed",
    "upper_end",
    "why_unknown",
    "worst_goal",
    "worst_of",
]

_DROPPED_AT: Final = 0.99
"""How sure it must be that all runs would not meet a goal, before a configuration is dropped."""

_PASSED_AT: Final = 0.8
"""How sure that they would, before the fresh runs that decide are made."""

LONGER_RUNS: Final = "longer ones (horizon.duration)"
"""What is said of longer runs, where the length of a run is a matter of choice."""

_CLEAR_STEP: Final = 1.1
"""By how much a number of runs is raised until it would show that a goal is met."""

_RUNS_SAID_MOST: Final = 100_000
"""More runs are recommended to nobody."""


class Prospect(Enum):
    """What the runs so far say of all of them."""

    MISSED = "missed"
    OPEN = "open"
    MET = "met"
    UNKNOWN = "unknown"  # the runs do not support the figure, however many there are


def one_sided_t(confidence: float, freedom: int) -> float:
    """Return the quantile of Student's t that a value stays below with a confidence from 0.5 to 1."""
    return student_t(2.0 * confidence - 1.0, freedom)


def upper_end(figure: Figure, confidence: float) -> float:
    """Return the end that the long-run figure is below with a confidence, NaN of a figure without a value."""
    made = max(len(figure.runs), 1)
    return _End(figure, confidence, made).after(made)


def lower_end(figure: Figure, confidence: float) -> float:
    """Return the end that the long-run figure is above with a confidence, NaN of a figure without a value."""
    if figure.value is None:
        return math.nan
    return max(2.0 * figure.value - upper_end(figure, confidence), 0.0)


def times_needed(figures: Mapping[str, Figure], name: str, limit: float, confidence: float, made: int) -> float | None:
    """Return how many times the runs `made` tell how a goal stands, inf if no number does; None where they do.

    They do not where a quantile has too few answers beyond it, and where a share of which nothing was seen may still be
    above its limit.
    """
    judged, most = judged_by(figures, name, limit)
    figure = figures[judged]
    if figure.value is None:
        q, worth = quantile_of(name), figure.effective_samples
        return math.inf if q is None or not worth else EXCEEDANCES_MIN / (made * worth * (1.0 - q))
    end = _End(figure, confidence, 1)
    if not end.is_unseen or end.after(1) <= most:
        return None
    return math.log1p(-confidence) / math.log1p(-most) / end.cases if most > 0.0 else math.inf


def times_to_clear(
    figures: Mapping[str, Figure], name: str, limit: float, confidence: float, made: int
) -> float | None:
    """Return how many times the runs `made` show that a goal is met by a figure that seems to meet it, if it does.

    None where they show it, and where they show that it is not; inf where no number does, since the calibration leaves
    it open.
    """
    judged, most = judged_by(figures, name, limit)
    figure = figures[judged]
    end = _End(figure, confidence, made)
    if figure.value is None or end.is_unseen or len(figure.runs) < 2 or not figure.value <= most < end.after(made):
        return None
    times = 1.0
    while end.after(math.ceil(times * made)) > most:
        times *= _CLEAR_STEP
        if times * made > _RUNS_SAID_MOST:
            return math.inf
    return times


def why_unknown(
    figures: Mapping[str, Figure],
    name: str,
    limit: float,
    confidence: float,
    *,
    made: int,
    runs: int | None = None,
    longer: str = LONGER_RUNS,
) -> str:
    """Return why `runs`, None: those that are `made`, do not tell how a goal stands, and what would.

    `longer` are the words for longer runs.
    """
    figure, q = figures[name], quantile_of(name)
    goal = name.removeprefix("latency_ms.").removesuffix("_share").replace("p999", "p99.9")
    runs = made if runs is None else runs
    times = times_needed(figures, name, limit, confidence, made)
    if (clear := times_to_clear(figures, name, limit, confidence, made)) is not None:
        if math.isinf(clear):
            return f"{goal} seems to be within its goal, and the calibration is not sure enough to show it"
        wanted = math.ceil(clear * made)
        return f"{goal} seems to be within its goal, and {made} runs do not show it; more (--runs {wanted}) may"
    if times is None or (figure.value is None and (q is None or figure.effective_samples is None)):
        return f"{goal} is not known: {figure.why}"
    needed = f" {math.ceil(times * made)}" if times * made <= _RUNS_SAID_MOST else ""
    more = f"more runs (--runs{needed})"
    if figure.value is not None and math.isinf(times):
        words = goal.replace("_", " ")
        return f"no number of runs shows that none is ever {words}: allow a small share, as in {goal}=0.01%"
    if figure.value is not None:
        return (
            f"{runs} runs are too short to show that {goal} is within its goal, though none is seen; {more} or "
            f"{longer} would tell"
        )
    seen = runs * (figure.effective_samples or 0.0) * (1.0 - (q or 0.0))
    return (
        f"{goal} is not known: {runs} runs show {seen:.1f} independent answers beyond it, and "
        f"{EXCEEDANCES_MIN:.0f} are needed; {more}, {longer} or a less extreme percentile would tell"
    )


def prospect(
    figures: Mapping[str, Figure], limits: Mapping[str, float], confidence: float, *, made: int, runs: int
) -> Prospect:
    """Return what figures of the `made` runs so far, at least 2, say of `runs` runs, by all limits together."""
    judged = [judged_by(figures, name, limit) for name, limit in limits.items()]
    of_goals = {_of_goal(_End(figures[name], confidence, made), most, runs) for name, most in judged}
    for verdict in (Prospect.MISSED, Prospect.UNKNOWN, Prospect.OPEN):
        if verdict in of_goals:
            return verdict
    return Prospect.MET


def is_met(figures: Mapping[str, Figure], limits: Mapping[str, float], confidence: float) -> bool:
    """Return whether all goals are met with confidence."""
    return all(share.high <= 1.0 for share in shares_of_limits(figures, limits, confidence).values())


@dataclass(frozen=True)
class Share:
    """A figure as a share of its limit, with both ends; NaN where it is not known."""

    low: float
    value: float
    high: float


def shares_of_limits(figures: Mapping[str, Figure], limits: Mapping[str, float], confidence: float) -> dict[str, Share]:
    """Return how near each figure, or what stands in for it, is to its limit."""
    shares = {}
    for name, limit in limits.items():
        judged, most = judged_by(figures, name, limit)
        figure = figures[judged]
        value = math.nan if figure.value is None else figure.value
        ends = (lower_end(figure, confidence), value, upper_end(figure, confidence))
        shares[name] = Share(*(_share_of_limit(end, most) for end in ends))
    return shares


def worst_goal(
    figures: Mapping[str, Figure], limits: Mapping[str, float], confidence: float
) -> tuple[str | None, float]:
    """Return the figure that is the nearest to its limit, or the farthest beyond it, and its end as a share of that."""
    shares = shares_of_limits(figures, limits, confidence)
    name = worst_of(shares)
    return name, math.nan if name is None else shares[name].high


def worst_of(shares: Mapping[str, Share]) -> str | None:
    """Return the one that is beyond its limit, or the nearest to it, by its value where any is beyond by that.

    Else by its upper end, and then one of which nothing was seen only where no other will do: its end says how few the
    runs are. None where none is known.
    """
    missed = [name for name, share in shares.items() if share.value > 1.0]
    if missed:
        return max(missed, key=lambda name: shares[name].value)
    known = [name for name, share in shares.items() if not math.isnan(share.high)]
    worst = [name for name in known if shares[name].high > 1.0] or known
    seen = [name for name in worst if shares[name].value > 0.0] or worst
    return max(seen, key=lambda name: shares[name].high, default=None)


def _share_of_limit(end: float, limit: float) -> float:
    if math.isnan(end) or limit > 0.0:
        return end / limit if limit > 0.0 else math.nan
    return math.inf if end > 0.0 else 0.0


@dataclass(frozen=True)
class _End:
    """The upper end of a figure, from its 95 % interval on both sides."""

    figure: Figure
    confidence: float
    made: int  # runs

    @property
    def is_unseen(self) -> bool:
        """Whether it is a share of which nothing was seen in so many cases."""
        return self.figure.value == 0.0 and not self.figure.runs and bool(self.figure.high)

    @property
    def cases(self) -> float:
        """How many independent cases nothing was seen in, where that is so."""
        return math.log1p(-LEVEL) / math.log1p(-min(self.figure.high or 0.0, 1.0 - 1e-12))

    def after(self, runs: int) -> float:
        """Return the end as so many runs would give it, if they showed on the whole what those that are there do."""
        figure = self.figure
        if figure.value is None or figure.high is None:
            return math.nan
        if self.is_unseen:
            return none_seen_high(self.cases * runs / self.made, self.confidence)
        if len(figure.runs) < 2:
            return figure.high
        sampling = one_sided_t(self.confidence, runs - 1) * self.spread / math.sqrt(runs)
        calibration = self._calibration_half * one_sided_t(self.confidence, runs - 1) / student_t(LEVEL, self._freedom)
        return figure.value + math.hypot(sampling, calibration)

    @property
    def spread(self) -> float:
        """The spread between single runs."""
        figure = self.figure
        if len(figure.runs) < 2 or figure.value is None:
            return 0.0
        squares = math.fsum((run - figure.value) ** 2 for run in figure.runs if math.isfinite(run))
        return math.sqrt(squares / self._freedom)

    @property
    def _calibration_half(self) -> float:
        """Half the width of what the calibration leaves open, at 95 % on both sides; more runs do not narrow it."""
        figure = self.figure
        if figure.calibration is None or figure.value is None:
            return 0.0
        return max(figure.calibration.high - figure.value, 0.0)

    @property
    def _freedom(self) -> int:
        return len(self.figure.runs) - 1


def _of_goal(end: _End, limit: float, runs: int) -> Prospect:
    """Return what one figure of the runs so far says of all."""
    if end.figure.value is None:
        return Prospect.UNKNOWN
    after_all = end.after(runs)
    if end.is_unseen:  # more of nothing is all that can be expected
        return Prospect.MET if after_all <= limit else Prospect.UNKNOWN
    beyond = Prospect.MISSED if end.figure.value > limit else Prospect.UNKNOWN  # more runs could show that it is met
    if end.made >= runs or len(end.figure.runs) < 2:
        return Prospect.MET if after_all <= limit else beyond
    # How far the mean of all runs may lie from that of the first of them.
    error = end.spread * math.sqrt(1.0 / end.made - 1.0 / runs)
    if after_all - one_sided_t(_DROPPED_AT, end.made - 1) * error > limit:
        return beyond
    return Prospect.MET if after_all + one_sided_t(_PASSED_AT, end.made - 1) * error <= limit else Prospect.OPEN
