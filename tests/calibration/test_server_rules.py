"""Tests of calibration/server_rules.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from calibration.errors import BadSamples
from calibration.server_rules import changes, identity_of, require_same_rules
from reference_server.settings import in_words
from servecast.commands.serve import server_settings
from sim.scenario.load import load_scenario
from sim.scenario.spec import Scenario

URL = "http://127.0.0.1:1"
SCENARIO = {
    "name": "known",
    "traffic": {"arrivals": {"process": "poisson", "rate": "100/s"}},
    "model": {"pass_time": {"base": "8ms", "per_item": "0.5ms"}},
    "batching": {"max_batch": 8, "max_wait": "5ms", "preferred_sizes": [4]},
    "queue": {"cap": 16},
}
CONFIG: dict[str, Any] = {
    "name": "known",
    "instances": 1,
    "batching": {
        "max_batch": 8,
        "max_wait_ns": 5_000_000,
        "timer_origin": "enqueue",
        "freeze": "pull",
        "collector": "dispatcher",
        "slots": 1,
        "preferred_sizes": [4],
    },
    "queue": {"cap": 16, "deadline_ns": None},
    "backend": "emulated",
    "timer": "timerfd",
}


def test_same_rules_pass() -> None:
    """What only a server has (backend, timer) is not compared."""
    require_same_rules(URL, CONFIG, load_scenario(SCENARIO))


@pytest.mark.parametrize(
    ("section", "key", "value", "said"),
    [
        (None, "name", "other", "runs with name other, and the scenario says known"),
        (None, "instances", 2, "instances 2, and the scenario says 1"),
        ("batching", "max_batch", 4, "batching.max_batch 4, and the scenario says 8"),
        ("batching", "max_wait_ns", 0, "batching.max_wait_ns 0"),
        ("batching", "timer_origin", "window", "timer_origin window"),
        ("batching", "preferred_sizes", [], "preferred_sizes"),
        ("queue", "cap", None, "queue.cap None, and the scenario says 16"),
        ("queue", "deadline_ns", 5, "queue.deadline_ns 5"),
    ],
)
def test_first_difference_is_named(section: str | None, key: str, value: object, said: str) -> None:
    """A forecast of other rules would be checked against the wrong server: one sentence says which rule differs."""
    config = json.loads(json.dumps(CONFIG))
    (config if section is None else config[section])[key] = value
    with pytest.raises(BadSamples, match=said) as error:
        require_same_rules(URL, config, load_scenario(SCENARIO))
    assert "\n" not in str(error.value)


def test_setting_that_the_server_does_not_tell_is_a_difference() -> None:
    """A server of another make, without these words, is not taken for the same."""
    with pytest.raises(BadSamples, match="runs with"):
        require_same_rules(URL, {"name": "known"}, load_scenario(SCENARIO))


def _with_profile(folder: Path, **changes: object) -> Scenario:
    """Return the scenario with a calibration in which some things are other."""
    source = Path(__file__).parents[1] / "data" / "profile.json"
    content = json.loads(source.read_text()) | {"name": "known"} | changes
    (folder / "profile.json").write_text(json.dumps(content))
    return load_scenario(SCENARIO | {"model": {"profile": str(folder / "profile.json")}})


@pytest.mark.parametrize(
    ("fitted", "served", "said"),
    [
        ({"backend": "emulated"}, {"backend": "torch"}, "a model with backend emulated, and the server at .* torch"),
        ({"weights_sha256": "a"}, {"weights_sha256": "b"}, "with weights_sha256 a, .* runs one with weights_sha256 b"),
        (
            {"settings_sha256": "a" * 64},
            {"settings_sha256": "b" * 64},
            "settings_sha256 aaaaaaaaaaaa, .* bbbbbbbbbbbb: ",
        ),
        (
            {"factory": "m:f"},
            {"factory": None, "x": 1},
            "with factory m:f, .* with factory None: calibrate that server",
        ),
    ],
)
def test_calibration_of_other_weights_is_refused(
    tmp_path: Path, fitted: dict[str, object], served: dict[str, object], said: str
) -> None:
    """The name may be the same and the model another: file and server tell what they hold, and must agree."""
    with pytest.raises(BadSamples, match=said) as error:
        require_same_rules(URL, CONFIG | {"model": served}, _with_profile(tmp_path, model=fitted))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("fitted", "served"), [({}, {"backend": "torch"}), ({"a": 1}, {"a": 1}), ({"a": 1}, None)])
def test_model_that_both_tell_alike_or_one_not_at_all_passes(
    tmp_path: Path, fitted: dict[str, object], served: dict[str, object] | None
) -> None:
    """A file made by hand, and a server of another make, say nothing of it."""
    require_same_rules(URL, CONFIG | {"model": served}, _with_profile(tmp_path, model=fitted))


@pytest.mark.parametrize(
    ("serve_with", "config", "said"),
    [
        ("minilm", {"backend": "emulated"}, "runs emulated, and the scenario says model.serve_with minilm"),
        ("my:make", {"backend": "torch", "model": {"serve_with": "minilm"}}, "runs minilm, and the scenario says"),
    ],
)
def test_server_of_another_model_than_the_scenario_names_is_refused(
    serve_with: str, config: dict[str, object], said: str
) -> None:
    """Its times would be written down as those of the model that the scenario names."""
    model = {"serve_with": serve_with, "pass_time": {"base": "1ms"}}
    with pytest.raises(BadSamples, match=said):
        require_same_rules(URL, CONFIG | config, load_scenario(SCENARIO | {"model": model}))


@pytest.mark.parametrize(
    ("serve_with", "config"),
    [
        ("minilm", {"backend": "torch", "model": {"factory": "anywhere:minilm"}}),
        ("my:make", {"backend": "torch", "model": {"serve_with": "my:make"}}),
        ("my:make", {"backend": "torch"}),
        ("emulated", {"backend": "own.module:Backend"}),
    ],
)
def test_server_that_may_run_the_model_passes(serve_with: str, config: dict[str, object]) -> None:
    """A scenario that names no model describes any server."""
    model = {"serve_with": serve_with, "pass_time": {"base": "8ms", "per_item": "0.5ms"}}
    require_same_rules(URL, CONFIG | config, load_scenario(SCENARIO | {"model": model}))


def test_identity_is_the_model_and_a_hash_of_the_rules() -> None:
    """Two servers of one model are one identity; other rules have another hash, whatever else differs."""
    first = CONFIG | {"model": {"backend": "emulated"}, "run_id": "a"}
    identity = identity_of({"one": first, "two": first | {"run_id": "b"}})
    assert identity["model"] == {"backend": "emulated"}
    other_rules = first | {"queue": {"cap": 17, "deadline_ns": None}}
    hashes = {identity_of({"one": config})["rules_sha256"] for config in (first, first | {"timer": "x"}, other_rules)}
    assert len(hashes) == 2
    assert identity["rules_sha256"] in hashes
    assert identity_of({"one": {}})["model"] == {}


def test_processes_of_different_models_are_no_one_server() -> None:
    """A fit over both would be of neither."""
    configs = {"one": {"model": {"weights_sha256": "a"}}, "two": {"model": {"weights_sha256": "b"}}}
    with pytest.raises(
        BadSamples, match="different models: the first says weights_sha256 a, the other weights_sha256 b"
    ):
        identity_of(configs)


def test_calibration_of_another_model_is_refused(tmp_path: Path) -> None:
    """A profile that was fitted to another scenario's server says nothing of this one."""
    source = Path(__file__).parents[1] / "data" / "profile.json"
    profile = json.loads(source.read_text())
    (tmp_path / "profile.json").write_text(json.dumps(profile | {"name": "another"}))
    scenario = load_scenario(SCENARIO | {"model": {"profile": str(tmp_path / "profile.json")}})
    with pytest.raises(BadSamples, match="The calibration was fitted to another, and the server at"):
        require_same_rules(URL, CONFIG, scenario)


