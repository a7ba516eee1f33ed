"""Whether an answer lies at the edge of what was varied, where values beyond may do better and could be asked for.

More replicas only cost more, so of their count the lower edge alone hides something. What no scenario may have, and
what arithmetic excludes, is not beyond an edge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from policy.errors import SettingError
from sim.errors import RefusedToAnswer, ScenarioError
from sim.forecast.spending import fleet_changes
from sim.planner.arithmetic import REPLICAS, excluded
from sim.planner.grid import Axis, Configuration, configurations
from sim.planner.question import BOUNDS, Source, taken_apart
from sim.scenario.lower import lower
from sim.scenario.rules import serving_rules
from sim.scenario.spare import spare_of
from sim.scenario.spec import Scenario
from sim.scenario.units import parse_rate_per_s, parse_share, parse_time_ns

__all__ = ["Edge", "edges_of"]

_OF_COSTS: Final = ("fleet.spare", "fleet.machine")
"""Keys whose value moves the cost of a fixed fleet, or how few replicas it may have."""

_A_LITTLE: Final = 1.1

_PRICES: Final = "cost."
_AUTOSCALER: Final = "fleet.autoscaler."


@dataclass(frozen=True)
class Edge:
    """A key whose value in the answer is the smallest or the largest that was given."""

    key: str
    value: str
    is_smallest: bool
    is_cheapest: bool = False  # nothing beyond can cost less

    def to_json(self) -> dict[str, object]:
        """Return it as plain values."""
        return {"key": self.key, "value": self.value, "end": "smallest" if self.is_smallest else "largest"}


def edges_of(
    source: Source,
    fixed: Sequence[Axis],
    varied: Sequence[Axis],
    changes: Mapping[str, str],
    limits: Mapping[str, float],
) -> tuple[Edge, ...]:
    """Return where the changes of an answer lie at an edge that may hide something.

    `fixed` are the axes with one value, which all configurations have. Keys that change together have no order.
    """
    found = []
    common = {axis.key: axis.values[0] for axis in fixed}
    answer = _made(source, {**common, **changes}).scenario
    for axis in varied:
        edge = _edge(axis, changes[axis.key]) if axis.key in changes else None
        if edge is None or (axis.key == REPLICAS and not edge.is_smallest) or _is_idle(axis.key, answer):
            continue
        if axis.key.startswith(_PRICES):  # what a machine holds and costs is its owner's to say
            continue
        beyond = _beyond(edge, axis)
        if any(_is_possible(source, {**common, **changes, axis.key: value}, limits) for value in beyond):
            found.append(replace(edge, is_cheapest=_is_cheapest(edge, source, {**common, **changes})))
    return tuple(found)


def _is_idle(key: str, scenario: Scenario) -> bool:
    """Return whether a key changes nothing: how an autoscaler decides, where its bounds leave it nothing to decide."""
    if not key.startswith(_AUTOSCALER) or key in BOUNDS or scenario.fleet.autoscaler is None:
        return False
    rule = serving_rules(scenario).autoscaler
    return rule.replicas_min == rule.replicas_max and not rule.to_zero


def _is_cheapest(edge: Edge, source: Source, changes: Mapping[str, str]) -> bool:
    """Return whether a fixed fleet costs the least that it can: its count does not vary, or none of them can go."""
    if edge.key in (REPLICAS, *_OF_COSTS):
        return False
    scenario = _made(source, changes).scenario
    if fleet_changes(scenario) or len(scenario.versions) > 1:
        return False
    return REPLICAS not in changes or scenario.fleet.replicas == 1 + spare_of(scenario)


def _edge(axis: Axis, value: str) -> Edge | None:
    """Return at which end of its axis a value lies; None between, and where the values have no order."""
    form = _form_of(axis)
    if form is None:
        return None
    numbers = [form.read(each) for each in axis.values]
    if form.read(value) not in {min(numbers), max(numbers)}:
        return None
    return Edge(axis.key, value, form.read(value) == min(numbers))


def _beyond(edge: Edge, axis: Axis) -> Iterator[str]:
    """Yield values beyond an edge: the next whole number, a tenth more or less, half or twice as much."""
    form = _form_of(axis)
    assert form is not None
    number = form.read(edge.value)
    if form.read is float and number.is_integer():
        yield str(round(number) + (-1 if edge.is_smallest else 1))
    if number > 0:
        for times in (_A_LITTLE, 2.0):
            yield form.write(number / times if edge.is_smallest else number * times)


def _is_possible(source: Source, changes: Mapping[str, str], limits: Mapping[str, float]) -> bool:
    """Return whether there is such a configuration, and arithmetic does not exclude it."""
    try:
        one = _made(source, changes)
        # What was not calibrated is refused here.
        lower(one.scenario, seed=0, run=0, warm_up_ns=0, arrivals_ns=np.empty(0, dtype=np.int64))
        return excluded(one.scenario, limits) is None
    except (ScenarioError, SettingError, RefusedToAnswer):
        return False


def _made(source: Source, changes: Mapping[str, str]) -> Configuration:
    """Return the configuration with these changes. Raises what the scenario raises."""
    (axes,) = taken_apart([Axis(key, (value,)) for key, value in changes.items()])
    (one,) = configurations(source, axes)
    return one


@dataclass(frozen=True)
class _Form:
    """How numbers of one kind are read and written."""

    read: Callable[[str], float]
    write: Callable[[float], str]


_FORMS: Final = (
    _Form(float, lambda number: f"{number:g}"),
    _Form(parse_time_ns, lambda number: f"{round(number)}ns"),
    _Form(parse_rate_per_s, lambda number: f"{number:.9g}/s"),
    _Form(parse_share, lambda number: f"{100 * number:.9g}%"),
)


def _form_of(axis: Axis) -> _Form | None:
    """Return the form that all values of an axis have; None for names, and for mappings."""
    return next((form for form in _FORMS if all(_is_read(form, value) for value in axis.values)), None)


def _is_read(form: _Form, value: str) -> bool:
    try:
        form.read(value)
    except ValueError:
        return False
    return True
