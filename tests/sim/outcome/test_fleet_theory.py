"""Fleets, against numbers worked out independently, chains solved by brute force, and the rules played through."""

from __future__ import annotations

import heapq
import math
import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from sim.outcome.fleet_theory import (
    CanarySplit,
    ColdStart,
    CrashingServer,
    FirstPasses,
    MMkSetup,
    PowerOfChoices,
    SlowReplicas,
    largest_canary_share,
    random_split,
    response_by_split,
    round_robin,
)
from sim.outcome.queueing_theory import MD1, MMc

Floats = npt.NDArray[np.float64]


def stationary(rates: Floats) -> Floats:
    """Return the stationary probabilities of a continuous-time chain: rates[a, b] leads from a to b."""
    balance = (rates - np.diag(rates.sum(axis=1))).T
    balance[-1, :] = 1.0
    return np.asarray(np.linalg.solve(balance, np.eye(len(rates))[-1]))


def setup_by_brute_force(lam: float, mu: float, k: int, alpha: float, most: int) -> tuple[float, float, float, float]:
    """Return mean requests, mean on, mean in set-up of M/M/k with set-up, and the share of the last level kept."""
    states = [(on, jobs) for jobs in range(most + 1) for on in range(min(jobs, k) + 1)]
    index = {state: place for place, state in enumerate(states)}
    rates = np.zeros((len(states), len(states)))
    for (on, jobs), place in index.items():
        setups = min(jobs - on, k - on)
        if jobs < most:
            rates[place, index[on, jobs + 1]] = lam
        if setups:
            rates[place, index[on + 1, jobs]] = setups * alpha
        if on:
            rates[place, index[min(on, jobs - 1), jobs - 1]] = on * mu
    shares = stationary(rates)
    ons, jobs = np.array(states).T
    in_setup = np.minimum(jobs - ons, k - ons)
    return float(shares @ jobs), float(shares @ ons), float(shares @ in_setup), float(shares[jobs == most].sum())


@pytest.mark.parametrize(("rate", "setup_rate"), [(0.5, 0.1), (0.9, 1.0), (0.2, 30.0)])
def test_one_server_with_setup_has_its_closed_form(rate: float, setup_rate: float) -> None:
    """With k = 1: E[T] = 1/(mu - lam) + 1/alpha; of the time not on, it is in set-up for 1/alpha per idle 1/lam."""
    queue = MMkSetup(rate, 1.0, 1, setup_rate)
    assert queue.mean_response == pytest.approx(1 / (1 - rate) + 1 / setup_rate, rel=1e-12)
    idle_or_setup = 1 / rate + 1 / setup_rate
    assert queue.mean_in_setup == pytest.approx((1 - rate) / setup_rate / idle_or_setup, rel=1e-12)
    assert queue.mean_on == rate


@pytest.mark.parametrize(
    ("servers", "load", "setup_rate", "most"),
    [
        (1, 0.5, 0.2, 200),
        (2, 0.5, 0.1, 200),
        (2, 0.8, 1.0, 300),
        (4, 0.7, 0.1, 250),
        (4, 0.3, 5.0, 100),
        (10, 0.6, 0.3, 120),
    ],
)
def test_setup_agrees_with_its_chain_solved_by_brute_force(
    servers: int, load: float, setup_rate: float, most: int
) -> None:
    """Its transitions written out state by state, up to a level that has less than 1e-12 of the probability."""
    rate = load * servers
    requests, on, in_setup, last = setup_by_brute_force(rate, 1.0, servers, setup_rate, most)
    assert last < 1e-12
    queue = MMkSetup(rate, 1.0, servers, setup_rate)
    assert queue.mean_response == pytest.approx(requests / rate, rel=1e-9)
    assert queue.mean_on == pytest.approx(on, rel=1e-9)
    assert queue.mean_in_setup == pytest.approx(in_setup, rel=1e-9)


