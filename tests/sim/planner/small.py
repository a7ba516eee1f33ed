"""A small scenario that planners are asked about: 100 requests a second, passes of 20 + 1 ms, 8 in a batch."""

from __future__ import annotations

from typing import Any

CONTENT: dict[str, Any] = {
    "name": "small",
    "traffic": {"arrivals": {"process": "poisson", "rate": "100/s"}, "timeout": "5s"},
    "model": {"pass_time": {"base": "20ms", "per_item": "1ms"}},
    "batching": {"max_batch": 4},
    "queue": {"cap": 64},
    "horizon": {"duration": "12s", "runs": 5},
    "goals": {"p90": "70ms", "refused": "2%"},
}


def changed(**sections: Any) -> dict[str, Any]:
    """Return it with other sections."""
    return {**CONTENT, **sections}
