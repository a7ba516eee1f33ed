"""A capacity as a report: the traffic that is scaled, the rates with their interval, the goals there."""

from __future__ import annotations

import csv
from dataclasses import replace

from sim.forecast.warnings import SCALED_TRACE, STRETCHED_TRACE
from sim.planner.traffic import Unknown
from sim.report.capacity_document import capacity_document
from sim.report.capacity_tables import capacity_notes
from sim.report.csv import csv_of
from sim.report.document import Paragraph, Table, Verdict
from sim.report.html import page_of
from sim.report.markdown import markdown_of
from sim.scenario.load import load_scenario
from tests.sim.report.conftest import PLAIN
from tests.sim.report.test_plan_tables import capacity


def test_report_asks_answers_and_tells_the_goals() -> None:
    """The scenario in words, goals and confidence; rates of fleet and replica; how the goals stand in fresh runs."""
    document = capacity_document(capacity(), command="servecast capacity shop")
    question = " ".join(document.question)
    assert "Requests come independently of each other (Poisson), 200/s." in question
    assert "up to which rate are the goals met (p99 at most 100 ms), each with 95 % confidence?" in question
    assert document.answer.headline.startswith("shop: the goals hold up to 200/s [190 .. 210/s]")
    assert document.answer.verdict == Verdict.PLAIN
    told = {each.name: (each.value, each.remark) for each in document.highlights}
    assert told["highest rate"] == ("200/s", "190 .. 210/s")
    assert told["for each of 2 replicas"] == ("100/s", "95.0 .. 105/s")
    sections = {each.title: each.blocks for each in document.sections}
    (rates,), (goals,) = sections["The rates"], sections["Each goal at 190/s, in fresh runs"]
    assert isinstance(rates, Table)
    assert isinstance(goals, Table)
    assert rates.rows[0] == ("fleet", "200/s", "190 .. 210/s", "250/s", "80.0 %")
    assert goals.rows == (("p99", "100 ms", "95.0 ms", "96.7 ms", "met"),)
    assert any(
        isinstance(block, Paragraph) and block.text.startswith("Runs of 60 s show too little")
        for block in sections["How it was found"]
    )
    assert "servecast capacity shop" in page_of(document)
    assert "| fleet | 200/s |" in markdown_of(document)


def test_what_more_traffic_of_a_trace_is_stands_in_the_notes() -> None:
    """That it is multiplied; and that a rate has stretched it, where one has."""
    found = capacity()
    plain = replace(found, provenance={**found.provenance, "trace": True, "stretched": False})
    moved = replace(found, provenance={**found.provenance, "trace": True, "stretched": True})
    assert SCALED_TRACE in list(capacity_notes(plain))
    assert STRETCHED_TRACE not in list(capacity_notes(plain))
    assert {SCALED_TRACE, STRETCHED_TRACE} <= set(capacity_notes(moved))


def test_what_is_not_known_is_said_with_the_answer() -> None:
    """The reason stands below the headline, and no rate is put forward."""
    unknown = Unknown(195.0, "at 195/s p999 is not known: 3 runs show too few", 2.0)
    document = capacity_document(capacity(rate_per_s=None, unknown=unknown))
    assert document.answer.verdict == Verdict.OPEN
    assert document.answer.sentences == ("Not known: at 195/s p999 is not known: 3 runs show too few.",)
    assert "highest rate" not in [each.name for each in document.highlights]


def test_one_replica_is_the_fleet() -> None:
    """Its rate is not told twice."""
    names = [each.name for each in capacity_document(capacity(replicas=1)).highlights]
    assert names == ["highest rate", "saturation", "its own traffic"]


def test_no_rate_is_bad_and_has_the_goals_at_next_to_no_traffic() -> None:
    """There is no table of rates then."""
    document = capacity_document(capacity(rate_per_s=None, low_per_s=None, high_per_s=None))
    assert document.answer.verdict == Verdict.BAD
    titles = [each.title for each in document.sections]
    assert titles[0] == "Each goal at next to no traffic"


def test_rows_are_those_of_the_table_to_the_digit() -> None:
    """The fleet, then a replica; what is not known is an empty cell."""
    document = capacity_document(capacity(rate_per_s=100 / 3))
    fleet, replica = csv.DictReader(csv_of(document.figures).splitlines())
    assert (fleet["of"], fleet["replicas"], replica["of"], replica["replicas"]) == ("fleet", "2", "replica", "1")
    assert float(fleet["rate_per_s"]) == 100 / 3
    assert float(replica["rate_per_s"]) == 100 / 3 / 2
    assert (float(replica["low_per_s"]), float(replica["saturation_per_s"])) == (95.0, 125.0)
    rows = csv.DictReader(csv_of(capacity_document(replace(capacity(), high_per_s=None)).figures).splitlines())
    assert [each["high_per_s"] for each in rows] == ["", ""]


def test_versions_have_no_rate_of_a_replica() -> None:
    """Each has a fleet and passes of its own: no row, no tile, no line of the CSV."""
    scenario = load_scenario({**PLAIN, "versions": [{"name": "v1"}, {"name": "v2", "weight": "10%"}]})
    found = capacity(scenario=scenario, provenance={**capacity().provenance, "spare": 1})
    document = capacity_document(found)
    assert [each.name for each in document.highlights] == ["highest rate", "saturation", "its own traffic"]
    (rates,) = next(each.blocks for each in document.sections if each.title == "The rates")
    assert isinstance(rates, Table)
    assert [cells[0] for cells in rates.rows] == ["fleet"]
    assert [each["of"] for each in csv.DictReader(csv_of(document.figures).splitlines())] == ["fleet"]
    assert "With 1 spare down." in list(capacity_notes(found))


def test_saturation_is_explained_wherever_it_is_told() -> None:
    """The share of it only where there is one: without a rate that is known it is a dash, or no table at all."""
    share = "The share of it is what the highest rate is of that."
    first = next(capacity_notes(capacity()))
    assert first.startswith("Saturation: the rate that full batches on all replicas would just take")
    assert first.endswith(share)
    for found in (capacity(rate_per_s=None), capacity(rate_per_s=None, low_per_s=None, high_per_s=None)):
        first = next(capacity_notes(found))
        assert first.startswith("Saturation: ")
        assert share not in first
