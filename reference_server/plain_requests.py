"""Predictions as nearly all clients send them, read and answered without the machinery that other requests need.

A connection begins here. As long as it carries only POST /predict with a Content-Length and nothing unusual in the
head, each request is read, dispatched and answered within callbacks of the event loop: no task, no stream, no request
object. The first request of any other kind hands the connection to aiohttp for good (connections.py), bytes unread:
other paths, chunked or compressed bodies, Expect, bodies over the limit, and whatever is not strictly HTTP/1.1.
"""

from __future__ import annotations

import asyncio
import re
from time import perf_counter_ns
from typing import NamedTuple, Protocol, cast

from reference_server.answers import HttpAnswer, as_bytes
from reference_server.dispatch_loop import Answer, Key
from reference_server.errors import BadRequest, too_slow
from reference_server.predictions import Predictions
from reference_server.request_text import ATTEMPT_HEADER, KEY_HEADER, VERSION_HEADER
from reference_server.slow_senders import SlowSenders

__all__ = ["IDLE_S", "LINGER_S", "Head", "Owner", "PlainConnection", "read_head"]

IDLE_S = 75.0
"""How long a connection may carry nothing before it is closed."""

LINGER_S = 2.0
"""How long a client may go on sending after a last answer: closed at once, its own bytes would cost it the answer."""

_START = b"POST /predict HTTP/1.1\r\n"
_HEAD_MAX = 8_192  # bytes of a plain head; aiohttp knows what to say of longer ones
_LINES_MAX = 64  # header lines of a plain head; of more, aiohttp
_AHEAD_MAX = 65_536  # bytes that are read behind a request which is not answered yet (HTTP pipelining)

# RFC 9110 5.1 and 5.5: a name is a token; of values only visible ASCII, spaces and tabs are plain.
_HEAD = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e]*\r\n)*\r\n")
_UNUSUAL = frozenset(
    (b"transfer-encoding", b"content-encoding", b"expect", b"upgrade", b"trailer", b"te", b"sec-websocket-key1")
)
_LENGTH_DIGITS_MAX = 12  # of Content-Length
_ATTEMPT, _KEY, _VERSION = (name.lower().encode() for name in (ATTEMPT_HEADER, KEY_HEADER, VERSION_HEADER))


class Head(NamedTuple):
    """The head of a plain request."""

    length: int  # bytes of the body
    number: str | None  # of the attempt, as its header has it
    closes: bool  # the client wants the connection closed after the answer
    sticky: str | None = None  # the user's key
    pinned: str | None = None  # the version that it names


def read_head(head: bytes) -> Head | None:
    """Return what a head says, empty line included; None if it is not plain."""
    if not (head.startswith(_START) and _HEAD.fullmatch(head, len(_START))):
        return None
    fields: dict[bytes, bytes] = {}
    lines = head[len(_START) : -4].split(b"\r\n")
    if len(lines) > _LINES_MAX:
        return None
    for line in lines:
        name, _, value = line.partition(b":")
        fields[name.lower()] = value.strip(b" \t")
    if len(fields) < len(lines) or b"host" not in fields or not _UNUSUAL.isdisjoint(fields):
        return None
    length, number = fields.get(b"content-length", b""), fields.get(_ATTEMPT)
    connection = fields.get(b"connection", b"keep-alive").lower()
    if not length.isdigit() or len(length) > _LENGTH_DIGITS_MAX or connection not in (b"keep-alive", b"close"):
        return None
    sticky, pinned = fields.get(_KEY), fields.get(_VERSION)
    return Head(
        int(length),
        None if number is None else number.decode(),
        connection == b"close",
        None if sticky is None else sticky.decode(),
        None if pinned is None else pinned.decode(),
    )


class Owner(Protocol):
    """Who holds the connections."""

    predictions: Predictions
    slow_senders: SlowSenders
    body_limit: int

    def lost(self, connection: PlainConnection) -> None:
        """The connection is gone."""

    def hand_over(self, connection: PlainConnection, transport: asyncio.Transport, unread: bytes) -> None:
        """From now on aiohttp has the connection."""


