"""Live servers with several versions for tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from policy.rollout_settings import rollout_rule, version_weights
from reference_server.backends.emulated import emulated_settings
from reference_server.replica_pool import FleetRules
from reference_server.settings import ServerSettings, VersionSettings
from reference_server.version_shares import VersionRules
from tests.reference_server.live import MS, Client, Reply, rules, server_settings

TOKEN = "correct-horse-battery"
ADMIN = {"Authorization": f"Bearer {TOKEN}"}

ROLLOUT = rollout_rule(
    steps=[{"weight": 5_000, "pause_ns": None}],
    analysis=None,
)
"""Half of the requests until somebody promotes."""


def versions_settings(
    *, weights: tuple[int, ...] = (10_000, 0), shadows: tuple[int, ...] = (0, 0), **changes: Any
) -> ServerSettings:
    """Return a server with v1, which is stable, and v2, a canary whose answers differ: passes of 1 ms."""
    pass_time = rules.pass_time_rule(base_ns=MS, max_batch=1)
    fleet = FleetRules(
        rules.batching_rule(max_batch=1, max_wait_ns=0),
        rules.admission_rule(cap=None),
        rules.deadline_rule(deadline_ns=None),
    )
    versions = tuple(
        VersionSettings(fleet, emulated_settings(pass_time=pass_time), name=f"v{place + 1}")
        for place in range(len(weights))
    )
    settings = server_settings()
    return replace(
        settings,
        **{
            "versions": versions,
            "shares": VersionRules(version_weights(weights=weights, stable=0, canary=1), shadows, ROLLOUT),
            "admin_token": TOKEN,
            **changes,
        },
    )


async def order(client: Client, path: str, body: Mapping[str, object]) -> Reply:
    """Give an order with the right token."""
    return await client.ask("POST", path, json=body, headers=ADMIN)


async def look(client: Client, path: str) -> Any:
    """Return what the admin API says at a path."""
    reply = await client.ask("GET", path, headers=ADMIN)
    assert reply.status == 200
    return reply.json
