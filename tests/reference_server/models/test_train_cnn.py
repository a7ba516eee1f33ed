"""How the small image classifier is trained, on images made here."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from reference_server.models.train_cnn import main, train  # noqa: E402  # it needs torch


def test_training_learns_and_gives_the_same_weights_for_a_seed() -> None:
    """Ten images that differ in one bright row or column: after a few passes each is recognised."""
    torch.set_num_threads(1)
    images = torch.zeros(10, 1, 8, 8)
    for digit in range(10):
        if digit < 8:
            images[digit, 0, digit] = 1
        else:
            images[digit, 0, :, digit - 5] = 1
    digits = torch.arange(10)
    trained = train(images, digits, passes=150, seed=3)
    with torch.inference_mode():
        assert trained(images).argmax(dim=1).tolist() == digits.tolist()
    again = train(images, digits, passes=2, seed=3).state_dict()
    assert all(
        torch.equal(again[name], each) for name, each in train(images, digits, passes=2, seed=3).state_dict().items()
    )


def test_another_wheel_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The weights say which data they were made from, so they are made from no other."""
    file = tmp_path / "other.whl"
    with zipfile.ZipFile(file, "w") as wheel:
        wheel.writestr("sklearn/datasets/data/digits.csv.gz", b"")
    assert main([str(file)]) == 2
    assert "is not the data that this was written for" in capsys.readouterr().err
