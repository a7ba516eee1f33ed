"""Replayed traces: stretched, repeated, cut, and placed inside their bins."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.arrivals.trace import COPY_WITHIN_NS, Replay, replay, requests_until, trace_length_ns, trace_rate_per_s
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
    scale: float = 1.0,
) -> Replay:
    """Replay a trace with what a test does not care about filled in."""
    return replay(
        trace,
        rate_per_s=rate,
        repeat=repeat,
        inside_bin=inside,
        horizon_ns=horizon_ns,
        generator=np.random.default_rng(seed),
        scale=scale,
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


MANY = TimeFile(np.arange(2_000) * SECOND_NS // 4, np.arange(2_000))

scales = st.sampled_from([0.25, 0.5, 1.0, 1.5, 2.0, 3.0]) | st.floats(0.01, 6.0)


@st.composite
def traces(draw: st.DrawFn) -> tuple[TimeFile | CountFile, str | None]:
    """Draw a small trace of either kind, counts with sizes and without, and how its requests lie in their bins."""
    if draw(st.booleans()):
        times = sorted(draw(st.lists(st.integers(0, 10 * SECOND_NS), min_size=2, max_size=30)))
        times[-1] += SECOND_NS  # it has a length
        return TimeFile(np.array(times) - times[0], np.arange(1, len(times) + 1)), None
    counts = draw(st.lists(st.integers(0, 9), min_size=1, max_size=8))
    sizes = np.arange(1, sum(counts) + 2) if draw(st.booleans()) else np.empty(0, dtype=np.int64)
    return CountFile(np.array([*counts, 1.0]), SECOND_NS, sizes), draw(st.sampled_from(["uniform", "poisson"]))


@given(traces(), scales, scales, st.booleans(), st.sampled_from([None, 0.5, 40.0]), st.integers(0, 2**32))
def test_larger_scale_has_all_requests_of_a_smaller_one(
    chosen: tuple[TimeFile | CountFile, str | None],
    one: float,
    other: float,
    repeat: bool,
    rate: float | None,
    seed: int,
) -> None:
    """At the same times, with the same sizes: two scales differ by the requests that one has more, in pairs of runs."""
    trace, inside = chosen
    few, many = (
        replayed(trace, scale=scale, repeat=repeat, rate=rate, inside=inside, horizon_ns=25 * SECOND_NS + 1, seed=seed)
        for scale in sorted((one, other))
    )
    assert not Counter(_requests(few)) - Counter(_requests(many))
    for drawn in (few, many):
        assert drawn.times_ns.dtype == np.int64
        assert (np.diff(drawn.times_ns) >= 0).all()
        assert len(drawn.sizes) == (len(drawn.times_ns) if len(trace.sizes) else 0)


def _requests(drawn: Replay) -> list[tuple[int, ...]]:
    """Return the time of each request, with its size where there are any."""
    columns = [drawn.times_ns, drawn.sizes] if len(drawn.sizes) else [drawn.times_ns]
    return list(zip(*(column.tolist() for column in columns), strict=True))


@given(traces(), scales, st.integers(1, 60 * SECOND_NS), st.integers(0, 2**32))
def test_longer_horizon_only_adds_to_a_scaled_trace(
    chosen: tuple[TimeFile | CountFile, str | None], scale: float, horizon_ns: int, seed: int
) -> None:
    """A copy that comes before its request is there, too, where the run ends between the two."""
    trace, inside = chosen
    short, long = (
        replayed(trace, scale=scale, repeat=True, inside=inside, horizon_ns=end_ns, seed=seed)
        for end_ns in (horizon_ns, 90 * SECOND_NS)
    )
    assert long.times_ns[: len(short.times_ns)].tolist() == short.times_ns.tolist()
    assert (long.times_ns[len(short.times_ns) :] >= horizon_ns).all()
    assert long.sizes[: len(short.sizes)].tolist() == short.sizes.tolist()


def test_twice_a_trace_is_each_request_and_a_copy_within_a_second() -> None:
    """With its size; none comes before the trace or behind it, and few in the same instant as their request."""
    twice = replayed(MANY, scale=2.0)
    assert np.bincount(twice.sizes).tolist() == [2] * 2_000
    away_ns = twice.times_ns - MANY.times_ns[twice.sizes]
    assert np.abs(away_ns).max() <= COPY_WITHIN_NS
    assert (away_ns == 0).sum() == 2_000
    assert twice.times_ns.min() >= 0
    assert twice.times_ns.max() <= (trace_length_ns(MANY) or 0)
    inside = away_ns[(away_ns != 0) & (MANY.times_ns[twice.sizes] >= COPY_WITHIN_NS)] / COPY_WITHIN_NS
    assert abs(inside.mean()) < 4 * np.sqrt(1 / 3 / len(inside))
    assert inside.var() == pytest.approx(1 / 3, rel=0.1)


@pytest.mark.parametrize(("scale", "least", "most"), [(0.3, 0, 1), (1.4, 1, 2), (2.5, 2, 3)])
def test_fraction_of_a_scale_is_left_to_chance(scale: float, least: int, most: int) -> None:
    """Of 2,000 requests each is there floor or ceil times, the number within 4 errors of its mean; runs differ."""
    drawn = replayed(MANY, scale=scale)
    of_each = np.bincount(drawn.sizes, minlength=2_000)
    assert set(of_each.tolist()) == {least, most}
    assert abs(of_each.sum() - 2_000 * scale) < 4 * np.sqrt(2_000 * (scale - least) * (most - scale))
    assert replayed(MANY, scale=scale, seed=2).times_ns.tolist() != drawn.times_ns.tolist()


def test_thinned_trace_keeps_recorded_times() -> None:
    """Below 1 nothing is copied or moved."""
    drawn = replayed(MANY, scale=0.3)
    assert (drawn.times_ns == MANY.times_ns[drawn.sizes]).all()


def test_rate_stretches_and_then_a_scale_multiplies() -> None:
    """At 8/s the trace of 4/s lasts 250 s; three times that are 24/s, and copies still lie within a second."""
    drawn = replayed(MANY, rate=8.0, scale=3.0)
    assert len(drawn.times_ns) == 6_000
    assert drawn.times_ns.max() <= 250 * SECOND_NS
    assert np.abs(drawn.times_ns - MANY.times_ns[drawn.sizes] / 2).max() <= COPY_WITHIN_NS


@pytest.mark.parametrize("inside", ["even", "uniform", "poisson"])
def test_scaled_counts_have_their_mean_in_every_bin(inside: str) -> None:
    """2.5 times 8 are 20 in each of 4,000 bins in the mean; of even and uniform numbers each is 16 to 24, or 20."""
    trace = CountFile(np.full(4_000, 8.0), SECOND_NS)
    of_each = np.bincount(replayed(trace, inside=inside, scale=2.5).times_ns // SECOND_NS, minlength=4_000)
    variance = {"even": 0.0, "uniform": 8 * 0.25, "poisson": 20.0}[inside]
    assert abs(of_each.mean() - 20) <= 4 * np.sqrt(variance / 4_000)
    assert of_each.var() == pytest.approx(variance, rel=0.1)


def test_scaled_even_bins_stay_even() -> None:
    """5 in 10 s come at 0, 2, 4, 6 and 8 s; a scale that leaves a fraction of a request rounds it by chance."""
    ten = CountFile(np.full(500, 2.0), 10 * SECOND_NS)
    assert (replayed(ten, inside="even", scale=2.5).times_ns[:5] / SECOND_NS).tolist() == [0, 2, 4, 6, 8]
    of_each = per_bin(replayed(ten, inside="even", scale=1.3).times_ns, ten.bin_ns, 500)
    assert set(of_each) == {2, 3}
    assert abs(sum(of_each) - 1_300) < 4 * np.sqrt(500 * 0.6 * 0.4)


SIZED = CountFile(np.array([4.0, 0.0, 7.0, 1.0]), 10 * SECOND_NS, np.arange(12))
OF_BIN = np.repeat([0, 2, 3], [4, 7, 1])


@pytest.mark.parametrize("inside", ["even", "uniform", "poisson"])
@pytest.mark.parametrize("scale", [0.4, 1.0, 2.5])
def test_sizes_stay_in_the_bins_that_recorded_them(inside: str, scale: float) -> None:
    """However many a bin has in a run, they have its own sizes, in every round of the trace, and each of them."""
    drawn = replayed(SIZED, inside=inside, scale=scale, repeat=True, horizon_ns=4_000 * SECOND_NS)
    assert (OF_BIN[drawn.sizes] == drawn.times_ns // SIZED.bin_ns % 4).all()
    assert set(drawn.sizes.tolist()) == set(range(12))


@pytest.mark.parametrize("inside", ["even", "uniform"])
def test_recorded_numbers_keep_every_size(inside: str) -> None:
    """Each once, in the order recorded."""
    assert replayed(SIZED, inside=inside).sizes.tolist() == list(range(12))


def test_poisson_numbers_take_no_size_more_often_than_another_in_the_mean() -> None:
    """Of 20,000 bins of two requests the first and the second are about as frequent: fewer are not always the first."""
    trace = CountFile(np.full(20_000, 2.0), SECOND_NS, np.tile([1, 2], 20_000))
    sizes = replayed(trace, inside="poisson").sizes
    assert sizes.mean() == pytest.approx(1.5, abs=0.01)


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


@pytest.mark.parametrize("rate", [None, 0.8, 3.0])
@pytest.mark.parametrize("horizon_ns", [1, 2 * 10**9, 3 * 10**9, LONG_NS])
def test_requests_up_to_a_horizon_are_those_that_are_replayed(rate: float | None, horizon_ns: int) -> None:
    """Of timestamps to the request, stretched or not; of counts a bin that is cut has its part."""
    replayed_there = len(replayed(THREE, rate=rate, horizon_ns=horizon_ns).times_ns)
    assert requests_until(THREE, horizon_ns, rate) == replayed_there
    counts = CountFile(np.array([4.0, 8.0, 0.0, 2.0]), 10**9, np.empty(0, dtype=np.int64))
    assert requests_until(counts, 25 * 10**8) == 12.0
    assert requests_until(counts, 15 * 10**8) == 8.0
    assert requests_until(counts, 75 * 10**7, rate_per_s=7.0) == 8.0  # twice as dense: 1.5 bins
    assert requests_until(counts, LONG_NS) == 14.0
