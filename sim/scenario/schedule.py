"""The first sends of one run: which process draws them, and from which random numbers.

Run r of a seed has its own generator, keyed by (seed, r, purpose), so that runs are independent, the same in whatever
order they are made, and a what-if meets the arrivals that the plain forecast met.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from itertools import islice
from threading import Lock
from typing import Final

import numpy as np
import numpy.typing as npt

from policy import dice
from sim.arrivals.mmpp import cyclic_jumps, draw_mmpp, stationary_rate_per_s
from sim.arrivals.rate_curve import RateCurve, day_curve, draw_along, pieces_along, spike_curve, step_curve
from sim.arrivals.renewal import NS_PER_S, draw_renewal, renewal_pieces
from sim.arrivals.trace import replay, trace_rate_per_s
from sim.errors import ScenarioError
from sim.scenario.arrival_spec import (
    Arrivals,
    DayCurve,
    Even,
    GammaGaps,
    Mmpp,
    Poisson,
    RecordedTrace,
    Spike,
    Steps,
)
from sim.scenario.distributions import size_table
from sim.scenario.spec import Scenario
from sim.scenario.traces import load_trace, recorded_sizes

__all__ = [
    "COUNTED_REQUESTS_MAX",
    "REQUESTS_MAX",
    "Schedule",
    "arrival_pieces",
    "dice_seed",
    "draw_schedule",
    "expected_requests",
    "request_sizes",
]

REQUESTS_MAX: Final = 20_000_000
"""The most requests of one run that keeps them: 320 MB of tables, and minutes of simulation."""

COUNTED_REQUESTS_MAX: Final = 2_000_000_000
"""The most requests of one run that is counted as it goes: minutes of simulation."""

_REMEMBERED_MAX: Final = 500_000
"""Arrivals of so many requests are kept, of 64 runs at most: drawing them again is a fifth of a short run."""

_GROUP: Final = 64

Ints = npt.NDArray[np.int64]
NO_SIZES: Final = np.empty(0, dtype=np.int64)


_Streamed = Even | Poisson | GammaGaps | Steps | DayCurve | Spike


class _Purpose(IntEnum):
    """What a generator is for; part of its key."""

    DICE = 0
    ARRIVALS = 1


@dataclass(frozen=True)
class Schedule:
    """When requests are first sent, and their sizes where a trace recorded them."""

    arrivals_ns: Ints  # (requests,) ascending
    sizes: Ints  # (requests,), or empty: drawn by dice, see request_sizes


def dice_seed(seed: int, run: int) -> int:
    """Return the seed of all dice of one run, 0 <= seed < 2**64."""
    return int(_key(seed, run, _Purpose.DICE).generate_state(1, np.uint64)[0])


def draw_schedule(scenario: Scenario, *, seed: int, run: int = 0, horizon_ns: int) -> Schedule:
    """Return the arrivals of one run in [0, horizon_ns); none in a closed loop.

    A longer horizon only adds arrivals. Raises ScenarioError for more than REQUESTS_MAX, or an unreadable trace.
    """
    spec = scenario.traffic.arrivals
    if spec is None:
        return Schedule(NO_SIZES, NO_SIZES)
    _refuse_many(expected_requests(scenario, horizon_ns), REQUESTS_MAX)
    generator = _arrival_generator(seed, run)
    if isinstance(spec, RecordedTrace):
        return _replayed(scenario, spec, horizon_ns, generator)
    return Schedule(_drawn(spec, horizon_ns, generator), NO_SIZES)


def arrival_pieces(scenario: Scenario, *, seed: int, run: int = 0, horizon_ns: int) -> Iterator[Ints]:
    """Yield the arrivals of draw_schedule in pieces, of which most processes hold one at a time.

    Raises ScenarioError for more than COUNTED_REQUESTS_MAX, or of a process that has to be drawn at once for more than
    REQUESTS_MAX.
    """
    spec = scenario.traffic.arrivals
    if not isinstance(spec, _Streamed):
        return iter([draw_schedule(scenario, seed=seed, run=run, horizon_ns=horizon_ns).arrivals_ns])
    expected = expected_requests(scenario, horizon_ns)
    _refuse_many(expected, COUNTED_REQUESTS_MAX)
    if expected <= _REMEMBERED_MAX:
        return _remembered(spec, horizon_ns, seed, run).read()
    return _streamed(spec, horizon_ns, seed, run)


class _Remembered:
    """Arrivals that several runs read: drawn once, as far as any of them has needed them."""

    def __init__(self, pieces: Iterator[Ints]) -> None:
        self._drawn: list[Ints] = []
        self._to_come = pieces
        self._lock = Lock()  # a worker may have several threads

    def read(self) -> Iterator[Ints]:
        """Yield the pieces from the first one on."""
        place = 0
        while (piece := self._piece(place)) is not None:
            yield piece
            place += 1

    def _piece(self, place: int) -> Ints | None:
        """Return a piece, None behind the last one."""
        with self._lock:
            if place == len(self._drawn):
                piece = next(self._to_come, None)
                if piece is None:
                    return None
                piece.flags.writeable = False
                self._drawn.append(piece)
            return self._drawn[place]


@lru_cache(maxsize=64)
def _remembered(spec: _Streamed, horizon_ns: int, seed: int, run: int) -> _Remembered:
    """Return the arrivals of a run: configurations that are compared meet the same ones."""
    return _Remembered(_streamed(spec, horizon_ns, seed, run))


def _streamed(spec: _Streamed, horizon_ns: int, seed: int, run: int) -> Iterator[Ints]:
    """Yield the arrivals of a run in pieces."""
    generator = _arrival_generator(seed, run)
    if isinstance(spec, (Steps, DayCurve, Spike)):
        pieces = pieces_along(_curve(spec), spec.cv, horizon_ns, generator)
    else:
        pieces = renewal_pieces(spec.rate, _gap_cv(spec), horizon_ns, generator)
    return _grouped(pieces)


def _grouped(pieces: Iterator[Ints]) -> Iterator[Ints]:
    """Yield pieces together that are too short to be worth a call of the engine each."""
    while group := list(islice(pieces, _GROUP)):
        yield np.concatenate(group)


def expected_requests(scenario: Scenario, horizon_ns: int) -> float:
    """Return the mean number of first sends in [0, horizon_ns); 0 in a closed loop, which sends as it is answered."""
    spec = scenario.traffic.arrivals
    if spec is None:
        return 0.0
    if isinstance(spec, (Steps, DayCurve, Spike)):
        return _curve(spec).expected_until(horizon_ns)
    if isinstance(spec, RecordedTrace):
        rate_per_s = (spec.rate or trace_rate_per_s(load_trace(scenario, spec)) or 0.0) * spec.scale
    elif isinstance(spec, Mmpp):
        rate_per_s = stationary_rate_per_s(spec.rates, spec.dwells, _jumps(spec))
    else:
        rate_per_s = spec.rate
    return rate_per_s * horizon_ns / NS_PER_S


def request_sizes(scenario: Scenario, schedule: Schedule, *, seed: int, run: int = 0) -> Ints:
    """Return the size of every request of a schedule: as recorded, else by the dice that the engine rolls."""
    if scenario.traffic.sizes is None and len(recorded_sizes(scenario)):
        return schedule.sizes
    table = size_table(1 if scenario.traffic.sizes is None else scenario.traffic.sizes)
    return _rolled(table, len(schedule.arrivals_ns), dice_seed(seed, run))


def _rolled(table: Sequence[int], count: int, seed: int) -> Ints:
    """Return the values of the dice of requests 0, 1, ..."""
    if len(table) == 1:
        return np.full(count, table[0], dtype=np.int64)
    values = (dice.draw(table, dice.die(seed, dice.Stream.SIZE, request, 0)) for request in range(count))
    return np.fromiter(values, dtype=np.int64, count=count)


def _key(seed: int, run: int, purpose: _Purpose) -> np.random.SeedSequence:
    """Return the key of one generator."""
    return np.random.SeedSequence(entropy=seed, spawn_key=(run, int(purpose)))


def _drawn(spec: Arrivals, horizon_ns: int, generator: np.random.Generator) -> Ints:
    """Return the arrivals of a process."""
    match spec:
        case Even() | Poisson() | GammaGaps():
            return draw_renewal(spec.rate, _gap_cv(spec), horizon_ns, generator)
        case Mmpp():
            return draw_mmpp(spec.rates, spec.dwells, _jumps(spec), horizon_ns, generator)
        case _:
            assert isinstance(spec, (Steps, DayCurve, Spike))
            return draw_along(_curve(spec), spec.cv, horizon_ns, generator)


def _gap_cv(spec: Even | Poisson | GammaGaps) -> float:
    """Return the coefficient of variation of the gaps."""
    match spec:
        case Even():
            return 0.0
        case Poisson():
            return 1.0
        case GammaGaps():
            return spec.cv


def _arrival_generator(seed: int, run: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(_key(seed, run, _Purpose.ARRIVALS)))


def _refuse_many(expected: float, most: int) -> None:
    """Raise ScenarioError for more requests than a run may have."""
    if expected > most:
        raise ScenarioError(
            f"horizon.duration must leave at most {most} requests in a run, its tail included. "
            f"Got about {expected:.3g}."
        )


def _curve(spec: Steps | DayCurve | Spike) -> RateCurve:
    """Return the rate over time."""
    match spec:
        case Steps():
            steps = spec.steps
            return step_curve([step.rate for step in steps], [step.duration for step in steps], repeats=spec.repeat)
        case DayCurve():
            return day_curve(spec.mean_rate, spec.peak_to_mean, spec.peak_at, spec.period)
        case Spike():
            return spike_curve(spec.rate, spec.peak_rate, spec.at, spec.duration, spec.ramp)


def _jumps(spec: Mmpp) -> Sequence[Sequence[float]]:
    """Return the weights of the next state."""
    return cyclic_jumps(len(spec.rates)) if spec.jumps is None else spec.jumps


def _replayed(scenario: Scenario, spec: RecordedTrace, horizon_ns: int, generator: np.random.Generator) -> Schedule:
    """Return the arrivals of a trace; its sizes count unless the scenario states others."""
    replayed = replay(
        load_trace(scenario, spec),
        rate_per_s=spec.rate,
        scale=spec.scale,
        repeat=spec.repeat,
        inside_bin=spec.inside_bin,
        horizon_ns=horizon_ns,
        generator=generator,
    )
    return Schedule(replayed.times_ns, replayed.sizes if scenario.traffic.sizes is None else NO_SIZES)
