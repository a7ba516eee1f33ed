"""The models that come with servecast, and what a model of your own must look like to be served.

A model is named in the scenario, `model.serve_with: minilm` or `your_module:factory`, and made when the server starts,
in the process that runs it; no request can name one. A factory is called with the device's name and the scenario's
`model.options`, and returns an object with the four methods of `TorchModel`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from reference_server.backends import BadInput

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["MODELS", "BadInput", "CannotMakeModel", "ModelFactory", "TorchModel"]

MODELS: dict[str, str] = {
    "minilm": "reference_server.models.minilm:MiniLm",
    "cnn": "reference_server.models.cnn:DigitCnn",
}
"""Name in a scenario -> "module:factory"; a module is imported only in the process that runs it."""


class CannotMakeModel(Exception):
    """A factory cannot make its model, for weights that are missing or wrong. The text is the user's sentence."""


class TorchModel(Protocol):
    """A model on one device, shared by the threads of its process: a method may not change it."""

    def prepare(self, inputs: list[Any]) -> dict[str, Tensor]:
        """Return tensors in CPU memory, the members of the batch along the first axis of each.

        `inputs` are parsed JSON, at least one. Raises BadInput if one of them is not what the model takes: the backend
        then finds out which by preparing each alone, so only that one fails.
        """

    def forward(self, **tensors: Tensor) -> Tensor | dict[str, Tensor]:
        """Return the outputs of the prepared tensors, which lie on the device, padded to the size of a pass."""

    def finish(self, outputs: Any, count: int) -> list[Any]:
        """Return what JSON can carry for each of the first `count` members; `outputs` lie in CPU memory."""

    def sample(self) -> Any:
        """Return an input as a client would send it, for the warm-up."""


class ModelFactory(Protocol):
    """Makes a model; a class is one. Raises CannotMakeModel."""

    def __call__(self, device: str, **options: Any) -> TorchModel:
        """Return the model on a device named as torch.device names them; `options` are the scenario's."""
