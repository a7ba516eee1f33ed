"""Exact answers for fleets: how requests are split over replicas, and replicas that come late, are slow, or crash.

Each replica serves one request at a time, in the order of coming, for exponential times (constant ones in FirstPasses):
its rate is what it can serve in a unit of time. Arrivals are Poisson, but for ColdStart, a fluid. Rates and times are
floats in any one unit. One replica or one pooled queue alone is in queueing_theory.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from sim.outcome.queueing_theory import GM1, MMc, gamma_gaps, solve_tail

__all__ = [
    "CanarySplit",
    "ColdStart",
    "CrashingServer",
    "FirstPasses",
    "MMkSetup",
    "PowerOfChoices",
    "Response",
    "SlowReplicas",
    "largest_canary_share",
    "random_split",
    "response_by_split",
    "round_robin",
]

Floats = npt.NDArray[np.float64]

_NEGLIGIBLE = 1e-17
"""A series of falling terms of which the first is 1 ends where its terms are less than this."""


@dataclass(frozen=True)
class Response:
    """Two figures of the time from arrival to answer."""

    mean: float
    p99: float


def round_robin(arrival_rate: float, service_rate: float, servers: int) -> GM1:
    """Return the queue of each server when Poisson arrivals go to `servers` of `service_rate` in turn: E_k/M/1.

    Every k-th arrival is its own, so a gap is the sum of k exponential ones: Erlang of k stages, mean k / lam.
    """
    _check_stable(arrival_rate, servers * service_rate)
    return GM1(gamma_gaps(arrival_rate / servers, 1.0 / math.sqrt(servers)), service_rate)


def random_split(arrival_rate: float, service_rate: float, servers: int) -> MMc:
    """Return the queue of each server when a fair die sends every arrival: M/M/1 with a k-th of the load."""
    return MMc(arrival_rate / servers, service_rate)


def response_by_split(arrival_rate: float, service_rate: float, servers: int) -> dict[str, Response]:
    """Return mean and p99 of one "pooled" queue (M/M/k), of "round robin" and of "random", in rising order.

    Pooled <= round robin: no assignment has a shorter mean wait than that to the first free server in the order of
    coming (D. J. Daley, Stochastic Processes and their Applications 25, 1987); for p99 it is tested, not proved. Round
    robin <= random in every quantile: exp is convex, so of gaps with one mean the less variable have the smaller
    E exp(-s G), hence the smaller sigma, and the response is exponential with rate mu (1 - sigma).
    """
    queues: dict[str, MMc | GM1] = {
        "pooled": MMc(arrival_rate, service_rate, servers),
        "round robin": round_robin(arrival_rate, service_rate, servers),
        "random": random_split(arrival_rate, service_rate, servers),
    }
    return {name: Response(queue.mean_response, queue.response_quantile(0.99)) for name, queue in queues.items()}


@dataclass(frozen=True)
class PowerOfChoices:
    """Each arrival draws `choices` servers at random and joins the shortest of their queues, in a fleet without end.

    `arrival_rate` is per server. The mean field of N. D. Vvedenskaya, R. L. Dobrushin, F. I. Karpelevich (Problems of
    Information Transmission 32:15, 1996) and M. Mitzenmacher (thesis, Berkeley 1996; IEEE TPDS 12:1094, 2001). Let s_i
    be the share of servers with i requests or more. As many servers rise to i as fall from it,
    lam (s_{i-1}^d - s_i^d) = mu (s_i - s_{i+1}), and summed from i on: s_i = rho s_{i-1}^d, thus
    s_i = rho^((d^i - 1) / (d - 1)). A finite fleet is slower: 100 servers by about 1 % at load 0.9, d = 2.

    Round robin beats d = 2 at light load, where both drawn may be busy: at 0.3, not at 0.6.
    """

    arrival_rate: float
    service_rate: float
    choices: int = 2

    def __post_init__(self) -> None:
        _check_stable(self.arrival_rate, self.service_rate)
        if self.choices < 1:
            raise ValueError(f"An arrival must draw one server at least. Got {self.choices}.")

    @cached_property
    def finds(self) -> tuple[float, ...]:
        """Probability s_n^d that the queue an arrival joins holds n or more before it, n = 0, 1, ...

        All d that it draws must. For d = 2 it is rho^(2^(n+1) - 2): 1, rho^2, rho^6, rho^14, ...
        """
        load = self.arrival_rate / self.service_rate
        finds = [1.0]
        while finds[-1] > _NEGLIGIBLE:
            finds.append((load * finds[-1]) ** self.choices)
        return tuple(finds)

    @property
    def mean_response(self) -> float:
        """Who finds n leaves after n + 1 services: sum_n s_n^d / mu, for d = 2 sum_{i>=1} rho^(2^i - 2) / mu."""
        return math.fsum(self.finds) / self.service_rate

    def response_tail(self, time: float) -> float:
        """Return P(response > time): fewer services end, N ~ Poisson(mu t), than it takes: sum_n P(N = n) s_n^d."""
        mean = self.service_rate * time
        if mean == 0.0:
            return 1.0
        logs = (count * math.log(mean) - mean - math.lgamma(count + 1.0) for count in range(len(self.finds)))
        return math.fsum(math.exp(log) * share for log, share in zip(logs, self.finds, strict=True))

    def response_quantile(self, q: float) -> float:
        """Return the q-quantile of the response."""
        return solve_tail(self.response_tail, 1.0 - q)


@dataclass(frozen=True)
class CanarySplit:
    """A new version on `canary_servers` takes `share` of the traffic, the old one on `stable_servers` the rest.

    A die picks the version, and each has one queue of its own, M/M/c. `canary_rate` is the service rate of one canary
    server (None: as the others).
    """

    arrival_rate: float
    service_rate: float
    share: float
    stable_servers: int = 9
    canary_servers: int = 1
    canary_rate: float | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0:
            raise ValueError(f"The canary's share of the traffic must be from 0 to 1. Got {self.share}.")
        for pool in (self.stable, self.canary):  # made here, so that a load that one cannot serve is refused here
            assert pool.spare_rate > 0.0

    @property
    def stable(self) -> MMc:
        """The queue of the old version."""
        return MMc((1.0 - self.share) * self.arrival_rate, self.service_rate, self.stable_servers)

    @property
    def canary(self) -> MMc:
        """The queue of the new version."""
        rate = self.service_rate if self.canary_rate is None else self.canary_rate
        return MMc(self.share * self.arrival_rate, rate, self.canary_servers)

    @property
    def mean_response(self) -> float:
        """Mean over all requests: the two means, weighted by traffic."""
        return (1.0 - self.share) * self.stable.mean_response + self.share * self.canary.mean_response

    def response_tail(self, time: float) -> float:
        """Return P(response > time) over all requests: the two tails, weighted by traffic."""
        return (1.0 - self.share) * self.stable.response_tail(time) + self.share * self.canary.response_tail(time)

    def response_quantile(self, q: float) -> float:
        """Return the q-quantile over all requests: of the mixed tail, which no mean of two quantiles is."""
        return solve_tail(self.response_tail, 1.0 - q)


@dataclass(frozen=True)
class SlowReplicas:
    """A fair die sends every arrival to one of `servers`, each of which is slow with probability `slow_share`.

    A slow one takes `slow_factor` times as long. Poisson arrivals that dice divide are independent Poisson streams
    (J. F. C. Kingman, Poisson Processes, 1993, ch. 5), so each server is an M/M/1 of its own kind. Every server has as
    many arrivals as another, hence with n of k slow the response is mixed as n to k - n, and over the binomial n as
    `slow_share` to the rest. The same object with a slow_share of n / k is a fleet of which n are known to be slow.
    """

    arrival_rate: float  # of the whole fleet
    service_rate: float  # of one server that is not slow
    servers: int
    slow_share: float
    slow_factor: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.slow_share <= 1.0 or self.slow_factor < 1.0:
            raise ValueError(
                "A share from 0 to 1 must be slow, by a factor of 1 or more. "
                f"Got {self.slow_share} and {self.slow_factor}."
            )
        for server in (self.usual, self.slow):  # made here, so that a load that one cannot serve is refused here
            assert server.spare_rate > 0.0

    @property
    def usual(self) -> MMc:
        """The queue of a server that is not slow."""
        return random_split(self.arrival_rate, self.service_rate, self.servers)

    @property
    def slow(self) -> MMc:
        """The queue of a slow one."""
        return random_split(self.arrival_rate, self.service_rate / self.slow_factor, self.servers)

    @property
    def mean_response(self) -> float:
        """Mean over all requests of all fleets."""
        return (1.0 - self.slow_share) * self.usual.mean_response + self.slow_share * self.slow.mean_response

    def response_tail(self, time: float) -> float:
        """Return P(response > time) over all requests of all fleets."""
        return (1.0 - self.slow_share) * self.usual.response_tail(time) + self.slow_share * self.slow.response_tail(
            time
        )

    def response_quantile(self, q: float) -> float:
        """Return the q-quantile over all requests of all fleets."""
        return solve_tail(self.response_tail, 1.0 - q)


@dataclass(frozen=True)
class FirstPasses:
    """A replica that is ready and empty at time 0; its first `count` services take `factor` times `service_time`.

    This is once in its life, and so a transient: not the queue of P. D. Welch (Operations Research 12, 1964), in which
    the first service of every busy period is another one. Let Q_i be how many the i-th request leaves behind. The
    arrivals behind it know nothing of its response T_i, and all that come meanwhile are left behind (first come, first
    served), so E[Q_i] = lam E[T_i] for each i (J. Keilson, L. D. Servi, Operations Research Letters 7, 1988). And Q is
    D. G. Kendall's chain (J. R. Stat. Soc. B 13, 1951): Q_i = max(Q_{i-1} - 1, 0) + Poisson(lam S_i), Q_0 = 0.
    """

    arrival_rate: float
    service_time: float
    count: int
    factor: float

    def mean_responses(self, requests: int) -> tuple[float, ...]:
        """Return the mean response of each of the first `requests` requests."""
        from scipy.stats import poisson

        left = np.ones(1)  # shares of Q = 0, 1, ...
        means = []
        for number in range(requests):
            lasts = self.service_time * (self.factor if number < self.count else 1.0)
            mean = self.arrival_rate * lasts
            come = np.asarray(poisson.pmf(np.arange(int(poisson.isf(1e-15, mean)) + 1), mean))
            waiting = left[1:].copy() if len(left) > 1 else np.zeros(1)
            waiting[0] += left[0]
            left = np.convolve(waiting, come)
            means.append(float(left @ np.arange(len(left))) / self.arrival_rate)
        return tuple(means)

    def mean_response(self, requests: int) -> float:
        """Return the mean response over the first `requests` requests."""
        return math.fsum(self.mean_responses(requests)) / requests


@dataclass(frozen=True)
class CrashingServer:
    """M/M/1 whose server crashes, busy or idle, at `crash_rate`; the request in service is lost, the others wait.

    It is back after Exp(restart_rate). With u_n, d_n the shares of n requests and the server up or down, lam, mu, a, r
    the rates of arrival, service, crash and restart, U(z) and D(z) their generating functions:

        (lam (1 - z) + r) D = a ((U - u_0) / z + u_0)
        (lam (1 - z) + a + mu) U - mu u_0 = mu (U - u_0) / z + r D

    The way is that of H. C. White, L. S. Christie (Operations Research 6, 1958) and B. Avi-Itzhak, P. Naor (Operations
    Research 11, 1963), whose interrupted request is served on after the repair (preemptive resume); here it leaves with
    the crash, so a service lasts Exp(mu + a) whichever way it ends, and that is independent of how it ends: answered
    and lost requests have the same response.
    """

    arrival_rate: float
    service_rate: float
    crash_rate: float
    restart_rate: float

    def __post_init__(self) -> None:
        # U(1) - u_0 = lam / (mu + a), from the derivatives at z = 1: it must leave some time for an idle server.
        _check_stable(self.arrival_rate, (self.service_rate + self.crash_rate) * self.up_share)

    @property
    def up_share(self) -> float:
        """Share of the time in which the server is up: U(1) = r / (a + r)."""
        return self.restart_rate / (self.crash_rate + self.restart_rate)

    @property
    def lost_share(self) -> float:
        """Share of the requests that are lost: a / (mu + a)."""
        return self.crash_rate / (self.service_rate + self.crash_rate)

    @property
    def mean_response(self) -> float:
        """Little's law on U'(1) + D'(1), the second derivatives of the equations at z = 1."""
        ends = self.service_rate + self.crash_rate
        busy = self.arrival_rate / ends
        come = self.arrival_rate / self.restart_rate  # in the mean, while it is down
        crash = self.crash_rate * come
        up = (self.arrival_rate - crash * busy + crash * come * self.up_share) / (ends - self.arrival_rate - crash)
        down = self.crash_rate / self.restart_rate * (up - busy + come * self.up_share)
        return (up + down) / self.arrival_rate


