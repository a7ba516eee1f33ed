"""The admin API over HTTP: who may, what is told, what orders do, and the one sentence of each refusal."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from policy.rollout import Command
from policy.rollout_settings import AnalysisSettings, rollout_rule
from policy.timeline import Outcome
from reference_server.admin import LOG_MAX, MOVES_MAX
from reference_server.settings import ServerSettings
from tests.reference_server.gate import ECHO, GATED, STUCK, Gate
from tests.reference_server.live import (
    MS,
    TOKEN,
    Client,
    gated_rollout,
    of_versions,
    run,
    running,
    server_settings,
    until,
)
from tests.reference_server.talk import Talk

ECHOES = server_settings(backend=ECHO)
TWO = of_versions(ECHOES, 90, 10)
ROLLING = of_versions(ECHOES, 100, 0, rollout=gated_rollout(10, 50))

PATHS = [
    ("GET", "/admin/versions"),
    ("POST", "/admin/versions/v2"),
    ("GET", "/admin/rollout"),
    ("POST", "/admin/rollout"),
    ("GET", "/admin/log"),
    ("GET", "/admin"),
    ("GET", "/admin/nothing"),
    ("DELETE", "/admin/versions"),
]


async def version(client: Client, name: str) -> dict[str, Any]:
    """Return what is told of a version."""
    told: list[dict[str, Any]] = (await client.admin("GET", "versions")).json["versions"]
    return next(each for each in told if each["name"] == name)


# Who may


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_without_a_token_set_nobody_is_let_in(method: str, path: str) -> None:
    """Whatever is asked and whatever token is sent: 403, and how to set one."""

    async def scene() -> None:
        async with running(replace(TWO, admin_token=None)) as (_, client):
            for headers in ({}, {"Authorization": f"Bearer {TOKEN}"}, {"Authorization": "Bearer "}):
                reply = await client.ask(method, path, headers=headers)
                assert reply.status == 403
                assert reply.error == (
                    "The admin API is closed: no token is set; start the server with --admin-token-file FILE or with"
                    " SERVECAST_ADMIN_TOKEN in its environment."
                )

    run(scene())


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_token_that_is_missing_or_wrong_is_asked_for(method: str, path: str) -> None:
    """401 before anything is said of paths and methods, and nothing is changed."""
    wrong = ["", TOKEN, f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer ", "Bearer \xe9" * 9]

    async def scene() -> None:
        async with running(TWO) as (_, client):
            for value in wrong:
                headers = {"Authorization": value} if value else {}
                reply = await client.ask(method, path, headers=headers, data=b'{"weight": 0.5}')
                assert (reply.status, reply.headers["WWW-Authenticate"]) == (401, "Bearer")
                assert reply.error == "The admin API takes requests with its token only: Authorization: Bearer TOKEN."
            assert (await version(client, "v2"))["weight"] == 0.1
            assert (await client.admin("GET", "log")).json == {"log": []}

    run(scene())


@pytest.mark.parametrize("path", ["/%61dmin/versions", "/admin/%76ersions", "/admin%2Fversions", "/admin?x=/predict"])
def test_path_in_other_letters_is_closed_as_well(path: str) -> None:
    """What is looked at is what the path means, not how it is written."""

    async def scene() -> None:
        async with running(TWO) as (_, client), Talk(client.port) as talk:
            talk.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            assert (await talk.answer()).status == 401

    run(scene())


def test_scheme_of_the_token_is_read_in_any_case() -> None:
    """RFC 9110 11.1."""

    async def scene() -> None:
        async with running(TWO) as (_, client):
            reply = await client.ask("GET", "/admin/log", headers={"Authorization": f"bearer  {TOKEN}"})
            assert reply.status == 200

    run(scene())


def test_token_shows_nowhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in the settings as text, nor in any answer, journal, file of rows or line of the log."""
    caplog.set_level(logging.DEBUG)
    settings = replace(ROLLING, journal_file=tmp_path / "journal", timeline_file=tmp_path / "rows")
    assert TOKEN not in repr(settings)
    said: list[str] = []

    async def scene() -> None:
        async with running(settings) as (_, client):
            for path in ("/config", "/metrics", "/timeline", "/health", "/outcomes"):
                said.append((await client.ask("GET", path)).text)
            for token in (TOKEN, f"{TOKEN} "):
                for method, path in PATHS:
                    reply = await client.ask(method, path, headers={"Authorization": f"Bearer {token}"}, data=b"{}")
                    said.append(f"{reply.text} {dict(reply.headers)}")
            await client.admin("POST", "rollout", {"command": "start"})
            said.append((await client.admin("GET", "log")).text)

    run(scene())
    written = [file.read_bytes() for file in (tmp_path / "journal", tmp_path / "rows")]
    assert all(TOKEN not in text for text in [*said, caplog.text])
    assert all(TOKEN.encode() not in content for content in written)


