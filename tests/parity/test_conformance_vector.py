"""The conformance vector: what real servers did with eight requests, reproduced by both drivers.

One worker, 300 ms for any batch, at most 4 in a batch, wait 100 ms. The expected ends were seen on the named servers
(Mosec 0.9.8, TF Serving's SharedBatchScheduler 2.21, BentoML, Ray Serve 2.60, MLServer) to within some 10 ms, or
follow from the source of those that were not run (TorchServe, KServe's agent, Triton).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from policy.pass_time import SPREAD_ONE
from policy.settings import admission_rule, batching_rule, deadline_rule, pass_time_rule, retry_rule
from sim.engine.engine_input import EngineInput, FleetInput, FrontEndInput, TrafficInput
from sim.engine.process_engine import run
from tests.parity.virtual_server import VirtualServer

MS = 1_000_000
ARRIVALS_MS = (0, 50, 150, 200, 240, 280, 290, 690)

FIRST_TAKE = [(400, 2), (400, 2), (700, 4), (700, 4), (700, 4), (700, 4), (1100, 2), (1100, 2)]
OLDEST_ENQUEUE = [(400, 2), (400, 2), (700, 4), (700, 4), (700, 4), (700, 4), (1000, 2), (1000, 2)]
NO_WAIT = [(300, 1), (600, 4), (600, 4), (600, 4), (600, 4), (900, 2), (900, 2), (1200, 1)]
FROZEN_BY_TIMER = [(400, 2), (400, 2), (700, 3), (700, 3), (700, 3), (1000, 2), (1000, 2), (1300, 1)]
NO_SLOT_LIMIT = [(400, 2), (400, 2), (550, 3), (550, 3), (550, 3), (680, 2), (680, 2), (1090, 1)]

ROWS: list[tuple[str, dict[str, Any], list[tuple[int, int]]]] = [
    ("TorchServe", {"timer_origin": "collect", "collector": "exclusive"}, FIRST_TAKE),
    ("Mosec", {"timer_origin": "collect", "collector": "competing"}, FIRST_TAKE),
    ("TF Serving", {"timer_origin": "enqueue", "freeze": "pull"}, OLDEST_ENQUEUE),
    ("Triton", {"timer_origin": "enqueue", "freeze": "pull", "preferred_sizes": [4]}, OLDEST_ENQUEUE),
    ("Triton without delay", {"max_wait_ns": 0}, NO_WAIT),
    ("BentoML, learned wait 0", {"max_wait_ns": 0, "timer_origin": "collect"}, NO_WAIT),
    ("Ray Serve", {"timer_origin": "collect", "freeze": "timer", "slots": 1}, FROZEN_BY_TIMER),
    ("MLServer", {"timer_origin": "collect", "freeze": "timer", "slots": 0, "instances": 8}, NO_SLOT_LIMIT),
    ("LitServe, phase 0", {"timer_origin": "window", "collector": "competing"}, FIRST_TAKE),
]


def given_input(options: dict[str, Any], arrivals_ms: tuple[int, ...], pass_ms: int) -> EngineInput:
    """Return one replica under that rule: no front end, no turnaround."""
    arrivals = np.array(arrivals_ms, dtype=np.int64) * MS
    return EngineInput(
        seed=0,
        traffic=TrafficInput(
            arrivals_ns=arrivals,
            sizes=np.array([], dtype=np.int64),
            size_table=[1],
            clients=0,
            think_table=[0],
            timeout_table=None,
            retry=retry_rule(),
            there_ns=0,
            back_ns=0,
        ),
        front_end=FrontEndInput(workers=1, request_table=[0], response_table=[0]),
        fleet=FleetInput(
            instances=options.get("instances", 1),
            batching=batching_rule(**{"max_batch": 4, "max_wait_ns": 100 * MS, **options}),
            admission=admission_rule(cap=None),
            deadline=deadline_rule(deadline_ns=None),
            pass_time=pass_time_rule(base_ns=pass_ms * MS, max_batch=4),
            spread_table=[SPREAD_ONE],
            batch_in_table=[0],
            results_out_table=[0],
        ),
        measure_from_ns=0,
        measure_to_ns=int(arrivals[-1]) + 1,
        stop_ns=60_000 * MS,
    )


@pytest.mark.parametrize("driver", ["process engine", "dispatcher core"])
@pytest.mark.parametrize(("server", "options", "expected"), ROWS, ids=[row[0] for row in ROWS])
def test_server_gives_its_row(
    driver: str, server: str, options: dict[str, Any], expected: list[tuple[int, int]]
) -> None:
    """Each request ends when it did on the real server, in a batch of the same size."""
    given = given_input(options, ARRIVALS_MS, pass_ms=300)
    timeline = run(given) if driver == "process engine" else VirtualServer(given).play()
    ends_ms = (timeline.attempt("delivered_ns") // MS).tolist()
    assert list(zip(ends_ms, timeline.attempt("batch_size").tolist(), strict=True)) == expected


@pytest.mark.parametrize(
    ("options", "arrival_ms", "latency_ms"),
    [
        ({"timer_origin": "collect", "collector": "exclusive"}, 130, 250),  # the whole wait is paid: Mosec
        ({"timer_origin": "window", "collector": "competing"}, 130, 120),  # 70 ms were left of the window: LitServe
        ({"timer_origin": "window", "collector": "competing"}, 410, 240),  # 190 ms were left of a later window
        ({"max_wait_ns": 0}, 130, 50),  # Triton, TF Serving and BentoML without a wait
    ],
)
@pytest.mark.parametrize("driver", ["process engine", "dispatcher core"])
def test_lone_request_waits_as_its_rule_says(
    driver: str, options: dict[str, Any], arrival_ms: int, latency_ms: int
) -> None:
    """One request on an idle server, wait 200 ms, pass 50 ms, tells "first take" from "window"."""
    given = given_input({"max_wait_ns": 200 * MS, **options}, (arrival_ms,), pass_ms=50)
    timeline = run(given) if driver == "process engine" else VirtualServer(given).play()
    assert (timeline.attempt("delivered_ns") // MS).tolist() == [arrival_ms + latency_ms]
