"""The server's side of replica processes, without HTTP and without a dispatcher."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from policy.settings import pass_time_rule
from reference_server.backends import Batch
from reference_server.backends.emulated import emulated_settings
from reference_server.cores import Cores, cores_here
from reference_server.errors import CouldNotServe
from reference_server.frames import Broken, Hosting, Loaded, PassDone, encode
from reference_server.replica import FAILED_PASS, Hosted, ProcessReplica
from tests.reference_server.gate import (
    BUSY,
    ECHO,
    FRAMES,
    GATED,
    PICKY,
    SHARED,
    SLEEPY,
    STUCK,
    UNLOADABLE,
    WHERE,
    Gate,
    Held,
)
from tests.reference_server.live import MS, run

LONG_NS = 60_000 * MS
CORES = cores_here()


class Listener:
    """Notes what a replica reports."""

    def __init__(self) -> None:
        self.done: asyncio.Queue[PassDone] = asyncio.Queue()
        self.events: asyncio.Queue[str] = asyncio.Queue()
        self.sentences: Mapping[int, str] = {}  # of the latest loss
        self.stale = 0

    def ready(self, instance: int) -> None:
        self.events.put_nowait(f"ready {instance}")

    def pass_done(self, instance: int, done: PassDone) -> None:
        assert done.instance == instance
        self.done.put_nowait(done)

    def pass_broken(self, instance: int, sentence: str) -> None:
        self.events.put_nowait(f"broken {instance}: {sentence}")

    def lost(self, sentences: Mapping[int, str]) -> None:
        self.events.put_nowait(f"lost {', '.join(map(str, sentences))}")
        self.sentences = sentences

    def stale_frame(self) -> None:
        self.stale += 1

    async def next_events(self, count: int) -> list[str]:
        """Wait for so many events and return them."""
        return [await self.events.get() for _ in range(count)]


def batch(*inputs: bytes) -> Batch:
    """Return a batch of these inputs."""
    return Batch(((0, 0),) * len(inputs), 1, (1,) * len(inputs), inputs)


@asynccontextmanager
async def started(
    backend: str, settings: Mapping[str, object], *, instances: int = 1, pass_timeout_ns: int = LONG_NS
) -> AsyncIterator[tuple[ProcessReplica, Listener]]:
    """Give a replica that is ready."""
    async with started_as(Hosted(backend, settings, pass_timeout_ns, LONG_NS), instances) as both:
        yield both


@asynccontextmanager
async def started_as(hosted: Hosted, instances: int = 1) -> AsyncIterator[tuple[ProcessReplica, Listener]]:
    """Give a replica of these settings that is ready."""
    listener = Listener()
    replica = ProcessReplica(instances, hosted, listener)
    try:
        await replica.start()
        assert replica.is_ready
        assert sorted(await listener.next_events(instances)) == [f"ready {number}" for number in range(instances)]
        yield replica, listener
    finally:
        await replica.close()
        assert replica.pids == []


async def started_passes(gate: Gate, count: int) -> list[Held]:
    """Wait until so many passes run; return them by the length of their first input."""
    held = [await gate.pass_started() for _ in range(count)]
    return sorted(held, key=lambda each: each.lengths)


# A pass


def test_pass_comes_back_with_outputs_and_stamps() -> None:
    """Under the serial it was sent with; a backend that does not know its device's time gives none."""

    async def scene() -> None:
        async with started(ECHO, {}) as (replica, listener):
            replica.run_pass(0, 6, batch(b"1", b'"two"'))
            done = await listener.done.get()
            assert (done.serial, done.outputs, done.device_ns) == (6, (b"1", b'"two"'), -1)
            assert 0 < done.started_ns <= done.ended_ns

    run(scene())


def test_device_time_and_a_bad_input_come_back_with_the_others_outputs() -> None:
    """An input that the model does not take has a sentence in its place; its batch mates have their outputs."""

    async def scene() -> None:
        async with started(PICKY, {}) as (replica, listener):
            replica.run_pass(0, 0, batch(b"1", b'"two"', b"3"))
            done = await listener.done.get()
            assert done.device_ns == 7_000_000
            assert (done.outputs[0], str(done.outputs[1]), done.outputs[2]) == (
                b"1",
                "The input must be a number.",
                b"3",
            )

    run(scene())


