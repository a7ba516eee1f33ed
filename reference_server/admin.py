"""The admin API: what an operator may see and order of versions, with a token, over HTTP.

    GET  /admin/versions          every version: what it gets, its replicas, how its requests end
    POST /admin/versions/NAME     {"weight": 0.1}, {"shadow": 0.2}, {"loaded": true} or {"loaded": false}
    GET  /admin/rollout           where the rollout stands, and what it has done
    POST /admin/rollout           {"command": "start"}, by the names of policy.rollout.Command
    GET  /admin/log               who has ordered what, when, and from what to what it changed

It names only versions that the server was started with, and no model. What is refused, and why, is decided in
policy/orders.py; here that becomes a status and a sentence.
"""

from __future__ import annotations

import hmac
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from http import HTTPStatus

from aiohttp import hdrs, web

from policy.instant import UNSET
from policy.orders import Order, OrderKind, Refusal
from policy.rollout import Action, Cause, Command, Phase
from policy.timeline import RolloutMove
from policy.versions import WEIGHT_ONE
from reference_server.answers import HttpAnswer, error
from reference_server.dispatch_loop import DispatchLoop
from reference_server.errors import BadRequest, Malformed
from reference_server.predictions import Predictions
from reference_server.settings import ServerSettings

__all__ = ["PREFIX", "Admin"]

PREFIX = "/admin/"

_LOG = logging.getLogger(__name__)
_LOGGED = 1_000  # latest orders that GET /admin/log tells
_MOVES = 50  # latest moves of a rollout that GET /admin/rollout tells
_VERSIONS = "/admin/versions/"
_COMMANDS = ", ".join(command.name.lower() for command in Command)
_CHANGES = '{"weight": 0.1}, {"shadow": 0.2} or {"loaded": true}'


