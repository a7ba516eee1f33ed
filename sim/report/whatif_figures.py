"""Pictures of what-if: curves of one varied key, heat maps of two, or how far each key alone moves a figure.

In the look of style.py: what is forecast is dashed with a band, a goal is dotted, the base case has a ring or a frame,
and a configuration without an answer is crossed out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from sim.errors import ScenarioError
from sim.planner.grid import Axis
from sim.planner.whatif import Row, WhatIf
from sim.report.figures import Picture
from sim.report.style import COLOURS, FORECAST, INTERVAL, SMALL, log_scale, log_ticks, look, new_figure
from sim.report.tables import goal_in_words, label_of
from sim.report.units import digits_of, quantity, unit_of
from sim.scenario.units import parse_rate_per_s, parse_share, parse_time_ns

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["refuse_undrawable", "whatif_picture"]

Values = npt.NDArray[np.float64]

_PANELS_MOST: Final = 4
_CELLS_WITH_TEXT: Final = 120
_PANEL_IN: Final = 2.7
_ROW_IN: Final = 0.42
_AXIS_IN: Final = 0.8
_MISSED: Final = "///"
_GREY_MOST: Final = "0.5"
"""How dark a map gets: numbers and hatching must be seen on it."""

_LOG_FROM: Final = 20.0
"""From so many times the least value on, the most is drawn on a logarithmic scale."""

_ROOM_ABOVE: Final = 1.05
"""So much higher than what is drawn an axis is: a mark at its end would be cut."""

_LABEL_WIDTH: Final = 20
"""Letters of a label in one line."""

_LABELS_APART: Final = 0.06
"""Share of an axis within which labels would stand on each other."""


_TICKS_LEVEL: Final = 6

_RING: Final[Mapping[str, Any]] = {
    "marker": "o",
    "markersize": 10,
    "markerfacecolor": "none",
    "color": COLOURS["ink"],
    "linestyle": "none",
}
_CROSS: Final[Mapping[str, Any]] = {"marker": "x", "color": COLOURS["ink"], "linestyle": "none", "clip_on": False}


def refuse_undrawable(axes: Sequence[Axis], *, grid: bool) -> None:
    """Raise ScenarioError where no picture shows so many keys at once."""
    varied = sum(len(axis.values) > 1 for axis in axes)
    if not varied or (grid and varied > 2):
        raise ScenarioError(f"A picture must have one or two varied keys, or one at a time. Got {varied} in a grid.")


@look()
def whatif_picture(answer: WhatIf) -> Picture:
    """Return the picture of the first figures that were asked for. Raises ScenarioError as refuse_undrawable does."""
    refuse_undrawable(answer.axes, grid=answer.is_grid)
    names = _drawn(answer)
    draw = _bars if not answer.is_grid else _curve if len(answer.axes) == 1 else _map
    panel_in = _ROW_IN * len(answer.axes) + _AXIS_IN if draw is _bars else _PANEL_IN
    meaning = "\nframe: base case; hatched: goal missed; x: not known" if draw is _map else ""
    figure = new_figure(panel_in * len(names) + _AXIS_IN / 2, title=answer.name + meaning)
    for axes, name in zip(figure.subplots(len(names), 1, squeeze=False)[:, 0], names, strict=True):
        draw(axes, answer, name)
    return Picture(figure)


def _drawn(answer: WhatIf) -> list[str]:
    """Return the figures that have a panel: one that is the same everywhere has none, unless all are."""
    values = {
        name: {quantity(name, value) for row in answer.rows if (value := _value(row, name)) is not None}
        for name in answer.figures
    }
    changing = [name for name, found in values.items() if len(found) > 1]
    known = [name for name, found in values.items() if found]
    return (changing or known or list(answer.figures[:1]))[:_PANELS_MOST]


def _curve(axes: Axes, answer: WhatIf, name: str) -> None:
    """Draw a figure over the values of the one key, with its 95 % confidence."""
    (axis,) = answer.axes
    at, unit = _numbers(axis)
    values, low, high = (
        _shown(name, [_end(row, name, end) for row in answer.rows]) for end in ("value", "low", "high")
    )
    if unit is None:  # words have no order: no line leads from one to the next
        spread = np.abs(np.array([values - low, high - values]))
        axes.errorbar(
            at, values, spread, fmt="o", color=FORECAST["color"], capsize=4, label="forecast, 95 % confidence"
        )
        axes.set_xlim(at[0] - 0.5, at[-1] + 0.5)
    else:
        axes.fill_between(at, low, high, **INTERVAL, label="95 % confidence")
        axes.plot(at, values, **FORECAST, marker=".", label="forecast")
    axes.plot([at[answer.base]], [values[answer.base]], **_RING, label="base case")
    for goal in answer.rows[answer.base].goals:
        if goal.figure == name:
            (limit,) = _shown(name, [goal.limit])
            axes.axhline(
                limit, color=COLOURS["muted"], linestyle=":", linewidth=1.4, label=f"goal {goal_in_words(goal)}"
            )
    missing = np.isnan(values)
    if missing.any():
        bottom = np.full(int(missing.sum()), 0.03)
        axes.plot(at[missing], bottom, transform=axes.get_xaxis_transform(), **_CROSS, label="not known")
    if unit is None:
        axes.set_xticks(at, _folded(axis.values), fontsize=SMALL - 1)
    axes.set_xlabel(axis.key if unit is None else f"{axis.key} ({unit})")
    axes.set_ylabel(_axis_label(answer, name))
    if _needs_logarithm(values):
        log_scale(axes, "y", float(np.nanmin(values)), float(np.nanmax(values)))
    else:
        axes.set_ylim(0, _ROOM_ABOVE * axes.get_ylim()[1])
    axes.legend(handlelength=3)


def _map(axes: Axes, answer: WhatIf, name: str) -> None:
    """Draw a figure as shades over the values of two keys; where a goal on it is missed, the field is hatched."""
    from matplotlib.colors import LinearSegmentedColormap, LogNorm

    down, across = answer.axes
    shape = (len(down.values), len(across.values))
    values = _shown(name, [_value(row, name) for row in answer.rows]).reshape(shape)
    greys = LinearSegmentedColormap.from_list("greys", ["white", _GREY_MOST])
    norm = LogNorm() if _needs_logarithm(values) else None
    image = axes.imshow(values, cmap=greys, norm=norm, aspect="auto", origin="lower")
    figure = axes.get_figure()
    assert figure is not None
    bar = figure.colorbar(image, ax=axes, label=_axis_label(answer, name))
    if norm is not None:
        ticks = log_ticks(float(np.nanmin(values)), float(np.nanmax(values)))
        bar.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks], minor=False)
        bar.minorticks_off()
    for place, row in enumerate(answer.rows):
        y, x = divmod(place, shape[1])
        if values.size <= _CELLS_WITH_TEXT:
            text = "x" if math.isnan(values[y, x]) else digits_of(float(values[y, x]))
            box = {"boxstyle": "square,pad=0.15", "facecolor": "white", "edgecolor": "none"}
            axes.text(x, y, text, ha="center", va="center", fontsize=SMALL - 2, bbox=box)
        if any(goal.figure == name and goal.value is not None and not goal.met for goal in row.goals):
            _frame(axes, x, y, hatch=_MISSED, edgecolor=COLOURS["muted"], linewidth=0)
        if place == answer.base:
            _frame(axes, x, y, edgecolor=COLOURS["ink"], linewidth=2)
    axes.set_xticks(range(shape[1]), _folded(across.values), rotation=45 if shape[1] > _TICKS_LEVEL else 0)
    axes.set_yticks(range(shape[0]), _folded(down.values))
    axes.set_xlabel(_key_label(across))
    axes.set_ylabel(_key_label(down))
    axes.grid(visible=False)


def _bars(axes: Axes, answer: WhatIf, name: str) -> None:
    """Draw how far each key alone moves a figure from the base case, the one that moves it most on top."""
    moved: list[tuple[Axis, list[tuple[Row, Values]]]] = []
    for axis in answer.axes:
        rows = [row for row in answer.rows if axis.key in row.changes and row is not answer.rows[answer.base]]
        found = [(row, row.differences[name]) for row in rows if name in row.differences]
        moved.append((axis, [(row, _shown(name, [each.value, each.low, each.high])) for row, each in found]))
    moved.sort(key=lambda each: max((abs(float(ends[0])) for _, ends in each[1]), default=0.0))
    everything = [0.0, *(float(end) for _, ends in moved for _, three in ends for end in three)]
    apart = _LABELS_APART * (max(everything) - min(everything))
    for place, (axis, ends) in enumerate(moved):
        reach = [0.0, *(float(value) for _, (value, _, _) in ends)]
        axes.barh(place, max(reach) - min(reach), left=min(reach), height=0.4, color=COLOURS["band"])
        for _, (value, low, high) in ends:
            axes.plot([low, high], [place, place], color=COLOURS["ink"], linewidth=1.0)
            axes.plot([value], [place], color=COLOURS["ink"], marker="|", markersize=9)
        labels = [(float(three[0]), row.changes[axis.key]) for row, three in ends]
        for at, said in _joined(sorted(labels), apart):
            axes.annotate(said, (at, place), (0, 8), textcoords="offset points", ha="center", fontsize=SMALL - 2)
    axes.axvline(0.0, color=COLOURS["ink"], linewidth=0.8)
    axes.set_yticks(range(len(moved)), [axis.key for axis, _ in moved], fontsize=SMALL)
    axes.set_ylim(-0.5, len(moved) - 0.2)
    axes.set_ylabel("what is changed")
    axes.set_xlabel("against the base case: " + _axis_label(answer, name).replace("(%)", "(points)"))
    axes.grid(visible=False, axis="y")


def _joined(labels: Sequence[tuple[float, str]], apart: float) -> list[tuple[float, str]]:
    """Return labels, in ascending order of where they stand, with those in one that would stand on each other."""
    joined: list[tuple[float, str]] = []
    for at, said in labels:
        if joined and at - joined[-1][0] < apart:
            joined[-1] = (joined[-1][0], f"{joined[-1][1]}, {said}")
        else:
            joined.append((at, said))
    return joined


def _needs_logarithm(values: Values) -> bool:
    """Return whether values are too far apart for an even scale."""
    known = values[~np.isnan(values)]
    return len(known) > 0 and float(known.min()) > 0 and float(known.max() / known.min()) > _LOG_FROM


def _frame(axes: Axes, x: int, y: int, **look: Any) -> None:
    """Draw the border of a field."""
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, **look))


def _numbers(axis: Axis) -> tuple[Values, str | None]:
    """Return the values of a key on a scale and its unit; by their order, without a unit, where they are words."""
    for unit, read in (
        ("number", float),
        ("ms", lambda text: parse_time_ns(text) / 1e6),
        ("1/s", parse_rate_per_s),
        ("%", lambda text: 100 * parse_share(text)),
    ):
        try:
            return np.array([read(value) for value in axis.values], dtype=np.float64), unit
        except ValueError:
            continue
    return np.arange(len(axis.values), dtype=np.float64), None


def _folded(values: Sequence[str]) -> list[str]:
    """Return values as labels: a long one, such as a whole autoscaler, in several lines."""
    return [fill(value, _LABEL_WIDTH, break_long_words=False) for value in values]


def _key_label(axis: Axis) -> str:
    """Return a key, with its unit where its values are bare numbers."""
    return f"{axis.key} (number)" if _numbers(axis)[1] == "number" else axis.key


def _axis_label(answer: WhatIf, name: str) -> str:
    """Return a figure's name with the unit in which it is drawn."""
    label, unit = label_of(name), unit_of(name, answer.currency)
    if name.startswith("latency_ms."):
        label = f"{label} latency"
    return f"{label} ({'%' if name.endswith('_share') else unit or 'number'})"


def _shown(name: str, values: Sequence[float | None]) -> Values:
    """Return values in the unit in which they are drawn, NaN for none."""
    factor = 100.0 if name.endswith("_share") else 1.0
    return np.array([math.nan if value is None else factor * value for value in values], dtype=np.float64)


def _value(row: Row, name: str) -> float | None:
    return _end(row, name, "value")


def _end(row: Row, name: str, end: str) -> float | None:
    """Return the value or an end of a figure, None where there is none."""
    figure = row.figures.get(name)
    number: float | None = None if figure is None else getattr(figure, end)
    return number
