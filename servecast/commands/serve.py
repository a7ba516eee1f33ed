"""Run the reference server of a scenario: it admits, batches and gives up by the same code as the forecast.

The emulated backend keeps a device busy for the pass time that the scenario states, spread included. POST /predict
takes {"input": ..., "size": 17}; GET /health, /metrics, /config and /timeline tell what it does. SIGTERM or Ctrl-C:
it takes nothing new, finishes what it holds and ends with exit code 0; a second one stops it at once.

Example: servecast serve sentiment --port 8080
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from servecast.api import load_scenario, seed_of
from servecast.command_line import Parser, add_quiet, add_scenario, add_seed, count, output_file
from servecast.errors import CouldNotRun, Exit
from servecast.streams import Talk

if TYPE_CHECKING:
    from reference_server.settings import ServerSettings
    from sim.scenario.spec import Scenario

__all__ = ["add_arguments", "run", "server_settings"]

_NEEDED = ("aiohttp", "prometheus_client")


def add_arguments(parser: Parser) -> None:
    """It takes the scenario and where to listen."""
    add_scenario(parser)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: 127.0.0.1)")
    parser.add_argument("--port", type=count, default=8080, help="port to listen at, 0: any free one (default: 8080)")
    parser.add_argument(
        "--timeline", type=output_file, metavar="FILE", help="write the rows of all requests when it stops"
    )
    parser.add_argument(
        "--ready-file", type=output_file, metavar="FILE", help="write the address there once it is ready"
    )
    add_seed(parser)
    add_quiet(parser)


def run(options: argparse.Namespace) -> Exit:
    """Serve until a signal comes."""
    serve = _server()
    scenario = load_scenario(options.scenario, options.overrides)
    settings = server_settings(
        scenario,
        host=options.host,
        port=options.port,
        seed=seed_of(scenario, options.seed),
        timeline_file=options.timeline,
    )
    talk = Talk(quiet=options.quiet)

    def ready(url: str) -> None:
        talk.say(f"{scenario.name} is served at {url}")
        if options.ready_file is not None:
            _write_at_once(options.ready_file, url)

    code = serve(settings, ready=ready)
    return Exit.DONE if code == 0 else Exit.COULD_NOT_RUN


def server_settings(
    scenario: Scenario, *, host: str, port: int, seed: int, timeline_file: Path | None
) -> ServerSettings:
    """Return what the server is started with: the scenario's rules, and its pass time for the emulated backend."""
    from reference_server.backends.emulated import emulated_settings
    from reference_server.settings import ServerSettings
    from sim.scenario.costs import costs_of
    from sim.scenario.distributions import spread_table
    from sim.scenario.rules import serving_rules

    rules = serving_rules(scenario)
    spread = spread_table(costs_of(scenario).spread)
    return ServerSettings(
        batching=rules.batching,
        admission=rules.admission,
        deadline=rules.deadline,
        backend_settings=emulated_settings(
            pass_time=rules.pass_time, spread_table=[int(knot) for knot in spread], seed=seed
        ),
        instances=scenario.fleet.instances,
        host=host,
        port=port,
        name=scenario.name,
        timeline_file=timeline_file,
    )


def _server() -> Callable[..., int]:
    """Return what serves. Raises CouldNotRun without the extra."""
    try:
        from reference_server.app import serve
    except ModuleNotFoundError as error:
        if error.name not in _NEEDED:
            raise
        raise CouldNotRun(f"the server needs {error.name}: pip install 'servecast[server]'") from None
    return serve


def _write_at_once(path: Path, text: str) -> None:
    """Write a file so that whoever waits for it never reads half of it."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
