"""What is asked of a planner: the configurations, the goals, and how sure the answer must be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

from sim.errors import ScenarioError
from sim.forecast.enough_runs import check_runs
from sim.forecast.goals import limits_of_figures, wanted_figures
from sim.forecast.warnings import part_of_a_trace
from sim.planner.arithmetic import REPLICAS
from sim.planner.grid import CONFIGURATIONS_MAX, Axis, Configuration, LeftOut, configurations
from sim.planner.verdicts import LONGER_RUNS
from sim.scenario.arrival_spec import RecordedTrace
from sim.scenario.load import written_scenario
from sim.scenario.overrides import with_overrides
from sim.scenario.rules import seed_of
from sim.scenario.spec import Scenario

__all__ = [
    "BOUNDS",
    "CONFIDENCE",
    "Question",
    "Source",
    "asked",
    "check_confidence",
    "goals_apart",
    "limits_of",
    "longer_runs",
    "parse_goals",
    "taken_apart",
]

CONFIDENCE: Final = 0.95
"""How sure it must be that a goal is met, where nothing else is said."""

_CONFIDENCE_LEAST, _CONFIDENCE_MOST = 0.5, 0.999

_SAME: Final = ("traffic", "horizon", "goals", "seed")
"""Keys that make two configurations answers to one question."""

_TOGETHER: Final = "+"
"""Between keys that change together, and between their values."""

BOUNDS: Final = ("fleet.autoscaler.min_replicas", "fleet.autoscaler.max_replicas")
"""What bounds fleet.replicas, the replicas that there are at the start."""

_PAIRS_SHOWN: Final = 4

Source = str | Path | Mapping[str, object]


@dataclass(frozen=True)
class Question:
    """Configurations of a scenario, and what is wanted of one of them."""

    axes: tuple[Axis, ...]  # the keys that vary
    configurations: tuple[Configuration, ...]
    limits: dict[str, float]  # by figure, in its unit
    confidence: float
    runs: int
    seed: int
    left_out: tuple[str, ...] = ()  # of each combination that cannot be, why

    @property
    def first(self) -> Scenario:
        """The first scenario: what all of them share can be read off it."""
        return self.configurations[0].scenario


def asked(
    source: Source,
    axes: Sequence[Axis],
    *,
    goals: str | None,
    confidence: float,
    runs: int | None,
    seed: int | None,
) -> Question:
    """Return a question about a scenario file, or a mapping with its content; an axis of one value changes all.

    Raises ScenarioError: nothing varies, no goals or some that contradict each other, a configuration that is not
    allowed, prices in some configurations only, a confidence or number of runs out of range.
    """
    check_confidence(confidence)
    axes = [*axes, *([] if goals is None else parse_goals(goals))]
    made, left_out = _made(source, axes)
    if len(made) > CONFIGURATIONS_MAX:
        raise ScenarioError(f"There must be at most {CONFIGURATIONS_MAX} configurations. Got {len(made)}.")
    first = made[0].scenario
    limits = limits_of(first)
    for axis in axes:
        sections = {key.strip().partition(".")[0] for key in axis.key.split(_TOGETHER)}
        if len(axis.values) > 1 and sections & set(_SAME):
            raise ScenarioError(
                f"{axis.key} must be the same in all configurations: {', '.join(_SAME)} are what is asked about."
            )
    for one in made:
        if (one.scenario.cost is None) != (first.cost is None):
            raise ScenarioError("cost must be stated for all configurations or for none.")
        if (
            one.scenario.cost is not None
            and first.cost is not None
            and one.scenario.cost.currency != first.cost.currency
        ):
            raise ScenarioError("cost.currency must be the same in all configurations.")
    for axis in axes:
        _refuse_no_choice(axis)
    count = check_runs(first.horizon.runs if runs is None else runs)
    varied = tuple(axis for axis in axes if len(axis.values) > 1)
    keys = {key for axis in varied for key in axis.key.split(_TOGETHER)}
    shown = (
        Configuration({key: value for key, value in one.changes.items() if key in keys}, one.scenario) for one in made
    )
    seed = seed_of(first, seed)
    return Question(varied, tuple(shown), limits, confidence, count, seed, tuple(left_out))


def _refuse_no_choice(axis: Axis) -> None:
    """Raise ScenarioError where an axis varies nothing that can be chosen: a name, or a price by itself."""
    keys = [key.strip() for key in axis.key.split(_TOGETHER)]
    if len(axis.values) == 1 or not all(_is_no_choice(key) for key in keys):
        return
    if set(keys) == {"name"}:
        raise ScenarioError("name must be the same in all configurations: it changes nothing that serves.")
    raise ScenarioError(
        f"{axis.key} must vary together with what has that price, as in "
        f"--vary model.profile{_TOGETHER}cost.replica_hour=t4.json{_TOGETHER}0.35,l4.json{_TOGETHER}0.71: by itself a "
        "price is no choice."
    )


def _is_no_choice(key: str) -> bool:
    """Return whether a key alone makes no other configuration; how many replicas fit on a machine does."""
    section, _, last = key.partition(".")
    return key == "name" or (section == "cost" and not last.endswith(".gpus"))


def _made(source: Source, axes: Sequence[Axis]) -> tuple[list[Configuration], list[str]]:
    """Return all configurations that can be, and why the others cannot.

    Raises ScenarioError where none can, or none with a value that is itself out of range.
    """
    out: list[LeftOut] = []
    made = [one for together in taken_apart(axes) for one in configurations(source, together, left_out=out)]
    for one in out:
        value = one.changes.get(one.key)
        if not made or (value is not None and all(other.changes[one.key] != value for other in made)):
            raise ScenarioError(f"{one.why}{_how_together(one.why, axes)}")
    return made, [f"{one.why}{_how_together(one.why, axes)}" for one in out]


def _how_together(why: str, axes: Sequence[Axis]) -> str:
    """Return how replicas and what bounds them move together, where a combination cannot be since they did not."""
    bound = next((axis for axis in axes if axis.key in BOUNDS and len(axis.values) > 1), None)
    if bound is None or f"{REPLICAS} must" not in why:
        return ""
    pairs = ",".join(f"{value}{_TOGETHER}{value}" for value in bound.values[:_PAIRS_SHOWN])
    return f" To vary both together: --vary {REPLICAS}{_TOGETHER}{bound.key}={pairs}"


def parse_goals(text: str) -> list[Axis]:
    """Return the goals of `p99=200ms,refused=0.1%` as changes of a scenario. Raises ScenarioError."""
    found: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not (name and equals and value):
            raise ScenarioError(f"--goals must be like p99=200ms,refused=0.1%. Got {text!r}.")
        if name in found:
            raise ScenarioError(f"goals.{name} must be stated once. Got {found[name]} and {value}.")
        found[name] = value
    return [Axis(f"goals.{name}", (value,)) for name, value in found.items()]


def goals_apart(source: Source, axes: Sequence[Axis], goals: str | None) -> list[Axis]:
    """Return changes of a scenario beside which `goals`, as parse_goals takes them, can stand.

    A goal that is in both is left to `goals`. All goals at once, as in goals=none, become a change of each, so that
    those of `goals` come to what is left. Raises ScenarioError.
    """
    if goals is None:
        return list(axes)
    added = {axis.key for axis in parse_goals(goals)}
    apart = [one for axis in axes for one in (_goal_by_goal(source, axis) if axis.key == "goals" else [axis])]
    return [axis for axis in apart if axis.key not in added or len(axis.values) > 1]


def _goal_by_goal(source: Source, axis: Axis) -> list[Axis]:
    """Return a change of all goals as one of each goal that the scenario or the change states."""
    if len(axis.values) > 1:
        return [axis]
    content, _ = written_scenario(source)
    changed = with_overrides(content, [f"{axis.key}={axis.values[0]}"])
    stated, wanted = ({} if each.get("goals") in (None, "none") else each["goals"] for each in (content, changed))
    if not isinstance(wanted, Mapping) or not isinstance(stated, Mapping):
        return [axis]  # whoever checks the scenario says what is wrong with it
    each = dict.fromkeys(stated, "none") | {name: str(value) for name, value in wanted.items()}
    return [Axis(f"goals.{name}", (value,)) for name, value in each.items()]


def limits_of(scenario: Scenario) -> dict[str, float]:
    """Return the limits of a scenario's goals by figure. Raises ScenarioError for none."""
    goals = scenario.goals
    if not wanted_figures(goals):
        raise ScenarioError("There must be a goal: state goals in the scenario, or --goals p99=200ms,refused=0.1%.")
    return limits_of_figures(goals)


