"""A scenario whose files travel beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.errors import ScenarioError
from sim.scenario.identity import scenario_hash
from sim.scenario.load import load_scenario
from sim.scenario.lower import lower
from sim.scenario.portable import files_of, portable
from tests.sim.scenario import example


def test_scenario_without_files_stays_what_it_is() -> None:
    """There is nothing to carry."""
    assert files_of(example.scenario()) == {}
    assert portable(example.scenario(), Path("elsewhere")) == example.scenario().at(Path("elsewhere"))


def test_trace_and_calibrations_are_read_in_the_new_folder(tmp_path: Path) -> None:
    """With the content under the names that were given, it is the same question with the same tables."""
    version = {"name": "v2", "model": {"profile": str(example.DATA / "profile.json")}}
    content = {**example.content(), "horizon": {"duration": "1s"}, "versions": [{"name": "v1"}, version]}
    content["model"] = {"profile": str(example.DATA / "profile.json")}
    scenario = load_scenario(content, [example.trace("timestamps_seconds.csv", ", repeat: true")])
    files = files_of(scenario)
    assert len(files) == 2
    assert {Path(name).suffix for name in files} == {".csv", ".json"}
    for name, path in files.items():
        (tmp_path / name).write_bytes(path.read_bytes())
    moved = portable(scenario, tmp_path)
    assert moved.versions[1].model is not None
    assert {moved.model.profile, moved.versions[1].model.profile} < set(files)
    assert scenario_hash(moved) == scenario_hash(scenario)
    here, there = (lower(each, seed=0, warm_up_ns=0) for each in (scenario, moved))
    assert there.traffic.arrivals_ns.tolist() == here.traffic.arrivals_ns.tolist()
    assert (there.fleet, there.other_fleets) == (here.fleet, here.other_fleets)


def test_file_that_is_gone_is_one_sentence(tmp_path: Path) -> None:
    """It is read before anything travels."""
    path = tmp_path / "profile.json"
    path.write_bytes((example.DATA / "profile.json").read_bytes())
    scenario = load_scenario({**example.content(), "model": {"profile": str(path)}})
    path.unlink()
    with pytest.raises(ScenarioError, match="cannot be read: No such file or directory"):
        files_of(scenario)
