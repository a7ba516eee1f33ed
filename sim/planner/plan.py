"""The cheapest configuration that meets all goals with a stated confidence, and what there is to know beside it.

Runners-up, the goal that binds, how much more traffic it takes, what less latency costs; or, where nothing in range
meets the goals, what comes closest and where its limit lies.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sim.engine.engines import chosen_engine
from sim.errors import RefusedToAnswer, ScenarioError
from sim.forecast.estimates import Figure, tree_of
from sim.forecast.manifest import Manifest, manifest_of
from sim.forecast.provenance import host, versions
from sim.forecast.spending import fleet_changes, least_fleet_values
from sim.forecast.warnings import (
    SCALED_TRACE,
    figure_warnings,
    on_recorded_arrivals,
    part_of_a_trace,
    plain_warnings,
)
from sim.planner.arithmetic import excluded, family_of
from sim.planner.bench import ScenarioBench
from sim.planner.edges import Edge, edges_of
from sim.planner.frontier import frontier_of
from sim.planner.grid import Axis
from sim.planner.question import CONFIDENCE, Question, Source, asked, longer_runs, parse_goals, taken_apart
from sim.planner.search import TOLERANCE, Candidate, Search, State, Tried, Wanted
from sim.planner.traffic import TrafficBench, ascend, reach, up_to_first_gap
from sim.planner.verdicts import is_met, worst_goal
from sim.scenario.arrival_spec import RecordedTrace
from sim.scenario.capacity import mean_rate_per_s
from sim.scenario.identity import scenario_hash
from sim.scenario.rules import serving_rules
from sim.scenario.spare import spare_of
from sim.scenario.spec import Scenario
from sim.scenario.versions import each_version

__all__ = ["HEADROOM_BEYOND", "PLAN_VERSION", "Headroom", "Looked", "Plan", "PlanRow", "plan"]

PLAN_VERSION: Final = "servecast-plan/1"

P99: Final = "latency_ms.p99"

_LOSSES: Final = ("refused_share", "timed_out_share", "abandoned_share", "failed_share")
_OF_WARNINGS: Final = ("gpu_busy_share", "replicas.mean", "replicas.peak")
_LOST_MUCH: Final = 0.01
"""A share that is lost and that no goal limits is named from here on."""

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

_HEADROOM_MOST: Final = 3.0
_HEADROOM_STEP: Final = 1.15
_HEADROOM_PRECISION: Final = 0.05
_HEADROOM_RUNS: Final = 4

HEADROOM_BEYOND: Final = 1.25
"""A goal that is missed with confidence is looked for up to so many times the traffic at which one breaks."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class PlanRow:
    """One configuration of which there are at least two runs."""

    place: int  # among all configurations
    changes: dict[str, str]
    state: State
    cost: float
    figures: dict[str, Figure]
    runs: int  # those that the figures rest on
    is_confirmed: bool  # they are fresh: no search has chosen by them
    binding: str | None  # the figure that is beyond its limit, or the nearest to it, as verdicts.worst_of() has it
    of_limit: float | None  # the upper end of that figure's interval as a share of the limit
    why: str  # it is not the answer
    seen: float | None = None  # of `binding`, where that is not known: the mean of what the runs show, each by itself

    def to_json(self) -> dict[str, object]:
        """Return the row as plain values."""
        return {
            "changes": self.changes,
            "state": self.state.value,
            "cost": self.cost,
            "figures": tree_of(self.figures),
            "runs": self.runs,
            "confirmed": self.is_confirmed,
            "binding": self.binding,
            "of_limit": self.of_limit if self.of_limit is not None and math.isfinite(self.of_limit) else None,
            "seen": self.seen,
            "why": self.why or None,
        }


@dataclass(frozen=True)
class Looked:
    """How far the search looked at a configuration, whether it has figures or not."""

    place: int  # among all configurations
    changes: dict[str, str]
    state: State
    runs: int
    least_cost: float  # without a run: it cannot be less
    is_cost_exact: bool  # nor more
    cost: float | None  # None: it has to be simulated, and no run was made
    why: str

    def to_json(self) -> dict[str, object]:
        """Return it as plain values."""
        return {
            "changes": self.changes,
            "state": self.state.value,
            "runs": self.runs,
            "cost": self.cost,
            "least_cost": self.least_cost,
            "why": self.why or None,
        }


