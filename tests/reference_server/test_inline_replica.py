"""A backend in the event loop, without HTTP."""

from __future__ import annotations

import asyncio
import os

import pytest

from reference_server.backends import Batch
from reference_server.errors import CouldNotServe
from reference_server.inline_replica import InlineReplica
from tests.reference_server.gate import PICKY, UNLOADABLE, WHERE
from tests.reference_server.live import run
from tests.reference_server.test_replica import Listener

RAISING = "tests.reference_server.gate:FramesBackend"  # it writes on an argument of the program, and there is none


def test_pass_runs_in_the_thread_of_the_event_loop() -> None:
    """Not in a process, not in a thread, and not before run_pass() has returned."""

    async def scene() -> None:
        listener = Listener()
        replica = InlineReplica(WHERE, {}, listener)
        assert not replica.is_ready
        await replica.start()
        assert (replica.is_ready, replica.pids) == (True, [])
        assert await listener.events.get() == "ready 0"
        replica.run_pass(0, 5, Batch(((0, 0),), 1, (1,), (b"0",)))
        assert listener.done.empty()
        done = await listener.done.get()
        assert (done.serial, done.outputs) == (5, (f"[{os.getpid()}, true]".encode(),))
        assert 0 < done.started_ns <= done.ended_ns
        await replica.close()

    run(scene())


def test_pass_waits_behind_what_the_loop_has_to_do() -> None:
    """First come, first served: what was called for before runs before it, what comes later waits for its end."""

    async def scene() -> None:
        listener = Listener()
        replica = InlineReplica(PICKY, {}, listener)
        await replica.start()
        order: list[tuple[str, bool]] = []
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: order.append(("before", listener.done.empty())))
        replica.run_pass(0, 0, Batch(((0, 0),), 1, (1,), (b"0",)))
        loop.call_soon(lambda: order.append(("after", listener.done.empty())))
        assert (await listener.done.get()).device_ns == 7_000_000
        await asyncio.sleep(0)
        assert order == [("before", True), ("after", False)]

    run(scene())


def test_backend_that_raises_is_reported(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Its members fail, the server goes on."""
    monkeypatch.setattr("sys.argv", ["program"])

    async def scene() -> None:
        listener = Listener()
        replica = InlineReplica(RAISING, {"frames": ""}, listener)
        await replica.start()
        replica.run_pass(0, 0, Batch(((0, 0),), 1, (1,), (b"0",)))
        assert await listener.next_events(2) == ["ready 0", "broken 0: The pass that carried this request failed."]

    run(scene())
    assert "The backend failed in a pass: list index out of range" in caplog.text


@pytest.mark.parametrize(
    ("backend", "sentence"), [(UNLOADABLE, "the weights are missing"), ("no.such:Backend", "No module named 'no'")]
)
def test_backend_that_does_not_load_is_said_in_one_sentence(backend: str, sentence: str) -> None:
    """As one in a process is."""

    async def scene() -> None:
        replica = InlineReplica(backend, {}, Listener())
        with pytest.raises(CouldNotServe, match=f"^The backend could not be loaded: {sentence}$"):
            await replica.start()
        assert not replica.is_ready

    run(scene())
