"""The server's side of a replica process, without HTTP and without a dispatcher."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from reference_server.backends import Batch
from reference_server.errors import CouldNotServe
from reference_server.frames import PassDone, RunPass
from reference_server.replica import ReplicaProcess
from tests.reference_server.gate import ECHO, GATED, UNLOADABLE, Gate
from tests.reference_server.live import run


class Listener:
    """Notes what a replica process reports."""

    def __init__(self) -> None:
        self.done: asyncio.Queue[PassDone] = asyncio.Queue()
        self.events: asyncio.Queue[str] = asyncio.Queue()

    def ready(self, instance: int) -> None:
        self.events.put_nowait(f"ready {instance}")

    def pass_done(self, instance: int, done: PassDone) -> None:
        self.done.put_nowait(done)

    def pass_broken(self, instance: int) -> None:
        self.events.put_nowait(f"broken {instance}")

    def lost(self, instance: int) -> None:
        self.events.put_nowait(f"lost {instance}")


def run_pass(serial: int, *inputs: bytes) -> RunPass:
    """Return a message that asks for a pass."""
    return RunPass(serial, Batch(serial, 0, 1, (1,) * len(inputs), inputs))


@asynccontextmanager
async def started(backend: str, settings: Mapping[str, object]) -> AsyncIterator[tuple[ReplicaProcess, Listener]]:
    """Give a process that is ready."""
    listener = Listener()
    replica = ReplicaProcess(4, backend, settings, listener)
    try:
        await replica.start()
        assert await listener.events.get() == "ready 4"
        yield replica, listener
    finally:
        await replica.close()


def test_pass_comes_back_with_outputs_and_stamps() -> None:
    """Under the serial it was sent with."""

    async def scene() -> None:
        async with started(ECHO, {}) as (replica, listener):
            replica.run_pass(run_pass(6, b"1", b'"two"'))
            done = await listener.done.get()
            assert (done.serial, done.outputs) == (6, (b"1", b'"two"'))
            assert 0 < done.started_ns <= done.ended_ns

    run(scene())


def test_send_larger_than_the_socket_does_not_block(tmp_path: Path) -> None:
    """The process is held in a pass and reads nothing, so a blocking send would never return to end that pass."""

    async def scene() -> None:
        async with Gate(tmp_path) as gate, started(GATED, gate.settings) as (replica, listener):
            replica.run_pass(run_pass(0, b"0"))
            held = await gate.pass_started()
            large = b"x" * 20_000_000
            replica.run_pass(run_pass(1, large))
            replica.run_pass(run_pass(2, b"2"))
            held.end()
            for _ in range(2):
                (await gate.pass_started()).end()
            done = [await listener.done.get() for _ in range(3)]
            assert [(each.serial, each.outputs) for each in done] == [(0, (b"0",)), (1, (large,)), (2, (b"2",))]

    run(scene())


@pytest.mark.parametrize("how", ["die", "die in its answer"])
def test_process_that_dies_is_lost_and_then_ready_again(tmp_path: Path, how: str) -> None:
    """What it was running never comes back, half an answer is no answer; the new process runs the next pass."""

    async def scene() -> None:
        async with Gate(tmp_path) as gate, started(GATED, gate.settings) as (replica, listener):
            died = replica.pid
            replica.run_pass(run_pass(0, b"0"))
            (await gate.pass_started()).end(how)
            assert [await listener.events.get(), await listener.events.get()] == ["lost 4", "ready 4"]
            assert replica.pid != died
            replica.run_pass(run_pass(1, b"1"))
            (await gate.pass_started()).end()
            assert (await listener.done.get()).serial == 1

    run(scene())


def test_process_that_cannot_load_again_is_tried_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What the backend needs is away for three starts; nobody has to restart the server when it is back."""
    monkeypatch.setattr("reference_server.replica._RESTART_WAIT_S", 0.0)

    async def scene() -> None:
        async with Gate(tmp_path) as gate, started(GATED, gate.settings) as (replica, listener):
            replica.run_pass(run_pass(0, b"0"))
            held = await gate.pass_started()
            needed = tmp_path / "gate"
            needed.rename(tmp_path / "away")
            held.end("die")
            assert [await listener.events.get() for _ in range(3)] == ["lost 4"] * 3
            assert not replica.is_ready
            (tmp_path / "away").rename(needed)
            while await listener.events.get() != "ready 4":
                pass
            assert replica.is_ready

    run(scene())
    assert "could not be loaded again: [Errno 2] No such file or directory" in caplog.text


def test_backend_that_raises_is_reported_and_lives(tmp_path: Path) -> None:
    """No restart: loading a model again for one bad input would be worse than the input."""

    async def scene() -> None:
        async with Gate(tmp_path) as gate, started(GATED, gate.settings) as (replica, listener):
            lives = replica.pid
            replica.run_pass(run_pass(0, b"0"))
            (await gate.pass_started()).end("fail")
            assert await listener.events.get() == "broken 4"
            assert (replica.pid, replica.is_ready) == (lives, True)

    run(scene())


@pytest.mark.parametrize(
    ("backend", "settings", "sentence"),
    [
        (UNLOADABLE, {}, "The backend could not be loaded: the weights are missing"),
        ("emulatd", {}, "The backend could not be loaded: backend must be one of emulated"),
        ("no.such:Backend", {}, "The backend could not be loaded: No module named 'no'"),
        ("os:_exit", {"status": 9}, "The process of instance 0 ended before it was ready."),
    ],
)
def test_backend_that_does_not_load_is_said_in_one_sentence(
    backend: str, settings: Mapping[str, object], sentence: str
) -> None:
    """Also where the process is simply gone. It is not started again."""

    async def scene() -> None:
        listener = Listener()
        replica = ReplicaProcess(0, backend, settings, listener)
        with pytest.raises(CouldNotServe) as caught:
            await replica.start()
        await replica.close()
        assert str(caught.value).startswith(sentence)
        assert listener.events.empty()

    run(scene())


def test_closing_ends_the_process(tmp_path: Path) -> None:
    """Even in the middle of a pass that never ends."""

    async def scene() -> None:
        async with Gate(tmp_path) as gate, started(GATED, gate.settings) as (replica, _):
            replica.run_pass(run_pass(0, b"0"))
            await gate.pass_started()
            await replica.close()
            assert replica.pid is None

    run(scene())
