"""A comparison as a report: what changed in the input, what in the outcome, what of that is more than noise."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

from sim.forecast.comparison import ForecastDiff
from sim.report.diff_figure import diff_picture, drawn_figures
from sim.report.diff_tables import changed_figures_table, diff_answer, diff_notes, goal_changes, input_table
from sim.report.document import (
    Answer,
    Block,
    Code,
    Document,
    Highlight,
    Image,
    Paragraph,
    Records,
    Section,
    Verdict,
    blocks_of,
)
from sim.report.tables import FIGURE_NAMES
from sim.report.units import capital, change, change_span, unit_of

__all__ = ["diff_document"]

_HIGHLIGHTS = ("latency_ms.p50", "latency_ms.p99", "refused_share", "replicas.mean", "cost")


def diff_document(diff: ForecastDiff, *, command: str | None = None) -> Document:
    """Return the report of a comparison; `command` makes it again, in a shell."""
    return Document(
        title=f"{diff.a.label} and {diff.b.label}: what changed",
        question=(
            f"A is {diff.a.label}, B is {diff.b.label}.",
            "What differs in the input, and by how much do the figures of B lie above those of A?",
        ),
        answer=Answer(diff_answer(diff), Verdict.PLAIN, tuple(f"{capital(line)}." for line in goal_changes(diff))),
        highlights=tuple(_highlights(diff)),
        sections=tuple(_sections(diff)),
        figures=_records(diff),
        command=command,
    )


def _highlights(diff: ForecastDiff) -> Iterator[Highlight]:
    """Yield the differences that are read first, those that chance has a part in."""
    for name in _HIGHLIGHTS:
        found = diff.figures.get(name)
        difference = None if found is None else found.difference
        if difference is None or difference.low == difference.high:
            continue
        ends = change_span(name, difference.low, difference.high)
        remark = ends if difference.beyond_noise else f"{ends}, no more than noise"
        yield Highlight(FIGURE_NAMES[name], change(name, difference.value), remark)


def _sections(diff: ForecastDiff) -> Iterator[Section]:
    """Yield the parts of the report in their order."""
    yield Section("What changed in the input", blocks_of(input_table(diff)))
    blocks: list[Block] = list(blocks_of(changed_figures_table(diff)))
    if drawn_figures(diff):
        blocks.insert(0, Image(partial(diff_picture, diff), alt=diff_answer(diff)))
    blocks += [Paragraph(note, quiet=True) for note in diff_notes(diff)]
    yield Section("What changed in the outcome", tuple(blocks))
    for name, side in (("A", diff.a), ("B", diff.b)):
        if side.manifest is not None:
            told = json.dumps(side.manifest.to_json(), indent=2)
            yield Section(
                f"Manifest of {name}: what servecast rerun makes it from, as JSON", (Code(told),), folded=True
            )


def _records(diff: ForecastDiff) -> Records:
    """Return a row for each figure: both values, the difference with its interval, and if that is more than noise."""
    rows = []
    for name, found in diff.figures.items():
        by = found.difference
        ends = (None, None, None, None) if by is None else (by.value, by.low, by.high, by.p_value)
        noise = (None, None) if by is None else (by.beyond_noise, found.beyond_noise_together)
        rows.append((name, unit_of(name, diff.a.currency), found.a.value, found.b.value, *ends, *noise, found.why))
    heads = ("difference", "difference_low", "difference_high", "p_value", "beyond_noise", "beyond_noise_together")
    return Records(("name", "unit", "a", "b", *heads, "why"), tuple(rows))
