"""Forecasts of versions, rollouts and A/B tests, against what must be so."""

from __future__ import annotations

import json
import math

import pytest

from sim.forecast.forecast import Forecast, forecast
from sim.forecast.rollout_forecast import ab_tests
from sim.outcome.rollout_theory import ab_test_s, answers_per_arm
from sim.report.tables import as_text, forecast_report
from tests.sim.scenario.example import scenario

CANARY = (
    "versions=[{name: v1, error_rate: 0.2%}, {name: v2, role: canary, error_rate: 6%}]",
    "rollout={steps: [{weight: 10%, analysis: true}, {weight: 40%, analysis: true}]}",
    "rollout.analysis={interval: 2s, count: 2, failure_limit: 1, limits: [{metric: failed, pass_most: 2%}]}",
    "horizon={duration: 15s, warm_up: 0s, runs: 30}",
    "traffic.arrivals.rate=300/s",
)


@pytest.fixture(scope="module")
def canary() -> Forecast:
    """Return the forecast of a canary that fails 6 % of its requests."""
    return forecast(scenario(*CANARY, "split.users=500"), workers=1)


def test_rollback_is_as_likely_and_as_quick_as_theory_says(canary: Forecast) -> None:
    """Without queues to speak of and with instant passes, runs show what the Markov chain of checks does."""
    rollout = canary.rollout
    assert rollout is not None
    assert rollout.canary == "v2"
    assert rollout.odds.power is not None
    back = rollout["rolled_back_share"]
    assert back.low is not None
    assert back.high is not None
    assert back.low <= rollout.odds.power <= back.high
    duration, after_s = rollout["duration_s"], rollout.odds.found_after_s
    assert duration.low is not None
    assert duration.high is not None
    assert after_s is not None
    assert duration.low <= after_s <= duration.high
    assert rollout.odds.false_alarm is not None
    assert rollout.odds.false_alarm < 0.05


def test_healthy_canary_is_promoted() -> None:
    """As good as stable, and the odds of a false alarm are the same as those of being found bad."""
    answer = forecast(scenario(*CANARY, "versions.1.error_rate=0.2%"), workers=1)
    assert answer.rollout is not None
    assert answer.rollout["promoted_share"].value == 1.0
    assert answer.rollout["duration_s"].value == pytest.approx(8.0, abs=0.5)
    assert answer.rollout.odds.power == answer.rollout.odds.false_alarm


def test_users_who_stay_are_fewer_than_their_requests(canary: Forecast) -> None:
    """Touched users are about the weight reached, as a share of those who came."""
    rollout = canary.rollout
    assert rollout is not None
    users, requests = rollout["users_touched"].value, rollout["requests_touched"].value
    weight, share = rollout["weight_most"].value, rollout["users_touched_share"].value
    assert users is not None
    assert requests is not None
    assert weight is not None
    assert share is not None
    assert users < requests
    assert share == pytest.approx(weight, rel=0.25)


def test_figures_of_versions_add_up(canary: Forecast) -> None:
    """Shares of the requests to one, answers to all answers."""
    shares = [version["request_share"].value for version in canary.versions]
    rates = [version["throughput_per_s"].value for version in canary.versions]
    assert math.fsum(share or 0.0 for share in shares) == pytest.approx(1.0)
    assert math.fsum(rate or 0.0 for rate in rates) == pytest.approx(canary["throughput_per_s"].value)


def test_windows_show_the_weight_over_time(canary: Forecast) -> None:
    """Nothing before the first replica of v2 takes any, a tenth in the first step, nothing behind the rollback."""
    shares = [window.versions["v2"]["request_share"].value for window in canary.timeline]
    assert shares[-1] == 0.0
    assert max(share or 0.0 for share in shares) > 0.08
    content = canary.timeline[0].to_json()
    assert set(content["versions"]) == {"v1", "v2"}  # type: ignore[call-overload]
    whole = [window.figures["requests_per_s"].value for window in canary.timeline]
    parts = [
        sum(window.versions[name]["requests_per_s"].value or 0.0 for name in ("v1", "v2")) for window in canary.timeline
    ]
    assert parts == pytest.approx(whole)


