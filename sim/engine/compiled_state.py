"""What the compiled engine works on: tables of integers for what is given and for all that changes.

Rules go in as they are: a NamedTuple of policy becomes a record with the same field names, which a compiled function
reads like the tuple. Everything that changes lies in preallocated tables, whose rows are found by their index; lists of
attempts are chained through `next` and `previous`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from policy import autoscaling
from policy.autoscaling_rule import Formula
from policy.faults import FAULTLESS
from policy.instant import NEVER_NS, UNSET
from policy.batching import collector_count
from policy.retries import RetryRule
from policy.rollout import RolloutRule, idle_rollout
from policy.rollout_settings import rollout_rule
from policy.timeline import ReplicaLife, RolloutMove, Scaling, Share
from policy.versions import VERSIONS_MAX
from sim.engine.compiled_calendar import Calendar, new_calendar
from sim.engine.engine_input import EngineInput, FleetInput, Table

__all__ = [
    "NONE",
    "Capacity",
    "Given",
    "State",
    "given_of",
    "grown",
    "new_state",
]

NONE = UNSET
"""An index of no row."""

Rows = npt.NDArray[Any]


def _ints(*names: str) -> np.dtype[Any]:
    return np.dtype([(name, np.int64) for name in names])


ATTEMPT = _ints(
    "request",
    "attempt",
    "size",
    "version",
    "replica",
    "collector",  # whose hand holds it
    "batch",  # set when its batch is frozen
    "next",  # of the list that it is in
    "previous",
    "intended_ns",
    "sent_ns",
    "received_ns",
    "hang_up_ns",
    "worker",
    "key_bits",
    "pinned",
    "enqueued_ns",
    "placed_ns",
    "answered_ns",
    "delivered_ns",
    "outcome",
    "reason",
    "born",  # how many attempts came to be before: tells it from others that use the row
)
BATCH = _ints(
    "serial",
    "version",
    "replica",
    "head",  # its first member
    "count",
    "cause",
    "instance",
    "idle_since_ns",
    "closed_ns",
    "handed_ns",
    "started_ns",  # to come, once it is handed over
    "ended_ns",
    "returned_ns",
    "is_lost",
    "is_blocking",  # a job of the front end, whose moments are certain
    "crash",  # of its instance, when its results were on their way: the number of the life; else UNSET
    "request",  # of the first member: the keys of its dice
    "attempt",
    "next",  # of the list that it is in
)
REPLICA = _ints(
    "version",
    "ordered_ns",
    "ready_ns",
    "drained_ns",
    "gone_ns",
    "stage",
    "starting",  # instances that have never been ready
    "head",  # of its queue
    "tail",
    "queued",
    "waiting",
    "carried",
    "running",  # passes
    "idle",  # instances
    "took_last",
    "parked_head",  # batches closed and not yet handed over
    "parked_tail",
    "parked",
    "ask_again_ns",
    "is_touched",  # something has changed since it last decided
    "place",  # among the ready ones of its fleet
    "is_slow",
)
INSTANCE = _ints("idle_since_ns", "running", "passes_begun")
"""Since when an instance is idle (UNSET: it is not), the batch that it runs, and its passes since it was ready."""

COLLECTOR = _ints("opened_ns", "first_taken_ns", "head", "tail", "held", "ask_again_ns")
FLEET = np.dtype(
    [
        *(
            (name, np.int64)
            for name in (
                "loaded",
                "wanted",
                "asks_ns",
                "arrived",
                "busy_ns",
                "running",
                "running_since_ns",  # summed over the running passes
                "waiting",
                "carried",
                "starting",
                "ready",
                "draining",
                "members",
                "routed_last",
                "held_head",
                "held_tail",
                "held",
                "ended_well",  # what the rollout counts
                "ended_badly",
                "ended_slowly",
                "weight",
                "shadow",
                "told_weight",
                "told_shadow",
            )
        ),
        ("autoscaler", np.int64, (len(autoscaling.AutoscalerState._fields),)),
    ]
)
RUN = np.dtype(
    [
        *(
            (name, np.int64)
            for name in (
                "now_ns",
                "is_begun",
                "is_finished",
                "to_decide",
                "next_arrival",  # in the chunk
                "requests",  # in the chunks before
                "next_order",
                "orders_now",  # that came in this instant
                "attempts",  # rows in use, or once used
                "free_attempt",  # a list of rows that are free again
                "live",  # attempts that are not settled, or whose batch is under way
                "born",
                "batches",
                "free_batch",
                "passes",  # serials given
                "replicas",
                "orderable",  # replicas that one instant may order at most
                "changes",
                "arrived",
                "touched",
                "timer_ns",
                "timers",
                "measured_open",
                "in_front",  # attempts on their way through the front end
                "rollout_asks_ns",
                "scalings",
                "shares",
                "moves",
            )
        ),
        ("rollout", np.int64, (len(idle_rollout()),)),
        ("readiness", np.int64, (4,)),
    ]
)
CHANGE = _ints("change", "first", "second", "what", "more")
SCALING, SHARE, MOVE = _ints(*Scaling._fields), _ints(*Share._fields), _ints(*RolloutMove._fields)
KNOTS_AT = _ints("at", "length")
ORDER = _ints("at_ns", "kind", "version", "value")


class Given(NamedTuple):
    """What does not change."""

    run: Rows  # one row
    fleets: Rows  # (versions,)
    rollout: Rows  # one row, of no meaning without a rollout
    orders: Rows
    knots: npt.NDArray[np.int64]  # all tables, one behind the other
    cold_starts: Rows  # (versions, parts) where the tables of the parts lie


class State(NamedTuple):
    """All that changes."""

    run: Rows
    attempts: Rows
    batches: Rows
    replicas: Rows
    instances: Rows  # (replicas * instances,)
    collectors: Rows  # (replicas * collectors,)
    fleets: Rows  # (versions,)
    front: Calendar  # what leaves the front end
    devices: Calendar  # passes, starts, crashes
    sends: Calendar  # retries, closed-loop clients
    deadlines: Calendar
    hang_ups: Calendar
    asks: Calendar  # when replicas want to be asked again
    changes: Rows
    arrived: npt.NDArray[np.int64]
    touched: npt.NDArray[np.int64]
    members: npt.NDArray[np.int64]  # (versions, members) serials of those that are not gone, ascending
    ready: npt.NDArray[np.int64]  # (versions, members) serials of those that take requests
    outstanding: npt.NDArray[np.int64]  # (versions, members) theirs
    scratch: npt.NDArray[np.int64]  # (2, members)
    histories: npt.NDArray[np.int64]  # (versions, longest history)
    free_ns: npt.NDArray[np.int64]  # (workers,) of the front end
    scalings: Rows
    shares: Rows
    moves: Rows


class Capacity(NamedTuple):
    """How many rows the tables have: powers of two."""

    attempts: int
    calendar: int
    replicas: int
    log: int  # of changes of wanted numbers, shares and rollouts


def _record_of(rule: Any) -> np.dtype[Any]:
    """Return the dtype of a rule: its fields under their names."""
    if hasattr(rule, "_fields"):
        return np.dtype([(name, _record_of(value)) for name, value in zip(rule._fields, rule, strict=True)])
    if isinstance(rule, tuple):
        return np.dtype((np.int64, (len(rule),)))
    return np.dtype(np.float64 if isinstance(rule, float) else np.int64)


def _row_of(rule: Any) -> Any:
    """Return a rule as a value of its dtype: enums and booleans become numbers."""
    if hasattr(rule, "_fields"):
        return tuple(_row_of(value) for value in rule)
    return rule if isinstance(rule, (tuple, float)) else int(rule)


class _Knots:
    """Tables, one behind the other; the same one is kept once."""

    def __init__(self) -> None:
        self._tables: dict[int, tuple[int, int]] = {}
        self._parts: list[npt.NDArray[np.int64]] = []
        self._length = 0
        self._alive: list[Table] = []

    def add(self, table: Table | None) -> tuple[int, int]:
        """Return where a table lies; without one, a length of 0."""
        if table is None:
            return 0, 0
        if id(table) not in self._tables:
            self._tables[id(table)] = self._length, len(table)
            self._alive.append(table)
            self._parts.append(np.asarray(table, dtype=np.int64))
            self._length += len(table)
        return self._tables[id(table)]

    def all(self) -> npt.NDArray[np.int64]:
        """Return the tables as one."""
        return np.concatenate([*self._parts, np.zeros(1, dtype=np.int64)])


_RULES = ("batching", "admission", "deadline", "pass_time", "routing", "autoscaler", "faults")
_FLEET_NUMBERS = (
    "instances",
    "collectors",
    "replicas",
    "drain",
    "parts",
    "restart_from",
    "is_loaded",
    "error_share",
    "has_faults",
    "slow_possible",
)
_FLEET_TABLES = ("spread", "batch_in", "results_out", "crash")


def _fleet_row(fleet: FleetInput, knots: _Knots) -> tuple[np.dtype[Any], tuple[Any, ...]]:
    """Return a version's fleet, as it is given, as a dtype and its value."""
    rules = [getattr(fleet, name) for name in _RULES]
    numbers = (
        fleet.instances,
        collector_count(fleet.batching, fleet.instances),
        fleet.replicas,
        fleet.drain,
        len(fleet.cold_start_tables),
        fleet.restart_from,
        fleet.loaded,
        fleet.error_share,
        fleet.faults != FAULTLESS,
        fleet.faults.slow_share > 0,
    )
    tables = fleet.spread_table, fleet.batch_in_table, fleet.results_out_table, fleet.crash_table
    dtype = np.dtype(
        [
            *((name, _record_of(rule)) for name, rule in zip(_RULES, rules, strict=True)),
            *((name, np.int64) for name in _FLEET_NUMBERS),
            *((name, KNOTS_AT) for name in _FLEET_TABLES),
        ]
    )
    values = (*map(_row_of, rules), *map(int, numbers), *(knots.add(table) for table in tables))
    return dtype, values


