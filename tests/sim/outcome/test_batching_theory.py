"""Batch queues, against numbers worked out independently of this project."""

from __future__ import annotations

import numpy as np
import pytest

from sim.outcome.batching_theory import BatchFormer, BoundedBatching, GreedyBatching
from sim.outcome.queueing_theory import MD1

PER_ITEM, BASE = 0.1438, 1.8874
V100 = tuple(BASE + PER_ITEM * size for size in range(1, 9))


@pytest.mark.parametrize(
    ("load", "mean", "digits"), [(0.3, 4.2248, 4), (0.5, 5.9019, 4), (0.7, 9.8176, 4), (0.9, 29.408, 3)]
)
def test_greedy_batching_has_its_known_means(load: float, mean: float, digits: int) -> None:
    """Inoue's V100 at four loads."""
    queue = GreedyBatching(load / PER_ITEM, PER_ITEM, BASE)
    assert queue.mean_response == pytest.approx(mean, abs=0.5 * 10**-digits)


@pytest.mark.parametrize("load", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_greedy_mean_stays_below_the_closed_bound(load: float) -> None:
    """min(phi0, phi1) bounds the mean from above, and closely."""
    queue = GreedyBatching(load / PER_ITEM, PER_ITEM, BASE)
    assert queue.mean_response <= queue.mean_response_bound * (1 + 1e-9)
    assert queue.mean_response > 0.9 * queue.mean_response_bound


@pytest.mark.parametrize("load", [0.1, 0.3, 0.7])
def test_greedy_response_has_the_mean_of_its_tail(load: float) -> None:
    """The tail is built from the chain request by request; its integral is the mean of the paper's formula."""
    queue = GreedyBatching(load / PER_ITEM, PER_ITEM, BASE)
    step = (BASE + PER_ITEM) / 100  # the tail jumps at the pass time of one, between two midpoints
    tail = [queue.response_tail(step * (index + 0.5)) for index in range(2_000)]
    assert step * sum(tail) == pytest.approx(queue.mean_response, rel=1e-4)
    assert queue.response_tail(queue.response_quantile(0.99)) == pytest.approx(0.01, rel=1e-6)
    assert queue.response_tail(BASE) == pytest.approx(1.0, rel=1e-12)


def test_greedy_batching_has_the_tail_of_a_simulation() -> None:
    """Twenty thousand batches by the rule itself: take all that came during the last pass."""
    rate = 0.5 / PER_ITEM
    rng = np.random.default_rng(5)
    responses, size = [], 1
    for _ in range(20_000):
        length = BASE + PER_ITEM * size
        arrivals = rng.poisson(rate * length)
        size = max(arrivals, 1)
        rest = length * rng.random(arrivals) if arrivals else np.zeros(1)
        responses.append(rest + BASE + PER_ITEM * size)
    simulated = float(np.quantile(np.concatenate(responses), 0.99))
    assert GreedyBatching(rate, PER_ITEM, BASE).response_quantile(0.99) == pytest.approx(simulated, rel=0.02)


def test_bounded_batching_has_its_known_figures() -> None:
    """With a 1, b 8, no cap, lam 2: E[W] 4.30672, E[B] 5.30662. a = b = 8, lam 1: 6.54371."""
    queue = BoundedBatching(2.0, V100)
    assert queue.mean_response == pytest.approx(4.30672, abs=5e-6)
    assert queue.mean_batch == pytest.approx(5.30662, abs=5e-6)
    full = BoundedBatching(1.0, V100, smallest=8)
    assert full.mean_response == pytest.approx(6.54371, abs=5e-6)
    assert full.mean_batch == pytest.approx(8.0)


def test_cap_that_is_never_reached_changes_nothing() -> None:
    """The chain with a cap of 400 is the chain without: two ways to compute the waiting area."""
    queue = BoundedBatching(2.0, V100, cap=400)
    assert queue.mean_response == pytest.approx(BoundedBatching(2.0, V100).mean_response, rel=1e-9)
    assert queue.refused_share == pytest.approx(0.0, abs=1e-12)


def test_batches_of_one_are_md1() -> None:
    """A bound of 1 is a single server with constant service; batches without a bound are Inoue's."""
    assert BoundedBatching(0.8, (1.0,)).mean_response == pytest.approx(MD1(0.8, 1.0).mean_response, rel=1e-9)
    many = tuple(BASE + PER_ITEM * size for size in range(1, 101))
    greedy = GreedyBatching(0.5 / PER_ITEM, PER_ITEM, BASE)
    assert BoundedBatching(0.5 / PER_ITEM, many).mean_response == pytest.approx(greedy.mean_response, rel=1e-9)


@pytest.mark.parametrize(("smallest", "cap", "rate"), [(1, 20, 3.0), (4, 10, 2.0), (1, 1, 0.5), (8, 8, 5.0)])
def test_capped_batching_agrees_with_a_simulation(smallest: int, cap: int, rate: float) -> None:
    """Refusals, batches and responses of the rule played through, 20000 passes."""
    rng = np.random.default_rng(11)
    queue: list[float] = []
    now = refused = arrived = 0.0
    sizes, responses = [], []
    for _ in range(20_000):
        while len(queue) < smallest:
            now += rng.exponential(1 / rate)
            arrived += 1
            queue.append(now)
        batch, queue = queue[:8], queue[8:]
        end = now + V100[len(batch) - 1]
        sizes.append(len(batch))
        responses += [end - since for since in batch]
        for came in np.sort(now + (end - now) * rng.random(rng.poisson(rate * (end - now)))).tolist():
            arrived += 1
            if len(queue) < cap:
                queue.append(came)
            else:
                refused += 1
        now = end
    theory = BoundedBatching(rate, V100, smallest, cap)
    assert theory.refused_share == pytest.approx(refused / arrived, abs=0.005)
    assert theory.mean_batch == pytest.approx(float(np.mean(sizes)), rel=0.02)
    assert theory.mean_response == pytest.approx(float(np.mean(responses)), rel=0.02)


def test_batch_former_has_its_known_figures() -> None:
    """With lam 1, b 8, T 5: E[B] 5.74452, hold 2.65380."""
    former = BatchFormer(1.0, 8, 5.0)
    assert former.mean_batch == pytest.approx(5.74452, abs=5e-6)
    assert former.mean_hold == pytest.approx(2.65380, abs=5e-6)


def test_batch_former_agrees_with_a_simulation() -> None:
    """The share closed by the timer too, which the pinned numbers leave out; b = 1 never waits."""
    rng = np.random.default_rng(3)
    gaps = np.cumsum(rng.exponential(1.0, (20_000, 7)), axis=1)
    timer = float((gaps[:, -1] > 5.0).mean())
    assert BatchFormer(1.0, 8, 5.0).timer_share == pytest.approx(timer, abs=0.01)
    single = BatchFormer(1.0, 1, 5.0)
    assert (single.mean_batch, single.mean_hold, single.timer_share) == (1.0, 0.0, 0.0)


def test_batching_without_end_has_no_answer() -> None:
    """Full batches that cannot keep up, and bounds that cannot be met."""
    with pytest.raises(ValueError, match="grows without end"):
        GreedyBatching(7.0, PER_ITEM, BASE)
    with pytest.raises(ValueError, match="grows without end"):
        BoundedBatching(3.0, V100)
    with pytest.raises(ValueError, match="1 <= smallest <= largest"):
        BoundedBatching(1.0, V100, smallest=9)
