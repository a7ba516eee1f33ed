"""A picture of a forecast over time, window by window: what comes, the replicas, latency, and what goes wrong.

Panels that would say nothing are left out: replicas that never change, failures that never happen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sim.forecast.windows import Window, WindowFigure
from sim.report.figures import Picture
from sim.report.style import INTERVAL, line, log_scale, look, new_figure, time_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["windows_picture"]

Floats = npt.NDArray[np.float64]
Read = Callable[[Window], WindowFigure]

_REPLICAS = {"replicas.paid": "paid for", "replicas.ready": "ready", "replicas.wanted": "wanted"}
_LATENCIES = {"latency_ms.p99": "p99", "latency_ms.p50": "p50"}
_LOST = {
    "refused_share": "refused",
    "timed_out_share": "timed out",
    "abandoned_share": "abandoned",
    "failed_share": "failed",
}
_PANEL_IN = 1.6
_AXIS_IN = 0.4
_TICKS = 3  # of a low panel
_ROOM = 1.08  # above the highest value


@look()
def windows_picture(windows: Sequence[Window]) -> Picture:
    """Return the picture of at least one window, one panel below the other over the same time."""
    panels = [_load]
    panels += [_replicas] if _changes(windows, "replicas.paid") else []
    panels += [_shares_of_versions] if _shares_change(windows) else []
    panels += [_latency]
    panels += [_lost] if any(_moves(windows, name) for name in _LOST) else []
    figure = new_figure(_PANEL_IN * len(panels) + _AXIS_IN)
    stacked = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    unit, unit_s = time_unit(windows[-1].to_s)
    at = np.array([window.from_s for window in windows] + [windows[-1].to_s]) / unit_s
    for axes, draw in zip(stacked, panels, strict=True):
        draw(axes, at, windows)
        axes.margins(x=0)
    stacked[-1].set_xlabel(f"time since the measured part began ({unit})")
    figure.align_ylabels()
    return Picture(figure)


def _load(axes: Axes, at: Floats, windows: Sequence[Window]) -> None:
    """Draw what was sent."""
    ends = _draw(axes, at, windows, {"": partial(_of, name="requests_per_s")})
    axes.set_ylabel("sent (requests/s)")
    axes.set_ylim(0, _ROOM * ends.max())


def _replicas(axes: Axes, at: Floats, windows: Sequence[Window]) -> None:
    """Draw how many replicas there were."""
    from matplotlib.ticker import MaxNLocator

    lines = {label: partial(_of, name=name) for name, label in _REPLICAS.items()}
    ends = _draw(axes, at, windows, lines, bands=1)
    axes.set_ylabel("replicas (count)")
    axes.set_ylim(0, _ROOM * ends.max())
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))


def _shares_of_versions(axes: Axes, at: Floats, windows: Sequence[Window]) -> None:
    """Draw which part of the requests each version took."""
    _draw(axes, at, windows, {name: partial(_share_of, version=name) for name in windows[0].versions}, factor=100.0)
    axes.set_ylabel("requests taken (%)")
    axes.set_ylim(0, 100 * _ROOM)


def _latency(axes: Axes, at: Floats, windows: Sequence[Window]) -> None:
    """Draw p50 and p99; a window with too few requests for one has none."""
    lines = {label: partial(_of, name=name) for name, label in _LATENCIES.items()}
    ends = _draw(axes, at, windows, lines)
    axes.set_ylabel("latency (ms)")
    if len(ends) and ends.min() > 0:
        log_scale(axes, "y", float(ends.min()), float(ends.max()), ticks_least=_TICKS)


def _lost(axes: Axes, at: Floats, windows: Sequence[Window]) -> None:
    """Draw the requests that had no answer, by what became of them."""
    lines = {label: partial(_of, name=name) for name, label in _LOST.items() if _moves(windows, name)}
    _draw(axes, at, windows, lines, factor=100.0)
    axes.set_ylabel("unanswered (%)")
    axes.set_ylim(bottom=0)


def _draw(
    axes: Axes, at: Floats, windows: Sequence[Window], lines: Mapping[str, Read], *, factor: float = 1.0, bands: int = 2
) -> Floats:
    """Draw values that hold from each edge to the next, the first ones with their intervals; return all that is known.

    `at` has one edge more than there are windows. A line that no window knows is not named.
    """
    seen = [np.empty(0)]
    for place, (label, read) in enumerate(lines.items()):
        figures = [read(window) for window in windows]
        value, low, high = (
            factor * np.array([math.nan if end is None else end for end in ends])
            for ends in zip(*((each.value, each.low, each.high) for each in figures), strict=True)
        )
        if not np.isfinite(value).any():
            continue
        if place < bands:
            axes.fill_between(at, _held(low), _held(high), step="post", **INTERVAL)
        axes.step(at, _held(value), where="post", label=label, **line(place))
        seen += [value, low, high] if place < bands else [value]
    if any(lines) and axes.lines:
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 0.97), borderaxespad=0.0, ncols=len(axes.lines))
    ends = np.concatenate(seen)
    return ends[np.isfinite(ends)]


def _held(values: Floats) -> Floats:
    """Return values with the last one once more: it holds to the end of its window."""
    return np.append(values, values[-1:])


def _of(window: Window, name: str) -> WindowFigure:
    return window.figures[name]


def _share_of(window: Window, version: str) -> WindowFigure:
    return window.versions[version]["request_share"]


def _changes(windows: Sequence[Window], name: str) -> bool:
    """Return whether a figure differs between two windows."""
    return len({window.figures[name].value for window in windows}) > 1


def _moves(windows: Sequence[Window], name: str) -> bool:
    """Return whether a share is above 0 in any window."""
    return any(window.figures[name].value for window in windows)


def _shares_change(windows: Sequence[Window]) -> bool:
    """Return whether the versions' shares of the requests differ over time by more than their intervals leave open."""
    for name in windows[0].versions:
        known = [each for each in (_share_of(window, name) for window in windows) if each.low is not None]
        if known and max(each.low or 0.0 for each in known) > min(
            1.0 if each.high is None else each.high for each in known
        ):
            return True
    return False
