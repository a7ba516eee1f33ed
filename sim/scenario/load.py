"""A scenario file, or a mapping -> a checked Scenario. Bad input is rejected here, in one sentence, and nowhere later.

YAML, TOML and JSON hold the same keys. Ranges of serving rules come from policy/settings.py.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from sim.errors import ScenarioError
from sim.scenario.messages import sentence
from sim.scenario.missing import close_file
from sim.scenario.overrides import with_overrides
from sim.scenario.rules import check_rules
from sim.scenario.spec import NAME_MAX, Goals, Scenario
from sim.scenario.strict_yaml import SIZE_MAX_BYTES, read_yaml
from sim.scenario.traces import with_checked_trace
from sim.scenario.units import in_words, shown
from sim.scenario.versions import check_versions

__all__ = ["checked_scenario", "load_scenario", "written_scenario"]

_DECIMAL_COMMA = re.compile(r"\d+,\d+")
_SEVERAL = re.compile(r"[^\[\]{}'\",]+(,[^\[\]{}'\",]+)+|[^\[\]{}'\",]+\.\.[^\[\]{}'\",]+")
"""Several values, as whatif takes them: 4,8,16 or 2..8 or 0ms..10ms:5."""


_MEANT = re.compile(r" Did you mean (\w+)\?$")
"""What an error says of a word that is none of those allowed."""

_OF_SERVECAST = "servecast-"
_SWEEP_BEGINS = '{"format": "servecast-sweep/'
"""How the version begins of what servecast writes, and the file of a sweep, which is JSON line by line."""

_TAKEN_BY = {
    "forecast": "servecast rerun or diff takes it",
    "whatif": "servecast rerun takes it",
    "plan": "servecast rerun takes it",
    "capacity": "servecast rerun takes it",
}
"""What takes the saved result of a command; nothing takes the others."""

_OF_ONE_RATE = ("even", "poisson", "gamma")
"""Arrival processes that need a rate and nothing else."""


def load_scenario(source: str | Path | Mapping[str, object], overrides: Sequence[str] = ()) -> Scenario:
    """Return the scenario of a file (.yaml, .yml, .toml, .json) or of a mapping with a file's content.

    `overrides` are texts such as "batching.max_batch=8", put in before anything is checked. Files that the scenario
    names are looked for from the scenario file's folder, and read. Raises ScenarioError, or SettingError of policy
    where a serving rule is out of its range; either message is one sentence.
    """
    content, folder = written_scenario(source)
    return checked_scenario(content, folder, overrides)


def written_scenario(source: str | Path | Mapping[str, object]) -> tuple[dict[str, object], Path]:
    """Return what a file or a mapping holds, unchecked, and the folder from which its paths count.

    What has no name in a file has the file's, without its ending.
    Many configurations of one file are made from it by checked_scenario. Raises ScenarioError.
    """
    if isinstance(source, Mapping):
        return dict(source), Path()
    path = Path(source)
    return {"name": path.stem[:NAME_MAX], **_read_file(path)}, path.parent


def checked_scenario(content: dict[str, object], folder: Path, overrides: Sequence[str] = ()) -> Scenario:
    """Return the scenario of a content, changed by overrides. Raises as load_scenario does."""
    scenario = _with_overrides_checked(content, overrides).at(folder)
    check_rules(scenario)
    check_versions(scenario)
    return with_checked_trace(scenario)


def _with_overrides_checked(content: dict[str, object], overrides: Sequence[str]) -> Scenario:
    """Return the scenario of a content with overrides. An error that one of them explains says what to write."""
    try:
        return _checked(with_overrides(content, overrides))
    except ScenarioError as error:
        for key, equals, text in (override.partition("=") for override in overrides):
            said = _explained(str(error), key.strip(), text.strip()) if equals else None
            if said is not None:
                raise ScenarioError(said) from None
        raise


def _explained(error: str, key: str, text: str) -> str | None:
    """Return an error with what to write in place of an override; None where it does not come from that."""
    section, _, last = key.rpartition(".")
    goal = key.removeprefix("goals.")
    if key == f"goals.{goal}" and goal.replace(".", "") in Goals.model_fields and error.startswith("goals."):
        return f"{shown(key)} is not a known key: did you mean goals.{goal.replace('.', '')}?" if "." in goal else None
    if _SEVERAL.fullmatch(text) and error.startswith(f"{key} must "):
        several = f"{shown(key)}={shown(text)}"
        point = f" A number has a point, {text.replace(',', '.')}." if _is_decimal(error, text) else ""
        return (
            f"{error} Only one value can stand here: servecast whatif SCENARIO --set {several} compares several.{point}"
        )
    if last == "process" and error.startswith(f"{section}."):
        if error.startswith(f"{key} must be one of"):
            meant = _MEANT.search(error)
            if meant is None:
                return None
            text = meant[1]
        kept, more = f"--set {key} keeps the other keys of {section}", "rate: 400/s" if text in _OF_ONE_RATE else "..."
        return f"{error} {kept}: change all of it, --set '{section}={{process: {shown(text)}, {more}}}'."
    return None


def _is_decimal(error: str, text: str) -> bool:
    """Return whether a comma may stand for the point of a number that has one."""
    return "must be a number" in error and _DECIMAL_COMMA.fullmatch(text) is not None


def _checked(content: dict[str, object]) -> Scenario:
    """Return the content as a Scenario."""
    try:
        return Scenario.model_validate(_frozen(content))
    except ValidationError as error:
        raise ScenarioError(sentence(error, content, Scenario)) from None


def _frozen(value: Any) -> Any:
    """Return a copy with tuples for lists: a Scenario is immutable through and through."""
    if isinstance(value, Mapping):
        return {key: _frozen(inner) for key, inner in value.items()}
    return tuple(map(_frozen, value)) if isinstance(value, (list, tuple)) else value


def _read_file(path: Path) -> dict[str, object]:
    """Return the mapping that a file holds."""
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise ScenarioError(f"{path} must be a scenario file that ends in .yaml, .yml, .toml or .json.")
    text = _read_text(path)
    if text.startswith(_SWEEP_BEGINS):
        raise ScenarioError(f"{path} holds the runs of a sweep and no scenario: servecast whatif --save takes it.")
    content = reader(text, str(path))
    if not isinstance(content, dict):
        got = "nothing" if content is None else in_words(content)
        raise ScenarioError(f"{path} must hold a mapping with traffic, model and batching. Got {got}.")
    _refuse_saved(content, path)
    return content


def _refuse_saved(content: Mapping[str, object], path: Path) -> None:
    """Raise ScenarioError for what servecast itself has written, and say what takes it."""
    kind, taken_by = str(content.get("version", content.get("format", ""))).partition("/")[0], ""
    if not kind.startswith(_OF_SERVECAST):
        return
    command = kind.removeprefix(_OF_SERVECAST)
    if command == "calibration":
        what, taken_by = "a calibration", "model.profile of a scenario takes it"
    elif command == "manifest":
        what, taken_by = "the manifest of a saved result", "servecast rerun takes it"
    else:
        what, taken_by = f"a saved result of servecast {command}", _TAKEN_BY.get(command, "")
    raise ScenarioError(f"{path} is {what} and no scenario{taken_by and f': {taken_by}'}.")


def _read_text(path: Path) -> str:
    """Return the text of a file of at most 1 MB."""
    try:
        with path.open("rb") as file:
            data = file.read(SIZE_MAX_BYTES + 1)
    except FileNotFoundError as error:
        close = close_file(path, _READERS)
        hint = f" Did you mean {path.with_name(close)}?" if close else ""
        raise ScenarioError(f"{path} cannot be read: {error.strerror or error}.{hint}") from None
    except OSError as error:
        raise ScenarioError(f"{path} cannot be read: {error.strerror or error}.") from None
    if len(data) > SIZE_MAX_BYTES:
        raise ScenarioError(f"{path} is larger than 1 MB: a scenario is a page or two of text.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ScenarioError(f"{path} is not UTF-8 text: byte {error.start} is not.") from None


def _read_toml(text: str, source: str) -> object:
    """Return the content of a TOML text."""
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ScenarioError(f"{source} is not valid TOML: {_reason(error)}.") from None


def _read_json(text: str, source: str) -> object:
    """Return the content of a JSON text."""
    try:
        return json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ScenarioError(f"{source} is not valid JSON: {_reason(error)}.") from None


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return a mapping, or raise ValueError: json keeps the last of two equal keys in silence."""
    content: dict[str, object] = {}
    for key, value in pairs:
        if key in content:
            raise ValueError(f"the key {in_words(key)} stands twice in one mapping")
        content[key] = value
    return content


def _no_constant(word: str) -> object:
    """Raise ValueError for NaN and Infinity, which are not JSON."""
    raise ValueError(f"{word} is not a number of JSON")


def _reason(error: Exception) -> str:
    """Return what a parser found, without its full stop."""
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error).rstrip(".")


_READERS = {".yaml": read_yaml, ".yml": read_yaml, ".toml": _read_toml, ".json": _read_json}
