"""Canary analyses and A/B tests, against numbers worked out independently, published ones, and the rule itself."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from policy.rollout import Command, Phase, RolloutRule, RolloutView, command, idle_rollout, step
from policy.rollout_settings import rollout_rule
from policy.versions import WEIGHT_ONE
from sim.outcome.rollout_theory import CanaryAnalysis, ProportionTest, ab_test_s, answers_per_arm

SECOND_NS = 10**9

FLAGGER = CanaryAnalysis(
    rate_per_s=20.0,
    weights=(0.1, 0.2, 0.3, 0.4, 0.5),
    interval_s=60.0,
    bad_share_most=0.01,
    failures_allowed=4,
    roll_back_delay_s=60.0,
)
"""Flagger with interval 60 s, threshold 5, stepWeight 10, maxWeight 50 and a success rate of 99 %, at 20/s."""


def test_check_of_poisson_samples_is_two_independent_poisson_counts() -> None:
    """Thinned, good and bad attempts are independent: 120 at 2 % are 2.4 bad and 117.6 good; 1 bad needs 99 good."""
    fine = 0.0
    for bad in range(40):
        enough_good = stats.poisson.sf(99 * bad - 1, 117.6)
        fine += stats.poisson.pmf(bad, 2.4) * enough_good
    assert FLAGGER.check_odds(0.1, 0.02).good == pytest.approx(fine, abs=1e-9)


def test_check_without_samples_is_what_the_setting_says() -> None:
    """At 0.02/s and 10 % a window of 60 s is empty with probability exp(-0.12)."""
    empty = math.exp(-0.12)
    rare = {"rate_per_s": 0.02, "weights": (0.1,), "interval_s": 60.0, "bad_share_most": 1.0}
    assert CanaryAnalysis(**rare, no_data="fail").check_odds(0.1, 0.5).failed == pytest.approx(empty)
    assert CanaryAnalysis(**rare, no_data="hold").check_odds(0.1, 0.5).held == pytest.approx(empty)
    assert CanaryAnalysis(**rare, no_data="pass").check_odds(0.1, 0.5).good == pytest.approx(1.0)


def analysis(steps: int = 1, **options: Any) -> CanaryAnalysis:
    """Return an analysis with steps of equal weight."""
    settings = {"rate_per_s": 20.0, "weights": (0.1,) * steps, "interval_s": 60.0, "bad_share_most": 0.01}
    return CanaryAnalysis(**{**settings, **options})


@pytest.mark.parametrize(("steps", "allowed"), [(1, 0), (5, 0), (5, 4), (3, 1)])
def test_failures_that_add_up_are_negative_binomial(steps: int, allowed: int) -> None:
    """Promoted with n good checks before k + 1 bad ones: at least n good ones among the first n + k."""
    one = analysis().check_odds(0.1, 0.012)
    promoted = stats.binom.sf(steps - 1, steps + allowed, one.good)
    odds = analysis(steps, failures_allowed=allowed).odds(0.012)
    assert odds.promoted == pytest.approx(promoted, abs=1e-9)
    assert odds.rolled_back == pytest.approx(1.0 - promoted, abs=1e-9)
    assert odds.rolled_back_by[-1] == odds.rolled_back


def test_failures_of_a_fixed_number_of_checks_are_binomial() -> None:
    """Argo: of five measurements two may fail, and five are made."""
    one = analysis().check_odds(0.1, 0.012)
    odds = analysis(count=5, counted="all", failures_allowed=2, scope="step").odds(0.012)
    assert odds.promoted == pytest.approx(stats.binom.cdf(2, 5, one.failed), abs=1e-9)


def test_failures_of_each_step_are_counted_by_themselves() -> None:
    """Two such steps are two independent trials; counted over the rollout the same failures weigh more."""
    one = analysis(count=5, counted="all", failures_allowed=2, scope="step").odds(0.012).promoted
    two = analysis(2, count=5, counted="all", failures_allowed=2, scope="step").odds(0.012).promoted
    together = analysis(2, count=5, counted="all", failures_allowed=2, scope="rollout").odds(0.012).promoted
    assert two == pytest.approx(one**2, abs=1e-9)
    assert together < two


def test_failures_in_a_row_follow_the_law_of_runs() -> None:
    """No two failures in a row among n checks: q_n = p q_(n-1) + f p q_(n-2), by where the last good one is."""
    one = analysis().check_odds(0.1, 0.012)
    no_run = [1.0, 1.0]
    for _ in range(6):
        no_run.append(one.good * no_run[-1] + one.failed * one.good * no_run[-2])
    odds = analysis(count=7, counted="all", failures_allowed=1, scope="consecutive").odds(0.012)
    assert odds.promoted == pytest.approx(no_run[7], abs=1e-9)


def test_healthy_canary_takes_the_attempts_of_its_weights() -> None:
    """Nothing fails: 60 s at each of 10 .. 50 % of 20/s are 1,800 attempts in 300 s, and no false alarm."""
    odds = FLAGGER.odds(0.0)
    assert (odds.duration_s, odds.touched) == (pytest.approx(300.0), pytest.approx(1_800.0))
    assert odds.rolled_back == 0.0
    assert math.isnan(odds.touched_if_rolled_back)


def test_broken_canary_costs_its_checks_and_the_delay() -> None:
    """Everything fails: five checks and the tick after them, 360 s at 10 % of 20/s are 720 attempts."""
    odds = FLAGGER.odds(1.0)
    assert odds.rolled_back == pytest.approx(1.0)
    assert (odds.rolled_back_after_s, odds.touched_if_rolled_back) == (pytest.approx(360.0), pytest.approx(720.0))
    assert odds.weight_if_rolled_back == pytest.approx(0.1)
    assert odds.rolled_back_by == pytest.approx((0.0, 0.0, 0.0, 0.0, 1.0))


def test_more_traffic_finds_more_and_cries_wolf_less() -> None:
    """Power grows with traffic, and false alarms shrink: 2 % and 0.5 % against a limit of 1 %."""
    few, many = analysis(5, failures_allowed=2), analysis(5, failures_allowed=2, rate_per_s=200.0)
    assert few.odds(0.02).rolled_back < many.odds(0.02).rolled_back
    assert few.odds(0.005).rolled_back > many.odds(0.005).rolled_back


def rule_of(theory: CanaryAnalysis) -> RolloutRule:
    """Return the same analysis as a rule."""
    against = "nothing" if theory.stable_bad_share is None else "stable_difference"
    limit: Any = {"metric": "failed", "against": against, "pass_most": round(theory.bad_share_most * 1e6)}
    return rollout_rule(
        steps=[{"weight": round(weight * WEIGHT_ONE), "analysis": True} for weight in theory.weights],
        analysis={
            "limits": [limit],
            "interval_ns": round(theory.interval_s * SECOND_NS),
            "count": theory.count,
            "counted": theory.counted,
            "failure_limit": theory.failures_allowed,
            "failure_scope": theory.scope,
            "samples_min": theory.samples_min,
            "no_data": theory.no_data,
            "roll_back_delay_ns": round(theory.roll_back_delay_s * SECOND_NS),
        },
    )


def play(theory: CanaryAnalysis, bad_share: float, generator: np.random.Generator) -> tuple[bool, float, float, float]:
    """Return whether the rule rolled back under random traffic, after how long, and its attempts and weight."""
    rule = rule_of(theory)
    state, _ = command(rule, idle_rollout(), int(Command.START), 0)
    view, now, highest = RolloutView(0, 0, 0, 0, 0, 0, 1, 1, 1, 1), 0, 0
    state, decision = step(rule, state, view, now)
    while state.phase not in (Phase.PROMOTED, Phase.ROLLED_BACK):
        weight = decision.weight / WEIGHT_ONE
        highest = max(highest, decision.weight)
        passed_s = (decision.ask_again_ns - now) / SECOND_NS
        canary = int(generator.poisson(theory.rate_per_s * weight * passed_s))
        stable = int(generator.poisson(theory.rate_per_s * (1.0 - weight) * passed_s))
        canary_bad = int(generator.binomial(canary, bad_share))
        stable_bad = int(generator.binomial(stable, theory.stable_bad_share or 0.0))
        view = view._replace(
            canary_answered=view.canary_answered + canary - canary_bad,
            canary_failed=view.canary_failed + canary_bad,
            stable_answered=view.stable_answered + stable - stable_bad,
            stable_failed=view.stable_failed + stable_bad,
        )
        now = decision.ask_again_ns
        state, decision = step(rule, state, view, now)
    attempts = view.canary_answered + view.canary_failed
    return state.phase == Phase.ROLLED_BACK, now / SECOND_NS, attempts, highest / WEIGHT_ONE


@pytest.mark.parametrize(
    ("theory", "bad_share"),
    [
        (FLAGGER, 0.01),
        (analysis(2, count=3, counted="all", failures_allowed=1, scope="step"), 0.012),
        (analysis(3, failures_allowed=1, scope="consecutive"), 0.011),
        (analysis(2, rate_per_s=1.0, bad_share_most=0.2, samples_min=30, no_data="hold", failures_allowed=1), 0.2),
        (analysis(2, rate_per_s=0.5, bad_share_most=0.3, no_data="fail", failures_allowed=1), 0.2),
        (analysis(weights=(0.1, 0.4), stable_bad_share=0.02, failures_allowed=1), 0.03),
    ],
    ids=["Flagger", "Argo", "in a row", "held", "no data fails", "against stable"],
)
def test_rule_itself_ends_as_the_theory_says(theory: CanaryAnalysis, bad_share: float) -> None:
    """1,500 rollouts by policy/rollout.py under Poisson traffic, seed 4: each figure within four standard errors."""
    odds = theory.odds(bad_share)
    generator = np.random.default_rng(4)
    runs = np.array([play(theory, bad_share, generator) for _ in range(1_500)], dtype=np.float64)
    rolled_back = runs[runs[:, 0] == 1.0]
    assert 0.05 < odds.rolled_back < 0.95, "a case that could go either way"
    for measured, expected in (
        (runs[:, 0], odds.rolled_back),
        (runs[:, 1], odds.duration_s),
        (runs[:, 2], odds.touched),
        (rolled_back[:, 1], odds.rolled_back_after_s),
        (rolled_back[:, 2], odds.touched_if_rolled_back),
        (rolled_back[:, 3], odds.weight_if_rolled_back),
    ):
        error = float(measured.std()) / len(measured) ** 0.5
        assert float(measured.mean()) == pytest.approx(expected, abs=4 * error + 1e-9)


def test_rollout_that_hardly_ever_ends_is_refused() -> None:
    """Held for want of samples that come once in months, it has no mean duration worth the name."""
    with pytest.raises(ValueError, match="hardly ever ends"):
        analysis(rate_per_s=1e-6, samples_min=2, no_data="hold").odds(0.1)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"rate_per_s": 0.0}, "needs traffic"),
        ({"weights": ()}, "needs traffic"),
        ({"weights": (0.5, 1.5)}, "needs traffic"),
        ({"weights": (1.0,), "stable_bad_share": 0.1}, "no stable version"),
        ({"stable_bad_share": 0.1, "samples_min": 1_081}, "too few attempts"),
    ],
)
def test_analysis_that_cannot_be_is_refused(options: dict[str, Any], sentence: str) -> None:
    """What has no answer raises."""
    with pytest.raises(ValueError, match=sentence):
        analysis(**options)


def test_two_proportions_have_their_textbook_test() -> None:
    """The Physicians' Health Study: 189 of 11,034 and 104 of 11,037 heart attacks; chi-squared is 25.01.

    A. Agresti, An Introduction to Categorical Data Analysis, 2nd ed. 2007, section 2.2 and 2.4: difference .0077,
    95 % interval .005 to .011.
    """
    test = ProportionTest(104, 11_037, 189, 11_034)
    assert test.z**2 == pytest.approx(25.01, abs=0.005)
    assert test.difference == pytest.approx(0.0077, abs=5e-5)
    assert test.interval() == (pytest.approx(0.005, abs=5e-4), pytest.approx(0.011, abs=5e-4))
    assert test.p_value == pytest.approx(stats.chi2.sf(test.z**2, 1))
    assert not test.exact


def test_few_answers_are_tested_exactly() -> None:
    """Fisher's lady tastes tea: 3 of 4 right gives p = .486 both ways, where the normal law would say .157."""
    test = ProportionTest(3, 4, 1, 4)
    assert test.exact
    assert test.p_value == pytest.approx(17 / 35)


