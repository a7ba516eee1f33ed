"""The compiled engine: the timeline of process_engine.py, byte for byte, by compiled code (Numba).

It compiles the functions of policy/ themselves, so there is no second copy of a rule. What stands in compiled/
is bookkeeping: rows of tables where the process engine has objects, calendars where it has SimPy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from policy.instant import NEVER_NS, UNSET
from policy.timeline import COPIES_FROM
from sim.engine.compiled.fixed_fleet import advance_fixed
from sim.engine.compiled.fixed_state import FixedState, fits
from sim.engine.compiled.kernel import Returned, advance
from sim.engine.compiled.state import Capacity, Given, Ints, Rows, State
from sim.engine.engine_input import EngineInput
from sim.engine.timelines import (
    ATTEMPT_COLUMNS,
    PASS_COLUMNS,
    REPLICA_COLUMNS,
    ROLLOUT_COLUMNS,
    SCALING_COLUMNS,
    SHARE_COLUMNS,
    Table,
    Timeline,
    no_rows,
)
from sim.engine.totals import Totals

__all__ = ["run", "run_totals"]

_LEAST = Capacity(attempts=1024, entries=1024, replicas=64, log=256)
_CHUNK = 1_000_000
_DRAWN_TOGETHER = 400_000
"""Arrivals; a run of fewer needs no thread."""


class _Chunk(NamedTuple):
    """Some of the first sends, and whether they are the last."""

    arrivals_ns: Ints
    sizes: Ints
    is_last: bool


def run(engine_input: EngineInput, *, chunk: int | None = None, least: Capacity = _LEAST) -> Timeline:
    """Return the timeline of one run: the same bytes for the same input.

    `chunk` hands over so many arrivals at a time, `least` is how large the tables are at first; both change nothing.
    """
    requests = len(engine_input.traffic.arrivals_ns)
    least = least._replace(attempts=max(least.attempts, requests))
    given, state = Given(engine_input, recycle=False), State(engine_input, least)
    _advance_all(given, state, _chunks(engine_input, chunk or max(requests, 1)))
    return _timeline(state)


def run_totals(
    engine_input: EngineInput,
    windows: int,
    *,
    batches: int | None = None,
    limit_ns: int = NEVER_NS,
    arrivals: Iterable[Ints] | None = None,
    chunk: int = _CHUNK,
) -> Totals:
    """Return what one run comes to, in so many windows, without keeping its rows.

    There is a histogram for each of `batches` groups of windows (None: for each window); window k is in group
    k * batches // windows. Answers beyond `limit_ns` are counted apart. `arrivals`, in ascending pieces of any length,
    stand for those of the input: so they need not exist all at once.
    """
    given = Given(engine_input, recycle=True)
    state = FixedState(engine_input) if fits(engine_input) else State(engine_input, _LEAST)
    state.count_in(windows, windows if batches is None else batches, limit_ns)
    chunks = _chunks(engine_input, chunk) if arrivals is None else _joined(_drawn_ahead(arrivals))
    _advance_all(given, state, chunks)
    return Totals(
        counts=state.tables["counts"][:, :-1],
        beyond=state.tables["counts"][:, -1],
        latencies=state.tables["latencies"],
        shortest_ns=state.tables["shortest"],
        longest_ns=state.tables["longest"],
        latency_sum_ns=int(state.run["latency_sum_ns"]),
        unresolved=int(state.run["measured_open"]),
        delivered=int(state.run["delivered"]),
        passes=int(state.run["passes_measured"]),
        batched=int(state.run["batched"]),
        busy_ns=int(state.run["busy_ns"]),
        born=int(state.run["born"]),
        fleet=state.fleet() if isinstance(state, FixedState) else _fleet(state),
    )


def _fleet(state: State) -> Timeline:
    """Return replicas and versions over time, without attempts and passes."""
    return Timeline(attempts=no_rows(ATTEMPT_COLUMNS)(), passes=no_rows(PASS_COLUMNS)(), **_fleet_tables(state))


def _fleet_tables(state: State) -> dict[str, Table]:
    """Return the tables that tell of replicas and versions."""
    return {
        "replicas": _replica_rows(state),
        "scalings": _scaling_rows(state),
        "shares": _as_table(state.rows("shares", "shares"), SHARE_COLUMNS),
        "rollout": _as_table(state.rows("moves", "moves"), ROLLOUT_COLUMNS),
    }


def _advance_all(given: Given, state: State | FixedState, chunks: Iterator[_Chunk]) -> None:
    """Go on to the end of the run."""
    go_on = advance_fixed if isinstance(state, FixedState) else advance
    returned = Returned.NEEDS_ARRIVALS.value
    while returned != Returned.FINISHED:
        if returned == Returned.NEEDS_ARRIVALS:
            chunk = next(chunks)
            state.hand_over(chunk.arrivals_ns, chunk.sizes, is_last=chunk.is_last)
        elif isinstance(state, FixedState):
            state.more()
        else:
            state.more(
                attempts=returned == Returned.NEEDS_ATTEMPTS,
                entries=returned == Returned.NEEDS_ENTRIES,
                replicas=returned == Returned.NEEDS_REPLICAS,
                log=returned == Returned.NEEDS_LOG,
            )
        returned = go_on(given.record, state.record)


def _chunks(engine_input: EngineInput, least: int) -> Iterator[_Chunk]:
    """Return the arrivals in chunks of so many at least; one ends between two moments, since an instant is whole."""
    arrivals_ns, sizes = engine_input.traffic.arrivals_ns, engine_input.traffic.sizes
    end, is_last = 0, False
    while not is_last:
        begin, end = end, end + least
        if end < len(arrivals_ns):
            end = int(np.searchsorted(arrivals_ns, arrivals_ns[end - 1], side="right"))
        is_last = end >= len(arrivals_ns)
        yield _Chunk(arrivals_ns[begin:end], sizes[begin:end], is_last)


def _drawn_ahead(pieces: Iterable[Ints]) -> Iterator[Ints]:
    """Yield the pieces, many at a time; a thread draws the next ones while the kernel, which needs no lock, runs."""
    together = _together(pieces)
    yield next(together)
    from concurrent.futures import ThreadPoolExecutor  # most runs end before, and it brings the whole of logging along

    with ThreadPoolExecutor(max_workers=1) as drawer:
        coming = drawer.submit(next, together, None)
        while (piece := coming.result()) is not None:
            coming = drawer.submit(next, together, None)
            yield piece


def _together(pieces: Iterable[Ints]) -> Iterator[Ints]:
    """Yield the pieces in larger ones."""
    kept: list[Ints] = []
    count = 0
    for piece in pieces:
        kept.append(piece)
        count += len(piece)
        if count >= _DRAWN_TOGETHER:
            yield np.concatenate(kept)
            kept, count = [], 0
    yield np.concatenate([np.empty(0, dtype=np.int64), *kept])


def _joined(pieces: Iterable[Ints]) -> Iterator[_Chunk]:
    """Return pieces of arrivals as chunks: those of a piece's last moment wait for the next piece."""
    kept = no_sizes = np.empty(0, dtype=np.int64)
    for piece in pieces:
        joined = np.concatenate([kept, piece])
        end = int(np.searchsorted(joined, joined[-1], side="left")) if len(joined) else 0
        yield _Chunk(joined[:end], no_sizes, is_last=False)
        kept = joined[end:]
    yield _Chunk(kept, no_sizes, is_last=True)


