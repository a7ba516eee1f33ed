"""Inverse-CDF tables, read through policy/dice.py, against the exact laws of scipy.stats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

from policy.dice import CELLS, LEVELS, die, draw
from policy.errors import SettingError
from policy.pass_time import SPREAD_ONE
from policy.settings import SPREAD_MAX
from sim.scenario.distribution_spec import (
    ChoicesSize,
    ChoicesTime,
    ExponentialSize,
    ExponentialSpread,
    ExponentialTime,
    GammaSize,
    GammaSpread,
    GammaTime,
    LognormalSize,
    LognormalSpread,
    LognormalTime,
    UniformSize,
    UniformTime,
)
from sim.scenario.distributions import lifetime_table, mean_of, size_table, spread_table, time_table

MEAN_NS = 5_000_000
CVS = (0.02, 0.3, 1.0, 2.0, 5.0)
MIDDLE = 1 << 15


def dice_of_cells(fraction: int = MIDDLE) -> list[tuple[float, int]]:
    """Return the probability of every cell of a table, and a die that falls at a place inside it."""
    cells = []
    for level in range(LEVELS):
        above = sum((CELLS - 1) << (54 - 10 * upper) for upper in range(level))
        for cell in range(CELLS if level == LEVELS - 1 else CELLS - 1):
            cells.append((2.0 ** (-10 * (level + 1)), above | cell << (54 - 10 * level) | fraction))
    return cells


def mean_drawn(table: Sequence[int]) -> float:
    """Return the mean of what a table gives: values run on straight lines, so the middle of a cell is its mean."""
    return sum(probability * draw(table, bits) for probability, bits in dice_of_cells())


def quantile_drawn(table: Sequence[int], p: float) -> int:
    """Return what a table gives for the die with probability p below it."""
    above, level, bits = 1 - p, 0, 0
    while above < 2.0 ** (-10 * (level + 1)) and level < LEVELS - 1:
        bits |= (CELLS - 1) << (54 - 10 * level)
        level += 1
    place = (1 - above * 2.0 ** (10 * level)) * CELLS
    cell = min(int(place), CELLS - 1)
    return draw(table, bits | cell << (54 - 10 * level) | int((place - cell) * 65_536))


def exact_law(name: str, mean: float, cv: float) -> Any:
    """Return the law as scipy.stats has it."""
    variance = np.log1p(cv**2)
    laws = {
        "exponential": stats.expon(scale=mean),
        "lognormal": stats.lognorm(s=np.sqrt(variance), scale=mean * np.exp(-variance / 2)),
        "gamma": stats.gamma(cv**-2, scale=mean * cv**2),
    }
    return laws[name]


LAWS = [("exponential", 1.0, ExponentialTime.model_construct(distribution="exponential", mean=MEAN_NS))]
LAWS += [("lognormal", cv, LognormalTime.model_construct(distribution="lognormal", mean=MEAN_NS, cv=cv)) for cv in CVS]  # type: ignore[misc]
LAWS += [("gamma", cv, GammaTime.model_construct(distribution="gamma", mean=MEAN_NS, cv=cv)) for cv in CVS]  # type: ignore[misc]


@pytest.mark.parametrize(("name", "cv", "law"), LAWS)
def test_time_table_has_the_mean_and_the_quantiles_of_its_law(name: str, cv: float, law: ExponentialTime) -> None:
    """The mean is right within 0.01 %, p50 to p99.99 within 0.3 %, for every cv that can be stated."""
    table = time_table(law, "key")
    exact = exact_law(name, MEAN_NS, cv)
    assert mean_drawn(table) == pytest.approx(MEAN_NS, rel=1e-4)
    assert mean_of(law) == MEAN_NS
    for p in (0.5, 0.9, 0.99, 0.999, 0.9999):
        assert quantile_drawn(table, p) == pytest.approx(exact.ppf(p), rel=3e-3, abs=2), p


@pytest.mark.parametrize(("name", "cv", "law"), LAWS)
def test_time_table_is_made_of_ordered_int64(name: str, cv: float, law: ExponentialTime) -> None:
    """Each row of knots is non-decreasing and stays far below 2**62."""
    table = time_table(law, "key")
    assert all(type(knot) is int for knot in table)
    rows = np.array(table, dtype=np.int64).reshape(LEVELS, CELLS + 1)
    assert (np.diff(rows, axis=1) >= 0).all()
    assert rows.min() >= 0
    assert rows.max() < 2**62
    # Where a row ends, the next one begins.
    assert (rows[:-1, CELLS - 1] == rows[1:, 0]).all()


def test_dice_draw_the_law() -> None:
    """100,000 real dice have the mean, p99 and share below the mean of the exponential law, within 4 errors."""
    table = time_table(ExponentialTime.model_construct(distribution="exponential", mean=MEAN_NS), "key")
    values = np.array([draw(table, die(7, 1, request, 0)) for request in range(100_000)])
    assert abs(values.mean() / MEAN_NS - 1) < 4 / np.sqrt(100_000)
    for p in (1 - np.exp(-1), 0.99, 0.999):
        below = (values < exact_law("exponential", MEAN_NS, 1).ppf(p)).mean()
        assert abs(below - p) < 4 * np.sqrt(p * (1 - p) / 100_000)


def test_fast_times_have_no_spurious_zeros() -> None:
    """A time with cv 2 % is never far below its mean: the first cell does not reach down to 0."""
    table = time_table(LognormalTime.model_construct(distribution="lognormal", mean=MEAN_NS, cv=0.02), "key")
    assert min(table) > 0.9 * MEAN_NS


def test_constant_is_a_table_of_one() -> None:
    """A plain value needs no dice."""
    assert time_table(7, "key") == (7,)
    assert size_table(3) == (3,)
    assert spread_table(None) == (SPREAD_ONE,)


def test_uniform_times_are_exact() -> None:
    """Straight lines render the uniform law without error."""
    table = time_table(UniformTime.model_construct(distribution="uniform", low=1_000_000, high=3_000_000), "key")
    assert mean_drawn(table) == pytest.approx(2_000_000, abs=2)
    for p in (0.001, 0.3, 0.9995, 0.999999):
        assert quantile_drawn(table, p) == pytest.approx(1_000_000 + p * 2_000_000, abs=3)


def test_least_value_is_kept() -> None:
    """A timeout of 0 ns is none: with a least value of 1 every draw is at least 1."""
    table = time_table(ExponentialTime.model_construct(distribution="exponential", mean=10), "key", least_ns=1)
    assert min(table) == 1


@pytest.mark.parametrize(
    ("law", "said"),
    [
        (40 * 86_400 * 10**9, "key must be a time from 0ns to 31d. Got 40d."),
        (
            ExponentialTime.model_construct(distribution="exponential", mean=2 * 86_400 * 10**9),
            "key must be a time from 0ns to 31d.",
        ),
        (-1, "key must be a time from 0ns to 31d. Got -1ns."),
    ],
)
def test_time_whose_tail_is_too_long_is_refused(law: Any, said: str) -> None:
    """No draw may be longer than 31 days, not even one in a billion."""
    with pytest.raises(SettingError) as error:
        time_table(law, "key")
    assert str(error.value).startswith(said)


@pytest.mark.parametrize(
    "law",
    [
        ExponentialSpread(distribution="exponential"),
        LognormalSpread(distribution="lognormal", cv=0.05),
        LognormalSpread(distribution="lognormal", cv=5),
        GammaSpread(distribution="gamma", cv=0.5),
    ],
)
def test_spread_has_mean_one(law: Any) -> None:
    """A spread changes no mean, and its largest factor stays below the bound of the products in policy/pass_time.py."""
    table = spread_table(law)
    assert mean_drawn(table) / SPREAD_ONE == pytest.approx(1, rel=1e-5)
    assert mean_of(law) == 1
    assert max(table) < SPREAD_MAX * SPREAD_ONE
    # The largest product of pass_ns: an hour of line or table, and an hour of units, times the spread.
    assert (2 * 3_600 * 10**9 // SPREAD_ONE) * SPREAD_MAX * SPREAD_ONE < 2**62


def test_spread_quantiles_are_those_of_the_law() -> None:
    """The p99 of a lognormal spread with cv 30 %."""
    table = spread_table(LognormalSpread(distribution="lognormal", cv=0.3))
    assert quantile_drawn(table, 0.99) / SPREAD_ONE == pytest.approx(exact_law("lognormal", 1, 0.3).ppf(0.99), rel=1e-3)


@pytest.mark.parametrize(
    ("values", "weights"),
    [
        ((1_000, 2_000), None),
        ((1_000, 9_000, 50_000), (0.7, 0.2, 0.1)),
        ((1_000, 100_000_000), (0.999, 0.001)),
        ((0, 5_000_000), (1, 100_000)),
        ((4_000,), None),
    ],
)
def test_choices_have_the_exact_mean_and_few_values_in_between(
    values: tuple[int, ...], weights: tuple[float, ...] | None
) -> None:
    """Each choice comes as often as its weight says within 0.2 %, and all together have the exact mean."""
    law = ChoicesTime.model_construct(distribution="choices", values=values, weights=weights)
    table = time_table(law, "key")
    assert mean_drawn(table) == pytest.approx(np.average(values, weights=weights), rel=1e-3, abs=1)
    shares = np.array(weights or [1] * len(values)) / sum(weights or [1] * len(values))
    drawn = [(probability, draw(table, bits)) for probability, bits in dice_of_cells()]
    for value, share in zip(values, shares, strict=True):
        assert abs(sum(probability for probability, got in drawn if got == value) - share) < 2.1e-3
    assert sum(probability for probability, got in drawn if got not in values) < 2.1e-3 * (len(values) - 1) + 1e-9
    assert min(table) >= values[0]
    assert max(table) == values[-1]


@pytest.mark.parametrize(
    "law",
    [
        ExponentialSize(distribution="exponential", mean=40.0),
        LognormalSize(distribution="lognormal", mean=1_500.0, cv=1.5),
        LognormalSize(distribution="lognormal", mean=12.0, cv=0.3),
        GammaSize(distribution="gamma", mean=30_000.0, cv=0.7),
    ],
)
def test_sizes_have_the_mean_of_their_law_rounded_to_units(law: Any) -> None:
    """Rounding to whole units, at least 1, costs no bias: compared with the rounded exact law."""
    table = size_table(law)
    fractions = range(0, 65_536, 65_536 // 16)
    mean = sum(
        probability * draw(table, bits) / 16 for fraction in fractions for probability, bits in dice_of_cells(fraction)
    )
    name = law.distribution
    exact = exact_law(name, law.mean, getattr(law, "cv", 1.0))
    below = exact.cdf(np.arange(0, 2_000_000) + 0.5)
    below[0] = 0.0  # what rounds to 0 counts as 1
    rounded_mean = 1 + (1 - below[1:]).sum()
    assert mean == pytest.approx(rounded_mean, rel=2e-3)
    assert min(table) >= 1


def test_uniform_sizes_are_equally_likely() -> None:
    """Each whole number from 1 to 10 comes with a tenth of the dice, the ends included."""
    table = size_table(UniformSize(distribution="uniform", low=1, high=10))
    shares = np.zeros(12)
    for fraction in range(0, 65_536, 65_536 // 32):
        for probability, bits in dice_of_cells(fraction):
            shares[draw(table, bits)] += probability / 32
    assert shares[1:11] == pytest.approx(np.full(10, 0.1), abs=1e-3)
    assert shares[0] == shares[11] == 0


def test_choices_of_sizes_are_whole() -> None:
    """Sizes of choices keep their weights too."""
    table = size_table(ChoicesSize(distribution="choices", values=(100, 1_000), weights=(9, 1)))
    assert mean_drawn(table) == pytest.approx(190, abs=0.5)


@pytest.mark.parametrize("law", [0, 10_000_001, ExponentialSize(distribution="exponential", mean=2_000_000.0)])
def test_sizes_beyond_the_bound_are_refused(law: Any) -> None:
    """Sizes lie between 1 and 10 million, and so must their tail."""
    with pytest.raises(SettingError, match=r"traffic\.sizes must be a whole number from 1 to 10000000"):
        size_table(law)


def test_largest_uniform_size_is_allowed() -> None:
    """The upper end of the range is no reason to refuse."""
    assert max(size_table(UniformSize(distribution="uniform", low=1, high=10_000_000))) <= 10_000_000


@pytest.mark.parametrize(
    ("law", "mean"),
    [
        (5, 5.0),
        (UniformTime.model_construct(distribution="uniform", low=2, high=6), 4.0),
        (ChoicesTime.model_construct(distribution="choices", values=(1, 5), weights=(3, 1)), 2.0),
        (None, 1.0),
    ],
)
def test_mean_of_a_law_is_exact(law: Any, mean: float) -> None:
    """Means are computed from the parameters, not from the table."""
    assert mean_of(law) == mean


def test_life_until_a_crash_is_exponential() -> None:
    """Mean and quartile of the law; nobody crashes at once."""
    table = lifetime_table(MEAN_NS)
    assert mean_drawn(table) == pytest.approx(MEAN_NS, rel=1e-6)
    assert quantile_drawn(table, 0.75) == pytest.approx(MEAN_NS * np.log(4), rel=3e-3)
    assert min(lifetime_table(1)) == 1
