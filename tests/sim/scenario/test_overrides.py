"""--set: one key changed before anything is checked."""

from __future__ import annotations

import pytest

from sim.errors import ScenarioError
from sim.scenario.overrides import with_overrides


@pytest.mark.parametrize(
    ("override", "content"),
    [
        ("a=1", {"a": 1, "b": {"c": 2}, "d": [1, {"e": 2}]}),
        ("b.c=8", {"a": 0, "b": {"c": 8}, "d": [1, {"e": 2}]}),
        ("b.x.y=5ms", {"a": 0, "b": {"c": 2, "x": {"y": "5ms"}}, "d": [1, {"e": 2}]}),
        ("n.m=true", {"a": 0, "b": {"c": 2}, "d": [1, {"e": 2}], "n": {"m": True}}),
        ("a.x=1", {"a": {"x": 1}, "b": {"c": 2}, "d": [1, {"e": 2}]}),
        ("d.1.e=[3, 4]", {"a": 0, "b": {"c": 2}, "d": [1, {"e": [3, 4]}]}),
        ("b={c: 3, k: x=y}", {"a": 0, "b": {"c": 3, "k": "x=y"}, "d": [1, {"e": 2}]}),
        ("b.c=", {"a": 0, "b": {"c": None}, "d": [1, {"e": 2}]}),
        (" a = 1 ", {"a": 1, "b": {"c": 2}, "d": [1, {"e": 2}]}),
    ],
)
def test_value_is_put_at_its_key(override: str, content: dict[str, object]) -> None:
    """Mappings on the way are made, places in lists count from 0, values are read like YAML."""
    start: dict[str, object] = {"a": 0, "b": {"c": 2}, "d": [1, {"e": 2}]}
    assert with_overrides(start, [override]) == content


def test_overrides_leave_the_content_as_it_was() -> None:
    """What was passed in is not changed, at any depth: a what-if reads it again."""
    start: dict[str, object] = {"b": {"c": 2}, "d": [1]}
    with_overrides(start, ["b.c=3", "d.0=4", "x=1"])
    assert start == {"b": {"c": 2}, "d": [1]}


def test_later_override_wins() -> None:
    """Overrides apply in their order."""
    assert with_overrides({}, ["a=1", "a=2"]) == {"a": 2}


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("a", "--set must be like batching.max_batch=8. Got 'a'."),
        ("=1", "--set must be like batching.max_batch=8. Got '=1'."),
        ("a..b=1", "--set must be like batching.max_batch=8. Got 'a..b=1'."),
        ("d.5=1", "--set d.5 must have a place from 0 to 1 where '5' stands."),
        ("d.x=1", "--set d.x must have a place from 0 to 1 where 'x' stands."),
        ("a=[1", "the value of --set a is not valid YAML at line "),
        ("a=*b", "the value of --set a has an alias (*b) at line 1, column 1, which a scenario may not have."),
        ("a=!!int 3", "the value of --set a has a tag "),
        ("a={x: 1, x: 2}", "the value of --set a has the key x twice in one mapping"),
    ],
)
def test_override_that_cannot_be_read_is_refused(override: str, said: str) -> None:
    """Values are read as strictly as a file."""
    with pytest.raises(ScenarioError) as error:
        with_overrides({"d": [1, 2]}, [override])
    assert str(error.value).startswith(said)
