"""From the sums of sessions to the parts of the model, in ms: the same arithmetic for the fit and for each draw.

- base, per_item: least squares through the mean pass of each batch size, weighted by the passes seen.
- batch_in, results_out: means, because every pass pays them and their sum lowers the capacity.
- front_end_request + front_end_response: CPU time of the server's process for each request. It falls as batches grow,
  because part of it belongs to the pass; steady loads at two rates have different numbers of passes per request, from
  which follows what it is in full batches, where the front end matters most. The response's part is the step from one
  answer of a batch to its next, since answers leave one by one.
- network_there, network_back: what is left of the ways in and out when waiting for the front end and its service are
  taken off. The way in begins at the intended send, so the client's own lateness is in it.

Turnaround, ways and steps are taken from the busiest load. On a real host they grow a little with the load, and one
constant must be right where it decides: 0.1 ms more between passes is nothing in a latency and a percent of capacity.
They are means: a latency that varies by milliseconds anyway is moved by the mean of a small delay added to it, not by
its median. Their long tails were clipped in session.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from calibration.session import RunCost, Session, Sum

__all__ = ["MS_NS", "estimate", "mean_passes", "spread_cv", "tells_passes_apart"]

MS_NS = 1e6

_SIZE_PASSES_LEAST = 3
_RATIO_GAP = 0.05  # passes per request must differ by this much to tell the CPU time of a pass apart


def estimate(sessions: Sequence[Session]) -> dict[str, float]:
    """Return the parts in ms."""
    totals = np.sum([_busiest(session) for session in sessions], axis=0)
    batch_in, results_out = (_mean(totals[column], totals[Sum.PASSES]) for column in (Sum.BATCH_IN, Sum.RESULTS_OUT))
    way_in, way_out = (
        _mean(totals[Sum.IN_TIME], totals[Sum.REQUESTS]),
        _mean(totals[Sum.OUT_TIME], totals[Sum.RESPONSES]),
    )
    costs = [cost for session in sessions for cost in session.costs]
    cpu_ns = _cpu_per_request(costs, sessions[0].max_batch)
    if totals[Sum.STEPS]:
        response = min(_mean(totals[Sum.STEP_TIME], totals[Sum.STEPS]), way_out, cpu_ns)
    else:
        response = min(cpu_ns / 2, way_out)
    request = min(cpu_ns - response, way_in)
    base, per_item = _line(mean_passes(sessions))
    parts_ns = {
        "base": base,
        "per_item": per_item,
        "batch_in": batch_in,
        "results_out": results_out,
        "front_end_request": request,
        "front_end_response": response,
        "network_there": way_in - request,
        "network_back": way_out - response,
    }
    return {part: max(value_ns, 0.0) / MS_NS for part, value_ns in parts_ns.items()}


def _busiest(session: Session) -> npt.NDArray[np.float64]:
    """Return the sums of a process's busiest load."""
    rates = np.array([cost.rate_per_s for cost in session.costs])
    total: npt.NDArray[np.float64] = session.blocks[rates[session.runs] == rates.max()].sum(axis=0)
    return total


def mean_passes(sessions: Sequence[Session]) -> dict[int, tuple[float, int]]:
    """Return mean time and number of the passes of each size that was seen three times or more."""
    sizes = sorted({size for session in sessions for size in session.pass_ns})
    times = {size: _times_of(sessions, size) for size in sizes}
    return {size: (float(of.mean()), len(of)) for size, of in times.items() if len(of) >= _SIZE_PASSES_LEAST}


def spread_cv(sessions: Sequence[Session]) -> float:
    """Return the coefficient of variation of passes of one size, pooled over sizes."""
    ratios = [_times_of(sessions, size) / mean for size, (mean, _) in mean_passes(sessions).items()]
    pooled = np.concatenate(ratios)
    return float(np.sqrt(np.sum((pooled - 1) ** 2) / max(len(pooled) - len(ratios), 1)))


def tells_passes_apart(costs: Sequence[RunCost]) -> bool:
    """Return whether the runs differ enough in passes per request."""
    ratios = [cost.passes / cost.requests for cost in costs]
    return max(ratios) - min(ratios) >= _RATIO_GAP


def _mean(total: float, count: float) -> float:
    """Return a mean, zero of nothing."""
    return float(total / count) if count else 0.0


def _cpu_per_request(costs: Sequence[RunCost], max_batch: int) -> float:
    """Return the CPU time of a request in full batches in ns, or that of these runs where they do not tell more."""
    requests = np.array([cost.requests for cost in costs], dtype=np.float64)
    passes = np.array([cost.passes for cost in costs], dtype=np.float64)
    cpu = np.array([cost.cpu_ns for cost in costs])
    pooled = float(cpu.sum() / requests.sum())
    if not tells_passes_apart(costs):
        return max(pooled, 0.0)
    (per_request, per_pass), *_ = np.linalg.lstsq(np.column_stack([requests, passes]), cpu, rcond=None)
    if per_pass < 0 or per_request <= 0:
        return max(pooled, 0.0)
    return float(per_request + per_pass / max_batch)


def _times_of(sessions: Sequence[Session], size: int) -> npt.NDArray[np.float64]:
    """Return all passes of a size."""
    return np.concatenate([session.pass_ns[size] for session in sessions if size in session.pass_ns])


def _line(means: Mapping[int, tuple[float, int]]) -> tuple[float, float]:
    """Return base and per item; with one size all of it is base. Neither is negative."""
    sizes = np.array(list(means), dtype=np.float64)
    times = np.array([mean for mean, _ in means.values()])
    counts = np.array([count for _, count in means.values()], dtype=np.float64)
    if len(sizes) < 2:
        return float(times.sum()), 0.0
    centre, level = np.average(sizes, weights=counts), np.average(times, weights=counts)
    per_item = np.average((sizes - centre) * (times - level), weights=counts)
    per_item /= np.average((sizes - centre) ** 2, weights=counts)
    if level - per_item * centre < 0:  # a line through the origin
        return 0.0, float((counts * sizes * times).sum() / (counts * sizes**2).sum())
    per_item = max(float(per_item), 0.0)
    return float(level - per_item * centre), per_item
