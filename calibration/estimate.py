"""From the sums of sessions to the parts of the model, in ms: the same arithmetic for the fit, each draw and each run.

First what the samples identify (Identified), then the parts of the model that follow from it:

- base, per_item: least squares through the mean pass of each batch size, weighted by the passes seen.
- batch_in, hop: means, because every pass pays them and their sum lowers the capacity.
- CPU time of the server's process for each request and for each pass: a regression over steady loads of two rates,
  which have different numbers of passes per request.
- front_end_pass_result: the CPU time of a pass, as far as the hop has room for it; results_out is the rest of the hop.
  What has no room belongs to the requests, counted as in full batches, where the front end matters most.
- front_end_response: the step from one answer of a batch to its next, since answers leave one by one; the rest of a
  request's CPU time is front_end_request.
- front_end_timer: how late a batch was closed that nothing but its timer held back.
- network_there, network_back: what is left of the ways in and out when waiting for the front end and its service are
  taken off. The way in begins at the intended send, so the client's own lateness is in it.

On a real host all of these grow a little with the load, and one constant must be right where it decides. The turnaround
(batch_in, hop) is taken from the busiest load: 0.1 ms more between passes is nothing in a latency and a percent of
capacity. Ways, steps and timers decide latencies at every load: each rate counts the same. All are means: a latency
that varies by milliseconds anyway is moved by the mean of a small delay added to it, not by its median. Their long
tails were clipped in session.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from calibration.session import RunCost, Session, Sum

__all__ = [
    "MS_NS",
    "Identified",
    "answer_share",
    "estimate",
    "identified",
    "identified_at",
    "mean_passes",
    "parts_of",
    "spread_cv",
    "sums_by_rate",
    "tells_passes_apart",
]

MS_NS = 1e6

_SIZE_PASSES_LEAST = 3
_RATIO_GAP = 0.05  # passes per request must differ by this much to tell the CPU time of a pass apart


class Identified(NamedTuple):
    """What samples tell by themselves, in ns."""

    base: float
    per_item: float
    batch_in: float
    hop: float  # from the end of a pass until its results are held, no wait in it
    way_in: float  # from the intended send to the queue, no wait in it
    way_out: float  # from the results to the client, no wait in it
    way_to_answer: float  # the first part of way_out: until the server had written the answer
    step: float | None  # from one answer of a batch to its next; None: no batch had two
    cpu_per_request: float
    cpu_per_pass: float  # 0 where it is not told apart
    timer: float


def estimate(sessions: Sequence[Session]) -> dict[str, float]:
    """Return the parts in ms."""
    return parts_of(identified(sessions), sessions[0].max_batch)


def identified(sessions: Sequence[Session]) -> Identified:
    """Return what the sessions tell, taken together."""
    costs = [cost for session in sessions for cost in session.costs]
    cpu_per_request, cpu_per_pass = _cpu(costs)
    base, per_item = _line(mean_passes(sessions))
    pooled = Identified(base, per_item, 0.0, 0.0, 0.0, 0.0, 0.0, None, cpu_per_request, cpu_per_pass, 0.0)
    return identified_at(pooled, np.sum([sums_by_rate(session) for session in sessions], axis=0))


def identified_at(known: Identified, sums: npt.NDArray[np.float64]) -> Identified:
    """Return what is known with what these sums tell in its place; they are those of sums_by_rate, or of a run."""
    busiest = sums[-1]
    return known._replace(
        batch_in=_mean(busiest, Sum.BATCH_IN, Sum.PASSES) or 0.0,
        hop=_mean(busiest, Sum.HOP_TIME, Sum.PASSES) or 0.0,
        way_in=_mean_of_means(sums, Sum.IN_TIME, Sum.REQUESTS) or 0.0,
        way_out=_mean_of_means(sums, Sum.OUT_TIME, Sum.RESPONSES) or 0.0,
        way_to_answer=_mean_of_means(sums, Sum.ANSWER_TIME, Sum.RESPONSES) or 0.0,
        step=_mean_of_means(sums, Sum.STEP_TIME, Sum.STEPS),
        timer=_mean_of_means(sums, Sum.TIMER_TIME, Sum.TIMERS) or known.timer,
    )


def sums_by_rate(session: Session, runs: Sequence[int] | None = None) -> npt.NDArray[np.float64]:
    """Return the sums of a process's runs of each rate, lowest first: (rates, columns of Sum); `runs` None: of all."""
    counted = range(len(session.costs)) if runs is None else runs
    rates = sorted({session.costs[run].rate_per_s for run in counted})
    of_rate = [[run for run in counted if session.costs[run].rate_per_s == rate] for rate in rates]
    return np.array([session.blocks[np.isin(session.runs, own)].sum(axis=0) for own in of_rate])


def parts_of(known: Identified, max_batch: int) -> dict[str, float]:
    """Return the parts of the model in ms, none of them negative, by the names of sim.scenario.profile.PARTS."""
    pass_result = min(known.cpu_per_pass, known.hop)
    cpu = known.cpu_per_request + (known.cpu_per_pass - pass_result) / max_batch
    response = min(cpu / 2 if known.step is None else known.step, known.way_out, cpu)
    request = min(cpu - response, known.way_in)
    parts_ns = {
        "base": known.base,
        "per_item": known.per_item,
        "batch_in": known.batch_in,
        "results_out": known.hop - pass_result,
        "front_end_request": request,
        "front_end_response": response,
        "front_end_pass_result": pass_result,
        "front_end_timer": known.timer,
        "network_there": known.way_in - request,
        "network_back": known.way_out - response,
    }
    return {part: max(value_ns, 0.0) / MS_NS for part, value_ns in parts_ns.items()}


def answer_share(known: Identified, parts: Mapping[str, float]) -> float:
    """Return which share of network_back passes inside the server, behind the front end's work on the answer, 0..1."""
    back_ns = parts["network_back"] * MS_NS
    inside_ns = known.way_to_answer - parts["front_end_response"] * MS_NS
    return min(max(inside_ns / back_ns, 0.0), 1.0) if back_ns else 0.0


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


def _mean(sums: npt.NDArray[np.float64], total: Sum, count: Sum) -> float | None:
    """Return a mean, None of nothing."""
    return float(sums[total] / sums[count]) if sums[count] else None


def _mean_of_means(sums: npt.NDArray[np.float64], total: Sum, count: Sum) -> float | None:
    """Return the mean over the rates of each one's mean, None of nothing."""
    means = [mean for row in sums if (mean := _mean(row, total, count)) is not None]
    return float(np.mean(means)) if means else None


def _cpu(costs: Sequence[RunCost]) -> tuple[float, float]:
    """Return the CPU time of a request and of a pass in ns; of a pass 0 where the runs do not tell it apart."""
    requests = np.array([cost.requests for cost in costs], dtype=np.float64)
    passes = np.array([cost.passes for cost in costs], dtype=np.float64)
    cpu = np.array([cost.cpu_ns for cost in costs])
    pooled = max(float(cpu.sum() / requests.sum()), 0.0)
    if not tells_passes_apart(costs):
        return pooled, 0.0
    (per_request, per_pass), *_ = np.linalg.lstsq(np.column_stack([requests, passes]), cpu, rcond=None)
    if per_pass < 0 or per_request <= 0:
        return pooled, 0.0
    return float(per_request), float(per_pass)


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
