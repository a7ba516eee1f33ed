"""Runs of the configurations of a plan: counted, with the same arrivals and dice for run r of each.

Of a calibrated model each run is made twice, on the calibration's central fit and on one of its draws, so that what the
calibration leaves open is part of every interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sim.forecast.counted_runs import (
    CountedRun,
    CountedTask,
    count_run,
    counted_figures,
    counted_warm_up_ns,
    draw_of,
)
from sim.forecast.estimates import Figure
from sim.forecast.goal_metrics import stand_ins
from sim.planner.search import Run
from sim.scenario.spec import Scenario

__all__ = ["ScenarioBench"]


@dataclass(frozen=True)
class _BenchRun:
    """One run, and the same on a drawn calibration if there are any."""

    central: CountedRun
    drawn: CountedRun | None

    @property
    def figures(self) -> Mapping[str, float]:
        """Figures of the run on the central calibration."""
        return self.central.figures

    @property
    def simulated(self) -> int:
        """Attempts and copies that were simulated."""
        return self.central.simulated + (self.drawn.simulated if self.drawn is not None else 0)


class ScenarioBench:
    """Makes runs of scenarios, by their place among them."""

    def __init__(
        self,
        scenarios: Sequence[Scenario],
        limits: Mapping[str, float],
        *,
        seed: int,
        runs: int,
        more: Sequence[str] = (),
    ) -> None:
        """Figures are those with limits and `more`, beside those of the fleet; `runs` are all that there will be."""
        self._scenarios, self._limits, self._seed, self._count = scenarios, limits, seed, runs
        self._wanted = frozenset([*limits, *more])

    def runs(self, place: int, indices: range) -> Sequence[Run]:
        """Return runs of a scenario. Raises RefusedToAnswer for a load that no queue can bear."""
        scenario = self._scenarios[place]
        warm_up_ns = counted_warm_up_ns(scenario)

        def one(index: int, draw: int | None) -> CountedRun:
            return count_run(CountedTask(scenario, self._seed, index, draw, warm_up_ns))

        draws = [draw_of(scenario, index) for index in indices]
        return [
            _BenchRun(one(index, None), None if draw is None else one(index, draw))
            for index, draw in zip(indices, draws, strict=True)
        ]

    def figures(self, place: int, runs: Sequence[Run]) -> Mapping[str, Figure]:
        """Return the wanted figures, and what stands in for those that the runs are too short for.

        It does where all runs that there will be, or those here if they are more, show enough.

        Raises RefusedToAnswer where requests have no outcome.
        """
        scenario = self._scenarios[place]
        made = [run for run in runs if isinstance(run, _BenchRun)]
        central, drawn = [run.central for run in made], [run.drawn for run in made if run.drawn is not None]
        figures = counted_figures(scenario, central, drawn or None, only=self._wanted)
        figures |= stand_ins(
            self._limits,
            figures,
            [run.counts for run in central],
            [run.counts for run in drawn] or None,
            of_runs=max(self._count, len(made)),
        )
        return figures
