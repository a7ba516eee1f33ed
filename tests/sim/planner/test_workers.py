"""Where tasks run, and that it changes nothing in what they return."""

from __future__ import annotations

import os
from typing import Any

import pytest

from sim.errors import RefusedToAnswer, ScenarioError
from sim.planner import workers as module
from sim.planner.workers import Backend, ClusterError, Workers, each_result
from tests.sim.planner import tasks

FILES = {"a.csv": b"1\n2\n"}


@pytest.mark.parametrize("count", [1, 2])
def test_every_task_is_done_once_with_its_place(count: int) -> None:
    """In whichever order they come, each result says which task it is of."""
    done = list(each_result(tasks.square, range(7), {}, Workers(count=count)))
    assert sorted(done) == [(number, number * number) for number in range(7)]


def test_dask_does_the_same(dask_cluster: object) -> None:
    """The client that a process has already is the cluster that is meant."""
    done = list(each_result(tasks.square, range(7), {}, Workers(Backend.DASK)))
    assert sorted(done) == [(number, number * number) for number in range(7)]


def test_files_travel_to_a_cluster_and_stay_here_otherwise(dask_cluster: object) -> None:
    """Processes of this machine read them where they lie."""
    assert [files for _, files in each_result(tasks.contents, range(2), FILES, Workers(Backend.DASK))] == [FILES, FILES]
    assert [files for _, files in each_result(tasks.contents, range(2), FILES, Workers(count=2))] == [None, None]


def test_one_worker_is_this_process() -> None:
    """Small work does not pay for starting processes."""
    assert {who for _, who in each_result(tasks.process_id, range(3), {}, Workers(count=1))} == {os.getpid()}
    assert os.getpid() not in {who for _, who in each_result(tasks.process_id, range(3), {}, Workers(count=2))}


@pytest.mark.parametrize("chosen", [Workers(count=1), Workers(count=2), Workers(Backend.DASK)])
def test_error_of_a_task_is_raised_here(chosen: Workers, dask_cluster: object) -> None:
    """With its type and its words, wherever it ran."""
    with pytest.raises(RefusedToAnswer, match="is not answered"):
        list(each_result(tasks.refuse, range(4), {}, chosen))


def test_worker_that_dies_is_said_behind_what_was_finished() -> None:
    """Not a hang: what came before it is there, and the error says what happened."""
    done: list[int] = []
    with pytest.raises(ClusterError, match="went away"):
        done.extend(place for place, _ in each_result(tasks.die, range(40), {}, Workers(count=2)))
    assert len(done) >= 3
    assert 5 not in done


def test_backend_that_is_not_installed_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence with what to install."""
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    for backend in (Backend.DASK, Backend.RAY):
        with pytest.raises(ClusterError, match=rf"pip install 'servecast\[{backend}\]'"):
            list(each_result(tasks.square, [1, 2], {}, Workers(backend)))


def test_address_is_no_word_for_loky() -> None:
    """An address that would be ignored is bad input."""
    with pytest.raises(ScenarioError, match="needs the backend dask or ray"):
        list(each_result(tasks.square, [1, 2], {}, Workers(cluster="tcp://127.0.0.1:1")))


def test_scheduler_that_goes_away_is_said(dask_cluster: Any) -> None:
    """Not a hang either: what came before is there."""
    dask = pytest.importorskip("dask")
    results = each_result(tasks.wait, range(100), {}, Workers(Backend.DASK))
    assert next(results)[1] >= 0
    dask_cluster.sync(dask_cluster.scheduler.close)
    # A client whose scheduler is gone would look for it for half a minute.
    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}), pytest.raises(ClusterError, match="went away"):
        list(results)


def test_cluster_without_workers_is_said(dask_cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """They may come back for a while; then it is a sentence."""
    monkeypatch.setattr(module, "_WORKERS_BACK_S", 0.0)
    results = each_result(tasks.wait, range(100), {}, Workers(Backend.DASK))
    next(results)
    dask_cluster.scale(0)
    with pytest.raises(ClusterError, match="no worker is left"):
        list(results)
