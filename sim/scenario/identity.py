"""One hash for what was asked: two results with equal hashes answer the same question."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from sim.errors import ScenarioError
from sim.scenario.arrival_spec import RecordedTrace
from sim.scenario.spec import Model, Scenario

__all__ = ["resolved", "scenario_hash"]


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
    arrivals = scenario.traffic.arrivals
    if isinstance(arrivals, RecordedTrace):
        content["traffic"]["arrivals"]["file"] = _content_hash(scenario.path_of(arrivals.file))
    models: list[tuple[Model | None, Any]] = [(scenario.model, content["model"])]
    models += [
        (version.model, each["model"]) for version, each in zip(scenario.versions, content["versions"], strict=True)
    ]
    for model, told in models:
        if model is not None and model.profile is not None:
            told["profile"] = _content_hash(scenario.path_of(model.profile))
    return content


def _content_hash(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    try:
        with path.open("rb") as file:
            return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ScenarioError(f"{path} cannot be read: {error.strerror or error}.") from None
