"""Triton Inference Server: config.pbtxt of the model, with its dynamic batcher, queue and instances.

Batches are closed by the age of the oldest request, and grow until an instance takes them. The queue is the model's:
all instances of a server share it, as those of a replica do.
"""

from __future__ import annotations

from typing import Any, Final

from sim.exports.names import Names
from sim.exports.servers import refuse_other_batching, stable_version
from sim.exports.telling import Draft, Telling
from sim.exports.texts import Word, text_proto
from sim.scenario.spec import Scenario

__all__ = ["RULE", "write"]

RULE: Final = {
    "batching.timer_origin": "enqueue",
    "batching.freeze": "pull",
    "batching.collector": "dispatcher",
}
"""How Triton closes a batch, in the words of a scenario; sizes at which it does so before are settings of its own."""

_US: Final = 1_000


def write(scenario: Scenario, names: Names) -> Draft:
    """Return config.pbtxt. Raises DoesNotFit for another rule of batching than Triton's, ScenarioError for a name."""
    alone, stated = stable_version(scenario)
    telling = Telling("Triton", stated)
    refuse_other_batching(
        telling, {key: value for key, value in stated.items() if "preferred" not in key}, "Triton", RULE
    )
    telling.say("batching.max_batch")
    name = names.of(scenario)
    if name != scenario.name:
        telling.remark(f"The folder of the model must be called {name}, as `name` says.")
    config = {
        "name": name,
        "max_batch_size": alone.batching.max_batch,
        "dynamic_batching": _dynamic_batching(alone, telling),
        "instance_group": _instance_group(alone, telling),
    }
    telling.remark("backend, input and output are the model's own: add them, or let Triton find them out.")
    telling.note("Triton pads nothing: the model has to", "model.pass_time.padded_sizes")
    return telling.draft({"config.pbtxt": text_proto(config)})


def _dynamic_batching(alone: Scenario, telling: Telling) -> dict[str, Any]:
    """Return when batches are closed, and who may wait."""
    told: dict[str, Any] = {}
    if telling.has("batching.preferred_sizes"):
        told["preferred_batch_size"] = list(alone.batching.preferred_sizes)
        telling.say("batching.preferred_sizes")
    if alone.batching.max_wait > 0:
        wait_us = telling.whole("batching.max_wait", alone.batching.max_wait, "us", _US, 1)
        told["max_queue_delay_microseconds"] = wait_us
    telling.say("batching.max_wait")  # none is Triton's default
    policy: dict[str, Any] = {}
    if alone.queue.deadline is not None:
        timeout_us = telling.whole("queue.deadline", alone.queue.deadline, "us", _US, 1)
        policy |= {"timeout_action": Word("REJECT"), "default_timeout_microseconds": timeout_us}
        telling.remark(
            f"Triton gives up (503) only those that still wait after {timeout_us} us; the deadline of a scenario ends "
            "those in a pass too (504)."
        )
    if alone.queue.cap is not None:
        policy["max_queue_size"] = alone.queue.cap
        telling.say("queue.cap")
    return {**told, "default_queue_policy": policy} if policy else told


def _instance_group(alone: Scenario, telling: Telling) -> dict[str, Any]:
    """Return the instances, and where they run."""
    telling.say("fleet.instances")
    kind, _, index = alone.model.device.partition(":")
    group: dict[str, Any] = {"count": alone.fleet.instances}
    if kind in ("cpu", "cuda"):
        telling.say("model.device")
        group["kind"] = Word("KIND_CPU" if kind == "cpu" else "KIND_GPU")
    if kind == "cuda" and index:
        group["gpus"] = [int(index)]
    elif kind != "cpu":
        telling.remark("`count` is that of each GPU which the server sees: show it one for each replica.")
    return group
