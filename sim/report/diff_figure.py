"""The picture of a comparison: by how many per cent each figure moved, with the interval of that.

A full mark is more than noise with all figures taken together, an empty one is not.
"""

from __future__ import annotations

from sim.forecast.comparison import ForecastDiff
from sim.report.diff_tables import shown_figures
from sim.report.figures import Picture
from sim.report.style import COLOURS, SMALL, look, new_figure

__all__ = ["diff_picture", "drawn_figures"]

_ROW_IN = 0.3
_AROUND_IN = 1.0


def drawn_figures(diff: ForecastDiff) -> dict[str, str]:
    """Return the figures that can be drawn, with their labels: of those above 0 in A that chance has a part in."""
    drawn = {}
    for name, label in shown_figures(diff):
        found = diff.figures[name]
        if found.difference is not None and found.difference.low < found.difference.high and (found.a.value or 0.0) > 0:
            drawn[name] = label
    return drawn


@look()
def diff_picture(diff: ForecastDiff) -> Picture:
    """Return the picture; there must be figures that can be drawn."""
    drawn = drawn_figures(diff)
    figure = new_figure(_ROW_IN * len(drawn) + _AROUND_IN)
    axes = figure.subplots()
    axes.axvline(0.0, color=COLOURS["ink"], linewidth=0.8)
    for place, name in enumerate(reversed(drawn)):
        found = diff.figures[name]
        assert found.difference is not None
        assert found.a.value
        value, low, high = (
            100.0 * each / found.a.value
            for each in (found.difference.value, found.difference.low, found.difference.high)
        )
        axes.plot([low, high], [place, place], color=COLOURS["ink"], linewidth=1.2)
        full = COLOURS["ink"] if found.beyond_noise_together else "white"
        axes.plot([value], [place], marker="o", markersize=6, color=COLOURS["ink"], markerfacecolor=full)
    axes.set_yticks(range(len(drawn)), list(reversed(drawn.values())), fontsize=SMALL)
    axes.set_ylim(-0.6, len(drawn) - 0.4)
    axes.set_ylabel("what is compared")
    axes.set_xlabel("full mark: more than noise, all taken together\nB against A, with its 95 % interval (% of A)")
    axes.grid(visible=False, axis="y")
    return Picture(figure)
