"""The check: forecasts of runs on pre-drawn schedules against live runs on the same schedules, at several loads.

Each load is a share of the forecast capacity. Its schedule is drawn once and driven until `repeats` runs were valid;
validity is decided before latencies are read. What the forecast says of that very schedule is simulated afterwards, so
that it takes no core from a measurement.

The speed of a shared host drifts. Measured on two shared cores: the same passes took 0.96 to 1.09 of their mean from
one run of 4 s to another, and near 60 % of capacity a latency moves twice as far. A forecast that was fitted in one
quarter of an hour and is scored in the next is scored for that drift; so the runs of InterleavedCheck lie between the
measurements of its fit. Fit and score share the host's hour: no process, no run and no load.
"""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field

import numpy as np

from calibration.check_report import AttemptReport, CheckReport, PointReport
from calibration.errors import BadSamples
from calibration.fit import fit
from calibration.host import Bounds, Validity, judge, lateness_bound_ns
from calibration.live_server import LiveServer
from calibration.load_plan import LoadPlan, PlannedOrder
from calibration.measurement import Measurement, measure_load
from calibration.pass_profiler import fixed_plan
from calibration.profile_file import calibrated_by, profile_hash, profile_of_fit
from calibration.progress import Progress, part_of
from calibration.samples import Samples
from calibration.score import resolutions_of
from calibration.server_rules import require_same_rules
from calibration.traffic_plan import input_text, traffic_plan
from policy.rollout import Command
from sim.engine.timelines import Timeline
from sim.forecast.autoscaler_lead import memory_ns_of, scales, tick_ns_of
from sim.forecast.prediction import Prediction, fleet_of, measured_figures, predict_run
from sim.forecast.provenance import host, versions
from sim.outcome.measures import measure
from sim.outcome.rollout_course import rollout_of
from sim.scenario.capacity import at_rate, capacity_per_s, mean_rate_per_s
from sim.scenario.costs import profile_of
from sim.scenario.identity import scenario_hash
from sim.scenario.lower import versions_input
from sim.scenario.spec import Scenario
from sim.scenario.versions import each_version, instances_of_each, rollout_start_ns, version_rules

__all__ = ["LOADS", "CheckEffort", "InterleavedCheck", "Operator", "check", "check_point"]

LOADS = (0.3, 0.6, 0.85, 1.3)
"""Shares of the capacity; none is a load that calibrations are fitted on."""

_S_NS = 10**9
_LEAST_REQUESTS = 100
_WARM_UP_S = 2.0
_WARM_UP_SHARE = 0.5
_WARM_UP_RATE_MAX = 1000.0
_MEASURED_SHARE = 0.5  # of the progress
_START = json.dumps({"command": Command.START.name.lower()})


@dataclass(frozen=True)
class Operator:
    """Who may give orders: the token of the admin API, and a way to a server on which no rollout has been started.

    `fresh_server` yields the address of one for each run.
    """

    token: str
    fresh_server: Callable[[], AbstractContextManager[str]]


@dataclass(frozen=True)
class CheckEffort:
    """How much is measured and simulated at each load."""

    duration_s: float = 15.0
    repeats: int = 3  # valid runs
    attempts: int = 5  # runs at most, valid or not
    draws: int = 200  # of the prediction
    workers: int | None = None  # processes that simulate; None: one for each core


def check(
    url: str,
    scenario: Scenario,
    *,
    loads: Sequence[float] | None = LOADS,
    effort: CheckEffort | None = None,
    seed: int = 0,
    bounds: Bounds | None = None,
    operator: Operator | None = None,
    progress: Progress | None = None,
) -> CheckReport:
    """Return how forecasts of a scenario compare with a live server that runs it.

    `loads` are shares of the forecast capacity; None is the scenario's own traffic, for as long as its
    horizon.duration. `bounds` None: those of the host, and for the lateness 1 ms or a tenth of the p99 goal. `operator`
    is who may start the scenario's rollout. Raises BadSamples where the server runs other rules, a load is not
    positive, one above capacity has nothing that limits the queue, or nobody may start the rollout; ServerUnreachable;
    what the scenario and its forecast raise.
    """
    checker = _Checker(url, scenario, effort or CheckEffort(), seed, bounds, operator)
    for load in loads or ():
        checker.require_bounded(load)
    checker.warm_up()
    if loads is None:
        points = [checker.own_point(part_of(progress, 0, 1, "the scenario's own traffic"))]
    else:
        points = [
            checker.point(load, run, part_of(progress, run, len(loads), f"{100 * load:.0f} % of capacity"))
            for run, load in enumerate(loads)
        ]
    profile = profile_of(scenario)
    return CheckReport(tuple(points), checker.provenance(), None if profile is None else profile.lone_request)


