"""What differs between two scenarios, key by key, each value as it is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

__all__ = ["Change", "changes", "value_in_words"]


@dataclass(frozen=True)
class Change:
    """One key whose values differ; "none" is a key that is not there, or holds nothing."""

    key: str  # dotted; a number in it is a place in a list, counted from 0, as in --set
    before: str
    after: str

    def to_json(self) -> dict[str, str]:
        """Return the change as plain values."""
        return {"key": self.key, "before": self.before, "after": self.after}


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Change, ...]:
    """Return what differs between two scenarios as sim.scenario.identity.as_written gives them."""
    return tuple(_changes("", before, after))


def _changes(key: str, before: Any, after: Any) -> Iterator[Change]:
    """Yield what differs below a key; where one side is no mapping, or no list of them, the whole value is shown."""
    if before == after:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for inner in {**before, **after}:
            yield from _changes(f"{key}.{inner}".lstrip("."), before.get(inner), after.get(inner))
    elif _holds_mappings(before) and _holds_mappings(after):
        for place, (one, other) in enumerate(zip_longest(before, after)):
            yield from _changes(f"{key}.{place}", one, other)
    else:
        yield Change(key, value_in_words(before), value_in_words(after))


def _holds_mappings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, Mapping) for one in value)


def value_in_words(value: Any) -> str:
    """Return a value in one line, as YAML would have it."""
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {value_in_words(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(value_in_words, value)) + "]"
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)
