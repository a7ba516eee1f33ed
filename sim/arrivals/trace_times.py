"""The cells of a trace file as moments: numbers of a unit, ISO dates, or those of the common log format."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from sim.arrivals.trace_rows import Column, Rows
from sim.errors import ScenarioError

__all__ = ["UNITS_NS", "is_time", "times_in_ns"]

SECONDS_MAX: Final = 4 * 10**9

UNITS_NS: Final = {"h": 3600 * 10**9, "min": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_UNIT_WORDS: Final = {
    "h": "hours",
    "min": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
}

_NAMED_UNIT = re.compile(
    "(?:[^a-z]|time|stamp|^)(?:"
    "(?P<h>hours?)|(?P<min>mins?|minutes?)|(?P<ms>ms|msecs?|millis|milliseconds?)|"
    "(?P<us>us|usecs?|micros|microseconds?)|(?P<ns>ns|nsecs?|nanos|nanoseconds?)"
    ")[^a-z]*$"
)
"""The end of a column's name that tells a unit."""

_NUMBER = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{0,30})?(?:[eE][+-]?[0-9]{1,2})?")
_YEAR = r"(?P<year>(?:19|20|21)[0-9]{2})"
_CLOCK = r"(?P<clock>[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?)"
_ZONE = r"(?: ?(?P<zone>Z|[+-][0-9]{2}(?::?[0-9]{2})?))?"
_ISO_DATE = re.compile(rf"{_YEAR}-(?P<month>[0-9]{{2}})-(?P<day>[0-9]{{2}})[T ]{_CLOCK}{_ZONE}")
_LOG_DATE = re.compile(rf"\[?(?P<day>[0-9]{{2}})/(?P<month>[A-Za-z]{{3}})/{_YEAR}:{_CLOCK}{_ZONE}\]?")
"""As nginx and Apache write it; of a line that was cut at its spaces the zone stands elsewhere."""

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DATE_WANTED = "a date such as 2026-11-27T09:00:00.003+01:00 (ISO) or 27/Nov/2026:09:00:00 +0100"


class _Moment(NamedTuple):
    """A date and time that was read."""

    time_ns: int  # since 1970, in UTC
    has_zone: bool


def times_in_ns(rows: Rows, column: Column, unit: str) -> npt.NDArray[np.int64]:
    """Return times in ns since some moment: numbers of a unit, or dates, all of one kind, with a zone or without."""
    name, texts = column
    if _date_of(texts[0]) is None:
        _refuse_unit_in_name(rows, name, unit)
        return _numbers_in_ns(rows, texts, unit)
    if unit != "s":
        raise ScenarioError(
            f"traffic.arrivals.unit belongs to timestamps that are numbers, and {rows.path} has dates. Got {unit}."
        )
    return _dates_in_ns(rows, texts)


def is_time(text: str) -> bool:
    """Return whether a cell holds a time, or a count, and no column name."""
    return _date_of(text) is not None or _NUMBER.fullmatch(text) is not None


def _refuse_unit_in_name(rows: Rows, name: str, unit: str) -> None:
    """Raise ScenarioError where numbers are read as seconds, and the name of their column tells another unit."""
    if unit == "s" and (named := _NAMED_UNIT.search(name)):
        other = str(named.lastgroup)
        raise ScenarioError(
            f"{rows.path} has a column {name}, by its name in {_UNIT_WORDS[other]}: state traffic.arrivals.unit: "
            f"{other}, or rename it if it holds seconds."
        )


def _numbers_in_ns(rows: Rows, texts: list[str], unit: str) -> npt.NDArray[np.int64]:
    """Return numbers of a unit as ns."""
    times_ns = np.empty(len(texts), dtype=np.int64)
    for row, text in enumerate(texts):
        time_ns = _number_ns(text, unit)
        if time_ns is None:
            or_date = f", or {_DATE_WANTED}" if row == 0 and unit == "s" and not _NUMBER.fullmatch(text) else ""
            raise rows.wrong(row, f"a timestamp must be {_number_wanted(text, unit)}{or_date}", text)
        times_ns[row] = time_ns
    return times_ns


def _dates_in_ns(rows: Rows, texts: list[str]) -> npt.NDArray[np.int64]:
    """Return dates as ns since 1970; those without a zone count as UTC, and then all must be without one."""
    times_ns = np.empty(len(texts), dtype=np.int64)
    first = None
    for row, text in enumerate(texts):
        moment = _moment(text)
        if moment is None:
            raise rows.wrong(row, f"a timestamp must be {_DATE_WANTED}", text)
        first = first or moment
        if moment.has_zone != first.has_zone:
            wanted = "a time zone" if first.has_zone else "no time zone"
            raise rows.wrong(row, f"a timestamp must have {wanted}, as that of line {rows.lines[0]}", text)
        times_ns[row] = moment.time_ns
    return times_ns


def _number_wanted(text: str, unit: str) -> str:
    """Return what stands in the way of a timestamp in a unit: it is no number, or one of a finer unit."""
    wanted = f"a number of {_UNIT_WORDS[unit]}"
    if not _NUMBER.fullmatch(text):
        return wanted
    finer = next((name for name in UNITS_NS if _number_ns(text, name) is not None), None)
    hint = "" if finer is None else f"; one in {_UNIT_WORDS[finer]} needs traffic.arrivals.unit: {finer}"
    return f"{wanted} up to {SECONDS_MAX * 10**9 // UNITS_NS[unit]}{hint}"


def _number_ns(text: str, unit: str) -> int | None:
    """Return a number of a unit as ns, exactly down to 1 ns; None if it is no such number."""
    if not _NUMBER.fullmatch(text):
        return None
    time_ns = Decimal(text) * UNITS_NS[unit]
    return int(time_ns.to_integral_value()) if abs(time_ns) <= SECONDS_MAX * 10**9 else None


def _date_of(text: str) -> re.Match[str] | None:
    """Return the parts of a date and time; None for what is written as neither kind."""
    return _ISO_DATE.fullmatch(text) or _LOG_DATE.fullmatch(text)


def _moment(text: str) -> _Moment | None:
    """Return the moment of a date and time; None if there is no such one."""
    found = _date_of(text)
    if not found:
        return None
    month = found["month"].lower()
    number = f"{_MONTHS.index(month) + 1:02}" if month in _MONTHS else month
    try:
        there = np.datetime64(f"{found['year']}-{number}-{found['day']}T{found['clock']}", "ns").astype(np.int64)
    except ValueError:
        return None
    return _Moment(int(there) - _ahead_ns(found["zone"]), found["zone"] is not None)


def _ahead_ns(zone: str | None) -> int:
    """Return by how much the clocks of a zone are ahead of UTC; 0 without one."""
    if zone is None or zone == "Z":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[3:].lstrip(":") or 0)
    return (-1 if zone[0] == "-" else 1) * (hours * 60 + minutes) * 60 * 10**9
