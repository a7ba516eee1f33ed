"""Routing: a table of choices, each run interpreted and compiled, and what holds whatever the fleet."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy import routing
from policy.dice import Stream, die
from policy.errors import SettingError
from policy.instant import UNSET
from policy.routing import DIE_ONE, Balance, RoutingState, Tie
from policy.settings import routing_rule
from tests.policy.both_ways import WAYS, ints_for, run_way

ROTATE = {"balance": "least_outstanding", "tie": "rotate"}
FIRST = {"balance": "least_outstanding", "tie": "first"}
LEAST = {"balance": "least_outstanding", "tie": "random"}
TWO = {"balance": "power_of_two"}
LOW, HIGH = 0, DIE_ONE - 1
SECOND_OF_FOUR = DIE_ONE // 4  # the first part of the die says place 1 of 4, the second part says 0

CASES: list[tuple[str, dict[str, Any], int, list[int], list[int], int, int]] = [
    # name, rule, last serial, serials, outstanding, die -> place
    ("nobody is ready", {}, UNSET, [], [], LOW, UNSET),
    ("round robin begins with the first", {}, UNSET, [0, 1, 2], [5, 0, 0], LOW, 0),
    ("and goes on with the next", {}, 0, [0, 1, 2], [0, 9, 0], LOW, 1),
    ("and round", {}, 2, [0, 1, 2], [0, 0, 0], LOW, 0),
    ("serials may have gaps", {}, 3, [1, 3, 7], [0, 0, 0], LOW, 2),
    ("the last one may be gone", {}, 4, [1, 3, 7], [0, 0, 0], LOW, 2),
    ("a full one is passed over", {"outstanding_max": 2}, 0, [0, 1, 2], [0, 2, 1], LOW, 2),
    ("all are full", {"outstanding_max": 2}, 0, [0, 1], [2, 2], LOW, UNSET),
    ("random, low die", {"balance": "random"}, UNSET, [0, 1, 2], [9, 9, 9], LOW, 0),
    ("random, high die", {"balance": "random"}, UNSET, [0, 1, 2], [9, 9, 9], HIGH, 2),
    ("random among the able", {"balance": "random", "outstanding_max": 1}, UNSET, [0, 1, 2], [1, 1, 0], LOW, 2),
    ("the fewest", LEAST, UNSET, [0, 1, 2], [3, 1, 2], LOW, 1),
    ("a tie, low die", LEAST, UNSET, [0, 1, 2], [3, 1, 1], LOW, 1),
    ("a tie, high die", LEAST, UNSET, [0, 1, 2], [3, 1, 1], HIGH, 2),
    ("a tie, rotating", ROTATE, 1, [0, 1, 2], [1, 1, 1], LOW, 2),
    ("a tie, rotating round", ROTATE, 2, [0, 1, 2], [1, 1, 3], LOW, 0),
    ("a tie, rotating, not to a busier one", ROTATE, 0, [0, 1, 2], [1, 2, 1], LOW, 2),
    ("a tie, the first", FIRST, 1, [0, 1, 2], [1, 1, 1], HIGH, 0),
    ("two of one", TWO, UNSET, [4], [7], HIGH, 0),
    ("the better of two", TWO, UNSET, [0, 1, 2, 3], [2, 5, 9, 9], SECOND_OF_FOUR, 0),
    ("equals: the first drawn", TWO, UNSET, [0, 1, 2, 3], [5, 5, 0, 0], SECOND_OF_FOUR, 1),
    ("the two are different", TWO, UNSET, [0, 1], [9, 0], LOW, 1),
    ("two of the able", {**TWO, "outstanding_max": 5}, UNSET, [0, 1, 2], [5, 4, 3], LOW, 2),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("name", "options", "last", "serials", "outstanding", "bits", "place"), CASES)
def test_choice(
    name: str,
    options: dict[str, Any],
    last: int,
    serials: list[int],
    outstanding: list[int],
    bits: int,
    place: int,
    way: str,
) -> None:
    """One row of the table; the serial that was chosen is what is remembered."""
    choose = run_way(way, routing.choose)
    given_ = (
        ints_for(way, [*serials, 99]),
        ints_for(way, [*outstanding, 0]),
    )  # what stands behind the count is no replica
    state, chosen = choose(routing_rule(**options), RoutingState(last), *given_, len(serials), bits)
    assert chosen == place, name
    assert state.last == (last if place == UNSET else serials[place])


def test_shares_are_even() -> None:
    """Random and power of two send the same to each of equals; round robin exactly so."""
    for balance in Balance:
        rule, state = routing_rule(balance=balance.name.lower()), routing.fresh_routing()
        counts = [0, 0, 0]
        for request in range(3000):
            bits = die(1, Stream.ROUTE, request, 0) >> 2
            state, place = routing.choose(rule, state, [0, 1, 2], [1, 1, 1], 3, bits)
            counts[place] += 1
        # 3000 fair draws: the standard deviation of a count is 26.
        assert all(abs(count - 1000) <= (0 if balance == Balance.ROUND_ROBIN else 104) for count in counts), counts


@settings(max_examples=300)
@given(
    st.sampled_from(Balance),
    st.sampled_from(Tie),
    st.integers(0, 4),
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5)), max_size=6, unique_by=lambda each: each[0]),
    st.integers(0, DIE_ONE - 1),
    st.integers(-1, 50),
)
def test_choice_is_an_able_replica_whenever_there_is_one(
    balance: Balance, tie: Tie, most: int, replicas: list[tuple[int, int]], bits: int, last: int
) -> None:
    """No request to a full replica, and none held while one has room; the least outstanding is the least."""
    rule = routing_rule(balance=balance.name.lower(), tie=tie.name.lower(), outstanding_max=None if most == 0 else most)
    serials = sorted(serial for serial, _ in replicas)
    outstanding = [count for _, count in sorted(replicas)]
    able = [place for place, count in enumerate(outstanding) if most == 0 or count < most]
    _, place = routing.choose(rule, RoutingState(last), serials, outstanding, len(serials), bits)
    assert place in able or (place == UNSET and not able)
    if balance == Balance.LEAST_OUTSTANDING and able:
        assert outstanding[place] == min(outstanding)


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"balance": "fastest"}, "fleet.routing.balance"),
        ({"tie": "coin"}, "fleet.routing.tie"),
        ({"outstanding_max": 0}, "fleet.routing.outstanding_max"),
    ],
)
def test_setting_out_of_range_is_told(options: dict[str, Any], key: str) -> None:
    """The key stands in the sentence."""
    with pytest.raises(SettingError, match=key):
        routing_rule(**options)
