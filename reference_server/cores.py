"""Which cores this server's processes run on: a process that computes passes on the CPU gets one to itself.

Such a pass holds a core for milliseconds. Linux often wakes the front end, or a client on this machine, on that very
core, where it waits for the scheduler's next tick while another core idles. Measured on two cores with MiniLM's passes
of 7 ms and more, at 30 % of capacity: the server's process waited for a core in 9 % of the time, and in 0.6 % when both
were bound so; a load generator that keeps off as well was 3.6 ms late at its p99, and 0.4 ms then.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable

__all__ = ["Cores", "cores_here"]


def cores_here() -> tuple[int, ...]:
    """Return the numbers of the cores that this process may use; none where the system does not tell."""
    affinity = getattr(os, "sched_getaffinity", None)
    return () if affinity is None else tuple(sorted(affinity(0)))


class Cores:
    """The last `wanted` of the cores, for processes that ask for one; the others are for everything else.

    `wanted` is how many processes may ask at most. Where that would leave no core for the rest, nobody gets one.
    """

    def __init__(self, wanted: int, available: Iterable[int] = ()) -> None:
        cores = list(available)
        enough = 0 < wanted < len(cores)
        self._all = frozenset(cores)
        self._free = cores[-wanted:] if enough else []
        self._rest = frozenset(cores[:-wanted]) if enough else self._all
        self._in_force = False

    @property
    def front_end(self) -> list[int] | None:
        """The cores that this process keeps to, None while it may use all."""
        return sorted(self._rest) if self._in_force else None

    def give(self, pid: int) -> int | None:
        """Bind a process to a core that no other one was given, and this process to the rest; None if none is left."""
        if not self._free:
            return None
        core = self._free.pop()
        self.bind(pid, core)
        self._bind(0, self._rest)
        self._in_force = True
        return core

    def bind(self, pid: int, core: int) -> None:
        """Bind a process to a core that was given: one that takes the place of another."""
        self._bind(pid, {core})

    def take_back(self, core: int) -> None:
        """Let another process have a core."""
        self._free.append(core)

    def close(self) -> None:
        """Let this process use all cores again."""
        if self._in_force:
            self._bind(0, self._all)
            self._in_force = False

    @staticmethod
    def _bind(pid: int, cores: Iterable[int]) -> None:
        with contextlib.suppress(OSError):  # it has just ended, or a container took the core away: it runs as it may
            os.sched_setaffinity(pid, cores)
