"""One function over many tasks, on this machine's cores or on a cluster, through joblib: loky, Dask or Ray.

What the tasks return does not depend on where they ran. Here it is decided only where that is, how the files that they
read get there, and what is said when a part is missing or goes away.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from queue import Empty, SimpleQueue
from socket import create_connection
from threading import Thread
from time import monotonic
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from sim.errors import ScenarioError, SimError
from sim.forecast.processes import check_workers, core_count

__all__ = ["Backend", "ClusterError", "Files", "Workers", "each_result"]

Task = TypeVar("Task")
Result = TypeVar("Result")

_ASK_S: Final = 0.5
"""How long to wait for a result before asking whether one will come."""

_WORKERS_BACK_S: Final = 30.0
"""How long a cluster may be without workers: they may be restarting, or more may be on their way."""

_REACH_S: Final = 10.0
_CLOSE_S: Final = 5.0

Files = Mapping[str, bytes]
"""The content of files by the SHA-256 of it."""


class Backend(StrEnum):
    """What runs the tasks."""

    LOKY = "loky"  # processes on this machine
    DASK = "dask"
    RAY = "ray"


@dataclass(frozen=True)
class Workers:
    """Where tasks run, and in how many at once.

    `cluster` is the address of a Dask scheduler or of a Ray cluster; without one it is what DASK_SCHEDULER_ADDRESS or
    RAY_ADDRESS says, else a cluster of its own on this machine. `count` None takes every core that there is. Raises
    ScenarioError for a count below 1.
    """

    backend: Backend = Backend.LOKY
    cluster: str | None = None
    count: int | None = None

    def __post_init__(self) -> None:
        check_workers(self.count)


class ClusterError(SimError, RuntimeError):
    """Workers could not be had, or went away in the middle of the work."""


def each_result(
    function: Callable[[Task, Files | None], Result], tasks: Sequence[Task], files: Files, workers: Workers
) -> Generator[tuple[int, Result], None, None]:
    """Yield the place of each task and function(task, files), as they come.

    `function` must be found by its module's name, also on the workers. On this machine it gets None for the files,
    which lie where they lay; on a cluster it gets their content. What it raises is raised here. Raises ClusterError
    where workers are missing or lost, and ScenarioError for an address that the backend does not take.
    """
    if workers.backend == Backend.LOKY:
        if workers.cluster is not None:
            raise ScenarioError("A cluster needs the backend dask or ray: loky runs on this machine.")
        if min(workers.count or core_count(), len(tasks)) <= 1:
            yield from ((place, function(task, None)) for place, task in enumerate(tasks))
            return
    if not tasks:
        return  # all of them were finished before: no cluster needs to be there
    import joblib

    with _BACKENDS[workers.backend](files, workers) as place, joblib.parallel_config(**place.settings):
        parallel = joblib.Parallel(batch_size=1, return_as="generator_unordered")
        calls = (joblib.delayed(_numbered)(function, number, task, place.files) for number, task in enumerate(tasks))
        results = parallel(calls)
        yield from _told(results if place.trouble is None else _watched(results, place.trouble), workers.backend)


@dataclass(frozen=True)
class _Place:
    """Where joblib runs the tasks."""

    settings: dict[str, Any]  # of joblib.parallel_config
    files: Any = None  # what each task is handed for the files
    trouble: Callable[[], str | None] | None = None  # says why no result will come any more, where joblib does not


def _numbered(
    function: Callable[[Task, Files | None], Result], place: int, task: Task, handed: Any
) -> tuple[int, Result]:
    """Return the place of a task and its result. A worker is handed the files, or Ray's ticket for them."""
    if handed is not None and not isinstance(handed, Mapping):
        import ray

        handed = ray.get(handed)
    return place, function(task, handed)


@contextmanager
def _loky(files: Files, workers: Workers) -> Iterator[_Place]:
    """Give processes on this machine."""
    yield _Place({"backend": "loky", "n_jobs": workers.count or core_count()})


