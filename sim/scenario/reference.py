"""The reference of every key of a scenario, written from the models themselves; docs/scenario.md is its output."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from inspect import cleandoc
from types import MappingProxyType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from policy.autoscaler_presets import PRESETS
from sim.scenario.arrival_spec import Arrivals, RateStep, Steps
from sim.scenario.distribution_spec import SizeLaw, Spread, TimeLaw
from sim.scenario.fields import Section, Words
from sim.scenario.spec import Autoscaler, Scenario
from sim.scenario.units import write_time

__all__ = ["scenario_reference"]

HEAD: Final = """\
# The keys of a scenario

A scenario is a YAML, TOML or JSON file of at most 1 MB. Only `traffic`, `model` and `batching` must be there.
Quantities carry their unit in the text: a time `5ms` (ns, us, ms, s, min, h, d), a rate `600/s` (/s, /min, /h), a
percentage `0.1%`; a ratio is a number or a percentage (`1.5`, `150%`). A time is a whole number of nanoseconds.
YAML is read strictly: no anchors, aliases, tags or duplicate keys, and only `true`, `false`, `null` and decimal numbers
are anything but text. `scenario.schema.json` beside this page says the same to an editor.

This page is made from the code (`sim/scenario/reference.py`).
"""

ARRIVALS: Final = """\
## Arrival processes

`traffic.arrivals` is a mapping; its `process` says which of these it is. Every process starts at time 0 of a run, in
its stationary state where it has one.
"""

PRESETS_HEAD: Final = """\
#### Presets

What each preset stands for; a key that it leaves out has the default above. Written beside a preset, a key goes before
it, as here the signal (and with it the formula and the target):

    fleet:
      replicas: 2
      autoscaler:
        preset: kubernetes_hpa
        signal: in_flight
        formula: ratio
        target: 8
        max_replicas: 10
"""

DISTRIBUTIONS: Final = """\
## Distributions