@dataclass(frozen=True)
class Headroom:
    """How many times the traffic may be before a goal breaks. An end is None where it is not known, or was not found.

    Factors up to `most` were asked for, and for `high` up to HEADROOM_BEYOND times `factor`.
    """

    low: float  # up to here all goals are met with confidence
    factor: float | None  # by its value a goal breaks here
    high: float | None  # from here on one is missed with confidence
    binding: tuple[str, ...]  # the figures beyond their limits just above `factor`, the farthest first
    most: float  # as far as was asked
    step: float  # a share of it: ends are so close to the next factor that was asked for, or closer
    why: str | None = None  # `factor` is not known
    apart: float | None = None  # of a fleet that scales: how far apart factors were asked for, for gaps below
    is_beyond: bool = True  # `binding` is, at more traffic; else no figure can be given there, and it is the nearest

    def to_json(self) -> dict[str, object]:
        """Return it as plain values."""
        return {
            "factor": self.low if self.factor is None else self.factor,
            "at_least": self.factor is None,
            "low": self.low,
            "high": self.high,
            "step": self.step,
            "binding": list(self.binding),
            "binding_is_beyond": self.is_beyond,
            "why": self.why,
            "apart": self.apart,
        }


@dataclass(frozen=True)
class Plan:
    """The answer. `rows` are the configurations that were looked at closely; `chosen`, `closest` are places in them."""

    name: str
    axes: tuple[Axis, ...]
    scenarios: tuple[Scenario, ...] = field(repr=False)  # of all configurations, by place
    limits: dict[str, float]
    confidence: float
    unit: str  # of costs: a currency, or GPU hours
    rows: tuple[PlanRow, ...]
    chosen: int | None
    closest: int | None  # where nothing is chosen
    runners_up: tuple[int, ...]
    frontier: tuple[int, ...]  # by cost: who is the fastest for the money
    headroom: Headroom | None
    edges: tuple[Edge, ...]  # of the answer: values beyond may do better
    states: dict[str, int]  # how many configurations are in which
    excluded_why: str | None  # of the configuration that arithmetic excludes last
    simulated: dict[str, int]  # requests, by what they were simulated for
    notes: tuple[str, ...]
    provenance: dict[str, Any] = field(repr=False)
    manifest: Manifest | None = field(default=None, repr=False)  # what was asked
    fixed: dict[str, str] = field(default_factory=dict)  # changes of the scenario that all configurations have
    warnings: tuple[str, ...] = ()  # where experience says that the answer goes wrong, or what it was held against
    doubt: str | None = None  # what may meet the goals too, and be cheaper, and runs do not tell
    looked: tuple[Looked, ...] = field(default=(), repr=False)  # all configurations, by cost as far as it is known

    @property
    def answer(self) -> PlanRow | None:
        """The cheapest configuration that meets the goals, None where none does."""
        return None if self.chosen is None else self.rows[self.chosen]

    def to_json(self) -> dict[str, object]:
        """Return the plan as a tree of plain values, version PLAN_VERSION."""
        return {
            "version": PLAN_VERSION,
            "name": self.name,
            "varied": {axis.key: list(axis.values) for axis in self.axes},
            "goals": dict(self.limits),
            "confidence": self.confidence,
            "unit": self.unit,
            "feasible": self.chosen is not None,
            "answer": None if self.chosen is None else self.rows[self.chosen].to_json(),
            "closest": None if self.closest is None else self.rows[self.closest].to_json(),
            "runners_up": [self.rows[place].to_json() for place in self.runners_up],
            "frontier": [self.rows[place].to_json() for place in self.frontier],
            "headroom": None if self.headroom is None else self.headroom.to_json(),
            "edges": [edge.to_json() for edge in self.edges],
            "states": dict(self.states),
            "looked": [each.to_json() for each in self.looked],
            "simulated": dict(self.simulated),
            "doubt": self.doubt,
            "warnings": list(self.warnings),
            "notes": list(self.notes),
            "provenance": self.provenance,
            "manifest": None if self.manifest is None else self.manifest.to_json(),
        }


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
        scenarios, question.limits, seed=question.seed, runs=question.runs, more=[P99, *_LOSSES, *_OF_WARNINGS]
    )
    goal = Wanted(question.limits, confidence, question.runs, cost, prefer=P99, longer=longer_runs(question.first))
    tell = None if progress is None else lambda share: progress(round(900 * share), 1000)
    search = Search(_candidates(question, cost), bench, goal, tell)
    found = search.run()
    closest = None if found is not None else _closest(search, question)
    _look_along_frontier(search, found)
    headroom = None if found is None else _headroom(question, found, search)
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
    chosen = frontier_of([(search.cost(tried), tried.runs[0].figures[P99]) for tried in known])
    waiting = [known[place] for place in chosen] or sorted(waiting, key=search.cost)
    for tried in waiting[:_FRONTIER_MORE]:
        search.extend(tried, _FRONTIER_RUNS, "frontier")


