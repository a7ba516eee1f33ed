"""Independent runs of one scenario: each lowered, run and measured, in this process or in several.

Run r has its own dice and arrivals, derived from (seed, r); so run r on the central calibration and run r on a drawn
one are a pair, and their difference shows what the calibration's uncertainty does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sim.engine.engines import run
from sim.forecast.autoscaler_lead import with_chance_phases
from sim.forecast.processes import map_tasks
from sim.outcome.breakdown import breakdown_ns
from sim.outcome.measures import RunMeasures, measure
from sim.outcome.rollout_course import RolloutRun, rollout_of
from sim.outcome.version_runs import VersionRun, version_runs
from sim.scenario.lower import lower
from sim.scenario.spec import Scenario

__all__ = ["Replication", "ReplicationTask", "replicate", "replicate_all"]

Column = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ReplicationTask:
    """What one run needs."""

    scenario: Scenario
    seed: int
    run: int
    profile_draw: int | None  # None: the calibration's central fit
    warm_up_ns: int
    keeps_start: bool  # also return the latencies from time 0 on, for finding the warm-up


@dataclass(frozen=True)
class Replication:
    """What one run amounts to."""

    measures: RunMeasures
    part_sums_ns: dict[str, int]  # each part of the latencies, summed over the answered requests
    start: tuple[Column, Column] | None  # intended sends and latencies of the answered requests since time 0
    versions: tuple[VersionRun, ...] = ()  # each one, where there are several
    rollout: RolloutRun | None = None


def replicate(task: ReplicationTask) -> Replication:
    """Run one replication."""
    engine_input = with_chance_phases(
        lower(task.scenario, seed=task.seed, run=task.run, profile_draw=task.profile_draw, warm_up_ns=task.warm_up_ns),
        seed=task.seed,
        run=task.run,
    )
    from_ns, to_ns = engine_input.measure_from_ns, engine_input.measure_to_ns
    instances = engine_input.instances
    timeline = run(engine_input)
    start = None
    if task.keeps_start:
        whole = measure(timeline, 0, to_ns, instances=instances)
        answered = whole.latency_ns >= 0
        start = (whole.intended_ns[answered], whole.latency_ns[answered])
    return Replication(
        measures=measure(timeline, from_ns, to_ns, instances=instances),
        part_sums_ns={part: int(times.sum()) for part, times in breakdown_ns(timeline, from_ns, to_ns).items()},
        start=start,
        versions=version_runs(timeline, from_ns, to_ns, instances=instances),
        rollout=rollout_of(timeline, engine_input.versions, engine_input.seed),
    )


def replicate_all(
    tasks: Sequence[ReplicationTask], *, workers: int, progress: Callable[[int, int], None] | None = None
) -> list[Replication]:
    """Run replications; the result does not depend on the number of workers."""
    return map_tasks(replicate, tasks, workers=workers, progress=progress)
