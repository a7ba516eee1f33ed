"""What is kept of a configuration's runs, and the file that keeps it while a sweep goes on.

The file is JSON lines: the first says of which sweep it is, each further one is a finished configuration. It is only
ever appended to, so whatever ends a sweep costs at most the line that was being written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from sim.errors import ScenarioError
from sim.forecast.estimates import Figure

__all__ = ["ConfigurationResult", "SavedRuns", "as_kept"]

_FORMAT: Final = "servecast-sweep/1"


@dataclass(frozen=True)
class ConfigurationResult:
    """What the runs of one configuration came to."""

    figures: dict[str, Figure]
    runs: dict[str, tuple[float | None, ...]]  # what each run showed of each figure; None where it shows nothing
    drawn: dict[str, tuple[float | None, ...]]  # the same on a drawn calibration each; empty where nothing is drawn
    requests: int  # measured, in all runs
    simulated: int  # attempts that the engine ran, the drawn runs' too
    refusal: str | None = None  # why there are no figures


_RESULT = TypeAdapter(ConfigurationResult)


def as_kept(result: ConfigurationResult) -> ConfigurationResult:
    """Return a result as its file would give it back: a whole number among the figures becomes a float."""
    return _RESULT.validate_python(_RESULT.dump_python(result, mode="json"))


class SavedRuns:
    """The file of one sweep; `question` says what all its configurations share, in words that a person understands."""

    def __init__(self, path: Path, question: Mapping[str, object]) -> None:
        """Read what is finished, or begin the file. Raises ScenarioError for a file of something else, and OSError."""
        self.results: dict[str, ConfigurationResult] = {}
        self._path = path
        lines = path.read_bytes().split(b"\n") if path.exists() else []
        broken = lines.pop() if lines else b""  # behind the last newline there is nothing, or half a line
        head = {"format": _FORMAT, **question}
        if lines:
            self._check_head(lines[0], head)
        elif broken and not json.dumps(head).encode().startswith(broken):
            raise ScenarioError(f"{path} is not a file of a sweep: name another one for --save.")
        for number, line in enumerate(lines[1:], start=2):
            self._read(line, number)
        self._file = path.open("r+b" if path.exists() else "wb")
        self._file.truncate(sum(len(line) + 1 for line in lines))
        self._file.seek(0, 2)
        if not lines:
            self._write(head)

    def add(self, key: str, result: ConfigurationResult) -> None:
        """Keep a finished configuration."""
        self.results[key] = result
        self._write({"configuration": key, **_RESULT.dump_python(result, mode="json")})

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _write(self, content: Mapping[str, object]) -> None:
        """Append a line, and hand it to the system at once."""
        self._file.write(json.dumps(content, allow_nan=False).encode() + b"\n")
        self._file.flush()

    def _check_head(self, line: bytes, head: Mapping[str, object]) -> None:
        """Raise ScenarioError unless the file is of this sweep."""
        try:
            found = json.loads(line)
        except ValueError:
            found = None
        if not isinstance(found, dict) or found.get("format") != _FORMAT:
            raise ScenarioError(f"{self._path} is not a file of a sweep: name another one for --save.")
        for key, asked in head.items():
            if found.get(key) != asked:
                raise ScenarioError(
                    f"{self._path} holds another sweep, with {key}: {found.get(key)}, and this one has {key}: {asked}. "
                    "Name another file for --save."
                )

    def _read(self, line: bytes, number: int) -> None:
        """Take in a finished configuration."""
        try:
            content: dict[str, Any] = json.loads(line)
            self.results[content.pop("configuration")] = _RESULT.validate_python(content)
        except (ValueError, KeyError, AttributeError, ValidationError):
            raise ScenarioError(f"{self._path} is damaged in line {number}: name another file for --save.") from None
