"""See and order what the versions of a running server get: start a rollout, promote, roll back, move a weight.

A server takes orders from whoever has its token: in the environment as SERVECAST_ADMIN_TOKEN, or in a file. What it
refuses (nothing to promote, a version that is in use) is one sentence, and exit code 1.

Actions:
  status                what every version gets, and where the rollout stands
  start, retry          begin it; begin it anew after a rollback
  pause, resume         hold it where it is; go on
  promote               end the present step; promote_full: end all of them
  abort, rollback       give everything back to the stable version
  weight VERSION SHARE  what a version gets, as in: weight v2 10%
  copies VERSION SHARE  of how many requests it gets copies
  deploy VERSION        start its replicas; retire VERSION: end them
  outcomes              successes of the answers of each version, and whether they differ
  log                   who ordered what, and when

Example: servecast rollout start --url http://127.0.0.1:8080
"""

from __future__ import annotations

import argparse
from typing import Any
from urllib.parse import quote

from servecast.admin_client import AdminClient
from servecast.admin_token import add_token_file, admin_token
from servecast.command_line import Parser, add_json, add_url
from servecast.errors import Exit, UsageError
from servecast.streams import print_json, print_text

__all__ = ["add_arguments", "run"]

_COMMANDS = {
    **{name: name for name in ("start", "retry", "pause", "resume", "promote", "promote_full", "abort")},
    "rollback": "abort",
}
_OF_A_SHARE = {"weight": "weight", "copies": "shadow"}
_OF_A_VERSION = {"deploy": True, "retire": False}
_ACTIONS = ("status", *_COMMANDS, *_OF_A_SHARE, *_OF_A_VERSION, "outcomes", "log")


def add_arguments(parser: Parser) -> None:
    """It takes the action, what it is about, and the server."""
    parser.add_argument("action", metavar="ACTION", choices=_ACTIONS, help="one of those above")
    parser.add_argument("version", metavar="VERSION", nargs="?", help="name of a version, for weight to retire")
    parser.add_argument("share", metavar="SHARE", nargs="?", help="of the requests, as in 10%%, for weight and copies")
    add_url(parser, required=True)
    add_token_file(parser, "needed")
    add_json(parser)


def run(options: argparse.Namespace) -> Exit:
    """Ask or order, and print."""
    order = _order(options)  # what is wrong is said before anybody is asked
    client = AdminClient(options.url, admin_token(options.token_file))
    if order is not None:
        content = client.order(*order)
    elif options.action == "status":
        content = {"versions": client.get("/admin/versions")["versions"], "rollout": _rollout(client)}
    elif options.action == "outcomes":
        content = {**client.get("/outcomes"), "stable": _stable(client)}
    else:
        content = client.get("/admin/log")
    if options.json:
        print_json(content)
    else:
        from servecast.rollout_report import rollout_report

        print_text(rollout_report(options.action, content))
    return Exit.DONE


def _order(options: argparse.Namespace) -> tuple[str, dict[str, object]] | None:
    """Return the path and body of an order, None for an action that only looks. Raises UsageError."""
    action, version, share = options.action, options.version, options.share
    needed = [name for name in ("VERSION", "SHARE") if _needs(action, name)]
    given = [value for value in (version, share) if value is not None]
    if len(given) != len(needed):
        wanted = " and ".join(needed) or "nothing"
        raise UsageError(f"rollout {action} takes {wanted} behind it. Got {' '.join(given) or 'nothing'}")
    if action in _COMMANDS:
        return "/admin/rollout", {"command": _COMMANDS[action]}
    path = f"/admin/versions/{quote(version or '', safe='')}"
    if action in _OF_A_SHARE:
        return path, {_OF_A_SHARE[action]: _share(share)}
    return (path, {"loaded": _OF_A_VERSION[action]}) if action in _OF_A_VERSION else None


def _needs(action: str, what: str) -> bool:
    """Return whether an action needs a version, or a share."""
    return action in _OF_A_SHARE or (what == "VERSION" and action in _OF_A_VERSION)


def _share(text: str) -> float:
    """Return a percentage from the command line as a share of 1. Raises UsageError."""
    from sim.scenario.units import parse_share

    try:
        share = parse_share(text)
    except ValueError as error:
        raise UsageError(f"SHARE {error}") from None
    if not 0 <= share <= 1:
        raise UsageError(f"SHARE must be from 0% to 100%. Got {text}")
    return share


def _rollout(client: AdminClient) -> dict[str, Any] | None:
    """Return where the rollout stands, None for a server without one."""
    try:
        return client.get("/admin/rollout")
    except UsageError as error:
        if "There is no rollout" in str(error):
            return None
        raise


def _stable(client: AdminClient) -> str:
    """Return the name of the stable version."""
    return next(str(version["name"]) for version in client.get("/admin/versions")["versions"] if version["stable"])