def check_point(
    url: str,
    scenario: Scenario,
    rate_per_s: float,
    *,
    effort: CheckEffort | None = None,
    seed: int = 0,
    bounds: Bounds | None = None,
    progress: Progress | None = None,
) -> PointReport:
    """Return how the forecast of one rate compares with a live server. Raises as check does."""
    checker = _Checker(url, scenario, effort or CheckEffort(), seed, bounds)
    load = rate_per_s / capacity_per_s(scenario)
    checker.require_bounded(load)
    checker.warm_up()
    return checker.point(load, 0, part_of(progress, 0, 1, f"{rate_per_s:.0f}/s"))


class InterleavedCheck:
    """A check of steady loads whose runs lie between the measurements that its forecast is fitted to.

    Call measure() with the samples so far whenever one more of `processes` servers has been measured, then report().
    The loads are shares of the capacity that the first of them showed. The server at `url` is none of them. Both raise
    as check does.
    """

    def __init__(
        self,
        url: str,
        scenario: Scenario,
        processes: int,
        *,
        loads: Sequence[float] = LOADS,
        effort: CheckEffort | None = None,
        seed: int = 0,
        bounds: Bounds | None = None,
    ) -> None:
        self._effort = effort or CheckEffort()
        self._checker = _Checker(url, scenario, self._effort, seed, bounds)
        self._scenario = scenario
        self._processes = processes
        self._loads = tuple(loads)
        for load in self._loads:
            self._checker.require_bounded(load)
        self._schedules: list[_Schedule] = []

    def measure(self, samples: Sequence[Samples], tell: Progress = lambda _what, _share: None) -> None:
        """Drive as large a part of the runs as of the processes has been measured."""
        if not self._schedules:
            with calibrated_by(self._scenario, profile_of_fit(samples, fit(samples, draws=1))) as first:
                self._checker.capacity_per_s = capacity_per_s(first)
            self._checker.warm_up()
            self._schedules = [self._checker.schedule(load, run) for run, load in enumerate(self._loads)]
        runs = round(self._effort.repeats * len(samples) / self._processes)
        for each in self._schedules:
            self._checker.measure(each, runs, tell)

    def report(self, scenario: Scenario, progress: Progress | None = None) -> CheckReport:
        """Return how the forecasts of a scenario, by the calibration that is now done, compare with the runs."""
        self._checker.scenario = scenario
        tells = [part_of(progress, place, len(self._schedules)) for place in range(len(self._schedules))]
        points = [self._checker.predicted(*each) for each in zip(self._schedules, tells, strict=True)]
        profile = profile_of(scenario)
        provenance = self._checker.provenance(interleaved=True)
        return CheckReport(tuple(points), provenance, None if profile is None else profile.lone_request)


@dataclass
class _Schedule:
    """What is sent at one load, and the runs so far."""

    load: float
    plan: LoadPlan
    attempts: list[AttemptReport] = field(default_factory=list)