def test_setup_with_servers_to_spare_has_its_product_form() -> None:
    """With no end of servers P(i on, w wait) ~ a^i/i! prod_{l<=w} lam/(lam + l alpha): it satisfies the balance.

    A. Gandhi, M. Harchol-Balter, I. Adan, Performance Evaluation 67, 2010. With load 3, sixty are no end.
    """
    lam, alpha = 3.0, 0.5
    weights = np.cumprod([1.0] + [lam / (lam + count * alpha) for count in range(1, 60)])
    waiting = float(weights @ np.arange(60) / weights.sum())
    queue = MMkSetup(lam, 1.0, 60, alpha)
    assert queue.mean_wait == pytest.approx(waiting / lam, rel=1e-9)
    assert queue.mean_in_setup == pytest.approx(waiting, rel=1e-9)


@pytest.mark.parametrize("servers", [1, 2, 4, 10])
def test_setup_costs_between_nothing_and_its_own_length(servers: int) -> None:
    """The response is that of M/M/k when set-up takes no time, and longer by at most the set-up when it does."""
    for load in (0.1, 0.5, 0.9, 0.999):
        plain = MMc(load * servers, 1.0, servers).mean_response
        assert MMkSetup(load * servers, 1.0, servers, 1e7).mean_response == pytest.approx(plain, rel=1e-6)
        extra = MMkSetup(load * servers, 1.0, servers, 0.1).mean_response - plain
        assert 0.0 < extra <= 10.0 * (1 + 1e-9)


def test_round_robin_has_its_known_mean() -> None:
    """E_4/M/1 at load .9: 6.38305; one server in turn is M/M/1."""
    assert round_robin(3.6, 1.0, 4).mean_response == pytest.approx(6.38305, abs=5e-6)
    assert round_robin(0.8, 1.0, 1).mean_response == pytest.approx(5.0, rel=1e-9)
    assert random_split(3.2, 1.0, 4).mean_response == pytest.approx(5.0, rel=1e-12)


def test_round_robin_agrees_with_its_chain_solved_by_brute_force() -> None:
    """State: requests at one server of 3, and to how many other servers the next arrivals go first."""
    lam, k, most = 2.4, 3, 150
    rates = np.zeros((k * (most + 1), k * (most + 1)))
    for jobs in range(most + 1):
        for turn in range(k):
            arrived = jobs + (turn == 0)
            if arrived <= most:
                rates[jobs * k + turn, arrived * k + (turn - 1) % k] = lam
            if jobs:
                rates[jobs * k + turn, (jobs - 1) * k + turn] = 1.0
    requests = float(stationary(rates) @ np.repeat(np.arange(most + 1), k))
    assert round_robin(lam, 1.0, k).mean_response == pytest.approx(requests / (lam / k), rel=1e-9)


def test_splits_agree_with_the_rules_played_through() -> None:
    """The same 400000 arrivals and services on 4 servers at load 0.6, by Lindley's recursion server by server."""
    rng = np.random.default_rng(7)
    count, k = 400_000, 4
    arrivals = np.cumsum(rng.exponential(1 / 2.4, count)).tolist()
    services = rng.exponential(1.0, count).tolist()
    dice = rng.integers(k, size=count).tolist()
    theory = response_by_split(2.4, 1.0, k)
    for name, sent_to in (("round robin", [place % k for place in range(count)]), ("random", dice), ("pooled", None)):
        free = [0.0] * k  # when each server has done all it was given; a heap where the first free one serves
        responses = np.empty(count)
        for place, (now, service) in enumerate(zip(arrivals, services, strict=True)):
            server = 0 if sent_to is None else sent_to[place]
            end = max(free[server], now) + service
            responses[place] = end - now
            if sent_to is None:
                heapq.heapreplace(free, end)
            else:
                free[server] = end
        assert theory[name].mean == pytest.approx(float(responses.mean()), rel=0.02), name
        assert theory[name].p99 == pytest.approx(float(np.quantile(responses, 0.99)), rel=0.04), name


