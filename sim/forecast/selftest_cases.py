"""The systems of the self-test: what is simulated, as plain data, and what queueing theory says of it.

Times are in ns and one unit of theory's time is a millisecond. Run lengths are chosen so that the 99.9 % intervals come
out narrower than is demanded of them; sim/forecast/selftest.py does the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from policy.settings import COUNT_MAX, TIME_MAX_NS
from sim.outcome.batching_theory import BatchFormer, BoundedBatching, GreedyBatching
from sim.outcome.finite_queues import ErlangA, MachineRepair, MMcK
from sim.outcome.fleet_theory import CrashingServer, FirstPasses, SlowReplicas
from sim.outcome.queueing_theory import GM1, MD1, MMc, gamma_gaps

__all__ = ["BRIEF_WIDTH", "FIRST_REQUESTS", "MS", "Case", "Expectation", "briefly", "known_systems"]

MS = 1_000_000

FIRST_REQUESTS = 20
"""How many requests of a run the reader "first responses" sees."""

V100_PER_ITEM_MS, V100_BASE_MS = 0.1438, 1.8874
"""A pass of b on a V100 takes base + per_item b: the figures of Inoue, Performance Evaluation 147:102183, 2021."""


BRIEF_WIDTH = 5.0
"""How many times as wide an interval may be from a sixteenth of the requests: the root of 16, and a quarter more since
half as many runs show less surely how they differ."""


@dataclass(frozen=True)
class Expectation:
    """One known answer: what is read from a run, by its name in selftest.READERS, how, and what it must be."""

    reader: str
    statistic: str  # mean, p99, or rate (how many per ms)
    value: float

    @property
    def half_width_max(self) -> float:
        """The widest interval that is accepted, as a share of the value: half of it."""
        return 0.05 if self.statistic == "p99" else 0.02


@dataclass(frozen=True)
class Case:
    """One system: load, replicas, and how long it is simulated. A die sends each request to one of several replicas."""

    name: str
    expectations: tuple[Expectation, ...]
    rate_per_ms: float = 0.0  # of arrivals; 0 in a closed loop
    gap_cv: float = 1.0  # of gamma gaps; 1 is Poisson
    base_ns: int = 0
    per_item_ns: int = 0
    exponential: bool = False  # whether a pass time is exponential
    servers: int = 1  # instances of a replica, which share its queue
    replicas: int = 1
    slow_share: float = 0.0  # of the replicas
    slow_factor: float = 1.0
    first_passes: int = 0  # of each instance, that take longer
    first_factor: float = 1.0
    crash_every_ns: int = 0  # mean of an exponential time; 0: never
    restart_ns: int = 0  # mean of an exponential time
    max_batch: int = 1
    max_wait_ns: int = 0
    slots: int | None = None
    cap: int | None = None
    patience_ns: int = 0  # mean of the exponential time until a client hangs up; 0: it does not
    clients: int = 0
    think_ns: int = 0  # mean of an exponential time; 0: none
    warm_up_ms: int = 500
    measured_ms: int = 50_000
    runs: int = 40


def briefly(case: Case) -> Case:
    """Return a case with a sixteenth of its measured requests, in half of the runs; a transient keeps its length."""
    if case.warm_up_ms == 0:
        return replace(case, runs=case.runs // 16)
    measured_ms = case.measured_ms // 8
    return replace(case, runs=case.runs // 2, measured_ms=measured_ms, warm_up_ms=min(case.warm_up_ms, measured_ms))


@cache
def known_systems() -> tuple[Case, ...]:
    """Return every system of the self-test."""
    return (
        _mm1(),
        _mmc(),
        _md1(),
        _mmck(),
        _gm1(),
        _greedy(0.5, 1_000),
        _greedy(0.7, 1_000),
        _bounded("batches of 1 to 8 on a V100", 2.0, 1, None, 2_000),
        _bounded("batches of exactly 8 on a V100", 1.0, 8, None, 3_000),
        _bounded("batches of 1 to 8, at most 20 wait", 3.0, 1, 20, 1_000),
        _former(),
        _erlang_a(),
        _closed_loop(2.0, 1_500),
        _closed_loop(0.0, 1_000),
        _slow_replicas(),
        _first_passes(),
        _crashes(),
    )


def _response(mean: float, p99: float) -> tuple[Expectation, ...]:
    return (Expectation("response", "mean", mean), Expectation("response", "p99", p99))


def _mm1() -> Case:
    theory = MMc(0.8, 1.0)
    answers = _response(theory.mean_response, theory.response_quantile(0.99))
    return Case("M/M/1, load 0.8", answers, rate_per_ms=0.8, base_ns=MS, exponential=True, measured_ms=20_000, runs=80)


def _mmc() -> Case:
    theory = MMc(4.0, 1.0, 5)
    answers = _response(theory.mean_response, theory.response_quantile(0.99))
    return Case("M/M/5, load 0.8", answers, rate_per_ms=4.0, base_ns=MS, exponential=True, servers=5, measured_ms=5_000)


def _md1() -> Case:
    theory = MD1(0.8, 1.0)
    answers = _response(theory.mean_response, theory.response_quantile(0.99))
    return Case("M/D/1, load 0.8", answers, rate_per_ms=0.8, base_ns=MS, measured_ms=19_000, runs=80)


def _mmck() -> Case:
    theory = MMcK(12.0, 1.0, 10, 20)
    answers = (
        Expectation("refused", "mean", theory.refused_share),
        *_response(theory.mean_response, theory.response_quantile(0.99)),
    )
    return Case(
        "M/M/10/20, load 1.2",
        answers,
        rate_per_ms=12.0,
        base_ns=MS,
        exponential=True,
        servers=10,
        cap=10,
        warm_up_ms=100,
        measured_ms=800,
    )


def _gm1() -> Case:
    theory = GM1(gamma_gaps(0.6, 2.0), 1.0)
    answers = _response(theory.mean_response, theory.response_quantile(0.99))
    return Case(
        "G/M/1, gamma gaps of cv 2, load 0.6",
        answers,
        rate_per_ms=0.6,
        gap_cv=2.0,
        base_ns=MS,
        exponential=True,
        measured_ms=24_000,
        runs=80,
    )


def _greedy(load: float, measured_ms: int) -> Case:
    rate = load / V100_PER_ITEM_MS
    theory = GreedyBatching(rate, V100_PER_ITEM_MS, V100_BASE_MS)
    return Case(
        f"batches without limit on a V100, load {load}",
        _response(theory.mean_response, theory.response_quantile(0.99)),
        rate_per_ms=rate,
        base_ns=round(V100_BASE_MS * MS),
        per_item_ns=round(V100_PER_ITEM_MS * MS),
        max_batch=COUNT_MAX,
        measured_ms=measured_ms,
    )


def _bounded(name: str, rate: float, smallest: int, cap: int | None, measured_ms: int) -> Case:
    pass_times = tuple(V100_BASE_MS + V100_PER_ITEM_MS * size for size in range(1, 9))
    theory = BoundedBatching(rate, pass_times, smallest, cap)
    answers = [Expectation("response", "mean", theory.mean_response)]
    if smallest < theory.largest:
        answers.append(Expectation("batch", "mean", theory.mean_batch))
    if cap is not None:
        answers.append(Expectation("refused", "mean", theory.refused_share))
    return Case(
        name,
        tuple(answers),
        rate_per_ms=rate,
        base_ns=round(V100_BASE_MS * MS),
        per_item_ns=round(V100_PER_ITEM_MS * MS),
        max_batch=8,
        max_wait_ns=0 if smallest == 1 else TIME_MAX_NS,
        cap=cap,
        measured_ms=measured_ms,
    )


def _former() -> Case:
    theory = BatchFormer(1.0, 8, 5.0)
    answers = (
        Expectation("batch", "mean", theory.mean_batch),
        Expectation("hold", "mean", theory.mean_hold),
        Expectation("closed by timer", "mean", theory.timer_share),
    )
    return Case(
        "batch former, 8 or 5 ms",
        answers,
        rate_per_ms=1.0,
        base_ns=1,
        max_batch=8,
        max_wait_ns=5 * MS,
        slots=0,
        warm_up_ms=100,
        measured_ms=3_000,
    )


def _erlang_a() -> Case:
    theory = ErlangA(6.0, 1.0, 6, 0.5)
    answers = (
        Expectation("left the queue", "mean", theory.abandoned_share),
        Expectation("hung up", "mean", theory.hung_up_share),
    )
    return Case(
        "Erlang A, 6 servers, load 1",
        answers,
        rate_per_ms=6.0,
        base_ns=MS,
        exponential=True,
        servers=6,
        patience_ns=2 * MS,
        warm_up_ms=100,
        measured_ms=1_500,
    )


def _closed_loop(think_ms: float, measured_ms: int) -> Case:
    theory = MachineRepair(10, think_ms, 1.0, 3)
    answers = (
        Expectation("answered", "rate", theory.throughput),
        Expectation("response", "mean", theory.mean_response),
    )
    return Case(
        f"closed loop, 10 clients, 3 servers, think {think_ms:g} ms",
        answers,
        base_ns=MS,
        exponential=True,
        servers=3,
        clients=10,
        think_ns=round(think_ms * MS),
        warm_up_ms=100,
        measured_ms=measured_ms,
    )


def _slow_replicas() -> Case:
    theory = SlowReplicas(2.4, 1.0, 8, 0.25, 1.5)
    return Case(
        "8 replicas, a quarter slow by half",
        _response(theory.mean_response, theory.response_quantile(0.99)),
        rate_per_ms=2.4,
        base_ns=MS,
        exponential=True,
        replicas=8,
        slow_share=0.25,
        slow_factor=1.5,
        measured_ms=2_000,
        runs=80,
    )


def _first_passes() -> Case:
    theory = FirstPasses(0.5, 1.0, 10, 3.0)
    return Case(
        "first 10 passes three times as long",
        (Expectation("first responses", "mean", theory.mean_response(FIRST_REQUESTS)),),
        rate_per_ms=0.5,
        base_ns=MS,
        first_passes=10,
        first_factor=3.0,
        warm_up_ms=0,
        measured_ms=60,
        runs=3_200,
    )


def _crashes() -> Case:
    theory = CrashingServer(0.4, 1.0, 1 / 10, 1 / 2)
    return Case(
        "M/M/1 that crashes and loses what it serves",
        (Expectation("lost", "mean", theory.lost_share), Expectation("response", "mean", theory.mean_response)),
        rate_per_ms=0.4,
        base_ns=MS,
        exponential=True,
        crash_every_ns=10 * MS,
        restart_ns=2 * MS,
        measured_ms=20_000,
        runs=80,
    )
