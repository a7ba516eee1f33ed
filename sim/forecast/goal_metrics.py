"""Figures that the goals themselves define: how often over time they are breached, and what share of all is within.

A p99 over the whole run hides when it was bad; a share of short windows shows that, as an alert or an error budget
would. Windows are those of fleet_course.WINDOW_NS, 5 s, and not the ones of the forecast's timeline: those are as long
as a picture needs, so another horizon.duration would change the figure.

A goal on a quantile says the same in other words: p99 is within 200 ms where no more than 1 % of the answers take
longer. That share stands in for a quantile that no run by itself is long enough for: it has an honest interval as soon
as all runs together show enough answers beyond the quantile.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial

from sim.forecast.estimates import METRICS, Figure, Metric, answers_of, estimate, requests_of
from sim.forecast.intervals import exceedances_are_enough
from sim.outcome.fleet_course import WINDOW_NS
from sim.outcome.measures import MeasuredRun
from sim.outcome.quantiles import QUANTILE_NAMES
from sim.scenario.spec import Goals

__all__ = ["goal_metrics", "goal_windows", "judged_by", "quantile_of", "stand_in_of", "stand_ins"]


def goal_metrics(goals: Goals) -> dict[str, Metric]:
    """Return the figures that stated goals make possible, by their names in the forecast's JSON."""
    metrics = {}
    if goals.p99 is not None or goals.refused is not None:
        breaches = partial(_breach_share, p99_ns=goals.p99, refused=goals.refused)
        metrics["breach_share"] = Metric(breaches, _windows, most=1.0, cases=_windows_of_all)
    if goals.p99 is not None:
        metrics["within_goal_share"] = Metric(partial(_within_share, p99_ns=goals.p99), requests_of, most=1.0)
    return metrics


def goal_windows(measured_ns: int) -> int:
    """Return how many windows of at least WINDOW_NS, all equally long, a measured time has; at least one."""
    return max(measured_ns // WINDOW_NS, 1)


def _windows(run: MeasuredRun) -> int:
    return goal_windows(run.to_ns - run.from_ns)


def _windows_of_all(runs: Sequence[MeasuredRun]) -> float:
    return float(sum(map(_windows, runs)))


def _breach_share(runs: Sequence[MeasuredRun], p99_ns: int | None, refused: float | None) -> float:
    """Return the share of windows in which one of the two goals is missed."""
    return sum(run.breaches(_windows(run), p99_ns, refused) for run in runs) / _windows_of_all(runs)


def _within_share(runs: Sequence[MeasuredRun], p99_ns: int) -> float:
    """Return the share of all requests, refused and failed ones too, that were answered within a time."""
    requests = sum(run.requests for run in runs)
    return sum(run.count_within(p99_ns) for run in runs) / requests if requests else float("nan")


# Quantiles that runs are too short for


def stand_in_of(name: str) -> str:
    """Return the name of the share of answers beyond the goal that a latency figure has."""
    return f"beyond_goal.{name.removeprefix('latency_ms.')}_share"


def quantile_of(name: str) -> float | None:
    """Return which quantile a figure is, None of one that is none."""
    return QUANTILE_NAMES.get(name.removeprefix("latency_ms."))


def judged_by(figures: Mapping[str, Figure], name: str, limit: float) -> tuple[str, float]:
    """Return the figure that the goal on a figure is judged by, and what it may be: that one, or its stand-in."""
    q = quantile_of(name)
    if figures[name].value is None and q is not None and stand_in_of(name) in figures:
        return stand_in_of(name), round(1.0 - q, 12)
    return name, limit


def stand_ins(
    limits: Mapping[str, float],
    figures: Mapping[str, Figure],
    central: Sequence[MeasuredRun],
    drawn: Sequence[MeasuredRun] | None,
    *,
    of_runs: int,
    calibration_known: bool = True,
) -> dict[str, Figure]:
    """Return what stands in for quantiles without a value, if `of_runs` runs like these show enough answers beyond.

    `limits` are those of the figures, in their units; names are those of stand_in_of().
    """
    found = {}
    for name, limit in limits.items():
        if figures[name].value is None and _is_enough(figures[name], name, of_runs):
            share = partial(_beyond_share, limit_ns=round(limit * 1e6))
            beyond = Metric(share, answers_of, most=1.0, cases=METRICS["refused_share"].cases)
            found[stand_in_of(name)] = estimate(beyond, central, drawn, calibration_known=calibration_known)
    return found


def _is_enough(figure: Figure, name: str, runs: int) -> bool:
    """Return whether so many runs together show enough answers beyond a quantile to tell how many there are."""
    q, worth = quantile_of(name), figure.effective_samples
    return q is not None and worth is not None and exceedances_are_enough(worth * runs, q)


def _beyond_share(runs: Sequence[MeasuredRun], limit_ns: int) -> float:
    """Return the share of the answers that took longer."""
    parts = [(len(run.latencies), run.latencies.batch_means(limit_ns).mean) for run in runs]
    answered = sum(count for count, _ in parts)
    return math.fsum(count * share for count, share in parts if count) / answered if answered else math.nan
