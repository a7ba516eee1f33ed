"""What-if as a report: the question in words, every configuration, where goals break, pictures, the provenance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

from sim.errors import ScenarioError
from sim.forecast.estimates import Figure
from sim.planner.whatif import WhatIf
from sim.report.document import Answer, Block, Document, FigureRow, Image, Paragraph, Section, Verdict, blocks_of
from sim.report.forecast_document import calibration_section, provenance_section
from sim.report.question import goals_in_words, scenario_in_words
from sim.report.units import capital, unit_of
from sim.report.whatif_figures import refuse_undrawable, whatif_picture
from sim.report.whatif_tables import goal_lines, whatif_answer, whatif_notes, whatif_table, why_unknown

__all__ = ["whatif_document"]

_HOW = (
    "Every configuration meets the same arrivals and the same dice, run by run, so a difference is that of pairs of "
    "runs; its interval is where it lies in the long run, 95 %."
)

_WITH_A_CALIBRATION = ("model", "versions")
"""Sections of a scenario whose keys may name another calibration."""

_OF_BASE = "Of the base case; what varies may have another calibration, or times that are stated."


def whatif_document(answer: WhatIf, *, command: str | None = None) -> Document:
    """Return the report of a what-if; `command` makes it again, in a shell.

    Pictures are drawn when a writer asks for them. Raises what the scenario raises.
    """
    varied = [f"What if {axis.key} is {', '.join(axis.values)}?" for axis in answer.axes]
    runs = f"Simulated in {answer.provenance['runs']} independent runs of each configuration. {_HOW}"
    return Document(
        title=f"{answer.name}: what if",
        question=(*scenario_in_words(answer.scenario), *varied, goals_in_words(answer.scenario), runs),
        answer=Answer(
            whatif_answer(answer), _verdict(answer), tuple(f"{capital(line)}." for line in goal_lines(answer))
        ),
        warnings=answer.warnings,
        sections=tuple(_sections(answer)),
        figures=tuple(_rows(answer)),
        command=command,
        manifest={} if answer.manifest is None else answer.manifest.to_json(),
    )


def _verdict(answer: WhatIf) -> Verdict:
    """Return whether all configurations meet the goals, or none does; where only some do, it is neither."""
    if not answer.limits:
        return Verdict.PLAIN
    known = {row.goals_met for row in answer.rows if row.refusal is None}
    if not known or None in known:
        return Verdict.OPEN
    if known == {False}:
        return Verdict.BAD
    return Verdict.GOOD if all(row.goals_met for row in answer.rows) else Verdict.PLAIN


def _sections(answer: WhatIf) -> Iterator[Section]:
    """Yield the parts."""
    try:
        refuse_undrawable(answer.axes, grid=answer.is_grid)
    except ScenarioError:
        pass
    else:
        picture = Image(partial(whatif_picture, answer), alt=whatif_answer(answer))
        yield Section("At a glance", (picture,))
    remarks = [*whatif_notes(answer), *why_unknown(answer)]
    blocks: list[Block] = [*blocks_of(whatif_table(answer)), *(Paragraph(remark, quiet=True) for remark in remarks)]
    yield Section("The configurations", tuple(blocks))
    yield _calibration(answer)
    yield provenance_section({**answer.provenance, "scenario_hash": answer.rows[answer.base].scenario_hash})


def _calibration(answer: WhatIf) -> Section:
    """Return how right the model is, that of the base case where calibrations may vary."""
    section = calibration_section(answer.scenario)
    if not any(axis.key.partition(".")[0] in _WITH_A_CALIBRATION for axis in answer.axes):
        return section
    return replace(section, blocks=(Paragraph(_OF_BASE, quiet=True), *section.blocks))


def _rows(answer: WhatIf) -> Iterator[FigureRow]:
    """Yield every figure of every configuration, and its difference from the base case."""
    for row in answer.rows:
        of = {axis.key: row.changes.get(axis.key, "") for axis in answer.axes}
        if row.refusal is not None:
            yield FigureRow("", "", Figure(None, why=row.refusal), of)
        for name, figure in row.figures.items():
            yield FigureRow(name, unit_of(name, answer.currency), figure, of)
        for name, found in row.differences.items():
            difference = Figure(found.value, found.low, found.high)
            yield FigureRow(f"{name}.difference", unit_of(name, answer.currency), difference, of)
