"""The ring of rows against a plain list, and the JSON of a page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.timeline import Attempt, Pass, ReplicaLife, RolloutMove, Scaling, Share
from reference_server.timeline_log import CHUNK_ROWS, RowRing, TimelineLog


def attempt(number: int) -> Attempt:
    """Return a row whose columns all differ from those of other rows."""
    return Attempt(*range(number * 100, number * 100 + len(Attempt._fields)))


def passed(number: int) -> Pass:
    """Return a row whose columns all differ from those of other rows."""
    return Pass(*range(-number * 100, -number * 100 + len(Pass._fields)))


@given(
    capacity=st.integers(1, 7),
    rows=st.lists(st.sampled_from(["add", "clear"]), max_size=25),
    offset=st.integers(0, 9),
    limit=st.integers(1, 9),
)
def test_ring_gives_the_latest_rows_oldest_first(capacity: int, rows: list[str], offset: int, limit: int) -> None:
    """A list that forgets its head does the same: rows, length, drops and every page."""
    ring, dropped = RowRing(["a", "b"], capacity), 0
    kept: list[list[int]] = []
    for number, what in enumerate(rows):
        if what == "clear":
            ring.clear()
            kept, dropped = [], 0
            continue
        ring.add((number, -number))
        kept.append([number, -number])
        dropped += len(kept) > capacity
        kept = kept[-capacity:]
    page = "".join(ring.as_json(ring.page(offset, limit)))
    assert json.loads(f"[{page}]") == kept[offset : offset + limit]
    assert (len(ring), ring.dropped) == (len(kept), dropped)
    assert ring.latest(limit) == [tuple(row) for row in kept[-limit:]]


def test_page_is_of_the_moment_it_was_asked_for() -> None:
    """Rows that come while a page is written out neither enter nor spoil it."""
    log = TimelineLog(rows=3)
    for number in range(3):
        log.attempts.add(attempt(number))
    pieces = log.as_json(0, 10)
    text = next(pieces)
    log.attempts.add(attempt(3))
    text += "".join(pieces)
    assert [row[0] for row in json.loads(text)["attempts"]] == [0, 100, 200]


GONE, LIVING = ReplicaLife(1, 0, 0, 5, 8, 9), ReplicaLife(0, 0, 0, 5, -1, -1)


def test_fleet_is_told_without_a_replica_that_is_gone() -> None:
    """No comma is left over; a clear leaves the fleet's course as it is."""
    log = TimelineLog(rows=2, living=lambda: [LIVING])
    log.scalings.add(Scaling(0, 0, 1, 0))
    log.clear()
    page = json.loads("".join(log.as_json(0, 5)))
    assert (page["replicas"], page["scalings"]) == ([list(LIVING)], [[0, 0, 1, 0]])


def test_json_of_a_page_names_columns_totals_and_drops() -> None:
    """All that a reader needs to ask for the next page and to trust the rows."""
    log = TimelineLog(rows=2, living=lambda: [LIVING])
    for number in range(3):
        log.attempts.add(attempt(number))
    log.passes.add(passed(1))
    log.replicas.add(GONE)
    log.scalings.add(Scaling(0, 0, 2, 0))
    log.copies.add(attempt(6))
    log.copies.add(attempt(7))
    log.shares.add(Share(0, 0, 10_000, 0))
    log.rollout.add(RolloutMove(5, 1, 1, 1, 0, 500, 0))
    page = json.loads("".join(log.as_json(1, 5)))
    assert page.pop("clock_ns") > 0
    assert page == {
        "attempt_columns": list(Attempt._fields),
        "pass_columns": list(Pass._fields),
        "replica_columns": list(ReplicaLife._fields),
        "scaling_columns": list(Scaling._fields),
        "share_columns": list(Share._fields),
        "rollout_columns": list(RolloutMove._fields),
        "attempts": [list(attempt(2))],
        "passes": [],
        "replicas": [list(GONE), list(LIVING)],
        "scalings": [[0, 0, 2, 0]],
        "copies": [list(attempt(7))],
        "shares": [[0, 0, 10_000, 0]],
        "rollout": [[5, 1, 1, 1, 0, 500, 0]],
        "attempts_total": 2,
        "passes_total": 1,
        "copies_total": 2,
        "dropped": 1,
        "offset": 1,
        "limit": 5,
    }


@pytest.mark.parametrize("rows", [0, 1, CHUNK_ROWS, CHUNK_ROWS + 1])
def test_json_cut_into_pieces_holds_every_row_once(rows: int) -> None:
    """The pieces join without a missing or doubled comma, at the edges of a chunk too."""
    log = TimelineLog(rows=1000)
    for number in range(rows):
        log.attempts.add(attempt(number))
    page = json.loads("".join(log.as_json(0, 1000)))
    assert [row[0] for row in page["attempts"]] == [number * 100 for number in range(rows)]


def test_clear_forgets_rows_and_drops() -> None:
    """It says how many attempts were held."""
    log = TimelineLog(rows=2)
    for number in range(3):
        log.attempts.add(attempt(number))
        log.passes.add(passed(number))
    assert log.clear() == 2
    assert (len(log.attempts), len(log.passes), log.attempts.dropped, log.passes.dropped) == (0, 0, 0, 0)


def test_file_holds_all_rows_of_both_tables(tmp_path: Path) -> None:
    """More passes than attempts are no reason to cut either."""
    log = TimelineLog(rows=10)
    log.attempts.add(attempt(1))
    for number in range(4):
        log.passes.add(passed(number))
    log.write(tmp_path / "rows.json")
    page = json.loads((tmp_path / "rows.json").read_text(encoding="utf-8"))
    assert (len(page["attempts"]), len(page["passes"])) == (1, 4)
