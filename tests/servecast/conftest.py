"""What the tests of the face share: a calibration file made by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

PARTS_MS = {
    "base": 8.0,
    "per_item": 0.5,
    "batch_in": 0.2,
    "results_out": 0.2,
    "front_end_request": 0.15,
    "front_end_response": 0.1,
    "front_end_pass_result": 0.1,
    "front_end_timer": 0.05,
    "network_there": 0.1,
    "network_back": 0.1,
}


@pytest.fixture
def profile_file(tmp_path: Path) -> Path:
    """Return a calibration file of a server called shop, with batches of up to 8."""
    content = {
        "format": "servecast-calibration/2",
        "name": "shop",
        "created": "2026-11-23T00:00:00+00:00",
        "fitted_on": {"rates": [100.0, 250.0], "batch_sizes": [1, 2, 4, 8], "processes": 2, "samples": 1234},
        "parts": {
            name: {"value_ms": value, "low_ms": 0.9 * value, "high_ms": 1.1 * value} for name, value in PARTS_MS.items()
        },
        "spread_cv": 0.0,
        "draws": [{name: value * factor for name, value in PARTS_MS.items()} for factor in (0.98, 1.0, 1.02)],
        "run_draws": [{name: value * factor for name, value in PARTS_MS.items()} for factor in (0.95, 1.0, 1.05)],
    }
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.fixture
def shop(tmp_path: Path) -> str:
    """Return the path of a small scenario that a server can run."""
    path = tmp_path / "shop.yaml"
    path.write_text(
        "name: shop\n"
        "traffic: {arrivals: {process: poisson, rate: 200/s}, timeout: 2s}\n"
        "model: {pass_time: {base: 8ms, per_item: 0.5ms}}\n"
        "batching: {max_batch: 8, max_wait: 5ms}\n"
        "queue: {cap: 64}\n"
        "front_end: {request: 1ms}\n"
        "fleet: {turnaround: {batch_in: 1ms}}\n",
        encoding="utf-8",
    )
    return str(path)
