"""Tests of calibration/pass_profiler.py against a simulated server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from calibration import pass_profiler
from calibration.errors import BadSamples
from calibration.live_server import LiveServer
from calibration.pass_profiler import fixed_plan, profile_passes, safe_gap_ns, sizes_to_measure
from policy.timeline import Outcome

Simulated = Callable[..., Any]

LIVE = LiveServer("http://127.0.0.1:9")  # never asked: a simulated server measures in its place


def test_server_that_answers_nothing_is_said(simulated_server: Simulated, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can be measured of refusals."""
    server = simulated_server()

    def measure(_server: object, plan: Any) -> Any:
        measured = server.measure(None, plan)
        measured.run.column("outcome")[:] = Outcome.REFUSED
        return measured

    monkeypatch.setattr(pass_profiler, "measure_load", measure)
    with pytest.raises(BadSamples, match=r"The server at http://127.0.0.1:9 answered none of 32 requests"):
        safe_gap_ns(LIVE, 8, 1)


@pytest.mark.parametrize("max_wait_ms", [5.0, 0.0])
def test_batches_of_every_size_are_seen(
    simulated_server: Simulated, monkeypatch: pytest.MonkeyPatch, max_wait_ms: float
) -> None:
    """With a wait a burst is one batch; without, its first request runs alone and bursts are made one larger."""
    server = simulated_server(max_wait_ms=max_wait_ms)
    monkeypatch.setattr(pass_profiler, "measure_load", server.measure)
    gap_ns = safe_gap_ns(LIVE, 8, 1)
    timelines = profile_passes(LIVE, 8, 6, gap_ns, 1, np.random.default_rng(0))
    sizes = np.concatenate([timeline.passed("batch_size") for timeline in timelines])
    assert all(np.count_nonzero(sizes == size) >= 6 for size in range(1, 9))
    assert len(timelines) == (1 if max_wait_ms else 2)


@pytest.mark.parametrize(("max_batch", "sizes"), [(1, [1]), (3, [1, 2, 3]), (32, list(range(1, 33)))])
def test_all_sizes_are_measured_up_to_32(max_batch: int, sizes: list[int]) -> None:
    """A table holds 32 sizes."""
    assert sizes_to_measure(max_batch) == sizes


def test_large_batches_are_measured_at_sizes_that_grow() -> None:
    """Of 256 sizes some are measured, the smallest and the largest among them."""
    sizes = sizes_to_measure(256)
    assert (sizes[0], sizes[-1]) == (1, 256)
    assert len(sizes) <= 32
    assert sizes == sorted(set(sizes))


def test_fixed_plan_neither_retries_nor_hangs_up() -> None:
    """A calibration's clients wait for every answer."""
    plan = fixed_plan(np.array([0, 5], dtype=np.int64), 7)
    assert plan.retry.attempts == 1
    assert plan.timeouts_ns.tolist() == []
    assert plan.sizes.tolist() == [7, 7]
