"""What a command makes of its result."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from servecast.command_line import Parser, add_outputs
from servecast.outputs import show
from servecast.streams import Talk
from sim.forecast.estimates import Figure
from sim.report.document import Answer, Document, FigureRow, Image, Section

DAY = date(2026, 2, 3)
PNG = b"\x89PNG\r\n"


class Result:
    """A result that counts how often it was put into each form."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def text(self) -> str:
        self.made.append("text")
        return "in words"

    def json(self) -> dict[str, object]:
        self.made.append("json")
        return {"value": 1}

    def document(self) -> Document:
        self.made.append("document")
        sections = (Section("s", (Image(self.drawn, "alt"),)),)
        return Document("t", ("q",), Answer("a"), sections=sections, figures=(FigureRow("cost", "EUR", Figure(2.5)),))

    def drawn(self) -> bytes:
        self.made.append("picture")
        return PNG


Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    """Return what shows a result as the options say."""

    def with_options(*arguments: str) -> Result:
        parser = Parser(prog="servecast made")
        add_outputs(parser)
        options = parser.parse(list(arguments))
        assert options is not None
        result = Result()
        show(options, Talk(), text=result.text, json=result.json, document=result.document, today=lambda: DAY)
        return result

    return with_options


@pytest.mark.parametrize(
    ("arguments", "printed", "made"),
    [
        ([], "in words\n", ["text"]),
        (["-o", "text"], "in words\n", ["text"]),
        (["--json"], json.dumps({"value": 1}, indent=2) + "\n", ["json"]),
        (["--output=json"], json.dumps({"value": 1}, indent=2) + "\n", ["json"]),
        (["-o", "md"], "# t\n\n**a**\n\n## The question\n\nq\n", ["document"]),
    ],
)
def test_only_what_was_asked_for_is_made(
    arguments: list[str], printed: str, made: list[str], run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """One form is printed and no other made; Markdown draws nothing."""
    assert run(*arguments).made == made
    assert capsys.readouterr() == (printed, "")


def test_document_is_made_once_for_all_that_need_it(
    tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows on stdout and in a file are the same, and the page beside them is of the same document."""
    page, rows = tmp_path / "page.html", tmp_path / "rows.csv"
    assert run("-o", "csv", "--html", str(page), "--csv", str(rows)).made == ["document", "picture"]
    printed = capsys.readouterr()
    assert printed.out == rows.read_text(encoding="utf-8")
    assert printed.out.splitlines()[1].startswith("cost,EUR,2.5,")
    assert printed.err == f"The report is written to {page}\nThe figures are written to {rows}\n"
    assert "data:image/png;base64," in page.read_text(encoding="utf-8")


def test_page_alone_says_on_which_day_it_was_made(tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Pages are passed on and kept; rows, Markdown and JSON of the same result stay the same bytes."""
    page, rows = tmp_path / "page.html", tmp_path / "rows.csv"
    run("-o", "md", "--html", str(page), "--csv", str(rows))
    assert "2026-02-03" in page.read_text(encoding="utf-8")
    assert "2026" not in rows.read_text(encoding="utf-8") + capsys.readouterr().out


def test_day_of_a_page_is_today(tmp_path: Path) -> None:
    """In UTC, unless a test says otherwise."""
    parser, page, result = Parser(prog="servecast made"), tmp_path / "page.html", Result()
    add_outputs(parser)
    options = parser.parse(["--html", str(page)])
    assert options is not None
    before = datetime.now(UTC).date()
    show(options, Talk(quiet=True), text=result.text, json=result.json, document=result.document)
    told = page.read_text(encoding="utf-8")
    assert before.isoformat() in told or datetime.now(UTC).date().isoformat() in told
