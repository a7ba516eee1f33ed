"""Kills, hangs, hang-ups, a signal, overload, a rollback, malformed and slow senders: is every request answered once?

    python -m tests.chaos [--file FILE] [--seed N] [--only WORD]

Each scene has a fresh server and clients of its own, prints what came and what was expected, and ends with exit code 1
if anything was not as expected. Takes about three minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.text import Text

from sim.forecast.provenance import host, versions
from sim.report.tables import as_text
from sim.report.units import new_table
from tests.chaos.acts import hang_in_pass, hang_up, kill_in_pass, kill_in_rollout, overload, signal_under_load
from tests.chaos.hostile import send_malformed, send_slowly
from tests.chaos.scene import Result
from tests.chaos.server import Usage

_WIDTH = 170
_MIB = 2**20

SCENES: dict[str, Callable[[int], Coroutine[Any, Any, Result]]] = {
    "kill": lambda seed: kill_in_pass(50, seed=seed),
    "hang": lambda seed: hang_in_pass(5, seed=seed),
    "hang-up": lambda seed: hang_up(167, seed=seed),  # of three kinds: 501 in all
    "signal-1": lambda seed: signal_under_load(64, seed=seed),
    "signal-2": lambda seed: signal_under_load(64, seed=seed + 1),
    "signal-3": lambda seed: signal_under_load(64, seed=seed + 2),
    "overload": lambda seed: overload(20.0, seed=seed),
    "rollout": lambda seed: kill_in_rollout(60.0, seed=seed),
    "malformed": lambda seed: send_malformed(2000, seed=seed),
    "slow": lambda seed: send_slowly(200, seed=seed),
}


def main(argv: Sequence[str]) -> int:
    """Play the scenes and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", type=Path, help="write what is printed there as well")
    parser.add_argument("--seed", type=int, default=1, help="of the moments and of the malformed requests (default: 1)")
    parser.add_argument("--only", default="", help="only the scenes with this word in their name")
    options = parser.parse_args(argv)
    results = []
    for name, scene in SCENES.items():
        if options.only in name:
            print(f"{name} ...", end=" ", file=sys.stderr, flush=True)
            results.append(asyncio.run(scene(options.seed)))
            print("as expected" if results[-1].is_good else "NOT as expected", file=sys.stderr, flush=True)
    text = _report(results, options.seed)
    sys.stdout.write(text)
    if options.file is not None:
        options.file.write_text(text, encoding="utf-8")
    return 0 if results and all(result.is_good for result in results) else 1


def _report(results: Sequence[Result], seed: int) -> str:
    """Return all there is to say."""
    good = sum(result.is_good for result in results)
    machine = host()
    known = ", ".join(f"{name} {version}" for name, version in versions().items())
    lines: list[Any] = [
        Text(f"Chaos: {good} of {len(results)} scenes as expected."),
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC; {machine['cpu']}, {machine['cpu_count']} cores, "
        f"{machine['platform']}; {known}; seed {seed}.",
        "Before and after: resident MiB / open descriptors of the server, then of its replica processes.",
        "",
    ]
    table = new_table("scene", "requests", "ended", "before", "after", "decisions", "took", "verdict", words=1)
    for result in results:
        ended = ", ".join(f"{count} x {status}" for status, count in sorted(result.statuses.items()))
        table.add_row(
            result.name,
            str(result.statuses.total()),
            ended,
            _usage(result.before),
            _usage(result.after),
            str(result.decisions),
            f"{result.seconds:.0f} s",
            "as expected" if result.is_good else "NOT as expected",
        )
    lines.append(table)
    for result in results:
        lines += ["", Text(result.name)]
        lines += [Text(f"  {note}") for note in result.notes]
        lines += [Text(f"  {'yes' if met else 'NO '}  {what}") for what, met in result.expected]
    return as_text(Group(*lines), _WIDTH)


def _usage(usage: Usage | None) -> str:
    if usage is None:
        return "-"
    server, children = usage.memory / _MIB, usage.children_memory / _MIB
    return f"{server:.1f} / {usage.descriptors}, {children:.1f} / {usage.children_descriptors}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
