"""TensorFlow Serving: its batching parameters read back have the values of the scenario."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.settings import batching_rule
from sim.errors import RefusedToAnswer
from sim.exports.export import export
from sim.exports.tf_serving import RULE
from sim.scenario.rules import serving_rules
from sim.scenario.spec import Scenario
from tests.parity.test_conformance_vector import ROWS
from tests.sim.exports.reading import text_fields
from tests.sim.scenario.example import scenario


def parameters_of(given_scenario: Scenario) -> dict[str, Any]:
    """Return the parameters, those that are wrapped by their value."""
    fields = text_fields(export(given_scenario, "tf-serving").files["batching_parameters.txt"])
    return {name: values[0]["value"][0] if isinstance(values[0], dict) else values for name, values in fields.items()}


@settings(max_examples=60)
@given(
    max_batch=st.integers(1, 64),
    wait_us=st.integers(0, 10**6),
    batches=st.none() | st.integers(1, 100),
    instances=st.integers(1, 4),
)
def test_parameters_read_back_are_the_same_rule(
    max_batch: int, wait_us: int, batches: int | None, instances: int
) -> None:
    """Scenario -> parameters -> TensorFlow Serving's rule of batching with these words; the cap counts batches."""
    cap = "none" if batches is None else str(batches * max_batch)
    given_scenario = scenario(
        f"batching={{max_batch: {max_batch}, max_wait: {wait_us}us}}",
        f"queue.cap={cap}",
        f"fleet.instances={instances}",
    )
    told = parameters_of(given_scenario)
    assert serving_rules(given_scenario).batching == batching_rule(
        max_batch=told["max_batch_size"],
        max_wait_ns=told["batch_timeout_micros"] * 1000,
        instances=told["num_batch_threads"],
        timer_origin="enqueue",
        freeze="pull",
        collector="dispatcher",
    )
    assert told["max_enqueued_batches"] == (batches or 1_000_000)


def test_rule_of_batching_is_what_was_seen_of_tensorflow() -> None:
    """The conformance vector has the row of its SharedBatchScheduler."""
    (seen,) = [options for server, options, _ in ROWS if server == "TF Serving"]
    assert seen.items() <= {key.partition(".")[2]: value for key, value in RULE.items()}.items()


@pytest.mark.parametrize(
    ("cap", "batches", "told"),
    [
        (64, 8, None),
        (61, 7, "queue.cap is 61: 7 batches, which hold 56, for they are what is counted."),
        (3, 1, "queue.cap is 3: 1 batches, which hold 8, for they are what is counted."),
    ],
)
def test_cap_is_rounded_down_to_batches(cap: int, batches: int, told: str | None) -> None:
    """One batch is the least that it can be, and what was rounded is told."""
    given_scenario = scenario(f"queue.cap={cap}")
    assert parameters_of(given_scenario)["max_enqueued_batches"] == batches
    assert [note for note in export(given_scenario, "tf-serving").notes if note.startswith("queue.cap")] == (
        [] if told is None else [told]
    )


@pytest.mark.parametrize(
    ("padded", "allowed", "told"),
    [("[2, 4, 8]", [2, 4, 8], False), ("[2, 4, 16]", [2, 4, 8], True), ("[]", None, False)],
)
def test_padded_sizes_end_with_the_largest_batch(padded: str, allowed: list[int] | None, told: bool) -> None:
    """So TensorFlow Serving wants it; a batch that the scenario pads further is told."""
    given_scenario = scenario(f"model.pass_time.padded_sizes={padded}")
    assert parameters_of(given_scenario).get("allowed_batch_sizes") == allowed
    assert any("padded_sizes" in note for note in export(given_scenario, "tf-serving").notes) == told


def test_inputs_are_padded_where_the_longest_sets_the_time() -> None:
    """That is what per_unit says of a model."""
    assert "pad_variable_length_inputs" not in parameters_of(scenario())
    assert parameters_of(scenario("model.pass_time.per_unit=0.1ms"))["pad_variable_length_inputs"] == ["true"]


def test_deadline_and_preferred_sizes() -> None:
    """It gives up nobody, which is told; it closes no batch at a preferred size, which would be another rule."""
    notes = export(scenario("queue.deadline=2s"), "tf-serving").notes
    assert "queue.deadline is 2s: TensorFlow Serving gives up no request that waits." in notes
    with pytest.raises(RefusedToAnswer, match=r"preferred_sizes is \[4\], .*: --to triton can say it; --set 'batch"):
        export(scenario("batching.preferred_sizes=[4]"), "tf-serving")