def largest_canary_share(arrival_rate: float, canary_rate: float, canary_servers: int, p99_max: float) -> float:
    """Return the largest share of `arrival_rate` for which the canary's own p99 response is at most `p99_max`.

    `canary_rate` is the service rate of one canary server. 0 where a request is too slow even alone, 1 where all the
    traffic may go there. Found by bisection: more load makes every quantile of M/M/c longer.
    """

    def meets(share: float) -> bool:
        load = share * arrival_rate
        if load >= canary_servers * canary_rate:
            return False
        return MMc(load, canary_rate, canary_servers).response_tail(p99_max) <= 0.01

    if not meets(0.0):
        return 0.0
    if meets(1.0):
        return 1.0
    low, high = 0.0, 1.0
    while (middle := (low + high) / 2.0) not in (low, high):
        low, high = (middle, high) if meets(middle) else (low, middle)
    return low


@dataclass(frozen=True)
class MMkSetup:
    """M/M/k whose servers switch off when idle; one that is switched on takes Exp(setup_rate) until it can serve.

    A. Gandhi, S. Doroudi, M. Harchol-Balter, A. Scheller-Wolf, "Exact analysis of the M/M/k/setup class of Markov
    chains via recursive renewal reward", Queueing Systems 77, 2014. State: i servers on, j >= i requests;
    min(j - i, k - i) servers are in set-up, one for each request that waits while there are servers left. A server
    that ends a service takes the next in the queue, and the set-up begun for that one is called off.
    """

    arrival_rate: float
    service_rate: float
    servers: int
    setup_rate: float

    def __post_init__(self) -> None:
        _check_stable(self.arrival_rate, self.servers * self.service_rate)
        if self.setup_rate <= 0.0:
            raise ValueError(f"The rate of set-up must be above 0. Got {self.setup_rate}.")

    @property
    def mean_response(self) -> float:
        """Little's law on all requests; for k = 1 it is 1 / (mu - lam) + 1 / setup_rate."""
        return self.mean_wait + 1.0 / self.service_rate

    @property
    def mean_wait(self) -> float:
        """Little's law on the queue: j - i wait."""
        waiting = sum(float(level @ self._waiting(count)) for count, level in enumerate(self._levels[:-1]))
        last, beyond = self._levels[-1], self._beyond
        # From level k on, level k + n has shares last R^n: sum_n last R^n = last B, sum_n n last R^n = last B R B.
        at_least = last @ beyond
        waiting += float(at_least @ self._waiting(self.servers))
        waiting += float((at_least @ self._ratio @ beyond).sum())
        return waiting / self.arrival_rate

    @property
    def mean_on(self) -> float:
        """Mean number of servers on, lam / mu: each of them serves, and Little's law counts the requests in service."""
        return self.arrival_rate / self.service_rate

    @property
    def mean_in_setup(self) -> float:
        """Mean number of servers in set-up, which use power and serve nobody."""
        below = sum(float(level @ self._waiting(count)) for count, level in enumerate(self._levels[:-1]))
        return below + float(self._levels[-1] @ self._beyond @ self._waiting(self.servers))

    @cached_property
    def _ratio(self) -> Floats:
        """R of the levels j >= k, where shares of level j + 1 = shares of level j times R: (on before, on after).

        R solves lam I + R A1 + R^2 A2 = 0 and is triangular, since above k requests no server switches off; so it is
        written out entry by entry (T. Phung-Duc, "Exact solutions for M/M/c/Setup queues", Telecommunication Systems
        64, 2017, arXiv:1406.3084). No level is left out: there is no truncation, and no error of one.
        """
        count = self.servers
        leave = self._rates_out(count)
        ratio = np.zeros((count + 1, count + 1))
        for on in range(count + 1):
            ends = on * self.service_rate
            root = math.sqrt(leave[on] ** 2 - 4.0 * self.arrival_rate * ends)
            ratio[on, on] = 2.0 * self.arrival_rate / (leave[on] + root)
        # At load near 1 the two roots of the last one nearly meet; it is lam / (k mu).
        ratio[count, count] = self.arrival_rate / (count * self.service_rate)
        for before in range(count, -1, -1):
            for after in range(before + 1, count + 1):
                ends = after * self.service_rate
                begun = ratio[before, after - 1] * (count - after + 1) * self.setup_rate
                between = ends * float(ratio[before, before + 1 : after] @ ratio[before + 1 : after, after])
                held = leave[after] - ends * (ratio[before, before] + ratio[after, after])
                ratio[before, after] = (begun + between) / held
        return ratio

    @cached_property
    def _beyond(self) -> Floats:
        """B = (I - R)^-1, the sum of all powers of R."""
        return np.asarray(np.linalg.inv(np.eye(self.servers + 1) - self._ratio))

    @cached_property
    def _levels(self) -> list[Floats]:
        """Stationary shares of the states with j requests, j = 0 .. k: level j holds i = 0 .. j servers on.

        By linear level reduction from k down (D. P. Gaver, P. A. Jacobs, G. Latouche, Adv. Appl. Prob. 16, 1984): each
        level is the one below times a ratio of its own.
        """
        ratios = [self._ratio]  # of level k + 1 to level k, then of k to k - 1, ...
        for count in range(self.servers, 0, -1):
            shape = (min(count + 1, self.servers) + 1, count + 1)
            down = np.eye(*shape) * (np.arange(shape[0]) * self.service_rate)[:, None]
            if shape[0] > shape[1]:
                down[-1, -1] = (count + 1) * self.service_rate  # nobody waits: the server that ends switches off
            within = np.diag(-self._rates_out(count))
            within += np.diag(self._waiting(count)[:-1] * self.setup_rate, k=1)
            ratios.append(np.asarray(self.arrival_rate * np.linalg.inv(-(within + ratios[-1] @ down))[:count]))
        levels = [np.ones(1)]
        for ratio in reversed(ratios[1:]):
            levels.append(levels[-1] @ ratio)
        total = sum(float(level.sum()) for level in levels[:-1]) + float((levels[-1] @ self._beyond).sum())
        return [level / total for level in levels]

    def _waiting(self, requests: int) -> Floats:
        """Return how many wait, each with a server in set-up, for i = 0 .. `requests` <= k on."""
        return np.arange(requests, -1, -1, dtype=np.float64)

    def _rates_out(self, requests: int) -> Floats:
        """Return the rate at which states with `requests` <= k are left, for i = 0 .. `requests` on."""
        waiting = self._waiting(requests)
        return self.arrival_rate + waiting[::-1] * self.service_rate + waiting * self.setup_rate


