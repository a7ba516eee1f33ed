"""A report as one HTML file that needs nothing else: no request to anywhere, no script, no font of its own.

Pictures stand in the page as SVG whose colours are the page's, so light, dark and paper each have their own. A content
security policy forbids what the page does not do, so that not even a name in a scenario could make it do so. A table
that is too wide for the page and for paper becomes several; on a narrow screen it scrolls by itself, and shadows show
where it goes on.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from html import escape
from itertools import count, groupby

from sim.report.document import (
    Answer,
    Block,
    Code,
    Column,
    Document,
    Highlight,
    Image,
    Paragraph,
    Section,
    Table,
    Verdict,
)
from sim.report.style import COLOURS

__all__ = ["page_of"]

_SIGNS = {Verdict.GOOD: "✓", Verdict.BAD: "✗", Verdict.OPEN: "?", Verdict.PLAIN: ""}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

_LONG_WORD = 30

_ROOM = 100.0
"""Letters that have room beside each other in a table, in the widest of the fonts."""

_GAP = 1.6
"""Letters that would have room between two columns."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_TAG = re.compile(r"<[^>]+>")
_ID = re.compile(r' id="([^"]*)"')
_REFERENCE = re.compile(r'(url\(#|href="#)([^)"]+)')
_INSIDE_A_QUANTITY = re.compile(r"(?<=\d) (?=\d{3}\b|(?:%|ms|s|min|h)(?!\w))")
_BREAK = re.compile(r" (?=\[)|(?<=[,:;]) ")
"""Where a cell of numbers may be broken: before an interval, and between things that are listed."""

_OWN_STYLE = re.compile(r"<defs>\s*<style.*?</style>\s*</defs>", re.DOTALL)

