"""Rates that change over time: the integral, its inverse, and arrivals that follow them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from sim.arrivals.rate_curve import RateCurve, day_curve, draw_along, spike_curve, step_curve

SECOND_NS = 10**9
K = 2.0
PEAK_TO_MEAN = float(np.exp(K) / np.i0(K))

CURVES: dict[str, RateCurve] = {
    "steps": step_curve([100, 400, 0, 50], [3 * SECOND_NS, 2 * SECOND_NS, SECOND_NS, SECOND_NS], repeats=False),
    "repeated steps": step_curve([100, 0, 300], [3 * SECOND_NS, SECOND_NS, SECOND_NS], repeats=True),
    "spike": spike_curve(100, 700, 4 * SECOND_NS, 2 * SECOND_NS, SECOND_NS),
    "spike without ramp at once": spike_curve(100, 20, 0, 2 * SECOND_NS, 0),
    "day": day_curve(200, PEAK_TO_MEAN, 2 * SECOND_NS, 7 * SECOND_NS),
}


def steps_rate(time_s: float) -> float:
    """Return the rate of "steps" from its definition."""
    return 100 if time_s < 3 else 400 if time_s < 5 else 0 if time_s < 6 else 50


def repeated_rate(time_s: float) -> float:
    """Return the rate of "repeated steps" from its definition."""
    inside = time_s % 5
    return 100 if inside < 3 else 0 if inside < 4 else 300


def spike_rate(time_s: float) -> float:
    """Return the rate of "spike" from its definition."""
    return float(np.interp(time_s, [4, 5, 7, 8], [100, 700, 700, 100]))


def flat_spike_rate(time_s: float) -> float:
    """Return the rate of "spike without ramp at once" from its definition."""
    return 20 if time_s < 2 else 100


def day_rate(time_s: float) -> float:
    """Return the rate of "day" from its definition."""
    return float(200 * np.exp(K * np.cos(2 * np.pi * (time_s - 2) / 7)) / np.i0(K))


RATES: dict[str, Callable[[float], float]] = {
    "steps": steps_rate,
    "repeated steps": repeated_rate,
    "spike": spike_rate,
    "spike without ramp at once": flat_spike_rate,
    "day": day_rate,
}


def integral(rate: Callable[[float], float], until_s: float) -> float:
    """Return the integral of a rate by the midpoint rule with 2.5 ms, another way than the code's."""
    middles = (np.arange(round(until_s * 400)) + 0.5) / 400
    return float(sum(rate(middle) for middle in middles) / 400)


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("until_s", [1.5, 4.0, 6.25, 11.0])
def test_expected_count_is_the_integral_of_the_rate(name: str, until_s: float) -> None:
    """The expected count agrees with a numerical integral of the rate written down from its definition."""
    expected = CURVES[name].expected_until(until_s * SECOND_NS)
    assert expected == pytest.approx(integral(RATES[name], until_s), rel=1e-4)


@pytest.mark.parametrize("name", CURVES)
def test_times_are_the_inverse_of_the_expected_count(name: str) -> None:
    """Going to a moment and back by its expected count loses nothing, wherever the rate is above 0."""
    curve = CURVES[name]
    moments = np.array([s for s in np.linspace(0.01, 19.99, 777) if RATES[name](s) > 0]) * SECOND_NS
    counts = np.array([curve.expected_until(moment) for moment in moments])
    assert np.abs(curve.times_ns(counts) - moments).max() < 10


def test_count_that_a_silent_end_never_reaches_has_no_time() -> None:
    """Behind a last step of rate 0 nothing comes: the time of the next arrival is infinite."""
    curve = step_curve([10, 0], [SECOND_NS, SECOND_NS], repeats=False)
    assert curve.times_ns(np.array([9.5, 10.5])).tolist() == [0.95 * SECOND_NS, np.inf]


