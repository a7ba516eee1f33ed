"""A plan as text: the answer in one sentence, what comes next, what it costs to be faster, what was simulated."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sim.exports.export import Fit, best_fit, fitting
from sim.forecast.estimates import Figure
from sim.planner.arithmetic import REPLICAS
from sim.planner.edges import Edge
from sim.planner.plan import HEADROOM_BEYOND, Headroom, Plan, PlanRow
from sim.planner.search import State
from sim.planner.verdicts import lower_end, upper_end
from sim.report.as_it_fits import AsItFits
from sim.report.goal_words import goal_words, is_seen, nearness_words
from sim.report.tables import FIGURE_NAMES, label_of
from sim.report.units import about_time, digits_of, new_table, quantity, requests_in_words, short_keys, span

__all__ = [
    "FRONTIER_TITLE",
    "GoingOn",
    "about_answer",
    "answer_table",
    "answer_title",
    "changes_in_words",
    "cost_ends",
    "cost_words",
    "frontier_table",
    "going_on",
    "how_found",
    "plan_answer",
    "plan_report",
]

_P99: Final = "latency_ms.p99"
FRONTIER_TITLE: Final = "cost against p99: nothing that is known to keep the goals is cheaper and faster"
_ABOVE_ONE: Final = 1.005
"""A factor below it is told as 1.00 times the traffic, which is no headroom."""

_STATES: Final = {
    State.CONFIRMED: ("confirmed", "confirmed"),
    State.PASSED: ("seems to meet the goals", "seem to meet the goals"),
    State.DEARER: ("costs more, and has not all its runs", "cost more, and have not all their runs"),
    State.SLOWER: ("costs the same and is slower", "cost the same and are slower"),
    State.FAILED: ("misses a goal in fresh runs", "miss a goal in fresh runs"),
    State.MISSED: ("misses a goal", "miss a goal"),
    State.INFERRED: (
        "misses a goal, since the same with more replicas does",
        "miss a goal, since the same with more replicas does",
    ),
    State.EXCLUDED: ("excluded by arithmetic", "excluded by arithmetic"),
    State.UNKNOWN: ("cannot be judged", "cannot be judged"),
    State.OPEN: ("not looked at to the end", "not looked at to the end"),
}
"""In words, of one configuration and of several."""


_STATES_OF_ROWS: Final = {
    State.CONFIRMED: "confirmed",
    State.SLOWER: "slower",
    State.FAILED: "misses a goal",
    State.MISSED: "misses a goal",
    State.UNKNOWN: "cannot be judged",
}
"""Of rows; any other is not confirmed."""


def plan_report(plan: Plan, scenario: str = "SCENARIO") -> RenderableType:
    """Return a plan for people; `scenario` is the file as they gave it, for the command that goes on from here."""
    notes = [Text(line, style="dim") for line in how_found(plan)]
    parts: list[RenderableType] = [Text(plan_answer(plan), style="bold")]
    parts += [Text(line) for line in about_answer(plan)]
    parts += [Text(f"warning: {sentence}", style="yellow") for sentence in plan.warnings]
    if plan.answer is not None:
        files = going_on(plan, plan.answer, scenario)
        commands = [Text(command, no_wrap=True, overflow="ignore") for command in files.commands]
        parts += ["", Text(files.sentence), *commands, *map(Text, files.left)]
    for title, table in ((answer_title(plan), answer_table(plan)), (FRONTIER_TITLE, frontier_table(plan))):
        parts += [] if table is None else ["", Text(title), table]
    return Group(*parts, "", *notes)


def answer_title(plan: Plan) -> str:
    """Return what answer_table() shows."""
    if plan.chosen is None:
        return "the closest"
    beside = ", and the next cheapest looked at that seem to meet the goals" if plan.runners_up else ""
    return f"the answer{beside}"


def answer_table(plan: Plan) -> AsItFits | None:
    """Return the answer, or the closest, and the next cheapest; None where none has figures."""
    shown = [place for place in (plan.chosen, plan.closest) if place is not None] + list(plan.runners_up)
    return _as_it_fits(plan, shown) if shown else None


def frontier_table(plan: Plan) -> AsItFits | None:
    """Return what less latency costs; None where there is no choice."""
    return _as_it_fits(plan, plan.frontier) if len(plan.frontier) > 1 else None


def how_found(plan: Plan) -> list[str]:
    """Return what the answer rests on, and what its user is to know besides, a sentence or two each."""
    return [*_statistics(plan), *plan.notes]


def plan_answer(plan: Plan) -> str:
    """Return the answer in one sentence."""
    row = plan.answer
    if row is not None:
        said = ", ".join(goal_words(row.figures, name, limit, plan.confidence) for name, limit in plan.limits.items())
        return (
            f"{plan.name}: the cheapest that meets the goals is {changes_in_words(row)}: "
            f"{', '.join(cost_words(plan, row))}; {said}."
        )
    if plan.closest is None:
        if plan.excluded_why is None:
            return f"{plan.name}: nothing in range meets the goals: everywhere too many requests have no outcome."
        return f"{plan.name}: nothing in range meets the goals, by arithmetic alone: {plan.excluded_why}."
    row = plan.rows[plan.closest]
    name = row.binding or next(iter(plan.limits))
    if row.seen is not None:
        seen, limit = quantity(name, row.seen), quantity(name, plan.limits[name])
        return (
            f"{plan.name}: nothing in range meets the goals. The closest is {changes_in_words(row)}: {row.runs} runs, "
            f"each too short to give its {FIGURE_NAMES[name]} an interval, show {seen} in the mean, and the limit is "
            f"{limit}."
        )
    low = lower_end(row.figures[name], plan.confidence)
    figure = row.figures[name]
    got = "not known" if figure.value is None else f"{quantity(name, figure.value)} (at least {quantity(name, low)})"
    if figure.value is not None and low <= plan.limits[name]:
        got = f"{quantity(name, figure.value)}, and cannot be said to be within"
    return (
        f"{plan.name}: nothing in range meets the goals. The closest is {changes_in_words(row)}: {FIGURE_NAMES[name]} "
        f"{got}; the limit is {quantity(name, plan.limits[name])}."
    )


class GoingOn(NamedTuple):
    """How an answer becomes files, in the format that suits it best."""

    sentence: str  # what the command writes, or why there is none
    commands: tuple[str, ...]  # for a shell: one, none where no format fits
    left: tuple[str, ...]  # what the files do not say


def going_on(plan: Plan, row: PlanRow, scenario: str) -> GoingOn:
    """Return how the answer becomes files; `scenario` is the file as its user gave it."""
    answer = plan.scenarios[row.place]
    fits = fitting(answer)
    fit = best_fit(answer, fits)
    if fit.exported is None:
        return GoingOn(f"servecast export has no files for this answer: {fit.refusal}", (), ())
    settings = [part for key, value in {**plan.fixed, **row.changes}.items() for part in ("--set", f"{key}={value}")]
    command = shlex.join(["servecast", "export", scenario, *settings, "--to", fit.format.name])
    sentence = f"The answer as files for {fit.format.system} (servecast forecast takes it too, without --to):"
    return GoingOn(sentence, (command,), tuple(_left_to_the_server(row, fit, fits)))


def _left_to_the_server(row: PlanRow, fit: Fit, fits: Sequence[Fit]) -> Iterator[str]:
    """Yield which settings of the server the files do not say, and which other format does."""
    of_server = [key for key in row.changes if key.partition(".")[0] in ("batching", "queue")]
    keys = [key for key in of_server if not _says(fit, key)]
    if keys:
        able = [other.format.name for other in fits if other.exported and all(_says(other, key) for key in keys)]
        has = f"; --to {' or '.join(able)} has" if able else ""
        named = ", ".join(f"{key}={row.changes[key]}" for key in keys)
        yield f"{named} must be set in the server: {fit.format.system} has no word for it{has}."


def _says(fit: Fit, key: str) -> bool:
    """Return whether the files of a format say a key, or something in its section."""
    return any(said == key or said.startswith(f"{key}.") for said in fit.said)


def cost_words(plan: Plan, row: PlanRow) -> tuple[str, ...]:
    """Return what a configuration costs for the measured time, and by the hour where prices and replicas are fixed.

    A cost that is simulated comes with its interval.
    """
    seconds = plan.provenance["duration_s"]
    low, high = cost_ends(plan, row)
    is_sure = low is None or high is None or low == high
    hourly: tuple[str, ...] = ()
    if is_sure and plan.unit != "GPU hours":
        hourly = (f"{digits_of(3600.0 * row.cost / seconds)} {plan.unit}/h",)
    ends = "" if is_sure else f" ({span('cost', low or 0.0, high or 0.0)} with 95 % confidence)"
    return (f"{digits_of(row.cost)} {plan.unit} for {about_time(round(1e9 * seconds))}{ends}", *hourly)


def cost_ends(plan: Plan, row: PlanRow) -> tuple[float | None, float | None]:
    """Return the 95 % interval of the cost of a configuration; of one that is exact both ends are the cost."""
    figure = row.figures.get("gpu_hours" if plan.unit == "GPU hours" else "cost")
    return (None, None) if figure is None else (figure.low, figure.high)


def changes_in_words(row: PlanRow) -> str:
    """Return a configuration in words."""
    return ", ".join(f"{key}={value}" for key, value in row.changes.items())


def about_answer(plan: Plan) -> Iterator[str]:
    """Yield what may be cheaper, what binds, how much more traffic there may be, what spare replicas are for."""
    row = plan.answer
    if plan.doubt is not None:
        yield plan.doubt
    if row is None:
        return
    if row.binding is not None and row.of_limit is not None:
        yield _nearest_words(plan, row, row.binding, row.of_limit)
    if plan.edges:
        yield _edge_words(plan.edges)
    if plan.headroom is not None:
        yield from _headroom_lines(plan.headroom, f"{100 * plan.confidence:g} %")
    elif plan.scenarios[row.place].traffic.clients is not None:
        yield "Headroom: a closed loop has no rate to be higher; --vary traffic.clients.count asks for more clients."
    spare = plan.provenance["spare"]
    if spare:
        yield f"The goals hold with {spare} {'replica' if spare == 1 else 'replicas'} down; the cost counts all."


def _nearest_words(plan: Plan, row: PlanRow, name: str, of_limit: float) -> str:
    """Return which goal is the nearest to its limit; where nothing is seen of any, which the runs tell the least of."""
    label, limit = label_of(name), plan.limits[name]
    near = f"{nearness_words(row.figures, name, limit, plan.confidence)} ({digits_of(100 * of_limit)} %)"
    if is_seen(row.figures, name, limit):
        return f"At this traffic {label} is the goal nearest its limit: {near}."
    return f"At this traffic no goal is seen near its limit; of {label} the runs tell the least: {near}."


def _edge_words(edges: Sequence[Edge]) -> str:
    """Return which values of the answer have none beyond them in range, and what those may be."""
    better = "cheaper" if all(edge.key == REPLICAS for edge in edges) else "cheaper or faster"
    better = "faster" if all(edge.is_cheapest for edge in edges) else better
    ends = ["smallest" if edge.is_smallest else "largest" for edge in edges]
    if len(edges) == 1:
        beyond = "smaller" if edges[0].is_smallest else "larger"
        return f"{edges[0].key}={edges[0].value} is the {ends[0]} value given: a {beyond} one may be {better}."
    named = [f"{edge.key}={edge.value} (the {end})" for edge, end in zip(edges, ends, strict=True)]
    return f"{', '.join(named[:-1])} and {named[-1]} are ends of what was given: values beyond may be {better}."


def _headroom_lines(headroom: Headroom, sure: str) -> Iterator[str]:
    """Yield how much more traffic there may be, up to where goals are met and from where one is missed."""
    low, most = f"{headroom.low:.2f}", f"{headroom.most:.0f}"
    high = "" if headroom.high is None else f"{headroom.high:.2f}"
    if headroom.factor is not None and headroom.high is None and headroom.factor < _ABOVE_ONE:
        yield (
            "Headroom: none is known. Just above this traffic the few runs made there show a goal beyond its limit, "
            f"and not with {sure} confidence. servecast capacity tells more: it makes more of them."
        )
    elif headroom.factor is not None:
        asked = f"{min(headroom.most, HEADROOM_BEYOND * headroom.factor):.2f}"
        missed = f"missed from {high} times on" if high else f"not missed yet at {asked} times"
        yield f"Headroom: the goals are met up to {low} times the traffic, and {missed}, with {sure} confidence each."
        yield f"By the values alone it may be {headroom.factor:.2f} times as much{_breaks(headroom)}."
    elif headroom.why is not None:
        missed = high and f", and missed from {high} times on"
        yield (
            f"Headroom: the goals are met up to {low} times the traffic{missed}, with {sure} confidence; of what lies "
            "between, the runs do not tell (--runs). servecast capacity tells more: it makes more of them, and under a "
            "steady load longer ones."
        )
    elif headroom.low >= headroom.most:
        yield f"Headroom: no goal breaks up to {most} times the traffic, with {sure} confidence."
    else:
        yield f"Headroom: no goal breaks up to {most} times the traffic; with {sure} confidence, up to {low} times."
    if headroom.apart is not None and headroom.apart >= _ABOVE_ONE - 1.0:
        yield (
            "For a fleet that scales less traffic may be worse: it was asked for every "
            f"{headroom.apart:.2g} times up to there, and narrower gaps are not seen."
        )


def _breaks(headroom: Headroom) -> str:
    """Return what breaks at more traffic, as far as that is seen."""
    if headroom.binding is None:
        return ""
    name = FIGURE_NAMES[headroom.binding]
    if headroom.is_beyond:
        return f" before {name} is beyond its limit"
    return f", where {name} is the nearest its limit; at more, no figures can be given"


def _as_it_fits(plan: Plan, places: Sequence[int]) -> AsItFits:
    """Return configurations side by side, on a narrow page first what each costs and is, then its figures."""
    table, names = _rows_table(plan, places), len(plan.rows[places[0]].changes)
    last = len(table.columns) - 1
    figures = [(place, place + 1) for place in range(names + 1, last - 1, 2)]
    return AsItFits(table, names, ([(names,), (last - 1, last)], figures))


def _rows_table(plan: Plan, places: Sequence[int]) -> Table:
    """Return configurations side by side: their values, cost and the figures of the goals with their upper ends."""
    names = list(dict.fromkeys([*plan.limits, _P99]))
    keys = short_keys(list(plan.rows[places[0]].changes))
    ends = [f"{label_of(name)}, at most" for name in names]
    headers = [column for name, end in zip(names, ends, strict=True) for column in (FIGURE_NAMES[name], end)]
    table = new_table(*keys.values(), f"cost, {plan.unit}", *headers, "runs", "", words=len(keys))
    table.columns[-1].justify = "left"
    for place in places:
        row = plan.rows[place]
        cells = [cell for name in names for cell in _cells(plan, name, row.figures[name])]
        state = _STATES_OF_ROWS.get(row.state, "not confirmed")
        table.add_row(*row.changes.values(), digits_of(row.cost), *cells, str(row.runs), state)
    return table


def _cells(plan: Plan, name: str, figure: Figure) -> tuple[str, str]:
    """Return a figure and its upper end."""
    if figure.value is None:
        return "-", ""
    return quantity(name, figure.value), quantity(name, upper_end(figure, plan.confidence))


def _statistics(plan: Plan) -> Iterator[str]:
    """Yield what the answer rests on."""
    too_short = {name: row.figures[name].why for row in _told(plan) for name in plan.limits if row.figures[name].why}
    for name, why in too_short.items():
        yield (
            f"Where no {FIGURE_NAMES[name]} stands, the goal is judged by the share of answers beyond it, of all runs "
            f"together: {why}."
        )
    count = sum(plan.states.values())
    of_states = [(plan.states[state], words) for state, words in _STATES.items() if state in plan.states]
    said = [f"{number} {one if number == 1 else several}" for number, (one, several) in of_states]
    yield f"{count} {'configuration' if count == 1 else 'configurations'}: {'; '.join(said)}."
    sure = f"{100 * plan.confidence:g} %"
    requests = sum(plan.simulated.values())
    simulated = f"{requests_in_words(requests)} {'was' if requests == 1 else 'were'} simulated"
    yield (
        f"At most: with {sure} confidence the figure is no higher than that. The answer rests on {plan.answer.runs} "
        f"fresh runs, by which nothing was chosen, and which servecast forecast does not make; {simulated}."
        if plan.answer is not None
        else f"Ends hold with {sure} confidence; {simulated}."
    )


def _told(plan: Plan) -> list[PlanRow]:
    """Return the rows that are shown."""
    return [plan.rows[place] for place in (plan.chosen, plan.closest, *plan.runners_up) if place is not None]
