"""What a single run of a single fresh server process may have: draws of all parts for prediction intervals.

A check measures one run of one process, which differs from the long-run values as processes differ, and as runs of one
process differ. Both are taken in full here, not as errors of a mean. A round (one run of each rate) of a process shows
only what a single run identifies: the level of its passes and of its CPU time, its turnaround, ways, steps and timers.
The line through the batch sizes and the regression of CPU time are those of all samples.

A draw is one bootstrap draw of the long-run values, plus a deviation of a process, plus one of a run. Deviations are
random combinations of those that were seen, with standard normal weights: they have the covariance of those seen, with
all correlations between parts. Few processes show little of how much processes differ; so a combination is stretched
by sqrt(f / chi2(f)), which makes each part follow Student's t with f degrees of freedom, as the prediction of one more
value from f + 1 normal ones does (Geisser, Predictive Inference, 1993, ch. 2).

The model holds parts constant over the load; a real server's grow with it. What differs between the lowest and the
highest rate of the fit, times a factor between -1 and 1, stands for what a load between or beyond them may add.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from calibration.estimate import Identified, identified, identified_at, mean_passes, parts_of, sums_by_rate
from calibration.session import RunCost, Session
from sim.scenario.profile import PARTS

__all__ = ["draw_runs", "round_parts"]

Floats = npt.NDArray[np.float64]

_FREEDOM_LEAST = 3
"""Two processes alone would give Cauchy's tails: no interval, though a process is not a hundred times off another."""

_STRETCH_TAIL = 0.01  # of chi-square: no draw is stretched beyond, where a server would be slower than any seen


def draw_runs(
    sessions: Sequence[Session], draws: Sequence[Mapping[str, float]], rng: np.random.Generator
) -> tuple[dict[str, float], ...]:
    """Return as many draws of a single run's parts in ms as there are `draws` of the long-run values."""
    pooled, means = identified(sessions), mean_passes(sessions)
    rounds = [round_parts(session, pooled, means) for session in sessions]
    of_process = np.array([parts.mean(axis=0) for parts in rounds])  # (processes, parts)
    between = of_process - of_process.mean(axis=0)
    within = np.concatenate([parts - parts.mean(axis=0) for parts in rounds])  # (rounds of all processes, parts)
    trend = _trend(sessions, pooled)
    run_freedom = sum(len(parts) - 1 for parts in rounds)
    # The means of processes differ by their runs too: what they hold of that is not counted twice.
    run_share = 1.0 if len(sessions) == 1 else math.sqrt(1.0 - float(np.mean([1.0 / len(parts) for parts in rounds])))
    drawn = []
    for draw in draws:
        parts = np.array([draw[part] for part in PARTS])
        parts += _combination(between, len(sessions) - 1, rng)
        parts += run_share * _combination(within, run_freedom, rng)
        parts += rng.uniform(-1.0, 1.0) * trend
        drawn.append(dict(zip(PARTS, np.maximum(parts, 0.0).tolist(), strict=True)))
    return tuple(drawn)


def round_parts(session: Session, pooled: Identified, means: Mapping[int, tuple[float, int]]) -> Floats:
    """Return the parts in ms that each round of a process shows, in the order of PARTS: (rounds, parts).

    `pooled` and the `means` of passes, of all processes together, give what one round does not identify.
    """
    parts = [parts_of(_of_round(session, runs, pooled, means), session.max_batch) for runs in _rounds(session.costs)]
    return np.array([[of[part] for part in PARTS] for of in parts])


def _trend(sessions: Sequence[Session], pooled: Identified) -> Floats:
    """Return how much larger each part is at the highest rate than at the lowest one, in ms."""
    sums = np.sum([sums_by_rate(session) for session in sessions], axis=0)
    lowest, highest = (parts_of(identified_at(pooled, sums[[row]]), sessions[0].max_batch) for row in (0, -1))
    return np.array([highest[part] - lowest[part] for part in PARTS])


def _of_round(
    session: Session, runs: Sequence[int], pooled: Identified, means: Mapping[int, tuple[float, int]]
) -> Identified:
    """Return what a round tells, and what all samples tell where it does not."""
    own = identified_at(pooled, sums_by_rate(session, runs))
    passes, cpu = _pass_level(session, runs, means), _cpu_level(session, runs, pooled)
    return own._replace(
        base=passes * pooled.base,
        per_item=passes * pooled.per_item,
        cpu_per_request=cpu * pooled.cpu_per_request,
        cpu_per_pass=cpu * pooled.cpu_per_pass,
    )


def _rounds(costs: Sequence[RunCost]) -> list[list[int]]:
    """Return the runs of each round: the first run of each rate, then the second. Runs that are over join the last."""
    by_rate: dict[float, list[int]] = {}
    for run, cost in enumerate(costs):
        by_rate.setdefault(cost.rate_per_s, []).append(run)
    count = min(len(runs) for runs in by_rate.values())
    rounds: list[list[int]] = [[] for _ in range(count)]
    for runs in by_rate.values():
        for place, run in enumerate(runs):
            rounds[min(place, count - 1)].append(run)
    return rounds


def _pass_level(session: Session, runs: Sequence[int], means: Mapping[int, tuple[float, int]]) -> float:
    """Return the passes of these runs as a multiple of the mean pass of their sizes."""
    seen = [(size, of) for run in runs for size, of in session.run_passes[run].items() if size in means]
    expected = sum(means[size][0] * count for size, (_, count) in seen)
    return sum(mean * count for _, (mean, count) in seen) / expected if expected else 1.0


def _cpu_level(session: Session, runs: Sequence[int], pooled: Identified) -> float:
    """Return the CPU time of these runs as a multiple of what their requests and passes cost in all samples."""
    costs = [session.costs[run] for run in runs]
    expected = sum(pooled.cpu_per_request * cost.requests + pooled.cpu_per_pass * cost.passes for cost in costs)
    return sum(cost.cpu_ns for cost in costs) / expected if expected else 1.0


def _combination(deviations: Floats, freedom: int, rng: np.random.Generator) -> Floats:
    """Return a random deviation with the covariance of those seen, (their number, parts); zeros without freedom."""
    if freedom < 1:
        return np.zeros(deviations.shape[1])
    weights = rng.standard_normal(len(deviations)) / math.sqrt(freedom)
    combined: Floats = weights @ deviations * _stretch(max(freedom, _FREEDOM_LEAST), rng)
    return combined


def _stretch(freedom: int, rng: np.random.Generator) -> float:
    """Return sqrt(f / chi2(f)): times a normal value it is one of Student's t."""
    return math.sqrt(freedom / max(float(rng.chisquare(freedom)), _least_chi_square(freedom)))


@cache
def _least_chi_square(freedom: int) -> float:
    """Return the value below which chi-square does not count."""
    from scipy.special import chdtri

    return float(chdtri(freedom, 1.0 - _STRETCH_TAIL))
