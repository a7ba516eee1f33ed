"""What compiled/fixed_fleet.py works on, and for which inputs it does: see there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum
from types import MappingProxyType

import numpy as np

from policy.admission import NO_CAP
from policy.autoscaling_rule import Formula
from policy.batching import collector_count
from policy.faults import FAULTLESS
from policy.instant import NEVER_NS, UNSET, Change
from policy.routing import NO_LIMIT
from policy.timeline import ReplicaLife, Scaling, Share
from sim.engine.compiled.state import COUNTED, NONE, OWNED_ADDRESSES, OWNED_NUMBERS, Owner, record
from sim.engine.compiled.tournament import leaves_for, tournament
from sim.engine.engine_input import EngineInput
from sim.engine.timelines import Timeline, timeline_from_rows

__all__ = [
    "BATCH",
    "CONDITIONS",
    "FIXED",
    "INSTANCE",
    "JOB",
    "NONE",
    "REPLICA",
    "REQUEST",
    "FixedState",
    "Stage",
    "fits",
]

CONDITIONS: Mapping[str, Callable[[EngineInput], bool]] = MappingProxyType(
    {
        "one version that nobody orders anything of": lambda given: (
            len(given.fleets) == 1
            and given.fleet.loaded
            and given.versions.rollout is None
            and not given.versions.orders
        ),
        "replicas that are there from the start, and stay": lambda given: (
            given.fleet.replicas > 0 and given.fleet.autoscaler.formula == Formula.FIXED
        ),
        "that never crash, and are alike from their first pass on": lambda given: (
            given.fleet.crash_table is None and given.fleet.faults == FAULTLESS
        ),
        "that can always be sent more": lambda given: given.fleet.routing.outstanding_max == NO_LIMIT,
        "of which each has one hand": lambda given: collector_count(given.fleet.batching, given.fleet.instances) == 1,
        "requests that wait for no answer before": lambda given: given.traffic.clients == 0,
        "each sent once": lambda given: given.traffic.retry.attempts == 1 or given.fleet.admission.cap == NO_CAP,
        "equally patient": lambda given: given.traffic.timeout_table is None or len(given.traffic.timeout_table) == 1,
        "a front end that keeps their order": lambda given: (
            given.front_end.workers == 1 and not given.front_end.blocking
        ),
    }
)
"""What must hold of an input, in words. Together: no replica comes or goes, and nothing overtakes a request."""

_ROOM = 1024


def fits(engine_input: EngineInput) -> bool:
    """Return whether the run is one of a fleet that never changes."""
    return all(holds(engine_input) for holds in CONDITIONS.values())


class Stage(IntEnum):
    """Where a request is."""

    GONE = 0  # nothing refers to it: its row is free
    IN_FRONT = 1  # on its way through the front end
    WAITING = 2  # at a replica, in no batch
    FROZEN = 3  # in a batch
    ENDED = 4  # in a batch still, over for its client


REQUEST = record("request", "intended_ns", "placed_ns", "size", "stage", "replica", "next")
BATCH = record("request", "count", "largest", "started_ns", "ended_ns", "next")
"""A batch: its first request, its size and the largest one of a member, its pass, and the next batch of its list."""

JOB = record("done_ns", "change", "what")
"""A job of the front end for which the dispatcher is called when it is done: by a change, of a request or instance."""

INSTANCE = record("batch")
REPLICA = record(
    "head",  # of those that wait: first those in its hand, then those in its queue
    "tail",
    "held",
    "queued",
    "waiting",
    "idle",  # instances
    "running",  # passes
    "parked",  # batches closed and not yet handed over
    "first_parked",
    "last_parked",
    "opened_ns",  # of its collector
    "first_taken_ns",
    "can_wait",  # it need not decide about one request more
)
_RUN = record(
    "is_finished",
    "next_arrival",  # in the chunk
    "requests",  # in the chunks before
    "free_ns",  # when the front end has done all its jobs
    "first_job",
    "jobs",
    "arrived",
    "arrival_ns",  # when the next one of the chunk reaches the front end
    "room_to",  # there is a free row for each request before this one
    "touched",  # the first replica at which something has changed in this instant
    "timer_ns",
    "timers",
    "hangs_up",  # no earlier request's client is still to hang up
    "hang_up_ns",  # when that one does, or earlier
    "times_out",  # no earlier request's deadline is still to come
    "routed_last",
    "batches",  # rows in use, or once used
    "free_batch",
    "born",
    *COUNTED,
)
FIXED = np.dtype(
    [
        ("run", _RUN),
        *(
            (name, np.int64)
            for name in (
                "requests",  # the addresses of tables: (room,)
                "batches",  # (room,)
                "jobs",  # (jobs_room,) a ring
                "arrived",  # (room,) in this instant
                "replicas",
                "instances",  # (replicas, instances of each)
                "returned",  # (instances,) in this instant
                "ends",  # when the passes of the instances return, a tournament
                "asks",  # when the replicas ask for a decision, a tournament
                "serials",  # (replicas,)
                "outstanding",  # (replicas,)
                *OWNED_ADDRESSES,
                "room",  # numbers; this and the next a power of two
                "mask",  # room - 1
                "jobs_room",
                "replicas_count",
                "instances_count",
                "ends_leaves",
                "asks_leaves",
                "patience_ns",
                "needs_sizes",
                *OWNED_NUMBERS,
            )
        ),
    ]
)


class FixedState(Owner):
    """All that changes: `record` has one row of FIXED, the tables are by name."""

    def __init__(self, engine_input: EngineInput) -> None:
        super().__init__(FIXED)
        row, run, fleet = self._row, self.run, engine_input.fleet
        self._versions, self._replicas = engine_input.versions, fleet.replicas
        instances = fleet.replicas * fleet.instances
        row["replicas_count"], row["instances_count"] = fleet.replicas, instances
        row["ends_leaves"], row["asks_leaves"] = leaves_for(instances), leaves_for(fleet.replicas)
        patience = engine_input.traffic.timeout_table
        row["patience_ns"] = NEVER_NS if patience is None else max(patience[0], 1)
        row["needs_sizes"] = fleet.pass_time.per_unit_ns > 0
        run["routed_last"] = UNSET
        run["free_batch"] = run["touched"] = NONE
        run["timer_ns"] = run["hang_up_ns"] = NEVER_NS
        replicas = np.zeros(fleet.replicas, REPLICA)
        replicas["head"] = replicas["tail"] = NONE
        replicas["opened_ns"] = replicas["first_taken_ns"] = UNSET
        replicas["idle"] = fleet.instances
        self._keep("replicas", replicas)
        self._keep("instances", np.full(instances, NONE).view(INSTANCE))
        self._keep("returned", np.zeros(instances, np.int64))
        self._keep("ends", tournament(instances))
        self._keep("asks", tournament(fleet.replicas, 0))  # all of them decide at the first moment
        self._keep("serials", np.arange(fleet.replicas))
        self._keep("outstanding", np.zeros(fleet.replicas, np.int64))
        room = _ROOM
        while room < 2 * instances:
            room *= 2
        row["room"], row["mask"], row["jobs_room"], run["room_to"] = room, room - 1, 2 * room, room
        for name, dtype in (("requests", REQUEST), ("batches", BATCH), ("arrived", np.dtype(np.int64))):
            self._keep(name, np.zeros(room, dtype))
        self._keep("jobs", np.zeros(2 * room, JOB))
        self.tables["jobs"][0] = 0, Change.WOKEN, UNSET  # the run begins with a decision at moment 0
        run["jobs"] = 1

    def more(self) -> None:
        """Make room for twice as many requests."""
        row, run = self._row, self.run
        room = int(row["room"])
        before = self.tables["requests"]
        requests = np.zeros(2 * room, REQUEST)
        there = before[before["stage"] != Stage.GONE]
        requests[there["request"] & (2 * room - 1)] = there
        self._keep("requests", requests)
        self.tables["jobs"] = np.roll(self.tables["jobs"], -int(run["first_job"]))
        for name in ("jobs", "batches", "arrived"):
            self._keep(name, np.concatenate([self.tables[name], np.zeros_like(self.tables[name])]))
        run["first_job"] = 0
        run["room_to"] += room
        row["room"], row["mask"], row["jobs_room"] = 2 * room, 2 * room - 1, 4 * room

    def fleet(self) -> Timeline:
        """Return replicas and versions over time."""
        weights, shadows = self._versions.weights.weights, self._versions.shadows
        return timeline_from_rows(
            [],
            [],
            [ReplicaLife(serial, 0, 0, 0, UNSET, UNSET) for serial in range(self._replicas)],
            [Scaling(0, 0, self._replicas, 0)],
            [Share(0, 0, weights[0], shadows[0])],
        )
