"""The model of the chaos programs: it answers with what it was asked, so that every answer shows whose it is.

An input is {"id": text, "do": "hang"?, "pad": bytes?}; the output is {"id": text, "pad": "xxx..."}.
"""

from __future__ import annotations

import json
import time
from typing import Any

from reference_server.backends import Batch

CHAOS = "tests.chaos.backend:ChaosBackend"


class ChaosBackend:
    """Sleeps for the time of a pass. Told to hang, it never comes back."""

    def __init__(self, base_ms: float, per_item_ms: float) -> None:
        self._base_s = base_ms / 1e3
        self._per_item_s = per_item_ms / 1e3

    def load(self) -> None:
        pass

    def warm_up(self) -> None:
        pass

    def run_pass(self, batch: Batch) -> list[bytes]:
        asked = [_asked(json.loads(text)) for text in batch.inputs]
        while any(each.get("do") == "hang" for each in asked):
            time.sleep(60)
        time.sleep(self._base_s + self._per_item_s * len(asked))
        return [json.dumps({"id": each.get("id"), "pad": "x" * each.get("pad", 0)}).encode() for each in asked]


def _asked(value: Any) -> dict[str, Any]:
    """Return the orders of an input; one that has none gets an answer without an id."""
    return value if isinstance(value, dict) else {}
