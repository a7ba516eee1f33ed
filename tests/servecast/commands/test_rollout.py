"""`servecast rollout`: orders to the versions of a live server, and what it tells of them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from servecast.admin_token import ADMIN_TOKEN
from servecast.cli import main
from servecast.errors import Exit
from sim.outcome.rollout_theory import ProportionTest
from tests.reference_server.gate import ECHO
from tests.reference_server.live import TOKEN, Client, gated_rollout, of_versions, run, running, server_settings

ECHOES = server_settings(backend=ECHO)
ROLLING = of_versions(ECHOES, 100, 0, rollout=gated_rollout(10, 50))
NOWHERE = "http://127.0.0.1:9"


class Said(NamedTuple):
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, read as JSON."""
        return json.loads(self.out)


class Terminal:
    """Runs commands beside the server that they speak to."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    async def type(self, client: Client, *words: str) -> Said:
        """Run `servecast rollout` against a server."""
        code = await asyncio.to_thread(main, ["rollout", *words, "--url", client.url])
        return Said(code, *self._capsys.readouterr())


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Return a terminal whose environment has the token."""
    monkeypatch.setenv(ADMIN_TOKEN, TOKEN)
    return Terminal(capsys)


def test_rollout_is_led_from_start_to_end(terminal: Terminal) -> None:
    """Each command says first where things stand then, and what each version gets."""

    async def scene() -> None:
        async with running(ROLLING) as (_, client):
            for words, answer in [
                ("status", "The rollout of v2 has not been started."),
                ("start", "The rollout of v2 is progressing: at step 1 of 2, with 10.0 % of the requests."),
                ("pause", "The rollout of v2 is paused: at step 1 of 2, with 10.0 % of the requests."),
                ("resume", "The rollout of v2 is progressing: at step 1 of 2, with 10.0 % of the requests."),
                ("promote", "The rollout of v2 is progressing: at step 2 of 2, with 50.0 % of the requests."),
                ("abort", "The rollout of v2 was rolled back at step 2: somebody said abort."),
                ("retry", "The rollout of v2 is progressing: at step 1 of 2, with 10.0 % of the requests."),
                ("promote_full", "v2 is promoted: it has all that it shares with v1."),
                ("status", "v2 is promoted: it has all that it shares with v1."),
            ]:
                said = await terminal.type(client, words)
                assert (said.code, said.err) == (Exit.DONE, "")
                assert said.out.splitlines()[0] == answer
            assert said.out.count("v2  ") >= 1
            assert "100 %" in said.out

    run(scene())


def test_json_has_what_the_server_tells(terminal: Terminal) -> None:
    """The order, then versions and rollout as they are after it."""

    async def scene() -> None:
        async with running(ROLLING) as (_, client):
            said = await terminal.type(client, "start", "--json")
            assert said.json["version"] == "servecast-rollout/1"
            assert said.json["ordered"] == {"path": "/admin/rollout", "body": {"command": "start"}}
            assert said.json["versions"] == (await client.admin("GET", "versions")).json["versions"]
            assert said.json["rollout"] == (await client.admin("GET", "rollout")).json
            assert (await terminal.type(client, "status", "--json")).json["ordered"] is None

    run(scene())


def test_versions_are_ordered_one_by_one(terminal: Terminal) -> None:
    """Weight, shadow, deployment and retirement, on a server without a rollout."""

    async def scene() -> None:
        async with running(of_versions(ECHOES, 100, 0, 0, loaded=(True, True, False))) as (_, client):

            async def told(name: str) -> dict[str, Any]:
                rows = (await client.admin("GET", "versions")).json["versions"]
                return next(row for row in rows if row["name"] == name)

            said = await terminal.type(client, "weight", "v2", "12.5%")
            assert said.out.splitlines()[0] == "There is no rollout; the weights are v1 87.5 %, v2 12.5 %, v3 0 %."
            assert (await told("v2"))["weight"] == 0.125
            await terminal.type(client, "shadow", "v2", "50%")
            assert (await told("v2"))["shadow"] == 0.5
            await terminal.type(client, "deploy", "v3")
            assert (await told("v3"))["loaded"] is True
            said = await terminal.type(client, "retire", "v3")
            assert (await told("v3"))["loaded"] is False
            assert "not loaded" in said.out

    run(scene())


def test_order_that_the_server_refuses_is_its_sentence_and_an_exit_code(terminal: Terminal) -> None:
    """1 where things stand against it, 2 where it can never be."""

    async def scene() -> None:
        async with running(ROLLING) as (_, client):
            said = await terminal.type(client, "promote")
            sentence = "The rollout is idle, so there is nothing to promote; it takes start."
            assert said == (Exit.MISSED, "", f"servecast: {sentence}\n")
            said = await terminal.type(client, "deploy", "v9?")
            sentence = "There is no such version; this server has v1, v2."
            assert said == (Exit.BAD_INPUT, "", f"servecast: {sentence}\n")
            said = await terminal.type(client, "weight", "v2", "0.001%")
            sentence = "weight must be a share from 0 to 1 in steps of 0.0001."
            assert said == (Exit.BAD_INPUT, "", f"servecast: {sentence}\n")

    run(scene())


