"""The README does what it says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from servecast.cli import main
from servecast.command_line import parser_of
from servecast.command_table import COMMANDS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def block_of(language: str) -> str:
    """Return the one code block of a language."""
    (block,) = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert isinstance(block, str)
    return block


def test_example_of_ten_lines_runs(tmp_path: Path) -> None:
    """The Python block has at most ten lines of code, and with the scenario above it does what the text says."""
    code = block_of("python")
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    (tmp_path / "scenario.yaml").write_text(block_of("yaml"), encoding="utf-8")
    (tmp_path / "example.py").write_text(code, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "example.py"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.startswith("scenario: p50 ")
    assert re.search(r"^enough\nat 300/s: p99 [0-9.]+ ms, between .*\nat 500/s: p99 .*\n$", done.stdout, re.MULTILINE)


def test_own_traffic_is_forecast_planned_and_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The lines and the commands behind them, word for word, with a CSV of five minutes."""
    part = README.partition("Traffic of your own")[2].partition("[docs/scenario.md]")[0]
    lines = [line.strip() for line in part.splitlines() if line.startswith("    ")]
    given = {line.partition(":")[0]: line for line in lines if not line.startswith("servecast ")}
    assert list(given) == ["traffic", "horizon", "cost"]
    kept = [line for line in block_of("yaml").splitlines() if line.partition(":")[0] not in given]
    scenario = [*given.values(), *kept]
    monkeypatch.chdir(tmp_path)
    Path("day.yaml").write_text("\n".join(scenario), encoding="utf-8")
    Path("arrivals.csv").write_text(
        "timestamp\n" + "\n".join(f"{n / 100:.2f}" for n in range(30_000)), encoding="utf-8"
    )
    commands = [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("servecast ")]
    assert [command[0] for command in commands] == ["warm", "forecast", "plan", "export", "plan"]
    for command in commands:
        assert main(command) == 0
    out = capsys.readouterr().out
    assert "runs of 5 min, 150 000 requests in all" in out
    assert "the cheapest that meets the goals is fleet.replicas=1" in out
    assert " USD" in out
    assert "replicas: 2" in Path("deploy/kubernetes.yaml").read_text(encoding="utf-8")


COMMAND_LINES = [
    (page.name, line)
    for page in PAGES
    for line in re.findall(r"^    (servecast [a-z][^\n#|>]*)", page.read_text(encoding="utf-8"), re.MULTILINE)
]


@pytest.mark.parametrize(("page", "line"), COMMAND_LINES)
def test_command_lines_in_the_pages_are_understood(page: str, line: str) -> None:
    """Each command that a page shows exists, with the options it shows."""
    from importlib import import_module

    _, name, *arguments = shlex.split(line)
    (command,) = [command for command in COMMANDS if command.name == name]
    assert parser_of(command, import_module(command.module)).parse(arguments) is not None


def test_pages_show_command_lines() -> None:
    """The test above has something to look at."""
    assert len(COMMAND_LINES) >= 3


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_paths_in_the_pages_lead_somewhere(page: Path) -> None:
    """Each relative link, and each path of a source file in backquotes, exists."""
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", text)
    paths = re.findall(r"`((?:servecast|policy|sim|calibration|reference_server|tests|docs|notebooks)/[\w/.]*)`", text)
    missing = [path for path in links if not (page.parent / path).exists()]
    missing += [path for path in paths if not (ROOT / path).exists()]
    assert missing == []


@pytest.mark.parametrize("name", [command.name for command in COMMANDS])
def test_every_command_stands_in_the_readme(name: str) -> None:
    """No command is left for the reader to find."""
    assert f"servecast {name}" in README or f"`{name}`" in README


def test_install_block_compiles_the_engine() -> None:
    """Without it a reader's first forecasts take hundreds of times as long."""
    block = README.partition("## Install")[2].partition("| extra")[0]
    assert re.search(r"^    servecast warm +#", block, re.MULTILINE)


def test_make_targets_in_the_pages_exist() -> None:
    """Each `make x` that a page shows is a target."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    shown = {name for page in PAGES for name in re.findall(r"`make ([a-z-]+)`", page.read_text(encoding="utf-8"))}
    assert "demo" in shown
    assert [name for name in shown if not re.search(rf"^{name}:", makefile, re.MULTILINE)] == []
