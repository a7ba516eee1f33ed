"""What a check says: every attempt at every load, valid or not, its scores, and a verdict for each load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

import numpy as np
import numpy.typing as npt

from calibration.host import HostLoad, Validity
from calibration.load_plan import Lateness
from calibration.score import TOLERANCES, Score, score
from sim.forecast.prediction import Prediction

__all__ = ["CHECK_VERSION", "AttemptReport", "CheckReport", "PointReport", "Verdict"]

CHECK_VERSION = "servecast-check/1"

Verdict = str
"""agrees, model wrong (out of tolerance), or invalid (too few valid runs to say)."""


@dataclass(frozen=True)
class AttemptReport:
    """One measured run of a load. `figures` and `latencies_ms` are empty where it was not valid: nobody looked."""

    validity: Validity
    lateness: Lateness
    host: HostLoad
    outcomes: Mapping[str, int]  # of attempts
    figures: Mapping[str, float]  # by the names of a Prediction
    latencies_ms: npt.NDArray[np.float64]  # of the answered requests

    def to_json(self, prediction: Prediction | None) -> dict[str, object]:
        """Return the attempt as plain values, with its own scores against the prediction."""
        scores = score(prediction.figures, self.figures) if prediction is not None and self.validity.valid else ()
        return {
            "valid": self.validity.valid,
            "reasons": list(self.validity.reasons),
            "lateness_ms": {
                "p50": self.lateness.p50_ns / 1e6,
                "p99": self.lateness.p99_ns / 1e6,
                "max": self.lateness.max_ns / 1e6,
            },
            "steal_share": self.host.steal_share,
            "pressure_share": self.host.pressure_share,
            "attempts": dict(self.outcomes),
            "scores": [each.to_json() for each in scores],
        }


@dataclass(frozen=True)
class PointReport:
    """One load: the prediction for its schedule, and all attempts to measure it."""

    load: float  # asked for, as a share of the capacity
    rate_per_s: float  # asked for
    offered_per_s: float  # what the schedule holds
    capacity_per_s: float  # of the forecast
    requests: int
    repeats: int  # valid runs that were asked for
    attempts: tuple[AttemptReport, ...]
    prediction: Prediction | None  # None where no attempt was valid

    @property
    def valid(self) -> tuple[AttemptReport, ...]:
        """The attempts that count."""
        return tuple(attempt for attempt in self.attempts if attempt.validity.valid)

    @property
    def saturated(self) -> bool:
        """Whether more was offered than the server can take: refusals are what the forecast is then judged by."""
        return self.offered_per_s > self.capacity_per_s

    @property
    def scores(self) -> tuple[Score, ...]:
        """The scores of the median of the valid runs, figure by figure; empty without one."""
        if self.prediction is None or not self.valid:
            return ()
        names = set.intersection(*(set(attempt.figures) for attempt in self.valid))
        middle = {name: median(attempt.figures[name] for attempt in self.valid) for name in names}
        return score(self.prediction.figures, middle)

    @property
    def run_scores(self) -> tuple[tuple[Score, ...], ...]:
        """The scores of each valid run by itself."""
        if self.prediction is None:
            return ()
        return tuple(score(self.prediction.figures, attempt.figures) for attempt in self.valid)

    @property
    def judged(self) -> tuple[str, ...]:
        """The figures that decide the verdict."""
        return ("refused_share",) if self.saturated else tuple(TOLERANCES)

    @property
    def verdict(self) -> Verdict:
        """What this load says of the forecast."""
        if len(self.valid) < self.repeats:
            return "invalid"
        judged = [each for each in self.scores if each.figure in self.judged]
        return "agrees" if judged and all(each.within_tolerance for each in judged) else "model wrong"

    def spread(self, figure: str) -> tuple[float, float] | None:
        """Return the lowest and the highest measured value of a figure, None where no run shows it."""
        values = [attempt.figures[figure] for attempt in self.valid if figure in attempt.figures]
        return (min(values), max(values)) if values else None

    def to_json(self) -> dict[str, object]:
        """Return the point as plain values."""
        return {
            "load": self.load,
            "rate_per_s": self.rate_per_s,
            "offered_per_s": self.offered_per_s,
            "capacity_per_s": self.capacity_per_s,
            "requests": self.requests,
            "saturated": self.saturated,
            "verdict": self.verdict,
            "judged_by": list(self.judged),
            "repeats": self.repeats,
            "scores": [self._score_json(each) for each in self.scores],
            "attempts": [attempt.to_json(self.prediction) for attempt in self.attempts],
            "prediction": None if self.prediction is None else self.prediction.to_json(),
        }

    def _score_json(self, each: Score) -> dict[str, object]:
        """Return a score with the spread of the measurements beside it."""
        spread = self.spread(each.figure)
        ends = None if spread is None else {"least": spread[0], "most": spread[1]}
        return {**each.to_json(), "measured_spread": ends}


@dataclass(frozen=True)
class CheckReport:
    """A whole check."""

    points: tuple[PointReport, ...]
    provenance: Mapping[str, object]

    @property
    def is_valid(self) -> bool:
        """Whether every load was measured as often as asked."""
        return all(point.verdict != "invalid" for point in self.points)

    @property
    def agrees(self) -> bool:
        """Whether the forecast was within tolerance at every load."""
        return all(point.verdict == "agrees" for point in self.points)

    def to_json(self) -> dict[str, object]:
        """Return the report as plain values."""
        return {
            "version": CHECK_VERSION,
            "valid": self.is_valid,
            "agrees": self.agrees,
            "tolerances": dict(TOLERANCES),
            "points": [point.to_json() for point in self.points],
            "provenance": dict(self.provenance),
        }
