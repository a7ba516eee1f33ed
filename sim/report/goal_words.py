"""How a figure stands to its goal, in words: itself, or the share of answers beyond the goal that stands in for it."""

from __future__ import annotations

from collections.abc import Mapping

from sim.forecast.estimates import Figure
from sim.planner.verdicts import quantile_of, stand_in_of, upper_end
from sim.report.tables import FIGURE_NAMES
from sim.report.units import digits_of, quantity

__all__ = ["goal_words", "nearness_words"]


def goal_words(figures: Mapping[str, Figure], name: str, limit: float, confidence: float) -> str:
    """Return a figure with its upper end and its limit."""
    figure, stand_in, q = figures[name], figures.get(stand_in_of(name)), quantile_of(name)
    label = FIGURE_NAMES[name].removesuffix(" latency")
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
