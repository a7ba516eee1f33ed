"""Exact answers for queues that cannot grow without end: a cap, patience, or few clients. Birth-death chains all three.

Rates and times are floats in any one unit. Formulas: L. Kleinrock, Queueing Systems I (1975), ch. 3, unless a docstring
says otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sim.outcome.queueing_theory import solve_tail, sum_tail

__all__ = ["ErlangA", "MMcK", "MachineRepair", "birth_death"]


@dataclass(frozen=True)
class MMcK:
    """M/M/c that holds at most `places` requests, those in service included; who finds it full is refused."""

    arrival_rate: float
    service_rate: float
    servers: int
    places: int

    @property
    def probabilities(self) -> list[float]:
        """Probability of n requests in the system, n = 0 .. places."""
        deaths = [min(count, self.servers) * self.service_rate for count in range(1, self.places + 1)]
        return birth_death([self.arrival_rate] * self.places, deaths)

    @property
    def refused_share(self) -> float:
        """Share of arrivals that find it full (Poisson arrivals see time averages)."""
        return self.probabilities[-1]

    @property
    def mean_wait(self) -> float:
        """Mean wait of the accepted, by Little's law on the queue."""
        waiting = sum(max(count - self.servers, 0) * share for count, share in enumerate(self.probabilities))
        return waiting / (self.arrival_rate * (1.0 - self.refused_share))

    @property
    def mean_response(self) -> float:
        """Mean response of the accepted."""
        return self.mean_wait + 1.0 / self.service_rate

    def response_tail(self, time: float) -> float:
        """Return P(response > time) of the accepted: who finds n >= c waits for n - c + 1 ends of service."""
        found = self.probabilities[:-1]
        full_rate = self.servers * self.service_rate
        tail = sum(found[: self.servers]) * math.exp(-self.service_rate * time)
        for count in range(self.servers, self.places):
            tail += found[count] * sum_tail(count - self.servers + 1, full_rate, self.service_rate, time)
        return tail / sum(found)

    def response_quantile(self, q: float) -> float:
        """Return the q-quantile of the response of the accepted."""
        return solve_tail(self.response_tail, 1.0 - q)


@dataclass(frozen=True)
class ErlangA:
    """M/M/c whose waiting requests lose patience at rate `patience_rate` each (Palm 1957; Mandelbaum, Zeltyn 2007)."""

    arrival_rate: float
    service_rate: float
    servers: int
    patience_rate: float

    @property
    def abandoned_share(self) -> float:
        """Share of requests that leave the queue before service: patience rate times mean queue over arrival rate."""
        waiting = sum(max(count - self.servers, 0) * share for count, share in enumerate(self._probabilities()))
        return self.patience_rate * waiting / self.arrival_rate

    @property
    def hung_up_share(self) -> float:
        """Share that leave at all when patience goes on in service and leaving frees no server.

        Of those served, patience / (patience + service rate) lose theirs first: both clocks are memoryless.
        """
        served = 1.0 - self.abandoned_share
        return self.abandoned_share + served * self.patience_rate / (self.patience_rate + self.service_rate)

    def _probabilities(self) -> list[float]:
        """Probability of n in the system, up to where impatience has made the rest negligible."""
        most = self.servers + math.ceil((self.arrival_rate / self.patience_rate + 10.0) * 4.0 + 200.0)
        deaths = [
            min(count, self.servers) * self.service_rate + max(count - self.servers, 0) * self.patience_rate
            for count in range(1, most + 1)
        ]
        return birth_death([self.arrival_rate] * most, deaths)


@dataclass(frozen=True)
class MachineRepair:
    """Closed loop: `clients` think for exponential times of mean `think_mean`, then ask one of `servers`.

    Also for think_mean 0, where every server is always busy if there are clients enough: throughput min(N, c) mu.
    """

    clients: int
    think_mean: float
    service_rate: float
    servers: int = 1

    @property
    def throughput(self) -> float:
        """Requests served per unit of time."""
        if self.think_mean == 0.0:
            return min(self.clients, self.servers) * self.service_rate
        births = [(self.clients - count) / self.think_mean for count in range(self.clients)]
        deaths = [min(count, self.servers) * self.service_rate for count in range(1, self.clients + 1)]
        shares = birth_death(births, deaths)
        return sum(min(count, self.servers) * self.service_rate * share for count, share in enumerate(shares))

    @property
    def mean_response(self) -> float:
        """N / X - Z (the response-time law)."""
        return self.clients / self.throughput - self.think_mean


def birth_death(births: Sequence[float], deaths: Sequence[float]) -> list[float]:
    """Return the stationary probabilities of a birth-death chain: births[n] leads up from n, deaths[n] back to n."""
    logs = [0.0]
    for birth, death in zip(births, deaths, strict=True):
        logs.append(logs[-1] + math.log(birth) - math.log(death))
    largest = max(logs)
    weights = [math.exp(value - largest) for value in logs]
    total = math.fsum(weights)
    return [weight / total for weight in weights]
