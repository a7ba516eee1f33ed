"""From a complete POST /predict to the dispatcher, and back: numbers, bodies, duplicates; the same for every way in."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable

from policy.instant import UNSET
from policy.timeline import Outcome
from reference_server.answers import HttpAnswer, of_attempt, of_malformed, with_version
from reference_server.dispatch_loop import Answer, DispatchLoop, Key
from reference_server.errors import BadRequest, Malformed
from reference_server.request_text import NUMBER_MAX, parse_attempt, parse_key, parse_prediction

__all__ = ["Predictions"]

_REFUSED = int(Outcome.REFUSED)


class Predictions:
    """The border between HTTP and the dispatcher."""

    def __init__(self, dispatch: DispatchLoop) -> None:
        self.dispatch = dispatch
        self._own_numbers = itertools.count(NUMBER_MAX)
        self._versions = {name: version for version, name in enumerate(dispatch.names)}
        self._tells_version = len(dispatch.names) > 1

    def key(self, number: str | None) -> Key:
        """Return the key of an attempt with this header, or a new one without it. Raises BadRequest."""
        return (next(self._own_numbers), 0) if number is None else parse_attempt(number)

    def begin(
        self,
        key: Key,
        body: bytes,
        received_ns: int,
        on_answer: Callable[[Answer], None],
        *,
        sticky: str | None = None,
        pinned: str | None = None,
    ) -> bool:
        """Dispatch an attempt; return whether it is asked for bare. Raises BadRequest.

        `sticky` is the user's key and `pinned` the name of a version, as the client wrote them. `on_answer` is called
        from the event loop. Who began it reports dispatch.answered() or dispatch.hung_up().
        """
        version = UNSET if pinned is None else self.version(pinned)
        if sticky is not None:
            parse_key(sticky)
        prediction = parse_prediction(body)
        if self.dispatch.holds(key):
            raise BadRequest(f"Attempt {key[0]}.{key[1]} is in flight already.", Malformed.DUPLICATE)
        self.dispatch.arrive(
            key, prediction.size, prediction.input, received_ns, on_answer, sticky=sticky, pinned=version
        )
        return prediction.bare

    def version(self, name: str) -> int:
        """Return the index of the version of this name. Raises BadRequest."""
        version = self._versions.get(name)
        if version is None:
            known = ", ".join(self._versions)
            raise BadRequest(f"There is no version {name[:40]!r}; this server has {known}.", Malformed.UNKNOWN)
        return version

    def abandon(self, number: str | None, received_ns: int) -> None:
        """Log an attempt whose client hung up before the whole body was there, if it is known which one it was."""
        with contextlib.suppress(BadRequest):
            self.dispatch.abandoned_unread(self.key(number), received_ns)

    def answer(self, key: Key, answer: Answer, *, bare: bool) -> HttpAnswer:
        """Return what the client of an attempt is told."""
        retry_after_s = self.dispatch.retry_after_s() if answer.outcome == _REFUSED else 0
        told = of_attempt(answer, bare=bare, retry_after_s=retry_after_s)
        if self._tells_version:
            told = with_version(told, key, answer.version)
        return told._replace(closes=True) if self.dispatch.is_draining else told

    def turn_away(self, problem: BadRequest) -> HttpAnswer:
        """Count what never reaches the dispatcher, and return what its client is told."""
        told = of_malformed(problem)
        self.dispatch.metrics.count_malformed(told.status)
        return told
