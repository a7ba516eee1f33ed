"""The measured time cut into windows: how load, latency and refusals go over time.

Requests belong to the window in which they were intended. Windows are short, so a quantile is given from the requests
of all runs together and left out below EXCEEDANCES_MIN of them beyond it; its interval comes from the runs' spread.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType

from sim.forecast.estimates import METRICS, Metric, ratio, tree_of
from sim.forecast.intervals import Bounds, confidence, exceedances_are_enough
from sim.outcome.fleet_course import FleetCourse, Steps
from sim.outcome.measures import MeasuredRun

__all__ = ["WINDOWS_MIN", "Window", "WindowFigure", "windows"]

WINDOWS_MIN = 20
WINDOWS_MAX = 100

_ANY = Bounds(0.0, math.inf)

_REQUESTS_WANTED = 200
"""Requests of one run that a window should hold, where that leaves windows enough."""

_FLEET: dict[str, Callable[[FleetCourse], Steps]] = {
    "replicas.wanted": lambda fleet: fleet.wanted,
    "replicas.paid": lambda fleet: fleet.paid,
    "replicas.ready": lambda fleet: fleet.ready,
}

_SHOWN = (
    "latency_ms.mean",
    "latency_ms.p50",
    "latency_ms.p99",
    "refused_share",
    "timed_out_share",
    "abandoned_share",
    "failed_share",
)


@dataclass(frozen=True)
class WindowFigure:
    """A figure of one window with its 95 % confidence interval; None where the window has too few requests."""

    value: float | None
    low: float | None = None
    high: float | None = None

    def to_json(self) -> dict[str, object]:
        """Return the figure in the form of the forecast's JSON."""
        return {"value": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True)
class Window:
    """One window, in seconds since the measured time began."""

    from_s: float
    to_s: float
    figures: dict[str, WindowFigure]  # by the names of the forecast's figures, and requests_per_s: what was sent
    versions: dict[str, dict[str, WindowFigure]] = field(default_factory=dict)  # by name: of each, where several are

    def to_json(self) -> dict[str, object]:
        """Return the window in the form of the forecast's JSON, `.` in names resolved into levels."""
        content: dict[str, object] = {"from_s": self.from_s, "to_s": self.to_s, **tree_of(self.figures)}
        if self.versions:
            content["versions"] = {name: tree_of(figures) for name, figures in self.versions.items()}
        return content


def windows(
    runs: Sequence[MeasuredRun], versions: Mapping[str, Sequence[MeasuredRun]] = MappingProxyType({})
) -> list[Window]:
    """Return from WINDOWS_MIN to WINDOWS_MAX windows of equal length; the runs are measured over the same time.

    `versions` are the parts of the runs that each version took, by its name.
    """
    fewest = min(run.requests for run in runs)
    count = min(max(fewest // _REQUESTS_WANTED, WINDOWS_MIN), WINDOWS_MAX, runs[0].parts_max)
    edges = runs[0].edges_ns(count)
    return [_window(runs, versions, low, high, edges[0]) for low, high in pairwise(edges) if high > low]


def _window(
    runs: Sequence[MeasuredRun],
    versions: Mapping[str, Sequence[MeasuredRun]],
    low_ns: int,
    high_ns: int,
    origin_ns: int,
) -> Window:
    """Return one window of all runs."""
    parts = [run.part(low_ns, high_ns) for run in runs]
    figures = _figures(parts)
    of_versions = {
        name: _of_version(parts, [run.part(low_ns, high_ns) for run in of_runs]) for name, of_runs in versions.items()
    }
    return Window((low_ns - origin_ns) / 1e9, (high_ns - origin_ns) / 1e9, figures, of_versions)


def _of_version(whole: Sequence[MeasuredRun], parts: Sequence[MeasuredRun]) -> dict[str, WindowFigure]:
    """Return the figures of one version in one window."""
    shares = [ratio(part.requests, run.requests) for part, run in zip(parts, whole, strict=True)]
    pooled = ratio(sum(part.requests for part in parts), sum(run.requests for run in whole))
    share = _with_interval(pooled, shares, Bounds(0.0, 1.0)) if math.isfinite(pooled) else WindowFigure(None)
    return {"request_share": share, **_figures(parts)}


def _figures(parts: Sequence[MeasuredRun]) -> dict[str, WindowFigure]:
    """Return the figures of one window."""
    rates = [part.requests / part.window_s for part in parts]
    figures = {"requests_per_s": _with_interval(math.fsum(rates) / len(rates), rates)}
    for name, read in _FLEET.items():
        counts = [read(part.fleet).mean(part.from_ns, part.to_ns) for part in parts]
        figures[name] = _with_interval(math.fsum(counts) / len(counts), counts)
    for name in _SHOWN:
        figures[name] = _figure(METRICS[name], parts)
    return figures


def _figure(metric: Metric, parts: Sequence[MeasuredRun]) -> WindowFigure:
    """Return one figure of one window."""
    value = metric.pooled(parts)
    samples = sum(metric.samples(part) for part in parts)
    if not math.isfinite(value) or (metric.q is not None and not exceedances_are_enough(samples, metric.q)):
        return WindowFigure(None)
    return _with_interval(value, [metric.pooled([part]) for part in parts], metric.possible(parts))


def _with_interval(value: float, runs: Sequence[float], possible: Bounds = _ANY) -> WindowFigure:
    """Return a value with its interval, without where a run has nothing to show."""
    if not all(map(math.isfinite, runs)):
        return WindowFigure(value)
    bounds = confidence(value, runs).clipped(possible.low, possible.high)
    return WindowFigure(value, bounds.low, bounds.high)