A time or a size may be drawn anew each time: write a mapping instead of a plain value, and its `distribution` says
which of these it is. Against the exact law, means are exact and p50 to p99.9 within 0.3 %.
"""

TITLES: Final = {"Time": "Times", "Size": "Sizes", "Spread": "The spread of a pass time, a factor with mean 1"}


def scenario_reference() -> str:
    """Return the page in Markdown, with a line feed at its end."""
    parts = [HEAD, *_sections("", Scenario, {}), ARRIVALS]
    for arrivals in _models(Arrivals):
        parts.append(_table(f"### `process: {_tag(arrivals)}`", arrivals))
        if arrivals is Steps:
            parts.append(_table("#### One of `steps`", RateStep))
    parts.append(DISTRIBUTIONS)
    for laws in (TimeLaw, SizeLaw, Spread):
        models = list(_models(laws))
        title = next(text for ending, text in TITLES.items() if models[0].__name__.endswith(ending))
        parts.append(f"### {title}\n")
        parts += [_table(f"#### `distribution: {_tag(law)}`", law) for law in models]
    return "\n".join(parts)


def _sections(path: str, section: type[Section], places: dict[type[Section], str]) -> Iterator[str]:
    """Yield the part of a section, and then those of the sections inside it; `places` are those that were shown."""
    places[section] = path
    below = {}
    for key, field in section.model_fields.items():
        place = f"{path}.{key}" if path else key
        inner = _section_of(field.annotation)
        if inner is None and get_origin(field.annotation) is dict:
            place, inner = f"{place}.NAME", _section_of(get_args(field.annotation)[1])
        if inner is not None and inner not in places:
            below[key] = inner
            places[inner] = place
    title = f"## `{path}`" if path else "## The top level"
    yield _table(title, section, places)
    if section is Autoscaler:
        yield _presets()
    for inner in below.values():
        yield from _sections(places[inner], inner, places)


def _table(title: str, section: type[Section], places: Mapping[type[Section], str] = MappingProxyType({})) -> str:
    """Return a heading, what the section is, and one row for each key."""
    lines = [title, "", cleandoc(section.__doc__ or ""), ""]
    rows = [
        _row(key, field, places)
        for key, field in section.model_fields.items()
        if key not in ("process", "distribution")
    ]
    if rows:
        lines += ["| key | value | range | default | meaning |", "|---|---|---|---|---|", *rows, ""]
    return "\n".join(lines)


def _presets() -> str:
    """Return what the presets of an autoscaler stand for, a column for each."""
    keys = dict.fromkeys(key for settings in PRESETS.values() for key in settings)
    lines = [
        PRESETS_HEAD,
        f"| key | {' | '.join(f'`{name}`' for name in PRESETS)} |",
        "|---" * (len(PRESETS) + 1) + "|",
    ]
    for key in keys:
        cells = [_preset_value(key, settings[key]) if key in settings else "" for settings in PRESETS.values()]
        lines.append(f"| `{key.removesuffix('_ns')}` | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _preset_value(key: str, value: Any) -> str:
    """Return a setting of a rule as a user writes it."""
    if key.endswith("_ns"):
        return write_time(value)
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def _row(key: str, field: FieldInfo, places: Mapping[type[Section], str]) -> str:
    """Return one key."""
    kind, allowed = _describe(field.annotation, field.metadata)
    inner = _section_of(field.annotation)
    if inner is not None and inner in places:
        many = "list: " if kind.startswith("list") else ""
        kind, allowed = f"{many}[mapping](#{places[inner].replace('.', '').lower()})", ""
    description = (field.description or "").replace("|", "\\|")
    return f"| `{key}` | {kind} | {allowed} | {_default(field)} | {description} |"


def _default(field: FieldInfo) -> str:
    """Return the default as a user writes it."""
    if field.is_required():
        return "required"
    if field.default_factory is not None or field.default in (None, ()):
        return ""
    value = field.default
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _describe(annotation: Any, metadata: Iterable[Any] = ()) -> tuple[str, str]:
    """Return what a value is, and its range."""
    for words in metadata:
        if isinstance(words, Words):
            return words.words, words.allowed
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _describe(inner[0], inner[1:])
    if origin is Literal:
        return "name", ", ".join(f"`{name}`" for name in inner)
    if origin in (Union, UnionType):
        described = dict.fromkeys(_describe(part) for part in inner if part is not type(None))
        return " or ".join(kind for kind, _ in described), ", ".join(allowed for _, allowed in described if allowed)
    if origin is tuple:
        kind, allowed = _describe(inner[0])
        return f"list: {kind}", allowed
    if origin is dict:
        kind, allowed = _describe(inner[1])
        return f"mapping: batch size to {kind}", allowed
    if _section_of(annotation) is not None:
        return "mapping", ""
    return {bool: "true or false", str: "text", float: "number", int: "whole number"}[annotation], ""


def _section_of(annotation: Any) -> type[Section] | None:
    """Return the section that a field holds, or a list of which it holds, if it holds nothing else."""
    if get_origin(annotation) is tuple:
        annotation = get_args(annotation)[0]
    parts = [part for part in (get_args(annotation) or (annotation,)) if part is not type(None)]
    if len(parts) == 1 and isinstance(parts[0], type) and issubclass(parts[0], Section):
        return parts[0]
    return None


def _models(union: Any) -> Iterator[type[Section]]:
    """Yield the sections of a tagged union, in their order."""
    for part in get_args(get_args(union)[0]):
        model = get_args(part)[0] if get_origin(part) is Annotated else part
        if isinstance(model, type) and issubclass(model, Section):
            yield model


def _tag(model: type[Section]) -> str:
    """Return the word by which a section is told from others."""
    key = "process" if "process" in model.model_fields else "distribution"
    return str(get_args(model.model_fields[key].annotation)[0])
