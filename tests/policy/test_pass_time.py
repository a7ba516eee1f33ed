"""Pass times: a table of cases, each run interpreted and compiled."""

from __future__ import annotations

from typing import Any

import pytest

from policy import pass_time
from policy.pass_time import SPREAD_ONE
from policy.settings import pass_time_rule
from tests.policy.both_ways import WAYS, run_way

LINE = {"base_ns": 8_000_000, "per_item_ns": 500_000, "max_batch": 8}
TABLE = {"table": {1: 300, 2: 470, 8: 590}, "max_batch": 8}

CASES: list[tuple[str, dict[str, Any], int, int, int, int]] = [
    # name, rule, batch size, longest, spread -> ns
    ("line", LINE, 1, 1, SPREAD_ONE, 8_500_000),
    ("line, full", LINE, 8, 1, SPREAD_ONE, 12_000_000),
    ("padded up", {**LINE, "padded_sizes": [1, 4, 8]}, 2, 1, SPREAD_ONE, 10_000_000),
    ("padding fits", {**LINE, "padded_sizes": [1, 4, 8]}, 4, 1, SPREAD_ONE, 10_000_000),
    ("longest member sets the cost", {"per_unit_ns": 7, "max_batch": 4, "size_max": 100}, 3, 100, SPREAD_ONE, 2100),
    ("table point", TABLE, 2, 1, SPREAD_ONE, 470),
    ("between two points", TABLE, 5, 1, SPREAD_ONE, 530),
    ("table and units", {**TABLE, "per_unit_ns": 10}, 2, 3, SPREAD_ONE, 530),
    ("spread of a half", LINE, 8, 1, SPREAD_ONE // 2, 6_000_000),
    ("spread of three", LINE, 8, 1, 3 * SPREAD_ONE, 36_000_000),
    ("never less than one", {"base_ns": 1, "max_batch": 1}, 1, 1, 1, 1),
    ("an hour times a thousand", {"base_ns": 3600 * 10**9, "max_batch": 1}, 1, 1, 1000 * SPREAD_ONE, 3600 * 10**12),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("name", "options", "size", "longest", "spread", "expected"), CASES, ids=[c[0] for c in CASES])
def test_case_costs_what_the_table_says(
    way: str, name: str, options: dict[str, Any], size: int, longest: int, spread: int, expected: int
) -> None:
    """Base, items, padding, table, units and spread, none of which overflows 64 bits."""
    assert run_way(way, pass_time.pass_ns)(pass_time_rule(**options), size, longest, spread) == expected


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("size", "padded"), [(1, 2), (2, 2), (3, 8), (8, 8)])
def test_batch_is_padded_to_the_next_allowed_size(way: str, size: int, padded: int) -> None:
    """Dummy members are computed and thrown away, as TF Serving does."""
    rule = pass_time_rule(base_ns=1, padded_sizes=[2, 8], max_batch=8)
    assert run_way(way, pass_time.pad)(rule, size) == padded