def longer_runs(scenario: Scenario) -> str:
    """Return what makes runs longer, in words: a trace that runs meet to its end is as long as it is."""
    spec = scenario.traffic.arrivals
    if isinstance(spec, RecordedTrace) and not spec.repeat and part_of_a_trace(scenario) is None:
        return "a longer trace"
    return LONGER_RUNS


def check_confidence(confidence: float) -> None:
    """Raise ScenarioError for a confidence that is none, or that no number of runs gives."""
    if not _CONFIDENCE_LEAST <= confidence <= _CONFIDENCE_MOST:
        raise ScenarioError(f"confidence must be from 50% to 99.9%. Got {100 * confidence:g}%.")


def taken_apart(axes: Sequence[Axis]) -> Iterator[list[Axis]]:
    """Yield the axes once for each value of keys that change together, with each of these keys fixed by itself.

    A kind of machine has its own times and its own price: fleet.machine+model.profile=t4+t4.json,l4+l4.json. Raises
    ScenarioError where a value has not one part for each key.
    """
    together = [axis for axis in axes if _TOGETHER in axis.key]
    alone = [axis for axis in axes if _TOGETHER not in axis.key]
    for values in product(*(axis.values for axis in together)):
        fixed = []
        for axis, value in zip(together, values, strict=True):
            keys, parts = axis.key.split(_TOGETHER), value.split(_TOGETHER)
            if len(keys) != len(parts):
                raise ScenarioError(f"{axis.key} must have {len(keys)} values with {_TOGETHER} between. Got {value!r}.")
            fixed += [Axis(key.strip(), (part.strip(),)) for key, part in zip(keys, parts, strict=True)]
        yield [*fixed, *alone]
