"""Load from one thread with plain sockets, so that the generator costs less than any server it drives.

Closed loop: every connection sends its next request when it holds the answer to the last; nothing is pipelined.
Open loop: requests leave at moments fixed beforehand, and their latency runs from those moments.
"""

from __future__ import annotations

import select
import socket
from collections import deque
from time import perf_counter_ns
from typing import NamedTuple

_RECEIVE_BYTES = 65_536
_SECOND_NS = 1_000_000_000


class Target(NamedTuple):
    """What is asked of whom."""

    host: str
    port: int
    request: bytes  # head and body
    answer_end: bytes  # with what every right answer ends


class LoadFailed(Exception):
    """A server closed a connection or gave another answer."""


def connect(target: Target, count: int) -> list[socket.socket]:
    """Open connections."""
    connections = []
    for _ in range(count):
        connection = socket.create_connection((target.host, target.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connections.append(connection)
    return connections


def answer(target: Target) -> bytes:
    """Return the answer to one request, for a look at it."""
    (connection,) = connect(target, 1)
    with connection:
        connection.sendall(target.request)
        return connection.recv(_RECEIVE_BYTES)


def run_closed(target: Target, connections: list[socket.socket], seconds: float) -> int:
    """Keep every connection busy for so long; return how many answers came. Raises LoadFailed."""
    by_descriptor = {connection.fileno(): connection for connection in connections}
    with select.epoll() as poll:
        for descriptor, connection in by_descriptor.items():
            poll.register(descriptor, select.EPOLLIN)
            connection.send(target.request)
        end_ns = perf_counter_ns() + int(seconds * _SECOND_NS)
        answers, open_requests = 0, len(connections)
        while open_requests:
            go_on = perf_counter_ns() < end_ns
            for descriptor, _ in poll.poll():
                connection = by_descriptor[descriptor]
                _check(connection.recv(_RECEIVE_BYTES), target)
                answers += 1
                if go_on:
                    connection.send(target.request)
                else:
                    open_requests -= 1
    return answers


def run_open(target: Target, connections: list[socket.socket], rate_per_s: int, seconds: float) -> list[int]:
    """Send at a constant rate and return the latencies in ns. Raises LoadFailed."""
    period_ns = _SECOND_NS // rate_per_s
    began_ns = perf_counter_ns() + period_ns
    due = deque(began_ns + index * period_ns for index in range(int(rate_per_s * seconds)))
    idle = deque(connections)
    sent: dict[socket.socket, int] = {}
    latencies = []
    while due or sent:
        now_ns = perf_counter_ns()
        while due and idle and due[0] <= now_ns:
            connection = idle.popleft()
            sent[connection] = due.popleft()
            connection.send(target.request)
        wait_s = max(due[0] - perf_counter_ns(), 0) / _SECOND_NS if due else None
        # select() counts microseconds, epoll milliseconds.
        for connection in select.select([*sent], [], [], wait_s)[0]:
            _check(connection.recv(_RECEIVE_BYTES), target)
            latencies.append(perf_counter_ns() - sent.pop(connection))
            idle.append(connection)
    return latencies


def _check(received: bytes, target: Target) -> None:
    """An answer is small and comes in one piece."""
    if not (received.startswith(b"HTTP/1.1 200 ") and received.endswith(target.answer_end)):
        raise LoadFailed(f"Not the answer that was expected: {received[:200]!r}.")
