"""Where words go."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path
from threading import Semaphore
from threading import enumerate as enumerate_threads

import pytest

from servecast import streams as module
from servecast.streams import Talk, print_json, print_text, write_json


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_talk_goes_to_stderr_unless_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    """Stdout belongs to the result."""
    Talk().say("one")
    Talk(quiet=True).say("two")
    assert capsys.readouterr() == ("", "one\n")


def test_bar_is_shown_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless nothing is to be said."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with Talk().progress("forecasting") as tell:
        assert tell is not None
        tell(1, 2)
    assert "forecasting" in terminal.getvalue()
    with Talk(quiet=True).progress("forecasting") as tell:
        assert tell is None


def test_short_work_says_nothing_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    """Under CI and in a pipe no bar is drawn."""
    with Talk().progress("forecasting") as tell:
        assert tell is not None
        tell(1, 2)
    assert capsys.readouterr() == ("", "")


def test_long_work_says_in_a_log_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is done at first; then what is left follows from what is behind. With the work the lines end."""
    said = Semaphore(0)
    monkeypatch.setattr(module, "_FIRST_LINE_S", 0.001)
    monkeypatch.setattr(module, "_LINES_APART_S", 0.001)
    talk = Talk()
    say = talk.say
    monkeypatch.setattr(talk, "say", lambda sentence: (say(sentence), said.release()))
    with talk.steps("planning") as tell:
        assert said.acquire(timeout=30)
        assert tell is not None
        tell("confirming", 0.5)
        for _ in range(2):
            assert said.acquire(timeout=30)
    lines = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"planning: 0 % after \d+ s\.", lines[0])
    assert re.fullmatch(r"confirming: 50 % after (\d+) s, about \1 s left\.", lines[-1])
    assert not [thread for thread in enumerate_threads() if thread.name == "progress"]


@pytest.mark.parametrize(("seconds", "words"), [(90.4, "90 s"), (120, "2 min"), (7000, "117 min"), (7200, "2 h")])
def test_times_left_are_rough(seconds: float, words: str) -> None:
    """As one would say them."""
    assert module._rough_time(seconds) == words


@pytest.mark.parametrize(("variable", "coloured"), [("NO_COLOR", False), ("UNUSED", True)])
def test_no_color_is_honoured(variable: str, coloured: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal gets colours, unless NO_COLOR is set."""
    from rich.text import Text

    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv(variable, "1")
    print_text(Text("met", style="green"))
    assert "met" in terminal.getvalue()
    assert ("\x1b[32m" in terminal.getvalue()) is coloured


def test_json_refuses_what_other_readers_do_not_take(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """NaN is no JSON; it is an error here and not in the program that reads it."""
    with pytest.raises(ValueError, match="JSON"):
        print_json({"value": float("nan")})
    print_json({"value": 1})
    write_json({"value": 1}, tmp_path / "out.json")
    text = capsys.readouterr().out
    assert json.loads(text) == {"value": 1}
    assert (tmp_path / "out.json").read_text(encoding="utf-8") == text


def test_line_to_be_copied_is_not_cut_by_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that is longer than the terminal is wide stays one line."""
    from rich.console import Group
    from rich.text import Text

    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "40")
    command = f"servecast export {'long-' * 20}name.yaml"
    print_text(Group(Text(command, no_wrap=True, overflow="ignore")))
    assert command in terminal.getvalue().splitlines()
