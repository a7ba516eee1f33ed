"""The checksum in the head of a file."""

from __future__ import annotations

import pytest

from sim.exports.export import export
from sim.exports.seal import is_as_written, sealed
from tests.sim.scenario.example import scenario

HEAD = "# Written by servecast export --to triton from shop (0123456789ab).\n"


@pytest.mark.parametrize("to", ["kubernetes", "triton"])
def test_exported_file_is_as_written_until_it_is_edited(to: str) -> None:
    """In its notes, or below them."""
    (text,) = export(scenario(), to).files.values()
    assert is_as_written(text)
    assert not is_as_written(f"{text}\n")
    assert not is_as_written(text.replace("# The", "# A").replace("backend, input", "input"))


@pytest.mark.parametrize("text", ["", "a: 1\n", f"{HEAD}a: 1\n", sealed("# Mine.\n", "a: 1\n")])
def test_other_files_are_not(text: str) -> None:
    """Those without a head or a checksum, and those of somebody else."""
    assert not is_as_written(text)
