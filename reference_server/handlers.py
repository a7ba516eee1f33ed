"""The paths of the server: HTTP in, HTTP out, and what goes wrong as {"error": one sentence}.

    POST /predict   {"input": any, "size": n}  ->  {"output": any, "batch_size": n, "pass_ms": x}
                    {"text": any, "size": n}   ->  the output alone; the rest in headers X-Servecast-...
    GET  /health    ready, or 503 while starting and draining
    GET  /metrics   Prometheus text
    GET  /config    the rules in force
    GET  /timeline  finished rows, ?offset= and ?limit= of each table; POST /timeline/clear forgets them
    /admin/...      what an operator sees and orders of versions, with a token (admin.py)

Of several versions a request may name one (header X-Servecast-Version, or POST /versions/NAME/predict) or say who sends
it, who then stays with a version (X-Servecast-Key); the answer says which version gave it. And for A/B tests:

    POST /outcome   {"request": "17.0", "success": true}, the number as X-Servecast-Request of the answer has it
    GET  /outcomes  how many answers of each version, and what was reported of them

Most predictions never come here: plain_requests.py reads and answers them. The status and sentence of an outcome stand
in answers.py; what happens to a request is decided behind dispatch_loop.py.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import secrets
from http import HTTPStatus

from aiohttp import HttpVersion10, hdrs, web

from reference_server.admin import PREFIX, Admin
from reference_server.answers import JSON_HEADERS, as_response, error
from reference_server.connections import Handler, receive_due_s, received_ns
from reference_server.dispatch_loop import Answer, DispatchLoop, Key
from reference_server.errors import BadRequest, Malformed, too_slow
from reference_server.metrics import CONTENT_TYPE
from reference_server.predictions import Predictions
from reference_server.request_text import (
    ATTEMPT_HEADER,
    STICKY_HEADER,
    VERSION_HEADER,
    Asked,
    parse_outcome,
    parse_rows,
)
from reference_server.settings import ServerSettings, in_words

__all__ = ["PAGE_ROWS", "Handlers"]

_PINNED = re.compile(r"/versions/([^/]+)/predict")

PAGE_ROWS = 20_000
"""Rows of each table in a page of /timeline unless ?limit= says otherwise."""


class Handlers:
    """What the server answers; call it with a request."""

    def __init__(self, dispatch: DispatchLoop, settings: ServerSettings) -> None:
        self._dispatch = dispatch
        self._settings = settings
        names = [version.name for version in settings.versions]
        self.predictions = Predictions(dispatch, names)
        self._admin = Admin(dispatch, settings, self.predictions, self._read)
        self._run_id = secrets.token_hex(8)  # another after every start: who measures sees that the server is the same
        self._paths: dict[str, dict[str, Handler]] = {
            "/predict": {"POST": self._predict},
            "/health": {"GET": self._health},
            "/metrics": {"GET": self._metrics},
            "/config": {"GET": self._config},
            "/timeline": {"GET": self._timeline},
            "/timeline/clear": {"POST": self._clear},
        }
        if len(names) > 1:
            self._paths["/outcome"] = {"POST": self._outcome}
            self._paths["/outcomes"] = {"GET": self._outcomes}

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        if request.version < HttpVersion10:
            return self._not_here(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "The server speaks HTTP/1.0 and HTTP/1.1.")
        if request.path.startswith(PREFIX):
            return await self._answered_by_admin(request)
        pinned = _PINNED.fullmatch(request.path)
        methods = {"POST": self._predict} if pinned else self._paths.get(request.path)
        if methods is None:
            return self._not_here(HTTPStatus.NOT_FOUND, "There is nothing here: try POST /predict or GET /health.")
        handler = methods.get(request.method)
        if handler is None:
            allowed = ", ".join(methods)
            sentence = f"{request.path} takes {allowed} only."
            return self._not_here(HTTPStatus.METHOD_NOT_ALLOWED, sentence, (hdrs.ALLOW, allowed))
        try:
            return await handler(request)
        except BadRequest as problem:
            return as_response(self.predictions.turn_away(problem))

    async def _answered_by_admin(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            told = await self._admin(request)
        except BadRequest as problem:
            return as_response(self.predictions.turn_away(problem))
        if told.status >= HTTPStatus.BAD_REQUEST:
            self._dispatch.metrics.count_malformed(told.status)
        return as_response(told)

    def _not_here(self, status: int, sentence: str, *headers: tuple[str, str]) -> web.Response:
        self._dispatch.metrics.count_malformed(status)
        return as_response(error(status, sentence, *headers))

    # Predictions

    async def _predict(self, request: web.BaseRequest) -> web.StreamResponse:
        asked = _asked(request)
        key = self.predictions.key(asked.number)
        body = await self._body(request, key)
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def on_answer(answer: Answer) -> None:
            if not waiting.done():  # it is cancelled when its handler was: hung_up is on the way
                waiting.set_result(answer)

        bare = self.predictions.begin(key, asked, body, received_ns(request), on_answer)
        try:
            response = as_response(self.predictions.answer(await waiting, bare=bare))
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
        """Return the whole body of a prediction, or report that its client hung up."""
        try:
            return await self._read(request)
        except (asyncio.CancelledError, ConnectionError):
            self._dispatch.abandoned_unread(key, received_ns(request))
            raise

    async def _read(self, request: web.BaseRequest) -> bytes:
        """Return the whole body. Raises BadRequest."""
        limit, timeout_s = self._settings.body_limit, self._settings.receive_timeout_s
        try:
            if (request.content_length or 0) > limit:
                raise web.HTTPRequestEntityTooLarge(limit)
            async with asyncio.timeout_at(receive_due_s(request)):
                if hdrs.EXPECT in request.headers and not request.content.is_eof():
                    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                return await request.read()
        except TimeoutError:
            raise too_slow(timeout_s) from None
        except web.HTTPRequestEntityTooLarge:
            raise BadRequest(f"The body may have at most {limit} bytes.", Malformed.TOO_LARGE) from None
        except web.RequestPayloadError:
            request.content.feed_eof()  # else aiohttp reads on, and logs the same error once more
            sentence = "The body does not match its Content-Encoding or Transfer-Encoding."
            raise BadRequest(sentence, Malformed.UNDECODABLE) from None

    # Outcomes

    async def _outcome(self, request: web.BaseRequest) -> web.StreamResponse:
        key, success = parse_outcome(await self._read(request))
        return _json({"version": self._dispatch.outcomes.report(key, success=success)})

    async def _outcomes(self, request: web.BaseRequest) -> web.StreamResponse:
        versions = self._dispatch.outcomes.versions
        return _json({"versions": {name: dataclasses.asdict(counts) for name, counts in versions.items()}})

    # About the server

    async def _health(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._dispatch.is_draining:
            return _json({"status": "draining"}, HTTPStatus.SERVICE_UNAVAILABLE)
        if not self._dispatch.is_ready:
            return _json({"status": "starting"}, HTTPStatus.SERVICE_UNAVAILABLE)
        return _json({"status": "ready"})

    async def _metrics(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = {**JSON_HEADERS, hdrs.CONTENT_TYPE: CONTENT_TYPE}
        return web.Response(body=self._dispatch.metrics.render(), headers=headers)

    async def _config(self, request: web.BaseRequest) -> web.StreamResponse:
        own = {"timer": self._dispatch.timer_kind, "run_id": self._run_id}
        return _json({**in_words(self._settings), **own})

    async def _timeline(self, request: web.BaseRequest) -> web.StreamResponse:
        offset = parse_rows("offset", request.query.get("offset", "0"), 0)
        limit = parse_rows("limit", request.query.get("limit", str(PAGE_ROWS)), 1)
        response = web.StreamResponse(headers=JSON_HEADERS)
        await response.prepare(request)
        for piece in self._dispatch.timeline.as_json(offset, limit):
            await response.write(piece.encode())
            await asyncio.sleep(0)  # predictions go on between two pieces
        return response

    async def _clear(self, request: web.BaseRequest) -> web.StreamResponse:
        return _json({"cleared": self._dispatch.timeline.clear()})


def _asked(request: web.BaseRequest) -> Asked:
    """Return what the head of a prediction says. Raises BadRequest where path and header name different versions."""
    headers, pinned = request.headers, _PINNED.fullmatch(request.path)
    by_header, by_path = headers.get(VERSION_HEADER), pinned[1] if pinned else None
    if by_path is not None and by_header not in (None, by_path):
        raise BadRequest(f"The path names the version {by_path}, and {VERSION_HEADER} another one.")
    return Asked(headers.get(ATTEMPT_HEADER), headers.get(STICKY_HEADER), by_path or by_header)


def _json(value: object, status: int = HTTPStatus.OK) -> web.Response:
    return web.Response(status=status, body=json.dumps(value).encode(), headers=JSON_HEADERS)
