"""Figures that the goals themselves define: how often over time they are breached, and what share of all is within.

A p99 over the whole run hides when it was bad; a share of short windows shows that, as an alert or an error budget
would. Windows are those of fleet_course.WINDOW_NS, 5 s, and not the ones of the forecast's timeline: those are as long
as a picture needs, so another horizon.duration would change the figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import numpy as np

from policy.timeline import Outcome
from sim.forecast.estimates import Metric, requests_of
from sim.outcome.fleet_course import WINDOW_NS
from sim.outcome.measures import RunMeasures
from sim.outcome.quantiles import quantile
from sim.scenario.spec import Goals

__all__ = ["goal_metrics"]

_P99 = 0.99


def goal_metrics(goals: Goals) -> dict[str, Metric]:
    """Return the figures that stated goals make possible, by their names in the forecast's JSON."""
    metrics = {}
    if goals.p99 is not None or goals.refused is not None:
        breaches = partial(_breach_share, p99_ns=goals.p99, refused=goals.refused)
        metrics["breach_share"] = Metric(breaches, _windows, most=1.0, cases=_windows_of_all)
    if goals.p99 is not None:
        metrics["within_goal_share"] = Metric(partial(_within_share, p99_ns=goals.p99), requests_of, most=1.0)
    return metrics


def _windows(run: RunMeasures) -> int:
    """Return how many windows of at least WINDOW_NS, all equally long, the measured time has; at least one."""
    return max((run.to_ns - run.from_ns) // WINDOW_NS, 1)


def _windows_of_all(runs: Sequence[RunMeasures]) -> float:
    return float(sum(map(_windows, runs)))


def _breach_share(runs: Sequence[RunMeasures], p99_ns: int | None, refused: float | None) -> float:
    return sum(_breaches(run, p99_ns, refused) for run in runs) / _windows_of_all(runs)


def _breaches(run: RunMeasures, p99_ns: int | None, refused: float | None) -> int:
    """Return in how many windows one of the two goals is missed by the requests that were intended there.

    A window's p99 is the nearest rank of the answers that it has: below 100 of them it is the slowest.
    """
    count = _windows(run)
    edges = run.edges_ns(count)
    breaches = 0
    for low, high in pairwise(np.searchsorted(run.intended_ns, edges).tolist()):
        outcomes, latency_ns = run.outcomes[low:high], run.latency_ns[low:high]
        answered_ns = latency_ns[outcomes == Outcome.ANSWERED]
        is_slow = p99_ns is not None and len(answered_ns) > 0 and quantile(answered_ns, _P99) > p99_ns
        is_full = refused is not None and low < high and np.mean(outcomes == Outcome.REFUSED) > refused
        breaches += bool(is_slow or is_full)
    return breaches


def _within_share(runs: Sequence[RunMeasures], p99_ns: int) -> float:
    """Return the share of all requests, refused and failed ones too, that were answered within a time."""
    requests = sum(run.requests for run in runs)
    within = sum(int(np.count_nonzero(run.answered_latencies_ns <= p99_ns)) for run in runs)
    return within / requests if requests else float("nan")