_RUN_NUMBERS = (
    "measure_from_ns",
    "measure_to_ns",
    "stop_ns",
    "there_ns",
    "back_ns",
    "workers",
    "blocking",
    "clients",
    "has_sizes",
    "versions",
    "stable",
    "canary",
    "has_rollout",
    "users",
    "any_pinned",
    "recycle",  # rows of attempts and batches are used again: only what is counted is kept
)
_RUN_TABLES = ("sizes", "think", "timeout", "request", "response", "pass_result", "timer")


def given_of(engine_input: EngineInput, *, recycle: bool) -> Given:
    """Return what the engine is given, as tables."""
    knots = _Knots()
    rows = [_fleet_row(fleet, knots) for fleet in engine_input.fleets]
    fleets = np.zeros(len(rows), rows[0][0])
    parts = max(len(fleet.cold_start_tables) for fleet in engine_input.fleets)
    cold_starts = np.zeros((len(rows), max(parts, 1)), KNOTS_AT)
    for version, (fleet, (_, values)) in enumerate(zip(engine_input.fleets, rows, strict=True)):
        fleets[version] = values
        for part, table in enumerate(fleet.cold_start_tables):
            cold_starts[version, part] = knots.add(table)
    traffic, front_end, versions = engine_input.traffic, engine_input.front_end, engine_input.versions
    numbers = (
        engine_input.measure_from_ns,
        engine_input.measure_to_ns,
        engine_input.stop_ns,
        traffic.there_ns,
        traffic.back_ns,
        front_end.workers,
        front_end.blocking,
        traffic.clients,
        len(traffic.sizes) > 0,
        len(rows),
        versions.weights.stable,
        versions.weights.canary,
        versions.rollout is not None,
        versions.users,
        any(versions.pinned),
        recycle,
    )
    tables = (
        traffic.size_table,
        traffic.think_table,
        traffic.timeout_table,
        front_end.request_table,
        front_end.response_table,
        front_end.pass_result_table,
        front_end.timer_table,
    )
    run_dtype = np.dtype(
        [
            ("seed", np.uint64),
            ("salt", np.uint64),
            *((name, np.int64) for name in _RUN_NUMBERS),
            *((name, KNOTS_AT) for name in _RUN_TABLES),
            ("retry", _record_of(RetryRule(1, 1, 1, False))),
            ("pinned", np.int64, (VERSIONS_MAX,)),
        ]
    )
    run = np.zeros(1, run_dtype)
    pinned = (*versions.pinned, *[0] * (VERSIONS_MAX - len(versions.pinned)))
    run[0] = (
        engine_input.seed,
        versions.salt,
        *map(int, numbers),
        *(knots.add(table) for table in tables),
        _row_of(traffic.retry),
        pinned,
    )
    rule: RolloutRule = versions.rollout if versions.rollout is not None else rollout_rule(steps=[])
    rollout = np.zeros(1, _record_of(rule))
    rollout[0] = _row_of(rule)
    orders = np.zeros(len(versions.orders), ORDER)
    for number, order in enumerate(versions.orders):
        orders[number] = (order.at_ns, *map(int, order.order))
    return Given(run, fleets, rollout, orders, knots.all(), cold_starts)


