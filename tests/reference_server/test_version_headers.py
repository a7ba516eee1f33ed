"""Which version takes a request as its headers and path say, over both ways in, and what answers tell of it."""

from __future__ import annotations

import asyncio
import json

import pytest

from policy.sticky import sticky_bits
from policy.versions import choose
from reference_server.request_text import NUMBER_MAX
from reference_server.settings import ServerSettings
from tests.reference_server.gate import ECHO
from tests.reference_server.live import Client, Reply, gated_rollout, of_versions, run, running, server_settings
from tests.reference_server.talk import Talk, request

ECHOES = server_settings(backend=ECHO)
THREE = of_versions(ECHOES, 60, 30, 10)


async def ask(client: Client, *, plain: bool, path: str = "/predict", **headers: str) -> Reply:
    """Ask for a prediction by one of the two ways in; a body in chunks is aiohttp's."""

    async def chunks() -> object:
        yield b'{"input": 1}'

    named = {f"X-Servecast-{name.capitalize()}": value for name, value in headers.items()}
    return await client.ask("POST", path, data=b'{"input": 1}' if plain else chunks(), headers=named)


@pytest.mark.parametrize("plain", [True, False])
def test_user_stays_with_the_version_that_the_rule_gives_his_key(plain: bool) -> None:
    """Three times each of 60 keys: always the version of policy's own arithmetic, and each version has some."""

    async def scene() -> None:
        async with running(of_versions(ECHOES, 60, 30, 10, salt=7)) as (_, client):
            seen = set()
            for user in range(60):
                bits = sticky_bits(f"user-{user}", 7)
                expected = f"v{choose(THREE.shares.weights, bits, -1) + 1}"
                for _ in range(3):
                    reply = await ask(client, plain=plain, key=f"user-{user}")
                    assert (reply.status, reply.headers["X-Servecast-Version"]) == (200, expected)
                seen.add(expected)
            assert seen == {"v1", "v2", "v3"}

    run(scene())


def test_users_of_the_canary_stay_there_as_it_grows_and_all_return_with_a_rollback() -> None:
    """20 %, then 60 %: whoever had v2 has it still, some more do, and nobody after the abort."""

    async def scene() -> None:
        settings = of_versions(ECHOES, 100, 0, rollout=gated_rollout(20, 60))
        async with running(settings) as (_, client):

            async def users_of_v2() -> set[int]:
                replies = [await ask(client, plain=True, key=f"user-{user}") for user in range(50)]
                return {user for user, reply in enumerate(replies) if reply.headers["X-Servecast-Version"] == "v2"}

            before = await users_of_v2()
            await client.admin("POST", "rollout", {"command": "start"})
            few = await users_of_v2()
            await client.admin("POST", "rollout", {"command": "promote"})
            more = await users_of_v2()
            await client.admin("POST", "rollout", {"command": "abort"})
            assert (before, await users_of_v2()) == (set(), set())
            assert set() < few < more < set(range(50))

    run(scene())


@pytest.mark.parametrize("plain", [True, False])
def test_request_that_names_a_version_is_taken_by_it(plain: bool) -> None:
    """By header and by path, whatever its weight and whatever its key says; its row says so too."""

    async def scene() -> None:
        async with running(of_versions(ECHOES, 100, 0)) as (_, client):
            named = await ask(client, plain=plain, version="v2", key="user-1", attempt="5.1")
            by_path = await ask(client, plain=plain, path="/versions/v2/predict", attempt="6.0")
            twice = await ask(client, plain=plain, path="/versions/v2/predict", version="v2", attempt="7.0")
            for reply, number in ((named, "5.1"), (by_path, "6.0"), (twice, "7.0")):
                assert (reply.status, reply.json["output"]) == (200, 1)
                assert reply.headers["X-Servecast-Version"] == "v2"
                assert reply.headers["X-Servecast-Request"] == number
            assert [row.version for row in await client.attempts()] == [1, 1, 1]

    run(scene())


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize(
    ("path", "headers", "status", "sentence"),
    [
        ("/predict", {"version": "v9"}, 404, "There is no version 'v9'; this server has v1, v2, v3."),
        ("/predict", {"version": ""}, 404, "There is no version ''; this server has v1, v2, v3."),
        ("/predict", {"version": "V1"}, 404, "There is no version 'V1'; this server has v1, v2, v3."),
        ("/versions/v9/predict", {}, 404, "There is no version 'v9'; this server has v1, v2, v3."),
        (
            "/versions/v1/predict",
            {"version": "v2"},
            400,
            "The path and the header X-Servecast-Version name two versions.",
        ),
        ("/predict", {"key": ""}, 400, "X-Servecast-Key must be 1 to 256 characters of visible ASCII. Got ''."),
        (
            "/predict",
            {"key": "two words"},
            400,
            "X-Servecast-Key must be 1 to 256 characters of visible ASCII. Got 'two words'.",
        ),
        ("/predict", {"key": "k" * 257}, 400, "X-Servecast-Key must be 1 to 256 characters of visible ASCII."),
        ("/predict", {"key": "\xe9"}, 400, "X-Servecast-Key must be 1 to 256 characters of visible ASCII."),
    ],
)
def test_header_that_cannot_be_followed_is_told_in_one_sentence(
    plain: bool, path: str, headers: dict[str, str], status: int, sentence: str
) -> None:
    """The request is given to nobody: it leaves no row."""

    async def scene() -> None:
        async with running(THREE) as (_, client):
            reply = await ask(client, plain=plain, path=path, **headers)
            assert reply.status == status
            assert reply.error.startswith(sentence)
            assert (await ask(client, plain=plain, key="k" * 256)).status == 200
            assert len(await client.attempts()) == 1

    run(scene())


