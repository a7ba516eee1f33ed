"""The kinds of values that a scenario holds: how each is read, what JSON Schema says of it, how the reference names it.

Ranges that belong to a policy rule are only described here; policy/settings.py rejects them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Annotated, Any, Final, cast, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from policy.errors import SettingError
from policy.settings import COUNT_MAX, SIZE_MAX, TIME_MAX_NS
from sim.scenario.units import (
    RATE_PATTERN,
    SHARE_PATTERN,
    TIME_PATTERN,
    parse_rate_per_s,
    parse_ratio,
    parse_share,
    parse_time_ns,
    write_rate,
    write_share,
    write_time,
)

__all__ = [
    "AS_WRITTEN",
    "RATE_MAX_PER_S",
    "SEED_MAX",
    "Count",
    "Duration",
    "EmptyIfNone",
    "Kind",
    "Number",
    "OrNone",
    "PassPart",
    "PolicyTime",
    "PositiveDuration",
    "PositivePolicyTime",
    "PositiveRate",
    "Rate",
    "Section",
    "Share",
    "Size",
    "Weight",
    "Words",
    "count_up_to",
    "name_of",
    "parts",
    "ratio",
    "written",
]

RATE_MAX_PER_S: Final = 1e7
"""The highest rate of any process: ten million requests a second."""

SEED_MAX: Final = 2**63 - 1
"""The largest seed of random numbers."""

AS_WRITTEN: Final = "as written"
"""The context in which model_dump gives what a file would hold: quantities as text with their units."""

Check = Callable[[Any], Any]

_BETWEEN_PARTS: Final = 1e-6  # of a part: more than the arithmetic of a percentage may be off


@dataclass(frozen=True, eq=False)
class Words:
    """Metadata of a field: its words in docs/scenario.md."""

    words: str
    allowed: str


@dataclass(frozen=True, eq=False)
class Kind(Words):
    """Metadata of a field: how its text is read, checked and written again, and its JSON Schema."""

    schema: Mapping[str, Any]
    parse: Check | None = None  # before pydantic looks at the type
    check: Check | None = None  # after
    write: Check | None = None  # what parse reads as the value; None: the value itself

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Put reading before, and the range behind, the check of the type."""
        schema: Any = handler(source)
        if self.check is not None:
            schema = core_schema.no_info_after_validator_function(self.check, schema)
        if self.parse is not None:
            schema = core_schema.no_info_before_validator_function(self.parse, schema)
        if self.write is not None:
            schema["serialization"] = core_schema.plain_serializer_function_ser_schema(
                self._told, info_arg=True, when_used="json"
            )
        return cast("CoreSchema", schema)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Describe what is written, not what it is turned into."""
        return dict(self.schema)

    def _told(self, value: Any, info: SerializationInfo) -> Any:
        """Return a value for JSON: as text where that is asked for."""
        if self.write is None or value is None or info.context != AS_WRITTEN:
            return value
        return self.write(value)


class Section(BaseModel):
    """One mapping of a scenario: frozen, closed to unknown keys, strict about types."""

    # Deferred: a section inside another is built with that one, not once more by itself, and workers build none.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _only_known_keys(cls, data: object) -> object:
        """Stop at the first unknown key and tell the known ones, which pydantic's own error does not."""
        if isinstance(data, Mapping):
            for key in data:
                if key not in cls.model_fields:
                    raise PydanticCustomError("unknown_key", "{key}", {"key": key, "known": tuple(cls.model_fields)})
        return data

    @model_serializer(mode="wrap")
    def _told(self, handler: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        """Leave out, as written, what is nothing by default: not every key of that kind can be written as null."""
        content: dict[str, Any] = handler(self)
        if info.context != AS_WRITTEN:
            return content
        fields = type(self).model_fields
        return {key: value for key, value in content.items() if value is not None or fields[key].default is not None}


def _in_range(allowed: str, least: float, most: float, *, above: bool) -> Check:
    """Return the check of a range; sim/scenario/messages.py adds the key and what was written."""

    def check(value: float) -> float:
        if not least <= value <= most or (above and value == least):
            raise ValueError(f"must be {allowed}")
        return value

    return check


_TIME_SCHEMA = {"type": "string", "pattern": TIME_PATTERN, "examples": ["5ms", "1.5s", "10min"]}


def _time(*, above: bool) -> Kind:
    days = TIME_MAX_NS // (86_400 * 10**9)
    allowed = f"above 0s, at most {days}d" if above else f"from 0s to {days}d"
    check = _in_range(f"a time {allowed}", 0, TIME_MAX_NS, above=above)
    return Kind("time", allowed, _TIME_SCHEMA, parse_time_ns, check, write_time)


def _rate(*, above: bool) -> Kind:
    allowed = f"above 0/s, at most {RATE_MAX_PER_S:.0f}/s" if above else f"from 0/s to {RATE_MAX_PER_S:.0f}/s"
    schema = {"type": "string", "pattern": RATE_PATTERN, "examples": ["600/s", "36000/min"]}
    check = _in_range(f"a rate {allowed}", 0, RATE_MAX_PER_S, above=above)
    return Kind("rate", allowed, schema, parse_rate_per_s, check, write_rate)


def ratio(least: float, most: float, *, above: bool = False) -> Kind:
    """Return the kind of a ratio in [least, most] (`above`: without least), written 1.5 or 150%."""
    allowed = f"above {least:g}, at most {most:g}" if above else f"from {least:g} to {most:g}"
    number = {"type": "number", "exclusiveMinimum" if above else "minimum": least, "maximum": most}
    schema = {"anyOf": [number, {"type": "string", "pattern": SHARE_PATTERN}], "examples": [1.5, "150%"]}
    check = _in_range(f"a ratio {allowed}", least, most, above=above)
    return Kind("ratio", allowed, schema, parse_ratio, check)


def count_up_to(most: int, least: int = 1) -> Kind:
    """Return the kind of a whole number whose range policy/settings.py rejects."""
    return Kind("whole number", f"from {least} to {most}", {"type": "integer", "minimum": least, "maximum": most})


def name_of(names: type[IntEnum]) -> Kind:
    """Return the kind of a lower-case name of a policy's enum; policy/settings.py rejects others."""
    allowed = [member.name.lower() for member in names]
    return Kind("name", ", ".join(allowed), {"type": "string", "enum": allowed})


PolicyTime = Annotated[int, replace(_time(above=False), check=None)]
"""A time in ns whose range policy/settings.py rejects."""

PositivePolicyTime = Annotated[int, replace(_time(above=True), check=None)]
"""A time in ns, not zero, whose range policy/settings.py rejects."""

PassPart = Annotated[int, replace(_time(above=False), allowed="from 0s to 1h", check=None)]
"""A part of a pass time in ns, whose range policy/settings.py rejects."""

Duration = Annotated[int, _time(above=False)]
"""A time in ns."""

PositiveDuration = Annotated[int, _time(above=True)]
"""A time in ns, not zero."""

Rate = Annotated[float, _rate(above=False)]
"""Requests per second."""

PositiveRate = Annotated[float, _rate(above=True)]
"""Requests per second, not zero."""

_SHARE_SCHEMA = {"type": "string", "pattern": SHARE_PATTERN, "examples": ["0.1%", "95%"]}
_SHARE_CHECK = _in_range("a percentage from 0% to 100%", 0.0, 1.0, above=False)
Share = Annotated[float, Kind("percentage", "from 0% to 100%", _SHARE_SCHEMA, parse_share, _SHARE_CHECK, write_share)]
"""A share of 1, written as a percentage."""

_WEIGHT_CHECK = _in_range("a number of 0 or more", 0.0, 1e15, above=False)
Weight = Annotated[float, Kind("number", "0 or more", {"type": "number", "minimum": 0}, None, _WEIGHT_CHECK)]
"""A number without unit."""

_NUMBER_CHECK = _in_range("a number above 0", 0.0, 1e15, above=True)
Number = Annotated[float, Kind("number", "above 0", {"type": "number", "exclusiveMinimum": 0}, None, _NUMBER_CHECK)]
"""A number without unit, not zero."""

Count = Annotated[int, count_up_to(COUNT_MAX)]
"""A whole number in the range of policy.settings.check_count."""

Size = Annotated[int, count_up_to(SIZE_MAX)]
"""The size of one request in the model's unit."""


class OrNone:
    """Metadata of an optional field that the word none switches off too: `--set queue.cap=none` is what people type."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read the word as null."""
        return core_schema.no_info_before_validator_function(
            lambda value: None if value == "none" else value, handler(source)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Allow the word beside what is allowed anyway."""
        return {"anyOf": [*handler(schema)["anyOf"], {"const": "none"}]}


class EmptyIfNone:
    """Metadata of a section, or a list, that the word none or nothing at all leaves empty: `--set goals=none`."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read the word as a section without a key, or as a list without an entry."""
        empty: object = () if get_origin(source) is tuple else {}
        return core_schema.no_info_before_validator_function(
            lambda value: empty if value is None or value == "none" else value, handler(source)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Allow the word and null beside what is allowed anyway."""
        return {"anyOf": [handler(schema), {"type": "null"}, {"const": "none"}]}


def parts(key: str, share: float, one: int) -> int:
    """Return a share of 1 as a whole number of parts of `one`. Raises SettingError for what lies between two."""
    scaled = share * one
    if abs(scaled - round(scaled)) > _BETWEEN_PARTS:
        raise SettingError(key, f"a multiple of {100 / one:.4f}".rstrip("0") + "%", f"{100 * share:.9g}%")
    return round(scaled)


def written(default: str, description: str) -> Any:
    """Return a field whose default stands there as a user writes it, and is read like what a user writes."""
    return Field(default, validate_default=True, description=description)
