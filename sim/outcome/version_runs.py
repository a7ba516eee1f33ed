"""What one run amounts to for each version: the requests that it took, and the copies that it got."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from policy.timeline import Outcome
from sim.engine.timelines import Timeline
from sim.outcome.measures import Column, RunMeasures, measure

__all__ = ["VersionRun", "version_runs"]


@dataclass(frozen=True)
class VersionRun:
    """One version in one run. A request whose attempts came to several versions is one of each of them."""

    measures: RunMeasures
    copies: int  # that came to it inside the window
    copies_refused: int
    copy_ns: Column  # (answered copies,) from its enqueue until the dispatcher held the result


def version_runs(timeline: Timeline, from_ns: int, to_ns: int, *, instances: Sequence[int]) -> tuple[VersionRun, ...]:
    """Return each version over [from_ns, to_ns), none where there is one only; `instances` as measure() takes it."""
    if len(instances) == 1:
        return ()
    return tuple(
        _version_run(timeline.of_version(version), from_ns, to_ns, instances) for version in range(len(instances))
    )


def _version_run(timeline: Timeline, from_ns: int, to_ns: int, instances: Sequence[int]) -> VersionRun:
    enqueued_ns, outcomes = timeline.copied("enqueued_ns"), timeline.copied("outcome")
    inside = (enqueued_ns >= from_ns) & (enqueued_ns < to_ns)
    answered = inside & (outcomes == Outcome.ANSWERED)
    return VersionRun(
        measures=measure(timeline, from_ns, to_ns, instances=instances),
        copies=int(np.count_nonzero(inside)),
        copies_refused=int(np.count_nonzero(inside & (outcomes == Outcome.REFUSED))),
        copy_ns=timeline.copied("returned_ns")[answered] - enqueued_ns[answered],
    )
