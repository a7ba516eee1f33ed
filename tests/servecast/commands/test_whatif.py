"""`servecast whatif`: results on stdout, files where they are asked for, one sentence for bad input, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import servecast as sc
from servecast.cli import main
from servecast.commands.whatif import _Keeping
from servecast.errors import Exit
from servecast.streams import Talk
from sim.planner import sweep
from sim.planner.saved_runs import ConfigurationResult
from sim.planner.sweep import SweepTask, run_configuration
from sim.planner.workers import Files

SHORT = ["--set", "horizon.duration=3s", "--set", "horizon.warm_up=1s", "--runs", "2", "--workers", "1"]


def test_answer_stands_on_stdout_and_files_beside_it(
    shop: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Text, JSON, CSV, picture and the file to go on from."""
    files = [str(tmp_path / name) for name in ("rows.csv", "curve.png", "sweep.jsonl")]
    options = ["--csv", files[0], "--picture", files[1], "--save", files[2]]
    assert main(["whatif", shop, "--set", "batching.max_batch=4,8", *SHORT, *options]) == Exit.DONE
    printed = capsys.readouterr()
    assert printed.out.startswith("shop: 2 configurations, compared with max_batch 8: ")
    assert f"The picture is in {files[1]}" in printed.err
    assert (tmp_path / "rows.csv").read_text(encoding="utf-8").startswith("batching.max_batch,name,unit,value,")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert main(["whatif", shop, "--set", "batching.max_batch=4,8", *SHORT, "--save", files[2], "--json"]) == Exit.DONE
    assert json.loads(capsys.readouterr().out)["version"] == "servecast-whatif/1"


def test_notebook_asks_the_same_with_values_of_python(shop: str) -> None:
    """Lists of numbers and texts, or a range as text."""
    fixed = {"horizon.duration": ["3s"], "horizon.warm_up": ["1s"]}
    varied = {"batching.max_batch": [4, 8], "front_end.blocking": [False], "batching.max_wait": "0ms..4ms:2", **fixed}
    answer = sc.whatif(shop, varied, runs=2, workers=1)
    assert [axis.key for axis in answer.axes] == ["batching.max_batch", "batching.max_wait"]
    texts = [
        "batching.max_batch=4,8",
        "batching.max_wait=0ms,4ms",
        *(f"{key}={value}" for key, (value,) in fixed.items()),
    ]
    assert sc.whatif(shop, texts, runs=2, workers=1).to_json()["configurations"] == [
        {**row.to_json(), "changes": {key: value for key, value in row.changes.items() if key != "front_end.blocking"}}
        for row in answer.rows
    ]
    assert sc.as_text(answer).startswith("shop: 4 configurations")
    assert sc.whatif_picture(answer).figure.axes


@pytest.mark.parametrize(("goals", "code"), [("{p90: 1ms}", Exit.MISSED), ("{p90: 10s}", Exit.DONE), ("{}", Exit.DONE)])
def test_exit_code_says_whether_any_configuration_meets_the_goals(shop: str, goals: str, code: Exit) -> None:
    """Without goals there is nothing to miss."""
    arguments = ["--set", "batching.max_batch=4,8", "--set", f"goals={goals}"]
    assert main(["whatif", shop, *arguments, *SHORT]) == code


def test_nothing_that_can_be_answered_is_a_refusal(shop: str) -> None:
    """Every configuration is unstable: exit 3."""
    unstable = [
        "--set",
        "traffic.timeout=null",
        "--set",
        "queue.cap=null",
        "--set",
        "traffic.arrivals.rate=8000/s,9000/s",
    ]
    assert main(["whatif", shop, *unstable, *SHORT]) == Exit.REFUSED


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "Nothing varies: give a key several values"),
        (["--set", "batching.max_batch="], "batching.max_batch must have values"),
        (["--set", "batching.max_bach=4,8"], "did you mean batching.max_batch?"),
        (["--set", "batching.max_batch=4,8", "--cluster", "tcp://x:1"], "A cluster needs the backend dask or ray"),
        (["--set", "batching.max_batch=4,8", "--figures", "p98"], "There is no figure p98: did you mean p9"),
        (["--set", "batching.max_batch=4,8", "--backend", "spark"], "invalid choice: 'spark'"),
        (["--set", "batching.max_batch=4,8", "--save", "/nowhere/sweep"], "there is no directory /nowhere"),
        (
            ["--set", "queue.cap=8,9", "--set", "name=a,b", "--set", "batching.max_batch=4,8", "--picture", "x.png"],
            "A picture must have one or two varied keys",
        ),
    ],
)
def test_bad_input_is_one_sentence(
    shop: str, options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """On one line of stderr, with exit code 2."""
    assert main(["whatif", shop, *options]) == Exit.BAD_INPUT
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert said in printed.err


@pytest.mark.parametrize("quiet", [[], ["--quiet"]])
def test_interrupt_says_what_is_kept_and_the_next_start_what_is_taken_over(
    quiet: list[str], shop: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On stderr; without --save Ctrl-C ends it without a word."""
    made: list[SweepTask] = []

    def interrupted(task: SweepTask, files: Files | None) -> tuple[ConfigurationResult, str]:
        made.append(task)
        if len(made) % 3 == 0:
            raise KeyboardInterrupt
        return run_configuration(task, files)

    arguments = ["whatif", shop, "--set", "batching.max_batch=2,4,8", *SHORT, *quiet]
    path = tmp_path / "sweep.jsonl"
    with monkeypatch.context() as patch:
        patch.setattr(sweep, "run_configuration", interrupted)
        assert main([*arguments, "--save", str(path)]) == Exit.INTERRUPTED
        printed = capsys.readouterr()
        assert printed.out == ""
        assert printed.err.endswith(f"2 of 3 configurations are kept in {path}: the same command goes on from there.\n")
        assert main(arguments) == Exit.INTERRUPTED
        said = "Nothing is kept: --save FILE keeps what is finished, and then goes on from there.\n"
        assert (capsys.readouterr().err.endswith(said)) is not bool(quiet)
    assert main([*arguments, "--save", str(path)]) == Exit.DONE
    taken_over = f"2 of 3 configurations are taken over from {path}.\n"
    assert (taken_over in capsys.readouterr().err) is not bool(quiet)


@pytest.mark.parametrize(("done", "words"), [(0, "0 of 90 configurations are"), (1, "1 of 90 configurations is")])
def test_one_configuration_is_kept_and_not_are(done: int, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The verb goes with the number."""
    keeping = _Keeping(Path("x"), Talk(), None)
    keeping(done, 90)
    keeping.__exit__(KeyboardInterrupt)
    assert capsys.readouterr().err.endswith(f"{words} kept in x: the same command goes on from there.\n")


def test_file_of_another_sweep_is_refused(shop: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence with what differs, and the file stays as it is."""
    path = tmp_path / "sweep.jsonl"
    arguments = ["whatif", shop, "--set", "batching.max_batch=4,8", *SHORT, "--save", str(path)]
    assert main(arguments) == Exit.DONE
    before = path.read_bytes()
    capsys.readouterr()
    assert main([*arguments, "--seed", "7"]) == Exit.BAD_INPUT
    assert "holds another sweep, with seed: 0, and this one has seed: 7. Name another file" in capsys.readouterr().err
    assert path.read_bytes() == before
