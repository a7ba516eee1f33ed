"""How often a difference that is none seems to be one, and how much pairing helps to see one: `make differences`.

Many pairs of configurations, each of a few runs that are counted. First pairs that differ by chance alone: at 95 %, 2
to 8 % of them may be called more than noise. Then pairs that do differ: how often that is seen, with common seeds and
without. Written with host, versions and date to docs/paired-differences.json and .txt.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from sim.forecast.counted_runs import CountedTask, count_run, counted_figures, counted_warm_up_ns
from sim.forecast.estimates import Figure
from sim.forecast.paired import Difference, beyond_noise_together, figure_difference
from sim.forecast.processes import core_count, map_tasks
from sim.forecast.provenance import host, versions
from sim.scenario.spec import Scenario
from tests.benchmarks.coverage import BATCHED, RUNS, scenario_of

OTHER_SEED = 10**6
PASS = 0.02, 0.08
FIGURES = ("latency_ms.mean", "latency_ms.p50", "latency_ms.p99", "throughput_per_s", "gpu_busy_share")

Make = Callable[[], Scenario]
BATCHES = partial(scenario_of, 2_000, "30s", **BATCHED)
ONE = partial(scenario_of, 600, "60s")
TWO = partial(scenario_of, 1_200, "60s")


@dataclass(frozen=True)
class Pair:
    """Two scenarios."""

    a: Make
    b: Make
    same_seed: bool = True


NOTHING_CHANGED = {
    "M/D/1, load 0.6, another seed": Pair(ONE, ONE, same_seed=False),
    "batches of 1 to 8, load 0.76, another seed": Pair(BATCHES, BATCHES, same_seed=False),
    "one of two replicas by a die, or one of two equal versions": Pair(
        partial(TWO, fleet={"replicas": 2, "routing": {"balance": "random"}}),
        partial(TWO, versions=[{"name": "v1"}, {"name": "v2", "weight": "50%"}]),
    ),
}
"""Pairs that differ by chance alone. The last one meets the same arrivals in both, and other dice behind them."""

CHANGED = {
    "M/D/1, load 0.6: 1 % more requests": Pair(ONE, partial(scenario_of, 606, "60s")),
    "batches of 1 to 8, load 0.76: of 1 to 9": Pair(
        BATCHES, partial(BATCHES, batching={"max_batch": 9, "max_wait": "0ms"})
    ),
    "batches of 1 to 8, load 0.76: passes 1 % faster": Pair(
        BATCHES, partial(BATCHES, model={"pass_time": {"base": "1.8685ms", "per_item": "0.1424ms"}})
    ),
}
"""Pairs that do differ, by little."""


@dataclass(frozen=True)
class Task:
    """One pair of configurations."""

    pair: str
    seed: int


def main() -> None:
    """Compare many times, print the tables, write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1_000, help="of each kind that differs by chance alone")
    parser.add_argument("--changed", type=int, default=200, help="of each kind that differs")
    parser.add_argument("--text", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    false_alarms, seen = [], []
    for pair in (*NOTHING_CHANGED, *CHANGED):
        count = options.pairs if pair in NOTHING_CHANGED else options.changed
        tasks = [Task(pair, seed) for seed in range(count)]
        told = map_tasks(differences_of, tasks, workers=core_count())
        for figure in FIGURES:
            if pair in NOTHING_CHANGED:
                false_alarms.append(alarm_row(pair, figure, [paired[figure] for paired, _ in told]))
            else:
                seen.append(seen_row(pair, figure, [(paired[figure], apart[figure]) for paired, apart in told]))
        if pair in NOTHING_CHANGED:
            false_alarms.append(any_row(pair, [list(paired.values()) for paired, _ in told]))
    result = {
        "version": "servecast-paired-differences/1",
        "date": datetime.now(UTC).date().isoformat(),
        "host": host(),
        "versions": versions(),
        "runs": RUNS,
        "false_alarms": false_alarms,
        "seen": seen,
    }
    text = as_text(result)
    print(text)
    if options.text:
        options.text.write_text(text + "\n", encoding="utf-8")
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def differences_of(task: Task) -> tuple[dict[str, Difference | None], dict[str, Difference | None]]:
    """Return the differences of one pair, paired and from the intervals of two seeds."""
    pair = (NOTHING_CHANGED | CHANGED)[task.pair]
    a = made(pair.a, task.seed)
    b = made(pair.b, task.seed if pair.same_seed else task.seed + OTHER_SEED)
    paired = {figure: figure_difference(a[figure], b[figure]) for figure in FIGURES}
    if task.pair in NOTHING_CHANGED:
        return paired, {}
    other = made(pair.b, task.seed + OTHER_SEED)
    return paired, {figure: figure_difference(a[figure], other[figure], same_seed=False) for figure in FIGURES}


def made(make: Make, seed: int) -> dict[str, Figure]:
    """Return the figures of one configuration."""
    scenario = make()
    warm_up_ns = counted_warm_up_ns(scenario)
    tasks = [CountedTask(scenario, seed, run, None, warm_up_ns) for run in range(RUNS)]
    return counted_figures(scenario, [count_run(task) for task in tasks])


def alarm_row(pair: str, figure: str, differences: list[Difference | None]) -> dict[str, Any]:
    """Return how often a figure seemed to differ that did not."""
    told = [difference.beyond_noise for difference in differences if difference is not None]
    return judged({"pair": pair, "figure": figure, "pairs": len(told)}, sum(told) / max(len(told), 1))


def any_row(pair: str, pairs: list[list[Difference | None]]) -> dict[str, Any]:
    """Return how often any of the figures did with all of them taken together, which may be never."""
    p_values = [[each.p_value for each in differences if each is not None] for differences in pairs]
    share = sum(any(beyond_noise_together(each)) for each in p_values) / len(pairs)
    row = judged({"pair": pair, "figure": "any of them, together", "pairs": len(pairs)}, share)
    return row | {"passed": share <= PASS[1]}


def judged(row: dict[str, Any], share: float) -> dict[str, Any]:
    """Return a row with the share of false alarms and whether it may be so large."""
    return row | {"false_alarms_share": share, "passed": PASS[0] <= share <= PASS[1]}


def seen_row(pair: str, figure: str, told: list[tuple[Difference | None, Difference | None]]) -> dict[str, Any]:
    """Return how often a difference was seen, and how wide the intervals were."""
    both = [(paired, apart) for paired, apart in told if paired is not None and apart is not None]
    narrow, wide = (median(each.high - each.low for each in side) for side in zip(*both, strict=True))
    return {
        "pair": pair,
        "figure": figure,
        "pairs": len(both),
        "difference": median(paired.value for paired, _ in both),
        "seen_paired": sum(paired.beyond_noise for paired, _ in both) / len(both),
        "seen_unpaired": sum(apart.beyond_noise for _, apart in both) / len(both),
        "times_as_narrow": wide / narrow if narrow > 0 else None,  # None: certain, as it is the same in every pair
    }


def as_text(result: dict[str, Any]) -> str:
    """Return the result as tables."""
    lines = [
        f"Differences of two configurations of {result['runs']} runs each, at 95 %",
        f"{result['date']}, {result['host']['cpu']}",
        "",
        f"{'nothing changed':<60}{'figure':<24}{'pairs':>6}{'more than noise':>18}",
    ]
    for row in result["false_alarms"]:
        verdict = "ok" if row["passed"] else "outside 2 .. 8 %"
        start = f"{row['pair']:<60}{row['figure']:<24}{row['pairs']:>6}"
        lines.append(f"{start}{row['false_alarms_share']:>18.1%}   {verdict}")
    lines += [
        "",
        f"{'something changed':<60}{'figure':<24}{'pairs':>6}{'by':>10}{'seen, one seed':>16}{'two':>9}{'times':>11}",
    ]
    for row in result["seen"]:
        start = f"{row['pair']:<60}{row['figure']:<24}{row['pairs']:>6}{row['difference']:>+10.4f}"
        times = "" if row["times_as_narrow"] is None else f"{row['times_as_narrow']:.1f}"
        lines.append(f"{start}{row['seen_paired']:>16.1%}{row['seen_unpaired']:>9.1%}{times:>11}")
    return "\n".join(lines)


if __name__ == "__main__":
    from tests.benchmarks import paired_differences  # workers look for the functions here, not in __main__

    paired_differences.main()
