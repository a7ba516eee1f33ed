"""`servecast load`: a scenario's traffic against a server that runs."""

from __future__ import annotations

import json

import pytest

from servecast.cli import main
from servecast.errors import Exit
from servecast.own_server import own_server


def test_load_sends_the_traffic_and_counts_what_came_back(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every request of the schedule has an outcome, and none is lost; text and JSON show it."""
    with own_server([shop]) as url:
        options = ["load", shop, "--url", url, "--rate", "100/s", "--duration", "2s", "--seed", "3"]
        codes = {main([*options, "--json"])}
        result = json.loads(capsys.readouterr().out)
        codes.add(main(options))
        text = capsys.readouterr().out
    # Whether the host was quiet enough for the figures to count is not what is tested.
    assert codes <= {Exit.DONE, Exit.REFUSED}
    assert result["version"] == "servecast-load/1"
    assert result["requests"] == pytest.approx(200, rel=0.3)
    assert result["outcomes"]["answered"] == result["requests"]
    assert result["latency_ms"]["p50"] > 8
    assert "p50 latency" in text
    assert "lateness of the generator" in text


def test_nothing_at_the_address_is_one_sentence(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A server that is not there: exit code 4."""
    assert main(["load", shop, "--url", "http://127.0.0.1:9", "--duration", "1s"]) == Exit.COULD_NOT_RUN
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("servecast: The server at http://127.0.0.1:9 cannot be reached")
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--url", "http://127.0.0.1:9", "--rate", "100"], "must carry a unit, for example 100/s"),
        (["--url", "http://127.0.0.1:9", "--duration", "0s"], "must be a time above 0s"),
        (["--url", "http://127.0.0.1:9", "--rate=-1/s"], "must be a rate above 0/s"),
        (["--url", "http://example.org"], "must lie on this machine"),
        ([], "required: --url"),
    ],
)
def test_bad_option_is_one_sentence(
    options: list[str], words: str, shop: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Units are asked for on the command line as in a scenario, and no other machine is loaded."""
    assert main(["load", shop, *options]) == Exit.BAD_INPUT
    assert words in capsys.readouterr().err
