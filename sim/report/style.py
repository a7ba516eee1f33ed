"""The one look of all pictures: colours, lines, sizes, and axes with plain numbers.

Readable in black and white: dashes tell lines apart, and colour only repeats what they say. Every axis of numbers has a
label that ends in its unit, as in `latency (ms)`. html.py replaces the colours by name, so that a picture in a page has
the page's own in light, in dark and on paper. matplotlib is imported when something is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "COLOURS",
    "FORECAST",
    "INTERVAL",
    "MEASURED",
    "SMALL",
    "WIDTH_IN",
    "line",
    "log_scale",
    "log_ticks",
    "look",
    "new_figure",
    "time_unit",
]

COLOURS: Final[Mapping[str, str]] = {
    "ink": "#1b1f24",
    "muted": "#5a6472",
    "grid": "#e3e6ea",
    "band": "#cdd3db",
    "blue": "#1f5fa8",
    "orange": "#a8480c",
    "green": "#1c6b3a",
}
"""Every colour of a picture by its name. None is pure black: an SVG leaves that out, so a page could not replace it."""

WIDTH_IN: Final = 5.2
"""The width of a picture whose texts can still be read on a telephone, in inches."""

SMALL: Final = 9
"""The size of texts inside a picture, in points; those around it are a point larger."""

_DASHED: Final = (0, (5, 2))

FORECAST: Final[Mapping[str, Any]] = {"color": COLOURS["ink"], "linestyle": _DASHED, "linewidth": 1.3}
"""The line of a forecast where something measured may stand beside it."""

MEASURED: Final[Mapping[str, Any]] = {"color": COLOURS["blue"], "linestyle": "-", "linewidth": 1.4}
"""The line of what was measured."""

INTERVAL: Final[Mapping[str, Any]] = {"color": COLOURS["band"], "linewidth": 0}
"""The area of an interval."""

_LINES: Final[tuple[Mapping[str, Any], ...]] = (
    {"color": COLOURS["ink"], "linestyle": "-", "linewidth": 1.5},
    {"color": COLOURS["blue"], "linestyle": _DASHED, "linewidth": 1.5},
    {"color": COLOURS["orange"], "linestyle": (0, (1.2, 1.2)), "linewidth": 1.7},
    {"color": COLOURS["green"], "linestyle": (0, (6, 1.5, 1.2, 1.5)), "linewidth": 1.5},
)

_LOOK: Final[Mapping[str, Any]] = {
    "font.size": SMALL + 1,
    "axes.edgecolor": COLOURS["muted"],
    "axes.labelcolor": COLOURS["ink"],
    "axes.titlesize": SMALL + 2,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": COLOURS["grid"],
    "grid.linewidth": 0.6,
    "text.color": COLOURS["ink"],
    "text.parse_math": False,  # names are the user's own, and a $ in one is no formula
    "xtick.color": COLOURS["muted"],
    "xtick.labelcolor": COLOURS["ink"],
    "ytick.color": COLOURS["muted"],
    "ytick.labelcolor": COLOURS["ink"],
    "legend.frameon": False,
    "legend.fontsize": SMALL,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "none",  # texts stay texts: smaller, and found by a search
    "svg.hashsalt": "servecast",  # the same picture gives the same bytes
}

_LOG_STEPS: Final = (
    (1.0,),
    (1.0, 2.0, 5.0),
    (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0),
    (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 7.0, 8.0),
)
"""Steps within a decade, from coarse to fine."""

_LOG_FROM: Final = 2.0
_TICKS_LEAST: Final = 4

_TICKS_APART: Final = 0.1
"""Share of an axis between two ticks from which on their labels do not touch."""

_TIME_UNITS_S: Final = {"d": 86_400.0, "h": 3_600.0, "min": 60.0, "s": 1.0}


@contextmanager
def look() -> Iterator[None]:
    """Draw and save in the one look while the block lasts; @look() does so for a whole function."""
    from matplotlib import rc_context

    with rc_context(dict(_LOOK)):  # type: ignore[arg-type] # its type lists every setting by name
        yield


def new_figure(height_in: float, *, width_in: float = WIDTH_IN, title: str = "") -> Figure:
    """Return an empty picture; inside look()."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    if title:
        figure.suptitle(title)
    return figure


def line(place: int) -> Mapping[str, Any]:
    """Return how the line at this place is drawn, counted from 0; behind the last they begin anew."""
    return _LINES[place % len(_LINES)]


def log_scale(
    axes: Axes, which: Literal["x", "y"], least: float, most: float, *, ticks_least: int = _TICKS_LEAST
) -> None:
    """Set an axis to logarithms, with ticks that are plain numbers, for values from least to most, both above 0.

    Within a factor of two it stays as it is: there logarithms look the same, and have no round ticks.
    """
    from matplotlib.ticker import NullLocator

    if most < _LOG_FROM * least:
        return
    axes.set(**{f"{which}scale": "log"})
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_minor_locator(NullLocator())
    ticks = log_ticks(least, most, ticks_least)
    axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])


def log_ticks(least: float, most: float, ticks_least: int = _TICKS_LEAST) -> list[float]:
    """Return round numbers between two values above 0: as few steps in a decade as give enough ticks.

    Where they end far from the greater value, a finer one follows near it: an axis is read to its end.
    """
    ticks: list[float] = []
    for steps in _LOG_STEPS:
        everywhere = [step * 10.0**power for power in range(-4, 8) for step in steps]
        ticks = [tick for tick in everywhere if least <= tick <= most]
        if len(ticks) >= ticks_least:
            break
    return [*ticks, *_near_the_end(least, most, ticks)]


def _near_the_end(least: float, most: float, ticks: Sequence[float]) -> list[float]:
    """Return the greatest round number up to `most`, if it is far enough from the last tick for both labels."""
    round_numbers = [step * 10.0**power for power in range(-4, 8) for step in _LOG_STEPS[-1]]
    greatest = max(number for number in round_numbers if number <= most)
    last = ticks[-1] if ticks else least
    return [greatest] if math.log(greatest / last) > _TICKS_APART * math.log(most / least) else []


def time_unit(longest_s: float) -> tuple[str, float]:
    """Return the unit for times up to this one, and its seconds: at least three of it, so that ticks are few digits."""
    return next((unit, unit_s) for unit, unit_s in _TIME_UNITS_S.items() if longest_s >= 3 * unit_s or unit == "s")
