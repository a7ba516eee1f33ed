"""What-if as a report."""

from __future__ import annotations

import csv

from sim.report.csv import csv_of
from sim.report.document import Verdict
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
    assert document.answer.verdict == Verdict.GOOD
    page, text = page_of(document), markdown_of(document)
    assert "<svg " in page
    assert "is not below the capacity" in text
    assert "servecast whatif shop" in page


def test_report_without_a_picture_of_so_many_keys_has_the_rest() -> None:
    """Three keys in a grid are a table alone."""
    document = whatif_document(asked("batching.max_batch=4,8", "batching.max_wait=0ms,2ms", "queue.cap=32,64"))
    assert [section.title for section in document.sections] == ["The configurations", "Where it comes from"]


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
