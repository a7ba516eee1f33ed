"""`servecast selftest`: what is printed and what the exit code says. The answers are tested in tests/sim/forecast/."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from servecast.cli import main
from servecast.errors import Exit
from sim.forecast.selftest import SelftestRow

GOOD = SelftestRow("M/M/1", "response mean (ms)", 5.0, 5.01, 4.95, 5.07, 0.02, 100_000)
WRONG = SelftestRow("M/D/1", "wait mean (ms)", 2.0, 2.2, 2.15, 2.25, 0.05, 100_000)
WIDE = SelftestRow("G/M/1", "response p99 (ms)", 26.0, 26.1, 20.0, 32.0, 0.05, 100)


@pytest.fixture
def selftest_of(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what sets the rows that the self-test will have."""

    def set_rows(*rows: SelftestRow) -> None:
        monkeypatch.setattr("sim.forecast.selftest.run_selftest", lambda progress: list(rows))

    return set_rows


@pytest.mark.parametrize(
    ("rows", "code", "words"),
    [
        ([GOOD], Exit.DONE, "1 of 1 known answers are met."),
        ([GOOD, WRONG], Exit.MISSED, "1 of 2 known answers are met."),
        ([WIDE], Exit.MISSED, "0 of 1 known answers are met."),
    ],
)
def test_exit_code_says_whether_all_answers_are_met(
    rows: list[SelftestRow],
    code: Exit,
    words: str,
    selftest_of: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An answer outside its interval fails, and so does one whose interval is too wide to mean anything."""
    selftest_of(*rows)
    assert main(["selftest"]) == code
    assert words in capsys.readouterr().out


def test_table_shows_expected_and_got(selftest_of: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    """A row has the system, the figure, what theory says, what the simulator gave, and the interval."""
    selftest_of(GOOD)
    assert main(["selftest"]) == Exit.DONE
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("M/M/1"))
    assert row.split()[:8] == ["M/M/1", "response", "mean", "(ms)", "5.000", "5.010", "4.950", ".."]
    assert row.split()[-1] == "ok"


def test_json_has_a_version_and_every_row(selftest_of: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    """Machines get the same rows with a version."""
    selftest_of(GOOD, WRONG)
    assert main(["selftest", "--json"]) == Exit.MISSED
    result = json.loads(capsys.readouterr().out)
    assert (result["version"], result["passed"]) == ("servecast-selftest/1", False)
    assert [row["passed"] for row in result["rows"]] == [True, False]
