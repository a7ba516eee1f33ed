"""What two ways to reduce variance gain, measured: `make variance`.

Antithetic arrivals: runs in pairs, the second with 1 - u where the first has u, so that what is dense in one is thin in
the other. Common random numbers: two configurations compared run by run on the same arrivals and dice. The gain is how
many times as many independent runs would give the same variance. Written with host, versions and date to
docs/variance.txt.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from servecast.scenarios import load_scenario
from sim.engine.engine_input import EngineInput
from sim.engine.engines import Engine, compile_engine, run, use_engine
from sim.forecast.processes import core_count, map_tasks
from sim.outcome.measures import measure
from sim.outcome.quantiles import quantile
from sim.scenario.capacity import mean_rate_per_s
from sim.scenario.lower import lower
from sim.scenario.spec import Scenario
from tests.benchmarks.coverage import SYSTEMS
from tests.benchmarks.results import add_files, circumstances, publish

FIGURES = ("mean", "p50", "p99")
WARM_UP_NS, MEASURED_NS = 2 * 10**9, 30 * 10**9
SEED, RESAMPLES = 5, 2_000
WORTH_BUILDING = 1.3
"""Below this gain antithetic runs are not worth having two kinds of runs."""

Floats = npt.NDArray[np.float64]


def main() -> None:
    """Measure, print a table, write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=400, help="pairs of runs for each row")
    add_files(parser)
    options = parser.parse_args()
    compile_engine()
    use_engine(Engine.COMPILED)
    rows = [
        *antithetic_rows("M/M/1, load 0.8", options.runs),
        *antithetic_rows("M/D/1, load 0.8", options.runs),
        *antithetic_rows("batches of 1 to 8, load 0.76", options.runs),
        *common_rows("400/s", options.runs),
        *common_rows("500/s", options.runs),
    ]
    result = {"version": "servecast-variance/1", **circumstances("numba"), "runs": options.runs, "rows": rows}
    publish(result, as_text(result), options)


# Antithetic arrivals


def antithetic_rows(system: str, runs: int) -> list[dict[str, Any]]:
    """Return the gain for each figure of one queue."""
    pairs = np.array(map_tasks(partial(antithetic_pair, system), range(runs), workers=core_count()))
    return rows_of("antithetic arrivals", system, pairs, of_a_sum)


def antithetic_pair(system: str, number: int) -> tuple[list[float], list[float]]:
    """Return the figures of two runs whose arrivals mirror each other, with dice of their own."""
    scenario = SYSTEMS[system]()
    uniforms = np.random.default_rng((SEED, number)).random(round(1.2 * mean_rate_per_s(scenario) * 40))
    mirrored = (uniforms, 1.0 - uniforms)
    one, other = (figures_of(antithetic_input(scenario, 2 * number + place, u)) for place, u in enumerate(mirrored))
    return one, other


def antithetic_input(scenario: Scenario, number: int, uniforms: Floats) -> EngineInput:
    """Return a run with Poisson arrivals by the inverse of their law."""
    gaps_ns = -np.log1p(-uniforms) / mean_rate_per_s(scenario) * 1e9
    arrivals_ns = np.rint(np.cumsum(gaps_ns)).astype(np.int64)
    assert arrivals_ns[-1] > WARM_UP_NS + MEASURED_NS
    return lower(briefer(scenario), seed=SEED, run=number, warm_up_ns=WARM_UP_NS, arrivals_ns=arrivals_ns)


def of_a_sum(pairs: Floats) -> float:
    """Return the variance of a sum of two runs if they were independent, over that of these pairs."""
    return float(pairs.var(axis=0, ddof=1).sum() / pairs.sum(axis=1).var(ddof=1))


# Common random numbers


def common_rows(rate: str, runs: int) -> list[dict[str, Any]]:
    """Return the gain for each figure's difference between batches of up to 8 and of up to 16."""
    pairs = np.array(map_tasks(partial(common_pair, rate), range(runs), workers=core_count()))
    return rows_of("common random numbers", f"sentiment at {rate}, max_batch 16 - 8", pairs, of_a_difference)


def common_pair(rate: str, number: int) -> tuple[list[float], list[float]]:
    """Return the figures of one run of each configuration, on the same arrivals and dice."""
    one, other = (
        briefer(load_scenario("sentiment", [f"traffic.arrivals.rate={rate}", f"batching.max_batch={size}"]))
        for size in (8, 16)
    )
    first, second = (figures_of(lower(each, seed=SEED, run=number, warm_up_ns=WARM_UP_NS)) for each in (one, other))
    return first, second


def of_a_difference(pairs: Floats) -> float:
    """Return the variance of a difference if its runs were independent, over that of these pairs."""
    return float(pairs.var(axis=0, ddof=1).sum() / (pairs[:, 1] - pairs[:, 0]).var(ddof=1))


# Both


def briefer(scenario: Scenario) -> Scenario:
    """Return the scenario with runs of MEASURED_NS."""
    return scenario.model_copy(update={"horizon": scenario.horizon.model_copy(update={"duration": MEASURED_NS})})


def figures_of(engine_input: EngineInput) -> list[float]:
    """Return mean, p50 and p99 of a run, in ms."""
    timeline = run(engine_input)
    latencies_ns = measure(timeline, engine_input.measure_from_ns, engine_input.measure_to_ns).answered_latencies_ns
    figures = latencies_ns.mean(), quantile(latencies_ns, 0.5), quantile(latencies_ns, 0.99)
    return [float(figure) / 1e6 for figure in figures]


def rows_of(how: str, what: str, pairs: Floats, gain: Callable[[Floats], float]) -> list[dict[str, Any]]:
    """Return a row for each figure; `pairs` are (runs, 2, figures). The interval is that of a bootstrap of runs."""
    chosen = np.random.default_rng(SEED).integers(len(pairs), size=(RESAMPLES, len(pairs)))
    rows = []
    for place, figure in enumerate(FIGURES):
        values = pairs[:, :, place]
        low, high = np.quantile([gain(values[sample]) for sample in chosen], [0.025, 0.975]).tolist()
        rows.append({"how": how, "what": what, "figure": figure, "gain": gain(values), "low": low, "high": high})
    return rows


def as_text(result: dict[str, Any]) -> str:
    """Return the result as a table."""
    antithetic = max(row["gain"] for row in result["rows"] if row["how"].startswith("antithetic"))
    verdict = "are worth building" if antithetic >= WORTH_BUILDING else f"stay below {WORTH_BUILDING} and are not built"
    lines = [
        f"How many times as many independent runs would give the same variance (95 % interval), {result['runs']} pairs "
        f"of runs of {MEASURED_NS / 1e9:.0f} s; `make variance`",
        f"{result['date']}, {result['host']['cpu']}",
        "",
        f"{'':<24}{'':<44}{'figure':<10}{'gain':>8}{'95 % interval':>20}",
    ]
    for row in result["rows"]:
        interval = f"{row['low']:.2f} .. {row['high']:.2f}"
        lines.append(f"{row['how']:<24}{row['what']:<44}{row['figure']:<10}{row['gain']:>8.2f}{interval:>20}")
    lines += [
        "",
        f"Antithetic arrivals {verdict}. Two forecasts of one seed have common random numbers anyway.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    from tests.benchmarks import variance  # workers look for the functions here, not in __main__

    variance.main()