@pytest.mark.parametrize(
    ("after", "said"),
    [
        ({}, []),
        ({"run_id": "b"}, ["it was started anew"]),
        (
            {"run_id": "b", "queue": {"cap": 9, "deadline_ns": None}},
            ["it was started anew", "queue.cap was 16 and is 9"],
        ),
        ({"model": {"backend": "torch"}}, ["model.backend was None and is torch"]),
        ({"front_end_cores": [0]}, []),
        ({"timer": None}, ["timer was timerfd and is None"]),
    ],
)
def test_what_changed_between_two_answers_is_named(after: dict[str, Any], said: list[str]) -> None:
    """A restart and each setting that differs, whichever of the two answers tells it. Where it runs is no setting."""
    before = CONFIG | {"run_id": "a"}
    assert changes(before, before | after) == said


def test_many_changes_are_cut_to_a_few() -> None:
    """Another server altogether still makes one sentence."""
    assert len(changes(CONFIG, {})) == 3


SEVERAL: dict[str, Any] = {
    **SCENARIO,
    "versions": [{"name": "v1"}, {"name": "v2", "role": "canary", "weight": "10%", "fleet": {"replicas": 2}}],
    "rollout": {"steps": [{"weight": "50%"}]},
    "split": {"salt": 3},
}


def told_of_several() -> dict[str, Any]:
    """Return what a server of these versions says of itself."""
    settings = server_settings(load_scenario(SEVERAL), host="127.0.0.1", port=0, seed=0, timeline_file=None)
    return dict(json.loads(json.dumps(in_words(settings))))


def test_versions_of_a_server_are_those_of_the_scenario() -> None:
    """Fleets, weights, rollout and salt, as `servecast serve` tells them."""
    require_same_rules(URL, told_of_several(), load_scenario(SEVERAL))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"versions": [{"name": "v1"}, {"name": "v2", "role": "canary", "weight": "10%"}]}, "versions.1.replicas 2"),
        ({"rollout": {"steps": [{"weight": "60%"}]}}, "shares.rollout.steps.0.weight 5000, and the scenario says 6000"),
        ({"rollout": None}, "runs with a rollout, and the scenario says none"),
        ({"split": {"salt": 4}}, "salt 3, and the scenario says 4"),
    ],
)
def test_other_versions_are_named(change: dict[str, Any], said: str) -> None:
    """The first difference."""
    scenario = load_scenario({**SEVERAL, **change})
    with pytest.raises(BadSamples) as error:
        require_same_rules(URL, told_of_several(), scenario)
    assert said in str(error.value)
