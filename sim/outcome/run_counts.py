"""What one run amounts to where its requests were counted and not kept: the figures of measures.py, in a few kB.

The compiled engine counts as it goes; a timeline is counted afterwards, to the same numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from policy import retries
from policy.timeline import Outcome
from sim.engine.engine_input import EngineInput
from sim.engine.histogram import BUCKETS, buckets_of, no_latencies
from sim.engine.timelines import Timeline
from sim.engine.totals import Totals
from sim.outcome.fleet_course import FleetCourse, course_of
from sim.outcome.latencies import BATCHES_PER_RUN, CountedLatencies
from sim.outcome.measures import MeasuredRun, last_attempts, measure
from sim.outcome.quantiles import rank

__all__ = ["RunCounts", "count_timeline", "counts_of"]

Ints = npt.NDArray[np.int64]

_P99 = 0.99


@dataclass(frozen=True, kw_only=True)
class RunCounts(MeasuredRun):
    """One run, its requests counted in equally long windows of their intended sends."""

    outcomes: Ints  # (windows, len(Outcome)), those without one IN_FLIGHT in the last; whole windows to each batch
    beyond: Ints  # (windows,) answers whose latency is beyond limit_ns
    limit_ns: int
    latencies_counted: CountedLatencies
    attempts: int  # and copies, of the whole run: what it cost to make
    version_fleets: tuple[FleetCourse, ...]  # of each version

    @property
    def requests(self) -> int:
        """Requests intended inside the window."""
        return int(self.outcomes.sum())

    def count(self, outcome: Outcome) -> int:
        """Return how many requests ended so."""
        return int(self.outcomes[:, outcome].sum())

    @property
    def latencies(self) -> CountedLatencies:
        """Latencies of the answered requests."""
        return self.latencies_counted

    def count_within(self, limit_ns: int) -> int:
        """Return how many were answered within the limit for which they were counted. Raises ValueError for another."""
        self._refuse_other(limit_ns)
        return self.count(Outcome.ANSWERED) - int(self.beyond.sum())

    @property
    def parts_max(self) -> int:
        """How many equally long parts the measured time can be cut into: that many, no other number."""
        return BATCHES_PER_RUN

    def part(self, from_ns: int, to_ns: int) -> RunCounts:
        """Return one of BATCHES_PER_RUN equally long parts. Raises ValueError for another window."""
        edges = self.edges_ns(BATCHES_PER_RUN)
        if from_ns not in edges[:-1] or to_ns != edges[edges.index(from_ns) + 1]:
            raise ValueError(f"The run was counted in {BATCHES_PER_RUN} parts, of which [{from_ns}, {to_ns}) is none.")
        batch, width = edges.index(from_ns), len(self.outcomes) // BATCHES_PER_RUN
        inside = slice(batch * width, (batch + 1) * width)
        return replace(
            self,
            from_ns=from_ns,
            to_ns=to_ns,
            outcomes=self.outcomes[inside],
            beyond=self.beyond[inside],
            latencies_counted=self.latencies_counted.of_batch(batch),
        )

    def breaches(self, windows: int, p99_ns: int | None, refused: float | None) -> int:
        """Return the breaches. Raises ValueError for windows or a limit that the counts do not tell."""
        if len(self.outcomes) % windows:
            raise ValueError(f"The run was counted in {len(self.outcomes)} windows, which do not make {windows}.")
        outcomes = self.outcomes.reshape(windows, -1, len(Outcome)).sum(axis=1)
        answered, of_all = outcomes[:, Outcome.ANSWERED], outcomes.sum(axis=1)
        is_breach = np.zeros(windows, dtype=np.bool_)
        if p99_ns is not None:
            self._refuse_other(p99_ns)
            allowed = np.array([count - rank(count, _P99) if count else 0 for count in answered.tolist()])
            is_breach |= self.beyond.reshape(windows, -1).sum(axis=1) > allowed
        if refused is not None:
            is_breach |= outcomes[:, Outcome.REFUSED] / np.maximum(of_all, 1) > refused
        return int(is_breach.sum())

    def _refuse_other(self, limit_ns: int) -> None:
        if limit_ns != self.limit_ns:
            raise ValueError(f"Answers were counted by a limit of {self.limit_ns} ns, not of {limit_ns} ns.")


def counts_of(totals: Totals, engine_input: EngineInput, limit_ns: int) -> RunCounts:
    """Return what the compiled engine counted, with `limit_ns` and batches = BATCHES_PER_RUN."""
    outcomes = totals.counts.copy()
    outcomes[-1, Outcome.IN_FLIGHT] += totals.unresolved
    return RunCounts(
        from_ns=engine_input.measure_from_ns,
        to_ns=engine_input.measure_to_ns,
        fleet=course_of(totals.fleet, engine_input.instances),
        delivered=totals.delivered,
        passes=totals.passes,
        batched=totals.batched,
        busy_ns=totals.busy_ns,
        outcomes=outcomes,
        beyond=totals.beyond.copy(),
        limit_ns=limit_ns,
        latencies_counted=CountedLatencies.of_histograms(
            totals.latencies, totals.shortest_ns, totals.longest_ns, totals.latency_sum_ns
        ),
        attempts=totals.born,
        version_fleets=_version_fleets(totals.fleet, engine_input.instances),
    )


def count_timeline(timeline: Timeline, engine_input: EngineInput, windows: int, limit_ns: int) -> RunCounts:
    """Return the same counts of a run whose rows were kept."""
    from_ns, to_ns, instances = engine_input.measure_from_ns, engine_input.measure_to_ns, engine_input.instances
    run = measure(timeline, from_ns, to_ns, instances=instances)
    rows = last_attempts(timeline, from_ns, to_ns)
    ended = run.outcomes.copy()
    ended[_awaits_retry(engine_input, timeline.attempt("attempt")[rows], ended)] = Outcome.IN_FLIGHT
    begins_ns = [from_ns - (-window * (to_ns - from_ns) // windows) for window in range(windows)]
    window = np.searchsorted(np.array(begins_ns), run.intended_ns, side="right") - 1
    outcomes = np.zeros((windows, len(Outcome)), dtype=np.int64)
    np.add.at(outcomes, (window, ended), 1)
    unresolved = int(outcomes[:, Outcome.IN_FLIGHT].sum())
    outcomes[:, Outcome.IN_FLIGHT] = 0
    outcomes[-1, Outcome.IN_FLIGHT] = unresolved  # by which window, the compiled engine does not say
    answered = run.outcomes == Outcome.ANSWERED
    latencies_ns = run.latency_ns[answered]
    histograms = np.zeros((BATCHES_PER_RUN, BUCKETS), dtype=np.int64)
    buckets = buckets_of(latencies_ns)
    np.add.at(histograms, (window[answered] * BATCHES_PER_RUN // windows, buckets), 1)
    shortest_ns, longest_ns = no_latencies()
    np.minimum.at(shortest_ns, buckets, latencies_ns)
    np.maximum.at(longest_ns, buckets, latencies_ns)
    beyond = np.bincount(window[answered][latencies_ns > limit_ns], minlength=windows)
    return RunCounts(
        from_ns=from_ns,
        to_ns=to_ns,
        fleet=run.fleet,
        delivered=run.delivered,
        passes=run.passes,
        batched=run.batched,
        busy_ns=run.busy_ns,
        outcomes=outcomes,
        beyond=beyond,
        limit_ns=limit_ns,
        latencies_counted=CountedLatencies.of_histograms(histograms, shortest_ns, longest_ns, int(latencies_ns.sum())),
        attempts=len(timeline.attempts) + len(timeline.copies),
        version_fleets=_version_fleets(timeline, instances),
    )


def _awaits_retry(engine_input: EngineInput, attempts: Ints, outcomes: Ints) -> npt.NDArray[np.bool_]:
    """Return of which requests another attempt was to come when the run ended."""
    rule = engine_input.traffic.retry
    pairs, of_each = np.unique(np.column_stack([attempts, outcomes]), axis=0, return_inverse=True)
    wants = [retries.wants_retry(rule, attempt, outcome) for attempt, outcome in pairs.tolist()]
    return np.array(wants, dtype=np.bool_)[of_each]


def _version_fleets(fleet: Timeline, instances: Sequence[int]) -> tuple[FleetCourse, ...]:
    """Return the replicas of each version over time."""
    if len(instances) == 1:
        return (course_of(fleet, instances),)
    return tuple(course_of(fleet.of_version(version), instances) for version in range(len(instances)))
