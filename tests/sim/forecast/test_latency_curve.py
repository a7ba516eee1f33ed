"""The whole latency distribution."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from sim.forecast.latency_curve import GRID, curve_of_quantiles, grid_quantiles_ms, latency_curve
from sim.outcome.latencies import ListedLatencies


def exponential_runs(count: int, requests: int, seed: int) -> list[ListedLatencies]:
    """Return runs of exponential latencies with mean 10 ms, in ns."""
    rng = np.random.default_rng(seed)
    return [ListedLatencies(rng.exponential(1e7, requests).astype(np.int64)) for _ in range(count)]


def test_grid_ascends_and_holds_the_reported_quantiles() -> None:
    """From 1 % to 99.9 %, p50, p90, p95, p99 and p99.9 among them."""
    assert list(GRID) == sorted(set(GRID))
    assert {0.01, 0.5, 0.9, 0.95, 0.99, 0.999} <= set(GRID)


def test_curve_is_that_of_the_distribution() -> None:
    """Exponential latencies: -10 ln(1 - q) ms at each q, inside its band."""
    curve = latency_curve(exponential_runs(10, 20_000, seed=1))
    assert curve.quantiles.tolist() == list(GRID)
    for q, value, low, high in zip(curve.quantiles, curve.latency_ms, curve.low_ms, curve.high_ms, strict=True):
        assert value == pytest.approx(-10 * math.log(1 - q), rel=0.1)
        assert low <= value <= high
    assert (np.diff(curve.latency_ms) >= 0).all()


def test_curve_ends_where_the_latencies_do_not_reach() -> None:
    """1000 latencies have 20 beyond p98: no tail is drawn from fewer."""
    curve = latency_curve(exponential_runs(2, 500, seed=2))
    assert curve.quantiles[-1] == 0.98
    assert len(latency_curve([ListedLatencies(np.empty(0, dtype=np.int64))] * 2).quantiles) == 0


def test_band_is_that_of_the_other_runs() -> None:
    """With a calibration the band comes from the runs in which it varies."""
    runs = exponential_runs(10, 2_000, seed=3)
    others = [ListedLatencies((run.values_ns * (0.5 + 0.1 * index)).astype(np.int64)) for index, run in enumerate(runs)]
    narrow, wide = latency_curve(runs), latency_curve(runs, others)
    assert np.array_equal(narrow.latency_ms, wide.latency_ms)
    assert (np.median((wide.high_ms - wide.low_ms) / (narrow.high_ms - narrow.low_ms))) > 4


def test_curve_of_draws_has_their_median_in_the_middle() -> None:
    """What check draws over a measured run: every point of GRID, from each draw's own quantiles."""
    draws = [grid_quantiles_ms(run) for run in exponential_runs(201, 300, seed=4)]
    curve = curve_of_quantiles(draws)
    assert len(curve.quantiles) == len(GRID)
    middle = GRID.index(0.5)
    assert curve.latency_ms[middle] == sorted(draw[middle] for draw in draws)[100]
    json.dumps(curve.to_json(), allow_nan=False)
