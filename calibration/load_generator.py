"""Sends a plan's requests, each at its moment, and notes when they left and what came back. The measuring instrument.

Open loop: a request never waits for an answer or for a free connection; more connections are opened ahead of need.
Whatever delays a send all the same is in the record, as sent_ns - due_ns. Which refusals are sent again, and when, is
policy/retries.py's with the dice of policy/dice.py, as in the simulator; the server's Retry-After is noted, not obeyed.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import time
from collections import deque
from http import HTTPStatus
from typing import NamedTuple

import numpy as np

from calibration.connection_pool import ConnectionPool
from calibration.http_connection import Connection, Response
from calibration.load_plan import Address, LoadPlan, LoadRun, PlannedOrder, SentAttempt, parse_address
from calibration.precise_timer import PreciseTimer
from policy.dice import Stream, die
from policy.instant import NEVER_NS, UNSET
from policy.retries import JITTER_ONE, wait_ns, wants_retry
from policy.timeline import Outcome

__all__ = ["LoadGenerator"]

_S_NS = 10**9
_LEAD_NS = 100_000_000  # from the last preparation to the start of the run


class _Sending(NamedTuple):
    """An attempt that is under way, or waits for its moment."""

    due_ns: int
    request: int
    attempt: int
    sent_ns: int = UNSET


class _Ordering(NamedTuple):
    """An operator's order that is under way."""

    message: bytes


