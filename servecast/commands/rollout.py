"""Say what the versions of a running server do, or order something of them or of its rollout.

  status                  where the rollout stands, and what each version gets and does
  log                     who ordered what, when: the latest orders, refused ones too
  outcomes                which version succeeds more often, by what clients have reported
  start, promote, promote_full, abort, pause, resume, retry
                          a command to the rollout; rollback is another word for abort
  weight NAME SHARE       give a version a share of the requests, as in 10%; the stable one has the rest
  shadow NAME SHARE       copy a share of the requests to a version, for comparison
  deploy NAME             start the replicas of a version
  retire NAME             drain and end them

The token of the server's admin API comes from the environment variable SERVECAST_ADMIN_TOKEN, or from a file. Exit code
1 if the server refuses the order as things stand, 2 if it is none, or the token is wrong.

Example: servecast rollout weight v2 10% --url http://127.0.0.1:8080
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any
from urllib.parse import quote

from policy.rollout import Command
from servecast.admin_client import AdminClient
from servecast.admin_token import ADMIN_TOKEN, admin_token
from servecast.command_line import Parser, add_json, add_quiet, add_url
from servecast.errors import Exit, UsageError
from servecast.streams import Talk, print_json, print_text

__all__ = ["add_arguments", "run"]

_COMMANDS = {**{command.name.lower(): command.name.lower() for command in Command}, "rollback": "abort"}
_NAMES = {"weight": ("NAME", "SHARE"), "shadow": ("NAME", "SHARE"), "deploy": ("NAME",), "retire": ("NAME",)}
"""What stands behind an action; nothing behind the others."""


def add_arguments(parser: Parser) -> None:
    """It takes the action, what that is about, and the server."""
    parser.add_argument(
        "action",
        choices=("status", "log", "outcomes", *_COMMANDS, *_NAMES),
        metavar="ACTION",
        help="what to do, see above",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="the version, and the share of weight and shadow")
    add_url(parser, required=True)
    parser.add_argument("--token-file", type=Path, metavar="FILE", help=f"holds the token (default: {ADMIN_TOKEN})")
    add_json(parser)
    add_quiet(parser)


def run(options: argparse.Namespace) -> Exit:
    """Order and print."""
    needed = _NAMES.get(options.action, ())
    if len(options.names) != len(needed):
        takes = " ".join(needed) or "nothing"
        raise UsageError(f"rollout {options.action} takes {takes}. Got {' '.join(options.names) or 'nothing'}")
    token = admin_token("--token-file", options.token_file)
    if options.action == "outcomes":
        return _outcomes(AdminClient(options.url, None), options)
    if token is None:
        raise UsageError(f"rollout {options.action} needs the server's token: set {ADMIN_TOKEN}, or give --token-file")
    client = AdminClient(options.url, token)
    if client.shows_token:
        Talk(quiet=options.quiet).say("The token goes over the network as it is: use https, or a tunnel.")
    if options.action == "log":
        return _log(client, options)
    order = _order(options.action, options.names)
    if order is not None:
        client.order(*order)
    versions, rollout = client.get("/admin/versions")["versions"], client.find("/admin/rollout")
    if options.json:
        ordered = None if order is None else {"path": order[0], "body": order[1]}
        print_json({"version": "servecast-rollout/1", "ordered": ordered, "versions": versions, "rollout": rollout})
    else:
        from servecast.rollout_report import status_report

        print_text(status_report(versions, rollout))
    return Exit.DONE


def _order(action: str, names: list[str]) -> tuple[str, dict[str, Any]] | None:
    """Return the path and the body of an order, None for the question how things stand. Raises UsageError."""
    if action == "status":
        return None
    if action in _COMMANDS:
        return "/admin/rollout", {"command": _COMMANDS[action]}
    path = f"/admin/versions/{quote(names[0], safe='')}"
    if action in ("deploy", "retire"):
        return path, {"loaded": action == "deploy"}
    return path, {action: _share(names[1])}


def _share(text: str) -> float:
    """Return a percentage as a share of 1. Raises UsageError."""
    from sim.scenario.units import parse_share

    try:
        share = parse_share(text)
    except ValueError as error:
        raise UsageError(f"rollout: SHARE {error}") from None
    if not 0 <= share <= 1:
        raise UsageError(f"rollout: SHARE must lie between 0% and 100%. Got {text}")
    return share


def _log(client: AdminClient, options: argparse.Namespace) -> Exit:
    """Tell the latest orders."""
    orders = client.get("/admin/log")["log"]
    if options.json:
        print_json({"version": "servecast-orders/1", "log": orders})
    else:
        from servecast.rollout_report import log_report

        print_text(log_report(orders))
    return Exit.DONE


def _outcomes(client: AdminClient, options: argparse.Namespace) -> Exit:
    """Compare and print."""
    from servecast.ab_test import arms_of, comparisons

    told = client.get("/outcomes")["versions"]
    arms = arms_of(told)
    compared = comparisons(arms)
    if options.json:
        results = [comparison.to_json() for comparison in compared]
        print_json({"version": "servecast-outcomes/1", "versions": told, "comparisons": results})
    else:
        from servecast.rollout_report import outcomes_report

        print_text(outcomes_report(arms, compared))
    return Exit.DONE
