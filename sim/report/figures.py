"""Pictures: the latency distribution as forecast, and as measured over it.

A distribution is drawn by its tail: how large a share of the answered requests is slower than x, on a logarithmic axis
where p50, p90 and p99 are ticks. The forecast is dashed with a grey band, what was measured is a solid line; how
pictures look is style.py's. matplotlib is imported when something is drawn, without a display.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO, StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sim.forecast.forecast import Forecast
from sim.forecast.latency_curve import LatencyCurve
from sim.outcome.quantiles import QUANTILE_NAMES
from sim.report.style import COLOURS, FORECAST, INTERVAL, MEASURED, SMALL, WIDTH_IN, log_scale, look, new_figure
from sim.report.tables import goal_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["LatencyPanel", "Picture", "forecast_panel", "latency_picture"]

Values = npt.NDArray[np.float64]

_TICKS = {0.5: "p50", 0.1: "p90", 0.01: "p99", 0.001: "p99.9", 0.0001: "p99.99"}
_DOTS_PER_INCH = 150

_GOAL_BEYOND = 10.0
"""A goal is drawn up to so many times the longest latency of the curve, and down to such a part of the least."""


@dataclass(frozen=True)
class LatencyPanel:
    """One load: what was forecast for it, and what was measured."""

    title: str
    forecast: LatencyCurve
    measured_ms: Sequence[Values] = ()  # latencies of the answered requests of each run, in any order
    goals_ms: Mapping[str, float] = field(default_factory=dict)  # limits of quantiles, by what people call them


def forecast_panel(forecast: Forecast, title: str = "") -> LatencyPanel:
    """Return the panel of a forecast alone, with its goals on quantiles."""
    goals = [goal for goal in forecast.goals if goal.goal in QUANTILE_NAMES]
    limits = {goal_name(goal.goal): goal.slower_than_ms or goal.limit for goal in goals}
    return LatencyPanel(title, forecast.latency_curve, goals_ms=limits)


class Picture:
    """A drawing: a notebook shows it, save() writes it, svg() is for a page."""

    def __init__(self, figure: Figure) -> None:
        self.figure = figure

    def save(self, path: str | Path) -> None:
        """Write it; the ending of the file says the format: .png, .svg or .pdf. Raises OSError."""
        with look():
            self.figure.savefig(path, dpi=_DOTS_PER_INCH)

    def svg(self) -> str:
        """Return it as an SVG element: no prolog, no background, no date."""
        buffer = StringIO()
        told = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        with look():
            self.figure.savefig(buffer, format="svg", transparent=True, metadata=told)
        text = buffer.getvalue()
        return text[text.index("<svg") :]

    def _repr_png_(self) -> bytes:
        """Return what a notebook shows."""
        buffer = BytesIO()
        with look():
            self.figure.savefig(buffer, dpi=_DOTS_PER_INCH // 2, format="png")
        return buffer.getvalue()


@look()
def latency_picture(panels: Sequence[LatencyPanel], *, title: str = "") -> Picture:
    """Return one picture with a panel for each load, side by side in rows of two."""
    columns = 1 if len(panels) < 2 else 2
    rows = math.ceil(len(panels) / columns)
    figure = new_figure(3.6 * rows + 0.4, width_in=WIDTH_IN * columns, title=title)
    for index, panel in enumerate(panels):
        _draw(figure.add_subplot(rows, columns, index + 1), panel)
    return Picture(figure)


def _draw(axes: Axes, panel: LatencyPanel) -> None:
    """Draw one load."""
    curve = panel.forecast
    slower = 1.0 - curve.quantiles
    axes.fill_betweenx(slower, curve.low_ms, curve.high_ms, **INTERVAL)
    for run in panel.measured_ms:
        axes.plot(*_tail(run), drawstyle="steps-post", **MEASURED)
    axes.plot(curve.latency_ms, slower, **FORECAST)
    for name, limit_ms in _goals_near(panel).items():
        _draw_goal(axes, name, limit_ms)
    _scale(axes, panel)
    axes.set_title(panel.title)
    axes.set_xlabel("latency (ms)")
    axes.set_ylabel("answered requests that are slower (%)")
    _label(axes, panel)


def _goals_near(panel: LatencyPanel) -> dict[str, float]:
    """Return the goals that can be shown: one far off would squeeze the distribution."""
    least, most = float(panel.forecast.latency_ms.min()), float(panel.forecast.latency_ms.max())
    return {name: ms for name, ms in panel.goals_ms.items() if least / _GOAL_BEYOND <= ms <= most * _GOAL_BEYOND}


def _draw_goal(axes: Axes, name: str, limit_ms: float) -> None:
    """Draw the limit of a goal, with its name along it."""
    axes.axvline(limit_ms, color=COLOURS["muted"], linestyle=":", linewidth=1.4)
    words, where = f"goal {name} {limit_ms:g} ms", (limit_ms, 0.98)
    style: dict[str, Any] = {"rotation": 90, "ha": "right", "va": "top", "fontsize": SMALL, "color": COLOURS["muted"]}
    axes.annotate(words, where, (-2, 0), xycoords=("data", "axes fraction"), textcoords="offset points", **style)


def _tail(latencies_ms: Values) -> tuple[Values, Values]:
    """Return sorted latencies and the share of requests slower than each; the largest, with share 0, is left out."""
    ordered = np.sort(latencies_ms)
    slower = 1.0 - np.arange(1, len(ordered) + 1) / len(ordered)
    return ordered[:-1], slower[:-1]


def _scale(axes: Axes, panel: LatencyPanel) -> None:
    """Set both axes to logarithms, with ticks that are plain numbers and quantiles."""
    from matplotlib.ticker import NullLocator

    goals_ms = np.array(list(_goals_near(panel).values()), dtype=np.float64)
    everything = np.concatenate([panel.forecast.latency_ms, panel.forecast.high_ms, *panel.measured_ms, goals_ms])
    least, most = float(everything.min()), float(everything.max())
    log_scale(axes, "x", least, most)
    axes.set_xlim(least * 0.9, most * 1.1)
    axes.set_yscale("log")
    axes.set_yticks(list(_TICKS), [f"{100 * share:g} % ({name})" for share, name in _TICKS.items()])
    axes.set_ylim(max(1.0 - float(panel.forecast.quantiles.max()), 1e-4) * 0.8, 1.0)
    axes.yaxis.set_minor_locator(NullLocator())


def _label(axes: Axes, panel: LatencyPanel) -> None:
    """Name the lines where they are, not in a legend elsewhere."""
    curve = panel.forecast
    at = int(np.searchsorted(curve.quantiles, 0.97))
    at = min(at, len(curve.quantiles) - 1)
    band = "forecast, 95 % band of one run"
    where = (float(curve.latency_ms[at]), 1.0 - float(curve.quantiles[at]))
    arrow = {"arrowstyle": "-", "color": COLOURS["muted"], "linewidth": 0.7}
    axes.annotate(band, where, (0.04, 0.10), textcoords="axes fraction", fontsize=SMALL, arrowprops=arrow)
    if panel.measured_ms:
        ordered, slower = _tail(panel.measured_ms[0])
        place = int(np.searchsorted(-slower, -0.25))
        place = min(place, len(ordered) - 1)
        where = (float(ordered[place]), float(slower[place]))
        name = "measured" if len(panel.measured_ms) == 1 else f"measured, {len(panel.measured_ms)} runs"
        blue = COLOURS["blue"]
        axes.annotate(
            name, where, (0.62, 0.90), textcoords="axes fraction", fontsize=SMALL, color=blue, arrowprops=arrow
        )