_STYLE = """
:root {
  color-scheme: light dark;
  --letters: system-ui, -apple-system, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif;
  --paper: #ffffff; --card: #f5f6f8; --line: #c9ced6;
  --ink: #1b1f24; --muted: #5a6472; --grid: #e3e6ea; --band: #cdd3db;
  --blue: #1f5fa8; --orange: #a8480c; --green: #1c6b3a; --good: #1c6b3a; --bad: #a4212b; --open: #7a5200;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #15181c; --card: #1e2227; --line: #434a54;
    --ink: #e7eaee; --muted: #a5aeba; --grid: #2c3138; --band: #47505c;
    --blue: #7db4f0; --orange: #f0a06a; --green: #79cf98; --good: #79cf98; --bad: #f28b90; --open: #e3bb62;
  }
}
@media print {
  :root {
    color-scheme: light;
    --paper: #ffffff; --card: #ffffff; --line: #888888;
    --ink: #000000; --muted: #444444; --grid: #dddddd; --band: #cccccc;
    --blue: #000000; --orange: #000000; --green: #000000; --good: #000000; --bad: #000000; --open: #000000;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 var(--letters);
}
main { max-width: 60rem; margin: 0 auto; padding: 1.25rem; overflow-wrap: break-word; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 1rem; }
h2 { font-size: 1.125rem; line-height: 1.3; margin: 2.25rem 0 .6rem; }
p { margin: .5rem 0; max-width: 46rem; }
.quiet, figcaption, caption { color: var(--muted); font-size: .875rem; }
.answer { background: var(--card); border-left: .35rem solid var(--line); padding: .9rem 1.1rem; }
.answer h2 { margin: 0; font-size: 1.25rem; }
.answer ul { margin: .6rem 0 0; padding-left: 1.2rem; }
.good { border-color: var(--good); } .good .sign { color: var(--good); }
.bad { border-color: var(--bad); } .bad .sign { color: var(--bad); }
.open { border-color: var(--open); } .open .sign { color: var(--open); }
.warnings { border: 1px solid var(--open); padding: .6rem 1.1rem; margin: 1rem 0; }
.warnings h2 { margin: 0; font-size: 1rem; color: var(--open); }
.warnings ul { margin: .4rem 0 0; padding-left: 1.2rem; }
.highlights {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .75rem; margin: 1rem 0;
}
.highlights div { border: 1px solid var(--line); padding: .6rem .8rem; }
.highlights dt, .highlights .remark { color: var(--muted); font-size: .8125rem; margin: 0; }
.highlights dd { margin: 0; font-size: 1.375rem; font-variant-numeric: tabular-nums; }
.scroll {
  overflow-x: auto; margin: .75rem 0; scrollbar-width: thin;
  background:
    linear-gradient(to right, var(--paper) 40%, transparent) left / 2.5rem 100% no-repeat local,
    linear-gradient(to left, var(--paper) 40%, transparent) right / 2.5rem 100% no-repeat local,
    linear-gradient(to right, var(--line), transparent) left / .9rem 100% no-repeat scroll,
    linear-gradient(to left, var(--line), transparent) right / .9rem 100% no-repeat scroll;
}
table { border-collapse: collapse; font-size: .9375rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .3rem; }
th, td { padding: .3rem .9rem .3rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--grid); }
thead th, thead td { border-bottom: 1px solid var(--line); vertical-align: bottom; font-weight: 600; }
tbody th { font-weight: 400; }
.number { text-align: right; }
td.number, tbody .number, .whole { white-space: nowrap; }
tbody .parted { white-space: normal; }
.long { overflow-wrap: anywhere; }
.pictures { columns: 25rem 2; column-gap: 2rem; }
figure { margin: 0 0 1.5rem; max-width: 37rem; break-inside: avoid; }
figure svg, figure img { display: block; width: 100%; height: auto; }
figure svg * { stroke-linejoin: round; stroke-linecap: butt; }
figure svg text { font-family: var(--letters) !important; }
pre {
  background: var(--card); border: 1px solid var(--grid); padding: .7rem .9rem; margin: .5rem 0;
  font: .8125rem/1.45 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
  white-space: pre-wrap; overflow-wrap: anywhere; max-height: 34rem; overflow-y: auto;
}
details { margin-top: 1rem; }
summary { cursor: pointer; font-weight: 600; }
:focus-visible { outline: 2px solid var(--blue); outline-offset: 2px; }
@media print {
  table, .answer, .highlights, h2 { break-inside: avoid; }
  h2 { break-after: avoid; }
  main { max-width: none; padding: 0; }
  .scroll { overflow: visible; background: none; }
  table { font-size: .6875rem; }
  th, td { padding-right: .6rem; }
}
"""


def page_of(document: Document, *, made_on: date | None = None) -> str:
    """Return the report as an HTML page; `made_on` is the day in UTC that stands below its title."""
    body = [
        f"<h1>{_text(document.title)}</h1>",
        _day(made_on),
        _answer(document.answer),
        _highlights(document.highlights),
    ]
    body += [_warnings(document.warnings), "<h2>The question</h2>", _paragraph(" ".join(document.question))]
    pictures = count(1)
    for section in document.sections:
        body.append(_section(section, pictures))
    if document.command is not None:
        body += ["<h2>To make it again</h2>", _code(document.command, "The command")]
    if document.manifest:
        manifest = json.dumps(document.manifest, indent=1, ensure_ascii=False)
        body.append(_folded("Manifest: what servecast rerun makes it from, as JSON", _code(manifest, "The manifest")))
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            '<link rel="icon" href="data:,">',
            f"<title>{_text(document.title)}</title>",
            f"<style>{_STYLE}</style>",
            "</head>",
            "<body>",
            "<main>",
            *(part for part in body if part),
            "</main>",
            "</body>",
            "</html>",
            "",
        ]
    )


def _day(made_on: date | None) -> str:
    """Return when the page was made."""
    if made_on is None:
        return ""
    return f'<p class="quiet">Made on <time datetime="{made_on.isoformat()}">{made_on.isoformat()}</time> (UTC).</p>'


