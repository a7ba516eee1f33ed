"""`servecast serve`: from a scenario to a running server and to a clean end."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from policy.pass_time import SPREAD_ONE
from servecast.api import load_scenario
from servecast.cli import main
from servecast.commands.serve import server_settings
from servecast.errors import Exit


def test_settings_are_those_of_the_scenario(shop: str) -> None:
    """Rules, pass time and instances come from the scenario, by the same code as the forecast's."""
    scenario = load_scenario(shop, ["fleet.instances=2", "queue.deadline=1s"])
    settings = server_settings(scenario, host="127.0.0.1", port=0, seed=5, timeline_file=None)
    assert (settings.batching.max_batch, settings.batching.max_wait_ns) == (8, 5_000_000)
    assert (settings.admission.cap, settings.deadline.deadline_ns) == (64, 10**9)
    assert (settings.instances, settings.name) == (2, "shop")
    backend = settings.backend_settings
    assert isinstance(backend["pass_time"], dict)
    assert (backend["pass_time"]["base_ns"], backend["pass_time"]["per_item_ns"]) == (8_000_000, 500_000)
    assert (backend["spread_table"], backend["seed"]) == ([SPREAD_ONE], 5)


def test_spread_of_the_scenario_reaches_the_backend(shop: str) -> None:
    """A measured server varies as the forecast says it does."""
    scenario = load_scenario(shop, ["model.pass_time.spread={distribution: exponential}"])
    settings = server_settings(scenario, host="127.0.0.1", port=0, seed=0, timeline_file=None)
    table = settings.backend_settings["spread_table"]
    assert isinstance(table, list)
    assert len(table) > 1000
    assert json.loads(json.dumps(table)) == table


def test_server_answers_then_ends_well_and_leaves_its_rows(shop: str, tmp_path: Path) -> None:
    """It says where it listens, answers a request, and on SIGTERM ends with 0 and the rows in the file."""
    rows = tmp_path / "rows.json"
    command = [sys.executable, "-m", "servecast", "serve", shop, "--port", "0", "--timeline", str(rows)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        said = server.stderr.readline()
        assert said.startswith("shop is served at http://127.0.0.1:")
        url = said.split()[-1]
        request = urllib.request.Request(f"{url}/predict", data=b'{"input": "hello"}', method="POST")
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=5) as response:
            assert json.load(response)["batch_size"] == 1
        server.send_signal(signal.SIGTERM)
        out, err = server.communicate(timeout=20)
    assert (server.returncode, out, err) == (Exit.DONE, "", "")
    assert len(json.loads(rows.read_text(encoding="utf-8"))["attempts"]) == 1


def test_port_in_use_is_one_sentence(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An address that is taken: exit code 4, and a sentence with the port in it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", shop, "--port", str(port)]) == Exit.COULD_NOT_RUN
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert str(port) in said


def test_port_out_of_range_is_bad_input(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A port that no machine has is refused with its range."""
    assert main(["serve", shop, "--port", "70000"]) == Exit.BAD_INPUT
    assert "65535" in capsys.readouterr().err
