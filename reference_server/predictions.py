"""From a complete POST /predict to the dispatcher, and back: numbers, bodies, duplicates; the same for every way in."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Sequence

from policy.instant import UNSET
from policy.timeline import Outcome
from reference_server.answers import HttpAnswer, of_attempt, of_malformed
from reference_server.dispatch_loop import Answer, DispatchLoop, Key
from reference_server.errors import BadRequest, Malformed
from reference_server.request_text import NUMBER_MAX, Asked, parse_attempt, parse_prediction, parse_sticky

__all__ = ["Predictions"]

_REFUSED = int(Outcome.REFUSED)


class Predictions:
    """The border between HTTP and the dispatcher."""

    def __init__(self, dispatch: DispatchLoop, versions: Sequence[str]) -> None:
        """`versions` are the names of the versions that can be asked for, in their order."""
        self.dispatch = dispatch
        self._versions = {name: place for place, name in enumerate(versions)}
        self._own_numbers = itertools.count(NUMBER_MAX)

    def key(self, number: str | None) -> Key:
        """Return the key of an attempt with this header, or a new one without it. Raises BadRequest."""
        return (next(self._own_numbers), 0) if number is None else parse_attempt(number)

    def begin(self, key: Key, asked: Asked, body: bytes, received_ns: int, on_answer: Callable[[Answer], None]) -> bool:
        """Dispatch an attempt; return whether it is asked for bare. Raises BadRequest.

        `on_answer` is called from the event loop. Who began it reports dispatch.answered() or dispatch.hung_up().
        """
        prediction = parse_prediction(body)
        if self.dispatch.holds(key):
            raise BadRequest(f"Attempt {key[0]}.{key[1]} is in flight already.", Malformed.DUPLICATE)
        sticky = None if asked.sticky is None else parse_sticky(asked.sticky)
        pinned = UNSET if asked.version is None else self.place_of(asked.version)
        self.dispatch.arrive(
            key, prediction.size, prediction.input, received_ns, on_answer, sticky=sticky, pinned=pinned
        )
        return prediction.bare

    def place_of(self, version: str) -> int:
        """Return the place of a version by its name. Raises BadRequest."""
        place = self._versions.get(version)
        if place is None:
            known = ", ".join(self._versions)
            raise BadRequest(f"There is no version {version[:50]!r}: known are {known}.", Malformed.UNKNOWN)
        return place

    def abandon(self, number: str | None, received_ns: int) -> None:
        """Log an attempt whose client hung up before the whole body was there, if it is known which one it was."""
        with contextlib.suppress(BadRequest):
            self.dispatch.abandoned_unread(self.key(number), received_ns)

    def answer(self, answer: Answer, *, bare: bool) -> HttpAnswer:
        """Return what the client is told."""
        retry_after_s = self.dispatch.retry_after_s() if answer.outcome == _REFUSED else 0
        told = of_attempt(answer, bare=bare, retry_after_s=retry_after_s)
        return told._replace(closes=True) if self.dispatch.is_draining else told

    def turn_away(self, problem: BadRequest) -> HttpAnswer:
        """Count what never reaches the dispatcher, and return what its client is told."""
        told = of_malformed(problem)
        self.dispatch.metrics.count_malformed(told.status)
        return told