def new_state(engine_input: EngineInput, capacity: Capacity) -> State:
    """Return the state before the first moment."""
    fleets = engine_input.fleets
    versions = len(fleets)
    instances = max(fleet.instances for fleet in fleets)
    collectors = max(collector_count(fleet.batching, fleet.instances) for fleet in fleets)
    state = State(
        run=np.zeros(1, RUN),
        attempts=np.zeros(capacity.attempts, ATTEMPT),
        batches=np.zeros(capacity.attempts, BATCH),
        replicas=np.zeros(capacity.replicas, REPLICA),
        instances=np.zeros((capacity.replicas, instances), INSTANCE),
        collectors=np.zeros((capacity.replicas, collectors), COLLECTOR),
        fleets=np.zeros(versions, FLEET),
        front=new_calendar(capacity.calendar),
        devices=new_calendar(capacity.calendar),
        sends=new_calendar(capacity.calendar),
        deadlines=new_calendar(capacity.calendar),
        hang_ups=new_calendar(capacity.calendar),
        asks=new_calendar(capacity.calendar),
        changes=np.zeros(16 * capacity.calendar, CHANGE),
        arrived=np.zeros(capacity.attempts, np.int64),
        touched=np.zeros(capacity.replicas, np.int64),
        members=np.zeros((versions, capacity.replicas), np.int64),
        ready=np.zeros((versions, capacity.replicas), np.int64),
        outstanding=np.zeros((versions, capacity.replicas), np.int64),
        scratch=np.zeros((2, capacity.replicas), np.int64),
        histories=np.zeros((versions, max(autoscaling.history_length(each.autoscaler) for each in fleets)), np.int64),
        free_ns=np.zeros(engine_input.front_end.workers, np.int64),
        scalings=np.zeros(capacity.log, SCALING),
        shares=np.zeros(capacity.log, SHARE),
        moves=np.zeros(capacity.log, MOVE),
    )
    run = state.run
    run["free_attempt"] = run["free_batch"] = NONE
    run["timer_ns"] = run["rollout_asks_ns"] = NEVER_NS
    run["to_decide"] = 1
    most = sum(_most_replicas(each) for each in fleets)
    run["orderable"] = most * (2 + len(engine_input.versions.orders))
    run["rollout"][0] = [int(value) for value in idle_rollout()]
    weights, shadows = engine_input.versions.weights, engine_input.versions.shadows
    state.fleets["weight"] = weights.weights[:versions]
    state.fleets["shadow"][: len(shadows)] = shadows
    return state


