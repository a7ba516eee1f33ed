"""The server under attack, in a process of its own: `python -m tests.chaos.serve JSON` with its settings."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from policy import settings as rules
from reference_server.app import serve
from reference_server.replica_pool import FleetRules
from reference_server.settings import ServerSettings, VersionSettings
from tests.chaos.backend import CHAOS


def chaos_settings(
    *,
    base_ms: float,
    per_item_ms: float,
    max_batch: int,
    max_wait_ms: int = 5,
    cap: int | None = None,
    deadline_ms: int | None = None,
    instances: int = 1,
    folder: Path,
    **others: Any,
) -> ServerSettings:
    """Return the settings; `others` are those of ServerSettings."""
    fleet = FleetRules(
        rules.batching_rule(max_batch=max_batch, max_wait_ns=max_wait_ms * 10**6, instances=instances),
        rules.admission_rule(cap=cap),
        rules.deadline_rule(deadline_ns=None if deadline_ms is None else deadline_ms * 10**6),
        instances=instances,
    )
    return ServerSettings(
        versions=(VersionSettings(fleet, {"base_ms": base_ms, "per_item_ms": per_item_ms}, CHAOS),),
        port=0,
        name="chaos",
        timeline_file=folder / "rows.json",
        journal_file=folder / "journal",
        **others,
    )


def main(text: str) -> int:
    """Serve; print the URL when ready."""
    options = json.loads(text)
    options["folder"] = Path(options["folder"])
    return serve(chaos_settings(**options), ready=lambda url: print(url, flush=True))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
