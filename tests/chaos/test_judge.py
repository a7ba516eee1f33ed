"""The judge of `make chaos` finds what a server could do wrong: each test plants one fault in a right story."""

from __future__ import annotations

from typing import Any

import pytest

from policy.instant import UNSET
from policy.timeline import Attempt, Outcome, Reason
from tests.chaos.client import CUT, TORN, Asked, Book
from tests.chaos.judge import faults

OK = b'{"output": {"id": "%d", "pad": ""}, "batch_size": 1, "pass_ms": 1.0}'
SORRY = b'{"error": "Sorry."}'


def row(number: int, outcome: Outcome, reason: Reason = Reason.NONE, **changes: Any) -> Attempt:
    """Return the row of an attempt that was admitted."""
    known = {"request": number, "attempt": 0, "enqueued_ns": 5, "outcome": int(outcome), "reason": int(reason)}
    return Attempt(**{**dict.fromkeys(Attempt._fields, UNSET), **known, **changes})


def asked(number: int, status: int | None, **changes: Any) -> Asked:
    """Return a request that was answered once."""
    body = OK % number if status == 200 else SORRY
    known = {"status": status, "body": body, "answers": int(bool(status and status > 0))}
    return Asked(number, 0.0, **{**known, **changes})


def story() -> tuple[Book, list[Attempt]]:
    """Return one request of each right end, and the rows that go with them."""
    book = Book(
        [
            asked(0, 200),
            asked(1, 429),
            asked(2, 503),
            asked(3, 504),
            asked(4, 500),
            asked(5, None, hung_up=True),
            asked(6, None, hung_up=True),
            asked(7, 408),
            asked(8, 400),
        ]
    )
    rows = [
        row(0, Outcome.ANSWERED),
        row(1, Outcome.REFUSED, Reason.QUEUE_FULL),
        row(2, Outcome.REFUSED, Reason.DRAINING),
        row(3, Outcome.TIMED_OUT),
        row(4, Outcome.FAILED),
        row(5, Outcome.ABANDONED),
        row(2**40, Outcome.ABANDONED, enqueued_ns=UNSET),
    ]
    return book, rows


def test_right_story_has_no_fault() -> None:
    """Answered, refused, given up, failed, hung up with and without a row, turned away."""
    assert faults(*story()) == []


@pytest.mark.parametrize(
    ("number", "changes", "words"),
    [
        (0, {"status": None}, "no whole answer"),
        (0, {"status": CUT}, "no whole answer"),
        (0, {"status": TORN}, "no whole answer"),
        (0, {"answers": 2}, "2 answers"),
        (0, {"body": OK % 1}, "an answer that is not its own"),
        (0, {"body": b"{"}, "an answer that is not its own"),
        (0, {"status": 500, "body": SORRY}, "status 500, and its row says ANSWERED, NONE"),
        (1, {"body": b"<html>"}, "an error that is not one sentence in JSON"),
        (1, {"status": 503}, "status 503, and its row says REFUSED, QUEUE_FULL"),
        (3, {"status": 400}, "status 400, and a row of an admitted request"),
        (8, {"status": 200, "body": OK % 8}, "status 200, and no row"),
    ],
)
def test_wrong_answer_is_found(number: int, changes: dict[str, Any], words: str) -> None:
    """One request of the story ends otherwise for its client than the row says."""
    book, rows = story()
    for name, value in changes.items():
        setattr(book.asked[number], name, value)
    assert faults(book, rows) == [f"request {number} (plain): {words}"]


def test_row_that_is_missing_doubled_or_nobodys_is_found() -> None:
    """What the server says it did must be what was asked of it."""
    book, rows = story()
    assert faults(book, rows[1:]) == ["request 0 (plain): status 200, and no row"]
    assert faults(book, [*rows, rows[0]]) == ["request 0 (plain): 2 rows"]
    assert faults(book, [*rows, row(77, Outcome.ANSWERED)]) == ["the server has 1 rows of 77, which nobody sent"]
    assert faults(book, [*rows, row(2**40 + 1, Outcome.ANSWERED)]) != []


def test_bytes_that_nobody_asked_for_are_found() -> None:
    """A second answer to the same request, for example."""
    book, rows = story()
    book.unasked_bytes = 120
    assert faults(book, rows) == ["120 bytes came that nobody had asked for"]


def test_server_that_ends_may_cut_what_it_has_not_read() -> None:
    """Closed without an answer is right for a request without a row, and only in a scene in which the server ends."""
    book, rows = story()
    book.asked[0].status, book.asked[0].answers = CUT, 0
    assert faults(book, rows[1:], may_be_cut=True) == []
    assert faults(book, rows, may_be_cut=True) == ["request 0 (plain): cut, and its row says ANSWERED"]
    assert faults(book, rows[1:]) == ["request 0 (plain): no whole answer"]
