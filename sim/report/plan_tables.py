"""A plan as text: the answer in one sentence, what comes next and what it costs to be faster, what was simulated."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sim.exports.export import Fit, best_fit, fitting
from sim.forecast.estimates import Figure
from sim.forecast.spending import fleet_changes
from sim.planner.arithmetic import REPLICAS
from sim.planner.edges import Edge
from sim.planner.headroom import HEADROOM_BEYOND, Headroom
from sim.planner.plan_result import Plan, PlanRow
from sim.planner.search import State
from sim.planner.verdicts import lower_end, upper_end
from sim.report.as_it_fits import AsItFits
from sim.report.goal_words import beyond_words, goal_words, is_seen, nearness_words
from sim.report.tables import FIGURE_NAMES, label_of
from sim.report.units import about_time, digits_of, new_table, quantity, requests_in_words, short_keys, span
from sim.scenario.units import listed

__all__ = [
    "GoingOn",
    "about_answer",
    "answer_table",
    "answer_title",
    "changes_in_words",
    "cost_ends",
    "cost_words",
    "frontier_words",
    "going_on",
    "how_found",
    "plan_answer",
    "plan_report",
]

_P99: Final = "latency_ms.p99"
_NOT_MISSED: Final = (State.CONFIRMED, State.PASSED, State.DEARER, State.SLOWER)
"""States of which no goal is known to be missed."""

_MEAN_REPLICAS: Final = "replicas.mean"
_ON_FRONTIER: Final = " *"
_ABOVE_ONE: Final = 1.005
"""A factor below it is told as 1.00 times the traffic, which is no headroom."""


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
    table = answer_table(plan)
    parts += [] if table is None else ["", Text(answer_title(plan)), table]
    parts += [Text(line, style="dim") for line in frontier_words(plan)]
    return Group(*parts, "", *notes)


def answer_title(plan: Plan) -> str:
    """Return what answer_table() shows."""
    parts = ["the closest" if plan.chosen is None else "the answer"]
    parts += ["the next cheapest looked at that seem to meet the goals"] if plan.runners_up else []
    parts += [f"what less latency costs ({_ON_FRONTIER.strip()})"] if _frontier(plan) else []
    return listed(parts)


def answer_table(plan: Plan) -> AsItFits | None:
    """Return the answer, or the closest, and by cost what comes next and what is faster; None where none has figures.

    What is on the frontier, where that is a choice, has a mark behind its state.
    """
    first = [place for place in (plan.chosen, plan.closest) if place is not None]
    beside = {*plan.runners_up, *_frontier(plan)}.difference(first)
    shown = first + sorted(beside, key=lambda place: (plan.rows[place].cost, place))
    return _as_it_fits(plan, shown) if shown else None


def frontier_words(plan: Plan) -> Iterator[str]:
    """Yield what is to be said of the marked rows, which are the frontier, if any are."""
    if _frontier(plan):
        those = "looked at" if plan.chosen is None else "known to keep the goals"
        yield f"{_ON_FRONTIER.strip()}: nothing that is {those} is cheaper and faster."


def _frontier(plan: Plan) -> tuple[int, ...]:
    """Return the frontier; nothing where it is one configuration, which is no choice."""
    return plan.frontier if len(plan.frontier) > 1 else ()


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
    command = f"{command} --output deploy"
    image = "--image names the server's container; " if "image" in fit.format.takes else ""
    sentence = f"The answer as files for {fit.format.system} ({image}servecast forecast takes the same --set):"
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
    """Return what a configuration costs for the measured time, and where it has prices by the hour.

    A cost that is simulated comes with its interval.
    """
    seconds = plan.provenance["duration_s"]
    low, high = cost_ends(plan, row)
    is_sure = low is None or high is None or low == high
    hourly: tuple[str, ...] = ()
    if plan.unit != "GPU hours":
        mean = "" if is_sure else " in the mean"
        hourly = (f"{digits_of(3600.0 * row.cost / seconds)} {plan.unit}/h{mean}",)
    ends = "" if is_sure else f" ({span('cost', low or 0.0, high or 0.0)} with 95 % confidence)"
    return (f"{digits_of(row.cost)} {plan.unit} for {about_time(round(1e9 * seconds))}{ends}", *hourly)


def cost_ends(plan: Plan, row: PlanRow) -> tuple[float | None, float | None]:
    """Return the 95 % interval of the cost of a configuration; of one that is exact both ends are the cost."""
    figure = row.figures.get("gpu_hours" if plan.unit == "GPU hours" else "cost")
    return (None, None) if figure is None else (figure.low, figure.high)


def changes_in_words(row: PlanRow) -> str:
    """Return a configuration in words."""
    return _in_words(row.changes)


def _in_words(changes: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in changes.items())


def about_answer(plan: Plan) -> Iterator[str]:
    """Yield what may be cheaper, what binds, how much more traffic there may be, what spare replicas are for."""
    row = plan.answer
    if plan.doubt is not None:
        yield plan.doubt
    if row is None:
        return
    if row.binding is not None and row.of_limit is not None:
        yield _nearest_words(plan, row, row.binding, row.of_limit)
    yield from _scaling_words(plan, row)
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


def _scaling_words(plan: Plan, row: PlanRow) -> Iterator[str]:
    """Yield what scaling saves, or costs, where fleets that scale and fixed ones were both asked for."""
    scales = fleet_changes(plan.scenarios[row.place])
    costs = {
        each.place: each.cost
        for each in plan.looked
        if each.cost and each.state in _NOT_MISSED and fleet_changes(plan.scenarios[each.place]) != scales
    }
    if not costs or not row.cost:
        return
    place = min(costs, key=lambda each: costs[each])
    (changes,) = (each.changes for each in plan.looked if each.place == place)
    said = f"{_in_words(changes)}, costs {digits_of(costs[place])} {plan.unit}"
    if scales:
        saved = f"{digits_of(100.0 * (1.0 - row.cost / costs[place]), 2)} %"
        yield f"Scaling saves {saved}: the cheapest fixed fleet that is not seen to miss a goal, {said}."
    else:
        more = f"{digits_of(100.0 * (costs[place] / row.cost - 1.0), 2)} % more"
        yield (f"Scaling saves nothing: the cheapest fleet that scales and is not seen to miss a goal, {said}, {more}.")


def _edge_words(edges: Sequence[Edge]) -> str:
    """Return which values of the answer have none beyond them in range, and what those may be."""
    better = "cheaper" if all(edge.key == REPLICAS for edge in edges) else "cheaper or faster"
    better = "faster" if all(edge.is_cheapest for edge in edges) else better
    ends = ["smallest" if edge.is_smallest else "largest" for edge in edges]
    if len(edges) == 1:
        beyond = "smaller" if edges[0].is_smallest else "larger"
        return f"{edges[0].key}={edges[0].value} is the {ends[0]} value given: a {beyond} one may be {better}."
    named = [f"{edge.key}={edge.value} (the {end})" for edge, end in zip(edges, ends, strict=True)]
    return f"{listed(named)} are ends of what was given: values beyond may be {better}."


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
        yield f"By the values alone they are met up to {headroom.factor:.2f} times{_breaks(headroom)}."
    elif headroom.why is not None:
        missed = high and f", and missed from {high} times on"
        yield (
            f"Headroom: the goals are met up to {low} times the traffic{missed}, with {sure} confidence; of "
            "what lies between, the runs do not tell (--runs). servecast capacity tells more: it makes more of them, "
            "and under a steady load longer ones."
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
    if not headroom.binding:
        return ""
    if headroom.is_beyond and headroom.beyond is not None:
        return f"; at {headroom.beyond:.2f} times, the next that was asked for, {beyond_words(headroom.binding)}"
    name = FIGURE_NAMES[headroom.binding[0]]
    return f", where {name} is the nearest its limit; at more, no figures can be given"


def _as_it_fits(plan: Plan, places: Sequence[int]) -> AsItFits:
    """Return configurations side by side, on a narrow page first what each costs and is, then its figures."""
    table, names = _rows_table(plan, places), len(plan.rows[places[0]].changes)
    last = len(table.columns) - 1
    begin = names + 1 + _any_scales(plan, places)
    figures = [(place, place + 1) for place in range(begin, last - 1, 2)]
    return AsItFits(table, names, ([(place,) for place in range(names, begin)] + [(last - 1, last)], figures))


def _any_scales(plan: Plan, places: Sequence[int]) -> bool:
    """Return whether any of these rows is a fleet that scales, whose replicas are those of the start alone."""
    return any(fleet_changes(plan.scenarios[plan.rows[place].place]) for place in places)


def _rows_table(plan: Plan, places: Sequence[int]) -> Table:
    """Return configurations side by side: their values, cost and the figures of the goals with their upper ends."""
    names = list(dict.fromkeys([*plan.limits, _P99]))
    keys, scales = short_keys(list(plan.rows[places[0]].changes)), _any_scales(plan, places)
    if scales and REPLICAS in keys:
        keys[REPLICAS] = f"{keys[REPLICAS]} at start"
    cost = [f"cost, {plan.unit}", *([FIGURE_NAMES[_MEAN_REPLICAS]] if scales else [])]
    ends = [f"{label_of(name)}, at most" for name in names]
    headers = [column for name, end in zip(names, ends, strict=True) for column in (FIGURE_NAMES[name], end)]
    table = new_table(*keys.values(), *cost, *headers, "runs", "", words=len(keys))
    table.columns[-1].justify = "left"
    for place in places:
        row = plan.rows[place]
        cells = [cell for name in names for cell in _cells(plan, name, row.figures[name])]
        mean = [quantity(_MEAN_REPLICAS, row.figures[_MEAN_REPLICAS].value or 0.0)] if scales else []
        state = row.state.value + (_ON_FRONTIER if place in _frontier(plan) else "")
        table.add_row(*row.changes.values(), digits_of(row.cost), *mean, *cells, str(row.runs), state)
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
    said = [f"{state.value}: {plan.states[state]}" for state in reversed(State) if state in plan.states]
    yield f"Of {count} {'configuration' if count == 1 else 'configurations'}, {'; '.join(said)}."
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
