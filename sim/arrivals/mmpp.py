"""Markov-modulated Poisson arrivals: a hidden state with exponential dwells sets the rate (Fischer, Meier-Hellstern,
"The MMPP cookbook", Performance Evaluation 18, 1993). The state starts from its stationary law.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from sim.arrivals.rate_curve import draw_along, step_curve

__all__ = ["cyclic_jumps", "draw_mmpp", "stationary_rate_per_s", "stationary_shares"]

CHUNK: Final = 1_024

Jumps = Sequence[Sequence[float]]


def draw_mmpp(
    rates_per_s: Sequence[float],
    dwells_ns: Sequence[int],
    jumps: Jumps,
    horizon_ns: int,
    generator: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """Return the arrivals in [0, horizon_ns), ascending, in ns.

    `dwells_ns` are mean dwells; `jumps` weights of the next state, rows by state. A longer horizon only adds arrivals.
    """
    of_states, of_arrivals = generator.spawn(2)
    states, lengths_ns = [], []
    reached_ns = 0.0
    for state, length_ns in _path(dwells_ns, jumps, of_states):
        states.append(state)
        lengths_ns.append(length_ns)
        reached_ns += length_ns
        if reached_ns >= horizon_ns:
            break
    curve = step_curve([rates_per_s[state] for state in states], lengths_ns, repeats=False)
    return draw_along(curve, 1.0, horizon_ns, of_arrivals)


def cyclic_jumps(count: int) -> list[list[float]]:
    """Return the weights of states that follow each other in their order."""
    return [[float(column == (row + 1) % count) for column in range(count)] for row in range(count)]


def stationary_shares(dwells_ns: Sequence[int], jumps: Jumps) -> npt.NDArray[np.float64]:
    """Return the share of time in each state, (states,); the jumps lead from every state to every other one."""
    probabilities = _rows(jumps)
    count = len(dwells_ns)
    # Visits v solve v P = v, sum v = 1; the share of time is proportional to visits times dwell.
    system = np.vstack([probabilities.T - np.eye(count), np.ones(count)])
    visits = np.linalg.lstsq(system, np.append(np.zeros(count), 1.0), rcond=None)[0]
    times = visits * np.asarray(dwells_ns, dtype=np.float64)
    shares: npt.NDArray[np.float64] = times / times.sum()
    return shares


def stationary_rate_per_s(rates_per_s: Sequence[float], dwells_ns: Sequence[int], jumps: Jumps) -> float:
    """Return the mean rate."""
    return float(stationary_shares(dwells_ns, jumps) @ np.asarray(rates_per_s))


def _rows(jumps: Jumps) -> npt.NDArray[np.float64]:
    """Return the weights as probabilities, (states, states)."""
    weights = np.asarray(jumps, dtype=np.float64)
    probabilities: npt.NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return probabilities


def _path(dwells_ns: Sequence[int], jumps: Jumps, generator: np.random.Generator) -> Iterator[tuple[int, float]]:
    """Yield states and how long each lasts, without end."""
    cumulative = np.cumsum(_rows(jumps), axis=1)
    last = len(dwells_ns) - 1
    state = min(int(np.searchsorted(np.cumsum(stationary_shares(dwells_ns, jumps)), generator.random())), last)
    while True:
        lengths = generator.standard_exponential(CHUNK)
        coins = generator.random(CHUNK)
        for length, coin in zip(lengths.tolist(), coins.tolist(), strict=True):
            yield state, length * dwells_ns[state]
            state = min(int(np.searchsorted(cumulative[state], coin, side="right")), last)
