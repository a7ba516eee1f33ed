"""The emulated device: what it answers and how long it takes, never less than policy says."""

from __future__ import annotations

import json
import signal
import time

import pytest

from policy import dice
from policy.faults import is_slow
from policy.pass_time import SPREAD_ONE, pass_ns
from policy.settings import fault_rule, pass_time_rule
from reference_server.backends import Batch
from reference_server.backends.emulated import EmulatedBackend, emulated_settings

RULE = pass_time_rule(base_ns=2_000_000, per_item_ns=500_000, per_unit_ns=1_000, padded_sizes=(1, 4), max_batch=4)


def backend(**changes: object) -> EmulatedBackend:
    """Return a backend whose settings have gone through JSON, as they do to its process."""
    settings = json.loads(json.dumps({**emulated_settings(pass_time=RULE), **changes}))
    return EmulatedBackend(**settings)


def lasted_ns(emulated: EmulatedBackend, batch: Batch) -> int:
    """Return how long a pass took."""
    began_ns = time.perf_counter_ns()
    emulated.run_pass(batch)
    return time.perf_counter_ns() - began_ns


def test_each_member_is_answered_with_the_length_of_its_input() -> None:
    """In the order of the batch."""
    batch = Batch(((0, 0), (1, 0), (2, 0)), 1, (1, 1, 1), (b'"abc"', b"", b"12"))
    assert backend().run_pass(batch) == [b'{"bytes":5}', b'{"bytes":0}', b'{"bytes":2}']


def test_pass_lasts_at_least_what_the_rule_says() -> None:
    """Padding and the longest member count, as in the forecast: 2 ms + 4 x (0.5 ms + 300 us) here, not 2.5."""
    batch = Batch(((0, 0), (1, 0)), 300, (300, 7), (b"1", b"2"))
    assert lasted_ns(backend(), batch) >= pass_ns(RULE, 2, 300, SPREAD_ONE) == 5_200_000


def test_spread_of_a_pass_is_the_die_of_its_first_member() -> None:
    """The same (seed, request, attempt) gives the same pass as in the engine; without it this one would be shorter."""
    table = [SPREAD_ONE + cell * 2_000 for cell in range(dice.LEVELS * (dice.CELLS + 1))]
    bits = dice.die(9, dice.Stream.PASS_SPREAD, 41, 3)
    spread = dice.draw(table, bits)
    assert spread > SPREAD_ONE
    emulated = backend(spread_table=table, seed=9)
    assert lasted_ns(emulated, Batch(((41, 3),), 1, (1,), (b"1",))) >= pass_ns(RULE, 1, 1, spread)


def test_slow_replica_and_first_passes_last_as_long_as_in_the_engine() -> None:
    """At least: twice as long on a slow replica, the first pass of the instance twice that."""
    faults = fault_rule(slow_share=1.0, slow_factor=2.0, first_count=1, first_factor=2.0)
    emulated = backend(faults=list(faults))
    one = Batch(((0, 0),), 1, (1,), (b"1",))
    least_ns = pass_ns(RULE, 1, 1, SPREAD_ONE)
    assert lasted_ns(emulated, one) >= 4 * least_ns
    assert lasted_ns(emulated, one) >= 2 * least_ns


def test_who_is_slow_is_the_die_of_the_replica() -> None:
    """The same replicas as in the engine, by the same die."""
    rule = fault_rule(slow_share=0.5, slow_factor=2.0)
    found = [backend(faults=list(rule), seed=4, replica=replica)._is_slow for replica in range(50)]
    assert found == [is_slow(rule, dice.die(4, dice.Stream.SLOW, replica, 0)) for replica in range(50)]
    assert 0 < sum(found) < 50


def test_process_is_to_end_when_the_dice_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock starts with readiness, and another life has another die; who never crashes sets none."""
    armed: list[float] = []
    monkeypatch.setattr(signal, "setitimer", lambda which, seconds: armed.append(seconds))
    table = [10**9 + cell * 10**6 for cell in range(dice.LEVELS * (dice.CELLS + 1))]
    for life in range(2):
        emulated = backend(crash_table=table, seed=9, replica=3, life=life)
        emulated.load()
        assert len(armed) == life
        emulated.warm_up()
    assert armed == [dice.draw(table, dice.die(9, dice.Stream.CRASH, 3, life)) / 1e9 for life in range(2)]
    assert armed[0] != armed[1]
    backend().warm_up()
    assert len(armed) == 2