# What is refused


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "sentence"),
    [
        ("GET", "nothing", None, 404, "There is nothing here: try POST /predict or GET /health."),
        ("DELETE", "versions", None, 405, "/admin/versions takes GET only."),
        ("GET", "versions/v2", None, 405, "/admin/versions/v2 takes POST only."),
        ("PUT", "rollout", None, 405, "/admin/rollout takes GET, POST only."),
        ("POST", "log", None, 405, "/admin/log takes GET only."),
        *(
            ("POST", "versions/v2", body, 400, sentence)
            for body, sentence in [
                ([1], "The body must be a JSON object, not an array."),
                ({}, 'The body must be one of {"weight": 0.1}, {"shadow": 0.1}, {"loaded": true}.'),
                (
                    {"weight": 0.1, "shadow": 0.1},
                    'The body must be one of {"weight": 0.1}, {"shadow": 0.1}, {"loaded": true}.',
                ),
                ({"wait": 1}, 'The body must be one of {"weight": 0.1}, {"shadow": 0.1}, {"loaded": true}.'),
                ({"weight": 1.1}, "weight must be a share from 0 to 1 in steps of 0.0001."),
                ({"weight": -0.1}, "weight must be a share from 0 to 1 in steps of 0.0001."),
                ({"weight": 0.00004}, "weight must be a share from 0 to 1 in steps of 0.0001."),
                ({"weight": True}, "weight must be a share from 0 to 1 in steps of 0.0001."),
                ({"shadow": "0.1"}, "shadow must be a share from 0 to 1 in steps of 0.0001."),
                ({"loaded": 1}, "loaded must be true or false."),
            ]
        ),
        *(
            (
                "POST",
                "rollout",
                body,
                400,
                'The body must be {"command": NAME} with one of the names start, promote, promote_full, abort, pause,'
                " resume, retry.",
            )
            for body in ({}, {"command": "START"}, {"command": 0}, {"command": ["start"]}, {"command": "start", "x": 1})
        ),
    ],
)
def test_request_that_makes_no_order_is_told_so(
    method: str, path: str, body: object, status: int, sentence: str
) -> None:
    """It is none, so the list of orders does not have it."""

    async def scene() -> None:
        async with running(TWO) as (_, client):
            reply = await client.admin(method, path, body)
            assert (reply.status, reply.error) == (status, sentence)
            assert (await client.admin("GET", "log")).json == {"log": []}

    run(scene())


def test_body_of_an_order_is_limited_as_that_of_a_prediction() -> None:
    """413, and nothing is changed."""

    async def scene() -> None:
        async with running(replace(TWO, body_limit=100)) as (_, client):
            reply = await client.admin("POST", "versions/v2", {"weight": 0.5, "x": "x" * 100})
            assert (reply.status, reply.error) == (413, "The body may have at most 100 bytes.")
            assert (await version(client, "v2"))["weight"] == 0.1

    run(scene())


@pytest.mark.parametrize("body", [b"", b"weight=1", b'{"weight": NaN}', b"\xff", b"[" * 100_000])
def test_body_that_is_no_json_is_told_so(body: bytes) -> None:
    """What Python would read beyond JSON is none either."""

    async def scene() -> None:
        async with running(TWO) as (_, client):
            headers = {"Authorization": f"Bearer {TOKEN}"}
            reply = await client.ask("POST", "/admin/versions/v2", headers=headers, data=body)
            assert (reply.status, reply.error) == (400, "The body must be a JSON object.")

    run(scene())


