"""A run that was counted as it went, in place of a timeline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.engine.timelines import Timeline

__all__ = ["Totals"]

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Totals:
    """What a run comes to, counted as it goes: memory does not grow with its length.

    Requests count in the window in which they were intended; windows are equally long and fill the measured time. What
    is counted is named and meant as in sim/outcome/measures.py.
    """

    counts: Ints  # (windows, len(Outcome)) measured requests by their outcome
    beyond: Ints  # (windows,) answers whose latency is beyond the limit
    latencies: Ints  # (batches, BUCKETS) histograms of the answered ones, as in sim/engine/histogram.py
    shortest_ns: Ints  # (BUCKETS,) of the whole run in each bucket, as no_latencies() has it where there is none
    longest_ns: Ints
    latency_sum_ns: int
    unresolved: int  # measured requests that had no outcome when the run ended
    delivered: int
    passes: int
    batched: int
    busy_ns: int
    born: int  # attempts and copies of the whole run, the warm-up's too
    fleet: Timeline  # replicas and versions over time; no attempts, no passes