@pytest.mark.parametrize("servers", [2, 3, 4, 10, 50])
@pytest.mark.parametrize("load", [0.05, 0.3, 0.6, 0.9, 0.99])
def test_pooled_is_no_slower_than_round_robin_and_that_than_random(servers: int, load: float) -> None:
    """The order of means and of p99, strict from two servers on; at light load all are near one service."""
    splits = response_by_split(load * servers, 1.0, servers)
    pooled, turns, dice = splits["pooled"], splits["round robin"], splits["random"]
    assert pooled.mean < turns.mean < dice.mean
    assert pooled.p99 < turns.p99 < dice.p99
    assert pooled.p99 > math.log(100)


@pytest.mark.parametrize(("load", "mean"), [(0.5, 1.265686), (0.7, 1.614454), (0.9, 2.614057)])
def test_two_choices_have_their_known_means(load: float, mean: float) -> None:
    """1 + rho^2 + rho^6 + rho^14 + rho^30 + ..., summed by hand."""
    assert PowerOfChoices(load, 1.0).mean_response == pytest.approx(mean, abs=5e-7)
    assert PowerOfChoices(2 * load, 2.0).mean_response == pytest.approx(mean / 2, abs=5e-7)


@pytest.mark.parametrize("load", [0.3, 0.6, 0.9])
def test_two_choices_lie_between_pooling_and_round_robin_unless_load_is_light(load: float) -> None:
    """For a hundred servers. At load 0.3 both drawn are busy for 9 % of the arrivals; in turn, 4 % find theirs busy."""
    splits = response_by_split(100 * load, 1.0, 100)
    fleet = PowerOfChoices(load, 1.0)
    assert splits["pooled"].mean < fleet.mean_response < splits["random"].mean
    assert splits["pooled"].p99 < fleet.response_quantile(0.99) < splits["random"].p99
    assert (fleet.mean_response < splits["round robin"].mean) == (load > 0.5)
    assert fleet.finds[1] == pytest.approx(load**2)


def test_choices_are_the_equilibrium_of_the_mean_field() -> None:
    """The paper's differential equations, followed from an empty fleet until nothing moves; then Little's law."""
    for choices in (1, 2, 3):
        shares = np.zeros(200)  # of servers with 1, 2, ... requests or more
        for _ in range(20_000):
            above, below = np.append(shares[1:], 0.0), np.insert(shares[:-1], 0, 1.0)
            shares = shares + 0.02 * (0.6 * (below**choices - shares**choices) - (shares - above))
        assert PowerOfChoices(0.6, 1.0, choices).mean_response == pytest.approx(float(shares.sum()) / 0.6, rel=1e-6)


def test_one_choice_is_random_and_more_choices_come_ever_closer_to_pooling() -> None:
    """With d = 1 it is M/M/1, mean and p99; each further choice helps; with very many nobody waits."""
    assert PowerOfChoices(0.9, 1.0, 1).mean_response == pytest.approx(10.0, rel=1e-12)
    assert PowerOfChoices(0.9, 1.0, 1).response_quantile(0.99) == pytest.approx(10 * math.log(100), rel=1e-9)
    fleets = [PowerOfChoices(0.9, 1.0, choices) for choices in (1, 2, 3, 5, 1000)]
    means = [fleet.mean_response for fleet in fleets]
    p99s = [fleet.response_quantile(0.99) for fleet in fleets]
    assert means == sorted(means, reverse=True)
    assert p99s == sorted(p99s, reverse=True)
    assert means[-1] == pytest.approx(1.0, rel=1e-9)
    assert p99s[-1] == pytest.approx(math.log(100), rel=1e-9)


@pytest.mark.parametrize("choices", [1, 2, 3])
def test_choices_have_the_mean_of_their_tail(choices: int) -> None:
    """The integral of P(W > t) is E[W]."""
    fleet = PowerOfChoices(0.8, 1.0, choices)
    tail = [fleet.response_tail(0.02 * index) for index in range(4_000)]
    assert 0.02 * (sum(tail) - tail[0] / 2) == pytest.approx(fleet.mean_response, rel=1e-4)


