"""What the engines are compared on, and with: scenarios of three sizes, and other simulators of the smallest one."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Generator
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import simpy

from sim.engine.engine_input import EngineInput
from sim.scenario.load import load_scenario
from sim.scenario.lower import lower
from sim.scenario.spec import Scenario

CIW_PATH = "out/ciw"

Ints = npt.NDArray[np.int64]

MAX_BATCH, PASS_NS, ITEM_NS, WAIT_NS = 8, 8_000_000, 500_000, 5_000_000
CAPACITY_PER_S = MAX_BATCH / ((PASS_NS + MAX_BATCH * ITEM_NS) / 1e9)
LOAD = 0.8

AUTOSCALER = {
    "formula": "ratio",
    "signal": "in_flight",
    "target": 12,
    "min_replicas": 30,
    "max_replicas": 60,
    "sample": "1s",
    "window": "5s",
    "tick": "15s",
    "dead_band_up": "10%",
    "dead_band_down": "10%",
    "stabilisation_down": "60s",
}
FLEETS: dict[str, dict[str, Any]] = {
    "1 replica": {"fleet": {"replicas": 1}},
    "16 replicas, least outstanding": {"fleet": {"replicas": 16, "routing": {"balance": "least_outstanding"}}},
    "64 replicas, least outstanding, autoscaler, canary": {
        "fleet": {
            "replicas": 60,
            "routing": {"balance": "least_outstanding"},
            "cold_start": {"load": "40s"},
            "autoscaler": AUTOSCALER,
        },
        "versions": [
            {"name": "v1", "role": "stable"},
            {"name": "v2", "role": "canary", "weight": "5%", "fleet": {"replicas": 4, "autoscaler": None}},
        ],
    },
}
REPLICAS = dict(zip(FLEETS, (1, 16, 64), strict=True))


def scenario_of(fleet: str, *, bare: bool) -> Scenario:
    """Return a scenario; one that is not bare has a front end that costs something, and clients that hang up."""
    written: dict[str, Any] = {
        "name": "bench",
        "traffic": {"arrivals": {"process": "poisson", "rate": f"{rate_per_s(fleet):.0f}/s"}},
        "model": {"pass_time": {"base": f"{PASS_NS}ns", "per_item": f"{ITEM_NS}ns"}},
        "batching": {"max_batch": MAX_BATCH, "max_wait": f"{WAIT_NS}ns"},
        "queue": {"cap": 256},
        "horizon": {"duration": "60s", "warm_up": "0s"},
        **FLEETS[fleet],
    }
    if not bare:
        written["traffic"]["timeout"] = "1s"
        written["front_end"] = {"request": "10us", "response": "5us", "pass_result": "1us"}
        written["fleet"]["turnaround"] = {"batch_in": "300us", "results_out": "300us"}
    return load_scenario(written)


def rate_per_s(fleet: str) -> float:
    """Return the load, LOAD of the capacity."""
    return LOAD * CAPACITY_PER_S * REPLICAS[fleet]


def engine_input_of(fleet: str, requests: int, *, bare: bool) -> EngineInput:
    """Return a run of so many requests, all of them measured."""
    arrivals_ns = poisson(rate_per_s(fleet), requests)
    scenario = scenario_of(fleet, bare=bare)
    duration = {"duration": int(arrivals_ns[-1]) + 1}
    horizon = scenario.horizon.model_copy(update=duration)
    return lower(scenario.model_copy(update={"horizon": horizon}), seed=1, warm_up_ns=0, arrivals_ns=arrivals_ns)


def poisson(rate: float, requests: int) -> Ints:
    """Return Poisson arrivals, in ns."""
    gaps = np.random.default_rng(1).exponential(1e9 / rate, requests)
    return np.cumsum(gaps).astype(np.int64)


# Others


class PlainModel:
    """The smallest scenario as one would write it in SimPy: a process for the arrivals, and one for the device."""

    def __init__(self, arrivals_ns: Ints) -> None:
        self._env = simpy.Environment()
        self._queue: deque[int] = deque()
        self._arrived = self._env.event()
        self._arrivals = arrivals_ns.tolist()
        self.latencies_ns: list[int] = []

    def run(self) -> None:
        """Run until all are answered."""
        self._env.process(self._arrive())
        self._env.process(self._serve())
        self._env.run()

    def _arrive(self) -> Generator[simpy.Event, None, None]:
        for at_ns in self._arrivals:
            yield self._env.timeout(at_ns - self._env.now)
            self._queue.append(at_ns)
            if not self._arrived.triggered:
                self._arrived.succeed()

    def _serve(self) -> Generator[simpy.Event, None, None]:
        served = 0
        while served < len(self._arrivals):
            if not self._queue:
                yield self._arrived
            until_ns = self._queue[0] + WAIT_NS
            while len(self._queue) < MAX_BATCH and self._env.now < until_ns:
                self._arrived = self._env.event()
                yield self._arrived | self._env.timeout(until_ns - self._env.now)
            batch = [self._queue.popleft() for _ in range(min(len(self._queue), MAX_BATCH))]
            yield self._env.timeout(PASS_NS + ITEM_NS * len(batch))
            self.latencies_ns += [int(self._env.now) - at_ns for at_ns in batch]
            served += len(batch)
            self._arrived = self._env.event()


@numba.njit
def recursion(arrivals_ns: Ints, histogram: Ints) -> int:
    """The smallest scenario and nothing else, by hand: how fast a machine can be that models one thing only."""
    free_ns, first = 0, 0
    while first < len(arrivals_ns):
        start_ns = max(free_ns, min(arrivals_ns[first] + WAIT_NS, arrivals_ns[min(first + 7, len(arrivals_ns) - 1)]))
        size = 1
        while size < MAX_BATCH and first + size < len(arrivals_ns) and arrivals_ns[first + size] <= start_ns:
            size += 1
        free_ns = start_ns + PASS_NS + ITEM_NS * size
        for place in range(first, first + size):
            histogram[min((free_ns - arrivals_ns[place]) >> 14, len(histogram) - 1)] += 1
        first += size
    return free_ns


def ciw_served(requests: int) -> None:
    """Serve so many requests of an M/M/1 queue with Ciw, which has no batches.

    It is installed apart, at CIW_PATH, since its package brings a package `tests`.
    """
    if CIW_PATH not in sys.path:
        sys.path.append(CIW_PATH)
    import ciw

    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(LOAD)],
        service_distributions=[ciw.dists.Exponential(1.0)],
        number_of_servers=[1],
    )
    ciw.Simulation(network).simulate_until_max_customers(requests)
