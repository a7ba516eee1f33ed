"""Makes label_head.json: a logistic regression on MiniLM's embeddings of rated film reviews (`make label-head`).

The ratings are those of C. Hutto and E. Gilbert, VADER (ICWSM 2014), as vaderSentiment 3.3.2 carries them (MIT): each
sentence has the mean of twenty ratings from -4 to 4. Sentences whose mean is above 0 count as positive. A hash of the
sentence puts it into one of three parts: the fit sees the first, the penalty is chosen on the second, and what is said
of the head is measured on the third. Not one sentence is kept: 384 weights and a bias are.
"""

from __future__ import annotations

import datetime
import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from reference_server.models.minilm import HEAD_FILE, Encoder

__all__ = ["Rated", "accuracy", "fit_head", "main", "part_of", "read_rated"]

_SOURCE_SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
_FILMS = "movieReviewSnippets"
_ELSEWHERE = ("tweets", "amazonReviewSnippets")
_PENALTIES = (1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3)
_CLEAR = 1.0  # a mean rating from which on a sentence is clearly positive or negative
_TRAIN_TOKENS = 64
_SERVED_TOKENS = 16
_BATCH = 64
_PARTS = ("train", "train", "train", "train", "train", "train", "train", "choose", "test", "test")


class Rated(NamedTuple):
    """A sentence and the mean of its ratings, from -4 to 4."""

    text: str
    rating: float


def main(arguments: list[str]) -> int:
    """Read the source archive that the argument names, fit, measure, write the head; return the exit code."""
    archive = Path(arguments[0]).read_bytes()
    if hashlib.sha256(archive).hexdigest() != _SOURCE_SHA256:
        print(f"{arguments[0]} is not the archive of vaderSentiment 3.3.2 that this was written for.", file=sys.stderr)
        return 2
    films = read_rated(archive, _FILMS)
    parts = {name: [each for each in films if part_of(each.text) == name] for name in set(_PARTS)}
    long = Encoder("cpu", _TRAIN_TOKENS)
    train, choose = (_embedded(long, parts[name]) for name in ("train", "choose"))
    weight, bias, penalty = _best(train, _labels(parts["train"]), choose, _labels(parts["choose"]))
    found = {f"films_{_TRAIN_TOKENS}_tokens": _measured(long, parts["test"], weight, bias)}
    short = Encoder("cpu", _SERVED_TOKENS)
    found[f"films_{_SERVED_TOKENS}_tokens"] = _measured(short, parts["test"], weight, bias)
    for name in _ELSEWHERE:
        found[f"{name}_{_TRAIN_TOKENS}_tokens"] = _measured(long, read_rated(archive, name), weight, bias)
    head = {
        "labels": ["negative", "positive"],
        "made": {
            "how": (
                "Logistic regression on all-MiniLM-L6-v2 embeddings, by reference_server/models/train_head.py. "
                "Positive: the mean rating of a sentence is above 0."
            ),
            "data": "vaderSentiment 3.3.2 (MIT), hutto_ICWSM_2014, movieReviewSnippets_GroundTruth.txt; not kept here",
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "torch": torch.__version__,
            "penalty": penalty,
            "sentences": {name: len(parts[name]) for name in ("train", "choose", "test")},
            "held_out": found,
        },
        "bias": round(bias, 4),
        "weight": [round(each, 4) for each in weight.tolist()],
    }
    HEAD_FILE.write_text(_as_text(head), encoding="utf-8")
    print(json.dumps(head["made"], indent=2))
    return 0


