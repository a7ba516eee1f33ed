"""What runs say of requests and passes, as figures: measured where something can happen, exact where nothing can."""

from __future__ import annotations

from collections.abc import Container, Sequence

from sim.forecast.estimates import METRICS, Figure, estimate, exact
from sim.forecast.goal_metrics import goal_metrics
from sim.outcome.measures import MeasuredRun
from sim.scenario.spec import Scenario
from sim.scenario.versions import each_version, version_rules

__all__ = ["request_figures"]


def request_figures(
    scenario: Scenario,
    central: Sequence[MeasuredRun],
    drawn: Sequence[MeasuredRun] | None,
    *,
    calibration_known: bool,
    only: Container[str] | None = None,
) -> dict[str, Figure]:
    """Return the figures of requests and passes, those that the goals define too, or only some of them."""
    figures = {
        name: estimate(metric, central, drawn, calibration_known=calibration_known)
        for name, metric in (METRICS | goal_metrics(scenario.goals)).items()
        if only is None or name in only
    }
    requests = sum(run.requests for run in central)
    alone, rules = each_version(scenario), version_rules(scenario)
    is_missed = any(share and not there for share, there in zip(rules.pinned, rules.loaded, strict=True))
    for name, is_possible in (
        ("refused_share", scenario.queue.cap is not None or is_missed),
        ("timed_out_share", scenario.queue.deadline is not None),
        ("abandoned_share", scenario.traffic.timeout is not None),
        ("failed_share", any(rules.error_shares) or any(version.fleet.crash_every is not None for version in alone)),
    ):
        if not is_possible and name in figures:
            figures[name] = exact(0.0, requests)
    return figures
