"""The runs of many configurations: each simulated once, with paired seeds, and kept as soon as it is finished.

A task is one configuration with all its runs: coarse enough to keep a worker busy, small enough to lose. What comes
back is small too: the figures, and what each run showed of them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache
from math import isnan
from pathlib import Path
from threading import Lock
from typing import Final

from policy.errors import SettingError
from sim.engine.engines import Engine, chosen_engine, compile_engine, use_engine
from sim.errors import RefusedToAnswer, ScenarioError
from sim.forecast.counted_runs import (
    CountedRun,
    CountedTask,
    count_run,
    counted_figures,
    counted_warm_up_ns,
    draw_of,
)
from sim.forecast.goal_metrics import stand_ins
from sim.forecast.goals import limits_of_figures
from sim.planner.fingerprint import fingerprint
from sim.planner.saved_runs import ConfigurationResult, SavedRuns, as_kept
from sim.planner.workers import Backend, ClusterError, Files, Workers, each_result
from sim.scenario.capacity import mean_rate_per_s
from sim.scenario.identity import scenario_hash
from sim.scenario.portable import files_of, portable
from sim.scenario.spec import Scenario

__all__ = ["SweepTask", "run_configuration", "sweep"]

Progress = Callable[[int, int], None]

_REQUESTS_INLINE: Final = {Engine.PROCESS: 100_000, Engine.COMPILED: 4_000_000}
"""Below so many requests in all, starting processes costs more than it saves."""


@dataclass(frozen=True)
class SweepTask:
    """One configuration with all its runs, as a worker gets it."""

    scenario: Scenario
    seed: int
    runs: int
    engine: Engine


def sweep(
    scenarios: Sequence[Scenario],
    *,
    seed: int,
    runs: int,
    workers: Workers,
    saved: SavedRuns | None = None,
    progress: Progress | None = None,
) -> list[ConfigurationResult]:
    """Return what the runs of each scenario came to, in the order of the scenarios.

    Run r of each of them has the same arrivals and dice. Equal scenarios are run once, those that are `saved` not at
    all; each is saved when it is finished. `progress` is called with how many are finished and how many there are,
    the first time with how many are saved.
    Raises ClusterError where workers are missing, lost, or would not give the same bytes as this machine.
    """
    keys = [scenario_hash(scenario) for scenario in scenarios]
    distinct = dict(zip(keys, scenarios, strict=True))
    results = {key: saved.results[key] for key in distinct if key in saved.results} if saved is not None else {}
    waiting = [key for key in distinct if key not in results]
    files = {}
    if workers.backend != Backend.LOKY:
        files = {name: path.read_bytes() for key in waiting for name, path in files_of(distinct[key]).items()}
        distinct = {key: portable(scenario, Path()) for key, scenario in distinct.items()}
    tasks = [SweepTask(distinct[key], seed, runs, chosen_engine()) for key in waiting]
    if progress is not None:
        progress(len(results), len(distinct))
    with closing(each_result(run_configuration, tasks, files, _enough(workers, tasks))) as done:
        for place, (result, state) in done:
            _check_state(state)
            results[waiting[place]] = result
            if saved is not None:
                saved.add(waiting[place], result)
            if progress is not None:
                progress(len(results), len(distinct))
    return [results[key] for key in keys]


def run_configuration(task: SweepTask, files: Files | None) -> tuple[ConfigurationResult, str]:
    """Return what a configuration's runs came to, and the fingerprint of where they ran."""
    _use(task.engine)
    scenario = task.scenario if not files else task.scenario.at(_folder(files))
    try:
        result = _result(scenario, task.seed, task.runs)
    except (RefusedToAnswer, ScenarioError, SettingError) as error:
        result = ConfigurationResult({}, {}, {}, 0, 0, str(error))
    return as_kept(result), fingerprint()


def _result(scenario: Scenario, seed: int, runs: int) -> ConfigurationResult:
    """Return what the runs came to. Raises RefusedToAnswer, or what an impossible setting raises."""
    warm_up_ns = counted_warm_up_ns(scenario)
    central = [count_run(CountedTask(scenario, seed, run, None, warm_up_ns)) for run in range(runs)]
    drawn = None
    if draw_of(scenario, 0) is not None:
        drawn = [count_run(CountedTask(scenario, seed, run, draw_of(scenario, run), warm_up_ns)) for run in range(runs)]
    figures = counted_figures(scenario, central, drawn)
    counts, others = [one.counts for one in central], None if drawn is None else [one.counts for one in drawn]
    figures |= stand_ins(limits_of_figures(scenario.goals), figures, counts, others, of_runs=runs)
    return ConfigurationResult(
        figures=figures,
        runs=_by_figure(central),
        drawn=_by_figure(drawn or []),
        requests=sum(one.requests for one in central),
        simulated=sum(one.simulated for one in [*central, *(drawn or [])]),
    )


def _by_figure(runs: Sequence[CountedRun]) -> dict[str, tuple[float | None, ...]]:
    """Return what each run showed of each figure."""
    names = runs[0].figures if runs else ()
    return {name: tuple(None if isnan(one.figures[name]) else one.figures[name] for one in runs) for name in names}


def _enough(workers: Workers, tasks: Sequence[SweepTask]) -> Workers:
    """Return the workers, one where nothing was asked for and the work is done before more have started."""
    if workers.backend != Backend.LOKY or workers.count is not None:
        return workers
    requests = 0.0
    for task in tasks:
        if task.scenario.traffic.clients is not None:
            return workers
        requests += mean_rate_per_s(task.scenario) * task.scenario.horizon.duration / 1e9 * task.runs
    return workers if requests > _REQUESTS_INLINE[chosen_engine()] else replace(workers, count=1)


@cache
def _use(engine: Engine) -> None:
    """Let this process use an engine, and have the compiled one's code: from its cache, else compiled now, once."""
    if engine == Engine.COMPILED:
        try:
            compile_engine()
        except ImportError:
            engine = Engine.PROCESS
    use_engine(engine)


_writing = Lock()


def _folder(files: Files) -> Path:
    """Return a folder of this process that holds the files; each is written once."""
    with _writing:  # a Dask worker may have several threads
        path = Path(_own_folder().name)
        for name, content in files.items():
            if not (path / name).exists():
                (path / name).write_bytes(content)
    return path


@cache
def _own_folder() -> tempfile.TemporaryDirectory[str]:
    """Make a folder that is removed when this process ends; a second thread must not come in between."""
    return tempfile.TemporaryDirectory(prefix="servecast-")


def _check_state(state: str) -> None:
    """Raise ClusterError for a worker whose results would not be those of this machine."""
    if state != fingerprint():
        raise ClusterError(
            "A worker runs other sources than this machine, or its processor or its NumPy gives other tables, so its "
            "results would not be the same bytes: install the same versions on all of them."
        )
