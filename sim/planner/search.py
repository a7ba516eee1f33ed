"""The cheapest candidate that meets its goals, found with few runs: what is asked, in which order, and when to stop.

Candidates are looked at by what they cost, the cheapest first, each with a run or three before it gets more; whoever
misses a goal surely is dropped. Where more replicas never hurt, those of a family are bisected. Where the cost of a
candidate must be simulated, it is compared run by run with that of the best one: both met the same dice. Who is found
is confirmed with fresh runs, and if they say no, the next one's turn comes. Whoever would be cheaper, and whose runs do
not tell, gets more of them. Of several that cost the same the best one is taken, as another figure says.

It knows nothing of scenarios: a Bench makes the runs. When more replicas never hurt is said by arithmetic.py.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from sim.errors import RefusedToAnswer
from sim.forecast.estimates import Figure
from sim.forecast.intervals import MORE_THAN_NEEDED, spread
from sim.planner.verdicts import (
    LONGER_RUNS,
    Prospect,
    one_sided_t,
    prospect,
    times_needed,
    times_to_clear,
    why_unknown,
    worst_goal,
)

__all__ = [
    "FRESH_FROM",
    "MORE_RUNS_MOST",
    "TOLERANCE",
    "Bench",
    "Candidate",
    "Run",
    "Search",
    "State",
    "Tried",
    "Wanted",
]

FRESH_FROM: Final = 1_000_000
"""The first run that confirms: no search ever makes it."""

TOLERANCE: Final = 0.01
"""Of the cost: what is cheaper by less is not looked for where the cost has to be simulated."""

_GLARING: Final = 2.0
"""One run is enough to drop a candidate that misses a goal by this factor."""

_GLARING_POINTS: Final = 0.01
"""And by this much, if the goal is a share."""

_SPREADS: Final = 5.0
"""Or by so many spreads between runs, as the other candidates show them."""

_FREEDOM_MIN: Final = 10
"""Degrees of freedom that such a spread must rest on."""

_SURE: Final = 0.99
"""How sure it must be that a figure is beyond its limit where its interval is not to be trusted."""

_SEVERAL: Final = 3
"""Runs in the second round: the fewest that show how much runs differ."""

_SURE_OF_COST: Final = 0.95
"""How sure it must be that a candidate is dearer, or cheaper, by the difference of the pairs."""

_FAR: Final = 0.05
"""One pair of runs is enough to drop a candidate that is dearer by this share."""

_FAR_UNKNOWN: Final = 0.3
"""Or by this share, as long as nobody knows how much runs differ: by where in its tick a load meets an autoscaler."""

_FASTER_BY: Final = 0.01
"""Share by which one that costs the same must be faster to be worth another configuration."""

_FINALISTS: Final = 4
"""So many of those that cost the same get more than one run."""

MORE_RUNS_MOST: Final = 8
"""Where its runs do not tell, a candidate that would be cheaper gets up to so many times as many."""

_INSISTED: Final = 4
"""So many candidates whose runs do not tell get more, the cheapest first."""

_NEIGHBOURS: Final = 2
"""So many members of a family below the one that was found are looked at, although theory says that they miss."""


class Run(Protocol):
    """What one run came to."""

    @property
    def figures(self) -> Mapping[str, float]:
        """Figures of the run alone, NaN for what it does not show."""

    @property
    def simulated(self) -> int:
        """Requests that were simulated for it."""


class Bench(Protocol):
    """Makes the runs of candidates; run r of any two of them meets the same arrivals and dice."""

    def runs(self, place: int, indices: range) -> Sequence[Run]:
        """Return those runs of a candidate."""

    def figures(self, place: int, runs: Sequence[Run]) -> Mapping[str, Figure]:
        """Return the figures of at least two runs. Raises RefusedToAnswer if there is none to give."""


@dataclass(frozen=True)
class Candidate:
    """What is known of a configuration before any run."""

    place: int
    least_cost: float
    is_cost_exact: bool = True  # else it cannot be less
    excluded: str | None = None  # why arithmetic alone says that it misses a goal
    family: Hashable = None  # those of one family differ in replicas alone, and more of them never hurt
    replicas: int = 0


@dataclass(frozen=True)
class Wanted:
    """What is wanted of whoever is found."""

    limits: Mapping[str, float]  # by figure, in its unit
    confidence: float  # one-sided, of each limit
    runs: int  # of a configuration that is looked at to the end, and of its confirmation
    cost: str = "cost"  # the figure that is to be small
    prefer: str | None = None  # the one that is to be small where the cost is the same; None: it does not matter
    longer: str = LONGER_RUNS  # what to say of longer runs where these are too short


class State(StrEnum):
    """What is known of a candidate; a value is what all outputs call it."""

    OPEN = "not looked at to the end"
    EXCLUDED = "excluded by arithmetic"
    INFERRED = "misses a goal, as one with more replicas does"
    MISSED = "misses a goal"
    UNKNOWN = "cannot be judged"
    DEARER = "costs more"
    SLOWER = "costs the same, and is slower"
    PASSED = "seems to meet the goals"
    FAILED = "misses a goal in fresh runs"
    CONFIRMED = "confirmed"


@dataclass
class Tried:
    """A candidate, its runs so far, and what they say."""

    candidate: Candidate
    state: State = State.OPEN
    why: str = ""
    runs: list[Run] = field(default_factory=list)
    fresh: list[Run] = field(default_factory=list)

    @property
    def decisive(self) -> list[Run]:
        """The runs that say the most: the fresh ones where there are any."""
        return self.fresh or self.runs


class Search:
    """One search. `found` is the cheapest candidate that meets its goals, None where there is none."""

    def __init__(
        self,
        candidates: Sequence[Candidate],
        bench: Bench,
        goal: Wanted,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        self.tried = [
            Tried(one, State.EXCLUDED if one.excluded else State.OPEN, one.excluded or "") for one in candidates
        ]
        self.simulated = {"search": 0, "confirmation": 0}
        self.found: Tried | None = None
        self._bench, self._goal, self._progress = bench, goal, progress
        self._several: list[Tried] = []  # candidates with so many runs that they show how much runs differ
        self._waiting: list[tuple[float, int, Tried]] = []  # the cheapest first; no two have one place

    def run(self) -> Tried | None:
        """Search, and return what is found."""
        for family in self._families():
            self._bisect(family)
        for tried in self.tried:
            self._wait(tried)
        while self._waiting and self.found is None:
            _, _, tried = heapq.heappop(self._waiting)
            if self._progress is not None:
                self._progress(1.0 - len(self._waiting) / len(self.tried))
            if not (self._settle(tried) and self._hold(tried)):
                self._wait(tried)
        self._look_longer()
        if self.found is not None:
            self._look_for_cheaper()
            self._look_for_faster(self.found)
        return self.found

    def figures(self, tried: Tried) -> Mapping[str, Figure]:
        """Return the figures of a candidate that has at least two runs. Raises RefusedToAnswer."""
        return self._bench.figures(tried.candidate.place, tried.decisive)

    def extend(self, tried: Tried, count: int, purpose: str = "search") -> None:
        """Have so many runs of a candidate made, fresh ones for a confirmation, unless they are there."""
        made, first = (tried.fresh, FRESH_FROM) if purpose == "confirmation" else (tried.runs, 0)
        if len(made) < count:
            new = self._bench.runs(tried.candidate.place, range(first + len(made), first + count))
            self.simulated[purpose] = self.simulated.get(purpose, 0) + sum(run.simulated for run in new)
            if purpose == "search" and len(made) < _SEVERAL <= count:
                self._several.append(tried)
            made.extend(new)

    def cost(self, tried: Tried) -> float:
        """Return what a candidate costs as far as it is known."""
        if tried.candidate.is_cost_exact or not tried.decisive:
            return tried.candidate.least_cost
        return _mean(run.figures[self._goal.cost] for run in tried.decisive)

    # Families: bisected

    def _families(self) -> list[list[Tried]]:
        """Return the families, members by replicas, the one that can be the cheapest first."""
        families: dict[Hashable, list[Tried]] = {}
        for tried in self.tried:
            if tried.candidate.family is not None and tried.state == State.OPEN:
                families.setdefault(tried.candidate.family, []).append(tried)
        for members in families.values():
            members.sort(key=lambda each: each.candidate.replicas)
        return sorted(families.values(), key=lambda members: self.cost(members[0]))

    def _bisect(self, members: Sequence[Tried]) -> None:
        """Find the first member that passes, among those that are cheaper than all that pass so far."""
        bound = min((self.cost(each) for each in self.tried if each.state == State.PASSED), default=math.inf)
        cheaper = [each for each in members if self.cost(each) < bound]
        below, above = -1, len(cheaper)  # none up to `below` passes; `above` does, or is dearer
        step = len(cheaper) if math.isfinite(bound) else 1  # what can be cheaper than the bound at all is asked first
        while above - below > 1:
            probe = min(below + step, above - 1) if above == len(cheaper) else (below + above) // 2
            if self._settle(cheaper[probe]):
                above = probe
            else:
                below, step = probe, 2 * step
        # One whose runs do not tell says nothing of those with fewer replicas: their turn comes by their cost.
        missed = max((place for place, each in enumerate(cheaper) if each.state == State.MISSED), default=0)
        for each in cheaper[:missed]:
            if each.state == State.OPEN:
                each.state = State.INFERRED

    def _neighbours(self, tried: Tried) -> list[Tried]:
        """Return the members of a family nearest below one, those that were only inferred."""
        family, replicas = tried.candidate.family, tried.candidate.replicas
        below = [
            each
            for each in self.tried
            if each.candidate.family == family is not None and each.candidate.replicas < replicas
        ]
        below.sort(key=lambda each: -each.candidate.replicas)
        return [each for each in below[:_NEIGHBOURS] if each.state == State.INFERRED]

    # One candidate

    def _wait(self, tried: Tried) -> None:
        """Let a candidate wait for its turn, by its cost as far as that is known, if there is anything to be known."""
        if tried.state in {State.OPEN, State.PASSED}:
            heapq.heappush(self._waiting, (self.cost(tried), tried.candidate.place, tried))

    def _settle(self, tried: Tried) -> bool:
        """Return whether a candidate passes: its runs say so, or say that all of them would.

        One whose cost has to be simulated gets a single run first, and may be no longer the cheapest then: it is left
        as it is, and False is returned.
        """
        if tried.state != State.OPEN:
            return tried.state == State.PASSED
        for count in _rounds(self._goal.runs):
            is_first = not tried.runs
            self.extend(tried, count)
            if count == 1:
                self._judge_one(tried)
                if is_first and not tried.candidate.is_cost_exact and tried.state == State.OPEN:
                    return False
            else:
                tried.state, tried.why = self._judged(tried.candidate.place, tried.runs)
            if tried.state != State.OPEN:
                break
        return tried.state == State.PASSED

    def _judge_one(self, tried: Tried) -> None:
        """Drop a candidate that misses a goal glaringly in its first run."""
        for name, limit in self._goal.limits.items():
            value = tried.runs[0].figures.get(name, math.nan)
            if name.endswith("_share"):
                is_missed = value > _GLARING * limit + _GLARING_POINTS
            else:
                is_missed = math.isnan(value) or value > self._glaring(name, limit) * limit
            if is_missed:
                tried.state, tried.why = State.MISSED, name

    def _glaring(self, name: str, limit: float) -> float:
        """Return the factor by which a latency must be above its limit in one run to be surely so.

        How much runs differ is learned from the candidates that have several.
        """
        squares, freedom = 0.0, 0
        for each in self._several:
            values = [run.figures.get(name, math.nan) for run in each.runs]
            if 0.0 < (mean := _mean(values)) < _GLARING * limit:
                squares += (spread(mean, values) / mean) ** 2 * (len(values) - 1)
                freedom += len(values) - 1
        if freedom < _FREEDOM_MIN:
            return _GLARING
        room = _SPREADS * math.sqrt(squares / freedom)
        return min(1.0 / (1.0 - room), _GLARING) if room < 1.0 else _GLARING

    def _judged(self, place: int, runs: Sequence[Run]) -> tuple[State, str]:
        """Return what the runs so far say, and of which figure."""
        goal, made = self._goal, len(runs)
        try:
            figures = self._bench.figures(place, runs)
        except RefusedToAnswer as error:
            return State.UNKNOWN, str(error)
        verdict = prospect(figures, goal.limits, goal.confidence, made=made, runs=max(made, goal.runs))
        if verdict == Prospect.UNKNOWN:
            beyond = _surely_beyond(runs, goal)
            return (State.UNKNOWN, _unsupported(figures, goal, made)) if beyond is None else (State.MISSED, beyond)
        if verdict == Prospect.MISSED:
            return State.MISSED, worst_goal(figures, goal.limits, goal.confidence)[0] or ""
        return (State.PASSED if verdict == Prospect.MET else State.OPEN), ""

    def _hold(self, tried: Tried) -> bool:
        """Confirm a candidate with fresh runs; return whether it is found."""
        made, wanted = len(tried.runs), self._goal.runs
        for count in _rounds(wanted)[1:] if made <= wanted else [made]:
            self.extend(tried, count, "confirmation")
            state, why = self._judged(tried.candidate.place, tried.fresh)
            if state in {State.MISSED, State.UNKNOWN}:
                tried.state, tried.why = State.UNKNOWN if state == State.UNKNOWN else State.FAILED, why
                return False
        doubtful = [each for each in self._neighbours(tried) if not self._is_missed_again(each)]
        for each in doubtful:  # cheaper ones may do: their turn comes first, and then this one's again
            self._wait(each)
        if doubtful:
            return False
        tried.state = State.CONFIRMED
        self.found = tried
        return True

    def _is_missed_again(self, tried: Tried) -> bool:
        """Look at a candidate that was inferred to miss a goal; return whether it does."""
        tried.state = State.OPEN
        return not self._settle(tried)

    # Runs that do not tell

    def _look_longer(self) -> None:
        """Insist on an answer of those whose runs do not tell, and that would be cheaper than what is found."""
        most = math.inf if self.found is None else (1.0 - TOLERANCE) * self.cost(self.found)
        unknown = [each for each in self.tried if each.state == State.UNKNOWN and self.cost(each) < most]
        for each in sorted(unknown, key=self.cost)[:_INSISTED]:
            while self._insist(each):
                if self._hold(each):
                    return

    def _insist(self, tried: Tried) -> bool:
        """Have more runs made of a candidate, as many as seem to be needed; return whether it passes."""
        while tried.state == State.UNKNOWN:
            count = self._needed(tried)
            if count is None or not len(tried.runs) < count <= MORE_RUNS_MOST * self._goal.runs:
                return False
            self.extend(tried, count)
            tried.state, tried.why = self._judged(tried.candidate.place, tried.runs)
        return tried.state == State.PASSED

    def _needed(self, tried: Tried) -> int | None:
        """Return how many runs of a candidate would tell whether it meets its goals, None if no number does.

        Its fresh ones say so, if there are any: they are as many, and must tell too.
        """
        goal, made = self._goal, len(tried.decisive)
        try:
            figures = self._bench.figures(tried.candidate.place, tried.decisive)
        except RefusedToAnswer:
            return None
        times = [
            times(figures, name, limit, goal.confidence, made)
            for name, limit in goal.limits.items()
            for times in (times_needed, times_to_clear)
        ]
        needed = MORE_THAN_NEEDED * made * max((each for each in times if each is not None), default=1.0)
        return None if math.isinf(needed) else max(math.ceil(needed), goal.runs)

    # Costs that have to be simulated

    def _look_for_cheaper(self) -> None:
        """Compare everybody who may be cheaper with the one that was found, and drop or try them."""
        waiting = [each for each in self.tried if each.state in {State.OPEN, State.PASSED}]
        for each in sorted(waiting, key=self.cost):
            best = self.found
            assert best is not None
            if self._is_equal(each, best):
                continue
            if self._is_dearer(each, best):
                each.state = State.DEARER if each.state == State.OPEN else each.state
                continue
            if self._settle(each) and self._hold(each) and self.cost(each) >= self.cost(best):
                self.found = best

    # Costs that are the same

    def _look_for_faster(self, best: Tried) -> None:
        """Take the one that does best of all that cost the same, if its fresh runs, too, meet the goals."""
        if self._goal.prefer is None or not best.candidate.is_cost_exact:
            return
        rivals = [
            each for each in self.tried if each.state in {State.OPEN, State.PASSED} and self._is_equal(each, best)
        ]
        for count in (1, _SEVERAL):
            for each in (best, *rivals):
                self.extend(each, count)
            least = self._preferred(best, count)
            faster = [each for each in rivals if self._preferred(each, count) < (1.0 - _FASTER_BY) * least]
            faster = sorted(faster, key=lambda each: self._preferred(each, count))[:_FINALISTS]
            for each in rivals:
                if each.state == State.OPEN and each not in faster:
                    each.state = State.SLOWER
            rivals = faster
        for place, each in enumerate(rivals):
            if self._settle(each) and self._hold(each):
                for slower in rivals[place + 1 :]:
                    slower.state = State.SLOWER if slower.state == State.OPEN else slower.state
                return

    def _is_equal(self, tried: Tried, best: Tried) -> bool:
        is_exact = tried is not best and tried.candidate.is_cost_exact
        return is_exact and math.isclose(tried.candidate.least_cost, best.candidate.least_cost, rel_tol=1e-9)

    def _preferred(self, tried: Tried, count: int) -> float:
        """Return what is to be small, on the mean of a candidate's first runs."""
        assert self._goal.prefer is not None
        mean = _mean(run.figures.get(self._goal.prefer, math.nan) for run in tried.runs[:count])
        return math.inf if math.isnan(mean) else mean

    def _is_dearer(self, tried: Tried, best: Tried) -> bool:
        """Return whether a candidate is not cheaper by what matters, surely so, than the best one."""
        least = -TOLERANCE * self.cost(best)
        if tried.candidate.least_cost - self.cost(best) >= least:
            return True
        if tried.candidate.is_cost_exact:
            return False
        for count in _rounds(self._goal.runs):
            self.extend(tried, count)
            self.extend(best, len(tried.runs))
            pairs = self._pairs(tried, best)
            mean = _mean(pairs)
            if len(pairs) == 1:
                if mean > self._surely_dearer(best):
                    return True
                continue
            half = one_sided_t(_SURE_OF_COST, len(pairs) - 1) * spread(mean, pairs) / math.sqrt(len(pairs))
            if mean - half > least:
                return True
            if mean + half < least:
                return False
        return mean > least

    def _pairs(self, tried: Tried, best: Tried) -> list[float]:
        """Return by how much each run of a candidate cost more than the same run of the best one."""
        name = self._goal.cost
        return [one.figures[name] - other.figures[name] for one, other in zip(tried.runs, best.runs, strict=False)]

    def _surely_dearer(self, best: Tried) -> float:
        """Return by how much more one run must cost than the same run of the best one to be enough."""
        spread_of_pairs = self._spread_of_pairs(best)
        if spread_of_pairs is None:
            return _FAR_UNKNOWN * self.cost(best)
        return max(_FAR * self.cost(best), 3.0 * spread_of_pairs)

    def _spread_of_pairs(self, best: Tried) -> float | None:
        """Return how much such differences vary from run to run, None where too few candidates have several."""
        squares, freedom = 0.0, 0
        for each in self._several:
            pairs = self._pairs(each, best)
            if each is not best and len(pairs) >= _SEVERAL and not each.candidate.is_cost_exact:
                squares += spread(_mean(pairs), pairs) ** 2 * (len(pairs) - 1)
                freedom += len(pairs) - 1
        return math.sqrt(squares / freedom) if freedom >= _FREEDOM_MIN else None


