"""Where ONE run on a given schedule will land: what a live measurement is compared with.

Each draw is that same schedule under other dice and, with a calibration, with what another run of another fresh server
process may have (Profile.run_draws). The intervals are prediction intervals; where the long-run figure lies is another
question, which forecast.py answers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np
import numpy.typing as npt

from policy.instant import UNSET
from policy.timeline import Outcome
from sim.engine.engines import run
from sim.engine.timelines import ATTEMPT_COLUMNS, Timeline
from sim.errors import RefusedToAnswer
from sim.forecast.autoscaler_lead import chance_lead_ns, lead_like, scales
from sim.forecast.estimates import FLEET_METRICS, METRICS
from sim.forecast.intervals import PredictionBounds, prediction
from sim.forecast.latency_curve import LatencyCurve, curve_of_quantiles, grid_quantiles_ms
from sim.forecast.processes import core_count, map_tasks
from sim.forecast.refusals import refuse_unresolved
from sim.outcome.fleet_course import FleetRun, fleet_run
from sim.outcome.measures import RunMeasures, measure
from sim.outcome.quantiles import QUANTILE_NAMES, quantile
from sim.outcome.rollout_course import RolloutRun, rollout_of
from sim.scenario.costs import profile_of
from sim.scenario.lower import lower
from sim.scenario.profile import Profile, RunDraw
from sim.scenario.spec import Scenario

__all__ = ["PredictedFigure", "Prediction", "fleet_of", "measured_figures", "predict_run"]

Ints = npt.NDArray[np.int64]

_NORMAL_95 = 1.959964


@dataclass(frozen=True)
class PredictedFigure:
    """A figure of one run: the median of the draws, and the 95 % prediction interval."""

    centre: float
    low: float
    high: float
    method: str  # as in intervals.PredictionBounds
    draws: int

    def to_json(self) -> dict[str, object]:
        """Return the figure as plain values."""
        return {
            "centre": self.centre,
            "low": self.low,
            "high": self.high,
            "method": self.method,
            "draws": self.draws,
        }


@dataclass(frozen=True)
class Prediction:
    """What one run on the schedule is predicted to show.

    Figures have the names of the forecast's, and server_latency_ms.* on the server's own timeline. One that some draw
    cannot show (the latency of a run in which nothing was answered) is left out.
    """

    figures: dict[str, PredictedFigure]
    latency_curve: LatencyCurve | None  # None if some draw has no answered request
    draws: int
    fleets: tuple[FleetRun, ...] = ()  # of each draw, where an autoscaler changes the fleet
    rollouts: tuple[RolloutRun, ...] = ()  # of each draw, where one is started

    def __getitem__(self, name: str) -> PredictedFigure:
        """Return a figure by its name, `.` between the levels."""
        return self.figures[name]

    def to_json(self) -> dict[str, object]:
        """Return the prediction as a tree of plain values."""
        curve = None if self.latency_curve is None else self.latency_curve.to_json()
        figures = {name: figure.to_json() for name, figure in self.figures.items()}
        return {"draws": self.draws, "figures": figures, "latency_curve": curve}


@dataclass(frozen=True)
class _Task:
    """What one draw needs."""

    scenario: Scenario
    arrivals_ns: Ints
    sizes: Ints | None
    seed: int
    draw: int
    lead_ns: int  # for which the autoscalers have been at work when the schedule begins
    from_ns: int
    to_ns: int


@dataclass(frozen=True)
class _Drawn:
    """What one draw amounts to."""

    figures: dict[str, float]
    curve_ms: npt.NDArray[np.float64] | None
    requests: int
    unresolved: int
    fleet: FleetRun | None
    rollout: RolloutRun | None


def predict_run(
    scenario: Scenario,
    arrivals_ns: Ints,
    sizes: Ints | None = None,
    *,
    seed: int = 0,
    draws: int = 200,
    from_ns: int = 0,
    to_ns: int | None = None,
    at_work_ns: Sequence[int] = (),
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Prediction:
    """Return what one run on a schedule will show, over the requests intended in [from_ns, to_ns).

    `arrivals_ns` ascend from 0, the empty start; `sizes` None rolls them by dice. `to_ns` None measures to the last
    request. `at_work_ns` says for how long a server's autoscalers have been at work when the schedule begins, at rest
    by then; nothing leaves to chance where their clocks stand. With several of them, as of several runs, there are
    `draws` of each: draw k is of number k % len(at_work_ns). With fewer than 200 draws (at least 2) the intervals come
    from the normal theory and say so. Raises RefusedToAnswer without a request in the window, or where more than 1 %
    have no outcome.
    """
    if to_ns is None:
        to_ns = int(arrivals_ns[-1]) + 1 if len(arrivals_ns) else from_ns
    if to_ns <= from_ns:
        raise RefusedToAnswer("No request falls into the measured time of the schedule.")
    tasks = [
        _Task(scenario, arrivals_ns, sizes, seed, draw, lead_ns, from_ns, to_ns)
        for draw in range(draws)
        for lead_ns in _leads_ns(scenario, seed, draw, at_work_ns)
    ]
    drawn = map_tasks(_draw, tasks, workers=core_count() if workers is None else workers, progress=progress)
    refuse_unresolved(sum(one.requests for one in drawn), sum(one.unresolved for one in drawn))
    curves = [one.curve_ms for one in drawn if one.curve_ms is not None]
    return Prediction(
        figures=_figures([one.figures for one in drawn], profile_of(scenario)),
        latency_curve=curve_of_quantiles(curves) if len(curves) == len(drawn) else None,
        draws=len(drawn),
        fleets=tuple(one.fleet for one in drawn if one.fleet is not None),
        rollouts=tuple(one.rollout for one in drawn if one.rollout is not None),
    )


def measured_figures(measures: RunMeasures) -> dict[str, float]:
    """Return the figures of one run, simulated or live, by the names of a Prediction; NaN where it shows none."""
    figures = {name: metric.pooled([measures]) for name, metric in (METRICS | FLEET_METRICS).items()}
    server_ns = measures.answered_server_latencies_ns
    figures["server_latency_ms.mean"] = float(server_ns.mean()) / 1e6 if len(server_ns) else math.nan
    for name, q in QUANTILE_NAMES.items():
        figures[f"server_latency_ms.{name}"] = float(quantile(server_ns, q)) / 1e6 if len(server_ns) else math.nan
    return figures


def _draw(task: _Task) -> _Drawn:
    """Run one draw."""
    lead_ns = task.lead_ns
    lowered = lower(
        task.scenario,
        seed=task.seed,
        run=task.draw,
        profile_draw=RunDraw(task.draw),
        arrivals_ns=task.arrivals_ns + lead_ns,
        sizes=task.sizes,
        warm_up_ns=task.from_ns + lead_ns,
    )
    tail_ns, to_ns = lowered.stop_ns - lowered.measure_to_ns, task.to_ns + lead_ns
    engine_input = replace(lowered, measure_to_ns=to_ns, stop_ns=to_ns + tail_ns)
    timeline = run(engine_input).since(lead_ns) if lead_ns else run(engine_input)
    timeline = _as_a_server_stamps(timeline, task.scenario, engine_input.traffic.back_ns)
    measures = measure(timeline, task.from_ns, task.to_ns, instances=engine_input.instances)
    latencies = measures.latencies
    return _Drawn(
        figures=measured_figures(measures),
        curve_ms=grid_quantiles_ms(latencies) if len(latencies) else None,
        requests=measures.requests,
        unresolved=measures.count(Outcome.IN_FLIGHT),
        fleet=fleet_of(measures) if scales(task.scenario) else None,
        rollout=rollout_of(timeline, engine_input.versions, engine_input.seed),
    )


def fleet_of(measures: RunMeasures) -> FleetRun:
    """Return what the fleet did in a run that was measured from 0 on."""
    return fleet_run(measures.fleet, measures.intended_ns, measures.latency_ns, measures.to_ns)


def _leads_ns(scenario: Scenario, seed: int, draw: int, at_work_ns: Sequence[int]) -> list[int]:
    """Return the leads of a draw, which has the same dice with each."""
    if not scales(scenario):
        return [0]
    return [lead_like(scenario, each) for each in at_work_ns] or [chance_lead_ns(scenario, seed, draw)]


def _as_a_server_stamps(timeline: Timeline, scenario: Scenario, back_ns: int) -> Timeline:
    """Return the timeline with answers stamped as late as the calibrated server stamps them.

    The model counts what lies between the front end's work and the client as way back; part of it passes before a live
    server has written the answer.
    """
    profile = profile_of(scenario)
    if profile is None or scenario.traffic.network.back is not None:
        return timeline
    attempts = timeline.attempts.copy()
    answered_ns = attempts[:, ATTEMPT_COLUMNS.index("answered_ns")]
    answered_ns[answered_ns != UNSET] += round(profile.answer_share * back_ns)
    return replace(timeline, attempts=attempts)


def _figures(draws: Sequence[dict[str, float]], profile: Profile | None) -> dict[str, PredictedFigure]:
    """Return the figures that every draw shows."""
    figures = {}
    for name in draws[0]:
        values = [draw[name] for draw in draws]
        if all(map(math.isfinite, values)):
            error = 0.0 if profile is None else profile.discrepancy.get(name, 0.0)
            bounds = _widened(prediction(values), median(values), error)
            bounds = bounds.clipped(0.0, METRICS[name].most if name in METRICS else math.inf)
            figures[name] = PredictedFigure(median(values), bounds.low, bounds.high, bounds.method, bounds.draws)
    return figures


def _widened(bounds: PredictionBounds, centre: float, error: float) -> PredictionBounds:
    """Return an interval that holds the model's own error as well, a share of the centre and normal as far as is known.

    Each end goes so far out that its distance from the centre and 1.96 times the error add up in quadrature.
    """
    if error == 0.0:
        return bounds
    own = _NORMAL_95 * error * centre
    low = centre - math.hypot(max(centre - bounds.low, 0.0), own)
    high = centre + math.hypot(max(bounds.high - centre, 0.0), own)
    return PredictionBounds(low, high, f"{bounds.method}, and the model's own error", bounds.draws)
