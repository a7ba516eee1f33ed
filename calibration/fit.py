"""The fit: the parts of the model with their intervals, from samples of one or more server processes.

How each part is estimated stands in estimate.py. The bootstrap draws server processes, then runs, blocks of time
and passes inside each (session.py); what a single run may have is drawn in run_draws.py. What the samples cannot carry
is refused, and what they could not tell is said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from calibration.errors import BadSamples
from calibration.estimate import (
    MS_NS,
    answer_share,
    estimate,
    identified,
    mean_passes,
    spread_cv,
    tells_passes_apart,
)
from calibration.front_end_waits import Services
from calibration.run_draws import draw_runs
from calibration.samples import Samples
from calibration.session import Session, Sum, resample, session_of
from policy.timeline import Outcome
from sim.outcome.quantiles import quantiles
from sim.scenario.profile import PARTS

__all__ = ["DRAWS", "Fit", "fit"]

DRAWS = 200

_PASSES_LEAST = 20
_ANSWERS_LEAST = 200
_SATURATED_SHARE = 0.9  # of the capacity: above, queues grow within a calibration's runs and their CPU time misleads
_REFUSED_SHARE = 0.005
_OFF_LINE_SHARE = 0.01  # of a pass: a table that differs less from the line is not worth its points
_OFF_LINE_ERRORS = 4  # standard errors
_INTERVAL = (0.025, 0.975)
_WAIT_ROUNDS = 3
_FEW_PROCESSES = 3
_STATION_PARTS = ("front_end_pass_result", "front_end_timer", "front_end_response", "front_end_request")


@dataclass(frozen=True)
class Fit:
    """All parts in ms."""

    values: Mapping[str, float]  # by the names of sim.scenario.profile.PARTS
    intervals: Mapping[str, tuple[float, float]]  # 95 %
    draws: tuple[Mapping[str, float], ...]  # of the long-run values
    run_draws: tuple[Mapping[str, float], ...]  # of a single run of a single process
    table: Mapping[int, float] | None  # mean pass by batch size, where sizes do not lie on a line
    pass_cv: float  # of the passes of one size
    answer_share: float  # of network_back: what passes inside the server
    batch_sizes: tuple[int, ...]
    samples: int  # passes and answers
    not_identified: tuple[str, ...]


def fit(samples: Sequence[Samples], *, seed: int = 0, draws: int = DRAWS) -> Fit:
    """Return the fit to samples of one or more server processes that run the same scenario. Raises BadSamples."""
    _check_same(samples)
    sessions = _sessions(samples)
    _check_enough(sessions, samples[0].max_batch)
    values = estimate(sessions)
    _check_unsaturated(samples, values)
    rng = np.random.default_rng(seed)
    drawn = tuple(estimate(_draw(sessions, rng)) for _ in range(draws))
    means = mean_passes(sessions)
    return Fit(
        values=values,
        intervals={part: _interval(values[part], [draw[part] for draw in drawn]) for part in PARTS},
        draws=drawn,
        run_draws=draw_runs(sessions, drawn, rng),
        table=_table(sessions, values),
        pass_cv=spread_cv(sessions),
        answer_share=answer_share(identified(sessions), values),
        batch_sizes=tuple(means),
        samples=sum(len(times) for each in sessions for times in each.pass_ns.values()) + _answers(sessions),
        not_identified=tuple(_gaps(samples, sessions, means)),
    )


def _sessions(samples: Sequence[Samples]) -> list[Session]:
    """Return the sums of each process, the waits for the front end taken off.

    The waits follow from the service times and those from the sums: a few rounds, from no waits at all on, settle both.
    """
    sessions = [session_of(each) for each in samples]
    for _ in range(_WAIT_ROUNDS):
        values = estimate(sessions)
        services = Services(*(round(values[part] * MS_NS) for part in _STATION_PARTS))
        sessions = [session_of(each, services) for each in samples]
    return sessions


def _draw(sessions: Sequence[Session], rng: np.random.Generator) -> list[Session]:
    """Return a bootstrap draw of processes, one fewer than there are (see session.py), each drawn again inside."""
    count = len(sessions)
    return [resample(sessions[index], rng) for index in rng.integers(0, count, max(count - 1, 1))]


def _table(sessions: Sequence[Session], values: Mapping[str, float]) -> dict[int, float] | None:
    """Return the mean passes in ms if one lies off the line by more than its spread explains."""
    means = mean_passes(sessions)
    cv = spread_cv(sessions)
    for size, (mean, count) in means.items():
        line = (values["base"] + values["per_item"] * size) * MS_NS
        if abs(mean - line) > max(_OFF_LINE_ERRORS * cv * mean / np.sqrt(count), _OFF_LINE_SHARE * mean):
            return {each: mean / MS_NS for each, (mean, _) in means.items()}
    return None


def _interval(value: float, draws: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval; it holds the value."""
    low, high = quantiles(np.array(draws), _INTERVAL)
    return min(float(low), value), max(float(high), value)