THREE = of_versions(ECHOES, 80, 20, 0, loaded=(True, True, False), shadows=(0, 5_000, 0))
ABSENT = of_versions(ECHOES, 0, 20, 80, loaded=(False, True, True))
PINS = of_versions(ECHOES, 0, 100, loaded=(False, True), rollout=gated_rollout(10))


@pytest.mark.parametrize(
    ("settings", "path", "body", "status", "sentence"),
    [
        (THREE, "versions/v9", {"weight": 0.1}, 404, "There is no such version; this server has v1, v2, v3."),
        (THREE, "versions/v9", {"loaded": True}, 404, "There is no such version; this server has v1, v2, v3."),
        (
            THREE,
            "versions/v1",
            {"weight": 0.5},
            409,
            "v1 is the stable version, which has what the others leave: give another version its share.",
        ),
        (
            THREE,
            "versions/v1",
            {"shadow": 0.5},
            409,
            "v1 is the stable version, which has what the others leave: give another version its share.",
        ),
        (
            ABSENT,
            "versions/v2",
            {"weight": 0.3},
            409,
            "v2 can have 0.2 at most: what it and v1, the stable version, have together.",
        ),
        (
            ABSENT,
            "versions/v2",
            {"weight": 0.1},
            409,
            'v1 is not loaded: deploy v1 first, by {"loaded": true}.',
        ),
        (THREE, "versions/v3", {"weight": 0.1}, 409, 'v3 is not loaded: deploy v3 first, by {"loaded": true}.'),
        (THREE, "versions/v3", {"loaded": False}, 409, "v3 is not loaded."),
        (THREE, "versions/v2", {"loaded": True}, 409, "v2 is loaded already."),
        (
            THREE,
            "versions/v2",
            {"loaded": False},
            409,
            "v2 is in use, with a weight of 0.2 and copies of 0.5 of the requests: free it of that, then retire it.",
        ),
        (
            THREE,
            "versions/v1",
            {"loaded": False},
            409,
            "v1 is in use, with a weight of 0.8: free it of that, then retire it.",
        ),
        (
            THREE,
            "rollout",
            {"command": "start"},
            409,
            "This server was started without a rollout; weights are set version by version.",
        ),
        (
            ROLLING,
            "rollout",
            {"command": "promote"},
            409,
            "The rollout is idle, so there is nothing to promote; it takes start.",
        ),
        (PINS, "rollout", {"command": "start"}, 409, 'v1 is not loaded: deploy v1 first, by {"loaded": true}.'),
    ],
)
def test_order_that_is_refused_changes_nothing_and_is_kept(
    settings: ServerSettings,
    path: str,
    body: dict[str, object],
    status: int,
    sentence: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One sentence on what is the matter and what would be allowed, in the answer, the list and the log."""
    caplog.set_level(logging.INFO)

    async def scene() -> None:
        async with running(settings) as (_, client):
            before = (await client.admin("GET", "versions")).json
            reply = await client.admin("POST", path, body)
            assert (reply.status, reply.error) == (status, sentence)
            assert (await client.admin("GET", "versions")).json == before
            (noted,) = (await client.admin("GET", "log")).json["log"]
            assert noted["refused"] == sentence

    run(scene())
    assert any(record.levelno == logging.INFO and sentence in record.message for record in caplog.records)


def test_versions_of_a_rollout_under_way_are_its_own() -> None:
    """Weight, shadow and retirement of both wait for its end; those of a third version do not."""

    async def scene() -> None:
        settings = of_versions(ECHOES, 100, 0, 0, rollout=gated_rollout(10))
        async with running(settings) as (_, client):
            assert (await client.admin("POST", "rollout", {"command": "start"})).status == 200
            for name, body in (("v1", {"loaded": False}), ("v2", {"weight": 0.5}), ("v2", {"shadow": 0.5})):
                reply = await client.admin("POST", f"versions/{name}", body)
                sentence = "A rollout is under way and has the say over v1 and v2: end it by promote_full or abort."
                assert (reply.status, reply.error) == (409, sentence)
            assert (await client.admin("POST", "versions/v3", {"weight": 0.2})).json["weight"] == 0.2

    run(scene())


@pytest.mark.parametrize(
    ("commands", "refused", "phase", "takes"),
    [
        ([], "retry", "is idle", "start"),
        (["start"], "resume", "is progressing", "promote or promote_full or abort or pause"),
        (["start", "pause"], "pause", "is paused", "promote or promote_full or abort or resume"),
        (["start", "promote_full"], "abort", "is promoted", ""),
        (["start", "abort"], "promote", "is rolled back", "retry"),
    ],
)
def test_command_with_nothing_to_act_on_is_told_which_ones_have(
    commands: list[str], refused: str, phase: str, takes: str
) -> None:
    """The rule itself is asked: it takes each command that is named, and those alone."""

    async def scene() -> None:
        async with running(ROLLING) as (_, client):
            for command in commands:
                assert (await client.admin("POST", "rollout", {"command": command})).status == 200
            told = (await client.admin("GET", "rollout")).json
            reply = await client.admin("POST", "rollout", {"command": refused})
            more = f"; it takes {takes}." if takes else "."
            assert reply.status == 409
            assert reply.error == f"The rollout {phase}, so there is nothing to {refused}{more}"
            assert " or ".join(told["commands"]) == takes

    run(scene())


# What is done


def test_weight_and_shadow_are_set_and_the_stable_version_has_the_rest() -> None:
    """In the answer, in the list of versions, and in what requests meet."""

    async def scene() -> None:
        async with running(TWO) as (_, client):
            reply = await client.admin("POST", "versions/v2", {"weight": 1})
            assert (reply.status, reply.json["name"], reply.json["weight"]) == (200, "v2", 1.0)
            assert (await version(client, "v1"))["weight"] == 0.0
            assert {(await client.predict()).headers["X-Servecast-Version"] for _ in range(20)} == {"v2"}
            assert (await client.admin("POST", "versions/v2", {"weight": 0})).json["weight"] == 0.0
            assert {(await client.predict()).headers["X-Servecast-Version"] for _ in range(20)} == {"v1"}
            assert (await client.admin("POST", "versions/v2", {"shadow": 1})).json["shadow"] == 1.0
            replies = [await client.predict() for _ in range(20)]
            assert {reply.headers["X-Servecast-Version"] for reply in replies} == {"v1"}

            async def all_compared() -> bool:
                return bool((await version(client, "v2"))["agreement"]["agreed"] == 20)

            await until(all_compared)
            told = await version(client, "v1")
            assert told["attempts"]["answered"] == 40 - 20 + 20
            assert (await version(client, "v2"))["attempts"]["answered"] == 20

    run(scene())


def test_version_is_deployed_takes_requests_and_is_retired() -> None:
    """Its replicas come and go; a request that names it after that is told that it is not loaded."""

    async def scene() -> None:
        async with running(of_versions(ECHOES, 100, 0, loaded=(True, False))) as (server, client):
            assert len(server.dispatch.pids) == 1
            deployed = (await client.admin("POST", "versions/v2", {"loaded": True})).json
            assert (deployed["loaded"], deployed["replicas_wanted"], deployed["replicas_ready"]) == (True, 1, 0)
            reply = await client.ask("POST", "/versions/v2/predict", data=b'{"input": 1}')
            assert (reply.status, reply.headers["X-Servecast-Version"]) == (200, "v2")
            assert (await version(client, "v2"))["replicas_ready"] == 1
            assert len(server.dispatch.pids) == 2
            retired = (await client.admin("POST", "versions/v2", {"loaded": False})).json
            assert (retired["loaded"], retired["replicas_wanted"], retired["replicas_ready"]) == (False, 0, 0)
            assert (await client.ask("POST", "/versions/v2/predict", data=b'{"input": 1}')).status == 404

    run(scene())


def test_version_for_which_requests_wait_is_not_retired_before_they_are_gone(tmp_path: Path) -> None:
    """Its replica is held while it loads, so the request stays in front of the fleet until its client hangs up."""

    async def scene() -> None:
        async with Gate(tmp_path) as gate:
            first, second = of_versions(ECHOES, 100, 0, loaded=(True, False)).versions
            stuck = replace(second, backend=STUCK, backend_settings=gate.settings)
            async with running(replace(of_versions(ECHOES, 100, 0), versions=(first, stuck))) as (_, client):
                assert (await client.admin("POST", "versions/v2", {"loaded": True})).status == 200
                await gate.pass_started()  # it loads
                waiting = asyncio.create_task(client.ask("POST", "/versions/v2/predict", data=b'{"input": 1}'))
                await until(lambda: client.has_waiting(1))
                reply = await client.admin("POST", "versions/v2", {"loaded": False})
                sentence = "v2 is in use, with requests that wait for its replicas: free it of that, then retire it."
                assert (reply.status, reply.error) == (409, sentence)
                waiting.cancel()
                await until(lambda: client.has_waiting(0))
                assert (await client.admin("POST", "versions/v2", {"loaded": False})).status == 200

    run(scene())


def test_canary_that_fails_is_rolled_back_and_it_can_be_seen_why(tmp_path: Path) -> None:
    """A check is due, failures are counted for it; when it has looked, the canary has nothing and the cause is told."""

    async def scene() -> None:
        async with Gate(tmp_path) as gate:
            analysis: AnalysisSettings = {
                "limits": [{"metric": "failed", "pass_most": 0}],
                "interval_ns": 300 * MS,
                "samples_min": 3,
                "no_data": "hold",
            }
            rule = rollout_rule(steps=[{"weight": 5_000, "analysis": True}], analysis=analysis)
            first, second = of_versions(ECHOES, 100, 0).versions
            gated = replace(second, backend=GATED, backend_settings=gate.settings)
            settings = replace(of_versions(ECHOES, 100, 0, rollout=rule), versions=(first, gated))
            async with running(settings) as (_, client):
                started = (await client.admin("POST", "rollout", {"command": "start"})).json
                assert (started["checks"], started["checks_needed"], started["samples_min"]) == (0, 1, 3)
                assert datetime.fromisoformat(started["due"]) > datetime.fromisoformat(started["since"])
                for sent, how in enumerate(("finish", "fail")):
                    asked = asyncio.create_task(client.ask("POST", "/versions/v2/predict", data=b'{"input": 1}'))
                    (await gate.pass_started()).end(how)
                    assert (await asked).status == (500 if sent else 200)
                counted = (await client.admin("GET", "rollout")).json["counted"]  # two are too few for a check
                assert counted == {
                    "v2": {"answered": 1, "failed": 1, "slow": 0},
                    "v1": {"answered": 0, "failed": 0, "slow": 0},
                }
                asked = asyncio.create_task(client.ask("POST", "/versions/v2/predict", data=b'{"input": 1}'))
                (await gate.pass_started()).end("fail")
                assert (await asked).status == 500

                async def is_rolled_back() -> bool:
                    return bool((await client.admin("GET", "rollout")).json["phase"] == "rolled_back")

                await until(is_rolled_back)
                assert (await version(client, "v2"))["weight"] == 0.0
                last = (await client.admin("GET", "rollout")).json["moves"][-1]
                assert (last["action"], last["cause"], last["weight"]) == ("roll_back", "failure_limit", 0.0)
                assert (await client.predict()).headers["X-Servecast-Version"] == "v1"

    run(scene())


def test_disagreement_of_a_shadow_is_shown_in_full() -> None:
    """What the client got and what the shadow said, by request: of the very first copy too."""

    async def scene() -> None:
        echo = of_versions(ECHOES, 100, 0, shadows=(0, 10_000))
        emulated = replace(server_settings().versions[0], name="v2")
        async with running(replace(echo, versions=(echo.versions[0], emulated))) as (_, client):
            for number in range(2):
                await client.predict("word", number=f"{number}.0")

            async def both_compared() -> bool:
                return bool((await version(client, "v2"))["agreement"]["disagreed"] == 2)

            await until(both_compared)
            assert (await version(client, "v2"))["agreement"]["latest"] == [
                {"request": number, "answered": '"word"', "shadow": '{"bytes":6}'} for number in range(2)
            ]
            assert (await version(client, "v1"))["agreement"]["latest"] == []

    run(scene())


def test_shadow_that_fails_is_told_apart_from_one_that_disagrees(tmp_path: Path) -> None:
    """One answer that agrees, one that there is not."""

    async def scene() -> None:
        async with Gate(tmp_path) as gate:
            echo = of_versions(ECHOES, 100, 0, shadows=(0, 10_000))
            first, second = echo.versions
            other = replace(second, backend=GATED, backend_settings=gate.settings)
            async with running(replace(echo, versions=(first, other))) as (_, client):
                await client.predict("same", number="7.0")
                (await gate.pass_started()).end()
                await client.predict("lost", number="8.0")
                (await gate.pass_started()).end("fail")

                async def both_compared() -> bool:
                    agreement = (await version(client, "v2"))["agreement"]
                    return bool(agreement == {"agreed": 1, "disagreed": 0, "unanswered": 1, "latest": []})

                await until(both_compared)

    run(scene())


def test_rollout_is_started_promoted_and_rolled_back_while_every_request_is_answered_once() -> None:
    """A canary that is not loaded yet is, then gets 10 %, 50 % and all; nothing that is sent meanwhile is lost."""

    async def scene() -> None:
        settings = of_versions(ECHOES, 100, 0, loaded=(True, False), rollout=gated_rollout(10, 50))
        async with running(settings) as (_, client):
            numbers, stop = iter(range(10**6)), asyncio.Event()
            sent: list[int] = []

            async def ask_on() -> None:
                while not stop.is_set():
                    number = next(numbers)
                    sent.append(number)
                    reply = await client.predict(number, number=f"{number}.0")
                    assert (reply.status, reply.json["output"]) == (200, number)

            users = [asyncio.create_task(ask_on()) for _ in range(8)]

            async def has_weight(share: float) -> None:
                async def holds() -> bool:
                    return bool((await version(client, "v2"))["weight"] == share)

                await until(holds)

            assert (await client.admin("GET", "rollout")).json["phase"] == "idle"
            began = datetime.now(UTC)
            started = (await client.admin("POST", "rollout", {"command": "start"})).json
            assert (started["phase"], started["weight"], started["step_since"]) == ("progressing", 0.0, None)
            await has_weight(0.1)
            paused = (await client.admin("POST", "rollout", {"command": "pause"})).json
            assert (paused["phase"], paused["step"], paused["weight"]) == ("paused", 0, 0.1)
            assert began <= datetime.fromisoformat(paused["since"]) <= datetime.now(UTC)
            assert datetime.fromisoformat(paused["step_since"]) <= datetime.fromisoformat(paused["since"])
            assert (await client.admin("POST", "rollout", {"command": "promote"})).json["weight"] == 0.5
            full = (await client.admin("POST", "rollout", {"command": "promote_full"})).json
            assert (full["phase"], full["weight"], full["commands"]) == ("promoted", 1.0, [])
            await has_weight(1.0)
            stop.set()
            await asyncio.gather(*users)
            moves = (await client.admin("GET", "rollout")).json["moves"]
            assert [(move["action"], move["cause"], move["weight"]) for move in moves] == [
                ("go_on", "command", 0.0),
                ("go_on", "step", 0.1),
                ("pause", "command", 0.1),
                ("go_on", "command", 0.1),
                ("go_on", "step", 0.5),
                ("go_on", "command", 0.5),
                ("promote", "step", 1.0),
            ]
            assert moves == sorted(moves, key=lambda move: str(move["at"]))
            rows = await client.attempts()
            assert sorted(row.request for row in rows) == sorted(sent)
            assert {row.outcome for row in rows} == {Outcome.ANSWERED}

    run(scene())


def test_rollout_is_called_off_and_tried_again() -> None:
    """The canary has nothing at once; what was ordered stands in the list, with who, from what and to what."""

    async def scene() -> None:
        async with running(ROLLING) as (_, client):
            for command in ("start", "promote", "abort", "retry"):
                assert (await client.admin("POST", "rollout", {"command": command})).status == 200
            assert (await client.admin("POST", "rollout", {"command": "start"})).status == 409
            log = (await client.admin("GET", "log")).json["log"]
            assert [(each["what"], each["to"]["phase"], each["to"]["weight"]) for each in log] == [
                ("rollout: start", "progressing", 0.1),
                ("rollout: promote", "progressing", 0.5),
                ("rollout: abort", "rolled_back", 0.0),
                ("rollout: retry", "progressing", 0.1),
                ("rollout: start", "progressing", 0.1),
            ]
            assert log[1]["from"] == {"phase": "progressing", "step": 0, "weight": 0.1}
            assert [each["refused"] is None for each in log] == [True] * 4 + [False]
            assert all(each["by"].startswith("127.0.0.1:") for each in log)
            assert all(datetime.fromisoformat(each["when"]).tzinfo is not None for each in log)

    run(scene())


def test_order_of_a_weight_is_kept_with_what_it_was() -> None:
    """And of a deployment with whether it was."""

    async def scene() -> None:
        async with running(of_versions(ECHOES, 90, 10, 0, loaded=(True, True, False))) as (_, client):
            await client.admin("POST", "versions/v2", {"weight": 0.25})
            await client.admin("POST", "versions/v2", {"shadow": 0.5})
            await client.admin("POST", "versions/v3", {"loaded": True})
            await client.admin("POST", "versions/v9", {"loaded": True})
            log = (await client.admin("GET", "log")).json["log"]
            assert [(each["what"], each["from"], each["to"]) for each in log] == [
                ("weight of v2", 0.1, 0.25),
                ("shadow of v2", 0.0, 0.5),
                ("loaded of v3", False, True),
                ("loaded of v9", None, True),
            ]

    run(scene())


def test_orders_and_moves_are_told_up_to_a_bound() -> None:
    """The latest ones: a server that is ordered about for months keeps its memory."""

    async def scene() -> None:
        async with running(ROLLING) as (server, client):
            await client.admin("POST", "rollout", {"command": "start"})
            for _ in range(LOG_MAX // 2):
                await client.admin("POST", "rollout", {"command": "pause"})
                await client.admin("POST", "rollout", {"command": "resume"})
            log = (await client.admin("GET", "log")).json["log"]
            assert len(log) == LOG_MAX
            assert (log[0]["what"], log[-1]["what"]) == ("rollout: pause", "rollout: resume")
            moves = (await client.admin("GET", "rollout")).json["moves"]
            assert len(moves) == MOVES_MAX < len(server.dispatch.timeline.rollout)
            assert moves[-1]["action"] == "go_on"

    run(scene())


def test_server_without_a_rollout_has_none_to_tell_of() -> None:
    """404, as of anything that is not there."""

    async def scene() -> None:
        async with running(TWO) as (_, client):
            reply = await client.admin("GET", "rollout")
            sentence = "This server was started without a rollout; weights are set version by version."
            assert (reply.status, reply.error) == (404, sentence)

    run(scene())


def test_server_that_stops_takes_no_orders(tmp_path: Path) -> None:
    """A version deployed now would be started to be ended."""

    async def scene() -> None:
        async with Gate(tmp_path) as gate:
            gated = server_settings(backend=GATED, backend_settings=gate.settings)
            async with running(of_versions(gated, 100, 0, loaded=(True, False))) as (server, client):
                asked = asyncio.create_task(client.predict())
                held = await gate.pass_started()
                await client.admin("GET", "log")  # a connection that is open when listening ends
                stopping = asyncio.create_task(server.drain())
                reply = await client.admin("POST", "versions/v2", {"loaded": True})
                assert (reply.status, reply.error) == (503, "The server is stopping and takes no orders.")
                held.end()
                assert (await asked).status == 200
                await stopping

    run(scene())


def test_every_command_of_the_rule_can_be_given() -> None:
    """None is left out of the sentence that lists them."""

    async def scene() -> None:
        async with running(ROLLING) as (_, client):
            sentence = (await client.admin("POST", "rollout", {})).error
            assert all(command.name.lower() in sentence for command in Command)
            json.dumps(sentence)

    run(scene())