@pytest.mark.parametrize(
    ("path", "method", "status", "sentence"),
    [
        ("/versions/v1/predict", "GET", 405, "/versions/v1/predict takes POST only."),
        ("/versions/v1", "POST", 404, "There is nothing here: try POST /predict or GET /health."),
        ("/versions/v1/predict/x", "POST", 404, "There is nothing here: try POST /predict or GET /health."),
    ],
)
def test_path_of_a_version_takes_predictions_only(path: str, method: str, status: int, sentence: str) -> None:
    """As the other paths say it."""

    async def scene() -> None:
        async with running(THREE) as (_, client):
            reply = await client.ask(method, path)
            assert (reply.status, reply.error) == (status, sentence)

    run(scene())


def test_version_that_is_not_loaded_is_told_with_its_number_and_without_a_version() -> None:
    """Nobody answered."""

    async def scene() -> None:
        async with running(of_versions(ECHOES, 100, 0, loaded=(True, False))) as (_, client):
            reply = await ask(client, plain=True, version="v2", attempt="3.0")
            assert (reply.status, reply.error) == (404, "The version that would take the request is not loaded.")
            assert reply.headers["X-Servecast-Request"] == "3.0"
            assert "X-Servecast-Version" not in reply.headers

    run(scene())


def test_request_without_a_number_is_told_the_servers_own() -> None:
    """An outcome can be reported of it too."""

    async def scene() -> None:
        async with running(THREE) as (_, client):
            assert (await ask(client, plain=True)).headers["X-Servecast-Request"] == f"{NUMBER_MAX}.0"

    run(scene())


@pytest.mark.parametrize(
    "settings", [ECHOES, of_versions(ECHOES, 100, canary=None)], ids=["without admin", "with admin"]
)
def test_server_of_one_version_answers_as_one_always_did(settings: ServerSettings) -> None:
    """To the byte, but for the date; a key and the name of its only version change nothing."""

    async def scene() -> None:
        async with running(settings) as (_, client), Talk(client.port) as talk:
            heads = [b"", b"X-Servecast-Key: a\r\n", b"X-Servecast-Version: v1\r\n"]
            answers = []
            for lines in heads:
                talk.send(request(b'{"input": 1}', lines))
                answers.append(await talk.answer())
            assert [list(answer.headers) for answer in answers] == [
                ["content-type", "server", "date", "content-length"]
            ] * 3
            assert [list(json.loads(answer.body)) for answer in answers] == [["output", "batch_size", "pass_ms"]] * 3
            talk.send(request(b'{"input": 1}', b"X-Servecast-Version: v2\r\n"))
            unknown = await talk.answer()
            sentence = "There is no version 'v2'; this server has v1."
            assert (unknown.status, json.loads(unknown.body)["error"]) == (404, sentence)

    run(scene())


def test_hundred_requests_at_once_are_split_and_each_told_who_answered() -> None:
    """The rows agree with what every client was told."""

    async def scene() -> None:
        async with running(THREE) as (_, client):
            replies = await asyncio.gather(*(client.predict(number, number=f"{number}.0") for number in range(100)))
            told = {reply.headers["X-Servecast-Request"]: reply.headers["X-Servecast-Version"] for reply in replies}
            rows = await client.attempts()
            assert told == {f"{row.request}.{row.attempt}": f"v{row.version + 1}" for row in rows}
            assert set(told.values()) == {"v1", "v2", "v3"}

    run(scene())
