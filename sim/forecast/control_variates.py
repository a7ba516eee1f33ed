"""Narrower intervals from the same runs: what chance is seen to have done to the inputs is taken out of the outputs.

If a run's dice happened to give long services, its latencies are long; how the two go together is fitted over the runs
and the estimate is moved to where the dice have their known mean (Lavenberg, Welch, Management Science 27:322, 1981).
Only inputs may serve, read off the dice and not off the timeline: then a simulator that uses a wrong service time is
still caught. Fitting leaves a bias that falls as 1 / runs: at load 0.8 of M/M/1 the mean of 20 runs of 2000 requests is
0.15 % low, that of 80 runs of 8000 right within 0.05 %. Gain there: about half the requests for the mean at equal
width, 0.85 of them for p99. tests/sim/forecast/test_control_variates.py shows it for the mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sim.forecast.intervals import Bounds, student_t

__all__ = ["controlled"]

Values = npt.NDArray[np.float64]


def controlled(
    pooled: float, runs: Sequence[float], controls: Values, means: Values, level: float
) -> tuple[float, Bounds]:
    """Return the controlled estimate and its interval.

    `runs` are R independent runs' values of a figure and `pooled` the figure over all of them, `controls` (runs, p) are
    averages of inputs and `means` (p,) what these must be in the long run; R > p + 1. Without controls (p = 0) this is
    intervals.confidence with the bias of the runs' own values added to their spread.
    """
    values = np.asarray(runs, dtype=np.float64)
    count, fitted = len(values), controls.shape[1] + 1
    design = np.column_stack([np.ones(count), controls - means])
    coefficients, *_ = np.linalg.lstsq(design, values, rcond=None)
    rest = values - design @ coefficients
    bias = float(values.mean()) - pooled
    variance = float(rest @ rest) / (count - fitted) + bias**2
    inverse = np.linalg.pinv(design.T @ design)
    half = student_t(level, count - fitted) * math.sqrt(variance * float(inverse[0, 0]))
    centre = float(coefficients[0]) - bias
    return centre, Bounds(centre - half, centre + half)
