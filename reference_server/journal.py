"""The journal of the dispatcher: every call of it with its events, and every decision, as rows of policy/journal.py.

`servecast replay` confirms the decisions from it. It costs the event loop about two microseconds for each call of the
dispatcher, and the disk about 250 bytes for each request; it is off unless asked for.
"""

from __future__ import annotations

import json
import logging
import sys
from array import array
from collections.abc import Sequence
from pathlib import Path

from policy.journal import FORMAT, Row
from policy.rollout_settings import shares_in_words
from reference_server.actions import (
    Action,
    Answered,
    Arrived,
    Copied,
    Decided,
    DrainReplica,
    Event,
    Failed,
    HungUp,
    LogPass,
    LogRollout,
    LogScaling,
    LogShare,
    Ordered,
    Ready,
    Respond,
    Returned,
    StartPass,
    StartReplica,
    StopReplica,
    WakeAt,
)
from reference_server.errors import CouldNotServe
from reference_server.settings import ServerSettings, fleet_in_words

__all__ = ["Journal"]

_LOG = logging.getLogger(__name__)
_CHUNK_FIELDS = 32_768  # written at one go: 256 KiB, about 0.1 ms

# Plain numbers: an IntEnum's member costs a look-up and a conversion in each row.
_EVENTS: dict[type[Event], int] = {
    Arrived: int(Row.ARRIVED),
    HungUp: int(Row.HUNG_UP),
    Returned: int(Row.RETURNED),
    Failed: int(Row.FAILED),
    Ready: int(Row.READY),
    Answered: int(Row.ANSWERED),
    Ordered: int(Row.ORDERED),
}
_INSTANT = int(Row.INSTANT)
_RESPOND = int(Row.RESPOND)
_START_PASS = int(Row.START_PASS)
_MEMBER = int(Row.MEMBER)
_PASS_OVER = int(Row.PASS_OVER)
_WAKE_AT = int(Row.WAKE_AT)
_SCALE = int(Row.SCALE)
_FAILED_MEMBER = int(Row.FAILED_MEMBER)
_START_REPLICA = int(Row.START_REPLICA)
_COPIED = int(Row.COPIED)
_DECIDED = int(Row.DECIDED)
_SHARE = int(Row.SHARE)
_ROLLOUT = int(Row.ROLLOUT)
_REPLICAS: dict[type[Action], int] = {
    DrainReplica: int(Row.DRAIN_REPLICA),
    StopReplica: int(Row.STOP_REPLICA),
}


class Journal:
    """A journal that is being written. Raises CouldNotServe if the file cannot be opened."""

    def __init__(self, file: Path, settings: ServerSettings, started_ns: int) -> None:
        self._file = file
        self._fields: list[int] = []
        self._problem: OSError | None = None
        header = {
            "format": FORMAT,
            "name": settings.name,
            "started_ns": started_ns,
            "seed": str(settings.seed),
            "fleets": [fleet_in_words(rules) for rules in settings.fleets],
            "shares": shares_in_words(*settings.shares),
        }
        try:
            self._out = file.open("wb", buffering=0)
            self._out.write(json.dumps(header).encode() + b"\n")
        except OSError as problem:
            raise self._could_not(problem) from problem

    def add(self, now_ns: int, draining: bool, events: Sequence[Event], actions: Sequence[Action]) -> None:
        """Note one call of the dispatcher and what it returned."""
        fields = self._fields
        fields += (_INSTANT, now_ns, draining)
        for event in events:
            fields.append(_EVENTS[type(event)])
            if isinstance(event, Returned):
                fields += event[:4]
                for key in event.failed:
                    fields += (_FAILED_MEMBER, *key)
            else:
                fields += event
        for action in actions:
            match action:
                case Respond():
                    fields.append(_RESPOND)
                    fields += action
                case WakeAt():
                    fields += (_WAKE_AT, action.at_ns)
                case StartPass():
                    fields += (_START_PASS, action.serial, action.replica, action.instance)
                    for key in action.members:
                        fields += (_MEMBER, *key)
                case StartReplica():
                    fields += (_START_REPLICA, action.replica, action.version)
                case DrainReplica() | StopReplica():
                    fields += (_REPLICAS[type(action)], action.replica)
                case LogScaling(row):
                    fields += (_SCALE, *row[1:])
                case Copied():
                    fields += (_COPIED, *action)
                case Decided():
                    fields += (_DECIDED, *action)
                case LogShare(row):
                    fields += (_SHARE, *row[1:])
                case LogRollout(row):
                    fields += (_ROLLOUT, *row[1:])
                case LogPass(row):
                    closed = row.idle_since_ns, row.closed_ns, row.handed_ns
                    fields += (_PASS_OVER, row.serial, row.batch_size, row.cause, *closed)
        if len(fields) >= _CHUNK_FIELDS:
            self._write()

    def close(self) -> None:
        """Write what is left and close the file. Raises CouldNotServe if anything could not be written."""
        self._fields.append(int(Row.END))
        self._write()
        self._out.close()
        if self._problem is not None:
            raise self._could_not(self._problem) from self._problem

    def _write(self) -> None:
        """Write what has come together. After a problem nothing more is written: rows with a gap are worth nothing."""
        rows = array("q", self._fields)
        self._fields.clear()
        if self._problem is not None:
            return
        if sys.byteorder == "big":
            rows.byteswap()
        left = memoryview(rows).cast("B")
        try:
            while left:
                left = left[self._out.write(left) :]
        except OSError as problem:
            self._problem = problem
            _LOG.error("The journal is written no further: %s.", problem.strerror)

    def _could_not(self, problem: OSError) -> CouldNotServe:
        return CouldNotServe(f"The journal could not be written to {self._file}: {problem.strerror}.")
