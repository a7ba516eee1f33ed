"""Two forecasts -> what changed in the input, and which figures moved by more than noise.

It reads forecasts as their JSON tells them, so it makes no difference whether one was made just now or saved last year.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeGuard

from sim.errors import ScenarioError
from sim.forecast.estimates import FLEET_METRICS, METRICS, Figure
from sim.forecast.forecast import FORECAST_VERSION
from sim.forecast.intervals import LEVEL
from sim.forecast.manifest import Manifest, unlike_conditions
from sim.forecast.paired import Difference, beyond_noise_together, figure_difference
from sim.scenario.changes import Change, changes
from sim.scenario.fields import SEED_MAX
from sim.scenario.rules import RUNS_MAX
from sim.scenario.units import in_words, shown

__all__ = ["DIFF_VERSION", "FigureChange", "ForecastDiff", "ForecastResult", "GoalChange", "compare", "read_forecast"]

DIFF_VERSION: Final = "servecast-diff/1"

_NOT_FIGURES: Final = ("manifest", "provenance")
_OF_GOALS: Final = ("within_goal_share", "breach_share")
"""Figures that the goals on p99 and on refusals define."""

_ENDS: Final = frozenset({"value", "low", "high"})


@dataclass(frozen=True)
class ForecastResult:
    """A forecast as its JSON tells it."""

    label: str  # by which its user knows it
    figures: dict[str, Figure]  # by their dotted names in the JSON, those of versions and of a rollout too
    verdicts: dict[str, str]  # of each goal
    seed: int | None
    runs: int | None
    currency: str | None
    counted: bool  # its requests were counted and not kept, so its quantiles are those of histograms
    manifest: Manifest | None  # None: it was saved before there were any

    def like(self, other: ForecastResult) -> bool:
        """Return whether the other has as many runs of the same seed."""
        return self.seed is not None and (self.seed, self.runs) == (other.seed, other.runs)


@dataclass(frozen=True)
class FigureChange:
    """One figure of both."""

    a: Figure
    b: Figure
    difference: Difference | None
    beyond_noise_together: bool = False  # with all figures that are compared taken together
    why: str | None = None  # there is no difference

    def to_json(self) -> dict[str, object]:
        """Return the figure as plain values."""
        content: dict[str, object] = {
            "a": self.a.value,
            "b": self.b.value,
            "difference": None if self.difference is None else self.difference.to_json(),
            "beyond_noise_together": self.beyond_noise_together,
        }
        return content if self.why is None else content | {"why": self.why}


@dataclass(frozen=True)
class GoalChange:
    """A goal that only one of both has, or of which other things became."""

    goal: str
    a: str  # met, missed or not clear; none: it is no goal of this one
    b: str


@dataclass(frozen=True)
class ForecastDiff:
    """What B has that A has not. `input_changes` None: one of both does not tell its scenario."""

    a: ForecastResult
    b: ForecastResult
    input_changes: tuple[Change, ...] | None
    figures: dict[str, FigureChange]
    goals: tuple[GoalChange, ...]
    notes: tuple[str, ...]  # a sentence for each thing that its user is to know besides

    @property
    def same_seed(self) -> bool:
        """Whether run r of both had the same dice, so that they are paired."""
        return self.a.like(self.b)

    @property
    def compared(self) -> int:
        """How many figures are compared of which chance has a part."""
        return sum(_by_chance(each.difference) for each in self.figures.values())

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as plain values, version DIFF_VERSION."""
        sides = {
            name: {
                "label": side.label,
                "seed": side.seed,
                "runs": side.runs,
                "manifest": None if side.manifest is None else side.manifest.to_json(),
            }
            for name, side in (("a", self.a), ("b", self.b))
        }
        told = self.input_changes
        return {
            "version": DIFF_VERSION,
            "input": None if told is None else [change.to_json() for change in told],
            "figures": {name: change.to_json() for name, change in self.figures.items()},
            "goals": [{"goal": goal.goal, "a": goal.a, "b": goal.b} for goal in self.goals],
            "level": LEVEL,
            "same_seed": self.same_seed,
            "compared": self.compared,
            "false_alarms_expected": (1.0 - LEVEL) * self.compared,
            "notes": list(self.notes),
            **sides,
        }


