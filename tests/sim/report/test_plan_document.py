"""A plan as a report: the question, the answer, what less latency costs, and a row for each configuration."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from typing import Any

import pytest

from sim.forecast.estimates import Figure, mean_of_runs
from sim.planner.edges import Edge
from sim.planner.grid import Axis
from sim.planner.headroom import Headroom
from sim.planner.plan_result import Looked, Plan
from sim.planner.search import State
from sim.planner.verdicts import upper_end
from sim.report.csv import csv_of
from sim.report.document import Code, Document, Image, Verdict
from sim.report.html import page_of
from sim.report.markdown import markdown_of
from sim.report.plan_document import plan_document
from sim.scenario.load import load_scenario
from tests.sim.report.conftest import PLAIN
from tests.sim.report.test_plan_tables import P99, plan, row

COUNTS = tuple(str(count) for count in range(1, 21))


def asked(**changes: Any) -> Plan:
    """Return a plan that varied the replicas and the batch size."""
    axes = (Axis("fleet.replicas", COUNTS), Axis("batching.max_batch", ("4", "8")))
    fleets = [(replicas, size) for replicas in COUNTS for size in (4, 8)]
    scenarios = tuple(
        load_scenario({**PLAIN, "fleet": {"replicas": int(replicas)}, "batching": {"max_batch": size}})
        for replicas, size in fleets
    )
    return replace(plan(axes=axes, scenarios=scenarios), **changes)


def section(document: Document, title: str) -> tuple[Any, ...]:
    """Return the blocks of a section."""
    return next(each.blocks for each in document.sections if each.title == title)


def test_question_tells_what_all_share_and_what_varies() -> None:
    """The first configuration's one replica and batch of 4 are no part of it; goals and confidence are."""
    question = " ".join(plan_document(asked()).question)
    assert "Requests come independently of each other (Poisson), 200/s." in question
    assert "replica serve" not in question
    assert "share a pass" not in question
    assert "fleet.replicas may be 1, 2 … 20 (20 values). batching.max_batch may be 4 or 8." in question
    assert (
        "meets the goals (p99 at most 100 ms and refused at most 1 %), each with 95 % confidence? The cost is that of "
        "the measured time, in EUR."
    ) in question


def test_page_has_the_command_that_goes_on() -> None:
    """It writes the answer as files; without an answer there is nothing to write."""
    (_, command) = section(plan_document(asked(), scenario="my shop.yaml"), "To go on")
    assert command == Code("servecast export 'my shop.yaml' --set fleet.replicas=2 --to kubernetes --output deploy")
    assert "To go on" not in [each.title for each in plan_document(asked(chosen=None)).sections]


def test_answer_comes_with_cost_goals_edges_and_headroom() -> None:
    """In the sentences of the text report; the figures that are read first have their ends."""
    document = plan_document(asked(edges=(Edge("fleet.replicas", "2", is_smallest=True),)))
    assert document.answer.verdict == Verdict.GOOD
    assert document.answer.headline.startswith("shop: the cheapest that meets the goals is fleet.replicas=2: 4.00 EUR")
    said = " ".join(document.answer.sentences)
    for part in (
        "p99 is the goal nearest its limit",
        "smallest value given",
        "the goals are met up to 1.20 times the traffic, and missed from 1.40 times on",
        "1 replica down",
    ):
        assert part in said
    told = {each.name: (each.value, each.remark) for each in document.highlights}
    assert told["cost of 2 h"] == ("4.00 EUR", "2.00 EUR/h")
    assert told["p99"] == ("80.0 ms", "at most 81.7 ms; the goal is 100 ms")
    assert told["traffic may be"] == ("1.30 times", "1.20 .. 1.40")


def test_interval_of_a_cost_is_no_part_of_what_stands_large() -> None:
    """It is a remark, as those of all other figures; hours of devices have no price by the hour."""
    priced = replace(row(2, 80.0, State.CONFIRMED), figures={**row(2, 80.0, State.CONFIRMED).figures})
    priced.figures["cost"] = priced.figures["gpu_hours"] = mean_of_runs([3.9, 4.0, 4.1])
    ends = "3.75 .. 4.25"
    for unit, remark in (("EUR", f"{ends}; 2.00 EUR/h"), ("GPU hours", ends)):
        first = plan_document(asked(rows=(priced,), chosen=0, runners_up=(), frontier=(), unit=unit)).highlights[0]
        assert (first.name, first.value, first.remark) == ("cost of 2 h", f"4.00 {unit}", remark)


