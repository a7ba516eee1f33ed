"""Models for tests, as a user would write them: a good one, and factories that fail in the ways factories fail."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from reference_server.backends.torch_backend import TorchBackend
from reference_server.models import BadInput, CannotMakeModel

DOUBLER = f"{__name__}:Doubler"
PAIR = f"{__name__}:Pair"


class Doubler:
    """Returns each number times the factor; keeps the sizes of its passes."""

    def __init__(self, device: str, *, factor: int = 2) -> None:
        self.factor = torch.tensor(float(factor), device=device)
        self.sizes: list[int] = []

    def prepare(self, inputs: list[Any]) -> dict[str, Tensor]:
        for value in inputs:
            if type(value) not in (int, float):
                raise BadInput(f"The input must be a number. Got {value!r}.")
        return {"numbers": torch.tensor(inputs, dtype=torch.float32).unsqueeze(1)}

    def forward(self, numbers: Tensor) -> Tensor:
        self.sizes.append(len(numbers))
        assert torch.is_inference_mode_enabled()
        return numbers * self.factor

    def finish(self, outputs: Tensor, count: int) -> list[Any]:
        return [value for [value] in outputs[:count].tolist()]

    def sample(self) -> Any:
        return 1


class SharingBackend(TorchBackend):
    """Has all instances in one process, as on a CUDA device, and computes on the CPU."""

    instances_share_process = True  # type: ignore[assignment]  # a property of the class above


class Pair(Doubler):
    """Has two outputs."""

    def forward(self, numbers: Tensor) -> Any:  # type: ignore[override]  # a model may return either
        return {"twice": super().forward(numbers), "square": numbers.square()}

    def finish(self, outputs: Any, count: int) -> list[Any]:
        return list(zip(super().finish(outputs["twice"], count), super().finish(outputs["square"], count), strict=True))


class Forgetful(Doubler):
    """Loses a result."""

    def finish(self, outputs: Tensor, count: int) -> list[Any]:
        return super().finish(outputs, count)[1:]


class NotANumber(Doubler):
    """Returns what JSON cannot hold."""

    def finish(self, outputs: Tensor, count: int) -> list[Any]:
        return [float("nan")] * count


class Picky(Doubler):
    """Does not take its own sample."""

    def sample(self) -> Any:
        return "one"


def without_weights(device: str) -> Any:
    """Cannot make its model, and says why."""
    raise CannotMakeModel("The weights of this model are not installed.")


def broken(device: str) -> Any:
    """Fails by a mistake of its own."""
    raise KeyError("vocabulary")


def not_a_model(device: str) -> Any:
    """Returns something else."""
    return 5