def test_interval_of_a_difference_is_newcombes() -> None:
    """His first example, 56 of 70 against 48 of 80, has .0524 to .3339 by method 10."""
    low, high = ProportionTest(48, 80, 56, 70).interval()
    assert (low, high) == (pytest.approx(0.0524, abs=5e-5), pytest.approx(0.3339, abs=5e-5))


def test_arms_without_a_difference_in_any_answer_have_none() -> None:
    """All failed in both: z is 0 and p is 1, not a division by zero."""
    test = ProportionTest(0, 50, 0, 60)
    assert (test.z, test.p_value) == (0.0, pytest.approx(1.0))


@pytest.mark.parametrize("arms", [(1, 0, 1, 2), (3, 2, 1, 2), (-1, 2, 1, 2)])
def test_arm_without_answers_is_refused(arms: tuple[int, int, int, int]) -> None:
    """Successes are some of the answers, and answers there must be."""
    with pytest.raises(ValueError, match="Each arm needs answers"):
        ProportionTest(*arms)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"share_a": 0.5, "share_b": 0.6}, (388, 388)),  # the example of many textbooks and calculators
        ({"share_a": 0.25, "share_b": 0.4, "power": 0.9}, (203, 203)),
        ({"share_a": 0.4, "share_b": 0.25, "power": 0.9}, (203, 203)),
    ],
)
def test_test_needs_its_known_number_of_answers(options: dict[str, float], expected: tuple[int, int]) -> None:
    """Without the continuity correction."""
    assert answers_per_arm(**options) == expected


