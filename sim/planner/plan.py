"""The cheapest configuration that meets all goals with a stated confidence, and what there is to know beside it.

Runners-up, the goal that binds, how much more traffic it takes, what less latency costs; or, where nothing in range
meets the goals, what comes closest and where its limit lies.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from sim.engine.engines import chosen_engine
from sim.errors import RefusedToAnswer, ScenarioError
from sim.forecast.manifest import manifest_of
from sim.forecast.provenance import host, versions
from sim.forecast.spending import fleet_changes, least_fleet_values
from sim.forecast.warnings import LOSSES, plain_warnings
from sim.planner.arithmetic import excluded, family_of
from sim.planner.bench import ScenarioBench
from sim.planner.edges import Edge, edges_of
from sim.planner.frontier import frontier_of
from sim.planner.grid import Axis
from sim.planner.headroom import Headroom, headroom_of
from sim.planner.plan_notes import notes_of, warnings_beside
from sim.planner.plan_result import Looked, Plan, PlanRow
from sim.planner.question import CONFIDENCE, Question, Source, asked, longer_runs, parse_goals, taken_apart
from sim.planner.search import TOLERANCE, Candidate, Search, State, Tried, Wanted
from sim.planner.verdicts import is_met, worst_goal
from sim.scenario.identity import scenario_hash
from sim.scenario.spare import spare_of

__all__ = ["plan"]

_P99: Final = "latency_ms.p99"

_OF_WARNINGS: Final = ("gpu_busy_share", "replicas.mean", "replicas.peak")

_CLOSEST_MOST: Final = 5
"""So many are tried before it is said that none of those that come close has figures."""

_RUNNERS_UP: Final = 3
"""So many are shown beside the answer."""

_SAME_COST: Final = ".9g"
"""Costs that are alike to so many digits are the same."""

_RUNS_OF_SCALING: Final = 10
"""Of a fleet that scales fewer runs than so many, unless stated, may show one course alone of several that it takes."""

_FRONTIER_RUNS: Final = 3
_FRONTIER_MORE: Final = 6
"""So many configurations that cost more than the answer are looked at, to show what more money buys."""

_FRONTIER_COST: Final = 2.5
"""Of the answer's cost: what costs more is not shown."""

_OF_SEARCH: Final = 500
"""Thousandths of progress that are the search's; the rest is the headroom's, which asks for more traffic."""

Progress = Callable[[int, int], None]


def plan(
    source: Source,
    axes: Sequence[Axis],
    *,
    goals: str | None = None,
    confidence: float = CONFIDENCE,
    seed: int | None = None,
    runs: int | None = None,
    progress: Progress | None = None,
) -> Plan:
    """Return the cheapest of the configurations of a scenario that meets its goals.

    `goals` (p99=200ms,refused=0.1%) go before the scenario's. A goal is met where the one-sided upper end of its figure
    is within the limit at a `confidence` from 0.5 to 0.999, over `runs` fresh runs (None: horizon.runs, at least 10
    where a fleet scales), up to search.MORE_RUNS_MOST times as many where they do not tell of one that would be
    cheaper. The cost is that of the measured time at the scenario's prices, or its GPU hours; of several that cost the
    same the one with the lowest p99 is taken. `progress` is called with the share that is settled, of 1000. Raises
    ScenarioError for bad input, and RefusedToAnswer if the runs support no configuration's figures.
    """
    question = asked(source, axes, goals=goals, confidence=confidence, runs=runs, seed=seed)
    if not question.axes:
        raise ScenarioError("Nothing varies: give a key several values, as in --vary fleet.replicas=1..20.")
    if runs is None and any(fleet_changes(one.scenario) for one in question.configurations):
        question = replace(question, runs=max(question.runs, _RUNS_OF_SCALING))
    cost = "cost" if question.first.cost is not None else "gpu_hours"
    scenarios = [one.scenario for one in question.configurations]
    bench = ScenarioBench(
        scenarios, question.limits, seed=question.seed, runs=question.runs, more=[_P99, *LOSSES, *_OF_WARNINGS]
    )
    goal = Wanted(question.limits, confidence, question.runs, cost, prefer=_P99, longer=longer_runs(question.first))
    tell = None if progress is None else lambda share: progress(round(_OF_SEARCH * share), 1000)
    search = Search(_candidates(question, cost), bench, goal, tell)
    found = search.run()
    closest = None if found is not None else _closest(search, question)
    _look_along_frontier(search, found)
    headroom = None
    if found is not None:
        answer = question.configurations[found.candidate.place].scenario
        left = 1000 - _OF_SEARCH
        tell = None if progress is None else lambda share: progress(_OF_SEARCH + round(left * share), 1000)
        headroom, simulated = headroom_of(question, answer, len(found.fresh), tell)
        search.simulated.update({"headroom": simulated} if headroom is not None else {})
    edges = () if found is None else _edges(source, axes, goals, question, found)
    return replace(_answer(question, search, found, closest, headroom, edges), fixed=_fixed(axes))


