"""Whether a planned fleet keeps its goals on a live server, and one replica fewer does not: `make check-plan`.

The planner says how many replicas a load takes. That fleet is served with emulated devices and its own traffic is sent
to it, three valid runs, and then the same to a fleet of one less. Written to docs/check-plan.txt and .json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import servecast as sc
from tests.benchmarks.results import add_files, circumstances, publish

SCENARIO = {
    "name": "planned",
    "traffic": {"arrivals": {"process": "poisson", "rate": "160/s"}, "timeout": "5s"},
    "model": {"pass_time": {"base": "80ms", "per_item": "5ms"}},
    "batching": {"max_batch": 8, "max_wait": "10ms"},
    "queue": {"cap": 64},
    "front_end": {"request": "0.2ms", "response": "0.1ms"},
    "fleet": {
        "turnaround": {"batch_in": "0.3ms", "results_out": "0.3ms"},
        "routing": {"balance": "least_outstanding"},
    },
    "horizon": {"duration": "40s", "warm_up": "5s", "runs": 20},
    "goals": {"p99": "350ms", "refused": "0.1%"},
    "cost": {"replica_hour": 2.0, "currency": "EUR"},
}
VARIED = {"fleet.replicas": "1..8"}
REPEATS = 3


def main() -> None:
    """Plan, serve, compare, write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_files(parser)
    options = parser.parse_args()
    planned = sc.plan(SCENARIO, VARIED)
    if planned.answer is None:
        raise SystemExit(sc.as_text(planned))
    replicas = int(planned.answer.changes["fleet.replicas"])
    fleets = {count: measured(count) for count in (replicas, replicas - 1)}
    result = {
        "version": "servecast-check-plan/1",
        **circumstances(),
        "scenario": SCENARIO,
        "plan": planned.to_json(),
        "fleets": {str(count): runs for count, runs in fleets.items()},
    }
    publish(result, as_text(sc.as_text(planned), fleets), options)


def measured(replicas: int) -> list[dict[str, Any]]:
    """Return p99 in ms and the share of refusals of each valid run of a fleet, and whether both goals were kept."""
    with TemporaryDirectory() as folder:
        scenario, report = Path(folder) / "planned.json", Path(folder) / "report.json"
        scenario.write_text(json.dumps(SCENARIO), encoding="utf-8")
        changes = ["--set", f"fleet.replicas={replicas}"]
        effort = ["--own-traffic", "--stated", "--repeats", str(REPEATS), "--quiet", "--json-file", str(report)]
        done = subprocess.run(
            [sys.executable, "-m", "servecast", "check", str(scenario), *changes, *effort],
            check=False,
            capture_output=True,
            text=True,
        )
        if not report.exists():
            raise SystemExit(done.stderr)
        (point,) = json.loads(report.read_text(encoding="utf-8"))["points"]
    valid = [attempt for attempt in point["attempts"] if attempt["valid"]]
    runs = [{score["figure"]: score["measured"] for score in attempt["scores"]} for attempt in valid]
    return [{**run_of(run), "predicted_p99_ms": forecast_of(point)} for run in runs]


def run_of(figures: dict[str, float]) -> dict[str, Any]:
    """Return what a run showed of the goals."""
    p99_ms, refused = figures["latency_ms.p99"], figures["refused_share"]
    return {"p99_ms": p99_ms, "refused_share": refused, "goals_kept": p99_ms <= 350.0 and refused <= 0.001}


def forecast_of(point: dict[str, Any]) -> list[float]:
    """Return the 95 % interval of single runs that was forecast for p99, in ms."""
    figure = point["prediction"]["figures"]["latency_ms.p99"]
    return [figure["low"], figure["high"]]


def as_text(plan: str, fleets: dict[int, list[dict[str, Any]]]) -> str:
    """Return the plan and a line for each run."""
    lines = [plan, "", "On a live server, goals p99 350 ms and refused 0.1 %:"]
    for replicas, runs in fleets.items():
        lines += [
            f"{replicas} replicas: p99 {run['p99_ms']:.0f} ms (forecast {run['predicted_p99_ms'][0]:.0f} .. "
            f"{run['predicted_p99_ms'][1]:.0f}), refused {run['refused_share']:.2%}: "
            f"{'kept' if run['goals_kept'] else 'broken'}"
            for run in runs
        ]
        kept = sum(run["goals_kept"] for run in runs)
        lines.append(f"{replicas} replicas: the goals are kept in {kept} of {len(runs)} valid runs.")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
