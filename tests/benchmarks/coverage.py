"""How often the intervals of forecasts hold what they say: `make coverage`.

Many independent forecasts of systems whose answer is known. A 95 % confidence interval should contain the known answer,
and a 95 % prediction interval a fresh run, in 95 % of them; 92 to 98 % pass. One system is forecast with a wanted
precision, so that its own runs decide how many they are. Written with host, versions and date to docs/coverage.json
and .txt.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from sim.engine import compiled_engine
from sim.forecast.enough_runs import Precision
from sim.forecast.forecast import forecast
from sim.forecast.processes import core_count, map_tasks
from sim.outcome.batching_theory import BoundedBatching
from sim.outcome.measures import measure
from sim.outcome.quantiles import histogram_quantile, quantile
from sim.outcome.queueing_theory import MD1, MMc
from sim.scenario.load import load_scenario
from sim.scenario.lower import lower
from sim.scenario.spec import Scenario
from tests.benchmarks.results import add_files, circumstances, publish

WARM_UP, RUNS = "2s", 5
PASS = 0.92, 0.98
FIGURES = ("latency_ms.mean", "latency_ms.p50", "latency_ms.p99")
TRUTH_REQUESTS, FRESH_SEED = 100_000_000, 10**6


@dataclass(frozen=True)
class Task:
    """One forecast, and one run that it did not see."""

    system: str
    seed: int


def main() -> None:
    """Forecast many times, print a table, write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--forecasts", type=int, default=400, help="of each system")
    add_files(parser)
    options = parser.parse_args()
    rows = []
    for system in (*SYSTEMS, *STOPPED):
        truth = truth_of(system)
        tasks = [Task(system, seed) for seed in range(options.forecasts)]
        hits = map_tasks(partial(judged, truth), tasks, workers=core_count())
        for figure in figures_of(system):
            for kind in ("confidence", "prediction"):
                inside = [hit[figure, kind] for hit in hits]
                rows.append(row_of(system, figure, kind, truth[figure], inside))
    result = {
        "version": "servecast-coverage/1",
        **circumstances("numba"),
        "runs": RUNS,
        "durations_s": {system: make().horizon.duration / 1e9 for system, make in (SYSTEMS | STOPPED).items()},
        "precision": dict.fromkeys(STOPPED, PRECISION.share),
        "rows": rows,
    }
    publish(result, as_text(result), options)


def scenario_of(rate_per_s: int, duration: str, **changes: Any) -> Scenario:
    """Return a queue without a front end; runs are so long that each supports a p99."""
    return load_scenario(
        {
            "name": "known",
            "traffic": {"arrivals": {"process": "poisson", "rate": f"{rate_per_s}/s"}},
            "model": {"pass_time": {"base": "1ms", "per_item": "0ms"}},
            "batching": {"max_batch": 1, "max_wait": "0ms"},
            "queue": {"cap": None},
            "horizon": {"duration": duration, "warm_up": WARM_UP, "runs": RUNS},
            **changes,
        }
    )


BATCHED = {
    "model": {"pass_time": {"base": "1.8874ms", "per_item": "0.1438ms"}},
    "batching": {"max_batch": 8, "max_wait": "0ms"},
}
EXPONENTIAL = {"pass_time": {"base": "1ms", "per_item": "0ms", "spread": {"distribution": "exponential"}}}
SYSTEMS: dict[str, Callable[[], Scenario]] = {
    "M/M/1, load 0.8": partial(scenario_of, 800, "240s", model=EXPONENTIAL),
    "M/D/1, load 0.8": partial(scenario_of, 800, "180s"),
    "batches of 1 to 8, load 0.76": partial(scenario_of, 2_000, "60s", **BATCHED),
}


PRECISION = Precision(0.02)
STOPPED = {"M/M/1, load 0.8, until 2 %": partial(scenario_of, 800, "20s", model=EXPONENTIAL)}


def figures_of(system: str) -> tuple[str, ...]:
    """Return the figures that the forecasts of a system have: runs of 20 s do not support a p99."""
    return FIGURES[:-1] if system in STOPPED else FIGURES


def truth_of(system: str) -> dict[str, float]:
    """Return the known answers, in ms. The quantiles of the batch queue come from one run of 100 M requests."""
    if system.startswith("M/M/1"):
        theory = MMc(0.8, 1.0)
        values = theory.mean_response, theory.response_quantile(0.5), theory.response_quantile(0.99)
    elif system.startswith("M/D/1"):
        fixed = MD1(0.8, 1.0)
        values = fixed.mean_response, fixed.response_quantile(0.5), fixed.response_quantile(0.99)
    else:
        p50, p99 = long_run_quantiles(SYSTEMS[system]())
        values = BoundedBatching(2.0, tuple(1.8874 + 0.1438 * size for size in range(1, 9))).mean_response, p50, p99
    return dict(zip(FIGURES, values, strict=True))


