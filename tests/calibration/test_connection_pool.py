"""Tests of calibration/connection_pool.py against a small server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from calibration.connection_pool import ConnectionPool
from calibration.http_connection import Connection
from calibration.load_plan import Address, parse_address

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


def _with_pool(address: Address, act: Callable[[ConnectionPool, list[Connection | None]], Any]) -> Any:
    async def run() -> Any:
        opened: list[Connection | None] = []
        pool = ConnectionPool(address, lambda *_: None, lambda *_: None, opened.append)
        result = await act(pool, opened)
        await pool.close()
        assert pool.live == []
        return result

    return asyncio.run(run())


async def _until(condition: Callable[[], bool]) -> bool:
    for _ in range(2000):
        if condition():
            return True
        await asyncio.sleep(0.005)
    return False


def test_first_connections_are_free_to_take(tiny_server: Callable[..., Any]) -> None:
    """As many as asked for, in portions that a listening backlog holds; then there are none."""

    async def act(pool: ConnectionPool, _opened: list[Connection | None]) -> int:
        await pool.open_first(40)
        taken = [pool.take() for _ in range(41)]
        assert taken[-1] is None
        return len({id(each) for each in taken if each is not None})

    assert _with_pool(parse_address(tiny_server(lambda _: (0.0, OK)).url), act) == 40


def test_last_one_given_back_is_taken_next(tiny_server: Callable[..., Any]) -> None:
    """Warm connections are used again before cold ones."""

    async def act(pool: ConnectionPool, _opened: list[Connection | None]) -> bool:
        await pool.open_first(3)
        first, second = pool.take(), pool.take()
        assert first is not None
        assert second is not None
        pool.give_back(second)
        pool.give_back(first)
        return pool.take() is first

    assert _with_pool(parse_address(tiny_server(lambda _: (0.0, OK)).url), act)


def test_connections_are_opened_ahead_of_need(tiny_server: Callable[..., Any]) -> None:
    """Asked for five it opens five and a reserve of eight; asked again while they are under way it opens none."""

    async def act(pool: ConnectionPool, opened: list[Connection | None]) -> int:
        pool.ask_for(5)
        pool.ask_for(5)
        assert await _until(lambda: len(opened) >= 13)
        return len(opened)

    assert _with_pool(parse_address(tiny_server(lambda _: (0.0, OK)).url), act) == 13


def test_connection_that_cannot_be_opened_is_told(tiny_server: Callable[..., Any]) -> None:
    """None is handed over for each attempt in vain, so that nobody waits for it."""

    async def act(pool: ConnectionPool, opened: list[Connection | None]) -> set[object]:
        pool.ask_for(1)
        assert await _until(lambda: len(opened) >= 9)
        return set(opened)

    assert _with_pool(Address("127.0.0.1", 9), act) == {None}
