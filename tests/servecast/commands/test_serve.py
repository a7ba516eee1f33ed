"""`servecast serve`: from a scenario to a running server and to a clean end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from policy.pass_time import SPREAD_ONE
from reference_server.settings import ServerSettings
from servecast.admin_token import ADMIN_TOKEN
from servecast.cli import main
from servecast.commands.serve import server_settings
from servecast.errors import Exit
from servecast.scenarios import load_scenario, with_calibration

PROFILE = Path(__file__).parents[2] / "data" / "profile.json"


def test_settings_are_those_of_the_scenario(shop: str) -> None:
    """Rules, pass time and instances come from the scenario, by the same code as the forecast's."""
    scenario = load_scenario(shop, ["fleet.instances=2", "queue.deadline=1s"])
    settings = server_settings(scenario, host="127.0.0.1", port=0, seed=5, timeline_file=None)
    version = settings.versions[0]
    fleet = version.rules
    assert (fleet.batching.max_batch, fleet.batching.max_wait_ns) == (8, 5_000_000)
    assert (fleet.admission.cap, fleet.deadline.deadline_ns) == (64, 10**9)
    assert (fleet.instances, settings.name) == (2, "shop")
    backend = version.backend_settings
    assert isinstance(backend["pass_time"], dict)
    assert (backend["pass_time"]["base_ns"], backend["pass_time"]["per_item_ns"]) == (8_000_000, 500_000)
    assert (backend["spread_table"], backend["seed"]) == ([SPREAD_ONE], 5)


def test_spread_of_the_scenario_reaches_the_backend(shop: str) -> None:
    """A measured server varies as the forecast says it does."""
    scenario = load_scenario(shop, ["model.pass_time.spread={distribution: exponential}"])
    settings = server_settings(scenario, host="127.0.0.1", port=0, seed=0, timeline_file=None)
    table = settings.versions[0].backend_settings["spread_table"]
    assert isinstance(table, list)
    assert len(table) > 1000
    assert json.loads(json.dumps(table)) == table


def test_named_model_is_served_with_what_the_scenario_says_of_it(shop: str) -> None:
    """Factory, options, device, sizes to warm up and to pad to; the forecast's pass time is not among it."""
    more = ["model.serve_with=minilm", "model.options={max_tokens: 8}", "model.device=cpu"]
    scenario = load_scenario(shop, [*more, "model.pass_time.padded_sizes=[1, 4, 8]"])
    settings = server_settings(scenario, host="127.0.0.1", port=0, seed=5, timeline_file=None)
    version = settings.versions[0]
    assert version.backend == "torch"
    assert version.backend_settings == {
        "factory": "reference_server.models.minilm:MiniLm",
        "max_batch": 8,
        "padded_sizes": [1, 4, 8],
        "device": "cpu",
        "options": {"max_tokens": 8},
    }
    assert json.loads(json.dumps(version.backend_settings)) == version.backend_settings


def test_model_of_ones_own_is_served_by_its_factory(shop: str) -> None:
    """module:factory goes to the process that imports it."""
    scenario = load_scenario(shop, ["model.serve_with=shop.models:make"])
    settings = server_settings(scenario, host="127.0.0.1", port=0, seed=5, timeline_file=None)
    assert settings.versions[0].backend_settings["factory"] == "shop.models:make"
    assert settings.versions[0].model["factory"] == "shop.models:make"


def test_models_are_told_from_each_other_whatever_the_seed(shop: str) -> None:
    """What GET /config says of the model changes with its times, options and padding, and with nothing else."""

    def told(*changes: str, seed: int = 0) -> dict[str, object]:
        scenario = load_scenario(shop, changes)
        settings = server_settings(scenario, host="127.0.0.1", port=0, seed=seed, timeline_file=None)
        return dict(settings.versions[0].model)

    assert told() == told(seed=1) == told("batching.max_wait=1ms")
    others = (
        "model.pass_time.base=9ms",
        "model.pass_time.padded_sizes=[8]",
        "model.serve_with=minilm",
        "model.serve_with=cnn",
    )
    assert len({str(told(change)) for change in ("horizon.runs=2", *others)}) == 1 + len(others)


