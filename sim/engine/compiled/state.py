"""What the compiled engine works on: tables of integers for what is given and for all that changes.

Rules go in as they are: a NamedTuple of policy becomes a record with the same field names, which a compiled function
reads like the tuple. Everything that changes lies in preallocated tables, whose rows are found by their index; lists of
attempts are chained through `next` and `previous`. Compiled code gets two records, TABLES and GIVEN, that hold the
addresses of the tables; the tables themselves belong to the objects here, and live as long as they do.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from policy import autoscaling
from policy.autoscaling_rule import Formula
from policy.autoscaling_settings import fixed_fleet
from policy.batching import collector_count
from policy.faults import FAULTLESS
from policy.instant import NEVER_NS, UNSET
from policy.rollout import idle_rollout
from policy.rollout_settings import rollout_rule
from policy.settings import (
    admission_rule,
    batching_rule,
    deadline_rule,
    pass_time_rule,
    retry_rule,
    routing_rule,
)
from policy.timeline import Outcome, RolloutMove, Scaling, Share
from policy.versions import VERSIONS_MAX
from sim.engine.compiled.calendar import CALENDAR, ENTRY
from sim.engine.engine_input import EngineInput, FleetInput, Table
from sim.engine.histogram import BUCKETS, no_latencies

__all__ = [
    "ATTEMPT",
    "BATCH",
    "CHANGE",
    "COLLECTOR",
    "FLEET",
    "GIVEN",
    "GIVEN_FLEET",
    "INSTANCE",
    "KNOTS_AT",
    "MOVE",
    "NONE",
    "ORDER",
    "REPLICA",
    "SCALING",
    "SHARE",
    "TABLES",
    "COUNTED",
    "OWNED_ADDRESSES",
    "OWNED_NUMBERS",
    "Capacity",
    "Given",
    "Ints",
    "Owner",
    "Rows",
    "State",
    "record",
]

NONE = UNSET
"""An index of no row."""

Rows = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]


def record(*names: str) -> np.dtype[Any]:
    """Return the dtype of a row of integers with these names."""
    return np.dtype([(name, np.int64) for name in names])


COUNTED = (
    "measured_open",
    "window_from_ns",  # of the request that was counted last
    "window_to_ns",
    "window_counts",  # where its counts and its latencies begin
    "window_latencies",
    "latency_sum_ns",  # of the answered requests that are counted
    "delivered",  # answers inside the measured time, of all attempts
    "passes_measured",  # those that started inside it
    "batched",
    "busy_ns",
)
"""Numbers of a run that compiled/counting.py needs, whichever kernel calls it."""

OWNED_ADDRESSES = (
    "counts",  # (windows, outcomes + 1) measured requests by their outcome; last, the answers beyond the limit
    "batch_of",  # (windows,) to which batch each belongs
    "latencies",  # (batches, BUCKETS) histograms of the answered ones
    "shortest",  # (BUCKETS,) latency of the whole run in each of them
    "longest",
    "arrivals",  # the chunk of them
    "sizes",
)
OWNED_NUMBERS = (
    "arrivals_count",
    "is_last",  # no more chunks of arrivals follow
    "windows",  # equally long ones of the measured time, in which requests are counted; 0: they are not
    "outcomes",
    "buckets",
    "limit_ns",  # answers beyond it are counted by themselves
)
"""Tables and numbers that an Owner keeps, whichever kernel takes them."""

ATTEMPT = record(
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
BATCH = record(
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
REPLICA = record(
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
    "can_wait",  # it need not decide about one request more
)
INSTANCE = record("idle_since_ns", "running", "passes_begun")
"""Since when an instance is idle (UNSET: it is not), the batch that it runs, and its passes since it was ready."""

COLLECTOR = record("opened_ns", "first_taken_ns", "head", "tail", "held", "ask_again_ns")
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
                "head",  # of those that wait in front of it
                "tail",
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
                *COUNTED,
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
CHANGE = record("change", "first", "second", "what", "more")
SCALING, SHARE, MOVE = record(*Scaling._fields), record(*Share._fields), record(*RolloutMove._fields)
KNOTS_AT = record("at", "length")
ORDER = record("at_ns", "kind", "version", "value")


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


_NO_ROLLOUT = rollout_rule(steps=[])
_RULES = {  # of each kind one, for its shape
    "batching": batching_rule(max_batch=1, max_wait_ns=0),
    "admission": admission_rule(cap=None),
    "deadline": deadline_rule(deadline_ns=None),
    "pass_time": pass_time_rule(base_ns=1, max_batch=1),
    "routing": routing_rule(),
    "autoscaler": fixed_fleet(),
    "faults": FAULTLESS,
}
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
GIVEN_FLEET = np.dtype(
    [
        *((name, _record_of(rule)) for name, rule in _RULES.items()),
        *((name, np.int64) for name in _FLEET_NUMBERS),
        *((name, KNOTS_AT) for name in _FLEET_TABLES),
    ]
)
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
_GIVEN_RUN = np.dtype(
    [
        ("seed", np.uint64),
        ("salt", np.uint64),
        *((name, np.int64) for name in _RUN_NUMBERS),
        *((name, KNOTS_AT) for name in _RUN_TABLES),
        ("retry", _record_of(retry_rule(attempts=1))),
        ("pinned", np.int64, (VERSIONS_MAX,)),
    ]
)
GIVEN = np.dtype(
    [
        ("run", _GIVEN_RUN),
        ("rollout", _record_of(_NO_ROLLOUT)),
        ("fleets", np.int64),  # the addresses of tables
        ("orders", np.int64),
        ("orders_given", np.int64),
        ("knots", np.int64),
        ("cold_starts", np.int64),  # (versions, parts) where the tables of the parts lie
        ("parts", np.int64),
    ]
)
"""What does not change."""

_CALENDARS = (
    "front",  # what leaves the front end
    "devices",  # passes, starts, crashes
    "sends",  # retries, closed-loop clients
    "deadlines",
    "hang_ups",
    "asks",  # when replicas want to be asked again
)
_ADDRESSES = (
    "attempts",
    "batches",
    "replicas",
    "instances",  # (replicas, instances_each)
    "collectors",  # (replicas, collectors_each)
    "fleets",
    "changes",
    "arrived",
    "touched",
    "members",  # (versions, replicas_room) serials of those that are not gone, ascending
    "ready",  # (versions, replicas_room) serials of those that take requests
    "outstanding",  # (versions, replicas_room) theirs
    "scratch",  # (2, replicas_room)
    "histories",  # (versions, history_length)
    "free_ns",  # (workers,) of the front end
    "scalings",
    "shares",
    "moves",
    *OWNED_ADDRESSES,
)
_TABLE_NUMBERS = (
    "versions",
    "instances_each",
    "collectors_each",
    "history_length",
    "attempts_room",
    "replicas_room",
    "log_room",
    *OWNED_NUMBERS,
)
TABLES = np.dtype(
    [
        ("run", RUN),
        *((name, CALENDAR) for name in _CALENDARS),
        *((name, np.int64) for name in _ADDRESSES),
        *((name, np.int64) for name in _TABLE_NUMBERS),
    ]
)
"""All that changes."""


class Capacity(NamedTuple):
    """How many rows the tables have."""

    attempts: int
    entries: int  # of each calendar, a power of two
    replicas: int
    log: int  # of changes of wanted numbers, shares and rollouts


class _Knots:
    """Inverse-CDF tables, one behind the other; the same one is kept once."""

    def __init__(self) -> None:
        self._places: dict[int, tuple[int, int]] = {}
        self._tables: list[Table] = []  # kept alive, so that no other gets the identity of one
        self._length = 0

    def add(self, table: Table | None) -> tuple[int, int]:
        """Return where a table lies; without one, a length of 0."""
        if table is None:
            return 0, 0
        if id(table) not in self._places:
            self._places[id(table)] = self._length, len(table)
            self._tables.append(table)
            self._length += len(table)
        return self._places[id(table)]

    def all(self) -> Ints:
        """Return the tables as one."""
        return np.concatenate([np.asarray(table, dtype=np.int64) for table in self._tables])


class Given:
    """What does not change: `record` has one row of GIVEN."""

    def __init__(self, engine_input: EngineInput, *, recycle: bool) -> None:
        knots = _Knots()
        fleets, versions = engine_input.fleets, engine_input.versions
        parts = max(len(fleet.cold_start_tables) for fleet in fleets)
        self._fleets = np.array([_fleet_row(fleet, knots) for fleet in fleets], dtype=GIVEN_FLEET)
        self._cold_starts = np.zeros((len(fleets), max(parts, 1)), KNOTS_AT)
        for version, fleet in enumerate(fleets):
            for part, table in enumerate(fleet.cold_start_tables):
                self._cold_starts[version, part] = knots.add(table)
        self._orders = np.array([(each.at_ns, *map(int, each.order)) for each in versions.orders], dtype=ORDER)
        self.record = np.zeros(1, GIVEN)
        row = self.record[0]
        row["run"] = _run_row(engine_input, knots, recycle=recycle)
        row["rollout"] = _row_of(versions.rollout or _NO_ROLLOUT)
        self._knots = knots.all()
        tables: tuple[tuple[str, Rows], ...] = (
            ("fleets", self._fleets),
            ("orders", self._orders),
            ("knots", self._knots),
            ("cold_starts", self._cold_starts),
        )
        for name, rows in tables:
            row[name] = rows.ctypes.data
        row["orders_given"], row["parts"] = len(self._orders), self._cold_starts.shape[1]


def _fleet_row(fleet: FleetInput, knots: _Knots) -> tuple[Any, ...]:
    """Return a version's fleet, as it is given, as a row of GIVEN_FLEET."""
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
    rules = (_row_of(getattr(fleet, name)) for name in _RULES)
    return (*rules, *map(int, numbers), *(knots.add(table) for table in tables))


