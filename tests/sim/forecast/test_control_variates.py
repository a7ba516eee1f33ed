"""Control variates: unbiased, honest, and narrower, shown on queues whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from sim.forecast.control_variates import controlled
from sim.forecast.intervals import confidence
from tests.sim.forecast.waiting_times import Floats

RUNS, LOAD, TRUTH = 20, 0.8, 5.0

NO_CONTROLS = (np.empty((RUNS, 0)), np.empty(0))


def mm1_with_inputs(experiments: int, seed: int, service_mean: float = 1.0) -> tuple[Floats, Floats]:
    """Return (experiments, RUNS) mean responses of 2000 requests, and (experiments, RUNS, 2) means of what went in.

    What went in are the gaps and the standard exponential dice of the services; `service_mean` is what the queue makes
    of the dice, as a simulator with a fault would.
    """
    rng = np.random.default_rng(seed)
    waiting = np.zeros((experiments, RUNS))
    total, gaps, dice = np.zeros_like(waiting), np.zeros_like(waiting), np.zeros_like(waiting)
    for index in range(-300, 2_000):
        rolled = rng.standard_exponential(waiting.shape)
        gap = rng.standard_exponential(waiting.shape) / LOAD
        service = rolled * service_mean
        if index >= 0:
            total += waiting + service
            gaps += gap
            dice += rolled
        waiting = np.maximum(waiting + service - gap, 0.0)
    return total / 2_000, np.stack([gaps, dice], axis=2) / 2_000


@pytest.fixture(scope="module")
def experiments() -> tuple[Floats, Floats]:
    """400 experiments of 20 runs each."""
    return mm1_with_inputs(400, seed=1)


def intervals_of(experiments: tuple[Floats, Floats], level: float) -> tuple[Floats, Floats, Floats]:
    """Return the controlled estimate and both ends of its interval, for each experiment."""
    means = np.array([1 / LOAD, 1.0])
    rows = []
    for runs, inputs in zip(*experiments, strict=True):
        centre, bounds = controlled(float(runs.mean()), runs.tolist(), inputs, means, level)
        rows.append((centre, bounds.low, bounds.high))
    centres, lows, highs = np.array(rows).T
    return centres, lows, highs


def test_controlled_estimate_is_unbiased(experiments: tuple[Floats, Floats]) -> None:
    """Over 400 experiments its mean is the true 5 within three standard errors of that mean."""
    centres, _, _ = intervals_of(experiments, 0.95)
    error = float(centres.std(ddof=1)) / np.sqrt(len(centres))
    assert abs(float(centres.mean()) - TRUTH) < 3 * error
    assert error < 0.03


def test_controls_halve_the_work(experiments: tuple[Floats, Floats]) -> None:
    """The variance of the estimate falls to less than 0.6 of that of the plain mean, and the intervals with it."""
    runs, _ = experiments
    centres, lows, highs = intervals_of(experiments, 0.95)
    plain = runs.mean(axis=1)
    assert centres.var(ddof=1) < 0.6 * plain.var(ddof=1)
    widths = [bounds.high - bounds.low for bounds in (confidence(float(row.mean()), row.tolist()) for row in runs)]
    assert float((highs - lows).mean()) < 0.85 * float(np.mean(widths))


@pytest.mark.parametrize(("level", "least", "most"), [(0.95, 0.92, 0.98), (0.999, 0.99, 1.0)])
def test_controlled_interval_holds_the_truth(
    experiments: tuple[Floats, Floats], level: float, least: float, most: float
) -> None:
    """Narrower and still as sure as it says."""
    _, lows, highs = intervals_of(experiments, level)
    assert least <= float(((lows <= TRUTH) & (highs >= TRUTH)).mean()) <= most


def test_fault_in_the_service_is_not_controlled_away() -> None:
    """A queue that serves 5 % too slowly has mean 6.56, and the controls leave it there: the dice were right.

    The counterfact: controls read off what the faulty queue did would move the estimate towards 5.
    """
    faulty = mm1_with_inputs(20, seed=2, service_mean=1.05)
    wrong = 1 / (1 / 1.05 - LOAD)
    centres, _, _ = intervals_of(faulty, 0.95)
    assert float(centres.mean()) == pytest.approx(wrong, rel=0.03)
    runs, inputs = faulty
    as_served = inputs * np.array([1.0, 1.05])
    misled, _, _ = intervals_of((runs, as_served), 0.95)
    assert float(misled.mean()) < wrong - 0.5


def test_without_controls_it_is_the_confidence_interval() -> None:
    """Nothing to take out: centre, spread and t as in intervals.confidence around the runs' mean."""
    runs = np.random.default_rng(3).normal(5.0, 1.0, RUNS).tolist()
    centre, bounds = controlled(float(np.mean(runs)), runs, *NO_CONTROLS, 0.95)
    plain = confidence(float(np.mean(runs)), runs)
    assert centre == pytest.approx(float(np.mean(runs)))
    assert (bounds.low, bounds.high) == pytest.approx((plain.low, plain.high))


def test_bias_of_the_runs_own_values_widens_the_interval() -> None:
    """The estimate is the pooled figure, moved by the controls; that the runs' own values lie off it is spread."""
    runs = np.random.default_rng(4).normal(5.0, 0.1, RUNS).tolist()
    pooled = float(np.mean(runs)) + 1.0
    centre, bounds = controlled(pooled, runs, *NO_CONTROLS, 0.95)
    _, plain = controlled(float(np.mean(runs)), runs, *NO_CONTROLS, 0.95)
    assert centre == pytest.approx(pooled)
    assert bounds.high - bounds.low > 5 * (plain.high - plain.low)