def _fixed(axes: Sequence[Axis]) -> dict[str, str]:
    """Return the keys of one value, those that change together one by one."""
    (alone,) = taken_apart([axis for axis in axes if len(axis.values) == 1])
    return {axis.key: axis.values[0] for axis in alone}


def _candidates(question: Question, cost: str) -> list[Candidate]:
    """Return what is known of the configurations before any run."""
    candidates = []
    for place, one in enumerate(question.configurations):
        candidates.append(
            Candidate(
                place,
                least_cost=least_fleet_values(one.scenario)[cost],
                is_cost_exact=not fleet_changes(one.scenario),
                excluded=excluded(one.scenario, question.limits),
                family=family_of(one, question.limits),
                replicas=one.scenario.fleet.replicas,
            )
        )
    return candidates


def _closest(search: Search, question: Question) -> Tried | None:
    """Return the configuration that misses its goals by the least, with all its runs. None if none has figures.

    Raises RefusedToAnswer if what kept the only hopeful ones from being the answer is that runs are too short.
    """
    looked_at = [tried for tried in search.tried if tried.runs]
    judged = [tried for tried in looked_at if tried.state != State.UNKNOWN]
    unknown = [tried for tried in looked_at if tried.state == State.UNKNOWN]
    if unknown and all(_excess(tried, question.limits) > 1.0 for tried in judged):
        hopeful = min(unknown, key=lambda tried: _excess(tried, question.limits))
        if _excess(hopeful, question.limits) <= 1.0:
            raise RefusedToAnswer(
                f"No configuration is found to meet the goals, and of {_words(question, hopeful)} it cannot be said: "
                f"{hopeful.why}."
            )
    for closest in sorted(looked_at, key=lambda tried: _excess(tried, question.limits))[:_CLOSEST_MOST]:
        search.extend(closest, question.runs)
        try:
            search.figures(closest)
        except RefusedToAnswer:
            continue
        return closest
    return None


def _excess(tried: Tried, limits: Mapping[str, float]) -> float:
    """Return by how many times the worst figure is above its limit, on the mean of the runs."""
    excess = 0.0
    for name, limit in limits.items():
        values = [run.figures.get(name, math.nan) for run in tried.decisive]
        mean = math.fsum(values) / len(values)
        excess = max(excess, math.inf if math.isnan(mean) else mean / max(limit, 1e-12))
    return excess


def _words(question: Question, tried: Tried) -> str:
    changes = question.configurations[tried.candidate.place].changes
    return ", ".join(f"{key}={value}" for key, value in changes.items())