@contextmanager
def _dask(files: Files, workers: Workers) -> Iterator[_Place]:
    """Give a Dask cluster; the files are spread over its workers before the work begins."""
    _demand("distributed", "dask")
    import dask
    import distributed

    handed = dict(files) or None
    present = _present_client() if workers.cluster is None else None
    address = workers.cluster or dask.config.get("scheduler-address", None)
    if present is None:
        _reach(address)
    local = {"n_workers": workers.count or core_count(), "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
    settings = {"address": address} if address else local
    try:
        client = present or distributed.Client(**settings, set_as_default=False, timeout=_REACH_S)
    except (OSError, ValueError) as error:
        raise ClusterError(f"There is no Dask scheduler at {address}: {error}") from error
    try:
        scatter = [] if handed is None else [handed]
        joblib_settings = {"backend": "dask", "client": client, "scatter": scatter, "n_jobs": -1}
        yield _Place(joblib_settings, handed, _trouble_of(client))
    finally:
        if present is None:
            client.close(_CLOSE_S)


@contextmanager
def _ray(files: Files, workers: Workers) -> Iterator[_Place]:
    """Give Ray; the files are put into its object store."""
    _demand("ray", "ray")
    _reach(workers.cluster)
    import logging

    import joblib
    import ray
    from ray.util.joblib.ray_backend import RayBackend

    class Backend(RayBackend):  # type: ignore[misc]
        """Ray's own, whose base class says that results cannot be had as they come: those of Ray's pool can."""

        supports_return_generator = True

    joblib.register_parallel_backend("ray", Backend)
    joined = ray.is_initialized()
    if not joined:
        try:
            ray.init(address=workers.cluster, logging_level=logging.ERROR, log_to_driver=False)
        except (ConnectionError, ValueError) as error:
            raise ClusterError(f"There is no Ray cluster at {workers.cluster}: {error}") from error
    try:
        count = workers.count or int(ray.cluster_resources()["CPU"])
        yield _Place({"backend": "ray", "n_jobs": count}, ray.put(dict(files)) if files else None)
    finally:
        if not joined:
            ray.shutdown()


_BACKENDS = {Backend.LOKY: _loky, Backend.DASK: _dask, Backend.RAY: _ray}


def _demand(module: str, extra: str) -> None:
    """Raise ClusterError unless a backend is installed."""
    if find_spec(module) is None:
        raise ClusterError(f"The backend {extra} needs {module}: pip install 'servecast[{extra}]'.")


def _reach(address: str | None) -> None:
    """Raise ScenarioError for what is no address, ClusterError where nobody listens: clients would try for a minute."""
    if address is None or address == "auto":  # Ray's word for the one on this machine
        return
    try:
        parts = urlsplit(address if "//" in address else f"//{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if host is None or port is None:
        raise ScenarioError(f"A cluster must be like tcp://host:8786 (Dask) or host:6379 (Ray). Got {address}.")
    try:
        create_connection((host, port), _REACH_S).close()
    except OSError as error:
        raise ClusterError(f"There is no cluster at {address}: {error.strerror or error}.") from error


def _present_client() -> Any:
    """Return the Dask client that this process has already, None without one."""
    import distributed

    try:
        return distributed.Client.current()
    except ValueError:
        return None


def _trouble_of(client: Any) -> Callable[[], str | None]:
    """Return what says why a Dask cluster will answer no more.

    joblib waits for ever where a task is given up by the scheduler, or where there is nobody left to do it.
    """
    alone_since: list[float] = []

    def trouble() -> str | None:
        if client.status != "running":
            return "the connection to the scheduler is lost"
        if any(future.status == "error" for future in list(client.futures.values())):
            return "a configuration has ended several workers"
        if client.scheduler_info()["workers"]:
            alone_since.clear()
            return None
        alone_since.append(monotonic())
        return "no worker is left" if monotonic() - alone_since[0] > _WORKERS_BACK_S else None

    return trouble


def _watched(results: Iterator[Result], trouble: Callable[[], str | None]) -> Iterator[Result]:
    """Pass results on, and ask while none comes whether there is any trouble. Raises ClusterError."""
    queue: SimpleQueue[tuple[str, Any]] = SimpleQueue()

    def wait() -> None:
        try:
            for result in results:
                queue.put(("result", result))
            queue.put(("end", None))
        except BaseException as error:  # is raised where somebody waits for it
            queue.put(("error", error))

    # Nobody waits for this thread: what it waits for may never come.
    Thread(target=wait, daemon=True).start()
    while True:
        try:
            kind, value = queue.get(timeout=_ASK_S)
        except Empty:
            reason = trouble()
            if reason is not None:
                raise ClusterError(f"The cluster went away: {reason}.") from None
            continue
        if kind == "end":
            return
        if kind == "error":
            raise value
        yield value


def _told(results: Iterator[Result], backend: Backend) -> Iterator[Result]:
    """Pass results on; what a backend raises when its workers are gone becomes a ClusterError."""
    try:
        yield from results
    except (SimError, GeneratorExit):
        raise
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in {"joblib", "distributed", "dask", "ray"}:
            raise
        reason = " ".join(str(error).split()).partition(". ")[0]
        raise ClusterError(f"The {backend} workers went away: {type(error).__name__}, {reason}.") from error