def test_headroom_that_is_not_known_is_what_is_met() -> None:
    """No value is told where the runs tell none."""
    headroom = Headroom(1.1, None, 1.3, None, (), 4.0, "too few")
    assert plan_document(asked(headroom=headroom)).highlights[-1].value == "at least 1.10 times"


def test_sections_hold_goals_tables_picture_and_how_it_was_found() -> None:
    """The tables are those of the text; the picture says in words what it shows; costs of the search stand below."""
    document = plan_document(asked())
    goals = section(document, "Each goal, in the answer")[0]
    assert goals.rows[0] == ("p99", "100 ms", "80.0 ms", "81.7 ms", "met")
    table, marked = section(document, "The answer and what comes next")
    caption = "The answer, the next cheapest looked at that seem to meet the goals and what less latency costs (*)"
    assert table.caption == caption
    assert [cells[0] for cells in table.rows] == ["2", "1", "3"]
    assert marked.text == "*: nothing that is known to keep the goals is cheaper and faster."
    (picture,) = section(document, "Cost against p99")
    assert isinstance(picture, Image)
    assert picture.alt.endswith("what nothing beats has a p99 of 150 ms for 2.00 EUR to 60.0 ms for 6.00 EUR.")
    how = section(document, "How it was found")
    assert "a note." in [block.text for block in how[:-1]]
    assert how[-1].rows == (("search", "500 000"), ("confirmation", "500 000"))
    assert [each.title for each in document.sections[-2:]] == ["How right the model is", "Where it comes from"]
    page = page_of(document)
    assert "<svg " in page
    assert "<script" not in page  # the hostile name of the scenarios is not told, that of the plan is shop
    assert "| 2 | 4.00 | 80.0 ms |" in markdown_of(document)


def test_open_dots_are_open_on_dark_paper_too() -> None:
    """The picture has the page's colours alone: a white dot would look like one that is filled there."""
    page = page_of(plan_document(asked(frontier=(1, 2))))
    assert set(re.findall(r"(?:fill|stroke): (#\w+|white|black)", page)) == set()


def test_infeasible_tells_the_closest_and_where_its_limit_lies() -> None:
    """Its goals, one of them missed, and no figure is put forward as if it were the answer's."""
    document = plan_document(asked(chosen=None, closest=0, runners_up=(), headroom=None))
    assert document.answer.verdict == Verdict.BAD
    assert document.answer.headline.endswith("; the limit is 100 ms.")
    assert document.highlights == ()
    goals = section(document, "Each goal, in the closest")[0]
    assert [cells[-1] for cells in goals.rows] == ["missed", "met"]
    table, marked = section(document, "The closest")
    assert table.caption == "The closest and what less latency costs (*)"
    assert marked.text == "*: nothing that is looked at is cheaper and faster."
    assert table.rows[0][0] == "1"


def test_plan_without_any_figures_is_a_page_all_the_same() -> None:
    """Arithmetic excludes everything: there is nothing to draw and no row."""
    none = asked(rows=(), chosen=None, runners_up=(), frontier=(), headroom=None, excluded_why="a pass takes 9 ms")
    document = plan_document(none)
    assert document.answer.headline.endswith("by arithmetic alone: a pass takes 9 ms.")
    titles = [each.title for each in document.sections]
    assert titles == ["How it was found", "How right the model is", "Where it comes from"]
    assert "<svg" not in page_of(document)
    assert csv_of(document.figures).startswith("fleet.replicas,batching.max_batch,state,confirmed,")


