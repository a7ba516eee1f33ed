"""Runs whose long-run figures are known, made without the simulator: M/M/1 responses and autoregressive noise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def mm1_responses(load: float, requests: int, runs: int, seed: int, warm_up: int = 500) -> Floats:
    """Return (runs, requests) response times of M/M/1 with mu 1, by Lindley's recursion from an empty start."""
    rng = np.random.default_rng(seed)
    waiting = np.zeros(runs)
    responses = np.empty((requests, runs))
    for index in range(-warm_up, requests):
        service = rng.standard_exponential(runs)
        if index >= 0:
            responses[index] = waiting + service
        waiting = np.maximum(waiting + service - rng.standard_exponential(runs) / load, 0.0)
    return np.ascontiguousarray(responses.T)


def autoregressive(memory: float, values: int, runs: int, seed: int) -> Floats:
    """Return (runs, values) of a stationary Gaussian AR(1) with mean 0 and variance 1; `memory` is its correlation."""
    rng = np.random.default_rng(seed)
    series = np.empty((values, runs))
    present = rng.standard_normal(runs)
    for index in range(values):
        series[index] = present
        present = memory * present + np.sqrt(1.0 - memory**2) * rng.standard_normal(runs)
    return np.ascontiguousarray(series.T)
