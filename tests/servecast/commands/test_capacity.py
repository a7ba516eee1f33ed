"""`servecast capacity`: the highest rate on stdout, per fleet and per replica."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import servecast as sc
from servecast.cli import main
from servecast.errors import Exit


@pytest.fixture
def short(shop: str) -> str:
    """Return the small scenario with short runs."""
    text = Path(shop).read_text(encoding="utf-8") + "horizon: {duration: 6s, runs: 3}\n"
    Path(shop).write_text(text, encoding="utf-8")
    return shop


def test_answer_names_the_rate_and_what_binds(short: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The rate with its interval, the figure that is beyond its limit above, fleet and replica, saturation."""
    options = ["--goals", "p90=40ms,refused=1%", "--set", "fleet.replicas=2"]
    assert main(["capacity", short, *options]) == Exit.DONE
    words = " ".join(capsys.readouterr().out.split())
    assert words.startswith("shop: the goals hold up to ")
    assert ": just above, p90 latency is beyond its limit." in words
    assert "each of 2 replicas" in words
    assert "saturation" in words
    assert main(["capacity", short, *options, "--json"]) == Exit.DONE
    told = json.loads(capsys.readouterr().out)
    assert told["version"] == "servecast-capacity/1"
    assert told["per_replica"]["rate_per_s"] == pytest.approx(told["fleet"]["rate_per_s"] / 2)
    made = sc.capacity(short, goals=options[1], overrides=["fleet.replicas=2"])
    assert made.to_json() == told
    assert " ".join(sc.as_text(made).split())[:60] == words[:60]


def test_capacity_is_printed_and_written_in_every_form(
    short: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows on stdout, a page in a file; the page says what was typed."""
    page = tmp_path / "capacity.html"
    assert main(["capacity", short, "--goals", "p90=40ms,refused=1%", "-o", "csv", "--html", str(page)]) == Exit.DONE
    printed = capsys.readouterr()
    assert printed.out.startswith(
        "of,replicas,rate_per_s,low_per_s,high_per_s,saturation_per_s,saturation_share\nfleet,1,"
    )
    assert f"The report is written to {page}" in printed.err
    source = page.read_text(encoding="utf-8")
    assert source.startswith("<!DOCTYPE html>")
    assert "servecast capacity " in source


def test_no_rate_is_exit_1(short: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A pass alone takes longer than the goal."""
    assert main(["capacity", short, "--goals", "p90=5ms", "--set", "goals=none"]) == Exit.MISSED
    assert "no rate meets the goals" in capsys.readouterr().out


def test_rate_that_runs_do_not_tell_is_exit_3(short: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With what is known on stdout, and why not more: a ramp cannot be made longer."""
    arrivals = "{process: spike, rate: 10/s, peak_rate: 90/s, at: 2s, duration: 2s}"
    options = ["--goals", "p999=90ms", "--set", f"traffic.arrivals={arrivals}"]
    assert main(["capacity", short, *options]) == Exit.REFUSED
    words = " ".join(capsys.readouterr().out.split())
    assert words.startswith("shop: whether any rate meets the goals is not known")
    assert "p99.9 is not known: 12 runs show" in words


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "There must be a goal: "),
        (
            ["--goals", "p99=1ms", "--set", "fleet.replicas"],
            "--set must be like batching.max_batch=8. Got 'fleet.replicas'.",
        ),
        (["--goals", "p99=50ms", "--confidence", "30%"], "confidence must be from 50% to 99.9%. Got 30%."),
    ],
)
def test_bad_input_is_one_sentence(
    short: str, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2, nothing on stdout."""
    assert main(["capacity", short, *options]) == Exit.BAD_INPUT
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.out == ""
