"""What an engine is given: integer tables and checked rules, and nothing that needs a float."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from policy.admission import AdmissionRule
from policy.autoscaling_rule import AutoscalingRule
from policy.autoscaling_settings import fixed_fleet
from policy.batching import BatchingRule
from policy.deadlines import DeadlineRule
from policy.faults import FAULTLESS, FaultRule
from policy.fleet import Drain
from policy.orders import Order
from policy.pass_time import PassTimeRule
from policy.retries import RetryRule
from policy.rollout import RolloutRule
from policy.rollout_settings import version_weights
from policy.routing import RoutingRule
from policy.settings import routing_rule
from policy.versions import WEIGHT_ONE, VersionWeights

__all__ = ["EngineInput", "FleetInput", "FrontEndInput", "OrderAt", "Table", "TrafficInput", "VersionsInput"]

Table = Sequence[int]
"""An inverse-CDF table as policy/dice.py reads it, or a single constant."""

_ROUND_ROBIN = routing_rule()
_FIXED = fixed_fleet()
_ONE_VERSION = version_weights(weights=[WEIGHT_ONE])


@dataclass(frozen=True)
class TrafficInput:
    """Who sends what, and when. Either arrivals (open loop) or clients (closed loop)."""

    arrivals_ns: npt.NDArray[np.int64]  # (requests,) intended first sends, ascending; empty in closed loop
    sizes: npt.NDArray[np.int64]  # (requests,) recorded sizes; empty: drawn from size_table
    size_table: Table
    clients: int  # closed loop: how many; 0 in open loop
    think_table: Table  # ns between an outcome and the client's next send, at least 1 counts
    timeout_table: Table | None  # ns from an attempt's send until the client hangs up; None: never
    retry: RetryRule
    there_ns: int  # from the client to the front end, occupying neither
    back_ns: int  # from the front end to the client


@dataclass(frozen=True)
class FrontEndInput:
    """A station around the queue: each worker serves its jobs first come, first served.

    Requests and responses are jobs of their attempt's worker; pass results, timers and blocking passes of worker 0.
    """

    workers: int
    request_table: Table  # ns of work for one request
    response_table: Table  # ns of work for one response, of whatever outcome
    pass_result_table: Table = (0,)  # ns of work for the results of one pass
    timer_table: Table = (0,)  # ns of work for one timer that the dispatcher asked for
    blocking: bool = False  # a pass occupies worker 0, and its results cost nothing more; one worker, one instance


@dataclass(frozen=True)
class FleetInput:
    """The replicas of one version and their rules; all of them are alike."""

    instances: int
    batching: BatchingRule
    admission: AdmissionRule
    deadline: DeadlineRule
    pass_time: PassTimeRule
    spread_table: Table  # factor of a pass time in units of 1 / policy.pass_time.SPREAD_ONE
    batch_in_table: Table  # ns from the hand-over of a batch to the start of its pass
    results_out_table: Table  # ns from the end of a pass until the dispatcher holds its results
    replicas: int = 1  # that are ready at the start
    routing: RoutingRule = _ROUND_ROBIN
    autoscaler: AutoscalingRule = _FIXED
    drain: int = int(Drain.YOUNGEST)
    cold_start_tables: tuple[Table, ...] = ()  # ns of each part of a replica's start, one behind the other
    restart_from: int = 0  # the first of these parts that a replica goes through again after a crash
    crash_table: Table | None = None  # ns of a replica's being ready until it crashes; None: never
    faults: FaultRule = FAULTLESS  # of its pass times
    loaded: bool = True  # at the start; one that is not has no replicas until it is deployed
    error_share: int = 0  # of the requests that the version fails on, parts of policy.rollout.SHARE_ONE


class OrderAt(NamedTuple):
    """An operator's order and when it reaches the dispatcher."""

    at_ns: int
    order: Order


@dataclass(frozen=True)
class VersionsInput:
    """How the requests come to the versions, what becomes of that, and when somebody orders something."""

    weights: VersionWeights = _ONE_VERSION
    shadows: tuple[int, ...] = (0,)  # (versions,) share of the requests of which each gets a copy, parts of WEIGHT_ONE
    rollout: RolloutRule | None = None
    orders: tuple[OrderAt, ...] = ()  # in the order of time
    users: int = 0  # who stay with a version; 0: each request goes by a die of its own
    salt: int = 0  # of the users' keys, 0 <= salt < 2**64
    pinned: tuple[int, ...] = ()  # (versions,) share of the requests that name each, parts of policy.rollout.SHARE_ONE


@dataclass(frozen=True)
class EngineInput:
    """One run. Requests intended in [measure_from_ns, measure_to_ns) are measured."""

    seed: int  # of the dice, 0 <= seed < 2**64
    traffic: TrafficInput
    front_end: FrontEndInput
    fleet: FleetInput  # of the first version
    measure_from_ns: int
    measure_to_ns: int
    stop_ns: int  # the run ends when every measured request has its outcome, at the latest here
    other_fleets: tuple[FleetInput, ...] = ()  # of the other versions
    versions: VersionsInput = VersionsInput()

    @property
    def fleets(self) -> tuple[FleetInput, ...]:
        """The fleets of all versions."""
        return (self.fleet, *self.other_fleets)

    @property
    def instances(self) -> tuple[int, ...]:
        """How many instances a replica of each version has."""
        return tuple(fleet.instances for fleet in self.fleets)
