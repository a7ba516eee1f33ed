"""The admin API: what the versions and the rollout do, and orders to them. For holders of the token alone.

    GET  /admin/versions        each version: what it gets, its replicas, how its attempts ended, its shadow's agreement
    POST /admin/versions/NAME   one of {"weight": 0.1}, {"shadow": 0.1}, {"loaded": true}: an order
    GET  /admin/rollout         where the rollout stands, and its latest moves
    POST /admin/rollout         {"command": NAME}: an order, with a name of policy.rollout.Command in lower case
    GET  /admin/log             the latest orders, refused ones too

Whether an order is carried out is decided in policy/orders.py and policy/rollout.py. Only versions that the server was
started with can be named. Shares are of 1, moments are ISO 8601 in UTC.
"""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from hmac import compare_digest
from http import HTTPStatus

from aiohttp import hdrs, web

from policy.instant import UNSET
from policy.orders import Order, OrderKind, Refusal
from policy.rollout import Action, Cause, Command, Phase
from policy.timeline import RolloutMove
from policy.versions import WEIGHT_ONE
from reference_server.answers import HttpAnswer, error, of_refusal, ok
from reference_server.dispatch_loop import DispatchLoop
from reference_server.order_text import NO_ROLLOUT, allowed_commands, parse_command, parse_version_order, sentence_of
from reference_server.request_bodies import read_body
from reference_server.settings import ServerSettings

__all__ = ["Admin", "LOG_MAX", "MOVES_MAX"]

LOG_MAX = 1_000
"""Orders that are remembered."""

MOVES_MAX = 20
"""Moves of the rollout that are told."""

_LOG = logging.getLogger(__name__)
_CLOSED = (
    "The admin API is closed: no token is set; start the server with --admin-token-file FILE or with"
    " SERVECAST_ADMIN_TOKEN in its environment."
)
_WRONG_TOKEN = "The admin API takes requests with its token only: Authorization: Bearer TOKEN."
_STOPPING = "The server is stopping and takes no orders."


