"""Whether `servecast plan` finds the cheapest configuration, and what it simulates for that: `make plan-check`.

Generated problems, half with fixed fleets and half with autoscaled ones, some of which nothing can meet. Each is
planned, and solved by brute force: every configuration of the grid at full length, with other seeds; the optimum is the
cheapest that meets the goals with the same confidence, there and once more in fresh runs. Without those the cheapest of
many is often one that is lucky: it is near its limit, and has met it by chance. Then the plan's answer is run again,
with seeds that neither had. Written with host, versions and date to docs/plan-check.txt and .json.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sim.engine.engines import Engine, compile_engine, use_engine
from sim.errors import RefusedToAnswer
from sim.forecast.estimates import Figure
from sim.planner.bench import ScenarioBench
from sim.planner.grid import parse_axis
from sim.planner.plan import plan
from sim.planner.plan_result import Plan
from sim.planner.question import Question, asked
from sim.planner.verdicts import is_met, shares_of_limits
from tests.benchmarks.results import add_files, circumstances, publish

PROBLEMS = 20
RUNS, CONFIDENCE = 20, 0.95
BRUTE_FROM, CONFIRM_FROM, AGAIN_FROM = 2_000_000, 3_000_000, 4_000_000
"""The first run of brute force, of its confirmation and of the last look: no plan makes any of them."""

COST_MOST, SIMULATED_MOST = 1.02, 0.1
COSTS = {"replica_hour": 2.0, "machines": {"small": {"replica_hour": 1.0}, "large": {"replica_hour": 2.6}}}


@dataclass(frozen=True)
class Problem:
    """A scenario, what varies in it, and what kind of problem it is."""

    kind: str
    content: dict[str, Any]
    varied: tuple[str, ...]


def main() -> None:
    """Plan, solve by brute force, compare, write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=PROBLEMS)
    parser.add_argument("--only", type=int, help="the number of one problem, to look at it alone")
    add_files(parser)
    options = parser.parse_args()
    compile_engine()
    use_engine(Engine.COMPILED)
    began_s, rows = time.monotonic(), []
    for number, problem in enumerate(problems(options.problems)):
        if options.only in {None, number}:
            rows.append({"problem": number, "kind": problem.kind, **compared(problem, seed=number)})
            print(row_as_text(rows[-1]), flush=True)
    result = {
        "version": "servecast-plan-check/1",
        **circumstances("numba"),
        "confidence": CONFIDENCE,
        "runs": RUNS,
        "seconds": round(time.monotonic() - began_s, 1),
        "rows": rows,
        **summary(rows),
    }
    publish(result, as_text(result), options)


# Problems


def problems(count: int) -> Iterator[Problem]:
    """Yield problems, fixed and autoscaled in turn; every sixth of either kind cannot be solved."""
    for number in range(count):
        draw = random.Random(f"plan-check {number}")
        is_hopeless = number // 2 % 6 == 5
        yield (autoscaled if number % 2 else fixed)(draw, is_hopeless)