def _rounds(runs: int) -> list[int]:
    """Return how many runs a candidate has after each round: 1, 3, 6, 12, ... and all."""
    counts = [1]
    while counts[-1] < runs:
        counts.append(min(max(_SEVERAL, 2 * counts[-1]), runs))
    return counts


def _surely_beyond(runs: Sequence[Run], goal: Wanted) -> str | None:
    """Return a figure whose runs, too short for an interval that can be trusted, lie beyond the limit all the same."""
    for name, limit in goal.limits.items():
        values = [run.figures.get(name, math.nan) for run in runs]
        mean = _mean(values)
        if mean - one_sided_t(_SURE, len(runs) - 1) * spread(mean, values) / math.sqrt(len(runs)) > limit:
            return name
    return None


def _unsupported(figures: Mapping[str, Figure], goal: Wanted, made: int) -> str:
    """Say which goal cannot be judged, and why. There is one."""
    name = next(
        name
        for name, limit in goal.limits.items()
        if prospect(figures, {name: limit}, goal.confidence, made=made, runs=max(made, goal.runs)) == Prospect.UNKNOWN
    )
    limit = goal.limits[name]
    return why_unknown(figures, name, limit, goal.confidence, made=made, runs=max(made, goal.runs), longer=goal.longer)


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return math.fsum(listed) / len(listed)