def read_forecast(content: Mapping[str, Any], label: str) -> ForecastResult:
    """Return a forecast from its JSON. Raises ScenarioError, with the label, where it is none."""
    version = content.get("version")
    if version != FORECAST_VERSION:
        raise ScenarioError(f"{label} must be a forecast, of the version {FORECAST_VERSION}. Got {shown(version)}.")
    told = content.get("manifest")
    manifest = None if told is None else _manifest(told, label)
    try:
        figures = dict(_figures("", {name: part for name, part in content.items() if name not in _NOT_FIGURES}, label))
        _check_figures(figures, content, label)
        provenance = content.get("provenance") or {}
        return ForecastResult(
            label=label,
            figures=figures,
            verdicts={_text(goal["goal"]): _text(goal["verdict"]) for goal in content.get("goals", [])},
            seed=manifest.seed if manifest else _count("provenance.seed", provenance.get("seed"), 0, SEED_MAX, label),
            runs=manifest.runs if manifest else _count("provenance.runs", provenance.get("runs"), 2, RUNS_MAX, label),
            currency=_text(content.get("cost", {}).get("currency") or "") or None,
            counted=not content.get("breakdown_ms", True),
            manifest=manifest,
        )
    except (AttributeError, LookupError, TypeError, RecursionError):
        raise ScenarioError(f"{label} is not a forecast as servecast writes it.") from None


def compare(a: ForecastResult, b: ForecastResult, notes: tuple[str, ...] = ()) -> ForecastDiff:
    """Return what changed from A to B; `notes` are what its user is to know besides."""
    figures = {name: _change(name, a, b) for name in a.figures if name in b.figures}
    p_values = {name: each.difference.p_value for name, each in figures.items() if _by_chance(each.difference)}
    together = dict(zip(p_values, beyond_noise_together(list(p_values.values())), strict=True))
    for name, each in figures.items():
        certain = each.difference is not None and each.difference.beyond_noise
        figures[name] = replace(each, beyond_noise_together=together.get(name, certain))
    goals = {**a.verdicts, **b.verdicts}
    verdicts = [GoalChange(goal, a.verdicts.get(goal, "none"), b.verdicts.get(goal, "none")) for goal in goals]
    return ForecastDiff(
        a=a,
        b=b,
        input_changes=_input_changes(a.manifest, b.manifest),
        figures=figures,
        goals=tuple(goal for goal in verdicts if goal.a != goal.b),
        notes=(*notes, *_notes(a, b)),
    )


def _change(name: str, a: ForecastResult, b: ForecastResult) -> FigureChange:
    """Return what became of a figure."""
    one, other = a.figures[name], b.figures[name]
    if name == "cost" and a.currency != b.currency:
        return FigureChange(one, other, None, why=f"A counts in {a.currency}, B in {b.currency}")
    if name in _OF_GOALS and _goals(a) != _goals(b):
        return FigureChange(one, other, None, why="the goals that it is about are others in A and B")
    whys = [f"{side}: {figure.why}" for side, figure in (("A", one), ("B", other)) if figure.why]
    difference = figure_difference(one, other, same_seed=a.like(b))
    return FigureChange(one, other, difference, why="; ".join(whys) or None)


def _goals(side: ForecastResult) -> tuple[object, ...]:
    """Return the goals that define figures, of a side that tells its scenario."""
    goals = {} if side.manifest is None else side.manifest.scenario.get("goals") or {}
    return goals.get("p99"), goals.get("refused")


def _by_chance(difference: Difference | None) -> TypeGuard[Difference]:
    """Return whether there is a difference that chance has a part in; in what both scenarios fix it has none."""
    return difference is not None and difference.low < difference.high


