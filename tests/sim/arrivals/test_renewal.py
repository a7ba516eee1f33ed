"""Renewal arrivals: counts, rates, gaps, and a start that is no different from any other moment."""

from __future__ import annotations

import numpy as np
import pytest

from sim.arrivals.renewal import draw_renewal, unit_epochs

SECOND_NS = 10**9


def generator(seed: int) -> np.random.Generator:
    """Return a generator of its own for each test."""
    return np.random.default_rng(seed)


def test_even_arrivals_come_at_equal_gaps_from_zero_on() -> None:
    """Even: 600/s for 10 s are exactly 6000 requests, the first at 0, and no gap is off by more than the rounding."""
    times_ns = draw_renewal(600.0, 0.0, 10 * SECOND_NS, generator(1))
    assert len(times_ns) == 6_000
    assert times_ns[0] == 0
    assert np.abs(np.diff(times_ns) - SECOND_NS / 600).max() <= 1


@pytest.mark.parametrize("cv", [0.3, 1.0, 2.0, 4.0])
def test_gaps_have_the_stated_rate_and_cv(cv: float) -> None:
    """Over 400,000 arrivals the rate is right within 4 standard errors and the cv of the gaps within 3 %."""
    times_ns = draw_renewal(1_000.0, cv, 400 * SECOND_NS, generator(7))
    gaps = np.diff(times_ns)
    assert abs(len(times_ns) - 400_000) < 4 * cv * np.sqrt(400_000)
    assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.03)


@pytest.mark.parametrize("cv", [0.0, 1.0, 3.0])
def test_arrivals_are_ascending_integers_inside_the_horizon(cv: float) -> None:
    """Arrivals are int64, in order, and lie in [0, horizon)."""
    times_ns = draw_renewal(5_000.0, cv, 2 * SECOND_NS + 1, generator(3))
    assert times_ns.dtype == np.int64
    assert (np.diff(times_ns) >= 0).all()
    assert times_ns[0] >= 0
    assert times_ns[-1] <= 2 * SECOND_NS


def test_poisson_counts_of_a_second_are_as_variable_as_poisson_counts() -> None:
    """The counts of 4000 seconds have variance / mean = 1, within 4 standard errors of that estimate."""
    times_ns = draw_renewal(50.0, 1.0, 4_000 * SECOND_NS, generator(11))
    counts = np.bincount(times_ns // SECOND_NS, minlength=4_000)
    assert abs(counts.var() / counts.mean() - 1) < 4 * np.sqrt(2 / 4_000)


@pytest.mark.parametrize("cv", [0.5, 1.0, 4.0])
def test_first_gap_is_residual_so_short_runs_have_the_stated_rate(cv: float) -> None:
    """Runs that end after 20 mean gaps hold 20 requests on average: time 0 is a moment like any other.

    With a full first gap they would hold about (cv**2 - 1) / 2 more: 7.5 too many at cv 4, which the bound excludes.
    """
    counts = np.array([len(unit_epochs(cv, 20.0, generator(seed))) for seed in range(3_000)])
    bound = 4 * counts.std() / np.sqrt(len(counts))
    assert abs(counts.mean() - 20) < bound
    if cv == 4.0:
        gaps = np.random.default_rng(5).standard_gamma(cv**-2, (3_000, 1_000)) * cv**2
        ordinary = (np.cumsum(gaps, axis=1) < 20).sum(axis=1)
        assert abs(ordinary.mean() - 20) > bound


def test_residual_first_gap_of_poisson_is_exponential() -> None:
    """Without memory the residual gap is a gap: mean 1 and P(gap > 2) = exp(-2), within 4 standard errors."""
    firsts = np.array([unit_epochs(1.0, 50.0, generator(seed))[0] for seed in range(5_000)])
    assert abs(firsts.mean() - 1) < 4 / np.sqrt(5_000)
    share = np.exp(-2)
    assert abs((firsts > 2).mean() - share) < 4 * np.sqrt(share * (1 - share) / 5_000)


@pytest.mark.parametrize("cv", [0.0, 1.0, 2.5])
def test_longer_horizon_only_adds_arrivals(cv: float) -> None:
    """The same generator gives the same first minute, however long the run is."""
    short = draw_renewal(700.0, cv, 60 * SECOND_NS, generator(9))
    long = draw_renewal(700.0, cv, 200 * SECOND_NS, generator(9))
    assert (long[: len(short)] == short).all()
    assert long[len(short)] >= 60 * SECOND_NS


def test_rate_scales_time_and_nothing_else() -> None:
    """At twice the rate the same requests come at half the times: what-ifs stay paired."""
    slow = draw_renewal(100.0, 1.0, 40 * SECOND_NS, generator(2))
    fast = draw_renewal(200.0, 1.0, 20 * SECOND_NS, generator(2))
    assert len(slow) == len(fast)
    assert np.abs(slow - 2 * fast).max() <= 2


def test_very_bursty_gaps_stay_finite() -> None:
    """At cv 100 most gaps are zero and a few are huge; times stay ordered and inside the horizon."""
    times_ns = draw_renewal(100.0, 100.0, 1_000 * SECOND_NS, generator(4))
    assert (np.diff(times_ns) >= 0).all()
    assert (times_ns < 1_000 * SECOND_NS).all()
