"""One plain measured run: a scenario's traffic sent to a server, and what came back. Nothing is forecast or fitted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from calibration.errors import BadSamples
from calibration.host import Bounds, HostLoad, Validity, host_load, host_moment, judge, lateness_bound_ns
from calibration.load_plan import Lateness, LoadRun
from calibration.load_process import drive
from calibration.progress import Progress, part_of
from calibration.traffic_plan import traffic_plan
from policy.timeline import Outcome
from sim.outcome.quantiles import QUANTILE_NAMES, quantile
from sim.scenario.capacity import at_rate
from sim.scenario.spec import Scenario

__all__ = ["LOAD_VERSION", "LoadResult", "load_once"]

LOAD_VERSION = "servecast-load/1"

_S_NS = 10**9
_EXCEEDANCES_LEAST = 10  # answers beyond a quantile, or it is not told


@dataclass(frozen=True)
class LoadResult:
    """What a run showed. Latencies run from the intended first send to the whole answer, over answered requests."""

    requests: int
    duration_s: float
    latencies_ms: npt.NDArray[np.float64]  # in the order of the requests
    outcomes: Mapping[str, int]  # of requests: that of the last attempt
    statuses: Mapping[int, int]  # of attempts, by HTTP status; 0: no response
    lateness: Lateness
    host: HostLoad
    validity: Validity
    timer: str  # timerfd or call_at

    @property
    def offered_per_s(self) -> float:
        """First sends per second."""
        return self.requests / self.duration_s

    @property
    def answered_per_s(self) -> float:
        """Answered requests per second of the schedule."""
        return len(self.latencies_ms) / self.duration_s

    @property
    def latency_ms(self) -> dict[str, float | None]:
        """Mean and quantiles; None where fewer than ten answers lie beyond, empty without answers."""
        if not len(self.latencies_ms):
            return {}
        figures: dict[str, float | None] = {"mean": float(self.latencies_ms.mean())}
        for name, q in QUANTILE_NAMES.items():
            enough = len(self.latencies_ms) * (1 - q) >= _EXCEEDANCES_LEAST
            figures[name] = float(quantile(self.latencies_ms, q)) if enough else None
        return figures

    def to_json(self) -> dict[str, object]:
        """Return the result as plain values."""
        late = self.lateness
        return {
            "version": LOAD_VERSION,
            "requests": self.requests,
            "duration_s": self.duration_s,
            "offered_per_s": self.offered_per_s,
            "answered_per_s": self.answered_per_s,
            "latency_ms": self.latency_ms,
            "outcomes": dict(self.outcomes),
            "statuses": {str(status): count for status, count in self.statuses.items()},
            "lateness_ms": {"p50": late.p50_ns / 1e6, "p99": late.p99_ns / 1e6, "max": late.max_ns / 1e6},
            "host": self.host._asdict(),
            "valid": self.validity.valid,
            "reasons": list(self.validity.reasons),
            "timer": self.timer,
        }


def load_once(
    url: str,
    scenario: Scenario,
    *,
    rate_per_s: float | None = None,
    duration_s: float = 30.0,
    seed: int = 0,
    bounds: Bounds | None = None,
    progress: Progress | None = None,
) -> LoadResult:
    """Return what a server did with a scenario's traffic, at its own rate or at `rate_per_s`.

    A trace is stretched to the rate. Raises BadAddress for a server that is not on this machine, BadSamples for a
    closed loop or an empty schedule, ScenarioError for bad traffic, ServerUnreachable.
    """
    if not duration_s > 0 or (rate_per_s is not None and not rate_per_s > 0):
        raise BadSamples(f"A load needs a rate and a duration above 0. Got {rate_per_s}/s for {duration_s:g} s.")
    if rate_per_s is not None:
        horizon = scenario.horizon.model_copy(update={"duration": round(duration_s * _S_NS), "warm_up": 0})
        scenario = at_rate(scenario.model_copy(update={"horizon": horizon}), rate_per_s)
    plan = traffic_plan(url, scenario, round(duration_s * _S_NS), seed=seed)
    tell = part_of(progress, 0, 1)
    before = host_moment()
    run = drive(plan, lambda share: tell("sending", share))
    moved = host_load(before, host_moment())
    bounds = bounds or Bounds(lateness_p99_ns=lateness_bound_ns(scenario.goals.p99))
    return _result(run, len(plan.arrivals_ns), duration_s, moved, judge(run.lateness, moved, bounds))


def _result(run: LoadRun, requests: int, duration_s: float, host: HostLoad, validity: Validity) -> LoadResult:
    """Return what the rows of the client amount to."""
    last = np.append(np.diff(run.column("request")) != 0, True)
    outcomes = run.column("outcome")[last]
    latency_ns = (run.column("delivered_ns") - run.column("intended_ns"))[last]
    return LoadResult(
        requests=requests,
        duration_s=duration_s,
        latencies_ms=latency_ns[outcomes == Outcome.ANSWERED] / 1e6,
        outcomes={outcome.name.lower(): int(np.count_nonzero(outcomes == outcome)) for outcome in Outcome},
        statuses=dict(sorted(Counter(run.column("status").tolist()).items())),
        lateness=run.lateness,
        host=host,
        validity=validity,
        timer=run.timer,
    )
