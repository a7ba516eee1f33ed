"""The server under attack, in a process of its own: `python -m tests.chaos.serve JSON` with its settings."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from policy import settings as rules
from policy.autoscaling_settings import autoscaling_rule
from policy.rollout_settings import rollout_rule, version_weights
from policy.versions import WEIGHT_ONE
from reference_server.app import serve
from reference_server.replica_pool import FleetRules
from reference_server.settings import ServerSettings, VersionSettings
from reference_server.version_shares import VersionRules
from tests.chaos.backend import CHAOS

TOKEN = "of-a-server-that-lives-for-one-scene"
_S = 10**9

SCALES = autoscaling_rule(
    target=4.0,
    min_replicas=0,
    max_replicas=4,
    sample_ns=_S // 4,
    window_ns=_S,
    tick_ns=_S // 2,
    stabilisation_down_ns=_S,
    idle_ns=2 * _S,
)
"""One replica for four requests in flight; none when there has been none for two seconds."""


def chaos_settings(
    *,
    base_ms: float,
    per_item_ms: float,
    max_batch: int,
    max_wait_ms: int = 5,
    cap: int | None = None,
    deadline_ms: int | None = None,
    instances: int = 1,
    canary: bool = False,
    folder: Path,
    **others: Any,
) -> ServerSettings:
    """Return the settings; `others` are those of ServerSettings.

    With a `canary` the fleet scales, down to nothing when nobody asks, and a second version waits for half of the
    requests.
    """
    fleet = FleetRules(
        rules.batching_rule(max_batch=max_batch, max_wait_ns=max_wait_ms * 10**6, instances=instances),
        rules.admission_rule(cap=cap),
        rules.deadline_rule(deadline_ns=None if deadline_ms is None else deadline_ms * 10**6),
        instances=instances,
    )
    backend = {"base_ms": base_ms, "per_item_ms": per_item_ms}
    versions = [VersionSettings(fleet, backend, CHAOS)]
    if canary:
        versions = [
            VersionSettings(fleet._replace(replicas=2, autoscaler=SCALES), backend, CHAOS, name="v1"),
            VersionSettings(fleet, backend, CHAOS, name="v2"),
        ]
        weights = version_weights(weights=[WEIGHT_ONE, 0], stable=0, canary=1)
        rollout = rollout_rule(steps=[{"weight": WEIGHT_ONE // 2, "pause_ns": None}])
        others |= {"shares": VersionRules(weights, (0, 0), rollout), "admin_token": TOKEN}
    return ServerSettings(
        versions=tuple(versions),
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
