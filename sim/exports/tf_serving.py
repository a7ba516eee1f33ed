"""TensorFlow Serving: the file of --batching_parameters_file.

Batches are closed by the age of their first request, and grow until a thread takes them. What may wait is counted in
batches.
"""

from __future__ import annotations

from typing import Any, Final

from sim.exports.names import Names
from sim.exports.servers import NO_LIMIT, refuse_other_batching, stable_version
from sim.exports.telling import Draft, Telling
from sim.exports.texts import text_proto
from sim.scenario.costs import costs_of
from sim.scenario.spec import Scenario

__all__ = ["RULE", "write"]

RULE: Final = {
    "batching.timer_origin": "enqueue",
    "batching.freeze": "pull",
    "batching.collector": "dispatcher",
}
"""How TensorFlow Serving closes a batch, in the words of a scenario."""

_US: Final = 1_000


def write(scenario: Scenario, names: Names) -> Draft:
    """Return batching_parameters.txt. Raises DoesNotFit for another rule of batching than TensorFlow Serving's."""
    alone, stated = stable_version(scenario)
    telling = Telling("TensorFlow Serving", stated)
    refuse_other_batching(telling, stated, "TensorFlow Serving", RULE)
    telling.say("batching.max_batch", "fleet.instances")
    wait_us = telling.whole("batching.max_wait", alone.batching.max_wait, "us", _US, min(alone.batching.max_wait, 1))
    parameters = {
        "max_batch_size": {"value": alone.batching.max_batch},
        "batch_timeout_micros": {"value": wait_us},
        "max_enqueued_batches": {"value": _batches(alone, telling)},
        "num_batch_threads": {"value": alone.fleet.instances},
        **_padding(alone, telling),
    }
    telling.remark("num_batch_threads is one pool for all models of a server: give it one model.")
    telling.note("TensorFlow Serving gives up no request that waits", "queue.deadline")
    return telling.draft({"batching_parameters.txt": text_proto(parameters)})


def _batches(alone: Scenario, telling: Telling) -> int:
    """Return how many batches may wait: as many as hold no more requests than the cap, one at the least."""
    cap, most = alone.queue.cap, alone.batching.max_batch
    if cap is None:
        return NO_LIMIT
    batches = max(cap // most, 1)
    telling.say("queue.cap")
    if batches * most != cap:
        telling.remark(
            f"queue.cap is {cap}: {batches} batches, which hold {batches * most}, for they are what is counted."
        )
    return batches


def _padding(alone: Scenario, telling: Telling) -> dict[str, Any]:
    """Return the sizes that batches are padded to, and whether the inputs of one are padded to its longest."""
    told: dict[str, Any] = {}
    padded, most = costs_of(alone).padded_sizes, alone.batching.max_batch
    if padded:
        told["allowed_batch_sizes"] = [size for size in padded if size < most] + [most]
        if most in padded:
            telling.say("model.pass_time.padded_sizes")
        telling.note(
            f"the largest that TensorFlow Serving pads to is max_batch ({most})", "model.pass_time.padded_sizes"
        )
    if costs_of(alone).per_unit_ns > 0:
        told["pad_variable_length_inputs"] = True
    return told
