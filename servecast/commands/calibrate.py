"""Measure a server, and write a calibration file: what a pass, the front end and the turnaround really take.

Without --url it starts fresh servers of its own; the forecast carries what differs between them as uncertainty. A
scenario uses the file by `model: {profile: FILE}`. It takes about 40 s for each server. With --compare it says
whether anything moved since an older calibration: exit code 1 if something did.

Examples:
  servecast calibrate sentiment -o sentiment.json
  servecast calibrate scenario.yaml --url http://127.0.0.1:8080 -o profile.json
  servecast calibrate sentiment -o today.json --compare sentiment.json
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from servecast.command_line import Parser, add_json, add_quiet, add_scenario, add_seed, add_url, count, output_file
from servecast.errors import Exit, UsageError
from servecast.own_server import own_server
from servecast.scenarios import load_scenario, refuse_uncalibrated, seed_of
from servecast.streams import Talk, print_json, print_text

if TYPE_CHECKING:
    from calibration.samples import Samples
    from sim.scenario.profile import Profile
    from sim.scenario.spec import Scenario

__all__ = ["add_arguments", "add_processes", "calibrated_profile", "run"]

_PROCESSES = 5  # what differs between processes shows in several only


def add_arguments(parser: Parser) -> None:
    """It takes the scenario, the server, and the file."""
    add_scenario(parser)
    add_url(parser, required=False)
    parser.add_argument("-o", "--output", type=output_file, required=True, metavar="FILE", help="the calibration file")
    add_processes(parser)
    parser.add_argument(
        "--compare", type=Path, metavar="OLD", help="say whether anything moved since this older calibration"
    )
    add_seed(parser)
    add_json(parser)
    add_quiet(parser)


def add_processes(parser: Parser) -> None:
    """Add how many servers are measured."""
    text = f"fresh servers to measure, without --url (default: {_PROCESSES})"
    parser.add_argument("--processes", type=count, default=_PROCESSES, metavar="N", help=text)


def run(options: argparse.Namespace) -> Exit:
    """Calibrate, write the file, print what it holds."""
    from calibration.compare import compare
    from calibration.profile_file import write_profile

    scenario = load_scenario(options.scenario, options.overrides)
    talk = Talk(quiet=options.quiet)
    older = _older(options.compare, scenario)
    profile = calibrated_profile(scenario, options, talk)
    write_profile(profile, options.output)
    comparison = None if older is None else compare(older, profile)
    if options.json:
        told = {} if comparison is None else {"comparison": comparison.to_json()}
        print_json({**profile.model_dump(mode="json"), **told})
    else:
        from servecast.calibration_report import calibration_report

        print_text(calibration_report(profile, comparison))
    talk.say(f"The calibration is in {options.output}")
    return Exit.MISSED if comparison is not None and comparison.moved else Exit.DONE


def _older(file: Path | None, scenario: Scenario) -> Profile | None:
    """Return the calibration to compare with, refused before anything is measured where it is of something else."""
    from calibration.compare import require_same_subject
    from sim.scenario.profile import load_profile

    if file is None:
        return None
    older = load_profile(file)
    require_same_subject(older, scenario.name, {})
    return older


def calibrated_profile(
    scenario: Scenario,
    options: argparse.Namespace,
    talk: Talk,
    after_each: Callable[[Sequence[Samples]], None] | None = None,
) -> Profile:
    """Return the calibration of the server at --url, or of as many own servers of one replica as --processes says.

    `after_each` is called as calibration.calibrate does. Raises RefusedToAnswer for a scenario that a calibration does
    not fit.
    """
    from calibration.calibrate import calibrate
    from calibration.host import Bounds, lateness_bound_ns
    from sim.scenario.calibrated import ONE_REPLICA, one_replica

    refuse_uncalibrated(scenario)
    if options.processes < 1:
        raise UsageError("--processes must be at least 1")
    with ExitStack() as servers:
        urls: Sequence[str] = [options.url]
        if options.url is None:
            scenario = one_replica(scenario)
            changes = [argument for change in (*options.overrides, *ONE_REPLICA) for argument in ("--set", change)]
            urls = [servers.enter_context(own_server([options.scenario, *changes])) for _ in range(options.processes)]
        with talk.steps(f"calibrating {scenario.name}") as progress:
            # The bounds of a check: a host that is quiet enough to be checked on is quiet enough to be measured.
            bounds = Bounds(lateness_p99_ns=lateness_bound_ns(scenario.goals.p99))
            seed = seed_of(scenario, options.seed)
            return calibrate(urls, scenario, seed=seed, bounds=bounds, progress=progress, after_each=after_each)
