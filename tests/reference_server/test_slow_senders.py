"""Which of the requests that come in take too long."""

from __future__ import annotations

import asyncio

from reference_server.slow_senders import SlowSenders
from tests.reference_server.live import run


class Waiting:
    """A sender that tells the test when its time is over."""

    def __init__(self) -> None:
        self.late = asyncio.Event()

    def too_slow(self) -> None:
        self.late.set()


def test_sender_that_is_not_done_in_time_is_told() -> None:
    """The one that ended is not, although it began first; one that begins later is told later."""

    async def scene() -> None:
        watch = SlowSenders(0.02)
        done, slow, slower = Waiting(), Waiting(), Waiting()
        watch.begin(done)
        watch.begin(slow)
        watch.end(done)
        await slow.late.wait()
        watch.begin(slower)
        await slower.late.wait()
        assert not done.late.is_set()

    run(scene())


def test_time_runs_from_the_first_bytes() -> None:
    """A byte now and then wins no time."""

    async def scene() -> None:
        watch = SlowSenders(5.0)
        sender = Waiting()
        watch.begin(sender)
        due_s = watch.due_s(sender)
        await asyncio.sleep(0.001)
        watch.begin(sender)
        assert watch.due_s(sender) == due_s
        watch.end(sender)
        watch.begin(sender)
        assert watch.due_s(sender) > due_s
        watch.close()

    run(scene())


def test_nobody_is_told_after_the_end() -> None:
    """A closed watch leaves no timer behind."""

    async def scene() -> None:
        watch = SlowSenders(0.0)
        sender = Waiting()
        watch.begin(sender)
        watch.close()
        await asyncio.sleep(0.001)
        assert not sender.late.is_set()

    run(scene())
