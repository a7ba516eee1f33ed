"""A capacity as a report: the traffic and what is wanted, the highest rate with its interval, the goals there."""

from __future__ import annotations

from collections.abc import Iterator

from sim.planner.capacity import Capacity
from sim.report.capacity_tables import capacity_answer, capacity_notes, not_known, rates_table, replica_words
from sim.report.document import Answer, Document, Highlight, Paragraph, Records, Section, Verdict, blocks_of
from sim.report.forecast_document import calibration_section, provenance_section
from sim.report.goal_words import goals_table, limits_words
from sim.report.question import scenario_in_words
from sim.report.units import quantity, span

__all__ = ["capacity_document"]

_RATES = ("rate_per_s", "low_per_s", "high_per_s", "saturation_per_s")


def capacity_document(found: Capacity, *, command: str | None = None) -> Document:
    """Return the report of a capacity; `command` makes it again, in a shell. Raises what the scenario raises."""
    return Document(
        title=f"{found.name}: capacity",
        question=(*scenario_in_words(found.scenario), _wanted(found)),
        answer=Answer(capacity_answer(found), _verdict(found), not_known(found)),
        highlights=tuple(_highlights(found)),
        sections=tuple(_sections(found)),
        figures=_records(found),
        command=command,
        manifest={} if found.manifest is None else found.manifest.to_json(),
    )


def _wanted(found: Capacity) -> str:
    """Return what is asked of the traffic."""
    return (
        f"All of this traffic is scaled by one factor: up to which rate are the goals met "
        f"({limits_words(found.limits)}), each with {100 * found.confidence:g} % confidence?"
    )


def _verdict(found: Capacity) -> Verdict:
    """Return whether there is an answer; how high a rate is good enough, nobody said."""
    if found.unknown is not None:
        return Verdict.OPEN
    return Verdict.BAD if found.low_per_s is None else Verdict.PLAIN


def _highlights(found: Capacity) -> Iterator[Highlight]:
    """Yield the highest rate of fleet and replica, saturation and the scenario's own traffic; those that are known."""
    of = {"highest rate": 1}
    if found.replicas > 1 and found.are_alike:
        of[f"for {replica_words(found)}"] = found.replicas
    for name, replicas in of.items():
        rates = found.rates(replicas)
        rate, low, high = (rates[each] for each in _RATES[:3])
        if rate is not None:
            interval = "" if low is None or high is None else span("rate_per_s", low, high)
            yield Highlight(name, quantity("rate_per_s", rate), interval)
    yield Highlight("saturation", quantity("rate_per_s", found.saturation_per_s), "by arithmetic")
    yield Highlight("its own traffic", quantity("rate_per_s", found.stated_per_s))


def _sections(found: Capacity) -> Iterator[Section]:
    """Yield the parts of the report in their order."""
    table = rates_table(found)
    if table is not None:
        yield Section("The rates", blocks_of(table))
    if set(found.limits) <= set(found.figures):
        runs = "next to no traffic" if found.low_per_s is None else quantity("rate_per_s", found.low_per_s)
        fresh = "" if found.low_per_s is None else ", in fresh runs"
        goals = goals_table(found.figures, found.limits, found.confidence)
        yield Section(f"Each goal at {runs}{fresh}", (goals,))
    yield Section("How it was found", tuple(Paragraph(line) for line in capacity_notes(found)))
    yield calibration_section(found.scenario)
    yield provenance_section(found.provenance)


def _records(found: Capacity) -> Records:
    """Return the rates of the fleet and, where all are alike, those of a replica, a row each."""
    rows = []
    for of, replicas in (("fleet", 1), *([("replica", found.replicas)] if found.are_alike else [])):
        rates = found.rates(replicas)
        share = None if found.rate_per_s is None else found.rate_per_s / found.saturation_per_s
        rows.append((of, found.replicas // replicas, *(rates[name] for name in _RATES), share))
    return Records(("of", "replicas", *_RATES, "saturation_share"), tuple(rows))
