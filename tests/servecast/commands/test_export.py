"""`servecast export`: what it prints and writes, and what it says beside."""

from __future__ import annotations

from collections.abc import Callable
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
    assert "does not fit: rollout is none, and Argo Rollouts leads one: no --set alone helps" in row


def test_formats_that_leave_a_version_out_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    """Of a canary Triton has one version, and fits no other way."""
    assert main(["export", "canary"]) == Exit.DONE
    (row,) = [row for row in capsys.readouterr().out.splitlines() if row.startswith("triton")]
    assert row.endswith("  fits but for v2, of which there is nothing in its files")


def test_each_version_has_its_image(capsys: pytest.CaptureFixture[str]) -> None:
    """Given by its name; one without a name is the stable version's, and the other's a placeholder that is told of."""
    both = ["--image", "v1=shop:1", "--image", "v2=shop:2"]
    for images, image, told in ((both, "shop:2", False), (["--image", "shop:1"], "registry.example.com/", True)):
        assert main(["export", "canary", "--to", "kubernetes", *images]) == Exit.DONE
        out, err = capsys.readouterr()
        first, second = (
            document["spec"]["template"]["spec"]["containers"][0]["image"] for document in yaml.safe_load_all(out)
        )
        assert first == "shop:1"
        assert second.startswith(image)
        lacking = "The image of v2 is a placeholder, since each version needs one of its own: --image v2=IMAGE says it."
        assert (lacking in err) == told


@pytest.mark.parametrize("edit", [lambda text: text.replace("replicas: 1", "replicas: 3"), lambda _: "replicas: 3"])
def test_edited_file_is_written_over_with_force_alone(
    edit: Callable[[str], str], shop: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One as it was written gives place to other settings; one that was edited, or is another's, is kept."""
    arguments = ["export", shop, "--to", "kubernetes", "--output", str(tmp_path), "--quiet"]
    path = tmp_path / "kubernetes.yaml"
    assert main(arguments) == Exit.DONE
    assert main([*arguments, "--set", "fleet.replicas=2"]) == Exit.DONE
    assert main(arguments) == Exit.DONE
    edited = edit(path.read_text(encoding="utf-8"))
    path.write_text(edited, encoding="utf-8")
    assert main(arguments) == Exit.BAD_INPUT
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        f"servecast: --output {path} was edited, or not written by servecast export: name another folder, or write "
        "over it with --force.\n"
    )
    assert path.read_text(encoding="utf-8") == edited
    assert main([*arguments[:-1], "--force"]) == Exit.DONE
    assert f"Written over: {path}\n" in capsys.readouterr().err
    assert path.read_text(encoding="utf-8") != edited


def test_file_of_another_scenario_is_written_over_with_force_alone(
    shop: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its name stands in the file's head, over two lines if it is long; other settings are the same scenario."""
    arguments = ["--to", "kubernetes", "--output", str(tmp_path), "--quiet"]
    other = ["--set", f"name={'long-' * 11}name"]
    assert main(["export", shop, *arguments, *other]) == Exit.DONE
    assert main(["export", shop, *arguments, *other, "--set", "fleet.replicas=2"]) == Exit.DONE
    assert main(["export", shop, *arguments]) == Exit.BAD_INPUT
    path = tmp_path / "kubernetes.yaml"
    assert capsys.readouterr().err == (
        f"servecast: --output {path} is of {'long-' * 11}name, another scenario: name another folder, or write over it "
        "with --force.\n"
    )
    assert main(["export", shop, *arguments, "--force"]) == Exit.DONE
    assert "replicas: 1" in path.read_text(encoding="utf-8")


def test_files_of_an_earlier_export_beside_the_new_ones_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever applies the folder would have two autoscalers; what is nobody's export is passed over."""
    (tmp_path / "notes.txt").write_text("own", encoding="utf-8")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\xff")
    for to, said in (
        ("kubernetes", ""),
        (
            "knative",
            f"{tmp_path} also holds kubernetes.yaml, written by an earlier servecast export: do not apply both",
        ),
    ):
        assert main(["export", "sentiment", "--to", to, "--output", str(tmp_path)]) == Exit.DONE
        err = capsys.readouterr().err
        assert (said in err) if said else ("also holds" not in err)
        assert "notes.txt" not in err


def test_formats_that_fit_are_told_by_the_objects_in_their_files(capsys: pytest.CaptureFixture[str]) -> None:
    """A fixed fleet has no HPA."""
    for scenario, kinds in (("sentiment", "Deployment"), ("step-hpa", "Deployment, HorizontalPodAutoscaler")):
        assert main(["export", scenario]) == Exit.DONE
        first = capsys.readouterr().out.splitlines()[0]
        assert first == f"{'kubernetes':<13}  {kinds:<36}  fits"


def test_no_file_is_written_where_one_was_edited(shop: str, tmp_path: Path) -> None:
    """TorchServe has two, of which the first would no longer be of the second's scenario."""
    overrides = ["--set", "batching.timer_origin=collect", "--set", "batching.collector=exclusive"]
    (tmp_path / "config.properties").write_text("own", encoding="utf-8")
    arguments = ["export", shop, "--to", "torchserve", "--output", str(tmp_path), *overrides]
    assert main(arguments) == Exit.BAD_INPUT
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".properties"] == ["config.properties"]
    assert not (tmp_path / "model-config.yaml").exists()


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
        (["--to", "keda"], Exit.REFUSED, "fleet.autoscaler is none, and KEDA is for a fleet that has one: --set '"),
        (["--force"], Exit.BAD_INPUT, "--force writes over files of --output DIR, and there is none."),
        (
            ["--to", "kubernetes", "--image", "a:1", "--image", "a:2"],
            Exit.BAD_INPUT,
            "--image is given twice: name each version, like --image v2=a:2.",
        ),
        (["--to", "kubernetes", "--image", "=a:1"], Exit.BAD_INPUT, "must be IMAGE or VERSION=IMAGE. Got =a:1."),
        (["--to", "kubernetes", "--image", "v9=a:1"], Exit.BAD_INPUT, "image must be of a version (v1). Got 'v9'."),
        (["--to", "triton", "--output", "/proc/x"], Exit.BAD_INPUT, "--output /proc/x cannot be written: "),
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
