"""How far the fitted model is off at the very loads that it was fitted to: what no fit of its parts takes away.

A fit makes the parts of the model right, not their sum: what the model leaves out stays as an error that all runs
share, so neither dice nor draws of the parts show it. A prediction interval has to hold it too (M. C. Kennedy,
A. O'Hagan, "Bayesian calibration of computer models", J. R. Stat. Soc. B 63, 2001: the discrepancy of a model).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean

import numpy as np

from calibration.profile_file import calibrated_by
from calibration.samples import LoadSample, Samples
from sim.forecast.prediction import measured_figures, predict_run
from sim.outcome.measures import measure
from sim.scenario.profile import DISCREPANCIES, Profile
from sim.scenario.spec import Scenario

__all__ = ["with_discrepancy"]

_DRAWS = 3  # of each load: on its own schedule they differ little


def with_discrepancy(profile: Profile, samples: Sequence[Samples], scenario: Scenario, *, seed: int = 0) -> Profile:
    """Return the calibration with the model's own error: of each figure the largest mean error at a load of the fit.

    The mean is over all runs of all processes at that load, so that the luck of a run is none of it. Raises what the
    scenario raises.
    """
    errors: dict[str, dict[int, list[float]]] = {name: defaultdict(list) for name in DISCREPANCIES}
    with calibrated_by(scenario, profile) as model:
        for each in samples:
            rates = sorted({load.rate_per_s for load in each.loads})  # each server's own, of the same shares
            for load in each.loads:
                for name, error in _errors(model, load, each, seed).items():
                    errors[name][rates.index(load.rate_per_s)].append(error)
    found = {name: max(abs(fmean(of_load)) for of_load in loads.values()) for name, loads in errors.items() if loads}
    return profile.model_copy(update={"discrepancy": found})


def _errors(model: Scenario, load: LoadSample, samples: Samples, seed: int) -> dict[str, float]:
    """Return the relative error of each figure on the schedule of one measured load."""
    timeline = load.timeline
    first = timeline.attempt("attempt") == 0
    arrivals_ns = np.sort(timeline.attempt("intended_ns")[first])
    sizes = np.full(len(arrivals_ns), samples.item_size, dtype=np.int64)
    forecast = predict_run(model, arrivals_ns, sizes, seed=seed, draws=_DRAWS, workers=1)
    measures = measure(timeline, 0, int(arrivals_ns[-1]) + 1, instances=[samples.instances])
    measured = measured_figures(measures)
    return {
        name: forecast[name].centre / measured[name] - 1.0
        for name in DISCREPANCIES
        if name in forecast.figures and math.isfinite(measured[name]) and measured[name] > 0
    }