def _look_along_frontier(search: Search, found: Tried | None) -> None:
    """Have a few runs made of those that show what more money buys, or without an answer, what the most buys."""
    waiting = [tried for tried in search.tried if len(tried.runs) < _FRONTIER_RUNS and tried.state != State.EXCLUDED]
    if found is not None:
        least = search.cost(found)
        waiting = [tried for tried in waiting if least < search.cost(tried) <= _FRONTIER_COST * least]
        alike = [tried for tried in waiting if tried.candidate.family == found.candidate.family is not None]
        waiting = alike or waiting
    waiting = [tried for tried in waiting if tried.runs or tried.candidate.is_cost_exact]
    known = [tried for tried in waiting if tried.runs]
    chosen = frontier_of([(search.cost(tried), tried.runs[0].figures[_P99]) for tried in known])
    waiting = [known[place] for place in chosen] or sorted(waiting, key=search.cost)
    for tried in waiting[:_FRONTIER_MORE]:
        search.extend(tried, _FRONTIER_RUNS, "frontier")


def _edges(
    source: Source, axes: Sequence[Axis], goals: str | None, question: Question, found: Tried
) -> tuple[Edge, ...]:
    """Return where the answer lies at the edge of what was varied."""
    fixed = [axis for axis in axes if len(axis.values) == 1] + ([] if goals is None else parse_goals(goals))
    changes = question.configurations[found.candidate.place].changes
    return edges_of(source, fixed, question.axes, changes, question.limits)


def _answer(
    question: Question,
    search: Search,
    found: Tried | None,
    closest: Tried | None,
    headroom: Headroom | None,
    edges: tuple[Edge, ...],
) -> Plan:
    """Return the plan."""
    told = [tried for tried in search.tried if len(tried.decisive) > 1]
    told.sort(key=search.cost)
    rows = tuple(row for row in (_row(question, search, tried) for tried in told) if row is not None)
    places = {row.place: index for index, row in enumerate(rows)}
    chosen = None if found is None else places[found.candidate.place]
    row = None if chosen is None else rows[chosen]
    scenario = question.first if found is None else question.configurations[found.candidate.place].scenario
    excluded_rows = [tried for tried in search.tried if tried.state == State.EXCLUDED]
    return Plan(
        name=question.first.name,
        axes=question.axes,
        scenarios=tuple(one.scenario for one in question.configurations),
        limits=question.limits,
        confidence=question.confidence,
        unit=question.first.cost.currency if question.first.cost is not None else "GPU hours",
        rows=rows,
        chosen=chosen,
        closest=None if closest is None else places.get(closest.candidate.place),
        runners_up=() if chosen is None else _runners_up(question, rows, chosen),
        frontier=_frontier(rows, chosen),
        headroom=headroom,
        edges=edges,
        states=dict(Counter(tried.state.value for tried in search.tried)),
        excluded_why=max(excluded_rows, key=search.cost).why if excluded_rows else None,
        simulated=dict(search.simulated),
        notes=tuple(notes_of(question, row)),
        warnings=(
            *([] if row is None else plain_warnings(scenario, row.figures)),
            *warnings_beside(question, rows, chosen),
        ),
        doubt=_doubt(question, search, row),
        looked=tuple(_looked(question, search)),
        provenance={
            "scenario": question.first.name,
            "scenario_hash": scenario_hash(question.first),
            "seed": question.seed,
            "runs": question.runs,
            "duration_s": scenario.horizon.duration / 1e9,
            "spare": spare_of(scenario),
            "initial_state": "empty",
            "engine": chosen_engine().value,
            "versions": versions(),
            "host": host(),
        },
        manifest=manifest_of(
            question.first,
            command="plan",
            seed=question.seed,
            runs=question.runs,
            options={
                "varied": {axis.key: list(axis.values) for axis in question.axes},
                "confidence": question.confidence,
            },
        ),
    )


