"""Check forecasts against a live server, at several loads.

Without --url it starts `servecast serve` itself. Unless a calibration is given, or the stated times are to count, fresh
servers are measured as well, at other loads; the runs of the check lie between them, because a host's speed drifts.
Each load's schedule is drawn once, driven open loop against the
server, and forecast: where would one run on this very schedule land? Latency runs from the intended send. Whether a run
counts is decided before its latencies are read, and every attempt is listed. Exit code 1 if the forecast is out of
tolerance (p50 3 %; p99 6 %, above 70 % of capacity 10 %; refusals 1 point), 3 if too few runs were valid.

Examples:
  servecast check sentiment --picture check.png
  servecast check scenario.yaml --url http://127.0.0.1:8080 --calibration profile.json --loads 40%,70%
"""

from __future__ import annotations

import argparse
import itertools
import secrets
from contextlib import ExitStack, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from servecast.admin_token import ADMIN_TOKEN, admin_token
from servecast.command_line import (
    Parser,
    add_engine,
    add_json,
    add_quiet,
    add_scenario,
    add_seed,
    add_url,
    count,
    output_file,
    picture_file,
    seconds,
    shares,
)
from servecast.commands.calibrate import add_processes, calibrated_profile
from servecast.engine_choice import choose_engine
from servecast.errors import Exit, UsageError
from servecast.own_server import own_server
from servecast.scenarios import load_scenario, refuse_uncalibrated, seed_of, with_calibration
from servecast.streams import Talk, print_json, print_text, write_json

if TYPE_CHECKING:
    from calibration.check import CheckEffort, Operator
    from calibration.check_report import CheckReport
    from sim.scenario.spec import Scenario

__all__ = ["add_arguments", "run"]

_LOADS = "30%,60%,85%,130%"
_DRAWS = 200
_DRAWS_LEAST = 20
_SPARE_ATTEMPTS = 3  # at each load, for runs that the host disturbs


def add_arguments(parser: Parser) -> None:
    """It takes the scenario, the server, the calibration, and how much to measure."""
    add_scenario(parser)
    add_url(parser, required=False)
    parser.add_argument(
        "--calibration", type=Path, metavar="FILE", help="written by servecast calibrate (default: measure)"
    )
    parser.add_argument(
        "--stated", action="store_true", help="forecast with the times that the scenario states: measure none"
    )
    add_processes(parser)
    loads = f"shares of the capacity (default: {_LOADS})".replace("%", "%%")
    parser.add_argument("--loads", type=shares, default=shares(_LOADS), metavar="SHARES", help=loads)
    parser.add_argument(
        "--own-traffic",
        action="store_true",
        help="check the scenario's own traffic for its horizon.duration, not steady shares of the capacity",
    )
    parser.add_argument("--duration", type=seconds, default=15.0, metavar="TIME", help="of one run (default: 15s)")
    parser.add_argument("--repeats", type=count, default=1, metavar="N", help="valid runs at each load (default: 1)")
    parser.add_argument(
        "--draws",
        type=count,
        default=_DRAWS,
        metavar="N",
        help=f"simulated runs behind each interval (default: {_DRAWS})",
    )
    add_seed(parser)
    add_engine(parser)
    add_json(parser)
    parser.add_argument("--json-file", type=output_file, metavar="FILE", help="write the result as JSON as well")
    parser.add_argument(
        "--picture", type=picture_file, metavar="FILE", help="draw forecast and measured latencies (.png, .svg, .pdf)"
    )
    add_quiet(parser)


def run(options: argparse.Namespace) -> Exit:
    """Calibrate if need be, check, and print."""
    scenario = load_scenario(options.scenario, options.overrides)
    talk = Talk(quiet=options.quiet)
    choose_engine(options.engine, talk)
    if options.repeats < 1:
        raise UsageError("--repeats must be at least 1")
    if options.draws < _DRAWS_LEAST:
        raise UsageError(f"--draws must be at least {_DRAWS_LEAST}: fewer show no spread")
    if options.stated and options.calibration is not None:
        raise UsageError("--stated takes no times from a calibration: leave out --calibration")
    with TemporaryDirectory(prefix="servecast-") as folder:
        if _is_interleaved(scenario, options):
            report = _interleaved(scenario, options, talk, Path(folder))
        else:
            report = _check(_calibrated(scenario, options, talk, Path(folder)), options, talk)
    _show(report, options, talk)
    if not report.is_valid:
        return Exit.REFUSED
    return Exit.DONE if report.agrees else Exit.MISSED


