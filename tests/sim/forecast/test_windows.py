"""The measured time cut into windows."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from sim.forecast.estimates import METRICS
from sim.forecast.windows import WINDOWS_MIN, windows
from tests.sim.forecast.made_runs import made_run, noisy_runs


@pytest.mark.parametrize(("requests", "count"), [(10, 20), (4_000, 20), (8_000, 40), (100_000, 100)])
def test_windows_are_many_and_well_filled(requests: int, count: int) -> None:
    """At least twenty, at most a hundred, with 200 requests of a run in each where that goes."""
    parts = windows([made_run(np.ones(requests)), made_run(np.ones(requests) * 2)])
    assert len(parts) == count >= WINDOWS_MIN
    assert (parts[0].from_s, parts[-1].to_s) == (0.0, 10.0)
    assert all(before.to_s == after.from_s for before, after in pairwise(parts))


def test_windows_show_when_latency_was_high() -> None:
    """1 ms, and 9 ms in the second half."""
    latencies = np.where(np.arange(4_000) < 2_000, 1.0, 9.0)
    parts = windows([made_run(latencies), made_run(latencies)])
    values = [part.figures["latency_ms.p50"].value for part in parts]
    assert values == [1.0] * 10 + [9.0] * 10
    rates = [part.figures["requests_per_s"].value for part in parts]
    assert rates == pytest.approx([400.0] * 20)


def test_requests_of_all_windows_are_those_of_the_run() -> None:
    """Nothing is lost at the edges: rates times lengths give the requests back, refusals come in the last windows."""
    runs = [made_run(np.ones(3_700), refused=303), made_run(np.ones(3_701), refused=301)]
    parts = windows(runs)
    sent = sum((part.figures["requests_per_s"].value or 0.0) * (part.to_s - part.from_s) for part in parts)
    assert sent == pytest.approx((4_003 + 4_002) / 2)
    assert [part.figures["refused_share"].value for part in parts][-1] == 1.0
    assert parts[0].figures["refused_share"].value == 0.0


def test_window_with_too_few_requests_has_no_p99() -> None:
    """200 requests of 2 runs have 4 beyond p99, of 10 runs 20: then it is shown, with its interval."""
    few = windows(noisy_runs(2, 4_000, seed=1))[0].figures["latency_ms.p99"]
    assert (few.value, few.low) == (None, None)
    enough = windows(noisy_runs(10, 4_000, seed=1))[0].figures["latency_ms.p99"]
    assert enough.value is not None
    assert enough.low is not None
    assert enough.low < enough.value


def test_window_in_which_a_run_has_no_answers_has_no_interval() -> None:
    """The value of the other run stands alone."""
    runs = [made_run(np.ones(2_000), refused=2_000), made_run(np.ones(4_000))]
    mean = windows(runs)[-1].figures["latency_ms.mean"]
    assert (mean.value, mean.low, mean.high) == (1.0, None, None)


def test_json_groups_the_latencies() -> None:
    """The same names as in the forecast's figures."""
    content = windows(noisy_runs(2, 4_000, seed=2))[0].to_json()
    assert set(content) == {
        "from_s",
        "to_s",
        "requests_per_s",
        "refused_share",
        "timed_out_share",
        "abandoned_share",
        "failed_share",
        "latency_ms",
        "replicas",
    }
    latency = content["latency_ms"]
    assert isinstance(latency, dict)
    assert {f"latency_ms.{name}" for name in latency} <= set(METRICS)
    assert set(latency) == {"mean", "p50", "p99"}
