"""Do 95 % intervals hold the truth in 95 of 100 cases? Repeated on systems whose truth is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from sim.forecast.intervals import (
    Bounds,
    PredictionBounds,
    confidence,
    effective_samples,
    exceedances_are_enough,
    half_width,
    none_seen_high,
    prediction,
    spread,
    student_t,
)
from sim.outcome.quantiles import quantile
from tests.sim.forecast.waiting_times import Floats, autoregressive, mm1_responses

RUNS = 10

Statistic = Callable[[Floats], float]


def mean(values: Floats) -> float:
    """Return the mean of all values."""
    return float(values.mean())


def p50(values: Floats) -> float:
    """Return the median of all values."""
    return float(quantile(values.ravel(), 0.5))


def p99(values: Floats) -> float:
    """Return the 0.99-quantile of all values."""
    return float(quantile(values.ravel(), 0.99))


def experiments(series: Floats) -> Iterator[Floats]:
    """Yield groups of RUNS runs, each an experiment of its own."""
    for start in range(0, len(series), RUNS):
        yield series[start : start + RUNS]


def coverage(series: Floats, statistic: Statistic, truth: float) -> float:
    """Return how often the confidence interval of an experiment holds the truth."""
    hits = []
    for runs in experiments(series):
        bounds = confidence(statistic(runs), [statistic(run) for run in runs])
        hits.append(bounds.low <= truth <= bounds.high)
    return float(np.mean(hits))


@pytest.fixture(scope="module")
def responses() -> Floats:
    """150 experiments of M/M/1 at load 0.5, runs long enough for p99."""
    return mm1_responses(0.5, requests=17_000, runs=150 * RUNS, seed=1)


@pytest.fixture(scope="module")
def noise() -> Floats:
    """400 experiments of noise with a correlation of 0.8 from value to value."""
    return autoregressive(0.8, values=3_000, runs=400 * RUNS, seed=2)


@pytest.mark.parametrize(("statistic", "truth"), [(mean, 2.0), (p50, 2 * math.log(2)), (p99, 2 * math.log(100))])
def test_confidence_interval_holds_the_long_run_figure_of_a_queue(
    responses: Floats, statistic: Statistic, truth: float
) -> None:
    """M/M/1 responses depend on each other and have a skew tail: 90 to 99 % coverage all the same."""
    assert 0.90 <= coverage(responses, statistic, truth) <= 0.99


@pytest.mark.parametrize(("statistic", "truth"), [(mean, 0.0), (p50, 0.0), (p99, 2.3263)])
def test_confidence_interval_holds_the_long_run_figure_of_noise(
    noise: Floats, statistic: Statistic, truth: float
) -> None:
    """With 400 experiments the coverage itself is known to 1 %: 93 to 98 %."""
    assert 0.93 <= coverage(noise, statistic, truth) <= 0.98


def test_requests_taken_as_independent_would_not_cover(responses: Floats) -> None:
    """The counterfact: mean +- 1.96 s / sqrt(n) over all requests holds the mean in fewer than 6 of 10 cases."""
    hits = []
    for runs in experiments(responses):
        half = 1.96 * float(runs.std()) / math.sqrt(runs.size)
        hits.append(abs(mean(runs) - 2.0) <= half)
    assert np.mean(hits) < 0.6


def test_mean_of_the_runs_own_p99_would_not_cover() -> None:
    """The counterfact: in runs of 1000 requests at load 0.8 each run's own p99 is too low, and so is their mean."""
    series = mm1_responses(0.8, requests=1_000, runs=200 * RUNS, seed=3)
    truth = 5 * math.log(100)
    hits = []
    for runs in experiments(series):
        own = [p99(run) for run in runs]
        half = half_width(float(np.mean(own)), own)
        hits.append(abs(float(np.mean(own)) - truth) <= half)
    assert np.mean(hits) < 0.7
    assert coverage(series, p99, truth) > np.mean(hits) + 0.1
    # Neither is reported: the runs are too short by far for the rule.
    runs = series[:RUNS]
    assert not exceedances_are_enough(effective_samples(list(runs > p99(runs))), 0.99)


@pytest.mark.parametrize("statistic", [mean, p50, p99])
def test_prediction_interval_holds_the_next_run(responses: Floats, statistic: Statistic) -> None:
    """From ten runs, by the normal theory: the first run of the next experiment lies inside 90 to 99 % of the time."""
    groups = list(experiments(responses))
    hits = []
    for runs, later in zip(groups, [*groups[1:], groups[0]], strict=True):
        bounds = prediction([statistic(run) for run in runs])
        hits.append(bounds.low <= statistic(later[0]) <= bounds.high)
        assert (bounds.method, bounds.draws) == ("normal", RUNS)
    assert 0.90 <= np.mean(hits) <= 0.99


def test_confidence_interval_is_not_a_prediction_interval(responses: Floats) -> None:
    """The counterfact: the interval of the long-run p99 holds a single run's p99 in fewer than 7 of 10 cases."""
    groups = list(experiments(responses))
    hits = []
    for runs, later in zip(groups, [*groups[1:], groups[0]], strict=True):
        bounds = confidence(p99(runs), [p99(run) for run in runs])
        hits.append(bounds.low <= p99(later[0]) <= bounds.high)
    assert np.mean(hits) < 0.7