def _headroom(question: Question, found: Tried, search: Search) -> Headroom | None:
    """Return how many times the traffic may be before a goal breaks; None of a closed loop, which has no rate."""
    scenario = question.configurations[found.candidate.place].scenario
    rate = mean_rate_per_s(scenario)
    if rate == 0.0:
        return None
    bench = TrafficBench(
        scenario,
        question.limits,
        question.confidence,
        seed=question.seed,
        runs=min(_HEADROOM_RUNS, question.runs),
        most=len(found.fresh),
        together=len(found.fresh),
    )
    most, precision, apart = _HEADROOM_MOST * rate, _HEADROOM_PRECISION, None
    # At the scenario's own rate fresh runs have met the goals.
    low = ascend(lambda each: bench.at(each).is_met, rate, precision, step=_HEADROOM_STEP, most=most)
    far = reach(bench, low, precision, most=most, beyond=HEADROOM_BEYOND)
    if fleet_changes(scenario):
        far, apart = up_to_first_gap(bench, rate, far, precision)
    search.simulated["headroom"] = bench.simulated
    return Headroom(
        low=far.low / rate,
        factor=None if far.value is None else far.value / rate,
        high=None if far.high is None else far.high / rate,
        binding=far.binding,
        most=_HEADROOM_MOST,
        step=_HEADROOM_PRECISION,
        why=None if far.unknown is None else far.unknown.why,
        apart=None if apart is None else apart / rate,
        is_beyond=far.is_beyond,
    )


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
        notes=tuple(_notes(question, row)),
        warnings=(
            *([] if row is None else plain_warnings(scenario, row.figures)),
            *_warnings_beside(question, rows, chosen),
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
    points = {place: (row.cost, p99) for place, row in enumerate(rows) if (p99 := row.figures[P99].value) is not None}
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
        (float(f"{row.cost:{_SAME_COST}}"), not row.is_confirmed, row.figures[P99].value or math.inf, place)
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


def _notes(question: Question, row: PlanRow | None) -> list[str]:
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
    if row is not None:
        for name in _LOSSES:
            share = row.figures[name].value or 0.0
            if name not in question.limits and share >= _LOST_MUCH:
                notes.append(f"{100 * share:.3g} % of the requests are lost ({name}), and no goal limits that.")
    return notes


def _warnings_beside(question: Question, rows: Sequence[PlanRow], chosen: int | None) -> list[str]:
    """Return what there is to warn of in other rows, and not in the answer: it may be why they are not.

    Each thing is told once, of the cheapest row that shows it, with the values by which that one is another.
    """
    first = None if chosen is None else rows[chosen]
    told = {} if first is None else _row_warnings(question, first)
    said = []
    for row in rows:
        for about, sentence in _row_warnings(question, row).items():
            if about not in told:
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
