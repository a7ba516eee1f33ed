"""Compare the simulator with known answers: expected, got, and the 99.9 % interval of what was got.

A row passes if the expected value lies inside the interval and the interval is narrow, so that neither a wrong
simulator nor one that was run too briefly passes. Seeds are fixed: the same rows every time.

The process engine is some hundred times slower, so it simulates a sixteenth of the requests and may be less sure. What
that lets through is found otherwise: where the compiled engine is there, it must give the same bytes for each run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
import numpy.typing as npt

from sim.engine.engines import Engine
from sim.forecast.control_variates import controlled
from sim.forecast.processes import core_count, map_tasks
from sim.forecast.selftest_cases import BRIEF_WIDTH, MS, Case, Expectation, briefly, known_systems
from sim.forecast.selftest_runs import CaseRun, CaseTask, control_means, run_case
from sim.outcome.quantiles import quantile

__all__ = ["LEVEL", "SEED", "SelftestRow", "run_selftest"]

LEVEL = 0.999
"""The level of the intervals. With 35 rows of each engine, one in 14 self-tests with fresh seeds misses by chance."""

SEED = 1909
"""The year of Erlang's first paper on queues."""

_IN_MS = ("response", "first responses", "wait", "hold")
"""Readers that give times."""


@dataclass(frozen=True)
class SelftestRow:
    """One known answer and what the simulator made of it. Times are in ms, shares of 1."""

    case: str
    figure: str
    engine: str
    expected: float
    got: float
    low: float
    high: float
    half_width_share_max: float
    requests: int  # simulated and measured
    is_same: bool | None = None  # whether the runs have the compiled engine's bytes; None: it did not run them

    @property
    def half_width_share(self) -> float:
        """Half the interval's width as a share of the expected value."""
        return (self.high - self.low) / 2.0 / self.expected

    @property
    def inside(self) -> bool:
        """Whether the expected value lies inside the interval."""
        return self.low <= self.expected <= self.high

    @property
    def narrow(self) -> bool:
        """Whether the interval is as narrow as is demanded."""
        return self.half_width_share <= self.half_width_share_max

    @property
    def passed(self) -> bool:
        """Whether the expected value lies inside a narrow interval, of runs that both engines agree on."""
        return self.inside and self.narrow and self.is_same is not False

    def to_json(self) -> dict[str, object]:
        """Return the row as plain values."""
        return {
            "case": self.case,
            "figure": self.figure,
            "engine": self.engine,
            "expected": self.expected,
            "got": self.got,
            "low": self.low,
            "high": self.high,
            "half_width_share": self.half_width_share,
            "half_width_share_max": self.half_width_share_max,
            "inside": self.inside,
            "same_bytes": self.is_same,
            "passed": self.passed,
            "requests": self.requests,
        }


def run_selftest(
    cases: Sequence[Case] | None = None,
    *,
    engines: Sequence[Engine] = (Engine.COMPILED, Engine.PROCESS),
    seed: int = SEED,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[SelftestRow]:
    """Simulate cases (None: every one) and return the rows of each engine: the same for any number of workers.

    `workers` None takes all cores; `progress` is called with runs done and runs in all. It takes half a minute: ten
    million requests are simulated.
    """
    whole = known_systems() if cases is None else cases
    parts = [(engine, briefly(case) if engine == Engine.PROCESS else case) for case in whole for engine in engines]
    has_both = set(engines) == set(Engine)
    tasks = [
        CaseTask(case, _run_seed(seed, case.name, index), engine, has_both and engine == Engine.PROCESS)
        for engine, case in parts
        for index in range(case.runs)
    ]
    runs = iter(map_tasks(run_case, tasks, workers=core_count() if workers is None else workers, progress=progress))
    rows = []
    for engine, case in parts:
        of_case = [next(runs) for _ in range(case.runs)]
        rows += [_row(case, expectation, engine, of_case) for expectation in case.expectations]
    return rows


def _run_seed(seed: int, name: str, index: int) -> int:
    """Return the seed of one run: a case gives the same rows alone and among others."""
    key = np.random.SeedSequence(entropy=seed, spawn_key=(crc32(name.encode()), index))
    return int(key.generate_state(1, np.uint64)[0])


def _row(case: Case, expectation: Expectation, engine: Engine, runs: Sequence[CaseRun]) -> SelftestRow:
    """Return one row: the figure over all runs, and its interval from their spread."""
    values = [run.values[expectation.reader] for run in runs]
    got, bounds = controlled(
        _statistic(case, expectation, values),
        [_statistic(case, expectation, [one]) for one in values],
        np.array([run.controls for run in runs]),
        np.array(control_means(case)),
        LEVEL,
    )
    return SelftestRow(
        case=case.name,
        figure=_figure(expectation),
        engine=engine.value,
        expected=expectation.value,
        got=got,
        low=bounds.low,
        high=bounds.high,
        half_width_share_max=expectation.half_width_max * (BRIEF_WIDTH if engine == Engine.PROCESS else 1.0),
        requests=sum(run.requests for run in runs),
        is_same=None if runs[0].is_same is None else all(run.is_same for run in runs),
    )


def _statistic(case: Case, expectation: Expectation, runs: Sequence[npt.NDArray[np.int64]]) -> float:
    """Return the figure over runs."""
    pooled = np.concatenate(runs)
    if expectation.statistic == "rate":
        return len(pooled) / (case.measured_ms * len(runs))
    value = float(quantile(pooled, 0.99)) if expectation.statistic == "p99" else float(pooled.mean())
    return value / MS if expectation.reader in _IN_MS else value


def _figure(expectation: Expectation) -> str:
    """Return what a row shows, in words."""
    if expectation.statistic == "rate":
        return f"{expectation.reader} per ms"
    unit = " (ms)" if expectation.reader in _IN_MS else ""
    return f"{expectation.reader} {expectation.statistic}{unit}"
