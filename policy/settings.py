"""Plain settings -> checked rules. This is the place that rejects a range; policy/autoscaling_settings.py is its part
for the autoscaler, and takes its checks from here.

Times come in as integer nanoseconds, counts as integers, names as the lower-case names of the enums. Shapes and units
are checked before, where text is read (sim/scenario). The bounds keep every product inside the rules below 2**62,
because compiled integers wrap silently.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from itertools import pairwise
from typing import Any, TypeVar

from policy.admission import NO_CAP, AdmissionRule
from policy.batching import (
    PREFERRED_SIZES_MAX,
    BatchingRule,
    Collector,
    Freeze,
    TimerOrigin,
)
from policy.deadlines import DeadlineRule
from policy.errors import SettingError
from policy.faults import FaultRule
from policy.fleet import Drain
from policy.instant import NEVER_NS
from policy.pass_time import PADDED_SIZES_MAX, SPREAD_ONE, TABLE_POINTS_MAX, PassTimeRule
from policy.retries import RetryRule
from policy.rollout import SHARE_ONE
from policy.routing import NO_LIMIT, Balance, RoutingRule, Tie

__all__ = [
    "COUNT_MAX",
    "FAULT_FACTOR_MAX",
    "HELD_MAX",
    "SIZE_MAX",
    "SPREAD_MAX",
    "TIME_MAX_NS",
    "admission_rule",
    "batching_rule",
    "check_count",
    "check_name",
    "check_time_ns",
    "deadline_rule",
    "drain_order",
    "fault_rule",
    "pass_time_rule",
    "retry_rule",
    "routing_in_words",
    "routing_rule",
    "rules_in_words",
    "exact_time",
]

TIME_MAX_NS = 31 * 86_400 * 10**9
"""The longest time of any setting: 31 days, 2**51.2 ns."""

PASS_PART_MAX_NS = 3_600 * 10**9
"""The longest base, table entry, or product of the variable parts of a pass time: an hour, 2**41.7 ns."""

COUNT_MAX = 1_000_000
"""The largest batch, queue, slot or instance count."""

HELD_MAX = 1_000_000
"""The most requests that may wait in front of a fleet."""

SIZE_MAX = 10_000_000
"""The largest size of one request in the model's unit."""

SPREAD_MAX = 2**16
"""The largest factor of a pass time: with it, every product of policy/pass_time.py stays below 2**62."""

FAULT_FACTOR_MAX = 1_000
"""The largest factor by which a slow replica or a first pass takes longer."""

Name = TypeVar("Name", bound=IntEnum)


def check_time_ns(key: str, value: int, least_ns: int = 0, most_ns: int = TIME_MAX_NS) -> int:
    """Return a time in nanoseconds that lies in [least_ns, most_ns], or raise SettingError."""
    if not least_ns <= value <= most_ns:
        allowed = f"a time from {exact_time(least_ns)} to {exact_time(most_ns)}"
        raise SettingError(key, allowed, exact_time(value))
    return int(value)


def check_count(key: str, value: int, least: int = 1, most: int = COUNT_MAX) -> int:
    """Return a whole number that lies in [least, most], or raise SettingError."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise SettingError(key, f"a whole number from {least} to {most}", value)
    return value


def check_name(key: str, name: str, names: type[Name]) -> Name:
    """Return the member with that lower-case name, or raise SettingError."""
    for member in names:
        if member.name.lower() == name:
            return member
    raise SettingError(key, "one of " + ", ".join(member.name.lower() for member in names), name)


def batching_rule(
    *,
    max_batch: int,
    max_wait_ns: int,
    timer_origin: str = "enqueue",
    freeze: str = "pull",
    collector: str = "dispatcher",
    slots: int | None = None,
    instances: int = 1,
    preferred_sizes: Sequence[int] = (),
) -> BatchingRule:
    """Return the batching rule of one replica.

    `slots` None means one for each instance, 0 no limit. Raises SettingError.
    """
    check_count("batching.max_batch", max_batch)
    check_time_ns("batching.max_wait", max_wait_ns)
    freeze_value = check_name("batching.freeze", freeze, Freeze)
    collector_value = check_name("batching.collector", collector, Collector)
    if collector_value != Collector.DISPATCHER and freeze_value == Freeze.TIMER:
        raise SettingError(
            "batching.freeze",
            f"pull when batching.collector is {collector} (a worker runs at once what it has collected)",
            freeze,
        )
    slot_count = instances if slots is None else check_count("batching.slots", slots, 0)
    sizes = _ascending("batching.preferred_sizes", preferred_sizes, PREFERRED_SIZES_MAX)
    if sizes and sizes[-1] > max_batch:
        raise SettingError("batching.preferred_sizes", f"at most batching.max_batch ({max_batch})", sizes[-1])
    return BatchingRule(
        timer_origin=int(check_name("batching.timer_origin", timer_origin, TimerOrigin)),
        freeze=int(freeze_value),
        collector=int(collector_value),
        slots=slot_count,
        max_batch=max_batch,
        max_wait_ns=max_wait_ns,
        preferred=_filled(sizes, PREFERRED_SIZES_MAX),
        preferred_count=len(sizes),
    )


def admission_rule(*, cap: int | None, held_max: int = HELD_MAX) -> AdmissionRule:
    """Return the admission rule; `cap` None means no limit. Raises SettingError."""
    return AdmissionRule(
        NO_CAP if cap is None else check_count("queue.cap", cap),
        check_count("fleet.routing.held_max", held_max, 0, HELD_MAX),
    )


def deadline_rule(*, deadline_ns: int | None) -> DeadlineRule:
    """Return the rule of the server's time limit; None means no limit. Raises SettingError."""
    if deadline_ns is None:
        return DeadlineRule(NEVER_NS)
    return DeadlineRule(check_time_ns("queue.deadline", deadline_ns, least_ns=1))


