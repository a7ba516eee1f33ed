"""The formats by name: what each is, and the module that writes it. Importing the table imports none of them."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["FORMATS", "Format"]


class Format(NamedTuple):
    """One format; `module` holds write(scenario, names) -> Draft."""

    name: str
    module: str
    summary: str
    takes: tuple[str, ...]  # which of sim.exports.names.Names its files hold


_ON_KUBERNETES = ("name", "image")

FORMATS: Final = (
    Format(
        "kubernetes",
        "sim.exports.kubernetes",
        "Deployment, HorizontalPodAutoscaler",
        (*_ON_KUBERNETES, "metric_name"),
    ),
    Format("keda", "sim.exports.keda", "Deployment, ScaledObject", (*_ON_KUBERNETES, "metric_name", "prometheus")),
    Format("argo-rollouts", "sim.exports.argo_rollouts", "Rollout, AnalysisTemplate", (*_ON_KUBERNETES, "prometheus")),
    Format("knative", "sim.exports.knative", "Service with its KPA", _ON_KUBERNETES),
    Format("ray-serve", "sim.exports.ray_serve", "config of serve deploy", ("name", "import_path")),
    Format("triton", "sim.exports.triton", "config.pbtxt", ("name",)),
    Format("torchserve", "sim.exports.torchserve", "model-config.yaml, config.properties", ()),
    Format("tf-serving", "sim.exports.tf_serving", "batching parameters", ()),
)
