"""What makes a result again: whole in itself, and refused where it is not what it was."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sim.errors import ScenarioError
from sim.forecast.manifest import MANIFEST_VERSION, Manifest, manifest_of, unlike_conditions
from sim.scenario.identity import resolved, scenario_hash
from sim.scenario.spec import Scenario
from tests.sim.scenario.example import DATA, calibrated, scenario, trace

TRACED = trace("azure_llm.csv", ", repeat: true")


def manifest(of: Scenario, **changes: Any) -> Manifest:
    """Return the manifest of a forecast."""
    return manifest_of(of, **{"command": "forecast", "seed": 7, "runs": 4, **changes})


def told(of: Scenario) -> dict[str, Any]:
    """Return it as it stands in a saved result."""
    content = json.loads(json.dumps(manifest(of).to_json(), allow_nan=False))
    assert isinstance(content, dict)
    return content


def test_manifest_tells_command_scenario_dice_and_conditions() -> None:
    """All that one needs to get the result again, and to doubt it."""
    content = told(scenario())
    assert content["version"] == MANIFEST_VERSION
    assert (content["command"], content["seed"], content["runs"], content["options"]) == ("forecast", 7, 4, {})
    assert content["scenario_hash"] == scenario_hash(scenario())
    assert content["scenario"]["batching"]["timer_origin"] == "enqueue"
    assert {"servecast", "numpy", "scipy", "simpy", "numba"} <= content["versions"].keys()
    assert content["host"].keys() == {"platform", "cpu", "cpu_count"}


def test_options_of_other_commands_are_carried() -> None:
    """A command whose runs are no number of its own says so, and what else decides its result."""
    varied = manifest(scenario(), command="whatif", runs=None, options={"set": ["batching.max_batch=4,8"]})
    assert Manifest.from_json(varied.to_json(), "here") == varied


@pytest.mark.parametrize("of", [scenario(), calibrated(), scenario(TRACED)], ids=["plain", "calibrated", "traced"])
def test_scenario_comes_out_as_it_went_in(of: Scenario, tmp_path: Path) -> None:
    """Through JSON and back, with its files, it is the same question: by content, whatever the folder."""
    again = Manifest.from_json(told(of), "here").scenario_in(tmp_path)
    assert resolved(again) == resolved(of)
    assert manifest(again) == manifest(of)


def test_calibration_and_short_trace_are_held_and_not_their_folders() -> None:
    """What is published with a result makes it again, and says nothing of the machine it was made on."""
    for of in (calibrated(), scenario(TRACED)):
        (file,) = told(of)["files"].values()
        assert file["content"] == (DATA / file["name"]).read_text()
        assert str(DATA) not in json.dumps(told(of))


@pytest.fixture
def long_trace(tmp_path: Path) -> Path:
    """A trace that is too long to be held."""
    path = tmp_path / "long.csv"
    path.write_text("timestamp\n" + "".join(f"{second / 100:.2f}\n" for second in range(20_000)))
    return path


def test_long_trace_is_named_by_path_and_hash(long_trace: Path, tmp_path: Path) -> None:
    """It is found where it lay; nothing is copied."""
    content = told(scenario(f"traffic.arrivals={{process: trace, file: '{long_trace}'}}"))
    (file,) = content["files"].values()
    assert file.keys() == {"name", "hash", "path"}
    assert Manifest.from_json(content, "here").scenario_in(tmp_path).path_of("x").parent == Path()


def test_trace_that_has_changed_or_gone_is_refused(long_trace: Path, tmp_path: Path) -> None:
    """Its figures would be those of another trace."""
    kept = manifest(scenario(f"traffic.arrivals={{process: trace, file: '{long_trace}'}}"))
    long_trace.write_text(long_trace.read_text() + "200.0\n")
    with pytest.raises(ScenarioError, match=r"long\.csv is not the file .*: its content has changed\.$"):
        kept.scenario_in(tmp_path / "folder")
    long_trace.unlink()
    with pytest.raises(ScenarioError, match=r"long\.csv cannot be read: No such file or directory\.$"):
        kept.scenario_in(tmp_path / "folder")


def test_calibration_that_was_edited_is_refused(tmp_path: Path) -> None:
    """The content that a manifest holds must be that of its hash."""
    kept = manifest(calibrated())
    (key, file), *_ = kept.files.items()
    edited = replace(file, content=(file.content or "").replace("8", "9"))
    with pytest.raises(ScenarioError, match=r"^profile\.json in the manifest is not as it was"):
        replace(kept, files={key: edited}).scenario_in(tmp_path)


def test_scenario_that_was_edited_is_refused(tmp_path: Path) -> None:
    """A number changed by hand gives other figures, which nothing in the code would explain."""
    kept = manifest(scenario())
    edited = replace(kept, scenario={**kept.scenario, "batching": {"max_batch": 9}})
    with pytest.raises(ScenarioError, match="is not the one of its scenario_hash"):
        edited.scenario_in(tmp_path)


def test_scenario_of_another_servecast_may_have_another_hash(tmp_path: Path) -> None:
    """A later one knows more keys, and so more defaults: whether the figures are the same is then to be seen."""
    kept = manifest(scenario())
    older = replace(kept, scenario_hash="0" * 64, versions={**kept.versions, "servecast": "0.0.9"})
    assert resolved(older.scenario_in(tmp_path)) == resolved(scenario())


@pytest.mark.parametrize("name", ["../../outside.json", "/outside.json", "..", ""])
def test_file_is_never_put_outside_its_folder(name: str, tmp_path: Path) -> None:
    """A manifest comes from anywhere; the names in it lead nowhere else."""
    kept = manifest(calibrated())
    (key, file), *_ = kept.files.items()
    place = tmp_path / "inner"
    place.mkdir()
    assert resolved(replace(kept, files={key: replace(file, name=name)}).scenario_in(place)) == resolved(calibrated())
    assert list(tmp_path.iterdir()) == [place]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": "servecast-manifest/0"}, r"^r\.json must .* version servecast-manifest/1\. Got servecast-manif"),
        ({"version": None}, r"^r\.json must hold a manifest of the version servecast-manifest/1\. Got nothing: "),
        ({"seed": "7"}, r"^The manifest in r\.json is not right: seed must be a whole number\. Got '7'\.$"),
        (
            {"seed": -1},
            r"^The manifest in r\.json is not right: seed must be from 0 to [0-9]+\. Got -1\.$",
        ),
        ({"runs": -3}, r"^The manifest in r\.json is not right: runs must be from 2 to 10000\. Got -3\.$"),
        ({"runs": 10_001}, r"runs must be from 2 to 10000\. Got 10001\.$"),
        ({"host": 5}, r"^The manifest in r\.json is not right: host must be a mapping of keys\. Got 5\.$"),
        (
            {"files": {"model.profile": {"name": "x"}}},
            r"is not right: files\.model\.profile\.hash is missing: it has no default\.$",
        ),
        ({"files": {"model.profile": [1]}}, r"files\.model\.profile must be a mapping of keys\. Got \[1\]\.$"),
        ({"options": {"a": object()}}, r"^The manifest in r\.json is not right: it must hold what JSON can\.$"),
    ],
)
def test_what_is_no_manifest_of_ours_is_refused(change: dict[str, Any], words: str) -> None:
    """In one sentence, with the place it came from."""
    with pytest.raises(ScenarioError, match=words):
        Manifest.from_json({**told(scenario()), **change}, "r.json")


@pytest.mark.parametrize("content", [[1], "x", 5, None])
def test_manifest_that_is_no_mapping_is_refused(content: Any) -> None:
    """As anything else that is none."""
    with pytest.raises(ScenarioError, match=r"^The manifest in r\.json must be a mapping of keys\. Got "):
        Manifest.from_json(content, "r.json")


def test_key_that_is_missing_is_named() -> None:
    """In our words, not in those of what checks it."""
    content = told(scenario())
    del content["scenario_hash"]
    with pytest.raises(ScenarioError, match=r"is not right: scenario_hash is missing: it has no default\.$"):
        Manifest.from_json(content, "r.json")


def test_file_of_a_key_that_the_scenario_lacks_is_refused(tmp_path: Path) -> None:
    """Files stand under keys of the scenario."""
    kept = manifest(calibrated())
    (file,) = kept.files.values()
    with pytest.raises(ScenarioError, match=r"^The manifest names a file as versions\.3\.model\.profile, and its scen"):
        replace(kept, files={"versions.3.model.profile": file}).scenario_in(tmp_path)


def test_conditions_that_differ_are_told() -> None:
    """Versions and hosts, each with both values, and nothing where they are alike."""
    now = manifest(scenario())
    then = replace(now, versions={**now.versions, "numpy": "1.0"}, host={**now.host, "cpu": "Z80"})
    assert unlike_conditions(then, now) == [
        f"numpy 1.0 and {now.versions['numpy']}",
        f"host's cpu Z80 and {now.host['cpu']}",
    ]
    assert unlike_conditions(now, now) == []
