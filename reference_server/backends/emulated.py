"""A device that is not there: every pass lasts exactly as long as policy.pass_time says, spread included.

The end of a pass is slept for and then spun for, because a sleep ends late by the timer slack and by the wake-up of an
idle core. Sleeping leaves the processor to the server and to the load generator, as a real device would.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from policy import dice
from policy.pass_time import SPREAD_ONE, PassTimeRule, pass_ns
from reference_server.backends import Batch

__all__ = ["EmulatedBackend", "emulated_settings"]

_SPIN_NS = 200_000
"""The last part of a pass that is spun: Linux' timer slack of 50 us and the wake-up of a core lie well within."""


def emulated_settings(
    *, pass_time: PassTimeRule, spread_table: Sequence[int] = (SPREAD_ONE,), seed: int = 0
) -> dict[str, object]:
    """Return what EmulatedBackend is made of, in a form that JSON carries to its process.

    `spread_table` is an inverse-CDF table as policy.dice reads it, of factors in units of 1 / SPREAD_ONE; `seed` is
    that of the dice, 0 <= seed < 2**64.
    """
    return {"pass_time": pass_time._asdict(), "spread_table": list(spread_table), "seed": seed}


class EmulatedBackend:
    """Takes the time of a pass and answers each member with the length of its input."""

    def __init__(self, pass_time: Mapping[str, int | Sequence[int]], spread_table: Sequence[int], seed: int) -> None:
        fields = {key: value if isinstance(value, int) else tuple(value) for key, value in pass_time.items()}
        self._pass_time = PassTimeRule(**fields)  # type: ignore[arg-type]  # fields came from a PassTimeRule
        self._spread_table = tuple(spread_table)
        self._seed = seed

    def load(self) -> None:
        """Do nothing: there is no model."""

    def warm_up(self) -> None:
        """Do nothing: first passes are as fast as later ones."""

    def run_pass(self, batch: Batch) -> list[bytes]:
        """Return {"bytes": length of the input} for each member after the time of the pass."""
        began_ns = time.perf_counter_ns()
        bits = dice.die(self._seed, dice.Stream.PASS_SPREAD, batch.first_request, batch.first_attempt)
        spread = dice.draw(self._spread_table, bits)
        outputs = [b'{"bytes":%d}' % len(text) for text in batch.inputs]
        _stay_until(began_ns + pass_ns(self._pass_time, len(batch.inputs), batch.longest, spread))
        return outputs


def _stay_until(end_ns: int) -> None:
    """Return at a moment of time.perf_counter_ns, not before."""
    to_sleep_ns = end_ns - time.perf_counter_ns() - _SPIN_NS
    if to_sleep_ns > 0:
        time.sleep(to_sleep_ns / 1e9)
    while time.perf_counter_ns() < end_ns:
        pass
