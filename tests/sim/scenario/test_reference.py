"""The reference page: committed as it is made, and complete."""

from __future__ import annotations

import re
from pathlib import Path

from sim.scenario.reference import scenario_reference
from sim.scenario.spec import Scenario
from tests.sim.scenario.test_spec import sections

COMMITTED = Path(__file__).parents[3] / "docs" / "scenario.md"


def test_committed_page_is_the_current_one() -> None:
    """docs/scenario.md is what scenario_reference() returns."""
    assert COMMITTED.read_text(encoding="utf-8") == scenario_reference()


def test_every_key_has_a_row() -> None:
    """Whatever can be written in a scenario is on the page."""
    rows = set(re.findall(r"^\| `(\w+)` \|", scenario_reference(), flags=re.MULTILINE))
    keys = {key for model in sections(Scenario) for key in model.model_fields} - {"process", "distribution"}
    assert rows == keys


def test_rows_tell_unit_range_and_default() -> None:
    """One row of each sort, in full."""
    page = scenario_reference()
    assert "| `max_wait` | time | from 0s to 31d | `0ms` | How long a batch" in page
    assert "| `max_batch` | whole number | from 1 to 1000000 | required | The most" in page
    assert "| `freeze` | name | pull, timer | `pull` |" in page
    assert "| `refused` | percentage | from 0% to 100% |  | Share" in page
    assert "| `jitter` | true or false |  | `true` |" in page
    assert "| `timeout` | time, or a [distribution](#distributions) | from 0s to 31d |  |" in page


def test_links_lead_to_headings() -> None:
    """Every link of the page has its heading."""
    page = scenario_reference()
    headings = re.findall(r"^#+ (.+)$", page, flags=re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}
    links = set(re.findall(r"\]\(#([^)]+)\)", page))
    assert len(links) > 10
    assert links <= anchors
