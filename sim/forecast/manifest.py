"""What makes a result again: the command, the whole scenario with the content of its files, seed and runs; and on what.

Every result carries one, as `manifest`. Calibrations and short traces stand in it as they were, so it needs no other
file; a longer trace stands there by its hash, and by the path that the scenario's author and the command gave it.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from sim.errors import ScenarioError
from sim.forecast.provenance import host, versions
from sim.scenario.fields import SEED_MAX
from sim.scenario.identity import as_written, content_hash, named_files, put, scenario_hash
from sim.scenario.load import load_scenario
from sim.scenario.rules import RUNS_MAX
from sim.scenario.spec import Scenario
from sim.scenario.units import in_words, shown

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = ["MANIFEST_VERSION", "Manifest", "NamedFile", "manifest_of", "read_as", "unlike_conditions"]

MANIFEST_VERSION: Final = "servecast-manifest/1"

_TRACE_MAX_BYTES: Final = 100_000
"""The longest trace that a manifest holds."""


Kind = TypeVar("Kind")


@dataclass(frozen=True)
class NamedFile:
    """A file that a scenario names."""

    name: str
    hash: str  # sha256: and the hex digits, of its bytes
    content: str | None = None
    path: str | None = None  # where it lay, where there is no content

    def placed(self, folder: Path) -> Path:
        """Return where it lies, put into the folder if it is held. Raises ScenarioError where it is another one."""
        if self.content is None:
            found = Path(self.path or self.name)
            if content_hash(found) != self.hash:
                raise ScenarioError(f"{found} is not the file that the result was made with: its content has changed.")
            return found
        if "sha256:" + hashlib.sha256(self.content.encode()).hexdigest() != self.hash:
            raise ScenarioError(f"{self.name} in the manifest is not as it was: its content has changed.")
        folder.mkdir()
        place = folder / (os.path.basename(os.path.normpath(f"/{self.name}")) or "file")
        place.write_bytes(self.content.encode())
        return place


@dataclass(frozen=True)
class Manifest:
    """What makes a result again, and on what it was made."""

    command: str
    scenario: dict[str, Any]  # as a file would hold it, every default spelled out
    scenario_hash: str
    files: dict[str, NamedFile]  # by the keys of the scenario that name them
    seed: int
    runs: int | None
    options: dict[str, Any]  # of the command, those besides seed and runs that decide what comes out
    versions: dict[str, str]
    host: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the manifest as plain values, version MANIFEST_VERSION."""
        content = asdict(self)
        for told in content["files"].values():
            del told["path" if told["path"] is None else "content"]
        return {"version": MANIFEST_VERSION, **content}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], source: str) -> Manifest:
        """Return the manifest that `source` holds. Raises ScenarioError if it is of another version, or is none."""
        if not isinstance(content, Mapping):
            raise ScenarioError(f"The manifest in {source} must be a mapping of keys. Got {in_words(content)}.")
        version = content.get("version")
        if version != MANIFEST_VERSION:
            raise ScenarioError(
                f"{source} must hold a manifest of the version {MANIFEST_VERSION}. Got {shown(version)}: the servecast "
                "that wrote it reads it."
            )
        where = f"The manifest in {source} is not right"
        manifest = read_as(cls, content, where)
        if not 0 <= manifest.seed <= SEED_MAX:
            raise ScenarioError(f"{where}: seed must be from 0 to {SEED_MAX}. Got {manifest.seed}.")
        if manifest.runs is not None and not 2 <= manifest.runs <= RUNS_MAX:
            raise ScenarioError(f"{where}: runs must be from 2 to {RUNS_MAX}. Got {manifest.runs}.")
        return manifest

    def scenario_in(self, folder: Path) -> Scenario:
        """Return the scenario, its files in an empty folder, which must stay for as long as it is used.

        Raises ScenarioError as content_in does.
        """
        return load_scenario(self.content_in(folder))

    def content_by_hash(self) -> dict[str, Any]:
        """Return the scenario as the content of a file, the files that it names by their names and hashes.

        Raises ScenarioError where the scenario has no place for one of them.
        """
        content = copy.deepcopy(self.scenario)
        for key, file in self.files.items():
            _put_file(content, key, f"{file.name} ({file.hash[:15]})")
        return content

    def content_in(self, folder: Path) -> dict[str, Any]:
        """Return the scenario as the content of a file, the files that it names in an empty folder.

        Raises ScenarioError where the scenario, or a file that it names, is not what the result was made with.
        """
        content = copy.deepcopy(self.scenario)
        for number, (key, file) in enumerate(self.files.items()):
            _put_file(content, key, str(file.placed(folder / str(number))))
        found = scenario_hash(load_scenario(content))
        if found != self.scenario_hash and versions()["servecast"] == self.versions.get("servecast"):
            raise ScenarioError("The scenario in the manifest is not the one of its scenario_hash: it has changed.")
        return content


def manifest_of(
    scenario: Scenario, *, command: str, seed: int, runs: int | None = None, options: Mapping[str, Any] | None = None
) -> Manifest:
    """Return the manifest of what a command makes of a scenario here and now.

    `options` are those, besides seed and runs, that decide what comes out. Raises ScenarioError if a file that the
    scenario names cannot be read any more.
    """
    return Manifest(
        command=command,
        scenario=as_written(scenario),
        scenario_hash=scenario_hash(scenario),
        files={key: _named_file(path, whole=key.endswith("profile")) for key, path in named_files(scenario).items()},
        seed=seed,
        runs=runs,
        options=dict(options or {}),
        versions=versions(),
        host=host(),
    )


def unlike_conditions(then: Manifest, now: Manifest) -> list[str]:
    """Return what differs between the versions and hosts of two manifests, each in a few words."""
    told = [(name, then.versions.get(name), version) for name, version in now.versions.items()]
    told += [(f"host's {name.replace('_', ' ')}", then.host.get(name), value) for name, value in now.host.items()]
    return [f"{name} {before or 'not told'} and {after}" for name, before, after in told if before != after]


def read_as(kind: type[Kind], content: Mapping[str, Any], where: str) -> Kind:
    """Return plain values from JSON as what they should be, a dataclass or a mapping of certain keys, and exactly so.

    Raises ScenarioError in one sentence, which `where` begins.
    """
    from pydantic import ValidationError

    from sim.scenario.messages import sentence

    try:
        # As JSON, since that is where a dataclass may come from a mapping though no number may from a text.
        made: Kind = _adapter(cast("Hashable", kind)).validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        raise ScenarioError(f"{where}: {sentence(error, content, kind)}") from None
    except (TypeError, ValueError, RecursionError):
        raise ScenarioError(f"{where}: it must hold what JSON can.") from None
    return made


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    """Return what reads a kind; to build it takes longer than to read."""
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _put_file(content: dict[str, Any], key: str, name: str) -> None:
    """Put the name of a file where the scenario names it. Raises ScenarioError where it has no such key."""
    try:
        put(content, key, name)
    except (LookupError, TypeError, ValueError):
        raise ScenarioError(f"The manifest names a file as {key}, and its scenario has no such key.") from None


def _named_file(path: Path, *, whole: bool) -> NamedFile:
    """Return a file with its content if it is short, or is wanted whole."""
    found = content_hash(path)
    if whole or path.stat().st_size <= _TRACE_MAX_BYTES:
        try:
            return NamedFile(path.name, found, content=path.read_bytes().decode())
        except UnicodeDecodeError:
            pass
    return NamedFile(path.name, found, path=str(path))
