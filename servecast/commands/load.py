"""Send a scenario's traffic to a server on this machine, open loop, and say what came back.

The schedule is drawn beforehand, from the scenario and the seed, and no request waits for an answer; latency runs from
the moment a request should have been sent. How late the generator was is said with the result. Exit code 3 if the host
was too busy for the measurement to count.

Example: servecast load sentiment --url http://127.0.0.1:8080 --rate 300/s --duration 20s
"""

from __future__ import annotations

import argparse

from servecast.command_line import Parser, add_json, add_quiet, add_scenario, add_seed, add_url, rate_per_s, seconds
from servecast.errors import Exit
from servecast.scenarios import load_scenario, seed_of
from servecast.streams import Talk, print_json, print_text

__all__ = ["add_arguments", "run"]


def add_arguments(parser: Parser) -> None:
    """It takes the scenario, the server, and how much to send."""
    add_scenario(parser)
    add_url(parser, required=True)
    parser.add_argument(
        "--rate", type=rate_per_s, metavar="RATE", help="mean rate, as in 300/s (default: the scenario's)"
    )
    parser.add_argument("--duration", type=seconds, default=10.0, metavar="TIME", help="how long (default: 10s)")
    add_seed(parser)
    add_json(parser)
    add_quiet(parser)


def run(options: argparse.Namespace) -> Exit:
    """Send and print."""
    from calibration.load_once import load_once

    scenario = load_scenario(options.scenario, options.overrides)
    with Talk(quiet=options.quiet).steps(f"sending {scenario.name}") as progress:
        result = load_once(
            options.url,
            scenario,
            rate_per_s=options.rate,
            duration_s=options.duration,
            seed=seed_of(scenario, options.seed),
            progress=progress,
        )
    if options.json:
        print_json(result.to_json())
    else:
        from servecast.reports import load_report

        print_text(load_report(result))
    return Exit.DONE if result.validity.valid else Exit.REFUSED