class LoadGenerator:
    """Drives one plan, once, inside a running loop. Raises BadAddress for a server that is not on this machine."""

    def __init__(self, plan: LoadPlan) -> None:
        self._plan = plan
        address = parse_address(plan.url)
        self._message = _Message(address, plan)
        self._orders = deque((order.at_ns, _order_message(address, order)) for order in sorted(plan.orders))
        self._orders_open = len(self._orders)  # not answered with 200
        self._pool = ConnectionPool(address, self._on_response, self._on_lost, self._on_opened)
        loop = asyncio.get_running_loop()
        self._timer = PreciseTimer(loop, self._on_time)
        self._timer_kind = self._timer.kind
        # Plain lists: reading an element of an array costs five times as much.
        self._arrivals = plan.arrivals_ns.tolist()
        self._sizes = plan.sizes.tolist()
        self._timeouts = plan.timeouts_ns.tolist()
        self._origin_ns = NEVER_NS
        self._next = 0  # request to be sent next
        self._retries: list[_Sending] = []  # heap
        self._hang_ups: list[tuple[int, int, int, Connection]] = []  # heap; entries of ended attempts stay
        self._without_connection: deque[_Sending | _Ordering] = deque()
        self._rows: list[SentAttempt] = []
        self._unresolved = len(self._arrivals)  # requests
        self._done = loop.create_future()

    async def run(self) -> LoadRun:
        """Send everything and return what happened. Raises ServerUnreachable if no connection can be made."""
        try:
            await self._pool.open_first(self._plan.connections)
            self._origin_ns = time.perf_counter_ns() + _LEAD_NS
            cpu_from_ns = time.process_time_ns()
            self._arm()
            last_ns = self._origin_ns + self._arrivals[-1] + self._plan.tail_ns
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._done, (last_ns - time.perf_counter_ns()) / _S_NS)
            cpu_ns = time.process_time_ns() - cpu_from_ns
            self._note_unresolved()
        finally:
            self._timer.close()
            await self._pool.close()
        rows = np.array(sorted(self._rows), dtype=np.int64).reshape(-1, len(SentAttempt._fields))
        return LoadRun(self._origin_ns, rows, self._pool.opened, cpu_ns, self._timer_kind, self._orders_open)

    # Sending

    def _on_time(self) -> None:
        """Do all that is due, then sleep until the next moment."""
        now_ns = time.perf_counter_ns()
        arrivals, origin_ns = self._arrivals, self._origin_ns
        while self._orders and origin_ns + self._orders[0][0] <= now_ns:
            self._send(_Ordering(self._orders.popleft()[1]))
        while self._next < len(arrivals) and origin_ns + arrivals[self._next] <= now_ns:
            self._send(_Sending(origin_ns + arrivals[self._next], self._next, 0))
            self._next += 1
            now_ns = time.perf_counter_ns()
        while self._retries and self._retries[0].due_ns <= now_ns:
            self._send(heapq.heappop(self._retries))
        while self._hang_ups and self._hang_ups[0][0] <= now_ns:
            self._hang_up(*heapq.heappop(self._hang_ups)[1:])
        self._arm()
        self._pool.ask_for(len(self._without_connection))

    def _arm(self) -> None:
        """Set the timer to the next moment at which something is due."""
        at_ns = NEVER_NS
        if self._next < len(self._arrivals):
            at_ns = self._origin_ns + self._arrivals[self._next]
        if self._retries:
            at_ns = min(at_ns, self._retries[0].due_ns)
        if self._hang_ups:
            at_ns = min(at_ns, self._hang_ups[0][0])
        if self._orders:
            at_ns = min(at_ns, self._origin_ns + self._orders[0][0])
        if at_ns != NEVER_NS:
            self._timer.arm(at_ns)

    def _send(self, sending: _Sending | _Ordering) -> None:
        """Send an attempt or an order on a free connection; without one it goes out with the next that is opened."""
        connection = self._pool.take()
        if connection is None:
            self._without_connection.append(sending)
        else:
            self._send_on(connection, sending)

    def _send_on(self, connection: Connection, sending: _Sending | _Ordering) -> None:
        """Write the attempt and note when."""
        if isinstance(sending, _Ordering):
            connection.send(sending.message)
            connection.load = sending
            return
        request, attempt = sending.request, sending.attempt
        message = self._message.of(request, attempt, self._sizes[request])
        sent_ns = time.perf_counter_ns()
        connection.send(message)
        connection.load = sending._replace(sent_ns=sent_ns)
        if self._timeouts:
            # From the moment it should have been sent: the client's patience does not wait for the generator.
            hang_up_ns = sending.due_ns + self._timeouts[request]
            heapq.heappush(self._hang_ups, (hang_up_ns, request, attempt, connection))

    # What comes back

    def _on_response(self, connection: Connection, response: Response) -> None:
        """Note an answer and use the connection again."""
        sending = connection.load
        connection.load = None
        if isinstance(sending, _Ordering):
            self._orders_open -= response.status == HTTPStatus.OK
        elif isinstance(sending, _Sending):
            self._note(sending, response, _outcome(response.status))
        else:  # an answer nobody asked for
            connection.hang_up()
            return
        if response.keeps_alive:
            self._on_opened(connection)
        else:
            connection.hang_up()

    def _on_lost(self, connection: Connection, now_ns: int) -> None:
        """Note the loss of what was under way."""
        sending, connection.load = connection.load, None
        if isinstance(sending, _Sending):
            self._note(sending, Response(now_ns, 0, 0, 0, False), Outcome.FAILED)

    def _on_opened(self, connection: Connection | None) -> None:
        """Use a free connection for the attempt that has waited longest; fail that one if it could not be opened."""
        if not self._without_connection:
            if connection is not None:
                self._pool.give_back(connection)
            return
        sending = self._without_connection.popleft()
        if connection is not None:
            self._send_on(connection, sending)
            self._arm()  # for the hang-up of what was just sent
        elif isinstance(sending, _Sending):
            now_ns = time.perf_counter_ns()
            self._note(sending._replace(sent_ns=now_ns), Response(now_ns, 0, 0, 0, False), Outcome.FAILED)
        if self._without_connection:
            self._pool.ask_for(len(self._without_connection))  # more than could be opened at once

    def _hang_up(self, request: int, attempt: int, connection: Connection) -> None:
        """Give an attempt up, unless it has ended."""
        sending = connection.load
        if isinstance(sending, _Sending) and (sending.request, sending.attempt) == (request, attempt):
            connection.load = None
            connection.hang_up()
            self._note(sending, Response(time.perf_counter_ns(), 0, 0, 0, False), Outcome.ABANDONED)

    def _note(self, sending: _Sending, response: Response, outcome: Outcome) -> None:
        """Write the row of an attempt that has ended and plan its retry."""
        request, attempt = sending.request, sending.attempt
        self._rows.append(
            SentAttempt(
                request=request,
                attempt=attempt,
                size=self._sizes[request],
                intended_ns=self._origin_ns + self._arrivals[request],
                due_ns=sending.due_ns,
                sent_ns=sending.sent_ns,
                delivered_ns=response.delivered_ns,
                status=response.status,
                outcome=outcome,
                body_bytes=response.body_bytes,
                retry_after_s=response.retry_after_s,
            )
        )
        if wants_retry(self._plan.retry, attempt, outcome):
            jitter = die(self._plan.seed, Stream.BACKOFF, request, attempt) % JITTER_ONE
            due_ns = response.delivered_ns + wait_ns(self._plan.retry, attempt, jitter)
            heapq.heappush(self._retries, _Sending(due_ns, request, attempt + 1))
            self._arm()
            return
        self._unresolved -= 1
        if self._unresolved == 0 and not self._done.done():
            self._done.set_result(None)

    def _note_unresolved(self) -> None:
        """Write rows for what was not sent in time and for what has no end yet."""
        left = [sending for sending in self._without_connection if isinstance(sending, _Sending)]
        for connection in self._pool.live:
            if isinstance(connection.load, _Sending):
                left.append(connection.load)
                connection.load = None
        for request in range(self._next, len(self._arrivals)):
            left.append(_Sending(self._origin_ns + self._arrivals[request], request, 0))
        for sending in left:
            self._note(sending, Response(UNSET, 0, 0, 0, False), Outcome.IN_FLIGHT)
        self._without_connection.clear()


