"""Files that a command reads are not written over."""

from __future__ import annotations

from pathlib import Path

import pytest

from servecast.cli import main
from servecast.errors import Exit

VARY = ["--vary", "batching.max_batch=4,8"]


@pytest.fixture
def folder(shop: str, profile_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory: shop.yaml, day.yaml with a trace and a calibration, old.json, link.png."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trace.csv").write_text("timestamp\n0\n1\n2\n", encoding="utf-8")
    (tmp_path / "day.yaml").write_text(
        "traffic: {arrivals: {process: trace, file: trace.csv}}\n"
        "model: {profile: profile.json}\n"
        "batching: {max_batch: 8}\n",
        encoding="utf-8",
    )
    (tmp_path / "old.json").write_bytes(profile_file.read_bytes())
    (tmp_path / "link.png").symlink_to(Path(shop).name)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["forecast", "shop.yaml", "--csv", "shop.yaml"], "--csv shop.yaml would write over the scenario itself"),
        (["forecast", "shop.yaml", "--html", "./shop.yaml"], "--html shop.yaml would write over the scenario itself"),
        (["forecast", "shop.yaml", "--picture", "link.png"], "--picture link.png would write over the scenario"),
        (
            ["forecast", "day.yaml", "--csv", "trace.csv"],
            "--csv trace.csv would write over the trace of day.yaml (traffic.arrivals.file)",
        ),
        (
            [
                "forecast",
                "shop.yaml",
                "--set",
                "traffic.arrivals={process: trace, file: trace.csv}",
                "--csv",
                "trace.csv",
            ],
            "--csv trace.csv would write over the trace of shop.yaml (traffic.arrivals.file)",
        ),
        (
            ["whatif", "shop.yaml", *VARY, "--save", "shop.yaml"],
            "--save shop.yaml would write over the scenario itself",
        ),
        (
            ["whatif", "day.yaml", *VARY, "--html", "profile.json"],
            "--html profile.json would write over the calibration of day.yaml (model.profile)",
        ),
        (
            ["plan", "shop.yaml", "--vary", "model.profile=profile.json,old.json", "--html", "old.json"],
            "--html old.json would write over the calibration of shop.yaml (model.profile)",
        ),
        (["check", "shop.yaml", "--json-file", "shop.yaml"], "--json-file shop.yaml would write over the scenario"),
        (
            ["check", "shop.yaml", "--calibration", "old.json", "--json-file", "old.json"],
            "--json-file old.json would write over the calibration that is used",
        ),
        (["calibrate", "shop.yaml", "-o", "shop.yaml"], "--output shop.yaml would write over the scenario itself"),
        (
            ["calibrate", "shop.yaml", "-o", "old.json", "--compare", "old.json"],
            "--output old.json would write over the older calibration",
        ),
        (["serve", "shop.yaml", "--journal", "shop.yaml"], "--journal shop.yaml would write over the scenario itself"),
    ],
)
def test_what_is_read_is_not_written_over(
    arguments: list[str], said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One sentence with the option, the file and what it is, exit code 2, and every file as it was."""
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert main(arguments) == Exit.BAD_INPUT
    printed = capsys.readouterr()
    assert printed.err.startswith(f"servecast: {said}")
    assert printed.err.endswith(": name another file.\n")
    assert printed.out == ""
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["forecast", "shop.yaml", "--html", "x", "--csv", "./x"], "--html and --csv would both write x"),
        (
            ["forecast", "shop.yaml", "--picture", "x.png", "--csv", "x.png"],
            "--picture and --csv would both write x.png",
        ),
        (
            ["whatif", "shop.yaml", *VARY, "--save", "x.png", "--picture", "x.png"],
            "--save and --picture would both write x.png",
        ),
    ],
)
def test_one_file_is_not_written_twice(
    arguments: list[str], said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second would be there and the first not, though both were told to be written."""
    assert main(arguments) == Exit.BAD_INPUT
    assert capsys.readouterr().err == f"servecast: {said}: name another file for one of them.\n"
    assert not (folder / arguments[-1]).exists()


def test_exported_files_do_not_write_over_the_scenario(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Their names are servecast's own, and the folder may be the scenario's."""
    own = folder / "kubernetes.yaml"
    own.write_bytes((folder / "shop.yaml").read_bytes())
    assert main(["export", "kubernetes.yaml", "--to", "kubernetes", "-o", ".", "--quiet"]) == Exit.BAD_INPUT
    assert "--output kubernetes.yaml would write over the scenario itself" in capsys.readouterr().err
    assert own.read_bytes() == (folder / "shop.yaml").read_bytes()


def test_older_results_may_be_written_over(folder: Path) -> None:
    """A file that the command does not read is a result of the day before, for all that is known."""
    (folder / "figures.csv").write_text("old", encoding="utf-8")
    short = ["--set", "horizon={duration: 3s, warm_up: 1s, runs: 2}", "--quiet"]
    assert main(["forecast", "shop.yaml", *short, "--csv", "figures.csv"]) == Exit.DONE
    assert (folder / "figures.csv").read_text(encoding="utf-8").startswith("name,")
