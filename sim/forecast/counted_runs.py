"""Runs that are counted as they go: what comparing thousands of configurations rests on.

A run of a million requests takes a tenth of a second on the compiled engine and leaves some kB: its length costs time
alone. Run r of one configuration and run r of another have the same arrivals and dice under the same seed: they are a
pair, and their difference shows what the configurations do, not what chance did.

Their figures are a forecast's, but for two things. Quantiles are read from histograms: at most 0.4 % off, and exact
where latencies are a few values far apart. And "auto" warm-up is the same share of the time for every configuration, so
that pairs are measured over the same requests.
"""

from __future__ import annotations

import math
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from policy.instant import NEVER_NS
from policy.timeline import Outcome
from sim.engine.engine_input import EngineInput
from sim.engine.engines import Engine, chosen_engine, run
from sim.forecast.autoscaler_lead import with_chance_phases
from sim.forecast.estimates import METRICS, Figure
from sim.forecast.goal_metrics import goal_metrics, goal_windows
from sim.forecast.refusals import refuse_unresolved, refuse_unstable
from sim.forecast.request_figures import request_figures
from sim.forecast.settling import is_steady
from sim.forecast.spending import PaidRun, fleet_figures, fleet_values
from sim.forecast.warm_up import RUNGS
from sim.outcome.latencies import BATCHES_PER_RUN
from sim.outcome.run_counts import RunCounts, count_timeline, counts_of
from sim.scenario.costs import profile_of
from sim.scenario.lower import lower
from sim.scenario.schedule import arrival_pieces
from sim.scenario.spare import without_spare
from sim.scenario.spec import Scenario
from sim.scenario.traces import recorded_sizes

__all__ = ["CountedRun", "CountedTask", "count_run", "counted_figures", "counted_warm_up_ns", "draw_of"]


@dataclass(frozen=True)
class CountedTask:
    """What one run needs. Spare replicas of the scenario are down, and paid for."""

    scenario: Scenario
    seed: int
    run: int
    profile_draw: int | None  # None: the calibration's central fit, or nothing is calibrated
    warm_up_ns: int


@dataclass(frozen=True)
class CountedRun:
    """What one run comes to."""

    counts: RunCounts
    figures: dict[str, float]  # of this run alone, by their names in a forecast; NaN where it shows none

    @property
    def requests(self) -> int:
        """Measured requests."""
        return self.counts.requests

    @property
    def simulated(self) -> int:
        """Attempts and copies that the engine ran, the warm-up's too: the price of the run."""
        return self.counts.attempts


def count_run(task: CountedTask) -> CountedRun:
    """Make one run. Raises RefusedToAnswer for a load that no queue can bear."""
    tested = without_spare(task.scenario)
    refuse_unstable(tested)
    counts = _count(replace(task, scenario=tested), task.scenario.goals.p99 or NEVER_NS)
    metrics = METRICS | goal_metrics(task.scenario.goals)
    figures = {name: metric.pooled([counts]) for name, metric in metrics.items()}
    return CountedRun(counts, figures | fleet_values(task.scenario, _paid(counts)))


def counted_figures(
    scenario: Scenario,
    central: Sequence[CountedRun],
    drawn: Sequence[CountedRun] | None = None,
    *,
    only: Container[str] | None = None,
) -> dict[str, Figure]:
    """Return the figures of at least two runs pooled, or only some of those of requests, with a forecast's intervals.

    `drawn` are, pair by pair, runs on one drawn calibration each. Raises RefusedToAnswer where more than 1 % of the
    requests had no outcome, or there was none.
    """
    for some in (central, drawn or central):
        unresolved = sum(one.counts.count(Outcome.IN_FLIGHT) for one in some)
        refuse_unresolved(sum(one.requests for one in some), unresolved)
    profile = profile_of(scenario)
    known = profile is None or len(profile.draws) != 1
    others = None if drawn is None else [one.counts for one in drawn]
    figures = request_figures(scenario, [one.counts for one in central], others, calibration_known=known, only=only)
    return figures | fleet_figures(
        scenario,
        [_paid(one.counts) for one in central],
        None if drawn is None else [_paid(one.counts) for one in drawn],
        calibration_known=known,
    )


def counted_warm_up_ns(scenario: Scenario) -> int:
    """Return the warm-up in ns: the stated one; of "auto" a fixed share of the measured time under a steady load."""
    horizon = scenario.horizon
    if horizon.warm_up != "auto":
        return int(horizon.warm_up)
    return round(horizon.duration * RUNGS[0]) if is_steady(scenario) else 0


def draw_of(scenario: Scenario, run: int) -> int | None:
    """Return which draw of its calibration a run takes so that the runs together have its uncertainty; None: none."""
    profile = profile_of(scenario)
    return run % len(profile.draws) if profile is not None and len(profile.draws) > 1 else None


def _count(task: CountedTask, limit_ns: int) -> RunCounts:
    """Run and count on the chosen engine."""
    windows = math.lcm(goal_windows(task.scenario.horizon.duration), BATCHES_PER_RUN)
    if chosen_engine() == Engine.PROCESS:
        engine_input = _lowered(task, None)
        return count_timeline(run(engine_input), engine_input, windows, limit_ns)
    from sim.engine.compiled_engine import run_totals

    if len(recorded_sizes(task.scenario)):  # which belong to the arrivals of their trace
        engine_input, pieces = _lowered(task, None), None
    else:
        engine_input = _lowered(task, np.empty(0, dtype=np.int64))
        pieces = arrival_pieces(task.scenario, seed=task.seed, run=task.run, horizon_ns=engine_input.stop_ns)
    totals = run_totals(engine_input, windows, batches=BATCHES_PER_RUN, limit_ns=limit_ns, arrivals=pieces)
    return counts_of(totals, engine_input, limit_ns)


def _lowered(task: CountedTask, arrivals_ns: npt.NDArray[np.int64] | None) -> EngineInput:
    return with_chance_phases(
        lower(
            task.scenario,
            seed=task.seed,
            run=task.run,
            profile_draw=task.profile_draw,
            arrivals_ns=arrivals_ns,
            warm_up_ns=task.warm_up_ns,
        ),
        seed=task.seed,
        run=task.run,
    )


def _paid(counts: RunCounts) -> PaidRun:
    return PaidRun(counts, counts.version_fleets)
