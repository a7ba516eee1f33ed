"""A plan as a report: what varies and what is wanted, the answer, what less latency costs, how it was found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from sim.forecast.estimates import Figure
from sim.planner.grid import Axis
from sim.planner.headroom import Headroom
from sim.planner.plan_result import Looked, Plan, PlanRow
from sim.planner.verdicts import upper_end
from sim.report.document import (
    Answer,
    Block,
    Code,
    Column,
    Document,
    Highlight,
    Image,
    Paragraph,
    Records,
    Section,
    Table,
    Verdict,
    blocks_of,
)
from sim.report.forecast_document import calibration_section, provenance_section
from sim.report.goal_words import goals_table, limits_words
from sim.report.plan_figure import frontier_picture
from sim.report.plan_tables import (
    about_answer,
    answer_table,
    answer_title,
    changes_in_words,
    cost_ends,
    frontier_words,
    going_on,
    how_found,
    plan_answer,
)
from sim.report.question import configurations_in_words
from sim.report.tables import label_of
from sim.report.units import about_time, capital, digits_of, quantity, span
from sim.scenario.units import listed

__all__ = ["plan_document"]

_VALUES_SAID: Final = 8
"""More values of a key are told by the first two, the last, and how many there are."""

_P99: Final = "latency_ms.p99"
_COST: Final = "cost"


def plan_document(plan: Plan, *, scenario: str = "SCENARIO", command: str | None = None) -> Document:
    """Return the report of a plan of the file `scenario`; `command` makes it again, in a shell.

    Pictures are drawn when a writer asks for them. Raises what the scenario raises.
    """
    verdict = Verdict.BAD if plan.answer is None else Verdict.GOOD
    return Document(
        title=f"{plan.name}: plan",
        question=tuple(_question(plan)),
        answer=Answer(plan_answer(plan), verdict, tuple(about_answer(plan))),
        highlights=tuple(_highlights(plan)),
        warnings=plan.warnings,
        sections=tuple(_sections(plan, scenario)),
        figures=_records(plan),
        command=command,
        manifest={} if plan.manifest is None else plan.manifest.to_json(),
    )


def _question(plan: Plan) -> Iterator[str]:
    """Yield what all configurations share, what varies, and what is wanted."""
    yield from configurations_in_words(plan.scenarios)
    yield from (f"{axis.key} may be {_values(axis)}." for axis in plan.axes)
    sure = f"{100 * plan.confidence:g} %"
    yield (
        f"Which is the cheapest configuration that meets the goals ({limits_words(plan.limits)}), each with {sure} "
        f"confidence? The cost is that of the measured time, in {plan.unit}."
    )


def _values(axis: Axis) -> str:
    """Return the values of a key; of many only some, and how many there are."""
    if len(axis.values) <= _VALUES_SAID:
        return listed(axis.values, "or")
    return f"{', '.join(axis.values[:2])} … {axis.values[-1]} ({len(axis.values)} values)"


def _highlights(plan: Plan) -> Iterator[Highlight]:
    """Yield cost, goals and headroom of the answer; those that are known."""
    row = plan.answer
    if row is None:
        return
    yield _cost(plan, row)
    for name, limit in plan.limits.items():
        figure = row.figures[name]
        if figure.value is not None:
            end = quantity(name, upper_end(figure, plan.confidence))
            remark = f"at most {end}; the goal is {quantity(name, limit)}"
            yield Highlight(label_of(name), quantity(name, figure.value), remark)
    if plan.headroom is not None:
        yield _headroom(plan.headroom)


def _cost(plan: Plan, row: PlanRow) -> Highlight:
    """Return what a configuration costs; beside it the interval of a simulated cost, and what it is by the hour."""
    seconds = plan.provenance["duration_s"]
    low, high = cost_ends(plan, row)
    remarks = [] if low is None or high is None or low == high else [span(_COST, low, high)]
    remarks += [] if plan.unit == "GPU hours" else [f"{digits_of(3600.0 * row.cost / seconds)} {plan.unit}/h"]
    name = f"cost of {about_time(round(1e9 * seconds))}"
    return Highlight(name, f"{digits_of(row.cost)} {plan.unit}", "; ".join(remarks))


def _headroom(headroom: Headroom) -> Highlight:
    """Return how many times the traffic may be; where the runs do not tell, what is met with confidence."""
    value = f"at least {headroom.low:.2f} times" if headroom.factor is None else f"{headroom.factor:.2f} times"
    high = "" if headroom.factor is None or headroom.high is None else f"{headroom.low:.2f} .. {headroom.high:.2f}"
    return Highlight("traffic may be", value, high)


def _sections(plan: Plan, scenario: str) -> Iterator[Section]:
    """Yield the parts of the report in their order."""
    told = plan.chosen if plan.chosen is not None else plan.closest
    row = None if told is None else plan.rows[told]
    if row is not None:
        of = "the answer" if plan.chosen is not None else "the closest"
        goals = goals_table(row.figures, plan.limits, plan.confidence)
        yield Section(f"Each goal, in {of}", (goals, Paragraph(f"{changes_in_words(row)}.", quiet=True)))
    table = answer_table(plan)
    if table is not None:
        title = "The closest" if plan.chosen is None else "The answer and what comes next"
        marked = [Paragraph(line, quiet=True) for line in frontier_words(plan)]
        yield Section(title, (*blocks_of(table, capital(answer_title(plan))), *marked))
    if plan.answer is not None:
        files = going_on(plan, plan.answer, scenario)
        left = (Paragraph(line) for line in files.left)
        yield Section("To go on", (Paragraph(files.sentence), *map(Code, files.commands), *left))
    if plan.frontier:
        yield Section("Cost against p99", tuple(_frontier(plan)))
    yield Section("How it was found", tuple(_how(plan)))
    yield calibration_section(plan.scenarios[0 if row is None else row.place])
    yield provenance_section(plan.provenance)


def _frontier(plan: Plan) -> Iterator[Block]:
    """Yield what less latency costs, as a picture."""
    ends = [plan.rows[place] for place in plan.frontier[:1] + plan.frontier[1:][-1:]]
    said = [f"{quantity(_P99, _p99(each) or 0.0)} for {digits_of(each.cost)} {plan.unit}" for each in ends]
    alt = f"Cost against p99 of what was looked at; what nothing beats has a p99 of {' to '.join(said)}."
    caption = "Open dots are beaten by another; the bars are 95 % confidence."
    yield Image(partial(frontier_picture, plan), alt, caption)


def _p99(row: PlanRow) -> float | None:
    return row.figures[_P99].value


def _how(plan: Plan) -> Iterator[Block]:
    """Yield what the answer rests on."""
    yield from (Paragraph(line) for line in how_found(plan))
    columns = (Column("requests simulated for", is_number=False), Column("requests"))
    yield Table(columns, tuple((what, digits_of(count)) for what, count in plan.simulated.items()))


def _records(plan: Plan) -> Records:
    """Return a row for each configuration: its values, its state, its cost and its figures, if it has any.

    `upper` is the end that the figure is below with the plan's confidence: what a goal was held against. A cost that
    has to be simulated has an interval; `cost.least` is known without a run. Those with figures come first.
    """
    keys = [key.strip() for axis in plan.axes for key in axis.key.split("+")]
    names = list(dict.fromkeys([*plan.limits, _P99, *(name for row in plan.rows for name in row.figures)]))
    names = [name for name in names if name != _COST]
    columns = [*keys, "state", "confirmed", "runs", "cost", "cost.low", "cost.high", "cost.least", "unit", "why"]
    columns += [column for name in names for column in _heads(name)]
    least = {each.place: each.least_cost for each in plan.looked}
    rows = []
    for row in plan.rows:
        state = (row.state.value, str(row.is_confirmed).lower(), row.runs)
        cost = (row.cost, *cost_ends(plan, row), least.get(row.place), plan.unit)
        values: list[object] = [*(row.changes.get(key) for key in keys), *state, *cost, row.why]
        rows.append((*values, *(cell for name in names for cell in _ends(plan, name, row.figures.get(name)))))
    told = {row.place for row in plan.rows}
    empty = [None] * sum(len(_heads(name)) for name in names)
    rows += [
        (*(each.changes.get(key) for key in keys), *_looked_cells(plan, each), *empty)
        for each in plan.looked
        if each.place not in told
    ]
    return Records(tuple(columns), tuple(rows))


def _looked_cells(plan: Plan, each: Looked) -> Sequence[object]:
    """Return the cells of a configuration without figures, up to those."""
    exact = each.cost if each.is_cost_exact else None
    return (each.state.value, "false", each.runs, each.cost, exact, exact, each.least_cost, plan.unit, each.why)


def _heads(name: str) -> Sequence[str]:
    """Return the columns of a figure; runs may be too short for a quantile, which then says why."""
    ends = [name, *(f"{name}.{end}" for end in ("low", "high", "upper"))]
    return [*ends, f"{name}.why"] if _may_be_unknown(name) else ends


def _ends(plan: Plan, name: str, figure: Figure | None) -> Sequence[object]:
    """Return the cells of a figure."""
    if figure is None or figure.value is None:
        cells: list[object] = [None] * 4
    else:
        cells = [figure.value, figure.low, figure.high, upper_end(figure, plan.confidence)]
    return [*cells, None if figure is None else figure.why] if _may_be_unknown(name) else cells


def _may_be_unknown(name: str) -> bool:
    return name.startswith("latency_ms.")
