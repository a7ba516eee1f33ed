"""The runs of many configurations."""

from __future__ import annotations

import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import cache
from pathlib import Path
from time import sleep

import pytest

from sim.engine.engines import Engine, chosen_engine
from sim.planner import sweep as module
from sim.planner.grid import configurations, parse_axis
from sim.planner.saved_runs import ConfigurationResult, SavedRuns
from sim.planner.sweep import SweepTask, run_configuration, sweep
from sim.planner.workers import Backend, ClusterError, Files, Workers
from sim.scenario.load import load_scenario
from sim.scenario.portable import files_of, portable
from sim.scenario.spec import Scenario

HERE = Workers(count=1)
QUESTION = {"scenario": "test"}


def content(**changes: object) -> dict[str, object]:
    """Return a small queue with a cap."""
    return {
        "traffic": {"arrivals": {"process": "poisson", "rate": "300/s"}},
        "model": {"pass_time": {"base": "8ms", "per_item": "0.5ms"}},
        "batching": {"max_batch": 8, "max_wait": "2ms"},
        "queue": {"cap": 16},
        "horizon": {"duration": "2s", "warm_up": "1s", "runs": 3},
        **changes,
    }


def some(*texts: str, **changes: object) -> list[Scenario]:
    """Return the scenarios of some varied keys."""
    axes = [parse_axis(text) for text in texts or ["batching.max_batch=2,4,8"]]
    return [one.scenario for one in configurations(content(**changes), axes)]


def as_bytes(results: list[ConfigurationResult]) -> bytes:
    """Return results as bytes."""
    return json.dumps([asdict(result) for result in results]).encode()


def test_same_bytes_here_in_processes_and_on_dask(dask_cluster: object, tmp_path: Path) -> None:
    """Order and digits do not depend on who worked, nor on whether the trace lies where the worker is."""
    times = "\n".join(f"{number * 0.004:.3f}" for number in range(2000))
    (tmp_path / "trace.csv").write_text(f"timestamp\n{times}\n", encoding="utf-8")
    path = tmp_path / "scenario.json"
    traffic = {"arrivals": {"process": "trace", "file": "trace.csv"}}
    path.write_text(json.dumps(content(traffic=traffic)), encoding="utf-8")
    scenarios = [one.scenario for one in configurations(path, [parse_axis("batching.max_batch=1,2,8")])]
    told = [
        as_bytes(sweep(scenarios, seed=1, runs=2, workers=workers))
        for workers in (HERE, Workers(count=2), Workers(Backend.DASK))
    ]
    assert told[0] == told[1] == told[2]


def test_threads_of_one_worker_share_one_folder_of_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second folder in place of the first would take the files away from under a thread that reads them."""
    made: list[tempfile.TemporaryDirectory[str]] = []

    class SlowlyMade(tempfile.TemporaryDirectory[str]):
        def __init__(self, prefix: str) -> None:
            sleep(0.02)  # so that every thread comes before the first folder is there
            super().__init__(prefix=prefix)
            made.append(self)

    monkeypatch.setattr(module, "_own_folder", cache(module._own_folder.__wrapped__))
    monkeypatch.setattr(module.tempfile, "TemporaryDirectory", SlowlyMade)
    with ThreadPoolExecutor(4) as threads:
        folders = set(threads.map(module._folder, [{"trace.csv": b"timestamp\n"}] * 4))
    assert len(made) == len(folders) == 1
    assert (folders.pop() / "trace.csv").read_bytes() == b"timestamp\n"
    made[0].cleanup()


def test_result_holds_figures_and_what_each_run_showed_of_them() -> None:
    """A run's figure stands at the place of the run; equal seeds give equal arrivals to all configurations."""
    two, eight = sweep(some("batching.max_batch=2,8"), seed=0, runs=3, workers=HERE)
    assert len(two.runs["latency_ms.p50"]) == 3
    assert two.requests == eight.requests > 1500
    assert two.figures["latency_ms.p50"].value != eight.figures["latency_ms.p50"].value
    assert two.drawn == {}


def test_equal_configurations_are_run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One at a time, the scenario's own value of every key is the base case again."""
    run: list[SweepTask] = []

    def noted(task: SweepTask, files: Files | None) -> tuple[ConfigurationResult, str]:
        run.append(task)
        return run_configuration(task, files)

    monkeypatch.setattr(module, "run_configuration", noted)
    one, other, again = sweep(
        [*some("batching.max_batch=4,8"), *some("batching.max_batch=4")], seed=0, runs=2, workers=HERE
    )
    assert len(run) == 2
    assert again is one is not other


def test_configuration_that_cannot_be_run_says_why_and_ends_nothing() -> None:
    """An unstable load between two that are not."""
    scenarios = some("traffic.arrivals.rate=100/s,9000/s,200/s", queue={})
    low, unstable, high = sweep(scenarios, seed=0, runs=2, workers=HERE)
    assert unstable.refusal is not None
    assert "is not below the capacity" in unstable.refusal
    assert (unstable.figures, unstable.runs) == ({}, {})
    assert low.refusal is high.refusal is None


def test_finished_configurations_are_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep that was broken off goes on with what is missing, and ends with the same bytes."""
    scenarios = some()
    expected = as_bytes(sweep(scenarios, seed=0, runs=2, workers=HERE))
    left = [2]

    def broken(task: SweepTask, files: Files | None) -> tuple[ConfigurationResult, str]:
        if left[0] == 0:
            raise ClusterError("the cluster went away")
        left[0] -= 1
        return run_configuration(task, files)

    monkeypatch.setattr(module, "run_configuration", broken)
    saved = SavedRuns(tmp_path / "sweep.jsonl", QUESTION)
    with pytest.raises(ClusterError):
        sweep(scenarios, seed=0, runs=2, workers=HERE, saved=saved)
    saved.close()

    left[0] = 1  # one more may run, and one is all that is missing
    saved = SavedRuns(tmp_path / "sweep.jsonl", QUESTION)
    told: list[tuple[int, int]] = []
    results = sweep(
        scenarios, seed=0, runs=2, workers=HERE, saved=saved, progress=lambda done, count: told.append((done, count))
    )
    saved.close()
    assert as_bytes(results) == expected
    assert told == [(2, 3), (3, 3)]


def test_worker_with_other_sources_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its results would not be the bytes of this machine."""

    def foreign(task: SweepTask, files: Files | None) -> tuple[ConfigurationResult, str]:
        return run_configuration(task, files)[0], "another state"

    monkeypatch.setattr(module, "run_configuration", foreign)
    with pytest.raises(ClusterError, match="install the same versions"):
        sweep(some(), seed=0, runs=2, workers=HERE)


def test_files_are_read_from_what_was_handed_over(tmp_path: Path) -> None:
    """A worker elsewhere has neither the trace nor the calibration, only what came with the task."""
    path = tmp_path / "trace.csv"
    path.write_text("timestamp\n" + "\n".join(f"{number * 0.01:.2f}" for number in range(900)), encoding="utf-8")
    scenario = load_scenario(content(traffic={"arrivals": {"process": "trace", "file": str(path)}}))
    files = {name: where.read_bytes() for name, where in files_of(scenario).items()}
    here, _ = run_configuration(SweepTask(scenario, 0, 2, chosen_engine()), None)
    moved = portable(scenario, Path())
    path.unlink()
    assert run_configuration(SweepTask(moved, 0, 2, Engine(chosen_engine())), files)[0] == here
