"""A scenario's traffic as a plan for the load generator: the arrivals, sizes, patience and retries of the simulator."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from calibration.errors import BadSamples
from calibration.load_plan import LoadPlan, PlannedOrder
from policy.dice import Stream, die, draw
from sim.engine.engine_input import VersionsInput
from sim.engine.version_keys import pinned_to, user_of
from sim.scenario.distributions import time_table
from sim.scenario.lower import tail_ns, versions_input
from sim.scenario.rules import serving_rules
from sim.scenario.schedule import dice_seed, draw_schedule, request_sizes
from sim.scenario.spec import Scenario
from sim.scenario.versions import version_names

__all__ = ["input_text", "traffic_plan"]

_CONNECTIONS = 64
_CONNECTIONS_MAX = 512
_TAIL_MAX_NS = 60 * 10**9


def traffic_plan(
    url: str, scenario: Scenario, duration_ns: int, *, seed: int, run: int = 0, orders: Sequence[PlannedOrder] = ()
) -> LoadPlan:
    """Return a run of the scenario's open-loop traffic over [0, duration_ns), users and pins of versions with it.

    Raises BadSamples for a closed loop or a schedule without a request, ScenarioError for a trace that cannot be read.
    """
    if scenario.traffic.arrivals is None:
        raise BadSamples("traffic.clients is a closed loop and has no schedule to send: state traffic.arrivals.")
    schedule = draw_schedule(scenario, seed=seed, run=run, horizon_ns=duration_ns)
    dice, versions = dice_seed(seed, run), versions_input(scenario)
    return LoadPlan(
        url=url,
        arrivals_ns=schedule.arrivals_ns,
        sizes=request_sizes(scenario, schedule, seed=seed, run=run),
        timeouts_ns=_timeouts_ns(scenario, len(schedule.arrivals_ns), dice),
        retry=serving_rules(scenario).retry,
        seed=dice,
        connections=_connections(scenario),
        tail_ns=min(tail_ns(scenario), _TAIL_MAX_NS),
        input=input_text(scenario),
        users=_users(versions, len(schedule.arrivals_ns), dice),
        pins=_pins(versions, len(schedule.arrivals_ns), dice),
        versions=version_names(scenario),
        orders=tuple(orders),
    )


def _users(versions: VersionsInput, requests: int, dice: int) -> npt.NDArray[np.int64]:
    """Return who sends each request by the dice that the engine rolls; empty where nobody stays with a version."""
    users = [user_of(versions, dice, request) for request in range(requests if versions.users else 0)]
    return np.array([int(user) for user in users if user is not None], dtype=np.int64)


def _pins(versions: VersionsInput, requests: int, dice: int) -> npt.NDArray[np.int64]:
    """Return which version each request names by the dice that the engine rolls; empty where none does."""
    if not any(versions.pinned):
        return np.zeros(0, dtype=np.int64)
    return np.array([pinned_to(versions, dice, request) for request in range(requests)], dtype=np.int64)


def input_text(scenario: Scenario) -> str:
    """Return what every request asks of the model, as JSON text."""
    return json.dumps(scenario.model.input, separators=(",", ":"), allow_nan=False)


def _timeouts_ns(scenario: Scenario, requests: int, dice: int) -> npt.NDArray[np.int64]:
    """Return the patience of each request's client by the dice that the engine rolls; empty: without end."""
    if scenario.traffic.timeout is None:
        return np.zeros(0, dtype=np.int64)
    table: Sequence[int] = time_table(scenario.traffic.timeout, "traffic.timeout", least_ns=1)
    values = (max(draw(table, die(dice, Stream.PATIENCE, request, 0)), 1) for request in range(requests))
    return np.fromiter(values, dtype=np.int64, count=requests)


def _connections(scenario: Scenario) -> int:
    """Return how many connections to open beforehand: as many as can be in use, where the scenario bounds that."""
    if scenario.queue.cap is None:
        return _CONNECTIONS
    running = scenario.fleet.instances * scenario.batching.max_batch
    return min(max(scenario.queue.cap + running, _CONNECTIONS), _CONNECTIONS_MAX)
