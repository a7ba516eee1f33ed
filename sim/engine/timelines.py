"""A finished run as integer columns: the common form of both engines' results and of a server's log."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from policy.timeline import Attempt, Pass

__all__ = ["ATTEMPT_COLUMNS", "PASS_COLUMNS", "Timeline", "timeline_from_rows"]

ATTEMPT_COLUMNS: tuple[str, ...] = Attempt._fields
PASS_COLUMNS: tuple[str, ...] = Pass._fields


@dataclass(frozen=True)
class Timeline:
    """What happened in one run."""

    attempts: npt.NDArray[np.int64]  # (attempts, len(ATTEMPT_COLUMNS)), ordered by (request, attempt)
    passes: npt.NDArray[np.int64]  # (passes, len(PASS_COLUMNS)), ordered by serial

    def attempt(self, column: str) -> npt.NDArray[np.int64]:
        """Return one column of the attempts, by its name in policy.timeline.Attempt."""
        return self.attempts[:, ATTEMPT_COLUMNS.index(column)]

    def passed(self, column: str) -> npt.NDArray[np.int64]:
        """Return one column of the passes, by its name in policy.timeline.Pass."""
        return self.passes[:, PASS_COLUMNS.index(column)]

    def tobytes(self) -> bytes:
        """Return all values as bytes: equal bytes are equal runs."""
        return self.attempts.tobytes() + self.passes.tobytes()


def timeline_from_rows(attempts: Iterable[Attempt], passes: Iterable[Pass]) -> Timeline:
    """Return the rows as a timeline, sorted."""
    return Timeline(
        attempts=_as_array(sorted(attempts), len(ATTEMPT_COLUMNS)),
        passes=_as_array(sorted(passes), len(PASS_COLUMNS)),
    )


def _as_array(rows: list[Attempt] | list[Pass], columns: int) -> npt.NDArray[np.int64]:
    """Return rows as a table; an empty list is a table without rows."""
    return np.array(rows, dtype=np.int64).reshape(len(rows), columns)