def test_prediction_from_200_draws_holds_the_next_draw_of_any_law() -> None:
    """Lognormal draws, where the normal theory would be wrong at both ends: 2.5 % beyond each end."""
    rng = np.random.default_rng(4)
    below, above = [], []
    for _ in range(2_000):
        draws = rng.lognormal(0.0, 1.0, 201)
        bounds = prediction(draws[:200].tolist())
        below.append(draws[200] < bounds.low)
        above.append(draws[200] > bounds.high)
        assert bounds.method == "empirical"
    assert 0.016 <= np.mean(below) <= 0.034
    assert 0.016 <= np.mean(above) <= 0.034


def test_prediction_reads_the_fifth_from_both_ends_of_200_draws() -> None:
    """With k = floor(0.025 * 201) = 5 a further draw is outside with probability 10 / 201."""
    bounds = prediction([float(value) for value in range(1, 201)][::-1])
    assert (bounds.low, bounds.high) == (5.0, 196.0)
    few = prediction([float(value) for value in range(1, 200)])
    assert few.method == "normal"


def test_spread_is_taken_around_the_centre() -> None:
    """A centre off the runs' mean widens the interval: bias is not hidden. The mean itself gives the usual s."""
    runs = [1.0, 2.0, 3.0]
    assert spread(2.0, runs) == pytest.approx(1.0)
    assert spread(3.0, runs) == pytest.approx(math.sqrt(5 / 2))
    bounds = confidence(2.0, runs)
    assert bounds.high - 2.0 == pytest.approx(4.3027 / math.sqrt(3), rel=1e-4)  # t with 2 degrees of freedom


def test_one_run_has_no_interval() -> None:
    """One run does not show how much runs differ."""
    with pytest.raises(ValueError, match="at least two"):
        student_t(0.95, 0)


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.9])
def test_effective_samples_of_noise_are_known(memory: float) -> None:
    """The mean of n values of an AR(1) is worth n (1 - r) / (1 + r) independent ones."""
    runs = autoregressive(memory, values=20_000, runs=RUNS, seed=5)
    expected = 20_000 * (1 - memory) / (1 + memory)
    assert effective_samples(list(runs)) == pytest.approx(expected, rel=0.25)


def test_effective_samples_count_what_separates_whole_runs() -> None:
    """Runs of independent values around a level of their own, half a standard deviation apart: worth few values."""
    rng = np.random.default_rng(6)
    runs = rng.standard_normal((RUNS, 20_000)) + 0.5 * rng.standard_normal((RUNS, 1))
    assert effective_samples(list(runs)) < 200


def test_effective_samples_do_not_count_a_change_over_time() -> None:
    """A load with a peak moves all runs alike: that is no noise. Against the mean of all it would be worth tens."""
    rng = np.random.default_rng(7)
    wave = np.sin(np.linspace(0, 2 * np.pi, 20_000))
    runs = rng.standard_normal((RUNS, 20_000)) + wave
    assert effective_samples(list(runs)) > 15_000


def test_effective_samples_never_exceed_the_samples() -> None:
    """Values that alternate have a steadier mean than independent ones; constant ones have no noise at all."""
    alternating = [np.tile([0.0, 1.0], 1_000) + run * 1e-9 for run in range(RUNS)]
    assert effective_samples(alternating) == 2_000
    assert effective_samples([np.zeros(1_000)] * RUNS) == 1_000
    assert effective_samples([np.zeros(30), np.ones(10)]) == 20


@pytest.mark.parametrize(
    ("samples", "q", "enough"),
    [(2_000, 0.99, True), (1_999, 0.99, False), (40, 0.5, True), (39, 0.5, False), (19_999, 0.999, False)],
)
def test_quantile_needs_twenty_independent_values_beyond_it(samples: float, q: float, enough: bool) -> None:
    """Effective samples times (1 - q) at least 20, in the decimals of q."""
    assert exceedances_are_enough(samples, q) is enough


def test_nothing_seen_leaves_three_in_n() -> None:
    """A share of `high` would show nothing in n requests with probability 5 %; for large n that is 3 / n."""
    high = none_seen_high(1_000)
    assert (1 - high) ** 1_000 == pytest.approx(0.05)
    assert high == pytest.approx(3 / 1_000, rel=0.01)
    assert none_seen_high(0) == pytest.approx(0.95)


def test_bounds_are_cut_to_what_is_possible() -> None:
    """A share ends at 0 and 1, and a prediction keeps its method."""
    assert Bounds(-0.1, 1.2).clipped(0.0, 1.0) == Bounds(0.0, 1.0)
    assert Bounds(-0.2, -0.1).clipped(0.0, 1.0) == Bounds(0.0, 0.0)
    assert PredictionBounds(-1.0, 2.0, "normal", 10).clipped(0.0, math.inf) == PredictionBounds(0.0, 2.0, "normal", 10)