def _most_replicas(fleet: FleetInput) -> int:
    """Return how many replicas of a version are wanted at most."""
    if fleet.autoscaler.formula == Formula.FIXED:
        return fleet.replicas
    return max(fleet.replicas, fleet.autoscaler.replicas_max)


def grown(state: State, capacity: Capacity) -> State:
    """Return the state in larger tables; the rows are as they were."""
    larger = []
    for value in state:
        larger.append(_grown_calendar(value, capacity.calendar) if isinstance(value, Calendar) else value)
    state = State(*larger)
    return state._replace(
        attempts=_longer(state.attempts, capacity.attempts),
        batches=_longer(state.batches, capacity.attempts),
        replicas=_longer(state.replicas, capacity.replicas),
        instances=_longer(state.instances, capacity.replicas),
        collectors=_longer(state.collectors, capacity.replicas),
        changes=_longer(state.changes, 16 * capacity.calendar),
        arrived=_longer(state.arrived, capacity.attempts),
        touched=_longer(state.touched, capacity.replicas),
        members=_wider(state.members, capacity.replicas),
        ready=_wider(state.ready, capacity.replicas),
        outstanding=_wider(state.outstanding, capacity.replicas),
        scratch=_wider(state.scratch, capacity.replicas),
        scalings=_longer(state.scalings, capacity.log),
        shares=_longer(state.shares, capacity.log),
        moves=_longer(state.moves, capacity.log),
    )


def _longer(rows: Rows, length: int) -> Rows:
    if len(rows) == length:
        return rows
    larger = np.zeros((length, *rows.shape[1:]), rows.dtype)
    larger[: len(rows)] = rows
    return larger


def _wider(rows: Rows, width: int) -> Rows:
    if rows.shape[1] == width:
        return rows
    larger = np.zeros((len(rows), width), rows.dtype)
    larger[:, : rows.shape[1]] = rows
    return larger


def _grown_calendar(calendar: Calendar, capacity: int) -> Calendar:
    """Return the calendar with room for more; its ring begins at its first row."""
    if len(calendar.ring) == capacity:
        return calendar
    larger = Calendar(np.zeros(capacity, calendar.ring.dtype), _longer(calendar.heap, capacity), calendar.marks.copy())
    head, size = int(calendar.marks["head"][0]), int(calendar.marks["ringed"][0])
    larger.ring[:size] = np.roll(calendar.ring, -head)[:size]
    larger.marks["head"] = 0
    return larger


REPLICA_COLUMNS = ReplicaLife._fields
