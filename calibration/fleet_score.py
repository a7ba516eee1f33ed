"""A forecast of a fleet that scales against measured runs: how many replicas, when, and the latency meanwhile.

What a run may do is a set of courses, one for each draw of the prediction. Scored are the replicas paid for in the
mean, their peak, the moments at which another number was wanted, and the p99 of each window of five seconds.

Each comes with two answers: whether the forecast was near enough, and whether the run lies where the forecast says that
single runs lie. A fleet at the edge between two numbers of replicas strays by more than the tolerance from run to run,
and its forecast says so.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

import numpy as np

from sim.forecast.intervals import prediction
from sim.outcome.fleet_course import WINDOW_NS, FleetCourse, FleetRun

__all__ = ["FLEET_TOLERANCES", "FleetScore", "Moment", "score_fleet"]

_S_NS = 1e9
_SET_SHARE = 0.95
_TIMER_S = 0.01
_SAME_SHARE = 0.05  # of the draws that must show a sequence for its moments to be compared

FLEET_TOLERANCES = {"replicas_mean": 0.05, "window_p99": 0.15}
"""How far a forecast may be off: relative errors, of the p99 the median over the windows. Moments: one tick."""


@dataclass(frozen=True)
class Moment:
    """One change of the wanted number: forecast, with its 95 % interval over single runs, and measured."""

    wanted: int
    forecast_s: float
    low_s: float
    high_s: float
    measured_s: float

    @property
    def error_s(self) -> float:
        """Forecast less measured."""
        return self.forecast_s - self.measured_s

    @property
    def inside(self) -> bool:
        """Whether the interval holds what was measured, to the precision of timers on a busy host."""
        return self.low_s - _TIMER_S <= self.measured_s <= self.high_s + _TIMER_S


@dataclass(frozen=True)
class FleetScore:
    """One measured run of a fleet against its prediction."""

    replicas_mean: float  # forecast: the mean of the draws, as servecast forecast gives it
    replicas_mean_low: float  # of the 95 % prediction interval of one run
    replicas_mean_high: float
    replicas_mean_measured: float
    peaks: dict[int, float]  # share of the draws by their peak
    peak_measured: int
    moments: tuple[Moment, ...]  # against the draws with the run's own sequence; empty where fewer than 5 % have it
    wanted_forecast: tuple[int, ...]  # the sequence of wanted numbers that most draws show
    wanted_measured: tuple[int, ...]
    wanted_share: float  # of the draws that show it
    wanted_measured_share: float  # of the draws that show what was measured
    window_p99_errors: tuple[float, ...]  # relative, of the windows in which both sides have one
    tick_s: float

    @property
    def replicas_mean_error(self) -> float:
        """The forecast's relative error."""
        return self.replicas_mean / self.replicas_mean_measured - 1

    @property
    def peak_set(self) -> tuple[int, ...]:
        """The likeliest peaks that together have 95 % of the draws, ascending."""
        kept: list[int] = []
        for peak, _ in sorted(self.peaks.items(), key=lambda item: -item[1]):
            if sum(self.peaks[each] for each in kept) < _SET_SHARE:
                kept.append(peak)
        return tuple(sorted(kept))

    @property
    def window_p99_error(self) -> float:
        """The median over the windows of the size of the error; NaN without a window."""
        return median(map(abs, self.window_p99_errors)) if self.window_p99_errors else math.nan

    @property
    def mean_within(self) -> bool:
        """Whether the forecast mean is near enough."""
        return abs(self.replicas_mean_error) <= FLEET_TOLERANCES["replicas_mean"]

    @property
    def mean_inside(self) -> bool:
        """Whether the interval of the mean holds what was measured."""
        return self.replicas_mean_low <= self.replicas_mean_measured <= self.replicas_mean_high

    @property
    def moments_within(self) -> int:
        """How many moments are within one tick."""
        return sum(abs(each.error_s) <= self.tick_s for each in self.moments)

    @property
    def moments_inside(self) -> int:
        """How many moments their intervals hold."""
        return sum(each.inside for each in self.moments)

    @property
    def within_tolerance(self) -> bool:
        """Whether everything that is judged is near enough: what several runs are judged by."""
        return self._others_within and self.mean_within and self.moments_within == len(self.moments)

    @property
    def as_forecast(self) -> bool:
        """Whether mean and moments are near enough or inside their intervals: what a single run can be judged by."""
        moments = all(each.inside or abs(each.error_s) <= self.tick_s for each in self.moments)
        return self._others_within and (self.mean_within or self.mean_inside) and moments

    @property
    def _others_within(self) -> bool:
        """Whether the peak is one of those forecast, and the latency near enough."""
        window = math.isnan(self.window_p99_error) or self.window_p99_error <= FLEET_TOLERANCES["window_p99"]
        return window and self.peak_measured in self.peak_set

    def to_json(self) -> dict[str, object]:
        """Return the score as plain values."""
        return {
            "replicas_mean": self.replicas_mean,
            "replicas_mean_low": self.replicas_mean_low,
            "replicas_mean_high": self.replicas_mean_high,
            "replicas_mean_measured": self.replicas_mean_measured,
            "replicas_mean_error": self.replicas_mean_error,
            "replicas_mean_within": self.mean_within,
            "replicas_mean_inside": self.mean_inside,
            "peaks": {str(peak): share for peak, share in sorted(self.peaks.items())},
            "peak_set": list(self.peak_set),
            "peak_measured": self.peak_measured,
            "wanted": {
                "forecast": list(self.wanted_forecast),
                "share": self.wanted_share,
                "measured": list(self.wanted_measured),
                "measured_share": self.wanted_measured_share,
            },
            "moments": [
                {
                    **vars(each),
                    "error_s": each.error_s,
                    "within_tick": abs(each.error_s) <= self.tick_s,
                    "inside": each.inside,
                }
                for each in self.moments
            ],
            "tick_s": self.tick_s,
            "window_s": WINDOW_NS / _S_NS,
            "window_p99_errors": list(self.window_p99_errors),
            "window_p99_error": None if math.isnan(self.window_p99_error) else self.window_p99_error,
            "within_tolerance": self.within_tolerance,
            "as_forecast": self.as_forecast,
        }


