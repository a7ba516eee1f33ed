"""What a check says: every attempt at every load, valid or not, its scores, and a verdict for each load."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from calibration.fleet_score import FleetScore, score_fleet
from calibration.host import HostLoad, Validity
from calibration.load_plan import Lateness
from calibration.rollout_score import RolloutScore, score_rollout
from calibration.score import HIT_FIGURES, SERVER_FIGURES, TOLERANCES, Score, score, tolerance_of
from sim.forecast.prediction import Prediction
from sim.outcome.fleet_course import FleetRun
from sim.outcome.rollout_course import RolloutRun
from sim.scenario.profile import LoneRequest

__all__ = ["CHECK_VERSION", "AttemptReport", "CheckReport", "Hits", "PointReport", "Verdict"]

CHECK_VERSION = "servecast-check/2"

_RUNS_TO_JUDGE = 3
"""Runs from which on a fleet must be within tolerance in each; of fewer, to be inside its intervals counts as well."""

Verdict = str
"""agrees, model wrong (out of tolerance), or invalid (too few valid runs to say)."""


class Hits(NamedTuple):
    """How many intervals of single runs held what was measured, none of them too wide."""

    held: int
    scored: int

    @property
    def share(self) -> float | None:
        """The share that held, None of nothing."""
        return self.held / self.scored if self.scored else None


@dataclass(frozen=True)
class AttemptReport:
    """One measured run of a load. `figures` and `latencies_ms` are empty where it was not valid: nobody looked."""

    validity: Validity
    lateness: Lateness
    host: HostLoad
    outcomes: Mapping[str, int]  # of attempts
    figures: Mapping[str, float]  # by the names of a Prediction
    latencies_ms: npt.NDArray[np.float64]  # of the answered requests
    resolutions: Mapping[str, float] = field(default_factory=dict)  # of the figures that count requests or passes
    fleet: FleetRun | None = None  # where an autoscaler changes it
    rollout: RolloutRun | None = None  # where one was started
    at_work_ns: int | None = None  # for how long the autoscalers had been at work when it began, where that is known

    def to_json(self, scores: Sequence[Score]) -> dict[str, object]:
        """Return the attempt as plain values, with its own scores against the prediction."""
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
            "autoscalers_at_work_s": None if self.at_work_ns is None else self.at_work_ns / 1e9,
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
    duration_ns: int = 0  # of the schedule
    tick_ns: int = 0  # of the autoscaler; 0: there is none

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
        return score(self.prediction.figures, middle, self.load, self._resolutions())

    @property
    def run_scores(self) -> tuple[tuple[Score, ...], ...]:
        """The scores of each valid run by itself."""
        return tuple(self._scores_of(attempt) for attempt in self.valid)

    @property
    def fleet_scores(self) -> tuple[FleetScore, ...]:
        """How each valid run's fleet compares with the prediction; empty for a fleet that does not change."""
        if self.prediction is None or not self.prediction.fleets:
            return ()
        known = [attempt for attempt in self.valid if attempt.at_work_ns is not None]
        return tuple(
            score_fleet(self._draws_of(attempt, known), attempt.fleet, self.duration_ns, self.tick_ns)
            for attempt in self.valid
            if attempt.fleet is not None
        )

    def _draws_of(self, attempt: AttemptReport, known: Sequence[AttemptReport]) -> Sequence[FleetRun]:
        """Return the draws in which the autoscalers' clocks stood as in a run; all of them where that is not known."""
        fleets = () if self.prediction is None else self.prediction.fleets
        places = [place for place, each in enumerate(known) if each is attempt]
        return fleets[places[0] :: len(known)] if places else fleets

    @property
    def rollout_scores(self) -> tuple[RolloutScore, ...]:
        """How each valid run's rollout compares with the prediction; empty where none was started."""
        if self.prediction is None or not self.prediction.rollouts:
            return ()
        rollouts = [attempt.rollout for attempt in self.valid if attempt.rollout is not None]
        return tuple(score_rollout(self.prediction.rollouts, rollout) for rollout in rollouts)

    @property
    def judged(self) -> tuple[str, ...]:
        """The figures that decide the verdict; of a fleet that scales its own scores do, and the refusals."""
        if self.tick_ns:
            return ("refused_share",)
        return ("refused_share",) if self.saturated else tuple(TOLERANCES)

    @property
    def verdict(self) -> Verdict:
        """What this load says of the forecast."""
        if len(self.valid) < self.repeats:
            return "invalid"
        judged = [each for each in self.scores if each.figure in self.judged]
        strict = self.repeats >= _RUNS_TO_JUDGE
        fleets = all(each.within_tolerance if strict else each.as_forecast for each in self.fleet_scores)
        rollouts = all(each.within for each in self.rollout_scores)
        figures = all(each.within_tolerance for each in judged)
        return "agrees" if judged and fleets and rollouts and figures else "model wrong"

    @property
    def tolerances(self) -> dict[str, float]:
        """How far the judged figures may be off at this load."""
        return {name: tolerance for name in self.judged if (tolerance := tolerance_of(name, self.load)) is not None}

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
            "tolerances": self.tolerances,
            "repeats": self.repeats,
            "scores": [self._score_json(each) for each in self.scores],
            "fleet": [each.to_json() for each in self.fleet_scores],
            "rollouts": [each.to_json() for each in self.rollout_scores],
            "attempts": [attempt.to_json(self._scores_of(attempt)) for attempt in self.attempts],
            "prediction": None if self.prediction is None else self.prediction.to_json(),
        }

    def _scores_of(self, attempt: AttemptReport) -> tuple[Score, ...]:
        """Return an attempt's scores; none where it does not count."""
        if self.prediction is None or not attempt.validity.valid:
            return ()
        return score(self.prediction.figures, attempt.figures, self.load, attempt.resolutions)

    def _resolutions(self) -> dict[str, float]:
        """Return the coarsest resolution of each figure over the valid runs."""
        names = {name for attempt in self.valid for name in attempt.resolutions}
        return {name: max(attempt.resolutions.get(name, 0.0) for attempt in self.valid) for name in names}

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
    lone_request: LoneRequest | None = None  # of the calibration: where each millisecond goes

    @property
    def is_valid(self) -> bool:
        """Whether every load was measured as often as asked."""
        return all(point.verdict != "invalid" for point in self.points)

    @property
    def agrees(self) -> bool:
        """Whether the forecast was within tolerance at every load."""
        return all(point.verdict == "agrees" for point in self.points)

    def hits(self, figures: Sequence[str] = HIT_FIGURES) -> Hits:
        """Return how many intervals held these figures of the valid runs."""
        scores = self._run_scores(figures)
        return Hits(sum(each.hit for each in scores), len(scores))

    def mean_interval_score(self, figure: str) -> float | None:
        """Return the mean interval score over the valid runs, None without one.

        Of a time, a rate or a size it is a share of the forecast, so that loads can be compared; of a share it is in
        shares.
        """
        scores = self._run_scores((figure,))
        scaled = [each.interval_score / (1.0 if each.is_share else each.centre or 1.0) for each in scores]
        return fmean(scaled) if scaled else None

    def half_width_max(self, figure: str) -> float | None:
        """Return the widest interval of a figure as +- a share of its forecast, None without one."""
        scores = self._run_scores((figure,))
        return max(((each.high - each.low) / 2 / each.centre for each in scores if each.centre), default=None)

    def _run_scores(self, figures: Sequence[str]) -> list[Score]:
        """Return the scores of these figures in every valid run."""
        runs = [run for point in self.points for run in point.run_scores]
        return [each for run in runs for each in run if each.figure in figures]

    def _hits_json(self, figures: Sequence[str]) -> dict[str, object]:
        """Return hits, all together and by figure, with the mean interval scores."""
        every = self.hits(figures)
        by_figure = {
            name: {
                "held": self.hits((name,)).held,
                "scored": self.hits((name,)).scored,
                "mean_interval_score": self.mean_interval_score(name),
                "half_width_max": self.half_width_max(name),
            }
            for name in figures
        }
        return {"held": every.held, "scored": every.scored, "share": every.share, "figures": by_figure}

    def to_json(self) -> dict[str, object]:
        """Return the report as plain values."""
        return {
            "version": CHECK_VERSION,
            "valid": self.is_valid,
            "agrees": self.agrees,
            "hits": self._hits_json(HIT_FIGURES),
            "server_hits": self._hits_json(SERVER_FIGURES),
            "points": [point.to_json() for point in self.points],
            "lone_request": None if self.lone_request is None else self.lone_request.model_dump(mode="json"),
            "provenance": dict(self.provenance),
        }
