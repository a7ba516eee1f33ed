"""The loads of a calibration: lone requests, bursts that make batches of every size, steady loads.

What size a burst's batches really had is read from the server's timeline, whatever rule formed them: a server that
runs the first request of a burst alone is given bursts one larger, and so on, until each size has been seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from calibration.errors import BadSamples
from calibration.live_server import LiveServer
from calibration.load_plan import LoadPlan
from calibration.measurement import Measurement, measure_load
from policy.retries import RetryRule
from policy.timeline import Outcome
from sim.engine.timelines import Timeline

__all__ = ["fixed_plan", "profile_passes", "safe_gap_ns", "send_lone", "sizes_to_measure"]

_S_NS = 10**9
_NO_RETRY = RetryRule(attempts=1, backoff_ns=1, backoff_max_ns=1, jitter=False)
_TABLE_SIZES_MAX = 32  # policy/pass_time.py reads no more
_PROBES = 4
_PROBE_GAP_NS = 500_000_000
_SEEN_ENOUGH = 6  # passes of one size
_CONNECTIONS = 16


def fixed_plan(arrivals_ns: npt.NDArray[np.int64], item_size: int, connections: int = _CONNECTIONS) -> LoadPlan:
    """Return a plan of clients that neither retry nor hang up, for these moments."""
    return LoadPlan(
        url="",
        arrivals_ns=arrivals_ns,
        sizes=np.full(len(arrivals_ns), item_size, dtype=np.int64),
        timeouts_ns=np.zeros(0, dtype=np.int64),
        retry=_NO_RETRY,
        seed=0,
        connections=connections,
    )


def sizes_to_measure(max_batch: int) -> list[int]:
    """Return the batch sizes to measure: all, or 32 that grow by equal ratios where there are more."""
    if max_batch <= _TABLE_SIZES_MAX:
        return list(range(1, max_batch + 1))
    return sorted({round(size) for size in np.geomspace(1, max_batch, _TABLE_SIZES_MAX)})


def safe_gap_ns(server: LiveServer, max_batch: int, item_size: int) -> int:
    """Return a gap after which a burst of the largest batch has surely been answered, measured with a few of them."""
    moments = np.repeat(np.arange(_PROBES, dtype=np.int64) * _PROBE_GAP_NS, max_batch)
    timeline = measure_load(server, fixed_plan(moments, item_size, max_batch + _CONNECTIONS)).timeline()
    answered = timeline.attempt("outcome") == Outcome.ANSWERED
    if not answered.any():
        raise BadSamples(f"The server at {server.url} answered none of {len(moments)} requests: see its log.")
    latency_ns = (timeline.attempt("delivered_ns") - timeline.attempt("intended_ns"))[answered]
    return int(latency_ns.max() * 5 // 4)


def send_lone(server: LiveServer, count: int, gap_ns: int, item_size: int, rng: np.random.Generator) -> Measurement:
    """Send requests so far apart that each meets an idle server."""
    # Gaps differ, or a periodic task of the host could meet all of them or none.
    gaps = gap_ns + rng.integers(0, max(gap_ns // 4, 1), count)
    return measure_load(server, fixed_plan(np.cumsum(gaps).astype(np.int64), item_size))


def profile_passes(
    server: LiveServer,
    max_batch: int,
    repeats: int,
    gap_ns: int,
    item_size: int,
    rng: np.random.Generator,
    progress: Callable[[float], None] | None = None,
) -> list[Timeline]:
    """Return timelines of bursts in which batches of the sizes of `sizes_to_measure` ran `repeats` times or more.

    A size that does not form in three rounds is left out; the fit says so.
    """
    wanted = sizes_to_measure(max_batch)
    timelines = []
    seen: Counter[int] = Counter()
    for extra in (0, 1, max_batch):  # in random order: what drifts meanwhile must not look like an effect of size
        missing = [size for size in wanted if seen[size] < min(repeats, _SEEN_ENOUGH)]
        if not missing:
            break
        bursts = rng.permutation(np.repeat(np.asarray(missing, dtype=np.int64) + extra, repeats))
        measured = _send_bursts(server, bursts, max_batch, gap_ns, item_size, progress)
        timelines.append(measured.timeline())
        seen.update(timelines[-1].passed("batch_size").tolist())
    return timelines


def _send_bursts(
    server: LiveServer,
    bursts: npt.NDArray[np.int64],
    max_batch: int,
    gap_ns: int,
    item_size: int,
    progress: Callable[[float], None] | None,
) -> Measurement:
    """Send bursts of these sizes, each after the answers of the one before."""
    gaps = gap_ns * -(-bursts // max_batch)  # one of more than a batch takes as many passes
    moments = np.repeat(np.cumsum(gaps), bursts).astype(np.int64)
    return measure_load(server, fixed_plan(moments, item_size, int(bursts.max()) + _CONNECTIONS), progress)
