"""What the measurements at one server process amount to: sums over blocks of time, and the passes of each batch size.

The fit needs nothing else, so a bootstrap draw is a new choice of blocks, runs and passes and never looks at a
timeline again. A few long delays are the host's, not the server's: each delay counts at most as much as the largest of
its kind once the longest hundredth is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from calibration.batch_timers import due_moments, woken_by_timer
from calibration.front_end_waits import Services, front_end_waits
from calibration.samples import LoadSample, Samples
from policy.instant import UNSET
from policy.timeline import Outcome
from sim.engine.timelines import Timeline

__all__ = ["RunCost", "Session", "Sum", "resample", "session_of"]

Times = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_BLOCK_NS = 500_000_000
_CLIPPED_SHARE = 0.01
_OUTLIER_DEVIATIONS = 20  # median absolute deviations: ten means of an exponential time


class Sum(IntEnum):
    """The columns of a block: counts, and sums of times in ns."""

    PASSES = 0
    BATCH_IN = 1  # handed -> started
    HOP_TIME = 2  # ended -> returned, the wait for the front end taken off
    STEPS = 3  # from one answer of a batch to its next
    STEP_TIME = 4
    REQUESTS = 5
    IN_TIME = 6  # intended -> enqueued, the wait for the front end taken off
    RESPONSES = 7
    OUT_TIME = 8  # returned -> delivered, the wait for the front end taken off
    ANSWER_TIME = 9  # of OUT_TIME: returned -> answered, the wait for the front end taken off
    TIMERS = 10  # batches that nothing but their timer held back, the front end idle when it was due
    TIMER_TIME = 11  # due -> closed


class RunCost(NamedTuple):
    """What one steady load cost the server's process."""

    rate_per_s: float
    cpu_ns: float
    requests: int
    passes: int


@dataclass(frozen=True)
class Session:
    """One server process. `blocks` has shape (blocks, columns of Sum); `runs` is each block's place in `costs`."""

    max_batch: int
    blocks: Floats
    runs: npt.NDArray[np.int64]
    costs: tuple[RunCost, ...]
    pass_ns: Mapping[int, Floats]  # by batch size; each pass, bursts included
    run_passes: tuple[Mapping[int, tuple[float, int]], ...] = ()  # of each run: mean time and number by batch size


def session_of(samples: Samples, services: Services | None = None) -> Session:
    """Return the sums of one server process.

    `services` are the front end's service times, from which the waits are worked out; without them there are none.
    """
    blocks = [_blocks(load.timeline, samples, services or Services()) for load in samples.loads]
    timelines = [*samples.bursts, *(load.timeline for load in samples.loads)]
    pass_ns = _passes_by_size(timelines)
    return Session(
        max_batch=samples.max_batch,
        blocks=np.concatenate(blocks),
        runs=np.repeat(np.arange(len(blocks)), [len(rows) for rows in blocks]),
        costs=tuple(_cost(load) for load in samples.loads),
        pass_ns=pass_ns,
        run_passes=tuple(_means_by_size(load.timeline, pass_ns) for load in samples.loads),
    )


def resample(session: Session, rng: np.random.Generator) -> Session:
    """Return a bootstrap draw: runs with replacement within each rate, blocks within each run, passes within each size.

    Runs are drawn first, because on a real host one differs from the next by more than its own blocks explain. One
    fewer is drawn than there are: with as many, the spread of the draws would be too small by sqrt((n - 1) / n), much
    for a few runs (Rao and Wu, JASA 83:231, 1988).
    """
    rates = np.array([cost.rate_per_s for cost in session.costs])
    picked: list[int] = []
    blocks: list[npt.NDArray[np.int64]] = []
    for rate in np.unique(rates):
        for run in _drawn(np.flatnonzero(rates == rate), rng).tolist():
            blocks.append(_drawn(np.flatnonzero(session.runs == run), rng))
            picked.append(run)
    return Session(
        max_batch=session.max_batch,
        blocks=session.blocks[np.concatenate(blocks)],
        runs=np.repeat(np.arange(len(picked)), [len(rows) for rows in blocks]),
        costs=tuple(session.costs[run] for run in picked),
        pass_ns={size: rng.choice(times, len(times)) for size, times in session.pass_ns.items()},
        run_passes=tuple(session.run_passes[run] for run in picked) if session.run_passes else (),
    )


