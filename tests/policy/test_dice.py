"""Dice are a function of their keys, and a table turns them into values."""

from __future__ import annotations

import pytest

from policy.dice import CELLS, LEVELS, Stream, die, draw, mix


def table() -> list[int]:
    """Return the table of the uniform law on [0, 2**40): quantile q has the value q 2**40."""
    levels = []
    for level in range(LEVELS):
        tail = 2.0 ** (-10 * level)
        levels += [int((1 - tail * (1 - knot / CELLS)) * 2**40) for knot in range(CELLS + 1)]
    return levels


def test_first_output_is_that_of_splitmix64() -> None:
    """Against the published generator: state 0 gives 0xE220A8397B1DCDAF first."""
    assert mix(0x9E3779B97F4A7C15) == 0xE220A8397B1DCDAF


def test_die_depends_on_every_key_and_on_nothing_else() -> None:
    """The order of use does not matter; each key does."""
    first = die(1, Stream.SIZE, 2, 3)
    others = {
        die(2, Stream.SIZE, 2, 3),
        die(1, Stream.THINK, 2, 3),
        die(1, Stream.SIZE, 3, 3),
        die(1, Stream.SIZE, 2, 4),
    }
    assert len(others | {first}) == 5
    assert die(1, Stream.SIZE, 2, 3) == first


@pytest.mark.parametrize(
    ("bits", "share"),
    [
        (0, 0.0),
        (1 << 63, 0.5),
        ((1 << 64) - (1 << 54), 1 - 2**-10),  # the first of the last cell: level 1 begins
        ((1 << 64) - (1 << 44), 1 - 2**-20),
        ((1 << 64) - (1 << 34), 1 - 2**-30),
    ],
)
def test_uniform_table_gives_the_share_of_the_die(bits: int, share: float) -> None:
    """The refined tail joins the body without a step."""
    assert draw(table(), bits) == pytest.approx(share * 2**40, abs=2)


def test_draws_of_a_uniform_table_are_uniform() -> None:
    """20,000 dice: mean and the share above 99.9 % are those of the law (four standard errors)."""
    knots = table()
    draws = [draw(knots, die(5, Stream.SIZE, entity, 0)) / 2**40 for entity in range(20_000)]
    assert sum(draws) / len(draws) == pytest.approx(0.5, abs=4 * 0.2887 / 20_000**0.5)
    above = sum(value > 0.999 for value in draws)
    assert above == pytest.approx(20, abs=4 * 20**0.5)


def test_constant_needs_no_die() -> None:
    """A table of one value is that value."""
    assert draw([7], 12345) == 7
