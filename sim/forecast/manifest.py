"""What makes a result again: the command, the whole scenario with the content of its files, seed and runs; and on what.

Every result carries one, as `manifest`. Calibrations and short traces stand in it as they were, so it needs no other
file; a longer trace stands there by its hash, and by the path that the scenario's author and the command gave it.
"""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from sim.errors import ScenarioError
from sim.forecast.provenance import host, versions
from sim.scenario.identity import as_written, content_hash, named_files, put, scenario_hash
from sim.scenario.load import load_scenario
from sim.scenario.spec import Scenario

__all__ = ["MANIFEST_VERSION", "Manifest", "NamedFile", "manifest_of", "unlike_conditions"]

MANIFEST_VERSION: Final = "servecast-manifest/1"

_TRACE_MAX_BYTES: Final = 100_000
"""The longest trace that a manifest holds."""


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
        from pydantic import TypeAdapter, ValidationError

        told = {**content}
        version = told.pop("version", None)
        if version != MANIFEST_VERSION:
            raise ScenarioError(
                f"{source} must hold a manifest of the version {MANIFEST_VERSION}. Got {version}: the servecast that "
                "wrote it reads it."
            )
        try:
            return TypeAdapter(cls).validate_python(told)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(map(str, first["loc"]))
            raise ScenarioError(f"The manifest in {source} is not right: {key}: {first['msg']}.") from None

    def scenario_in(self, folder: Path) -> Scenario:
        """Return the scenario, its files in an empty folder, which must stay for as long as it is used.

        Raises ScenarioError as content_in does.
        """
        return load_scenario(self.content_in(folder))

    def content_in(self, folder: Path) -> dict[str, Any]:
        """Return the scenario as the content of a file, the files that it names in an empty folder.

        Raises ScenarioError where the scenario, or a file that it names, is not what the result was made with.
        """
        content = copy.deepcopy(self.scenario)
        for number, (key, file) in enumerate(self.files.items()):
            place = file.placed(folder / str(number))
            try:
                put(content, key, str(place))
            except (LookupError, TypeError, ValueError):
                raise ScenarioError(f"The manifest names a file as {key}, and its scenario has no such key.") from None
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


def _named_file(path: Path, *, whole: bool) -> NamedFile:
    """Return a file with its content if it is short, or is wanted whole."""
    found = content_hash(path)
    if whole or path.stat().st_size <= _TRACE_MAX_BYTES:
        try:
            return NamedFile(path.name, found, content=path.read_bytes().decode())
        except UnicodeDecodeError:
            pass
    return NamedFile(path.name, found, path=str(path))
