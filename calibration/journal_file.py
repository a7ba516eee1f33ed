"""Reads the journal that `servecast serve --journal` writes: the rules, and call by call what the dispatcher was told.

Its rows are those of policy/journal.py. Whether what they say is right is replay.py's business.
"""

from __future__ import annotations

import json
import sys
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from calibration.errors import BadSamples
from policy.autoscaling_settings import autoscaling_rule, fixed_fleet
from policy.errors import SettingError
from policy.instant import NEVER_NS
from policy.journal import FIELDS, FORMAT, Row
from policy.settings import (
    admission_rule,
    batching_rule,
    check_count,
    check_time_ns,
    deadline_rule,
    drain_order,
    pass_time_rule,
    routing_rule,
)
from sim.engine.engine_input import FleetInput

__all__ = ["Entry", "Instant", "JournalFile", "read_journal"]

_HEADER_MAX = 2**20  # bytes of the first line
_FIELD_BYTES = 8
_EVENTS = {Row.ARRIVED, Row.HUNG_UP, Row.RETURNED, Row.FAILED, Row.READY, Row.ANSWERED}


class Entry(NamedTuple):
    """One row; that of a batch with its members behind its own fields."""

    kind: Row
    fields: tuple[int, ...]  # those of policy.journal.FIELDS


class Instant(NamedTuple):
    """One call of the dispatcher."""

    now_ns: int
    draining: bool  # the server was stopping
    events: list[Entry]
    decisions: list[Entry]


@dataclass
class JournalFile:
    """A journal. Its rows are read as instants() goes on."""

    path: Path
    name: str  # of the scenario
    started_ns: int  # when the dispatcher was made
    seed: int  # of the dice of routing
    fleet: FleetInput  # its rules; of its times none is known
    rows: Sequence[int]
    is_complete: bool = False  # known behind the last of instants(): whether the server stopped by itself

    def instants(self) -> Iterator[Instant]:
        """Yield every call of the dispatcher. Of a journal that was cut off the last call is left out.

        Raises BadSamples at rows that no server wrote.
        """
        instant: Instant | None = None
        for entry in self._entries():
            if self.is_complete:
                raise self._damaged("it goes on behind its end")
            if entry.kind in {Row.INSTANT, Row.END}:
                if instant is not None:
                    yield instant
                self.is_complete = entry.kind == Row.END
                if not self.is_complete:
                    instant = self._begin(entry, instant)
            elif instant is None:
                raise self._damaged("its rows do not begin with a call of the dispatcher")
            elif entry.kind == Row.MEMBER:
                self._add_member(instant, entry)
            else:
                (instant.events if entry.kind in _EVENTS else instant.decisions).append(entry)

    def _begin(self, entry: Entry, before: Instant | None) -> Instant:
        now_ns, draining = entry.fields
        if before is not None and now_ns < before.now_ns:
            raise self._damaged("its clock runs backwards")
        return Instant(now_ns, bool(draining), [], [])

    def _add_member(self, instant: Instant, member: Entry) -> None:
        batch = instant.decisions.pop() if instant.decisions else None
        if batch is None or batch.kind != Row.START_PASS:
            raise self._damaged("it has a member of no batch")
        instant.decisions.append(Entry(Row.START_PASS, batch.fields + member.fields))

    def _entries(self) -> Iterator[Entry]:
        at, rows = 0, self.rows
        while at < len(rows):
            try:
                kind = Row(rows[at])
            except ValueError:
                raise self._damaged(f"it has a row of the unknown kind {rows[at]}") from None
            end = at + 1 + len(FIELDS[kind])
            if end > len(rows):
                return
            yield Entry(kind, tuple(rows[at + 1 : end]))
            at = end

    def _damaged(self, how: str) -> BadSamples:
        return BadSamples(f"The journal {self.path} is damaged: {how}.")


def read_journal(path: Path) -> JournalFile:
    """Return the journal in a file. Raises BadSamples in one sentence if it is none."""
    try:
        with path.open("rb") as file:
            first = file.readline(_HEADER_MAX)
            data = file.read()
    except OSError as error:
        raise BadSamples(f"The journal {path} cannot be read: {error.strerror or error}.") from None
    header = _header(path, first)
    rows = array("q", data[: len(data) // _FIELD_BYTES * _FIELD_BYTES])
    if sys.byteorder == "big":
        rows.byteswap()
    try:
        return JournalFile(path, rows=rows, **_rules(header))
    except (SettingError, TypeError, KeyError, ValueError) as error:
        raise BadSamples(f"The journal {path} names no rules that a server can run by: {error}.") from None


def _header(path: Path, line: bytes) -> Mapping[str, Any]:
    """Return the first line. Raises BadSamples."""
    try:
        header = json.loads(line)
    except (ValueError, RecursionError):
        header = None
    found = header.get("format") if isinstance(header, dict) else None
    if found != FORMAT:
        what = f"the format {str(found)[:40]!r}" if found is not None else "no format at all"
        raise BadSamples(f"{path} is no journal of this version: its first line must name {FORMAT}. Got {what}.")
    assert isinstance(header, dict)
    return header


def _rules(header: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rules that the header names, checked. Raises SettingError, TypeError, KeyError or ValueError."""
    instances = check_count("instances", header["instances"])
    routing = dict(header["routing"])
    held_max = routing.pop("held_max")
    scaling = header["autoscaler"]
    fleet = FleetInput(
        instances=instances,
        batching=batching_rule(**header["batching"], instances=instances),
        admission=admission_rule(cap=header["queue"]["cap"], held_max=held_max),
        deadline=deadline_rule(deadline_ns=header["queue"]["deadline_ns"]),
        # Passes last as long as they lasted, and replicas are ready when they were: no time is drawn.
        pass_time=pass_time_rule(base_ns=1, max_batch=header["batching"]["max_batch"]),
        spread_table=(0,),
        batch_in_table=(0,),
        results_out_table=(0,),
        replicas=check_count("replicas", header["replicas"], 0),
        routing=routing_rule(**routing),
        autoscaler=fixed_fleet() if scaling is None else autoscaling_rule(**scaling),
        drain=drain_order(header["drain"]),
    )
    return {
        "name": str(header["name"]),
        "started_ns": check_time_ns("started_ns", header["started_ns"], 0, NEVER_NS),
        "seed": int(header["seed"]),
        "fleet": fleet,
    }
