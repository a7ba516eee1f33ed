"""How fast the engines are, in requests per second on one core: `make bench`.

In every round each engine runs each scenario once, so that a slow moment of the host hits all of them; ratios are of
the same round. The compiled engine counts outcomes and a latency histogram in each of 60 windows as it goes; the
process engine returns its rows. Written with host, versions and date to docs/engine-speed.json and .txt.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from sim.arrivals.rate_curve import day_curve, pieces_along
from sim.engine import compiled_engine, process_engine
from sim.outcome.quantiles import histogram_quantile
from sim.scenario.load import load_scenario
from sim.scenario.lower import lower
from tests.benchmarks.engines_compared import (
    FLEETS,
    PlainModel,
    ciw_served,
    engine_input_of,
    poisson,
    rate_per_s,
    recursion,
)
from tests.benchmarks.results import add_files, circumstances, publish

WINDOWS = 60
COMPILED_REQUESTS, PROCESS_REQUESTS, CIW_REQUESTS = 2_000_000, 20_000, 10_000
DAY_NS, DAY_PER_S = 86_400 * 10**9, 1_000.0

Row = dict[str, Any]


def main() -> None:
    """Measure, print a table, write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    add_files(parser)
    parser.add_argument("--day", action="store_true", help="run the day alone, and print it as JSON")
    options = parser.parse_args()
    if options.day:
        print(json.dumps(simulated_day()))
        return
    rows = [compared(fleet, bare, options.rounds) for fleet in FLEETS for bare in (True, False)]
    result: Row = {
        "version": "servecast-engine-speed/1",
        **circumstances("numba"),
        "rows": rows,
        "others": others(options.rounds),
        "day": in_its_own_process("--day"),
        "start_up_s": start_up(),
    }
    publish(result, as_text(result), options)


def compared(fleet: str, bare: bool, rounds: int) -> Row:
    """Return the rates of both engines on a scenario, round by round."""
    large, small = (engine_input_of(fleet, count, bare=bare) for count in (COMPILED_REQUESTS, PROCESS_REQUESTS))
    compiled_engine.run_totals(small, WINDOWS)
    compiled, process = [], []
    for _ in range(rounds):
        compiled.append(COMPILED_REQUESTS / timed(lambda: compiled_engine.run_totals(large, WINDOWS)))
        process.append(PROCESS_REQUESTS / timed(lambda: process_engine.run(small)))
    ratios = [fast / slow for fast, slow in zip(compiled, process, strict=True)]
    return {"fleet": fleet, "bare": bare, "compiled_per_s": compiled, "process_per_s": process, "ratio": ratios}


def others(rounds: int) -> dict[str, list[float]]:
    """Return the rates of other simulators, on the smallest scenario or less."""
    fleet = next(iter(FLEETS))
    few, many = (poisson(rate_per_s(fleet), count) for count in (PROCESS_REQUESTS, COMPILED_REQUESTS))
    histogram = np.zeros(2**16, dtype=np.int64)
    recursion(few, histogram)
    rates: dict[str, list[float]] = {"a plain SimPy model": [], "Ciw, M/M/1": [], "a loop for this case alone": []}
    for _ in range(rounds):
        rates["a plain SimPy model"].append(PROCESS_REQUESTS / timed(PlainModel(few).run))
        rates["a loop for this case alone"].append(COMPILED_REQUESTS / timed(lambda: recursion(many, histogram)))
        rates["Ciw, M/M/1"].append(CIW_REQUESTS / timed(lambda: ciw_served(CIW_REQUESTS)))
    return rates


