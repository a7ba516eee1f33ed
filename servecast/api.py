"""What a notebook calls: the forecast of a scenario, what if it changed, the plan, the export, and their pictures."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from servecast.examples import scenario_source
from servecast.scenarios import load_scenario

if TYPE_CHECKING:
    from sim.exports.export import Exported
    from sim.forecast.comparison import ForecastDiff
    from sim.forecast.enough_runs import Precision
    from sim.forecast.forecast import Forecast
    from sim.planner.capacity import Capacity
    from sim.planner.grid import Axis
    from sim.planner.plan_result import Plan
    from sim.planner.whatif import WhatIf
    from sim.report.figures import Picture
    from sim.scenario.spec import Scenario

__all__ = [
    "as_text",
    "capacity",
    "diff",
    "export",
    "forecast",
    "frontier_picture",
    "latency_picture",
    "plan",
    "whatif",
    "whatif_picture",
]


def forecast(
    source: Scenario | str | Path | Mapping[str, object],
    *,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    runs: int | None = None,
    precision: float | None = None,
    budget_s: float | None = None,
    max_runs: int | None = None,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Forecast:
    """Return the forecast of a scenario.

    `seed` None takes the scenario's own, else 0; `runs` None takes horizon.runs; `workers` None uses every core, and
    changes the time it takes but not the result. `progress` is called with runs done and runs in all. Raises
    ScenarioError for bad input, and RefusedToAnswer where any figure would be nonsense.

    With `precision` (0.02 for 2 %) runs are added until sampling leaves mean, p50, p99, throughput and what the goals
    are about open by no more than that share of themselves to either side, at 95 % confidence, and refusals by 0.1
    points; or until `budget_s` seconds are spent on runs, or `max_runs` are made (400). A budget alone stands for 2 %.
    """
    from sim.forecast.forecast import forecast as run

    scenario = _loaded(source, overrides)
    return run(
        scenario,
        seed=seed,
        runs=runs,
        precision=_precision(precision, budget_s, max_runs),
        workers=workers,
        progress=progress,
    )


def _loaded(source: Scenario | str | Path | Mapping[str, object], overrides: Sequence[str]) -> Scenario:
    """Return a scenario that may be loaded already. Raises ScenarioError."""
    from sim.errors import ScenarioError
    from sim.scenario.spec import Scenario

    if not isinstance(source, Scenario):
        return load_scenario(source, overrides)
    if overrides:
        raise ScenarioError("overrides change a scenario when it is loaded: give them to load_scenario.")
    return source


def _precision(share: float | None, budget_s: float | None, max_runs: int | None) -> Precision | None:
    """Return the precision that is wanted, None where nothing is said of it."""
    from sim.forecast.enough_runs import Precision

    if share is None and budget_s is None and max_runs is None:
        return None
    return Precision(
        share=Precision.share if share is None else share,
        budget_s=budget_s,
        runs_max=Precision.runs_max if max_runs is None else max_runs,
    )


def diff(
    a: Forecast | Scenario | str | Path | Mapping[str, object],
    b: Forecast | Scenario | str | Path | Mapping[str, object],
    *,
    seed: int | None = None,
    runs: int | None = None,
    saved: bool = False,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ForecastDiff:
    """Return what changed from A to B, each a forecast, a scenario, or a file or an example's name of either.

    Forecasts of one seed and one number of runs are compared as they are, run by run. Else both are forecast with the
    same ones: `seed` and `runs`, or where those are None the first forecast's or scenario's. `saved` compares two
    forecasts as they are all the same, by their intervals. Raises ScenarioError for bad input, and RefusedToAnswer
    where any figure would be nonsense.
    """
    from servecast.two_sides import compare_sources

    return compare_sources(a, b, seed=seed, runs=runs, saved=saved, workers=workers, progress=progress)


def export(
    source: Scenario | str | Path | Mapping[str, object],
    to: str,
    *,
    overrides: Sequence[str] = (),
    name: str | None = None,
    image: str | Mapping[str, str] | None = None,
    import_path: str | None = None,
    metric_name: str | None = None,
    prometheus: str | None = None,
) -> Exported:
    """Return a scenario as the configuration of the system that is to run it: its files, and notes on them.

    `to` is kubernetes, keda, argo-rollouts, knative, ray-serve, triton, torchserve or tf-serving. The other texts stand
    in the files of some of them: the name of the model and its objects, the container's image (of the stable version,
    or a mapping by the names of versions), the application that Ray Serve imports, the metric that is scaled on, the
    address of Prometheus. None stands for the scenario's name, or a placeholder. Raises ScenarioError for bad input,
    and RefusedToAnswer where the files would say something else.
    """
    from sim.exports.export import export as write
    from sim.exports.names import Names
    from sim.scenario.spec import Scenario

    names = Names(name, image, import_path, metric_name, prometheus)
    if isinstance(source, Scenario):
        return write(_loaded(source, overrides), to, names)
    return write(load_scenario(source, overrides), to, names, lambda more: load_scenario(source, [*overrides, *more]))


def whatif(
    source: str | Path | Mapping[str, object],
    varied: Mapping[str, object] | Sequence[str] = (),
    *,
    grid: bool = True,
    seed: int | None = None,
    runs: int | None = None,
    figures: Sequence[str] = (),
    warnings: bool = False,
    backend: str = "loky",
    cluster: str | None = None,
    workers: int | None = None,
    save: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> WhatIf:
    """Return many configurations of a scenario side by side, each with its differences from the base case.

    `varied` are keys with their values, {"batching.max_batch": [4, 8], "batching.max_wait": "0ms..10ms:5"}, or texts
    as the command line takes them. `backend` is loky (processes here), dask or ray, at the address `cluster`; where it
    runs changes nothing in the answer. `save` is a file from which a sweep that was broken off goes on. The rest is as
    in sim.planner.whatif.whatif, which says what is raised.
    """
    from sim.planner.whatif import whatif as run
    from sim.planner.workers import Backend, Workers

    return run(
        scenario_source(source) if isinstance(source, str) else source,
        _axes(varied),
        grid=grid,
        seed=seed,
        runs=runs,
        figures=figures,
        warnings=warnings,
        workers=Workers(Backend(backend), cluster, workers),
        save=None if save is None else Path(save),
        progress=progress,
    )


def whatif_picture(answer: WhatIf) -> Picture:
    """Return curves, a heat map or sensitivities, by what was varied: a notebook shows it, its save() writes it."""
    from sim.report import whatif_figures

    return whatif_figures.whatif_picture(answer)


def plan(
    source: str | Path | Mapping[str, object],
    varied: Mapping[str, object] | Sequence[str],
    *,
    overrides: Sequence[str] = (),
    goals: str | None = None,
    confidence: float = 0.95,
    seed: int | None = None,
    runs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Plan:
    """Return the cheapest configuration of a scenario that meets its goals, and what there is to know beside it.

    `varied` are keys with their values, {"fleet.replicas": range(1, 9), "batching.max_wait": "0ms..10ms:5"}, or texts
    as the command line takes them. The rest is as in sim.planner.plan.plan, which says what is raised.
    """
    from sim.planner.plan import plan as run
    from sim.planner.question import goals_apart

    place = scenario_source(source) if isinstance(source, str) else source
    axes = goals_apart(place, [*map(_fixed, overrides), *_axes(varied)], goals)
    return run(place, axes, goals=goals, confidence=confidence, seed=seed, runs=runs, progress=progress)


def capacity(
    source: str | Path | Mapping[str, object],
    *,
    overrides: Sequence[str] = (),
    goals: str | None = None,
    confidence: float = 0.95,
    seed: int | None = None,
    runs: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Capacity:
    """Return the highest rate that meets a scenario's goals, per fleet and per replica.

    The rest is as in sim.planner.capacity.capacity, which says what is raised.
    """
    from sim.planner.capacity import capacity as run
    from sim.planner.question import goals_apart

    place = scenario_source(source) if isinstance(source, str) else source
    axes = goals_apart(place, list(map(_fixed, overrides)), goals)
    return run(place, axes, goals=goals, confidence=confidence, seed=seed, runs=runs, progress=progress)


def frontier_picture(answer: Plan) -> Picture:
    """Return a picture of cost against p99: a notebook shows it, its save() writes it."""
    from sim.report import plan_figure

    return plan_figure.frontier_picture(answer)


def as_text(answer: Forecast | ForecastDiff | WhatIf | Plan | Capacity) -> str:
    """Return a forecast, a comparison of two or many, a plan or a capacity as the command line prints it.

    Of a forecast the line on its load is left out, which takes the scenario.
    """
    from sim.forecast.forecast import Forecast
    from sim.planner.capacity import Capacity
    from sim.planner.plan_result import Plan
    from sim.planner.whatif import WhatIf
    from sim.report import capacity_tables, diff_tables, plan_tables, tables, whatif_tables

    if isinstance(answer, Forecast):
        return tables.as_text(tables.forecast_report(answer))
    if isinstance(answer, WhatIf):
        return tables.as_text(whatif_tables.whatif_report(answer))
    if isinstance(answer, Plan):
        return tables.as_text(plan_tables.plan_report(answer))
    if isinstance(answer, Capacity):
        return tables.as_text(capacity_tables.capacity_report(answer))
    return tables.as_text(diff_tables.diff_report(answer))


def latency_picture(answer: Forecast) -> Picture:
    """Return a picture of the latency distribution: a notebook shows it, its save() writes it."""
    from sim.report import figures

    return figures.latency_picture([figures.forecast_panel(answer, answer.name)])


def _axes(varied: Mapping[str, object] | Sequence[str]) -> list[Axis]:
    """Return what varies, from texts or from values as Python has them."""
    from sim.planner.grid import Axis, parse_axis

    if not isinstance(varied, Mapping):
        return [parse_axis(text) for text in varied]
    return [
        Axis(key, tuple(each if isinstance(each, str) else json.dumps(each) for each in values))
        if isinstance(values, Sequence) and not isinstance(values, str)
        else parse_axis(f"{key}={values}")
        for key, values in varied.items()
    ]


def _fixed(override: str) -> Axis:
    """Return a change of all configurations. Raises ScenarioError."""
    from sim.errors import ScenarioError
    from sim.planner.grid import Axis
    from sim.scenario.units import in_words

    key, equals, value = (part.strip() for part in override.partition("="))
    if not equals or not key or not value:
        raise ScenarioError(f"--set must be like batching.max_batch=8. Got {in_words(override)}.")
    return Axis(key, (value,))