def long_run_quantiles(scenario: Scenario) -> tuple[float, float]:
    """Return p50 and p99, in ms, of a run so long that its own error is small beside any forecast's."""
    rate_per_s = 2_000.0
    until_ns = int(TRUTH_REQUESTS / rate_per_s * 1e9)
    horizon = scenario.horizon.model_copy(update={"duration": until_ns})
    long = lower(
        scenario.model_copy(update={"horizon": horizon}),
        seed=FRESH_SEED,
        warm_up_ns=0,
        arrivals_ns=np.empty(0, dtype=np.int64),
    )
    counts = compiled_engine.run_totals(long, 1, arrivals=poisson_pieces(rate_per_s, until_ns)).latencies[0]
    return histogram_quantile(counts, 0.5) / 1e6, histogram_quantile(counts, 0.99) / 1e6


def poisson_pieces(rate_per_s: float, until_ns: int) -> Any:
    """Return Poisson arrivals in pieces, up to a moment."""
    generator, reached = np.random.default_rng(FRESH_SEED), 0.0
    while reached < until_ns:
        times = reached + np.cumsum(generator.exponential(1e9 / rate_per_s, 1_000_000))
        reached = float(times[-1])
        yield np.rint(times[times < until_ns]).astype(np.int64)


def judged(truth: dict[str, float], task: Task) -> dict[tuple[str, str], bool | None]:
    """Return whether each interval of one forecast holds what it should; None where it gives no figure."""
    scenario = (SYSTEMS | STOPPED)[task.system]()
    precision = PRECISION if task.system in STOPPED else None
    answer = forecast(scenario, seed=task.seed, precision=precision, workers=1)
    fresh = fresh_run(scenario, task.seed)
    hits: dict[tuple[str, str], bool | None] = {}
    for figure in figures_of(task.system):
        told = answer[figure]
        hits[figure, "confidence"] = None if told.low is None else told.low <= truth[figure] <= told.high
        bounds = told.prediction
        hits[figure, "prediction"] = None if bounds is None else bounds.low <= fresh[figure] <= bounds.high
    return hits


def fresh_run(scenario: Scenario, seed: int) -> dict[str, float]:
    """Return the figures of a run of the same length that no forecast has seen."""
    engine_input = lower(scenario, seed=FRESH_SEED + seed, warm_up_ns=int(scenario.horizon.warm_up))
    timeline = compiled_engine.run(engine_input)
    latencies_ns = measure(timeline, engine_input.measure_from_ns, engine_input.measure_to_ns).answered_latencies_ns
    mean, p50, p99 = float(latencies_ns.mean()), quantile(latencies_ns, 0.5), quantile(latencies_ns, 0.99)
    return dict(zip(FIGURES, (mean / 1e6, float(p50) / 1e6, float(p99) / 1e6), strict=True))


def row_of(system: str, figure: str, kind: str, truth: float, inside: list[bool | None]) -> dict[str, Any]:
    """Return how often an interval held."""
    told = [hit for hit in inside if hit is not None]
    share = sum(told) / len(told) if told else 0.0
    return {
        "system": system,
        "figure": figure,
        "kind": kind,
        "truth_ms": truth,
        "forecasts": len(inside),
        "without_figure": len(inside) - len(told),
        "inside_share": share,
        "passed": bool(told) and PASS[0] <= share <= PASS[1],
    }


def as_text(result: dict[str, Any]) -> str:
    """Return the result as a table."""
    counts = {system: f"as many runs as {100 * share:g} % takes" for system, share in result["precision"].items()}
    runs = [
        f"{counts.get(system, str(result['runs']) + ' runs')} of {seconds:.0f} s ({system})"
        for system, seconds in result["durations_s"].items()
    ]
    lines = [
        f"95 % intervals of forecasts from {', '.join(runs)}",
        f"{result['date']}, {result['host']['cpu']}",
        "",
        f"{'system':<32}{'figure':<18}{'interval':<14}{'known, ms':>10}{'forecasts':>11}{'inside':>9}",
    ]
    for row in result["rows"]:
        verdict = "ok" if row["passed"] else "outside 92 .. 98 %"
        lines.append(
            f"{row['system']:<32}{row['figure']:<18}{row['kind']:<14}{row['truth_ms']:>10.3f}{row['forecasts']:>11}"
            f"{row['inside_share']:>9.1%}   {verdict}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    from tests.benchmarks import coverage  # workers look for the functions here, not in __main__

    coverage.main()
