"""The client's rows and the server's log of one run, joined into one timeline of the simulator's columns.

Both stamp with the same clock of the same machine, so a time of one side may be taken from a time of the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from calibration.errors import BadSamples
from calibration.load_plan import LoadRun
from policy.batching import BatchingRule
from policy.instant import UNSET
from policy.timeline import Attempt, Pass, ReplicaLife, RolloutMove, Scaling, Share
from sim.engine.timelines import Timeline, no_rows

__all__ = ["LoadSample", "LoneSample", "Samples", "ServerLog", "join", "parse_log"]

_ATTEMPTS_MAX = 2**20  # of one request: keeps (request, attempt) in one integer
_CLIENT_COLUMNS = ("intended_ns", "sent_ns", "delivered_ns")
_UNTOLD: Mapping[str, object] = {
    "replicas": [],
    "replica_columns": ReplicaLife._fields,
    "scalings": [],
    "scaling_columns": Scaling._fields,
    "copies": [],
    "shares": [],
    "share_columns": Share._fields,
    "rollout": [],
    "rollout_columns": RolloutMove._fields,
}
"""What stands for the tables of a server that says nothing of fleets or of versions."""


@dataclass(frozen=True)
class ServerLog:
    """The server's rows; its client columns are UNSET."""

    attempts: npt.NDArray[np.int64]  # (rows, columns of Attempt)
    passes: npt.NDArray[np.int64]  # (rows, columns of Pass)
    dropped: int  # rows the server had no room for
    replicas: npt.NDArray[np.int64] = field(default_factory=no_rows(ReplicaLife._fields))
    scalings: npt.NDArray[np.int64] = field(default_factory=no_rows(Scaling._fields))
    copies: npt.NDArray[np.int64] = field(default_factory=no_rows(Attempt._fields))
    shares: npt.NDArray[np.int64] = field(default_factory=no_rows(Share._fields))
    rollout: npt.NDArray[np.int64] = field(default_factory=no_rows(RolloutMove._fields))


@dataclass(frozen=True)
class LoadSample:
    """One steady load."""

    rate_per_s: float
    timeline: Timeline
    cpu_s: float  # CPU time of the server's process that the requests cost


@dataclass(frozen=True)
class LoneSample:
    """Requests that met an idle server."""

    timeline: Timeline
    disturbed: bool  # by the host, in every try


@dataclass(frozen=True)
class Samples:
    """What was measured at one server process."""

    name: str  # of the scenario that the server runs
    batching: BatchingRule
    instances: int
    item_size: int  # of every request, in the model's unit
    bursts: tuple[Timeline, ...]  # requests sent at one instant, so that batches of every size form
    loads: tuple[LoadSample, ...]
    lone: LoneSample | None = None  # the fit does not see it

    @property
    def max_batch(self) -> int:
        """The most requests in a batch."""
        return self.batching.max_batch


def parse_log(content: Mapping[str, object]) -> ServerLog:
    """Return the log in the JSON object of GET /timeline. Raises BadSamples where columns are missing.

    A server that says nothing of replicas counts as one that has always had one, of one version.
    """
    attempts = _table(content, "attempts", "attempt_columns", Attempt._fields)
    passes = _table(content, "passes", "pass_columns", Pass._fields)
    told = {**_UNTOLD, **content}
    dropped = content.get("dropped", 0)
    return ServerLog(
        attempts,
        passes,
        dropped if isinstance(dropped, int) else 0,
        replicas=_table(told, "replicas", "replica_columns", ReplicaLife._fields),
        scalings=_table(told, "scalings", "scaling_columns", Scaling._fields),
        copies=_table(told, "copies", "attempt_columns", Attempt._fields),
        shares=_table(told, "shares", "share_columns", Share._fields),
        rollout=_table(told, "rollout", "rollout_columns", RolloutMove._fields),
    )


def join(run: LoadRun, log: ServerLog) -> Timeline:
    """Return the run's attempts with both sides' columns, times counted from the run's start.

    An attempt the server has no row of keeps UNSET there; a row of the server that this client did not send is an
    error, since it loaded the server as well. Raises BadSamples.
    """
    if log.dropped:
        raise BadSamples(f"The server's timeline log had no room for {log.dropped} rows: raise its size.")
    client_keys = _keys(run.column("request"), run.column("attempt"))
    server_keys = _keys(_column(log.attempts, "request"), _column(log.attempts, "attempt"))
    foreign = int(np.count_nonzero(~np.isin(server_keys, client_keys)))
    if foreign:
        raise BadSamples(f"Another client sent {foreign} requests meanwhile: the server must be left alone.")
    attempts = np.full((len(run.attempts), len(Attempt._fields)), UNSET, dtype=np.int64)
    order = np.argsort(server_keys, kind="stable")
    place = np.searchsorted(server_keys[order], client_keys)
    found = np.zeros(len(client_keys), dtype=np.bool_)
    inside = place < len(server_keys)
    found[inside] = server_keys[order][place[inside]] == client_keys[inside]
    attempts[found] = log.attempts[order[place[found]]]
    for name in ("request", "attempt", "size", *_CLIENT_COLUMNS, "outcome"):
        attempts[:, Attempt._fields.index(name)] = run.column(name)
    _set_reason_where_unknown(attempts, found)
    copies = log.copies[np.lexsort((_column(log.copies, "attempt"), _column(log.copies, "request")))]
    whole = Timeline(
        attempts, _ascending(log.passes), _ascending(log.replicas), log.scalings, copies, log.shares, log.rollout
    )
    return whole.since(run.origin_ns)


def _set_reason_where_unknown(attempts: npt.NDArray[np.int64], found: npt.NDArray[np.bool_]) -> None:
    """Give attempts the server has no row of the reason NONE: Reason has no value for "unknown"."""
    attempts[~found, Attempt._fields.index("reason")] = 0


def _ascending(rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the rows by their first column."""
    return rows[np.argsort(rows[:, 0], kind="stable")]


def _keys(requests: npt.NDArray[np.int64], attempts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return one integer for each (request, attempt)."""
    return requests * _ATTEMPTS_MAX + attempts


def _column(rows: npt.NDArray[np.int64], name: str) -> npt.NDArray[np.int64]:
    """Return a column of attempt rows."""
    return rows[:, Attempt._fields.index(name)]


def _table(
    content: Mapping[str, object], rows_key: str, columns_key: str, wanted: Sequence[str]
) -> npt.NDArray[np.int64]:
    """Return rows in the order of the wanted columns, whatever order the server writes them in."""
    rows, columns = content.get(rows_key), content.get(columns_key)
    if not isinstance(rows, list) or not isinstance(columns, (list, tuple)):
        raise BadSamples(f"The server's timeline has no {rows_key} with {columns_key}: is it a servecast server?")
    missing = [name for name in wanted if name not in columns]
    if missing:
        raise BadSamples(f"The server's timeline lacks the column {missing[0]}: it runs another version.")
    table = np.array(rows, dtype=np.int64).reshape(len(rows), len(columns))
    return table[:, [columns.index(name) for name in wanted]]
