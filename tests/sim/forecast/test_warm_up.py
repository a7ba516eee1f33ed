"""Where a run has settled."""

from __future__ import annotations

import numpy as np
import pytest

from sim.forecast.warm_up import RUNGS, mser5, settled_after_ns
from tests.sim.forecast.waiting_times import mm1_responses


def test_start_that_differs_is_cut() -> None:
    """A start 3 standard deviations off, fading over 200 values, is cut near where it has faded."""
    rng = np.random.default_rng(1)
    series = rng.standard_normal(5_000) - 3 * np.exp(-np.arange(5_000) / 200)
    cut = mser5(series)
    assert cut is not None
    assert 200 <= cut <= 1_500
    assert cut % 5 == 0


def test_series_that_starts_settled_keeps_nearly_everything() -> None:
    """Independent values lose a few per cent at most: over twenty series the median cut is below 5 %."""
    rng = np.random.default_rng(2)
    cuts = [mser5(rng.standard_normal(4_000)) for _ in range(20)]
    assert np.median([4_000 if cut is None else cut for cut in cuts]) < 200


def test_series_that_never_settles_is_undecided() -> None:
    """A queue without end: the longer, the slower. MSER alone would cut the half it may and say nothing."""
    rng = np.random.default_rng(3)
    assert mser5(np.arange(2_000.0) + rng.standard_normal(2_000)) is None


@pytest.mark.parametrize("level", [0.0, 1.7e7])
def test_constant_series_is_settled_from_the_start(level: float) -> None:
    """Even arrivals and constant passes: rounding errors are no warm-up."""
    assert mser5(np.full(1_000, level) * np.float64(1.1)) == 0


@pytest.mark.parametrize("length", [0, 1, 49])
def test_series_too_short_to_judge_is_undecided(length: int) -> None:
    """Fewer than ten groups of five say nothing."""
    assert mser5(np.ones(length)) is None


def test_cut_is_one_moment_for_all_runs() -> None:
    """Runs of M/M/1 from empty: what is cut is the mean time at which that request is sent, and it is found."""
    runs = (mm1_responses(0.9, 4_000, 10, seed=4, warm_up=0) * 1e6).astype(np.int64)
    intended = np.tile(np.arange(4_000) * 1_000_000, (10, 1))
    settled_ns = settled_after_ns(list(intended), list(runs))
    assert settled_ns is not None
    assert 0 < settled_ns < 2_000 * 1_000_000
    early = runs[:, : settled_ns // 1_000_000].mean()
    late = runs[:, settled_ns // 1_000_000 :].mean()
    assert early < late


def test_settled_start_cuts_nothing() -> None:
    """Equal latencies from the first request on: time 0."""
    same = [np.full(100, 7, dtype=np.int64)] * 3
    assert settled_after_ns([np.arange(100, dtype=np.int64)] * 3, same) == 0


def test_runs_without_answers_are_undecided() -> None:
    """Nothing answered in one of the runs: no mean latency to look at."""
    some, none = np.ones(100, dtype=np.int64), np.empty(0, dtype=np.int64)
    assert settled_after_ns([some, none], [some, none]) is None


def test_rungs_ascend_to_the_measured_time() -> None:
    """A warm-up is tried from an eighth of the measured time up to all of it."""
    assert list(RUNGS) == sorted(RUNGS)
    assert RUNGS[-1] == 1.0
