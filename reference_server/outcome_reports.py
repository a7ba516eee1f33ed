"""What became of answers, as clients report it: which version succeeds more often is what an A/B test asks.

The server counts. Whether a difference means anything is for whoever reads the counts (`servecast rollout outcomes`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from reference_server.actions import Key
from reference_server.errors import BadRequest, Malformed
from reference_server.request_text import NUMBER_MAX

__all__ = ["OutcomeReports", "Reported"]


@dataclass
class Reported:
    """The reports on the answers of one version."""

    answered: int = 0  # by the model: not those whose input it did not take
    reported: int = 0
    successes: int = 0


class OutcomeReports:
    """The versions of the latest `capacity` answers, each of which may be reported once, and the counts of all."""

    def __init__(self, names: Sequence[str], capacity: int) -> None:
        self.counts = [Reported() for _ in names]
        self._names = names
        self._capacity = capacity
        # Keys are one integer each, in place of a tuple of two: half the memory, and nothing to collect as garbage.
        self._versions: dict[int, int] = {}  # of a reported one the index is negative: ~version
        self._oldest_first: deque[int] = deque()

    def add(self, key: Key, version: int) -> None:
        """Remember who gave an answer; of two of one number, which a client should not send, the later one."""
        self.counts[version].answered += 1
        packed = _packed(key)
        if packed not in self._versions:
            self._oldest_first.append(packed)
            if len(self._oldest_first) > self._capacity:
                del self._versions[self._oldest_first.popleft()]
        self._versions[packed] = version

    def report(self, key: Key, *, success: bool) -> str:
        """Count a report; return the name of the version that it is on. Raises BadRequest."""
        version = self._versions.get(_packed(key))
        number = f"{key[0]}.{key[1]}"
        if version is None:
            sentence = f"No answer to {number} is known: the latest {self._capacity} are remembered."
            raise BadRequest(sentence, Malformed.UNKNOWN)
        if version < 0:
            raise BadRequest(f"The outcome of {number} has been reported already.", Malformed.DUPLICATE)
        self._versions[_packed(key)] = ~version
        self.counts[version].reported += 1
        self.counts[version].successes += success
        return self._names[version]


def _packed(key: Key) -> int:
    """Return a key as one integer; the server's own requests are numbered from NUMBER_MAX up."""
    return key[0] * NUMBER_MAX + key[1]