def fixed(draw: random.Random, is_hopeless: bool) -> Problem:
    """Return a problem of a fleet that never changes: 108 or 144 configurations, some with two kinds of machines."""
    base_ms, item_ms = draw.uniform(3.0, 12.0), draw.uniform(0.2, 1.0)
    sizes = sorted(draw.sample([2, 4, 8, 16, 32], 3))
    top = draw.choice([8, 12])
    one_per_s = sizes[1] / (base_ms + item_ms * sizes[1]) * 1e3
    rate = one_per_s * top * draw.uniform(0.2, 0.6)
    room = draw.uniform(1.5, 4.0)
    limit_ms = room * (base_ms + item_ms * sizes[0])
    varied = [f"fleet.replicas=1..{top}", f"batching.max_batch={','.join(map(str, sizes))}"]
    if draw.random() < 0.5:
        slow = f"{{base: {1.9 * base_ms:.3f}ms, per_item: {1.9 * item_ms:.3f}ms}}"
        quick = f"{{base: {base_ms:.3f}ms, per_item: {item_ms:.3f}ms}}"
        varied += [
            f"fleet.machine+model.pass_time=small+{slow},large+{quick}",
            f"batching.max_wait=0ms,{0.5 * base_ms:.2f}ms" + (f",{base_ms:.2f}ms" if top == 8 else ""),
        ]
        kind = "fixed, two kinds of machines"
    else:
        varied.append(f"batching.max_wait=0ms,{0.3 * base_ms:.2f}ms,{base_ms:.2f}ms" + (",30ms" if top == 8 else ""))
        kind = "fixed"
    if is_hopeless:
        kind, limit_ms = kind + ", hopeless", 1.02 * (base_ms + item_ms)
    process: dict[str, Any] = {"process": "poisson", "rate": f"{rate:.1f}/s"}
    if draw.random() < 0.4:
        process = {"process": "gamma", "rate": f"{rate:.1f}/s", "cv": draw.uniform(1.2, 2.0)}
    content = {
        "traffic": {"arrivals": process, "timeout": "5s"},
        "model": {"pass_time": {"base": f"{base_ms:.3f}ms", "per_item": f"{item_ms:.3f}ms"}},
        "batching": {"max_batch": 8},
        "queue": {"cap": 64},
        "fleet": {"routing": {"balance": draw.choice(["round_robin", "least_outstanding", "power_of_two"])}},
        "horizon": {"duration": f"{5000.0 / rate:.1f}s", "runs": RUNS},
        "goals": {"p95": f"{limit_ms:.2f}ms", "refused": "0.5%"},
        "cost": COSTS,
    }
    return Problem(kind, content, tuple(varied))


def autoscaled(draw: random.Random, is_hopeless: bool) -> Problem:
    """Return a problem of an autoscaled fleet under a load that changes: 80 to 120 configurations."""
    base_ms, item_ms = draw.uniform(15.0, 40.0), draw.uniform(1.0, 4.0)
    low_per_s = draw.uniform(40.0, 80.0)
    high_per_s = low_per_s * draw.uniform(2.0, 4.0)
    low, high, mean = (f"{rate:.1f}/s" for rate in (low_per_s, high_per_s, (low_per_s + high_per_s) / 2))
    arrivals = draw.choice(
        [
            {
                "process": "steps",
                "steps": [
                    {"rate": low, "duration": "15s"},
                    {"rate": high, "duration": "20s"},
                    {"rate": low, "duration": "15s"},
                ],
            },
            {"process": "day_curve", "mean_rate": mean, "peak_to_mean": 1.6, "peak_at": "25s", "period": "50s"},
            {"process": "spike", "rate": low, "peak_rate": high, "at": "10s", "duration": "15s", "ramp": "5s"},
        ]
    )
    limit_ms = draw.uniform(2.5, 8.0) * (base_ms + 2 * item_ms)
    if is_hopeless:
        limit_ms = 1.01 * (base_ms + item_ms)
    targets = sorted(draw.sample([1, 2, 3, 4, 6, 8, 12], 5))
    varied = (
        f"fleet.autoscaler.target={','.join(map(str, targets))}",
        f"fleet.autoscaler.min_replicas={','.join(map(str, sorted(draw.sample([1, 2, 3, 4, 5, 6], 4))))}",
        f"batching.max_batch={draw.choice(['4,8', '2,8,16', '4,16'])}",
        "fleet.autoscaler.stabilisation_down=0s,10s",
    )
    content = {
        "traffic": {"arrivals": arrivals, "timeout": "5s"},
        "model": {"pass_time": {"base": f"{base_ms:.3f}ms", "per_item": f"{item_ms:.3f}ms"}},
        "batching": {"max_batch": 8},
        "fleet": {
            "replicas": 6,
            "routing": {"balance": "least_outstanding"},
            "autoscaler": {"target": 4, "max_replicas": 16, "tick": "1s", "sample": "500ms"},
            "cold_start": {"provision": f"{draw.uniform(1.0, 4.0):.2f}s"},
        },
        "queue": {"cap": 64},
        "horizon": {"duration": "50s", "runs": RUNS},
        "goals": {"p95": f"{limit_ms:.2f}ms", "refused": "1%", "abandoned": "1%"},
        "cost": COSTS,
    }
    return Problem("autoscaled" + (", hopeless" if is_hopeless else ""), content, varied)