def test_two_choices_among_a_hundred_servers_agree_with_the_rule_played_through() -> None:
    """FIFO servers at load 0.9: mean within 3 %, p99 within 5 %; the mean field is below by about 1 %, random is 10."""
    rng = np.random.default_rng(3)
    count, servers, warm_up = 300_000, 100, 30_000
    gaps = rng.exponential(1 / 90, count).tolist()
    services = rng.exponential(1.0, count).tolist()
    first = rng.integers(servers, size=count)
    second = (first + rng.integers(1, servers, size=count)) % servers  # never the same
    pairs = list(zip(first.tolist(), second.tolist(), strict=True))
    lengths, free = [0] * servers, [0.0] * servers
    leaving: list[tuple[float, int]] = []
    responses = np.empty(count)
    now = 0.0
    for place in range(count):
        now += gaps[place]
        while leaving and leaving[0][0] <= now:
            lengths[heapq.heappop(leaving)[1]] -= 1
        one, other = pairs[place]
        server = one if lengths[one] <= lengths[other] else other
        lengths[server] += 1
        free[server] = max(free[server], now) + services[place]
        heapq.heappush(leaving, (free[server], server))
        responses[place] = free[server] - now
    fleet = PowerOfChoices(0.9, 1.0)
    assert fleet.mean_response == pytest.approx(float(responses[warm_up:].mean()), rel=0.03)
    assert fleet.response_quantile(0.99) == pytest.approx(float(np.quantile(responses[warm_up:], 0.99)), rel=0.05)


def test_canary_with_its_fair_share_is_worse_than_one_pool() -> None:
    """One of ten at load 0.8 with a tenth of the traffic: M/M/1 there (mean 5, p99 23.0259), M/M/9 for the others."""
    split = CanarySplit(8.0, 1.0, 0.1)
    assert split.canary.mean_response == pytest.approx(5.0)
    assert split.mean_response == pytest.approx(0.9 * MMc(7.2, 1.0, 9).mean_response + 0.5, rel=1e-12)
    p99 = split.response_quantile(0.99)
    assert split.response_tail(p99) == pytest.approx(0.01, rel=1e-9)
    assert MMc(8.0, 1.0, 10).response_quantile(0.99) < split.stable.response_quantile(0.99) < p99 < 23.0259
    # The mixture of the two p99s by traffic is not the p99 of the mixture.
    assert p99 > 1.2 * (0.9 * split.stable.response_quantile(0.99) + 0.1 * 23.0259)


def test_canary_split_of_single_servers_has_a_p99_solved_by_hand() -> None:
    """Two M/M/1 with rates out 1 and 2, half of the traffic each: (x + x^2) / 2 = 0.01 for x = exp(-t)."""
    split = CanarySplit(2.0, 2.0, 0.5, stable_servers=1, canary_servers=1, canary_rate=3.0)
    x = (math.sqrt(1 + 4 * 0.02) - 1) / 2
    assert split.response_quantile(0.99) == pytest.approx(-math.log(x), rel=1e-12)
    assert split.mean_response == pytest.approx(0.75, rel=1e-12)


def test_canary_without_traffic_or_with_all_of_it_leaves_one_pool() -> None:
    """The ends of the range."""
    assert CanarySplit(8.0, 1.0, 0.0).response_quantile(0.99) == MMc(8.0, 1.0, 9).response_quantile(0.99)
    alone = CanarySplit(8.0, 1.0, 1.0, stable_servers=1, canary_servers=9)
    assert alone.mean_response == MMc(8.0, 1.0, 9).mean_response


