"""The seal of an exported file: a head with the scenario that it was made from, and a checksum that shows edits."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

__all__ = ["is_as_written", "origin", "sealed", "source_of"]

_BEGINS: Final = "# Written by servecast export "
_ORIGIN: Final = re.compile(r"^Written by servecast export --to \S+ from (.+?) \([0-9a-f]{12}\)\.")
_HEAD_MOST: Final = 500
"""Characters of a file in which its origin stands, which may be over two lines."""

_SEAL: Final = re.compile(r"^# Checksum of what follows \(([0-9a-f]{12})\)\.\n", re.MULTILINE)


def origin(to: str, scenario: str, scenario_hash: str) -> str:
    """Return the sentence that says of what a file was made."""
    return f"Written by servecast export --to {to} from {scenario} ({scenario_hash[:12]})."


def source_of(text: str) -> str | None:
    """Return the name of the scenario that an exported file was made from; None of any other file."""
    head = " ".join(line.lstrip("#").strip() for line in text[:_HEAD_MOST].splitlines())
    found = _ORIGIN.match(head)
    return found[1] if found is not None else None


def sealed(head: str, rest: str) -> str:
    """Return a file with the checksum of the rest between the two; the head says what wrote it."""
    return f"{head}# Checksum of what follows ({_checksum(rest)}).\n{rest}"


def is_as_written(text: str) -> bool:
    """Return whether a file was written by an export, and nobody has changed it since."""
    seal = _SEAL.search(text)
    return text.startswith(_BEGINS) and seal is not None and seal[1] == _checksum(text[seal.end() :])


def _checksum(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:12]