def _calibrated(scenario: Scenario, options: argparse.Namespace, talk: Talk, folder: Path) -> Scenario:
    """Return the scenario with measured times: those of --calibration, its own profile's, or measured now."""
    from calibration.profile_file import write_profile

    if options.calibration is not None:
        return with_calibration(scenario, options.calibration)
    if options.stated or scenario.model.profile is not None:
        return scenario
    talk.say("Measuring the server: about 40 s for each process.")
    file = folder / "calibration.json"
    write_profile(calibrated_profile(scenario, options, talk), file)
    return with_calibration(scenario, file)


def _is_interleaved(scenario: Scenario, options: argparse.Namespace) -> bool:
    """Return whether own servers are both measured and checked, at steady loads."""
    measures = options.calibration is None and not options.stated and scenario.model.profile is None
    return measures and options.url is None and not options.own_traffic and _rollout_start_ns(scenario) is None


def _interleaved(scenario: Scenario, options: argparse.Namespace, talk: Talk, folder: Path) -> CheckReport:
    """Return the check of an own server, its runs between the measurements of others."""
    from calibration.check import InterleavedCheck
    from calibration.profile_file import write_profile

    refuse_uncalibrated(scenario)
    file = folder / "calibration.json"
    with own_server(_served(options)) as url:
        check = InterleavedCheck(
            url,
            scenario,
            options.processes,
            loads=options.loads,
            effort=_effort(options),
            seed=seed_of(scenario, options.seed),
        )
        talk.say(
            f"Measuring {options.processes} servers, about 40 s each, and between them another one at "
            f"{len(options.loads)} loads, {options.repeats} x {options.duration:g} s each."
        )
        write_profile(calibrated_profile(scenario, options, talk, check.measure), file)
    with talk.steps(f"checking {scenario.name}") as progress:
        return check.report(with_calibration(scenario, file), progress)


def _effort(options: argparse.Namespace) -> CheckEffort:
    from calibration.check import CheckEffort

    repeats = options.repeats
    return CheckEffort(
        duration_s=options.duration, repeats=repeats, attempts=repeats + _SPARE_ATTEMPTS, draws=options.draws
    )


def _served(options: argparse.Namespace) -> list[str]:
    """Return the arguments of `servecast serve` for the server that is checked."""
    return [options.scenario, *(argument for change in options.overrides for argument in ("--set", change))]


def _rollout_start_ns(scenario: Scenario) -> int | None:
    from sim.scenario.versions import rollout_start_ns

    return rollout_start_ns(scenario)


def _check(scenario: Scenario, options: argparse.Namespace, talk: Talk) -> CheckReport:
    """Return the check of the server at --url, or of a fresh one."""
    from calibration.check import check

    served = _served(options)
    operator = _operator(scenario, options, served)
    with ExitStack() as servers:
        url = options.url
        if url is None:
            url = servers.enter_context(own_server(served, operator.token if operator else None))
        loads = None if options.own_traffic else options.loads
        runs = f"{options.repeats} x {options.duration:g} s each"
        talk.say(f"Checking {'its own traffic' if loads is None else f'{len(loads)} loads, {runs}'}.")
        with talk.steps(f"checking {scenario.name}") as progress:
            return check(
                url,
                scenario,
                loads=loads,
                effort=_effort(options),
                seed=seed_of(scenario, options.seed),
                operator=operator,
                progress=progress,
            )


def _operator(scenario: Scenario, options: argparse.Namespace, served: list[str]) -> Operator | None:
    """Return who may start the scenario's rollout, None where none is started.

    A server of one's own has a token of its own and is started anew for each run, with other dice: else it would fail
    on the same requests each time. Of a given one the token must be known, and it is good for one run. Raises
    UsageError.
    """
    from calibration.check import Operator

    if _rollout_start_ns(scenario) is None:
        return None
    if options.url is None:
        token, seeds = secrets.token_urlsafe(), itertools.count(seed_of(scenario, options.seed))
        return Operator(token, lambda: own_server([*served, "--seed", str(next(seeds))], token))
    if options.repeats > 1:
        raise UsageError("--repeats must be 1 with --url: a rollout has one start in a server's life")
    known = admin_token("", None)
    if not known:
        raise UsageError(f"--url needs {ADMIN_TOKEN}, the token of the server's admin API, to start the rollout")
    return Operator(known, lambda: nullcontext(options.url))


def _show(report: CheckReport, options: argparse.Namespace, talk: Talk) -> None:
    """Print the result and write the files that were asked for."""
    from servecast.reports import check_picture, check_report

    if options.json:
        print_json(report.to_json())
    else:
        print_text(check_report(report))
    if options.json_file is not None:
        write_json(report.to_json(), options.json_file)
    if options.picture is not None:
        check_picture(report).save(options.picture)
        talk.say(f"Forecast and measured latencies are drawn in {options.picture}")