class Admin:
    """What is answered under /admin, once refused() has let a request in."""

    def __init__(self, dispatch: DispatchLoop, settings: ServerSettings) -> None:
        self._dispatch = dispatch
        self._settings = settings
        self._token = None if settings.admin_token is None else settings.admin_token.encode()
        self._log: deque[dict[str, object]] = deque(maxlen=LOG_MAX)

    def refused(self, request: web.BaseRequest) -> HttpAnswer | None:
        """Return what a request without the token is told, None if it has it."""
        if self._token is None:
            return error(HTTPStatus.FORBIDDEN, _CLOSED)
        scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        given = token.strip().encode("utf-8", "surrogateescape")
        # The comparison takes as long for a token that is wrong in its first character as in its last.
        if compare_digest(given, self._token) and scheme.lower() == "bearer":
            return None
        return error(HTTPStatus.UNAUTHORIZED, _WRONG_TOKEN, (hdrs.WWW_AUTHENTICATE, "Bearer"))

    # What is told

    async def versions(self, request: web.BaseRequest) -> HttpAnswer:
        """Tell of each version."""
        return ok({"versions": [self._version(version) for version in range(len(self._dispatch.names))]})

    async def rollout(self, request: web.BaseRequest) -> HttpAnswer:
        """Tell of the rollout."""
        shares = self._dispatch.shares
        rule, state, weights = shares.rule, shares.rollout, shares.weights
        if rule is None:
            return error(HTTPStatus.NOT_FOUND, NO_ROLLOUT)
        clock = _Clock()
        names = self._dispatch.names
        window = {
            weights.canary: (state.canary_answered, state.canary_failed, state.canary_slow),
            weights.stable: (state.stable_answered, state.stable_failed, state.stable_slow),
        }
        moves = [RolloutMove(*row) for row in self._dispatch.timeline.rollout.latest(MOVES_MAX)]
        return ok(
            {
                "phase": _name(Phase(state.phase)),
                "since": clock.iso(self._dispatch.phase_since_ns),
                "stable": names[weights.stable],
                "canary": names[weights.canary],
                "weight": state.weight / WEIGHT_ONE,  # of what stable and canary have together
                "shadow": state.shadow / WEIGHT_ONE,
                "step": state.step,
                "steps": rule.step_count,
                "step_since": clock.iso(state.began_ns),
                "due": clock.iso(state.due_ns),  # the next check, or the rollback of a condemned rollout
                "checks": state.checks,
                "checks_needed": rule.check_count,
                "checks_failed": state.failed,
                "checks_failed_most": rule.failure_limit,
                "checks_inconclusive": state.inconclusive,
                "samples_min": rule.samples_min,
                "counted": {  # since the last check, by which the next one goes
                    names[version]: dict(
                        zip(
                            ("answered", "failed", "slow"),
                            (now - then for now, then in zip(shares.ended(version), before, strict=True)),
                            strict=True,
                        )
                    )
                    for version, before in window.items()
                },
                "commands": allowed_commands(rule, state),
                "moves": [_move(move, clock) for move in moves],
            }
        )

    async def log(self, request: web.BaseRequest) -> HttpAnswer:
        """Tell the latest orders, the oldest first."""
        return ok({"log": list(self._log)})

    def _version(self, version: int) -> dict[str, object]:
        dispatch = self._dispatch
        weights, pool, name = dispatch.shares.weights, dispatch.pools[version], dispatch.names[version]
        weight, shadow = dispatch.shares.of(version)
        agreement = dispatch.shadows.agreements[name]
        latest = [
            {"request": request, "answered": answered, "shadow": said} for request, answered, said in agreement.latest
        ]
        return {
            "name": name,
            "stable": version == weights.stable,
            "canary": version == weights.canary,
            "loaded": pool.loaded,
            "weight": weight / WEIGHT_ONE,
            "shadow": shadow / WEIGHT_ONE,
            "replicas_wanted": pool.wanted,
            "replicas_ready": pool.ready,
            "waiting": pool.waiting,
            "attempts": dispatch.metrics.ends_of(version),
            "agreement": {
                "agreed": agreement.agreed,
                "disagreed": agreement.disagreed,
                "unanswered": agreement.unanswered,
                "latest": latest,
            },
        }

    # What is ordered

    async def change_version(self, request: web.BaseRequest, name: str) -> HttpAnswer:
        """Order something of a version."""
        names = self._dispatch.names
        version = names.index(name) if name in names else UNSET
        order = parse_version_order(await read_body(request, self._settings), version)
        what, asked = _asked(order)
        before = None if version == UNSET else self._state_of(order)
        refused = self._order(order)
        self._note(request, f"{what} of {name[:40]}", before, asked, refused)
        return ok(self._version(version)) if refused is None else refused

    async def command_rollout(self, request: web.BaseRequest) -> HttpAnswer:
        """Give the rollout a command."""
        said = parse_command(await read_body(request, self._settings))
        before = self._rollout_state()
        refused = self._order(Order(OrderKind.ROLLOUT, UNSET, said))
        self._note(request, f"rollout: {_name(said)}", before, self._rollout_state(), refused)
        return await self.rollout(request) if refused is None else refused

    def _order(self, order: Order) -> HttpAnswer | None:
        """Give an order; return what is told if it is refused."""
        dispatch = self._dispatch
        if dispatch.is_draining:
            return error(HTTPStatus.SERVICE_UNAVAILABLE, _STOPPING, closes=True)
        refusal = dispatch.order(order)
        if refusal == Refusal.NONE:
            return None
        return of_refusal(refusal, sentence_of(refusal, order, dispatch.names, dispatch.shares, dispatch.pools))

    def _state_of(self, order: Order) -> object:
        """Return what an order on a version would change, as it is."""
        if order.kind in (OrderKind.DEPLOY, OrderKind.RETIRE):
            return self._dispatch.pools[order.version].loaded
        return self._dispatch.shares.of(order.version)[order.kind == OrderKind.SHADOW] / WEIGHT_ONE

    def _rollout_state(self) -> Mapping[str, object]:
        state = self._dispatch.shares.rollout
        return {"phase": _name(Phase(state.phase)), "step": state.step, "weight": state.weight / WEIGHT_ONE}

    def _note(
        self, request: web.BaseRequest, what: str, before: object, after: object, refused: HttpAnswer | None
    ) -> None:
        """Log an order and remember it."""
        peer = None if request.transport is None else request.transport.get_extra_info("peername")
        by = "unknown" if peer is None else f"{peer[0]}:{peer[1]}"
        why = None if refused is None else json.loads(refused.body)["error"]
        when = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._log.append({"when": when, "what": what, "from": before, "to": after, "by": by, "refused": why})
        words = json.dumps(what), json.dumps(before), json.dumps(after), by, "done" if why is None else why
        _LOG.info("An order: %s from %s to %s, by %s: %s", *words)


class _Clock:
    """Moments of the server's clock as those of the calendar."""

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.perf_counter_ns()

    def iso(self, at_ns: int) -> str | None:
        """Return a moment, None for UNSET."""
        if at_ns == UNSET:
            return None
        return datetime.fromtimestamp((at_ns + self._offset_ns) / 1e9, UTC).isoformat(timespec="milliseconds")


def _asked(order: Order) -> tuple[str, object]:
    """Return what an order on a version is about, and what is asked for."""
    if order.kind in (OrderKind.DEPLOY, OrderKind.RETIRE):
        return "loaded", order.kind == OrderKind.DEPLOY
    return _name(OrderKind(order.kind)), order.value / WEIGHT_ONE


def _move(move: RolloutMove, clock: _Clock) -> dict[str, object]:
    return {
        "at": clock.iso(move.at_ns),
        "action": _name(Action(move.action)),
        "cause": _name(Cause(move.cause)),
        "phase": _name(Phase(move.phase)),
        "step": move.step,
        "weight": move.weight / WEIGHT_ONE,
        "shadow": move.shadow / WEIGHT_ONE,
    }


def _name(member: Action | Cause | Command | OrderKind | Phase) -> str:
    return member.name.lower()