def read_rated(archive: bytes, name: str) -> list[Rated]:
    """Return the sentences of a source, each once, without those whose ratings cancel out."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as outer:
        inner = _member(outer, "hutto_ICWSM_2014.tar.gz")
    with tarfile.open(fileobj=io.BytesIO(inner)) as papers:
        lines = _member(papers, f"{name}_GroundTruth.txt").decode("utf-8", errors="replace").splitlines()
    found: dict[str, Rated] = {}
    for line in lines:
        _, rating, text = line.split("\t", 2)
        if float(rating) != 0:
            found.setdefault(text.strip().lower(), Rated(text.strip(), float(rating)))
    return list(found.values())


def _member(archive: tarfile.TarFile, ending: str) -> bytes:
    """Return the bytes of the member whose name ends so; what other systems put beside files is left aside."""
    for member in archive.getmembers():
        if member.name.endswith(f"/{ending}") and member.isfile():
            file = archive.extractfile(member)
            assert file is not None
            return file.read()
    raise FileNotFoundError(ending)


def part_of(text: str) -> str:
    """Return the part a sentence belongs to, by its hash: "train" (70 %), "choose" (10 %) or "test" (20 %)."""
    first = hashlib.sha256(text.lower().encode()).digest()[:4]
    return _PARTS[int.from_bytes(first, "big") % len(_PARTS)]


def _labels(rated: list[Rated]) -> Tensor:
    """Return 1 for positive, 0 for negative, shape (sentences,)."""
    return torch.tensor([float(each.rating > 0) for each in rated], dtype=torch.float64)


def _embedded(encoder: Encoder, rated: list[Rated]) -> Tensor:
    """Return the embeddings (sentences, 384)."""
    texts = [each.text for each in rated]
    with torch.inference_mode():
        batches = [
            encoder.embeddings(**encoder.tokens(texts[begin : begin + _BATCH]))
            for begin in range(0, len(texts), _BATCH)
        ]
    return torch.cat(batches).double().clone()


def fit_head(embeddings: Tensor, labels: Tensor, penalty: float) -> tuple[Tensor, float]:
    """Return weights and bias of the logistic regression whose squared weights cost `penalty` each."""
    weight = torch.zeros(embeddings.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=500, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = functional.binary_cross_entropy_with_logits(embeddings @ weight + bias, labels)
        value = value + penalty * weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]  # PyTorch leaves some methods without types
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return weight.detach(), float(bias.detach())


def accuracy(embeddings: Tensor, labels: Tensor, weight: Tensor, bias: float) -> float:
    """Return the share of sentences that get their own label."""
    return float((((embeddings @ weight + bias) >= 0) == (labels > 0.5)).double().mean())


def _best(train: Tensor, train_labels: Tensor, choose: Tensor, choose_labels: Tensor) -> tuple[Tensor, float, float]:
    """Return the weights, the bias and the penalty whose fit loses least on sentences that it has not seen."""

    def lost(penalty: float) -> float:
        weight, bias = fit_head(train, train_labels, penalty)
        return float(functional.binary_cross_entropy_with_logits(choose @ weight + bias, choose_labels))

    penalty = min(_PENALTIES, key=lost)
    return *fit_head(train, train_labels, penalty), penalty


def _measured(encoder: Encoder, rated: list[Rated], weight: Tensor, bias: float) -> dict[str, float]:
    """Return how often the head is right, and how often it says it is."""
    embeddings, labels = _embedded(encoder, rated), _labels(rated)
    clear = torch.tensor([abs(each.rating) >= _CLEAR for each in rated])
    likely = torch.sigmoid(embeddings @ weight + bias)
    return {
        "sentences": len(rated),
        "positive_share": round(float(labels.mean()), 4),
        "accuracy": round(accuracy(embeddings, labels, weight, bias), 4),
        "mean_confidence": round(float(torch.maximum(likely, 1 - likely).mean()), 4),
        "clear_sentences": int(clear.sum()),
        "clear_accuracy": round(accuracy(embeddings[clear], labels[clear], weight, bias), 4),
    }


def _as_text(head: dict[str, object]) -> str:
    """Return JSON that reads well: the weights stand in one line."""
    rest = {key: value for key, value in head.items() if key != "weight"}
    return json.dumps(rest, indent=2)[:-2] + ',\n  "weight": ' + json.dumps(head["weight"]) + "\n}\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
