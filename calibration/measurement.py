"""One measured load: wait for quiet, send a plan, and bring the client's rows and the server's log together."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from calibration.errors import ServerUnreachable
from calibration.host import HostLoad, host_load, host_moment
from calibration.live_server import LiveServer
from calibration.load_plan import LoadPlan, LoadRun
from calibration.load_process import drive
from calibration.samples import ServerLog, join
from policy.autoscaling import Cause
from sim.engine.timelines import SCALING_COLUMNS, Timeline

__all__ = ["Measurement", "measure_load"]

_AT, _CAUSE = SCALING_COLUMNS.index("at_ns"), SCALING_COLUMNS.index("cause")


@dataclass(frozen=True)
class Measurement:
    """What one load left behind. Nothing here has been read for its latencies yet."""

    run: LoadRun
    log: ServerLog
    host: HostLoad
    server_cpu_s: float  # of the server's process, from before the first connection until the last answer
    wall_s: float  # of the same time

    @property
    def at_work_ns(self) -> int | None:
        """For how long the server's autoscalers had been at work when the load began; None where its log forgot."""
        if not len(self.log.scalings) or self.log.scalings[0, _CAUSE] != Cause.NONE:
            return None
        return self.run.origin_ns - int(self.log.scalings[0, _AT])

    def timeline(self) -> Timeline:
        """Return both sides joined. Raises BadSamples where that cannot be done."""
        return join(self.run, self.log)


def measure_load(server: LiveServer, plan: LoadPlan, progress: Callable[[float], None] | None = None) -> Measurement:
    """Send a plan to a server that has come to rest.

    Raises what LiveServer and drive raise; BadSamples too where the server is not the one of this LiveServer's earlier
    loads, or changes during this one.
    """
    server.require_unchanged()
    try:
        return _measured(server, plan, progress)
    except ServerUnreachable:
        server.require_unchanged()  # says what became of a server that is back
        raise


def _measured(server: LiveServer, plan: LoadPlan, progress: Callable[[float], None] | None) -> Measurement:
    """Send the plan."""
    server.wait_until_idle()
    server.clear_timeline()
    cpu_from_s, from_s = server.cpu_s(), time.perf_counter()
    before = host_moment()
    run = drive(plan.at(server.url, server.input_text, server.front_end_cores()), progress)
    after = host_moment()
    server.require_unchanged()  # before the CPU clock is read: that of another process says nothing
    cpu_s, wall_s = server.cpu_s() - cpu_from_s, time.perf_counter() - from_s
    server.wait_until_idle()
    log = server.timeline()
    server.require_unchanged()
    return Measurement(run, log, host_load(before, after), cpu_s, wall_s)
