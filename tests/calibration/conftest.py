"""Fakes that several tests of calibration use: a small HTTP server, and a live server that is simulated."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest

from calibration.host import HostLoad
from calibration.load_plan import LoadPlan, LoadRun, SentAttempt
from calibration.measurement import Measurement
from calibration.samples import ServerLog
from policy.instant import UNSET
from policy.pass_time import SPREAD_ONE
from policy.settings import admission_rule, batching_rule, deadline_rule, pass_time_rule
from policy.timeline import Attempt
from sim.engine.engine_input import EngineInput, FleetInput, FrontEndInput, TrafficInput
from sim.engine.process_engine import run

Reply = Callable[[bytes], tuple[float, bytes]]
"""The head and body of a request -> the wait in seconds (UNTIL_ALL: see hold) and the bytes of the response."""

UNTIL_ALL = -1.0


@dataclass
class TinyServer:
    """An asyncio server in a thread: what came in, in order, and which connections were closed by the client."""

    reply: Reply
    port: int = 0
    received: list[bytes] = field(default_factory=list)
    opened: int = 0
    lost: int = 0
    hold: int = 0  # answers with the wait UNTIL_ALL are held until there are that many
    held: list[Callable[[], None]] = field(default_factory=list)
    transports: set[asyncio.BaseTransport] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_for(self, condition: Callable[[], bool]) -> bool:
        """Return whether a condition comes true; the server runs in another thread."""
        for _ in range(500):
            if condition():
                return True
            time.sleep(0.01)
        return False

    def ids(self) -> list[str]:
        """The X-Servecast-Attempt of each request."""
        return [text.split(b"X-Servecast-Attempt: ")[1].split(b"\r\n")[0].decode() for text in self.received]


class _Connection(asyncio.Protocol):
    def __init__(self, server: TinyServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._server.opened += 1
        self._server.transports.add(transport)

    def data_received(self, data: bytes) -> None:
        self._server.received.append(data)
        wait_s, response = self._server.reply(data)
        if wait_s == UNTIL_ALL:
            self._hold(response)
        else:
            asyncio.get_running_loop().call_later(wait_s, self._write, response)

    def _hold(self, response: bytes) -> None:
        self._server.held.append(lambda: self._write(response))
        if len(self._server.held) == self._server.hold:
            for write in self._server.held:
                write()

    def _write(self, response: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(response)
            if b"Connection: close" in response:
                self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.lost += 1
        self._server.transports.discard(self._transport)


@pytest.fixture
def tiny_server() -> Iterator[Callable[[Reply], TinyServer]]:
    """Start small servers on free ports; they end with the test."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    listening: list[asyncio.Server] = []
    servers: list[TinyServer] = []

    def start(reply: Reply) -> TinyServer:
        server = TinyServer(reply)

        async def listen() -> asyncio.Server:
            return await loop.create_server(lambda: _Connection(server), "127.0.0.1", 0)

        servers.append(server)
        listening.append(asyncio.run_coroutine_threadsafe(listen(), loop).result(5))
        server.port = listening[-1].sockets[0].getsockname()[1]
        return server

    yield start
    asyncio.run_coroutine_threadsafe(_close(listening, servers), loop).result(5)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()


async def _close(listening: list[asyncio.Server], servers: list[TinyServer]) -> None:
    """Close everything and let the loop carry it out."""
    # Listeners last: a connection that is being accepted while its listener closes would never be closed itself.
    for _ in range(10):
        for server in servers:
            for transport in list(server.transports):
                transport.close()
        await asyncio.sleep(0.005)
    for each in listening:
        each.close()


@dataclass
class SimulatedServer:
    """Stands for a live server: drives plans through the process engine, with known parts in ms, and keeps count.

    CPU time is that of the work for requests, responses and results; `per_pass_ms` more belong to each pass.
    """

    base: float = 8.0
    per_item: float = 0.5
    batch_in: float = 0.25
    results_out: float = 0.15
    request: float = 0.2
    response: float = 0.1
    pass_result: float = 0.0
    timer: float = 0.0
    there: float = 0.1
    back: float = 0.3
    per_pass_ms: float = 0.0
    idle_cpu_s: float = 0.05
    table: dict[int, float] | None = None
    max_batch: int = 8
    max_wait_ms: float = 5.0
    cap: int | None = None
    late_ns: int = 50_000
    host: HostLoad = field(default_factory=lambda: HostLoad(0.0, 0.0))
    plans: list[LoadPlan] = field(default_factory=list)

    def measure(self, _server: object, plan: LoadPlan, progress: object = None) -> Measurement:
        """Take the place of measure_load."""
        self.plans.append(plan)
        timeline = run(self._engine_input(plan))
        answered = timeline.attempts
        rows = np.zeros((len(answered), len(SentAttempt._fields)), dtype=np.int64)
        for name in ("request", "attempt", "size", "intended_ns", "delivered_ns", "outcome"):
            rows[:, SentAttempt._fields.index(name)] = timeline.attempt(name)
        rows[:, SentAttempt._fields.index("due_ns")] = timeline.attempt("sent_ns")
        rows[:, SentAttempt._fields.index("sent_ns")] = timeline.attempt("sent_ns") + self.late_ns
        rows[:, SentAttempt._fields.index("status")] = 200
        log = answered.copy()
        for name in ("intended_ns", "sent_ns", "delivered_ns"):
            log[:, Attempt._fields.index(name)] = UNSET
        work_ms = (self.request + self.response) * len(rows)
        work_ms += (self.pass_result + self.per_pass_ms) * len(timeline.passes)
        return Measurement(
            run=LoadRun(0, rows, plan.connections, 0, "timerfd"),
            log=ServerLog(log, timeline.passes, 0),
            host=self.host,
            server_cpu_s=self.idle_cpu_s + work_ms / 1e3,
            wall_s=1.0,
        )

    def _engine_input(self, plan: LoadPlan) -> EngineInput:
        def ns(value_ms: float) -> int:
            return round(value_ms * 1e6)

        table = {size: ns(value_ms) for size, value_ms in (self.table or {}).items()}
        return EngineInput(
            seed=7,
            traffic=TrafficInput(
                arrivals_ns=plan.arrivals_ns,
                sizes=plan.sizes,
                size_table=[1],
                clients=0,
                think_table=[1],
                timeout_table=None,
                retry=plan.retry,
                there_ns=ns(self.there),
                back_ns=ns(self.back),
            ),
            front_end=FrontEndInput(
                1, [ns(self.request)], [ns(self.response)], [ns(self.pass_result)], [ns(self.timer)]
            ),
            fleet=FleetInput(
                instances=1,
                batching=batching_rule(max_batch=self.max_batch, max_wait_ns=ns(self.max_wait_ms)),
                admission=admission_rule(cap=self.cap),
                deadline=deadline_rule(deadline_ns=None),
                pass_time=pass_time_rule(
                    base_ns=ns(self.base), per_item_ns=ns(self.per_item), table=table, max_batch=self.max_batch
                ),
                spread_table=[SPREAD_ONE],
                batch_in_table=[ns(self.batch_in)],
                results_out_table=[ns(self.results_out)],
            ),
            measure_from_ns=0,
            measure_to_ns=int(plan.arrivals_ns[-1]) + 1,
            stop_ns=int(plan.arrivals_ns[-1]) + 60 * 10**9,
        )


@pytest.fixture
def simulated_server() -> type[SimulatedServer]:
    """The class of simulated servers: tests state the parts they need."""
    return SimulatedServer
