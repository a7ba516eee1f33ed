"""The command line as its user meets it: exit codes, one sentence on stderr, nothing heavy for a help text."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from servecast.cli import main
from servecast.command_line import output_file
from servecast.command_table import COMMANDS
from servecast.errors import Exit

SEEDS = "must be a whole number from 0 to 9223372036854775807"
HEAVY = ("numpy", "scipy", "simpy", "pydantic", "yaml", "rich", "matplotlib", "aiohttp", "numba", "torch")


def run_module(*arguments: str, python: tuple[str, ...] = (), **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m servecast` as a user does."""
    command = [sys.executable, *python, "-m", "servecast", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["--version"], ["completion", "bash"]])
def test_root_help_imports_nothing_heavy(arguments: list[str]) -> None:
    """Help, version and completion cost no import that only a forecast needs."""
    done = run_module(*arguments, python=("-X", "importtime"))
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert done.returncode == Exit.DONE
    assert "servecast" in imported
    assert imported.isdisjoint(HEAVY)


def test_root_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Each command stands in the help with what it does."""
    assert main(["--help"]) == Exit.DONE
    printed = capsys.readouterr()
    assert all(command.name in printed.out and command.summary in printed.out for command in COMMANDS)
    assert printed.err == ""


@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
def test_command_help_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The help of a command says what it does and shows a line that can be typed."""
    assert main([command, "--help"]) == Exit.DONE
    assert f"servecast {command} " in capsys.readouterr().out.partition("Example")[2].replace("\n", " \n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "which command? servecast --help lists them."),
        (["forcast"], "there is no command forcast: did you mean forecast?"),
        (["zzz"], "there is no command zzz: servecast --help lists the commands."),
        (["--json", "forecast"], "--json stands before the command: servecast COMMAND --json ..."),
        (["forecast", "x.yaml", "--sed", "1"], "forecast has no option --sed: did you mean --seed?"),
        (["schema", "twice"], "schema takes no further argument twice: servecast schema --help lists them."),
        (["forecast"], "forecast: the following arguments are required: SCENARIO."),
        (["forecast", "x.yaml", "--seed", "-1"], f"forecast: argument --seed: {SEEDS}. Got -1."),
        (["forecast", "x.yaml", "--seed", str(2**63)], f"forecast: argument --seed: {SEEDS}. Got {2**63}."),
        (["forecast", "x.yaml", "--seed", "9" * 5000], f"forecast: argument --seed: {SEEDS}. Got {'9' * 5000}."),
        (["forecast", "x.yaml", "--runs", "-1"], "forecast: argument --runs: must be a whole number >= 0. Got -1."),
        (
            ["forecast", ""],
            "the name of the scenario is empty: name a file, or an example (servecast example lists them).",
        ),
        (
            ["diff", "sentiment", ""],
            "the name of the scenario is empty: name a file, or an example (servecast example lists them).",
        ),
        (
            ["whatif", "sentiment", "--figures", ""],
            "whatif: argument --figures: must be names with a comma between any two, as in p50,p99. Got an empty text.",
        ),
        (
            ["whatif", "sentiment", "--figures", "p50,"],
            "whatif: argument --figures: must be names with a comma between any two, as in p50,p99. Got p50,.",
        ),
        (["forecast", "x.yaml", "--se", "1"], "forecast has no option --se: did you mean --set?"),
        (
            ["forecast", "x.yaml", "-o", "report.html"],
            "forecast: argument -o/--output: must be text, md, json or csv; --html and --csv write files. Got "
            "report.html.",
        ),
        (
            ["forecast", "x.yaml", "-o", "md", "--json"],
            "forecast: argument --json: not allowed with argument -o/--output.",
        ),
    ],
)
def test_wrong_command_line_gets_one_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong with a command line is said in one sentence, with the nearest name, and exit code 2."""
    assert main(arguments) == Exit.BAD_INPUT
    printed = capsys.readouterr()
    assert printed.err == f"servecast: {sentence}\n"
    assert printed.out == ""


def test_output_file_in_a_missing_directory_is_refused_before_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A picture that could not be written is refused at once, not after the work."""
    picture = tmp_path / "missing" / "picture.png"
    assert main(["forecast", "sentiment", "--picture", str(picture)]) == Exit.BAD_INPUT
    assert f"there is no directory {picture.parent}" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--picture", "--html", "--csv"])