class PlainConnection(asyncio.Protocol):
    """One connection of a client, as long as its requests are plain."""

    __slots__ = (
        "_active_ns",
        "_answering",
        "_bare",
        "_clogged",
        "_ending",
        "_head",
        "_idle",
        "_in_flight",
        "_is_made",
        "_key",
        "_loop",
        "_owner",
        "_predictions",
        "_received_ns",
        "_serves_no_more",
        "_transport",
        "_unread",
    )

    def __init__(self, owner: Owner, loop: asyncio.AbstractEventLoop) -> None:
        self._owner = owner
        self._predictions = owner.predictions
        self._loop = loop
        self._transport: asyncio.Transport
        self._idle: asyncio.TimerHandle
        self._received_ns = self._active_ns = perf_counter_ns()
        self._unread = bytearray()
        self._head: Head | None = None  # of the request whose body comes in, or which is in flight
        self._key: Key = (0, 0)
        self._is_made = False  # the event loop has given it its transport
        self._in_flight = False  # dispatched and not answered
        self._answering = False  # its answer is larger than what the transport takes at one go, and on its way
        self._bare = False
        self._clogged = False  # the client does not read its answers
        self._serves_no_more = False  # the next answer is the last
        self._ending = False  # nothing more is read here: the last answer is written, or aiohttp has the connection

    def close(self) -> None:
        """Close, after the answer of a request in flight."""
        self._serves_no_more = True
        if self._is_made and not (self._in_flight or self._ending):
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._is_made:
            self._transport.abort()

    # What the event loop reports

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for requests."""
        self._transport = cast(asyncio.Transport, transport)
        self._is_made = True
        if self._serves_no_more:
            transport.close()
        self._idle = self._loop.call_later(IDLE_S, self._check_idle)

    def data_received(self, data: bytes) -> None:
        """Stamp the bytes and go on reading, unless a request is in flight: then they wait."""
        self._received_ns = self._active_ns = perf_counter_ns()
        if self._in_flight or self._clogged:
            self._unread += data
            if len(self._unread) > _AHEAD_MAX:
                self._transport.pause_reading()
        elif self._ending:
            pass
        elif self._head is not None:
            self._unread += data
            self._read_body(self._head)
        else:
            self._read(bytes(self._unread) + data if self._unread else data)

    def pause_writing(self) -> None:
        """Serve no further request before the client has read its answers."""
        self._clogged = True

    def resume_writing(self) -> None:
        """Go on."""
        self._clogged = False
        self._note_answered()
        self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        """Report a client that has gone before it was answered."""
        self._idle.cancel()
        self._owner.slow_senders.end(self)
        self._owner.lost(self)
        if self._in_flight or self._answering:
            self._in_flight = self._answering = False
            self._predictions.dispatch.hung_up(self._key)
        elif self._head is not None:
            self._predictions.abandon(self._head.number, self._received_ns)

    # Reading

    def _go_on(self) -> None:
        """Read what came while a request was in flight."""
        if self._unread and not (self._in_flight or self._clogged or self._ending) and self._head is None:
            self._transport.resume_reading()
            self._read(bytes(self._unread))

    def _read(self, data: bytes) -> None:
        """Read from the beginning of a request; `data` is all that is unread."""
        end = data.find(b"\r\n\r\n") + 4
        if end < 4:
            if len(data) > _HEAD_MAX or not _START.startswith(data[: len(_START)]):
                self._hand_over(data)
            else:
                self._wait_for_more(data)
            return
        head = read_head(data[:end]) if end <= _HEAD_MAX else None
        if head is None or head.length > self._owner.body_limit:
            self._hand_over(data)
            return
        behind = end + head.length
        if len(data) < behind:
            self._head = head
            self._wait_for_more(data[end:])
            return
        if self._unread or len(data) > behind:
            self._unread = bytearray(data[behind:])
        self._dispatch(head, data[end:behind])

    def _read_body(self, head: Head) -> None:
        """Read the rest of a body."""
        if len(self._unread) >= head.length:
            body = bytes(self._unread[: head.length])
            del self._unread[: head.length]
            self._dispatch(head, body)

    def _wait_for_more(self, data: bytes) -> None:
        self._unread = bytearray(data)
        self._owner.slow_senders.begin(self)

    def too_slow(self) -> None:
        """The request was not complete in time."""
        self._say(self._predictions.turn_away(too_slow(self._owner.slow_senders.timeout_s)))

    def _hand_over(self, data: bytes) -> None:
        """Let aiohttp read this request and all that follow."""
        self._ending = True
        self._idle.cancel()
        self._owner.slow_senders.end(self)
        self._owner.hand_over(self, self._transport, data)

    # From the request to its answer

    def _dispatch(self, head: Head, body: bytes) -> None:
        self._owner.slow_senders.end(self)
        self._head = head
        try:
            self._key = self._predictions.key(head.number)
            self._bare = self._predictions.begin(
                self._key, body, self._received_ns, self._answer, sticky=head.sticky, pinned=head.pinned
            )
        except BadRequest as problem:
            self._say(self._predictions.turn_away(problem))
            self._loop.call_soon(self._go_on)
        else:
            self._in_flight = True

    def _answer(self, answer: Answer) -> None:
        if not self._in_flight or self._transport.is_closing():
            return  # the client has gone: connection_lost has said so, or is about to
        self._in_flight, self._answering = False, True
        self._say(self._predictions.answer(self._key, answer, bare=self._bare))
        if not self._clogged:
            self._note_answered()
        if self._unread:
            self._go_on()

    def _note_answered(self) -> None:
        """Report that an answer has been written."""
        if self._answering:
            self._answering = False
            self._predictions.dispatch.answered(self._key)

    def _say(self, told: HttpAnswer) -> None:
        """Write an answer, and close the connection behind it if it is the last."""
        if self._serves_no_more or (self._head is not None and self._head.closes):
            told = told._replace(closes=True)
        self._head = None
        self._active_ns = perf_counter_ns()
        self._transport.write(as_bytes(told))
        if told.closes:
            self._end()

    def _end(self) -> None:
        self._ending = True
        if not self._unread:
            self._transport.close()
            return
        self._transport.resume_reading()
        self._transport.write_eof()
        self._idle.cancel()
        self._idle = self._loop.call_later(LINGER_S, self._transport.abort)

    def _check_idle(self) -> None:
        """Close the connection if nothing has happened on it for long, else look again when that could be."""
        idle_s = 0.0 if self._in_flight else (perf_counter_ns() - self._active_ns) / 1e9
        if idle_s < IDLE_S:
            self._idle = self._loop.call_later(IDLE_S - idle_s, self._check_idle)
        elif self._transport.get_write_buffer_size():
            self._transport.abort()  # its client does not read
        else:
            self._transport.close()
