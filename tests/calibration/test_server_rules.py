"""Tests of calibration/server_rules.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from calibration.errors import BadSamples
from calibration.server_rules import require_same_rules
from sim.scenario.load import load_scenario

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


def test_calibration_of_another_model_is_refused(tmp_path: Path) -> None:
    """A profile that was fitted to another scenario's server says nothing of this one."""
    source = Path(__file__).parents[1] / "data" / "profile.json"
    profile = json.loads(source.read_text())
    (tmp_path / "profile.json").write_text(json.dumps(profile | {"name": "another"}))
    scenario = load_scenario(SCENARIO | {"model": {"profile": str(tmp_path / "profile.json")}})
    with pytest.raises(BadSamples, match="The calibration was fitted to another, and the server at"):
        require_same_rules(URL, CONFIG, scenario)
