"""Recorded arrivals in CSV files -> integer columns. Three formats: timestamps, the Azure LLM traces, counts per bin.

Azure LLM: TIMESTAMP, ContextTokens, GeneratedTokens (github.com/Azure/AzurePublicDataset). Counts: the start of a bin
and its number of requests, as in the Numenta Anomaly Benchmark.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from sim.arrivals.trace_rows import Column, Rows, read_rows
from sim.errors import ScenarioError

__all__ = ["COUNT_NAMES", "TIME_NAMES", "CountFile", "TimeFile", "read_trace_file"]

TIME_NAMES: Final = ("timestamp", "time", "arrival", "arrived_at", "ts")
COUNT_NAMES: Final = ("value", "count", "requests", "invocations")
AZURE_SIZE: Final = "contexttokens"
SECONDS_MAX: Final = 4 * 10**9
SIZE_TEXT: Final = re.compile(r"[0-9]{1,8}")

_UNITS_NS: Final = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_UNIT_WORDS: Final = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}

_NAMED_UNIT = re.compile(
    "(?:[^a-z]|time|stamp|^)"
    "(ms|msecs?|millis|milliseconds?|us|usecs?|micros|microseconds?|ns|nsecs?|nanos|nanoseconds?)[^a-z]*$"
)
"""The end of a column's name that tells a unit."""

_NUMBER = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{0,30})?(?:[eE][+-]?[0-9]{1,2})?")
_DATE = re.compile(
    r"((?:19|20|21)[0-9]{2}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?)"
    r"(Z|[+-][0-9]{2}:?[0-9]{2})?"
)


@dataclass(frozen=True)
class TimeFile:
    """One row a request, in time order; time 0 is the first one."""

    times_ns: npt.NDArray[np.int64]  # (requests,)
    sizes: npt.NDArray[np.int64]  # (requests,), or empty where none were recorded
    put_in_order: int = 0  # timestamps of the file that were earlier than the one before


@dataclass(frozen=True)
class CountFile:
    """Requests per bin, without gaps: bins that the file leaves out hold none."""

    counts: npt.NDArray[np.float64]  # (bins,)
    bin_ns: int


def read_trace_file(
    path: Path, form: str, column: int | str | None, bin_ns: int | None, unit: str = "s"
) -> TimeFile | CountFile:
    """Return what a trace file holds, plain or compressed by gzip.

    `form` is timestamps, azure_llm, counts or auto (by the names of the columns); `column` replaces the usual name of
    the column of times, or of counts, by another one or by its number from 1; `bin_ns` is the length of a bin, `unit`
    that of times that are numbers: s, ms, us or ns. Raises ScenarioError, with the line where one is wrong.
    """
    rows = read_rows(path, column, _is_time)
    form = _form_of(rows.header) if form == "auto" else form
    if form == "counts":
        return _count_file(rows, column, bin_ns, unit)
    times_ns = _times_ns(rows, rows.column(column, TIME_NAMES, by_key=True), unit)
    sizes = _sizes(rows) if form == "azure_llm" else np.empty(0, dtype=np.int64)
    order = np.argsort(times_ns, kind="stable")
    earlier = int((np.diff(times_ns) < 0).sum())
    return TimeFile(times_ns[order] - times_ns.min(), sizes[order] if len(sizes) else sizes, earlier)


def _form_of(header: tuple[str, ...]) -> str:
    """Return the format that the names of the columns show."""
    if AZURE_SIZE in header:
        return "azure_llm"
    return "counts" if any(name in header for name in COUNT_NAMES) else "timestamps"


def _count_file(rows: Rows, column: int | str | None, bin_ns: int | None, unit: str) -> CountFile:
    """Return counts on a grid of bins. Without a header the other column, of several the first, has their starts."""
    starts = None if rows.header or rows.width == 1 else 2 if column == 1 else 1
    starts_ns = _times_ns(rows, rows.column(starts, TIME_NAMES), unit)
    texts = rows.column(column, COUNT_NAMES, by_key=True).cells
    counts = np.array([_count(rows, row, text) for row, text in enumerate(texts)])
    steps_ns = np.diff(starts_ns)
    if len(steps_ns) and steps_ns.min() <= 0:
        row = int(np.argmax(steps_ns <= 0)) + 1
        raise ScenarioError(f"{rows.path}, line {rows.lines[row]}: bins must be in time order, each once.")
    if bin_ns is None:
        if not len(steps_ns):
            raise ScenarioError(
                f"The trace {rows.path} has one row: state the length of its bin in traffic.arrivals.bin."
            )
        bin_ns = int(steps_ns.min())
    places, rest_ns = np.divmod(starts_ns - starts_ns[0], bin_ns)
    if rest_ns.any():
        line = rows.lines[int(np.argmax(rest_ns != 0))]
        raise ScenarioError(f"{rows.path}, line {line}: bins must start a whole number of bins ({bin_ns} ns) apart.")
    if places[-1] >= 10 * len(places) + 1_000:
        has = f"{len(places)} rows for {places[-1] + 1} bins"
        raise ScenarioError(f"The trace {rows.path} has {has}: too many are missing.")
    grid = np.zeros(int(places[-1]) + 1)
    grid[places] = counts
    return CountFile(grid, bin_ns)