def _answer(answer: Answer) -> str:
    """Return the answer, its sign before it: a sign and words say what the colour says."""
    sign = f'<span class="sign" aria-hidden="true">{_SIGNS[answer.verdict]}</span> ' if _SIGNS[answer.verdict] else ""
    headline = f"<h2>{sign}{_prose(answer.headline)}</h2>"
    return f'<section class="answer {answer.verdict}">{headline}{_list(answer.sentences)}</section>'


def _highlights(highlights: Sequence[Highlight]) -> str:
    """Return the figures that are read first."""
    if not highlights:
        return ""
    told = [
        f"<div><dt>{_text(each.name)}</dt><dd>{_text(each.value)}</dd>"
        + (f'<dd class="remark">{_text(each.remark)}</dd>' if each.remark else "")
        + "</div>"
        for each in highlights
    ]
    return f'<dl class="highlights">{"".join(told)}</dl>'


def _warnings(warnings: Sequence[str]) -> str:
    """Return what to beware of."""
    return f'<section class="warnings"><h2>Beware</h2>{_list(warnings)}</section>' if warnings else ""


def _list(sentences: Sequence[str]) -> str:
    """Return sentences as a list, nothing for none."""
    return f"<ul>{''.join(f'<li>{_prose(sentence)}</li>' for sentence in sentences)}</ul>" if sentences else ""


def _section(section: Section, pictures: Iterator[int]) -> str:
    """Return a part; pictures that follow each other stand side by side where there is room."""
    parts = []
    for are_pictures, blocks in groupby(section.blocks, lambda block: isinstance(block, Image)):
        told = "\n".join(_block(block, section.title, pictures) for block in blocks)
        parts.append(f'<div class="pictures">\n{told}\n</div>' if are_pictures else told)
    if section.folded:
        return _folded(section.title, "\n".join(parts))
    return "\n".join([f"<h2>{_text(section.title)}</h2>", *parts])


def _folded(title: str, content: str) -> str:
    """Return a part that is opened by a click on its title."""
    return f"<details>\n<summary>{_text(title)}</summary>\n{content}\n</details>"


def _block(block: Block, title: str, pictures: Iterator[int]) -> str:
    """Return a block of a section with that title."""
    if isinstance(block, Paragraph):
        return _paragraph(block.text, quiet=block.quiet)
    if isinstance(block, Table):
        return "\n".join(_table(part, part.caption or title) for part in _that_fit(block))
    if isinstance(block, Image):
        return _image(block, f"p{next(pictures)}-")
    assert isinstance(block, Code)
    return _code(block.text, title)


def _paragraph(text: str, *, quiet: bool = False) -> str:
    return f'<p class="quiet">{_prose(text)}</p>' if quiet else f"<p>{_prose(text)}</p>"


def _code(text: str, name: str) -> str:
    """Return text to be copied; the keyboard can scroll it."""
    return f'<pre tabindex="0" role="region" aria-label="{_text(name)}">{_text(text)}</pre>'


def _that_fit(table: Table) -> list[Table]:
    """Return a table, or where it is too wide the several that it may become."""
    if not table.parts or _width(table) <= _ROOM:
        return [table]
    made: list[Table] = []
    for part in table.parts:
        columns: list[int] = []
        for group in part:
            if columns and _width(_of_columns(table, [*columns, *group])) > _ROOM:
                made.append(_of_columns(table, columns))
                columns = []
            columns += group
        made.append(_of_columns(table, columns))
    return [made[0], *(replace(each, caption="") for each in made[1:])]


def _of_columns(table: Table, others: Sequence[int]) -> Table:
    """Return a table of the columns that name the rows, and of some others by their places."""
    places = [*range(table.names), *others]
    columns = tuple(table.columns[place] for place in places)
    rows = tuple(tuple(row[place] for place in places) for row in table.rows)
    return Table(columns, rows, table.caption, table.names)


def _width(table: Table) -> float:
    """Return how many letters beside each other a table needs at the least."""
    return sum(_widest(table, place) + _GAP for place in range(len(table.columns)))


def _widest(table: Table, place: int) -> int:
    """Return how many letters the longest piece of a column has, its head's words among them."""
    column = table.columns[place]
    pieces = [*column.head.split(), *(piece for row in table.rows for piece in _pieces(row[place], column))]
    return max(map(len, pieces), default=0)