def simulated_day() -> Row:
    """Return a day along a curve, with an autoscaler and a cold start, in windows of a minute."""
    scenario = load_scenario(
        {
            "name": "day",
            "traffic": {"arrivals": {"process": "poisson", "rate": f"{DAY_PER_S:.0f}/s"}, "timeout": "1s"},
            "model": {"pass_time": {"base": "8ms", "per_item": "0.5ms"}},
            "batching": {"max_batch": 8, "max_wait": "5ms"},
            "queue": {"cap": 256},
            "front_end": {"request": "50us", "response": "30us"},
            "fleet": {
                "replicas": 3,
                "routing": {"balance": "least_outstanding"},
                "cold_start": {"load": "40s"},
                "autoscaler": {
                    "formula": "ratio",
                    "signal": "in_flight",
                    "target": 8,
                    "min_replicas": 1,
                    "max_replicas": 12,
                    "sample": "15s",
                    "window": "60s",
                    "tick": "15s",
                    "dead_band_up": "10%",
                    "dead_band_down": "10%",
                    "stabilisation_down": "300s",
                },
            },
            "horizon": {"duration": "24h", "warm_up": "0s"},
        }
    )
    engine_input = lower(scenario, seed=1, warm_up_ns=0, arrivals_ns=np.empty(0, dtype=np.int64))
    curve = day_curve(DAY_PER_S, 2.0, DAY_NS // 2, DAY_NS)
    until_ns = engine_input.measure_to_ns + 10 * 10**9
    began = time.perf_counter()
    totals = compiled_engine.run_totals(
        engine_input, 1_440, arrivals=pieces_along(curve, 1.0, until_ns, np.random.default_rng(1))
    )
    took_s = time.perf_counter() - began
    requests = int(totals.counts.sum()) + totals.unresolved
    return {
        "requests": requests,
        "seconds": took_s,
        "per_s": requests / took_s,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "windows": len(totals.counts),
        "replicas_ordered": len(totals.fleet.replicas),
        "p99_ms": histogram_quantile(totals.latencies.sum(axis=0), 0.99) / 1e6,
        "highest_p99_of_a_minute_ms": max(histogram_quantile(row, 0.99) for row in totals.latencies) / 1e6,
    }


def in_its_own_process(*arguments: str) -> Row:
    """Return what this program prints in a process of its own, where the memory is nobody else's."""
    command = [sys.executable, "-m", "tests.benchmarks.engine_speed", *arguments]
    result: Row = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return result


def start_up() -> dict[str, float]:
    """Return how long `servecast forecast sentiment` takes in a fresh process: compiled already, and never compiled.

    Python's own bytecode is there in both cases, as it is after any installation and any first run.
    """
    command = [sys.executable, "-m", "servecast", "forecast", "sentiment", "--quiet"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def run(cache: str | None) -> float:
        own = environment if cache is None else {**environment, "SERVECAST_CACHE": cache}
        return timed(lambda: subprocess.run(command, env=own, stdout=subprocess.DEVNULL, check=True))

    run(None)

    with tempfile.TemporaryDirectory() as empty:
        return {
            "compiled": statistics.median(run(None) for _ in range(5)),
            "not compiled": statistics.median(run(empty) for _ in range(3)),
        }


def timed(action: Callable[[], object]) -> float:
    """Return how long an action takes, in seconds."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def as_text(result: Row) -> str:
    """Return the result as a table of medians, with the lowest and the highest of the rounds."""
    lines = [
        f"Requests per second on one core, {result['date']}, {result['host']['cpu']}, "
        f"Python {result['versions']['python']}: medians of the rounds (lowest .. highest)",
        "",
        f"{'scenario':<76}{'compiled':>24}{'process engine':>24}{'ratio':>24}",
    ]
    for row in result["rows"]:
        name = f"{row['fleet']}, {'bare' if row['bare'] else 'front end and time-outs'}"
        ratio = f"{statistics.median(row['ratio']):.0f} ({min(row['ratio']):.0f} .. {max(row['ratio']):.0f})"
        fast, slow = spread(row["compiled_per_s"], 1e6, "M"), spread(row["process_per_s"], 1e3, "k")
        lines.append(f"{name:<76}{fast:>24}{slow:>24}{ratio:>24}")
    lines.append("")
    for name, rates in result["others"].items():
        scale = (1e6, "M") if statistics.median(rates) > 1e6 else (1e3, "k")
        lines.append(f"{name:<76}{spread(rates, *scale):>24}")
    day, start = result["day"], result["start_up_s"]
    lines += [
        "",
        f"A day of {day['requests'] / 1e6:.1f} M requests along a day curve, with an autoscaler and {day['windows']} "
        f"windows: {day['seconds']:.1f} s, {day['peak_mb']:.0f} MB; p99 {day['p99_ms']:.0f} ms.",
        f"servecast forecast sentiment in a fresh process: {start['compiled']:.2f} s with compiled code, "
        f"{start['not compiled']:.2f} s without (process engine).",
    ]
    return "\n".join(lines)


def spread(rates: list[float], scale: float, unit: str) -> str:
    """Return the median of rates with their range."""
    return f"{statistics.median(rates) / scale:.1f} {unit} ({min(rates) / scale:.1f} .. {max(rates) / scale:.1f})"


if __name__ == "__main__":
    main()
