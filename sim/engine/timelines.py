"""A finished run as integer columns: the common form of both engines' results and of a server's log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from policy.instant import UNSET
from policy.timeline import Attempt, Pass, ReplicaLife, RolloutMove, Scaling, Share, is_copy

__all__ = [
    "ATTEMPT_COLUMNS",
    "PASS_COLUMNS",
    "REPLICA_COLUMNS",
    "ROLLOUT_COLUMNS",
    "SCALING_COLUMNS",
    "SHARE_COLUMNS",
    "Table",
    "Timeline",
    "no_rows",
    "timeline_from_rows",
]

ATTEMPT_COLUMNS: tuple[str, ...] = Attempt._fields
PASS_COLUMNS: tuple[str, ...] = Pass._fields
REPLICA_COLUMNS: tuple[str, ...] = ReplicaLife._fields
SCALING_COLUMNS: tuple[str, ...] = Scaling._fields
SHARE_COLUMNS: tuple[str, ...] = Share._fields
ROLLOUT_COLUMNS: tuple[str, ...] = RolloutMove._fields

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
    # (changes, len(SCALING_COLUMNS)), ordered by time, the first one of each version at 0
    scalings: Table = field(default_factory=no_rows(SCALING_COLUMNS))
    # (copies, len(ATTEMPT_COLUMNS)), ordered by (request, attempt)
    copies: Table = field(default_factory=no_rows(ATTEMPT_COLUMNS))
    # (changes, len(SHARE_COLUMNS)), ordered by time, the first one of each version at 0
    shares: Table = field(default_factory=no_rows(SHARE_COLUMNS))
    # (moves, len(ROLLOUT_COLUMNS)), ordered by time
    rollout: Table = field(default_factory=no_rows(ROLLOUT_COLUMNS))

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

    def copied(self, column: str) -> npt.NDArray[np.int64]:
        """Return one column of the copies, by its name in policy.timeline.Attempt."""
        return self.copies[:, ATTEMPT_COLUMNS.index(column)]

    def share(self, column: str) -> npt.NDArray[np.int64]:
        """Return one column of what versions get, by its name in policy.timeline.Share."""
        return self.shares[:, SHARE_COLUMNS.index(column)]

    def of_version(self, version: int) -> Timeline:
        """Return the rows of one version: what it took or refused, its replicas, their passes, its changes.

        A request whose attempts came to several versions is one of each of them.
        """
        mine = self.replicas[self.replica("version") == version]
        serials = mine[:, REPLICA_COLUMNS.index("replica")]
        return Timeline(
            attempts=self.attempts[self.attempt("version") == version],
            passes=self.passes[np.isin(self.passed("replica"), serials)],
            replicas=mine,
            scalings=self.scalings[self.scaling("version") == version],
            copies=self.copies[self.copied("version") == version],
            shares=self.shares[self.share("version") == version],
        )

    def since(self, origin_ns: int) -> Timeline:
        """Return the rows with their times counted from a moment; times before it become 0, UNSET stays."""
        return Timeline(*(_since(rows, names, origin_ns) for rows, names in self._tables()))

    def tobytes(self) -> bytes:
        """Return all values as bytes: equal bytes are equal runs."""
        return b"".join(rows.tobytes() for rows, _ in self._tables())

    def _tables(self) -> Sequence[tuple[Table, tuple[str, ...]]]:
        """Return all tables with their columns, in the order of the fields."""
        return (
            (self.attempts, ATTEMPT_COLUMNS),
            (self.passes, PASS_COLUMNS),
            (self.replicas, REPLICA_COLUMNS),
            (self.scalings, SCALING_COLUMNS),
            (self.copies, ATTEMPT_COLUMNS),
            (self.shares, SHARE_COLUMNS),
            (self.rollout, ROLLOUT_COLUMNS),
        )


def timeline_from_rows(
    attempts: Iterable[Attempt],
    passes: Iterable[Pass],
    replicas: Iterable[ReplicaLife] = (),
    scalings: Iterable[Scaling] = (),
    shares: Iterable[Share] = (),
    rollout: Iterable[RolloutMove] = (),
) -> Timeline:
    """Return the rows as a timeline: attempts apart from copies, both sorted; changes stay in their order."""
    rows = sorted(attempts)
    return Timeline(
        attempts=_as_array([row for row in rows if not is_copy(row.attempt)], len(ATTEMPT_COLUMNS)),
        passes=_as_array(sorted(passes), len(PASS_COLUMNS)),
        replicas=_as_array(sorted(replicas), len(REPLICA_COLUMNS)),
        scalings=_as_array(list(scalings), len(SCALING_COLUMNS)),
        copies=_as_array([row for row in rows if is_copy(row.attempt)], len(ATTEMPT_COLUMNS)),
        shares=_as_array(list(shares), len(SHARE_COLUMNS)),
        rollout=_as_array(list(rollout), len(ROLLOUT_COLUMNS)),
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