def test_largest_canary_share_is_where_the_goal_is_just_met() -> None:
    """One server: p99 = ln 100 / (mu - w lam), so w = (mu - ln 100 / goal) / lam. Four: their p99 is the goal."""
    assert largest_canary_share(8.0, 1.0, 1, 10.0) == pytest.approx((1 - math.log(100) / 10) / 8, rel=1e-9)
    share = largest_canary_share(8.0, 1.0, 4, 10.0)
    assert MMc(share * 8.0, 1.0, 4).response_quantile(0.99) == pytest.approx(10.0, rel=1e-9)
    assert share > 4 * largest_canary_share(8.0, 1.0, 1, 10.0)


def test_largest_canary_share_has_two_ends() -> None:
    """None where even a lone request, p99 ln 100 = 4.605, is too slow; all of it where the pool could serve it all."""
    assert largest_canary_share(8.0, 1.0, 4, 4.6) == 0.0
    assert largest_canary_share(8.0, 1.0, 40, 4.7) == 1.0


def test_cold_start_has_its_known_figures() -> None:
    """Load 10 on 4 replicas of rate 1, 13 after 5: 6 too many for 5 is 30, gone at 3 per unit in 10; 4/10 of 5 is 2."""
    start = ColdStart(10.0, 1.0, 4, 13, 5.0)
    assert (start.backlog, start.drain_time, start.worst_arrival, start.worst_wait) == (30.0, 10.0, 2.0, 3.0)
    assert start.wait(2.0) == pytest.approx(3.0)
    assert start.wait(15.0) == pytest.approx(0.0, abs=1e-12)
    assert start.wait(14.9) > 0.0


@pytest.mark.parametrize(("load", "before", "after"), [(10.0, 4, 13), (3.0, 1, 4), (7.9, 7, 8), (2.5, 0, 3)])
def test_cold_start_has_its_worst_wait_where_it_says(load: float, before: int, after: int) -> None:
    """On a grid, against the served fluid counted step by step; with no replica before, the first waits all of D."""
    start = ColdStart(load, 1.0, before, after, 5.0)
    step = 0.001
    times = step * np.arange(round((5.0 + start.drain_time) / step) + 2_000)
    served = np.concatenate([[0.0], np.cumsum(np.where(times < 5.0 - step / 2, before, after) * step)])[:-1]
    arrivals = times[:-1_000:10]
    # Who is the n-th to arrive begins when n have been served, or at once.
    begun = times[np.searchsorted(served, load * arrivals + 1e-9)]
    waits = np.maximum(begun - arrivals, 0.0)
    assert [start.wait(float(time)) for time in arrivals] == pytest.approx(waits.tolist(), abs=2 * step)
    assert start.worst_wait == pytest.approx(float(waits.max()), abs=20 * step)
    assert start.wait(start.worst_arrival) == pytest.approx(start.worst_wait, rel=1e-12)
    assert start.backlog == pytest.approx(load * 5.0 - float(served[round(5.0 / step)]), rel=1e-9)


def test_cold_start_is_close_to_a_fleet_with_chance() -> None:
    """Load 1000 on 4 servers of rate 100, 13 after 5: 10000 arrivals till the end, worst wait 3 to within 5 %."""
    rng = np.random.default_rng(2)
    arrivals = np.cumsum(rng.exponential(0.001, 18_000))
    free = [0.0] * 4 + [5.0] * 9  # when each can take the next; equal or smaller first is a heap
    waits = np.empty(len(arrivals))
    for place, (now, service) in enumerate(zip(arrivals, rng.exponential(0.01, len(arrivals)), strict=True)):
        begun = max(free[0], now)
        waits[place] = begun - now
        heapq.heapreplace(free, begun + service)
    start = ColdStart(1000.0, 100.0, 4, 13, 5.0)
    assert start.worst_wait == pytest.approx(float(waits.max()), rel=0.05)
    assert start.worst_arrival == pytest.approx(float(arrivals[waits.argmax()]), rel=0.1)
    assert start.delay + start.drain_time == pytest.approx(float(arrivals[waits > 0.05].max()), rel=0.1)