class _Message:
    """Builds the bytes of a request from parts that are ready."""

    def __init__(self, address: Address, plan: LoadPlan) -> None:
        self._input = plan.input.encode()
        self._lines = _lines_of_versions(plan)
        host = address.url.removeprefix("http://").encode()
        self._head = (
            b"POST /predict HTTP/1.1\r\nHost: " + host + b"\r\nContent-Type: application/json\r\n"
            b"X-Servecast-Attempt: %d.%d\r\n%bContent-Length: %b"
        )
        self._tails: dict[int, bytes] = {}

    def of(self, request: int, attempt: int, size: int) -> bytes:
        """Return the request's bytes."""
        tail = self._tails.get(size)
        if tail is None:
            body = b'{"input": %b, "size": %d}' % (self._input, size)
            tail = self._tails[size] = b"%d\r\n\r\n%b" % (len(body), body)
        return self._head % (request, attempt, self._lines[request] if self._lines else b"", tail)


def _lines_of_versions(plan: LoadPlan) -> list[bytes]:
    """Return the header lines of each request that say who sends it and which version it names; empty without any."""
    requests = len(plan.arrivals_ns)
    lines = [b""] * requests if len(plan.users) or len(plan.pins) else []
    for request, user in enumerate(plan.users.tolist()):
        lines[request] += b"X-Servecast-Key: %d\r\n" % user
    for request, place in enumerate(plan.pins.tolist()):
        if place != UNSET:
            lines[request] += b"X-Servecast-Version: %b\r\n" % plan.versions[place].encode()
    return lines


def _order_message(address: Address, order: PlannedOrder) -> bytes:
    """Return the bytes of an order."""
    host = address.url.removeprefix("http://")
    body = order.body.encode()
    head = (
        f"POST {order.path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {order.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _outcome(status: int) -> Outcome:
    """Return how an attempt with that HTTP status ended."""
    if 200 <= status < 300:
        return Outcome.ANSWERED
    if status in (429, 503):
        return Outcome.REFUSED
    if status == 504:
        return Outcome.TIMED_OUT
    return Outcome.FAILED
