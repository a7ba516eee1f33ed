"""Many tasks in several processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sim.forecast.processes import WorkerLostError, core_count, map_tasks
from tests.sim.forecast import tasks

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("workers", [1, 2, 9])
def test_results_come_in_the_order_of_the_tasks(workers: int) -> None:
    """Whoever is done first, and however many work; what tasks print does not fall among the results."""
    assert map_tasks(tasks.square, range(7), workers=workers) == [number * number for number in range(7)]


def test_no_tasks_need_no_workers() -> None:
    """An empty list is done."""
    assert map_tasks(tasks.square, [], workers=4) == []


def test_work_is_done_elsewhere_with_several_workers_and_here_with_one() -> None:
    """Small work should not pay for starting processes."""
    elsewhere = set(map_tasks(tasks.process_id, range(6), workers=2))
    assert os.getpid() not in elsewhere
    assert len(elsewhere) <= 2
    assert set(map_tasks(tasks.process_id, range(3), workers=1)) == {os.getpid()}


@pytest.mark.parametrize("workers", [1, 2])
def test_progress_counts_up_to_all_tasks(workers: int) -> None:
    """Told in the caller's thread, once for each task."""
    told: list[tuple[int, int]] = []
    map_tasks(tasks.square, range(5), workers=workers, progress=lambda done, count: told.append((done, count)))
    assert told == [(done, 5) for done in range(1, 6)]


@pytest.mark.parametrize("workers", [1, 2])
def test_error_of_a_task_is_raised_here(workers: int) -> None:
    """With its type and its words; the tasks behind it do not hang."""
    with pytest.raises(ValueError, match="three is not allowed"):
        map_tasks(tasks.fail, range(20), workers=workers)


def test_error_that_cannot_be_read_again_comes_in_words() -> None:
    """Some exceptions pickle and do not unpickle: their words are kept."""
    with pytest.raises(RuntimeError, match=r"StubbornError: number is \d"):
        map_tasks(tasks.fail_stubbornly, range(4), workers=2)


def test_process_that_dies_is_said() -> None:
    """Not a hang: a sentence with the status of the process."""
    with pytest.raises(WorkerLostError, match="ended before its work was done, with status -9"):
        map_tasks(tasks.die, range(20), workers=2)


def test_script_without_a_main_guard_runs_once(tmp_path: Path) -> None:
    """Workers never import the caller's script, which with multiprocessing would start workers of its own."""
    script = tmp_path / "script.py"
    script.write_text(
        "from sim.forecast.processes import map_tasks\n"
        "from tests.sim.forecast import tasks\n"
        "print('ran')\n"
        "files = map_tasks(tasks.main_file, range(4), workers=2)\n"
        "assert not any('script' in file for file in files), files\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "ran\n", "")


def test_core_count_is_what_this_process_may_use() -> None:
    """At least one, at most what the machine has."""
    assert 1 <= core_count() <= (os.cpu_count() or 1)
