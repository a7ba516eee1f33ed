"""A capacity as text: the answer in one sentence, the rates of the fleet and of a replica, the goals there."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sim.forecast.warnings import SCALED_TRACE, STRETCHED_TRACE
from sim.planner.capacity import Capacity
from sim.report.goal_words import beyond_words, goal_words
from sim.report.load_words import of_mean_in_words
from sim.report.tables import FIGURE_NAMES
from sim.report.units import new_table, quantity, requests_in_words, span

__all__ = ["capacity_answer", "capacity_notes", "capacity_report", "not_known", "rates_table", "replica_words"]

_SATURATION = (
    "Saturation: the rate that full batches on all replicas would just take, or the front end if that is less."
)
_SHARE_OF_IT = "The share of it is what the highest rate is of that."


def capacity_report(found: Capacity) -> RenderableType:
    """Return a capacity for people."""
    parts: list[RenderableType] = [Text(capacity_answer(found), style="bold")]
    parts += [Text(line) for line in not_known(found)]
    table = rates_table(found)
    if table is not None:
        parts += ["", table]
    return Group(*parts, "", *(Text(line, style="dim") for line in capacity_notes(found)))


def not_known(found: Capacity) -> tuple[str, ...]:
    """Return why not more is known, nothing where all is."""
    return () if found.unknown is None else (f"Not known: {found.unknown.why}.",)


def rates_table(found: Capacity) -> Table | None:
    """Return the rates of the fleet and, where all are alike, of a replica; None where no rate meets the goals."""
    if found.low_per_s is None:
        return None
    sure = f"{100 * found.confidence:g} %"
    table = new_table("", "highest rate", f"met up to .. missed from, {sure} each", "saturation", "share of it")
    for label, replicas in (("fleet", 1), *([(replica_words(found), found.replicas)] if found.are_alike else [])):
        rate = None if found.rate_per_s is None else found.rate_per_s / replicas
        high = None if found.high_per_s is None else found.high_per_s / replicas
        table.add_row(
            label,
            "-" if rate is None else quantity("rate_per_s", rate),
            _bounds(found.low_per_s / replicas, high),
            quantity("rate_per_s", found.saturation_per_s / replicas),
            "-" if rate is None else quantity("of_share", rate * replicas / found.saturation_per_s),
        )
    return table


def _bounds(low_per_s: float, high_per_s: float | None) -> str:
    """Return from where the goals are met to where one is missed."""
    if high_per_s is None:
        return f"{quantity('rate_per_s', low_per_s)} .. not known"
    return span("rate_per_s", low_per_s, high_per_s)


def capacity_answer(found: Capacity) -> str:
    """Return the answer in one sentence."""
    name = found.binding[0] if found.binding else None
    if found.unknown is not None:
        return _answer_in_part(found)
    if found.rate_per_s is None or found.low_per_s is None:
        figure = None if name is None else found.figures.get(name)
        if name is None or figure is None or figure.value is None:
            told = "" if name is None else f": not even next to no traffic meets that of {FIGURE_NAMES[name]}"
            return f"{found.name}: no rate meets the goals{told}."
        limit = quantity(name, found.limits[name])
        return (
            f"{found.name}: no rate meets the goals: with next to no traffic {FIGURE_NAMES[name]} is "
            f"{quantity(name, figure.value)}, and the limit is {limit}."
        )
    highest = f"{quantity('rate_per_s', found.rate_per_s)} [{_bounds(found.low_per_s, found.high_per_s)}]"
    if found.gaps_per_s:
        return f"{found.name}: the goals hold at {highest}, and not at all rates below: {_gaps_words(found)}."
    return f"{found.name}: the goals hold up to {highest}{_binding_words(found)}."


def _binding_words(found: Capacity) -> str:
    """Return which goals bound the rate: those beyond their limits just above, as far as that is known."""
    if not found.binding:
        return ""
    if found.is_beyond:
        return f": just above, {beyond_words(found.binding)}"
    return f", where {FIGURE_NAMES[found.binding[0]]} is the nearest its limit"


def _gaps_words(found: Capacity) -> str:
    """Return at which of the rates below that were asked for goals are missed."""
    return f"they are missed at {', '.join(quantity('rate_per_s', rate) for rate in found.gaps_per_s)}"


def _answer_in_part(found: Capacity) -> str:
    """Return what is known where runs do not tell all."""
    sure = f"{100 * found.confidence:g} %"
    missed = "" if found.high_per_s is None else f" missed from {quantity('rate_per_s', found.high_per_s)} on"
    if found.low_per_s is None:
        also = missed and f"; they are{missed}"
        return f"{found.name}: whether any rate meets the goals is not known{also}."
    low = f"{'at' if found.gaps_per_s else 'up to'} {quantity('rate_per_s', found.low_per_s)}"
    below = f" They do not hold at all rates below: {_gaps_words(found)}." if found.gaps_per_s else ""
    if not missed:
        return f"{found.name}: the goals hold {low} with {sure} confidence; above that it is not known.{below}"
    return (
        f"{found.name}: the goals hold {low} and are{missed}, with {sure} confidence each; between, it is not known."
        f"{below}"
    )


def replica_words(found: Capacity) -> str:
    """Return how the second line of the table is called: that of a replica."""
    if found.is_autoscaled:
        return f"each, if all {found.replicas} run"
    return "its one replica" if found.replicas == 1 else f"each of {found.replicas} replicas"


def capacity_notes(found: Capacity) -> Iterator[str]:
    """Yield what the answer rests on."""
    provenance = found.provenance
    yield _SATURATION if found.rate_per_s is None else f"{_SATURATION} {_SHARE_OF_IT}"
    busiest = of_mean_in_words(found.scenario)
    if busiest is not None:
        yield busiest
    if found.gaps_per_s:
        yield (
            "Less traffic may be worse for a fleet that scales: just below what brings one replica more, fewer of them "
            "meet nearly as much."
        )
    if found.low_per_s is not None and provenance.get("gaps_at"):
        shares = provenance["gaps_at"]
        yield (
            f"Below, {len(shares)} rates from {100 * shares[0]:.3g} to {100 * shares[-1]:.3g} % of the highest were "
            "asked for: narrower gaps are not seen."
        )
    if not found.is_beyond:
        yield "At more traffic no figures can be given: which goal breaks there is not seen."
    if found.low_per_s is not None:
        said = [goal_words(found.figures, name, limit, found.confidence) for name, limit in found.limits.items()]
        yield f"In fresh runs at {quantity('rate_per_s', found.low_per_s)}: {', '.join(said)}."
        share = found.stated_per_s / found.low_per_s
        own = quantity("rate_per_s", found.stated_per_s)
        yield f"The scenario's own traffic of {own} is {100 * share:.3g} % of what is met for sure."
    if provenance["duration_s"] > provenance["stated_duration_s"]:
        yield (
            f"Runs of {provenance['stated_duration_s']:g} s show too little so near to saturation, and were made "
            f"{provenance['duration_s']:.4g} s long."
        )
    if provenance.get("trace"):
        yield SCALED_TRACE
    if provenance.get("stretched"):
        yield STRETCHED_TRACE
    if provenance["spare"]:
        share_words = "; a replica's share is that of those that serve" if found.are_alike else ""
        yield f"With {provenance['spare']} spare down{share_words}."
    most = provenance.get("runs_most", 0)
    more = f", up to {most} where they did not tell" if most > provenance["runs"] else ""
    yield f"{provenance['runs']} runs at each rate{more}, {requests_in_words(found.simulated)} in all."
