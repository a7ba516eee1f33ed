"""One function over many tasks in several processes; the results do not depend on how many.

Workers are plain children that read pickled tasks from a pipe. Unlike multiprocessing's they never import the caller's
script, so a script or a notebook that calls sc.forecast() needs no `if __name__ == "__main__"` around it.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import suppress
from queue import SimpleQueue
from typing import IO, TypeVar, cast

from sim.errors import ScenarioError, SimError

__all__ = ["WorkerLostError", "check_workers", "core_count", "map_tasks"]

Task = TypeVar("Task")
Result = TypeVar("Result")

Progress = Callable[[int, int], None]


class WorkerLostError(SimError, RuntimeError):
    """A worker process ended in the middle of its work, for example for want of memory."""


def core_count() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_workers(workers: int | None) -> None:
    """Raise ScenarioError for a stated number of processes in which nothing would run; None is every core."""
    if workers is not None and workers < 1:
        raise ScenarioError(f"workers must be at least 1; without it every core is used. Got {workers}.")


def map_tasks(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    *,
    workers: int,
    progress: Progress | None = None,
) -> list[Result]:
    """Return function(task) for each task, in the order of the tasks.

    `function` must be found by its module's name, outside __main__; with one worker it is called here. `progress` is
    told, in this thread, how many are done and how many there are. What the function raises is raised here; raises
    WorkerLostError if a process dies.
    """
    if min(workers, len(tasks)) <= 1:
        return _map_here(function, tasks, progress)
    children = [_Child() for _ in range(min(workers, len(tasks)))]
    free: SimpleQueue[_Child] = SimpleQueue()
    for child in children:
        free.put(child)

    def work(task: Task) -> Result:
        child = free.get()
        try:
            return cast("Result", child.call(function, task))
        finally:
            free.put(child)

    pool = ThreadPoolExecutor(len(children))
    try:
        futures = [pool.submit(work, task) for task in tasks]
        _watch(futures, progress)
        return [future.result() for future in futures]
    finally:
        for child in children:
            child.stop()
        pool.shutdown(cancel_futures=True)


def _map_here(function: Callable[[Task], Result], tasks: Sequence[Task], progress: Progress | None) -> list[Result]:
    """Do the work in this process."""
    results = []
    for task in tasks:
        results.append(function(task))
        if progress is not None:
            progress(len(results), len(tasks))
    return results


def _watch(futures: Sequence[Future[Result]], progress: Progress | None) -> None:
    """Report each task that is done; raise at the first that failed."""
    for done, future in enumerate(as_completed(futures), start=1):
        future.result()
        if progress is not None:
            progress(done, len(futures))


class _Child:
    """One worker process and the pipe to it."""

    def __init__(self) -> None:
        paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "sim.forecast.worker_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": paths},
        )

    def call(self, function: Callable[[Task], Result], task: Task) -> object:
        """Let the child do a task, and wait for it."""
        try:
            tasks, results = cast("IO[bytes]", self._process.stdin), cast("IO[bytes]", self._process.stdout)
            pickle.dump((function, task), tasks, protocol=pickle.HIGHEST_PROTOCOL)
            tasks.flush()
            is_result, value = pickle.load(results)
        except (EOFError, OSError, ValueError, pickle.UnpicklingError) as error:
            status = self._process.wait()
            raise WorkerLostError(f"A worker process ended before its work was done, with status {status}.") from error
        if not is_result:
            raise value
        return value

    def stop(self) -> None:
        """End the child, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):  # what was still to be written has no reader any more
                    pipe.close()
