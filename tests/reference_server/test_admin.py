"""The admin API over HTTP: who may use it, what it says, what it orders, what it refuses and in which words."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace

import pytest

from policy.errors import SettingError
from policy.rollout import Command
from reference_server.settings import TOKEN_LEAST
from tests.reference_server.live import Client, run, running, server_settings
from tests.reference_server.versions_live import ADMIN, TOKEN, look, order, versions_settings


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": f"Basic {TOKEN}"}, 401),
        ({"Authorization": TOKEN}, 401),
        ({"Authorization": f"Bearer {TOKEN}x"}, 401),
        ({"Authorization": f"Bearer {TOKEN[:-1]}"}, 401),
        ({"Authorization": f"Bearer {TOKEN}"}, 200),
        ({"Authorization": f"bearer  {TOKEN}"}, 200),
    ],
)
def test_only_the_token_opens_it(headers: dict[str, str], status: int) -> None:
    """A prefix is no token; every path is behind it, and an order without it changes nothing."""

    async def scene() -> None:
        async with running(versions_settings()) as (_, client):
            for method, path in (("GET", "/admin/versions"), ("GET", "/admin/rollout"), ("GET", "/admin/log")):
                reply = await client.ask(method, path, headers=headers)
                assert reply.status == status
            ordered = await client.ask("POST", "/admin/rollout", json={"command": "start"}, headers=headers)
            assert ordered.status == status
            assert (await look(client, "/admin/rollout"))["phase"] == ("idle" if status == 401 else "progressing")
            if status == 401:
                assert ordered.error == "The admin API needs the server's token, as in Authorization: Bearer TOKEN."
                assert ordered.headers["WWW-Authenticate"] == "Bearer"
                assert (await client.ask("GET", "/admin/nothing", headers=headers)).status == 401

    run(scene())


def test_without_a_token_it_is_off() -> None:
    """For everybody: an empty token in the request is none either."""

    async def scene() -> None:
        async with running(versions_settings(admin_token=None)) as (_, client):
            for headers in ({}, ADMIN, {"Authorization": "Bearer "}, {"Authorization": "Bearer None"}):
                reply = await client.ask("GET", "/admin/versions", headers=headers)
                assert reply.status == 403
                assert reply.error.startswith("The admin API is off: start the server with --admin-token-file")

    run(scene())


def test_the_token_never_shows(caplog: pytest.LogCaptureFixture) -> None:
    """Not in the settings' own words, not in what the server says of itself, not in its log."""
    settings = versions_settings()
    assert TOKEN not in repr(settings)

    async def scene() -> None:
        async with running(settings) as (_, client):
            await order(client, "/admin/rollout", {"command": "start"})
            for path in ("/config", "/metrics", "/timeline", "/health"):
                assert TOKEN not in (await client.ask("GET", path)).text
            for path in ("/admin/versions", "/admin/rollout", "/admin/log"):
                assert TOKEN not in json.dumps(await look(client, path))

    with caplog.at_level(logging.DEBUG):
        run(scene())
    assert TOKEN not in caplog.text


@pytest.mark.parametrize("token", ["short", "x" * (TOKEN_LEAST - 1), "with a blank in it", "ümlaut-ümlaut-ümlaut"])
def test_weak_token_is_refused_and_not_told(token: str) -> None:
    """By its length, not by its text."""
    with pytest.raises(SettingError, match=r"server\.admin_token must be 16 or more visible ASCII characters") as error:
        replace(server_settings(), admin_token=token)
    assert token not in str(error.value)


def test_versions_tell_what_they_get_and_how_their_requests_end() -> None:
    """One request that v2 was named for, one for whoever takes it, all copied to the other."""

    async def scene() -> None:
        async with running(versions_settings(shadows=(0, 10_000))) as (_, client):
            await client.ask("POST", "/predict", json={"input": "x"}, headers={"X-Servecast-Version": "v2"})
            await client.predict()
            while (await look(client, "/admin/versions"))["versions"][1]["copies"]["agreed"] < 1:
                await asyncio.sleep(0)
            first, second = (await look(client, "/admin/versions"))["versions"]
            assert (first["name"], first["stable"], first["canary"], first["weight"]) == ("v1", True, False, 1.0)
            assert (second["name"], second["stable"], second["canary"], second["shadow"]) == ("v2", False, True, 1.0)
            assert (first["requests"]["answered"], second["requests"]["answered"]) == (1, 1)
            assert first["replicas"] == {"wanted": 1, "ready": 1}
            assert second["copies"] == {"agreed": 1, "disagreed": 0, "unanswered": 0, "latest": []}

    run(scene())