def test_log_tells_who_ordered_what(terminal: Terminal) -> None:
    """Orders of either kind and a refused one, the oldest first; --json has what the server tells."""

    async def scene() -> None:
        async with running(ROLLING) as (_, client):
            assert (await terminal.type(client, "log")).out == "Nobody has ordered anything.\n"
            for words in (["promote"], ["start"], ["shadow", "v2", "50%"], ["weight", "v9", "5%"], ["retire", "v2"]):
                await terminal.type(client, *words)
            told = (await client.admin("GET", "log")).json["log"]
            assert (await terminal.type(client, "log", "--json")).json == {"version": "servecast-orders/1", "log": told}
            said = await terminal.type(client, "log")
            assert (said.code, said.err) == (Exit.DONE, "")
            answer, _, head, *rows = said.out.splitlines()
            assert answer == "5 orders are remembered, of which 4 were refused."
            assert head.split() == ["when", "(UTC)", "what", "from", "to", "by", "refused"]
            text = " ".join(" ".join(rows).split())
            for order in told:
                assert order["when"][11:-6] in text
                assert order["by"] in text
            for words in (
                "rollout: start",
                "idle, step 1, 0 %",
                "progressing, step 1, 10.0 %",
                "loaded of v2",
                "yes",
                "no",
            ):
                assert words in text

    run(scene())


