"""docs/export.md shows what the command prints."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from servecast.cli import main
from sim.exports.formats import FORMATS

PAGE = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```console\n\$ (.*?)\n(.*?)```", PAGE, re.DOTALL)


def printed(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return what a command of the page prints, cut by the `tail -n` behind it; notes and refusals come first."""
    line, _, cut = command.partition(" | tail -n ")
    main(shlex.split(line)[1:])
    out, err = capsys.readouterr()
    lines = f"{err}{out}".splitlines(keepends=True)
    return "".join(lines[-int(cut) :] if cut else lines)


@pytest.mark.parametrize(("command", "shown"), BLOCKS, ids=[command for command, _ in BLOCKS])
def test_page_shows_what_is_printed(command: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    """But for the hash of what it was made from, which every new key of a scenario changes."""
    hashes = re.compile(r"\([0-9a-f]{12}\)")
    assert hashes.sub("()", shown) == hashes.sub("()", printed(command, capsys))


def test_page_has_every_format() -> None:
    """In its table, and with an example."""
    shown = {name for command, _ in BLOCKS for name in re.findall(r"--to ([a-z-]+)", command)}
    assert shown == {one.name for one in FORMATS}
    assert [one.name for one in FORMATS if f"| `{one.name}` |" not in PAGE] == []
