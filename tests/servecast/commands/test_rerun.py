"""`servecast rerun`: the same bytes as the first time, or which of them are not and why that may be."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from servecast.cli import main
from servecast.errors import Exit

SHORT = ["--set", "horizon={duration: 4s, warm_up: 1s, runs: 3}", "--seed", "5"]

Edit = Callable[[dict[str, Any]], None]


@pytest.fixture
def save(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Path]:
    """Return what forecasts and keeps what is printed."""

    def forecast(*arguments: str) -> Path:
        main(["forecast", *arguments, *SHORT, "--json"])
        path = tmp_path / "result.json"
        path.write_text(capsys.readouterr().out, encoding="utf-8")
        return path

    return forecast


def edited(path: Path, edit: Edit) -> Path:
    """Change what is saved."""
    content = json.loads(path.read_text(encoding="utf-8"))
    edit(content)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return path


TRACE = "traffic.arrivals={process: trace, file: 'trace.csv', repeat: true}"


@pytest.mark.parametrize("kind", ["plain", "calibrated", "traced", "long trace"])
def test_result_is_made_again_byte_by_byte(
    kind: str,
    shop: str,
    profile_file: Path,
    save: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """From the saved result alone, though scenario and calibration are gone by then; a long trace must stay."""
    more = {
        "plain": [],
        "calibrated": ["--set", f"model={{profile: {profile_file.name}}}"],
        "traced": ["--set", TRACE],
        "long trace": ["--set", TRACE],
    }[kind]
    times = range(30_000 if kind == "long trace" else 1_000)
    trace = tmp_path / "trace.csv"
    trace.write_text("timestamp\n" + "".join(f"{time / 100:.2f}\n" for time in times), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    path = save(Path(shop).name, *more)
    for file in (Path(shop), profile_file, *([trace] if kind == "traced" else [])):
        file.unlink()
    assert main(["rerun", path.name]) == Exit.DONE
    printed = capsys.readouterr()
    assert printed.out == path.read_text(encoding="utf-8")
    assert printed.err == "The same bytes as result.json.\n"


def test_long_trace_that_is_not_there_says_where_it_was_looked_for(
    shop: str,
    save: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A result of another folder: its manifest names the trace as the command did that made it."""
    trace = tmp_path / "trace.csv"
    trace.write_text("timestamp\n" + "".join(f"{time / 100:.2f}\n" for time in range(30_000)), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    path = save(Path(shop).name, "--set", TRACE)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert main(["rerun", str(path)]) == Exit.BAD_INPUT
    assert capsys.readouterr().err == (
        f"servecast: trace.csv (traffic.arrivals.file) is not there in {elsewhere}: a trace of that length is not in "
        "the manifest, only its hash; go to where the result was made, or put it there.\n"
    )


@pytest.mark.parametrize("options", [["--precision", "2%"], ["--precision", "0.01%", "--budget", "1s"]])
def test_forecast_of_a_wanted_precision_is_made_again_with_the_runs_that_it_took(
    options: list[str], shop: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Though the clock decided: how many there was time for is known by then."""
    assert main(["forecast", shop, *options, "--set", "horizon.duration=2s", "--json"]) == Exit.DONE
    path = tmp_path / "result.json"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    assert main(["rerun", str(path)]) == Exit.DONE
    printed = capsys.readouterr()
    assert printed.err == f"The same bytes as {path}.\n"
    assert printed.out == path.read_text(encoding="utf-8")
    assert json.loads(printed.out)["provenance"]["runs"] >= 20


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("whatif", ["--set", "batching.max_batch=4,8", "--set", "batching.max_wait=0ms,5ms", "--warnings"]),
        ("whatif", ["--set", "queue.cap=32", "--set", "fleet.replicas=2,3", "--one-at-a-time"]),
        ("plan", ["--vary", "fleet.replicas=1..3", "--vary", "batching.max_batch=4,8", "--goals", "p50=30ms"]),
        ("plan", ["--vary", "fleet.replicas+queue.cap=1+32,2+64", "--goals", "p50=30ms", "--confidence", "90%"]),
        ("capacity", ["--goals", "p50=30ms"]),
    ],
)
def test_answers_of_the_planner_are_made_again_byte_by_byte(
    command: str, options: list[str], shop: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What varied, the goals and the confidence stand in the manifest; the scenario is gone by then."""
    Path(shop).write_text(
        Path(shop).read_text(encoding="utf-8") + "horizon: {duration: 3s, warm_up: 1s, runs: 3}\n", encoding="utf-8"
    )
    assert main([command, shop, *options, "--seed", "5", "--json"]) in {Exit.DONE, Exit.MISSED}
    path = tmp_path / "result.json"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    Path(shop).unlink()
    assert main(["rerun", str(path)]) == Exit.DONE
    printed = capsys.readouterr()
    assert printed.out == path.read_text(encoding="utf-8")
    assert printed.err == f"The same bytes as {path}.\n"


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("forecast", []),
        ("whatif", ["--set", "batching.max_batch=4,8"]),
        ("plan", ["--vary", "fleet.replicas=1..2", "--goals", "p50=30ms"]),
        ("capacity", ["--goals", "p50=30ms"]),
    ],
)
def test_manifest_copied_out_of_a_page_makes_its_result_again(
    command: str, options: list[str], shop: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a reader of the page copies into a file is what rerun takes, as the page says; its scenario is gone."""
    text = Path(shop).read_text(encoding="utf-8").replace("name: shop", "name: 'shop <b> & \"x\"'")
    Path(shop).write_text(text + "horizon: {duration: 3s, warm_up: 1s, runs: 3}\n", encoding="utf-8")
    page, path = tmp_path / "page.html", tmp_path / "manifest.json"
    assert main([command, shop, *options, "--seed", "5", "--json", "--html", str(page)]) == Exit.DONE
    result = capsys.readouterr().out
    shown = re.search(r"<summary>Manifest: .*?<pre[^>]*>(.*?)</pre>", page.read_text(encoding="utf-8"), re.DOTALL)
    assert shown is not None
    path.write_text(unescape(shown[1]), encoding="utf-8")
    Path(shop).unlink()
    assert main(["rerun", str(path)]) == Exit.DONE
    assert capsys.readouterr().out == result


def test_files_that_varied_are_not_held(
    shop: str, profile_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A manifest holds the files of one scenario, and says so where others would be needed."""
    other = profile_file.with_name("other.json")
    other.write_bytes(profile_file.read_bytes())
    bare = Path(shop).read_text(encoding="utf-8").replace("{pass_time: {base: 8ms, per_item: 0.5ms}}", "{}")
    Path(shop).write_text(bare + "horizon: {duration: 3s, warm_up: 1s, runs: 2}\n", encoding="utf-8")
    varied = f"model.profile={profile_file.name},{other.name}"
    assert main(["whatif", shop, "--set", varied, "--json"]) == Exit.DONE
    path = tmp_path / "result.json"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    assert main(["rerun", str(path)]) == Exit.BAD_INPUT
    assert "A result that varied model.profile cannot be made again" in capsys.readouterr().err


def test_manifest_alone_is_enough(shop: str, save: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    """`jq .manifest` gives a file that makes the result again; there is nothing to compare it with."""
    path = save(shop)
    result = path.read_text(encoding="utf-8")
    path.write_text(json.dumps(json.loads(result)["manifest"]), encoding="utf-8")
    assert main(["rerun", str(path)]) == Exit.DONE
    printed = capsys.readouterr()
    assert printed.out == result
    assert printed.err == f"{path} is a manifest alone: there is no result to compare with.\n"


def test_goals_that_are_missed_are_none_of_its_business(
    shop: str, save: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code says whether the result is the same, and not whether it is good."""
    path = save(shop, "--set", "goals.p50=1ms")
    assert main(["rerun", str(path), "--quiet"]) == Exit.DONE
    assert capsys.readouterr().err == ""


def _other_numpy(content: dict[str, Any]) -> None:
    for told in (content["provenance"], content["manifest"]):
        told["versions"]["numpy"] = "1.0"


def _other_p50(content: dict[str, Any]) -> None:
    content["latency_ms"]["p50"]["value"] = 1.5


def _other_engine(content: dict[str, Any]) -> None:
    content["provenance"]["engine"] = "abacus"


def _without_goals(content: dict[str, Any]) -> None:
    del content["goals"]


@pytest.mark.parametrize(
    ("edits", "code", "words"),
    [
        (
            [_other_numpy],
            Exit.DONE,
            r"^The same figures as in .*, made under other conditions: numpy 1\.0 and [0-9.]+\.$",
        ),
        ([_other_engine], Exit.DONE, r"^The same figures as in .*result\.json, made by another engine\.$"),
        (
            [_other_p50],
            Exit.MISSED,
            r"^1 value is not that of .*: latency_ms\.p50\.value 1\.5 then, [0-9.]+ now\. Versions and host are the "
            r"same: the code itself differs, or .*result\.json was changed by hand\.$",
        ),
        ([_other_p50, _other_numpy], Exit.MISSED, r"now\. The probable cause: numpy 1\.0 and [0-9.]+\.$"),
        ([_other_p50, _without_goals], Exit.MISSED, r"^2 values are not those of .*; goals nothing then, \[\] now\."),
    ],
)
def test_what_differs_is_told_with_its_probable_cause(
    edits: list[Edit],
    code: Exit,
    words: str,
    shop: str,
    save: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Figures that differ are named, and so are versions and host, which are the usual reason; exit code 1."""
    path = save(shop)
    for edit in edits:
        edited(path, edit)
    assert main(["rerun", str(path)]) == code
    printed = capsys.readouterr()
    assert json.loads(printed.out)["version"] == "servecast-forecast/1"
    assert re.search(words, printed.err.rstrip("\n"))


def test_other_form_is_no_other_result(
    shop: str, save: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """A formatter may have been at it."""
    path = save(shop)
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")), indent=4), encoding="utf-8")
    assert main(["rerun", str(path)]) == Exit.DONE
    assert capsys.readouterr().err == f"The same figures as in {path}, which is written in another form.\n"


def _other_version(content: dict[str, Any]) -> None:
    content["manifest"]["version"] = "servecast-manifest/9"


def _other_scenario(content: dict[str, Any]) -> None:
    content["manifest"]["scenario"]["batching"]["max_batch"] = 4


def _unknown_key(content: dict[str, Any]) -> None:
    content["manifest"]["scenario"]["batching"]["max_bach"] = 4


def _no_manifest(content: dict[str, Any]) -> None:
    del content["manifest"]


def _later_version(content: dict[str, Any]) -> None:
    content["version"] = "servecast-forecast/9"


def _of_another_command(content: dict[str, Any]) -> None:
    content["manifest"]["command"] = "plan"


def _half_a_precision(content: dict[str, Any]) -> None:
    content["manifest"]["options"] = {"precision": "2%"}


def _check(content: dict[str, Any]) -> None:
    content["manifest"]["command"] = "check"


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (
            _other_version,
            r"^.*result\.json must hold a manifest of the version servecast-manifest/1\. Got servecast-man",
        ),
        (_other_scenario, r"^The scenario in the manifest is not the one of its scenario_hash: it has changed\.$"),
        (_unknown_key, r"^batching\.max_bach is not a known key: did you mean batching\.max_batch\?$"),
        (
            _later_version,
            r"^.*result\.json must be of the version servecast-forecast/1, since its manifest is of servecast "
            r"forecast\. Got servecast-forecast/9\.$",
        ),
        (_of_another_command, r"must be of the version servecast-plan/1, since .* Got servecast-forecast/1\.$"),
        (
            _half_a_precision,
            r"^The options in the manifest are not right: precision must be a number\. Got '2%'\.$",
        ),
        (_no_manifest, r"^.*result\.json holds no manifest, so it does not tell how to make it again\.$"),
        (
            _check,
            r"^A result of servecast check cannot be made again: those of forecast, whatif, plan, capacity can\.$",
        ),
    ],
)
def test_what_cannot_be_made_again_is_one_sentence(
    edit: Edit, words: str, shop: str, save: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, nothing on stdout."""
    path = edited(save(shop), edit)
    assert main(["rerun", str(path)]) == Exit.BAD_INPUT
    printed = capsys.readouterr()
    assert printed.out == ""
    assert re.search(words, printed.err.removeprefix("servecast: ").rstrip("\n"))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"traffic: {}\n", "is neither a result of servecast nor a manifest: no JSON ("),
        (b"\xff\xfe", "is neither a result of servecast nor a manifest: no text."),
        (b"[1, 2]", "is neither a result of servecast nor a manifest: those are mappings with a version"),
        (b'{"version": 3}', "is neither a result of servecast nor a manifest: those are"),
        (b"[" * 100_000, "no JSON ("),
    ],
)
def test_file_that_is_no_result_is_one_sentence(
    data: bytes, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever it is."""
    path = tmp_path / "file"
    path.write_bytes(data)
    assert main(["rerun", str(path)]) == Exit.BAD_INPUT
    assert words in capsys.readouterr().err


def test_missing_file_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the reason of the system."""
    assert main(["rerun", str(tmp_path / "none.json")]) == Exit.BAD_INPUT
    assert (
        capsys.readouterr().err == f"servecast: {tmp_path / 'none.json'} cannot be read: No such file or directory.\n"
    )
