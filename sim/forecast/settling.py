"""How long the warm-up of a forecast is, and the runs that are made behind it.

The warm-up is a rung of the measured time: the runs are made with the lowest one, MSER-5 tells on the latency averaged
over all of them where they had settled, and if that was later they are made again with the rung that holds it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sim.forecast.refusals import unsettled
from sim.forecast.replications import Replication, ReplicationTask, replicate_all
from sim.forecast.warm_up import JUDGEABLE_MIN, RUNGS, settled_after_ns
from sim.scenario.costs import profile_of
from sim.scenario.spec import Scenario
from sim.scenario.versions import each_version

__all__ = ["RunBatch", "is_steady", "settled_runs"]

_STEADY = ("even", "poisson", "gamma", "mmpp")
"""Arrival processes whose law does not change over time."""

Progress = Callable[[int, int], None]


class RunBatch:
    """All runs of one forecast: how many, where, and who is told."""

    def __init__(self, scenario: Scenario, seed: int, runs: int, workers: int, progress: Progress | None) -> None:
        profile = profile_of(scenario)
        self.draws = len(profile.draws) if profile else 0  # 0: nothing is calibrated; 1: its uncertainty is not known
        self.scenario = scenario
        self._seed, self._runs, self._workers, self._progress = seed, runs, workers, progress
        self._done = 0
        self._to_come = 0  # on drawn calibrations, behind the present ones

    def run(
        self, warm_up_ns: int, *, drawn: bool = False, keeps_start: bool = False, indices: range | None = None
    ) -> list[Replication]:
        """Make every run once, or those of `indices`, on the central calibration or with a draw of it each."""
        indices = range(self._runs) if indices is None else indices
        self._to_come = 0 if drawn or self.draws <= 1 else len(indices)
        tasks = [
            ReplicationTask(
                self.scenario, self._seed, index, index % self.draws if drawn else None, warm_up_ns, keeps_start
            )
            for index in indices
        ]
        replications = replicate_all(tasks, workers=self._workers, progress=self._report)
        self._done += len(indices)
        return replications

    def _report(self, done: int, count: int) -> None:
        if self._progress is not None:
            self._progress(self._done + done, self._done + count + self._to_come)


def settled_runs(batch: RunBatch) -> tuple[list[Replication], int, str]:
    """Return the runs on the central calibration, their warm-up in ns, and how it was found.

    Raises RefusedToAnswer if the latency has not settled after a warm-up as long as the measured time.
    """
    horizon = batch.scenario.horizon
    if horizon.warm_up != "auto":
        return batch.run(int(horizon.warm_up)), int(horizon.warm_up), "stated"
    if not is_steady(batch.scenario):
        return batch.run(0), 0, "none: load or fleet change over time, and runs start empty"
    cut_ns = 0
    for rung in RUNGS:
        warm_up_ns = round(horizon.duration * rung)
        if cut_ns > warm_up_ns:
            continue
        replications = batch.run(warm_up_ns, keeps_start=True)
        starts = [one.start for one in replications if one.start is not None]
        bare = [replace(one, start=None) for one in replications]
        if min(len(latency_ns) for _, latency_ns in starts) < JUDGEABLE_MIN:
            return bare, warm_up_ns, "auto: a fixed share of the time, too few answers to judge by"
        settled_ns = settled_after_ns([start[0] for start in starts], [start[1] for start in starts])
        if settled_ns is not None and settled_ns <= warm_up_ns:
            return bare, warm_up_ns, "auto: MSER-5"
        cut_ns = settled_ns or 0
    raise unsettled(batch.scenario)


def is_steady(scenario: Scenario) -> bool:
    """Return whether the laws of the load, of the fleet and of the versions' weights do not change over time."""
    arrivals = scenario.traffic.arrivals
    changes = scenario.rollout is not None or any(each.fleet.autoscaler is not None for each in each_version(scenario))
    return not changes and (arrivals is None or arrivals.process in _STEADY)