@pytest.mark.parametrize("name", CURVES)
def test_poisson_arrivals_follow_the_rate(name: str) -> None:
    """Counts per bin agree with the integrated rate: chi-square inside 4.5 of its standard deviations."""
    bins, horizon_s = 200, 20.0
    edges_ns = np.linspace(0, horizon_s * SECOND_NS, bins + 1)
    expected = 40 * np.diff([CURVES[name].expected_until(edge) for edge in edges_ns])
    counts = sum_of_runs(CURVES[name], 1.0, edges_ns, runs=40)
    busy = expected > 0
    chi_square = ((counts - expected)[busy] ** 2 / expected[busy]).sum()
    assert abs(chi_square - busy.sum()) < 4.5 * np.sqrt(2 * busy.sum())
    assert counts[~busy].sum() == 0


def sum_of_runs(curve: RateCurve, cv: float, edges_ns: npt.NDArray[np.float64], runs: int) -> npt.NDArray[np.float64]:
    """Return counts per bin, added up over runs with seeds 0, 1, ..."""
    counts = np.zeros(len(edges_ns) - 1)
    for seed in range(runs):
        times_ns = draw_along(curve, cv, int(edges_ns[-1]), np.random.default_rng(seed))
        counts += np.histogram(times_ns, edges_ns)[0]
    return counts


@pytest.mark.parametrize("name", CURVES)
def test_even_arrivals_never_leave_the_integrated_rate(name: str) -> None:
    """With cv 0 the cumulative count is the integrated rate, rounded up, at every moment."""
    times_ns = draw_along(CURVES[name], 0.0, 15 * SECOND_NS, np.random.default_rng(1))
    for moment_ns in np.linspace(SECOND_NS, 14.9 * SECOND_NS, 60):
        count = np.searchsorted(times_ns, moment_ns)
        assert abs(count - CURVES[name].expected_until(moment_ns)) <= 1


def test_bursty_arrivals_are_as_variable_as_their_cv() -> None:
    """With cv 3 counts in long bins scatter cv**2 = 9 times as much as Poisson counts, within 4 standard errors."""
    curve, bins = day_curve(2_000, 2.0, 0, 50 * SECOND_NS), 500
    edges_ns = np.linspace(0, 500 * SECOND_NS, bins + 1)
    expected = np.diff([curve.expected_until(edge) for edge in edges_ns])
    counts = sum_of_runs(curve, 3.0, edges_ns, runs=1)
    dispersion = ((counts - expected) ** 2 / expected).mean()
    assert abs(dispersion - 9) < 4 * 9 * np.sqrt(2 / bins)


@pytest.mark.parametrize("peak_to_mean", [1.0, 1.5, 3.0, 20.0])
def test_day_curve_has_the_stated_mean_and_peak(peak_to_mean: float) -> None:
    """Over a period the mean rate is exact; the highest rate lies at peak_at and is the stated multiple of the mean."""
    day_ns, peak_at_ns = 86_400 * SECOND_NS, 54_000 * SECOND_NS
    curve = day_curve(50.0, peak_to_mean, peak_at_ns, day_ns)
    assert curve.expected_until(day_ns) == pytest.approx(50 * 86_400, rel=1e-9)
    rates = curve.from_per_s
    assert rates.max() == pytest.approx(50 * peak_to_mean, rel=1e-3)
    assert rates.min() > 0
    if peak_to_mean > 1:
        assert np.cumsum(curve.lengths_ns)[rates.argmax() - 1] == pytest.approx(peak_at_ns)


def test_repeated_curve_starts_again() -> None:
    """The second period expects what the first one did, and a curve that does not repeat keeps its last rate."""
    repeated, single = CURVES["repeated steps"], CURVES["steps"]
    assert repeated.expected_until(10 * SECOND_NS) == pytest.approx(2 * repeated.expected_until(5 * SECOND_NS))
    later = single.expected_until(107 * SECOND_NS) - single.expected_until(7 * SECOND_NS)
    assert later == pytest.approx(100 * 50)


@pytest.mark.parametrize("name", CURVES)
def test_longer_horizon_only_adds_arrivals(name: str) -> None:
    """The same generator gives the same first seconds, however long the run is."""
    short = draw_along(CURVES[name], 1.0, 9 * SECOND_NS, np.random.default_rng(6))
    long = draw_along(CURVES[name], 1.0, 30 * SECOND_NS, np.random.default_rng(6))
    assert (long[: len(short)] == short).all()
    assert (long[len(short) :] >= 9 * SECOND_NS).all()
