"""A live fleet: replica processes that are started and stopped by the scaling loop while requests go on."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from calibration.replay import replay
from policy.autoscaling_rule import AutoscalingRule
from policy.autoscaling_settings import autoscaling_rule
from policy.settings import pass_time_rule
from policy.timeline import Outcome
from reference_server.backends.emulated import emulated_settings
from reference_server.settings import ServerSettings
from tests.reference_server.gate import ECHO, FIRST
from tests.reference_server.live import MS, Client, run, running, server_settings, until


def quick_autoscaler(least: int = 1, most: int = 2) -> AutoscalingRule:
    """Return an autoscaler that wants a replica for every four requests, and looks every 20 ms."""
    return autoscaling_rule(
        target=4.0, min_replicas=least, max_replicas=most, tick_ns=20 * MS, sample_ns=20 * MS, zero_from="any"
    )


def fleet_settings(cold_start_ns: int = 0, **rules: Any) -> ServerSettings:
    """Return a server whose passes take 20 ms for one request, with an autoscaler."""
    emulated = emulated_settings(
        pass_time=pass_time_rule(base_ns=20 * MS, max_batch=1), cold_start_tables=[[cold_start_ns]]
    )
    settings = server_settings(backend_settings=emulated)
    return with_fleet(settings, **{"autoscaler": quick_autoscaler(), **rules})


def with_fleet(settings: ServerSettings, **rules: Any) -> ServerSettings:
    """Return the same server with other rules of its fleet."""
    (version,) = settings.versions
    return replace(settings, versions=(replace(version, rules=version.rules._replace(**rules)),))


def first_settings(later: str) -> ServerSettings:
    """Return the same with a backend that serves as the first replica alone."""
    settings = fleet_settings()
    version = replace(settings.versions[0], backend=FIRST, backend_settings={"replica": 0, "later": later})
    return replace(settings, versions=(version,))


async def has_ready(client: Client, count: int) -> bool:
    """Return whether so many replicas take requests."""
    return await client.figure("servecast_ready_replicas") == count


def test_fleet_grows_under_load_and_shrinks_behind_it(tmp_path: Path) -> None:
    """A second process comes, serves, and is gone; every request is answered, and every decision replays."""

    async def scene() -> None:
        settings = replace(fleet_settings(), journal_file=tmp_path / "journal")
        async with running(settings) as (server, client):
            asked = [asyncio.create_task(client.predict(number=f"{number}.0")) for number in range(60)]
            await until(lambda: has_ready(client, 2))
            assert len(server.dispatch.pids) == 2
            later = [asyncio.create_task(client.predict(number=f"{number}.0")) for number in range(60, 120)]
            replies = await asyncio.gather(*asked, *later)
            assert {reply.status for reply in replies} == {200}
            await until(lambda: has_ready(client, 1))
            await until(lambda: _has_pids(server, 1))
            rows = await client.attempts()
            assert {row.replica for row in rows} == {0, 1}
            page = (await client.ask("GET", "/timeline")).json
            lives = [dict(zip(page["replica_columns"], row, strict=True)) for row in page["replicas"]]
            wanted = [row[page["scaling_columns"].index("wanted")] for row in page["scalings"]]
            gone = next(life for life in lives if life["replica"] == 1)
            assert gone["ordered_ns"] < gone["ready_ns"] < gone["drained_ns"] <= gone["gone_ns"]
            assert max(wanted) == 2
            assert wanted[-1] == 1

    run(scene())
    report = replay(tmp_path / "journal")
    assert report.agrees
    assert report.tallies["starts"].identical == report.tallies["stops"].identical >= 1


async def _has_pids(server: object, count: int) -> bool:
    await asyncio.sleep(0.01)
    return len(server.dispatch.pids) == count  # type: ignore[attr-defined]


def test_fleet_of_none_comes_back_for_a_request() -> None:
    """It is held while its replica starts cold, and answered when that is ready; then the fleet goes again."""

    async def scene() -> None:
        settings = fleet_settings(cold_start_ns=300 * MS, replicas=0, autoscaler=quick_autoscaler(least=0))
        async with running(settings) as (server, client):
            assert server.dispatch.pids == []
            assert (await client.ask("GET", "/health")).json == {"status": "ready"}, "it can hold requests"
            assert (await client.predict(number="0.0")).status == 200
            (row,) = await client.attempts()
            assert row.outcome == Outcome.ANSWERED
            assert row.placed_ns - row.enqueued_ns >= 300 * MS, "it waited for the whole cold start"
            await until(lambda: has_ready(client, 0))

    run(scene())


def test_server_that_stops_while_replicas_start_leaves_none_behind() -> None:
    """A replica on its way is ended where it stands."""

    async def scene() -> list[int]:
        async with running(first_settings(later="hangs")) as (server, client):
            asked = [asyncio.create_task(client.predict()) for _ in range(60)]
            await until(lambda: _has_pids(server, 2))
            pids = server.dispatch.pids
            for task in asked:
                task.cancel()
        return pids

    pids = run(scene())
    assert all(not (Path("/proc") / str(pid)).exists() for pid in pids)


def test_replica_that_cannot_be_started_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """The others go on; it is said, and tried again, until nobody wants it any more."""

    async def scene() -> None:
        async with running(first_settings(later="fails")) as (_, client):
            replies = await asyncio.gather(*(client.predict() for _ in range(60)))
            assert {reply.status for reply in replies} == {200}
            await until(lambda: has_ready(client, 1))

    with caplog.at_level(logging.ERROR):
        run(scene())
    assert any("could not be started and is tried again" in record.message for record in caplog.records)


def test_config_tells_the_fleet() -> None:
    """In the words of a scenario, so that a check can compare them."""

    async def scene() -> None:
        async with running(with_fleet(server_settings(backend=ECHO), replicas=2)) as (server, client):
            config = (await client.ask("GET", "/config")).json
            assert (config["replicas"], config["autoscaler"], config["drain"]) == (2, None, "youngest")
            assert config["routing"]["balance"] == "round_robin"
            assert len(server.dispatch.pids) == 2
            replies = await asyncio.gather(*(client.predict() for _ in range(10)))
            assert {reply.status for reply in replies} == {200}
            assert [row.replica for row in await client.attempts()].count(1) == 5

    run(scene())


def test_replicas_that_crash_fail_what_they_run_and_come_back(tmp_path: Path) -> None:
    """Emulated devices end their processes: some requests get a 500, the others an answer; every decision replays."""

    async def scene() -> None:
        emulated = emulated_settings(pass_time=pass_time_rule(base_ns=50 * MS, max_batch=1), crash_table=[170 * MS])
        settings = replace(server_settings(backend_settings=emulated), journal_file=tmp_path / "journal")
        statuses = set()
        async with running(settings) as (_, client):
            while await client.figure("servecast_replica_restarts_total") < 3 or len(statuses) < 2:
                statuses.add((await client.predict()).status)
            outcomes = {row.outcome for row in await client.attempts()}
        assert statuses == {200, 500}
        assert outcomes == {Outcome.ANSWERED, Outcome.FAILED}

    run(scene())
    assert replay(tmp_path / "journal").agrees
