"""Where words go: results to stdout, talk and progress to stderr, as a bar where a person is watching."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["Talk", "as_json", "print_json", "print_text", "write_json"]

_FIRST_LINE_S = 10.0
_LINES_APART_S = 30.0
"""When work that nobody watches on a terminal says how far it is."""

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
        """Show how far the block is while it runs; yield what takes (done, in all), None if nothing is to be said."""
        with self.steps(label) as tell:
            yield None if tell is None else lambda done, of: tell(label, done / max(of, 1))

    @contextmanager
    def steps(self, label: str) -> Iterator[Callable[[str, float], None] | None]:
        """Show it as progress() does; yield what takes (what is being done, share of all that is behind)."""
        if self._quiet:
            yield None
            return
        if not sys.stderr.isatty():
            with _Lines(label, self.say) as lines:
                yield lines.tell
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        left = (TimeRemainingColumn(), TextColumn("left"))
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), *left)
        with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
            bar = bars.add_task(label, total=1.0)
            yield lambda what, share: bars.update(bar, description=what, completed=share)


class _Lines:
    """A line at times, for a log: long work says that it goes on, and short work says nothing."""

    def __init__(self, label: str, say: Callable[[str], None]) -> None:
        self._what, self._share, self._say = label, 0.0, say
        self._done = Event()
        self._thread = Thread(target=self._speak, name="progress", daemon=True)  # work may call tell() hours apart
        self._began_s = monotonic()

    def tell(self, what: str, share: float) -> None:
        """Take what is being done and the share of all that is behind."""
        self._what, self._share = what, share

    def __enter__(self) -> _Lines:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _speak(self) -> None:
        wait_s = _FIRST_LINE_S
        while not self._done.wait(wait_s):
            self._say(self._line(monotonic() - self._began_s))
            wait_s = _LINES_APART_S

    def _line(self, elapsed_s: float) -> str:
        """Return what there is to say after so many seconds; how long it will take is known when a part is done."""
        behind = f"{self._what}: {100 * self._share:.0f} % after {_rough_time(elapsed_s)}"
        if not self._share:
            return f"{behind}."
        return f"{behind}, about {_rough_time(elapsed_s * (1 - self._share) / self._share)} left."


def _rough_time(seconds: float) -> str:
    """Return a time in seconds, in minutes, or in hours, as one would say it."""
    for unit, unit_s in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * unit_s:
            return f"{seconds / unit_s:.0f} {unit}"
    return f"{seconds:.0f} s"


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
