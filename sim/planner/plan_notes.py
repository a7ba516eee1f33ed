"""What whoever reads a plan is to know besides: of its traffic, its costs, what was left out, and of other rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sim.forecast.spending import fleet_changes
from sim.forecast.warnings import SCALED_TRACE, figure_warnings, on_recorded_arrivals, part_of_a_trace
from sim.planner.plan_result import PlanRow
from sim.planner.question import Question
from sim.scenario.arrival_spec import RecordedTrace
from sim.scenario.rules import serving_rules
from sim.scenario.spec import Scenario
from sim.scenario.versions import each_version

__all__ = ["notes_of", "warnings_beside"]

_OF_THE_ANSWER: Final = ("lost",)
"""What there is to warn of in an answer alone: that others lose requests is why they are not."""


def notes_of(question: Question, row: PlanRow | None) -> list[str]:
    """Return what its user is to know besides."""
    notes = [sentence for sentence in (part_of_a_trace(question.first),) if sentence is not None]
    if question.left_out:
        count = len(question.left_out)
        said = "1 combination was" if count == 1 else f"{count} combinations were"
        notes.append(f"{said} left out{':' if count == 1 else ', the first one:'} {question.left_out[0]}")
    recorded = on_recorded_arrivals(question.first)
    if recorded:
        notes.append(" ".join([*recorded, "Another day may be busier."]))
    if row is not None and isinstance(question.first.traffic.arrivals, RecordedTrace):
        notes.append(SCALED_TRACE)
    if row is not None and fleet_changes(question.configurations[row.place].scenario):
        notes.append(_beginning(question.configurations[row.place].scenario))
    replicas_max = _most_replicas(question)
    if replicas_max is not None and replicas_max > 1:
        notes.append(
            "A fixed fleet was not tried: in place of all that is said of fleet.autoscaler, give "
            f"--set fleet.autoscaler=none --vary fleet.replicas=1..{replicas_max}."
        )
    return notes


def warnings_beside(question: Question, rows: Sequence[PlanRow], chosen: int | None) -> list[str]:
    """Return what there is to warn of in other rows, and not in the answer: it may be why they are not.

    Each thing is told once, of the cheapest row that shows it, with the values by which that one is another.
    """
    first = None if chosen is None else rows[chosen]
    told = {} if first is None else _row_warnings(question, first)
    said = []
    for row in rows:
        for about, sentence in _row_warnings(question, row).items():
            if about not in told and about not in _OF_THE_ANSWER:
                told[about] = sentence
                said.append(f"With {', '.join(_apart(row, first))}: {sentence}")
    return said


def _row_warnings(question: Question, row: PlanRow) -> dict[str, str]:
    return figure_warnings(question.configurations[row.place].scenario, row.figures)


def _apart(row: PlanRow, other: PlanRow | None) -> list[str]:
    """Return by which values a row is another, all without one."""
    return [f"{key}={value}" for key, value in row.changes.items() if other is None or other.changes.get(key) != value]


def _beginning(scenario: Scenario) -> str:
    """Return with how many replicas runs of a fleet that scales begin, which the cost of a short time rests on."""
    counts = [alone.fleet.replicas for alone in each_version(scenario)]
    said = "1 replica" if counts == [1] else f"{' and '.join(map(str, counts))} replicas"
    return (
        f"Runs begin with {said} (fleet.replicas), and the cost is that of this traffic from there on: by the hour, "
        "longer traffic may cost more or less."
    )


def _most_replicas(question: Question) -> int | None:
    """Return the most replicas of a fleet that scales in all configurations; None where one is fixed."""
    scenarios = [one.scenario for one in question.configurations]
    if any(scenario.fleet.autoscaler is None or len(scenario.versions) > 1 for scenario in scenarios):
        return None
    return max(serving_rules(scenario).autoscaler.replicas_max for scenario in scenarios)
