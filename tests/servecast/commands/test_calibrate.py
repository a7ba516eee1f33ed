"""`servecast calibrate`: which server is measured, and the file. The fit is tested in tests/calibration/."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from servecast.api import load_scenario, with_calibration
from servecast.cli import main
from servecast.errors import Exit
from sim.scenario.profile import Profile, load_profile


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, profile_file: Path) -> dict[str, list[object]]:
    """Put a ready calibration in place of measuring; return what was started and what was measured."""
    seen: dict[str, list[object]] = {"served": [], "measured": [], "seeds": []}

    @contextmanager
    def server(arguments: Sequence[str]) -> Iterator[str]:
        seen["served"].append(list(arguments))
        yield f"http://127.0.0.1:{len(seen['served'])}"

    def calibrate(urls: Sequence[str], scenario: object, *, seed: int, bounds: object, progress: object) -> Profile:
        seen["measured"] += urls
        seen["seeds"].append(seed)
        return load_profile(profile_file)

    monkeypatch.setattr("servecast.commands.calibrate.own_server", server)
    monkeypatch.setattr("calibration.calibrate.calibrate", calibrate)
    return seen


def test_own_servers_are_started_and_the_file_is_written(
    asked: dict[str, list[object]], shop: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without --url as many fresh servers as asked for are measured, changed by --set; the file can be used."""
    out = tmp_path / "out.json"
    options = ["-o", str(out), "--processes", "2", "--set", "queue.cap=9", "--seed", "4"]
    assert main(["calibrate", shop, *options]) == Exit.DONE
    assert asked["served"] == [[shop, "--set", "queue.cap=9"]] * 2
    assert asked["measured"] == ["http://127.0.0.1:1", "http://127.0.0.1:2"]
    assert asked["seeds"] == [4]
    assert with_calibration(load_scenario(shop), out).model.profile == str(out)
    printed = capsys.readouterr()
    assert "front end request" in printed.out
    assert printed.err == f"The calibration is in {out}\n"


def test_server_of_the_user_is_measured_where_it_is(
    asked: dict[str, list[object]], shop: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --url nothing is started; --json prints the calibration itself."""
    options = ["--url", "http://127.0.0.1:8080", "-o", str(tmp_path / "out.json"), "--json", "--quiet"]
    assert main(["calibrate", shop, *options]) == Exit.DONE
    assert (asked["served"], asked["measured"]) == ([], ["http://127.0.0.1:8080"])
    printed = capsys.readouterr()
    assert json.loads(printed.out)["format"] == "servecast-calibration/1"
    assert printed.err == ""


def test_scenario_that_a_calibration_does_not_fit_is_refused_before_measuring(
    asked: dict[str, list[object]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Passes that depend on sizes are refused with exit code 3, and no time is lost on them."""
    assert main(["calibrate", "tokens", "-o", str(tmp_path / "out.json")]) == Exit.REFUSED
    assert "per_unit" in capsys.readouterr().err
    assert asked["measured"] == []


def test_output_is_asked_for(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A calibration without a file would be lost."""
    assert main(["calibrate", shop]) == Exit.BAD_INPUT
    assert "-o/--output" in capsys.readouterr().err
