"""Where words go: results to stdout, talk and progress to stderr, progress only where a person is watching."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["Talk", "as_json", "print_json", "print_text", "write_json"]

_PLAIN_WIDTH = 140
"""Columns of a result that does not go to a terminal."""


class Talk:
    """What is said on stderr beside the result."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet

    def say(self, sentence: str) -> None:
        """Say a sentence."""
        if not self._quiet:
            print(sentence, file=sys.stderr, flush=True)

    @contextmanager
    def progress(self, label: str) -> Iterator[Callable[[int, int], None] | None]:
        """Show a bar while the block runs; yield what takes (done, in all), None where nobody is watching."""
        with self.steps(label) as tell:
            yield None if tell is None else lambda done, of: tell(label, done / max(of, 1))

    @contextmanager
    def steps(self, label: str) -> Iterator[Callable[[str, float], None] | None]:
        """Show a bar as progress() does; yield what takes (what is being done, share of all that is behind)."""
        if self._quiet or not sys.stderr.isatty():
            yield None
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        left = (TimeRemainingColumn(), TextColumn("left"))
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), *left)
        with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
            bar = bars.add_task(label, total=1.0)
            yield lambda what, share: bars.update(bar, description=what, completed=share)


def print_text(*parts: RenderableType) -> None:
    """Print a result for people: in a terminal as wide as that is, elsewhere as plain text. NO_COLOR is honoured."""
    from rich.console import Console, Group

    from sim.report.tables import as_text

    if not sys.stdout.isatty():
        sys.stdout.write(as_text(Group(*parts), _PLAIN_WIDTH))
        return
    console = Console(file=sys.stdout, highlight=False)
    for part in parts:
        console.print(part, crop=False)  # a line to be copied is longer than the terminal: it breaks it, and no word


def print_json(result: Mapping[str, object]) -> None:
    """Print a result for machines."""
    sys.stdout.write(as_json(result))


def write_json(result: Mapping[str, object], path: Path) -> None:
    """Write a result for machines into a file."""
    path.write_text(as_json(result), encoding="utf-8")


def as_json(result: Mapping[str, object]) -> str:
    """Return JSON that every reader takes: no NaN, no infinity."""
    return json.dumps(result, indent=2, allow_nan=False) + "\n"
