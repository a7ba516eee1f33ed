"""A server of one's own: there while the block runs, gone afterwards."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from servecast.errors import CouldNotRun
from servecast.own_server import own_server


def get(url: str) -> dict[str, object]:
    """Return the JSON object at an address."""
    with urllib.request.urlopen(url, timeout=5) as response:
        content = json.load(response)
    assert isinstance(content, dict)
    return content


def test_server_runs_the_scenario_and_ends_with_the_block(shop: str) -> None:
    """Inside the block it is ready and runs the rules of the scenario, changes included; behind it it is gone."""
    with own_server([shop, "--set", "batching.max_batch=4"]) as url:
        assert get(f"{url}/health") == {"status": "ready"}
        config = get(f"{url}/config")
        assert config["name"] == "shop"
        assert isinstance(config["batching"], dict)
        assert config["batching"]["max_batch"] == 4
    with pytest.raises(urllib.error.URLError):
        get(f"{url}/health")


def test_server_does_not_outlive_a_command_that_is_terminated(shop: str) -> None:
    """SIGTERM to the command, as a CI job gets it, ends the server too."""
    code = (
        "import sys, time; from servecast.own_server import own_server\n"
        "with own_server([sys.argv[1]]) as url: print(url, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, shop], stdout=subprocess.PIPE, text=True) as command:
        assert command.stdout is not None
        url = command.stdout.readline().strip()
        assert get(f"{url}/health") == {"status": "ready"}
        command.terminate()
    assert command.returncode == 128 + signal.SIGTERM
    with pytest.raises(urllib.error.URLError):
        get(f"{url}/health")


def test_server_that_does_not_come_up_is_one_sentence(tmp_path: Path) -> None:
    """Why it did not come up is told in the server's own words."""
    missing = tmp_path / "none.yaml"
    with (
        pytest.raises(CouldNotRun, match=r"the server did not come up: .*none\.yaml cannot be read"),
        own_server([str(missing)]),
    ):
        pass
