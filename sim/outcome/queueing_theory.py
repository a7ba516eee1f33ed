"""Exact answers for queues without limit that serve one request at a time: what a simulation of them must reproduce.

Rates and times are floats in any one unit. "Wait" ends when service begins, "response" when it ends. Formulas:
L. Kleinrock, Queueing Systems I (1975), unless a docstring says otherwise. Queues with a cap, impatience or few
clients are in finite_queues.py, those that serve batches in batching_theory.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, localcontext

__all__ = [
    "GM1",
    "MD1",
    "MMc",
    "erlang_b",
    "erlang_c",
    "gamma_gaps",
    "mg1_mean_wait",
    "solve_tail",
    "sum_tail",
]


def erlang_b(servers: int, load: float) -> float:
    """Return the share of arrivals that M/G/c/c turns away; `load` is arrival rate times mean service time.

    B_0 = 1, B_k = load B_{k-1} / (k + load B_{k-1}). It does not depend on the law of the service times.
    """
    blocked = 1.0
    for count in range(1, servers + 1):
        blocked = load * blocked / (count + load * blocked)
    return blocked


def erlang_c(servers: int, load: float) -> float:
    """Return the share of arrivals that must wait in M/M/c, load < servers."""
    blocked = erlang_b(servers, load)
    return blocked / (1.0 - load / servers * (1.0 - blocked))


@dataclass(frozen=True)
class MMc:
    """Poisson arrivals, exponential service, `servers` in parallel, one queue without limit."""

    arrival_rate: float
    service_rate: float
    servers: int = 1

    def __post_init__(self) -> None:
        _check_stable(self.arrival_rate, self.servers * self.service_rate)

    @property
    def waiting_share(self) -> float:
        """Share of requests that wait (Erlang C)."""
        return erlang_c(self.servers, self.arrival_rate / self.service_rate)

    @property
    def spare_rate(self) -> float:
        """Capacity less load: the rate at which a wait that occurs ends."""
        return self.servers * self.service_rate - self.arrival_rate

    @property
    def mean_wait(self) -> float:
        """C / (c mu - lam)."""
        return self.waiting_share / self.spare_rate

    @property
    def mean_response(self) -> float:
        """Mean wait plus mean service."""
        return self.mean_wait + 1.0 / self.service_rate

    def wait_quantile(self, q: float) -> float:
        """Return the q-quantile of the wait, from P(wait > t) = C exp(-(c mu - lam) t)."""
        if self.waiting_share <= 1.0 - q:
            return 0.0
        return math.log(self.waiting_share / (1.0 - q)) / self.spare_rate

    def response_tail(self, time: float) -> float:
        """Return P(response > time): service alone, or a wait and a service, each exponential."""
        service = math.exp(-self.service_rate * time)
        both = sum_tail(1, self.spare_rate, self.service_rate, time)
        return (1.0 - self.waiting_share) * service + self.waiting_share * both

    def response_quantile(self, q: float) -> float:
        """Return the q-quantile of the response."""
        return solve_tail(self.response_tail, 1.0 - q)


def mg1_mean_wait(arrival_rate: float, service_mean: float, service_second_moment: float) -> float:
    """Return the mean wait of M/G/1 (Pollaczek-Khinchine): lam E[S^2] / (2 (1 - rho))."""
    _check_stable(arrival_rate, 1.0 / service_mean)
    return arrival_rate * service_second_moment / (2.0 * (1.0 - arrival_rate * service_mean))


@dataclass(frozen=True)
class MD1:
    """Poisson arrivals, one server, every service of the same length."""

    arrival_rate: float
    service_time: float

    def __post_init__(self) -> None:
        _check_stable(self.arrival_rate, 1.0 / self.service_time)

    @property
    def mean_wait(self) -> float:
        """Pollaczek-Khinchine with E[S^2] = D^2."""
        return mg1_mean_wait(self.arrival_rate, self.service_time, self.service_time**2)

    @property
    def mean_response(self) -> float:
        """Mean wait plus the service."""
        return self.mean_wait + self.service_time

    def wait_tail(self, time: float) -> float:
        """Return P(wait > time) from Erlang's formula (1909; Iversen, Staalhagen, Electronics Letters 35:25, 1999).

        P(wait <= t) = (1 - rho) sum_i (lam (i D - t))^i / i! exp(-lam (i D - t)), i = 0 .. floor(t / D): terms of
        alternating sign up to exp(2 lam t), so it is summed in as many decimal digits as that costs and 30 more.
        """
        if time < 0.0:
            return 1.0
        with localcontext() as context:
            context.prec = 30 + math.ceil(2.0 * self.arrival_rate * time / math.log(10.0))
            rate, length, until = Decimal(self.arrival_rate), Decimal(self.service_time), Decimal(time)
            total = Decimal(0)
            factorial = Decimal(1)
            for count in range(int(until / length) + 1):
                factorial *= max(count, 1)
                behind = rate * (count * length - until)
                # Decimal leaves 0 ** 0 undefined; here it is 1.
                power = behind**count if count else Decimal(1)
                total += power / factorial * (-behind).exp()
            return float(1 - (1 - rate * length) * total)

    def wait_quantile(self, q: float) -> float:
        """Return the q-quantile of the wait; 0 where no more than 1 - q of the requests wait."""
        if self.wait_tail(0.0) <= 1.0 - q:
            return 0.0
        return solve_tail(self.wait_tail, 1.0 - q)

    def response_quantile(self, q: float) -> float:
        """Return the q-quantile of the response: the service adds a constant."""
        return self.wait_quantile(q) + self.service_time


@dataclass(frozen=True)
class GM1:
    """Independent gaps, one exponential server; `gap_transform` is the Laplace transform E exp(-s G) of a gap."""

    gap_transform: Callable[[float], float]
    service_rate: float

    @property
    def sigma(self) -> float:
        """Share of arrivals that find the server busy: the root below 1 of sigma = A*(mu (1 - sigma))."""
        low, high = 0.0, 1.0 - 1e-9
        for _ in range(200):
            middle = (low + high) / 2.0
            above = self.gap_transform(self.service_rate * (1.0 - middle)) > middle
            low, high = (middle, high) if above else (low, middle)
        return low

    @property
    def mean_response(self) -> float:
        """The response is exponential with rate mu (1 - sigma)."""
        return 1.0 / (self.service_rate * (1.0 - self.sigma))

    def response_quantile(self, q: float) -> float:
        """Return the q-quantile of the response."""
        return -math.log(1.0 - q) * self.mean_response


def gamma_gaps(arrival_rate: float, cv: float) -> Callable[[float], float]:
    """Return the Laplace transform of gamma gaps; cv = 1 / sqrt(k) is Erlang-k, cv = 1 Poisson."""
    shape = 1.0 / cv**2
    scale = cv**2 / arrival_rate
    return lambda s: (1.0 + s * scale) ** -shape


def solve_tail(tail: Callable[[float], float], share: float) -> float:
    """Return the time t >= 0 at which a falling tail P(T > t) comes down to `share`, to 14 digits."""
    high = 1.0
    while tail(high) > share:
        high *= 2.0
    low = 0.0
    while high - low > 1e-14 * high:
        middle = (low + high) / 2.0
        if middle in (low, high):
            break
        low, high = (middle, high) if tail(middle) > share else (low, middle)
    return high


def sum_tail(stages: int, stage_rate: float, last_rate: float, time: float) -> float:
    """Return P(E + S > time) for E Erlang of `stages` stages and S exponential, independent."""
    from scipy.special import gammainc, gammaincc

    if math.isclose(stage_rate, last_rate, rel_tol=1e-9):
        return float(gammaincc(stages + 1, stage_rate * time))
    if stage_rate < last_rate:
        # Only for one stage (M/M/c with little capacity to spare): two exponentials, the faster one last.
        assert stages == 1
        falling = last_rate * math.exp(-stage_rate * time) - stage_rate * math.exp(-last_rate * time)
        return falling / (last_rate - stage_rate)
    lasting = (stage_rate / (stage_rate - last_rate)) ** stages * math.exp(-last_rate * time)
    before = gammainc(stages, (stage_rate - last_rate) * time)
    return float(gammaincc(stages, stage_rate * time) + lasting * before)


def _check_stable(arrival_rate: float, capacity: float) -> None:
    if arrival_rate >= capacity:
        raise ValueError(f"This queue grows without end: {arrival_rate} arrive and {capacity} can be served.")