def _pieces(cell: str, column: Column) -> list[str]:
    """Return what of a cell stays in one line: words, or of numbers all but a few places."""
    return _BREAK.split(cell) if column.is_number else cell.split()


def _table(table: Table, name: str) -> str:
    """Return a table, which scrolls by itself where the screen is narrower."""
    caption = f"<caption>{_text(table.caption)}</caption>" if table.caption else ""
    heads = "".join(
        f'<th scope="col"{_side(column)}>{_prose(column.head)}</th>' if column.head else "<td></td>"
        for column in table.columns
    )
    head = f"<thead><tr>{heads}</tr></thead>\n" if any(column.head for column in table.columns) else ""
    rows = "\n".join(f"<tr>{_cells(row, table.columns)}</tr>" for row in table.rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{_text(name)}"><table>{caption}'
        f"{head}<tbody>\n{rows}\n</tbody></table></div>"
    )


def _cells(row: Sequence[str], columns: Sequence[Column]) -> str:
    """Return the cells of a row; the first is its head."""
    first, *others = zip(row, columns, strict=True)
    head = f'<th scope="row"{_side(first[1])}>{_text(first[0])}</th>'
    return head + "".join(f"<td{_look(cell, column)}>{_cell(cell, column)}</td>" for cell, column in others)


def _look(cell: str, column: Column) -> str:
    """Return how a cell looks: a long word, such as a hash, may be broken, and numbers at a few places."""
    has_long = any(len(word) > _LONG_WORD for word in cell.split())
    is_parted = column.is_number and len(_pieces(cell, column)) > 1
    return ' class="long"' if has_long else ' class="number parted"' if is_parted else _side(column)


def _cell(cell: str, column: Column) -> str:
    """Return the text of a cell; of one of numbers its pieces stay whole."""
    pieces = _pieces(cell, column)
    if not column.is_number or len(pieces) < 2:
        return _text(cell)
    return " ".join(f'<span class="whole">{_text(piece)}</span>' for piece in pieces)


def _side(column: Column) -> str:
    return ' class="number"' if column.is_number else ""


def _image(image: Image, prefix: str) -> str:
    """Return a picture; `prefix` keeps what it names in itself apart from other pictures."""
    drawn = image.draw()
    if isinstance(drawn, bytes):
        kind = "png" if drawn.startswith(b"\x89PNG") else "svg+xml"
        shown = f'<img alt="{_text(image.alt)}" src="data:image/{kind};base64,{b64encode(drawn).decode()}">'
    else:
        shown = _in_page(drawn.svg(), prefix).replace("<svg ", f'<svg role="img" aria-label="{_text(image.alt)}" ', 1)
    caption = f"<figcaption>{_text(image.caption)}</figcaption>" if image.caption else ""
    return f"<figure>{shown}{caption}</figure>"


def _in_page(svg: str, prefix: str) -> str:
    """Return an SVG element with the page's colours, no style of its own, and ids that no other picture has."""
    svg = _OWN_STYLE.sub("", svg).strip()
    for name, colour in COLOURS.items():
        svg = svg.replace(colour, f"var(--{name})")
    named = {name for _, name in _REFERENCE.findall(svg)}

    def rename(tag: re.Match[str]) -> str:
        found = _ID.search(tag[0])
        kept = tag[0] if found is None or found[1] in named else _ID.sub("", tag[0])
        return _REFERENCE.sub(rf"\g<1>{prefix}\g<2>", _ID.sub(rf' id="{prefix}\g<1>"', kept))

    return _TAG.sub(rename, svg)


def _prose(text: str) -> str:
    """Return sentences, with no line's end inside a number or before its unit."""
    return _text(_INSIDE_A_QUANTITY.sub("\u00a0", text))


def _text(text: str) -> str:
    """Return a text that is nothing but text, also between quotation marks; control characters become visible."""
    return escape(_CONTROL.sub("\ufffd", text), quote=True)
