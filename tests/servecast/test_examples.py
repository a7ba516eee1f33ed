"""The scenarios that come with servecast."""

from __future__ import annotations

from pathlib import Path

import pytest

from servecast.errors import UsageError
from servecast.examples import EXAMPLES, example_path, scenario_source
from servecast.scenarios import load_scenario
from sim.engine.process_engine import run
from sim.outcome.measures import measure
from sim.outcome.quantiles import quantiles
from sim.scenario.lower import lower


def test_every_example_file_has_a_name() -> None:
    """No file is left out of the table, and no name is without its file."""
    folder = example_path("sentiment").parent
    assert {path.stem for path in folder.glob("*.yaml")} == set(EXAMPLES)


@pytest.mark.parametrize("name", list(EXAMPLES))
def test_example_loads_under_its_own_name(name: str) -> None:
    """Each example is a right scenario, and is called as its file is."""
    assert load_scenario(name).name == name


def test_file_goes_before_the_example_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's own file called `spike` is not hidden by the example."""
    monkeypatch.chdir(tmp_path)
    assert scenario_source("spike") == example_path("spike")
    (tmp_path / "spike").write_text("", encoding="utf-8")
    assert scenario_source("spike") == Path("spike")


def test_missing_file_is_taken_for_a_file_there_or_for_an_example(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file's ending is often left out, and often put behind an example's name; one's own file is meant first."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"sentiment\.yaml is neither .*: did you mean sentiment\?$"):
        scenario_source("sentiment.yaml")
    (tmp_path / "shop.yaml").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match=r"shop is neither .*: did you mean shop\.yaml\?$"):
        scenario_source("shop")
    (tmp_path / "sentiments.yaml").write_text("", encoding="utf-8")
    assert scenario_source("sentiment.yaml") == Path("sentiment.yaml")  # its reader suggests the file


def test_blocking_example_is_much_worse_than_the_same_load_in_a_process_of_its_own() -> None:
    """At 250 requests/s the blocked server is at 62 % of its capacity, else at 38 %: its p99 is more than twice."""
    p99_ms = []
    for blocking in (True, False):
        scenario = load_scenario("blocking", (f"front_end.blocking={str(blocking).lower()}", "horizon.duration=20s"))
        timeline = run(lower(scenario, seed=1, warm_up_ns=10**9))
        latencies_ns = measure(timeline, 10**9, 21 * 10**9).answered_latencies_ns
        p99_ms.append(float(quantiles(latencies_ns, (0.99,))[0]) / 1e6)
    blocked, beside = p99_ms
    assert blocked > 2 * beside
    assert beside < 30 < blocked, "the example's goal tells the two apart"