def _timeline(state: State) -> Timeline:
    """Return the rows of a run that is over."""
    moments = _moments(state)
    rows = _attempt_rows(state, moments)
    rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    copies = rows[:, ATTEMPT_COLUMNS.index("attempt")] >= COPIES_FROM
    return Timeline(
        attempts=np.ascontiguousarray(rows[~copies]),
        passes=_pass_rows(state, moments),
        copies=np.ascontiguousarray(rows[copies]),
        **_fleet_tables(state),
    )


def _as_table(rows: Rows, columns: tuple[str, ...]) -> Table:
    """Return these columns of rows as a table."""
    table = np.empty((len(rows), len(columns)), dtype=np.int64)
    for place, name in enumerate(columns):
        table[:, place] = rows[name]
    return table


def _own_columns(rows: Rows, columns: tuple[str, ...]) -> dict[str, Ints]:
    """Return those of the columns that rows have themselves, by name."""
    return {name: rows[name] for name in columns if name in (rows.dtype.names or ())}


def _scaling_rows(state: State) -> Table:
    """Return a row for every change of a wanted number, by time, then by version."""
    rows = _as_table(state.rows("scalings", "scalings"), SCALING_COLUMNS)
    return np.ascontiguousarray(rows[np.lexsort((rows[:, 1], rows[:, 0]))])


