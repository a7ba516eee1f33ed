"""What clients report of the answers that they got, for an A/B test: counted by the version that gave the answer.

A report names a request by its number, and the server knows which version answered it: so nobody can credit another
version, or report one answer twice.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from policy.timeline import Attempt, Outcome, is_copy
from reference_server.actions import Key
from reference_server.errors import BadRequest, Malformed

__all__ = ["OutcomeReports", "Reported"]

_REMEMBERED = 100_000  # latest answers of which an outcome can be reported


@dataclass
class Reported:
    """The answers of one version, and what was reported of them."""

    answered: int = 0
    reported: int = 0
    successes: int = 0


class OutcomeReports:
    """The answers of a server with several versions."""

    def __init__(self, names: Sequence[str], remembered: int = _REMEMBERED) -> None:
        self.versions = {name: Reported() for name in names}
        self._names = names
        self._remembered = remembered
        self._open: OrderedDict[Key, int] = OrderedDict()  # the version of each answer that may be reported on
        self._closed: OrderedDict[Key, None] = OrderedDict()

    def add(self, row: Attempt) -> None:
        """Take in an attempt that is over; copies and those without an answer have no outcome to report."""
        if row.outcome != Outcome.ANSWERED or is_copy(row.attempt):
            return
        self.versions[self._names[row.version]].answered += 1
        self._open[row.request, row.attempt] = row.version
        if len(self._open) > self._remembered:
            self._open.popitem(last=False)

    def report(self, key: Key, *, success: bool) -> str:
        """Count the outcome of an answer; return the name of its version. Raises BadRequest."""
        number = f"{key[0]}.{key[1]}"
        if key in self._closed:
            raise BadRequest(f"The outcome of request {number} has been reported.", Malformed.TWICE)
        version = self._open.pop(key, None)
        if version is None:
            latest = f"the latest {self._remembered} are remembered"
            raise BadRequest(f"There is no answered request {number}: {latest}.", Malformed.UNKNOWN)
        self._closed[key] = None
        if len(self._closed) > self._remembered:
            self._closed.popitem(last=False)
        counts = self.versions[self._names[version]]
        counts.reported += 1
        counts.successes += success
        return self._names[version]
