"""From runs to figures, on runs that are made up."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from policy.timeline import Outcome
from sim.forecast.estimates import METRICS, Figure, estimate, exact, mean_of_runs
from sim.forecast.intervals import confidence, prediction
from tests.sim.forecast.made_runs import made_run, noisy_runs

MEAN, P50, P99 = METRICS["latency_ms.mean"], METRICS["latency_ms.p50"], METRICS["latency_ms.p99"]


def test_quantile_is_that_of_all_runs_pooled() -> None:
    """Three runs of 1..100, 101..200, 201..300 ms: the pooled median is 150, by nearest rank."""
    runs = [made_run(np.arange(1.0, 101.0) + shift) for shift in (0, 100, 200)]
    assert P50.pooled(runs) == 150.0
    figure = estimate(P50, [made_run(np.tile(np.arange(1.0, 101.0), 10) + shift) for shift in (0, 1, 2)])
    assert figure.value == 51.0
    assert figure.samples == 3_000


def test_figure_without_calibration_has_sampling_alone() -> None:
    """The whole interval is the sampling interval; the calibration part is a point."""
    figure = estimate(MEAN, noisy_runs(10, 5_000, seed=1))
    assert figure.value is not None
    assert figure.sampling is not None
    assert figure.calibration is not None
    assert (figure.low, figure.high) == pytest.approx((figure.sampling.low, figure.sampling.high))
    assert (figure.calibration.low, figure.calibration.high) == (figure.value, figure.value)
    assert figure.low < 10.0 < figure.high


def test_figure_uses_the_intervals_of_the_runs() -> None:
    """Confidence around the pooled value from the runs' own values, prediction from those values: not mixed."""
    runs = noisy_runs(8, 5_000, seed=2)
    own = [MEAN.pooled([run]) for run in runs]
    figure = estimate(MEAN, runs)
    assert figure.value is not None
    assert figure.sampling == confidence(figure.value, own)
    assert figure.prediction == prediction(own)
    assert figure.prediction.high - figure.prediction.low > 2 * (figure.sampling.high - figure.sampling.low)


def test_calibration_part_does_not_shrink_with_more_runs() -> None:
    """A calibration that is off by 5 % or so stays so, however long is simulated; sampling shrinks."""
    widths = []
    for count in (10, 40):
        rng = np.random.default_rng(3)
        central = noisy_runs(count, 2_000, seed=4)
        drawn = [made_run(run.answered_latencies_ns / 1e6 * rng.normal(1.0, 0.05)) for run in central]
        figure = estimate(MEAN, central, drawn)
        assert figure.sampling is not None
        assert figure.calibration is not None
        widths.append((figure.sampling.high - figure.sampling.low, figure.calibration.high - figure.calibration.low))
    assert widths[1][0] < 0.7 * widths[0][0]
    assert widths[1][1] > 0.6 * widths[0][1]
    assert 2 * 1.96 * 0.5 * 0.7 < widths[1][1] < 2 * 1.96 * 0.5 * 1.4  # 5 % of 10 ms


def test_whole_interval_holds_both_parts() -> None:
    """Independent parts add in squares, around the value on the central calibration."""
    central = noisy_runs(10, 2_000, seed=5)
    drawn = [
        made_run(run.answered_latencies_ns / 1e6 * (1.04 if index % 2 else 0.96)) for index, run in enumerate(central)
    ]
    figure = estimate(MEAN, central, drawn)
    assert figure.value is not None
    assert figure.high is not None
    assert figure.sampling is not None
    assert figure.calibration is not None
    parts = (figure.sampling.high - figure.value, figure.calibration.high - figure.value)
    assert figure.high - figure.value == pytest.approx(math.hypot(*parts))
    assert figure.high - figure.value > max(parts)


def test_interval_holds_the_truth_that_the_calibration_missed() -> None:
    """500 calibrations, each off by its own error, whose draws scatter as much: 90 to 99 % hold the truth.

    The counterfact: sampling alone would hold it in fewer than 6 of 10 cases.
    """
    rng = np.random.default_rng(6)
    whole, sampling_alone = [], []
    for _ in range(500):
        fitted = rng.normal(10.0, 0.3)
        noise = rng.normal(0.0, 0.3, (10, 1)) + np.zeros((10, 50))
        central = [made_run(fitted + row) for row in noise]
        drawn = [made_run(fitted + rng.normal(0.0, 0.3) + row) for row in noise]
        figure = estimate(MEAN, central, drawn)
        assert figure.low is not None
        assert figure.high is not None
        assert figure.sampling is not None
        whole.append(figure.low <= 10.0 <= figure.high)
        sampling_alone.append(figure.sampling.low <= 10.0 <= figure.sampling.high)
    assert 0.90 <= np.mean(whole) <= 0.99
    assert np.mean(sampling_alone) < 0.6


