"""Figures that the goals themselves define: how often over time they are breached, and what share of all is within.

A p99 over the whole run hides when it was bad; a share of short windows shows that, as an alert or an error budget
would. Windows are those of fleet_course.WINDOW_NS, 5 s, and not the ones of the forecast's timeline: those are as long
as a picture needs, so another horizon.duration would change the figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from sim.forecast.estimates import Metric, requests_of
from sim.outcome.fleet_course import WINDOW_NS
from sim.outcome.measures import MeasuredRun
from sim.scenario.spec import Goals

__all__ = ["goal_metrics", "goal_windows"]


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
