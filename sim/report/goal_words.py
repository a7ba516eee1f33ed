"""How a figure stands to its goal, in words and as a table: itself, or the share of answers beyond it in its place."""

from __future__ import annotations

from collections.abc import Mapping

from sim.forecast.estimates import Figure
from sim.forecast.goal_metrics import quantile_of, stand_in_of
from sim.planner.verdicts import shares_of_limits, upper_end
from sim.report.document import Column, Table
from sim.report.question import listed
from sim.report.tables import FIGURE_NAMES
from sim.report.units import digits_of, quantity

__all__ = ["goal_label", "goal_words", "goals_table", "limits_words", "nearness_words"]


def limits_words(limits: Mapping[str, float]) -> str:
    """Return what is wanted: p99 at most 200 ms and refused at most 0.1 %."""
    return listed([f"{goal_label(name)} at most {_limit(name, limit)}" for name, limit in limits.items()])


def goal_label(name: str) -> str:
    """Return what the goal of a figure is called."""
    return FIGURE_NAMES[name].removesuffix(" latency")


def goal_words(figures: Mapping[str, Figure], name: str, limit: float, confidence: float) -> str:
    """Return a figure with its upper end and its limit."""
    figure, stand_in, q = figures[name], figures.get(stand_in_of(name)), quantile_of(name)
    label = goal_label(name)
    if figure.value is not None:
        end = quantity(name, upper_end(figure, confidence))
        return f"{label} {quantity(name, figure.value)} (at most {end}; the goal is {quantity(name, limit)})"
    if stand_in is None or stand_in.value is None or q is None:
        return f"{label} not known"
    share, most = (f"{digits_of(100 * each)} %" for each in (stand_in.value, upper_end(stand_in, confidence)))
    return f"{share} slower than {quantity(name, limit)} (at most {most}; the goal allows {100 * (1 - q):g} %)"


def nearness_words(figures: Mapping[str, Figure], name: str, limit: float, confidence: float) -> str:
    """Return the upper end of a figure, or of what stands in for it, and of what: its limit."""
    figure, stand_in, q = figures[name], figures.get(stand_in_of(name)), quantile_of(name)
    if figure.value is None and stand_in is not None and q is not None:
        most = f"{digits_of(100 * upper_end(stand_in, confidence))} %"
        return f"at most {most} are slower than {quantity(name, limit)}, of {100 * (1 - q):g} % that may be"
    return f"at most {quantity(name, upper_end(figure, confidence))} of {quantity(name, limit)}"


def goals_table(figures: Mapping[str, Figure], limits: Mapping[str, float], confidence: float) -> Table:
    """Return a row for each goal: what it allows, the figure, its upper end, and what is so sure of it."""
    shares = shares_of_limits(figures, limits, confidence)
    rows = []
    for name, limit in limits.items():
        share = shares[name]
        verdict = "met" if share.high <= 1.0 else "missed" if share.low > 1.0 else "not clear"
        rows.append((*_goal_cells(figures, name, limit, confidence), verdict))
    heads = ("goal", "at most", "figure", f"its upper end, {100 * confidence:g} %")
    columns = (*(Column(head, is_number=place > 0) for place, head in enumerate(heads)), Column("", is_number=False))
    return Table(columns, tuple(rows))


def _goal_cells(figures: Mapping[str, Figure], name: str, limit: float, confidence: float) -> tuple[str, ...]:
    """Return a goal, its limit, the figure that it is judged by and the upper end of that."""
    label, most, q = goal_label(name), _limit(name, limit), quantile_of(name)
    judged, figure = name, figures[name]
    stand_in = figures.get(stand_in_of(name))
    if figure.value is None and stand_in is not None and q is not None:
        judged, figure = stand_in_of(name), stand_in
        label, most = f"slower than {most} ({label})", f"{100 * (1 - q):g} %"
    if figure.value is None:
        return label, most, "not known", ""
    return label, most, quantity(judged, figure.value), quantity(judged, upper_end(figure, confidence))


def _limit(name: str, limit: float) -> str:
    """Return a limit as it was stated."""
    return f"{100 * limit:g} %" if name.endswith("_share") else f"{limit:g} ms"
