"""Which format suits a scenario best."""

from __future__ import annotations

from typing import Any

import pytest

from sim.exports.export import best_fit
from sim.scenario.load import load_scenario
from tests.sim.scenario.example import content, scenario

VERSIONS = [{"name": "v1"}, {"name": "v2", "role": "canary", "fleet": {}}]
AS_RAY = {"max_batch": 8, "max_wait": "5ms", "timer_origin": "collect", "freeze": "timer"}
HPA = {"formula": "ratio", "target": 5, "max_replicas": 9}


def with_fleet(autoscaler: dict[str, Any], **others: Any) -> dict[str, Any]:
    """Return a scenario's sections with that autoscaler."""
    return {"fleet": {"autoscaler": autoscaler}, **others}


@pytest.mark.parametrize(
    ("sections", "best"),
    [
        ({}, "kubernetes"),
        ({"fleet": {"replicas": 3}, "batching": AS_RAY}, "kubernetes"),
        ({"versions": [{"name": "v1"}, {"name": "v2", "weight": "10%"}]}, "kubernetes"),
        (with_fleet(HPA), "kubernetes"),
        (with_fleet({"target": 5, "max_replicas": 9}), "kubernetes"),
        (with_fleet({"target": 5, "min_replicas": 0, "max_replicas": 9}), "keda"),
        (with_fleet({"target": 5, "max_replicas": 9, "window": "1min"}), "keda"),
        (with_fleet({"preset": "kubernetes_hpa", "max_replicas": 9}), "kubernetes"),
        (with_fleet({"preset": "keda", "target": 5}), "keda"),
        (with_fleet({"preset": "keda", "target": 5, "min_replicas": 1}), "keda"),
        (with_fleet({"preset": "knative"}), "knative"),
        (with_fleet({"preset": "ray_serve"}, batching=AS_RAY), "ray-serve"),
        ({"versions": VERSIONS, "rollout": {"steps": [{"weight": "5%", "pause": "1min"}]}}, "argo-rollouts"),
    ],
)
def test_autoscaler_and_rollout_choose_the_format(sections: dict[str, Any], best: str) -> None:
    """Kubernetes where it says as much as any other; not it where it refuses, or leaves the way to none out."""
    fit = best_fit(load_scenario({**content(), **sections}))
    assert fit.format.name == best
    assert fit.exported is not None


@pytest.mark.parametrize(
    ("sections", "nearest", "why"),
    [
        (with_fleet({"preset": "ray_serve"}), "ray-serve", "batching.timer_origin is enqueue, and @serve.batch has "),
        (
            with_fleet({"preset": "target_tracking", "target": 5, "max_replicas": 9}),
            "kubernetes",
            "fleet.autoscaler.not_ready is alike, and an HPA takes starting pods for idle ones: --set ",
        ),
        (with_fleet({"preset": "knative", "window": "5s", "panic_window": "1s"}), "knative", "fleet.autoscaler.window"),
    ],
)
def test_where_none_fits_the_nearest_says_why(sections: dict[str, Any], nearest: str, why: str) -> None:
    """The preset's own, or Kubernetes."""
    fit = best_fit(load_scenario({**content(), **sections}))
    assert (fit.format.name, fit.exported) == (nearest, None)
    assert fit.refusal.startswith(why)


def test_server_alone_is_no_answer_for_a_fleet() -> None:
    """Triton takes any autoscaler, and says nothing of it."""
    assert best_fit(scenario("fleet.replicas=3")).format.runs_fleets
