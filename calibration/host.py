"""What the host did during a measurement, and whether the measurement may count.

Validity is decided from the generator's lateness, the time the hypervisor took away (steal) and the time in which some
process waited for a core (pressure), before any latency is read: a run is never thrown out for its result.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from calibration.load_plan import Lateness

__all__ = [
    "Bounds",
    "HostLoad",
    "HostMoment",
    "Validity",
    "host_load",
    "host_moment",
    "judge",
    "lateness_bound_ns",
]

_STAT = Path("/proc/stat")
_PRESSURE = Path("/proc/pressure/cpu")
_STEAL_FIELD = 7  # of the fields behind "cpu" in /proc/stat: user nice system idle iowait irq softirq steal
_COUNTED_FIELDS = 8  # guest time behind them is counted in user already

_LATENESS_MAX_NS = 1_000_000
_LATENESS_GOAL_MAX_NS = 5_000_000
_GOAL_SHARE = 10


class Bounds(NamedTuple):
    """Up to where a measurement counts."""

    lateness_p99_ns: int = _LATENESS_MAX_NS
    steal_share: float = 0.02
    pressure_share: float = 0.15  # a server, its device and its load alone on two cores: 0.03 to 0.08 up to 830/s


class HostMoment(NamedTuple):
    """The host's counters at one moment; -1 where the host keeps no such counter."""

    at_ns: int
    steal_ticks: int
    all_ticks: int
    pressure_us: int  # total time in which some process waited for a core


class HostLoad(NamedTuple):
    """What the host did between two moments; None where it cannot be known."""

    steal_share: float | None  # of all cores' time
    pressure_share: float | None  # of the time


@dataclass(frozen=True)
class Validity:
    """Whether a measurement counts, and if not, why: one sentence for each reason."""

    valid: bool
    reasons: tuple[str, ...]


def lateness_bound_ns(p99_goal_ns: int | None) -> int:
    """Return how late the generator's p99 may be: 1 ms, or a tenth of the stated p99 goal, but 5 ms at most."""
    if p99_goal_ns is None:
        return _LATENESS_MAX_NS
    return min(p99_goal_ns // _GOAL_SHARE, _LATENESS_GOAL_MAX_NS)


def host_moment() -> HostMoment:
    """Return the counters as they are now."""
    steal, ticks = _cpu_ticks()
    return HostMoment(time.perf_counter_ns(), steal, ticks, _pressure_us())


def host_load(before: HostMoment, after: HostMoment) -> HostLoad:
    """Return what the host did from one moment to another."""
    steal_share = pressure_share = None
    ticks = after.all_ticks - before.all_ticks
    if before.all_ticks >= 0 and ticks > 0:
        steal_share = (after.steal_ticks - before.steal_ticks) / ticks
    elapsed_us = (after.at_ns - before.at_ns) / 1000
    if before.pressure_us >= 0 and elapsed_us > 0:
        pressure_share = min((after.pressure_us - before.pressure_us) / elapsed_us, 1.0)
    return HostLoad(steal_share, pressure_share)


def judge(lateness: Lateness, host: HostLoad, bounds: Bounds) -> Validity:
    """Return whether a run with that lateness on such a host counts. What is not known is not held against it."""
    reasons = []
    if lateness.p99_ns > bounds.lateness_p99_ns:
        late, allowed = lateness.p99_ns / 1e6, bounds.lateness_p99_ns / 1e6
        reasons.append(f"The load generator was {late:.2f} ms late at its p99; {allowed:.2f} ms is allowed.")
    if host.steal_share is not None and host.steal_share > bounds.steal_share:
        taken, allowed = 100 * host.steal_share, 100 * bounds.steal_share
        reasons.append(f"The hypervisor took {taken:.1f} % of the CPU time away; {allowed:.1f} % is allowed.")
    if host.pressure_share is not None and host.pressure_share > bounds.pressure_share:
        waited, allowed = 100 * host.pressure_share, 100 * bounds.pressure_share
        reasons.append(f"Some process waited for a core in {waited:.0f} % of the time; {allowed:.0f} % is allowed.")
    return Validity(not reasons, tuple(reasons))


def _cpu_ticks() -> tuple[int, int]:
    """Return the ticks stolen from all cores and all ticks of all cores."""
    try:
        fields = [int(field) for field in _STAT.read_text().split("\n", 1)[0].split()[1:]]
    except (OSError, ValueError):
        return -1, -1
    if len(fields) <= _STEAL_FIELD:
        return -1, -1
    return fields[_STEAL_FIELD], sum(fields[:_COUNTED_FIELDS])


def _pressure_us() -> int:
    """Return the total of the line "some ... total=N"."""
    try:
        line = _PRESSURE.read_text().split("\n", 1)[0]
        return int(line.rsplit("total=", 1)[1])
    except (OSError, ValueError, IndexError):
        return -1
