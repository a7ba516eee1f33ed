"""What a plan is: the answer, the configurations beside it, and what there is to know of each."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Final

from sim.forecast.estimates import Figure, tree_of
from sim.forecast.manifest import Manifest
from sim.planner.edges import Edge
from sim.planner.grid import Axis
from sim.planner.headroom import Headroom
from sim.planner.search import State
from sim.scenario.spec import Scenario

__all__ = ["PLAN_VERSION", "Looked", "Plan", "PlanRow"]

PLAN_VERSION: Final = "servecast-plan/1"


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