def test_cold_start_within_capacity_makes_nobody_wait() -> None:
    """Up to c0 mu nothing happens, also where nothing is added."""
    for start in (ColdStart(4.0, 1.0, 4, 4, 5.0), ColdStart(3.0, 1.0, 4, 13, 5.0)):
        assert (start.backlog, start.drain_time, start.worst_arrival, start.worst_wait) == (0.0, 0.0, 0.0, 0.0)
        assert start.wait(2.0) == 0.0
        assert start.wait(7.0) == 0.0


@pytest.mark.parametrize(
    ("refused", "reason"),
    [
        (lambda: ColdStart(13.0, 1.0, 4, 13, 5.0), "This backlog never drains: 13.0 arrive and 13.0 can be served."),
        (lambda: ColdStart(3.0, 1.0, 4, 3, 5.0), "A start adds replicas: from 4 to 3 it would not."),
        (lambda: MMkSetup(4.0, 1.0, 4, 1.0), "This queue grows without end: 4.0 arrive and 4.0 can be served."),
        (lambda: MMkSetup(1.0, 1.0, 4, 0.0), "The rate of set-up must be above 0. Got 0.0."),
        (lambda: round_robin(4.0, 1.0, 4), "This queue grows without end: 4.0 arrive and 4.0 can be served."),
        (lambda: random_split(4.0, 1.0, 4), "This queue grows without end: 1.0 arrive and 1.0 can be served."),
        (lambda: PowerOfChoices(1.0, 1.0), "This queue grows without end: 1.0 arrive and 1.0 can be served."),
        (lambda: PowerOfChoices(0.5, 1.0, 0), "An arrival must draw one server at least. Got 0."),
        (lambda: CanarySplit(8.0, 1.0, 0.125), "This queue grows without end: 1.0 arrive and 1.0 can be served."),
        (lambda: CanarySplit(10.0, 1.0, 0.05), "This queue grows without end: 9.5 arrive and 9.0 can be served."),
        (lambda: CanarySplit(8.0, 1.0, 1.1), "The canary's share of the traffic must be from 0 to 1. Got 1.1."),
    ],
)
def test_what_has_no_answer_is_refused_in_one_sentence(refused: Callable[[], object], reason: str) -> None:
    """At the making, and with the figures that are at fault."""
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}$"):
        refused()


def test_slow_replicas_are_a_mixture_of_two_queues() -> None:
    """By hand: at 0.5 a server 1 / (1 - 0.5) = 2 in the mean and, slow, 1 / (2 / 3 - 0.5) = 6, a quarter of them."""
    theory = SlowReplicas(4.0, 1.0, 8, 0.25, 1.5)
    assert theory.mean_response == pytest.approx(0.75 * 2 + 0.25 * 6)
    p99 = theory.response_quantile(0.99)
    assert 0.75 * math.exp(-0.5 * p99) + 0.25 * math.exp(-p99 / 6) == pytest.approx(0.01)
    for share, queue in ((0.0, theory.usual), (1.0, theory.slow)):
        alike = SlowReplicas(4.0, 1.0, 8, share, 1.5)
        assert alike.response_quantile(0.99) == pytest.approx(queue.response_quantile(0.99))


def test_slow_replicas_are_the_mean_over_how_many_are_slow() -> None:
    """Over a binomial number of slow ones, fleet by fleet, the tail is the same."""
    theory = SlowReplicas(4.0, 1.0, 8, 0.25, 1.5)
    fleets = [(math.comb(8, slow) * 0.25**slow * 0.75 ** (8 - slow), slow / 8) for slow in range(9)]
    tail = sum(odds * SlowReplicas(4.0, 1.0, 8, share, 1.5).response_tail(7.0) for odds, share in fleets)
    assert theory.response_tail(7.0) == pytest.approx(tail)


