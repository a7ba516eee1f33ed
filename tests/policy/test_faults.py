"""Slow replicas and first passes: factors of a pass time."""

from __future__ import annotations

import pytest

from policy import faults
from policy.dice import Stream, die
from policy.errors import SettingError
from policy.faults import FAULTLESS, is_slow
from policy.pass_time import SPREAD_ONE
from policy.settings import SPREAD_MAX, fault_rule
from tests.policy.both_ways import WAYS, run_way

RULE = fault_rule(slow_share=0.1, slow_factor=1.5, first_count=2, first_factor=4.0)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("spread", "slow", "before", "expected"),
    [
        (SPREAD_ONE, False, 2, SPREAD_ONE),
        (SPREAD_ONE, True, 2, SPREAD_ONE * 3 // 2),
        (SPREAD_ONE, False, 0, SPREAD_ONE * 4),
        (SPREAD_ONE, False, 1, SPREAD_ONE * 4),  # the second pass is the last of two
        (SPREAD_ONE, True, 1, SPREAD_ONE * 6),
        (SPREAD_ONE // 2, True, 0, SPREAD_ONE * 3),
        (3, True, 9, 4),  # rounded down, as every factor is
        (SPREAD_MAX * SPREAD_ONE // 6, True, 0, SPREAD_MAX * SPREAD_ONE // 6 // 2 * 3 * 4),
    ],
)
def test_factors_are_multiplied_with_the_spread(way: str, spread: int, slow: bool, before: int, expected: int) -> None:
    """A slow replica's for ever, those of first passes while they last, up to the largest without overflow."""
    assert run_way(way, faults.spread_with_faults)(RULE, spread, slow, before) == expected


def test_share_of_slow_replicas_is_that_of_the_rule() -> None:
    """20,000 replicas, a tenth slow (four standard errors); who is slow at 10 % is so at 20 %, too."""
    dice = [die(3, Stream.SLOW, replica, 0) for replica in range(20_000)]
    slow = {replica for replica, bits in enumerate(dice) if is_slow(RULE, bits)}
    assert len(slow) / 20_000 == pytest.approx(0.1, abs=4 * (0.09 / 20_000) ** 0.5)
    more = fault_rule(slow_share=0.2, slow_factor=1.5)
    assert slow < {replica for replica, bits in enumerate(dice) if is_slow(more, bits)}


def test_no_fault_changes_nothing() -> None:
    """The default of every fleet."""
    assert fault_rule() == FAULTLESS
    assert faults.spread_with_faults(FAULTLESS, 12345, False, 0) == 12345
    assert not is_slow(FAULTLESS, 0)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"slow_factor": 0.5}, "fleet.slow.factor"),
        ({"slow_factor": 1001.0}, "fleet.slow.factor"),
        ({"slow_share": 1.5}, "fleet.slow.share"),
        ({"first_factor": 0.9}, "fleet.cold_start.first_passes.factor"),
        ({"first_count": -1}, "fleet.cold_start.first_passes.count"),
        ({"slow_factor": 300.0, "first_factor": 300.0}, "fleet.slow.factor"),
    ],
)
def test_setting_out_of_range_is_refused_with_its_key(settings: dict[str, float], key: str) -> None:
    """A factor below 1 would make faults a gift, and a product above 65536 would overflow."""
    with pytest.raises(SettingError, match=f"^{key} must be "):
        fault_rule(**settings)  # type: ignore[arg-type]
