"""Tests of calibration/progress.py."""

from __future__ import annotations

from calibration.progress import part_of


def test_parts_share_the_whole() -> None:
    """The second of four parts runs from a quarter to a half, under its own name."""
    told: list[tuple[str, float]] = []
    tell = part_of(lambda what, share: told.append((what, share)), 1, 4, "60 %")
    tell("measured", 0.0)
    tell("predicted", 1.0)
    assert told == [("60 %: measured", 0.25), ("60 %: predicted", 0.5)]


def test_nobody_needs_to_listen() -> None:
    """Without a listener there is nothing to tell."""
    part_of(None, 0, 1)("measured", 0.5)