# Plan and brute force


def compared(problem: Problem, *, seed: int) -> dict[str, Any]:
    """Return what the plan of a problem came to, beside brute force."""
    axes = [parse_axis(text) for text in problem.varied]
    question = asked(problem.content, axes, goals=None, confidence=CONFIDENCE, runs=RUNS, seed=seed)
    began_s = time.monotonic()
    found = answer_of(problem, seed)
    planned_s = time.monotonic() - began_s
    brute = brute_force(question)
    meeting = [one for one in brute if one["meets"]]
    optimum, lucky = optimum_of(question, brute)
    row: dict[str, Any] = {
        "configurations": len(brute),
        "meeting": len(meeting),
        "optimum": optimum,
        "lucky": lucky,
        "refused": found is None,
        "feasible": found is not None and found.answer is not None,
        "planned_s": round(planned_s, 2),
        "brute_s": round(time.monotonic() - began_s - planned_s, 2),
        "simulated": 0 if found is None else sum(found.simulated.values()),
        "simulated_for": {} if found is None else found.simulated,
        "brute_simulated": sum(one["simulated"] for one in brute),
    }
    row["simulated_share"] = row["simulated"] / row["brute_simulated"]
    for_answer = sum(row["simulated_for"].get(purpose, 0) for purpose in ("search", "confirmation"))
    row["answer_share"] = for_answer / row["brute_simulated"]
    if found is not None and found.answer is not None:
        place = found.answer.place
        again = figures_of(question, place, AGAIN_FROM)
        row |= {
            "answer": found.answer.changes,
            "cost": brute[place]["cost"],
            "cost_of_optimum": None if optimum is None else brute[place]["cost"] / optimum,
            "meets_in_brute_force": brute[place]["meets"],
            "holds": all(share.value <= 1.0 for share in shares_of_limits(again, question.limits, CONFIDENCE).values()),
            "holds_surely": is_met(again, question.limits, CONFIDENCE),
        }
    return row


def answer_of(problem: Problem, seed: int) -> Plan | None:
    """Return the plan, None where it is refused."""
    axes = [parse_axis(text) for text in problem.varied]
    try:
        return plan(problem.content, axes, confidence=CONFIDENCE, seed=seed, runs=RUNS)
    except RefusedToAnswer:
        return None


def brute_force(question: Question) -> list[dict[str, Any]]:
    """Return what every configuration came to, at full length."""
    found = []
    for place in range(len(question.configurations)):
        bench = bench_of(question)
        runs = bench.runs(place, range(BRUTE_FROM, BRUTE_FROM + question.runs))
        costs = [run.figures["cost"] for run in runs]
        try:
            meets = is_met(bench.figures(place, runs), question.limits, CONFIDENCE)
        except RefusedToAnswer:
            meets = False
        simulated = sum(run.simulated for run in runs)
        found.append({"meets": meets, "cost": sum(costs) / len(costs), "simulated": simulated})
    return found


def optimum_of(question: Question, brute: Sequence[Mapping[str, Any]]) -> tuple[float | None, int]:
    """Return the cost of the cheapest that meets the goals in fresh runs too, and how many cheaper ones do not."""
    meeting = sorted((one["cost"], place) for place, one in enumerate(brute) if one["meets"])
    for lucky, (cost, place) in enumerate(meeting):
        if is_met(figures_of(question, place, CONFIRM_FROM), question.limits, CONFIDENCE):
            return cost, lucky
    return None, len(meeting)


