"""How a figure stands to its goal, in words and as a table: itself, or the share of answers beyond it in its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sim.forecast.estimates import Figure
from sim.forecast.goal_metrics import judged_by
from sim.planner.verdicts import shares_of_limits, upper_end
from sim.report.document import Column, Table
from sim.report.tables import FIGURE_NAMES, label_of, most_in_words
from sim.report.units import digits_of, quantity
from sim.scenario.units import listed

__all__ = ["beyond_words", "goal_words", "goals_table", "is_seen", "limits_words", "nearness_words"]


def limits_words(limits: Mapping[str, float]) -> str:
    """Return what is wanted: p99 at most 200 ms and refused at most 0.1 %."""
    return listed([f"{label_of(name)} at most {most_in_words(name, limit)}" for name, limit in limits.items()])


def beyond_words(names: Sequence[str]) -> str:
    """Return that figures, at least one, are beyond their limits."""
    said = listed(FIGURE_NAMES[name] for name in names)
    return f"{said} is beyond its limit" if len(names) == 1 else f"{said} are beyond their limits"


def goal_words(figures: Mapping[str, Figure], name: str, limit: float, confidence: float) -> str:
    """Return a figure with its upper end and its limit."""
    judged, most = judged_by(figures, name, limit)
    figure, label = figures[judged], label_of(name)
    if figure.value is None:
        return f"{label} not known"
    if judged == name:
        end = quantity(name, upper_end(figure, confidence))
        return f"{label} {quantity(name, figure.value)} (at most {end}; the goal is {quantity(name, limit)})"
    share, end = (f"{digits_of(100 * each)} %" for each in (figure.value, upper_end(figure, confidence)))
    return f"{share} slower than {quantity(name, limit)} (at most {end}; the goal allows {100 * most:g} %)"


def nearness_words(figures: Mapping[str, Figure], name: str, limit: float, confidence: float) -> str:
    """Return the upper end of a figure, or of what stands in for it, and of what: its limit."""
    judged, most = judged_by(figures, name, limit)
    end = upper_end(figures[judged], confidence)
    if judged == name:
        return f"at most {quantity(name, end)} of {quantity(name, limit)}"
    return f"at most {digits_of(100 * end)} % are slower than {quantity(name, limit)}, of {100 * most:g} % that may be"


def is_seen(figures: Mapping[str, Figure], name: str, limit: float) -> bool:
    """Return whether runs show any of what a goal limits: a share of 0 is one of which they show nothing."""
    judged, _ = judged_by(figures, name, limit)
    return bool(figures[judged].value)


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
    judged, most = judged_by(figures, name, limit)
    figure, label = figures[judged], label_of(name)
    if judged != name:
        label = f"slower than {most_in_words(name, limit)} ({label})"
    if figure.value is None:
        return label, most_in_words(judged, most), "not known", ""
    end = quantity(judged, upper_end(figure, confidence))
    return label, most_in_words(judged, most), quantity(judged, figure.value), end
