"""The published JSON Schema: valid itself, committed as it is, and in agreement with load_scenario."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from sim.errors import SimError
from sim.scenario.load import load_scenario
from sim.scenario.overrides import with_overrides
from sim.scenario.schema import scenario_schema
from tests.sim.scenario.example import DATA, content

COMMITTED = Path(__file__).parents[3] / "docs" / "scenario.schema.json"


def validator() -> Draft202012Validator:
    """Return a validator of the schema."""
    return Draft202012Validator(scenario_schema())


def test_schema_is_a_schema() -> None:
    """It obeys the draft that it names."""
    schema = scenario_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)
    assert schema["required"] == ["traffic", "model", "batching"]


def test_committed_schema_is_the_current_one() -> None:
    """docs/scenario.schema.json is what scenario_schema() returns; json.dumps(..., indent=2) writes it."""
    assert json.loads(COMMITTED.read_text(encoding="utf-8")) == scenario_schema()


def test_defaults_stand_there_as_a_user_writes_them() -> None:
    """60s and not 60000000000."""
    assert scenario_schema()["$defs"]["Horizon"]["properties"]["duration"]["default"] == "60s"


GOOD = [
    (),
    ("queue.cap=none", "traffic.timeout={distribution: gamma, mean: 5ms, cv: 50%}"),
    ("batching.slots=unlimited", "batching.preferred_sizes=[2, 4]", "model.pass_time.padded_sizes=[4, 8]"),
    ("traffic.arrivals={process: mmpp, rates: [5/s, 600/min], dwells: [1s, 500ms]}",),
    ("traffic.arrivals={process: steps, steps: [{rate: 5/s, duration: 1s}], repeat: true, cv: 0.5}",),
    ("traffic={clients: {count: 3}}", "horizon.warm_up=0s"),
    ("traffic.sizes={distribution: choices, values: [1, 2], weights: [0.5, 3]}",),
    ("model.pass_time={table: {1: 8ms, 8: 12ms}, spread: {distribution: exponential}}",),
    ("cost={replica_hour: 2.5}", "goals={p99: 200ms, refused: 0.1%}", "seed=3", "front_end.request=0.2ms"),
]

BAD = [
    ("batching.max_bach=8",),
    ("batching.max_wait=5",),
    ("batching.max_wait=1:30",),
    ("batching.max_batch=0",),
    ("batching.max_batch=8.5",),
    ("batching.timer_origin=never",),
    ("traffic.arrivals.rate=600",),
    ("traffic.arrivals.process=poison",),
    ("traffic.arrivals={process: gamma, rate: 5/s}",),
    ("traffic.timeout={distribution: exponential}",),
    ("goals.refused=0.001",),
    ("fleet.replicas=-1",),
    ("horizon.warm_up=soon",),
    ("model.pass_time={table: {1: 8}}",),
    ("seed=-1",),
    ("cost={currency: USD}",),
]


@pytest.mark.parametrize("overrides", GOOD)
def test_schema_accepts_what_is_loaded(overrides: tuple[str, ...]) -> None:
    """What load_scenario reads is valid by the schema."""
    written = with_overrides(content(), overrides)
    load_scenario(written)
    as_json = json.loads(json.dumps(written))
    assert [error.message for error in validator().iter_errors(as_json)] == []


@pytest.mark.parametrize("overrides", BAD)
def test_schema_refuses_what_is_refused(overrides: tuple[str, ...]) -> None:
    """An editor marks the same mistakes that load_scenario refuses."""
    written = with_overrides(content(), overrides)
    with pytest.raises((SimError, ValueError)):
        load_scenario(written)
    assert not validator().is_valid(json.loads(json.dumps(written)))


def test_example_file_is_valid() -> None:
    """The documented example, read by any YAML reader, is valid by the schema."""
    example: Any = yaml.safe_load((DATA / "sentiment.yaml").read_text())
    assert validator().is_valid(example)
