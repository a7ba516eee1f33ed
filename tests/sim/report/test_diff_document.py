"""A comparison as a report: the same answer in every form, a picture of what moved, a row for each figure."""

from __future__ import annotations

import csv
from io import StringIO

import numpy as np
import pytest

from sim.report.csv import csv_of
from sim.report.diff_document import diff_document
from sim.report.diff_figure import diff_picture, drawn_figures
from sim.report.diff_tables import diff_answer
from sim.report.document import Image, Table
from sim.report.html import page_of
from sim.report.markdown import markdown_of
from tests.sim.report.test_diff_tables import A, B, diff, figure


def test_report_has_the_answer_the_moved_goals_and_what_chance_has_a_part_in() -> None:
    """A difference that the scenarios fix is no highlight; one within noise says so."""
    document = diff_document(diff(A, B), command="servecast diff old.yaml new.yaml")
    assert document.answer.headline == diff_answer(diff(A, B))
    assert document.answer.sentences == ("Goal p99: missed -> met.",)
    told = {each.name: (each.value, each.remark) for each in document.highlights}
    assert told["p99 latency"] == ("-14.0 ms", "-14.2 .. -13.8 ms")
    assert told["p50 latency"][1].endswith("no more than noise")
    assert "cost" not in told
    (outcome,) = [each for each in document.sections if each.title == "What changed in the outcome"]
    (table,) = [each for each in outcome.blocks if isinstance(each, Table)]
    assert ("p99 latency", "52.0 ms", "38.0 ms", "-14.0 ms", "-14.2 .. -13.8 ms", "yes") in table.rows
    for text in (page_of(document), markdown_of(document)):
        assert "servecast diff old.yaml new.yaml" in text
        assert "-14.0 ms" in text


def test_rows_have_every_figure_with_the_difference_as_it_is() -> None:
    """Also those of which nothing is known, with the reason."""
    lacking = {"latency_ms": {"p99": figure(50.0), "p999": {"value": None, "low": None, "high": None, "why": "short"}}}
    rows = {row["name"]: row for row in csv.DictReader(StringIO(csv_of(diff_document(diff(A, A | lacking)).figures)))}
    p99 = rows["latency_ms.p99"]
    assert (float(p99["a"]), float(p99["b"]), float(p99["difference"])) == (52.0, 50.0, -2.0)
    assert float(p99["difference_low"]) < -2.0 < float(p99["difference_high"])
    assert (p99["unit"], p99["beyond_noise"]) == ("ms", "True")
    both = diff(A | lacking, A | lacking)
    rows = {row["name"]: row for row in csv.DictReader(StringIO(csv_of(diff_document(both).figures)))}
    assert rows["latency_ms.p999"] == dict.fromkeys(rows["latency_ms.p999"], "") | {
        "name": "latency_ms.p999",
        "unit": "ms",
        "why": "A: short; B: short",
    }


def test_picture_shows_per_cent_of_a_full_where_it_is_more_than_noise() -> None:
    """52.0 ms that become 38.0 are -26.9 %; what the scenarios fix is not drawn."""
    (axes,) = diff_picture(diff(A, B)).figure.axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["p99 latency", "p50 latency", "mean latency"]
    marks = [line for line in axes.lines if line.get_marker() == "o"]
    at = [float(np.asarray(mark.get_xdata())[0]) for mark in marks]
    assert at == pytest.approx([100 * -14.0 / 52.0, 0.0, 100 * 0.12 / 18.0], abs=0.1)
    assert [mark.get_markerfacecolor() == "white" for mark in marks] == [False, True, True]


def test_nothing_to_draw_gives_no_picture() -> None:
    """Two scenarios that fix all figures differ by no interval."""
    found = diff({"latency_ms": {"p50": figure(1.0)}}, {"latency_ms": {"p50": figure(2.0)}})
    assert drawn_figures(found) == {}
    blocks = [block for section in diff_document(found).sections for block in section.blocks]
    assert not any(isinstance(block, Image) for block in blocks)
