"""Tests of calibration/samples.py."""

from __future__ import annotations

import numpy as np
import pytest

from calibration.errors import BadSamples
from calibration.load_plan import LoadRun, SentAttempt
from calibration.samples import ServerLog, join, parse_log
from policy.instant import UNSET
from policy.timeline import Attempt, Outcome, Pass, Reason, RolloutMove, Share, copy_number

ORIGIN = 1_000_000


def _sent(request: int, attempt: int = 0, **columns: int) -> SentAttempt:
    defaults = {"size": 3, "intended_ns": ORIGIN + 10, "due_ns": ORIGIN + 10, "sent_ns": ORIGIN + 11}
    ends = {"delivered_ns": ORIGIN + 99, "status": 200, "outcome": 1, "body_bytes": 2, "retry_after_s": 0}
    return SentAttempt(**({"request": request, "attempt": attempt} | defaults | ends | columns))


def _logged(request: int, attempt: int = 0, **columns: int) -> Attempt:
    values = dict.fromkeys(Attempt._fields, UNSET) | {"request": request, "attempt": attempt, "size": 1, "reason": 0}
    times = {"received_ns": ORIGIN + 20, "enqueued_ns": ORIGIN + 21, "outcome": 1}
    return Attempt(**(values | times | columns))


def _run(rows: list[SentAttempt]) -> LoadRun:
    return LoadRun(ORIGIN, np.array(rows, dtype=np.int64), 1, 0, "timerfd")


def _log(rows: list[Attempt], passes: list[Pass] | None = None, dropped: int = 0) -> ServerLog:
    return ServerLog(
        np.array(rows, dtype=np.int64).reshape(len(rows), len(Attempt._fields)),
        np.array(passes or [], dtype=np.int64).reshape(len(passes or []), len(Pass._fields)),
        dropped,
    )


def test_sides_are_joined_by_request_and_attempt() -> None:
    """The server logs in the order of ends; rows find each other by their key, times count from the run's start."""
    run = _run([_sent(0), _sent(1, outcome=Outcome.REFUSED), _sent(1, 1), _sent(2)])
    log = _log(
        [_logged(2, serial=5), _logged(1, 1, serial=4), _logged(0, serial=3), _logged(1, reason=Reason.QUEUE_FULL)]
    )
    timeline = join(run, log)
    assert timeline.attempt("serial").tolist() == [3, UNSET, 4, 5]
    assert timeline.attempt("reason").tolist() == [0, Reason.QUEUE_FULL, 0, 0]
    assert timeline.attempt("outcome").tolist() == [1, Outcome.REFUSED, 1, 1]
    assert timeline.attempt("intended_ns").tolist() == [10] * 4
    assert timeline.attempt("sent_ns").tolist() == [11] * 4
    assert timeline.attempt("enqueued_ns").tolist() == [21] * 4
    assert timeline.attempt("closed_ns").tolist() == [UNSET] * 4


def test_outcome_and_size_are_those_of_the_client() -> None:
    """A client that hung up was not answered, even where the server wrote an answer nobody read."""
    timeline = join(_run([_sent(0, outcome=Outcome.ABANDONED, size=7)]), _log([_logged(0, outcome=1, size=1)]))
    assert timeline.attempt("outcome").tolist() == [Outcome.ABANDONED]
    assert timeline.attempt("size").tolist() == [7]


def test_attempt_that_the_server_never_saw_keeps_unset() -> None:
    """A connection that was lost on the way leaves no row at the server."""
    timeline = join(_run([_sent(0), _sent(1, outcome=Outcome.FAILED, status=0)]), _log([_logged(0)]))
    assert timeline.attempt("received_ns").tolist() == [20, UNSET]
    assert timeline.attempt("reason").tolist() == [0, Reason.NONE]


def test_empty_log_joins_as_unset() -> None:
    """No row at all is no special case."""
    assert join(_run([_sent(0)]), _log([])).attempt("enqueued_ns").tolist() == [UNSET]


def test_passes_are_ordered_and_counted_from_the_start() -> None:
    """Passes come by serial; a moment that never was stays UNSET."""
    rows = [Pass(serial, 0, 0, 1, 1, UNSET, *[ORIGIN + serial] * 5) for serial in (2, 1)]
    timeline = join(_run([_sent(0)]), _log([_logged(0)], rows))
    assert timeline.passed("serial").tolist() == [1, 2]
    assert timeline.passed("handed_ns").tolist() == [1, 2]
    assert timeline.passed("idle_since_ns").tolist() == [UNSET, UNSET]


@pytest.mark.parametrize(
    ("rows", "dropped", "said"),
    [([_logged(0), _logged(2**40)], 0, "Another client sent 1 requests"), ([_logged(0)], 4, "no room for 4 rows")],
)
def test_log_that_is_not_of_this_run_alone_is_refused(rows: list[Attempt], dropped: int, said: str) -> None:
    """Foreign load and lost rows would go unnoticed into every figure."""
    with pytest.raises(BadSamples, match=said):
        join(_run([_sent(0)]), _log(rows, dropped=dropped))


def test_columns_are_found_by_name() -> None:
    """A server may write its columns in any order, and more of them."""
    columns = [*reversed(Attempt._fields), "news"]
    log = parse_log(
        {
            "attempt_columns": columns,
            "attempts": [[*range(len(Attempt._fields)), 77]],
            "pass_columns": list(Pass._fields),
            "passes": [],
            "dropped": 2,
        }
    )
    assert log.attempts.tolist() == [list(reversed(range(len(Attempt._fields))))]
    assert log.passes.shape == (0, len(Pass._fields))
    assert log.dropped == 2


@pytest.mark.parametrize(
    "content", [{}, {"attempts": [], "attempt_columns": ["request"], "passes": [], "pass_columns": []}]
)
def test_log_of_something_else_is_refused(content: dict[str, object]) -> None:
    """An answer that is no timeline, or lacks a column, is named."""
    with pytest.raises(BadSamples, match=r"The server's timeline (has no attempts|lacks the column)"):
        parse_log(content)


def test_what_a_server_says_of_versions_is_joined_too() -> None:
    """Copies in the order of their requests, shares and moves counted from the run's start; all may be missing."""
    copies = [_logged(request, copy_number(0, 1), version=1) for request in (1, 0)]
    content = {
        "attempts": [list(_logged(request)) for request in (0, 1)],
        "attempt_columns": list(Attempt._fields),
        "passes": [],
        "pass_columns": list(Pass._fields),
        "copies": [list(row) for row in copies],
        "shares": [list(Share(ORIGIN + 30, 1, 500, 100)), list(Share(7, 0, 10_000, 0))],
        "share_columns": list(Share._fields),
        "rollout": [list(RolloutMove(ORIGIN + 30, 1, 1, 1, 0, 500, 100))],
        "rollout_columns": list(RolloutMove._fields),
    }
    timeline = join(_run([_sent(0), _sent(1)]), parse_log(content))
    assert timeline.copied("request").tolist() == [0, 1]
    assert timeline.copied("enqueued_ns").tolist() == [21, 21]
    assert timeline.shares.tolist() == [[30, 1, 500, 100], [0, 0, 10_000, 0]]
    assert timeline.rollout.tolist() == [[30, 1, 1, 1, 0, 500, 100]]
    bare = {key: content[key] for key in ("attempts", "attempt_columns", "passes", "pass_columns")}
    plain = join(_run([_sent(0), _sent(1)]), parse_log(bare))
    assert [len(table) for table in (plain.copies, plain.shares, plain.rollout)] == [0, 0, 0]
