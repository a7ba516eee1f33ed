"""Whether every request was answered exactly once: the clients' book against the rows that the server left behind.

The book is what the clients saw; a row is what the server says it did. Each fault becomes one sentence.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from policy.instant import UNSET
from policy.timeline import Attempt, Outcome, Reason
from tests.chaos.client import CUT, TORN, Asked, Book

_OWN_NUMBERS = 2**40  # the server numbers from here up what comes without a number
_ROWS_OF = {
    200: {(Outcome.ANSWERED, Reason.NONE)},
    429: {(Outcome.REFUSED, Reason.QUEUE_FULL)},
    503: {(Outcome.REFUSED, Reason.DRAINING), (Outcome.REFUSED, Reason.NO_REPLICA)},
    504: {(Outcome.TIMED_OUT, Reason.NONE)},
    500: {(Outcome.FAILED, Reason.NONE)},
}
"""By status: the rows that go with it. Requests that were turned away otherwise have none, or one of a client gone."""


def faults(book: Book, rows: Sequence[Attempt], *, may_be_cut: bool = False) -> list[str]:
    """Return a sentence for every request that was not answered exactly once, or not as its row says.

    `may_be_cut`: the server ends in this scene, so it may close connections on which it has read nothing.
    """
    found = [f"{book.unasked_bytes} bytes came that nobody had asked for"] if book.unasked_bytes else []
    by_number: dict[int, list[Attempt]] = defaultdict(list)
    for row in rows:
        by_number[row.request].append(row)
    for asked in book.asked:
        problem = _fault(asked, by_number.pop(asked.number, []), may_be_cut)
        if problem is not None:
            found.append(f"request {asked.number} ({asked.kind or 'plain'}): {problem}")
    for number, strange in by_number.items():
        # One that was cut off in its body has no number that the server could read, and gets one of the server's own.
        cut_off = [row for row in strange if number >= _OWN_NUMBERS and row.enqueued_ns == UNSET]
        if cut_off != strange:
            found.append(f"the server has {len(strange)} rows of {number}, which nobody sent")
    return found


def _fault(asked: Asked, rows: list[Attempt], may_be_cut: bool) -> str | None:
    """Return what is wrong with one request, None if nothing is."""
    if len(rows) > 1:
        return f"{len(rows)} rows"
    row = rows[0] if rows else None
    if asked.hung_up:
        return None if row is None or row.outcome != Outcome.IN_FLIGHT else "a row without an end"
    if asked.status == CUT and may_be_cut:
        return None if row is None else f"cut, and its row says {Outcome(row.outcome).name}"
    if asked.status in {None, CUT, TORN}:
        return "no whole answer"
    if asked.answers != 1:
        return f"{asked.answers} answers"
    if asked.status == 200 and not asked.is_own_answer:
        return "an answer that is not its own"
    if asked.status != 200 and asked.sentence is None:
        return "an error that is not one sentence in JSON"
    return _fault_of_row(asked, row)


def _fault_of_row(asked: Asked, row: Attempt | None) -> str | None:
    """Return how the answer and the row differ."""
    wanted = _ROWS_OF.get(asked.status or 0)
    if wanted is None:
        # Turned away before admission.
        is_unread = row is None or row.enqueued_ns == UNSET
        return None if is_unread else f"status {asked.status}, and a row of an admitted request"
    if row is None:
        return f"status {asked.status}, and no row"
    if (row.outcome, row.reason) not in wanted:
        return f"status {asked.status}, and its row says {Outcome(row.outcome).name}, {Reason(row.reason).name}"
    return None


def ends(rows: Sequence[Attempt]) -> Counter[Outcome]:
    """Return how many rows ended how."""
    return Counter(Outcome(row.outcome) for row in rows)
