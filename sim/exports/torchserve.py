"""TorchServe: model-config.yaml of the model archive, and config.properties of the server.

An idle worker takes the first request and waits from then on for more, one worker at a time.
"""

from __future__ import annotations

from typing import Final

from sim.exports.names import Names
from sim.exports.servers import NO_LIMIT, refuse_other_batching, stable_version
from sim.exports.telling import Draft, Telling
from sim.exports.texts import yaml_text
from sim.scenario.spec import Scenario

__all__ = ["RULE", "write"]

RULE: Final = {
    "batching.timer_origin": "collect",
    "batching.freeze": "pull",
    "batching.collector": "exclusive",
}
"""How TorchServe closes a batch, in the words of a scenario."""

_MS: Final = 1_000_000
_RESPONSE_TIMEOUT_S: Final = 120


def write(scenario: Scenario, names: Names) -> Draft:
    """Return model-config.yaml and config.properties. Raises DoesNotFit for another rule of batching."""
    alone, stated = stable_version(scenario)
    telling = Telling("TorchServe", stated)
    refuse_other_batching(telling, stated, "TorchServe", RULE)
    telling.say("batching.max_batch", "fleet.instances", "queue.cap")
    wait_ms = telling.whole("batching.max_wait", alone.batching.max_wait, "ms", _MS, min(alone.batching.max_wait, 1))
    model = {
        "minWorkers": alone.fleet.instances,
        "maxWorkers": alone.fleet.instances,
        "batchSize": alone.batching.max_batch,
        "maxBatchDelay": wait_ms,
        "responseTimeout": _RESPONSE_TIMEOUT_S,
    }
    cap = alone.queue.cap or NO_LIMIT
    telling.remark(
        f"responseTimeout is TorchServe's own {_RESPONSE_TIMEOUT_S} s, after which a worker is taken for dead: no pass "
        "may take as long."
    )
    if cap < alone.batching.max_batch:
        telling.remark("job_queue_size counts no request that a worker has taken to fill its batch; queue.cap does.")
    telling.note("TorchServe answers no request that it gives up", "queue.deadline")
    telling.note("TorchServe pads nothing: the handler has to", "model.pass_time.padded_sizes")
    return telling.draft({"model-config.yaml": yaml_text(model), "config.properties": f"job_queue_size={cap}\n"})