def test_prediction_comes_from_the_runs_in_which_the_calibration_varies() -> None:
    """A live run meets the true parameters, which the draws scatter around."""
    central = [made_run(np.full(100, 10.0 + run * 1e-3)) for run in range(10)]
    drawn = [made_run(np.full(100, 9.0 + 0.2 * run)) for run in range(10)]
    figure = estimate(MEAN, central, drawn)
    expected = prediction([9.0 + 0.2 * run for run in range(10)])
    assert figure.prediction is not None
    assert (figure.prediction.low, figure.prediction.high) == pytest.approx((expected.low, expected.high))


def test_calibration_of_one_draw_has_no_known_uncertainty() -> None:
    """Null, not zero: the calibration is there, and does not say how sure it is."""
    figure = estimate(MEAN, noisy_runs(5, 500, seed=7), calibration_known=False)
    assert figure.value is not None
    assert figure.calibration is None
    assert figure.to_json()["calibration"] == {"low": None, "high": None}


def test_quantile_beyond_the_samples_says_what_would_do() -> None:
    """1000 independent requests have 10 beyond p99: twice as long a run is needed, and no value is given."""
    figure = estimate(P99, noisy_runs(10, 1_000, seed=8))
    assert (figure.value, figure.low, figure.prediction) == (None, None, None)
    assert figure.effective_samples == pytest.approx(1_000, rel=0.2)
    assert figure.why is not None
    assert "20 are needed, in runs about 2" in figure.why
    assert estimate(P50, noisy_runs(10, 1_000, seed=8)).value is not None


def test_requests_that_depend_on_each_other_count_less() -> None:
    """The same 5000 latencies, each repeated 50 times in a row, are worth 100: p90 is refused, where independent
    ones would do.
    """
    rng = np.random.default_rng(9)
    lumps = [made_run(np.repeat(rng.exponential(10.0, 100), 50)) for _ in range(10)]
    metric = METRICS["latency_ms.p90"]
    assert estimate(metric, lumps).value is None
    assert estimate(metric, noisy_runs(10, 5_000, seed=9)).value is not None


def test_share_of_which_nothing_was_seen_has_an_upper_limit() -> None:
    """Ten runs of 1000 independent requests, no refusal: 0, and at most 3 in 10000."""
    figure = estimate(METRICS["refused_share"], noisy_runs(10, 1_000, seed=10))
    assert (figure.value, figure.low) == (0.0, 0.0)
    assert figure.high == pytest.approx(3e-4, rel=0.25)
    assert figure.prediction is not None
    assert (figure.prediction.high, figure.prediction.method) == (figure.high, "none seen")


def test_share_that_no_chance_can_change_is_a_point() -> None:
    """Runs that are equal to the last request have no dice in them: nothing refused is nothing refused."""
    runs = [made_run(np.arange(1.0, 1_001.0))] * 3
    figure = estimate(METRICS["refused_share"], runs)
    assert (figure.value, figure.low, figure.high) == (0.0, 0.0, 0.0)


def test_shares_stay_between_zero_and_one() -> None:
    """One refusal in one of ten runs: the interval would reach below 0."""
    runs = [made_run(np.ones(100), refused=int(index == 0)) for index in range(10)]
    figure = estimate(METRICS["refused_share"], runs)
    assert figure.value == pytest.approx(1 / 1_001)
    assert figure.low == 0.0
    assert figure.prediction is not None
    assert figure.prediction.low == 0.0


def test_latency_interval_ends_at_the_shortest_latency_seen() -> None:
    """Three runs, one with a burst at its end: t * spread reaches below 0, and no request takes less than 8.5 ms.

    Cut at 0, as it was, p90 would be "0 .. 400 ms" beside a pass that takes 8.5 ms by itself.
    """
    calm, burst = np.full(1_000, 8.5), np.concatenate([np.full(600, 8.5), np.full(400, 200.0)])
    runs = [made_run(calm), made_run(calm), made_run(burst)]
    for name in ("latency_ms.mean", "latency_ms.p90"):
        own = [METRICS[name].pooled([run]) for run in runs]
        assert confidence(METRICS[name].pooled(runs), own).low < 0.0
        figure = estimate(METRICS[name], runs)
        assert figure.low == 8.5
        assert figure.sampling is not None
        assert figure.sampling.low == 8.5
        assert figure.prediction is not None
        assert figure.prediction.low == 8.5


def test_calibration_leaves_open_how_short_a_latency_may_be() -> None:
    """Drawn runs of 7 to 13 ms: further draws may be shorter still, so the lower end is no hard 7 ms."""
    central = [made_run(np.full(1_000, 10.0)) for _ in range(3)]
    drawn = [made_run(np.full(1_000, each)) for each in (7.0, 10.0, 13.0)]
    figure = estimate(P50, central, drawn)
    assert figure.low is not None
    assert figure.low < 7.0


