"""The server's end of a socket: two of them in one event loop, so that a call that blocked would block for ever."""

from __future__ import annotations

import asyncio
import socket

import pytest

from reference_server.channel import Channel
from reference_server.frames import Loaded, Message, PassDone, encode
from tests.reference_server.live import run

LARGE = b"x" * 64 * 2**20


class End:
    """One end and what came to it."""

    def __init__(self, end: socket.socket) -> None:
        self.taken: asyncio.Queue[Message] = asyncio.Queue()
        self.closed: asyncio.Queue[str] = asyncio.Queue()
        self.channel = Channel(end, self.taken.put_nowait, self.closed.put_nowait)


def done(serial: int, *outputs: bytes) -> PassDone:
    """Return the results of a pass."""
    return PassDone(1, 0, serial, 1, 2, -1, outputs)


def test_large_message_leaves_the_loop_free() -> None:
    """64 MB go from one end to the other while the loop comes round at least once for each piece of 256 KB."""
    rounds = 0

    async def go_round() -> None:
        nonlocal rounds
        while True:
            rounds += 1
            await asyncio.sleep(0)

    async def scene() -> None:
        ours, theirs = map(End, socket.socketpair())
        counting = asyncio.create_task(go_round())
        ours.channel.send(done(1, LARGE, b"2"))
        assert rounds == 0
        assert await theirs.taken.get() == done(1, LARGE, b"2")
        assert rounds >= len(LARGE) // 2**18
        counting.cancel()
        ours.channel.close()
        theirs.channel.close()

    run(scene())


def test_messages_behind_a_large_one_keep_their_order() -> None:
    """Small ones do not overtake it, and each comes whole."""

    async def scene() -> None:
        ours, theirs = map(End, socket.socketpair())
        messages = [done(0), done(1, b"y" * 3_000_000), done(2, b"z"), done(3, b"", b"y" * 1_000_000), Loaded(1, 0)]
        for message in messages:
            ours.channel.send(message)
        assert [await theirs.taken.get() for _ in messages] == messages
        ours.channel.close()
        theirs.channel.close()

    run(scene())


def test_other_end_that_closes_is_told_once() -> None:
    """What had come before is taken first; what is sent afterwards is lost without a word."""

    async def scene() -> None:
        ours, theirs = map(End, socket.socketpair())
        ours.channel.send(Loaded(1, 0))
        ours.channel.close()
        assert await theirs.closed.get() == "ended"
        assert theirs.taken.get_nowait() == Loaded(1, 0)
        theirs.channel.send(Loaded(1, 0))
        theirs.channel.close()
        await asyncio.sleep(0)
        assert (theirs.closed.empty(), ours.closed.empty()) == (True, True)

    run(scene())


def test_sending_to_an_end_that_has_gone_is_told_by_closing() -> None:
    """Neither an exception nor a wait: the reader sees the end."""

    async def scene() -> None:
        end, theirs = socket.socketpair()
        ours = End(end)
        theirs.close()
        ours.channel.send(done(0, LARGE))
        assert await ours.closed.get() == "ended"

    run(scene())


@pytest.mark.parametrize("good", [0, 1])
def test_nonsense_closes_the_channel(good: int) -> None:
    """A message before it in the same piece is given up with it: nothing of such a process is to be trusted."""

    async def scene() -> None:
        end, theirs = socket.socketpair()
        ours = End(end)
        with theirs:
            theirs.sendall(encode(Loaded(1, 0)) * good + b"\xff" + b"\x00" * 8)
            assert await ours.closed.get() == "sent nonsense (These 0 bytes are no frame of kind 255.)"
            assert ours.taken.empty()
            assert theirs.recv(1) == b""

    run(scene())


def test_message_that_closes_the_channel_is_the_last() -> None:
    """What stood behind it is not taken: it belongs to a process that has been given up."""

    async def scene() -> None:
        end, theirs = socket.socketpair()
        taken: list[Message] = []

        def take(message: Message) -> None:
            taken.append(message)
            channel.close()

        channel = Channel(end, take, pytest.fail)
        with theirs:
            theirs.sendall(encode(Loaded(1, 0)) + encode(Loaded(1, 1)))
            theirs.setblocking(False)
            assert await asyncio.get_running_loop().sock_recv(theirs, 1) == b""
            assert taken == [Loaded(1, 0)]

    run(scene())
