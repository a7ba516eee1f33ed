"""YAML without its traps: no anchors, aliases, tags, duplicate keys or several documents, and no guessing of types.

Only these plain scalars are not text: null, true, false and decimal numbers. So `yes`, `1:30`, `010`, `0x10` and
`2026-01-01` stay the text that was written, and fail later where no text is wanted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import yaml

from sim.errors import ScenarioError
from sim.scenario.units import in_words

__all__ = ["SIZE_MAX_BYTES", "read_yaml"]

SIZE_MAX_BYTES: Final = 1_000_000
"""The largest text that is read."""

DEPTH_MAX: Final = 50

_OF_A_COLON: Final = {
    "mapping values are not allowed in this context": "a colon stands where none can: a key has a space behind its "
    "colon, and stands in a line of its own or inside { }"
}
"""What the parser says otherwise."""

_BY_TAB: Final = "a tab indents the line, where YAML takes spaces alone"

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,99})")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,99})(?:\.[0-9]{1,99})?(?:[eE][+-]?[0-9]{1,3})?")
_WORDS: Final = {"": None, "~": None, "null": None, "true": True, "false": False}


def read_yaml(text: str, source: str) -> object:
    """Return the content of one YAML document; `source` names it in errors. Raises ScenarioError."""
    if len(text.encode("utf-8", "surrogatepass")) > SIZE_MAX_BYTES:
        raise ScenarioError(f"{source} is larger than 1 MB: a scenario is a page or two of text.")
    try:
        # The parser in C, where PyYAML has it, reads 1 MB in a second instead of seven.
        events = yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        reader = _Reader(events, source)
        return reader.document()
    except yaml.MarkedYAMLError as error:
        what = _BY_TAB if _is_tab(text, error.problem_mark) else _OF_A_COLON.get(str(error.problem), error.problem)
        raise ScenarioError(f"{source} is not valid YAML{_place(error.problem_mark)}: {what}.") from None
    except yaml.YAMLError as error:
        raise ScenarioError(f"{source} is not valid YAML: {str(error).splitlines()[0]}.") from None


class _Reader:
    """Builds plain values from the parser's events, which still show what a loader would have hidden."""

    def __init__(self, events: Iterator[yaml.Event], source: str) -> None:
        self._events = events
        self._source = source

    def document(self) -> object:
        """Read the only document."""
        next(self._events)  # start of the stream
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return None
        value = self._value(next(self._events), depth=0)
        next(self._events)  # end of the document
        behind = next(self._events)
        if not isinstance(behind, yaml.StreamEndEvent):
            raise self._refused(behind, "a second document")
        return value

    def _value(self, event: yaml.Event, depth: int) -> object:
        """Read the value that begins with this event."""
        if isinstance(event, yaml.AliasEvent):
            raise self._refused(event, f"an alias (*{event.anchor})")
        assert isinstance(event, (yaml.ScalarEvent, yaml.SequenceStartEvent, yaml.MappingStartEvent))
        if event.anchor is not None:
            raise self._refused(event, f"an anchor (&{event.anchor})")
        if event.tag is not None:
            raise self._refused(event, f"a tag ({event.tag})")
        if depth > DEPTH_MAX:
            raise self._refused(event, f"a nesting of more than {DEPTH_MAX} levels")
        if isinstance(event, yaml.ScalarEvent):
            is_plain = not event.style  # None by the parser in Python, "" by the one in C
            return _plain(event.value) if is_plain else event.value
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(depth)
        return self._mapping(depth)

    def _sequence(self, depth: int) -> list[object]:
        """Read the rest of a list."""
        values = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            values.append(self._value(event, depth + 1))
        return values

    def _mapping(self, depth: int) -> dict[str | int, object]:
        """Read the rest of a mapping."""
        values: dict[str | int, object] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._value(event, depth + 1)
            if isinstance(key, bool) or not isinstance(key, (str, int)):
                raise self._refused(event, "a key that is neither text nor a whole number")
            if key in values:
                raise self._refused(event, f"the key {in_words(str(key))[1:-1]} twice in one mapping")
            values[key] = self._value(next(self._events), depth + 1)
        return values

    def _refused(self, event: yaml.Event, what: str) -> ScenarioError:
        """Return the error of something that YAML has and a scenario may not have."""
        return ScenarioError(f"{self._source} has {what}{_place(event.start_mark)}, which a scenario may not have.")


def _plain(text: str) -> object:
    """Return the value of a scalar without quotes."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else text


def _is_tab(text: str, mark: Any) -> bool:
    """Return whether a tab stands where the parser stumbled."""
    lines = text.splitlines()
    return mark is not None and mark.line < len(lines) and lines[mark.line].startswith("\t", mark.column)


def _place(mark: Any) -> str:
    """Return where in the text something stands."""
    return "" if mark is None else f" at line {mark.line + 1}, column {mark.column + 1}"
