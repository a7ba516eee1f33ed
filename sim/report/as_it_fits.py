"""A table that is too wide for its page becomes several, one below the other, each with the columns that name its rows.

No number is cut or broken: only the words that name rows wrap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Column, Table

__all__ = ["AsItFits"]

_UNBOUNDED = 10_000
"""Columns of a page on which any table has room."""


@dataclass(frozen=True)
class AsItFits:
    """A table, or where it is wider than the page, its parts one below the other.

    The first `names` columns name the rows, and stand in every part. A part is groups of other columns, by their
    places; groups that have no room beside the others of their part follow in one more table.
    """

    whole: Table
    names: int
    parts: Sequence[Sequence[Sequence[int]]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield what has room."""
        others = range(self.names, len(self.whole.columns))
        if self._room_needed(console, options, others) <= options.max_width:
            yield self.whole
            return
        for place, columns in enumerate(self._split(console, options)):
            if place:
                yield ""
            yield self._with_names(console, options, columns)

    def _split(self, console: Console, options: ConsoleOptions) -> Iterator[list[int]]:
        """Yield the columns of one table after the other."""
        for part in self.parts:
            columns: list[int] = []
            for group in part:
                if columns and self._room_needed(console, options, [*columns, *group]) > options.max_width:
                    yield columns
                    columns = []
                columns += group
            yield columns

    def _room_needed(self, console: Console, options: ConsoleOptions, columns: Sequence[int]) -> int:
        """Return how wide a table of these columns must be; names that take more than half of the page may wrap."""
        names = _width(console, options, _selected(self.whole, range(self.names)))
        wrapped = min(names.maximum, max(options.max_width // 2, names.minimum))
        table = _selected(self.whole, [*range(self.names), *columns])
        return _width(console, options, table).maximum - names.maximum + wrapped

    def _with_names(self, console: Console, options: ConsoleOptions, columns: Sequence[int]) -> Table:
        """Return a table of these columns, the names in one column together where side by side they have no room."""
        if self._room_needed(console, options, columns) <= options.max_width:
            return _selected(self.whole, [*range(self.names), *columns])
        return _selected(self.whole, columns, together=range(self.names))


def _selected(whole: Table, places: Sequence[int], together: Sequence[int] = ()) -> Table:
    """Return a table of some columns; before them, where there are any, others `together` in one of words."""
    table = Table(box=whole.box, padding=whole.padding, pad_edge=whole.pad_edge, show_edge=whole.show_edge)
    columns = [whole.columns[place] for place in places]
    named = [_sentences([whole.columns[place] for place in together])] if together else []
    if together:
        table.add_column()
    for column in columns:
        table.add_column(column.header, justify=column.justify, no_wrap=column.no_wrap)
    for cells in zip(*named, *(column.cells for column in columns), strict=True):
        table.add_row(*cells)
    return table


def _sentences(columns: Sequence[Column]) -> list[str]:
    """Return for each row what its cells in these columns are, each with its header; empty cells are left out."""
    rows = zip(*(column.cells for column in columns), strict=True)
    return [
        ", ".join(f"{column.header} {cell}" for column, cell in zip(columns, row, strict=True) if cell) for row in rows
    ]


def _width(console: Console, options: ConsoleOptions, table: Table) -> Measurement:
    """Return how wide a table is at the least and at the most, on a page as wide as it likes."""
    return Measurement.get(console, options.update(max_width=_UNBOUNDED), table)
