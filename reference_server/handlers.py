"""The paths of the server: HTTP in, HTTP out, and what goes wrong as {"error": one sentence}.

    POST /predict   {"input": any, "size": n}  ->  {"output": any, "batch_size": n, "pass_ms": x}
    GET  /health    ready, or 503 while starting and draining
    GET  /metrics   Prometheus text
    GET  /config    the rules in force
    GET  /timeline  finished rows, ?offset= and ?limit= of each table; POST /timeline/clear forgets them

HTTP status codes live here and nowhere else; what happens to a request is decided behind dispatch_loop.py.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from http import HTTPStatus

from aiohttp import hdrs, web

from policy.timeline import Outcome, Reason
from reference_server.connections import JSON_HEADERS, Handler, error_response, received_ns
from reference_server.dispatch_loop import Answer, DispatchLoop, Key
from reference_server.errors import BadRequest, Malformed
from reference_server.metrics import CONTENT_TYPE
from reference_server.request_text import ATTEMPT_HEADER, NUMBER_MAX, parse_attempt, parse_prediction, parse_rows
from reference_server.settings import ServerSettings, in_words

__all__ = ["PAGE_ROWS", "Handlers"]

PAGE_ROWS = 20_000
"""Rows of each table in a page of /timeline unless ?limit= says otherwise."""

_MALFORMED = {
    Malformed.UNREADABLE: HTTPStatus.BAD_REQUEST,
    Malformed.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Malformed.DUPLICATE: HTTPStatus.CONFLICT,
}
_REFUSED = {
    int(Reason.QUEUE_FULL): (HTTPStatus.TOO_MANY_REQUESTS, "The queue is full; try again later."),
    int(Reason.DRAINING): (HTTPStatus.SERVICE_UNAVAILABLE, "The server is stopping; try again later."),
}
_UNANSWERED = {
    int(Outcome.TIMED_OUT): (HTTPStatus.GATEWAY_TIMEOUT, "The request was not answered within the server's deadline."),
    int(Outcome.FAILED): (HTTPStatus.INTERNAL_SERVER_ERROR, "The pass that carried this request failed."),
}


class Handlers:
    """What the server answers; call it with a request."""

    def __init__(self, dispatch: DispatchLoop, settings: ServerSettings) -> None:
        self._dispatch = dispatch
        self._settings = settings
        self._own_numbers = itertools.count(NUMBER_MAX)
        self._paths: dict[str, dict[str, Handler]] = {
            "/predict": {"POST": self._predict},
            "/health": {"GET": self._health},
            "/metrics": {"GET": self._metrics},
            "/config": {"GET": self._config},
            "/timeline": {"GET": self._timeline},
            "/timeline/clear": {"POST": self._clear},
        }

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        methods = self._paths.get(request.path)
        if methods is None:
            return self._turn_away(HTTPStatus.NOT_FOUND, "There is nothing here: try POST /predict or GET /health.")
        handler = methods.get(request.method)
        if handler is None:
            allowed = ", ".join(methods)
            return self._turn_away(
                HTTPStatus.METHOD_NOT_ALLOWED, f"{request.path} takes {allowed} only.", {hdrs.ALLOW: allowed}
            )
        try:
            return await handler(request)
        except BadRequest as problem:
            return self._turn_away(_MALFORMED[problem.kind], str(problem))

    def _turn_away(self, status: int, sentence: str, headers: dict[str, str] | None = None) -> web.Response:
        """Answer what never reaches the dispatcher."""
        self._dispatch.metrics.count_malformed(status)
        response = error_response(status, sentence, headers)
        if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            response.force_close()  # rather than read on to the end of it
        return response

    # Predictions

    async def _predict(self, request: web.BaseRequest) -> web.StreamResponse:
        number = request.headers.get(ATTEMPT_HEADER)
        key = (next(self._own_numbers), 0) if number is None else parse_attempt(number)
        prediction = parse_prediction(await self._body(request, key))
        if self._dispatch.holds(key):
            raise BadRequest(f"Attempt {key[0]}.{key[1]} is in flight already.", Malformed.DUPLICATE)
        waiting = self._dispatch.arrive(key, prediction.size, prediction.input, received_ns(request))
        try:
            response = self._response(await waiting)
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
            if (request.content_length or 0) > self._settings.body_limit:
                raise web.HTTPRequestEntityTooLarge(self._settings.body_limit)
            if hdrs.EXPECT in request.headers and not request.content.is_eof():
                await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return await request.read()
        except web.HTTPRequestEntityTooLarge:
            limit = self._settings.body_limit
            raise BadRequest(f"The body may have at most {limit} bytes.", Malformed.TOO_LARGE) from None
        except web.RequestPayloadError:
            raise BadRequest("The body does not match its Content-Encoding or Transfer-Encoding.") from None
        except (asyncio.CancelledError, ConnectionError):
            self._dispatch.abandoned_unread(key, received_ns(request))
            raise

    def _response(self, answer: Answer) -> web.Response:
        if answer.outcome == Outcome.ANSWERED:
            body = b'{"output":%b,"batch_size":%d,"pass_ms":%.3f}'
            body %= answer.output, answer.batch_size, answer.pass_ns / 1e6
            response = web.Response(body=body, headers=JSON_HEADERS)
        elif answer.outcome == Outcome.REFUSED:
            retry: dict[str, str] = {hdrs.RETRY_AFTER: str(self._dispatch.retry_after_s())}
            response = error_response(*_REFUSED[answer.reason], retry)
        else:
            response = error_response(*_UNANSWERED[answer.outcome])
        if self._dispatch.is_draining:
            response.force_close()
        return response

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
        return _json({**in_words(self._settings), "timer": self._dispatch.timer_kind})

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


def _json(value: object, status: int = HTTPStatus.OK) -> web.Response:
    return web.Response(status=status, body=json.dumps(value).encode(), headers=JSON_HEADERS)
