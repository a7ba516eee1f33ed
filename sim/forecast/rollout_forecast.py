"""What a forecast says of a rollout and of an A/B test: how it ends, how long it takes, whom it touches.

How a rollout ends is counted over the runs, queues and all. Beside it stand the odds of the analysis by itself, from
theory (sim/outcome/rollout_theory.py): the power to find the stated error rate, and the chance of a false alarm, which
runs would find only by the thousand. Where the theory does not know such a rollout, it says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from policy.instant import UNSET
from policy.rollout import SHARE_ONE, Against, Counted, FailureScope, Metric, NoData, RolloutRule
from policy.versions import WEIGHT_ONE
from sim.forecast.estimates import Figure, mean_of_runs, ratio
from sim.forecast.replications import Replication
from sim.outcome.rollout_course import RolloutRun
from sim.outcome.rollout_theory import CanaryAnalysis, ab_test_s, answers_per_arm, share_interval
from sim.scenario.capacity import mean_rate_per_s
from sim.scenario.spec import Scenario
from sim.scenario.versions import version_rules

__all__ = ["AbTest", "Odds", "RolloutForecast", "ab_tests", "rollout_forecast"]

_NEVER = 1e-9
"""What has no larger chance than this is left out of theory."""


@dataclass(frozen=True)
class Odds:
    """What the analysis finds, by theory: of a canary as bad as the scenario says, and of one as good as stable."""

    power: float | None  # chance that a canary with the stated error rate is rolled back
    false_alarm: float | None  # chance that one as good as the stable version is
    found_after_s: float | None  # mean time to the rollback, without the time to become ready
    why: str = ""  # there are no odds

    def to_json(self) -> dict[str, object]:
        """Return the odds in the form of the forecast's JSON."""
        odds: dict[str, object] = {
            "power": self.power,
            "false_alarm": self.false_alarm,
            "found_after_s": self.found_after_s,
        }
        return odds | {"why": self.why} if self.why else odds


@dataclass(frozen=True)
class RolloutForecast:
    """How the rollout of the canary goes. Shares of runs have the interval of a proportion."""

    canary: str
    figures: dict[str, Figure]
    odds: Odds

    def __getitem__(self, name: str) -> Figure:
        """Return a figure by its name."""
        return self.figures[name]

    def to_json(self) -> dict[str, object]:
        """Return the rollout in the form of the forecast's JSON."""
        figures = {name: figure.to_json() for name, figure in self.figures.items()}
        return {"canary": self.canary, **figures, "odds": self.odds.to_json()}


def rollout_forecast(
    scenario: Scenario, central: Sequence[Replication], drawn: Sequence[Replication] | None, *, calibration_known: bool
) -> RolloutForecast | None:
    """Return how the rollout goes, None if there is none or none is started."""
    runs = [run.rollout for run in central if run.rollout is not None]
    others = None if drawn is None else [run.rollout for run in drawn if run.rollout is not None]
    if len(runs) < len(central):
        return None

    def mean(read: Callable[[RolloutRun], float], most: float = math.inf) -> Figure:
        values = None if others is None else [read(run) for run in others]
        return mean_of_runs([read(run) for run in runs], values, calibration_known=calibration_known, most=most)

    figures = {
        "rolled_back_share": _share_of_runs([run.rolled_back for run in runs]),
        "promoted_share": _share_of_runs([run.promoted for run in runs]),
        "unfinished_share": _share_of_runs([not (run.rolled_back or run.promoted) for run in runs]),
        "duration_s": mean(lambda run: run.duration_s),
        "requests_touched": mean(lambda run: run.touched),
        "requests_touched_share": mean(lambda run: ratio(run.touched, run.requests), 1.0),
        "copies": mean(lambda run: run.copies),
        "weight_most": mean(lambda run: run.weight_most / WEIGHT_ONE, 1.0),
    }
    if scenario.split.users is not None:
        figures["users_touched"] = mean(lambda run: run.users_touched or 0)
        figures["users_touched_share"] = mean(lambda run: ratio(run.users_touched or 0, run.users or 0), 1.0)
    rules = version_rules(scenario)
    return RolloutForecast(scenario.versions[rules.weights.canary].name, figures, _odds(scenario))


def _share_of_runs(ended_so: Sequence[bool]) -> Figure:
    """Return in how many of the runs it was so, with E. B. Wilson's interval."""
    count = sum(ended_so)
    low, high = share_interval(count, len(ended_so))
    return Figure(count / len(ended_so), low, high, samples=len(ended_so))


