"""`servecast rollout` against a live server: what it shows, what it orders, and each way to be refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from servecast.cli import main
from servecast.errors import Exit
from servecast.own_server import own_server
from servecast.rollout_report import rollout_report
from sim.report.tables import as_text

TOKEN = "correct-horse-battery"
SCENARIO = """
name: shop
traffic: {arrivals: {process: poisson, rate: 50/s}, timeout: 2s}
model: {pass_time: {base: 1ms}}
batching: {max_batch: 1}
versions:
  - {name: v1, weight: 80%}
  - {name: v2, role: canary, weight: 20%}
rollout: {steps: [{weight: 30%, pause: none}], start: none}
"""


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve two versions with a rollout that waits for an operator; the environment has the token."""
    file = tmp_path / "shop.yaml"
    file.write_text(SCENARIO, encoding="utf-8")
    monkeypatch.setenv("SERVECAST_ADMIN_TOKEN", TOKEN)
    with own_server([str(file)], TOKEN) as address:
        yield address


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Run the command and return its exit code, what it printed, and what it complained of."""
    code = main(["rollout", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.slow
def test_a_rollout_from_start_to_rollback(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every order says what it changed, the status follows, the log keeps it, a second promotion is refused."""
    at = ("--url", url)
    assert said(capsys, "status", *at)[1].startswith("The rollout of v2 has not been started.")
    code, _, err = said(capsys, "promote", *at)
    assert (code, err) == (Exit.MISSED, "servecast: The rollout is idle: promote has nothing to act on.\n")
    assert said(capsys, "start", *at)[:2] == (Exit.DONE, "start: from idle to progressing.\n")
    status = said(capsys, "status", *at)[1]
    assert status.startswith("v2 is progressing: step 1 of 1, 30.0 % of the requests, 0 checks passed, 0 failed.")
    assert said(capsys, "weight", "v2", "5%", *at)[0] == Exit.MISSED
    assert said(capsys, "rollback", *at)[:2] == (Exit.DONE, "abort: from progressing to rolled_back.\n")
    assert said(capsys, "weight", "v2", "12.5%", *at)[:2] == (Exit.DONE, "weight 0.125 of v2: from 0% to 12.5%.\n")
    assert said(capsys, "weight", "v2", "0%", *at)[0] == Exit.DONE
    assert said(capsys, "retire", "v2", *at)[:2] == (Exit.DONE, "retire of v2: from loaded to not loaded.\n")
    assert said(capsys, "deploy", "v2", *at)[0] == Exit.DONE
    assert said(capsys, "copies", "v2", "50%", *at)[:2] == (Exit.DONE, "shadow 0.5 of v2: from 0% to 50%.\n")
    content = json.loads(said(capsys, "log", "--json", *at)[1])
    assert [order["what"] for order in content["orders"]][:3] == ["promote", "start", "weight 0.05 of v2"]
    assert "refused: under way" in said(capsys, "log", *at)[1]
    content = json.loads(said(capsys, "status", "--json", *at)[1])
    assert (content["rollout"]["phase"], content["versions"][1]["shadow"]) == ("rolled_back", 0.5)


@pytest.mark.slow
def test_outcomes_are_compared_with_stable(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Reported by number: 1 of 2 of v1, 2 of 2 of v2, which nobody can tell apart."""
    for version, success in (("v1", True), ("v1", False), ("v2", True), ("v2", True)):
        with urlopen(Request(f"{url}/versions/{version}/predict", b'{"input": 1}')) as response:
            number = response.headers["X-Servecast-Request"]
        report = json.dumps({"request": number, "success": success}).encode()
        with urlopen(Request(f"{url}/outcome", report)) as response:
            assert json.load(response) == {"version": version}
    code, text, _ = said(capsys, "outcomes", "--url", url)
    assert code == Exit.DONE
    assert text.startswith("v2 cannot be told from v1 yet (p = 1).")
    assert "+50.00 points" in text


@pytest.mark.slow
def test_token_comes_from_the_environment_or_a_file(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file goes first; without either, and with a wrong one, the server's sentence and exit code 2."""
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n", encoding="utf-8")
    monkeypatch.setenv("SERVECAST_ADMIN_TOKEN", "another-one-altogether")
    code, _, err = said(capsys, "status", "--url", url)
    assert (code, err) == (
        Exit.BAD_INPUT,
        "servecast: The admin API needs the server's token, as in Authorization: Bearer TOKEN.\n",
    )
    assert said(capsys, "status", "--url", url, "--admin-token-file", str(file))[0] == Exit.DONE
    monkeypatch.delenv("SERVECAST_ADMIN_TOKEN")
    assert said(capsys, "status", "--url", url)[0] == Exit.BAD_INPUT
    code, _, err = said(capsys, "deploy", "v9", "--url", url, "--admin-token-file", str(file))
    assert (code, err) == (Exit.BAD_INPUT, "servecast: There is no version 'v9': known are v1, v2.\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["fly"], "invalid choice: 'fly'"),
        (["weight", "v2"], "rollout weight takes VERSION and SHARE behind it. Got v2."),
        (["weight", "v2", "110%"], "SHARE must be from 0% to 100%. Got 110%."),
        (["weight", "v2", "0.1"], "SHARE must carry a unit, for example 95%. Got 0.1."),
        (["deploy"], "rollout deploy takes VERSION behind it. Got nothing."),
        (["start", "v2"], "rollout start takes nothing behind it. Got v2."),
        (["status", "--admin-token-file", "/nowhere"], "--admin-token-file /nowhere cannot be read: No such file"),
    ],
)
def test_wrong_arguments_are_said_before_anybody_is_asked(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, one sentence, no server needed."""
    code, _, err = said(capsys, *arguments, "--url", "http://127.0.0.1:9")
    assert code == Exit.BAD_INPUT
    assert sentence in err
    assert err.count("\n") == 1


def test_server_that_is_not_there_and_address_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit codes 4 and 2."""
    code, _, err = said(capsys, "status", "--url", "http://127.0.0.1:9")
    assert (code, err) == (
        Exit.COULD_NOT_RUN,
        "servecast: the server at http://127.0.0.1:9 cannot be reached: connection refused.\n",
    )
    code, _, err = said(capsys, "status", "--url", "127.0.0.1:9")
    assert code == Exit.BAD_INPUT
    assert "--url must be of the form http://127.0.0.1:8080. Got 127.0.0.1:9" in err


def outcomes(stable: tuple[int, int], other: tuple[int, int]) -> str:
    """Return the report of two versions, (reported, successes) each."""
    names = {"v1": stable, "v2": other}
    versions = {
        name: {"answered": 20_000, "reported": reported, "successes": successes}
        for name, (reported, successes) in names.items()
    }
    return as_text(rollout_report("outcomes", {"versions": versions, "stable": "v1"}), width=160)


def test_difference_is_called_by_its_name() -> None:
    """More often, less often, not yet, nothing."""
    assert outcomes((10_000, 300), (10_000, 400)).startswith("v2 succeeds more often than v1 (p = 0.00")
    assert outcomes((10_000, 400), (10_000, 300)).startswith("v2 succeeds less often than v1 (p = 0.00")
    assert outcomes((10_000, 300), (10_000, 301)).startswith("v2 cannot be told from v1 yet (p = 0.9")
    assert outcomes((10_000, 300), (0, 0)).startswith("Nothing can be compared yet.")
