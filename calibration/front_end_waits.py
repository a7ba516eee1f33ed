"""How long requests and responses waited for the front end, worked out from when they came to it.

The front end is one station that serves first come, first served; a live server only shows when each job left it. What
is left of a measured time when the wait is taken off is what the job would have taken alone.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["front_end_waits"]

Times = npt.NDArray[np.int64]


def front_end_waits(requests_ns: Times, responses_ns: Times, request_ns: int, response_ns: int) -> tuple[Times, Times]:
    """Return the waits of requests and of responses that came at these moments, in the same order.

    `request_ns` and `response_ns` are the service times. Of jobs that come together requests go first, responses in
    the order they are given. The recursion is Lindley's (Proc. Cambridge Philosophical Society 48, 1952).
    """
    moments = np.concatenate([requests_ns, responses_ns])
    services = np.repeat([request_ns, response_ns], [len(requests_ns), len(responses_ns)])
    waits = np.zeros(len(moments), dtype=np.int64)
    free_ns = 0
    for job in np.argsort(moments, kind="stable").tolist():
        begin_ns = max(int(moments[job]), free_ns)
        waits[job] = begin_ns - moments[job]
        free_ns = begin_ns + int(services[job])
    return waits[: len(requests_ns)], waits[len(requests_ns) :]