def _frontier(rows: Sequence[PlanRow], chosen: int | None) -> tuple[int, ...]:
    """Return what less latency costs: rows that no other beats in cost and p99, the answer among them.

    What seems to beat the answer in both is left out: it misses a goal, or more runs say that it does not cost less.
    Without a p99 of the answer it would not be true of any row that nothing is cheaper and faster.
    """
    points = {place: (row.cost, p99) for place, row in enumerate(rows) if (p99 := row.figures[_P99].value) is not None}
    if chosen is not None:
        if chosen not in points:
            return ()
        cost, p99 = points[chosen]
        points = {
            place: point
            for place, point in points.items()
            if place == chosen or point[0] > (1.0 + 1e-9) * cost or point[1] > p99
        }
    places = list(points)
    return tuple(places[each] for each in frontier_of(list(points.values())))


def _runners_up(question: Question, rows: Sequence[PlanRow], chosen: int) -> tuple[int, ...]:
    """Return the next cheapest after the answer whose own runs, as far as they go, meet the goals.

    The search drops most of them for their cost alone, before they have all their runs. Of those that cost the same
    what is confirmed comes first, and then the one with the lowest p99.
    """
    meeting = [
        (float(f"{row.cost:{_SAME_COST}}"), not row.is_confirmed, row.figures[_P99].value or math.inf, place)
        for place, row in enumerate(rows)
        if place != chosen
        and row.cost >= rows[chosen].cost * (1.0 - 1e-9)
        and is_met(row.figures, question.limits, question.confidence)
    ]
    return tuple(place for *_, place in sorted(meeting)[:_RUNNERS_UP])


def _row(question: Question, search: Search, tried: Tried) -> PlanRow | None:
    """Return a configuration with its figures, None where no honest ones can be given."""
    try:
        figures = dict(search.figures(tried))
    except RefusedToAnswer:
        return None
    binding, of_limit = worst_goal(figures, question.limits, question.confidence)
    seen = None
    if tried.state == State.MISSED and tried.why in question.limits and figures[tried.why].value is None:
        # Each run by itself is too short for an interval that can be trusted, and shows much more than is allowed.
        binding, values = tried.why, [run.figures[tried.why] for run in tried.decisive]
        seen = math.fsum(values) / len(values)
        of_limit = seen / question.limits[binding]
    return PlanRow(
        place=tried.candidate.place,
        changes=question.configurations[tried.candidate.place].changes,
        state=tried.state,
        cost=search.cost(tried),
        figures=figures,
        runs=len(tried.decisive),
        is_confirmed=tried.state == State.CONFIRMED,
        binding=binding,
        of_limit=None if math.isnan(of_limit) else of_limit,
        why=tried.why,
        seen=seen,
    )


def _looked(question: Question, search: Search) -> Iterator[Looked]:
    """Yield how far each configuration was looked at, the cheapest first as far as that is known."""
    for tried in sorted(search.tried, key=search.cost):
        candidate, runs = tried.candidate, len(tried.decisive)
        yield Looked(
            place=candidate.place,
            changes=question.configurations[candidate.place].changes,
            state=tried.state,
            runs=runs,
            least_cost=candidate.least_cost,
            is_cost_exact=candidate.is_cost_exact,
            cost=search.cost(tried) if candidate.is_cost_exact or runs else None,
            why=tried.why,
        )


def _doubt(question: Question, search: Search, row: PlanRow | None) -> str | None:
    """Return which configurations, cheaper than the answer, may meet the goals too: their runs do not tell."""
    doubtful = [
        tried for tried in search.tried if tried.state == State.UNKNOWN and _excess(tried, question.limits) <= 1.0
    ]
    cheaper = [tried for tried in doubtful if row is None or search.cost(tried) < (1.0 - TOLERANCE) * row.cost]
    if not cheaper:
        return None
    first, is_one = min(cheaper, key=search.cost), len(cheaper) == 1
    return (
        f"{len(cheaper)} {'cheaper ' if row is not None else ''}{'configuration' if is_one else 'configurations'} "
        f"may meet the goals, and {'its' if is_one else 'their'} runs do not tell: with "
        f"{_words(question, first)}, {first.why}."
    )
