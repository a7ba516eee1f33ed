"""The kinds of values: read, checked, described, and in agreement with policy/settings.py about ranges."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import TypeAdapter, ValidationError

from policy.batching import Collector, Freeze, TimerOrigin
from policy.errors import SettingError
from sim.scenario.fields import (
    Duration,
    Kind,
    Number,
    OrNone,
    PolicyTime,
    PositiveDuration,
    PositiveRate,
    Rate,
    Section,
    Share,
    Weight,
    count_up_to,
    name_of,
    ratio,
    written,
)
from tests.sim.scenario.example import scenario


def read(kind: Any, value: object) -> Any:
    """Read a value as a field of that kind does."""
    return TypeAdapter(kind).validate_python(value)


@pytest.mark.parametrize(
    ("kind", "value", "result"),
    [
        (Duration, "0s", 0),
        (Duration, "31d", 31 * 86_400 * 10**9),
        (PositiveDuration, "1ns", 1),
        (PolicyTime, "-5ms", -5_000_000),
        (Rate, "0/s", 0.0),
        (PositiveRate, "10000000/s", 1e7),
        (Share, "100%", 1.0),
        (Number, 0.1, 0.1),
        (Weight, 0, 0),
        (Annotated[float, ratio(1, 20)], "100%", 1.0),
        (Annotated[int | None, OrNone], "none", None),
    ],
)
def test_values_at_the_ends_of_a_range_are_read(kind: Any, value: object, result: object) -> None:
    """Ends belong to the range unless it says "above"."""
    assert read(kind, value) == result


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Duration, "-1ns"),
        (Duration, "31.000000001d"),
        (PositiveDuration, "0s"),
        (Rate, "-1/s"),
        (Rate, "10000001/s"),
        (PositiveRate, "0/s"),
        (Share, "100.1%"),
        (Share, "-1%"),
        (Number, 0),
        (Weight, -1),
        (Annotated[float, ratio(1, 20)], 0.99),
        (Annotated[float, ratio(0, 5, above=True)], 0),
        (Annotated[float, ratio(0, 5, above=True)], "501%"),
    ],
)
def test_values_outside_a_range_are_refused(kind: Any, value: object) -> None:
    """The message says what is allowed; the key and the value are added by messages.py."""
    with pytest.raises(ValidationError, match="must be a"):
        read(kind, value)


def test_names_are_those_of_the_policy() -> None:
    """The words in schema and reference are the enum's own, so they cannot drift apart."""
    assert name_of(Freeze).schema["enum"] == ["pull", "timer"]
    assert name_of(TimerOrigin).schema["enum"] == ["enqueue", "collect", "window"]
    assert name_of(Collector).allowed == "dispatcher, exclusive, competing"


@pytest.mark.parametrize(
    ("key", "low", "below", "high", "beyond"),
    [
        ("batching.max_batch", "1", "0", "1000000", "1000001"),
        ("batching.max_wait", "0s", "-1ns", "31d", "32d"),
        ("queue.cap", "1", "0", "1000000", "1000001"),
        ("queue.deadline", "1ns", "0s", "31d", "32d"),
        ("model.pass_time.base", "1ns", "-1ns", "1h", "3600.000000001s"),
        ("model.pass_time.per_unit", "0s", "-1ns", "7min", "61min"),
        ("traffic.retries.attempts", "1", "0", "100", "101"),
        ("traffic.retries.backoff_max", "100ms", "99ms", "31d", "32d"),
        ("traffic.sizes", "1", "0", "10000000", "10000001"),
        ("front_end.workers", "1", "0", "1000000", "1000001"),
        ("fleet.instances", "1", "0", "1000000", "1000001"),
        ("horizon.runs", "2", "1", "10000", "10001"),
        ("seed", "0", "-1", "9223372036854775807", "9223372036854775808"),
    ],
)
def test_ranges_of_policy_rules_are_rejected_by_policy(key: str, low: str, below: str, high: str, beyond: str) -> None:
    """What schema and reference say of these ranges is what policy/settings.py lets in, at both ends."""
    for value in (low, high):
        scenario(f"{key}={value}")
    for value in (below, beyond):
        with pytest.raises(SettingError) as error:
            scenario(f"{key}={value}")
        assert error.value.key == key


def test_section_is_frozen_strict_and_closed() -> None:
    """A section cannot be changed, takes no other type for another, and knows its keys."""

    class Box(Section):
        size: Annotated[int, count_up_to(3)] = 1
        wait: Duration = written("5ms", "A default as a user writes it.")

    assert Box().wait == 5_000_000
    with pytest.raises(ValidationError, match="frozen"):
        Box().size = 2  # type: ignore[misc]
    with pytest.raises(ValidationError, match="valid integer"):
        Box.model_validate({"size": "2"})
    with pytest.raises(ValidationError, match="unknown_key"):
        Box.model_validate({"sise": 2})
    # The range of count_up_to is only described: policy rejects it.
    assert Box.model_validate({"size": 9}).size == 9


def test_schema_describes_what_is_written() -> None:
    """A time is an integer inside, and text with a unit in the schema; none is allowed where it has a meaning."""
    assert TypeAdapter(Duration).json_schema()["type"] == "string"
    schema = TypeAdapter(Annotated[Duration | None, OrNone]).json_schema()
    assert schema["anyOf"][-2:] == [{"type": "null"}, {"const": "none"}]
    assert isinstance(count_up_to(3), Kind)
    assert TypeAdapter(Annotated[int, count_up_to(3)]).json_schema() == {"type": "integer", "minimum": 1, "maximum": 3}
