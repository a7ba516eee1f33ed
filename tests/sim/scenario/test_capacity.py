"""Capacity and mean rate, by hand."""

from __future__ import annotations

import pytest
from scipy import integrate, stats

from sim.errors import ScenarioError
from sim.scenario.arrival_spec import RecordedTrace
from sim.scenario.capacity import at_rate, capacity_per_s, mean_rate_per_s, times_over
from tests.sim.scenario.example import calibrated, scenario, trace


@pytest.mark.parametrize(
    ("overrides", "capacity"),
    [
        ((), 8 / 0.012),
        (("fleet.instances=3",), 24 / 0.012),
        (("fleet.instances=3", "batching.slots=2"), 16 / 0.012),
        (("fleet.instances=3", "batching.slots=unlimited"), 24 / 0.012),
        (("fleet.turnaround={batch_in: 1ms, results_out: {distribution: exponential, mean: 2ms}}",), 8 / 0.015),
        (("front_end={workers: 2, request: 3ms, response: 2ms}",), 400.0),
        (("front_end={workers: 9, request: 3ms, response: 2ms}",), 8 / 0.012),
        (("front_end={pass_result: 1ms, timer: 9ms}",), 8 / 0.013),
        (("front_end={request: 2ms, pass_result: 4ms}",), 400.0),  # 2 ms and an eighth of 4 ms for each request
        (("front_end={request: 0.5ms, response: 0.5ms, pass_result: 9ms, blocking: true}",), 8 / 0.020),
        (("front_end.blocking=true", "fleet.turnaround.batch_in=3ms"), 8 / 0.015),
        (("model.pass_time={table: {1: 8ms, 8: 10ms}}",), 800.0),
        (("model.pass_time.padded_sizes=[16]",), 8 / 0.016),
        (("model.pass_time.per_unit=0.1ms", "traffic.sizes=5"), 8 / 0.016),
        (("model.pass_time.spread={distribution: exponential}",), 8 / 0.012),
    ],
)
def test_capacity_is_that_of_full_batches_back_to_back(overrides: tuple[str, ...], capacity: float) -> None:
    """Full batches over pass and turnaround, or the front end, whichever is less; a spread has mean 1."""
    assert capacity_per_s(scenario(*overrides)) == pytest.approx(capacity, rel=1e-6)


def test_capacity_counts_the_longest_of_a_batch() -> None:
    """Shorter members are padded to the longest: the mean largest of 8 exponential sizes of mean 1000 is 2718."""
    loaded = scenario("model.pass_time.per_unit=1us", "traffic.sizes={distribution: exponential, mean: 1000}")
    longest = 1_000 * sum(1 / k for k in range(1, 9))
    assert longest == pytest.approx(2_718, abs=1)
    assert capacity_per_s(loaded) == pytest.approx(8 / (0.012 + 8e-6 * longest), rel=1e-3)


def test_capacity_counts_the_longest_of_a_skewed_law() -> None:
    """The same for a lognormal law, against a numerical integral of 1 - F**8."""
    law = stats.lognorm(s=0.8, scale=500)
    cv = law.std() / law.mean()
    sizes = f"traffic.sizes={{distribution: lognormal, mean: {law.mean()}, cv: {cv}}}"
    longest = integrate.quad(lambda size: 1 - law.cdf(size) ** 8, 0, 100_000, limit=200)[0]
    loaded = scenario("model.pass_time.per_unit=1us", sizes)
    assert capacity_per_s(loaded) == pytest.approx(8 / (0.012 + 8e-6 * longest), rel=2e-3)


def test_capacity_counts_the_longest_of_recorded_sizes() -> None:
    """Two of four recorded sizes are large: the largest of 8 draws is almost always 4808, and never more."""
    loaded = scenario(trace("azure_llm.csv", ", repeat: true"), "model.pass_time.per_unit=1us")
    share = {4808: 1 - 0.75**8, 3180: 0.75**8 - 0.5**8, 110: 0.5**8 - 0.25**8, 1: 0.25**8}
    longest = round(sum(size * probability for size, probability in share.items()))
    assert capacity_per_s(loaded) == pytest.approx(8 / (0.012 + 8e-6 * longest), rel=1e-6)


def test_calibrated_capacity_has_its_turnaround_and_follows_the_draw() -> None:
    """Measured turnaround and work on results lie between passes: 12 + 0.6 ms centrally, 12.02 + 0.65 ms in draw 1."""
    assert capacity_per_s(calibrated()) == pytest.approx(8 / 0.0126)
    assert capacity_per_s(calibrated(), 1) == pytest.approx(8 / 0.01267)


@pytest.mark.parametrize(
    ("arrivals", "rate"),
    [
        ("{process: even, rate: 60/min}", 1.0),
        ("{process: mmpp, rates: [100/s, 400/s], dwells: [2s, 1s]}", 200.0),
        ("{process: steps, steps: [{rate: 100/s, duration: 30s}, {rate: 400/s, duration: 1s}]}", 250.0),
        ("{process: spike, rate: 100/s, peak_rate: 700/s, at: 10s, duration: 5s, ramp: 1s}", 160.0),
        ("{process: day_curve, mean_rate: 100/s, peak_to_mean: 2, peak_at: 0s, period: 30s}", 100.0),
    ],
)
def test_mean_rate_is_over_the_run(arrivals: str, rate: float) -> None:
    """A changing rate is averaged over the 60 s of the run; a stationary one is what it is."""
    assert mean_rate_per_s(scenario(f"traffic.arrivals={arrivals}")) == pytest.approx(rate)


