"""From runs to figures: each with its confidence interval in two named parts, and its prediction interval.

`sampling` is what finitely many runs leave open, `calibration` what the uncertainty of the calibrated parameters adds;
`low` and `high` hold both. A quantile that the runs do not support is no figure: it says why.

A few runs of which one meets a burst spread so far that Student's t reaches down to 0 and below. No interval of a
latency ends below the shortest that any run showed, which is what a request takes by itself; on drawn calibrations,
below the shortest that a further draw would show.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

from policy.timeline import Outcome
from sim.forecast.intervals import (
    EXCEEDANCES_MIN,
    LEVEL,
    MORE_THAN_NEEDED,
    Bounds,
    PredictionBounds,
    confidence,
    effective_samples_of,
    exceedances_are_enough,
    none_seen_high,
    prediction,
    student_t,
)
from sim.outcome.latencies import Latencies
from sim.outcome.measures import MeasuredRun
from sim.outcome.quantiles import QUANTILE_NAMES

__all__ = [
    "FLEET_METRICS",
    "METRICS",
    "Figure",
    "Metric",
    "answers_of",
    "estimate",
    "exact",
    "mean_of_runs",
    "ratio",
    "requests_of",
    "tree_of",
]


@dataclass(frozen=True)
class Figure:
    """One figure of a forecast. Without a value it says why; `low` and `high` are the 95 % confidence interval."""

    value: float | None
    low: float | None = None
    high: float | None = None
    sampling: Bounds | None = None
    calibration: Bounds | None = None  # None beside a value: the calibration does not tell its uncertainty
    prediction: PredictionBounds | None = None
    samples: int = 0
    effective_samples: float | None = None  # of a quantile: independent requests that one run is worth
    why: str | None = None
    runs: tuple[float, ...] = field(default=(), compare=False, repr=False)
    """What each run showed, NaN for nothing; empty for a figure that is not read from runs, or that none showed."""
    drawn: tuple[float, ...] = field(default=(), compare=False, repr=False)  # the same on a drawn calibration each

    def to_json(self) -> dict[str, object]:
        """Return the figure in the form of the forecast's JSON."""
        content: dict[str, object] = {
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "sampling": _ends(self.sampling),
            "calibration": _ends(self.calibration),
            "prediction": _ends(self.prediction),
            "samples": self.samples,
        }
        if self.effective_samples is not None:
            content["effective_samples"] = round(self.effective_samples, 1)
        if self.why is not None:
            content["why"] = self.why
        for name, values in (("runs", self.runs), ("drawn", self.drawn)):
            if values:
                content[name] = [value if math.isfinite(value) else None for value in values]
        return content


@dataclass(frozen=True)
class Metric:
    """How a figure is read from any number of runs pooled, and of how many things it is made."""

    pooled: Callable[[Sequence[MeasuredRun]], float]  # NaN where there is nothing to read it from
    samples: Callable[[MeasuredRun], int]
    most: float = math.inf
    least: Callable[[Sequence[MeasuredRun]], float] | None = None  # below which none can lie, by any runs; None: 0
    q: float | None = None  # of a quantile
    cases: Callable[[Sequence[MeasuredRun]], float] | None = None  # of a share: independent ones that runs are worth

    def possible(self, runs: Sequence[MeasuredRun]) -> Bounds:
        """Return between what the figure must lie, whatever further runs like these show."""
        return Bounds(0.0 if self.least is None else self.least(runs), self.most)


def _latencies(runs: Sequence[MeasuredRun]) -> Latencies:
    """Return the latencies of all answered requests of runs that were made in the same way."""
    first, *others = [run.latencies for run in runs]
    return first.joined(others)


def answers_of(run: MeasuredRun) -> int:
    """Return the answered requests, of which the latencies are."""
    return run.count(Outcome.ANSWERED)


def requests_of(run: MeasuredRun) -> int:
    """Return the requests of which the shares are shares."""
    return run.requests


def _passes(run: MeasuredRun) -> int:
    return run.passes


def _mean_ms(runs: Sequence[MeasuredRun]) -> float:
    return _latencies(runs).mean_ns() / 1e6


def _least_ms(runs: Sequence[MeasuredRun]) -> float:
    """Return the shortest latency that any of the runs showed, 0 without any."""
    return min((run.latencies.least_ns() for run in runs if len(run.latencies)), default=0.0) / 1e6


def _quantile_ms(runs: Sequence[MeasuredRun], q: float) -> float:
    return _latencies(runs).quantile_ns(q) / 1e6


def _share(runs: Sequence[MeasuredRun], outcome: Outcome) -> float:
    requests = sum(run.requests for run in runs)
    return sum(run.count(outcome) for run in runs) / requests if requests else math.nan


def _throughput(runs: Sequence[MeasuredRun]) -> float:
    return sum(run.delivered for run in runs) / sum(run.window_s for run in runs)