def _drawn(items: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return items drawn with replacement, one fewer than there are."""
    return rng.choice(items, max(len(items) - 1, 1))


def _cost(load: LoadSample) -> RunCost:
    """Return what the load cost."""
    started = load.timeline.passed("started_ns") != UNSET
    return RunCost(load.rate_per_s, load.cpu_s * 1e9, len(load.timeline.attempts), int(np.count_nonzero(started)))


def _blocks(timeline: Timeline, samples: Samples, services: Services) -> Floats:
    """Return the sums of each block of time. A pass counts where it was handed over, a request where it was due."""
    came_ns = timeline.attempt("enqueued_ns")
    arrived = np.flatnonzero(came_ns != UNSET)
    answered = _answered_in_order(timeline)
    ran = np.flatnonzero((timeline.passed("started_ns") != UNSET) & (timeline.passed("returned_ns") != UNSET))
    intended_ns = timeline.attempt("intended_ns")[arrived]
    in_ns = came_ns[arrived] - intended_ns
    returned_ns = timeline.attempt("returned_ns")[answered]
    out_ns = timeline.attempt("delivered_ns")[answered] - returned_ns
    ended_ns = timeline.passed("ended_ns")[ran]
    hop_ns = timeline.passed("returned_ns")[ran] - ended_ns
    due_ns = due_moments(timeline, samples.batching, samples.instances)
    timers = np.flatnonzero(due_ns != UNSET)
    hop_waits, timer_waits, out_waits, in_waits = front_end_waits(
        [
            ended_ns + _to_station_ns(hop_ns, services.pass_result_ns),
            due_ns[timers],
            returned_ns,
            intended_ns + _to_station_ns(in_ns, services.request_ns),
        ],
        services,
    )
    table = _Table(int(max(intended_ns.max(initial=0), returned_ns.max(initial=0))) // _BLOCK_NS + 1)
    table.add(Sum.REQUESTS, Sum.IN_TIME, intended_ns, in_ns - in_waits)
    answer_ns = timeline.attempt("answered_ns")[answered] - returned_ns
    table.add(Sum.RESPONSES, Sum.ANSWER_TIME, returned_ns, answer_ns - out_waits)
    table.rows[:, Sum.RESPONSES] = 0  # counted with the next
    table.add(Sum.RESPONSES, Sum.OUT_TIME, returned_ns, out_ns - out_waits)
    handed_ns = timeline.passed("handed_ns")[ran]
    table.add(Sum.PASSES, Sum.BATCH_IN, handed_ns, timeline.passed("started_ns")[ran] - handed_ns)
    table.rows[:, Sum.PASSES] = 0  # counted with the next
    table.add(Sum.PASSES, Sum.HOP_TIME, handed_ns, hop_ns - hop_waits)
    _add_steps(table, timeline, answered)
    # A timer that found other work was overtaken by it: whatever job ends first behind the due moment closes the batch.
    alone = timers[(timer_waits == 0) & woken_by_timer(timeline, samples.batching, due_ns)[timers]]
    table.add(Sum.TIMERS, Sum.TIMER_TIME, due_ns[alone], timeline.passed("closed_ns")[alone] - due_ns[alone])
    return table.rows


def _to_station_ns(way_ns: Times, service_ns: int) -> Times:
    """Return how long each job is on its way to the front end, given how long it takes until it has been served.

    That is the median without the service, or less: a job that was done sooner must have come sooner.
    """
    if len(way_ns) == 0:
        return way_ns
    to_station_ns: Times = np.maximum(np.minimum(way_ns, int(np.median(way_ns))) - service_ns, 0)
    return to_station_ns


class _Table:
    """Sums by block."""

    def __init__(self, blocks: int) -> None:
        self.rows = np.zeros((blocks, len(Sum)))

    def add(self, count: Sum, total: Sum, at_ns: Times, values: Times, weights: Times | None = None) -> None:
        """Count values and add them up, clipped from above, in the blocks of their moments."""
        if len(values) == 0:
            return
        weights = np.ones(len(values), dtype=np.int64) if weights is None else weights
        clipped = np.minimum(values, np.quantile(values, 1 - _CLIPPED_SHARE, method="inverted_cdf"))
        place = np.minimum(at_ns // _BLOCK_NS, len(self.rows) - 1)
        np.add.at(self.rows[:, count], place, weights)
        np.add.at(self.rows[:, total], place, clipped * weights)


def _answered_in_order(timeline: Timeline) -> npt.NDArray[np.intp]:
    """Return the rows of the answered attempts that a pass carried, by their return and then by their answer."""
    answered_ns, returned_ns = timeline.attempt("answered_ns"), timeline.attempt("returned_ns")
    answered = np.flatnonzero((timeline.attempt("outcome") == Outcome.ANSWERED) & (returned_ns != UNSET))
    return answered[np.lexsort((answered_ns[answered], returned_ns[answered]))]


def _add_steps(table: _Table, timeline: Timeline, answered: npt.NDArray[np.intp]) -> None:
    """Add the time from one answer of a batch to its next, a mean over each batch of two or more."""
    serials = timeline.attempt("serial")[answered]
    returned_ns, delivered_ns = timeline.attempt("returned_ns")[answered], timeline.attempt("delivered_ns")[answered]
    _, first, counts = np.unique(serials, return_index=True, return_counts=True)
    several = counts > 1
    first, counts = first[several], counts[several]
    steps_ns = (delivered_ns[first + counts - 1] - delivered_ns[first]) // np.maximum(counts - 1, 1)
    table.add(Sum.STEPS, Sum.STEP_TIME, returned_ns[first], steps_ns, counts - 1)


def _passes_by_size(timelines: Sequence[Timeline]) -> dict[int, Floats]:
    """Return the times of the passes by batch size, without those far from the median of their size."""
    sizes = np.concatenate([timeline.passed("batch_size") for timeline in timelines])
    started_ns = np.concatenate([timeline.passed("started_ns") for timeline in timelines])
    times = np.concatenate([timeline.passed("ended_ns") for timeline in timelines]) - started_ns
    ran = started_ns != UNSET
    return {int(size): _without_outliers(times[ran & (sizes == size)]) for size in np.unique(sizes[ran])}


def _means_by_size(timeline: Timeline, kept: Mapping[int, Floats]) -> dict[int, tuple[float, int]]:
    """Return mean time and number of a run's passes by size, leaving out what was left out of all passes."""
    started_ns, sizes = timeline.passed("started_ns"), timeline.passed("batch_size")
    times = timeline.passed("ended_ns") - started_ns
    means = {}
    for size in np.unique(sizes[started_ns != UNSET]).tolist():
        own = times[(started_ns != UNSET) & (sizes == size)]
        own = own[(own >= kept[size].min()) & (own <= kept[size].max())]
        if len(own):
            means[size] = (float(own.mean()), len(own))
    return means


def _without_outliers(times: Times) -> Floats:
    """Return the times within twenty median absolute deviations of the median: beyond, the host stood still."""
    centre = np.median(times)
    deviation = np.median(np.abs(times - centre))
    kept = times[np.abs(times - centre) <= max(_OUTLIER_DEVIATIONS * deviation, centre / 1000)]
    return np.asarray(kept, dtype=np.float64)
