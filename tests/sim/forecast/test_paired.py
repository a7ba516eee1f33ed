"""Is a difference that is none called noise, in 95 of 100 cases, and is one that is there seen?"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.forecast.intervals import confidence
from sim.forecast.paired import Difference, beyond_noise_together, paired_difference, unpaired_difference
from sim.outcome.quantiles import quantile
from tests.sim.forecast.waiting_times import Floats

RUNS, REQUESTS, PAIRS = 10, 500, 400
KINDS = ["mean", "p50", "p99"]


def statistic(kind: str, values: Floats) -> float:
    """Return a figure of latencies of any shape."""
    return float(values.mean()) if kind == "mean" else float(quantile(values.ravel(), float(f"0.{kind[1:]}")))


def two_sides(seed: int, shift: float = 0.0) -> tuple[Floats, Floats]:
    """Return the latencies of A and of B, each (PAIRS, RUNS, REQUESTS), B later by `shift`.

    Each run has a level, which both sides of a pair have in common as they have their arrivals; its requests lie skew
    around that, each side's by themselves.
    """
    rng = np.random.default_rng(seed)
    level = 0.3 * rng.standard_normal((PAIRS, RUNS, 1))
    a, b = (level + rng.exponential(1.0, (PAIRS, RUNS, REQUESTS)) for _ in "ab")
    return a, b + shift


def paired(kind: str, a: Floats, b: Floats) -> Difference:
    """Return the difference of a figure between two sides, each (RUNS, REQUESTS)."""
    runs = [[statistic(kind, run) for run in side] for side in (a, b)]
    return paired_difference(*runs, statistic(kind, a), statistic(kind, b))


def unpaired(kind: str, a: Floats, b: Floats) -> Difference:
    """Return the same from the figures' own intervals."""
    told = []
    for side in (a, b):
        bounds = confidence(statistic(kind, side), [statistic(kind, run) for run in side])
        told.append((statistic(kind, side), bounds.low, bounds.high))
    return unpaired_difference(*told, freedom=RUNS - 1)


@pytest.mark.parametrize("kind", KINDS)
def test_difference_that_is_none_is_called_noise(kind: str) -> None:
    """The promise: of 400 pairs that differ by chance alone 2 to 8 % seem to differ, at 95 %."""
    alarms = [paired(kind, a, b).beyond_noise for a, b in zip(*two_sides(1), strict=True)]
    assert 0.02 <= np.mean(alarms) <= 0.08


def test_requests_taken_as_independent_would_cry_wolf() -> None:
    """The counterfact: all requests taken as independent, every second pair seems to differ."""
    rng = np.random.default_rng(2)
    alarms = []
    for _ in range(PAIRS):
        a, b = (rng.standard_normal((RUNS, 1)) / 10 + rng.standard_normal((RUNS, REQUESTS)) for _ in "ab")
        error = math.sqrt((a.var() + b.var()) / a.size)
        alarms.append(abs(float(a.mean() - b.mean())) > 1.96 * error)
    assert np.mean(alarms) > 0.4


@pytest.mark.parametrize("kind", ["mean", "p50"])
def test_what_both_have_in_common_falls_out(kind: str) -> None:
    """A shift far below what runs differ by is seen in nine of ten pairs; without pairing, in one of ten."""
    shift = 0.1  # runs differ by 0.3
    sides = list(zip(*two_sides(3, shift), strict=True))
    seen = [paired(kind, a, b) for a, b in sides]
    assert np.mean([each.beyond_noise for each in seen]) > 0.9
    assert np.mean([each.value for each in seen]) == pytest.approx(shift, rel=0.1)
    assert np.mean([unpaired(kind, a, b).beyond_noise for a, b in sides]) < 0.1


def test_figures_without_common_dice_are_compared_by_their_intervals() -> None:
    """Sides with nothing in common: 2 to 8 % of those that do not differ seem to."""
    _, b = two_sides(5)
    alarms = [unpaired("mean", *sides).beyond_noise for sides in zip(two_sides(4)[0], b, strict=True)]
    assert 0.02 <= np.mean(alarms) <= 0.08


def test_interval_that_lies_unevenly_keeps_its_ends() -> None:
    """Nothing seen on either side: the difference is as open as both limits say, upwards by B's, downwards by A's."""
    difference = unpaired_difference((0.0, 0.0, 0.01), (0.0, 0.0, 0.03), freedom=9)
    assert (difference.value, difference.low, difference.high) == (0.0, -0.01, 0.03)
    assert not difference.beyond_noise


