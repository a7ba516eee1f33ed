"""`servecast plan`: the answer on stdout, one sentence for bad input, and exit codes that a script can rely on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import servecast as sc
from servecast.cli import main
from servecast.errors import Exit

VARY = ["--vary", "fleet.replicas=1..3", "--vary", "batching.max_batch=4,8"]


@pytest.fixture
def short(shop: str) -> str:
    """Return the small scenario with short runs and prices."""
    text = Path(shop).read_text(encoding="utf-8") + "horizon: {duration: 8s, runs: 3}\ncost: {replica_hour: 2}\n"
    Path(shop).write_text(text, encoding="utf-8")
    return shop


def test_answer_comes_first_with_its_goals(short: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The configuration, its cost, each goal with the end that had to be within the limit; exit 0."""
    assert main(["plan", short, *VARY, "--goals", "p90=60ms,refused=1%"]) == Exit.DONE
    printed = capsys.readouterr()
    assert printed.err == ""
    words = " ".join(printed.out.split())
    assert words.startswith("shop: the cheapest that meets the goals is fleet.replicas=1, batching.max_batch=")
    assert "USD for 8 s, 2.00 USD/h; p90 " in words
    assert "; the goal is 60.0 ms)" in words
    assert "Headroom: the goals are met up to " in words  # three runs of 8 s do not tell more
    assert f"servecast export {short} --set fleet.replicas=1 --set batching.max_batch=" in words
    assert "Of 6 configurations, confirmed: 2; costs more: 4." in words


def test_plan_as_json_and_picture(short: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Plain JSON with its version, the same from Python; the picture is written."""
    picture = tmp_path / "frontier.png"
    goals = "p90=60ms,refused=1%"
    assert main(["plan", short, *VARY, "--goals", goals, "--json", "--picture", str(picture)]) == Exit.DONE
    told = json.loads(capsys.readouterr().out)
    assert told["version"] == "servecast-plan/1"
    assert told["answer"]["confirmed"] is True
    assert picture.read_bytes().startswith(b"\x89PNG")
    varied = {"fleet.replicas": range(1, 4), "batching.max_batch": [4, 8]}
    assert sc.plan(short, varied, goals=goals).to_json() == told


def test_plan_is_printed_and_written_in_every_form(
    short: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Markdown on stdout, a page and rows in files; the page says what was typed."""
    page, rows = tmp_path / "plan.html", tmp_path / "plan.csv"
    command = ["plan", short, *VARY, "--goals", "p90=60ms,refused=1%", "-o", "md"]
    assert main([*command, "--html", str(page), "--csv", str(rows)]) == Exit.DONE
    printed = capsys.readouterr()
    assert printed.out.startswith("# shop: plan\n\n**✓ shop: the cheapest that meets the goals is fleet.replicas=1, ")
    assert f"The report is written to {page}" in printed.err
    source = page.read_text(encoding="utf-8")
    assert source.startswith("<!DOCTYPE html>")
    assert "servecast plan " in source
    assert rows.read_text(encoding="utf-8").startswith("fleet.replicas,batching.max_batch,state,confirmed,runs,cost,")
    assert len(rows.read_text(encoding="utf-8").splitlines()) == 1 + 6  # a row for each configuration


def test_section_is_set_whole_before_its_key_varies(short: str, capsys: pytest.CaptureFixture[str]) -> None:
    """KEDA has no target of its own: without those that vary the scenario cannot be, and that is no error."""
    scaled = ["--set", "fleet.autoscaler={preset: keda, max_replicas: 2}", "--vary", "fleet.autoscaler.target=2,4"]
    assert main(["plan", short, *scaled, "--goals", "p90=60ms", "--set", "goals=none"]) == Exit.DONE
    assert "fleet.autoscaler.target=" in capsys.readouterr().out


def test_several_values_of_what_is_set_are_refused(short: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever knows whatif writes --set where --vary is meant."""
    assert main(["plan", short, *VARY, "--set", "fleet.instances=1,2"]) == Exit.BAD_INPUT
    assert capsys.readouterr().err == (
        "servecast: --set must have one value, in all configurations: --vary fleet.instances=1,2 compares several.\n"
    )


def test_nothing_in_range_is_said_with_the_closest(short: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 1, the closest and the limit."""
    assert main(["plan", short, *VARY, "--goals", "p90=9.5ms"]) == Exit.MISSED
    words = " ".join(capsys.readouterr().out.split())
    assert words.startswith("shop: nothing in range meets the goals. The closest is fleet.replicas=3, ")
    assert "; the limit is 9.50 ms." in words


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--goals", "p99=50ms"], "Nothing varies: give a key several values, as in --vary fleet.replicas=1..20."),
        (VARY, "There must be a goal: state goals in the scenario, or --goals p99=200ms,refused=0.1%."),
        (["--vary", "fleet.replicas=", "--goals", "p99=50ms"], "fleet.replicas must have values, "),
        (["--vary", "fleet.replcas=1,2", "--goals", "p99=50ms"], "did you mean fleet.replicas?"),
        (["--vary", "batching.max_batch=4,0", "--goals", "p99=50ms"], "With batching.max_batch=0, goals.p99=50ms: "),
        ([*VARY, "--goals", "p50=60ms,p99=50ms"], "goals.p50 must not be above goals.p99"),
        ([*VARY, "--goals", "p99=50ms", "--confidence", "99.99%"], "confidence must be from 50% to 99.9%. Got 99.99%."),
        ([*VARY, "--goals", "p99=50ms", "--runs", "1"], "runs must be at least 2"),
    ],
)
def test_bad_input_is_one_sentence(
    short: str, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2, nothing on stdout."""
    assert main(["plan", short, *options]) == Exit.BAD_INPUT
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""
