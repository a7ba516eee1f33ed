"""Make a saved result again, and say whether it comes out the same.

FILE is what forecast, whatif, plan or capacity printed with --json, or the manifest in it alone. The result goes to
stdout as it was printed the first time; whether it is the same goes to stderr. Exit code 1 if a figure differs, 2 if a
trace, a calibration or the manifest is not what it was.

Examples:
  servecast forecast sentiment --json > result.json
  servecast rerun result.json > again.json
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from servecast.command_line import Parser, add_engine, add_quiet, add_workers
from servecast.engine_choice import choose_engine
from servecast.errors import Exit
from servecast.interrupts import nothing_kept
from servecast.saved_results import Saved, differences, made_again, read_saved
from servecast.streams import Talk, as_json, print_json

__all__ = ["add_arguments", "run"]

_NAMED_MAX = 3
"""So many of the values that differ are named."""


def add_arguments(parser: Parser) -> None:
    """It takes the saved result."""
    parser.add_argument("file", type=Path, metavar="FILE", help="a saved result, or a manifest")
    add_workers(parser)
    add_engine(parser)
    add_quiet(parser)


def run(options: argparse.Namespace) -> Exit:
    """Make it again, print it, say whether it is the same."""
    saved = read_saved(options.file)
    talk = Talk(quiet=options.quiet)
    choose_engine(options.engine, talk)
    with nothing_kept(talk), talk.progress(f"making {saved.source} again") as progress:
        made = made_again(saved.manifest, workers=options.workers, progress=progress)
    print_json(made)
    sentence, is_same = _verdict(saved, made)
    talk.say(sentence)
    return Exit.DONE if is_same else Exit.MISSED


def _verdict(saved: Saved, made: dict[str, Any]) -> tuple[str, bool]:
    """Return whether what was made is what was saved, in a sentence."""
    from sim.forecast.manifest import Manifest, unlike_conditions
    from sim.scenario.units import shown

    if not saved.is_result:
        return f"{saved.source} is a manifest alone: there is no result to compare with.", True
    if as_json(made) == saved.text:
        return f"The same bytes as {saved.source}.", True
    unlike = ", ".join(unlike_conditions(saved.manifest, Manifest.from_json(made["manifest"], "what was made")))
    found = differences(saved.content, made)
    if not found:
        engines = [each.get("provenance", {}).get("engine") for each in (saved.content, made)]
        why = "made by another engine" if engines[0] != engines[1] else "which is written in another form"
        why = f"made under other conditions: {unlike}" if unlike else why
        return f"The same figures as in {saved.source}, {why}.", True
    values = sorted(found, key=lambda one: not one[0].endswith(".value"))
    named = "; ".join(f"{key} {shown(before)} then, {shown(now)} now" for key, before, now in values[:_NAMED_MAX])
    more = f"; and {len(values) - _NAMED_MAX} more" if len(values) > _NAMED_MAX else ""
    same = f"Versions and host are the same: the code itself differs, or {saved.source} was changed by hand"
    cause = f"The probable cause: {unlike}" if unlike else same
    told = "1 value is not that" if len(values) == 1 else f"{len(values)} values are not those"
    return f"{told} of {saved.source}: {named}{more}. {cause}.", False
