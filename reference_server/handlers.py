"""The paths of the server: HTTP in, HTTP out, and what goes wrong as {"error": one sentence}.

    POST /predict   {"input": any, "size": n}  ->  {"output": any, "batch_size": n, "pass_ms": x}
                    {"text": any, "size": n}   ->  the output alone; the rest in headers X-Servecast-...
    GET  /health    ready, or 503 while starting and draining
    GET  /metrics   Prometheus text
    GET  /config    the rules in force
    GET  /timeline  finished rows, ?offset= and ?limit= of each table; POST /timeline/clear forgets them
    POST /outcome   {"request": "17.0", "success": true}: what became of an answer, where there are several versions
    GET  /outcomes  how many of each version's answers were reported, and how many were successes
    /admin/...      admin.py, for holders of the token

A prediction may carry X-Servecast-Attempt (its number, REQUEST.ATTEMPT), X-Servecast-Key (its user stays with a
version) and X-Servecast-Version (the version that is to take it; POST /versions/NAME/predict says the same). Where
there are several versions answers carry X-Servecast-Version (who gave it) and X-Servecast-Request (its number).

Most predictions never come here: plain_requests.py reads and answers them. The status and sentence of an outcome stand
in answers.py; what happens to a request is decided behind dispatch_loop.py.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from functools import partial
from http import HTTPStatus

from aiohttp import HttpVersion10, hdrs, web

from reference_server.admin import Admin
from reference_server.answers import JSON_HEADERS, HttpAnswer, as_response, error, ok
from reference_server.connections import received_ns
from reference_server.dispatch_loop import Answer, DispatchLoop, Key
from reference_server.errors import BadRequest, Malformed
from reference_server.metrics import CONTENT_TYPE
from reference_server.predictions import Predictions
from reference_server.request_bodies import read_body
from reference_server.request_text import ATTEMPT_HEADER, KEY_HEADER, VERSION_HEADER, parse_outcome, parse_rows
from reference_server.settings import ServerSettings, in_words

__all__ = ["PAGE_ROWS", "Handlers"]

PAGE_ROWS = 20_000
"""Rows of each table in a page of /timeline unless ?limit= says otherwise."""

_Handler = Callable[[web.BaseRequest], Awaitable[HttpAnswer | web.StreamResponse]]
_ONE_VERSION = "There is nothing to compare: this server has one version."


class Handlers:
    """What the server answers; call it with a request."""

    def __init__(self, dispatch: DispatchLoop, settings: ServerSettings) -> None:
        self._dispatch = dispatch
        self._settings = settings
        self.predictions = Predictions(dispatch)
        self._run_id = secrets.token_hex(8)  # another after every start: who measures sees that the server is the same
        self._admin = Admin(dispatch, settings)
        self._paths: dict[str, Mapping[str, _Handler]] = {
            "/predict": {"POST": self._predict},
            "/health": {"GET": self._health},
            "/metrics": {"GET": self._metrics},
            "/config": {"GET": self._config},
            "/timeline": {"GET": self._timeline},
            "/timeline/clear": {"POST": self._clear},
            "/outcome": {"POST": self._outcome},
            "/outcomes": {"GET": self._outcomes},
            "/admin/versions": {"GET": self._admin.versions},
            "/admin/rollout": {"GET": self._admin.rollout, "POST": self._admin.command_rollout},
            "/admin/log": {"GET": self._admin.log},
        }

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        if request.version < HttpVersion10:
            sentence = "The server speaks HTTP/1.0 and HTTP/1.1."
            return self._turn_away(error(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, sentence))
        if request.path == "/admin" or request.path.startswith("/admin/"):
            closed = self._admin.refused(request)
            if closed is not None:
                return self._turn_away(closed)
        methods = self._methods(request.path)
        if methods is None:
            sentence = "There is nothing here: try POST /predict or GET /health."
            return self._turn_away(error(HTTPStatus.NOT_FOUND, sentence))
        handler = methods.get(request.method)
        if handler is None:
            allowed = ", ".join(methods)
            sentence = f"{request.path} takes {allowed} only."
            return self._turn_away(error(HTTPStatus.METHOD_NOT_ALLOWED, sentence, (hdrs.ALLOW, allowed)))
        try:
            told = await handler(request)
        except BadRequest as problem:
            return as_response(self.predictions.turn_away(problem))
        return as_response(told) if isinstance(told, HttpAnswer) else told

    def _methods(self, path: str) -> Mapping[str, _Handler] | None:
        """Return the handlers at a path by method, None where there is nothing."""
        match path.split("/"):
            case ["", "versions", name, "predict"]:
                return {"POST": partial(self._predict, version=name)}
            case ["", "admin", "versions", name]:
                return {"POST": partial(self._admin.change_version, name=name)}
        return self._paths.get(path)

    def _turn_away(self, told: HttpAnswer) -> web.Response:
        self._dispatch.metrics.count_malformed(told.status)
        return as_response(told)

    # Predictions

    async def _predict(self, request: web.BaseRequest, version: str | None = None) -> web.StreamResponse:
        """Answer a prediction; `version` is the one that its path names."""
        pinned = request.headers.get(VERSION_HEADER, version)
        if version is not None and pinned != version:
            raise BadRequest(f"The path and the header {VERSION_HEADER} name two versions.")
        key = self.predictions.key(request.headers.get(ATTEMPT_HEADER))
        body = await self._body(request, key)
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def on_answer(answer: Answer) -> None:
            if not waiting.done():  # it is cancelled when its handler was: hung_up is on the way
                waiting.set_result(answer)

        sticky = request.headers.get(KEY_HEADER)
        bare = self.predictions.begin(key, body, received_ns(request), on_answer, sticky=sticky, pinned=pinned)
        try:
            response = as_response(self.predictions.answer(key, await waiting, bare=bare))
            await response.prepare(request)
            await response.write_eof()
        except asyncio.CancelledError:
            self._dispatch.hung_up(key)
            raise
        except ConnectionError:
            self._dispatch.hung_up(key)
            return response  # aiohttp finds the connection closed and ends it
        self._dispatch.answered(key)
        return response

    async def _body(self, request: web.BaseRequest, key: Key) -> bytes:
        """Return the whole body, or report that its client hung up."""
        try:
            return await read_body(request, self._settings)
        except (asyncio.CancelledError, ConnectionError):
            self._dispatch.abandoned_unread(key, received_ns(request))
            raise

    # About the server

    async def _health(self, request: web.BaseRequest) -> HttpAnswer:
        if self._dispatch.is_draining:
            return ok({"status": "draining"})._replace(status=HTTPStatus.SERVICE_UNAVAILABLE)
        if not self._dispatch.is_ready:
            return ok({"status": "starting"})._replace(status=HTTPStatus.SERVICE_UNAVAILABLE)
        return ok({"status": "ready"})

    async def _metrics(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = {**JSON_HEADERS, hdrs.CONTENT_TYPE: CONTENT_TYPE}
        return web.Response(body=self._dispatch.metrics.render(), headers=headers)

    async def _config(self, request: web.BaseRequest) -> HttpAnswer:
        dispatch = self._dispatch
        own = {"timer": dispatch.timer_kind, "run_id": self._run_id, "front_end_cores": dispatch.front_end_cores}
        return ok({**in_words(self._settings), **own})

    async def _timeline(self, request: web.BaseRequest) -> web.StreamResponse:
        offset = parse_rows("offset", request.query.get("offset", "0"), 0)
        limit = parse_rows("limit", request.query.get("limit", str(PAGE_ROWS)), 1)
        response = web.StreamResponse(headers=JSON_HEADERS)
        await response.prepare(request)
        for piece in self._dispatch.timeline.as_json(offset, limit):
            await response.write(piece.encode())
            await asyncio.sleep(0)  # predictions go on between two pieces
        return response

    async def _clear(self, request: web.BaseRequest) -> HttpAnswer:
        return ok({"cleared": self._dispatch.timeline.clear()})

    # What became of answers

    async def _outcome(self, request: web.BaseRequest) -> HttpAnswer:
        self._require_several_versions()
        key, success = parse_outcome(await read_body(request, self._settings))
        return ok({"version": self._dispatch.outcomes.report(key, success=success)})

    async def _outcomes(self, request: web.BaseRequest) -> HttpAnswer:
        self._require_several_versions()
        dispatch = self._dispatch
        rows = zip(dispatch.names, dispatch.outcomes.counts, strict=True)
        stable = dispatch.names[dispatch.shares.weights.stable]
        return ok({"versions": [{"name": name, "stable": name == stable, **asdict(counts)} for name, counts in rows]})

    def _require_several_versions(self) -> None:
        if len(self._dispatch.names) == 1:
            raise BadRequest(_ONE_VERSION, Malformed.UNKNOWN)
