"""Queues with a cap, impatience or few clients, against numbers worked out independently of this project."""

from __future__ import annotations

import pytest

from sim.outcome.finite_queues import ErlangA, MachineRepair, MMcK, birth_death
from sim.outcome.queueing_theory import MMc, erlang_b


def test_mmck_has_its_known_refusals_and_wait() -> None:
    """With c 10, K 20, lam 12: .179666 refused, Wq of the accepted .635969."""
    queue = MMcK(12.0, 1.0, 10, 20)
    assert queue.refused_share == pytest.approx(0.179666, abs=5e-7)
    assert queue.mean_wait == pytest.approx(0.635969, abs=5e-7)


def test_mmck_response_has_the_mean_of_its_tail() -> None:
    """The integral of P(W > t) is the mean response, found by Little's law: two ways to one number."""
    queue = MMcK(12.0, 1.0, 10, 20)
    tail = [queue.response_tail(0.01 * index) for index in range(3_000)]
    assert 0.01 * (sum(tail) - tail[0] / 2) == pytest.approx(queue.mean_response, rel=1e-4)
    assert queue.response_tail(queue.response_quantile(0.99)) == pytest.approx(0.01, rel=1e-9)


def test_mmck_with_room_for_all_is_mmc_and_with_none_to_wait_is_erlang_b() -> None:
    """Its two ends are queues that have formulas of their own."""
    assert MMcK(4.0, 1.0, 5, 400).mean_response == pytest.approx(MMc(4.0, 1.0, 5).mean_response, rel=1e-9)
    assert MMcK(4.0, 1.0, 5, 400).response_quantile(0.99) == pytest.approx(MMc(4.0, 1.0, 5).response_quantile(0.99))
    assert MMcK(8.0, 1.0, 10, 10).refused_share == pytest.approx(erlang_b(10, 8.0))


def test_erlang_a_has_its_known_abandonment() -> None:
    """With lam = c = 6, mu 1, patience rate .5: .133648."""
    assert ErlangA(6.0, 1.0, 6, 0.5).abandoned_share == pytest.approx(0.133648, abs=5e-7)


def test_patience_that_goes_on_in_service_adds_the_race_of_two_clocks() -> None:
    """A third of the served lose patience .5 before service 1 ends."""
    queue = ErlangA(6.0, 1.0, 6, 0.5)
    served = 1 - queue.abandoned_share
    assert queue.hung_up_share == pytest.approx(queue.abandoned_share + served / 3)


def test_erlang_a_without_impatience_to_speak_of_abandons_little() -> None:
    """At light load and long patience nearly nobody leaves; in overload the share tends to 1 - c mu / lam."""
    assert ErlangA(1.0, 1.0, 6, 0.01).abandoned_share < 1e-4
    assert ErlangA(60.0, 1.0, 6, 0.5).abandoned_share == pytest.approx(0.9, abs=1e-6)


def test_closed_loop_without_thinking_is_always_busy() -> None:
    """Z = 0: X = min(N, c) mu, and N clients share it."""
    assert MachineRepair(10, 0.0, 2.0, 3).throughput == 6.0
    assert MachineRepair(2, 0.0, 2.0, 3).throughput == 4.0
    assert MachineRepair(10, 0.0, 2.0, 3).mean_response == pytest.approx(10 / 6)


def test_closed_loop_agrees_with_mean_value_analysis() -> None:
    """One server, by Reiser and Lavenberg's recursion R = (1 + L) / mu, X = n / (R + Z), L = X R."""
    queued = 0.0
    throughput = 0.0
    for clients in range(1, 9):
        response = 1.0 + queued
        throughput = clients / (response + 5.0)
        queued = throughput * response
    repair = MachineRepair(8, 5.0, 1.0)
    assert repair.throughput == pytest.approx(throughput, rel=1e-12)
    assert repair.mean_response == pytest.approx(queued / throughput, rel=1e-12)


def test_birth_death_is_in_balance() -> None:
    """Each step is crossed upwards as often as downwards, also where plain products would overflow."""
    births, deaths = [1e9] * 50 + [1.0] * 50, [1.0] * 50 + [1e9] * 50
    shares = birth_death(births, deaths)
    assert sum(shares) == pytest.approx(1.0)
    for count in range(45, 55):
        assert shares[count] * births[count] == pytest.approx(shares[count + 1] * deaths[count])
