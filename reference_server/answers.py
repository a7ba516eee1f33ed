"""What the server says over HTTP: the status, headers and body of each outcome of an attempt, and of each refusal.

HTTP status codes live here and nowhere else. An Answer can be written in one piece (plain_requests.py) or given to
aiohttp (handlers.py); both are the same answer.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import NamedTuple

from aiohttp import web

from policy.orders import Refusal
from policy.timeline import Outcome, Reason
from reference_server.dispatch_loop import Answer, Key
from reference_server.errors import BadRequest, Malformed
from reference_server.request_text import VERSION_HEADER

__all__ = [
    "JSON_HEADERS",
    "HttpAnswer",
    "as_bytes",
    "as_response",
    "error",
    "of_attempt",
    "of_malformed",
    "of_refusal",
    "ok",
    "with_version",
]

JSON_HEADERS = {"Content-Type": "application/json", "Server": "servecast"}


class HttpAnswer(NamedTuple):
    """A status, the headers besides those of every answer, and a body of JSON."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    closes: bool = False  # the connection serves no further request


_OK, _ANSWERED = int(HTTPStatus.OK), int(Outcome.ANSWERED)  # Python 3.11 takes 0.1 us to look up a member of an enum
_MALFORMED = {
    Malformed.UNREADABLE: HTTPStatus.BAD_REQUEST,
    Malformed.UNDECODABLE: HTTPStatus.BAD_REQUEST,
    Malformed.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Malformed.DUPLICATE: HTTPStatus.CONFLICT,
    Malformed.UNKNOWN: HTTPStatus.NOT_FOUND,
    Malformed.TOO_SLOW: HTTPStatus.REQUEST_TIMEOUT,
}
_CLOSING = (Malformed.UNDECODABLE, Malformed.TOO_LARGE, Malformed.TOO_SLOW)  # rather than read on to the end of it
_REFUSED = {
    int(Reason.QUEUE_FULL): (HTTPStatus.TOO_MANY_REQUESTS, "The queue is full; try again later."),
    int(Reason.DRAINING): (HTTPStatus.SERVICE_UNAVAILABLE, "The server is stopping; try again later."),
    int(Reason.NO_REPLICA): (HTTPStatus.SERVICE_UNAVAILABLE, "No replica can take the request; try again later."),
    int(Reason.NOT_LOADED): (HTTPStatus.NOT_FOUND, "The version that would take the request is not loaded."),
}
_UNANSWERED = {
    int(Outcome.TIMED_OUT): (HTTPStatus.GATEWAY_TIMEOUT, "The request was not answered within the server's deadline."),
    int(Outcome.FAILED): (HTTPStatus.INTERNAL_SERVER_ERROR, "The pass that carried this request failed."),
}


def error(status: int, sentence: str, *headers: tuple[str, str], closes: bool = False) -> HttpAnswer:
    """Return {"error": sentence}."""
    return HttpAnswer(status, json.dumps({"error": sentence}).encode(), headers, closes)


def ok(content: Mapping[str, object]) -> HttpAnswer:
    """Return a JSON object."""
    return HttpAnswer(_OK, json.dumps(content).encode())


def of_refusal(refusal: Refusal, sentence: str) -> HttpAnswer:
    """Return what an operator is told whose order is refused."""
    return error(HTTPStatus.NOT_FOUND if refusal == Refusal.UNKNOWN_VERSION else HTTPStatus.CONFLICT, sentence)


def of_malformed(problem: BadRequest) -> HttpAnswer:
    """Return what a malformed request is told."""
    return error(_MALFORMED[problem.kind], str(problem), closes=problem.kind in _CLOSING)


def of_attempt(answer: Answer, *, bare: bool, retry_after_s: int) -> HttpAnswer:
    """Return what the client of an attempt is told.

    `bare`: the output is the whole body, and what else there is to say stands in headers. `retry_after_s` is told to
    those who are refused.
    """
    if answer.outcome == _ANSWERED:
        output = answer.output
        if not isinstance(output, bytes):
            return error(HTTPStatus.UNPROCESSABLE_ENTITY, str(output))
        pass_ms = answer.pass_ns / 1e6
        if bare:
            headers = ("X-Servecast-Batch-Size", str(answer.batch_size)), ("X-Servecast-Pass-Ms", f"{pass_ms:.3f}")
            return HttpAnswer(_OK, output, headers)
        return HttpAnswer(_OK, b'{"output":%b,"batch_size":%d,"pass_ms":%.3f}' % (output, answer.batch_size, pass_ms))
    if answer.outcome == Outcome.REFUSED:
        return error(*_REFUSED[answer.reason], ("Retry-After", str(retry_after_s)))
    status, sentence = _UNANSWERED[answer.outcome]
    return error(status, answer.problem or sentence)


def with_version(told: HttpAnswer, key: Key, version: str) -> HttpAnswer:
    """Return an answer that says whose number it is, and which version gave it unless none did."""
    number = ("X-Servecast-Request", f"{key[0]}.{key[1]}")
    more = ((VERSION_HEADER, version), number) if version else (number,)
    return told._replace(headers=told.headers + more)


def as_response(answer: HttpAnswer) -> web.Response:
    """Return an answer for aiohttp."""
    response = web.Response(status=answer.status, body=answer.body, headers={**JSON_HEADERS, **dict(answer.headers)})
    if answer.closes:
        response.force_close()
    return response


def as_bytes(answer: HttpAnswer) -> bytes:
    """Return an answer as it goes over the wire."""
    status, body, headers, closes = answer
    more = "".join(f"{name}: {value}\r\n" for name, value in headers).encode() if headers else b""
    if closes:
        more += b"Connection: close\r\n"
    return b"%bDate: %b\r\nContent-Length: %d\r\n%b\r\n%b" % (
        _FIRST_LINES[status],
        _date(int(time.time())),
        len(body),
        more,
        body,
    )


_FIRST_LINES = {
    int(status): f"HTTP/1.1 {status} {status.phrase}\r\n".encode()
    + "".join(f"{name}: {value}\r\n" for name, value in JSON_HEADERS.items()).encode()
    for status in HTTPStatus
}


@functools.lru_cache(maxsize=1)
def _date(now_s: int) -> bytes:
    """Return the value of the Date header, written once a second."""
    return formatdate(now_s, usegmt=True).encode()
