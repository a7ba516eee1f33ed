"""Exact answers for queues that serve batches: what a simulation of batching must reproduce.

Each is a Markov chain seen at the ends of passes, solved by linear algebra. Poisson arrivals, pass times that depend
on the batch size alone, one device. Rates and times are floats in any one unit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from sim.outcome.queueing_theory import solve_tail

__all__ = ["BatchFormer", "BoundedBatching", "GreedyBatching"]

Floats = npt.NDArray[np.float64]

_NEGLIGIBLE = 1e-13
"""A chain without an end is cut where its last state has less probability than this."""


@dataclass(frozen=True)
class GreedyBatching:
    """A free device takes everything that waits; a pass of b takes base + per_item b.

    Y. Inoue, "Queueing analysis of GPU-based inference servers with dynamic batching", Performance Evaluation
    147:102183, 2021; alpha is per_item and tau0 is base. Stable if arrival_rate * per_item < 1.
    """

    arrival_rate: float
    per_item: float
    base: float

    def __post_init__(self) -> None:
        if self.arrival_rate * self.per_item >= 1.0:
            raise ValueError("This queue grows without end: arrival_rate * per_item must be below 1.")

    @cached_property
    def batch_sizes(self) -> Floats:
        """Probability of a batch of b, b = 0, 1, ... (0 does not occur)."""
        most = 64
        while True:
            chain = self._chain(most)
            shares = np.concatenate([[0.0], _stationary(chain)])
            if shares[-1] < _NEGLIGIBLE:
                return shares
            most *= 2

    @property
    def mean_batch(self) -> float:
        """E[B]."""
        return float(self.batch_sizes @ np.arange(len(self.batch_sizes)))

    @property
    def mean_response(self) -> float:
        """E[W] = alpha + tau0 + (1 + 2 lam alpha) (E[B^2] - E[B]) / (2 lam E[B])."""
        sizes = np.arange(len(self.batch_sizes))
        pairs = float(self.batch_sizes @ (sizes * (sizes - 1)))
        spread = (1.0 + 2.0 * self.arrival_rate * self.per_item) * pairs
        return self.per_item + self.base + spread / (2.0 * self.arrival_rate * self.mean_batch)

    @property
    def mean_response_bound(self) -> float:
        """The closed upper bound min(phi0, phi1) of the paper."""
        lam, alpha, tau = self.arrival_rate, self.per_item, self.base
        load = lam * alpha
        low = (alpha + tau) / (2.0 * (1.0 - load)) * (1.0 + 2.0 * lam * tau + (1.0 - lam * tau) / (1.0 + load))
        high = 1.5 * tau / (1.0 - load) + alpha / 2.0 * (load + 2.0) / (1.0 - load**2)
        return min(low, high)

    def response_tail(self, time: float) -> float:
        """Return P(response > time), from the chain.

        Who arrives in a pass of b waits for the rest of it, uniform on (0, s(b)), then runs with all a of that pass;
        who arrives on an idle device runs alone.
        """
        sizes = np.arange(1, len(self.batch_sizes))
        shares = self.batch_sizes[1:]
        arrivals = _poisson(self.arrival_rate * self._pass_time(sizes), len(sizes))  # (b, a = 0 ..)
        rest = self._pass_time(sizes)[:, None]
        late = np.clip((rest + self._pass_time(sizes)[None, :] - time) / rest, 0.0, 1.0)  # (b, a = 1 ..)
        together = shares @ (arrivals[:, 1:] * sizes[None, :] * late).sum(axis=1)
        alone = float(shares @ arrivals[:, 0]) * float(self._pass_time(np.int64(1)) > time)
        return (float(together) + alone) / self.mean_batch

    def response_quantile(self, q: float) -> float:
        """Return the q-quantile of the response."""
        return solve_tail(self.response_tail, 1.0 - q)

    def _pass_time(self, sizes: npt.NDArray[np.int64] | np.int64) -> Floats:
        return np.asarray(self.base + self.per_item * sizes, dtype=np.float64)

    def _chain(self, most: int) -> Floats:
        """Return the transitions of the batch size among 1 .. most: B' = max(arrivals during the pass, 1)."""
        arrivals = _poisson(self.arrival_rate * self._pass_time(np.arange(1, most + 1)), most)
        chain = arrivals[:, 1:].copy()
        chain[:, 0] += arrivals[:, 0]
        chain[:, -1] += 1.0 - chain.sum(axis=1)
        return chain


