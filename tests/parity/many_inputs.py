"""Compare the two engines on as many generated inputs as one likes: `make parity`.

The tests compare some 2,000, the same ones in every run. Here they come in parts, each with a seed of its own, so that
one that fails is found again by --family and --first-seed. Written with host, versions and date to docs/parity.txt.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis.strategies import SearchStrategy

from sim.engine.engine_input import EngineInput
from sim.engine.engines import compile_engine
from sim.forecast.processes import core_count, map_tasks
from tests.benchmarks.results import add_files, circumstances, publish
from tests.parity.inputs import (
    faulty_inputs,
    faulty_version_inputs,
    fixed_fleet_inputs,
    fleet_inputs,
    inputs,
    version_inputs,
)
from tests.parity.same_bytes import assert_same
from tests.parity.same_totals import assert_same_totals

PART = 500
"""Inputs of one part: what is tried grows slower with their number, and a seed is quicker to repeat."""

COUNTED = "counted fleets that never change"
"""The family of which no rows are compared, but what runs are counted to."""

FAMILIES: dict[str, SearchStrategy[EngineInput]] = {
    "one replica": inputs(),
    "fleets": fleet_inputs(),
    "faults": faulty_inputs(),
    "versions": version_inputs(),
    "versions with faults": faulty_version_inputs(),
    COUNTED: fixed_fleet_inputs(),
}


@dataclass(frozen=True)
class Part:
    """Some inputs of a family: those that a seed gives."""

    family: str
    seed: int
    inputs: int


@dataclass(frozen=True)
class Compared:
    """What became of a part: how many inputs were compared, and how the first that differs does."""

    part: Part
    inputs: int
    difference: str | None


def compared(part: Part) -> Compared:
    """Compare the engines on the inputs of a part, up to the first that differs."""
    count = 0

    @seed(part.seed)
    @settings(max_examples=part.inputs, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(FAMILIES[part.family])
    def check(given_: EngineInput) -> None:
        nonlocal count
        count += 1
        assert_same_totals(given_) if part.family == COUNTED else assert_same(given_)

    try:
        check()
    except Exception as error:  # whatever a driver trips over is a difference too
        return Compared(part, count, f"{type(error).__name__}: {error}\n" + "\n".join(getattr(error, "__notes__", [])))
    return Compared(part, count, None)


def main(arguments: Sequence[str]) -> int:
    """Compare, print, write; 1 if anything differs."""
    options = options_of(arguments)
    compile_engine()
    per_family = -(-options.inputs // len(options.family))
    parts = [
        Part(family, options.first_seed + place, min(PART, per_family - place * PART))
        for family in options.family
        for place in range(-(-per_family // PART))
    ]
    began = time.monotonic()
    found = map_tasks(compared, parts, workers=options.workers, progress=tell)
    result = {
        "version": "servecast-parity/1",
        **circumstances("numba", "hypothesis"),
        "first_seed": options.first_seed,
        "seconds": time.monotonic() - began,
        "inputs": {family: sum(one.inputs for one in found if one.part.family == family) for family in options.family},
        "differences": [
            {"family": one.part.family, "seed": one.part.seed, "inputs": one.part.inputs, "difference": one.difference}
            for one in found
            if one.difference is not None
        ],
    }
    publish(result, as_text(result), options)
    return 1 if result["differences"] else 0


def options_of(arguments: Sequence[str]) -> argparse.Namespace:
    """Return what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=60_000, help="in all (default: 60000)")
    parser.add_argument("--family", choices=FAMILIES, nargs="+", default=list(FAMILIES), help="default: all of them")
    parser.add_argument("--first-seed", type=int, default=1, help="of each family's first part (default: 1)")
    parser.add_argument("--workers", type=int, default=core_count())
    add_files(parser)
    return parser.parse_args(arguments)


def tell(done: int, count: int) -> None:
    """Say how far it is."""
    print(f"{done} of {count} parts", end="\r" if sys.stderr.isatty() else "\n", file=sys.stderr, flush=True)


def as_text(result: dict[str, Any]) -> str:
    """Return the result as a table."""
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    count, differences = sum(result["inputs"].values()), result["differences"]
    words = "no difference" if not differences else f"{len(differences)} parts with a difference"
    lines = [
        f"Compiled engine and process engine on {count} generated inputs: {words}.",
        "Each is run whole, and in chunks of 1 and 7 arrivals with tables that are too small at first; all bytes of "
        f"all tables are compared. Of {COUNTED}, what the runs are counted to is held against the rows.",
        f"{result['date']}, {result['seconds'] / 60:.0f} min, seeds from {result['first_seed']} on in parts of {PART}; "
        f"{result['host']['cpu']}; {versions}",
        "",
        *(f"{family:<24}{inputs_:>8}" for family, inputs_ in result["inputs"].items()),
    ]
    for found in differences:
        lines += ["", f"{found['family']}, seed {found['seed']}, {found['inputs']} inputs:", found["difference"]]
    return "\n".join(lines)


if __name__ == "__main__":
    from tests.parity import many_inputs  # workers look for the functions here, not in __main__

    sys.exit(many_inputs.main(sys.argv[1:]))
