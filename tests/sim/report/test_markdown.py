"""Markdown: tables that are tables, and names that are nothing but text."""

from __future__ import annotations

import re

import pytest

from sim.forecast.forecast import Forecast
from sim.report.document import Answer, Code, Column, Document, Image, Paragraph, Section, Table, Verdict
from sim.report.forecast_document import forecast_document
from sim.report.markdown import markdown_of
from sim.scenario.spec import Scenario

UNESCAPED_BAR = r"(?<!\\)\|"


def tables_of(text: str) -> list[list[str]]:
    """Return the lines of each table."""
    return [block.splitlines() for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)]


@pytest.mark.parametrize("which", ["plain", "scaled"])
def test_every_table_has_a_rule_and_rows_of_equal_length(which: str, request: pytest.FixtureRequest) -> None:
    """Below the heads stands the rule, and no row has a cell more or less: a bar inside a cell is escaped."""
    scenario, forecast = request.getfixturevalue(which)
    tables = tables_of(markdown_of(forecast_document(forecast, scenario)))
    assert len(tables) >= 3
    for heads, rule, *rows in tables:
        assert re.fullmatch(r"\|( (:--|--:) \|)+", rule)
        assert rows
        assert {len(re.findall(UNESCAPED_BAR, row)) for row in (heads, *rows)} == {rule.count("|")}


def test_hostile_name_is_text(plain: tuple[Scenario, Forecast]) -> None:
    """Neither a tag nor a link nor code comes of a scenario's name; outside a fence nothing of it is left as it was."""
    scenario, forecast = plain
    text = re.sub(
        r"^```.*?^```", "", markdown_of(forecast_document(forecast, scenario)), flags=re.DOTALL | re.MULTILINE
    )
    assert text.startswith(r"# \<script\>alert(1)\</script\> &amp; ")
    assert not re.search(r"(?<!\\)<script", text)
    assert "](http" not in text.replace(r"\](http", "")


def document_of(*blocks: Paragraph | Table | Code | Image) -> Document:
    """Return a document with one section."""
    return Document("t", ("Is it?",), Answer("It is.", Verdict.GOOD, ("So.",)), sections=(Section("s", blocks),))


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("# no heading", r"\# no heading"),
        ("1. no list", r"1\. no list"),
        ("- no list", r"\- no list"),
        ("a\n\nb", "a b"),
        ("a | b", r"a \| b"),
        ("&lt;", "&amp;lt;"),
        ("snake_case and 2 * 3", r"snake\_case and 2 \* 3"),
    ],
)
def test_text_that_looks_like_markdown_stays_text(text: str, written: str) -> None:
    """What begins like a heading or a list is a paragraph like any other, on one line."""
    assert f"\n\n## s\n\n{written}\n" in markdown_of(document_of(Paragraph(text)))


def test_answer_comes_first_and_pictures_are_left_out() -> None:
    """Title, answer, question; a section of pictures alone has no heading; nothing is drawn."""

    def fail() -> bytes:
        raise AssertionError("nobody looks at it")

    text = markdown_of(document_of(Image(fail, "alt")))
    assert text == "# t\n\n**✓ It is.**\n\n- So.\n\n## The question\n\nIs it?\n"


def test_code_cannot_end_its_fence() -> None:
    """A text with a fence in it gets a longer one around it."""
    assert "````\na\n```\nb\n````" in markdown_of(document_of(Code("a\n```\nb")))


def test_table_with_a_caption() -> None:
    """The caption stands above the table, numbers stand right."""
    table = Table((Column("load", is_number=False), Column("p99")), (("30 %", "20 ms"),), "Loads")
    assert "*Loads*\n\n| load | p99 |\n| :-- | --: |\n| 30 % | 20 ms |\n" in markdown_of(document_of(table))