@pytest.mark.parametrize(("share", "factor"), [(-0.1, 2.0), (1.1, 2.0), (0.5, 0.9), (0.5, 2.1)])
def test_slow_replicas_that_make_no_sense_are_refused(share: float, factor: float) -> None:
    """A share of 1, a factor of 1 or more, and a load that the slow ones can serve."""
    with pytest.raises(ValueError, match=r"^(A share from 0 to 1 must be slow|This queue grows)"):
        SlowReplicas(4.0, 1.0, 8, share, factor)


def test_first_passes_by_hand() -> None:
    """The first request finds nobody: f D. The second waits for what is left of that after an exponential gap.

    E max(c - A, 0) = c - (1 - exp(-lam c)) / lam for c = f D = 3.
    """
    first, second = FirstPasses(0.5, 1.0, 1, 3.0).mean_responses(2)
    assert first == pytest.approx(3.0)
    assert second == pytest.approx(3.0 - (1 - math.exp(-1.5)) / 0.5 + 1.0)


def test_first_passes_are_forgotten_in_the_end() -> None:
    """From an empty queue without slow passes the response climbs, and with them it falls, to that of M/D/1."""
    steady = MD1(0.5, 1.0).mean_response
    plain = FirstPasses(0.5, 1.0, 0, 1.0).mean_responses(200)
    late = FirstPasses(0.5, 1.0, 5, 3.0).mean_responses(400)
    assert list(plain[:40]) == sorted(plain[:40])
    assert plain[-1] == pytest.approx(steady, rel=1e-6)
    assert late[-1] == pytest.approx(steady, rel=1e-6)
    assert late[4] > late[50] > steady


def test_first_passes_agree_with_a_recursion_on_drawn_gaps() -> None:
    """Lindley's W' = max(W + S - A, 0) over 40,000 draws of 12 gaps: each mean within four standard errors."""
    gaps = np.random.default_rng(5).exponential(2.0, (40_000, 12))
    wait = np.zeros(40_000)
    for number, expected in enumerate(FirstPasses(0.5, 1.0, 4, 3.0).mean_responses(12)):
        service = 3.0 if number < 4 else 1.0
        response = wait + service
        assert abs(response.mean() - expected) <= 4 * response.std() / 200 + 1e-12
        wait = np.maximum(response - gaps[:, number], 0.0)


@pytest.mark.parametrize(("arrive", "crash", "restart"), [(0.5, 0.05, 0.2), (0.4, 0.1, 0.5)])
def test_crashing_server_agrees_with_its_chain(arrive: float, crash: float, restart: float) -> None:
    """The chain of (requests, up or down), cut at 400 requests and solved as it stands, by no generating function."""
    serve, most = 1.0, 400
    rates = np.zeros((2 * most, 2 * most))  # state 2 n: n requests, down; 2 n + 1: up
    for count in range(most):
        down, up = 2 * count, 2 * count + 1
        rates[down, up] += restart
        rates[up, 2 * max(count - 1, 0)] += crash
        if count > 0:
            rates[up, up - 2] += serve
        if count + 1 < most:
            rates[down, down + 2] += arrive
            rates[up, up + 2] += arrive
    shares = stationary(rates)
    theory = CrashingServer(arrive, serve, crash, restart)
    assert theory.up_share == pytest.approx(shares[1::2].sum())
    assert theory.mean_response == pytest.approx(float(shares @ np.repeat(np.arange(most), 2)) / arrive, rel=1e-6)
    lost = crash * shares[3::2].sum()  # crashes with a request in service
    assert theory.lost_share == pytest.approx(lost / arrive, rel=1e-6)


def test_crashing_server_that_never_crashes_is_mm1() -> None:
    """And one that crashes is stable for so long as it is idle at times."""
    assert CrashingServer(0.8, 1.0, 0.0, 1.0).mean_response == pytest.approx(5.0)
    with pytest.raises(ValueError, match="grows without end"):
        CrashingServer(0.85, 1.0, 0.05, 0.2)