def _input_changes(a: Manifest | None, b: Manifest | None) -> tuple[Change, ...] | None:
    """Return what differs between the two scenarios, files by their content; None where one is not told."""
    if a is None or b is None:
        return None
    told = [manifest.content_by_hash() for manifest in (a, b)]
    same_files = {key for key in a.files.keys() & b.files.keys() if a.files[key].hash == b.files[key].hash}
    return tuple(change for change in changes(*told) if change.key not in {*same_files, "name"})


def _notes(a: ForecastResult, b: ForecastResult) -> Iterator[str]:
    """Yield a sentence for each thing that makes the two less comparable."""
    for side in (a, b):
        if side.manifest is None:
            yield f"{side.label} has no manifest: it does not tell its scenario."
    if a.counted != b.counted:
        yield "Of one the requests are counted, not kept: its quantiles are at most 0.4 % off, the other's are exact."
    if a.manifest is not None and b.manifest is not None:
        unlike = unlike_conditions(a.manifest, b.manifest)
        if unlike:
            yield f"They were made under other conditions: {', '.join(unlike)}."


def _manifest(told: Any, label: str) -> Manifest:
    """Return the manifest of a forecast. Raises ScenarioError where it is none, or one of something else."""
    manifest = Manifest.from_json(told, label)
    where = f"The manifest in {label} is not right"
    if manifest.command != "forecast":
        raise ScenarioError(f"{where}: command must be forecast, as {label} is one. Got {shown(manifest.command)}.")
    if manifest.runs is None:
        raise ScenarioError(f"{where}: runs must be from 2 to {RUNS_MAX}. Got nothing.")
    return manifest


def _figures(key: str, content: Any, label: str) -> Iterator[tuple[str, Figure]]:
    """Yield every figure below a key, by its dotted name."""
    if not isinstance(content, Mapping):
        return
    if not content.keys() >= _ENDS:
        for name, inner in content.items():
            yield from _figures(f"{key}.{name}".lstrip("."), inner, label)
        return
    numbers = [content["value"], content["low"], content["high"]]
    runs, drawn = (content.get(name, []) for name in ("runs", "drawn"))
    if not isinstance(runs, list) or not isinstance(drawn, list) or not all(map(_is_number, numbers + runs + drawn)):
        raise ScenarioError(f"{label} is not right: {key} must hold numbers, or null.")
    if drawn and len(drawn) != len(runs):
        raise ScenarioError(
            f"{label} is not right: {key}.drawn must have a number for each of runs, {len(runs)}. Got {len(drawn)}."
        )
    value, low, high = numbers
    yield key, Figure(value, low, high, why=content.get("why"), runs=_shown(runs), drawn=_shown(drawn))


def _check_figures(figures: Mapping[str, Figure], content: Mapping[str, Any], label: str) -> None:
    """Raise ScenarioError where something else stands in the place of a figure, or no latency is told."""
    for name in (*METRICS, *FLEET_METRICS):
        group, _, last = name.partition(".")
        within = content.get(group) if last else content
        if group in content and name not in figures and (not isinstance(within, Mapping) or (last or group) in within):
            wrong, got = (name, within[last or group]) if isinstance(within, Mapping) else (group, within)
            what = "a figure, with value, low and high" if wrong == name else "a mapping of figures"
            raise ScenarioError(f"{label} is not right: {wrong} must be {what}. Got {in_words(got)}.")
    if not any(name.startswith("latency_ms.") for name in figures):
        raise ScenarioError(f"{label} holds no figure of latency_ms: it is no whole forecast.")


def _count(key: str, value: object, least: int, most: int, label: str) -> int | None:
    """Return a whole number, or None. Raises ScenarioError for anything else."""
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and least <= value <= most):
        return value
    raise ScenarioError(
        f"{label} is not right: {key} must be a whole number from {least} to {most}. Got {in_words(value)}."
    )


def _text(value: object) -> str:
    """Return a text. Raises TypeError for what is none."""
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value))


def _shown(values: list[float | None]) -> tuple[float, ...]:
    return tuple(math.nan if value is None else value for value in values)
