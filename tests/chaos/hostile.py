"""Clients that break the rules: malformed requests, and senders so slow that they would hold a place for ever."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict

from tests.chaos.client import CUT, Asked, Book, Wire, prediction
from tests.chaos.malformed import Malformed, malformed_requests
from tests.chaos.scene import Result, Scene, play

_AT_ONCE = 8
_ANSWER_LIMIT_S = 15.0
_SLOW_BODY_BYTES = 10_000


async def send_malformed(count: int, *, seed: int, warm_up: int = 400) -> Result:
    """Send malformed requests on connections of their own, while well-formed ones are served beside them."""

    async def act(scene: Scene) -> None:
        gate = asyncio.Semaphore(_AT_ONCE)
        ends: dict[str, Counter[int]] = defaultdict(Counter)
        wrong: list[str] = []

        async def attack(request: Malformed) -> None:
            async with gate:
                status, fault = await _attack(scene, request)
            ends[request.kind][status] += 1
            if fault is not None:
                wrong.append(fault)

        async with scene.under_load(4):
            await asyncio.gather(*(attack(request) for request in malformed_requests(count, seed)))
        for kind, statuses in sorted(ends.items()):
            told = ", ".join(f"{number} x {status or 'closed'}" for status, number in sorted(statuses.items()))
            scene.notes.append(f"{kind}: {told}")
        scene.notes += wrong[:5]
        scene.expect(f"each of {count} got a right status with one sentence, or was closed where it was cut", not wrong)
        bystanders = scene.book.statuses("bystander")
        scene.expect("those beside them were all served", set(bystanders) == {"200"})
        scene.when_over(
            lambda: scene.expect(
                "not one of them came as far as a batch",
                sum(row.serial >= 0 for row in scene.rows) == scene.book.statuses()["200"],
            )
        )

    settings = {"base_ms": 3, "per_item_ms": 1, "max_batch": 4}
    return await play(f"{count} malformed requests", act, seed=seed, warm_up=warm_up, **settings)


async def send_slowly(
    count: int, *, seed: int, timeout_s: float = 10.0, timed: bool = True, warm_up: int = 400
) -> Result:
    """Send one byte a second on many connections, half of them in the head and half in the body."""

    async def act(scene: Scene) -> None:
        async with scene.under_load(8):
            told = await asyncio.gather(*(_send_slowly(scene, number % 2 == 0, timeout_s) for number in range(count)))
        took = sorted(seconds for _, seconds in told)
        statuses = Counter(status for status, _ in told)
        waits = sorted(1e3 * (asked.ended_s - asked.began_s) for asked in scene.book.asked if asked.kind == "bystander")
        scene.notes.append(
            f"slow senders: {statuses[408]} x 408 after {took[0]:.2f} to {took[-1]:.2f} s; others beside them: "
            f"{len(waits)} served, half within {waits[len(waits) // 2]:.1f} ms, 99 % within "
            f"{waits[len(waits) * 99 // 100]:.1f} ms"
        )
        scene.expect(f"all {count} got 408", statuses == {408: count})
        if timed:
            in_time = timeout_s - 0.05 <= took[0] <= took[-1] <= timeout_s + 1.5
            scene.expect(f"after {timeout_s:g} s, within 1.5 s, and were closed", in_time)
        scene.expect("those beside them were all served", set(scene.book.statuses("bystander")) == {"200"})

    settings = {"base_ms": 5, "per_item_ms": 1, "max_batch": 4, "receive_timeout_s": timeout_s}
    return await play(f"{count} slow senders", act, seed=seed, warm_up=warm_up, **settings)


async def _attack(scene: Scene, request: Malformed) -> tuple[int, str | None]:
    """Send one request; return its status, and what is wrong about the answer."""
    book = Book()
    asked = book.begin(request.kind)
    wire = Wire(book)
    loop = asyncio.get_running_loop()
    await loop.create_connection(lambda: wire, "127.0.0.1", scene.server.port)
    answer = wire.ask(asked, request.data)
    if request.ends:
        wire.transport.write_eof()
    try:
        status = await asyncio.wait_for(answer, _ANSWER_LIMIT_S)
    except TimeoutError:
        wire.hang_up()
        return -2, f"{request.kind}: no answer within {_ANSWER_LIMIT_S:g} s to {request.data[:200]!r}"
    fault = None
    if status not in request.right:
        fault = f"{request.kind}: status {status} to {request.data[:200]!r}"
    elif status != CUT and (asked.sentence is None or "Traceback" in asked.sentence):
        fault = f"{request.kind}: status {status} with {asked.body[:200]!r}"
    if fault is None and wire.is_open and not request.ends:
        fault = await _next_on(wire, scene, request)
    wire.transport.abort()
    return status, fault


async def _next_on(wire: Wire, scene: Scene, request: Malformed) -> str | None:
    """Send a right request on a connection that the server left open: it is answered, or the connection was ending."""
    asked = scene.book.begin("behind")
    asked.hung_up = True  # until it is known that the server took it
    status = await asyncio.wait_for(wire.ask(Asked(asked.number, 0.0), prediction(asked)), _ANSWER_LIMIT_S)
    if status > 0:
        asked.hung_up, asked.answers, asked.status = False, 1, status
        asked.body = b'{"output": {"id": "%d"}}' % asked.number
    return None if status in {200, CUT} else f"{request.kind}: then status {status} to a right request"


async def _send_slowly(scene: Scene, in_head: bool, timeout_s: float) -> tuple[int, float]:
    """Send a byte a second until there is an answer; return its status and when the connection was closed."""
    asked = scene.book.begin("slow")
    head = f"POST /predict HTTP/1.1\r\nHost: chaos\r\nX-Servecast-Attempt: {asked.number}.0\r\n"
    rest = b"X-Slow: "
    if not in_head:
        head += f"Content-Length: {_SLOW_BODY_BYTES}\r\n\r\n"
        rest = b'{"input": "'
    await asyncio.sleep(scene.rng.uniform(0.0, 1.0))
    wire = await scene.clients.connect()
    began = time.perf_counter()
    answer = wire.ask(asked, head.encode() + rest)
    while not answer.done() and time.perf_counter() < began + timeout_s + 10:
        await asyncio.wait([answer], timeout=1.0)
        if not answer.done():
            wire.transport.write(b"x")
    if not answer.done():
        wire.hang_up()
    await wire.closed
    return asked.status or 0, time.perf_counter() - began
