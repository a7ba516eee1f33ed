"""Where the time of the answered requests goes: parts of the path that add up to the latency, to the nanosecond.

retry        from the first intended send until the send of the attempt that was answered
network      there and back
front_end    waiting for and being served by the front end, on the way in and out
held         from the enqueue until a replica took it: none was ready, or all had enough
queue        from there until the instance that ran the batch was idle: the device was not to be had
batch_wait   the rest until the batch left for the instance: waiting for company, by the rule's own will, and for the
             front end to see to the timer that ends it
turnaround   batch in and results out; the results' waiting for the front end and its work on them are in it, since a
             timeline has one moment for all three (the dispatcher's holding the results). A pass that runs in the front
             end (front_end.blocking) waits for it in batch in
pass         on the device
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from policy.instant import UNSET
from policy.timeline import Outcome
from sim.engine.timelines import Timeline
from sim.outcome.measures import last_attempts

__all__ = ["PARTS", "breakdown_ns"]

Column = npt.NDArray[np.int64]

PARTS: tuple[str, ...] = ("retry", "network", "front_end", "held", "queue", "batch_wait", "turnaround", "pass")
"""The parts, in the order of the path."""


def breakdown_ns(timeline: Timeline, from_ns: int, to_ns: int) -> dict[str, Column]:
    """Return each part of the latencies of the answered requests that were intended in [from_ns, to_ns).

    Values are in the order of the intended sends and sum to RunMeasures.answered_latencies_ns. Raises ValueError if an
    answered request's pass is missing from the timeline.
    """
    rows = last_attempts(timeline, from_ns, to_ns)
    rows = rows[timeline.attempt("outcome")[rows] == Outcome.ANSWERED]
    passes = _passes_of(timeline, rows)

    def at(column: str) -> Column:
        values: Column = timeline.attempt(column)[rows]
        return values

    handed_ns = timeline.passed("handed_ns")[passes]
    idle_since_ns = timeline.passed("idle_since_ns")[passes]
    queue_ns = np.maximum(np.minimum(handed_ns, idle_since_ns) - at("placed_ns"), 0)
    return {
        "retry": at("sent_ns") - at("intended_ns"),
        "network": (at("received_ns") - at("sent_ns")) + (at("delivered_ns") - at("answered_ns")),
        "front_end": (at("enqueued_ns") - at("received_ns")) + (at("answered_ns") - at("returned_ns")),
        "held": at("placed_ns") - at("enqueued_ns"),
        "queue": queue_ns,
        "batch_wait": (handed_ns - at("placed_ns")) - queue_ns,
        "turnaround": (at("started_ns") - handed_ns) + (at("returned_ns") - at("ended_ns")),
        "pass": at("ended_ns") - at("started_ns"),
    }


def _passes_of(timeline: Timeline, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Return the rows of the passes that carried these attempts."""
    serials = timeline.attempt("serial")[rows]
    known = timeline.passed("serial")
    places = np.searchsorted(known, serials)
    found = places < len(known)
    if not found.all() or np.any(known[places] != serials) or np.any(serials == UNSET):
        raise ValueError("An answered request names a pass that the timeline does not hold.")
    return places
