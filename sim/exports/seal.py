"""The seal of an exported file: a checksum in its head, by which an edited file is told from one as it was written."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

__all__ = ["is_as_written", "sealed"]

_BEGINS: Final = "# Written by servecast export "
_SEAL: Final = re.compile(r"^# Checksum of what follows \(([0-9a-f]{12})\)\.\n", re.MULTILINE)


def sealed(head: str, rest: str) -> str:
    """Return a file with the checksum of the rest between the two; the head says what wrote it."""
    return f"{head}# Checksum of what follows ({_checksum(rest)}).\n{rest}"


def is_as_written(text: str) -> bool:
    """Return whether a file was written by an export, and nobody has changed it since."""
    seal = _SEAL.search(text)
    return text.startswith(_BEGINS) and seal is not None and seal[1] == _checksum(text[seal.end() :])


def _checksum(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:12]
