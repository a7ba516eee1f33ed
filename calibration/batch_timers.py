"""When the dispatcher asked to be woken for a batch, and how late it then closed it.

What the wait of a batch counts from is policy's rule; here is found, from a server's timeline, what the rule saw.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from policy.batching import BatchingRule, Cause, Collector, CollectorState, CollectorView, Freeze, TimerOrigin, step
from policy.instant import NEVER_NS, UNSET
from sim.engine.timelines import Timeline

__all__ = ["due_moments", "woken_by_timer"]

Times = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


def due_moments(timeline: Timeline, rule: BatchingRule, instances: int) -> Times:
    """Return for each pass when the wait of its batch was over, UNSET where that came to nothing or is not known.

    It came to nothing if the batch was full before, or its oldest request overdue when the one before it closed. Not
    known it is where the wait counts from a collector's taking and several instances collect: a timeline does not show
    which of them was open.
    """
    due_ns = np.full(len(timeline.passes), UNSET, dtype=np.int64)
    several_collect = rule.collector != Collector.DISPATCHER and instances > 1
    if rule.max_wait_ns == 0 or (several_collect and rule.timer_origin != TimerOrigin.ENQUEUE):
        return due_ns
    closed_ns, oldest_ns = timeline.passed("closed_ns"), _oldest_ns(timeline)
    opened_ns = np.maximum(np.concatenate([[0], closed_ns])[:-1], 0)
    if rule.collector != Collector.DISPATCHER:
        opened_ns = np.maximum(opened_ns, timeline.passed("idle_since_ns"))
    for row in np.flatnonzero(oldest_ns != UNSET).tolist():
        wait_over_ns = _asked_for_ns(rule, int(opened_ns[row]), int(oldest_ns[row]))
        if opened_ns[row] < wait_over_ns <= closed_ns[row]:
            due_ns[row] = wait_over_ns
    return due_ns


def woken_by_timer(timeline: Timeline, rule: BatchingRule, due_ns: Times) -> Flags:
    """Return which batches nothing but their timer held back: a device was idle when their wait was over."""
    waited: Flags = (due_ns != UNSET) & (timeline.passed("cause") == Cause.WAITED)
    if rule.collector == Collector.DISPATCHER and rule.freeze == Freeze.TIMER:
        return waited
    idle: Flags = timeline.passed("idle_since_ns") <= due_ns
    return waited & idle


def _asked_for_ns(rule: BatchingRule, opened_ns: int, oldest_ns: int) -> int:
    """Return the moment a collector asks for that has just taken its first request; NEVER_NS if it asks for none."""
    taken_ns = max(opened_ns, oldest_ns)
    view = CollectorView(collecting=True, held=1, queued=0, oldest_enqueued_ns=oldest_ns, parked=0, running=0)
    _, decision = step(rule, CollectorState(opened_ns, taken_ns), view, min(taken_ns, oldest_ns))
    return NEVER_NS if decision.close else decision.ask_again_ns


def _oldest_ns(timeline: Timeline) -> Times:
    """Return when the oldest member of each pass was enqueued, UNSET for one without members in the timeline."""
    serials, placed_ns = timeline.attempt("serial"), timeline.attempt("placed_ns")
    known = timeline.passed("serial")
    carried = np.flatnonzero((serials != UNSET) & (placed_ns != UNSET) & np.isin(serials, known))
    oldest_ns = np.full(len(known), NEVER_NS, dtype=np.int64)
    np.minimum.at(oldest_ns, np.searchsorted(known, serials[carried]), placed_ns[carried])
    return np.where(oldest_ns == NEVER_NS, UNSET, oldest_ns)
