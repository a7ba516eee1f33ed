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
from policy.rollout_settings import rollout_rule, version_weights
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
from policy.versions import WEIGHT_ONE
from sim.engine.engine_input import FleetInput, VersionsInput

__all__ = ["Entry", "Instant", "JournalFile", "read_journal"]

_HEADER_MAX = 2**20  # bytes of the first line
_FIELD_BYTES = 8
_EVENTS = {Row.ARRIVED, Row.HUNG_UP, Row.RETURNED, Row.FAILED, Row.READY, Row.ANSWERED, Row.ORDERED}


class Entry(NamedTuple):
    """One row; that of a batch or of a returned pass with the members that follow behind its own fields."""

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
    seed: int  # of the dice of routing and of copies
    fleets: tuple[FleetInput, ...]  # the rules of each version's; of their times none is known
    versions: VersionsInput
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
                self._add_member(instant.decisions, Row.START_PASS, entry)
            elif entry.kind == Row.FAILED_MEMBER:
                self._add_member(instant.events, Row.RETURNED, entry)
            else:
                (instant.events if entry.kind in _EVENTS else instant.decisions).append(entry)

    def _begin(self, entry: Entry, before: Instant | None) -> Instant:
        now_ns, draining = entry.fields
        if before is not None and now_ns < before.now_ns:
            raise self._damaged("its clock runs backwards")
        return Instant(now_ns, bool(draining), [], [])

    def _add_member(self, entries: list[Entry], kind: Row, member: Entry) -> None:
        """Put a member to the row that it belongs to, the last one so far."""
        batch = entries.pop() if entries else None
        if batch is None or batch.kind != kind:
            raise self._damaged("it has a member of no batch")
        entries.append(Entry(kind, batch.fields + member.fields))

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
    shares = header["shares"]
    weights = version_weights(weights=shares["weights"], stable=shares["stable"], canary=shares["canary"])
    fleets = tuple(_fleet(words) for words in header["fleets"])
    check_count("fleets", len(fleets), weights.loaded, weights.loaded)
    return {
        "name": str(header["name"]),
        "started_ns": check_time_ns("started_ns", header["started_ns"], 0, NEVER_NS),
        "seed": int(header["seed"]),
        "fleets": fleets,
        "versions": VersionsInput(
            weights=weights,
            shadows=tuple(check_count("shadow", share, 0, WEIGHT_ONE) for share in shares["shadows"]),
            rollout=None if shares["rollout"] is None else rollout_rule(**shares["rollout"]),
        ),
    }


def _fleet(words: Mapping[str, Any]) -> FleetInput:
    """Return the rules of one version's fleet."""
    instances = check_count("instances", words["instances"])
    routing = dict(words["routing"])
    held_max = routing.pop("held_max")
    scaling = words["autoscaler"]
    return FleetInput(
        instances=instances,
        batching=batching_rule(**words["batching"], instances=instances),
        admission=admission_rule(cap=words["queue"]["cap"], held_max=held_max),
        deadline=deadline_rule(deadline_ns=words["queue"]["deadline_ns"]),
        # Passes last as long as they lasted, and replicas are ready when they were: no time is drawn.
        pass_time=pass_time_rule(base_ns=1, max_batch=words["batching"]["max_batch"]),
        spread_table=(0,),
        batch_in_table=(0,),
        results_out_table=(0,),
        replicas=check_count("replicas", words["replicas"], 0),
        routing=routing_rule(**routing),
        autoscaler=fixed_fleet() if scaling is None else autoscaling_rule(**scaling),
        drain=drain_order(words["drain"]),
        loaded=bool(words["loaded"]),
    )