def test_failures_of_a_version_are_failures_of_the_whole(canary: Forecast) -> None:
    """In their shares of the requests."""
    parts = [(version["request_share"].value, version["failed_share"].value) for version in canary.versions]
    whole = canary["failed_share"].value
    assert whole is not None
    assert 0.002 < whole < 0.02
    assert math.fsum((share or 0.0) * (failed or 0.0) for share, failed in parts) == pytest.approx(whole, rel=0.05)


def test_json_and_text_hold_them(canary: Forecast) -> None:
    """Every part under its name, plain values only, and the answer in words."""
    content = json.loads(json.dumps(canary.to_json(), allow_nan=False))
    assert set(content["versions"]) == {"v1", "v2"}
    assert content["versions"]["v2"]["latency_ms"]["p50"]["value"] > 8
    assert content["rollout"]["rolled_back_share"]["value"] == canary.rollout["rolled_back_share"].value  # type: ignore[index]
    text = as_text(forecast_report(canary), width=200)
    assert "v2 is rolled back in" in text
    assert "The analysis by itself finds this error rate with a chance of" in text


def test_plain_scenario_says_nothing_of_versions() -> None:
    """No empty tables."""
    answer = forecast(scenario("horizon={duration: 5s, warm_up: 1s, runs: 3}"), workers=1)
    assert (answer.versions, answer.rollout, answer.ab_tests) == ((), None, ())
    assert "version" not in as_text(forecast_report(answer))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("rollout.steps=[{weight: 10%, pause: 5s}]", "theory knows rollouts only whose every step has a weight"),
        ("rollout.steps.0.pause=30s", "theory knows steps only that are over with their checks"),
        ("rollout.steps.0.copies=10%", "theory knows no copies beside a weight"),
        ("rollout.analysis.initial_delay=1s", "theory knows first checks only after one interval"),
        ("rollout.analysis.limits.0.against=stable_ratio", "theory knows a single limit on failed requests only"),
    ],
)
def test_odds_say_what_theory_does_not_know(change: str, why: str) -> None:
    """No figure is made up; the runs speak all the same."""
    answer = forecast(scenario(*CANARY, change, "horizon={duration: 6s, warm_up: 0s, runs: 2}"), workers=1)
    assert answer.rollout is not None
    assert answer.rollout.odds.power is None
    assert answer.rollout.odds.why.startswith(why)


AB = "versions=[{name: a, success_rate: 3%}, {name: b, weight: 25%, success_rate: 4%}]"


def test_ab_test_runs_until_theory_has_enough_answers() -> None:
    """By the answers of each version; a quarter of them is b's."""
    (test,) = ab_tests(scenario(AB), [75.0, 25.0])
    assert test.needed == answers_per_arm(0.03, 0.04, weight_b=0.25)
    assert test.duration_s == pytest.approx(ab_test_s(100.0, 0.03, 0.04, weight_b=0.25))
    assert test.unit == "answers"


def test_users_who_come_again_count_once() -> None:
    """So the test takes longer than its answers would, and with too few users for ever."""
    needed = sum(answers_per_arm(0.03, 0.04, weight_b=0.25))
    (many,) = ab_tests(scenario(AB, f"split.users={2 * needed}"), [75.0, 25.0])
    (few,) = ab_tests(scenario(AB, f"split.users={needed // 2}"), [75.0, 25.0])
    assert many.unit == "users"
    assert many.duration_s is not None
    assert many.duration_s == pytest.approx(-2 * needed / 100 * math.log(0.5), rel=0.01)
    assert few.duration_s is None


def test_no_test_without_two_different_rates() -> None:
    """Or without answers of both."""
    assert ab_tests(scenario(AB, "versions.1.success_rate=3%"), [75.0, 25.0]) == ()
    assert ab_tests(scenario("versions=[{name: a}, {name: b, success_rate: 4%}]"), [75.0, 25.0]) == ()
    assert ab_tests(scenario(AB), [75.0, 0.0]) == ()
    assert ab_tests(scenario(), []) == ()
