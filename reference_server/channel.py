"""The server's end of the socket to one instance in a replica process: messages in, messages out, never waiting.

What the socket does not take at once is written when it can take more, a piece at a time; what comes is read a piece at
a time. So the largest batch holds the event loop for no longer than a small one, but for one copy of each output.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable

from reference_server.errors import NotAFrame
from reference_server.frames import FrameBuffer, Message, pieces

__all__ = ["Channel"]

_PIECE_BYTES = 2**18  # 0.1 ms of copying


class Channel:
    """One stream of frames. `take` and `closed` are called from the event loop, never from within send()."""

    def __init__(self, end: socket.socket, take: Callable[[Message], None], closed: Callable[[str], None]) -> None:
        end.setblocking(False)
        self._socket = end
        self._take = take
        self._closed = closed  # with a word on how it came to an end
        self._loop = asyncio.get_running_loop()
        self._frames = FrameBuffer()
        self._unsent: deque[memoryview] = deque()
        self._is_open = True
        self._loop.add_reader(end, self._receive)

    def send(self, message: Message) -> None:
        """Send a message; one that is sent when the other end has gone is lost, as `closed` tells or has told."""
        if not self._is_open:
            return
        waiting = bool(self._unsent)
        self._unsent.extend(map(memoryview, pieces(message)))
        if waiting:
            return
        self._write()
        if self._unsent:
            self._loop.add_writer(self._socket, self._write_rest)

    def close(self) -> None:
        """Close our end; nothing is called any more."""
        if not self._is_open:
            return
        self._is_open = False
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        self._socket.close()
        self._unsent.clear()

    def _write(self) -> None:
        """Write one piece, or what of it the socket takes."""
        first = self._unsent[0]
        sent = self._send_now(first[:_PIECE_BYTES])
        if sent == len(first):
            self._unsent.popleft()
        else:
            self._unsent[0] = first[sent:]

    def _write_rest(self) -> None:
        self._write()
        if not self._unsent:
            self._loop.remove_writer(self._socket)

    def _send_now(self, data: memoryview) -> int:
        """Return how many bytes the socket took."""
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except ConnectionError:
            return len(data)  # the process has died: _receive is about to see it

    def _receive(self) -> None:
        try:
            data = self._socket.recv(_PIECE_BYTES)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self._end("ended")
            return
        try:
            messages = self._frames.feed(data)
        except NotAFrame as problem:
            self._end(f"sent nonsense ({problem})")
            return
        for message in messages:
            if self._is_open:
                self._take(message)

    def _end(self, how: str) -> None:
        self.close()
        self._closed(how)