@pytest.mark.parametrize("weight_b", [0.5, 0.2])
def test_needed_answers_give_the_power_that_was_asked(weight_b: float) -> None:
    """4,000 tests of that size, seed 9: 80 % see 10 % against 14 %, 5 % see a difference where there is none."""
    generator = np.random.default_rng(9)
    of_a, of_b = answers_per_arm(0.10, 0.14, weight_b=weight_b)
    assert of_b / (of_a + of_b) == pytest.approx(weight_b, abs=1e-3)
    for share_b, expected in ((0.14, 0.8), (0.10, 0.05)):
        a = generator.binomial(of_a, 0.10, 4_000)
        b = generator.binomial(of_b, share_b, 4_000)
        tests = [ProportionTest(int(one), of_a, int(two), of_b) for one, two in zip(a, b, strict=True)]
        found = sum(abs(test.z) > 1.96 for test in tests) / 4_000
        assert found == pytest.approx(expected, abs=4 * (expected * (1 - expected) / 4_000) ** 0.5 + 0.005)


def test_ab_test_runs_until_both_arms_have_their_answers() -> None:
    """388 answers of each at 10/s and halves take 77.6 s; at 10 % for b it takes b's share of traffic to fill up."""
    assert ab_test_s(10.0, 0.5, 0.6) == pytest.approx(77.6)
    of_a, of_b = answers_per_arm(0.5, 0.6, weight_b=0.1)
    assert ab_test_s(10.0, 0.5, 0.6, weight_b=0.1) == pytest.approx(max(of_a / 0.9, of_b / 0.1) / 10.0)
    assert of_a + of_b > 2 * 388, "an uneven split needs more in all"


@pytest.mark.parametrize(("options", "sentence"), [({"share_b": 0.5}, "must differ"), ({"weight_b": 1.0}, "Both arms")])
def test_question_without_an_answer_is_refused(options: dict[str, float], sentence: str) -> None:
    """Equal shares are never told apart, and one arm is no test."""
    with pytest.raises(ValueError, match=sentence):
        answers_per_arm(**{"share_a": 0.5, "share_b": 0.6, **options})
