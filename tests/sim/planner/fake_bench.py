"""A bench of known truth: latencies and costs are what a function says, times noise alike for all in one run."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sim.forecast.estimates import Figure, mean_of_runs
from sim.planner.search import Run


@dataclass(frozen=True)
class FakeRun:
    """One run of a thousand requests."""

    figures: dict[str, float]
    simulated: int = 1000


class FakeBench:
    """Runs of candidates whose long-run figures are known, and a note of who ran how often."""

    def __init__(
        self,
        truth: Callable[[int], dict[str, float]],
        *,
        noise: float = 0.05,
        common: float = 0.05,
        seed: int = 0,
    ) -> None:
        self.made: dict[int, int] = {}
        self.truth = truth
        self._noise, self._common, self._seed = noise, common, seed

    def runs(self, place: int, indices: range) -> Sequence[Run]:
        """Return runs, each with noise of its own and noise that all candidates share in it."""
        self.made[place] = self.made.get(place, 0) + len(indices)
        return [FakeRun(self._one(place, index)) for index in indices]

    def figures(self, place: int, runs: Sequence[Run]) -> Mapping[str, Figure]:
        """Return the means, with Student's intervals."""
        return {name: mean_of_runs([run.figures[name] for run in runs]) for name in runs[0].figures}

    def _one(self, place: int, index: int) -> dict[str, float]:
        shared = 1.0 + self._common * random.Random(f"{self._seed}:{index}").gauss(0.0, 1.0)
        own = random.Random(f"{self._seed}:{index}:{place}")
        return {
            name: value * (shared if name == "cost" else shared * (1.0 + self._noise * own.gauss(0.0, 1.0)))
            for name, value in self.truth(place).items()
        }