def rules_in_words(
    batching: BatchingRule, admission: AdmissionRule, deadline: DeadlineRule
) -> dict[str, dict[str, Any]]:
    """Return a replica's rules with the names of a scenario file, times in ns, for JSON; what is not limited is None.

    It is the way back: batching_rule(**words["batching"]) is the same rule, and so with the two keys of "queue".
    """
    return {
        "batching": {
            "max_batch": batching.max_batch,
            "max_wait_ns": batching.max_wait_ns,
            "timer_origin": TimerOrigin(batching.timer_origin).name.lower(),
            "freeze": Freeze(batching.freeze).name.lower(),
            "collector": Collector(batching.collector).name.lower(),
            "slots": batching.slots,
            "preferred_sizes": list(batching.preferred[: batching.preferred_count]),
        },
        "queue": {
            "cap": None if admission.cap == NO_CAP else admission.cap,
            "deadline_ns": None if deadline.deadline_ns == NEVER_NS else deadline.deadline_ns,
        },
    }


def retry_rule(
    *,
    attempts: int = 1,
    backoff_ns: int = 100_000_000,
    backoff_max_ns: int = 10_000_000_000,
    jitter: bool = True,
) -> RetryRule:
    """Return the rule of a client's retries; `attempts` counts the first send. Raises SettingError."""
    check_count("traffic.retries.attempts", attempts, 1, 100)
    check_time_ns("traffic.retries.backoff", backoff_ns, least_ns=1)
    check_time_ns("traffic.retries.backoff_max", backoff_max_ns, least_ns=backoff_ns)
    return RetryRule(attempts, backoff_ns, backoff_max_ns, jitter)


def routing_rule(
    *, balance: str = "round_robin", tie: str = "random", outstanding_max: int | None = None
) -> RoutingRule:
    """Return the rule that chooses a replica; `outstanding_max` None means no limit. Raises SettingError."""
    return RoutingRule(
        balance=int(check_name("fleet.routing.balance", balance, Balance)),
        tie=int(check_name("fleet.routing.tie", tie, Tie)),
        outstanding_max=(
            NO_LIMIT if outstanding_max is None else check_count("fleet.routing.outstanding_max", outstanding_max)
        ),
    )


def drain_order(name: str) -> int:
    """Return which replica is drained first, a policy.fleet.Drain. Raises SettingError."""
    return int(check_name("fleet.drain", name, Drain))


def fault_rule(
    *,
    slow_share: float = 0.0,
    slow_factor: float = 1.0,
    first_count: int = 0,
    first_factor: float = 1.0,
    spread_most: int = SPREAD_ONE,
) -> FaultRule:
    """Return the rule of slow replicas and slow first passes.

    `spread_most` is the largest factor of a pass time without them, in units of 1 / SPREAD_ONE. Raises SettingError.
    """
    for key, factor in (("fleet.slow.factor", slow_factor), ("fleet.cold_start.first_passes.factor", first_factor)):
        if not 1.0 <= factor <= FAULT_FACTOR_MAX:
            raise SettingError(key, f"a ratio from 1 to {FAULT_FACTOR_MAX}", factor)
    if not 0.0 <= slow_share <= 1.0:
        raise SettingError("fleet.slow.share", "a percentage from 0% to 100%", slow_share)
    check_count("fleet.cold_start.first_passes.count", first_count, 0)
    most = spread_most / SPREAD_ONE * slow_factor * first_factor
    if most > SPREAD_MAX:
        allowed = f"such that with the spread of a pass and first_passes its factor stays below {SPREAD_MAX}"
        raise SettingError("fleet.slow.factor", allowed, f"{most:.3g}")
    return FaultRule(
        slow_share=round(slow_share * SHARE_ONE),
        slow_factor=round(slow_factor * SPREAD_ONE),
        first_count=first_count,
        first_factor=round(first_factor * SPREAD_ONE),
    )


