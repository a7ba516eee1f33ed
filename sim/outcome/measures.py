"""What one run amounts to, read from its timeline: latencies, outcomes, throughput, batch sizes, device time.

Requests belong to the window in which they were intended, whatever happened to them later; a request's outcome is that
of its last attempt. Flows (responses delivered, passes, device time) are counted where they happen. What several runs
amount to, and how sure one can be, is decided in sim/forecast.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Self

import numpy as np
import numpy.typing as npt

from policy.instant import UNSET
from policy.timeline import Outcome
from sim.engine.timelines import Timeline
from sim.outcome.fleet_course import FleetCourse, course_of
from sim.outcome.latencies import Latencies, ListedLatencies
from sim.outcome.quantiles import quantile

__all__ = ["Column", "MeasuredRun", "RunMeasures", "last_attempts", "measure"]

Column = npt.NDArray[np.int64]

_P99 = 0.99


@dataclass(frozen=True, kw_only=True)
class MeasuredRun(ABC):
    """One run, measured over [from_ns, to_ns): what a forecast reads of it."""

    from_ns: int
    to_ns: int
    fleet: FleetCourse  # replicas over time
    delivered: int  # answers that reached a client inside the window
    passes: int  # passes that started inside the window
    batched: int  # requests in those passes
    busy_ns: int  # time of all instances spent in passes, inside the window

    @property
    @abstractmethod
    def requests(self) -> int:
        """Requests intended inside the window."""

    @abstractmethod
    def count(self, outcome: Outcome) -> int:
        """Return how many requests ended so."""

    @property
    @abstractmethod
    def latencies(self) -> Latencies:
        """Latencies of the answered requests."""

    @abstractmethod
    def count_within(self, limit_ns: int) -> int:
        """Return how many requests were answered within a time."""

    @abstractmethod
    def breaches(self, windows: int, p99_ns: int | None, refused: float | None) -> int:
        """Return in how many of so many windows the p99 or the share of refusals of what was intended there is beyond.

        A window's p99 is the nearest rank of the answers that it has: below 100 of them it is the slowest.
        """

    @property
    @abstractmethod
    def parts_max(self) -> int:
        """How many equally long parts the measured time can be cut into at most."""

    @abstractmethod
    def part(self, from_ns: int, to_ns: int) -> Self:
        """Return the requests that were intended inside a window; flows stay those of the whole run."""

    @property
    def window_s(self) -> float:
        """The window's length in seconds."""
        return (self.to_ns - self.from_ns) / 1e9

    @property
    def throughput_per_s(self) -> float:
        """Answers that reached a client inside the window, per second of it."""
        return self.delivered / self.window_s

    @property
    def batch_size_mean(self) -> float:
        """Mean size of the batches whose passes started inside the window; NaN without a pass."""
        return self.batched / self.passes if self.passes else float("nan")

    @property
    def gpu_busy_share(self) -> float:
        """Share of the ready instances' time that was spent in passes, 0..1; NaN if none was ready.

        Replicas that start have no share in it, though they are paid for: it is no share of replicas_mean.
        """
        ready_ns = self.fleet.instances.area(self.from_ns, self.to_ns)
        return min(self.busy_ns / ready_ns, 1.0) if ready_ns else float("nan")

    @property
    def replicas_mean(self) -> float:
        """Mean number of replicas that are paid for inside the window: those that start and drain, too."""
        return self.fleet.paid.mean(self.from_ns, self.to_ns)

    @property
    def replicas_peak(self) -> int:
        """Most replicas that are paid for at any moment of the window."""
        return self.fleet.paid.peak(self.from_ns, self.to_ns)

    @property
    def replica_hours(self) -> float:
        """Hours of replicas that are paid for inside the window."""
        return self.fleet.paid.area(self.from_ns, self.to_ns) / 3.6e12

    def edges_ns(self, count: int) -> list[int]:
        """Return the bounds of so many windows, equally long to the nanosecond, that fill the measured time."""
        return [self.from_ns + (self.to_ns - self.from_ns) * index // count for index in range(count + 1)]

    def share(self, outcome: Outcome) -> float:
        """Return the share of requests that ended so, 0..1; NaN without a request."""
        return self.count(outcome) / self.requests if self.requests else float("nan")


@dataclass(frozen=True, kw_only=True)
class RunMeasures(MeasuredRun):
    """One run of which every request is known, in the order of their intended sends."""

    intended_ns: Column  # (requests,)
    outcomes: Column  # (requests,) Outcome of the last attempt
    latency_ns: Column  # (requests,) from the first intended send until the client held the answer; UNSET: no answer
    server_latency_ns: Column  # (requests,) of the last attempt, from its enqueue to its answer; UNSET: no answer
    attempt_counts: tuple[int, ...]  # of all attempts of these requests, by Outcome

    @property
    def requests(self) -> int:
        """Requests intended inside the window."""
        return len(self.outcomes)

    def count(self, outcome: Outcome) -> int:
        """Return how many requests ended so."""
        return self._ended[outcome]

    @cached_property
    def _ended(self) -> tuple[int, ...]:
        """How many requests ended in each way, by Outcome."""
        return _counts(self.outcomes)

    @cached_property
    def latencies(self) -> ListedLatencies:
        """Latencies of the answered requests."""
        return ListedLatencies(self.answered_latencies_ns)

    @cached_property
    def answered_latencies_ns(self) -> Column:
        """Latencies of the answered requests, in the order of their intended sends."""
        return self.latency_ns.compress(self.outcomes == Outcome.ANSWERED.value)

    @property
    def answered_server_latencies_ns(self) -> Column:
        """Times of the answered requests on the server's own timeline, in the order of their intended sends.

        They run from the enqueue, the first moment that a simulated and a live server stamp alike: how long a request
        lay in a socket before, a live server cannot see.
        """
        return self.server_latency_ns.compress(self.outcomes == Outcome.ANSWERED.value)

    def count_within(self, limit_ns: int) -> int:
        """Return how many requests were answered within a time."""
        return int(np.count_nonzero(self.answered_latencies_ns <= limit_ns))

    @property
    def parts_max(self) -> int:
        """How many equally long parts the measured time can be cut into at most."""
        return max(self.to_ns - self.from_ns, 1)

    def part(self, from_ns: int, to_ns: int) -> RunMeasures:
        """Return the requests that were intended inside a window; flows stay those of the whole run."""
        low, high = np.searchsorted(self.intended_ns, [from_ns, to_ns])
        return replace(
            self,
            from_ns=from_ns,
            to_ns=to_ns,
            intended_ns=self.intended_ns[low:high],
            outcomes=self.outcomes[low:high],
            latency_ns=self.latency_ns[low:high],
            server_latency_ns=self.server_latency_ns[low:high],
        )

    def breaches(self, windows: int, p99_ns: int | None, refused: float | None) -> int:
        """Return in how many windows a goal is missed."""
        breaches = 0
        for low, high in pairwise(np.searchsorted(self.intended_ns, self.edges_ns(windows)).tolist()):
            outcomes, latency_ns = self.outcomes[low:high], self.latency_ns[low:high]
            answered_ns = latency_ns[outcomes == Outcome.ANSWERED]
            is_slow = p99_ns is not None and len(answered_ns) > 0 and quantile(answered_ns, _P99) > p99_ns
            is_full = refused is not None and low < high and np.mean(outcomes == Outcome.REFUSED) > refused
            breaches += bool(is_slow or is_full)
        return breaches


def last_attempts(timeline: Timeline, from_ns: int, to_ns: int) -> npt.NDArray[np.intp]:
    """Return the rows of the last attempts of the requests intended in [from_ns, to_ns), by intended send."""
    request = timeline.attempt("request")
    is_last = np.ones(len(request), dtype=np.bool_)
    is_last[:-1] = request[1:] != request[:-1]
    rows = np.flatnonzero(is_last & _is_inside(timeline.attempt("intended_ns"), from_ns, to_ns))
    return rows[np.argsort(timeline.attempt("intended_ns")[rows], kind="stable")]


def measure(timeline: Timeline, from_ns: int, to_ns: int, *, instances: Sequence[int] = (1,)) -> RunMeasures:
    """Return what happened to the requests intended in [from_ns, to_ns), and the flows inside that window.

    `instances` is how many a replica of each version has: one that never ran a pass leaves no trace in a timeline.
    """
    if to_ns <= from_ns:
        raise ValueError(f"A window must end after it begins. Got [{from_ns}, {to_ns}) ns.")
    rows = last_attempts(timeline, from_ns, to_ns)
    outcomes = timeline.attempt("outcome")[rows]
    answered = outcomes == Outcome.ANSWERED
    intended_ns = timeline.attempt("intended_ns")
    measured = _is_inside(intended_ns, from_ns, to_ns)
    delivered = (timeline.attempt("outcome") == Outcome.ANSWERED) & _is_inside(
        timeline.attempt("delivered_ns"), from_ns, to_ns
    )
    started = _is_inside(timeline.passed("started_ns"), from_ns, to_ns)
    latency_ns = timeline.attempt("delivered_ns")[rows] - intended_ns[rows]
    server_ns = timeline.attempt("answered_ns")[rows] - timeline.attempt("enqueued_ns")[rows]
    return RunMeasures(
        from_ns=from_ns,
        to_ns=to_ns,
        fleet=course_of(timeline, instances),
        intended_ns=intended_ns[rows],
        outcomes=outcomes,
        latency_ns=np.where(answered, latency_ns, UNSET),
        server_latency_ns=np.where(answered, server_ns, UNSET),
        attempt_counts=_counts(timeline.attempt("outcome")[measured]),
        delivered=int(np.count_nonzero(delivered)),
        passes=int(np.count_nonzero(started)),
        batched=int(timeline.passed("batch_size")[started].sum()),
        busy_ns=_busy_ns(timeline, from_ns, to_ns),
    )


def _is_inside(times_ns: Column, from_ns: int, to_ns: int) -> npt.NDArray[np.bool_]:
    return (times_ns >= from_ns) & (times_ns < to_ns)


def _counts(outcomes: Column) -> tuple[int, ...]:
    """Return how many there are of each Outcome."""
    return tuple(np.bincount(outcomes, minlength=len(Outcome)).tolist())


def _busy_ns(timeline: Timeline, from_ns: int, to_ns: int) -> int:
    """Return the time in passes inside the window; a pass that had not ended runs to the window's end."""
    started_ns = timeline.passed("started_ns")
    begun = started_ns != UNSET
    ended_ns = timeline.passed("ended_ns")[begun]
    ended_ns = np.where(ended_ns == UNSET, to_ns, ended_ns)
    inside_ns = np.minimum(ended_ns, to_ns) - np.maximum(started_ns[begun], from_ns)
    return int(np.maximum(inside_ns, 0).sum())