def _count(rows: Rows, row: int, text: str) -> float:
    """Return one count."""
    try:
        count = float(text)
    except ValueError:
        count = -1.0
    if not 0 <= count < 2**53:
        raise rows.wrong(row, "a count must be a number of 0 or more", text)
    return count


def _sizes(rows: Rows) -> npt.NDArray[np.int64]:
    """Return the recorded sizes; a request of size 0 counts as 1."""
    column = rows.column(AZURE_SIZE).cells
    for row, text in enumerate(column):
        if not SIZE_TEXT.fullmatch(text):
            raise rows.wrong(row, "ContextTokens must be a whole number of 0 or more", text)
    return np.maximum(np.array(column, dtype=np.int64), 1)


def _times_ns(rows: Rows, column: Column, unit: str) -> npt.NDArray[np.int64]:
    """Return times in ns since some moment: numbers of a unit, or ISO dates, all of one kind."""
    name, texts = column
    has_dates = _DATE.fullmatch(texts[0]) is not None
    if has_dates and unit != "s":
        raise ScenarioError(
            f"traffic.arrivals.unit belongs to timestamps that are numbers, and {rows.path} has dates. Got {unit}."
        )
    if not has_dates and unit == "s" and (named := _NAMED_UNIT.search(name)):
        finer = {"mic": "us"}.get(named[1][:3], f"{named[1][0]}s")
        raise ScenarioError(
            f"{rows.path} has a column {name}, by its name in {_UNIT_WORDS[finer]}: state traffic.arrivals.unit: "
            f"{finer}, or rename it if it holds seconds."
        )
    times_ns = np.empty(len(texts), dtype=np.int64)
    for row, text in enumerate(texts):
        time_ns = _date_ns(text) if has_dates else _number_ns(text, unit)
        if time_ns is None:
            wanted = "an ISO date and time" if has_dates else _number_wanted(text, unit)
            raise rows.wrong(row, f"a timestamp must be {wanted}", text)
        times_ns[row] = time_ns
    return times_ns


def _number_wanted(text: str, unit: str) -> str:
    """Return what stands in the way of a timestamp in a unit: it is no number, or one of a finer unit."""
    wanted = f"a number of {_UNIT_WORDS[unit]}"
    if not _NUMBER.fullmatch(text):
        return wanted
    finer = next((name for name in _UNITS_NS if _number_ns(text, name) is not None), None)
    hint = "" if finer is None else f"; one in {_UNIT_WORDS[finer]} needs traffic.arrivals.unit: {finer}"
    return f"{wanted} up to {SECONDS_MAX * 10**9 // _UNITS_NS[unit]}{hint}"


def _is_time(text: str) -> bool:
    """Return whether a cell holds a time, or a count, and no column name."""
    return _DATE.fullmatch(text) is not None or _NUMBER.fullmatch(text) is not None


def _number_ns(text: str, unit: str) -> int | None:
    """Return a number of a unit as ns, exactly down to 1 ns; None if it is no such number."""
    if not _NUMBER.fullmatch(text):
        return None
    time_ns = Decimal(text) * _UNITS_NS[unit]
    return int(time_ns.to_integral_value()) if abs(time_ns) <= SECONDS_MAX * 10**9 else None


def _date_ns(text: str) -> int | None:
    """Return an ISO date and time as ns since 1970; without a zone it counts as UTC. None if it is no such date."""
    found = _DATE.fullmatch(text)
    if not found:
        return None
    try:
        moment = np.datetime64(f"{found[1]}T{found[2]}", "ns").astype(np.int64)
    except ValueError:
        return None
    zone = found[3]
    if not zone or zone == "Z":
        return int(moment)
    minutes = int(zone[1:3]) * 60 + int(zone[-2:])
    return int(moment) - (minutes if zone[0] == "+" else -minutes) * 60 * 10**9
