"""How long one pass of a batch through the device takes.

    cost = base + per_item * padded + per_unit * padded * longest     (a measured table may replace the first two)
    time = cost * spread

`padded` is the batch size after padding to an allowed size; `longest` is the size of the largest member, since shorter
ones are padded to it. The line base + per_item * b is the law of Inoue (Performance Evaluation 147:102183, 2021).
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "PADDED_SIZES_MAX",
    "SPREAD_ONE",
    "TABLE_POINTS_MAX",
    "PassTimeRule",
    "pad",
    "pass_ns",
]

PADDED_SIZES_MAX = 16
TABLE_POINTS_MAX = 32

SPREAD_ONE = 2**20
"""The fixed-point factor that leaves a pass time as it is."""


class PassTimeRule(NamedTuple):
    """Settings of a pass time; policy/settings.py builds and checks them."""

    base_ns: int
    per_item_ns: int  # per member of the padded batch
    per_unit_ns: int  # per member of the padded batch and unit of the longest member's size
    padded: tuple[int, ...]  # (PADDED_SIZES_MAX,) allowed sizes, ascending, zeros behind
    padded_count: int  # 0: no padding
    table_sizes: tuple[int, ...]  # (TABLE_POINTS_MAX,) measured batch sizes, ascending, zeros behind
    table_ns: tuple[int, ...]  # (TABLE_POINTS_MAX,) their times
    table_count: int  # 0: no table, the line counts


def pad(rule: PassTimeRule, batch_size: int) -> int:
    """Return the smallest allowed size that holds the batch; the batch size itself without or beyond padding."""
    for index in range(rule.padded_count):
        if rule.padded[index] >= batch_size:
            return rule.padded[index]
    return batch_size


def pass_ns(rule: PassTimeRule, batch_size: int, longest: int, spread: int) -> int:
    """Return the time of one pass in nanoseconds, at least 1.

    `spread` is a factor in units of 1 / SPREAD_ONE; dice for it are the driver's.
    """
    padded = pad(rule, batch_size)
    if rule.table_count > 0:
        cost_ns = _read_table(rule, padded)
    else:
        cost_ns = rule.base_ns + rule.per_item_ns * padded
    cost_ns += rule.per_unit_ns * padded * longest
    # In two parts, so that the product stays below 2**62 for every cost that settings.py lets in.
    whole_ns = (cost_ns // SPREAD_ONE) * spread
    rest_ns = (cost_ns % SPREAD_ONE) * spread // SPREAD_ONE
    return max(whole_ns + rest_ns, 1)


def _read_table(rule: PassTimeRule, batch_size: int) -> int:
    """Return the measured time, on a straight line between two points and flat outside the measured sizes."""
    last = rule.table_count - 1
    if batch_size <= rule.table_sizes[0]:
        return rule.table_ns[0]
    for index in range(1, last + 1):
        if batch_size <= rule.table_sizes[index]:
            low_size, high_size = rule.table_sizes[index - 1], rule.table_sizes[index]
            low_ns, high_ns = rule.table_ns[index - 1], rule.table_ns[index]
            return low_ns + (high_ns - low_ns) * (batch_size - low_size) // (high_size - low_size)
    return rule.table_ns[last]
