"""Many configurations of a scenario side by side: the figures of each, and how far they lie from the base case.

Every configuration meets the same arrivals and dice, so a difference is that of pairs of runs, and far surer than the
two figures by themselves.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from math import isfinite, nan
from pathlib import Path
from typing import Any, Final

from policy.errors import SettingError
from sim.engine.engines import chosen_engine
from sim.errors import ScenarioError
from sim.forecast.enough_runs import check_runs
from sim.forecast.estimates import FLEET_METRICS, METRICS, Figure, tree_of
from sim.forecast.goals import GoalResult, all_met, judge, wanted_figures
from sim.forecast.manifest import Manifest, manifest_of
from sim.forecast.paired import Difference, paired_difference
from sim.forecast.provenance import host, versions
from sim.forecast.warnings import SecondLook, plain_warnings, second_looks
from sim.outcome.quantiles import QUANTILE_NAMES
from sim.planner.fingerprint import state_in_words
from sim.planner.grid import Axis, Configuration, configurations
from sim.planner.saved_runs import ConfigurationResult, SavedRuns
from sim.planner.sweep import sweep
from sim.planner.workers import Workers
from sim.scenario.changes import changes
from sim.scenario.identity import as_written, scenario_hash
from sim.scenario.load import written_scenario
from sim.scenario.rules import seed_of
from sim.scenario.spec import Scenario

__all__ = ["WHATIF_VERSION", "Row", "WhatIf", "figures_named", "whatif"]

WHATIF_VERSION: Final = "servecast-whatif/1"

Source = str | Path | Mapping[str, object]
Progress = Callable[[int, int], None]

_GOAL_FIGURES: Final = ("breach_share", "within_goal_share")
_SHORT: Final = {
    **{name: f"latency_ms.{name}" for name in ("mean", *QUANTILE_NAMES)},
    "throughput": "throughput_per_s",
    "refused": "refused_share",
    "timed_out": "timed_out_share",
    "abandoned": "abandoned_share",
    "failed": "failed_share",
    "breach": "breach_share",
    "batch": "batch_size_mean",
    "busy": "gpu_busy_share",
    "replicas": "replicas.mean",
}
"""What a figure is called where people choose some: goals have the same names."""

_FIXED: Final = ("seed", "horizon.runs")
"""Keys that make runs pairs, and so are the same in all configurations."""


@dataclass(frozen=True)
class Row:
    """One configuration and what became of it; figures by their names in a forecast."""

    changes: dict[str, str]
    scenario_hash: str
    figures: dict[str, Figure]
    differences: dict[str, Difference]  # from the base case; none of the base case itself
    goals: tuple[GoalResult, ...]
    requests: int
    refusal: str | None  # why there are no figures

    @property
    def goals_met(self) -> bool | None:
        """Whether every goal is met, by its whole interval; None where that cannot be said."""
        return None if self.refusal is not None else all_met(self.goals)

    def to_json(self) -> dict[str, object]:
        """Return the row as plain values."""
        return {
            "changes": self.changes,
            "scenario_hash": self.scenario_hash,
            "figures": tree_of(self.figures),
            "differences": tree_of(self.differences),
            "goals": [goal.to_json() for goal in self.goals],
            "goals_met": self.goals_met,
            "requests": self.requests,
            "why": self.refusal,
        }


@dataclass(frozen=True)
class WhatIf:
    """The answer. `axes` are the keys that vary, `base` is the place of the base case among the rows."""

    name: str
    scenario: Scenario  # the base case
    axes: tuple[Axis, ...]
    is_grid: bool
    rows: tuple[Row, ...]
    base: int
    figures: tuple[str, ...]  # those that were asked for
    limits: dict[str, float]  # of the goals of the base case, in the units of their figures
    currency: str | None
    warnings: tuple[str, ...]  # where experience says that the base case goes wrong
    provenance: dict[str, Any]
    manifest: Manifest | None = None  # what was asked
    tried: tuple[str, ...] | None = None  # beside the base case, for warnings; None where none were asked for

    def to_json(self) -> dict[str, object]:
        """Return the answer as a tree of plain values, version WHATIF_VERSION."""
        return {
            "version": WHATIF_VERSION,
            "name": self.name,
            "varied": {axis.key: list(axis.values) for axis in self.axes},
            "grid": self.is_grid,
            "base": self.base,
            "configurations": [row.to_json() for row in self.rows],
            "currency": self.currency,
            "warnings": list(self.warnings),
            "provenance": self.provenance,
            "manifest": None if self.manifest is None else self.manifest.to_json(),
        }


def whatif(
    source: Source,
    axes: Sequence[Axis],
    *,
    grid: bool = True,
    seed: int | None = None,
    runs: int | None = None,
    figures: Sequence[str] = (),
    warnings: bool = False,
    workers: Workers | None = None,
    save: Path | None = None,
    progress: Progress | None = None,
) -> WhatIf:
    """Return the configurations of a scenario file, or of a mapping with its content, side by side.

    The base case is the scenario itself where it is among them, else the first; without `grid` it is always the
    scenario itself. `figures` are those of interest, by their names in a forecast or by short ones; none stands for
    p50, p99, refusals, what goals are about, and the cost. `warnings` also makes the runs that some warnings about the
    base case need; then nothing needs to vary. `save` keeps what is finished, and is gone on with. `progress` is called
    with how many configurations are finished and how many there are, the first time with those that `save` held.

    Raises ScenarioError where nothing varies, for a configuration that is not allowed, an unknown figure, a number of
    runs out of range, or a file that is not this sweep's. A configuration that cannot be answered is a row that says
    why.
    """
    varied = tuple(axis for axis in axes if len(axis.values) > 1)
    if not varied and not warnings:
        raise ScenarioError("Nothing varies: give a key several values, as in batching.max_batch=4,8,16.")
    for axis in varied:
        if axis.key in _FIXED:
            raise ScenarioError(f"{axis.key} must be the same in all configurations: their runs are compared in pairs.")
    made = configurations(source, axes, grid=grid)
    base = _base(source, axes, made) if grid else 0
    asked = made[base].scenario
    count = check_runs(asked.horizon.runs if runs is None else runs)
    seed = seed_of(asked, seed)
    shown = figures_named(figures) or _usual_figures([one.scenario for one in made])
    looks = second_looks(asked) if warnings else []
    saved = None if save is None else SavedRuns(save, _question(source, seed, count))
    try:
        results = sweep(
            [*(one.scenario for one in made), *(look.other for look in looks)],
            seed=seed,
            runs=count,
            workers=workers or Workers(),
            saved=saved,
            progress=progress,
        )
    finally:
        if saved is not None:
            saved.close()
    rows = [_row(one, result, results[base]) for one, result in zip(made, results, strict=False)]
    return WhatIf(
        name=asked.name,
        scenario=asked,
        axes=varied,
        is_grid=grid,
        rows=tuple(rows),
        base=base,
        figures=shown,
        limits=wanted_figures(asked.goals),
        currency=asked.cost.currency if asked.cost else None,
        warnings=tuple(_warnings(asked, results[base], looks, results[len(made) :])),
        provenance={
            "scenario": asked.name,
            "seed": seed,
            "runs": count,
            "initial_state": "empty",
            "engine": chosen_engine().value,
            "versions": versions(),
            "host": host(),
        },
        manifest=manifest_of(
            asked,
            command="whatif",
            seed=seed,
            runs=count,
            options={"varied": {axis.key: list(axis.values) for axis in axes}, "grid": grid, "warnings": warnings},
        ),
        tried=_tried(asked, looks, results[len(made) :]) if warnings else None,
    )


def figures_named(names: Sequence[str]) -> tuple[str, ...]:
    """Return the figures of these names, each once. Raises ScenarioError, with the closest name."""
    known = [*METRICS, *FLEET_METRICS, *_GOAL_FIGURES, "cost"]
    found = []
    for name in names:
        figure = _SHORT.get(name, name)
        if figure not in known:
            close = get_close_matches(name, [*_SHORT, *known], n=1)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join([*_SHORT, 'gpu_hours', 'cost'])}."
            raise ScenarioError(f"There is no figure {name}: {hint}")
        found.append(figure)
    return tuple(dict.fromkeys(found))


def _usual_figures(scenarios: Sequence[Scenario]) -> tuple[str, ...]:
    """Return the figures that are of interest where none was named."""
    goals = {goal for scenario in scenarios for goal in wanted_figures(scenario.goals)}
    chosen = [name for name in _SHORT if name in goals or name in {"p50", "p99", "refused"}]
    scales = any(scenario.fleet.autoscaler is not None for scenario in scenarios)
    costs = any(scenario.cost is not None for scenario in scenarios)
    return (*figures_named(chosen), *(("replicas.mean",) if scales else ()), *(("cost",) if costs else ()))


def _base(source: Source, axes: Sequence[Axis], made: Sequence[Configuration]) -> int:
    """Return the place of the scenario itself, changed by the keys with one value; 0 where it is not there."""
    try:
        (itself,) = configurations(source, [axis for axis in axes if len(axis.values) == 1])
    except (ScenarioError, SettingError):
        return 0  # the scenario lacks what the varied keys give it
    return next((place for place, one in enumerate(made) if one.scenario == itself.scenario), 0)


def _question(source: Source, seed: int, runs: int) -> dict[str, object]:
    """Return what all configurations of a sweep share; which ones there are may change from one start to the next."""
    content, _ = written_scenario(source)
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
    return {"scenario": digest[:12], "seed": seed, "runs": runs, "versions": state_in_words()}


def _row(one: Configuration, result: ConfigurationResult, base: ConfigurationResult) -> Row:
    """Return a configuration with what its runs came to."""
    goals = [] if result.refusal is not None else judge(one.scenario.goals, result.figures)
    return Row(
        changes=one.changes,
        scenario_hash=scenario_hash(one.scenario),
        figures=result.figures,
        differences={} if result is base else _differences(base, result),
        goals=tuple(goals),
        requests=result.requests,
        refusal=result.refusal,
    )


def _warnings(
    scenario: Scenario, here: ConfigurationResult, looks: Sequence[SecondLook], others: Sequence[ConfigurationResult]
) -> list[str]:
    """Return what the base case shows by itself, and beside configurations that differ by what may be a mistake."""
    if here.refusal is not None:
        return []
    said = [
        look.judge(here.figures, there.figures, _differences(there, here))
        for look, there in zip(looks, others, strict=True)
        if there.refusal is None
    ]
    return [*plain_warnings(scenario, here.figures), *(sentence for sentence in said if sentence is not None)]


def _tried(scenario: Scenario, looks: Sequence[SecondLook], others: Sequence[ConfigurationResult]) -> tuple[str, ...]:
    """Return what was tried beside the base case and has an answer, in words."""
    answered = [look.other for look, there in zip(looks, others, strict=True) if there.refusal is None]
    return tuple(_by_what(scenario, other) for other in answered)


def _by_what(scenario: Scenario, other: Scenario) -> str:
    """Return by what a second look differs."""
    if other.traffic != scenario.traffic:
        return "traffic.arrivals without bursts"
    return " and ".join(f"{one.key} {one.after}" for one in changes(as_written(scenario), as_written(other)))


def _differences(base: ConfigurationResult, other: ConfigurationResult) -> dict[str, Difference]:
    """Return by how much each figure lies above that of the base case, of those that both have."""
    found = {}
    for name, figure in other.figures.items():
        of_base = base.figures.get(name)
        if of_base is None or of_base.value is None or figure.value is None or name not in base.runs:
            continue
        a_runs, b_runs = _known(base.runs[name]), _known(other.runs[name])
        if sum(isfinite(b - a) for a, b in zip(a_runs, b_runs, strict=True)) < 2:
            continue
        drawn = (_known(base.drawn[name]), _known(other.drawn[name])) if base.drawn and other.drawn else None
        found[name] = paired_difference(a_runs, b_runs, of_base.value, figure.value, drawn=drawn)
    return found


def _known(values: Sequence[float | None]) -> list[float]:
    """Return values with NaN where a run shows nothing."""
    return [nan if value is None else value for value in values]