def score_fleet(drawn: Sequence[FleetRun], measured: FleetRun, to_ns: int, tick_ns: int) -> FleetScore:
    """Return how a measured run compares with the draws of its prediction, over [0, to_ns)."""
    means = [run.course.paid.mean(0, to_ns) for run in drawn]
    peaks = Counter(run.course.paid.peak(0, to_ns) for run in drawn)
    sequences = [_wanted(run.course, to_ns) for run in drawn]
    ((likeliest, often),) = Counter(sequences).most_common(1)
    own = _wanted(measured.course, to_ns)
    same = [run.course for run, sequence in zip(drawn, sequences, strict=True) if sequence == own]
    bounds = prediction(means)
    return FleetScore(
        replicas_mean=fmean(means),
        replicas_mean_low=bounds.low,
        replicas_mean_high=bounds.high,
        replicas_mean_measured=measured.course.paid.mean(0, to_ns),
        peaks={peak: count / len(drawn) for peak, count in peaks.items()},
        peak_measured=measured.course.paid.peak(0, to_ns),
        moments=_moments(same, measured.course, to_ns) if len(same) >= _SAME_SHARE * len(drawn) else (),
        wanted_forecast=likeliest,
        wanted_measured=own,
        wanted_share=often / len(drawn),
        wanted_measured_share=len(same) / len(drawn),
        window_p99_errors=_window_errors(drawn, measured),
        tick_s=tick_ns / _S_NS,
    )


def _wanted(course: FleetCourse, to_ns: int) -> tuple[int, ...]:
    """Return the numbers that are wanted one after the other, the first one at the start."""
    return tuple(course.wanted.values[course.wanted.moments_ns < to_ns].tolist())


def _moments(drawn: Sequence[FleetCourse], measured: FleetCourse, to_ns: int) -> tuple[Moment, ...]:
    """Return each change behind the start, of courses with the same sequence."""
    count = len(_wanted(measured, to_ns))
    forecast_s = np.array([course.wanted.moments_ns[:count] for course in drawn]) / _S_NS  # (draws, changes)
    lows, centres, highs = np.quantile(forecast_s, (0.025, 0.5, 0.975), axis=0, method="inverted_cdf")
    moments_s = measured.wanted.moments_ns[:count] / _S_NS
    values = measured.wanted.values[:count]
    return tuple(
        Moment(int(values[place]), *map(float, (centres[place], lows[place], highs[place], moments_s[place])))
        for place in range(1, count)
    )


def _window_errors(drawn: Sequence[FleetRun], measured: FleetRun) -> tuple[float, ...]:
    """Return the relative error of the p99 in each window in which the run and at least half of the draws have one."""
    p99_ms = np.array([run.window_p99_ms for run in drawn])  # (draws, windows)
    errors = []
    for window, own_ms in enumerate(measured.window_p99_ms.tolist()):
        known = p99_ms[:, window][~np.isnan(p99_ms[:, window])]
        if not math.isnan(own_ms) and 2 * len(known) >= len(drawn):
            errors.append(float(np.median(known)) / own_ms - 1)
    return tuple(errors)