def _run_row(engine_input: EngineInput, knots: _Knots, *, recycle: bool) -> tuple[Any, ...]:
    """Return the run, as it is given, as a row of _GIVEN_RUN."""
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
        len(engine_input.fleets),
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
    pinned = (*versions.pinned, *[0] * (VERSIONS_MAX - len(versions.pinned)))
    return (
        engine_input.seed,
        versions.salt,
        *map(int, numbers),
        *(knots.add(table) for table in tables),
        _row_of(traffic.retry),
        pinned,
    )


class Owner:
    """Owns tables: `record` has one row, which holds their addresses and what is counted; the tables are by name."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.record = np.zeros(1, dtype)
        self.tables: dict[str, Rows] = {}
        self._row = self.record[0]

    @property
    def run(self) -> Any:
        """The numbers of the run, a row of RUN."""
        return self._row["run"]

    def count_in(self, windows: int, batches: int, limit_ns: int) -> None:
        """Count the measured requests in so many windows, by intended send, rather than only keep their rows.

        Latencies go into as many histograms as there are batches, of which each has whole windows.
        """
        row = self._row
        row["windows"], row["outcomes"], row["buckets"], row["limit_ns"] = windows, len(Outcome), BUCKETS, limit_ns
        self._keep("counts", np.zeros((windows, len(Outcome) + 1), dtype=np.int64))
        self._keep("batch_of", np.arange(windows, dtype=np.int64) * batches // windows)
        self._keep("latencies", np.zeros((batches, BUCKETS), dtype=np.int64))
        shortest, longest = no_latencies()
        self._keep("shortest", shortest)
        self._keep("longest", longest)

    def hand_over(self, arrivals_ns: Ints, sizes: Ints, *, is_last: bool) -> None:
        """Give the next chunk of the arrivals, with their recorded sizes."""
        self.run["requests"] += self._row["arrivals_count"]
        self.run["next_arrival"] = 0
        self._keep("arrivals", np.ascontiguousarray(arrivals_ns, dtype=np.int64))
        self._keep("sizes", np.ascontiguousarray(sizes, dtype=np.int64))
        self._row["arrivals_count"], self._row["is_last"] = len(arrivals_ns), is_last

    def _keep(self, name: str, table: Rows) -> None:
        """Own a table, and tell its address."""
        self.tables[name] = table
        self._row[name] = table.ctypes.data


class State(Owner):
    """All that changes: `record` has one row of TABLES, the tables are by name."""

    def __init__(self, engine_input: EngineInput, capacity: Capacity) -> None:
        fleets = engine_input.fleets
        super().__init__(TABLES)
        row = self._row
        row["versions"] = len(fleets)
        row["instances_each"] = max(fleet.instances for fleet in fleets)
        row["collectors_each"] = max(collector_count(fleet.batching, fleet.instances) for fleet in fleets)
        row["history_length"] = max(autoscaling.history_length(fleet.autoscaler) for fleet in fleets)
        self._keep("fleets", np.zeros(len(fleets), FLEET))
        self._keep("histories", np.zeros((len(fleets), int(row["history_length"])), np.int64))
        self._keep("free_ns", np.zeros(engine_input.front_end.workers, np.int64))
        self.grow(capacity)
        run = self.run
        run["free_attempt"] = run["free_batch"] = NONE
        run["timer_ns"] = run["rollout_asks_ns"] = NEVER_NS
        run["to_decide"] = 1
        most = sum(_most_replicas(fleet) for fleet in fleets)
        run["orderable"] = most * (2 + len(engine_input.versions.orders))
        run["rollout"] = [int(value) for value in idle_rollout()]
        weights, shadows = engine_input.versions.weights, engine_input.versions.shadows
        self.tables["fleets"]["weight"] = weights.weights[: len(fleets)]
        self.tables["fleets"]["shadow"][: len(shadows)] = shadows

    def rows(self, name: str, count: str) -> Rows:
        """Return the rows of a table that are in use, given the name of their number in RUN."""
        return self.tables[name][: self.run[count]]

    def more(self, *, attempts: bool = False, entries: bool = False, replicas: bool = False, log: bool = False) -> None:
        """Make the tables that are named twice as large."""
        row = self._row
        self.grow(
            Capacity(
                attempts=int(row["attempts_room"]) << attempts,
                entries=int(row["front"]["room"]) << entries,
                replicas=int(row["replicas_room"]) << replicas,
                log=int(row["log_room"]) << log,
            )
        )

    def grow(self, capacity: Capacity) -> None:
        """Make the tables as large as that, where they are smaller; what is in them stays."""
        row = self._row
        replicas, versions = capacity.replicas, int(row["versions"])
        for name, shape, dtype in (
            ("attempts", (capacity.attempts,), ATTEMPT),
            ("batches", (capacity.attempts,), BATCH),
            ("arrived", (capacity.attempts,), np.dtype(np.int64)),
            ("changes", (16 * capacity.entries,), CHANGE),
            ("replicas", (replicas,), REPLICA),
            ("instances", (replicas, int(row["instances_each"])), INSTANCE),
            ("collectors", (replicas, int(row["collectors_each"])), COLLECTOR),
            ("touched", (replicas,), np.dtype(np.int64)),
            ("members", (versions, replicas), np.dtype(np.int64)),
            ("ready", (versions, replicas), np.dtype(np.int64)),
            ("outstanding", (versions, replicas), np.dtype(np.int64)),
            ("scratch", (2, replicas), np.dtype(np.int64)),
            ("scalings", (capacity.log,), SCALING),
            ("shares", (capacity.log,), SHARE),
            ("moves", (capacity.log,), MOVE),
        ):
            before = self.tables.get(name)
            if before is None or before.shape != shape:
                table = np.zeros(shape, dtype)
                if before is not None:
                    table[tuple(slice(length) for length in before.shape)] = before
                self._keep(name, table)
        for name in _CALENDARS:
            self._grow_calendar(name, capacity.entries)
        row["attempts_room"], row["replicas_room"], row["log_room"] = capacity.attempts, replicas, capacity.log

    def _grow_calendar(self, name: str, room: int) -> None:
        """Make a calendar as large as that; its ring begins at its first row then."""
        calendar = self._row[name]
        if calendar["room"] == room:
            return
        ring, heap = np.zeros(room, ENTRY), np.zeros(room, ENTRY)
        if calendar["room"] > 0:
            heap[: calendar["room"]] = self.tables[f"{name}.heap"]
            ring[: calendar["room"]] = np.roll(self.tables[f"{name}.ring"], -int(calendar["head"]))
        self.tables[f"{name}.ring"], self.tables[f"{name}.heap"] = ring, heap
        calendar["ring"], calendar["heap"] = ring.ctypes.data, heap.ctypes.data
        calendar["room"], calendar["head"] = room, 0


def _most_replicas(fleet: FleetInput) -> int:
    """Return how many replicas of a version are wanted at most."""
    if fleet.autoscaler.formula == Formula.FIXED:
        return fleet.replicas
    return max(fleet.replicas, fleet.autoscaler.replicas_max)
