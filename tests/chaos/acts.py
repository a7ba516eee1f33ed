"""What is done to the server: kills, hangs, hang-ups, a signal, overload, a rollback; the rest is in hostile.py.

Each act is a function of how much of it, so that the tests play the same acts in small.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import suppress

from policy.instant import UNSET
from policy.rollout import Action
from policy.timeline import Outcome
from tests.chaos.client import Asked, Wire, prediction
from tests.chaos.scene import Result, Scene, play
from tests.chaos.serve import TOKEN

_PAD_BYTES = 8_000_000
"""Of an answer that no socket takes at one go: its client can hang up in the middle."""

_BACK_LIMIT_S = 20.0


async def kill_in_pass(kills: int, *, seed: int, warm_up: int = 400) -> Result:
    """Kill a replica process in the middle of a pass, again and again; others go on being served."""

    async def act(scene: Scene) -> None:
        hits, tries = 0, 0
        async with scene.under_load(24):
            while hits < kills and tries < 2 * kills:
                tries += 1
                await asyncio.sleep(scene.rng.uniform(0.01, 0.06))
                failed = scene.book.statuses()["500"]
                victim = scene.rng.choice(scene.server.children())
                os.kill(victim, signal.SIGKILL)
                await _back(scene, victim)
                hits += scene.book.statuses()["500"] > failed
        scene.notes.append(f"{hits} of {tries} kills hit a pass")
        scene.expect(f"{kills} kills hit a pass", hits == kills)

        def judge() -> None:
            lost = [passed for passed in scene.passes if passed.ended_ns == UNSET]
            members = sum(passed.batch_size for passed in lost)
            failed = sum(row.outcome == Outcome.FAILED for row in scene.rows)
            scene.notes.append(f"{len(lost)} passes were lost with {members} members")
            scene.expect(
                "exactly the members of lost passes got 500", members == failed == scene.book.statuses()["500"]
            )
            scene.expect("as many passes were lost as kills hit one", len(lost) == hits)

        scene.when_over(judge)
        _expect_statuses(scene, {"200", "500"})

    settings = {"base_ms": 20, "per_item_ms": 1, "max_batch": 4, "instances": 2}
    return await play(f"{kills} kills in a pass", act, seed=seed, warm_up=warm_up, **settings)


async def hang_in_pass(
    hangs: int, *, seed: int, timeout_s: float = 1.0, timed: bool = True, warm_up: int = 400
) -> Result:
    """Send inputs on which the model hangs; the watchdog gives their passes up, and others go on being served."""

    async def act(scene: Scene) -> None:
        waits = []
        async with scene.under_load(12):
            for _ in range(hangs):
                await asyncio.sleep(scene.rng.uniform(0.05, 0.2))
                asked = await scene.clients.ask("hanging", do="hang")
                waits.append(asked.ended_s - asked.began_s)
                await _back(scene)
        hanging = [asked for asked in scene.book.asked if asked.kind == "hanging"]
        said = {asked.sentence for asked in hanging}
        scene.notes.append(f"clients of hanging passes were told after {min(waits):.2f} to {max(waits):.2f} s: {said}")
        scene.expect(f"all {hangs} got 500", [asked.status for asked in hanging] == [500] * hangs)
        scene.expect("and were told why", all("did not end within" in str(sentence) for sentence in said))
        if timed:
            scene.expect(f"after {timeout_s:g} s, within 2 s", timeout_s <= min(waits) <= max(waits) <= timeout_s + 2)
        _expect_statuses(scene, {"200", "500"})

    settings = {"base_ms": 10, "per_item_ms": 1, "max_batch": 4, "pass_timeout_ns": round(timeout_s * 1e9)}
    return await play(f"{hangs} hung passes", act, seed=seed, warm_up=warm_up, **settings)


async def hang_up(each: int, *, seed: int, warm_up: int = 400) -> Result:
    """Let clients go while they wait, while their pass runs, and in the middle of their answer."""

    async def act(scene: Scene) -> None:
        async def leave(kind: str) -> None:
            gone = 0
            while gone < each:
                gone += await (_leave_in_answer(scene) if kind == "answered" else _leave(scene, kind))

        async with scene.under_load(6):
            await asyncio.gather(*map(leave, ("waiting", "running", "answered")))

        def judge() -> None:
            rows = {row.request: row for row in scene.rows}
            gone = {
                kind: [rows.get(asked.number) for asked in scene.book.asked if asked.kind == kind and asked.hung_up]
                for kind in ("waiting", "running", "answered")
            }
            abandoned = [row for kind in gone.values() for row in kind if row and row.outcome == Outcome.ABANDONED]
            # A small answer may be on its way to a client of whose end the server has not read yet.
            small = [row for kind in ("waiting", "running") for row in gone[kind] if row]
            crossed = sum(row.outcome == Outcome.ANSWERED for row in small)
            queued = sum(row.serial == UNSET for row in abandoned)
            written = sum(row.returned_ns != UNSET and row.answered_ns == UNSET for row in gone["answered"] if row)
            counts = {kind: len(rows) for kind, rows in gone.items()}
            scene.notes.append(
                f"hung up: {counts}; {queued} left the queue, {len(abandoned)} rows say abandoned, {crossed} answered: "
                "answer and hang-up crossed"
            )
            scene.expect(f"{3 * each} clients hung up", sum(counts.values()) >= 3 * each)
            scene.expect("each of them has a row", len(abandoned) + crossed == sum(counts.values()))
            scene.expect("that says so, but for one in fifty at most", crossed <= each / 50 + 1)
            scene.expect(
                "some left the queue, some a pass, some in their answer", 0 < queued < len(abandoned) > written
            )
            scene.expect(f"{each} left in the middle of their answer", written >= each)

        scene.when_over(judge)
        _expect_statuses(scene, {"200", "hung up"})

    settings = {"base_ms": 12, "per_item_ms": 1, "max_batch": 4}
    return await play(f"{3 * each} hang-ups", act, seed=seed, warm_up=warm_up, **settings)


async def signal_under_load(clients: int, *, seed: int, warm_up: int = 400) -> Result:
    """Send SIGTERM while many clients ask: what was accepted is answered, what comes later is refused or not taken."""

    async def act(scene: Scene) -> None:
        idle = [await scene.clients.connect() for _ in range(clients)]
        async with scene.under_load(clients):
            await asyncio.sleep(scene.rng.uniform(0.5, 1.0))
            in_flight = [asked for asked in scene.book.asked if asked.status is None]
            began = time.perf_counter()
            scene.server.terminate()
            await asyncio.gather(*(_ask_late(scene, wire) for wire in idle))
            code = await scene.server.ended()
        took_s = time.perf_counter() - began
        late = scene.book.statuses("late")
        kept = sum(asked.status == 200 for asked in in_flight)
        scene.notes.append(
            f"{len(in_flight)} in flight at the signal, {kept} answered; {clients} asked behind it: {dict(late)}; "
            f"it ended after {took_s:.2f} s with code {code}"
        )
        scene.expect("most that were in flight were answered, the others refused", kept > len(in_flight) / 2)
        scene.expect("no request in flight was cut", all(asked.status in {200, 503} for asked in in_flight))
        scene.expect("whoever asked behind the signal was refused or cut, most refused", late["503"] > clients / 2)
        _expect_statuses(scene, {"200", "503", "cut"})

    settings = {"base_ms": 50, "per_item_ms": 2, "max_batch": 8}
    name = f"SIGTERM under {clients} clients"
    return await play(name, act, seed=seed, warm_up=warm_up, ends_server=True, **settings)


async def overload(seconds: float, *, seed: int, cap: int = 128, timed: bool = True, warm_up: int = 400) -> Result:
    """Send ten times what the device can do, open loop: the queue stays bounded, and who is refused knows at once."""
    base_ms, per_item_ms, max_batch = 80, 5, 8
    capacity = max_batch / (base_ms + per_item_ms * max_batch) * 1e3
    deadline_s = 10.0

    async def act(scene: Scene) -> None:
        sent = round(10 * capacity * seconds)
        begin = time.perf_counter()
        asking = []
        healthy = 0
        for number in range(sent):
            wait_s = begin + number / (10 * capacity) - time.perf_counter()
            if wait_s > 0.001:
                await asyncio.sleep(wait_s)
            asking.append(asyncio.create_task(scene.clients.ask("overload")))
            if number % round(10 * capacity) == 0:
                status, _ = await scene.clients.get("/health")
                healthy += status == 200
        await asyncio.gather(*asking)
        over_s = time.perf_counter() - begin
        ended = [asked for asked in scene.book.asked if asked.kind == "overload"]
        ends = scene.book.statuses("overload")
        refused = sorted(asked.ended_s - asked.began_s for asked in ended if asked.status == 429)
        share = ends["200"] / (capacity * over_s)
        scene.notes.append(
            f"{sent / seconds:.0f}/s for {seconds:g} s at a capacity of {capacity:.1f}/s: answered {ends['200']} "
            f"({100 * share:.0f} % of what the device can do), refused {ends['429']}, "
            f"half of those within {1e3 * refused[len(refused) // 2]:.1f} ms, 99 % within "
            f"{1e3 * refused[len(refused) * 99 // 100]:.1f} ms"
        )
        scene.expect("answered and refused are all", ends["200"] + ends["429"] == sent)
        scene.expect("the server said that it is well all the time", healthy >= seconds)
        if timed:
            scene.expect("the device was kept at work: at least 85 % of its capacity", share >= 0.85)
            scene.expect("99 % of refusals within 250 ms", refused[len(refused) * 99 // 100] < 0.25)

    settings = {"base_ms": base_ms, "per_item_ms": per_item_ms, "max_batch": max_batch, "cap": cap}
    name = f"10x overload for {seconds:g} s"
    return await play(name, act, seed=seed, warm_up=warm_up, deadline_ms=round(deadline_s * 1e3), **settings)


async def kill_in_rollout(seconds: float, *, seed: int, warm_up: int = 400) -> Result:
    """Kill replicas at random while a canary gets half, roll it back in the middle, let the fleet go to none and back.

    The other scenes have one replica that stays; here an autoscaler starts and ends them meanwhile.
    """

    async def act(scene: Scene) -> None:
        kills = 0

        async def kill_for(how_long_s: float) -> None:
            nonlocal kills
            until = time.perf_counter() + how_long_s
            while time.perf_counter() < until:
                await asyncio.sleep(scene.rng.uniform(0.05, 0.4))
                victims = scene.server.children()
                if victims:
                    with suppress(ProcessLookupError):  # it may have ended by itself meanwhile
                        os.kill(scene.rng.choice(victims), signal.SIGKILL)
                        kills += 1

        async with scene.under_load(24):
            started, _ = await scene.clients.order("/admin/rollout", '{"command": "start"}', TOKEN)
            await kill_for(seconds / 2)
            in_flight = [asked for asked in scene.book.asked if asked.status is None]
            aborted, _ = await scene.clients.order("/admin/rollout", '{"command": "abort"}', TOKEN)
            await kill_for(seconds / 2)
        scene.expect("start and rollback were carried out", (started, aborted) == (200, 200))
        ends = {asked.status for asked in in_flight}
        scene.notes.append(f"{kills} kills; {len(in_flight)} requests in flight at the rollback")
        scene.expect("those were answered or failed with their pass", ends <= {200, 500})
        await _until_ready(scene, 0)
        first = await scene.clients.ask("from none")
        scene.notes.append(f"from none to an answer: {first.ended_s - first.began_s:.2f} s")
        scene.expect("the first request behind the pause was answered", first.status == 200)
        await _until_ready(scene, 0)

        def judge() -> None:
            moves = scene.server.table("rollout")
            back_ns = next(move["at_ns"] for move in moves if move["action"] == Action.ROLL_BACK)
            canary = [row for row in scene.rows if row.version == 1]
            lives = [life for life in scene.server.table("replicas") if life["version"] == 0]
            failed = scene.book.statuses()["500"]
            scene.notes.append(
                f"{len(canary)} requests met v2, {failed} failed with a pass; {len(lives)} replicas of v1 in all"
            )
            scene.expect(
                "v2 got requests, and none behind the rollback", all(row.enqueued_ns < back_ns for row in canary)
            )
            scene.expect("some met it", len(canary) > 0)
            scene.expect("v1 had replicas started and ended", len(lives) > 2)

        scene.when_over(judge)
        _expect_statuses(scene, {"200", "500", "503"})

    settings = {"base_ms": 20, "per_item_ms": 1, "max_batch": 4, "canary": True}
    name = f"kills for {seconds:g} s around a rollback"
    return await play(name, act, seed=seed, warm_up=warm_up, at_rest=1, **settings)


async def _until_ready(scene: Scene, replicas: int) -> None:
    """Wait until so many replicas of v1 are ready."""
    give_up = time.perf_counter() + _BACK_LIMIT_S
    line = f'servecast_ready_replicas{{version="v1"}} {replicas}.0'.encode()
    while time.perf_counter() < give_up:
        _, figures = await scene.clients.get("/metrics")
        if line in figures:
            return
        await asyncio.sleep(0.05)
    scene.expect(f"v1 came to {replicas} replicas", False)


async def _back(scene: Scene, victim: int = 0) -> None:
    """Wait until the server has noticed the end of a process, and every replica process is up."""
    give_up = time.perf_counter() + _BACK_LIMIT_S
    while time.perf_counter() < give_up:
        if victim not in scene.server.children():
            status, _ = await scene.clients.get("/health")
            if status == 200:
                return
        await asyncio.sleep(0.01)
    scene.expect("the replica came back", False)


async def _ask_late(scene: Scene, wire: Wire) -> None:
    """Ask on a connection that was open before the signal."""
    await asyncio.sleep(scene.rng.uniform(0.03, 0.1))
    asked = scene.book.begin("late")
    await wire.ask(asked, prediction(asked))
    wire.close()


async def _begin(scene: Scene, kind: str, **orders: object) -> tuple[Asked, Wire]:
    asked = scene.book.begin(kind)
    wire = await scene.clients.connect()
    wire.ask(asked, prediction(asked, **orders))
    return asked, wire


async def _leave(scene: Scene, kind: str) -> bool:
    """Send a request and go: soon, while it waits, or later, when its pass may run; return whether it was in time."""
    asked, wire = await _begin(scene, kind)
    await asyncio.sleep(scene.rng.uniform(0.002, 0.006) if kind == "waiting" else scene.rng.uniform(0.012, 0.030))
    return await _go(asked, wire)


async def _leave_in_answer(scene: Scene) -> bool:
    """Send a request with a large answer, and go when its first bytes are there."""
    asked, wire = await _begin(scene, "answered", pad=_PAD_BYTES)
    await wire.saw_head
    return await _go(asked, wire)


async def _go(asked: Asked, wire: Wire) -> bool:
    """Hang up, and return True, unless the answer is there already."""
    if asked.status is None:
        wire.hang_up()
    else:
        wire.close()
    await wire.closed
    return asked.hung_up


def _expect_statuses(scene: Scene, allowed: set[str]) -> None:
    """Note that no other status came than these."""

    def judge() -> None:
        others = set(scene.book.statuses()) - allowed
        scene.expect(f"nothing came but {', '.join(sorted(allowed))}", not others)

    scene.when_over(judge)