def _odds(scenario: Scenario) -> Odds:
    """Return what theory says of the analysis."""
    rules = version_rules(scenario)
    assert rules.rollout is not None
    why = _unlike_theory(rules.rollout, scenario)
    if why:
        return Odds(None, None, None, why)
    rule = rules.rollout
    bad, usual = (rules.error_shares[place] / SHARE_ONE for place in (rules.weights.canary, rules.weights.stable))
    against_stable = rule.limit_against[0] == Against.STABLE_DIFFERENCE
    try:
        analysis = CanaryAnalysis(
            rate_per_s=mean_rate_per_s(scenario),
            weights=tuple(weight / WEIGHT_ONE for weight in rule.step_weight[: rule.step_count]),
            interval_s=rule.interval_ns / 1e9,
            bad_share_most=rule.limit_pass[0] / SHARE_ONE,
            failures_allowed=rule.failure_limit,
            scope=FailureScope(rule.failure_scope).name.lower(),
            count=rule.check_count,
            counted=Counted(rule.counted).name.lower(),
            samples_min=rule.samples_min,
            no_data=NoData(rule.no_data).name.lower(),
            roll_back_delay_s=rule.roll_back_delay_ns / 1e9,
            stable_bad_share=usual if against_stable else None,
        )
        found, alarm = analysis.odds(bad), analysis.odds(usual)
    except ValueError as error:
        return Odds(None, None, None, str(error))
    after_s = found.rolled_back_after_s
    return Odds(found.rolled_back, alarm.rolled_back, after_s if math.isfinite(after_s) else None)


def _unlike_theory(rule: RolloutRule, scenario: Scenario) -> str:
    """Return why the theory of rollouts does not know this one, empty if it does."""
    steps = range(rule.step_count)
    if scenario.traffic.clients is not None:
        return "theory knows no closed loop"
    if not all(rule.step_analysis[step] and rule.step_weight[step] > 0 for step in steps) or not rule.step_count:
        return "theory knows rollouts only whose every step has a weight and an analysis"
    if rule.check_count == 0 or any(rule.step_pause_ns[step] > rule.check_count * rule.interval_ns for step in steps):
        return "theory knows steps only that are over with their checks"
    if rule.initial_delay_ns != rule.interval_ns:
        return "theory knows first checks only after one interval"
    is_plain = rule.no_data_limit == UNSET and rule.no_data_interval_ns == rule.interval_ns
    if rule.no_data == NoData.HOLD and not is_plain and _lacks_samples(rule, scenario) > _NEVER:
        return "theory knows checks without data only that are held an interval each, without end"
    alone = rule.limit_count == 1 and rule.limit_metric[0] == Metric.FAILED
    if not alone or rule.limit_fail[0] != rule.limit_pass[0] or rule.limit_against[0] == Against.STABLE_RATIO:
        return (
            "theory knows a single limit on failed requests only, not as a ratio and with nothing between good and bad"
        )
    if any(rule.step_shadow[step] for step in steps):
        return "theory knows no copies beside a weight"
    return ""


def _lacks_samples(rule: RolloutRule, scenario: Scenario) -> float:
    """Return the chance that a check at the smallest weight has too few samples."""
    from scipy.stats import poisson

    weight = min(rule.step_weight[: rule.step_count]) / WEIGHT_ONE
    samples = mean_rate_per_s(scenario) * weight * rule.interval_ns / 1e9
    return float(poisson.cdf(rule.samples_min - 1, samples))


@dataclass(frozen=True)
class AbTest:
    """How long the test of one version against the stable one must run, at 5 % and with a power of 80 %."""

    version: str
    against: str
    success_rates: tuple[float, float]  # of stable, of the version
    needed: tuple[int, int]  # answers, or users where a user stays, of either
    duration_s: float | None  # None: never, for want of users or of answers
    unit: str  # answers or users

    def to_json(self) -> dict[str, object]:
        """Return the test in the form of the forecast's JSON."""
        return {
            "version": self.version,
            "against": self.against,
            "success_rates": list(self.success_rates),
            "needed": list(self.needed),
            "duration_s": self.duration_s,
            "unit": self.unit,
        }


def ab_tests(scenario: Scenario, answered_per_s: Sequence[float]) -> tuple[AbTest, ...]:
    """Return the tests that the scenario states success rates for; `answered_per_s` are the answers of each version."""
    if not scenario.versions:
        return ()
    stable = version_rules(scenario).weights.stable
    usual = scenario.versions[stable].success_rate
    tests = []
    for place, version in enumerate(scenario.versions):
        if place == stable or usual is None or version.success_rate in (None, usual):
            continue
        assert version.success_rate is not None
        rates = answered_per_s[stable], answered_per_s[place]
        if not all(math.isfinite(rate) and rate > 0 for rate in rates):
            continue
        weight = rates[1] / sum(rates)
        needed = answers_per_arm(usual, version.success_rate, weight_b=weight)
        users = scenario.split.users
        if users is None:
            duration_s: float | None = ab_test_s(sum(rates), usual, version.success_rate, weight_b=weight)
        else:
            duration_s = _until_so_many_users(max(needed[0] / (1 - weight), needed[1] / weight), users, sum(rates))
        names = version.name, scenario.versions[stable].name
        unit = "answers" if users is None else "users"
        tests.append(AbTest(*names, (usual, version.success_rate), needed, duration_s, unit))
    return tuple(tests)


def _until_so_many_users(wanted: float, users: int, rate_per_s: float) -> float | None:
    """Return when the mean number of users who have come reaches `wanted`; each request is any user's alike."""
    return -users / rate_per_s * math.log1p(-wanted / users) if wanted < users else None
