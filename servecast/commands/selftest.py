"""Compare the simulator with known answers of queueing theory.

Each row is a system whose answer is known from a formula: expected, got, and the 99.9 % interval of what was got. A row
passes if the expected value lies inside and the interval is narrow. Both engines are tested: the slow one on fewer
requests, and byte for byte against the fast one. Exit code 1 if a row does not pass.

Example: servecast selftest
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from servecast.command_line import Parser, add_json, add_quiet
from servecast.engine_choice import choose_engine
from servecast.errors import Exit
from servecast.streams import Talk, print_json, print_text

__all__ = ["add_arguments", "run"]


def add_arguments(parser: Parser) -> None:
    """It takes which engine to test, and how to print."""
    parser.add_argument(
        "--engine",
        choices=["compiled", "process"],
        help="test this one alone (default: both, or the process engine before servecast warm has compiled the other)",
    )
    add_json(parser)
    add_quiet(parser)


def run(options: argparse.Namespace) -> Exit:
    """Run every known answer and print what came of it."""
    from sim.engine.engines import Engine, chosen_engine
    from sim.forecast.selftest import run_selftest

    talk = Talk(quiet=options.quiet)
    choose_engine(options.engine, talk)
    chosen = chosen_engine()
    engines = [chosen] if options.engine or chosen == Engine.PROCESS else list(Engine)
    with talk.progress("known answers") as progress:
        rows = run_selftest(engines=engines, progress=progress)
    passed = all(row.passed for row in rows)
    if options.json:
        from sim.forecast.provenance import host, versions

        provenance = {"date": datetime.now(UTC).date().isoformat(), "versions": versions(), "host": host()}
        print_json(
            {
                "version": "servecast-selftest/2",
                "rows": [row.to_json() for row in rows],
                "passed": passed,
                "provenance": provenance,
            }
        )
    else:
        from sim.report.tables import selftest_table

        print_text(selftest_table(rows))
    return Exit.DONE if passed else Exit.MISSED
