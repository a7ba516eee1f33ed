"""Sweeps on loky, Dask and Ray: equal bytes, what is kept when workers go away, how long it takes: `make sweep-check`.

Each backend answers the same questions in a process of its own, through `servecast whatif`, as a user would: on Dask by
the address of a scheduler with two workers that this program starts, on Ray by that of a head node. Written with host,
versions and date to docs/sweep-check.json and .txt.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.results import add_files, circumstances, publish

Result = dict[str, Any]

CORES = 2
ROOT = Path(__file__).parents[2]

QUESTIONS = {
    "a queue with an unstable load in it": [
        "sentiment",
        *("--set", "batching.max_batch=2,4,8,16", "--set", "traffic.arrivals.rate=200/s..800/s:4"),
        *("--set", "queue.cap=null", "--set", "traffic.timeout=null", "--set", "horizon.duration=20s"),
    ],
    "a recorded trace": ["trace.yaml", "--set", "batching.max_wait=0ms..10ms:6", "--set", "batching.max_batch=4,8"],
    "an autoscaler": ["step-hpa", "--set", "fleet.autoscaler.target=6,10,14", "--set", "horizon.runs=5"],
    "a canary": ["canary", "--set", "rollout.analysis.count=2,3,4", "--set", "horizon.runs=5"],
    "one at a time": [
        "sentiment",
        *("--one-at-a-time", "--set", "batching.max_batch=4,16", "--set", "queue.cap=64,512", "--runs", "4"),
    ],
}

LARGE = [
    *("sentiment", "--set", "horizon.duration=250s", "--set", "batching.max_batch=4..13"),
    *("--set", "batching.max_wait=0ms..9ms:10"),
]
"""Ten runs of 250 s at 400/s for each configuration: a million measured requests."""

CAPS = ["--set", "queue.cap=32..320:10"]
"""With these, 1,000 configurations in place of 100."""


def main() -> None:
    """Check, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_files(parser)
    parser.add_argument("--small", action="store_true", help="100 configurations in place of 1,000")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        write_scenarios()
        result: Result = {
            "version": "servecast-sweep-check/1",
            **circumstances("numba", "joblib", "distributed", "ray"),
            "same_bytes": [],
            "broken_off": [],
            "large": [],
        }
        answers: dict[str, dict[str, bytes]] = {}
        for backend, cluster in (("loky", no_cluster), ("dask", dask_cluster), ("ray", ray_cluster)):
            with cluster() as where:
                answers[backend] = {name: answer(question, where) for name, question in QUESTIONS.items()}
                result["large"].append(large(backend, where, small=options.small))
        for name in QUESTIONS:
            digests = {backend: hashlib.sha256(told[name]).hexdigest()[:16] for backend, told in answers.items()}
            result["same_bytes"].append({"question": name, "sha256": digests})
        result["broken_off"] = [broken_off(backend) for backend in ("loky", "dask")]
    publish(result, as_text(result), options)
    sys.exit(0 if agrees(result) else 1)


def write_scenarios() -> None:
    """Write a scenario with a trace, into a folder in which the workers do not stand."""
    gaps = np.random.default_rng(5).gamma(0.4, 0.01 / 0.4, 12_000)
    times = "\n".join(f"{moment:.6f}" for moment in np.cumsum(gaps))
    Path("trace.csv").write_text(f"timestamp\n{times}\n", encoding="utf-8")
    trace = {
        "traffic": {"arrivals": {"process": "trace", "file": "trace.csv"}, "timeout": "1s"},
        "model": {"pass_time": {"base": "8ms", "per_item": "0.5ms"}},
        "batching": {"max_batch": 8},
        "horizon": {"duration": "60s", "warm_up": "2s", "runs": 3},
    }
    Path("trace.yaml").write_text(json.dumps(trace), encoding="utf-8")


def command(question: list[str], where: list[str]) -> list[str]:
    """Return the command that asks a question."""
    return [sys.executable, "-m", "servecast", "whatif", *question, *where, "--json", "--quiet"]


def answer(question: list[str], where: list[str]) -> bytes:
    """Return what `servecast whatif --json` prints. Whether goals are met is of no matter here."""
    done = subprocess.run(command(question, where), capture_output=True)
    if done.returncode not in {0, 1}:
        raise SystemExit(done.stderr.decode())
    return done.stdout


def large(backend: str, where: list[str], *, small: bool) -> Result:
    """Return how long the large sweep took, the start of the process and of the workers included."""
    began = time.perf_counter()
    told = answer(LARGE if small else [*LARGE, *CAPS], where)
    seconds = time.perf_counter() - began
    rows = json.loads(told)["configurations"]
    return {
        "backend": backend,
        "configurations": len(rows),
        "requests_each": min(row["requests"] for row in rows),
        "seconds": round(seconds, 1),
        "sha256": hashlib.sha256(told).hexdigest()[:16],
    }


