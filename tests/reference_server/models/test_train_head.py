"""How the label head is made, on data made here: the archive itself is not kept."""

from __future__ import annotations

import io
import tarfile
from collections import Counter
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from reference_server.models.train_head import accuracy, fit_head, main, part_of, read_rated  # noqa: E402

LINES = "1\t2.5\tWhat a joy\n2\t-1.5\tHow dull\n3\t0.0\tIt is a film\n4\t1.0\twhat a JOY\n"


def archive_of(files: dict[str, bytes]) -> bytes:
    """Return a tar.gz of these files."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return data.getvalue()


def test_sentences_are_read_once_each_and_without_the_undecided() -> None:
    """One whose ratings cancel out is neither positive nor negative; a repeated one could be in two parts."""
    papers = archive_of({"papers/._films_GroundTruth.txt": b"\0", "papers/films_GroundTruth.txt": LINES.encode()})
    source = archive_of({"vader/more/hutto_ICWSM_2014.tar.gz": papers})
    assert read_rated(source, "films") == [("What a joy", 2.5), ("How dull", -1.5)]


def test_sentence_belongs_to_one_part_whatever_the_order() -> None:
    """By its hash: seven, one and two tenths, the same on each machine."""
    parts = Counter(part_of(f"sentence {number}") for number in range(10_000))
    assert parts["train"] == pytest.approx(7000, abs=200)
    assert parts["choose"] == pytest.approx(1000, abs=150)
    assert parts["test"] == pytest.approx(2000, abs=200)
    assert part_of("Great Movie") == part_of("great movie")


def test_fit_finds_the_direction_that_separates() -> None:
    """Seeded points on both sides of a plane: nearly all right on points that the fit has not seen."""
    generator = torch.Generator().manual_seed(1)
    points = torch.randn(600, 3, generator=generator, dtype=torch.float64)
    labels = (points @ torch.tensor([2.0, -1.0, 0.0], dtype=torch.float64) + 0.5 > 0).double()
    weight, bias = fit_head(points[:400], labels[:400], 1e-4)
    assert accuracy(points[400:], labels[400:], weight, bias) > 0.97
    assert weight[0] > 0 > weight[1]
    assert bias > 0


def test_penalty_keeps_weights_small() -> None:
    """Without it they would grow without end where the points can be separated."""
    points = torch.tensor([[1.0], [-1.0]], dtype=torch.float64)
    labels = torch.tensor([1.0, 0.0], dtype=torch.float64)
    sizes = [float(fit_head(points, labels, penalty)[0].norm()) for penalty in (1e-3, 1e-1)]
    assert sizes[0] > sizes[1]


def test_another_archive_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The head says which data it was made from, so it is made from no other."""
    file = tmp_path / "other.tar.gz"
    file.write_bytes(archive_of({}))
    assert main([str(file)]) == 2
    assert "is not the archive of vaderSentiment 3.3.2" in capsys.readouterr().err
