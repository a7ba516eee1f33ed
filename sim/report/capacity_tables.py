"""A capacity as text: the answer in one sentence, the rates of the fleet and of a replica, the goals there."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from sim.forecast.warnings import STRETCHED_TRACE
from sim.planner.capacity import Capacity
from sim.report.goal_words import goal_words
from sim.report.tables import FIGURE_NAMES
from sim.report.units import new_table, quantity, span

__all__ = ["capacity_answer", "capacity_report"]


def capacity_report(found: Capacity) -> RenderableType:
    """Return a capacity for people."""
    parts: list[RenderableType] = [Text(capacity_answer(found), style="bold")]
    if found.rate_per_s is not None and found.low_per_s is not None and found.high_per_s is not None:
        sure = f"{100 * found.confidence:g} %"
        table = new_table("", "highest rate", f"met to missed, {sure} each", "saturation", "share of it")
        for label, replicas in (("fleet", 1), (_replica_words(found), found.replicas)):
            rate, low, high, most = (
                each / replicas
                for each in (found.rate_per_s, found.low_per_s, found.high_per_s, found.saturation_per_s)
            )
            bounds = span("rate_per_s", low, high)
            table.add_row(
                label,
                quantity("rate_per_s", rate),
                bounds,
                quantity("rate_per_s", most),
                quantity("of_share", rate / most),
            )
        parts += ["", table]
    return Group(*parts, "", *(Text(line, style="dim") for line in _notes(found)))


def capacity_answer(found: Capacity) -> str:
    """Return the answer in one sentence."""
    name = found.binding
    if found.rate_per_s is None or found.low_per_s is None or found.high_per_s is None:
        figure = None if name is None else found.figures.get(name)
        if name is None or figure is None or figure.value is None:
            told = "" if name is None else f": not even next to no traffic meets that of {FIGURE_NAMES[name]}"
            return f"{found.name}: no rate meets the goals{told}."
        limit = quantity(name, found.limits[name])
        return (
            f"{found.name}: no rate meets the goals: with next to no traffic {FIGURE_NAMES[name]} is "
            f"{quantity(name, figure.value)}, and the limit is {limit}."
        )
    binding = "" if name is None else f", where {FIGURE_NAMES[name]} reaches its limit"
    highest = f"{quantity('rate_per_s', found.rate_per_s)} [{span('rate_per_s', found.low_per_s, found.high_per_s)}]"
    if found.gaps_per_s:
        missed = ", ".join(quantity("rate_per_s", rate) for rate in found.gaps_per_s)
        return f"{found.name}: the goals hold at {highest}, and not at all rates below: they are missed at {missed}."
    return f"{found.name}: the goals hold up to {highest}{binding}."


def _replica_words(found: Capacity) -> str:
    if found.is_autoscaled:
        return f"each of {found.replicas}, the most"
    return "its one replica" if found.replicas == 1 else f"each of {found.replicas} replicas"


def _notes(found: Capacity) -> Iterator[str]:
    """Yield what the answer rests on."""
    provenance = found.provenance
    if found.gaps_per_s:
        yield (
            "Less traffic may be worse for a fleet that scales: just below what brings one replica more, fewer of them "
            "meet nearly as much."
        )
    if found.low_per_s is not None:
        said = [goal_words(found.figures, name, limit, found.confidence) for name, limit in found.limits.items()]
        yield f"In fresh runs at {quantity('rate_per_s', found.low_per_s)}: {', '.join(said)}."
        share = found.stated_per_s / found.low_per_s
        own = quantity("rate_per_s", found.stated_per_s)
        yield f"The scenario's own traffic of {own} is {100 * share:.3g} % of that."
    if provenance["duration_s"] > provenance["stated_duration_s"]:
        yield (
            f"Runs of {provenance['stated_duration_s']:g} s show too little so near to saturation, and were made "
            f"{provenance['duration_s']:.4g} s long."
        )
    if provenance.get("trace"):
        yield STRETCHED_TRACE
    if provenance["spare"]:
        yield f"With {provenance['spare']} spare down; a replica's share is that of those that serve."
    yield f"{provenance['runs']} runs at each rate, {found.simulated / 1e6:.3g} million requests in all."
