"""Recorded arrivals in CSV files -> integer columns. Three formats: timestamps, the Azure LLM traces, counts per bin.

Azure LLM: TIMESTAMP, ContextTokens, GeneratedTokens (github.com/Azure/AzurePublicDataset). Counts: the start of a bin
and its number of requests, as in the Numenta Anomaly Benchmark.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from sim.errors import ScenarioError

__all__ = ["COUNT_NAMES", "TIME_NAMES", "CountFile", "TimeFile", "read_trace_file"]

TIME_NAMES: Final = ("timestamp", "time", "arrival", "arrived_at", "ts")
COUNT_NAMES: Final = ("value", "count", "requests", "invocations")
AZURE_SIZE: Final = "contexttokens"
SECONDS_MAX: Final = 4 * 10**9
SIZE_TEXT: Final = re.compile(r"[0-9]{1,8}")

_NUMBER = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]{0,30})?(?:[eE][+-]?[0-9]{1,2})?")
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


@dataclass(frozen=True)
class _Rows:
    """The rows of a file as text."""

    path: Path
    header: tuple[str, ...]  # lower case; empty for a single column without a header
    cells: list[list[str]]
    lines: list[int]  # line number of each row

    def column(self, stated: str | None, usual: Sequence[str] = (), *, by_key: bool = False) -> list[str]:
        """Return the column with the stated name, else the first with a usual name, else the only one.

        `by_key` says that traffic.arrivals.column can name it.
        """
        names = usual if stated is None else (stated,)
        for name in names:
            if name.lower() in self.header:
                index = self.header.index(name.lower())
                return [row[index] for row in self.cells]
        if stated is None and len(self.cells[0]) == 1:
            return [row[0] for row in self.cells]
        has = f"it has {', '.join(self.header)}" if self.header else "it has no header line"
        key = "; traffic.arrivals.column says which one to read" if by_key else ""
        raise ScenarioError(f"The trace {self.path} has no column {' or '.join(names)}: {has}{key}.")

    def wrong(self, row: int, what: str, got: str) -> ScenarioError:
        """Return the error of one cell."""
        return ScenarioError(f"{self.path}, line {self.lines[row]}: {what}. Got {got[:60]!r}.")


def read_trace_file(path: Path, form: str, column: str | None, bin_ns: int | None) -> TimeFile | CountFile:
    """Return what a trace file holds.

    `form` is timestamps, azure_llm, counts or auto (by the names of the columns); `column` replaces the usual name of
    the column of times, or of counts; `bin_ns` the length of a bin. Raises ScenarioError, with the line where one is
    wrong.
    """
    rows = _read_rows(path)
    form = _form_of(rows.header) if form == "auto" else form
    if form == "counts":
        return _count_file(rows, column, bin_ns)
    times_ns = _times_ns(rows, rows.column(column, TIME_NAMES, by_key=True))
    sizes = _sizes(rows) if form == "azure_llm" else np.empty(0, dtype=np.int64)
    order = np.argsort(times_ns, kind="stable")
    earlier = int((np.diff(times_ns) < 0).sum())
    return TimeFile(times_ns[order] - times_ns.min(), sizes[order] if len(sizes) else sizes, earlier)


def _read_rows(path: Path) -> _Rows:
    """Return the rows of a CSV file that has at least one."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            numbered = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except OSError as error:
        raise ScenarioError(f"The trace {path} cannot be read: {error.strerror or error}.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ScenarioError(f"The trace {path} is not a CSV text: {error}.") from None
    has_header = bool(numbered) and not _is_time(numbered[0][1][0])
    header = tuple(cell.strip().lower() for cell in numbered[0][1]) if has_header else ()
    body = numbered[1:] if has_header else numbered
    if numbered and len(numbered[0][1]) == 1 and (found := re.search("[;\t|]", numbered[0][1][0])):
        between = "tabs" if found[0] == "\t" else found[0]
        raise ScenarioError(f"The trace {path} must have commas between its columns. Got {between} in line 1.")
    if not body:
        raise ScenarioError(f"The trace {path} holds no requests: it has no rows.")
    width = len(header) or 1
    if not has_header and len(body[0][1]) > 1:
        raise ScenarioError(f"The trace {path} has several columns and no header line that names them.")
    for line, row in body:
        if len(row) != width:
            raise ScenarioError(f"{path}, line {line}: {width} columns are wanted as in the header. Got {len(row)}.")
    return _Rows(path, header, [[cell.strip() for cell in row] for _, row in body], [line for line, _ in body])


def _form_of(header: tuple[str, ...]) -> str:
    """Return the format that the names of the columns show."""
    if AZURE_SIZE in header:
        return "azure_llm"
    return "counts" if any(name in header for name in COUNT_NAMES) else "timestamps"


def _count_file(rows: _Rows, column: str | None, bin_ns: int | None) -> CountFile:
    """Return counts on a grid of bins."""
    starts_ns = _times_ns(rows, rows.column(None, TIME_NAMES))
    texts = rows.column(column, COUNT_NAMES, by_key=True)
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


def _count(rows: _Rows, row: int, text: str) -> float:
    """Return one count."""
    try:
        count = float(text)
    except ValueError:
        count = -1.0
    if not 0 <= count < 2**53:
        raise rows.wrong(row, "a count must be a number of 0 or more", text)
    return count


def _sizes(rows: _Rows) -> npt.NDArray[np.int64]:
    """Return the recorded sizes; a request of size 0 counts as 1."""
    column = rows.column(AZURE_SIZE)
    for row, text in enumerate(column):
        if not SIZE_TEXT.fullmatch(text):
            raise rows.wrong(row, "ContextTokens must be a whole number of 0 or more", text)
    return np.maximum(np.array(column, dtype=np.int64), 1)


def _times_ns(rows: _Rows, column: list[str]) -> npt.NDArray[np.int64]:
    """Return times in ns since some moment: seconds, or ISO dates, all of one kind."""
    read = _date_ns if _DATE.fullmatch(column[0]) else _second_ns
    times_ns = np.empty(len(column), dtype=np.int64)
    for row, text in enumerate(column):
        time_ns = read(text)
        if time_ns is None:
            kind = "an ISO date and time"
            if read is _second_ns:
                is_number = re.fullmatch(r"[0-9]+(?:\.[0-9]*)?", text)
                kind = "a number of seconds" + (f" up to {SECONDS_MAX}, not of milliseconds" if is_number else "")
            raise rows.wrong(row, f"a timestamp must be {kind}", text)
        times_ns[row] = time_ns
    return times_ns


def _is_time(text: str) -> bool:
    """Return whether a cell holds a time and no column name."""
    return _DATE.fullmatch(text.strip()) is not None or _second_ns(text.strip()) is not None


def _second_ns(text: str) -> int | None:
    """Return seconds as ns, exactly down to 1 ns; None if it is no such number."""
    if not _NUMBER.fullmatch(text):
        return None
    seconds = Decimal(text)
    return int((seconds * 10**9).to_integral_value()) if abs(seconds) <= SECONDS_MAX else None


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
