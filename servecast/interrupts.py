"""How work is broken off: a SIGTERM ends it as Ctrl-C does, with its processes, and what is kept of it is told."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from types import FrameType
from typing import NoReturn

from servecast.errors import Terminated
from servecast.streams import Talk

__all__ = ["nothing_kept", "orderly"]


@contextmanager
def orderly() -> Iterator[None]:
    """Raise Terminated in the block where a SIGTERM comes; without it worker processes would be left behind."""
    if current_thread() is not main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _raise)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def nothing_kept(talk: Talk) -> Iterator[None]:
    """Say where Ctrl-C or a SIGTERM ends the block that nothing is kept of it."""
    try:
        with orderly():
            yield
    except KeyboardInterrupt:
        talk.say("Interrupted: nothing is kept.")
        raise


def _raise(_: int, __: FrameType | None) -> NoReturn:
    raise Terminated
