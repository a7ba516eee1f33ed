"""A picture of a fleet over time: replicas above, the p99 of each window below; forecast, and measured over it.

The forecast is dashed with a grey band, what was measured is a solid line.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sim.outcome.fleet_course import WINDOW_NS, FleetRun
from sim.report.figures import Picture
from sim.report.style import FORECAST, INTERVAL, MEASURED, log_scale, look, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["fleet_picture"]

Floats = npt.NDArray[np.float64]

_POINTS = 600
_BAND = (0.025, 0.5, 0.975)
_WIDTH_IN = 8.0


@look()
def fleet_picture(
    forecast: Sequence[FleetRun], measured: Sequence[FleetRun], to_ns: int, *, title: str = ""
) -> Picture:
    """Return the picture of [0, to_ns): draws of the forecast, at least one, and any number of measured runs."""
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(5.2, width_in=_WIDTH_IN, title=title)
    replicas, latency = figure.subplots(2, 1, sharex=True)
    moments_ns = np.linspace(0, to_ns, _POINTS, endpoint=False).astype(np.int64)
    _draw(
        replicas,
        moments_ns / 1e9,
        [_paid(run, moments_ns) for run in forecast],
        [_paid(run, moments_ns) for run in measured],
    )
    replicas.set_ylabel("replicas paid for (count)")
    replicas.set_ylim(bottom=0)
    replicas.yaxis.set_major_locator(MaxNLocator(integer=True))
    _label(replicas, len(measured))

    windows_s = np.arange(len(forecast[0].window_p99_ms)) * WINDOW_NS / 1e9
    _draw(latency, windows_s, [run.window_p99_ms for run in forecast], [run.window_p99_ms for run in measured])
    known = np.concatenate([run.window_p99_ms for run in (*forecast, *measured)])
    known = known[~np.isnan(known)]
    if len(known):
        log_scale(latency, "y", float(known.min()), float(known.max()))
    latency.set_ylabel(f"p99 of each {WINDOW_NS / 1e9:g} s (ms)")
    latency.set_xlabel("time (s)")
    latency.set_xlim(0, to_ns / 1e9)
    return Picture(figure)


def _paid(run: FleetRun, moments_ns: npt.NDArray[np.int64]) -> Floats:
    """Return the replicas that are paid for at each moment."""
    places = np.searchsorted(run.course.paid.moments_ns, moments_ns, side="right") - 1
    return np.where(places >= 0, run.course.paid.values[np.maximum(places, 0)], 0).astype(np.float64)


def _draw(axes: Axes, at_s: Floats, forecast: Sequence[Floats], measured: Sequence[Floats]) -> None:
    """Draw values that hold from each moment to the next: the band and the median of the draws, and each run."""
    draws = np.array(forecast)
    known = ~np.isnan(draws).all(axis=0)
    low, middle, high = np.full((3, len(at_s)), np.nan)
    if known.any():
        low[known], middle[known], high[known] = np.nanquantile(draws[:, known], _BAND, axis=0)
    axes.fill_between(at_s, low, high, step="post", **INTERVAL)
    for run in measured:
        axes.step(at_s, run, where="post", **MEASURED)
    axes.step(at_s, middle, where="post", **FORECAST)


def _label(axes: Axes, runs: int) -> None:
    """Name the lines."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    forecast = Line2D([], [], label="forecast", **FORECAST)
    handles = [forecast, Patch(label="95 % of single runs", **INTERVAL)]
    if runs:
        name = "measured" if runs == 1 else f"measured, {runs} runs"
        handles.append(Line2D([], [], label=name, **MEASURED))
    axes.legend(handles=handles, loc="upper left")
