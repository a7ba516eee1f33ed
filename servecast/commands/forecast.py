"""Forecast latency, refusals and load of a scenario.

The answer comes first, then every figure with two intervals: where the long-run figure lies (confidence), and where
one run of this length will land. Exit code 1 if a goal of the scenario is missed, 3 if any figure would be nonsense.

Examples:
  servecast forecast sentiment
  servecast forecast scenario.yaml --set batching.max_batch=16 --set 'traffic.arrivals.rate=600/s'
  servecast forecast scenario.yaml --precision 1% --budget 60s
  servecast forecast scenario.yaml --json | jq .latency_ms.p99
  servecast forecast scenario.yaml --html report.html --csv figures.csv
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING

from servecast.api import forecast, latency_picture
from servecast.command_line import (
    Parser,
    add_engine,
    add_outputs,
    add_quiet,
    add_scenario,
    add_seed,
    add_workers,
    count,
    picture_file,
    seconds,
    share,
)
from servecast.engine_choice import choose_engine
from servecast.errors import Exit
from servecast.interrupts import nothing_kept
from servecast.outputs import show
from servecast.scenarios import load_scenario, tell_of_trace
from servecast.streams import Talk

if TYPE_CHECKING:
    from sim.forecast.forecast import Forecast
    from sim.report.document import Document
    from sim.scenario.spec import Scenario

__all__ = ["add_arguments", "run"]


def add_arguments(parser: Parser) -> None:
    """It takes the scenario and how long to think."""
    add_scenario(parser)
    add_seed(parser)
    parser.add_argument("--runs", type=count, metavar="N", help="independent runs (default: horizon.runs)")
    parser.add_argument(
        "--precision",
        type=share,
        metavar="SHARE",
        help="make runs until mean, p50, p99, throughput and what the goals are about are known to this share of "
        "themselves, and refusals to 0.1 points: half of the 95 %% interval, as far as more runs can narrow it "
        "(default with --budget or --max-runs: 2%%)",
    )
    parser.add_argument(
        "--budget",
        type=seconds,
        metavar="TIME",
        help="of wall time for the runs, with --precision: 60s, say; horizon.runs are made in any case, and reading "
        "them takes a little more",
    )
    parser.add_argument("--max-runs", type=count, metavar="N", help="for --precision (default: 400)")
    add_workers(parser)
    parser.add_argument(
        "--picture", type=picture_file, metavar="FILE", help="draw the latency distribution (.png, .svg, .pdf)"
    )
    add_engine(parser)
    add_outputs(parser)
    add_quiet(parser)


def run(options: argparse.Namespace) -> Exit:
    """Forecast and print."""
    scenario = load_scenario(options.scenario, options.overrides)
    talk = Talk(quiet=options.quiet)
    choose_engine(options.engine, talk)
    tell_of_trace(scenario, talk)
    with nothing_kept(talk), talk.progress(f"forecasting {scenario.name}") as progress:
        answer = forecast(
            scenario,
            seed=options.seed,
            runs=options.runs,
            precision=options.precision,
            budget_s=options.budget,
            max_runs=options.max_runs,
            workers=options.workers,
            progress=progress,
        )
    from sim.forecast.goals import all_met
    from sim.report.tables import forecast_report

    show(
        options,
        talk,
        text=partial(forecast_report, answer, scenario),
        json=answer.to_json,
        document=partial(_document, answer, scenario, options.command_line),
    )
    if options.picture is not None:
        latency_picture(answer).save(options.picture)
        talk.say(f"The latency distribution is drawn in {options.picture}")
    return {True: Exit.DONE, False: Exit.MISSED, None: Exit.REFUSED}[all_met(answer.goals)]


def _document(answer: Forecast, scenario: Scenario, command: str) -> Document:
    """Return the forecast as a document; what it takes is imported for it alone."""
    from sim.report.forecast_document import forecast_document

    return forecast_document(answer, scenario, command=command)
