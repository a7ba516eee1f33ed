"""One scene of chaos: a server, clients, what is expected, and whether everything was as before when it was over."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from calibration.replay import replay
from policy.timeline import Attempt, Pass
from tests.chaos.client import Asked, Book, Clients
from tests.chaos.judge import faults
from tests.chaos.server import ChaosServer, Usage

MEMORY_MORE_MAX = 24 * 2**20
"""By how many resident bytes a server may have grown after a scene: its rows (240 bytes each), what malloc keeps."""

_SHOWN_FAULTS = 5
_WARM_UP_CLIENTS = 32


@dataclass
class Result:
    """What a scene showed."""

    name: str
    statuses: Counter[str]
    seconds: float
    before: Usage | None
    after: Usage | None
    decisions: int
    notes: list[str]  # counts for the reader
    expected: list[tuple[str, bool]]

    @property
    def is_good(self) -> bool:
        """Whether everything was as expected."""
        return all(met for _, met in self.expected)


@dataclass
class Scene:
    """A scene while it goes on."""

    name: str
    server: ChaosServer
    book: Book
    clients: Clients
    rng: random.Random
    notes: list[str] = field(default_factory=list)
    expected: list[tuple[str, bool]] = field(default_factory=list)
    tasks: list[asyncio.Task[object]] = field(default_factory=list)
    rows: list[Attempt] = field(default_factory=list)  # when it is over
    passes: list[Pass] = field(default_factory=list)
    judges: list[Callable[[], None]] = field(default_factory=list)  # called with the rows there

    def expect(self, what: str, met: bool) -> None:
        """Note an expectation."""
        self.expected.append((what, met))

    def when_over(self, judge: Callable[[], None]) -> None:
        """Judge something when the rows are there."""
        self.judges.append(judge)

    @asynccontextmanager
    async def under_load(self, clients: int, kind: str = "bystander") -> AsyncIterator[None]:
        """Keep clients asking while the block runs, and wait for their last answers."""
        stop = asyncio.Event()
        asking = [asyncio.create_task(self.clients.keep_asking(stop, kind)) for _ in range(clients)]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*asking)

    async def ask_many(self, count: int, kind: str, **orders: object) -> list[Asked]:
        """Send requests at once, each on a connection of its own, and return them when all are over."""
        return await asyncio.gather(*(self.clients.ask(kind, **orders) for _ in range(count)))


async def play(
    name: str,
    act: Callable[[Scene], Awaitable[None]],
    *,
    seed: int,
    warm_up: int,
    ends_server: bool = False,
    at_rest: int | None = None,
    **settings: object,
) -> Result:
    """Start a server, let the scene act on it, and judge what is left. `warm_up`: requests before the first look.

    `at_rest` is how many replica processes there are in the end, None: as many as at first.
    """
    began = time.perf_counter()
    with TemporaryDirectory(prefix="servecast-chaos-") as folder:
        server, book = ChaosServer(Path(folder), **settings), Book()
        try:
            await server.start()
            scene = Scene(name, server, book, Clients(server.port, book), random.Random(seed))
            before = await _warmed_up(scene, warm_up)
            await act(scene)
            after = None if ends_server else await server.settled(before)
            if not ends_server:
                server.terminate()
            code = await server.ended()
        finally:
            if server.process.returncode is None:
                server.kill()
        scene.expect("the server ended with exit code 0", code == 0)
        said = server.said()
        scene.expect("it said nothing of a fault of its own", "Traceback" not in said)
        if "Traceback" in said:
            scene.notes.append(said[said.index("Traceback") :][:3000])
        if code == 0:
            decisions = _judge(scene, ends_server)
        else:
            decisions = 0
            scene.notes.append(server.said()[-2000:])
    if after is not None:
        _compare(scene, before, after, before.children if at_rest is None else at_rest)
    seconds = time.perf_counter() - began
    return Result(
        name, book.statuses(), seconds, before if after else None, after, decisions, scene.notes, scene.expected
    )


async def _warmed_up(scene: Scene, requests: int) -> Usage:
    """Let the server do what it will do, so that what it takes once is taken; return what it holds then."""
    gate = asyncio.Semaphore(_WARM_UP_CLIENTS)

    async def ask() -> None:
        async with gate:
            await scene.clients.ask("warm-up")

    await asyncio.gather(*(ask() for _ in range(requests)))
    await scene.clients.get("/metrics")
    last = scene.server.usage()
    for _ in range(20):
        await asyncio.sleep(0.1)
        now = scene.server.usage()
        if now[2:] == last[2:]:
            return now
        last = now
    return last


def _judge(scene: Scene, ends_server: bool) -> int:
    """Join the book with the rows, and replay the journal; return how many decisions were confirmed."""
    scene.rows, scene.passes = scene.server.rows()
    wrong = faults(scene.book, scene.rows, may_be_cut=ends_server)
    sent = len(scene.book.asked)
    scene.expect(f"each of {sent} requests was answered exactly once, as its row says", not wrong)
    scene.notes += wrong[:_SHOWN_FAULTS]
    for judge in scene.judges:
        judge()
    report = replay(scene.server.folder / "journal")
    scene.expect(f"{report.decisions} decisions replay to the same", report.agrees and report.is_complete)
    scene.notes += [text for text in (report.first_difference, report.stopped) if text]
    return report.identical


def _compare(scene: Scene, before: Usage, after: Usage, at_rest: int) -> None:
    """Compare what the server holds with what it held; each replica process costs it one descriptor."""
    own, of_each = before.descriptors - before.children, before.children_descriptors // before.children
    scene.expect(
        f"descriptors as before: server {own + at_rest}, replicas {at_rest * of_each}",
        (after.descriptors, after.children_descriptors) == (own + at_rest, at_rest * of_each),
    )
    scene.expect(f"{at_rest} replica process(es) at rest", after.children == at_rest)
    more = after.memory - before.memory
    bound = MEMORY_MORE_MAX / 2**20
    scene.expect(f"the server's memory at most {bound:.0f} MiB larger", more <= MEMORY_MORE_MAX)
    children_more = after.children_memory - before.children_memory
    scene.expect(f"the replicas' memory at most {bound:.0f} MiB larger", children_more <= MEMORY_MORE_MAX)
