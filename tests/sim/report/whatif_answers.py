"""Answers of what-if that the tests of its tables, pictures and reports look at."""

from __future__ import annotations

from sim.planner.grid import parse_axis
from sim.planner.whatif import WhatIf, whatif
from sim.planner.workers import Workers

CONTENT: dict[str, object] = {
    "name": "shop",
    "traffic": {"arrivals": {"process": "poisson", "rate": "300/s"}},
    "model": {"pass_time": {"base": "8ms", "per_item": "0.5ms"}},
    "batching": {"max_batch": 8, "max_wait": "2ms"},
    "horizon": {"duration": "4s", "warm_up": "1s", "runs": 3},
    "goals": {"p90": "18ms"},
}


def asked(*texts: str, grid: bool = True, figures: tuple[str, ...] = ()) -> WhatIf:
    """Return the answer for some varied keys."""
    axes = [parse_axis(text) for text in texts]
    return whatif(CONTENT, axes, grid=grid, figures=figures, workers=Workers(count=1))
