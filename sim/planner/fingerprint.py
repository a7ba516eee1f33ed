"""What results depend on beside the question: the sources, and the numbers that this machine's NumPy and SciPy give.

Exponentials and logarithms may differ in their last bit between processors and versions, and a table or a schedule of
integers with them. So workers elsewhere say which ones they have, and a sweep that goes on asks whether they changed.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Final

from sim.forecast.provenance import versions
from sim.scenario.load import load_scenario
from sim.scenario.lower import lower

__all__ = ["fingerprint", "state_in_words"]

_DIGITS: Final = 12

_PROBES: Final = (
    {"arrivals": {"process": "poisson", "rate": "1000/s"}},
    {"arrivals": {"process": "gamma", "rate": "1000/s", "cv": 2}},
    {"arrivals": {"process": "day_curve", "mean_rate": "1000/s", "peak_to_mean": 3, "peak_at": "0s", "period": "9s"}},
)
_TIMES: Final = {"distribution": "lognormal", "mean": "1ms", "cv": 1}
_SIZES: Final = {"distribution": "lognormal", "mean": 100, "cv": 0.7}


@cache
def fingerprint() -> str:
    """Return a hash of the sources of sim and policy, and of tables and schedules that are made from them here."""
    digest = hashlib.sha256()
    root = Path(__file__).parents[2]
    for package in ("policy", "sim"):
        for path in sorted((root / package).rglob("*.py")):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    for traffic in _PROBES:
        scenario = load_scenario(
            {
                "traffic": {**traffic, "sizes": _SIZES, "timeout": {"distribution": "exponential", "mean": "1s"}},
                "model": {"pass_time": {"base": "1ms", "spread": {"distribution": "lognormal", "cv": "10%"}}},
                "batching": {"max_batch": 8},
                "queue": {"cap": 8},
                "front_end": {"request": _TIMES},
                "horizon": {"duration": "1s"},
            }
        )
        tables = lower(scenario, seed=1, warm_up_ns=0)
        digest.update(tables.traffic.arrivals_ns.tobytes())
        for table in (
            tables.traffic.size_table,
            tables.traffic.timeout_table,
            tables.front_end.request_table,
            tables.fleet.spread_table,
        ):
            digest.update(repr(table).encode())
    return digest.hexdigest()[:_DIGITS]


def state_in_words() -> str:
    """Return the versions and the fingerprint on one line."""
    return ", ".join(f"{name} {version}" for name, version in versions().items()) + f", state {fingerprint()}"