def test_output_file_that_may_not_be_written_is_refused_before_the_run(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """So is one in a folder, or one that is there, which its user may not write; a folder is no file."""
    (tmp_path / "old.html").touch()
    monkeypatch.setattr("os.access", lambda path, mode: False)
    for file in (tmp_path / "new.html", tmp_path / "old.html"):
        assert main(["forecast", "sentiment", option, str(file)]) == Exit.BAD_INPUT
        said = f"servecast: forecast: argument {option}: {file} cannot be written: permission denied.\n"
        assert capsys.readouterr().err == said
    assert main(["forecast", "sentiment", option, str(tmp_path)]) == Exit.BAD_INPUT
    assert "is a directory" in capsys.readouterr().err
    assert not (tmp_path / "new.html").exists()


@pytest.mark.parametrize("file", ["/proc/x.jsonl", "x" * 300])
def test_output_file_that_no_file_can_be_is_refused_before_the_run(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the rights say: /proc is writable to root and takes no file, and names may be too long."""
    monkeypatch.chdir(tmp_path)
    assert main(["whatif", "sentiment", "--save", file]) == Exit.BAD_INPUT
    said = capsys.readouterr().err
    assert said.startswith(f"servecast: whatif: argument --save: {file} cannot be written: ")
    assert said.count("\n") == 1


def test_output_file_is_not_made_before_the_run(tmp_path: Path) -> None:
    """It is tried whether it can be, and nothing is left of that; what is there stays as it is."""
    old, link = tmp_path / "old.csv", tmp_path / "link.csv"
    old.write_text("old", encoding="utf-8")
    link.symlink_to(tmp_path / "new.csv")
    assert [output_file(str(path)) for path in (old, link)] == [old, link]
    assert old.read_text(encoding="utf-8") == "old"
    assert sorted(tmp_path.iterdir()) == [link, old]


@pytest.mark.parametrize("command", ["forecast", "whatif", "plan", "check"])
@pytest.mark.parametrize("file", ["foo", "foo.bmp", ".png"])
def test_picture_that_cannot_be_drawn_is_refused_before_the_run(
    command: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without an ending one of .png would be added, behind the back of whatever looks after names of files."""
    monkeypatch.chdir(tmp_path)
    assert main([command, "sentiment", "--picture", file]) == Exit.BAD_INPUT
    said = f"argument --picture: must name a file that ends in .png, .svg or .pdf. Got {file}.\n"
    assert capsys.readouterr().err == f"servecast: {command}: {said}"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", [".png", ".svg", ".pdf", ".PNG"])
def test_picture_is_drawn_by_its_ending(ending: str, shop: str, tmp_path: Path) -> None:
    """Each ending that is taken is one that can be drawn."""
    file = tmp_path / f"picture{ending}"
    arguments = ["--set", "horizon={duration: 5s, warm_up: 1s, runs: 2}", "--quiet", "--picture", str(file)]
    assert main(["forecast", shop, *arguments]) == Exit.DONE
    begin = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[ending.lower()]
    assert file.read_bytes().startswith(begin)


def test_unexpected_error_is_one_sentence_and_a_traceback_on_demand(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error of servecast itself has exit code 4; SERVECAST_DEBUG=1 shows where it happened."""

    def fail(_: object) -> None:
        raise KeyError("lost")

    monkeypatch.delenv("SERVECAST_DEBUG", raising=False)
    monkeypatch.setattr("servecast.commands.schema.run", fail)
    assert main(["schema"]) == Exit.COULD_NOT_RUN
    quiet = capsys.readouterr().err
    monkeypatch.setenv("SERVECAST_DEBUG", "1")
    assert main(["schema"]) == Exit.COULD_NOT_RUN
    assert quiet.count("\n") == 1
    assert "KeyError: 'lost'" in quiet
    assert "Traceback" in capsys.readouterr().err


def test_interrupt_is_quiet(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C ends a command without a word, with the exit code that shells know."""

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("servecast.commands.schema.run", interrupt)
    assert main(["schema"]) == Exit.INTERRUPTED
    assert capsys.readouterr() == ("", "")


def test_reader_that_went_away_is_no_error() -> None:
    """`servecast schema | head -1` says nothing on stderr."""
    command = [sys.executable, "-m", "servecast", "schema"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == Exit.BROKEN_PIPE


def test_module_and_script_are_the_same() -> None:
    """`python -m servecast` is the command line."""
    done = run_module("--version")
    assert done.returncode == Exit.DONE
    assert done.stdout.startswith("servecast ")
