"""Recorded arrivals in CSV files -> integer columns. Three formats: timestamps, the Azure LLM traces, counts per bin.

Azure LLM: TIMESTAMP, ContextTokens, GeneratedTokens (github.com/Azure/AzurePublicDataset). Counts: the start of a bin
and its number of requests, as in the Numenta Anomaly Benchmark.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from sim.arrivals.trace_rows import Rows, read_rows
from sim.arrivals.trace_times import is_time, times_in_ns
from sim.errors import ScenarioError

__all__ = ["COUNT_NAMES", "TIME_NAMES", "CountFile", "TimeFile", "read_trace_file"]

TIME_NAMES: Final = ("timestamp", "time", "arrival", "arrived_at", "ts")
COUNT_NAMES: Final = ("value", "count", "requests", "invocations")
AZURE_SIZE: Final = "contexttokens"
SIZE_TEXT: Final = re.compile(r"[0-9]{1,8}")


def _nothing() -> npt.NDArray[np.int64]:
    """Return the sizes of a trace that recorded none."""
    return np.empty(0, dtype=np.int64)


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
    sizes: npt.NDArray[np.int64] = field(default_factory=_nothing)  # (requests,) bin by bin, or empty: none recorded
    put_in_order: int = 0  # where timestamps were counted, how many were earlier than the one before


def read_trace_file(
    path: Path,
    form: str,
    column: int | str | None,
    bin_ns: int | None,
    unit: str = "s",
    bin_column: int | str | None = None,
) -> TimeFile | CountFile:
    """Return what a trace file holds, plain or compressed by gzip.

    `form` is timestamps, azure_llm, counts or auto (by the names of the columns); `column` replaces the usual name of
    the column of times, or of counts, by another one or by its number from 1, and `bin_column` that of the starts of
    bins; `bin_ns` is the length of a bin, `unit` that of times that are numbers: h, min, s, ms, us or ns. Raises
    ScenarioError, with the line where one is wrong.
    """
    rows = read_rows(path, column, is_time)
    form = _form_of(rows.header) if form == "auto" else form
    if form == "counts":
        return _count_file(rows, column, bin_column, bin_ns, unit)
    if bin_column is not None:
        raise ScenarioError(f"traffic.arrivals.bin_column belongs to a trace of counts, and {path} is none.")
    times_ns = times_in_ns(rows, rows.column(column, TIME_NAMES, "column"), unit)
    sizes = _sizes(rows) if form == "azure_llm" else _nothing()
    order = np.argsort(times_ns, kind="stable")
    earlier = int((np.diff(times_ns) < 0).sum())
    return TimeFile(times_ns[order] - times_ns.min(), sizes[order] if len(sizes) else sizes, earlier)


def _form_of(header: tuple[str, ...]) -> str:
    """Return the format that the names of the columns show."""
    if AZURE_SIZE in header:
        return "azure_llm"
    return "counts" if any(name in header for name in COUNT_NAMES) else "timestamps"


def _count_file(
    rows: Rows, column: int | str | None, starts: int | str | None, bin_ns: int | None, unit: str
) -> CountFile:
    """Return counts on a grid of bins. Without a header the other column, of several the first, has their starts."""
    if starts is None and not rows.header and rows.width > 1:
        starts = 2 if column == 1 else 1
    starts_ns = times_in_ns(rows, rows.column(starts, TIME_NAMES, "bin_column"), unit)
    texts = rows.column(column, COUNT_NAMES, "column").cells
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
