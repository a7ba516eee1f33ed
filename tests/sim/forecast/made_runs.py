"""Measured runs without a simulation: given latencies, and as many requests of other outcomes as a test wants."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from policy.instant import UNSET
from policy.timeline import Outcome
from sim.outcome.fleet_course import steady
from sim.outcome.measures import RunMeasures


def made_run(
    latencies_ms: Sequence[float] | npt.NDArray[np.float64],
    *,
    refused: int = 0,
    window_s: float = 10.0,
    passes: int = 100,
    batched: int = 250,
    busy_share: float = 0.5,
) -> RunMeasures:
    """Return a run whose requests come at even gaps, the refused ones last."""
    answered = len(latencies_ms)
    count = answered + refused
    latency_ns = np.full(count, UNSET, dtype=np.int64)
    latency_ns[:answered] = np.rint(np.asarray(latencies_ms) * 1e6).astype(np.int64)
    outcomes = np.full(count, int(Outcome.REFUSED), dtype=np.int64)
    outcomes[:answered] = int(Outcome.ANSWERED)
    window_ns = round(window_s * 1e9)
    return RunMeasures(
        from_ns=0,
        to_ns=window_ns,
        fleet=steady(1),
        intended_ns=np.linspace(0, window_ns, count, endpoint=False).astype(np.int64),
        outcomes=outcomes,
        latency_ns=latency_ns,
        server_latency_ns=latency_ns,
        attempt_counts=(0, answered, refused, 0, 0, 0),
        delivered=answered,
        passes=passes,
        batched=batched,
        busy_ns=round(busy_share * window_ns),
    )


def noisy_runs(count: int, requests: int, seed: int, mean_ms: float = 10.0) -> list[RunMeasures]:
    """Return runs with independent exponential latencies: their p99 is mean_ms * ln 100."""
    rng = np.random.default_rng(seed)
    return [made_run(rng.exponential(mean_ms, requests)) for _ in range(count)]
