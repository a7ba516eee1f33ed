"""A report as Markdown, as GitHub and most editors read it: headings, paragraphs and tables; pictures are left out."""

from __future__ import annotations

import json
import re

from sim.report.document import Block, Code, Column, Document, Paragraph, Section, Table, Verdict

__all__ = ["markdown_of"]

_SPECIAL = re.compile(r"([\\`*_\[\]<>|~])")
_AT_THE_START = re.compile(r"^(\d*)([#+=.)-])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_SIGNS = {Verdict.GOOD: "✓ ", Verdict.BAD: "✗ ", Verdict.OPEN: "? ", Verdict.PLAIN: ""}


def markdown_of(document: Document) -> str:
    """Return the report; it ends with a line break."""
    answer = document.answer
    parts = [f"# {_inline(document.title)}", f"**{_SIGNS[answer.verdict]}{_inline(answer.headline)}**"]
    parts += ["\n".join(f"- {_inline(sentence)}" for sentence in answer.sentences)]
    parts += [f"> **Warning:** {_inline(warning)}" for warning in document.warnings]
    parts += ["## The question", _text(" ".join(document.question))]
    for section in document.sections:
        parts += _section(section)
    if document.command is not None:
        parts += ["## To make it again", _code(document.command)]
    if document.manifest:
        parts += ["## Manifest", _code(json.dumps(document.manifest, indent=1, ensure_ascii=False), "json")]
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(section: Section) -> list[str]:
    """Return a section, nothing of one that has pictures alone."""
    blocks = [text for block in section.blocks if (text := _block(block))]
    return [f"## {_inline(section.title)}", *blocks] if blocks else []


def _block(block: Block) -> str:
    """Return a block, empty for a picture."""
    if isinstance(block, Paragraph):
        return _text(block.text)
    if isinstance(block, Table):
        return _table(block)
    return _code(block.text) if isinstance(block, Code) else ""


def _table(table: Table) -> str:
    """Return a table, its caption above it."""
    heads = [_inline(column.head) for column in table.columns]
    lines = [_row(heads), _row([_rule(column) for column in table.columns])]
    lines += [_row([_inline(cell) for cell in row]) for row in table.rows]
    return (f"*{_inline(table.caption)}*\n\n" if table.caption else "") + "\n".join(lines)


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rule(column: Column) -> str:
    return "--:" if column.is_number else ":--"


def _text(text: str) -> str:
    """Return a paragraph: what would begin a heading or a list is escaped too."""
    return _AT_THE_START.sub(r"\1\\\2", _inline(text))


def _inline(text: str) -> str:
    """Return a text in one line that is nothing but text."""
    return _SPECIAL.sub(r"\\\1", _CONTROL.sub(" ", text).strip()).replace("&", "&amp;")


def _code(text: str, language: str = "") -> str:
    """Return text as it stands, in a fence that is longer than any inside it."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    return f"{fence}{language}\n{text}\n{fence}"
