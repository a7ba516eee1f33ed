"""The figures of a report as rows of comma-separated values: one for each, with its unit and all ends of its intervals.

Numbers are written so that they are read back as the very same; a figure without a value has empty cells and says why.
Records are rows as they stand.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from io import StringIO

from sim.report.document import FigureRow, Records

__all__ = ["csv_of"]

_INTERVALS = ("sampling", "calibration", "prediction")
_HEADS = (
    "name",
    "unit",
    "value",
    "low",
    "high",
    *(f"{interval}_{end}" for interval in _INTERVALS for end in ("low", "high")),
    "samples",
    "why",
)


def csv_of(rows: Sequence[FigureRow] | Records) -> str:
    """Return the rows below a row of names; what the figures are of stands in the first columns."""
    if isinstance(rows, Records):
        return _written([rows.columns, *rows.rows])
    of = list(dict.fromkeys(key for row in rows for key in row.of))
    told = ([*(row.of.get(key, "") for key in of), *_cells(row)] for row in rows)
    return _written([[*of, *_HEADS], *told])


def _written(rows: Iterable[Iterable[object]]) -> str:
    """Return rows of cells as text."""
    out = StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def _cells(row: FigureRow) -> Iterable[object]:
    """Return the cells of a figure; None is an empty one."""
    figure = row.figure
    yield from (row.name, row.unit, figure.value, figure.low, figure.high)
    for interval in _INTERVALS:
        bounds = getattr(figure, interval)
        yield from (None, None) if bounds is None else (bounds.low, bounds.high)
    yield from (figure.samples, figure.why)
