"""The compiled engine is the process engine, byte for byte: all tables, whatever the input and its chunks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from policy.pass_time import pass_ns
from sim.engine import compiled_engine, process_engine
from sim.engine.compiled.state import Capacity
from sim.engine.engine_input import EngineInput
from tests.parity.inputs import (
    busy_input,
    faulty_input,
    faulty_inputs,
    faulty_version_inputs,
    fleet_inputs,
    front_end_input,
    inputs,
    version_inputs,
)

pytestmark = pytest.mark.slow  # the first one in a process loads the compiled code, or compiles it

TIGHT = Capacity(attempts=1, entries=2, replicas=1, log=1)
TABLES = ("attempts", "passes", "replicas", "scalings", "copies", "shares", "rollout")


def assert_same(given_: EngineInput) -> None:
    """Assert that both engines write the same rows, in any chunks and in tables that are too small at first."""
    expected, got = process_engine.run(given_), compiled_engine.run(given_)
    for name in TABLES:
        assert np.array_equal(getattr(got, name), getattr(expected, name)), name
    for chunk in (1, 7):
        in_chunks = compiled_engine.run(given_, chunk=chunk, least=TIGHT)
        assert in_chunks.tobytes() == expected.tobytes(), f"chunks of {chunk}"


@settings(max_examples=420, deadline=None)
@given(inputs())
def test_any_input_gives_the_same_bytes(given_: EngineInput) -> None:
    """One replica: every batching rule, deadlines, patience, retries, closed loops, front ends, blocking passes."""
    assert_same(given_)


@settings(max_examples=420, deadline=None)
@given(fleet_inputs())
def test_any_fleet_gives_the_same_bytes(given_: EngineInput) -> None:
    """Routing, holding, autoscalers, cold starts, drains."""
    assert_same(given_)


@settings(max_examples=420, deadline=None)
@given(faulty_inputs())
def test_any_faults_give_the_same_bytes(given_: EngineInput) -> None:
    """Crashes, slow replicas, first passes."""
    assert_same(given_)


@settings(max_examples=420, deadline=None)
@given(version_inputs())
def test_any_versions_give_the_same_bytes(given_: EngineInput) -> None:
    """Weights, pins, sticky users, shadows, errors, rollouts, orders."""
    assert_same(given_)


@settings(max_examples=420, deadline=None)
@given(faulty_version_inputs())
def test_any_versions_with_faults_give_the_same_bytes(given_: EngineInput) -> None:
    """All of it together."""
    assert_same(given_)


@pytest.mark.parametrize("given_", [busy_input(), front_end_input(), front_end_input(blocking=True), faulty_input()])
def test_longer_input_gives_the_same_bytes(given_: EngineInput) -> None:
    """Hundreds of requests that meet every law."""
    assert_same(given_)


def test_engine_with_another_rule_is_told_from_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison can fail: a process engine whose passes last one nanosecond more is told."""
    monkeypatch.setattr(process_engine, "pass_ns", lambda *arguments: pass_ns(*arguments) + 1)
    with pytest.raises(AssertionError, match="attempts"):
        assert_same(busy_input())
