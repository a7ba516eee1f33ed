"""A device that is not there: every pass lasts exactly as long as policy.pass_time says, spread and faults included.

The end of a pass is slept for and then spun for, because a sleep ends late by the timer slack and by the wake-up of an
idle core. Sleeping leaves the processor to the server and to the load generator, as a real device would.

It crashes for real: at the moment that the dice say its process is killed, whatever it is at.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping, Sequence

from policy import dice
from policy.faults import FAULTLESS, FaultRule, is_slow, spread_with_faults
from policy.pass_time import SPREAD_ONE, PassTimeRule, pass_ns
from policy.rollout import SHARE_ONE
from reference_server.backends import Batch, ModelError, Output

__all__ = ["EmulatedBackend", "emulated_settings"]

_SPIN_NS = 200_000
"""The last part of a pass that is spun: Linux' timer slack of 50 us and the wake-up of a core lie well within."""


def emulated_settings(
    *,
    pass_time: PassTimeRule,
    spread_table: Sequence[int] = (SPREAD_ONE,),
    cold_start_tables: Sequence[Sequence[int]] = (),
    restart_from: int = 0,
    crash_table: Sequence[int] = (),
    fault_rule: FaultRule = FAULTLESS,
    error_share: int = 0,
    seed: int = 0,
) -> dict[str, object]:
    """Return what EmulatedBackend is made of, in a form that JSON carries to its process.

    Tables are inverse-CDF tables as policy.dice reads them: `spread_table` of factors in units of 1 / SPREAD_ONE,
    `cold_start_tables` of ns, one for each part of a start, those from `restart_from` on to be gone through again after
    a crash; `crash_table` of the ns from readiness to a crash, empty: never; `error_share` of the requests fails, in
    parts of policy.rollout.SHARE_ONE; `seed` is that of the dice, 0 <= seed < 2**64. Whoever starts a replica puts its
    serial, how often it has crashed, and the moment of its order or latest crash (time.perf_counter_ns) in the place of
    the last three.
    """
    return {
        "pass_time": pass_time._asdict(),
        "spread_table": list(spread_table),
        "cold_start_tables": [list(table) for table in cold_start_tables],
        "restart_from": restart_from,
        "crash_table": list(crash_table),
        "faults": list(fault_rule),
        "error_share": error_share,
        "seed": seed,
        "replica": 0,
        "life": 0,
        "ordered_ns": 0,
    }


class EmulatedBackend:
    """Takes the time of a pass and answers each member with the length of its input."""

    def __init__(
        self,
        pass_time: Mapping[str, int | Sequence[int]],
        spread_table: Sequence[int],
        cold_start_tables: Sequence[Sequence[int]],
        restart_from: int,
        crash_table: Sequence[int],
        faults: Sequence[int],
        error_share: int,
        seed: int,
        replica: int,
        life: int,
        ordered_ns: int,
    ) -> None:
        fields = {key: value if isinstance(value, int) else tuple(value) for key, value in pass_time.items()}
        self._pass_time = PassTimeRule(**fields)  # type: ignore[arg-type]  # fields came from a PassTimeRule
        self._spread_table = tuple(spread_table)
        self._error_share = error_share
        self._seed = seed
        self._faults = FaultRule(*faults)
        self._is_slow = is_slow(self._faults, dice.die(seed, dice.Stream.SLOW, replica, 0))
        self._passes_begun = 0
        self._ready_ns = ordered_ns + dice.cold_start_ns(cold_start_tables, seed, replica, life, restart_from)
        self._crash_after_ns = dice.crash_after_ns(crash_table, seed, replica, life) if crash_table else None

    def load(self) -> None:
        """Wait until the cold start is over, counted from the order: there is no model."""
        _stay_until(self._ready_ns)

    def warm_up(self) -> None:
        """Note that the instance is ready, from when on it may crash: its work is part of the cold start."""
        if self._crash_after_ns is not None:
            # The signal ends the process from outside of Python: in a pass, between two, asleep or not.
            signal.setitimer(signal.ITIMER_REAL, self._crash_after_ns / 1e9)

    def run_pass(self, batch: Batch) -> list[Output]:
        """Return {"bytes": length of the input} or an error for each member after the time of the pass."""
        began_ns = time.perf_counter_ns()
        bits = dice.die(self._seed, dice.Stream.PASS_SPREAD, *batch.keys[0])
        spread = spread_with_faults(
            self._faults, dice.draw(self._spread_table, bits), self._is_slow, self._passes_begun
        )
        self._passes_begun += 1
        outputs: list[Output] = [b'{"bytes":%d}' % len(text) for text in batch.inputs]
        if self._error_share:
            outputs = [self._error(*each) for each in zip(batch.keys, outputs, strict=True)]
        _stay_until(began_ns + pass_ns(self._pass_time, len(batch.inputs), batch.longest, spread))
        return outputs

    def _error(self, key: tuple[int, int], output: Output) -> Output:
        """Return the output, or an error in its place: a die of the request says which."""
        bits = dice.die(self._seed, dice.Stream.ERROR, key[0], 0)
        fails = dice.happens(self._error_share, SHARE_ONE, bits)
        return ModelError("The emulated model failed on this request.") if fails else output


def _stay_until(end_ns: int) -> None:
    """Return at a moment of time.perf_counter_ns, not before."""
    to_sleep_ns = end_ns - time.perf_counter_ns() - _SPIN_NS
    if to_sleep_ns > 0:
        time.sleep(to_sleep_ns / 1e9)
    while time.perf_counter_ns() < end_ns:
        pass
