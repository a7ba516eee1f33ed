"""How many replicas there were over time: wanted, paid for, ready. Read from a timeline, as step functions.

Beside them stands the latency over time, since what a fleet does late is seen there.

A replica is paid for from its order until it is gone, and takes requests from its readiness until it is drained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from policy.instant import UNSET
from sim.engine.timelines import Timeline
from sim.outcome.quantiles import quantile

__all__ = ["WINDOW_NS", "FleetCourse", "FleetRun", "Steps", "course_of", "fleet_run", "steady"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

WINDOW_NS = 5_000_000_000
"""The length of the windows in which the latency of a run is looked at over time."""

_EXCEEDANCES = 1  # answers beyond a window's p99: with fewer than 100 answers it would be their largest
_P99 = 0.99
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Steps:
    """A count that changes at moments: values[k] holds from moments_ns[k] on, nothing before the first."""

    moments_ns: Ints  # ascending, each once
    values: Ints

    def mean(self, from_ns: int, to_ns: int) -> float:
        """Return the mean over [from_ns, to_ns), not empty."""
        return self.area(from_ns, to_ns) / (to_ns - from_ns)

    def area(self, from_ns: int, to_ns: int) -> int:
        """Return the count times the time that it held, summed over [from_ns, to_ns), in ns."""
        if not len(self.moments_ns):
            return 0
        begins_ns = np.minimum(np.maximum(self.moments_ns, from_ns), to_ns)  # np.clip takes ten times as long
        last_ns = (to_ns - begins_ns[-1]) * self.values[-1]
        return int(last_ns + ((begins_ns[1:] - begins_ns[:-1]) * self.values[:-1]).sum())

    def peak(self, from_ns: int, to_ns: int) -> int:
        """Return the largest count in [from_ns, to_ns)."""
        first = int(np.searchsorted(self.moments_ns, from_ns, side="right")) - 1
        last = int(np.searchsorted(self.moments_ns, to_ns, side="left"))
        inside = self.values[max(first, 0) : last]
        return int(inside.max()) if len(inside) else 0

    def at(self, moment_ns: int) -> int:
        """Return the count at a moment."""
        place = int(np.searchsorted(self.moments_ns, moment_ns, side="right")) - 1
        return int(self.values[place]) if place >= 0 else 0


@dataclass(frozen=True)
class FleetCourse:
    """The replicas of one run over time, of all versions together."""

    wanted: Steps
    paid: Steps
    ready: Steps
    instances: Steps  # of the ready replicas


def steady(replicas: int, instances: int = 1) -> FleetCourse:
    """Return the course of a fleet that never changes; every replica has that many instances."""

    def always(count: int) -> Steps:
        return Steps(np.zeros(1, dtype=np.int64), np.array([count], dtype=np.int64))

    return FleetCourse(always(replicas), always(replicas), always(replicas), always(replicas * instances))


def course_of(timeline: Timeline, instances: Sequence[int] = (1,)) -> FleetCourse:
    """Return the course in a timeline; one that says nothing of its fleet is that of one replica.

    `instances` is how many a replica of each version has.
    """
    if not len(timeline.replicas) and not len(timeline.scalings):
        return steady(1, instances[0])
    was_ready = timeline.replica("ready_ns") != UNSET
    ready_ns, drained_ns = timeline.replica("ready_ns")[was_ready], timeline.replica("drained_ns")[was_ready]
    of_each = np.array(instances, dtype=np.int64)[timeline.replica("version")[was_ready]]
    return FleetCourse(
        wanted=_wanted(timeline),
        paid=_count(timeline.replica("ordered_ns"), timeline.replica("gone_ns")),
        ready=_count(ready_ns, drained_ns),
        instances=_count(ready_ns, drained_ns, of_each),
    )


def _wanted(timeline: Timeline) -> Steps:
    """Return how many replicas are wanted, of all versions together."""
    changes = np.zeros(len(timeline.scalings), dtype=np.int64)
    before: dict[int, int] = {}
    for row, (version, wanted) in enumerate(zip(timeline.scaling("version"), timeline.scaling("wanted"), strict=True)):
        changes[row] = wanted - before.get(int(version), 0)
        before[int(version)] = int(wanted)
    return _last_of_each_moment(timeline.scaling("at_ns"), np.cumsum(changes))


def _count(begins_ns: Ints, ends_ns: Ints, weights: Ints | None = None) -> Steps:
    """Return how many have begun and not ended, each by its weight; an end that is UNSET never comes."""
    weights = np.ones(len(begins_ns), dtype=np.int64) if weights is None else weights
    ended = ends_ns != UNSET
    moments = np.concatenate([begins_ns, ends_ns[ended]])
    changes = np.concatenate([weights, -weights[ended]])
    order = np.argsort(moments, kind="stable")
    return _last_of_each_moment(moments[order], np.cumsum(changes[order]))


def _last_of_each_moment(moments: Ints, values: Ints) -> Steps:
    """Return the steps, with the last value where several changes share a moment."""
    is_last = np.append(moments[1:] != moments[:-1], True) if len(moments) else np.zeros(0, dtype=np.bool_)
    return Steps(moments[is_last], values[is_last])


@dataclass(frozen=True)
class FleetRun:
    """One run of a fleet that changes: its replicas, and the p99 of the requests intended in each window."""

    course: FleetCourse
    window_p99_ms: Floats  # (windows,), NaN where a window has too few answers to have one


def fleet_run(course: FleetCourse, intended_ns: Ints, latency_ns: Ints, to_ns: int) -> FleetRun:
    """Return a run over [0, to_ns); latencies are those of the answered requests, UNSET for the others."""
    answered = latency_ns != UNSET
    windows = intended_ns[answered] // WINDOW_NS
    count = max(to_ns // WINDOW_NS, 1)
    p99_ms = np.full(count, np.nan)
    for window in range(count):
        inside = latency_ns[answered][windows == window]
        if len(inside) * (1 - _P99) >= _EXCEEDANCES - _ROUNDING:
            p99_ms[window] = float(quantile(inside, _P99)) / 1e6
    return FleetRun(course, p99_ms)
