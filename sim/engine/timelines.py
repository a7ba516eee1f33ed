"""A finished run as integer columns: the common form of both engines' results and of a server's log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from policy.instant import UNSET
from policy.timeline import Attempt, Pass, ReplicaLife, Scaling

__all__ = [
    "ATTEMPT_COLUMNS",
    "PASS_COLUMNS",
    "REPLICA_COLUMNS",
    "SCALING_COLUMNS",
    "Timeline",
    "no_rows",
    "timeline_from_rows",
]

ATTEMPT_COLUMNS: tuple[str, ...] = Attempt._fields
PASS_COLUMNS: tuple[str, ...] = Pass._fields
REPLICA_COLUMNS: tuple[str, ...] = ReplicaLife._fields
SCALING_COLUMNS: tuple[str, ...] = Scaling._fields

Table = npt.NDArray[np.int64]


def no_rows(columns: Sequence[str]) -> Callable[[], Table]:
    """Return what makes a table of these columns without rows."""
    return lambda: np.empty((0, len(columns)), dtype=np.int64)


@dataclass(frozen=True)
class Timeline:
    """What happened in one run."""

    attempts: npt.NDArray[np.int64]  # (attempts, len(ATTEMPT_COLUMNS)), ordered by (request, attempt)
    passes: npt.NDArray[np.int64]  # (passes, len(PASS_COLUMNS)), ordered by serial
    # (replicas, len(REPLICA_COLUMNS)), ordered by replica
    replicas: Table = field(default_factory=no_rows(REPLICA_COLUMNS))
    # (changes, len(SCALING_COLUMNS)), ordered by time, the first one at 0
    scalings: Table = field(default_factory=no_rows(SCALING_COLUMNS))

    def attempt(self, column: str) -> npt.NDArray[np.int64]:
        """Return one column of the attempts, by its name in policy.timeline.Attempt."""
        return self.attempts[:, ATTEMPT_COLUMNS.index(column)]

    def passed(self, column: str) -> npt.NDArray[np.int64]:
        """Return one column of the passes, by its name in policy.timeline.Pass."""
        return self.passes[:, PASS_COLUMNS.index(column)]

    def replica(self, column: str) -> npt.NDArray[np.int64]:
        """Return one column of the replicas, by its name in policy.timeline.ReplicaLife."""
        return self.replicas[:, REPLICA_COLUMNS.index(column)]

    def scaling(self, column: str) -> npt.NDArray[np.int64]:
        """Return one column of the changes of the wanted number, by its name in policy.timeline.Scaling."""
        return self.scalings[:, SCALING_COLUMNS.index(column)]

    def since(self, origin_ns: int) -> Timeline:
        """Return the rows with their times counted from a moment; times before it become 0, UNSET stays."""
        tables = (
            (self.attempts, ATTEMPT_COLUMNS),
            (self.passes, PASS_COLUMNS),
            (self.replicas, REPLICA_COLUMNS),
            (self.scalings, SCALING_COLUMNS),
        )
        return Timeline(*(_since(rows, names, origin_ns) for rows, names in tables))

    def tobytes(self) -> bytes:
        """Return all values as bytes: equal bytes are equal runs."""
        tables = (self.attempts, self.passes, self.replicas, self.scalings)
        return b"".join(table.tobytes() for table in tables)


def timeline_from_rows(
    attempts: Iterable[Attempt],
    passes: Iterable[Pass],
    replicas: Iterable[ReplicaLife] = (),
    scalings: Iterable[Scaling] = (),
) -> Timeline:
    """Return the rows as a timeline, sorted; changes of the wanted number stay in the order in which they come."""
    return Timeline(
        attempts=_as_array(sorted(attempts), len(ATTEMPT_COLUMNS)),
        passes=_as_array(sorted(passes), len(PASS_COLUMNS)),
        replicas=_as_array(sorted(replicas), len(REPLICA_COLUMNS)),
        scalings=_as_array(list(scalings), len(SCALING_COLUMNS)),
    )


def _as_array(rows: Sequence[tuple[int, ...]], columns: int) -> npt.NDArray[np.int64]:
    """Return rows as a table; an empty list is a table without rows."""
    return np.array(rows, dtype=np.int64).reshape(len(rows), columns)


def _since(rows: Table, names: Sequence[str], origin_ns: int) -> Table:
    """Return the rows with their times counted from the origin."""
    rows = rows.copy()
    for index, name in enumerate(names):
        if name.endswith("_ns"):
            column = rows[:, index]
            column[column != UNSET] = np.maximum(column[column != UNSET] - origin_ns, 0)
    return rows