def routing_in_words(routing: RoutingRule, admission: AdmissionRule) -> dict[str, Any]:
    """Return how requests come to replicas, with the names of a scenario file, for JSON; what is not limited is None.

    It is the way back, but for held_max, which is admission_rule's.
    """
    return {
        "balance": Balance(routing.balance).name.lower(),
        "tie": Tie(routing.tie).name.lower(),
        "outstanding_max": None if routing.outstanding_max == NO_LIMIT else routing.outstanding_max,
        "held_max": admission.held_max,
    }


def pass_time_rule(
    *,
    base_ns: int = 0,
    per_item_ns: int = 0,
    per_unit_ns: int = 0,
    padded_sizes: Sequence[int] = (),
    table: Mapping[int, int] | None = None,
    max_batch: int = 1,
    size_max: int = 1,
) -> PassTimeRule:
    """Return the pass-time rule.

    `table` maps measured batch sizes to times in ns and takes the place of base and per_item. `max_batch` and
    `size_max` are the largest batch and request that can come; they bound the products. Raises SettingError.
    """
    key = "model.pass_time"
    check_time_ns(f"{key}.base", base_ns, 0, PASS_PART_MAX_NS)
    check_time_ns(f"{key}.per_item", per_item_ns, 0, PASS_PART_MAX_NS)
    check_time_ns(f"{key}.per_unit", per_unit_ns, 0, PASS_PART_MAX_NS)
    check_count("traffic.sizes", size_max, 1, SIZE_MAX)
    padded = _ascending(f"{key}.padded_sizes", padded_sizes, PADDED_SIZES_MAX)
    if padded and padded[-1] < max_batch:
        raise SettingError(f"{key}.padded_sizes", f"up to batching.max_batch ({max_batch}) at least", padded[-1])
    largest = padded[-1] if padded else max_batch
    variable_ns = (per_item_ns + per_unit_ns * size_max) * largest
    if variable_ns > PASS_PART_MAX_NS:
        limit = exact_time(PASS_PART_MAX_NS)
        raise SettingError(key, f"at most {limit} for the largest batch and request", exact_time(variable_ns))
    points = dict(table or {})
    sizes = _ascending(f"{key}.table", sorted(points), TABLE_POINTS_MAX)
    times = [check_time_ns(f"{key}.table.{size}", points[size], 0, PASS_PART_MAX_NS) for size in sizes]
    if sizes and sizes[-1] < largest:
        allowed = f"a table up to the largest padded batch ({largest}): it is not extrapolated"
        raise SettingError(f"{key}.table", allowed, f"a largest size of {sizes[-1]}")
    if not points and base_ns + per_item_ns + per_unit_ns == 0:
        raise SettingError(key, "more than zero: give base, per_item, per_unit or table", "0 ns")
    return PassTimeRule(
        base_ns=base_ns,
        per_item_ns=per_item_ns,
        per_unit_ns=per_unit_ns,
        padded=_filled(padded, PADDED_SIZES_MAX),
        padded_count=len(padded),
        table_sizes=_filled(sizes, TABLE_POINTS_MAX),
        table_ns=_filled(times, TABLE_POINTS_MAX),
        table_count=len(sizes),
    )


def _ascending(key: str, sizes: Sequence[int], most: int) -> list[int]:
    """Return sizes that are positive, strictly ascending and not too many."""
    if len(sizes) > most:
        raise SettingError(key, f"at most {most} sizes", len(sizes))
    for size in sizes:
        check_count(key, size)
    if any(high <= low for low, high in pairwise(sizes)):
        raise SettingError(key, "in ascending order, each size once", list(sizes))
    return list(sizes)


def _filled(values: Sequence[int], length: int) -> tuple[int, ...]:
    """Return the values with zeros behind: tuples of one length compile once."""
    return tuple(values) + (0,) * (length - len(values))


def exact_time(time_ns: int) -> str:
    """Return a time as a user writes it, in the largest unit that leaves it short."""
    for unit, unit_ns in (("d", 86_400 * 10**9), ("h", 3_600 * 10**9), ("s", 10**9), ("ms", 10**6), ("us", 10**3)):
        if time_ns and abs(time_ns) >= unit_ns:
            return f"{time_ns / unit_ns:.12g}{unit}"
    return f"{time_ns}ns"