class _Checker:
    """One check of one server."""

    def __init__(
        self,
        url: str,
        scenario: Scenario,
        effort: CheckEffort,
        seed: int,
        bounds: Bounds | None,
        operator: Operator | None = None,
    ) -> None:
        self._server = LiveServer(url, input_text(scenario))
        self._operator = operator
        self.scenario = scenario
        self._effort = effort
        self._seed = seed
        self._bounds = bounds or Bounds(lateness_p99_ns=lateness_bound_ns(scenario.goals.p99))
        self._duration_ns = round(effort.duration_s * _S_NS)
        self._server.require_ready()
        require_same_rules(self._server.url, self._server.config(), scenario)
        self.capacity_per_s = capacity_per_s(scenario)

    def require_bounded(self, load: float) -> None:
        """Raise BadSamples for a load that is none, or that nothing bounds."""
        if not load > 0:
            raise BadSamples(f"A load must be a share of the capacity above 0. Got {load:g}.")
        scenario = self.scenario
        limits = (scenario.queue.cap, scenario.queue.deadline, scenario.traffic.timeout)
        if load >= 1 and all(limit is None for limit in limits):
            raise BadSamples(
                f"A load of {100 * load:.0f} % of capacity needs queue.cap, queue.deadline or traffic.timeout: "
                "without one the queue grows without end."
            )

    def warm_up(self) -> None:
        """Load the server for two seconds: the first requests of a process are slower than all others."""
        scaled = scales(self.scenario)
        capacity = capacity_per_s(_unscaled(self.scenario)) if scaled else self.capacity_per_s
        rate_per_s = min(capacity * _WARM_UP_SHARE, _WARM_UP_RATE_MAX)
        moments = np.arange(0, round(_WARM_UP_S * _S_NS), round(_S_NS / rate_per_s), dtype=np.int64)
        measure_load(self._server, fixed_plan(moments, item_size=1))

    def point(self, load: float, run: int, tell: Progress) -> PointReport:
        """Measure one load, then predict it."""
        return self._point(self.schedule(load, run), tell)

    def schedule(self, load: float, run: int) -> _Schedule:
        """Return what is to be sent at a load."""
        return _Schedule(load, self._plan(load, run))

    def own_point(self, tell: Progress) -> PointReport:
        """Measure the scenario's own traffic, then predict it."""
        self._duration_ns = self.scenario.horizon.duration
        traffic = self._measured_from_start()
        plan = traffic_plan(self._server.url, traffic, self._duration_ns, seed=self._seed, orders=self._orders())
        return self._point(_Schedule(mean_rate_per_s(traffic) / self.capacity_per_s, plan), tell)

    def _orders(self) -> list[PlannedOrder]:
        """Return the order that starts the rollout. Raises BadSamples where nobody may give it."""
        start_ns = rollout_start_ns(self.scenario)
        if start_ns is None:
            return []
        if self._operator is None:
            raise BadSamples("A check of a rollout starts it, and needs the token of the server's admin API for that.")
        return [PlannedOrder(start_ns, "/admin/rollout", _START, self._operator.token)]

    def _measured_from_start(self) -> Scenario:
        """Return the scenario without a warm-up, as long as a run."""
        horizon = self.scenario.horizon.model_copy(update={"duration": self._duration_ns, "warm_up": 0})
        return self.scenario.model_copy(update={"horizon": horizon})

    def _point(self, schedule: _Schedule, tell: Progress) -> PointReport:
        """Measure one schedule, then predict it."""
        self.measure(schedule, self._effort.repeats, tell)
        return self.predicted(schedule, tell)

    def measure(self, schedule: _Schedule, runs: int, tell: Progress) -> None:
        """Drive a schedule until so many of its runs were valid, or all attempts are used up."""
        attempts = schedule.attempts
        while len(attempts) < self._effort.attempts and _valid(attempts) < runs:
            tell("measured", _MEASURED_SHARE * _valid(attempts) / self._effort.repeats)
            attempts.append(self._attempt(schedule.plan))

    def predicted(self, schedule: _Schedule, tell: Progress) -> PointReport:
        """Predict a schedule that has been measured."""
        plan, attempts = schedule.plan, schedule.attempts
        prediction = self._prediction(plan, attempts, tell) if _valid(attempts) else None
        return PointReport(
            load=schedule.load,
            rate_per_s=schedule.load * self.capacity_per_s,
            offered_per_s=len(plan.arrivals_ns) / (self._duration_ns / _S_NS),
            capacity_per_s=self.capacity_per_s,
            requests=len(plan.arrivals_ns),
            repeats=self._effort.repeats,
            attempts=tuple(attempts),
            prediction=prediction,
            duration_ns=self._duration_ns,
            tick_ns=tick_ns_of(self.scenario),
        )

    def provenance(self, *, interleaved: bool = False) -> dict[str, object]:
        """Return what one needs to judge the check and to get it again."""
        profile = profile_of(self.scenario)
        return {
            "scenario": self.scenario.name,
            "scenario_hash": scenario_hash(self.scenario),
            "seed": self._seed,
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "versions": versions(),
            "host": host(),
            "calibration": None if profile is None else {"name": profile.name, "hash": profile_hash(profile)},
            "bounds": self._bounds._asdict(),
            "effort": asdict(self._effort),
            "interleaved": interleaved,
        }

    def _plan(self, load: float, run: int) -> LoadPlan:
        """Return the schedule of a load, the same in all its runs."""
        rate_per_s = load * self.capacity_per_s
        traffic = at_rate(self._measured_from_start(), rate_per_s)
        plan = traffic_plan(
            self._server.url, traffic, self._duration_ns, seed=self._seed, run=run, orders=self._orders()
        )
        if len(plan.arrivals_ns) < _LEAST_REQUESTS:
            raise BadSamples(
                f"A check at {rate_per_s:.0f}/s for {self._effort.duration_s:g} s has {len(plan.arrivals_ns)} "
                f"requests: it needs at least {_LEAST_REQUESTS}."
            )
        return plan

    def _attempt(self, plan: LoadPlan) -> AttemptReport:
        """Drive the schedule once; read latencies only if the run was valid."""
        if rollout_start_ns(self.scenario) is not None and self._operator is not None:
            # A rollout has one start in a server's life.
            with self._operator.fresh_server() as url:
                self._server = LiveServer(url, self._server.input_text)
                self.warm_up()
                return self._attempt_here(plan)
        return self._attempt_here(plan)

    def _attempt_here(self, plan: LoadPlan) -> AttemptReport:
        """Drive the schedule at the server as it is."""
        if scales(self.scenario):
            # What autoscalers remember of earlier loads is no part of the scenario.
            self._server.wait_for_replicas(self._replicas_at_start(), memory_ns_of(self.scenario) / _S_NS)
        measured = measure_load(self._server, plan)
        validity, timeline = self._validity(measured, len(plan.arrivals_ns))
        figures: dict[str, float] = {}
        resolutions: dict[str, float] = {}
        latencies_ms = np.zeros(0)
        fleet, rollout, at_work_ns = None, None, None
        if timeline is not None:
            measures = measure(timeline, 0, self._duration_ns, instances=instances_of_each(self.scenario))
            figures = {name: value for name, value in measured_figures(measures).items() if math.isfinite(value)}
            resolutions = resolutions_of(measures)
            latencies_ms = measures.answered_latencies_ns / 1e6
            if scales(self.scenario):
                fleet, at_work_ns = fleet_of(measures), measured.at_work_ns
            rollout = rollout_of(timeline, versions_input(self.scenario), plan.seed)
        run = measured.run
        return AttemptReport(
            validity,
            run.lateness,
            measured.host,
            run.outcomes(),
            figures,
            latencies_ms,
            resolutions,
            fleet,
            rollout,
            at_work_ns,
        )

    def _replicas_at_start(self) -> int:
        """Return how many replicas the versions have together that are there from the start."""
        alone = zip(each_version(self.scenario), version_rules(self.scenario).loaded, strict=True)
        return sum(version.fleet.replicas for version, loaded in alone if loaded)

    def _validity(self, measured: Measurement, requests: int) -> tuple[Validity, Timeline | None]:
        """Return whether a run counts, and its timeline if it does."""
        reasons = list(judge(measured.run.lateness, measured.host, self._bounds).reasons)
        lost = measured.run.connection_losses
        if lost:
            reasons.append(f"{lost} of {requests} requests lost their connection.")
        if measured.run.unsent:
            reasons.append(f"{measured.run.unsent} of {requests} requests could not be sent in time.")
        if measured.run.orders_refused:
            reasons.append(f"{measured.run.orders_refused} orders were not carried out.")
        timeline = None
        try:
            timeline = measured.timeline()
        except BadSamples as error:
            reasons.append(str(error))
        return Validity(not reasons, tuple(reasons)), None if reasons else timeline

    def _prediction(self, plan: LoadPlan, attempts: Sequence[AttemptReport], tell: Progress) -> Prediction:
        """Return what the forecast says of runs on this schedule, whose autoscalers' clocks stood as in these."""
        return predict_run(
            self.scenario,
            plan.arrivals_ns,
            plan.sizes,
            seed=self._seed,
            draws=self._effort.draws,
            to_ns=self._duration_ns,
            at_work_ns=[each.at_work_ns for each in attempts if each.at_work_ns is not None],
            workers=self._effort.workers,
            progress=lambda done, of: tell("predicted", _MEASURED_SHARE + (1 - _MEASURED_SHARE) * done / of),
        )


def _unscaled(scenario: Scenario) -> Scenario:
    """Return the scenario with the replicas that are there at the start for good."""
    return scenario.model_copy(update={"fleet": scenario.fleet.model_copy(update={"autoscaler": None})})


def _valid(attempts: Sequence[AttemptReport]) -> int:
    """Return how many attempts count."""
    return sum(attempt.validity.valid for attempt in attempts)