@dataclass(frozen=True)
class BoundedBatching:
    """Batches of at least `smallest` and at most `largest`; who finds `cap` waiting is refused (None: nobody is).

    `pass_times` are those of batches of 1, 2, ... `largest`. A free device starts as soon as `smallest` wait: the
    general bulk service rule (N. T. J. Bailey, J. R. Stat. Soc. B 16, 1954; M. F. Neuts, Ann. Math. Stat. 38, 1967).
    """

    arrival_rate: float
    pass_times: tuple[float, ...]
    smallest: int = 1
    cap: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.smallest <= self.largest or (self.cap is not None and self.cap < self.smallest):
            raise ValueError("A batch needs 1 <= smallest <= largest, and a cap that lets it form.")
        if self.cap is None and self.arrival_rate * self.pass_times[-1] >= self.largest:
            raise ValueError("This queue grows without end: full batches cannot keep up with the arrivals.")

    @property
    def largest(self) -> int:
        """The largest batch."""
        return len(self.pass_times)

    @cached_property
    def left_behind(self) -> Floats:
        """Probability that n wait at the end of a pass, n = 0 .. cap."""
        most = self.cap if self.cap is not None else 16 * self.largest
        while True:
            shares = _stationary(self._chain(most))
            if self.cap is not None or shares[-1] < _NEGLIGIBLE:
                return shares
            most *= 2

    @property
    def mean_batch(self) -> float:
        """E[B]."""
        return float(self.left_behind @ self._batch())

    @property
    def mean_response(self) -> float:
        """Mean response of the accepted: by Little's law the waiting area of a cycle by its requests, plus the pass."""
        batch = self._batch()
        in_pass = self._time()
        response_area = self._waiting_area() + batch * in_pass
        return float(self.left_behind @ response_area) / self.mean_batch

    @property
    def refused_share(self) -> float:
        """Share of arrivals that find `cap` waiting: what comes in a cycle less what a cycle serves."""
        gaps = np.maximum(self.smallest - np.arange(len(self.left_behind)), 0) / self.arrival_rate
        cycle = float(self.left_behind @ (gaps + self._time()))
        return 1.0 - self.mean_batch / (self.arrival_rate * cycle)

    def _batch(self) -> npt.NDArray[np.int64]:
        """Return the size of the next batch for each number left behind: min(max(n, smallest), largest)."""
        return np.clip(np.arange(len(self.left_behind)), self.smallest, self.largest)

    def _time(self) -> Floats:
        """Return the time of the next pass for each number left behind."""
        return np.asarray(self.pass_times)[self._batch() - 1]

    def _chain(self, most: int) -> Floats:
        """Return the transitions of the number left behind among 0 .. most."""
        waiting = np.arange(most + 1)
        batch = np.clip(waiting, self.smallest, self.largest)
        arrivals = _poisson(self.arrival_rate * np.asarray(self.pass_times)[batch - 1], most)
        chain = np.zeros((most + 1, most + 1))
        for left, row in zip(np.maximum(waiting, self.smallest) - batch, range(most + 1), strict=True):
            chain[row, left:] = arrivals[row, : most + 1 - left]
        chain[:, -1] += 1.0 - chain.sum(axis=1)
        return chain

    def _waiting_area(self) -> Floats:
        """Return the mean integral of the number waiting over a cycle, for each number left behind.

        First, j wait for 1/lam until `smallest` do. Then, during a pass of s that leaves r behind, r + N(t) wait, at
        most the cap K: its integral is K s - sum_{j < K} (K - j) P(N(s) > j - r) / lam, j from r on.
        """
        waiting = np.arange(len(self.left_behind))
        forming = np.array([sum(range(count, self.smallest)) for count in waiting]) / self.arrival_rate
        left = np.maximum(waiting, self.smallest) - self._batch()
        time = self._time()
        if self.cap is None:
            return np.asarray(forming + left * time + self.arrival_rate * time**2 / 2.0)
        more_than = 1.0 - np.cumsum(_poisson(self.arrival_rate * time, self.cap), axis=1)  # (n, k): P(N > k)
        passing = self.cap * time
        for count in waiting:
            below = np.arange(left[count], self.cap)
            passing[count] -= float((self.cap - below) @ more_than[count, below - left[count]]) / self.arrival_rate
        return np.asarray(forming + passing)


@dataclass(frozen=True)
class BatchFormer:
    """Forms batches of at most `largest`, closed `wait` after their first request came; a device is always free."""

    arrival_rate: float
    largest: int
    wait: float

    @property
    def mean_batch(self) -> float:
        """E[B] = 1 + E min(N, b - 1), N ~ Poisson(lam T)."""
        return 1.0 + float(self._at_least()[1:].sum())

    @property
    def mean_hold(self) -> float:
        """Mean time from a request's arrival to the closing of its batch: sum_m m P(N >= m) / lam / E[B]."""
        members = np.arange(self.largest)
        return float(members @ self._at_least()) / self.arrival_rate / self.mean_batch

    @property
    def timer_share(self) -> float:
        """Share of batches closed by the timer: P(N <= b - 2)."""
        return 1.0 - float(self._at_least()[-1]) if self.largest > 1 else 0.0

    def _at_least(self) -> Floats:
        """Return P(N >= m), m = 0 .. largest - 1."""
        below = _poisson(np.array([self.arrival_rate * self.wait]), self.largest)[0].cumsum()
        return np.asarray(1.0 - np.concatenate([[0.0], below[: self.largest - 1]]))


def _poisson(means: Floats, most: int) -> Floats:
    """Return P(N = n), n = 0 .. most, one row for each mean > 0."""
    counts = np.arange(most + 1)
    log_factorials = np.array([math.lgamma(count + 1.0) for count in counts])
    return np.asarray(np.exp(counts[None, :] * np.log(means)[:, None] - means[:, None] - log_factorials[None, :]))


def _stationary(chain: Floats) -> Floats:
    """Return the stationary probabilities of a chain with one recurrent class."""
    count = len(chain)
    system = chain.T - np.eye(count)
    system[-1, :] = 1.0
    target = np.zeros(count)
    target[-1] = 1.0
    return np.asarray(np.maximum(np.linalg.solve(system, target), 0.0))