def _batch_size(runs: Sequence[MeasuredRun]) -> float:
    passes = sum(run.passes for run in runs)
    return sum(run.batched for run in runs) / passes if passes else math.nan


def _gpu_busy(runs: Sequence[MeasuredRun]) -> float:
    return sum(run.gpu_busy_share * run.window_s for run in runs) / sum(run.window_s for run in runs)


def _per_run(runs: Sequence[MeasuredRun], read: Callable[[MeasuredRun], float]) -> float:
    return math.fsum(read(run) for run in runs) / len(runs)


def _replicas_paid(run: MeasuredRun) -> int:
    return run.replicas_peak


def _independent_requests(runs: Sequence[MeasuredRun]) -> float:
    """Return what the requests are worth by their latencies: what leads to a refusal comes in clusters as they do."""
    return len(runs) * effective_samples_of([run.latencies.batch_means(None) for run in runs])


METRICS: dict[str, Metric] = {
    "latency_ms.mean": Metric(_mean_ms, answers_of, least=_least_ms),
    **{
        f"latency_ms.{name}": Metric(partial(_quantile_ms, q=q), answers_of, q=q, least=_least_ms)
        for name, q in QUANTILE_NAMES.items()
    },
    "throughput_per_s": Metric(_throughput, answers_of),
    "refused_share": Metric(
        partial(_share, outcome=Outcome.REFUSED), requests_of, most=1.0, cases=_independent_requests
    ),
    "timed_out_share": Metric(
        partial(_share, outcome=Outcome.TIMED_OUT), requests_of, most=1.0, cases=_independent_requests
    ),
    "abandoned_share": Metric(
        partial(_share, outcome=Outcome.ABANDONED), requests_of, most=1.0, cases=_independent_requests
    ),
    "failed_share": Metric(partial(_share, outcome=Outcome.FAILED), requests_of, most=1.0, cases=_independent_requests),
    "batch_size_mean": Metric(_batch_size, _passes),
    "gpu_busy_share": Metric(_gpu_busy, _passes, most=1.0),
}
"""The measured figures of requests and passes by their names in a forecast's JSON, `.` between the levels."""

FLEET_METRICS: dict[str, Metric] = {
    "replicas.mean": Metric(partial(_per_run, read=lambda run: run.replicas_mean), _replicas_paid),
    "replicas.peak": Metric(partial(_per_run, read=lambda run: run.replicas_peak), _replicas_paid),
    "gpu_hours": Metric(partial(_per_run, read=lambda run: run.replica_hours), _replicas_paid),
}
"""The same of replicas, those that run; sim/forecast/spending.py says which are paid for, spare ones too."""


def ratio(part: int, whole: int) -> float:
    """Return a part as a share of the whole, NaN of nothing."""
    return part / whole if whole else math.nan


class _Told(Protocol):
    """What has a form in JSON."""

    def to_json(self) -> dict[str, object]:
        """Return that form."""


def tree_of(figures: Mapping[str, _Told]) -> dict[str, Any]:
    """Return figures for JSON, `.` in their names resolved into levels."""
    tree: dict[str, Any] = {}
    for name, figure in figures.items():
        group, _, key = name.rpartition(".")
        (tree.setdefault(group, {}) if group else tree)[key] = figure.to_json()
    return tree


def exact(value: float, samples: int = 0) -> Figure:
    """Return a figure that the scenario fixes."""
    point = Bounds(value, value)
    return Figure(value, value, value, point, point, PredictionBounds(value, value, "exact", 0), samples)


def estimate(
    metric: Metric,
    central: Sequence[MeasuredRun],
    drawn: Sequence[MeasuredRun] | None = None,
    *,
    calibration_known: bool = True,
) -> Figure:
    """Return a figure from runs on the central calibration and, pair by pair, runs on one drawn calibration each.

    Without `drawn` the parameters are taken as exact; `calibration_known` False says that they are not and nothing is
    known of their uncertainty.
    """
    samples = sum(metric.samples(run) for run in central)
    value = metric.pooled(central)
    runs = [metric.pooled([run]) for run in central]
    others = runs if drawn is None else [metric.pooled([run]) for run in drawn]
    if not all(map(math.isfinite, [*runs, *others])):
        return Figure(None, samples=samples, why=f"at least one of {len(runs)} runs has nothing to read it from")
    worth = None
    if metric.q is not None:
        worth = effective_samples_of([run.latencies.batch_means(round(value * 1e6)) for run in central])
        if not exceedances_are_enough(worth, metric.q):
            return Figure(None, samples=samples, effective_samples=worth, why=_too_few(worth, metric.q))
    figure = _from_runs(
        value,
        runs,
        others,
        is_drawn=drawn is not None,
        known=calibration_known,
        possible=_possible(metric, central, drawn),
    )
    told = () if drawn is None else tuple(others)
    figure = replace(figure, samples=samples, effective_samples=worth, runs=tuple(runs), drawn=told)
    if metric.cases is not None and value == 0.0 and not any(others):
        return _with_unseen(figure, central, metric.cases)
    return figure


