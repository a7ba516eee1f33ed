"""The dice of the compiled engine are those of policy/dice.py, bit for bit."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy import dice, sticky
from policy.dice import CELLS, KNOTS, LEVELS
from sim.engine.compiled.dice import die, draw, route_die, sticky_bits
from tests.sim.engine.compiled.addresses import address_of

pytestmark = pytest.mark.slow  # compiles

BITS = st.integers(0, 2**64 - 1)
NUMBERS = st.integers(0, 2**50)


@numba.njit
def rolled(seed, stream, entity, ordinal):  # type: ignore[no-untyped-def]
    """Return a die and the die of a route."""
    return die(seed, stream, entity, ordinal), route_die(seed, entity, ordinal)


@numba.njit
def drawn(knots, at, bits):  # type: ignore[no-untyped-def]
    """Return a draw."""
    return draw(knots, at, bits)


@numba.njit
def stuck(user, salt):  # type: ignore[no-untyped-def]
    """Return the bits of a user."""
    return sticky_bits(user, salt)


@settings(max_examples=500, deadline=None)
@given(BITS, st.integers(1, 30), NUMBERS, NUMBERS)
def test_die_is_the_same(seed: int, stream: int, entity: int, ordinal: int) -> None:
    """Signed, as a rule takes it."""
    expected = dice.signed(dice.die(seed, stream, entity, ordinal)), dice.route_die(seed, entity, ordinal)
    assert rolled(np.uint64(seed), stream, entity, ordinal) == expected


@settings(max_examples=500, deadline=None)
@given(BITS | BITS.map(lambda bits: bits | 0xFFC << 52) | BITS.map(lambda bits: bits | 0xFFFFF << 44))
def test_draw_is_the_same(bits: int) -> None:
    """In the body of a table and in its refined tails, wherever the table begins."""
    table = np.sort(np.random.default_rng(3).integers(0, 2**61, LEVELS * KNOTS))
    knots = np.concatenate([np.full(CELLS, 7), table])
    assert drawn(address_of(knots), CELLS, np.uint64(bits)) == dice.draw(table.tolist(), bits)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**63), BITS)
def test_sticky_bits_are_the_same(user: int, salt: int) -> None:
    """A key is the user's number in decimal digits."""
    assert stuck(np.uint64(user), np.uint64(salt)) == dice.signed(sticky.sticky_bits(str(user), salt))
