"""Say what changed between two scenarios or forecasts, and whether the outcome differs by more than noise.

A and B are each a scenario (a file, or an example's name) or a saved result of `servecast forecast --json`. Scenarios
are forecast with one seed, so run by run both meet the same dice, and the differences have intervals of their own, much
narrower than those of the figures. Saved results of one seed are compared as they are, without a simulation; of several
seeds they are forecast again, or with --saved compared by their intervals.

Examples:
  servecast diff sentiment scenario.yaml
  servecast diff last-week.json scenario.yaml --json | jq '.figures["latency_ms.p99"].difference'
  servecast diff sentiment scenario.yaml --html diff.html
"""

from __future__ import annotations

import argparse
from functools import partial

from servecast.api import diff
from servecast.command_line import Parser, add_engine, add_outputs, add_quiet, add_seed, add_workers, count
from servecast.engine_choice import choose_engine
from servecast.errors import Exit
from servecast.interrupts import nothing_kept
from servecast.outputs import show
from servecast.streams import Talk

__all__ = ["add_arguments", "run"]


def add_arguments(parser: Parser) -> None:
    """It takes the two, and how long to think."""
    parser.add_argument("a", metavar="A", help="a scenario (YAML, TOML, JSON, or an example's name), or a saved result")
    parser.add_argument("b", metavar="B", help="what is compared with it, likewise")
    add_seed(parser)
    parser.add_argument("--runs", type=count, metavar="N", help="independent runs of both (default: the larger number)")
    add_workers(parser)
    parser.add_argument("--saved", action="store_true", help="compare two saved results as they are")
    add_engine(parser)
    add_outputs(parser)
    add_quiet(parser)


def run(options: argparse.Namespace) -> Exit:
    """Compare and print."""
    talk = Talk(quiet=options.quiet)
    if not options.saved:
        choose_engine(options.engine, talk)
    with nothing_kept(talk), talk.progress(f"comparing {options.a} with {options.b}") as progress:
        found = diff(
            options.a,
            options.b,
            seed=options.seed,
            runs=options.runs,
            saved=options.saved,
            workers=options.workers,
            progress=progress,
        )
    from sim.report.diff_document import diff_document
    from sim.report.diff_tables import diff_report

    show(
        options,
        talk,
        text=partial(diff_report, found),
        json=found.to_json,
        document=partial(diff_document, found, command=options.command_line),
    )
    return Exit.DONE
