"""`servecast example`: a scenario to begin one's own with."""

from __future__ import annotations

from pathlib import Path

import pytest

from servecast.cli import main
from servecast.errors import Exit
from servecast.examples import EXAMPLES
from sim.scenario.load import load_scenario


def test_list_names_every_example_and_what_it_shows(capsys: pytest.CaptureFixture[str]) -> None:
    """One line for each."""
    assert main(["example"]) == Exit.DONE
    lines = capsys.readouterr().out.splitlines()
    assert [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines] == list(EXAMPLES.items())


def test_printed_example_is_a_scenario_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is printed may be saved, changed and used."""
    assert main(["example", "step-hpa"]) == Exit.DONE
    file = tmp_path / "own.yaml"
    file.write_text(capsys.readouterr().out, encoding="utf-8")
    assert load_scenario(file, ["fleet.replicas=3"]).fleet.replicas == 3


def test_unknown_example_is_refused_with_the_closest_name(capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence, exit 2, nothing on stdout."""
    assert main(["example", "step-hpaa"]) == Exit.BAD_INPUT
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "servecast: step-hpaa is no example: did you mean step-hpa?\n")