def test_server_that_emulates_a_calibrated_model_passes_for_it(shop: str, tmp_path: Path) -> None:
    """The calibration is of that model, so a check of it is right; without one's name the server says its own."""
    content = json.loads(PROFILE.read_text(encoding="utf-8"))
    content["model"] = {"serve_with": "minilm"}
    file = tmp_path / "profile.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    scenario = with_calibration(load_scenario(shop), file)
    settings = server_settings(scenario, host="127.0.0.1", port=0, seed=0, timeline_file=None)
    version = settings.versions[0]
    assert (version.backend, version.model) == ("emulated", {"serve_with": "minilm"})


def test_blocking_front_end_of_the_scenario_is_a_blocking_server(shop: str) -> None:
    """What the forecast models as one station is served by one event loop."""
    scenario = load_scenario(shop, ["front_end.blocking=true"])
    assert server_settings(scenario, host="127.0.0.1", port=0, seed=0, timeline_file=None).blocking


@pytest.mark.parametrize(
    ("option", "field", "value_ns"),
    [("--pass-timeout=30s", "pass_timeout_ns", 30 * 10**9), ("--start-timeout=500ms", "start_timeout_ns", 5 * 10**8)],
)
def test_time_limits_reach_the_server(
    shop: str, monkeypatch: pytest.MonkeyPatch, option: str, field: str, value_ns: int
) -> None:
    """They are the server's own: no forecast knows them."""
    served: list[ServerSettings] = []

    def serve(settings: ServerSettings, *, ready: object) -> int:
        served.append(settings)
        return 0

    monkeypatch.setattr("reference_server.app.serve", serve)
    assert main(["serve", shop, option, "--quiet"]) == Exit.DONE
    assert [getattr(each, field) for each in served] == [value_ns]


@pytest.mark.parametrize("by_file", [True, False])
def test_admin_token_reaches_the_server_and_nobody_else(
    shop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], by_file: bool
) -> None:
    """From a file before the environment, which the processes of models inherit: there it is no more."""
    served: list[ServerSettings] = []

    def serve(settings: ServerSettings, *, ready: object) -> int:
        served.append(settings)
        assert ADMIN_TOKEN not in os.environ
        return 0

    monkeypatch.setattr("reference_server.app.serve", serve)
    monkeypatch.setenv(ADMIN_TOKEN, "that-of-the-environment")
    file = tmp_path / "token"
    file.write_text("\n  that-of-the-file \n")
    assert main(["serve", shop, *([f"--admin-token-file={file}"] if by_file else [])]) == Exit.DONE
    assert [each.admin_token for each in served] == ["that-of-the-file" if by_file else "that-of-the-environment"]
    monkeypatch.delenv(ADMIN_TOKEN, raising=False)
    assert main(["serve", shop]) == Exit.DONE
    assert served[1].admin_token is None
    assert capsys.readouterr() == ("", "")


def test_admin_token_that_is_too_short_is_refused_without_being_shown(
    shop: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server that anybody could guess his way into does not start."""
    monkeypatch.setenv(ADMIN_TOKEN, "guess-me")
    assert main(["serve", shop]) == Exit.BAD_INPUT
    sentence = "server.admin_token must be 16 to 1024 characters of visible ASCII. Got 8 characters, not shown."
    assert capsys.readouterr().err == f"servecast: {sentence}\n"


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


def test_time_to_receive_a_request_has_an_upper_end(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A limit of hours would be none."""
    assert main(["serve", shop, "--receive-timeout", "2h"]) == Exit.BAD_INPUT
    assert "server.receive_timeout must be more than 0 and at most 3600 seconds" in capsys.readouterr().err


def test_faults_of_the_scenario_reach_the_backend(shop: str) -> None:
    """What the engine does to its replicas the emulated devices do for real; they pass for the same model."""
    more = ["fleet.crash_every=5s", "fleet.slow={share: 10%, factor: 2}"]
    sound, faulty = (
        server_settings(load_scenario(shop, sets), host="127.0.0.1", port=0, seed=0, timeline_file=None).versions[0]
        for sets in ([], more)
    )
    table = faulty.backend_settings["crash_table"]
    assert isinstance(table, list)
    assert table[512] == pytest.approx(5e9 * 0.693, rel=0.01)
    assert faulty.backend_settings["faults"] == [100_000, 2 * SPREAD_ONE, 0, SPREAD_ONE]
    assert faulty.backend_settings["restart_from"] == 2
    assert (sound.backend_settings["crash_table"], sound.model) == ([], faulty.model)
