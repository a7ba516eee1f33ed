"""What-if as a report."""

from __future__ import annotations

import csv
from dataclasses import replace

import pytest

from sim.forecast.goals import GoalResult
from sim.report.csv import csv_of
from sim.report.document import Block, Document, Paragraph, Table, Verdict
from sim.report.html import page_of
from sim.report.markdown import markdown_of
from sim.report.whatif_document import whatif_document
from tests.sim.report.whatif_answers import asked


def test_report_asks_answers_shows_and_lists() -> None:
    """The varied keys are part of the question; the picture and every configuration stand in the page."""
    answer = asked("traffic.arrivals.rate=100/s,300/s,4000/s")
    document = whatif_document(answer, command="servecast whatif shop")
    assert "What if traffic.arrivals.rate is 100/s, 300/s, 4000/s?" in document.question
    assert document.answer.headline.startswith("shop: 3 configurations, compared with rate 300/s: ")
    assert document.answer.sentences[0].startswith("Goal p90 at most 18 ms: met in ")
    page, text = page_of(document), markdown_of(document)
    assert "<svg " in page
    assert "is not below the capacity" in text
    assert "servecast whatif shop" in page


def test_report_without_a_picture_of_so_many_keys_has_the_rest() -> None:
    """Three keys in a grid are a table alone."""
    document = whatif_document(asked("batching.max_batch=4,8", "batching.max_wait=0ms,2ms", "queue.cap=32,64"))
    assert [section.title for section in document.sections] == [
        "The configurations",
        "How right the model is",
        "Where it comes from",
    ]


MET = GoalResult("p90", "latency_ms.p90", 18.0, 10.0, 9.0, 11.0)
MISSED, UNCLEAR = replace(MET, value=20.0, low=19.0, high=21.0), replace(MET, high=19.0)


@pytest.mark.parametrize(
    ("goals", "verdict"),
    [
        ((MET, MET), Verdict.GOOD),
        ((MISSED, MISSED), Verdict.BAD),
        ((MET, MISSED), Verdict.PLAIN),
        ((MET, UNCLEAR), Verdict.OPEN),
        ((MISSED, UNCLEAR), Verdict.OPEN),
        ((MET, None), Verdict.PLAIN),
        ((MISSED, None), Verdict.BAD),
        ((None, None), Verdict.OPEN),
    ],
)
def test_verdict_is_good_only_where_all_configurations_meet_the_goals(
    goals: tuple[GoalResult | None, ...], verdict: Verdict
) -> None:
    """A tick over `met in 3 of 6` would promise what half of them do not hold; None is one without an answer."""
    answer = asked("batching.max_batch=4,8")
    rows = tuple(
        replace(row, goals=() if goal is None else (goal,), refusal="too much" if goal is None else None)
        for row, goal in zip(answer.rows, goals, strict=True)
    )
    assert whatif_document(replace(answer, rows=rows)).answer.verdict == verdict
    assert whatif_document(replace(answer, rows=rows, limits={})).answer.verdict == Verdict.PLAIN


def blocks_of(document: Document, title: str) -> tuple[Block, ...]:
    """Return the blocks of a section."""
    return next(section.blocks for section in document.sections if section.title == title)


def test_page_says_how_right_the_model_is_and_of_which_configuration() -> None:
    """As those of forecasts do; where calibrations may vary, it is that of the base case."""
    (stated,) = blocks_of(whatif_document(asked("batching.max_batch=4,8")), "How right the model is")
    assert isinstance(stated, Paragraph)
    assert stated.text.startswith("Not calibrated: ")
    varied = whatif_document(asked("batching.max_batch=8", "model.pass_time.base=8ms,9ms"))
    first, second = blocks_of(varied, "How right the model is")
    assert isinstance(first, Paragraph)
    assert first.text.startswith("Of the base case; ")
    assert second == stated


def test_page_has_the_hash_of_the_base_case_and_the_json_has_no_more_than_before() -> None:
    """Who keeps the page can tell which scenario it was; the provenance of the answer itself stays what it is."""
    answer = asked("batching.max_batch=4,8")
    (table,) = blocks_of(whatif_document(answer), "Where it comes from")
    assert isinstance(table, Table)
    assert dict(table.rows)["scenario hash (SHA-256)"] == answer.rows[answer.base].scenario_hash  # type: ignore[arg-type]
    assert answer.base == 1
    assert "scenario_hash" not in answer.provenance


def test_rows_hold_every_figure_and_every_difference() -> None:
    """To the digit, with the values of the varied keys in front; a refusal is a row with its reason."""
    answer = asked("traffic.arrivals.rate=100/s,300/s,4000/s")
    rows = list(csv.DictReader(csv_of(whatif_document(answer).figures).splitlines()))
    of_low = {row["name"]: row for row in rows if row["traffic.arrivals.rate"] == "100/s"}
    assert float(of_low["latency_ms.p50"]["value"]) == answer.rows[0].figures["latency_ms.p50"].value
    difference = answer.rows[0].differences["latency_ms.p50"]
    assert float(of_low["latency_ms.p50.difference"]["low"]) == difference.low
    (refused,) = [row for row in rows if row["traffic.arrivals.rate"] == "4000/s"]
    assert "is not below the capacity" in refused["why"]


def test_manifest_and_provenance_say_no_more_than_is_known() -> None:
    """The manifest is the answer's own; a sweep may vary calibrations, so the page claims none."""
    answer = asked("batching.max_batch=4,8")
    document = whatif_document(answer)
    assert answer.manifest is not None
    assert document.manifest == answer.manifest.to_json()
    assert "calibration" not in dict(document.sections[-1].blocks[0].rows)  # type: ignore[union-attr]
