"""The rows of a trace file as text: a CSV, plain or compressed by gzip, and its columns by name or by number."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from sim.errors import ScenarioError

__all__ = ["Column", "Rows", "read_rows"]

TEXT_MAX: Final = 10**9
"""The longest text that is read, in characters: what a small compressed file unfolds to may fill any memory."""

LINE_MAX: Final = 10**6

_PART: Final = 1 << 20
"""Bytes that are read at once."""

_GZIP: Final = b"\x1f\x8b"
"""The first bytes of every gzip file (RFC 1952)."""


class Column(NamedTuple):
    """One column of a file."""

    name: str  # lower case; empty without a header
    cells: list[str]


@dataclass(frozen=True)
class Rows:
    """The rows of a file, all of one width."""

    path: Path
    header: tuple[str, ...]  # lower case; empty where there is none
    cells: list[list[str]]
    lines: list[int]  # line number of each row

    @property
    def width(self) -> int:
        """How many columns there are."""
        return len(self.cells[0])

    def column(self, stated: int | str | None, usual: Sequence[str] = (), key: str | None = None) -> Column:
        """Return the column with the stated name or number, else the first with a usual name, else the only one.

        1 is the number of the first. `key` is the one of traffic.arrivals that can name the column.
        """
        if isinstance(stated, int):
            return self._numbered(stated)
        names = usual if stated is None else (stated,)
        for name in names:
            if name.lower() in self.header:
                return self._numbered(self.header.index(name.lower()) + 1)
        if stated is None and self.width == 1:
            return self._numbered(1)
        has = f"it has {', '.join(self.header)}" if self.header else "it has no header line"
        hint = f"; traffic.arrivals.{key} says which one to read" if key else ""
        raise ScenarioError(f"The trace {self.path} has no column {' or '.join(names)}: {has}{hint}.")

    def _numbered(self, number: int) -> Column:
        if number > self.width:
            raise ScenarioError(f"The trace {self.path} has no column {number}: it has {self.width}.")
        return Column(self.header[number - 1] if self.header else "", [row[number - 1] for row in self.cells])

    def wrong(self, row: int, what: str, got: str) -> ScenarioError:
        """Return the error of one cell."""
        return ScenarioError(f"{self.path}, line {self.lines[row]}: {what}. Got {got[:60]!r}.")


def read_rows(path: Path, column: int | str | None, is_value: Callable[[str], bool]) -> Rows:
    """Return the rows of a CSV file that has at least one.

    The first line is a header unless `is_value` holds for its cell in the column that is numbered, else in the first.
    Raises ScenarioError, also for several columns without a header where `column` is no number.
    """
    numbered = _numbered_rows(path)
    if not numbered:
        raise ScenarioError(f"The trace {path} holds no requests: it has no rows.")
    first = numbered[0][1]
    if len(first) == 1 and (found := re.search("[;\t|]", first[0])):
        between = "tabs" if found[0] == "\t" else found[0]
        raise ScenarioError(f"The trace {path} must have commas between its columns. Got {between} in line 1.")
    is_numbered = isinstance(column, int)
    looked_at = column - 1 if isinstance(column, int) and column <= len(first) else 0
    has_header = not is_value(first[looked_at].strip())
    if not has_header and len(first) > 1 and not is_numbered:
        raise ScenarioError(
            f"The trace {path} has several columns and no header line that names them: state the number of the one to "
            "read, as in traffic.arrivals.column: 1, without quotes."
        )
    body = numbered[1:] if has_header else numbered
    if not body:
        raise ScenarioError(f"The trace {path} holds no requests: it has no rows.")
    for line, row in body:
        if len(row) != len(first):
            where = "the header" if has_header else "the first row"
            raise ScenarioError(f"{path}, line {line}: {len(first)} columns are wanted as in {where}. Got {len(row)}.")
    header = tuple(cell.strip().lower() for cell in first) if has_header else ()
    return Rows(path, header, [[cell.strip() for cell in row] for _, row in body], [line for line, _ in body])


def _numbered_rows(path: Path) -> list[tuple[int, list[str]]]:
    """Return the rows that are not empty, with the numbers of their lines."""
    try:
        reader = csv.reader(_lines(path), strict=True)
        return [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except (OSError, EOFError, zlib.error) as error:
        raise ScenarioError(f"The trace {path} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    except UnicodeDecodeError:
        raise ScenarioError(
            f"The trace {path} is not UTF-8 text: byte {_first_that_is_no_text(path)} is not."
        ) from None
    except csv.Error as error:
        raise ScenarioError(f"The trace {path} is not a CSV text: {error}.") from None


def _lines(path: Path) -> Iterator[str]:
    """Yield the lines of a file, plain or compressed. Raises csv.Error for one that no trace has."""
    with path.open("rb") as file:
        text = io.TextIOWrapper(_unfolded(file), encoding="utf-8-sig", newline="")
        left = TEXT_MAX
        while line := text.readline(LINE_MAX):
            left -= len(line)
            if len(line) == LINE_MAX:
                raise csv.Error(f"a line has more than {LINE_MAX} characters")
            if left < 0:
                raise ScenarioError(f"The trace {path} must have at most {TEXT_MAX} characters. It has more.")
            yield line


def _unfolded(file: io.BufferedReader) -> io.BufferedReader | gzip.GzipFile:
    """Return what an open file holds, its content if it is compressed."""
    return gzip.GzipFile(fileobj=file) if file.peek(2)[:2] == _GZIP else file


def _first_that_is_no_text(path: Path) -> int:
    """Return the place of the first byte, from 0, that is not UTF-8 in a file that has one."""
    decoder, before = codecs.getincrementaldecoder("utf-8")(), 0
    with path.open("rb") as file:
        unfolded = _unfolded(file)
        is_last = False
        while not is_last:
            part = unfolded.read(_PART)
            is_last = not part
            held = len(decoder.getstate()[0])  # of a character that began in the part before
            try:
                decoder.decode(part, final=is_last)
            except UnicodeDecodeError as error:
                return before - held + error.start
            before += len(part)
    return before
