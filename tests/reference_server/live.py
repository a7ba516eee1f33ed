"""Servers and clients for tests: the real server in this process, on a port of its own, spoken to over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from policy import settings as rules
from policy.rollout import RolloutRule
from policy.rollout_settings import rollout_rule, version_weights
from policy.timeline import Attempt, Pass
from policy.versions import WEIGHT_ONE
from reference_server.app import ReferenceServer
from reference_server.backends.emulated import emulated_settings
from reference_server.replica_pool import FleetRules
from reference_server.settings import ServerSettings, VersionSettings
from reference_server.version_shares import VersionRules

T = TypeVar("T")

TOKEN = "only-for-these-tests"

MS = 1_000_000
LIMIT_S = 30.0  # of one test: it is there to end a hang, no test comes near it


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run one test."""
    return asyncio.run(asyncio.wait_for(work, LIMIT_S))


def server_settings(
    *,
    max_batch: int = 1,
    max_wait_ns: int = 0,
    cap: int | None = None,
    deadline_ns: int | None = None,
    instances: int = 1,
    base_ns: int = MS,
    backend: str = "emulated",
    backend_settings: Mapping[str, object] | None = None,
    body_limit: int = 2**20,
    receive_timeout_s: float = 10.0,
    connections_max: int = 10_000,
    port: int = 0,
    timeline_rows: int = 10_000,
    timeline_file: Path | None = None,
    pass_timeout_ns: int = 60_000 * MS,
    blocking: bool = False,
) -> ServerSettings:
    """Return settings of a server with a pass of 1 ms, on any free port."""
    if backend_settings is None:
        pass_time = rules.pass_time_rule(base_ns=base_ns, max_batch=max_batch)
        backend_settings = emulated_settings(pass_time=pass_time) if backend == "emulated" else {}
    fleet = FleetRules(
        rules.batching_rule(max_batch=max_batch, max_wait_ns=max_wait_ns, instances=instances),
        rules.admission_rule(cap=cap),
        rules.deadline_rule(deadline_ns=deadline_ns),
        instances=instances,
    )
    return ServerSettings(
        versions=(VersionSettings(fleet, backend_settings, backend),),
        port=port,
        body_limit=body_limit,
        receive_timeout_s=receive_timeout_s,
        connections_max=connections_max,
        timeline_rows=timeline_rows,
        timeline_file=timeline_file,
        pass_timeout_ns=pass_timeout_ns,
        blocking=blocking,
    )


def of_versions(
    settings: ServerSettings,
    *shares: int,
    canary: int | None = 1,
    shadows: tuple[int, ...] = (),
    rollout: RolloutRule | None = None,
    loaded: tuple[bool, ...] = (True,) * 8,
    **changes: Any,
) -> ServerSettings:
    """Return settings of a server of the versions v1, v2, ..., with weights in percent: copies of its one version."""
    (version,) = settings.versions
    versions = tuple(
        replace(version, name=f"v{number}", rules=version.rules._replace(loaded=is_loaded))
        for number, (_, is_loaded) in enumerate(zip(shares, loaded, strict=False), start=1)
    )
    weights = version_weights(weights=[share * WEIGHT_ONE // 100 for share in shares], canary=canary)
    given = {"admin_token": TOKEN, **changes}
    return replace(settings, versions=versions, shares=VersionRules(weights, shadows, rollout), **given)


def gated_rollout(*percents: int) -> RolloutRule:
    """Return a rollout whose steps have these weights and end by hand alone."""
    return rollout_rule(steps=[{"weight": percent * WEIGHT_ONE // 100, "pause_ns": None} for percent in percents])


@dataclass
class Reply:
    """One HTTP answer."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.text)

    @property
    def error(self) -> str:
        """The one sentence of an error; there is nothing else in the body."""
        body = self.json
        assert list(body) == ["error"]
        assert isinstance(body["error"], str)
        return str(body["error"])


class Client:
    """An HTTP client of one server."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.port = int(url.rpartition(":")[2])
        self._session = session

    async def ask(self, method: str, path: str, **options: Any) -> Reply:
        """Send one request and return its answer."""
        async with self._session.request(method, self.url + path, **options) as response:
            return Reply(response.status, response.headers, await response.text())

    async def admin(self, method: str, path: str, body: object = None, token: str = TOKEN) -> Reply:
        """Ask the admin API."""
        headers = {"Authorization": f"Bearer {token}"}
        return await self.ask(method, f"/admin/{path}", headers=headers, **({} if body is None else {"json": body}))

    async def predict(self, value: object = "x", *, number: str | None = None, **fields: object) -> Reply:
        """Ask for one prediction."""
        headers = {} if number is None else {"X-Servecast-Attempt": number}
        return await self.ask("POST", "/predict", json={"input": value, **fields}, headers=headers)

    async def attempts(self) -> list[Attempt]:
        """Return the rows of all requests that are over, in the order in which they ended."""
        return [Attempt(*row) for row in (await self.ask("GET", "/timeline")).json["attempts"]]

    async def passes(self) -> list[Pass]:
        """Return the rows of all passes that are over."""
        return [Pass(*row) for row in (await self.ask("GET", "/timeline")).json["passes"]]

    async def figure(self, name: str) -> float:
        """Return a figure of /metrics: an unlabelled one, or one of the versions, summed over them."""
        lines = (await self.ask("GET", "/metrics")).text.splitlines()
        found = [float(line.split()[-1]) for line in lines if line.startswith((name + " ", name + "{version="))]
        assert found, f"/metrics has no {name}"
        return sum(found)

    async def has_waiting(self, count: int) -> bool:
        """Return whether so many requests wait."""
        return await self.figure("servecast_waiting_requests") == count

    async def has_rows(self, count: int) -> bool:
        """Return whether so many requests are over."""
        return len(await self.attempts()) == count


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Client]:
    """Give a client that may have any number of connections."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield Client(url, session)


@asynccontextmanager
async def running(settings: ServerSettings) -> AsyncIterator[tuple[ReferenceServer, Client]]:
    """Give a server that is ready, and a client."""
    server = ReferenceServer(settings)
    try:
        url = await server.listen()
        await server.start()
        async with connected(url) as client:
            yield server, client
    finally:
        await server.close(wait_s=0.1)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Ask the server again and again until it says so; each question is a round trip."""
    while not await holds():
        await asyncio.sleep(0)