def mean_of_runs(
    values: Sequence[float],
    drawn: Sequence[float] | None = None,
    *,
    calibration_known: bool = True,
    least: float = 0.0,
    most: float = math.inf,
) -> Figure:
    """Return the mean of what each run showed as a figure; NaN where a run has nothing to show, and those are left out.

    It cannot be below `least` or above `most`, and so neither can its intervals be. Below two runs that show it there
    is no figure, and it says so.
    """
    shown = [value for value in values if math.isfinite(value)]
    pairs = None
    if drawn is not None:
        both = [pair for pair in zip(values, drawn, strict=True) if all(map(math.isfinite, pair))]
        shown, pairs = [one for one, _ in both], [other for _, other in both]
    if len(shown) < 2:
        return Figure(
            None, samples=len(shown), why=f"{len(shown)} of {len(values)} runs have something to read it from"
        )
    figure = _from_runs(
        math.fsum(shown) / len(shown),
        shown,
        shown if pairs is None else pairs,
        is_drawn=pairs is not None,
        known=calibration_known,
        possible=Bounds(least, most),
    )
    return replace(figure, samples=len(shown), runs=tuple(values), drawn=tuple(drawn or ()))


def _from_runs(
    value: float, runs: Sequence[float], others: Sequence[float], *, is_drawn: bool, known: bool, possible: Bounds
) -> Figure:
    """Return a figure with its intervals, from what the runs showed on the central calibration and on drawn ones.

    What of an interval is not `possible` is cut off.
    """
    least, most = possible.low, possible.high
    sampling = confidence(value, runs)
    calibrated = _calibration_half(runs, others) if is_drawn else 0.0
    half = math.hypot(sampling.high - value, calibrated)
    whole = Bounds(value - half, value + half).clipped(least, most)
    return Figure(
        value=value,
        low=whole.low,
        high=whole.high,
        sampling=sampling.clipped(least, most),
        calibration=Bounds(value - calibrated, value + calibrated).clipped(least, most) if known else None,
        prediction=prediction(others).clipped(least, most),
    )


def _possible(metric: Metric, central: Sequence[MeasuredRun], drawn: Sequence[MeasuredRun] | None) -> Bounds:
    """Return between what a figure must lie; a calibration that may be off moves its lower end too."""
    bounds = metric.possible(central)
    if drawn is None or metric.least is None:
        return bounds
    of_a_draw = prediction([metric.least([run]) for run in drawn])
    return Bounds(max(min(bounds.low, of_a_draw.low), 0.0), bounds.high)


def _calibration_half(central: Sequence[float], drawn: Sequence[float]) -> float:
    """Return the half-width that the calibration adds: t times the root mean square shift of the pairs.

    Unlike sampling it does not shrink with the number of runs: more simulation does not calibrate better.
    """
    shifts = [one - other for one, other in zip(drawn, central, strict=True)]
    mean_square = math.fsum(shift * shift for shift in shifts) / len(shifts)
    return student_t(LEVEL, len(shifts) - 1) * math.sqrt(mean_square)


def _with_unseen(
    figure: Figure, runs: Sequence[MeasuredRun], cases: Callable[[Sequence[MeasuredRun]], float]
) -> Figure:
    """Return a share of which nothing was seen with the upper limit that so many independent cases give."""
    if all(run.latencies.equals(runs[0].latencies) for run in runs):
        return figure  # nothing is left to chance: a recorded schedule and constant times
    high = none_seen_high(cases(runs))
    bounds = Bounds(0.0, high)
    unseen = PredictionBounds(0.0, high, "none seen", len(runs))
    return Figure(0.0, 0.0, high, bounds, figure.calibration, unseen, figure.samples)


def _too_few(worth: float, q: float) -> str:
    """Say how far the runs are from supporting a quantile."""
    times = MORE_THAN_NEEDED * EXCEEDANCES_MIN / max(worth * (1.0 - q), 1e-9)
    about = f"{math.ceil(10 * times) / 10:.1f}" if times < 10 else f"{times:.0f}"
    return (
        f"a run shows {worth * (1.0 - q):.1f} independent answers beyond it, and {EXCEEDANCES_MIN:.0f} are needed, "
        f"in runs about {about} times as long, some of that to spare (horizon.duration, if the load does not change "
        "over time; of a trace with traffic.arrivals.repeat)"
    )


def _ends(bounds: Bounds | None) -> dict[str, object]:
    """Return an interval in the form of the forecast's JSON."""
    if bounds is None:
        return {"low": None, "high": None}
    ends: dict[str, object] = {"low": bounds.low, "high": bounds.high}
    if isinstance(bounds, PredictionBounds):
        ends |= {"method": bounds.method, "draws": bounds.draws}
    return ends
