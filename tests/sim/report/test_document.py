"""A report before it has a form: tables and lines of a text report become its blocks."""

from __future__ import annotations

import pytest
from rich.console import Group
from rich.panel import Panel
from rich.text import Text

from sim.report.as_it_fits import AsItFits
from sim.report.document import Column, Paragraph, Table, blocks_of
from sim.report.units import new_table


def test_text_report_becomes_blocks_in_its_order() -> None:
    """Tables keep heads, sides and cells; lines lose their colours; empty lines are dropped."""
    table = new_table("load", "p99")
    table.add_row("30 %", Text("20.5 ms", style="red"))
    table.add_row("[bold]60 %", "25.2 ms")
    blocks = blocks_of(
        Group(Text("One answer.", style="bold"), "", Group(table, Text("A remark.", style="dim"))), "Loads"
    )
    assert blocks == (
        Paragraph("One answer."),
        Table(
            (Column("load", is_number=False), Column("p99")),
            (("30 %", "20.5 ms"), ("[bold]60 %", "25.2 ms")),
            "Loads",
        ),
        Paragraph("A remark.", quiet=True),
    )


def test_only_the_first_table_has_the_caption() -> None:
    """A caption that stood above each of several tables would say nothing."""
    tables = [new_table("a"), new_table("b")]
    assert [block.caption for block in blocks_of(Group(*tables), "first") if isinstance(block, Table)] == ["first", ""]


def test_table_that_fits_as_it_can_says_what_it_may_become() -> None:
    """Whole, with the columns that may stand in a table of their own: a page is to split it where text does."""
    table = new_table("load", "p50", "p99")
    table.add_row("30 %", "10 ms", "20 ms")
    (block,) = blocks_of(Group(AsItFits(table, 1, [[[1]], [[2]]])), "Loads")
    assert isinstance(block, Table)
    assert (block.caption, block.rows) == ("Loads", (("30 %", "10 ms", "20 ms"),))
    assert (block.names, block.parts) == (1, (((1,),), ((2,),)))


def test_what_a_report_cannot_show_is_refused() -> None:
    """What would be lost in a page is an error where it is written, not a hole in the report."""
    with pytest.raises(TypeError, match="no Panel"):
        blocks_of(Panel("x"))