class Admin:
    """The admin API of one server. `read` returns the whole body of a request."""

    def __init__(
        self,
        dispatch: DispatchLoop,
        settings: ServerSettings,
        predictions: Predictions,
        read: Callable[[web.BaseRequest], Awaitable[bytes]],
    ) -> None:
        self._dispatch = dispatch
        self._token = None if settings.admin_token is None else settings.admin_token.encode()
        self._names = [version.name for version in settings.versions]
        self._place_of = predictions.place_of
        self._read = read
        self._log: deque[dict[str, object]] = deque(maxlen=_LOGGED)

    async def __call__(self, request: web.BaseRequest) -> HttpAnswer:
        """Answer a request to a path below PREFIX. Raises BadRequest."""
        refused = self._turn_away(request)
        if refused is not None:
            return refused
        path, method = request.path, request.method
        told = {"/admin/versions": self._versions, "/admin/rollout": self._rollout, "/admin/log": self._orders}
        if method == "GET" and path in told:
            return told[path]()
        if method == "POST" and path == "/admin/rollout":
            return self._order(request, *self._command(await self._fields(request)))
        if method == "POST" and path.startswith(_VERSIONS):
            version = self._place_of(path.removeprefix(_VERSIONS))
            return self._order(request, *self._change(version, await self._fields(request)))
        is_known = path in told or path.startswith(_VERSIONS)
        if is_known:
            allowed = {"/admin/rollout": "GET, POST"}.get(path, "GET" if path in told else "POST")
            return error(HTTPStatus.METHOD_NOT_ALLOWED, f"{path} takes {allowed} only.", (hdrs.ALLOW, allowed))
        raise BadRequest("There is nothing here: try GET /admin/versions or GET /admin/rollout.", Malformed.UNKNOWN)

    def _turn_away(self, request: web.BaseRequest) -> HttpAnswer | None:
        """Return what somebody without the token is told, None for who has it."""
        if self._token is None:
            sentence = "The admin API is off: start the server with --admin-token-file or SERVECAST_ADMIN_TOKEN."
            return error(HTTPStatus.FORBIDDEN, sentence)
        scheme, _, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        is_right = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), self._token)
        if scheme.lower() == "bearer" and is_right:
            return None
        sentence = "The admin API needs the server's token, as in Authorization: Bearer TOKEN."
        return error(HTTPStatus.UNAUTHORIZED, sentence, (hdrs.WWW_AUTHENTICATE, "Bearer"))

    # What can be seen

    def _versions(self) -> HttpAnswer:
        core, shadows = self._dispatch.core, self._dispatch.shadows
        weights = core.shares.weights
        told = []
        for place, (name, pool) in enumerate(zip(self._names, core.pools, strict=True)):
            weight, shadow = core.shares.of(place)
            agreement = shadows.agreements[name]
            told.append(
                {
                    "name": name,
                    "stable": place == weights.stable,
                    "canary": place == weights.canary,
                    "loaded": pool.loaded,
                    "weight": weight / WEIGHT_ONE,
                    "shadow": shadow / WEIGHT_ONE,
                    "replicas": {"wanted": pool.wanted, "ready": pool.ready},
                    "waiting": pool.waiting,
                    "requests": self._dispatch.metrics.ends_of(place),
                    "copies": {
                        "agreed": agreement.agreed,
                        "disagreed": agreement.disagreed,
                        "unanswered": agreement.unanswered,
                        "latest": [
                            {"request": request, "answered": answered, "shadow": other}
                            for request, answered, other in agreement.latest
                        ],
                    },
                }
            )
        return _json({"versions": told})

    def _rollout(self) -> HttpAnswer:
        shares = self._dispatch.core.shares
        if shares.rule is None:
            return _no_rollout()
        state, weights = shares.rollout, shares.weights
        moves = (RolloutMove(*row) for row in self._dispatch.timeline.rollout.latest(_MOVES))
        return _json(
            {
                "phase": _word(Phase(state.phase)),
                "canary": self._names[weights.canary],
                "stable": self._names[weights.stable],
                "step": state.step,
                "steps": shares.rule.step_count,
                "weight": state.weight / WEIGHT_ONE,
                "shadow": state.shadow / WEIGHT_ONE,
                "checks_passed": state.checks,
                "checks_failed": state.failed,
                "counts": {
                    "canary": shares.counted(weights.canary),
                    "stable": shares.counted(weights.stable),
                },
                "moves": [
                    {
                        "at_ns": move.at_ns,
                        "action": _word(Action(move.action)),
                        "cause": _word(Cause(move.cause)),
                        "phase": _word(Phase(move.phase)),
                        "step": move.step,
                        "weight": move.weight / WEIGHT_ONE,
                        "shadow": move.shadow / WEIGHT_ONE,
                    }
                    for move in moves
                ],
            }
        )

    def _orders(self) -> HttpAnswer:
        return _json({"orders": list(self._log)})

    # What can be ordered

    async def _fields(self, request: web.BaseRequest) -> dict[str, object]:
        """Return the JSON object of a body. Raises BadRequest."""
        try:
            fields = json.loads(await self._read(request))
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict) or len(fields) != 1:
            wanted = '{"command": "start"}' if request.path == "/admin/rollout" else _CHANGES
            raise BadRequest(f"The body must be a JSON object with one key, such as {wanted}.")
        return fields

    def _command(self, fields: dict[str, object]) -> tuple[Order, str]:
        """Return the order of a command to the rollout, and what it is in words. Raises BadRequest."""
        said = fields.get("command")
        names = {_word(command): command for command in Command}
        if not isinstance(said, str) or said not in names:
            raise BadRequest(f"The command must be one of {_COMMANDS}.")
        return Order(int(OrderKind.ROLLOUT), UNSET, int(names[said])), said

    def _change(self, version: int, fields: dict[str, object]) -> tuple[Order, str]:
        """Return the order of a change to a version, and what it is in words. Raises BadRequest."""
        ((key, value),) = fields.items()
        if key == "loaded" and isinstance(value, bool):
            return Order(
                int(OrderKind.DEPLOY if value else OrderKind.RETIRE), version, 0
            ), "deploy" if value else "retire"
        kinds = {"weight": OrderKind.WEIGHT, "shadow": OrderKind.SHADOW}
        if key not in kinds:
            raise BadRequest(f"The body must be a JSON object with one key, such as {_CHANGES}.")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
            raise BadRequest(f"The {key} must be a share from 0 to 1.")
        return Order(int(kinds[key]), version, round(value * WEIGHT_ONE)), f"{key} {value:g}"

    def _order(self, request: web.BaseRequest, order: Order, words: str) -> HttpAnswer:
        """Carry out an order, note it, and say what has become of it."""
        what = words if order.version == UNSET else f"{words} of {self._names[order.version]}"
        before = self._now(order)
        refusal = self._dispatch.order(order)
        after = self._now(order)
        noted: dict[str, object] = {
            "when": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "by": request.remote or "",
            "what": what,
            "from": before,
            "to": after,
            "refused": None if refusal == Refusal.NONE else _word(refusal),
        }
        self._log.append(noted)
        verdict = f"refused ({_word(refusal)})" if refusal else f"from {before} to {after}"
        _LOG.info("%s, ordered by %s: %s.", what, noted["by"], verdict)
        if refusal == Refusal.NONE:
            return _json({"ordered": what, "from": before, "to": after})
        return self._refused(order, refusal, words)

    def _now(self, order: Order) -> str:
        """Return what an order is about, as it stands now."""
        core = self._dispatch.core
        if order.version == UNSET:
            return _word(Phase(core.shares.rollout.phase))
        weight, shadow = core.shares.of(order.version)
        if order.kind == OrderKind.WEIGHT:
            return _percent(weight)
        if order.kind == OrderKind.SHADOW:
            return _percent(shadow)
        return "loaded" if core.pools[order.version].loaded else "not loaded"

    def _refused(self, order: Order, refusal: Refusal, words: str) -> HttpAnswer:
        """Return why an order is refused."""
        shares = self._dispatch.core.shares
        weights = shares.weights
        if refusal == Refusal.NO_ROLLOUT:
            return _no_rollout()
        stable = self._names[weights.stable]
        name = stable if order.version == UNSET else self._names[order.version]
        canary = "the canary" if weights.canary == UNSET else self._names[weights.canary]
        most = weights.weights[weights.stable] + (0 if order.version == UNSET else shares.of(order.version)[0])
        phase = _word(Phase(shares.rollout.phase))
        sentences = {
            Refusal.NOTHING_TO_ACT_ON: f"The rollout is {phase}: {words} has nothing to act on.",
            Refusal.UNDER_WAY: f"A rollout is under way: what {stable} and {canary} get is its own until it ends.",
            Refusal.STABLE: f"{name} is the stable version: it gets what the others leave.",
            Refusal.TOO_MUCH: f"The weight of {name} can be {_percent(most)} at most: all that it and {stable} have.",
            Refusal.NOT_LOADED: f"{name} is not loaded: deploy it first.",
            Refusal.LOADED: f"{name} is loaded already.",
            Refusal.IN_USE: f"{name} is in use: take its weight and its copies to 0 first.",
        }
        return error(HTTPStatus.CONFLICT, sentences[refusal])


def _no_rollout() -> HttpAnswer:
    return error(HTTPStatus.NOT_FOUND, "There is no rollout: the server was started without one.")


def _word(name: Phase | Action | Cause | Command | Refusal) -> str:
    """Return the name of a member of an enum as it is written outside."""
    return name.name.lower()


def _percent(weight: int) -> str:
    return f"{100 * weight / WEIGHT_ONE:g}%"


def _json(value: object) -> HttpAnswer:
    return HttpAnswer(int(HTTPStatus.OK), json.dumps(value).encode())
