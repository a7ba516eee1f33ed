"""Markov-modulated Poisson arrivals against the formulas of Fischer and Meier-Hellstern."""

from __future__ import annotations

import numpy as np
import pytest

from sim.arrivals.mmpp import cyclic_jumps, draw_mmpp, stationary_rate_per_s, stationary_shares

SECOND_NS = 10**9


def dispersion_of_counts(rates: tuple[float, float], dwells_s: tuple[float, float], window_s: float) -> float:
    """Return variance / mean of the counts in a window of a two-state MMPP (Heffes and Lucantoni 1986, eq. 11)."""
    leave = [1 / dwell for dwell in dwells_s]
    both = sum(leave)
    mean = rates[0] * leave[1] + rates[1] * leave[0]
    limit = 2 * (rates[0] - rates[1]) ** 2 * leave[0] * leave[1] / (both**2 * mean)
    return 1 + limit * (1 - (1 - np.exp(-both * window_s)) / (both * window_s))


def test_stationary_shares_of_a_cycle_are_the_dwells() -> None:
    """In a cycle every state is visited equally often, so its share of time is its dwell: 1 s, 3 s, 6 s of 10 s."""
    shares = stationary_shares([SECOND_NS, 3 * SECOND_NS, 6 * SECOND_NS], cyclic_jumps(3))
    assert shares == pytest.approx([0.1, 0.3, 0.6])
    assert stationary_rate_per_s([100, 0, 50], [SECOND_NS, 3 * SECOND_NS, 6 * SECOND_NS], cyclic_jumps(3)) == 40.0


def test_stationary_shares_of_jumps_weigh_visits_with_dwells() -> None:
    """From the middle state one goes left or right, and back from there: it has half of all visits."""
    jumps = [[0, 1, 0], [3, 0, 1], [0, 1, 0]]
    # visits 3/8, 4/8, 1/8 times dwells 2, 1, 4 -> 6, 4, 4 of 14
    shares = stationary_shares([2 * SECOND_NS, SECOND_NS, 4 * SECOND_NS], jumps)
    assert shares == pytest.approx([6 / 14, 4 / 14, 4 / 14])


@pytest.mark.parametrize("window_s", [0.2, 1.0, 10.0])
def test_counts_have_the_dispersion_of_the_formula(window_s: float) -> None:
    """Rate and index of dispersion of 8000 s agree with the formula; a Poisson process would have dispersion 1."""
    rates, dwells_s = (100.0, 1_000.0), (1.0, 0.25)
    horizon_ns = 8_000 * SECOND_NS
    dwells_ns = [round(dwell * SECOND_NS) for dwell in dwells_s]
    times_ns = draw_mmpp(rates, dwells_ns, cyclic_jumps(2), horizon_ns, np.random.default_rng(21))
    windows = round(8_000 / window_s)
    counts = np.bincount((times_ns / (window_s * SECOND_NS)).astype(int), minlength=windows)
    formula = dispersion_of_counts(rates, dwells_s, window_s)
    standard_error = np.sqrt(dispersion_of_counts(rates, dwells_s, 8_000) * 280 * 8_000)
    assert stationary_rate_per_s(rates, dwells_ns, cyclic_jumps(2)) == pytest.approx(280)
    assert abs(len(times_ns) - 280 * 8_000) < 4 * standard_error
    # Counts of neighbouring windows go together for about 1 s; so many are as good as independent.
    independent = 8_000 / max(window_s, 1.0)
    assert counts.var() / counts.mean() == pytest.approx(formula, rel=4 * np.sqrt(3 / independent))
    assert formula > 20


def test_start_is_stationary() -> None:
    """Runs much shorter than a dwell hold the stationary mean: they do not all start in the first state."""
    dwells_ns = [SECOND_NS, 9 * SECOND_NS]
    counts = np.array(
        [
            len(draw_mmpp([0, 100], dwells_ns, cyclic_jumps(2), SECOND_NS // 10, np.random.default_rng(seed)))
            for seed in range(2_000)
        ]
    )
    assert abs(counts.mean() - 9) < 4 * counts.std() / np.sqrt(len(counts))


def test_jumps_with_weights_reach_the_stationary_rate() -> None:
    """With three states and uneven jumps the long-run rate is the stationary one, within 2 %."""
    jumps = [[0, 1, 0], [3, 0, 1], [0, 1, 0]]
    dwells_ns = [SECOND_NS // 5, SECOND_NS // 10, SECOND_NS // 2]
    rates = [50.0, 400.0, 1_000.0]
    times_ns = draw_mmpp(rates, dwells_ns, jumps, 4_000 * SECOND_NS, np.random.default_rng(8))
    assert len(times_ns) / 4_000 == pytest.approx(stationary_rate_per_s(rates, dwells_ns, jumps), rel=0.02)


def test_longer_horizon_only_adds_arrivals() -> None:
    """The same generator gives the same first seconds, however long the run is."""
    dwells_ns = [SECOND_NS, SECOND_NS]
    short = draw_mmpp([10, 300], dwells_ns, cyclic_jumps(2), 20 * SECOND_NS, np.random.default_rng(2))
    long = draw_mmpp([10, 300], dwells_ns, cyclic_jumps(2), 60 * SECOND_NS, np.random.default_rng(2))
    assert (long[: len(short)] == short).all()
    assert len(short) > 1_000
    assert long[len(short)] >= 20 * SECOND_NS
