"""What was asked: as one hash, for two results with equal hashes answer the same question, and as it would be written.

Files that a scenario names count by their content; where they lie says nothing of the question and much of a machine.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from sim.errors import ScenarioError
from sim.scenario.arrival_spec import RecordedTrace
from sim.scenario.fields import AS_WRITTEN
from sim.scenario.missing import where_looked
from sim.scenario.spec import Scenario

__all__ = ["as_written", "content_hash", "named_files", "put", "resolved", "scenario_hash"]


def scenario_hash(scenario: Scenario) -> str:
    """Return the SHA-256, in hex, of the resolved scenario as JSON with sorted keys. Raises ScenarioError."""
    text = json.dumps(resolved(scenario), sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def resolved(scenario: Scenario) -> dict[str, Any]:
    """Return the scenario with every default filled in, in ns and per second, and no paths.

    A trace and a calibration stand there by the hash of their content: where they lie says nothing, and a path would
    tell of the machine. Raises ScenarioError if one cannot be read.
    """
    content = scenario.model_dump(mode="json")
    for key, path in named_files(scenario).items():
        put(content, key, content_hash(path))
    return content


def as_written(scenario: Scenario) -> dict[str, Any]:
    """Return the scenario as a file would hold it, with every default spelled out and quantities with their units.

    sim.scenario.load.load_scenario makes the same scenario of it, where the files that it names lie beside it: they
    stand there by their bare names.
    """
    content = scenario.model_dump(mode="json", context=AS_WRITTEN)
    for key, path in named_files(scenario).items():
        put(content, key, path.name)
    for one in (content, *content["versions"]):
        pass_time = one.get("model", {}).get("pass_time", {})
        if "table" in pass_time:
            del pass_time["base"], pass_time["per_item"]  # it stands in their place
    if scenario.rollout is not None and scenario.rollout.system is not None:
        content["rollout"] = {key: content["rollout"][key] for key in ("start", scenario.rollout.system)}
    return content


def named_files(scenario: Scenario) -> dict[str, Path]:
    """Return where the files lie that the scenario names, by the dotted keys that name them."""
    arrivals = scenario.traffic.arrivals
    names = {"traffic.arrivals.file": arrivals.file if isinstance(arrivals, RecordedTrace) else None}
    names["model.profile"] = scenario.model.profile
    for place, version in enumerate(scenario.versions):
        if version.model is not None:
            names[f"versions.{place}.model.profile"] = version.model.profile
    return {key: scenario.path_of(name) for key, name in names.items() if name is not None}


def put(content: dict[str, Any], key: str, value: object) -> None:
    """Put a value below a dotted key that is there; numbers in it are places in a list, counted from 0."""
    *steps, last = key.split(".")
    inner: Any = content
    for step in steps:
        inner = inner[int(step)] if isinstance(inner, list) else inner[step]
    inner[last] = value


def content_hash(path: Path) -> str:
    """Return the SHA-256 of a file's bytes. Raises ScenarioError if it cannot be read."""
    try:
        about = path.stat()
        return _hash(path, about.st_mtime_ns, about.st_size)
    except OSError as error:
        raise ScenarioError(f"{path} cannot be read: {error.strerror or error}{where_looked(path)}.") from None


@lru_cache(maxsize=64)
def _hash(path: Path, changed_ns: int, size: int) -> str:
    """Read a file once, and again when it has changed: a sweep asks for each of its configurations."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
