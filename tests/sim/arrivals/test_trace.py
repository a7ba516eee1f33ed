"""Replayed traces: stretched, repeated, cut, and placed inside their bins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sim.arrivals.trace import Replay, replay, trace_length_ns, trace_rate_per_s
from sim.arrivals.trace_file import CountFile, TimeFile, read_trace_file

TRACES = Path(__file__).parents[4] / "shared" / "traces"
AZURE = TRACES / "azure_llm_2023" / "AzureLLMInferenceTrace_code.csv"
NAB = TRACES / "nab_elb" / "elb_request_count_8c0756.csv"
SECOND_NS = 10**9
LONG_NS = 10**15

THREE = TimeFile(np.array([0, SECOND_NS, 4 * SECOND_NS]), np.array([5, 6, 7]))
COUNTS = CountFile(np.array([4.0, 0.0, 7.0, 1.0]), 10 * SECOND_NS)


def replayed(
    trace: TimeFile | CountFile,
    *,
    rate: float | None = None,
    repeat: bool = False,
    inside: str | None = None,
    horizon_ns: int = LONG_NS,
    seed: int = 1,
) -> Replay:
    """Replay a trace with what a test does not care about filled in."""
    return replay(
        trace,
        rate_per_s=rate,
        repeat=repeat,
        inside_bin=inside,
        horizon_ns=horizon_ns,
        generator=np.random.default_rng(seed),
    )


def per_bin(times_ns: np.ndarray, bin_ns: float, bins: int) -> list[int]:
    """Count the requests in each bin."""
    return np.bincount((times_ns / bin_ns).astype(int), minlength=bins).tolist()


def test_timestamps_are_replayed_as_recorded() -> None:
    """Without a rate, times and sizes are those of the file, whatever the random numbers."""
    first, second = replayed(THREE, seed=1), replayed(THREE, seed=2)
    assert first.times_ns.tolist() == second.times_ns.tolist() == THREE.times_ns.tolist()
    assert first.sizes.tolist() == [5, 6, 7]


def test_horizon_cuts_times_and_sizes_alike() -> None:
    """Requests at or behind the horizon do not come."""
    cut = replayed(THREE, horizon_ns=4 * SECOND_NS)
    assert cut.times_ns.tolist() == [0, SECOND_NS]
    assert cut.sizes.tolist() == [5, 6]


def test_rate_of_timestamps_counts_gaps() -> None:
    """Three requests in 4 s have two gaps, so 0.5/s, and the trace starts again after one more mean gap."""
    assert trace_rate_per_s(THREE) == pytest.approx(0.5)
    assert trace_length_ns(THREE) == 6 * SECOND_NS


def test_repeated_timestamps_start_again_after_a_mean_gap() -> None:
    """The second round lies one length of the trace later, with the same sizes."""
    twice = replayed(THREE, repeat=True, horizon_ns=11 * SECOND_NS)
    assert (twice.times_ns // SECOND_NS).tolist() == [0, 1, 4, 6, 7, 10]
    assert twice.sizes.tolist() == [5, 6, 7, 5, 6, 7]


def test_timestamps_of_one_moment_have_no_rate_and_no_length() -> None:
    """One request, or several at the same moment, tell nothing about a rate."""
    for times in ([0], [0, 0]):
        trace = TimeFile(np.array(times), np.empty(0, dtype=np.int64))
        assert trace_rate_per_s(trace) is None
        assert trace_length_ns(trace) is None


def test_stretched_timestamps_hit_the_rate_and_keep_their_shape() -> None:
    """At 4 times the rate every time is a quarter of what it was."""
    fast = replayed(THREE, rate=2.0)
    assert fast.times_ns.tolist() == [0, SECOND_NS // 4, SECOND_NS]


@pytest.mark.parametrize("inside", ["even", "uniform"])
@pytest.mark.parametrize("rate", [None, 600.0])
def test_counts_are_kept_in_every_bin(inside: str, rate: float | None) -> None:
    """Even and uniform places keep the recorded number in each bin, stretched or not."""
    times_ns = replayed(COUNTS, rate=rate, inside=inside).times_ns
    stretch = 1.0 if rate is None else 0.3 / rate
    assert per_bin(times_ns, COUNTS.bin_ns * stretch, 4) == [4, 0, 7, 1]
    assert (np.diff(times_ns) >= 0).all()


def test_even_places_leave_equal_gaps_inside_a_bin() -> None:
    """Four requests in 10 s come at 0, 2.5, 5 and 7.5 s."""
    times_ns = replayed(COUNTS, inside="even").times_ns
    assert (times_ns[:4] / SECOND_NS).tolist() == [0, 2.5, 5, 7.5]


def test_uniform_places_fill_a_bin_evenly() -> None:
    """Over 20,000 requests of one bin the places have the mean and variance of the uniform law, within 4 errors."""
    places = replayed(CountFile(np.array([20_000.0]), SECOND_NS), inside="uniform").times_ns / SECOND_NS
    assert abs(places.mean() - 0.5) < 4 * np.sqrt(1 / 12 / 20_000)
    assert places.var() == pytest.approx(1 / 12, rel=0.04)


def test_poisson_places_draw_the_number_too() -> None:
    """Poisson redraws each count with the recorded mean: 5000 bins of 2.5 have mean and variance 2.5."""
    trace = CountFile(np.full(5_000, 2.5), SECOND_NS)
    times_ns = replayed(trace, inside="poisson").times_ns
    counts = np.bincount(times_ns // SECOND_NS, minlength=5_000)
    assert abs(counts.mean() - 2.5) < 4 * np.sqrt(2.5 / 5_000)
    assert counts.var() == pytest.approx(2.5, rel=0.1)


@pytest.mark.parametrize("inside", ["even", "poisson", "uniform"])
def test_longer_horizon_only_adds_arrivals(inside: str) -> None:
    """The same generator gives the same first two rounds of a repeated trace, however long the run is."""
    short = replayed(COUNTS, repeat=True, inside=inside, horizon_ns=75 * SECOND_NS).times_ns
    long = replayed(COUNTS, repeat=True, inside=inside, horizon_ns=500 * SECOND_NS).times_ns
    assert (long[: len(short)] == short).all()
    assert long[len(short)] >= 75 * SECOND_NS


def test_repeated_counts_are_placed_anew() -> None:
    """A second round has the same counts at other places inside the bins."""
    times_ns = replayed(COUNTS, repeat=True, inside="uniform", horizon_ns=80 * SECOND_NS).times_ns
    assert per_bin(times_ns, COUNTS.bin_ns, 8) == [4, 0, 7, 1] * 2
    assert (times_ns[:12] != times_ns[12:] - 40 * SECOND_NS).all()


@pytest.mark.skipif(not AZURE.exists(), reason="the Azure LLM traces are not beside this repository")
def test_real_azure_trace_keeps_its_burstiness_when_stretched() -> None:
    """At 400/s the code trace still has 8,819 requests and a gap cv of 13.2, and its mean rate is exact."""
    trace = read_trace_file(AZURE, "azure_llm", None, None)
    assert trace_rate_per_s(trace) == pytest.approx(2.57, abs=0.01)
    fast = replayed(trace, rate=400.0)
    gaps = np.diff(fast.times_ns)
    assert len(fast.times_ns) == len(fast.sizes) == 8_819
    assert (len(fast.times_ns) - 1) / fast.times_ns[-1] * 1e9 == pytest.approx(400, rel=1e-9)
    assert gaps.std() / gaps.mean() == pytest.approx(13.2, abs=0.05)


@pytest.mark.skipif(not NAB.exists(), reason="the NAB traces are not beside this repository")
@pytest.mark.parametrize("inside", ["even", "uniform"])
def test_real_counts_are_preserved_in_every_bin(inside: str) -> None:
    """Every five-minute bin of the load balancer's fourteen days holds what was recorded."""
    trace = read_trace_file(NAB, "counts", None, None)
    assert isinstance(trace, CountFile)
    times_ns = replayed(trace, inside=inside, horizon_ns=10**16).times_ns
    assert per_bin(times_ns, trace.bin_ns, len(trace.counts)) == trace.counts.astype(int).tolist()
