"""The formats by name: what each is, and the module that writes it. Importing the table imports none of them."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Final, NamedTuple

__all__ = ["FORMATS", "Format", "close_format"]


class Format(NamedTuple):
    """One format; `module` holds write(scenario, names) -> Draft."""

    name: str
    system: str  # what it is called
    module: str
    summary: str
    takes: tuple[str, ...]  # which of sim.exports.names.Names its files hold
    runs_fleets: bool = True  # not only one server


_ON_KUBERNETES = ("name", "image")

FORMATS: Final = (
    Format(
        "kubernetes",
        "Kubernetes",
        "sim.exports.kubernetes",
        "Deployment, HorizontalPodAutoscaler",
        (*_ON_KUBERNETES, "metric_name"),
    ),
    Format(
        "keda", "KEDA", "sim.exports.keda", "Deployment, ScaledObject", (*_ON_KUBERNETES, "metric_name", "prometheus")
    ),
    Format(
        "argo-rollouts",
        "Argo Rollouts",
        "sim.exports.argo_rollouts",
        "Rollout, AnalysisTemplate",
        (*_ON_KUBERNETES, "prometheus"),
    ),
    Format("knative", "Knative", "sim.exports.knative", "Service with its KPA", _ON_KUBERNETES),
    Format("ray-serve", "Ray Serve", "sim.exports.ray_serve", "config of serve deploy", ("name", "import_path")),
    Format("triton", "Triton", "sim.exports.triton", "config.pbtxt", ("name",), runs_fleets=False),
    Format(
        "torchserve",
        "TorchServe",
        "sim.exports.torchserve",
        "model-config.yaml, config.properties",
        (),
        runs_fleets=False,
    ),
    Format("tf-serving", "TensorFlow Serving", "sim.exports.tf_serving", "batching parameters", (), runs_fleets=False),
)

_ALSO_CALLED: Final = {
    "k8s": "kubernetes",
    "kube": "kubernetes",
    "deployment": "kubernetes",
    "hpa": "kubernetes",
    "scaledobject": "keda",
    "argo": "argo-rollouts",
    "rollout": "argo-rollouts",
    "kpa": "knative",
    "kserve": "knative",
    "ray": "ray-serve",
    "tritonserver": "triton",
    "nvidia": "triton",
    "torch": "torchserve",
    "pytorch": "torchserve",
    "tensorflow": "tf-serving",
    "tensorflow-serving": "tf-serving",
    "tfserving": "tf-serving",
}
"""What people call the formats, in lower case."""


def close_format(text: str) -> str | None:
    """Return the format that was probably meant by a name that is none; None where there is no guess."""
    word = text.strip().lower().replace("_", "-")
    if word in _ALSO_CALLED:
        return _ALSO_CALLED[word]
    close = get_close_matches(word, [*(one.name for one in FORMATS), *_ALSO_CALLED], n=1)
    return _ALSO_CALLED.get(close[0], close[0]) if close else None
