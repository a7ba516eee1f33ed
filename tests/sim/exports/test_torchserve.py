"""TorchServe: its two files read back have the values of the scenario."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.settings import batching_rule
from sim.errors import RefusedToAnswer
from sim.exports.export import export
from sim.exports.torchserve import RULE
from sim.scenario.rules import serving_rules
from sim.scenario.spec import Scenario
from tests.parity.test_conformance_vector import ROWS
from tests.sim.scenario.example import scenario

AS_TORCHSERVE = ("batching.timer_origin=collect", "batching.collector=exclusive")


def files_of(given_scenario: Scenario) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the model's settings and the server's properties."""
    files = export(given_scenario, "torchserve").files
    lines = [line for line in files["config.properties"].splitlines() if not line.startswith("#")]
    return yaml.safe_load(files["model-config.yaml"]), dict(line.split("=") for line in lines)


@settings(max_examples=60)
@given(
    max_batch=st.integers(1, 64),
    wait_ms=st.integers(0, 1000),
    cap=st.none() | st.integers(1, 1000),
    instances=st.integers(1, 4),
)
def test_files_read_back_are_the_same_rule(max_batch: int, wait_ms: int, cap: int | None, instances: int) -> None:
    """Scenario -> model-config.yaml -> TorchServe's rule of batching with these words; the cap is a property."""
    given_scenario = scenario(
        f"batching.max_batch={max_batch}",
        f"batching.max_wait={wait_ms}ms",
        *AS_TORCHSERVE,
        f"queue.cap={cap or 'none'}",
        f"fleet.instances={instances}",
    )
    model, properties = files_of(given_scenario)
    assert model["minWorkers"] == model["maxWorkers"]
    assert serving_rules(given_scenario).batching == batching_rule(
        max_batch=model["batchSize"],
        max_wait_ns=model["maxBatchDelay"] * 10**6,
        instances=model["minWorkers"],
        timer_origin="collect",
        freeze="pull",
        collector="exclusive",
    )
    assert properties == {"job_queue_size": str(cap or 1_000_000)}


def test_rule_of_batching_is_what_follows_from_torchserves_source() -> None:
    """The conformance vector has its row."""
    (seen,) = [options for server, options, _ in ROWS if server == "TorchServe"]
    assert seen.items() <= {key.partition(".")[2]: value for key, value in RULE.items()}.items()


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("batching.max_wait=1500us", "batching.max_wait is 1.5ms: rounded to 2 ms."),
        ("batching.max_wait=300us", "batching.max_wait is 0.3ms: rounded to 1 ms."),
        ("queue.cap=3", "job_queue_size counts no request that a worker has taken"),
        ("queue.deadline=2s", "queue.deadline is 2s: "),
        ("batching.max_batch=4", "responseTimeout is TorchServe's own 120 s"),
    ],
)
def test_what_torchserve_does_otherwise_is_told(override: str, told: str) -> None:
    """Above the first file; the second one points there."""
    exported = export(scenario(*AS_TORCHSERVE, override), "torchserve")
    assert told in " ".join(exported.notes)
    assert "# What is to be known of it stands in model-config.yaml.\n" in exported.files["config.properties"]


def test_default_batching_is_refused_with_the_settings_that_torchserve_has() -> None:
    """It counts a wait from the first take of an idle worker."""
    with pytest.raises(RefusedToAnswer) as refusal:
        export(scenario(), "torchserve")
    assert str(refusal.value) == (
        "batching.timer_origin is enqueue, and TorchServe has collect there: --to triton or tf-serving can say it; "
        "--set batching.timer_origin=collect --set batching.collector=exclusive is what TorchServe takes."
    )
