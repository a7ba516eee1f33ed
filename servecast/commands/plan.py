"""Find the cheapest configuration that meets all goals, with a stated confidence.

Each --vary names a key and its values: a list (4,8,16), a range with so many values (0ms..10ms:5), or whole numbers
(1..20). Keys that belong together, as a kind of machine and its calibration do, change together with a + between them.
The cost is that of the measured time at the scenario's prices; without prices, GPU hours. A goal is met where the upper
end of its figure is within the limit, in runs by which nothing was chosen; a cheaper configuration of which they do not
tell gets more of them. Exit code 1 if nothing in range meets the goals.

Examples:
  servecast plan sentiment --vary fleet.replicas=1..8 --vary batching.max_batch=4,8,16
  servecast plan day.yaml --vary fleet.autoscaler.target=2..8 --goals p99=200ms,refused=0.1% --picture frontier.png
  servecast plan day.yaml --vary fleet.replicas=1..6 --html plan.html --csv plan.csv
  servecast plan gpus.yaml --vary fleet.replicas=1..20 --vary fleet.machine+model.profile=t4+t4.json,l4+l4.json
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial

from servecast.command_line import (
    Parser,
    add_engine,
    add_outputs,
    add_quiet,
    add_scenario,
    add_seed,
    count,
    picture_file,
    share,
)
from servecast.engine_choice import choose_engine
from servecast.errors import Exit, UsageError
from servecast.interrupts import nothing_kept
from servecast.outputs import show
from servecast.scenarios import tell_of_any_trace
from servecast.streams import Talk

__all__ = ["add_arguments", "add_goals", "run"]


def add_arguments(parser: Parser) -> None:
    """It takes the scenario, what varies, what is wanted, and where the answer goes."""
    add_scenario(parser)
    parser.add_argument(
        "--vary",
        dest="varied",
        metavar="KEY=VALUES",
        action="append",
        default=[],
        help="a key and its values: 4,8,16 or 0ms..10ms:5 or 1..20; may be given several times",
    )
    add_goals(parser)
    add_seed(parser)
    parser.add_argument(
        "--runs",
        type=count,
        metavar="N",
        help="runs that confirm the answer, up to 8 times as many where they do not tell (default: horizon.runs, and "
        "at least 10 where a fleet scales)",
    )
    parser.add_argument("--picture", type=picture_file, metavar="FILE", help="draw cost against p99 (.png, .svg, .pdf)")
    add_engine(parser)
    add_outputs(parser)
    add_quiet(parser)


def add_goals(parser: Parser) -> None:
    """Add what is wanted, and how sure it must be."""
    parser.add_argument(
        "--goals",
        metavar="GOALS",
        help="as in p99=200ms,refused=0.1%%; the scenario's other goals stay: p99=none drops one, --set goals=none all",
    )
    parser.add_argument(
        "--confidence", type=share, metavar="SHARE", default=0.95, help="that each goal is met (default: 95%%)"
    )


def _check_single(overrides: Sequence[str]) -> None:
    """Raise UsageError where --set has several values, which are what --vary is for."""
    from sim.planner.grid import parse_axis

    for text in overrides:
        if len(parse_axis(text).values) > 1:
            raise UsageError(f"--set must have one value, in all configurations: --vary {text} compares several")


def run(options: argparse.Namespace) -> Exit:
    """Plan and print."""
    from servecast.api import frontier_picture, plan

    _check_single(options.overrides)
    talk = Talk(quiet=options.quiet)
    choose_engine(options.engine, talk)
    tell_of_any_trace(options.scenario, options.overrides, talk)
    with nothing_kept(talk), talk.progress("planning") as progress:
        answer = plan(
            options.scenario,
            options.varied,
            overrides=options.overrides,
            goals=options.goals,
            confidence=options.confidence,
            seed=options.seed,
            runs=options.runs,
            progress=progress,
        )
    from sim.report.plan_document import plan_document
    from sim.report.plan_tables import plan_report

    show(
        options,
        talk,
        text=partial(plan_report, answer, options.scenario),
        json=answer.to_json,
        document=partial(plan_document, answer, scenario=options.scenario, command=options.command_line),
    )
    if options.picture is not None:
        frontier_picture(answer).save(options.picture)
        talk.say(f"Cost against p99 is drawn in {options.picture}")
    return Exit.DONE if answer.answer is not None else Exit.MISSED
