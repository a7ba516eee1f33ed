"""What pydantic found wrong -> one sentence for the author of the scenario, with the dotted key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from sim.scenario.units import in_words, shown

__all__ = ["sentence"]

_KEYS_SAID = 6
"""So many keys of a section are named at most."""

CLOSE = 0.7  # likeness from which a key is taken for a slip of another: p98 is none of p99
_MISSING = object()

_SAYINGS = {
    "missing": "is missing: it has no default.",
    "int_type": "must be a whole number. Got {got}.",
    "int_from_float": "must be a whole number. Got {got}.",
    "float_type": "must be a number. Got {got}.",
    "finite_number": "must be a finite number. Got {got}.",
    "bool_type": "must be true or false. Got {got}.",
    "string_type": "must be text, in quotes if it looks like a number. Got {got}.",
    "string_too_short": "must not be empty.",
    "string_too_long": "must have at most {max_length} characters. Got {got}.",
    "model_type": "must be a mapping of keys{keys}. Got {got}.",
    "model_attributes_type": "must be a mapping of keys{keys}. Got {got}.",
    "dict_type": "must be a mapping of keys. Got {got}.",
    "dataclass_type": "must be a mapping of keys{keys}. Got {got}.",
    "list_type": "must be a list. Got {got}.",
    "tuple_type": "must be a list. Got {got}.",
    "too_short": "must have at least {min_length} entries. Got {actual_length}.",
    "too_long": "must have at most {max_length} entries. Got {actual_length}.",
}
"""What follows the key, by the type of pydantic's error."""


def sentence(error: ValidationError, written: Mapping[str, Any], root: type) -> str:
    """Return the first problem as one sentence.

    `written` is the input as its author wrote it, and `root` what it should have been: the model of a scenario, or any
    other type that pydantic reads.
    """
    first = error.errors(include_url=False)[0]
    path, value = _follow(first["loc"], written)
    if first["type"] == "unknown_key":
        return _unknown_key(path, first["ctx"], root)
    if first["type"] == "missing":
        path.append(str(first["loc"][-1]))
    elif first["type"] == "union_tag_invalid" and isinstance(value, Mapping):
        path.append(_tag_key(first))
    elif first["loc"][-1:] == ("[key]",):
        path.pop()
    return f"{'.'.join(path) or root.__name__.lower()} {_predicate(first, value, root)}"


def _follow(loc: Sequence[int | str], written: object) -> tuple[list[str], object]:
    """Return the key path and the value at a location, without the union tags that pydantic puts in between.

    A key that is missing is not in the path.
    """
    path: list[str] = []
    value = written
    for step in loc:
        if isinstance(value, Mapping):
            found = _look_up(value, step)
            if found is not _MISSING:
                path, value = [*path, str(step)], found
        elif isinstance(value, (list, tuple)) and isinstance(step, int):
            path, value = [*path, str(step)], value[step]
    return path, value


def _look_up(mapping: Mapping[Any, Any], step: int | str) -> object:
    """Return the value of a key; the keys of a table by batch size may be written as text."""
    return mapping[step] if step in mapping else mapping.get(str(step), _MISSING)


def _unknown_key(path: list[str], context: Mapping[str, Any], root: type) -> str:
    """Name the key that was probably meant: a neighbour, or one of that name elsewhere, else all neighbours."""
    written, known = str(context["key"]), list(context["known"])
    dotted = ".".join([*path, in_words(written)[1:-1]])
    close = get_close_matches(written, known, n=1, cutoff=CLOSE)
    meant = [".".join([*path, close[0]])] if close else _keys_named(written, root)
    if meant:
        return f"{dotted} is not a known key: did you mean {' or '.join(meant)}?"
    return f"{dotted} is not a known key: known here are {', '.join(known)}."


def _keys_named(name: str, section: type, above: str = "") -> list[str]:
    """Return the dotted keys of that name anywhere in the model, unions left aside."""
    assert issubclass(section, BaseModel)  # nothing else tells of unknown keys
    found = []
    for key, field in section.model_fields.items():
        if key == name:
            found.append(above + key)
        inner = field.annotation
        for part in (inner, *getattr(inner, "__args__", ())):
            if isinstance(part, type) and issubclass(part, BaseModel):
                found += _keys_named(name, part, f"{above}{key}.")
    return found


def _keys_of(model: str, root: type) -> str:
    """Return which keys the section of that model has, of many the first; nothing where it is not found."""
    found = next((section for section in _sections(root) if section.__name__ == model), None)
    if found is None:
        return ""
    known = list(found.model_fields)
    return f" ({', '.join(known)})" if len(known) <= _KEYS_SAID else f" ({', '.join(known[:_KEYS_SAID])} ...)"


def _sections(model: type) -> Iterator[type[BaseModel]]:
    """Yield a model and all models of its keys, unions included."""
    if isinstance(model, type) and issubclass(model, BaseModel):
        yield model
        for field in model.model_fields.values():
            for part in (field.annotation, *get_args(field.annotation)):
                if isinstance(part, type):
                    yield from _sections(part)


def _predicate(error: ErrorDetails, value: object, root: type) -> str:
    """Return what follows the key: what is allowed, and what was got."""
    kind, context, got = error["type"], error.get("ctx", {}), in_words(value)
    if error["loc"][-1:] == ("[key]",):
        return f"must have whole numbers as keys. Got {in_words(error['input'])}."
    if kind == "value_error":  # raised by a check of fields.py or a spec: it is worded for this place
        said = str(context["error"])
        return said if said.endswith(".") else f"{said}. Got {shown(value)}."
    if kind == "literal_error":
        return _one_of(context["expected"].replace(" or ", ", "), value)
    if kind == "union_tag_invalid" and isinstance(value, Mapping):
        return _one_of(context["expected_tags"].replace("'constant', ", ""), context["tag"])
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return f"must be a mapping with the key {_tag_key(error)}, which says what it is. Got {got}."
    if kind in _SAYINGS:
        keys = _keys_of(str(context["class_name"]), root) if "class_name" in context else ""
        return _SAYINGS[kind].format(got=got, keys=keys, **context)
    return f"is not right: {error['msg']}. Got {got}."


def _tag_key(error: ErrorDetails) -> str:
    """Return the key that tells the members of a union apart: arrivals have a process, laws a distribution."""
    return "process" if error.get("ctx", {})["discriminator"] == "'process'" else "distribution"


def _one_of(allowed: str, got: object) -> str:
    """Return the sentence of a word that is none of those allowed."""
    words = [word.strip().strip("'") for word in allowed.split(",")]
    close = get_close_matches(str(got), words, n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    return f"must be one of {', '.join(words)}. Got {in_words(got)}.{hint}"
