"""A scenario -> its forecast: figures with intervals, goals, windows over time, where the time goes, provenance.

Here the order of things is decided: what is refused before anything runs, which runs are made, what is read from them.
Warm-up is settling.py's, statistics are in intervals.py and estimates.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from policy.timeline import Outcome
from sim.engine.engines import Engine, chosen_engine
from sim.errors import RefusedToAnswer, ScenarioError
from sim.forecast.counted_runs import CountedTask, count_run, counted_figures, counted_warm_up_ns, draw_of
from sim.forecast.enough_runs import Precision, Stopped, check_runs, enough_runs, first_runs
from sim.forecast.estimates import Figure, tree_of
from sim.forecast.goal_metrics import stand_ins
from sim.forecast.goals import GoalResult, all_met, figures_needed, judge, limits_of_figures
from sim.forecast.latency_curve import LatencyCurve, latency_curve
from sim.forecast.manifest import Manifest, manifest_of
from sim.forecast.processes import check_workers, core_count, map_tasks
from sim.forecast.refusals import refuse_unresolved, refuse_unstable
from sim.forecast.replications import Replication
from sim.forecast.request_figures import request_figures
from sim.forecast.rollout_forecast import AbTest, RolloutForecast, ab_tests, rollout_forecast
from sim.forecast.settling import RunBatch
from sim.forecast.spending import PaidRun, fleet_figures
from sim.forecast.version_forecast import VersionForecast, version_forecasts
from sim.forecast.warnings import plain_warnings
from sim.forecast.windows import Window, windows
from sim.outcome.breakdown import PARTS
from sim.outcome.measures import RunMeasures
from sim.scenario.capacity import capacity_per_s, mean_rate_per_s
from sim.scenario.costs import profile_of
from sim.scenario.rules import seed_of
from sim.scenario.spare import spare_of, without_spare
from sim.scenario.spec import Scenario
from sim.scenario.traces import meets_one_trace
from sim.scenario.units import time_in_words
from sim.scenario.versions import version_names

__all__ = ["FORECAST_VERSION", "Forecast", "forecast"]

FORECAST_VERSION = "servecast-forecast/1"

_REQUESTS_INLINE = {Engine.PROCESS: 100_000, Engine.COMPILED: 4_000_000}
"""Below so many requests in all, starting processes costs more than it saves."""

_KEPT_MAX = 3_000_000
"""Requests of one run up to which they are kept: about 1 GB."""

_KEPT_OF_VERSIONS_MAX = 4 * _KEPT_MAX
"""The same where nothing else would do."""

_PRECISE = ("latency_ms.mean", "latency_ms.p50", "latency_ms.p99", "throughput_per_s", "refused_share")
"""The figures that a wanted precision is about, beside those that the goals are about."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Forecast:
    """What a scenario will do. Figures are by name: forecast["latency_ms.p99"].value, in the unit the name says."""

    name: str
    figures: dict[str, Figure]
    goals: list[GoalResult]
    timeline: list[Window]
    breakdown_ms: dict[str, float]  # mean of each part; they add up to the mean latency
    latency_curve: LatencyCurve
    provenance: dict[str, Any]
    currency: str | None = None  # of the figure `cost`
    versions: tuple[VersionForecast, ...] = ()  # each one, where there are several
    rollout: RolloutForecast | None = None
    ab_tests: tuple[AbTest, ...] = ()
    warnings: tuple[str, ...] = ()  # where experience says that people go wrong
    manifest: Manifest | None = None  # what makes it again

    def __getitem__(self, name: str) -> Figure:
        """Return a figure by its name in the JSON, `.` between the levels."""
        return self.figures[name]

    def __str__(self) -> str:
        """Return the figures as plain lines."""
        lines = [f"{self.name} (95 % confidence)"]
        for name, figure in self.figures.items():
            if figure.value is not None:
                lines.append(f"  {name:<18} {figure.value:>10.4g}  [{figure.low:.4g}, {figure.high:.4g}]")
        lines += [f"  goal {goal.goal} <= {goal.limit:g}: {goal.verdict}" for goal in self.goals]
        return "\n".join(lines)

    @property
    def goals_met(self) -> bool:
        """Whether every goal is met, by its whole interval; True without goals, False where that cannot be said."""
        return all_met(self.goals) is True

    def to_json(self) -> dict[str, Any]:
        """Return the forecast as a tree of plain values, version FORECAST_VERSION."""
        content: dict[str, Any] = {"version": FORECAST_VERSION, "name": self.name, **tree_of(self.figures)}
        content["cost"]["currency"] = self.currency
        content["versions"] = {version.name: tree_of(version.figures) for version in self.versions}
        content["rollout"] = None if self.rollout is None else self.rollout.to_json()
        content["ab_tests"] = [test.to_json() for test in self.ab_tests]
        return content | {
            "goals": [goal.to_json() for goal in self.goals],
            "goals_met": self.goals_met,
            "warnings": list(self.warnings),
            "timeline": [window.to_json() for window in self.timeline],
            "breakdown_ms": dict(self.breakdown_ms),
            "latency_curve": self.latency_curve.to_json(),
            "provenance": self.provenance,
            "manifest": None if self.manifest is None else self.manifest.to_json(),
        }


