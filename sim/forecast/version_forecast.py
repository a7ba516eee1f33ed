"""What a forecast says of each version: the figures of the requests that it took, and those of its copies.

Figures are named as the forecast's own, over the version's requests and its own replicas. Copies have no client: their
times run from the enqueue until the result is there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from sim.forecast.estimates import FLEET_METRICS, METRICS, Figure, estimate, mean_of_runs, ratio
from sim.forecast.replications import Replication
from sim.forecast.spending import version_fleet_values
from sim.outcome.quantiles import quantile
from sim.outcome.version_runs import VersionRun
from sim.scenario.spec import Scenario
from sim.scenario.versions import each_version, version_names

__all__ = ["VersionForecast", "version_forecasts"]


@dataclass(frozen=True)
class VersionForecast:
    """One version: `request_share` is its share of the requests, the other figures are over those."""

    name: str
    figures: dict[str, Figure]

    def __getitem__(self, name: str) -> Figure:
        """Return a figure by its name, `.` between the levels."""
        return self.figures[name]


def version_forecasts(
    scenario: Scenario,
    central: Sequence[Replication],
    drawn: Sequence[Replication] | None,
    *,
    calibration_known: bool,
) -> tuple[VersionForecast, ...]:
    """Return each version's forecast, none where there is one only."""
    if not central[0].versions:
        return ()
    return tuple(
        VersionForecast(name, _figures(alone, version, central, drawn, calibration_known))
        for version, (name, alone) in enumerate(zip(version_names(scenario), each_version(scenario), strict=True))
    )


def _figures(
    alone: Scenario,
    version: int,
    central: Sequence[Replication],
    drawn: Sequence[Replication] | None,
    known: bool,
) -> dict[str, Figure]:
    """Return every figure of a version."""

    def of_runs(read: Callable[[Replication, VersionRun], float], most: float = math.inf) -> Figure:
        others = None if drawn is None else [read(run, run.versions[version]) for run in drawn]
        return mean_of_runs(
            [read(run, run.versions[version]) for run in central], others, calibration_known=known, most=most
        )

    measures = [run.versions[version].measures for run in central]
    of_drawn = None if drawn is None else [run.versions[version].measures for run in drawn]
    return {
        "request_share": of_runs(lambda run, mine: ratio(mine.measures.requests, run.measures.requests), 1.0),
        **{name: estimate(metric, measures, of_drawn, calibration_known=known) for name, metric in METRICS.items()},
        **{name: of_runs(partial(_fleet_value, alone, name)) for name in FLEET_METRICS},
        "copies_per_s": of_runs(lambda _, mine: mine.copies / mine.measures.window_s),
        "copies_refused_share": of_runs(lambda _, mine: ratio(mine.copies_refused, mine.copies), 1.0),
        "copy_ms.p50": of_runs(lambda _, mine: _copy_ms(mine, 0.5)),
        "copy_ms.p99": of_runs(lambda _, mine: _copy_ms(mine, 0.99)),
    }


def _fleet_value(alone: Scenario, name: str, _: Replication, mine: VersionRun) -> float:
    """Return a figure of a version's replicas, its spare ones among them."""
    return version_fleet_values(alone, mine.measures)[name]


def _copy_ms(run: VersionRun, q: float) -> float:
    """Return a quantile of the times of the answered copies; NaN where they are too few to have it."""
    if len(run.copy_ns) * (1.0 - q) < 1.0:
        return math.nan
    return float(quantile(run.copy_ns, q)) / 1e6
