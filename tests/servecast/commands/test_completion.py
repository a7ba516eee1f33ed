"""Completion scripts: static text that a shell can read."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from servecast.cli import main
from servecast.command_table import COMMANDS
from servecast.errors import Exit
from servecast.examples import EXAMPLES

CHECKS = {"bash": ["bash", "-n"], "zsh": ["zsh", "-n"], "fish": ["fish", "--no-execute"]}


def script_of(shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what the command prints."""
    assert main(["completion", shell]) == Exit.DONE
    return capsys.readouterr().out


@pytest.mark.parametrize("shell", list(CHECKS))
def test_script_is_read_by_its_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The shell finds no fault in the syntax."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run(CHECKS[shell], input=script_of(shell, capsys), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("shell", list(CHECKS))
def test_script_knows_commands_options_and_examples(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever can be typed stands in the script."""
    script = script_of(shell, capsys)
    options = ("runs", "quiet", "set", "url")
    assert all(word in script for word in [*(command.name for command in COMMANDS), *options, *EXAMPLES])


def complete(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    """Return what bash offers behind these words; the last one is being typed."""
    line = " ".join(f"'{word}'" for word in words)
    script = f"{script_of('bash', capsys)}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _servecast\n"
    done = subprocess.run(["bash", "-c", script + 'printf "%s\\n" "${COMPREPLY[@]}"'], capture_output=True, text=True)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("servecast", "fore"), ["forecast"]),
        (("servecast", "forecast", "senti"), ["sentiment"]),
        (("servecast", "forecast", "sentiment", "--qu"), ["--quiet"]),
        (("servecast", "completion", "z"), ["zsh"]),
        (("servecast", "schema", "--re"), ["--reference"]),
        (("servecast", "schema", "--qu"), []),
    ],
)
def test_bash_completes_words(words: tuple[str, ...], offered: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Commands, options and examples are offered where they can stand, and not elsewhere."""
    assert complete(capsys, *words) == offered


def test_unknown_shell_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    """A shell without a script is refused with those that have one."""
    assert main(["completion", "tcsh"]) == Exit.BAD_INPUT
    printed = capsys.readouterr().err
    assert "tcsh" in printed
    assert all(shell in printed for shell in CHECKS)
