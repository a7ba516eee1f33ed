"""Queues without limit, against the numbers that were worked out independently of this project."""

from __future__ import annotations

import math

import pytest

from sim.outcome.queueing_theory import (
    GM1,
    MD1,
    MMc,
    erlang_b,
    erlang_c,
    gamma_gaps,
    mg1_mean_wait,
    solve_tail,
    sum_tail,
)


def test_mm1_has_its_known_mean_and_p99() -> None:
    """Load 0.8: W = 1 / (mu - lam) = 5, exponential, so p99 = 5 ln 100 = 23.0259."""
    queue = MMc(0.8, 1.0)
    assert queue.mean_response == pytest.approx(5.0, rel=1e-12)
    assert queue.response_quantile(0.99) == pytest.approx(23.0259, abs=5e-5)


def test_mm5_has_its_known_waits() -> None:
    """Load 4 on 5 servers: C .554113, Wq .554113, p99 of Wq 4.01478."""
    queue = MMc(4.0, 1.0, 5)
    assert queue.waiting_share == pytest.approx(0.554113, abs=5e-7)
    assert queue.mean_wait == pytest.approx(0.554113, abs=5e-7)
    assert queue.wait_quantile(0.99) == pytest.approx(4.01478, abs=5e-6)
    assert queue.wait_quantile(0.4) == 0.0


@pytest.mark.parametrize(("rate", "servers"), [(0.8, 1), (4.0, 5), (1.0, 2), (2.5, 3), (4.9, 5)])
def test_mmc_response_has_the_mean_of_its_tail(rate: float, servers: int) -> None:
    """The integral of P(W > t) is E[W], also where c mu - lam equals mu (the two exponentials coincide) or is below."""
    queue = MMc(rate, 1.0, servers)
    step = 0.002 * queue.mean_response
    tail = [queue.response_tail(step * index) for index in range(20_000)]
    assert step * (sum(tail) - tail[0] / 2) == pytest.approx(queue.mean_response, rel=1e-5)


def test_erlang_b_and_c_have_their_known_values() -> None:
    """With c 10, a 8: B .121661; one server blocks a / (1 + a), and makes wait the share a."""
    assert erlang_b(10, 8.0) == pytest.approx(0.121661, abs=5e-7)
    assert erlang_b(1, 0.8) == pytest.approx(0.8 / 1.8)
    assert erlang_c(1, 0.8) == pytest.approx(0.8)


def test_md1_has_its_known_wait_and_quantiles() -> None:
    """Load 0.8: Wq 2, p50 1.27594, p99 10.3559."""
    queue = MD1(0.8, 1.0)
    assert queue.mean_wait == pytest.approx(2.0, rel=1e-12)
    assert queue.wait_quantile(0.5) == pytest.approx(1.27594, abs=5e-6)
    assert queue.wait_quantile(0.99) == pytest.approx(10.3559, abs=5e-5)
    assert queue.response_quantile(0.99) == pytest.approx(11.3559, abs=5e-5)
    assert queue.wait_quantile(0.1) == 0.0


def test_md1_tail_is_right_where_floats_fail() -> None:
    """Far out the sum cancels 40 digits. The tail falls with the known rate: the root of lam (e^s - 1) = s, s > 0."""
    queue = MD1(0.8, 1.0)
    low, high = 0.1, 1.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (low, middle) if 0.8 * math.expm1(middle) > middle else (middle, high)
    measured = math.log(queue.wait_tail(40.0) / queue.wait_tail(41.0))
    assert measured == pytest.approx(low, rel=1e-9)
    assert queue.wait_tail(-1.0) == 1.0


def test_md1_tail_has_the_mean_of_pollaczek_khinchine() -> None:
    """Two formulas that share nothing agree: the integral of the tail is the mean wait."""
    queue = MD1(0.6, 2.0 / 3.0)
    tail = [queue.wait_tail(0.01 * index) for index in range(1_500)]
    assert 0.01 * (sum(tail) - tail[0] / 2) == pytest.approx(queue.mean_wait, rel=1e-3)


def test_pollaczek_khinchine_agrees_with_mm1() -> None:
    """Exponential service has E[S^2] = 2, constant service 1: half the wait."""
    assert mg1_mean_wait(0.8, 1.0, 2.0) == pytest.approx(MMc(0.8, 1.0).mean_wait)
    assert mg1_mean_wait(0.8, 1.0, 1.0) == pytest.approx(MD1(0.8, 1.0).mean_wait)


def test_gm1_has_its_known_mean_and_p99() -> None:
    """Gamma gaps of cv 2, lam .6: mean 5.64744, p99 26.0074."""
    queue = GM1(gamma_gaps(0.6, 2.0), 1.0)
    assert queue.mean_response == pytest.approx(5.64744, abs=5e-6)
    assert queue.response_quantile(0.99) == pytest.approx(26.0074, abs=5e-5)


def test_round_robin_over_exponential_servers_is_erlang_gaps() -> None:
    """E_4/M/1 at load .9: 6.38305; and cv 1 is M/M/1."""
    assert GM1(gamma_gaps(0.9, 0.5), 1.0).mean_response == pytest.approx(6.38305, abs=5e-6)
    assert GM1(gamma_gaps(0.8, 1.0), 1.0).mean_response == pytest.approx(5.0, rel=1e-9)


@pytest.mark.parametrize("unstable", [lambda: MMc(1.0, 1.0), lambda: MD1(1.1, 1.0), lambda: mg1_mean_wait(2, 1, 1)])
def test_queue_without_end_has_no_answer(unstable: object) -> None:
    """At load 1 nothing is stationary."""
    assert callable(unstable)
    with pytest.raises(ValueError, match="grows without end"):
        unstable()


@pytest.mark.parametrize(
    ("stages", "stage_rate", "last_rate"), [(1, 3.0, 1.0), (4, 3.0, 1.0), (3, 2.0, 2.0), (1, 1.0, 3.0)]
)
def test_sum_of_stages_has_the_right_mean(stages: int, stage_rate: float, last_rate: float) -> None:
    """The integral of P(E + S > t) is stages / stage_rate + 1 / last_rate, whichever rate is larger."""
    mean = stages / stage_rate + 1 / last_rate
    tail = [sum_tail(stages, stage_rate, last_rate, 0.002 * index) for index in range(15_000)]
    assert 0.002 * (sum(tail) - 0.5) == pytest.approx(mean, rel=1e-5)


def test_solved_tail_is_where_it_says() -> None:
    """exp(-t) comes down to 1 % at ln 100, and a step function at its step."""
    assert solve_tail(lambda time: math.exp(-time), 0.01) == pytest.approx(math.log(100), rel=1e-13)
    assert solve_tail(lambda time: 1.0 if time < 37.5 else 0.0, 0.01) == pytest.approx(37.5, rel=1e-13)
