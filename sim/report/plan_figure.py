"""A picture of what less latency costs: the configurations of a plan by cost and p99, and those that nothing beats.

In the style of figures.py, readable in black and white: the frontier is dashed with what nothing beats as filled dots,
all others are open ones, the goal is dotted, and the answer has a ring.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sim.planner.plan_result import Plan, PlanRow
from sim.report.figures import Picture
from sim.report.style import COLOURS, SMALL, look, new_figure
from sim.report.units import digits_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["frontier_picture"]

_P99: Final = "latency_ms.p99"
_DASHED: Final = (0, (5, 2))
_ABOVE_GOAL: Final = 6.0
"""What is above the goal by more than so many times it would squeeze everything else together."""


@look()
def frontier_picture(plan: Plan) -> Picture:
    """Return the picture of a plan."""
    figure = new_figure(3.6)
    axes = figure.add_subplot()
    goal_ms = plan.limits.get(_P99)
    known = [row for row in plan.rows if row.figures[_P99].value is not None]
    frontier = [plan.rows[place] for place in plan.frontier]
    if goal_ms is not None:
        near = [row for row in known if _p99(row) <= _ABOVE_GOAL * goal_ms]
        known = near or known
        frontier = [row for row in frontier if row in known]
        label = f"goal p99 {digits_of(goal_ms)} ms"
        axes.axhline(goal_ms, color=COLOURS["muted"], linestyle=":", linewidth=1.4, label=label)
    _draw(axes, [row for row in known if row not in frontier], "looked at", filled=False)
    costs, p99s_ms = [row.cost for row in frontier], [_p99(row) for row in frontier]
    axes.plot(costs, p99s_ms, color=COLOURS["ink"], linestyle=_DASHED, linewidth=1)
    _draw(axes, frontier, "nothing is cheaper and faster", filled=True)
    _mark(axes, plan)
    axes.set_xlabel(f"cost of the measured time ({plan.unit})")
    axes.set_ylabel("p99 latency, 95 % confidence (ms)")
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    axes.set_title(plan.name)
    if known:
        axes.legend()
    else:
        axes.text(0.5, 0.5, "no p99 is known: the runs are too short for it", ha="center", transform=axes.transAxes)
    return Picture(figure)


def _p99(row: PlanRow) -> float:
    value = row.figures[_P99].value
    return float("nan") if value is None else value


def _draw(axes: Axes, rows: list[PlanRow], label: str, *, filled: bool) -> None:
    """Draw configurations with the intervals of their p99."""
    if not rows:
        return
    figures = [row.figures[_P99] for row in rows]
    values = np.array([figure.value for figure in figures], dtype=np.float64)
    below = values - np.array([figure.low for figure in figures], dtype=np.float64)
    above = np.array([figure.high for figure in figures], dtype=np.float64) - values
    axes.errorbar(
        [row.cost for row in rows],
        values,
        yerr=np.maximum([below, above], 0.0),
        fmt="o",
        markersize=5,
        color=COLOURS["ink"] if filled else COLOURS["muted"],
        markerfacecolor=COLOURS["ink"] if filled else "none",  # white would look filled on dark paper
        ecolor=COLOURS["muted"],
        capsize=2,
        linewidth=1,
        label=label,
    )


def _mark(axes: Axes, plan: Plan) -> None:
    """Put a ring around the answer, and say its values."""
    row = plan.answer
    if row is None or row.figures[_P99].value is None:
        return
    ring: dict[str, Any] = {
        "markersize": 12,
        "markerfacecolor": "none",
        "markeredgecolor": COLOURS["ink"],
        "linestyle": "none",
    }
    axes.plot([row.cost], [_p99(row)], marker="o", label="the answer", **ring)
    words = "\n".join(f"{key.rpartition('.')[2]} {value}" for key, value in row.changes.items())
    arrow = {"arrowstyle": "-", "color": COLOURS["muted"], "linewidth": 0.7, "shrinkB": 7}
    axes.annotate(words, (row.cost, _p99(row)), (18, 26), textcoords="offset points", fontsize=SMALL, arrowprops=arrow)
