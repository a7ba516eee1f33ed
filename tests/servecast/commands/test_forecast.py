"""`servecast forecast`: results on stdout, one sentence for bad input, and exit codes that a script can rely on."""

from __future__ import annotations

import json
import re
from html import escape
from pathlib import Path

import pytest

from servecast.cli import main
from servecast.errors import Exit

SCENARIO = """\
name: shop
traffic:
  arrivals: {process: poisson, rate: 200/s}
model:
  pass_time: {base: 8ms, per_item: 0.5ms}
batching: {max_batch: 8, max_wait: 5ms}
queue: {cap: 64}
horizon: {duration: 5s, warm_up: 1s, runs: 2}
"""

TRACE = "arrivals: {process: trace, file: trace.csv}"
POISSON = "arrivals: {process: poisson, rate: 200/s}"

BOMB = "a: &a [x, x, x, x]\nb: &b [*a, *a, *a, *a]\nc: &c [*b, *b, *b, *b]\ntraffic: [*c, *c, *c, *c]\n"


def written(folder: Path, *changes: tuple[str, str], text: str = SCENARIO) -> str:
    """Write the scenario with parts of it replaced; return its path."""
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "shop.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def sentence_of(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what was said on stderr, which must be one sentence on one line with nothing on stdout."""
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert "Traceback" not in printed.err
    assert printed.err.startswith("servecast: ")
    return printed.err.removeprefix("servecast: ").rstrip("\n")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([("max_batch", "max_bach")], r"^batching\.max_bach is not a known key: did you mean batching\.max_batch\?$"),
        (
            [("max_wait: 5ms", "max_wait: 5")],
            r"^batching\.max_wait must carry a unit, for example 5ms or 5s\. Got 5\.$",
        ),
        ([("rate: 200/s", "rate: -200/s")], r"^traffic\.arrivals\.rate must be a rate above 0/s.* Got -200/s\.$"),
        ([("max_batch: 8", "max_batch: 0")], r"^batching\.max_batch must be a whole number from 1 .* Got 0\.$"),
        ([("base: 8ms", "base: 8 parsecs")], r"^model\.pass_time\.base must .*parsecs"),
        ([(POISSON, TRACE)], r"^The trace .*trace\.csv cannot be read: No such file or directory\.$"),
        ([(SCENARIO, BOMB)], r"shop\.yaml.*alias|anchor"),
        ([(SCENARIO, "- 1\n- 2\n")], r"shop\.yaml must hold a mapping"),
        ([("model:", "model: [")], r"shop\.yaml"),
    ],
)
def test_bad_scenario_is_one_sentence(
    changes: list[tuple[str, str]], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong with a scenario is said with its key, what is allowed and what was got; exit code 2."""
    assert main(["forecast", written(tmp_path, *changes)]) == Exit.BAD_INPUT
    assert re.search(words, sentence_of(capsys))


@pytest.mark.parametrize("content", ["", "arrival_s\n", "\x00\x01\x02\n", "name,value\na,b\n"])
def test_trace_without_arrivals_is_one_sentence(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty trace, and a file that is none, are bad input."""
    (tmp_path / "trace.csv").write_text(content, encoding="utf-8")
    assert main(["forecast", written(tmp_path, (POISSON, TRACE))]) == Exit.BAD_INPUT
    assert "trace.csv" in sentence_of(capsys)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--set", "batching.max_bach=8"], "did you mean batching.max_batch?"),
        (["--set", "batching.max_batch"], "--set must be like batching.max_batch=8"),
        (["--set", "queue.cap=-1"], "queue.cap"),
        (["--runs", "1"], "runs must be at least 2"),
        (["--runs", "10001"], "runs must be at most 10000. Got 10001."),
        (["--workers", "0"], "--workers: must be a whole number >= 1; without it every core is used. Got 0."),
        (["--csv", ""], "--csv: must name a file that is to be written. Got an empty name."),
        (
            ["--set", "traffic.arrivals.process=poison"],
            "Did you mean poisson? --set traffic.arrivals.process keeps the other keys of traffic.arrivals: change all "
            "of it, --set 'traffic.arrivals={process: poisson, rate: 400/s}'.",
        ),
        (["--precision", "1"], "--precision: must carry a unit, for example 1%. Got 1."),
        (["--precision", "0.5"], "--precision: must carry a unit, for example 0.5% or 50%. Got 0.5."),
        (["--precision", "2"], "--precision: must carry a unit, for example 2%. Got 2"),
        (["--precision", "0%"], "--precision: must be a share above 0% and below 100%. Got 0%"),
        (["--precision", "100%"], "Got 100%"),
        (["--budget", "0s"], "--budget: must be a time above 0s. Got 0s"),
        (["--max-runs", "1"], "max_runs must be from 2 to 10000. Got 1."),
        (["--runs", "5", "--precision", "2%"], "state one of the two"),
    ],
)
def test_bad_option_is_one_sentence(
    options: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Options are checked as the scenario is."""
    assert main(["forecast", written(tmp_path), *options]) == Exit.BAD_INPUT
    assert words in sentence_of(capsys)


def test_unknown_engine_in_the_environment_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """$SERVECAST_ENGINE is input like any other; --engine goes before it."""
    monkeypatch.setenv("SERVECAST_ENGINE", "fast")
    assert main(["forecast", written(tmp_path)]) == Exit.BAD_INPUT
    assert sentence_of(capsys) == "$SERVECAST_ENGINE must be compiled or process. Got fast."
    assert main(["forecast", written(tmp_path), "--engine", "process"]) == Exit.DONE


def test_missing_file_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A scenario that is not there is bad input."""
    path = tmp_path / "none.yaml"
    assert main(["forecast", str(path)]) == Exit.BAD_INPUT
    assert sentence_of(capsys) == f"{path} cannot be read: No such file or directory."


def test_name_that_is_neither_file_nor_example_lists_the_examples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistyped example's name gets the names there are."""
    monkeypatch.chdir(tmp_path)
    assert main(["forecast", "sentimant"]) == Exit.BAD_INPUT
    assert sentence_of(capsys) == "sentimant is neither a scenario file nor an example: did you mean sentiment?"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([("rate: 200/s", "rate: 900/s"), ("queue: {cap: 64}\n", "")], "nothing bounds the queue"),
    ],
)
def test_question_without_an_honest_answer_is_refused(
    changes: list[tuple[str, str]], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unstable load with no cap has exit code 3."""
    assert main(["forecast", written(tmp_path, *changes)]) == Exit.REFUSED
    assert words in sentence_of(capsys)


@pytest.mark.parametrize(
    ("goal", "said"),
    [
        ("p999: 100ms", "goal p99.9 at most 100 ms: not known"),
        ("refused: 0.0001%", "goal refused at most 0.0001 %: not clear, by its value met"),
    ],
)
def test_goal_that_cannot_be_told_has_the_figures_and_exit_3(
    goal: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither met nor missed; what is known is printed, and how many runs would tell."""
    assert main(["forecast", written(tmp_path, ("horizon:", f"goals: {{{goal}}}\nhorizon:"))]) == Exit.REFUSED
    printed = capsys.readouterr().out
    assert printed.startswith("shop: p50 ")
    assert said in printed
    assert "More runs may tell, " in printed


def test_same_overload_with_a_cap_is_answered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The counterpart of the refusal above: a cap bounds the queue, so there is an answer, with refusals in it."""
    assert main(["forecast", written(tmp_path, ("rate: 200/s", "rate: 900/s")), "--json"]) == Exit.DONE
    assert json.loads(capsys.readouterr().out)["refused_share"]["value"] > 0.2


def test_text_goes_to_stdout_and_nothing_to_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The result is on stdout, the answer first; no progress is shown where nobody watches."""
    assert main(["forecast", written(tmp_path)]) == Exit.DONE
    printed = capsys.readouterr()
    assert printed.out.startswith("shop: p50 ")
    assert printed.err == ""
    assert "\x1b" not in printed.out


def test_json_holds_what_was_promised(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--json prints one object with a version; each figure has a value and its intervals, parts named."""
    assert main(["forecast", written(tmp_path), "--json"]) == Exit.DONE
    result = json.loads(capsys.readouterr().out)
    assert result["version"] == "servecast-forecast/1"
    shown = [result["latency_ms"]["p50"], result["refused_share"], result["batch_size_mean"], result["gpu_busy_share"]]
    for figure in shown:
        assert {"value", "low", "high", "sampling", "calibration", "prediction", "samples"} <= set(figure)
    assert result["provenance"]["seed"] == 0


@pytest.mark.parametrize(("limit", "code"), [("10s", Exit.DONE), ("1ms", Exit.MISSED)])
def test_exit_code_says_whether_goals_are_met(
    limit: str, code: Exit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missed goal is exit code 1, and the text says which."""
    assert main(["forecast", written(tmp_path), "--set", f"goals.p50={limit}"]) == code
    assert f"goal p50 at most {10000 if code == Exit.DONE else 1} ms: " in capsys.readouterr().out


@pytest.mark.parametrize("form", ["md", "csv", "json", "text"])
def test_result_is_printed_in_the_form_asked_for(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each form begins as it must, and holds p50; -o json is --json, -o text is what is printed without it."""
    path = written(tmp_path)
    assert main(["forecast", path, "-o", form]) == Exit.DONE
    printed = capsys.readouterr()
    assert printed.err == ""
    begins = {"md": "# shop: forecast\n", "csv": "name,unit,value,", "json": "{", "text": "shop: p50 "}
    assert printed.out.startswith(begins[form])
    assert "p50" in printed.out
    if form in {"json", "text"}:
        assert main(["forecast", path, *(["--json"] if form == "json" else [])]) == Exit.DONE
        assert capsys.readouterr().out == printed.out


def test_report_and_figures_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--html and --csv write files beside what is printed, and say so; the page says what was typed, the seed too."""
    page, rows = tmp_path / "a b.html", tmp_path / "shop.csv"
    path = written(tmp_path)
    assert main(["forecast", path, "--html", str(page), "--csv", str(rows), "--json", "--seed", "7"]) == Exit.DONE
    printed = capsys.readouterr()
    assert printed.err == f"The report is written to {page}\nThe figures are written to {rows}\n"
    source = page.read_text(encoding="utf-8")
    assert source.startswith("<!DOCTYPE html>")
    command = f"servecast forecast {path} --html '{page}' --csv {rows} --json --seed 7"
    assert escape(command) in source
    p50 = json.loads(printed.out)["latency_ms"]["p50"]["value"]
    assert f"latency_ms.p50,ms,{p50}," in rows.read_text(encoding="utf-8")


def test_same_command_makes_the_same_page(tmp_path: Path) -> None:
    """A page has no date and no chance in it: it can be compared with an older one."""
    page = tmp_path / "shop.html"
    command = ["forecast", written(tmp_path), "--html", str(page), "--quiet"]
    pages = set()
    for _ in range(2):
        assert main(command) == Exit.DONE
        pages.add(page.read_bytes())
    assert len(pages) == 1


def test_hostile_names_do_no_harm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A scenario whose name is a script has a report in every form, and a picture."""
    path = written(tmp_path, ("name: shop", "name: '<script>alert(1)</script> $a_$ [red]'"))
    page, picture = tmp_path / "shop.html", tmp_path / "shop.svg"
    assert main(["forecast", path, "--html", str(page), "--picture", str(picture), "-o", "md"]) == Exit.DONE
    assert "<script" not in page.read_text(encoding="utf-8")
    assert "<script" not in picture.read_text(encoding="utf-8")
    assert "# \\<script\\>" in capsys.readouterr().out


def test_seed_is_the_one_thing_that_changes_a_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same seed gives the same bytes whatever the number of workers; another seed gives others."""
    path = written(tmp_path)

    def output(*options: str) -> str:
        assert main(["forecast", path, "--json", *options]) == Exit.DONE
        return capsys.readouterr().out

    one = output("--seed", "7")
    assert output("--seed", "7", "--workers", "2") == one
    assert output("--seed", "8") != one


def test_precision_is_reached_or_it_is_said_how_far_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the text and in the JSON; runs that are stated say nothing of it."""
    path = written(tmp_path)
    assert main(["forecast", path, "--precision", "20%"]) == Exit.DONE
    text = capsys.readouterr().out
    assert re.search(r"20 runs of \d+ s, [\d ]+ requests in all\. The confidence intervals hold sampling alone", text)
    assert (
        "Sampling leaves nothing that counts open by more than the 20 % that were wanted, but for p99, which runs of"
        in text
    )
    assert main(["forecast", path, "--precision", "0.1%", "--max-runs", "4"]) == Exit.DONE
    assert re.search(r"The 0\.1 % that were wanted .* no more were allowed: .*mean latency by", capsys.readouterr().out)
    assert main(["forecast", path, "--max-runs", "4", "--json"]) == Exit.DONE
    told = json.loads(capsys.readouterr().out)["provenance"]
    assert (told["runs"], told["precision"]["wanted"], told["precision"]["max_runs"]) == (4, 0.02, 4)
    assert main(["forecast", path, "--json"]) == Exit.DONE
    assert "precision" not in json.loads(capsys.readouterr().out)["provenance"]


def test_set_changes_the_scenario(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--set takes any key of the scenario, several times."""
    path = written(tmp_path)
    options = ["--set", "batching.max_batch=1", "--set", "traffic.arrivals.rate=50/s", "--json"]
    assert main(["forecast", path, *options]) == Exit.DONE
    result = json.loads(capsys.readouterr().out)
    assert result["batch_size_mean"]["value"] == 1.0
    assert result["throughput_per_s"]["value"] == pytest.approx(50, rel=0.2)


def test_picture_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--picture writes the latency distribution and says so on stderr, unless --quiet."""
    picture = tmp_path / "shop.png"
    assert main(["forecast", written(tmp_path), "--picture", str(picture)]) == Exit.DONE
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().err == f"The latency distribution is drawn in {picture}\n"
    assert main(["forecast", written(tmp_path), "--picture", str(picture), "--quiet"]) == Exit.DONE
    assert capsys.readouterr().err == ""


def test_trace_that_was_put_in_order_is_told(shop: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On stderr, with how many timestamps were earlier than the one before; it is forecast all the same."""
    times = [time / 100 for time in range(600)]
    arrivals = "traffic.arrivals={process: trace, file: trace.csv}"
    for said, order in (("", times), ("1 timestamp is", [*times[1:], times[0]]), ("599 timestamps are", times[::-1])):
        (tmp_path / "trace.csv").write_text("timestamp\n" + "".join(f"{time}\n" for time in order), encoding="utf-8")
        assert main(["forecast", shop, "--set", arrivals, "--runs", "2"]) == Exit.DONE
        printed = capsys.readouterr().err
        assert (f"{said} earlier than the one before in the trace, which was put in order." in printed) is bool(said)
        assert "put in order" not in printed or said


@pytest.mark.parametrize(
    "command", [["plan", "--vary", "fleet.replicas=1,2"], ["capacity"], ["whatif", "--set", "batching.max_batch=1,2"]]
)
def test_every_question_tells_of_a_trace_out_of_order(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whichever is asked first."""
    (tmp_path / "trace.csv").write_text("timestamp\n0.5\n0.25\n" + "".join(f"{1 + k / 50}\n" for k in range(300)))
    scenario = tmp_path / "own.yaml"
    scenario.write_text(
        "traffic: {arrivals: {process: trace, file: trace.csv}}\n"
        "model: {pass_time: {base: 2ms}}\nbatching: {max_batch: 1}\nhorizon: {runs: 2}\ngoals: {p90: 1s}\n"
    )
    name, *options = command
    assert main([name, str(scenario), *options]) == Exit.DONE
    assert "1 timestamp is earlier than the one before in the trace, which was put in order." in capsys.readouterr().err