def bench_of(question: Question) -> ScenarioBench:
    """Return what makes the runs of a question's configurations."""
    scenarios = [one.scenario for one in question.configurations]
    return ScenarioBench(scenarios, question.limits, seed=question.seed, runs=question.runs)


def figures_of(question: Question, place: int, first: int) -> Mapping[str, Figure]:
    """Return the figures of one configuration over runs from a first one on."""
    bench = bench_of(question)
    return bench.figures(place, bench.runs(place, range(first, first + question.runs)))


# Report


def is_right(row: Mapping[str, Any]) -> bool:
    """Return whether a plan is as good as it must be; one that is refused is not."""
    if row["refused"]:
        return False
    if row["optimum"] is None or not row["feasible"]:
        return row["optimum"] is None and not row["feasible"]
    return bool(row["cost_of_optimum"] <= COST_MOST and row["holds"])


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return how many are right, and what was simulated in all."""
    return {
        "right": sum(map(is_right, rows)),
        "of": len(rows),
        "simulated_share": sum(row["simulated"] for row in rows) / sum(row["brute_simulated"] for row in rows),
        "answer_share": sum(row["answer_share"] * row["brute_simulated"] for row in rows)
        / sum(row["brute_simulated"] for row in rows),
        "answer_share_most": max(row["answer_share"] for row in rows),
        "passed": all(is_right(row) and row["answer_share"] <= SIMULATED_MOST for row in rows),
    }


def row_as_text(row: Mapping[str, Any]) -> str:
    """Return one problem as a line."""
    optimum = "none" if row["optimum"] is None else f"{row['optimum']:.5f}"
    answer = "none" if not row["feasible"] else f"{row['cost']:.5f}"
    more = "" if row.get("cost_of_optimum") is None else f"{100 * (row['cost_of_optimum'] - 1):+.2f} %"
    holds = "" if not row["feasible"] else "surely" if row["holds_surely"] else "yes" if row["holds"] else "NO"
    return (
        f"{row['problem']:>3}  {row['kind']:<40}{row['configurations']:>5}{row['meeting']:>5}{optimum:>10}{answer:>10}"
        f"{more:>10}{holds:>8}{100 * row['answer_share']:>8.1f} %{100 * row['simulated_share']:>8.1f} %   "
        f"{'ok' if is_right(row) else 'NO'}"
    )


def as_text(result: Mapping[str, Any]) -> str:
    """Return the result as a table."""
    names = f"{'grid':>5}{'meet':>5}{'optimum':>10}{'plan':>10}{'above':>10}{'holds':>8}{'answer':>10}{'all':>10}"
    header = f"{'':>3}  {'problem':<40}{names}"
    return "\n".join(
        [
            "The plan's answer against brute force over the whole grid; `make plan-check`",
            f"{result['date']}, {result['host']['cpu']}, {result['seconds']:.0f} s",
            f"{result['runs']} runs of each configuration, goals met at {100 * result['confidence']:g} %. meet: so "
            "many of the grid do; optimum, plan: costs as brute force sees them;",
            "holds: in runs that neither had; surely: with the same confidence. Simulated requests as a share of brute "
            "force's: for the answer and its confirmation, and for all, headroom and frontier too.",
            "",
            header,
            *map(row_as_text, result["rows"]),
            "",
            f"{result['right']} of {result['of']} are right: at most {100 * (COST_MOST - 1):.0f} % above the optimum, "
            "and they hold, or it is said that nothing meets the goals.",
            f"{sum(row['lucky'] for row in result['rows'])} configurations were cheaper than the optimum, and met the "
            "goals in brute force's runs but not in the fresh ones that confirm it.",
            f"Simulated for the answers: {100 * result['answer_share']:.1f} % of brute force's requests, at most "
            f"{100 * result['answer_share_most']:.1f} % of a problem's; with headroom and frontier "
            f"{100 * result['simulated_share']:.1f} %.",
        ]
    )


if __name__ == "__main__":
    main()
