"""Tables on pages that are too narrow for them."""

from __future__ import annotations

import pytest
from rich.table import Table

from sim.report.as_it_fits import AsItFits
from sim.report.tables import as_text
from sim.report.units import new_table

HEADS = ("replicas", "max_batch", "p99 latency", "p99, at most", "refused", "state")
ROW = ("2", "16", "123.4 ms", "130.1 ms", "0.123 %", "not confirmed")


def table(**changes: str) -> Table:
    """Return a table of one row; two columns name it. Cells by their heads are changed."""
    made = new_table(*HEADS, words=2)
    made.add_row(*(changes.get(head, cell) for head, cell in zip(HEADS, ROW, strict=True)))
    return made


def printed(width: int, whole: Table | None = None) -> list[list[str]]:
    """Return the tables that are printed, each as its heads and its row."""
    text = as_text(AsItFits(whole or table(), 2, ([(5,)], [(2, 3), (4,)])), width)
    return [part.splitlines() for part in text.split("\n\n")]


@pytest.mark.parametrize(
    ("width", "heads"),
    [
        (90, ["replicas max_batch p99 latency p99, at most refused state"]),
        (70, ["replicas max_batch state", "replicas max_batch p99 latency p99, at most refused"]),
        (
            55,
            [
                "replicas max_batch state",
                "replicas max_batch p99 latency p99, at most",
                "replicas max_batch refused",
            ],
        ),
    ],
)
def test_parts_stand_one_below_the_other_each_with_its_names(width: int, heads: list[str]) -> None:
    """As many groups in a table as have room; no line is wider than the page, and nothing is cut."""
    parts = printed(width)
    assert [" ".join(part[0].split()) for part in parts] == heads
    assert all(part[2].startswith("2          16") for part in parts)
    text = " ".join(line for part in parts for line in part)
    assert all(cell in text for cell in ROW)
    assert "…" not in text
    assert max(len(line) for part in parts for line in part) <= width


def test_long_name_wraps_and_leaves_the_others_whole() -> None:
    """A mapping takes several lines; keys and numbers stay as they are."""
    parts = printed(60, table(max_batch="{base: 20ms, per_item: 1ms, table: {1: 8ms, 2: 9ms}}"))
    text = "\n".join(line for part in parts for line in part)
    assert all(part[0].startswith("replicas   max_batch") for part in parts)
    assert all(cell in text for cell in (*ROW[2:], "per_item: 1ms"))
    assert "…" not in text


def test_names_without_room_side_by_side_share_a_column() -> None:
    """Each with its key, and words break between words alone."""
    whole = new_table("replicas", "max_batch", "max_wait", "routing", "p99 latency, milliseconds", words=4)
    whole.add_row("2", "16", "0ms", "least_outstanding", "123.4")
    text = as_text(AsItFits(whole, 4, ([(4,)],)), 50)
    words = " ".join(text.split())
    assert "p99 latency, milliseconds" in words
    assert "replicas 2, max_batch" in words
    assert "least_outstanding" in words