def _answers(sessions: Sequence[Session]) -> int:
    """Return how many answers the loads hold."""
    return int(sum(session.blocks[:, Sum.RESPONSES].sum() for session in sessions))


def _check_same(samples: Sequence[Samples]) -> None:
    """Raise BadSamples unless there are samples with loads, all of one scenario."""
    if not samples or not all(each.loads for each in samples):
        raise BadSamples("A fit needs at least one steady load of each server process.")
    names = sorted({each.name for each in samples})
    if len(names) > 1:
        raise BadSamples(f"The samples come from different scenarios ({', '.join(names)}): fit each on its own.")
    if len({len({load.rate_per_s for load in each.loads}) for each in samples}) > 1:
        raise BadSamples("The samples hold different numbers of rates: measure each server process at the same loads.")


def _check_enough(sessions: Sequence[Session], max_batch: int) -> None:
    """Raise BadSamples if the samples cannot carry the fit."""
    passes = sum(len(times) for session in sessions for times in session.pass_ns.values())
    if passes < _PASSES_LEAST or _answers(sessions) < _ANSWERS_LEAST:
        raise BadSamples(
            f"The samples hold {passes} passes and {_answers(sessions)} answers under load: "
            f"a fit needs at least {_PASSES_LEAST} and {_ANSWERS_LEAST}."
        )
    sizes = mean_passes(sessions)
    if max_batch > 1 and len(sizes) < 2:
        raise BadSamples(f"The samples hold batches of {len(sizes)} size: a fit of base and per_item needs at least 2.")


def _check_unsaturated(samples: Sequence[Samples], values: Mapping[str, float]) -> None:
    """Raise BadSamples for a load that the server could not carry."""
    for each in samples:
        pass_ms = values["base"] + values["per_item"] * each.max_batch
        cycle_ms = pass_ms + values["batch_in"] + values["results_out"] + values["front_end_pass_result"]
        capacity_per_s = each.instances * each.max_batch / cycle_ms * 1000
        for load in each.loads:
            refused = np.mean(load.timeline.attempt("outcome") == Outcome.REFUSED)
            if load.rate_per_s > _SATURATED_SHARE * capacity_per_s or refused > _REFUSED_SHARE:
                raise BadSamples(
                    f"The load of {load.rate_per_s:.0f}/s saturates the server, which can take about "
                    f"{capacity_per_s:.0f}/s: fit on at most {_SATURATED_SHARE * capacity_per_s:.0f}/s."
                )


def _gaps(samples: Sequence[Samples], sessions: Sequence[Session], means: Mapping[int, tuple[float, int]]) -> list[str]:
    """Return a sentence for each thing that the samples could not tell."""
    gaps = []
    max_batch = samples[0].max_batch
    if len(samples) == 1:
        gaps.append("How server processes differ: one was measured, so no interval holds it.")
    elif len(samples) <= _FEW_PROCESSES:
        gaps.append(f"How server processes differ: {len(samples)} say little of it, so intervals of runs are a guess.")
    if max(len(session.costs) - len({cost.rate_per_s for cost in session.costs}) for session in sessions) == 0:
        gaps.append("How runs of one process differ: each rate was measured once.")
    if max_batch == 1:
        gaps.append("per_item: batches hold one request, and base is all of a pass.")
    missing = sorted(set(range(1, max_batch + 1)) - set(means))
    if missing:
        shown = ", ".join(map(str, missing[:8])) + (", ..." if len(missing) > 8 else "")
        gaps.append(f"Passes of size {shown}: too few were seen, the line or table stands for them.")
    if not any(session.blocks[:, Sum.STEPS].sum() for session in sessions):
        gaps.append("front_end_response apart from front_end_request: no batch had two answers, so each is half.")
    if not any(session.blocks[:, Sum.TIMERS].sum() for session in sessions):
        gaps.append("front_end_timer: no batch was closed by its timer alone, so it counts as nothing.")
    if not tells_passes_apart([cost for session in sessions for cost in session.costs]):
        gaps.append(
            "front_end_pass_result: CPU time of a pass is not told from that of its requests, and counts as theirs."
        )
    gaps.append(f"How times depend on the size of a request: each had size {samples[0].item_size}.")
    return gaps
