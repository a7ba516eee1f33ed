"""The rows of requests, passes and replicas that are over: bounded in memory, given out in pages, written at exit.

Rows lie as plain integers in rings, 160 bytes for an attempt and 88 for a pass: nothing for the garbage collector
to walk through, and memory is taken only as rows come. A full ring forgets its oldest rows and counts them.
"""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from mmap import mmap
from pathlib import Path

from policy.timeline import Attempt, Pass, ReplicaLife, RolloutMove, Scaling, Share

__all__ = ["CHUNK_ROWS", "RowRing", "TimelineLog"]

CHUNK_ROWS = 250
"""Rows that are turned into JSON at one go: about 0.3 ms."""

_FLEET_ROWS = 10_000  # of the fleet's own tables, which grow with its changes and not with its requests


class RowRing:
    """The latest `capacity` rows of one table of int64 columns."""

    def __init__(self, columns: Sequence[str], capacity: int) -> None:
        self.columns = tuple(columns)
        self._row = struct.Struct(f"={len(columns)}q")
        self._capacity = capacity
        self._bytes = mmap(-1, capacity * self._row.size)
        self._added = 0
        self._cleared = 0

    def add(self, row: tuple[int, ...]) -> None:
        """Keep a row."""
        self._row.pack_into(self._bytes, self._added % self._capacity * self._row.size, *row)
        self._added += 1

    def clear(self) -> None:
        """Forget all rows, and how many were dropped."""
        self._cleared = self._added

    def __len__(self) -> int:
        return min(self._added - self._cleared, self._capacity)

    @property
    def dropped(self) -> int:
        """Rows that were forgotten since the last clear because the ring was full."""
        return self._added - self._cleared - len(self)

    def latest(self, count: int) -> list[tuple[int, ...]]:
        """Return the latest rows, the oldest of them first."""
        return list(self._row.iter_unpack(self.page(max(len(self) - count, 0), count)))

    def page(self, offset: int, limit: int) -> bytes:
        """Return up to `limit` rows, the `offset` oldest ones left out, as one block that later rows do not touch."""
        begin = self._added - len(self) + min(offset, len(self))
        end = min(begin + limit, self._added)
        if begin == end:
            return b""
        size = self._row.size
        first, behind_last = begin % self._capacity, (end - 1) % self._capacity + 1
        if first < behind_last:
            return self._bytes[first * size : behind_last * size]
        return self._bytes[first * size :] + self._bytes[: behind_last * size]

    def as_json(self, page: bytes) -> Iterator[str]:
        """Yield the rows of a page as the items of a JSON array, a chunk at a time."""
        chunk = CHUNK_ROWS * self._row.size
        for begin in range(0, len(page), chunk):
            rows = list(self._row.iter_unpack(page[begin : begin + chunk]))
            yield ("," if begin else "") + json.dumps(rows, separators=(",", ":"))[1:-1]


class TimelineLog:
    """All rows of a server. `living` gives those of the replicas that are not gone."""

    def __init__(self, rows: int, living: Callable[[], Sequence[ReplicaLife]] = tuple) -> None:
        self._living = living
        self.attempts = RowRing(Attempt._fields, rows)
        self.passes = RowRing(Pass._fields, rows)
        self.replicas = RowRing(ReplicaLife._fields, _FLEET_ROWS)  # that are gone
        self.scalings = RowRing(Scaling._fields, _FLEET_ROWS)
        self.copies = RowRing(Attempt._fields, rows)
        self.shares = RowRing(Share._fields, _FLEET_ROWS)
        self.rollout = RowRing(RolloutMove._fields, _FLEET_ROWS)

    def clear(self) -> int:
        """Forget the rows of requests and passes; return how many attempts were held. The fleet's course stays."""
        held = len(self.attempts)
        self.attempts.clear()
        self.passes.clear()
        self.copies.clear()
        return held

    def as_json(self, offset: int, limit: int) -> Iterator[str]:
        """Yield a page of both tables as one JSON object; rows are those of now.

        A piece is about 0.3 ms of work; the first also copies the rows, 3 ms for 20,000 of each table.
        """
        attempts, passes = self.attempts.page(offset, limit), self.passes.page(offset, limit)
        copies = self.copies.page(offset, limit)
        head = {
            "clock_ns": time.perf_counter_ns(),
            "dropped": self.attempts.dropped + self.passes.dropped + self.copies.dropped,
            "offset": offset,
            "limit": limit,
            "attempts_total": len(self.attempts),
            "passes_total": len(self.passes),
            "copies_total": len(self.copies),
            "attempt_columns": self.attempts.columns,
            "pass_columns": self.passes.columns,
            "replica_columns": self.replicas.columns,
            "scaling_columns": self.scalings.columns,
            "share_columns": self.shares.columns,
            "rollout_columns": self.rollout.columns,
        }
        yield json.dumps(head)[:-1] + ', "attempts": ['
        yield from self.attempts.as_json(attempts)
        yield '], "passes": ['
        yield from self.passes.as_json(passes)
        yield '], "replicas": ['
        living = [json.dumps(row, separators=(",", ":")) for row in self._living()]
        gone = list(self.replicas.as_json(self.replicas.page(0, _FLEET_ROWS)))
        yield ",".join(["".join(gone)] * bool(gone) + living)
        yield '], "scalings": ['
        yield from self.scalings.as_json(self.scalings.page(0, _FLEET_ROWS))
        yield '], "copies": ['
        yield from self.copies.as_json(copies)
        yield '], "shares": ['
        yield from self.shares.as_json(self.shares.page(0, _FLEET_ROWS))
        yield '], "rollout": ['
        yield from self.rollout.as_json(self.rollout.page(0, _FLEET_ROWS))
        yield "]}"

    def write(self, file: Path) -> None:
        """Write all rows to a file, in the form of a page that holds them all."""
        with file.open("w", encoding="utf-8") as out:
            out.writelines(self.as_json(0, max(len(self.attempts), len(self.passes), len(self.copies), 1)))
