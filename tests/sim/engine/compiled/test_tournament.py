"""A tournament knows the earliest of its moments, and who has it."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.instant import NEVER_NS
from sim.engine.compiled.tournament import earliest_ns, first_due, leaves_for, set_moment, tournament
from tests.sim.engine.compiled.addresses import address_of

pytestmark = pytest.mark.slow  # compiles


@numba.njit
def played(tree, leaves, places, moments, seen):  # type: ignore[no-untyped-def]
    """Set the moments one by one; note after each the earliest one, and the first place that has come by then."""
    for number in range(len(places)):
        set_moment(tree, leaves, places[number], moments[number])
        seen[number, 0] = earliest_ns(tree)
        seen[number, 1] = first_due(tree, leaves, seen[number, 0])


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 9), st.data())
def test_earliest_moment_is_known_after_each_change(places: int, data: st.DataObject) -> None:
    """Against a plain list; of several with one moment the lowest place comes first."""
    moves = data.draw(
        st.lists(st.tuples(st.integers(0, places - 1), st.integers(0, 20) | st.just(NEVER_NS)), max_size=40)
    )
    tree, plain = tournament(places), [NEVER_NS] * places
    chosen, moments = (np.array([move[part] for move in moves], dtype=np.int64) for part in (0, 1))
    seen = np.zeros((40, 2), dtype=np.int64)
    played(address_of(tree), leaves_for(places), chosen, moments, seen)
    for number, (place, at_ns) in enumerate(moves):
        plain[place] = at_ns
        assert seen[number].tolist() == [min(plain), plain.index(min(plain))]


@pytest.mark.parametrize("places", range(1, 10))
def test_all_places_may_wait_for_one_moment(places: int) -> None:
    """At the begin of a run all of them do; what fills the tree up never comes."""
    tree, leaves = tournament(places, 5), leaves_for(places)
    assert (tree[1], leaves) == (5, 1 if places == 1 else 2 ** (places - 1).bit_length())
    assert sorted(tree[leaves:].tolist()) == [5] * places + [NEVER_NS] * (leaves - places)