async def refused(client: Client, path: str, body: dict[str, object], status: int) -> str:
    """Give an order that is refused and return the sentence."""
    reply = await order(client, path, body)
    assert reply.status == status
    return reply.error


def test_every_refusal_is_one_sentence() -> None:
    """404 for what there is not, 409 for what cannot be now, 400 for what is no order."""

    async def scene() -> None:
        async with running(versions_settings(weights=(8_000, 2_000))) as (_, client):
            rollout, v1, v2 = "/admin/rollout", "/admin/versions/v1", "/admin/versions/v2"
            said = [
                await refused(client, rollout, {"command": "promote"}, 409),
                await refused(client, "/admin/versions/v9", {"weight": 0.1}, 404),
                await refused(client, v1, {"weight": 0.1}, 409),
                await refused(client, v2, {"loaded": True}, 409),
                await refused(client, v2, {"loaded": False}, 409),
                await refused(client, v2, {"weight": 1.5}, 400),
                await refused(client, v2, {"weight": True}, 400),
                await refused(client, v2, {"shadow": "10%"}, 400),
                await refused(client, v2, {"colour": 1}, 400),
                await refused(client, v2, {"weight": 0.1, "shadow": 0.1}, 400),
                await refused(client, rollout, {"command": "fly"}, 400),
                await refused(client, rollout, {}, 400),
            ]
            assert said[:5] == [
                "The rollout is idle: promote has nothing to act on.",
                "There is no version 'v9': known are v1, v2.",
                "v1 is the stable version: it gets what the others leave.",
                "v2 is loaded already.",
                "v2 is in use: take its weight and its copies to 0 first.",
            ]
            assert said[5] == said[6] == "The weight must be a share from 0 to 1."
            assert said[7] == "The shadow must be a share from 0 to 1."
            assert said[10].startswith("The command must be one of start, promote, promote_full, abort, pause,")
            assert not any("\n" in sentence for sentence in said)
            await order(client, v2, {"weight": 0})
            await order(client, v2, {"loaded": False})
            assert await refused(client, v2, {"weight": 0.1}, 409) == "v2 is not loaded: deploy it first."
            reply = await client.ask("POST", "/admin/rollout", data=b"nonsense", headers=ADMIN)
            assert (reply.status, reply.error[:27]) == (400, "The body must be a JSON obj")

    run(scene())


def test_weight_can_be_what_the_version_and_stable_have_together() -> None:
    """Of three versions a third has its own."""

    async def scene() -> None:
        async with running(versions_settings(weights=(5_000, 1_000, 4_000), shadows=(0, 0, 0))) as (_, client):
            sentence = await refused(client, "/admin/versions/v2", {"weight": 0.7}, 409)
            assert sentence == "The weight of v2 can be 60% at most: all that it and v1 have."
            assert (await order(client, "/admin/versions/v2", {"weight": 0.6})).status == 200
            weights = [version["weight"] for version in (await look(client, "/admin/versions"))["versions"]]
            assert weights == [0.0, 0.6, 0.4]

    run(scene())


def test_paths_and_methods_that_there_are_not() -> None:
    """404 and 405, with what is allowed."""

    async def scene() -> None:
        async with running(versions_settings()) as (_, client):
            assert (await client.ask("GET", "/admin/else", headers=ADMIN)).status == 404
            for path, allowed in (
                ("/admin/versions", "GET"),
                ("/admin/rollout", "GET, POST"),
                ("/admin/versions/v2", "POST"),
            ):
                reply = await client.ask("DELETE", path, headers=ADMIN)
                assert (reply.status, reply.headers["Allow"]) == (405, allowed)

    run(scene())


