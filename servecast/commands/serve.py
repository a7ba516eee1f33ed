"""Run the reference server of a scenario: it admits, batches and gives up by the same code as the forecast.

The emulated backend keeps a device busy for the pass time that the scenario states, spread included; model.serve_with
names a real model in its place, which is loaded now and not by any request. POST /predict takes {"input": ...,
"size": 17}; GET /health, /metrics, /config and /timeline tell what it does; with a token /admin takes orders about
versions (servecast rollout). SIGTERM or Ctrl-C: it takes nothing new,
finishes what it holds and ends with exit code 0; a second one stops it at once.

Example: servecast serve sentiment --port 8080
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from servecast.admin_token import ADMIN_TOKEN, admin_token
from servecast.command_line import Parser, add_quiet, add_scenario, add_seed, count, output_file, seconds
from servecast.errors import CouldNotRun, Exit
from servecast.scenarios import load_scenario, seed_of
from servecast.streams import Talk

if TYPE_CHECKING:
    from reference_server.settings import ServerSettings, VersionSettings
    from sim.scenario.spec import Scenario
    from sim.scenario.versions import VersionRules as ScenarioVersions

__all__ = ["add_arguments", "run", "server_settings"]

_NEEDED = ("aiohttp", "prometheus_client")

_OF_THE_RUN = (
    "seed",
    "max_batch",
    "cold_start_tables",
    "restart_from",
    "crash_table",
    "faults",
    "error_share",
    "replica",
    "life",
    "ordered_ns",
)
"""Settings of a backend that do not make another model of it."""


def add_arguments(parser: Parser) -> None:
    """It takes the scenario and where to listen."""
    add_scenario(parser)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: 127.0.0.1)")
    parser.add_argument("--port", type=count, default=8080, help="port to listen at, 0: any free one (default: 8080)")
    parser.add_argument(
        "--timeline", type=output_file, metavar="FILE", help="write the rows of all requests when it stops"
    )
    parser.add_argument(
        "--journal", type=output_file, metavar="FILE", help="write every decision there, for servecast replay"
    )
    parser.add_argument(
        "--admin-token-file",
        type=Path,
        metavar="FILE",
        help=f"holds the token that opens /admin (default: {ADMIN_TOKEN}; without either it is closed)",
    )
    parser.add_argument(
        "--ready-file", type=output_file, metavar="FILE", help="write the address there once it is ready"
    )
    parser.add_argument(
        "--receive-timeout",
        type=seconds,
        default=10.0,
        metavar="TIME",
        help="how long a request may take to come in, from its first byte to its last (default: 10s)",
    )
    parser.add_argument(
        "--connections",
        type=count,
        default=10_000,
        metavar="COUNT",
        help="how many connections there may be at once (default: 10000)",
    )
    parser.add_argument(
        "--pass-timeout",
        type=seconds,
        default=60.0,
        metavar="TIME",
        help="kill and replace a replica process whose pass takes longer (default: 60s)",
    )
    parser.add_argument(
        "--start-timeout",
        type=seconds,
        default=120.0,
        metavar="TIME",
        help="give up on a replica process that takes longer to be ready (default: 120s)",
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
        journal_file=options.journal,
    )
    settings = replace(
        settings,
        receive_timeout_s=options.receive_timeout,
        connections_max=options.connections,
        pass_timeout_ns=round(options.pass_timeout * 1e9),
        start_timeout_ns=round(options.start_timeout * 1e9),
        admin_token=admin_token("--admin-token-file", options.admin_token_file),
    )
    os.environ.pop(ADMIN_TOKEN, None)  # the processes of models inherit the environment, and have no use for it
    talk = Talk(quiet=options.quiet)
    if not options.quiet:
        # Orders, moves of a rollout and other numbers of replicas, as they come.
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")

    def ready(url: str) -> None:
        talk.say(f"{scenario.name} is served at {url}")
        if options.ready_file is not None:
            _write_at_once(options.ready_file, url)

    code = serve(settings, ready=ready)
    return Exit.DONE if code == 0 else Exit.COULD_NOT_RUN


def server_settings(
    scenario: Scenario, *, host: str, port: int, seed: int, timeline_file: Path | None, journal_file: Path | None = None
) -> ServerSettings:
    """Return what the server is started with: the scenario's rules, and what it says of the model of each version."""
    from reference_server.settings import ServerSettings
    from reference_server.version_shares import VersionRules
    from sim.scenario.versions import version_rules

    rules = version_rules(scenario)
    return ServerSettings(
        versions=_versions(scenario, rules, seed),
        shares=VersionRules(rules.weights, rules.shadows, rules.rollout),
        salt=scenario.split.salt,
        seed=seed,
        blocking=scenario.front_end.blocking,
        host=host,
        port=port,
        name=scenario.name,
        timeline_file=timeline_file,
        journal_file=journal_file,
    )