def _moments(state: State) -> tuple[Ints, Ints]:
    """Return when the pass of each batch began and ended, as far as that has come; UNSET where it has not."""
    batches, now_ns = state.rows("batches", "batches"), state.run["now_ns"]
    certain = batches["is_blocking"] == 1
    # A pass that was handed over in the last instant of all has not begun, whatever its way to the device takes.
    begun = certain | ((batches["started_ns"] <= now_ns) & (batches["handed_ns"] < now_ns))
    ended = certain | (batches["ended_ns"] <= now_ns)
    return np.where(begun, batches["started_ns"], UNSET), np.where(ended, batches["ended_ns"], UNSET)


def _attempt_rows(state: State, moments: tuple[Ints, Ints]) -> Table:
    """Return a row for every attempt and copy, in the order in which they came to be."""
    attempts, batches = state.rows("attempts", "attempts"), state.rows("batches", "batches")
    started_ns, ended_ns = moments
    batch = attempts["batch"]
    is_frozen = batch != UNSET
    returned = np.zeros(len(attempts), dtype=np.bool_)
    returned[is_frozen] = batches["returned_ns"][batch[is_frozen]] != UNSET
    columns = _own_columns(attempts, ATTEMPT_COLUMNS)
    for name, values, known in (
        ("instance", batches["instance"], is_frozen),
        ("serial", batches["serial"], is_frozen),
        ("batch_size", batches["count"], is_frozen),
        ("closed_ns", batches["closed_ns"], is_frozen),
        ("started_ns", started_ns, returned),
        ("ended_ns", ended_ns, returned),
        ("returned_ns", batches["returned_ns"], is_frozen),
    ):
        column = np.full(len(attempts), UNSET, dtype=np.int64)
        column[known] = values[batch[known]]
        columns[name] = column
    return np.column_stack([columns[name] for name in ATTEMPT_COLUMNS])


def _pass_rows(state: State, moments: tuple[Ints, Ints]) -> Table:
    """Return a row for every pass, by serial."""
    batches = state.rows("batches", "batches")
    started_ns, ended_ns = moments
    columns = _own_columns(batches, PASS_COLUMNS)
    columns |= {"batch_size": batches["count"], "started_ns": started_ns, "ended_ns": ended_ns}
    table = np.column_stack([columns[name] for name in PASS_COLUMNS])[batches["handed_ns"] != UNSET]
    return np.ascontiguousarray(table[np.argsort(table[:, 0], kind="stable")])


def _replica_rows(state: State) -> Table:
    """Return a row for every replica."""
    replicas = state.rows("replicas", "replicas")
    columns = _own_columns(replicas, REPLICA_COLUMNS)
    columns["replica"] = np.arange(len(replicas), dtype=np.int64)
    return np.column_stack([columns[name] for name in REPLICA_COLUMNS])