def test_share_that_stands_in_for_a_quantile_is_told_with_what_it_may_be() -> None:
    """The goal's row is about the share of answers that are slower, not about a p99 that is not known."""
    figures = {
        P99: Figure(None, why="too few"),
        "beyond_goal.p99_share": mean_of_runs([0.004, 0.005, 0.006]),
        "refused_share": mean_of_runs([0.0, 0.0, 0.001]),
    }
    changed = replace(row(2, 80.0, State.CONFIRMED), figures=figures)
    document = plan_document(asked(rows=(changed,), chosen=0, runners_up=(), frontier=()))
    goals = section(document, "Each goal, in the answer")[0]
    assert goals.rows[0] == ("slower than 100 ms (p99)", "1 %", "0.500 %", "0.669 %", "met")
    assert "Cost against p99" not in [each.title for each in document.sections]
    (told,) = csv.DictReader(csv_of(document.figures).splitlines())
    assert (told[P99], told[f"{P99}.upper"], told[f"{P99}.why"]) == ("", "", "too few")


def test_rows_hold_a_configuration_each_to_the_digit() -> None:
    """Varied values, state, cost and every figure with its ends; keys that change together have a column each."""
    axes = (Axis("fleet.replicas+queue.cap", ("1+32", "2+64")),)
    found = asked(axes=axes)
    rows = list(csv.DictReader(csv_of(plan_document(found).figures).splitlines()))
    assert ",".join(rows[0]).startswith(
        "fleet.replicas,queue.cap,state,confirmed,runs,cost,cost.low,cost.high,cost.least,unit,why,latency_ms.p99,"
    )
    assert [each["fleet.replicas"] for each in rows] == ["1", "2", "3"]
    assert [each["state"] for each in rows] == [each.state.value for each in found.rows]
    assert [each["confirmed"] for each in rows] == ["false", "true", "false"]
    figure = found.rows[1].figures[P99]
    told = [float(rows[1][f"{P99}{end}"]) for end in ("", ".low", ".high", ".upper")]
    assert told == [figure.value, figure.low, figure.high, upper_end(figure, 0.95)]
    assert float(rows[2]["cost"]) == found.rows[2].cost


def test_configurations_without_figures_have_a_row_too() -> None:
    """With its state, and its cost as far as it is known: exact, at least, or by the one run that there is."""
    none = {"fleet.replicas": "9"}
    looked = (
        Looked(2, {"fleet.replicas": "2"}, State.CONFIRMED, 3, 4.0, True, 4.0, ""),
        Looked(9, none, State.EXCLUDED, 0, 18.0, True, 18.0, "a pass takes 9 ms"),
        Looked(10, none, State.DEARER, 0, 5.0, False, None, ""),
        Looked(11, none, State.DEARER, 1, 5.0, False, 6.5, ""),
    )
    found = asked(looked=looked)
    rows = list(csv.DictReader(csv_of(plan_document(found).figures).splitlines()))
    assert len(rows) == len(found.rows) + 3
    assert rows[1]["cost.least"] == "4.0"
    costs = [tuple(each[f"cost{end}"] for end in ("", ".low", ".high", ".least")) for each in rows[3:]]
    assert costs == [("18.0", "18.0", "18.0", "18.0"), ("", "", "", "5.0"), ("6.5", "", "", "5.0")]
    assert [(each["state"], each["runs"]) for each in rows[3:]] == [
        ("excluded by arithmetic", "0"),
        ("costs more", "0"),
        ("costs more", "1"),
    ]
    assert rows[3]["why"] == "a pass takes 9 ms"
    assert {each[P99] for each in rows[3:]} == {""}


def test_doubt_stands_with_the_answer() -> None:
    """On the page too, before what binds; it is no note of how it was found."""
    document = plan_document(asked(doubt="1 cheaper configuration may meet the goals."))
    assert document.answer.sentences[0] == "1 cheaper configuration may meet the goals."
    how = section(document, "How it was found")
    assert "1 cheaper configuration may meet the goals." not in [block.text for block in how[:-1]]


def test_no_picture_of_what_nothing_beats_without_the_answer() -> None:
    """The answer has no p99: it may be cheaper than all that are drawn."""
    assert "Cost against p99" not in [each.title for each in plan_document(asked(frontier=())).sections]


@pytest.mark.parametrize("confidence", [0.9, 0.99])
def test_ends_are_those_of_the_confidence_that_was_asked_for(confidence: float) -> None:
    """Not of 95 % whatever was asked."""
    document = plan_document(asked(confidence=confidence))
    goals = section(document, "Each goal, in the answer")[0]
    assert goals.columns[3].head == f"its upper end, {100 * confidence:g} %"
    assert goals.rows[0][3] != "81.7 ms"