def broken_off(backend: str) -> Result:
    """Break a sweep off by killing a worker (loky) or the whole cluster (dask), go on, and compare the bytes."""
    whole = answer(LARGE, ["--workers", str(CORES)])
    saved = Path(f"{backend}.jsonl")
    with no_cluster() if backend == "loky" else dask_cluster() as where:
        running = subprocess.Popen(command([*LARGE, "--save", str(saved)], where), stderr=subprocess.PIPE)
        wait_until(lambda: saved.exists() and len(saved.read_bytes().splitlines()) > 20)
        for process in workers_of(running.pid) if backend == "loky" else CLUSTER:
            os.kill(process, signal.SIGKILL)
        _, said = running.communicate(timeout=300)
    finished = len(saved.read_bytes().splitlines()) - 1
    told = answer([*LARGE, "--save", str(saved)], ["--workers", str(CORES)])
    return {
        "backend": backend,
        "exit_code": running.returncode,
        "said": said.decode().strip().splitlines()[-1],
        "finished_before": finished,
        "lines_behind": len(saved.read_bytes().splitlines()) - 1,
        "same_bytes": told == whole,
    }


CLUSTER: list[int] = []
"""Process ids of the cluster that runs at present."""


@contextmanager
def no_cluster() -> Iterator[list[str]]:
    """Give the options for processes on this machine."""
    yield ["--workers", str(CORES)]


@contextmanager
def dask_cluster() -> Iterator[list[str]]:
    """Start a scheduler and two workers as docs/sweeps.md shows it; give the options that name them."""
    scheduler = started("-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
    address = said_by(scheduler, r"Scheduler at: +(tcp://\S+)")
    workers = [
        started("-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard", "--no-nanny")
        for _ in range(CORES)
    ]
    for worker in workers:
        said_by(worker, "(Registered to)")
    CLUSTER[:] = [process.pid for process in (*workers, scheduler)]
    try:
        yield ["--backend", "dask", "--cluster", address]
    finally:
        stop(*workers, scheduler)


@contextmanager
def ray_cluster() -> Iterator[list[str]]:
    """Start Ray inside the process that asks, with two workers."""
    yield ["--backend", "ray", "--workers", str(CORES)]


def started(*arguments: str) -> subprocess.Popen[str]:
    """Start a process whose words on stderr can be read."""
    return subprocess.Popen([sys.executable, *arguments], cwd="/", stderr=subprocess.PIPE, text=True)


def said_by(process: subprocess.Popen[str], pattern: str) -> str:
    """Return what a process says when it is ready."""
    assert process.stderr is not None
    for line in process.stderr:
        found = re.search(pattern, line)
        if found:
            return found[1]
    raise SystemExit(f"{process.args} ended before it was ready.")


def stop(*processes: subprocess.Popen[str]) -> None:
    """End processes, whatever they are doing."""
    for process in processes:
        process.kill()
        process.wait()


def workers_of(process: int) -> list[int]:
    """Return one worker of a running sweep: a child that uses the processor."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()
    busy = [int(child) for child in children if b"popen_loky" in Path(f"/proc/{child}/cmdline").read_bytes()]
    return busy[:1]


def wait_until(condition: Any) -> None:
    """Wait for a condition, at most two minutes."""
    end = time.monotonic() + 120
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("The sweep did not get going.")
        time.sleep(0.05)


def agrees(result: Result) -> bool:
    """Return whether all bytes are equal and nothing was lost."""
    same = all(len(set(row["sha256"].values())) == 1 for row in result["same_bytes"])
    one = len({row["sha256"] for row in result["large"]}) == 1
    kept = all(row["same_bytes"] and row["finished_before"] >= 20 for row in result["broken_off"])
    return same and one and kept


def as_text(result: Result) -> str:
    """Return the result as lines."""
    named = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    lines = [f"Sweeps on loky, Dask and Ray, {result['date']}, {result['host']['cpu']}, {CORES} cores: {named}", ""]
    for row in result["same_bytes"]:
        same = len(set(row["sha256"].values())) == 1
        lines.append(f"{'same bytes' if same else 'OTHER BYTES'} on {', '.join(row['sha256'])}: {row['question']}")
    lines.append("")
    for row in result["large"]:
        lines.append(
            f"{row['configurations']} configurations of {row['requests_each'] / 1e6:.2f} M requests or more on "
            f"{row['backend']}: {row['seconds']:.0f} s, sha256 {row['sha256']}"
        )
    lines.append("")
    for row in result["broken_off"]:
        kept = "the same bytes as in one go" if row["same_bytes"] else "OTHER BYTES"
        lines.append(
            f"{row['backend']}, killed in mid-sweep: {row['finished_before']} configurations were kept, exit code "
            f"{row['exit_code']} ({row['said']}); gone on with: {kept}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
