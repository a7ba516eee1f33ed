"""The answers of shadow versions held against those that clients got: how many agree, and the latest that do not."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from policy.timeline import COPIES_FROM, Attempt, is_copy
from reference_server.actions import Key
from reference_server.backends import Output

__all__ = ["Agreement", "ShadowAnswers"]

_WAITING_MAX = 10_000  # answers whose counterpart is not there yet
_SHOWN = 20  # disagreements that are kept in full
_TEXT_MAX = 2_000  # bytes of each answer that are kept


@dataclass
class Agreement:
    """How the answers of one shadow version compare."""

    agreed: int = 0
    disagreed: int = 0
    unanswered: int = 0  # one of the two has no answer
    latest: deque[tuple[int, str, str]] = field(default_factory=lambda: deque(maxlen=_SHOWN))
    """(request, what the client got, what the shadow said) of the latest disagreements."""


class ShadowAnswers:
    """Pairs the answers of copies with those of the attempts they are copies of, whichever comes first."""

    def __init__(self, names: Sequence[str]) -> None:
        self.agreements = {name: Agreement() for name in names}
        self._names = names
        self._originals: OrderedDict[Key, Output | None] = OrderedDict()
        self._copies: OrderedDict[Key, list[tuple[int, Output | None]]] = OrderedDict()
        self._has_shadows = False

    def expect_copies(self) -> None:
        """Keep answers from now on: the first copy of all is taken, and may be over after its original."""
        self._has_shadows = True

    def add(self, row: Attempt, output: Output | None) -> None:
        """Take in an attempt or a copy that is over; None: it has no answer."""
        key = row.request, row.attempt % COPIES_FROM
        if is_copy(row.attempt):
            if key in self._originals:
                self._compare(row.request, row.version, self._originals[key], output)
            else:
                self._copies.setdefault(key, []).append((row.version, output))
                if len(self._copies) > _WAITING_MAX:
                    self._copies.popitem(last=False)
            return
        for version, copied in self._copies.pop(key, ()):
            self._compare(row.request, version, output, copied)
        if self._has_shadows:
            self._originals[key] = output
            if len(self._originals) > _WAITING_MAX:
                self._originals.popitem(last=False)

    def _compare(self, request: int, version: int, original: Output | None, copied: Output | None) -> None:
        agreement = self.agreements[self._names[version]]
        if original is None or copied is None:
            agreement.unanswered += 1
        elif _text(original) == _text(copied):
            agreement.agreed += 1
        else:
            agreement.disagreed += 1
            agreement.latest.append((request, _text(original), _text(copied)))


def _text(output: Output) -> str:
    """Return an answer as text, cut where it is very long."""
    text = output if isinstance(output, bytes) else str(output).encode()
    return text[:_TEXT_MAX].decode("utf-8", "replace")