def _versions(scenario: Scenario, of_versions: ScenarioVersions, seed: int) -> tuple[VersionSettings, ...]:
    """Return each version's model and fleet."""
    from reference_server.replica_pool import FleetRules
    from reference_server.settings import VersionSettings
    from sim.scenario.rules import serving_rules
    from sim.scenario.versions import each_version, version_names

    settings = []
    for place, (name, alone) in enumerate(zip(version_names(scenario), each_version(scenario), strict=True)):
        rules = serving_rules(alone)
        backend, backend_settings = _backend(alone, seed, of_versions.error_shares[place])
        fleet = FleetRules(
            batching=rules.batching,
            admission=rules.admission,
            deadline=rules.deadline,
            routing=rules.routing,
            autoscaler=rules.autoscaler,
            drain=rules.drain,
            replicas=alone.fleet.replicas,
            instances=alone.fleet.instances,
            loaded=of_versions.loaded[place],
        )
        model = _identity(alone, backend_settings)
        settings.append(VersionSettings(fleet, backend_settings, backend, name=name, model=model))
    return tuple(settings)


def _backend(scenario: Scenario, seed: int, error_share: int) -> tuple[str, dict[str, object]]:
    """Return the name of the backend and its settings: the pass time for the emulated one, else the model.

    A real model fails as it does: of what the scenario says of errors only an emulated one makes something.
    """
    from reference_server.backends.emulated import emulated_settings
    from reference_server.backends.torch_backend import torch_settings
    from reference_server.models import MODELS
    from sim.scenario.costs import costs_of
    from sim.scenario.distributions import spread_table
    from sim.scenario.fleet_spec import RESTART_FROM
    from sim.scenario.lower import cold_start_tables, crash_table
    from sim.scenario.rules import serving_rules

    model, rules = scenario.model, serving_rules(scenario)
    pass_time = rules.pass_time
    if model.serve_with == "emulated":
        spread = [int(knot) for knot in spread_table(costs_of(scenario).spread)]
        cold_start = [[int(knot) for knot in table] for table in cold_start_tables(scenario)]
        return "emulated", emulated_settings(
            pass_time=pass_time,
            spread_table=spread,
            cold_start_tables=cold_start,
            restart_from=RESTART_FROM,
            crash_table=[int(knot) for knot in crash_table(scenario) or ()],
            fault_rule=rules.faults,
            error_share=error_share,
            seed=seed,
        )
    return "torch", torch_settings(
        factory=MODELS.get(model.serve_with, model.serve_with),
        max_batch=scenario.batching.max_batch,
        padded_sizes=pass_time.padded[: pass_time.padded_count],
        device=model.device,
        options=model.options,
    )


def _identity(scenario: Scenario, backend_settings: Mapping[str, object]) -> dict[str, object]:
    """Return what tells the model from others: calibrations of one must not be taken for another's."""
    from sim.scenario.costs import profile_of

    profile = profile_of(scenario)
    if scenario.model.serve_with == "emulated" and profile is not None and profile.model:
        return dict(profile.model)  # what is emulated is the model that was measured
    # A calibration holds for smaller batches too, and under other dice.
    settings = {key: value for key, value in backend_settings.items() if key not in _OF_THE_RUN}
    text = json.dumps(settings, sort_keys=True)
    told = {"factory": settings["factory"]} if "factory" in settings else {}
    return {
        "serve_with": scenario.model.serve_with,
        **told,
        "settings_sha256": hashlib.sha256(text.encode()).hexdigest(),
    }


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
