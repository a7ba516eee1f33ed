"""The scenario object: defaults, immutability, and what its sections say to each other."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from sim.scenario.spec import Scenario
from tests.sim.scenario.example import scenario


def test_minimal_scenario_has_every_documented_default() -> None:
    """Only traffic, model and batching are written; the rest is as docs/scenario.md says."""
    loaded = scenario()
    dumped = loaded.model_dump()
    assert dumped["traffic"]["retries"] == {
        "attempts": 1,
        "backoff": 100_000_000,
        "backoff_max": 10_000_000_000,
        "jitter": True,
    }
    assert dumped["traffic"]["network"] == {"there": None, "back": None}
    assert (loaded.traffic.timeout, loaded.traffic.sizes, loaded.traffic.clients) == (None, None, None)
    assert (loaded.queue.cap, loaded.queue.deadline) == (None, None)
    assert dumped["front_end"] == {
        **{"workers": 1, "request": None, "response": None, "pass_result": None, "timer": None, "blocking": False}
    }
    assert dumped["fleet"] == {
        "replicas": 1,
        "instances": 1,
        "turnaround": {"batch_in": None, "results_out": None},
        "routing": {"balance": "round_robin", "tie": "random", "outstanding_max": None, "held_max": 1_000_000},
        "autoscaler": None,
        "drain": "youngest",
        "cold_start": {"provision": 0, "image": 0, "load": 0, "warm_up": 0, "first_passes": None},
        "crash_every": None,
        "slow": None,
        "spare": 0,
        "machine": None,
    }
    assert dumped["horizon"] == {"duration": 60_000_000_000, "warm_up": "auto", "runs": 10}
    assert (loaded.batching.timer_origin, loaded.batching.freeze) == ("enqueue", "pull")
    assert (loaded.batching.collector, loaded.batching.slots) == ("dispatcher", None)
    assert (loaded.cost, loaded.seed, loaded.name) == (None, None, "scenario")
    assert all(goal is None for goal in dumped["goals"].values())


def test_scenario_cannot_be_changed() -> None:
    """A forecast and its provenance talk of the same scenario."""
    loaded = scenario()
    with pytest.raises(ValidationError, match="frozen"):
        loaded.name = "other"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        loaded.batching.max_batch = 2  # type: ignore[misc]


def test_words_stand_for_what_they_say() -> None:
    """`unlimited` slots are policy's 0, and `none` switches an optional limit off."""
    assert scenario("batching.slots=unlimited").batching.slots == 0
    assert scenario("queue.cap=none", "queue.deadline=none", "traffic.timeout=none").queue.cap is None
    assert scenario("queue.cap=null").queue.cap is None


def test_table_keys_may_be_text() -> None:
    """JSON and TOML write the sizes of a table as text."""
    loaded = scenario("model.pass_time={table: {'1': 8ms, '8': 12ms}}")
    assert loaded.model.pass_time is not None
    assert loaded.model.pass_time.table == {1: 8_000_000, 8: 12_000_000}


def test_closed_loop_takes_the_place_of_arrivals() -> None:
    """Clients have a count and a think time."""
    loaded = scenario("traffic={clients: {count: 64, think: {distribution: exponential, mean: 100ms}}}")
    assert loaded.traffic.arrivals is None
    assert loaded.traffic.clients is not None
    assert loaded.traffic.clients.count == 64


def test_paths_count_from_the_source_folder() -> None:
    """A relative path is joined to the folder, an absolute one stays."""
    moved = scenario().at(Path("/somewhere"))
    assert moved.path_of("a.csv") == Path("/somewhere/a.csv")
    assert moved.path_of("/else/a.csv") == Path("/else/a.csv")
    assert scenario().path_of("a.csv") == Path("a.csv")


def sections(model: type[BaseModel]) -> set[type[BaseModel]]:
    """Return a model and all models inside it."""
    found = {model}
    waiting = [field.annotation for field in model.model_fields.values()]
    while waiting:
        part = waiting.pop()
        waiting += getattr(part, "__args__", ())
        if isinstance(part, type) and issubclass(part, BaseModel) and part not in found:
            found |= sections(part)
    return found


def test_every_key_is_described() -> None:
    """No key is without its meaning, but for the words that tell members of a union apart."""
    models = sections(Scenario)
    assert len(models) > 30
    for model in models:
        for key, field in model.model_fields.items():
            assert field.description or key in ("process", "distribution"), (model, key)
