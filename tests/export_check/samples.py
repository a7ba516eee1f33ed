"""Scenarios whose exports the systems' own parsers read, and what these have to find there, worked out by hand."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["SAMPLES", "Sample"]


class Sample(NamedTuple):
    """One export; `expected` is by file, then by path: a number is a place in a list, the first one a document's."""

    to: str
    what: str
    sections: dict[str, Any]
    expected: dict[str, dict[str, Any]]


_BATCHING = {"max_batch": 8, "max_wait": "5ms"}
_AS_RAY = {**_BATCHING, "timer_origin": "collect", "freeze": "timer"}
_AS_TORCHSERVE = {**_BATCHING, "timer_origin": "collect", "collector": "exclusive"}
_LIMITS = {"error-rate": "result[0] <= 0.01", "latency-p99": "result[0] <= 0.5"}
_VERSIONS = [{"name": "v1"}, {"name": "v2", "role": "canary", "fleet": {"replicas": 2}}]
_HPA = "1.spec"
_METRIC = "1.spec.metrics"
_NOTES = "0.spec.template.metadata.annotations.autoscaling.knative.dev/"
_RAY = "0.applications.0.deployments.0"

SAMPLES = (
    Sample(
        "kubernetes",
        "requests in flight, `behavior` with tolerance",
        {
            "fleet": {
                "replicas": 2,
                "autoscaler": {
                    "formula": "ratio",
                    "target": 12.5,
                    "min_replicas": 2,
                    "max_replicas": 6,
                    "stabilisation_up": "30s",
                    "stabilisation_down": "90s",
                    "dead_band_up": 0.05,
                    "dead_band_down": 0.1,
                    "step_up_count": 3,
                    "step_up_count_period": "1min",
                    "step_up_percent": 50,
                    "step_up_percent_period": "30s",
                    "step_up_select": "least",
                    "step_down_select": "disabled",
                },
            }
        },
        {
            "kubernetes.yaml": {
                "0.spec.replicas": 2,
                f"{_HPA}.minReplicas": 2,
                f"{_HPA}.maxReplicas": 6,
                f"{_HPA}.metrics.0.pods.target.averageValue": "12500m",
                f"{_HPA}.behavior.scaleUp.stabilizationWindowSeconds": 30,
                f"{_HPA}.behavior.scaleUp.tolerance": "0.05",
                f"{_HPA}.behavior.scaleUp.selectPolicy": "Min",
                f"{_HPA}.behavior.scaleUp.policies": [
                    {"type": "Pods", "value": 3, "periodSeconds": 60},
                    {"type": "Percent", "value": 50, "periodSeconds": 30},
                ],
                f"{_HPA}.behavior.scaleDown.stabilizationWindowSeconds": 90,
                f"{_HPA}.behavior.scaleDown.selectPolicy": "Disabled",
            }
        },
    ),
    Sample(
        "kubernetes",
        "CPU, as an HPA without `behavior` has it",
        {"fleet": {"autoscaler": {"preset": "kubernetes_hpa", "max_replicas": 9}}},
        {
            "kubernetes.yaml": {
                "0.spec.template.spec.containers.0.resources.requests.cpu": "1",
                f"{_HPA}.metrics.0.resource.target.averageUtilization": 80,
                f"{_HPA}.maxReplicas": 9,
            }
        },
    ),
    Sample(
        "kubernetes",
        "the rate of all pods over a target",
        {"fleet": {"autoscaler": {"formula": "total", "signal": "rate", "target": 50, "max_replicas": 9}}},
        {"kubernetes.yaml": {f"{_HPA}.metrics.0.external.target.averageValue": "50"}},
    ),
    Sample(
        "keda",
        "to none and back, over a window",
        {
            "fleet": {
                "autoscaler": {
                    "preset": "keda",
                    "target": 5,
                    "max_replicas": 20,
                    "window": "1min",
                    "sample": "5s",
                    "activation_above": 2,
                    "stabilisation": "between",
                    "stabilisation_down": "2min",
                    "step_up_least": 0,
                }
            }
        },
        {
            "keda.yaml": {
                "1.spec.pollingInterval": 30,
                "1.spec.cooldownPeriod": 300,
                "1.spec.minReplicaCount": 0,
                "1.spec.maxReplicaCount": 20,
                "1.spec.triggers.0.metadata.query": "avg_over_time(sum(requests_in_flight)[60s:5s])",
                "1.spec.triggers.0.metadata.threshold": "5",
                "1.spec.triggers.0.metadata.activationThreshold": "2",
                "1.spec.advanced.horizontalPodAutoscalerConfig.behavior.scaleDown.stabilizationWindowSeconds": 120,
            }
        },
    ),
    Sample(
        "knative",
        "another window and other rates",
        {
            "queue": {"deadline": "3s"},
            "fleet": {
                "routing": {"outstanding_max": 16, "balance": "round_robin"},
                "autoscaler": {
                    "preset": "knative",
                    "target": 10,
                    "window": "90s",
                    "panic_window": "18s",
                    "panic_threshold": 1.5,
                    "max_replicas": 20,
                    "rate_up": 10,
                },
            },
        },
        {
            "knative.yaml": {
                f"{_NOTES}metric": "concurrency",
                f"{_NOTES}target": "10",
                f"{_NOTES}window": "90s",
                f"{_NOTES}panic-window-percentage": "20",
                f"{_NOTES}panic-threshold-percentage": "150",
                f"{_NOTES}max-scale": "20",
                "0.spec.template.spec.containerConcurrency": 16,
                "0.spec.template.spec.timeoutSeconds": 3,
                "1.data.max-scale-up-rate": "10",
            }
        },
    ),
    Sample(
        "knative",
        "two versions as revisions",
        {"name": "shop", "versions": [{"name": "v1"}, {"name": "v2", "weight": "10%"}]},
        {
            "knative-1-v1.yaml": {
                "0.spec.template.metadata.name": "shop-v1",
                "0.spec.traffic": [{"revisionName": "shop-v1", "percent": 100}],
            },
            "knative-2-v2.yaml": {
                "0.spec.template.metadata.name": "shop-v2",
                "0.spec.traffic.0.percent": 90,
                "0.spec.traffic.1.revisionName": "shop-v2",
                "0.spec.traffic.1.percent": 10,
            },
        },
    ),
    Sample(
        "argo-rollouts",
        "checks at each step, errors and p99",
        {
            "versions": _VERSIONS,
            "fleet": {"replicas": 7},
            "rollout": {
                "argo": {
                    "steps": [{"setWeight": 5}, {"analysis": {}}, {"setWeight": 50}, {"pause": {"duration": "10m"}}],
                    "analysis": {
                        "metrics": [
                            {"name": name, "successCondition": condition, "interval": "30s", "count": 3}
                            for name, condition in _LIMITS.items()
                        ]
                    },
                    "progressDeadlineSeconds": 300,
                    "progressDeadlineAbort": True,
                }
            },
        },
        {
            "argo-rollouts.yaml": {
                "0.spec.replicas": 7,
                "0.spec.progressDeadlineSeconds": 300,
                "0.spec.strategy.canary.steps.0.setCanaryScale.replicas": 2,
                "0.spec.strategy.canary.steps.1.setWeight": 5,
                "0.spec.strategy.canary.steps.4.pause.duration": "600s",
                "1.spec.metrics.0.successCondition": "result[0] <= 0.01",
                "1.spec.metrics.1.successCondition": "result[0] <= 0.5",
                "1.spec.metrics.1.count": 3,
            }
        },
    ),
    Sample(
        "argo-rollouts",
        "in the background, against the stable version, copies",
        {
            "versions": _VERSIONS,
            "rollout": {
                "steps": [
                    {"weight": "0%", "copies": "20%", "pause": "1min", "analysis": True},
                    {"weight": "20%", "pause": "5min", "analysis": True},
                ],
                "analysis": {
                    "limits": [
                        {"metric": "failed", "against": "stable_ratio", "pass_most": 1.5},
                        {"metric": "failed", "against": "stable_difference", "pass_most": "1%", "fail_over": "2%"},
                        {"metric": "slow", "pass_most": "5%"},
                    ],
                    "interval": "20s",
                    "count": 0,
                    "samples_min": 50,
                    "no_data": "pass",
                },
                "slow_over": "250ms",
            },
        },
        {
            "argo-rollouts.yaml": {
                "0.spec.strategy.canary.analysis.startingStep": 3,
                "0.spec.strategy.canary.steps.1.setMirrorRoute.percentage": 20,
                "1.spec.metrics.0.successCondition": "result[0] <= 1.5",
                "1.spec.metrics.1.failureCondition": "result[0] > 0.02",
                "1.spec.metrics.2.name": "latency-p95",
            }
        },
    ),
    Sample(
        "ray-serve",
        "an autoscaler, to none and back",
        {
            "batching": _AS_RAY,
            "queue": {"deadline": "1500ms"},
            "fleet": {
                "routing": {"balance": "power_of_two", "outstanding_max": 16, "held_max": 100},
                "autoscaler": {
                    "preset": "ray_serve",
                    "target": 6.5,
                    "min_replicas": 0,
                    "max_replicas": 12,
                    "gain_up": 0.5,
                    "delay_up": "2500ms",
                    "window": "20s",
                    "sample": "4s",
                },
            },
        },
        {
            "serve_config.yaml": {
                "0.http_options.request_timeout_s": 1.5,
                f"{_RAY}.max_ongoing_requests": 16,
                f"{_RAY}.max_queued_requests": 100,
                f"{_RAY}.user_config": {"max_batch_size": 8, "batch_wait_timeout_s": 0.005},
                f"{_RAY}.autoscaling_config.min_replicas": 0,
                f"{_RAY}.autoscaling_config.max_replicas": 12,
                f"{_RAY}.autoscaling_config.target_ongoing_requests": 6.5,
                f"{_RAY}.autoscaling_config.upscaling_factor": 0.5,
                f"{_RAY}.autoscaling_config.upscale_delay_s": 2.5,
                f"{_RAY}.autoscaling_config.downscale_delay_s": 600.0,
                f"{_RAY}.autoscaling_config.downscale_to_zero_delay_s": 600.0,
                f"{_RAY}.autoscaling_config.look_back_period_s": 20.0,
            }
        },
    ),
    Sample(
        "ray-serve",
        "a fixed fleet without limits",
        {"batching": _AS_RAY, "fleet": {"replicas": 3}},
        {
            "serve_config.yaml": {
                f"{_RAY}.num_replicas": 3,
                f"{_RAY}.max_ongoing_requests": 1_000_000,
                f"{_RAY}.max_queued_requests": -1,
            }
        },
    ),
    Sample(
        "triton",
        "preferred sizes, queue policy, one GPU",
        {
            "model": {"pass_time": {"base": "8ms"}, "device": "cuda:1"},
            "batching": {**_BATCHING, "preferred_sizes": [4]},
            "queue": {"cap": 64, "deadline": "2s"},
            "fleet": {"instances": 2},
        },
        {
            "config.pbtxt": {
                "max_batch_size": 8,
                "dynamic_batching.preferred_batch_size": [4],
                "dynamic_batching.max_queue_delay_microseconds": 5000,
                "dynamic_batching.default_queue_policy.timeout_action": "REJECT",
                "dynamic_batching.default_queue_policy.default_timeout_microseconds": 2_000_000,
                "dynamic_batching.default_queue_policy.max_queue_size": 64,
                "instance_group.0.count": 2,
                "instance_group.0.kind": "KIND_GPU",
                "instance_group.0.gpus": [1],
            }
        },
    ),
    Sample(
        "triton",
        "no wait and no limits",
        {"batching": {"max_batch": 32}},
        {"config.pbtxt": {"max_batch_size": 32, "dynamic_batching.max_queue_delay_microseconds": 0}},
    ),
    Sample(
        "torchserve",
        "a queue and two workers",
        {"batching": _AS_TORCHSERVE, "queue": {"cap": 64}, "fleet": {"instances": 2}},
        {
            "model-config.yaml": {"batchSize": 8, "maxBatchDelay": 5, "minWorkers": 2, "maxWorkers": 2},
            "config.properties": {"job_queue_size": "64"},
        },
    ),
    Sample(
        "tf-serving",
        "padded sizes and inputs",
        {
            "model": {"pass_time": {"base": "8ms", "per_unit": "0.1ms", "padded_sizes": [2, 4, 8]}},
            "queue": {"cap": 64},
            "fleet": {"instances": 2},
        },
        {
            "batching_parameters.txt": {
                "max_batch_size.value": 8,
                "batch_timeout_micros.value": 5000,
                "max_enqueued_batches.value": 8,
                "num_batch_threads.value": 2,
                "allowed_batch_sizes": [2, 4, 8],
                "pad_variable_length_inputs": True,
            }
        },
    ),
)
