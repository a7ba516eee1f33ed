"""Find the highest rate that meets the goals: of the fleet and of each replica, with its interval.

The scenario's whole traffic is scaled by one factor. The interval goes from where all goals are met with confidence,
which fresh runs confirm, to where one is missed with confidence. Beside it stands the saturation, above which the
backlog grows by arithmetic alone. Where runs do not tell, more are made; if that is not enough, what is known is told,
and why not more. Exit code 1 if no rate meets the goals, 3 if none is known to.

Examples:
  servecast capacity sentiment
  servecast capacity sentiment --goals p99=50ms,refused=0.1% --set fleet.replicas=4
  servecast capacity day.yaml --json | jq .per_replica.low_per_s
  servecast capacity sentiment --html capacity.html
"""

from __future__ import annotations

import argparse
from functools import partial

from servecast.command_line import Parser, add_engine, add_outputs, add_quiet, add_scenario, add_seed, count
from servecast.commands.plan import add_goals
from servecast.engine_choice import choose_engine
from servecast.errors import Exit
from servecast.interrupts import nothing_kept
from servecast.outputs import show
from servecast.scenarios import tell_of_any_trace
from servecast.streams import Talk

__all__ = ["add_arguments", "run"]


def add_arguments(parser: Parser) -> None:
    """It takes the scenario and what is wanted."""
    add_scenario(parser)
    add_goals(parser)
    add_seed(parser)
    parser.add_argument("--runs", type=count, metavar="N", help="runs at each rate (default: horizon.runs)")
    add_engine(parser)
    add_outputs(parser)
    add_quiet(parser)


def run(options: argparse.Namespace) -> Exit:
    """Search and print."""
    from servecast.api import capacity

    talk = Talk(quiet=options.quiet)
    choose_engine(options.engine, talk)
    tell_of_any_trace(options.scenario, options.overrides, talk)
    with nothing_kept(talk), talk.progress("asking how much it can take") as progress:
        answer = capacity(
            options.scenario,
            overrides=options.overrides,
            goals=options.goals,
            confidence=options.confidence,
            seed=options.seed,
            runs=options.runs,
            progress=progress,
        )
    from sim.report.capacity_document import capacity_document
    from sim.report.capacity_tables import capacity_report

    show(
        options,
        talk,
        text=partial(capacity_report, answer),
        json=answer.to_json,
        document=partial(capacity_document, answer, command=options.command_line),
    )
    if answer.low_per_s is not None:
        return Exit.DONE
    return Exit.MISSED if answer.unknown is None else Exit.REFUSED
