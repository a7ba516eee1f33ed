"""The scenario that most tests start from, and a short way to change it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sim.scenario.load import load_scenario
from sim.scenario.spec import Scenario

DATA = Path(__file__).parents[2] / "data"
TRACES = Path(__file__).parents[4] / "shared" / "traces"


def content() -> dict[str, Any]:
    """Return a minimal scenario as a file would hold it."""
    return {
        "traffic": {"arrivals": {"process": "poisson", "rate": "600/s"}},
        "model": {"pass_time": {"base": "8ms", "per_item": "0.5ms"}},
        "batching": {"max_batch": 8, "max_wait": "5ms"},
    }


def scenario(*overrides: str) -> Scenario:
    """Return the minimal scenario with overrides such as "batching.max_batch=4"."""
    return load_scenario(content(), overrides)


def trace(name: str, more: str = "") -> str:
    """Return the override that takes arrivals from a file of tests/data."""
    return f"traffic.arrivals={{process: trace, file: '{DATA / name}'{more}}}"


def calibrated(*overrides: str) -> Scenario:
    """Return the minimal scenario with the calibration of tests/data in place of a written pass time."""
    return load_scenario({**content(), "model": {"profile": str(DATA / "profile.json")}}, overrides)