@dataclass(frozen=True)
class ColdStart:
    """At time 0 the load steps up to `arrival_rate`; from `delay` on, `replicas_after` serve, not `replicas_before`.

    A fluid from an empty queue: chance is left out, so it is close where the backlog is large against the square root
    of the requests that came. Below, lam1 is the arrival rate, mu the service rate of a replica (with batching, what it
    serves in full batches), c0 and c1 the replicas before and after, D the delay. With lam1 <= c0 mu nothing waits.
    """

    arrival_rate: float
    service_rate: float
    replicas_before: int
    replicas_after: int
    delay: float

    def __post_init__(self) -> None:
        if self.replicas_after < self.replicas_before:
            raise ValueError(
                f"A start adds replicas: from {self.replicas_before} to {self.replicas_after} it would not."
            )
        if self._growth > 0.0 and self.arrival_rate >= self._capacity_after:
            raise ValueError(
                f"This backlog never drains: {self.arrival_rate} arrive and {self._capacity_after} can be served."
            )

    @property
    def backlog(self) -> float:
        """Requests that wait when the new replicas are ready, the most there are: (lam1 - c0 mu) D."""
        return self._growth * self.delay

    @property
    def drain_time(self) -> float:
        """Time from then until nobody waits: backlog / (c1 mu - lam1)."""
        return self.backlog / (self._capacity_after - self.arrival_rate) if self._growth > 0.0 else 0.0

    @property
    def worst_arrival(self) -> float:
        """When the one arrives that waits longest, D c0 mu / lam1: the last whom the old replicas serve before D."""
        return self.delay * self._capacity_before / self.arrival_rate if self._growth > 0.0 else 0.0

    @property
    def worst_wait(self) -> float:
        """How long that one waits, until D: D (1 - c0 mu / lam1)."""
        return self.delay - self.worst_arrival if self._growth > 0.0 else 0.0

    def wait(self, arrived: float) -> float:
        """Return the wait of the one that arrives at time `arrived` >= 0.

        At time t, lam1 t have arrived. The old replicas serve the first c0 mu D of them, each at its number / (c0 mu);
        the others go on from D at the rate c1 mu.
        """
        if self._growth == 0.0:
            return 0.0
        number = self.arrival_rate * arrived
        by_old = self._capacity_before * self.delay
        if number < by_old:
            return max(0.0, number / self._capacity_before - arrived)
        return max(0.0, self.delay + (number - by_old) / self._capacity_after - arrived)

    @property
    def _capacity_before(self) -> float:
        return self.replicas_before * self.service_rate

    @property
    def _capacity_after(self) -> float:
        return self.replicas_after * self.service_rate

    @property
    def _growth(self) -> float:
        """By how much more arrive than can be served until D, per unit of time."""
        return max(0.0, self.arrival_rate - self._capacity_before)


def _check_stable(arrival_rate: float, capacity: float) -> None:
    if arrival_rate >= capacity:
        raise ValueError(f"This queue grows without end: {arrival_rate} arrive and {capacity} can be served.")
