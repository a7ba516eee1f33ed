"""How long jobs waited for the front end, worked out from when they came to it.

The front end is one station that serves first come, first served, whatever kind a job is; a live server only shows when
each job left it. What is left of a measured time when the wait is taken off is what the job would have taken alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Services", "front_end_waits"]

Times = npt.NDArray[np.int64]


class Services(NamedTuple):
    """The front end's work for one job of each kind, in ns; zeros: nothing waits. In the order of policy/instant.py."""

    pass_result_ns: int = 0
    timer_ns: int = 0
    response_ns: int = 0
    request_ns: int = 0


def front_end_waits(moments_ns: Sequence[Times], services_ns: Sequence[int]) -> list[Times]:
    """Return the waits of the jobs of each kind that came at these moments, in the same order.

    `services_ns` has the service time of each kind. Of jobs that come together those of an earlier kind go first, and
    within a kind the order in which they are given counts. The recursion is Lindley's (Proc. Cambridge Philosophical
    Society 48, 1952).
    """
    counts = [len(moments) for moments in moments_ns]
    moments = np.concatenate(moments_ns)
    services = np.repeat(np.asarray(services_ns, dtype=np.int64), counts).tolist()
    waits = np.zeros(len(moments), dtype=np.int64)
    free_ns = 0
    for job in np.argsort(moments, kind="stable").tolist():
        came_ns = int(moments[job])
        begin_ns = max(came_ns, free_ns)
        waits[job] = begin_ns - came_ns
        free_ns = begin_ns + services[job]
    return np.split(waits, np.cumsum(counts)[:-1])
