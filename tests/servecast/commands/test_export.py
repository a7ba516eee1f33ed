"""`servecast export`: what it prints and writes, and what it says beside."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import servecast as sc
from servecast.cli import main
from servecast.errors import Exit


def test_files_go_to_stdout_and_notes_to_stderr(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One file alone, fit for a pipe; --quiet leaves the notes to the comments in it."""
    assert main(["export", shop, "--to", "triton"]) == Exit.DONE
    out, err = capsys.readouterr()
    assert out.startswith("# Written by servecast export --to triton from shop (")
    assert "max_queue_delay_microseconds: 5000" in out
    assert "backend, input and output are the model's own: add them, or let Triton find them out.\n" in err
    assert main(["export", shop, "--to", "triton", "--quiet"]) == Exit.DONE
    assert capsys.readouterr() == (out, "")


def test_several_files_are_printed_under_their_names(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    """TorchServe has two."""
    overrides = ["--set", "batching.timer_origin=collect", "--set", "batching.collector=exclusive"]
    assert main(["export", shop, "--to", "torchserve", "--quiet", *overrides]) == Exit.DONE
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("# File ")] == [
        "# File model-config.yaml",
        "# File config.properties",
    ]
    assert lines[-1] == "job_queue_size=64"


def test_files_are_written_into_a_folder(shop: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is made; where each file lies goes to stderr, and nothing to stdout."""
    folder = tmp_path / "deploy"
    arguments = ["export", shop, "--to", "kubernetes", "--name", "text", "--image", "text:1", "--output", str(folder)]
    assert main(arguments) == Exit.DONE
    (document,) = yaml.safe_load_all((folder / "kubernetes.yaml").read_text(encoding="utf-8"))
    assert document["metadata"]["name"] == "text"
    out, err = capsys.readouterr()
    assert out == ""
    assert f"Written: {folder / 'kubernetes.yaml'}\n" in err


def test_without_a_format_it_says_which_fit(shop: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each in one line, with the reason of those that do not."""
    assert main(["export", shop]) == Exit.DONE
    rows = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows if row.endswith("  fits")] == [
        "kubernetes",
        "knative",
        "triton",
        "tf-serving",
    ]
    (row,) = [row for row in rows if row.startswith("argo-rollouts")]
    assert row.endswith("does not fit: rollout is none, and Argo Rollouts leads one.")


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["--to", "nomad"], Exit.BAD_INPUT, "triton, torchserve or tf-serving. Got nomad."),
        (
            ["--to", "k8s"],
            Exit.BAD_INPUT,
            "Got k8s: did you mean kubernetes?",
        ),
        (
            ["--to", "triton", "--image", "x"],
            Exit.BAD_INPUT,
            "image stands in files of kubernetes, keda, argo-rollouts",
        ),
        (["--to", "triton", "--name", "A"], Exit.BAD_INPUT, "name must be 1 to 40 lower-case letters"),
        (["--to", "triton", "--output", "no/such/folder"], Exit.BAD_INPUT, "there is no directory no/such"),
        (
            ["--to", "triton", "--output", "/dev/null"],
            Exit.BAD_INPUT,
            "/dev/null is a file, and a folder is to be",
        ),
        (["--to", "triton", "--set", "batching.max_bach=2"], Exit.BAD_INPUT, "max_bach"),
        (
            ["--to", "ray-serve"],
            Exit.REFUSED,
            "batching.timer_origin is enqueue, and @serve.batch has collect there: --to ",
        ),
        (["--to", "keda"], Exit.REFUSED, "fleet.autoscaler is none, and KEDA is for a fleet that has one."),
    ],
)
def test_bad_input_and_refusals_are_one_sentence(
    shop: str, arguments: list[str], code: Exit, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 where the question is wrong, 3 where any file would be."""
    assert main(["export", shop, *arguments]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert sentence in err
    assert err.count("\n") == 1


def test_notebooks_export_by_the_same_words(shop: str) -> None:
    """sc.export gives the files by name and the notes."""
    exported = sc.export(shop, "triton", overrides=["batching.max_batch=4"], name="text")
    assert isinstance(exported, sc.Exported)
    assert list(exported.files) == ["config.pbtxt"]
    assert 'name: "text"\nmax_batch_size: 4\n' in exported.files["config.pbtxt"]
    assert sc.export(sc.load_scenario(shop), "triton").files != exported.files
    with pytest.raises(sc.ScenarioError, match="overrides change a scenario when it is loaded"):
        sc.export(sc.load_scenario(shop), "triton", overrides=["batching.max_batch=4"])
