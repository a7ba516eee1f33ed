"""Files that a command reads are not written over, and none is written twice: refused before anything runs.

What a command writes are its options of the types `output_file` and `picture_file`; what it reads are its scenario with
the trace and the calibrations in it, and the other files on its command line.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from servecast.command_line import Parser
from servecast.errors import UsageError

__all__ = ["check_outputs", "refuse_overwriting"]

_READ = {
    "scenario": "the scenario itself",
    "a": "what is compared",
    "b": "what is compared",
    "calibration": "the calibration that is used",
    "compare": "the older calibration",
    "admin_token_file": "the token",
}
"""Options that name a file which is read, and what it is."""

_NAMED = {"file": "the trace", "profile": "the calibration"}
"""Keys of a scenario that name a file, and what it is."""


def check_outputs(parser: Parser, options: argparse.Namespace) -> None:
    """Raise UsageError where an option would write over a file that the command reads, or that another one writes."""
    written: dict[Path, str] = {}
    for action in parser.writing():
        path = getattr(options, action.dest)
        if path is None:
            continue
        option = max(action.option_strings, key=len)
        refuse_overwriting(option, [path], options)
        other = written.setdefault(path.resolve(), option)
        if other != option:
            raise UsageError(f"{other} and {option} would both write {path}: name another file for one of them")


def refuse_overwriting(option: str, paths: Sequence[Path], options: argparse.Namespace) -> None:
    """Raise UsageError where one of the files that an option writes is read by the command."""
    there = [path for path in paths if path.exists()]
    if not there:
        return
    for read, what in _read_files(options):
        for path in there:
            if read.exists() and path.samefile(read):
                raise UsageError(f"{option} {path} would write over {what}: name another file")


def _read_files(options: argparse.Namespace) -> Iterator[tuple[Path, str]]:
    """Yield the files that a command reads, and what each is."""
    stated = {dest: str(value) for dest in _READ if (value := getattr(options, dest, None)) is not None}
    for dest, text in stated.items():
        yield Path(text), _READ[dest]
    changes = [*getattr(options, "overrides", []), *getattr(options, "varied", [])]
    for dest in ("scenario", "a", "b"):
        if dest in stated:
            yield from _named_files(stated[dest], changes)


def _named_files(source: str, changes: Sequence[str]) -> Iterator[tuple[Path, str]]:
    """Yield the files that a scenario, or a change of it, names; none of what cannot be read, which is told later."""
    from servecast.examples import scenario_source
    from sim.errors import ScenarioError
    from sim.scenario.load import written_scenario

    try:
        content, folder = written_scenario(scenario_source(source))
    except (ScenarioError, UsageError):
        return
    for key, name, what in [*_names(content), *(named for change in changes for named in _names_in_change(change))]:
        yield folder / name, f"{what} of {source} ({key})"


def _names_in_change(change: str) -> Iterator[tuple[str, str, str]]:
    """Yield the files that the values of `--set` or `--vary` name."""
    from sim.errors import ScenarioError
    from sim.planner.grid import parse_axis
    from sim.planner.question import taken_apart
    from sim.scenario.overrides import with_overrides

    try:
        for axes in taken_apart([parse_axis(change)]):
            for axis in axes:
                for value in axis.values:
                    yield from _names(with_overrides({}, [f"{axis.key}={value}"]))
    except ScenarioError:
        return


def _names(content: object, above: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield the files that a scenario's content names: the key, the name, and what it is."""
    parts = content.items() if isinstance(content, Mapping) else enumerate(content) if isinstance(content, list) else ()
    for key, value in parts:
        if key in _NAMED and isinstance(value, str):
            yield f"{above}{key}", value, _NAMED[key]
        yield from _names(value, f"{above}{key}.")
