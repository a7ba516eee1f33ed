"""Telling a person how far a long measurement is."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Progress", "part_of"]

Progress = Callable[[str, float], None]
"""Told what has been done, and which share of all of it is behind, 0..1."""


def part_of(progress: Progress | None, index: int, count: int, name: str = "") -> Progress:
    """Return the progress of one part among `count` equal ones; its words stand behind the part's name."""
    if progress is None:
        return lambda _what, _share: None
    before = f"{name}: " if name else ""
    return lambda what, share: progress(before + what, (index + share) / count)