def test_server_without_a_rollout_says_so() -> None:
    """And takes orders about its one version all the same."""

    async def scene() -> None:
        async with running(replace(server_settings(), admin_token=TOKEN)) as (_, client):
            reply = await client.ask("GET", "/admin/rollout", headers=ADMIN)
            assert (reply.status, reply.error) == (404, "There is no rollout: the server was started without one.")
            assert (await order(client, "/admin/rollout", {"command": "start"})).status == 404
            assert (await order(client, "/admin/versions/v1", {"loaded": True})).status == 409

    run(scene())


def test_rollback_under_load_loses_nothing_and_answers_nothing_twice() -> None:
    """Start, half of the traffic, abort in the middle: 400 requests, 400 answers, and v2 takes nothing afterwards."""

    async def scene() -> None:
        async with running(versions_settings()) as (_, client):
            assert (await order(client, "/admin/rollout", {"command": "start"})).json["to"] == "progressing"
            asked = [asyncio.create_task(client.predict(number=f"{number}.0")) for number in range(400)]
            while (await look(client, "/admin/versions"))["versions"][1]["requests"]["answered"] < 20:
                await asyncio.sleep(0)
            told = await order(client, "/admin/rollout", {"command": "abort"})
            assert told.json == {"ordered": "abort", "from": "progressing", "to": "rolled_back"}
            replies = await asyncio.gather(*asked)
            assert [reply.status for reply in replies] == [200] * 400
            behind = [await client.predict(number=f"{number}.0") for number in range(400, 440)]
            assert {reply.headers["X-Servecast-Version"] for reply in behind} == {"v1"}
            rows = await client.attempts()
            assert sorted(row.request for row in rows) == list(range(440))
            rollout = await look(client, "/admin/rollout")
            assert (rollout["phase"], rollout["weight"]) == ("rolled_back", 0.0)
            assert [move["action"] for move in rollout["moves"]] == ["go_on", "go_on", "roll_back"]

    run(scene())


def test_promotion_by_hand_gives_the_canary_all() -> None:
    """Until somebody says so it is held at half."""

    async def scene() -> None:
        async with running(versions_settings()) as (_, client):
            await order(client, "/admin/rollout", {"command": "start"})
            assert (await look(client, "/admin/rollout"))["weight"] == 0.5
            assert (await refused(client, "/admin/versions/v2", {"weight": 0.1}, 409)).startswith(
                "A rollout is under way"
            )
            await order(client, "/admin/rollout", {"command": "promote"})
            assert (await look(client, "/admin/rollout"))["phase"] == "promoted"
            assert {(await client.predict()).headers["X-Servecast-Version"] for _ in range(20)} == {"v2"}

    run(scene())


def test_log_keeps_who_ordered_what_and_what_was_refused() -> None:
    """In their order, with from and to."""

    async def scene() -> None:
        async with running(versions_settings()) as (_, client):
            await order(client, "/admin/versions/v2", {"weight": 0.25})
            await order(client, "/admin/versions/v2", {"shadow": 0.5})
            await order(client, "/admin/rollout", {"command": "resume"})
            orders = (await look(client, "/admin/log"))["orders"]
            assert [(each["what"], each["from"], each["to"], each["refused"]) for each in orders] == [
                ("weight 0.25 of v2", "0%", "25%", None),
                ("shadow 0.5 of v2", "0%", "50%", None),
                ("resume", "idle", "idle", "nothing_to_act_on"),
            ]
            assert {each["by"] for each in orders} == {"127.0.0.1"}
            assert [each["when"] for each in orders] == sorted(each["when"] for each in orders)

    run(scene())


def test_every_command_of_policy_can_be_given() -> None:
    """None is out of an operator's reach: what is not due is refused by its name."""

    async def scene() -> None:
        async with running(versions_settings()) as (_, client):
            for command in Command:
                reply = await order(client, "/admin/rollout", {"command": command.name.lower()})
                assert reply.status in {200, 409}

    run(scene())
