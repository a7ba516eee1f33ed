"""`--set key=value`: one key of a scenario, changed before it is checked."""

from __future__ import annotations

from collections.abc import Sequence

from sim.errors import ScenarioError
from sim.scenario.strict_yaml import read_yaml
from sim.scenario.units import in_words

__all__ = ["with_overrides"]


def with_overrides(content: dict[str, object], overrides: Sequence[str]) -> dict[str, object]:
    """Return the content with each `a.b.c=value` put in, in their order.

    A value is read like YAML: a scalar, or a list or mapping in brackets. Mappings on the way to a key that do not
    exist are made; a number on the way is a place in a list, counted from 0. Raises ScenarioError.
    """
    for override in overrides:
        key, equals, text = override.partition("=")
        key = key.strip()
        if not equals or not key or any(not step for step in key.split(".")):
            raise ScenarioError(f"--set must be like batching.max_batch=8. Got {in_words(override)}.")
        value = read_yaml(text, f"the value of --set {key}")
        content = _put_in_mapping(content, key.split("."), value, key)
    return content


def _put(content: object, steps: list[str], value: object, key: str) -> object:
    """Return the content with the value at the end of the steps; nothing that was passed in is changed."""
    if not steps:
        return value
    if isinstance(content, (list, tuple)):
        return _put_in_list(list(content), steps, value, key)
    # A scalar in the way gives place: `traffic.timeout.mean` replaces a constant timeout by a mapping.
    return _put_in_mapping(dict(content) if isinstance(content, dict) else {}, steps, value, key)


def _put_in_mapping(content: dict[str, object], steps: list[str], value: object, key: str) -> dict[str, object]:
    """Return a mapping with the value below one of its keys."""
    return {**content, steps[0]: _put(content.get(steps[0]), steps[1:], value, key)}


def _put_in_list(content: list[object], steps: list[str], value: object, key: str) -> list[object]:
    """Return a list with the value below one of its places."""
    place = steps[0]
    if not (place.isascii() and place.isdigit()) or int(place) >= len(content):
        allowed = f"a place from 0 to {len(content) - 1} where {in_words(place)} stands"
        raise ScenarioError(f"--set {key} must have {allowed}.")
    content[int(place)] = _put(content[int(place)], steps[1:], value, key)
    return content
