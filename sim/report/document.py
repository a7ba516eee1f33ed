"""A report before it has a form: the question, the answer, tables, pictures, and where all of it comes from.

A command builds one Document; html.py, markdown.py and csv.py write it. Texts are plain and may hold anything that a
user named: each writer escapes what its own form would take for more than text. Tables that stand in the text report
need not be built twice: blocks_of() takes them over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text as RichText

from sim.forecast.estimates import Figure
from sim.report.as_it_fits import AsItFits
from sim.report.figures import Picture

__all__ = [
    "Answer",
    "Block",
    "Code",
    "Column",
    "Document",
    "FigureRow",
    "Highlight",
    "Image",
    "Paragraph",
    "Records",
    "Section",
    "Table",
    "Verdict",
    "blocks_of",
]


class Verdict(StrEnum):
    """What an answer amounts to at a glance; its words say the same."""

    GOOD = "good"
    BAD = "bad"
    OPEN = "open"  # not clear, not valid, not known
    PLAIN = "plain"  # nothing was asked that could be good or bad


@dataclass(frozen=True)
class Answer:
    """The answer: a headline of one sentence, then what it rests on, a sentence each, with intervals."""

    headline: str
    verdict: Verdict = Verdict.PLAIN
    sentences: tuple[str, ...] = ()


@dataclass(frozen=True)
class Highlight:
    """A figure that is read before all others: its name, its value with unit, its interval or another remark."""

    name: str
    value: str
    remark: str = ""


@dataclass(frozen=True)
class Paragraph:
    """Text; a quiet one is a remark on what stands above it."""

    text: str
    quiet: bool = False


@dataclass(frozen=True)
class Column:
    """The head of a column; numbers stand right."""

    head: str
    is_number: bool = True


@dataclass(frozen=True)
class Table:
    """Rows of texts, as many as there are columns; the first one says what the row is about.

    A writer whose pages are narrower may make several of it, each with the first `names` columns: a `part` is groups of
    other columns, by their places, that may stand in one.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    names: int = 1
    parts: tuple[tuple[tuple[int, ...], ...], ...] = ()


@dataclass(frozen=True)
class Image:
    """A picture that is drawn when a writer wants it: a Picture, or the bytes of a PNG or an SVG file."""

    draw: Callable[[], Picture | bytes]
    alt: str  # says in words what the picture shows, with its figures
    caption: str = ""


@dataclass(frozen=True)
class Code:
    """Text to be copied as it stands: a command, a file."""

    text: str


Block = Paragraph | Table | Image | Code


@dataclass(frozen=True)
class Section:
    """A part with a title of its own; a folded one is for those who look for it."""

    title: str
    blocks: tuple[Block, ...]
    folded: bool = False


@dataclass(frozen=True)
class FigureRow:
    """A figure as a row of a CSV file; `of` says what it is a figure of, where there are several, by column."""

    name: str  # as in the JSON, `.` between the levels
    unit: str
    figure: Figure
    of: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Records:
    """Rows of a CSV file that each hold several figures, as many values as there are columns; None is an empty one."""

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]


@dataclass(frozen=True)
class Document:
    """A report."""

    title: str
    question: tuple[str, ...]  # sentences: what was asked, of what
    answer: Answer
    highlights: tuple[Highlight, ...] = ()
    warnings: tuple[str, ...] = ()  # sentences, each with the figure behind it
    sections: tuple[Section, ...] = ()
    figures: tuple[FigureRow, ...] | Records = ()  # rows of its CSV file
    command: str | None = None  # what makes it again, in a shell; None: it was not made by a command
    manifest: Mapping[str, Any] = field(default_factory=dict)  # what makes it again, whole: plain values


def blocks_of(renderable: RenderableType, caption: str = "") -> tuple[Block, ...]:
    """Return the tables and lines of a text report as blocks; `caption` is that of its first table.

    Raises TypeError for what is neither table, text nor a group of them.
    """
    blocks: list[Block] = []
    for part in _parts(renderable):
        if isinstance(part, RichTable | AsItFits):
            is_first = not any(isinstance(block, Table) for block in blocks)
            blocks.append(_table(part, caption if is_first else ""))
        elif isinstance(part, RichText | str):
            text = _plain(part)
            blocks += [Paragraph(text, quiet="dim" in _style(part))] if text.strip() else []
        else:
            raise TypeError(f"A report takes tables, texts and groups of them, and no {type(part).__name__}.")
    return tuple(blocks)


def _parts(renderable: RenderableType) -> list[RenderableType]:
    """Return what a group holds, groups within it too; a table whole, and anything else by itself."""
    if isinstance(renderable, Group):
        return [part for inner in renderable.renderables for part in _parts(inner)]
    return [renderable]


def _table(table: RichTable | AsItFits, caption: str) -> Table:
    """Return a table of a text report, with what it may become on a narrow page."""
    if isinstance(table, AsItFits):
        parts = tuple(tuple(tuple(group) for group in part) for part in table.parts)
        return replace(_table(table.whole, caption), names=table.names, parts=parts)
    columns = tuple(Column(_plain(column.header), column.justify == "right") for column in table.columns)
    cells = [[_plain(cell) for cell in column.cells] for column in table.columns]
    return Table(columns, tuple(zip(*cells, strict=True)), caption)


def _plain(cell: RenderableType) -> str:
    """Return the text of a cell or a line, without its colours."""
    return cell.plain if isinstance(cell, RichText) else str(cell)


def _style(part: RichText | str) -> str:
    """Return how a text is to look."""
    return str(part.style) if isinstance(part, RichText) else ""
