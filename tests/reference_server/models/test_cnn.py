"""The small image classifier."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reference_server.models import BadInput, CannotMakeModel
from servecast.scenarios import load_scenario

torch = pytest.importorskip("torch")

from reference_server.models import cnn  # noqa: E402  # it needs torch
from reference_server.models.cnn import PIXELS, WEIGHTS_FILE, DigitCnn  # noqa: E402

ONE = list(load_scenario("cnn").model.input)


def labelled(*inputs: Any) -> list[Any]:
    """Return what the model says of a batch."""
    model = DigitCnn("cpu")
    with torch.inference_mode():
        return model.finish(model.forward(**model.prepare(list(inputs))), len(inputs))


def test_digit_of_the_example_is_recognised() -> None:
    """A one that was drawn by hand, with numbers of either kind; the share of the likeliest digit is told."""
    first, second = labelled(ONE, [float(value) for value in ONE])
    assert first == second
    assert first["digit"] == 1
    assert 0.5 < first["confidence"] <= 1


def test_only_members_are_answered() -> None:
    """What fills a pass up to its size is left out."""
    model = DigitCnn("cpu")
    with torch.inference_mode():
        outputs = model.forward(**model.prepare([ONE, model.sample(), model.sample()]))
    assert len(model.finish(outputs, 1)) == 1


@pytest.mark.parametrize("value", [3, None, "1", [], [0] * (PIXELS - 1), [17] * PIXELS, [-1] * PIXELS, ["0"] * PIXELS])
def test_input_that_is_no_image_is_refused(value: Any) -> None:
    """The client is told what a right one looks like."""
    with pytest.raises(BadInput, match="a list of 64 numbers from 0 to 16, an image of 8 x 8"):
        labelled(ONE, value)


def test_missing_weights_are_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """They are part of servecast, so this is a broken installation."""
    monkeypatch.setattr(cnn, "WEIGHTS_FILE", tmp_path / "none.pt")
    with pytest.raises(CannotMakeModel, match="The weights of cnn cannot be read: No such file"):
        DigitCnn("cpu")


def test_weights_say_how_they_were_made_and_how_good_they_are() -> None:
    """Beside them, measured on images that they had not seen."""
    made = json.loads(WEIGHTS_FILE.with_suffix(".json").read_text(encoding="utf-8"))
    assert made["weights"] == sum(each.numel() for each in DigitCnn("cpu")._network.parameters())
    assert made["held_out_accuracy"] > 0.95