def forecast(
    scenario: Scenario,
    *,
    seed: int | None = None,
    runs: int | None = None,
    precision: Precision | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Forecast:
    """Return the forecast of a scenario.

    `seed` None takes the scenario's own, else 0; `runs` None takes horizon.runs, at least 2, or as many as a wanted
    `precision` takes; `workers` None uses every core where that pays, and changes nothing but the time it takes.
    `progress` is called with runs done and runs in all, as far as that is known. Raises ScenarioError for a wrong
    number of runs or workers, and RefusedToAnswer where any figure would be nonsense: an unstable load, more than 1 %
    of requests without an outcome, batches beyond the calibration, a latency that does not settle.
    """
    check_workers(workers)
    count = _first_count(scenario, runs, precision)
    tested = without_spare(scenario)
    refuse_unstable(tested)
    seed = seed_of(scenario, seed)
    options = {} if precision is None else precision.to_json()
    manifest = manifest_of(scenario, command="forecast", seed=seed, runs=count, options=options)
    if _is_counted(tested):
        if precision is not None:
            raise ScenarioError("precision is reached by further runs, and runs this long are few: state runs instead.")
        return _counted_forecast(scenario, manifest, count, workers, progress)
    batch = RunBatch(tested, seed, count, _workers(scenario, count, workers), progress)
    made = enough_runs(batch, precision, partial(_precise_figures, scenario))
    central, drawn = made.central, made.drawn
    manifest = replace(manifest, runs=len(central))
    measures = [one.measures for one in central]
    drawn_measures = [one.measures for one in drawn] if drawn else None
    for some in (measures, drawn_measures or measures):
        _refuse_unresolved(some)
    known = batch.draws != 1
    figures = request_figures(scenario, measures, drawn_measures, calibration_known=known)
    figures |= fleet_figures(
        scenario, _paid(central), _paid(drawn) if drawn is not None else None, calibration_known=known
    )
    limits = limits_of_figures(scenario.goals)
    figures |= stand_ins(limits, figures, measures, drawn_measures, of_runs=len(measures), calibration_known=known)
    of_versions = version_forecasts(scenario, central, drawn, calibration_known=known)
    return Forecast(
        name=scenario.name,
        figures=figures,
        goals=judge(scenario.goals, figures),
        warnings=tuple(plain_warnings(scenario, figures)),
        timeline=windows(measures, _by_version(scenario, central)),
        breakdown_ms=_breakdown_ms(central),
        latency_curve=latency_curve(
            [run.latencies for run in measures], [run.latencies for run in drawn_measures] if drawn_measures else None
        ),
        provenance=_provenance(scenario, manifest, made.warm_up_ns, made.warm_up_how, made.stopped),
        currency=scenario.cost.currency if scenario.cost else None,
        versions=of_versions,
        rollout=rollout_forecast(scenario, central, drawn, calibration_known=known),
        ab_tests=ab_tests(scenario, [version["throughput_per_s"].value or 0.0 for version in of_versions]),
        manifest=manifest,
    )


def _is_counted(scenario: Scenario) -> bool:
    """Return whether the runs are so long that their requests are counted and not kept.

    Versions are told apart by the requests that each took, so runs of several keep them. Of a closed loop there are at
    most as many as the fleet can answer. Raises RefusedToAnswer for more than can be kept.
    """
    seconds = scenario.horizon.duration / 1e9
    rate = mean_rate_per_s(scenario) if scenario.traffic.clients is None else capacity_per_s(scenario)
    if len(version_names(scenario)) == 1:
        return rate * seconds > _KEPT_MAX
    if rate * seconds > _KEPT_OF_VERSIONS_MAX:
        raise RefusedToAnswer(
            f"A run of {time_in_words(scenario.horizon.duration)} (horizon.duration) would have "
            f"{rate * seconds / 1e6:.3g} million requests, and of several versions runs keep at most "
            f"{_KEPT_OF_VERSIONS_MAX / 1e6:.3g} million"
        )
    return False


def _counted_forecast(
    scenario: Scenario, manifest: Manifest, runs: int, workers: int | None, progress: Progress | None
) -> Forecast:
    """Return the forecast of runs that are counted: quantiles to 0.4 %, and no breakdown of the latency."""
    warm_up_ns = counted_warm_up_ns(scenario)
    has_draws = draw_of(scenario, 0) is not None
    tasks = [
        CountedTask(scenario, manifest.seed, run, draw_of(scenario, run) if is_drawn else None, warm_up_ns)
        for is_drawn in ((False, True) if has_draws else (False,))
        for run in range(runs)
    ]
    made = map_tasks(count_run, tasks, workers=_workers(scenario, runs, workers), progress=progress)
    central, drawn = made[:runs], made[runs:] or None
    figures = counted_figures(scenario, central, drawn)
    counts, drawn_counts = [run.counts for run in central], [run.counts for run in drawn] if drawn else None
    figures |= stand_ins(limits_of_figures(scenario.goals), figures, counts, drawn_counts, of_runs=runs)
    how = "stated" if scenario.horizon.warm_up != "auto" else "auto: a fixed share of the time, as runs are counted"
    return Forecast(
        name=scenario.name,
        figures=figures,
        goals=judge(scenario.goals, figures),
        warnings=tuple(plain_warnings(scenario, figures)),
        timeline=windows([run.counts for run in central]),
        breakdown_ms={},
        latency_curve=latency_curve(
            [run.counts.latencies for run in central], [run.counts.latencies for run in drawn] if drawn else None
        ),
        provenance=_provenance(scenario, manifest, warm_up_ns, how),
        currency=scenario.cost.currency if scenario.cost else None,
        manifest=manifest,
    )


def _first_count(scenario: Scenario, runs: int | None, precision: Precision | None) -> int:
    """Return how many runs are made before anything is looked at."""
    if precision is not None:
        if runs is not None:
            raise ScenarioError("runs is a number, precision asks for as many runs as it takes: state one of the two.")
        return first_runs(precision, scenario.horizon.runs)
    return check_runs(scenario.horizon.runs if runs is None else runs)


def _precise_figures(scenario: Scenario, central: Sequence[Replication]) -> dict[str, Figure]:
    """Return the figures that must be precise. Raises RefusedToAnswer for what more runs would not mend."""
    measures = [one.measures for one in central]
    _refuse_unresolved(measures)
    needed = {*_PRECISE, *figures_needed(scenario.goals)}
    figures = request_figures(scenario, measures, None, calibration_known=True, only=needed)
    figures |= stand_ins(limits_of_figures(scenario.goals), figures, measures, None, of_runs=len(measures))
    return figures


def _refuse_unresolved(runs: Sequence[RunMeasures]) -> None:
    refuse_unresolved(sum(run.requests for run in runs), sum(run.count(Outcome.IN_FLIGHT) for run in runs))


def _by_version(scenario: Scenario, central: Sequence[Replication]) -> dict[str, list[RunMeasures]]:
    """Return what each version took of the runs, by its name; empty where there is one only."""
    if not central[0].versions:
        return {}
    names = enumerate(version_names(scenario))
    return {name: [run.versions[place].measures for run in central] for place, name in names}


def _workers(scenario: Scenario, runs: int, workers: int | None) -> int:
    """Return how many processes to use."""
    if workers is not None:
        return workers
    if scenario.traffic.clients is None:
        requests = mean_rate_per_s(scenario) * scenario.horizon.duration / 1e9 * runs
        if requests < _REQUESTS_INLINE[chosen_engine()]:
            return 1
    return min(core_count(), runs)


def _paid(runs: Sequence[Replication]) -> list[PaidRun]:
    """Return what of runs is paid for."""
    return [
        PaidRun(run.measures, tuple(version.measures.fleet for version in run.versions) or (run.measures.fleet,))
        for run in runs
    ]


def _breakdown_ms(replications: Sequence[Replication]) -> dict[str, float]:
    """Return the mean of each part over the answered requests of all runs, empty if there are none."""
    answered = sum(len(one.measures.answered_latencies_ns) for one in replications)
    if answered == 0:
        return {}
    return {part: sum(one.part_sums_ns[part] for one in replications) / answered / 1e6 for part in PARTS}


def _provenance(
    scenario: Scenario, manifest: Manifest, warm_up_ns: int, how: str, stopped: Stopped | None = None
) -> dict[str, Any]:
    """Return where the forecast comes from."""
    profile = profile_of(scenario)
    calibration = None
    if profile is not None:
        content_hash = manifest.files["model.profile"].hash
        calibration = {"name": profile.name, "created": profile.created, "hash": content_hash}
    return {
        "scenario": scenario.name,
        "scenario_hash": manifest.scenario_hash,
        "seed": manifest.seed,
        "runs": manifest.runs,
        **({} if stopped is None else {"precision": stopped.to_json()}),
        "duration_s": scenario.horizon.duration / 1e9,
        "warm_up": {"seconds": warm_up_ns / 1e9, "how": how},
        "initial_state": "empty",
        "spare": spare_of(scenario),
        "intervals_over": _chance(scenario),
        "engine": chosen_engine().value,
        "calibration": calibration,
        "versions": manifest.versions,
        "host": manifest.host,
    }


def _chance(scenario: Scenario) -> list[str]:
    """Return what differs from run to run, and so what the intervals speak of."""
    calibrated = ["calibration"] if scenario.model.profile is not None else []
    return (["dice"] if meets_one_trace(scenario) else ["arrivals", "dice"]) + calibrated
