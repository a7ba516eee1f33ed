"""The scenarios that come with servecast."""

from __future__ import annotations

from pathlib import Path

import pytest

from servecast.api import load_scenario
from servecast.examples import EXAMPLES, example_path, scenario_source


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
