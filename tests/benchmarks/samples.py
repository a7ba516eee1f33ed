"""Where a server's CPU time goes: its stack is looked at every few milliseconds of CPU time, and the looks are grouped.

A timer of CPU time interrupts; what C code and the kernel cost counts for the Python line that called it. That changes
the program far less than a profiler that stops at every call.
"""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

__all__ = ["GROUPS", "OTHER", "Sampler", "shares"]

_PERIOD_S = 0.001  # asked for; Linux gives 4 ms where it counts 250 ticks a second

# A look belongs to the first group that one of its frames is in, asked from the innermost frame outwards.
GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("kernel: write to clients", ("asyncio/selector_events.py:_SelectorSocketTransport.write",)),
    ("kernel: read from clients", ("asyncio/selector_events.py:_SelectorSocketTransport._read",)),
    ("kernel: wait for sockets (epoll)", ("selectors.py:",)),
    ("kernel: write to and read from the replica", ("reference_server/channel.py:",)),
    ("HTTP: head and state of the connection", ("reference_server/plain_requests.py:",)),
    ("HTTP: aiohttp", ("aiohttp/",)),
    ("HTTP: the answer's head", ("reference_server/answers.py:",)),
    ("JSON: the body", ("reference_server/request_text.py:", "json/")),
    ("dispatcher and policy", ("reference_server/dispatcher.py:", "policy/")),
    ("frames to and from the replica", ("reference_server/frames.py:", "reference_server/replica.py:")),
    ("rows and metrics", ("reference_server/timeline_log.py:", "reference_server/metrics.py:")),
    (
        "shell between HTTP, dispatcher and replica",
        ("reference_server/dispatch_loop.py:", "reference_server/predictions.py:", "reference_server/timer.py:"),
    ),
    ("slow senders", ("reference_server/slow_senders.py:",)),
    ("event loop", ("asyncio/",)),
)
OTHER = "other"


class Sampler:
    """Looks at the stack of the main thread."""

    def __init__(self) -> None:
        self._stacks: Counter[tuple[str, ...]] = Counter()

    def start(self, file: str) -> None:
        """Look from now on, until SIGUSR1 comes: then write how often each stack was seen. From the main thread."""
        signal.signal(signal.SIGPROF, self._look)
        signal.signal(signal.SIGUSR1, lambda _number, _frame: self._write(Path(file)))
        signal.setitimer(signal.ITIMER_PROF, _PERIOD_S, _PERIOD_S)

    def _write(self, file: Path) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        rows = [[list(stack), count] for stack, count in self._stacks.most_common()]
        part = file.with_name(file.name + ".part")
        part.write_text(json.dumps(rows), encoding="utf-8")
        part.replace(file)

    def _look(self, _number: int, frame: FrameType | None) -> None:
        stack = []
        while frame is not None:
            code = frame.f_code
            stack.append(f"{'/'.join(code.co_filename.split('/')[-2:])}:{code.co_qualname}")
            frame = frame.f_back
        self._stacks[tuple(stack)] += 1


def shares(rows: Sequence[tuple[Sequence[str], int]]) -> dict[str, float]:
    """Return each group's share of the looks, largest first."""
    counts: Counter[str] = Counter()
    for stack, count in rows:
        counts[_group_of(stack)] += count
    total = counts.total()
    return {group: count / total for group, count in counts.most_common()}


def _group_of(stack: Sequence[str]) -> str:
    """Return the group of a stack, innermost frame first."""
    for frame in stack:
        for group, parts in GROUPS:
            if any(part in frame for part in parts):
                return group
    return OTHER
