"""A small image classifier: 64 grey values of a handwritten digit in, the digit out.

15,000 weights, so that what a pass costs is mostly the calls of PyTorch and hardly the size of the batch: batching pays
as much as it ever does. How the weights were made, and how often it is right, stands in digit_cnn.json (train_cnn.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from reference_server.models import BadInput, CannotMakeModel

__all__ = ["PIXELS", "PIXEL_MAX", "WEIGHTS_FILE", "DigitCnn", "network"]

PIXELS = 64
"""Values of an image, row by row: 8 x 8."""

PIXEL_MAX = 16
"""Values go from 0 to this, as in the data that it was trained on."""

WEIGHTS_FILE = Path(__file__).with_name("digit_cnn.pt")

_SIDE = 8


def network() -> nn.Sequential:
    """Return the layers with weights by chance: (images, 1, 8, 8) -> (images, 10)."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 10),
    )


class DigitCnn:
    """64 numbers in, {"digit": 3, "confidence": 0.98} out. Takes no options."""

    def __init__(self, device: str) -> None:
        try:
            weights = torch.load(WEIGHTS_FILE, map_location=device, weights_only=True)
        except OSError as error:
            raise CannotMakeModel(f"The weights of cnn cannot be read: {error.strerror}.") from None
        self._network = network().to(device).eval()
        self._network.load_state_dict(weights)

    def prepare(self, inputs: list[Any]) -> dict[str, Tensor]:
        """Return the images, shape (members, 1, 8, 8). Raises BadInput."""
        rows = [_pixels_of(value) for value in inputs]
        return {"images": torch.tensor(rows, dtype=torch.float32).view(-1, 1, _SIDE, _SIDE) / PIXEL_MAX}

    def forward(self, images: Tensor) -> Tensor:
        """Return the probability of each digit, shape (members, 10)."""
        return torch.softmax(self._network(images), dim=1)

    def finish(self, outputs: Tensor, count: int) -> list[Any]:
        """Return the likeliest digit of each member, and the network's probability of it."""
        best, digits = outputs[:count].max(dim=1)
        return [
            {"digit": digit, "confidence": round(share, 4)}
            for digit, share in zip(digits.tolist(), best.tolist(), strict=True)
        ]

    def sample(self) -> Any:
        """Return an empty image."""
        return [0] * PIXELS


def _pixels_of(value: Any) -> list[float]:
    """Return the values of an image. Raises BadInput."""
    if isinstance(value, list) and len(value) == PIXELS and all(map(_is_pixel, value)):
        return value
    raise BadInput(f"The input must be a list of {PIXELS} numbers from 0 to {PIXEL_MAX}, an image of 8 x 8.")


def _is_pixel(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= PIXEL_MAX