def test_send_larger_than_the_socket_does_not_block(tmp_path: Path) -> None:
    """64 MB for a process that is held in a pass and reads nothing: a blocking send would never let that pass end."""

    async def scene() -> None:
        async with Gate(tmp_path) as gate, started(GATED, gate.settings) as (replica, listener):
            replica.run_pass(0, 0, batch(b"0"))
            held = await gate.pass_started()
            large = b"x" * 64 * 2**20
            replica.run_pass(0, 1, batch(large))
            held.end()
            while not listener.stale:  # the pass that was held is no longer the one that runs
                await asyncio.sleep(0)
            (await gate.pass_started()).end()
            assert (await listener.done.get()).outputs == (large,)

    run(scene())


def test_backend_that_raises_is_reported_and_lives(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """No restart: loading a model again for one bad input would be worse than the input."""

    async def scene() -> None:
        async with Gate(tmp_path) as gate, started(GATED, gate.settings) as (replica, listener):
            lives = replica.pids
            replica.run_pass(0, 0, batch(b"0"))
            (await gate.pass_started()).end("fail")
            assert await listener.events.get() == f"broken 0: {FAILED_PASS}"
            assert (replica.pids, replica.is_ready) == (lives, True)
            replica.run_pass(0, 1, batch(b"1"))
            (await gate.pass_started()).end()
            assert (await listener.done.get()).outputs == (b"1",)

    run(scene())
    assert "The backend of instance 0 failed in a pass: the device is on fire" in caplog.text


# Loss


@pytest.mark.parametrize("how", ["die", "die in its answer", "kill"])
def test_process_that_dies_is_lost_and_then_ready_again(tmp_path: Path, how: str) -> None:
    """What it was running never comes back, half an answer is no answer; the new process runs the next pass."""

    async def scene() -> None:
        async with Gate(tmp_path) as gate, started(GATED, gate.settings) as (replica, listener):
            died = replica.pids
            replica.run_pass(0, 0, batch(b"0"))
            held = await gate.pass_started()
            if how == "kill":
                os.kill(died[0], signal.SIGKILL)
            else:
                held.end(how)
            assert await listener.next_events(2) == ["lost 0", "ready 0"]
            assert listener.sentences == {0: FAILED_PASS}
            assert replica.pids != died
            replica.run_pass(0, 1, batch(b"1"))
            (await gate.pass_started()).end()
            done = await listener.done.get()
            assert (done.serial, done.incarnation) == (1, 2)

    run(scene())


def test_hung_pass_costs_the_process_its_life(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A pass that does not come back in time is killed and never answered; the process in its place serves the next."""

    async def scene() -> None:
        settings = 100 * MS
        async with (
            Gate(tmp_path) as gate,
            started(GATED, gate.settings, pass_timeout_ns=settings) as (replica, listener),
        ):
            (hung,) = replica.pids
            replica.run_pass(0, 0, batch(b"0"))
            await gate.pass_started()
            assert await listener.next_events(2) == ["lost 0", "ready 0"]
            assert listener.sentences == {0: "The pass that carried this request did not end within 0.1 s."}
            with pytest.raises(ProcessLookupError):
                os.kill(hung, 0)
            replica.run_pass(0, 1, batch(b"1"))
            (await gate.pass_started()).end()
            assert (await listener.done.get()).serial == 1

    run(scene())
    assert "ran a pass for more than 0.1 s, was killed and is started again" in caplog.text


def test_watchdog_counts_from_each_pass_and_not_from_the_first(tmp_path: Path) -> None:
    """Passes that end go on for longer than the limit, and only the one that hangs is killed."""

    async def scene() -> None:
        async with (
            Gate(tmp_path) as gate,
            started(GATED, gate.settings, pass_timeout_ns=800 * MS) as (replica, listener),
        ):
            for serial in range(4):
                replica.run_pass(0, serial, batch(b"0"))
                held = await gate.pass_started()
                await asyncio.sleep(0.25)
                held.end()
                assert (await listener.done.get()).serial == serial
            assert listener.events.empty()
            replica.run_pass(0, 4, batch(b"0"))
            assert await listener.events.get() == "lost 0"

    run(scene())


@pytest.mark.parametrize(
    ("frame", "left"),
    [
        pytest.param(PassDone(0, 0, 0, 1, 2, -1, (b"old",)), 1, id="results of the incarnation before"),
        pytest.param(PassDone(1, 0, 17, 1, 2, -1, (b"wrong",)), 1, id="results of an unknown serial"),
        pytest.param(PassDone(1, 3, 0, 1, 2, -1, (b"wrong",)), 1, id="results of an unknown instance"),
        pytest.param(Broken(1, 0, 17, "wrong"), 1, id="failure of an unknown serial"),
        pytest.param(Broken(1, 0, -1, "late"), 1, id="failure to load of one that is ready"),
        pytest.param(Loaded(1, 0), 1, id="ready twice"),
        pytest.param(Hosting(0, 1, False), 1, id="hosting of the incarnation before"),
        pytest.param(Hosting(1, 1, False), 0, id="hosting twice does no harm"),
    ],
)
def test_stale_frame_is_dropped_and_counted(frame: PassDone | Broken | Loaded | Hosting, left: int) -> None:
    """The pass that runs has the answer that belongs to it, once."""

    async def scene() -> None:
        async with started(FRAMES, {"frames": encode(frame).hex()}) as (replica, listener):
            replica.run_pass(0, 0, batch(b"right"))
            assert (await listener.done.get()).outputs == (b"right",)
            assert listener.stale == left
            assert (listener.done.empty(), listener.events.empty()) == (True, True)

    run(scene())


def test_process_that_sends_nonsense_is_replaced(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing that comes from it can be trusted any more."""

    async def scene() -> None:
        async with started(FRAMES, {"frames": "ff" + "00" * 8}) as (replica, listener):
            replica.run_pass(0, 0, batch(b"0"))
            assert await listener.next_events(2) == ["lost 0", "ready 0"]
            assert listener.done.empty()

    run(scene())
    assert "sent nonsense (These 0 bytes are no frame of kind 255.) and is started again" in caplog.text


def test_emulated_device_that_crashes_takes_its_restart_anew() -> None:
    """No machine and image again, 300 s; but the load, whose 200 ms count from the loss on."""

    async def scene() -> None:
        settings = emulated_settings(
            pass_time=pass_time_rule(base_ns=MS), cold_start_tables=[[0], [200 * MS]], crash_table=[300 * MS]
        )
        settings |= {"restart_from": 1, "cold_start_tables": [[300_000 * MS], [200 * MS]]}
        ordered_ns = time.perf_counter_ns() - 300_200 * MS
        async with started("emulated", settings | {"ordered_ns": ordered_ns}) as (replica, listener):
            (first,) = replica.pids
            assert await listener.next_events(1) == ["lost 0"]
            lost_ns = time.perf_counter_ns()
            assert await listener.next_events(1) == ["ready 0"]
            assert time.perf_counter_ns() - lost_ns > 190 * MS, "it was heard of a little before it was told here"
            assert replica.pids != [first]
            assert await listener.next_events(2) == ["lost 0", "ready 0"]

    run(scene())


# Several instances


def test_instances_have_a_process_each_by_default() -> None:
    """And each runs its passes in the main thread of its own."""

    async def scene() -> None:
        async with started(WHERE, {}, instances=2) as (replica, listener):
            for instance in range(2):
                replica.run_pass(instance, instance, batch(b"0"))
            outputs = {(await listener.done.get()).outputs[0] for _ in range(2)}
            assert outputs == {f"[{pid}, true]".encode() for pid in replica.pids}
            assert len(set(replica.pids)) == 2

    run(scene())


def test_instances_that_share_a_process_run_passes_at_once(tmp_path: Path) -> None:
    """As threads: both passes are held together, and each comes back to the instance it was sent to."""

    async def scene() -> None:
        async with Gate(tmp_path) as gate, started(SHARED, gate.settings, instances=2) as (replica, listener):
            assert len(replica.pids) == 1
            replica.run_pass(0, 7, batch(b"0"))
            replica.run_pass(1, 8, batch(b"11"))
            first, second = await started_passes(gate, 2)
            second.end()
            done = await listener.done.get()
            assert (done.instance, done.serial, done.outputs) == (1, 8, (b"11",))
            first.end()
            done = await listener.done.get()
            assert (done.instance, done.serial, done.outputs) == (0, 7, (b"0",))

    run(scene())


def test_hung_pass_takes_the_other_instances_of_its_process_along(tmp_path: Path) -> None:
    """All are lost in one report, so that no batch is handed to a dead one; only the hung pass is called hung."""

    async def scene() -> None:
        async with (
            Gate(tmp_path) as gate,
            started(SHARED, gate.settings, instances=2, pass_timeout_ns=500 * MS) as (replica, listener),
        ):
            replica.run_pass(1, 0, batch(b"11"))
            await gate.pass_started()
            await asyncio.sleep(0.3)
            replica.run_pass(0, 1, batch(b"0"))
            await gate.pass_started()
            assert await listener.events.get() == "lost 0, 1"
            assert listener.sentences[0] == FAILED_PASS
            assert "did not end within 0.5 s" in listener.sentences[1]
            assert sorted(await listener.next_events(2)) == ["ready 0", "ready 1"]
            assert replica.is_ready

    run(scene())


# Starts


def test_process_that_cannot_load_again_is_tried_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What the backend needs is away for three starts; nobody has to restart the server when it is back."""
    monkeypatch.setattr("reference_server.replica._RESTART_WAIT_S", 0.0)

    async def scene() -> None:
        async with Gate(tmp_path) as gate, started(GATED, gate.settings) as (replica, listener):
            replica.run_pass(0, 0, batch(b"0"))
            held = await gate.pass_started()
            needed = tmp_path / "gate"
            needed.rename(tmp_path / "away")
            held.end("die")
            assert await listener.next_events(3) == ["lost 0"] * 3
            assert not replica.is_ready
            (tmp_path / "away").rename(needed)
            while await listener.events.get() != "ready 0":
                pass
            assert replica.is_ready

    run(scene())
    assert "could not be loaded again: [Errno 2] No such file or directory" in caplog.text


def test_process_that_hangs_in_a_later_start_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A start has its own limit, so that a load that hangs is not waited for until somebody looks."""
    monkeypatch.setattr("reference_server.replica._RESTART_WAIT_S", 0.0)
    file = tmp_path / "sleep"

    async def scene() -> None:
        hosted = Hosted(SLEEPY, {"path": str(file)}, LONG_NS, LONG_NS)
        async with started_as(hosted) as (replica, listener):
            hosted.start_timeout_ns = 50 * MS
            file.touch()
            os.kill(replica.pids[0], signal.SIGKILL)
            assert await listener.next_events(3) == ["lost 0"] * 3
            file.unlink()
            hosted.start_timeout_ns = LONG_NS
            while await listener.events.get() != "ready 0":
                pass

    run(scene())
    assert "was not ready within 0.05 s, was killed and is started again" in caplog.text


def test_process_that_cannot_be_made_again_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The system is out of memory for processes, once: the server says so and goes on trying."""
    monkeypatch.setattr("reference_server.replica._RESTART_WAIT_S", 0.0)
    make = asyncio.create_subprocess_exec

    async def fail_once(*arguments: object, **settings: object) -> None:
        monkeypatch.setattr("asyncio.create_subprocess_exec", make)
        raise OSError(12, "Cannot allocate memory")

    async def scene() -> None:
        async with started(ECHO, {}) as (replica, listener):
            monkeypatch.setattr("asyncio.create_subprocess_exec", fail_once)
            os.kill(replica.pids[0], signal.SIGKILL)
            assert await listener.next_events(2) == ["lost 0", "ready 0"]

    run(scene())
    assert "The process of instance 0 could not be started again: Cannot allocate memory." in caplog.text


@pytest.mark.parametrize("instances", [1, 2])
@pytest.mark.parametrize(
    ("backend", "settings", "sentence"),
    [
        (UNLOADABLE, {}, "The backend could not be loaded: the weights are missing"),
        ("emulatd", {}, "The backend could not be loaded: backend must be one of emulated"),
        ("no.such:Backend", {}, "The backend could not be loaded: No module named 'no'"),
        ("os:_exit", {"status": 9}, "The process of instance"),
    ],
)
def test_backend_that_does_not_load_is_said_in_one_sentence(
    backend: str, settings: Mapping[str, object], sentence: str, instances: int
) -> None:
    """Also where the process is simply gone. It is not started again."""

    async def scene() -> None:
        listener = Listener()
        replica = ProcessReplica(instances, Hosted(backend, settings, LONG_NS, LONG_NS), listener)
        with pytest.raises(CouldNotServe) as caught:
            await replica.start()
        await replica.close()
        assert str(caught.value).startswith(sentence)
        assert "\n" not in str(caught.value)
        assert listener.events.empty()

    run(scene())


def test_process_that_dies_while_starting_ends_the_start() -> None:
    """The sentence names the instances that it was to host."""

    async def scene() -> None:
        replica = ProcessReplica(2, Hosted("os:_exit", {"status": 9}, LONG_NS, LONG_NS), Listener())
        with pytest.raises(CouldNotServe, match=r"^The process of instances 0 to 1 ended before it was ready\.$"):
            await replica.start()
        await replica.close()

    run(scene())


def test_start_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    """A backend that hangs while it loads is killed, and the server does not start."""

    async def scene() -> None:
        async with Gate(tmp_path) as gate:
            replica = ProcessReplica(1, Hosted(STUCK, gate.settings, LONG_NS, 300 * MS), Listener())
            with pytest.raises(CouldNotServe, match=r"^The backend of instance 0 was not ready within 0\.3 s\.$"):
                await replica.start()
            await replica.close()
            assert replica.pids == []

    run(scene())


@pytest.mark.skipif(len(CORES) < 2, reason="needs a core for the process and one for the rest")
def test_process_that_computes_on_the_cpu_has_a_core_to_itself() -> None:
    """So has the one that takes its place; the server keeps off until the end. One that does not compute has none."""
    os.sched_setaffinity(0, CORES)  # whatever a server that ran in this process before has left
    *rest, last = CORES

    async def scene() -> None:
        cores = Cores(1, CORES)
        async with started_as(Hosted(BUSY, {}, LONG_NS, LONG_NS, cores)) as (replica, listener):
            assert os.sched_getaffinity(replica.pids[0]) == {last}
            assert os.sched_getaffinity(0) == set(rest)
            os.kill(replica.pids[0], signal.SIGKILL)
            assert await listener.next_events(2) == ["lost 0", "ready 0"]
            assert os.sched_getaffinity(replica.pids[0]) == {last}
        async with started_as(Hosted(BUSY, {}, LONG_NS, LONG_NS, cores)) as (replica, _):
            assert os.sched_getaffinity(replica.pids[0]) == {last}  # it has come back
        cores.close()
        assert os.sched_getaffinity(0) == {*rest, last}
        cores = Cores(1, CORES)
        async with started_as(Hosted(ECHO, {}, LONG_NS, LONG_NS, cores)) as (replica, _):
            assert os.sched_getaffinity(replica.pids[0]) == {*rest, last}
        assert cores.front_end is None

    run(scene())


def test_closing_ends_the_process(tmp_path: Path) -> None:
    """Even in the middle of a pass that never ends."""

    async def scene() -> None:
        async with Gate(tmp_path) as gate, started(GATED, gate.settings) as (replica, _):
            replica.run_pass(0, 0, batch(b"0"))
            await gate.pass_started()
            await replica.close()
            assert replica.pids == []

    run(scene())


def test_closing_while_a_process_is_replaced_leaves_none() -> None:
    """The start that is under way is called off."""

    async def scene() -> None:
        async with started(ECHO, {}) as (replica, listener):
            os.kill(replica.pids[0], signal.SIGKILL)
            assert await listener.events.get() == "lost 0"
            await replica.close()
            assert replica.pids == []

    run(scene())
