"""`servecast selftest`: what is printed and what the exit code says. The answers are tested in tests/sim/forecast/."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from servecast.cli import main
from servecast.errors import Exit
from sim.forecast.selftest import SelftestRow

GOOD = SelftestRow("M/M/1", "response mean (ms)", "compiled", 5.0, 5.01, 4.95, 5.07, 0.02, 100_000)
WRONG = SelftestRow("M/D/1", "wait mean (ms)", "compiled", 2.0, 2.2, 2.15, 2.25, 0.05, 100_000)
WIDE = SelftestRow("G/M/1", "response p99 (ms)", "process", 26.0, 26.1, 20.0, 32.0, 0.05, 100)
SAME, OTHER = (replace(GOOD, engine="process", is_same=is_same) for is_same in (True, False))


@pytest.fixture
def selftest_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what sets the rows that the self-test will have."""

    def set_rows(*rows: SelftestRow) -> None:
        monkeypatch.setattr("sim.forecast.selftest.run_selftest", lambda engines, progress: list(rows))

    return set_rows


@pytest.mark.parametrize(
    ("rows", "code", "words"),
    [
        ([GOOD], Exit.DONE, "1 of 1 known answers are met by the compiled engine.\n"),
        ([GOOD, WRONG], Exit.MISSED, "1 of 2 known answers are met by the compiled engine.\n"),
        ([WIDE], Exit.MISSED, "0 of 1 known answers are met by the process engine.\n"),
        ([GOOD, SAME], Exit.DONE, "1 of 1 known answers are met by the process engine.\nBoth give the same bytes.\n"),
        ([GOOD, OTHER], Exit.MISSED, "0 of 1 known answers are met by the process engine.\nThey do not give the same"),
    ],
)
def test_exit_code_says_whether_all_answers_are_met(
    rows: list[SelftestRow],
    code: Exit,
    words: str,
    selftest_of: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An answer outside its interval fails, one too wide to mean anything, and one that the engines differ on."""
    selftest_of(*rows)
    assert main(["selftest"]) == code
    assert words in capsys.readouterr().out


def test_table_shows_expected_and_got(selftest_of: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    """A row has the system, the figure, what theory says, what the simulator gave, and the interval."""
    selftest_of(GOOD)
    assert main(["selftest"]) == Exit.DONE
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("M/M/1"))
    assert row.split()[:9] == ["M/M/1", "response", "mean", "(ms)", "compiled", "5.000", "5.010", "4.950", ".."]
    assert row.split()[-1] == "ok"


def test_json_has_a_version_and_every_row(selftest_of: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    """Machines get the same rows with a version."""
    selftest_of(GOOD, WRONG)
    assert main(["selftest", "--json"]) == Exit.MISSED
    result = json.loads(capsys.readouterr().out)
    assert (result["version"], result["passed"]) == ("servecast-selftest/2", False)
    assert [row["passed"] for row in result["rows"]] == [True, False]


@pytest.mark.parametrize(
    ("options", "compiled", "engines"),
    [
        ([], True, ["compiled", "process"]),
        ([], False, ["process"]),
        (["--engine", "process"], True, ["process"]),
    ],
)
def test_both_engines_are_tested_where_both_are_there(
    options: list[str],
    compiled: bool,
    engines: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Before the fast one is compiled the other is tested alone, which is said; --engine names one of them."""
    asked: list[str] = []

    def run_selftest(engines: list[str], progress: object) -> list[SelftestRow]:
        asked.extend(engines)
        return [GOOD]

    monkeypatch.setattr("sim.forecast.selftest.run_selftest", run_selftest)
    monkeypatch.setattr("sim.engine.compiled.cache.is_compiled", lambda: compiled)
    monkeypatch.delenv("SERVECAST_ENGINE", raising=False)
    assert main(["selftest", *options]) == Exit.DONE
    assert asked == engines
    assert ("is not compiled" in capsys.readouterr().err) is not compiled
