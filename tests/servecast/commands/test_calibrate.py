"""`servecast calibrate`: which server is measured, and the file. The fit is tested in tests/calibration/."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from servecast.cli import main
from servecast.errors import Exit
from servecast.scenarios import load_scenario, with_calibration
from sim.scenario.calibrated import ONE_REPLICA
from sim.scenario.profile import Profile, load_profile


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, profile_file: Path) -> dict[str, list[object]]:
    """Put a ready calibration in place of measuring; return what was started and what was measured."""
    seen: dict[str, list[object]] = {"served": [], "measured": [], "seeds": []}

    @contextmanager
    def server(arguments: Sequence[str]) -> Iterator[str]:
        seen["served"].append(list(arguments))
        yield f"http://127.0.0.1:{len(seen['served'])}"

    def calibrate(urls: Sequence[str], scenario: object, *, seed: int, **_: object) -> Profile:
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
    one_replica = [argument for change in ONE_REPLICA for argument in ("--set", change)]
    assert asked["served"] == [[shop, "--set", "queue.cap=9", *one_replica]] * 2
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
    assert json.loads(printed.out)["format"] == "servecast-calibration/2"
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


def test_older_calibration_that_is_equal_has_not_moved(
    asked: dict[str, list[object]], shop: str, tmp_path: Path, profile_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The new file is written and printed as ever, and below stands the answer; exit code 0."""
    options = ["-o", str(tmp_path / "out.json"), "--compare", str(profile_file)]
    assert main(["calibrate", shop, *options]) == Exit.DONE
    printed = capsys.readouterr().out
    assert "Nothing moved since the calibration of 2026-11-23T00:00:00+00:00: every difference" in printed
    assert "pass of 8" in printed


def test_part_that_moved_since_an_older_calibration_is_exit_code_1(
    asked: dict[str, list[object]], shop: str, tmp_path: Path, profile_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A fleet's job can watch for it; --json holds the new calibration and the comparison."""
    older = json.loads(profile_file.read_text())
    older["parts"]["network_back"]["value_ms"] = 5.0
    for draw in older["draws"]:
        draw["network_back"] += 4.9
    (tmp_path / "older.json").write_text(json.dumps(older))
    options = ["-o", str(tmp_path / "out.json"), "--compare", str(tmp_path / "older.json"), "--json"]
    assert main(["calibrate", shop, *options]) == Exit.MISSED
    content = json.loads(capsys.readouterr().out)
    assert content["comparison"]["moved"] == ["network_back"]
    assert content["parts"]["network_back"]["value_ms"] == 0.1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "other"}, "The older calibration is of other, and this one of shop: nothing is to be compared."),
        ({"format": "servecast-calibration/1"}, "older format"),
    ],
)
def test_older_file_that_cannot_be_compared_is_refused_before_measuring(
    asked: dict[str, list[object]],
    shop: str,
    tmp_path: Path,
    profile_file: Path,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, str],
    said: str,
) -> None:
    """Exit code 2 in the first second, not after minutes of measuring."""
    (tmp_path / "older.json").write_text(json.dumps(json.loads(profile_file.read_text()) | change))
    options = ["-o", str(tmp_path / "out.json"), "--compare", str(tmp_path / "older.json")]
    assert main(["calibrate", shop, *options]) == Exit.BAD_INPUT
    assert said in capsys.readouterr().err
    assert asked["measured"] == []