def test_difference_of_runs_that_all_agree_is_certain() -> None:
    """What every pair shows alike is no matter of chance: a replica more is a replica more. No change is none."""
    assert paired_difference([2.0, 2.0], [3.0, 3.0], 2.0, 3.0) == Difference(1.0, 1.0, 1.0, 0.0, paired=True)
    same = paired_difference([2.0, 5.0], [2.0, 5.0], 3.0, 3.0)
    assert same == Difference(0.0, 0.0, 0.0, 1.0, paired=True)
    assert not same.beyond_noise
    tenths = paired_difference([0.1, 0.7, 0.3], [0.3, 0.9, 0.5], 1.1 / 3, 1.7 / 3)  # in floats not 0.2 each time
    assert (tenths.low, tenths.high) == (tenths.value, tenths.value)
    assert paired_difference([0.1 + 0.2, 0.3], [0.3, 0.1 + 0.2], 0.3, 0.1 + 0.2).p_value == 1.0


def test_spread_is_that_of_the_pairs_around_the_pooled_difference() -> None:
    """Student's interval by hand: pairs 1, 2, 3 around 2 have s = 1, and t of 2 degrees of freedom is 4.303."""
    difference = paired_difference([10.0, 20.0, 30.0], [11.0, 22.0, 33.0], 20.0, 22.0)
    assert difference.value == 2.0
    assert difference.high - 2.0 == pytest.approx(4.3027 / math.sqrt(3), rel=1e-4)
    further = paired_difference([10.0, 20.0, 30.0], [11.0, 22.0, 33.0], 20.0, 23.0)
    assert further.high - 3.0 == pytest.approx(4.3027 / math.sqrt(3) * math.sqrt(5 / 2), rel=1e-4)


def test_calibration_widens_by_how_far_it_shifts_the_difference() -> None:
    """A draw that slows both alike leaves the difference sure; one that slows B alone does not."""
    a, b = [10.0, 10.2, 9.8], [12.0, 12.2, 11.8]
    sure = paired_difference(a, b, 10.0, 12.0)
    alike = paired_difference(a, b, 10.0, 12.0, drawn=([each + 1.0 for each in a], [each + 1.0 for each in b]))
    apart = paired_difference(a, b, 10.0, 12.0, drawn=(a, [each + 1.0 for each in b]))
    assert sure.beyond_noise
    assert (alike.low, alike.high) == pytest.approx((sure.low, sure.high))
    assert apart.high - apart.value == pytest.approx(4.3027, rel=1e-4)
    assert not apart.beyond_noise


def test_pairs_of_which_one_shows_nothing_are_left_out() -> None:
    """A run without an answer has no latency; its pair says nothing."""
    whole = paired_difference([1.0, 2.0, 4.0], [2.0, 4.0, 5.0], 2.3, 3.7)
    gaps = paired_difference([1.0, math.nan, 2.0, 4.0, 9.0], [2.0, 8.0, 4.0, 5.0, math.nan], 2.3, 3.7)
    assert gaps == whole


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [([1.0, 2.0], [1.0], "shorter|longer"), ([1.0], [2.0], "at least two"), ([math.nan, 1.0], [2.0, 2.0], "at least")],
)
def test_fewer_than_two_pairs_have_no_interval(a: list[float], b: list[float], words: str) -> None:
    """One pair does not show how pairs differ, and a run without its partner is none."""
    with pytest.raises(ValueError, match=words):
        paired_difference(a, b, 1.0, 2.0)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=2, max_size=12))
def test_p_value_and_interval_say_the_same(pairs: list[tuple[int, int]]) -> None:
    """Outside the interval is p below 5 %, whatever the pairs; A and B change places with the sign."""
    a, b = [float(one) for one, _ in pairs], [float(other) for _, other in pairs]
    means = math.fsum(a) / len(a), math.fsum(b) / len(b)
    there, back = paired_difference(a, b, *means), paired_difference(b, a, *reversed(means))
    if abs(there.p_value - 0.05) > 1e-9:
        assert there.beyond_noise == (there.p_value < 0.05)
    assert (back.value, back.low, back.high) == pytest.approx((-there.value, -there.high, -there.low), abs=1e-9)


def test_of_many_figures_few_are_named_when_nothing_changed() -> None:
    """Of 20 figures one seems to differ by chance; with Holm's procedure one is named in 5 % of the comparisons."""
    rng = np.random.default_rng(6)
    trials = rng.uniform(size=(2_000, 20))
    assert np.mean((trials < 0.05).sum(axis=1)) == pytest.approx(1.0, rel=0.1)
    assert 0.03 <= np.mean([any(beyond_noise_together(list(trial))) for trial in trials]) <= 0.07


@pytest.mark.parametrize(
    ("p_values", "named"),
    [
        ([0.01, 0.04, 0.03], [True, False, False]),  # 0.01 <= 0.05 / 3; 0.03 > 0.05 / 2, where it stops
        ([0.04, 0.001, 0.02], [True, True, True]),  # 0.05 / 3, 0.05 / 2, 0.05 / 1
        ([0.2], [False]),
        ([0.0, 1.0], [True, False]),
        ([], []),
    ],
)
def test_procedure_stops_at_the_first_that_is_not_enough(p_values: list[float], named: list[bool]) -> None:
    """The smallest is held against 5 % over all, the next against 5 % over all but one, and so on."""
    assert beyond_noise_together(p_values) == named
