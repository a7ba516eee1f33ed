"""Compare many configurations of a scenario: what happens to latency, refusals and cost if some keys change.

Each --set names a key and its values: a list (4,8,16), a range with so many values (0ms..10ms:5), or whole numbers
(2..8); a key with one value is changed everywhere. All combinations are run, with --one-at-a-time each value alone.
Every configuration meets the same arrivals and dice, so differences are those of pairs of runs. The base case is the
scenario itself where it is among the configurations, else the first. Exit code 1 if no configuration meets the goals.

Examples:
  servecast whatif sentiment --set batching.max_batch=4,8,16
  servecast whatif sentiment --set batching.max_wait=0ms..10ms:5 --set batching.max_batch=4,8,16 --picture map.png
  servecast whatif sentiment --set batching.max_wait=0ms,10ms --set traffic.arrivals.rate=300/s,500/s --one-at-a-time
  servecast whatif sentiment --warnings
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from servecast.command_line import (
    Parser,
    add_engine,
    add_outputs,
    add_quiet,
    add_seed,
    add_workers,
    count,
    output_file,
    picture_file,
)
from servecast.engine_choice import choose_engine
from servecast.errors import Exit
from servecast.interrupts import orderly
from servecast.outputs import show
from servecast.scenarios import tell_of_any_trace
from servecast.streams import Talk

__all__ = ["add_arguments", "run"]


def add_arguments(parser: Parser) -> None:
    """It takes the scenario, what varies, where the runs are made, and where the answer goes."""
    parser.add_argument("scenario", metavar="SCENARIO", help="a scenario file (YAML, TOML, JSON), or an example's name")
    parser.add_argument(
        "--set",
        "--vary",
        dest="varied",
        metavar="KEY=VALUES",
        action="append",
        default=[],
        help="a key and its values: 4,8,16 or 0ms..10ms:5 or 2..8; may be given several times",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--grid", action="store_true", default=True, help="every combination of values (default)")
    how.add_argument(
        "--one-at-a-time", dest="grid", action="store_false", help="the scenario itself, then each value alone"
    )
    parser.add_argument(
        "--figures",
        type=_names,
        metavar="NAMES",
        help="figures to show, as in p50,p99,refused,cost (default: by goals and costs)",
    )
    parser.add_argument(
        "--warnings", action="store_true", help="also try the base case without wait, long queue and bursts, and warn"
    )
    add_seed(parser)
    parser.add_argument("--runs", type=count, metavar="N", help="runs of each configuration (default: horizon.runs)")
    add_workers(parser)
    parser.add_argument(
        "--backend",
        choices=["loky", "dask", "ray"],
        default="loky",
        help="what runs them: processes here (loky), a Dask or a Ray cluster; the result is the same",
    )
    parser.add_argument("--cluster", metavar="URL", help="the address of a Dask scheduler or of a Ray cluster")
    parser.add_argument(
        "--save",
        type=output_file,
        metavar="FILE",
        help="keep what is finished; started again, it goes on from there",
    )
    parser.add_argument(
        "--picture",
        type=picture_file,
        metavar="FILE",
        help="draw curves, a heat map or sensitivities (.png, .svg, .pdf)",
    )
    add_engine(parser)
    add_outputs(parser)
    add_quiet(parser)


def _names(text: str) -> list[str]:
    """Return the names of figures from the command line; whether there are such is said where they are read."""
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        got = f"Got {text}" if text else "Got an empty text"
        raise argparse.ArgumentTypeError(f"must be names with a comma between any two, as in p50,p99. {got}")
    return names


class _Keeping:
    """Says what of a sweep is kept in a file: how much was there at its start, and how much is when Ctrl-C ends it."""

    def __init__(self, file: Path | None, talk: Talk, bar: Callable[[int, int], None] | None) -> None:
        """`file` None keeps nothing; `bar` shows the progress, None: it is not to be shown."""
        self._file, self._talk, self._bar = file, talk, bar
        self._counts: tuple[int, int] | None = None  # finished, in all; None before the first is begun

    def __call__(self, done: int, count: int) -> None:
        """Take in how many configurations are finished, and how many there are."""
        if self._counts is None and self._file is not None and done:
            self._talk.say(f"{_so_many(done, count)} taken over from {self._file}.")
        self._counts = done, count
        if self._bar is not None:
            self._bar(done, count)

    def __enter__(self) -> _Keeping:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Where Ctrl-C or a SIGTERM ended the sweep, say what is kept; --quiet silences that nothing is."""
        if kind is None or not issubclass(kind, KeyboardInterrupt):
            return
        if self._file is None:
            self._talk.say("Nothing is kept: --save FILE keeps what is finished, and then goes on from there.")
        elif self._counts is not None:
            kept = f"{_so_many(*self._counts)} kept in {self._file}: the same command goes on from there."
            print(kept, file=sys.stderr, flush=True)


def _so_many(done: int, count: int) -> str:
    """Return how many of the configurations, with the verb."""
    return f"{done} of {count} configurations {'is' if done == 1 else 'are'}"


def run(options: argparse.Namespace) -> Exit:
    """Compare and print."""
    from servecast.api import whatif, whatif_picture
    from sim.planner.grid import parse_axis
    from sim.report.whatif_figures import refuse_undrawable

    axes = [parse_axis(text) for text in options.varied]
    if options.picture is not None:
        refuse_undrawable(axes, grid=options.grid)
    talk = Talk(quiet=options.quiet)
    choose_engine(options.engine, talk)
    tell_of_any_trace(options.scenario, (), talk)
    with (
        orderly(),
        talk.progress("comparing configurations") as bar,
        _Keeping(options.save, talk, bar) as progress,
    ):
        answer = whatif(
            options.scenario,
            options.varied,
            grid=options.grid,
            seed=options.seed,
            runs=options.runs,
            figures=options.figures or (),
            warnings=options.warnings,
            backend=options.backend,
            cluster=options.cluster,
            workers=options.workers,
            save=options.save,
            progress=progress,
        )
    from sim.report.whatif_document import whatif_document
    from sim.report.whatif_tables import whatif_report

    show(
        options,
        talk,
        text=partial(whatif_report, answer),
        json=answer.to_json,
        document=partial(whatif_document, answer, command=options.command_line),
    )
    if options.picture is not None:
        whatif_picture(answer).save(options.picture)
        talk.say(f"The picture is in {options.picture}")
    if all(row.refusal is not None for row in answer.rows):
        return Exit.REFUSED
    met = {row.goals_met for row in answer.rows if row.refusal is None} if answer.limits else {True}
    return Exit.DONE if True in met else Exit.REFUSED if None in met else Exit.MISSED