def test_token_comes_from_a_file_before_the_environment(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """White space around it does not count; a wrong one is the server's 401, and is not shown."""
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text(f"{TOKEN}\n")
    wrong.write_text("wrong-" + TOKEN)
    monkeypatch.setenv(ADMIN_TOKEN, "not-the-token-of-it")

    async def scene() -> None:
        async with running(ROLLING) as (_, client):
            assert (await terminal.type(client, "status", "--token-file", str(right))).code == Exit.DONE
            for options in ([], ["--token-file", str(wrong)]):
                said = await terminal.type(client, "status", *options)
                sentence = "The admin API takes requests with its token only: Authorization: Bearer TOKEN."
                assert said == (Exit.BAD_INPUT, "", f"servecast: {sentence}\n")

    run(scene())


def test_server_without_a_token_says_how_to_set_one(terminal: Terminal) -> None:
    """403 is bad input too: the server is to be started otherwise."""

    async def scene() -> None:
        async with running(of_versions(ECHOES, 50, 50, admin_token=None)) as (_, client):
            said = await terminal.type(client, "status")
            assert said.code == Exit.BAD_INPUT
            assert "start the server with --admin-token-file FILE" in said.err
            assert (await terminal.type(client, "outcomes")).code == Exit.DONE, "reports need no token"

    run(scene())


async def report(client: Client, name: str, successes: int, reports: int) -> None:
    """Have a version answer, and report so many successes."""
    for number in range(reports):
        reply = await client.ask("POST", f"/versions/{name}/predict", data=b'{"input": 1}')
        body = {"request": reply.headers["X-Servecast-Request"], "success": number < successes}
        assert (await client.ask("POST", "/outcome", json=body)).status == 200


def test_outcomes_are_compared_with_those_of_the_stable_version(terminal: Terminal) -> None:
    """Difference, interval and p-value are those of the two-proportion test, b being the other version."""

    async def scene() -> None:
        async with running(of_versions(ECHOES, 60, 20, 20)) as (_, client):
            for name, successes in (("v1", 60), ("v2", 85), ("v3", 63)):
                await report(client, name, successes, 100)
            compared = (await terminal.type(client, "outcomes", "--json")).json
            assert [(row["name"], row["reported"], row["successes"]) for row in compared["versions"]] == [
                ("v1", 100, 60),
                ("v2", 100, 85),
                ("v3", 100, 63),
            ]
            for row, name, successes in zip(compared["comparisons"], ("v2", "v3"), (85, 63), strict=True):
                test = ProportionTest(60, 100, successes, 100)
                assert (row["version"], row["against"]) == (name, "v1")
                assert row["difference"] == pytest.approx(successes / 100 - 0.6)
                assert (row["difference_low"], row["difference_high"]) == test.interval()
                assert (row["p_value"], row["exact"]) == (test.p_value, False)
            text = (await terminal.type(client, "outcomes")).out
            assert text.splitlines()[:2] == [
                "v2 succeeds more often than v1: chance alone seldom shows such a difference.",
                "No difference between v3 and v1 is shown: chance alone could well have made this one.",
            ]
            assert "+25.00 points" in text
            assert "+3.00 points" in text

    run(scene())


def test_outcomes_without_reports_compare_nothing(terminal: Terminal) -> None:
    """It is said of whom they are missing; few reports get the exact test, and a star."""

    async def scene() -> None:
        async with running(of_versions(ECHOES, 50, 50)) as (_, client):
            await report(client, "v1", 4, 4)
            said = await terminal.type(client, "outcomes")
            sentence = "v2 cannot be compared with v1: nothing is reported of v2."
            assert (said.code, said.out.splitlines()[0]) == (Exit.DONE, sentence)
            row = (await terminal.type(client, "outcomes", "--json")).json["comparisons"][0]
            assert (row["difference"], row["p_value"], row["means"]) == (None, None, sentence)
            await report(client, "v2", 0, 4)
            assert "0.0286 *" in (await terminal.type(client, "outcomes")).out

    run(scene())


def test_server_of_one_version_has_no_outcomes(terminal: Terminal) -> None:
    """Its 404 is the sentence."""

    async def scene() -> None:
        async with running(ECHOES) as (_, client):
            said = await terminal.type(client, "outcomes")
            sentence = "There is nothing to compare: this server has one version."
            assert said == (Exit.BAD_INPUT, "", f"servecast: {sentence}\n")

    run(scene())


def test_something_else_at_the_address_is_no_servecast_server(terminal: Terminal) -> None:
    """Whatever it answers: exit code 4, and what was asked."""

    async def scene() -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\nConnection: close\r\n\r\nnot here\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        said = await asyncio.to_thread(main, ["rollout", "status", "--url", f"http://127.0.0.1:{port}"])
        server.close()
        assert said == Exit.COULD_NOT_RUN

    run(scene())
    # What was printed is that of the thread.
    assert "is no servecast server: GET /admin/versions answers 404." in terminal._capsys.readouterr().err


def test_nothing_at_the_address_is_one_sentence(terminal: Terminal, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 4."""
    assert main(["rollout", "status", "--url", NOWHERE]) == Exit.COULD_NOT_RUN
    sentence = f"The server at {NOWHERE} cannot be reached: connection refused."
    assert capsys.readouterr() == ("", f"servecast: {sentence}\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["weight", "v2"], "rollout weight takes NAME SHARE. Got v2."),
        (["deploy"], "rollout deploy takes NAME. Got nothing."),
        (["start", "v2"], "rollout start takes nothing. Got v2."),
        (["weight", "v2", "0.1"], "rollout: SHARE must carry"),
        (["weight", "v2", "101%"], "rollout: SHARE must lie between 0% and 100%. Got 101%."),
        (["begin"], "rollout: argument ACTION: invalid choice: 'begin'"),
        (["status", "--url", "ftp://127.0.0.1"], "--url must be of the form http://127.0.0.1:8080. Got ftp://"),
        (["status", "--url", "http://127.0.0.1:x"], "--url must be of the form http://127.0.0.1:8080. Got http://"),
        (["status", "--url", "http://me:word@127.0.0.1"], "--url must not carry a user or a password"),
        (["status", "--token-file", "/nowhere/at/all"], "--token-file /nowhere/at/all cannot be read: no such file"),
    ],
)
def test_bad_option_is_one_sentence(
    words: list[str], sentence: str, terminal: Terminal, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, before anything is sent."""
    url = [] if "--url" in words else ["--url", NOWHERE]
    assert main(["rollout", *words, *url]) == Exit.BAD_INPUT
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"servecast: {sentence}")
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize("token", [None, "", "  "])
def test_action_without_a_token_says_where_it_is_looked_for(
    token: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty variable is none."""
    monkeypatch.delenv(ADMIN_TOKEN, raising=False)
    if token is not None:
        monkeypatch.setenv(ADMIN_TOKEN, token)
    assert main(["rollout", "start", "--url", NOWHERE]) == Exit.BAD_INPUT
    sentence = "rollout start needs the server's token: set SERVECAST_ADMIN_TOKEN, or give --token-file."
    assert capsys.readouterr().err == f"servecast: {sentence}\n"


def test_token_that_fits_no_header_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second line in it would be a header of its own."""
    monkeypatch.setenv(ADMIN_TOKEN, "a-secret\r\nX-More: 1")
    assert main(["rollout", "start", "--url", NOWHERE]) == Exit.BAD_INPUT
    printed = capsys.readouterr().err
    assert printed == "servecast: SERVECAST_ADMIN_TOKEN must hold one token of visible ASCII characters.\n"


@pytest.mark.parametrize(
    ("url", "warned"),
    [("http://192.0.2.1:9", True), ("https://192.0.2.1:9", False), ("http://localhost:9", False), (NOWHERE, False)],
)
def test_token_that_others_could_read_on_its_way_is_warned_of(
    url: str, warned: bool, terminal: Terminal, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Plain HTTP to another machine: a sentence on stderr, which --quiet leaves out. Nothing is sent here."""

    def not_connected(*_: object) -> object:
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr("socket.create_connection", not_connected)
    for options, says in (([], warned), (["--quiet"], False)):
        assert main(["rollout", "status", "--url", url, *options]) == Exit.COULD_NOT_RUN
        assert ("goes over the network as it is" in capsys.readouterr().err) == says
