"""Confirm every decision of a live server: who was taken, refused, batched with whom, when and why.

`servecast serve --journal FILE` writes what reached its dispatcher and what it decided. The replay gives the
simulator's fleet the same events at the same instants and compares every decision. Exit code 1 if one
of them differs.

Example:
  servecast serve sentiment --journal journal.bin
  servecast replay journal.bin
"""

from __future__ import annotations

import argparse
from pathlib import Path

from servecast.command_line import Parser, add_json
from servecast.errors import Exit
from servecast.streams import print_json, print_text

__all__ = ["add_arguments", "run"]


def add_arguments(parser: Parser) -> None:
    """It takes the journal."""
    parser.add_argument("journal", type=Path, metavar="FILE", help="written by servecast serve --journal")
    add_json(parser)


def run(options: argparse.Namespace) -> Exit:
    """Replay and print."""
    from calibration.replay import replay

    report = replay(options.journal)
    if options.json:
        print_json(report.to_json())
    else:
        from servecast.reports import replay_report

        print_text(replay_report(report))
    return Exit.DONE if report.agrees else Exit.MISSED