def test_mean_rate_counts_a_stated_warm_up() -> None:
    """30 s at 100/s, then 400/s: with 30 s of warm-up the run has 90 s, of which 60 at 400/s."""
    steps = "traffic.arrivals={process: steps, steps: [{rate: 100/s, duration: 30s}, {rate: 400/s, duration: 1s}]}"
    assert mean_rate_per_s(scenario(steps, "horizon.warm_up=30s")) == pytest.approx(300)


def test_closed_loop_has_no_rate_of_its_own() -> None:
    """It counts as 0, and no rate can be asked of it."""
    loaded = scenario("traffic={clients: {count: 8}}")
    assert mean_rate_per_s(loaded) == 0
    with pytest.raises(ScenarioError, match="closed loop"):
        at_rate(loaded, 100.0)


@pytest.mark.parametrize(
    "arrivals",
    [
        "{process: even, rate: 60/s}",
        "{process: gamma, rate: 60/s, cv: 2}",
        "{process: mmpp, rates: [100/s, 400/s], dwells: [2s, 1s]}",
        "{process: steps, steps: [{rate: 100/s, duration: 30s}, {rate: 400/s, duration: 1s}]}",
        "{process: spike, rate: 100/s, peak_rate: 700/s, at: 10s, duration: 5s, ramp: 1s}",
        "{process: day_curve, mean_rate: 100/s, peak_to_mean: 2, peak_at: 0s, period: 30s}",
        trace("timestamps_seconds.csv", ", repeat: true").partition("=")[2],
        trace("timestamps_seconds.csv", ", scale: 3, repeat: true").partition("=")[2],
    ],
)
def test_same_traffic_at_another_rate(arrivals: str) -> None:
    """Whatever the process, its mean rate becomes the one asked for, and nothing else of the scenario changes."""
    loaded = scenario(f"traffic.arrivals={arrivals}", "queue.cap=7")
    faster = at_rate(loaded, 123.0)
    assert mean_rate_per_s(faster) == pytest.approx(123.0)
    assert faster.queue.cap == 7
    assert loaded.traffic.arrivals != faster.traffic.arrivals


def test_rate_that_cannot_be_had_is_refused() -> None:
    """A trace compressed below the length of the run, and traffic that is silent in it, have no such rate."""
    short = scenario(trace("timestamps_seconds.csv"), "horizon.duration=1.2s")
    with pytest.raises(ScenarioError, match=r"horizon\.duration must fit into the trace"):
        at_rate(short, 100.0)
    steps = "[{rate: 0/s, duration: 2min}, {rate: 5/s, duration: 1s}]"
    with pytest.raises(ScenarioError, match="sends nothing within the run"):
        at_rate(scenario(f"traffic.arrivals={{process: steps, steps: {steps}}}"), 100.0)


def test_trace_lasts_as_long_with_more_of_its_traffic() -> None:
    """It is multiplied where it would be compressed, beside a stated scale and rate; other processes are as ever."""
    own = scenario(trace("timestamps_seconds.csv", ", rate: 4/s, scale: 3"), "horizon.duration=0.9s")
    more = times_over(own, 60.0)
    assert isinstance(more.traffic.arrivals, RecordedTrace)
    assert (more.traffic.arrivals.rate, more.traffic.arrivals.scale) == (4.0, pytest.approx(15.0))
    assert mean_rate_per_s(more) == pytest.approx(60.0)
    assert more.horizon == own.horizon
    assert times_over(own, mean_rate_per_s(own)) == own
    assert times_over(scenario(), 60.0) == at_rate(scenario(), 60.0)
    with pytest.raises(ScenarioError, match="closed loop"):
        times_over(scenario("traffic={clients: {count: 8}}"), 100.0)


def test_peaks_keep_their_proportion_at_another_rate() -> None:
    """Rates are multiplied and times stay: a spike is as high against its base, as long, and at its place."""
    loaded = scenario("traffic.arrivals={process: spike, rate: 100/s, peak_rate: 700/s, at: 10s, duration: 5s}")
    spike = at_rate(loaded, 75.0).traffic.arrivals
    assert spike is not None
    assert spike.model_dump() == {
        "process": "spike",
        "rate": pytest.approx(50.0),
        "peak_rate": pytest.approx(350.0),
        "at": 10 * 10**9,
        "duration": 5 * 10**9,
        "ramp": 0,
        "cv": 1.0,
    }


def test_faults_take_their_share_of_the_capacity() -> None:
    """Up 4 s of every 5, since provisioning is not taken anew; a tenth of the replicas twice as slow."""
    sound = capacity_per_s(scenario())
    crashing = scenario("fleet.crash_every=4s", "fleet.cold_start={provision: 9s, load: 700ms, warm_up: 300ms}")
    assert capacity_per_s(crashing) == pytest.approx(0.8 * sound)
    assert capacity_per_s(scenario("fleet.slow={share: 10%, factor: 2}")) == pytest.approx(0.95 * sound)
