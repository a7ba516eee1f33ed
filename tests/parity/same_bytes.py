"""Both engines on one input: the same rows in every table, in any chunks and in tables that are too small at first."""

from __future__ import annotations

import numpy as np

from sim.engine import compiled_engine, process_engine
from sim.engine.compiled.state import Capacity
from sim.engine.engine_input import EngineInput

__all__ = ["assert_same"]

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
