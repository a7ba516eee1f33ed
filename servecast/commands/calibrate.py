"""Measure a server, and write a calibration file: what a pass, the front end and the turnaround really take.

Without --url it starts fresh servers of its own; the forecast carries what differs between them as uncertainty. A
scenario uses the file by `model: {profile: FILE}`. It takes about 40 s for each server.

Examples:
  servecast calibrate sentiment -o sentiment.json
  servecast calibrate scenario.yaml --url http://127.0.0.1:8080 -o profile.json
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from servecast.api import load_scenario, refuse_uncalibrated, seed_of
from servecast.command_line import Parser, add_json, add_quiet, add_scenario, add_seed, add_url, count, output_file
from servecast.errors import Exit, UsageError
from servecast.own_server import own_server
from servecast.streams import Talk, print_json, print_text

if TYPE_CHECKING:
    from sim.scenario.profile import Profile
    from sim.scenario.spec import Scenario

__all__ = ["add_arguments", "add_processes", "calibrated_profile", "run"]


def add_arguments(parser: Parser) -> None:
    """It takes the scenario, the server, and the file."""
    add_scenario(parser)
    add_url(parser, required=False)
    parser.add_argument("-o", "--output", type=output_file, required=True, metavar="FILE", help="the calibration file")
    add_processes(parser)
    add_seed(parser)
    add_json(parser)
    add_quiet(parser)


def add_processes(parser: Parser) -> None:
    """Add how many servers are measured."""
    text = "fresh servers to measure, without --url (default: 1)"
    parser.add_argument("--processes", type=count, default=1, metavar="N", help=text)


def run(options: argparse.Namespace) -> Exit:
    """Calibrate, write the file, print what it holds."""
    from calibration.profile_file import write_profile

    scenario = load_scenario(options.scenario, options.overrides)
    talk = Talk(quiet=options.quiet)
    profile = calibrated_profile(scenario, options, talk)
    write_profile(profile, options.output)
    if options.json:
        print_json(profile.model_dump(mode="json"))
    else:
        from sim.report.tables import calibration_table

        print_text(calibration_table(profile))
    talk.say(f"The calibration is in {options.output}")
    return Exit.DONE


def calibrated_profile(scenario: Scenario, options: argparse.Namespace, talk: Talk) -> Profile:
    """Return the calibration of the server at --url, or of as many own servers as --processes says.

    Raises RefusedToAnswer for a scenario that a calibration does not fit.
    """
    from calibration.calibrate import calibrate
    from calibration.host import Bounds, lateness_bound_ns

    refuse_uncalibrated(scenario)
    if options.processes < 1:
        raise UsageError("--processes must be at least 1")
    with ExitStack() as servers:
        urls: Sequence[str] = [options.url]
        if options.url is None:
            changes = [argument for change in options.overrides for argument in ("--set", change)]
            urls = [servers.enter_context(own_server([options.scenario, *changes])) for _ in range(options.processes)]
        with talk.steps(f"calibrating {scenario.name}") as progress:
            # The bounds of a check: a host that is quiet enough to be checked on is quiet enough to be measured.
            bounds = Bounds(lateness_p99_ns=lateness_bound_ns(scenario.goals.p99))
            return calibrate(urls, scenario, seed=seed_of(scenario, options.seed), bounds=bounds, progress=progress)
