"""What to say of a file that is not there: where it was looked for, and which one was probably meant."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from pathlib import Path

__all__ = ["close_file", "where_looked"]

_CLOSE = 0.7  # likeness from which a name is taken for a slip of another
_LOOKED_AT_MOST = 1_000  # files of a folder: a hint is not worth a walk through a data lake


def close_file(path: Path, endings: Collection[str]) -> str | None:
    """Return the name of the file beside a missing one that is most like it; None where none is.

    `endings` are those that such a file may have, in lower case, with their dot.
    """
    names = []
    try:
        for place, file in enumerate(path.parent.iterdir()):
            if place >= _LOOKED_AT_MOST:
                break
            if file.suffix.lower() in endings:
                names.append(file.name)
    except OSError:
        return None
    close = get_close_matches(path.name, sorted(names), n=1, cutoff=_CLOSE)
    return close[0] if close else None


def where_looked(path: Path) -> str:
    """Return in which folder a path was looked for; nothing for one that says it itself."""
    return "" if path.is_absolute() else f" in {path.parent.absolute()}"