def test_rarer_quantile_may_be_known_where_a_common_one_is_not() -> None:
    """What lies beyond p95 comes in one cluster, in another batch of each run; what lies beyond p99 is scattered."""
    rng = np.random.default_rng(7)
    runs = []
    for run in range(5):
        latencies_ms = np.full(20_000, 10.0)
        burst = slice(4_000 * run, 4_000 * run + 600 + 200 * run)
        latencies_ms[burst] = rng.uniform(40.0, 60.0, 600 + 200 * run)
        latencies_ms[rng.permutation(20_000)[:210]] = 500.0
        runs.append(made_run(latencies_ms))
    assert estimate(METRICS["latency_ms.p95"], runs).value is None
    assert estimate(P99, runs).value == 500.0


def test_run_without_an_answer_leaves_no_latency() -> None:
    """Everything refused in one run: no mean over runs would be honest."""
    runs = [made_run(np.ones(100)), made_run([], refused=100)]
    figure = estimate(MEAN, runs)
    assert figure.value is None
    assert figure.why == "at least one of 2 runs has nothing to read it from"


@pytest.mark.parametrize(
    ("name", "value"),
    [("throughput_per_s", 10.0), ("refused_share", 0.2), ("batch_size_mean", 2.5), ("gpu_busy_share", 0.5)],
)
def test_other_figures_are_read_from_what_was_counted(name: str, value: float) -> None:
    """100 answers and 25 refusals in 10 s, 250 requests in 100 passes, half the time busy."""
    runs = [made_run(np.arange(100.0) + shift, refused=25) for shift in (0, 1)]
    assert estimate(METRICS[name], runs).value == pytest.approx(value)


def test_failed_requests_are_a_share_of_their_own() -> None:
    """20 of 120 taken and lost: neither refused nor answered."""
    run = made_run(np.ones(100), refused=20)
    lost = replace(run, outcomes=np.where(run.outcomes == Outcome.REFUSED, Outcome.FAILED, run.outcomes))
    assert METRICS["failed_share"].pooled([lost]) == pytest.approx(1 / 6)
    assert METRICS["refused_share"].pooled([lost]) == 0.0


def test_pooled_batch_size_weighs_runs_by_their_passes() -> None:
    """1 pass of 8 and 9 passes of 1: mean 1.7, not 4.5."""
    runs = [made_run([1.0], passes=1, batched=8), made_run([1.0], passes=9, batched=9)]
    assert METRICS["batch_size_mean"].pooled(runs) == pytest.approx(1.7)


def test_exact_figure_is_a_point_everywhere() -> None:
    """What the scenario fixes needs no run."""
    figure = exact(3.0)
    assert (figure.value, figure.low, figure.high) == (3.0, 3.0, 3.0)
    assert figure.prediction is not None
    assert figure.prediction.method == "exact"


@pytest.mark.parametrize(
    "figure", [exact(1.0), Figure(None, why="because"), estimate(P50, noisy_runs(4, 500, seed=11))]
)
def test_json_has_the_agreed_keys(figure: Figure) -> None:
    """The same keys with and without a value, and plain numbers."""
    content = figure.to_json()
    assert {"value", "low", "high", "sampling", "calibration", "prediction", "samples"} <= set(content)
    for part in ("sampling", "calibration", "prediction"):
        ends = content[part]
        assert isinstance(ends, dict)
        assert {"low", "high"} <= set(ends)
    json.dumps(content, allow_nan=False)
    assert ("why" in content) == (figure.value is None)


def test_figure_keeps_what_each_run_showed() -> None:
    """So that two forecasts can be compared run by run, a saved one too; a figure without runs of its own has none."""
    runs, drawn = noisy_runs(4, 5_000, seed=12), noisy_runs(4, 5_000, seed=13)
    figure = estimate(P50, runs, drawn)
    assert figure.runs == tuple(P50.pooled([run]) for run in runs)
    assert figure.drawn == tuple(P50.pooled([run]) for run in drawn)
    content = figure.to_json()
    assert (content["runs"], content["drawn"]) == (list(figure.runs), list(figure.drawn))
    assert "drawn" not in estimate(P50, runs).to_json()
    assert "runs" not in exact(1.0).to_json()


def test_run_that_shows_nothing_keeps_its_place() -> None:
    """Run r of another forecast is its partner: in JSON, which knows no NaN, it is null."""
    figure = mean_of_runs([1.0, math.nan, 3.0])
    assert figure.value == 2.0
    assert figure.to_json()["runs"] == [1.0, None, 3.0]
