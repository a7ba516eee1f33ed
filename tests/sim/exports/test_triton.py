"""Triton: config.pbtxt read back has the values of the scenario."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.settings import batching_rule
from sim.errors import RefusedToAnswer
from sim.exports.export import export
from sim.exports.names import Names
from sim.exports.triton import RULE
from sim.scenario.rules import serving_rules
from sim.scenario.spec import Scenario
from tests.parity.test_conformance_vector import ROWS
from tests.sim.exports.reading import text_fields
from tests.sim.scenario.example import scenario


def config_of(given_scenario: Scenario, names: Names | None = None) -> dict[str, Any]:
    """Return the fields of the file."""
    return text_fields(export(given_scenario, "triton", names).files["config.pbtxt"])


@settings(max_examples=60)
@given(
    max_batch=st.integers(2, 64),
    wait_us=st.integers(1, 10**6),
    preferred=st.sets(st.integers(1, 64), max_size=4),
    cap=st.none() | st.integers(1, 1000),
    deadline_us=st.none() | st.integers(1, 10**7),
    instances=st.integers(1, 4),
)
def test_config_read_back_is_the_same_rule(
    max_batch: int, wait_us: int, preferred: set[int], cap: int | None, deadline_us: int | None, instances: int
) -> None:
    """Scenario -> config.pbtxt -> Triton's rule of batching with these words, the cap and the deadline of its queue."""
    sizes = sorted(size for size in preferred if size <= max_batch)
    given_scenario = scenario(
        f"batching={{max_batch: {max_batch}, max_wait: {wait_us}us, preferred_sizes: {sizes}}}",
        f"queue.cap={cap or 'none'}",
        f"queue.deadline={f'{deadline_us}us' if deadline_us else 'none'}",
        f"fleet.instances={instances}",
    )
    config = config_of(given_scenario)
    (batcher,), (group,) = config["dynamic_batching"], config["instance_group"]
    assert serving_rules(given_scenario).batching == batching_rule(
        max_batch=config["max_batch_size"][0],
        max_wait_ns=batcher["max_queue_delay_microseconds"][0] * 1000,
        preferred_sizes=batcher.get("preferred_batch_size", []),
        instances=group["count"][0],
        timer_origin="enqueue",
        freeze="pull",
        collector="dispatcher",
    )
    (policy,) = batcher.get("default_queue_policy", [{}])
    assert policy.get("max_queue_size") == (None if cap is None else [cap])
    assert policy.get("default_timeout_microseconds") == (None if deadline_us is None else [deadline_us])
    assert ("timeout_action" in policy) == (deadline_us is not None)


def test_rule_of_batching_is_what_follows_from_tritons_source() -> None:
    """The conformance vector has its row; preferred sizes are a setting of its own."""
    (seen,) = [options for server, options, _ in ROWS if server == "Triton"]
    told = {key.partition(".")[2]: value for key, value in RULE.items()}
    assert {key: value for key, value in seen.items() if key != "preferred_sizes"}.items() <= told.items()


@pytest.mark.parametrize(
    ("device", "group"),
    [
        ("auto", {"count": [2]}),
        ("cpu", {"count": [2], "kind": ["KIND_CPU"]}),
        ("cuda", {"count": [2], "kind": ["KIND_GPU"]}),
        ("cuda:1", {"count": [2], "kind": ["KIND_GPU"], "gpus": [1]}),
    ],
)
def test_instances_run_where_the_model_does(device: str, group: dict[str, Any]) -> None:
    """One GPU by its number; else a count is that of every GPU there, which is told."""
    given_scenario = scenario(f"model.device={device}", "fleet.instances=2")
    assert config_of(given_scenario)["instance_group"] == [group]
    told = any("each GPU" in note for note in export(given_scenario, "triton").notes)
    assert told == (device in ("auto", "cuda"))


def test_preferred_sizes_mean_nothing_without_a_wait() -> None:
    """A batch is then closed at once whatever its size, and Triton would still stop at a preferred one."""
    (batcher,) = config_of(scenario("batching.max_wait=0s", "batching.preferred_sizes=[4]"))["dynamic_batching"]
    assert batcher == {}


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("batching.max_wait=1234567ns", "batching.max_wait is 1.234567ms: rounded to 1235 us."),
        ("batching.max_wait=1ns", "batching.max_wait is 1ns: rounded to 1 us."),
        ("queue.deadline=2s", "Triton gives up (503) only those that still wait after 2000000 us"),
        ("model.pass_time.padded_sizes=[4, 8]", "model.pass_time.padded_sizes is [4, 8]: Triton pads nothing"),
        (
            "fleet.replicas=2",
            "fleet.replicas (2): triton has no word for that; --to kubernetes, knative or ray-serve has.",
        ),
        (
            "model.device=xpu",
            "model.device (xpu): triton has no word for that, nor has any other format that fits.",
        ),
        (
            "front_end.workers=2",
            "front_end.workers (2): triton has no word for that, nor has any other format that fits.",
        ),
    ],
)
def test_what_triton_does_otherwise_is_told(override: str, told: str) -> None:
    """One sentence for each."""
    assert told in " ".join(export(scenario(override), "triton").notes)


@pytest.mark.parametrize(
    ("override", "refused"),
    [
        ("batching.freeze=timer", "batching.freeze is timer, and Triton has pull there"),
        ("batching={max_batch: 8, max_wait: 5ms, collector: competing}", "batching.collector is competing, and Triton"),
        ("batching.slots=2", "batching.slots is 2, and Triton has one for each instance: .*--set batching.slots=null"),
        ("batching.slots=unlimited", "batching.slots is unlimited, and Triton has one for each instance"),
    ],
)
def test_other_rules_of_batching_are_refused(override: str, refused: str) -> None:
    """Key, value, and what to set to forecast what Triton does."""
    with pytest.raises(RefusedToAnswer, match=refused):
        export(scenario(override), "triton")


def test_from_when_a_wait_counts_means_nothing_without_one() -> None:
    """Nor does any rule with batches of one request: then every server is the same."""
    assert config_of(scenario("batching.max_wait=0s", "batching.timer_origin=collect"))["max_batch_size"] == [8]
    alone = "batching={max_batch: 1, max_wait: 5ms, timer_origin: window, freeze: timer}"
    assert config_of(scenario(alone), Names(name="shop"))["name"] == ['"shop"']
