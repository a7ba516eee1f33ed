"""Goals that are met with confidence: what the interval's end says, and what first runs say of all of them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.forecast.estimates import Figure, exact, mean_of_runs
from sim.forecast.intervals import Bounds, PredictionBounds
from sim.planner.verdicts import (
    Prospect,
    Share,
    is_met,
    lower_end,
    prospect,
    times_needed,
    times_to_clear,
    upper_end,
    why_unknown,
    worst_goal,
    worst_of,
)

P99 = "latency_ms.p99"


def unseen(high: float) -> Figure:
    """Return a share of which nothing was seen."""
    bounds = Bounds(0.0, high)
    return Figure(0.0, 0.0, high, bounds, bounds, PredictionBounds(0.0, high, "none seen", 5), 1000)


@given(st.lists(st.floats(10.0, 200.0), min_size=2, max_size=30))
def test_end_at_97_5_percent_is_that_of_the_forecast(runs: list[float]) -> None:
    """The two-sided 95 % interval of a forecast leaves 2.5 % on either side; other levels are Student's t apart."""
    figure = mean_of_runs(runs)
    assert figure.high is not None
    assert figure.low is not None
    assert upper_end(figure, 0.975) == pytest.approx(figure.high)
    assert lower_end(figure, 0.975) == pytest.approx(figure.low, abs=1e-9)
    assert upper_end(figure, 0.9) <= upper_end(figure, 0.95) <= upper_end(figure, 0.99)


def test_calibration_is_part_of_the_end() -> None:
    """Sampling and calibration add in squares, at 97.5 % to the forecast's own end."""
    figure = mean_of_runs([10.0, 11.0, 12.0], [11.0, 13.0, 12.5])
    assert figure.high is not None
    assert upper_end(figure, 0.975) == pytest.approx(figure.high)


def test_share_of_which_nothing_was_seen_has_the_end_of_its_cases() -> None:
    """The rule of three, at other levels ln(1 / (1 - level)) / n."""
    figure = unseen(1 - 0.05 ** (1 / 1000))
    assert upper_end(figure, 0.95) == pytest.approx(0.003, rel=0.01)
    assert upper_end(figure, 0.99) == pytest.approx(-math.log(0.01) / 1000, rel=0.01)


@pytest.mark.parametrize(
    ("runs", "verdict"),
    [
        ([150.0, 151.0, 152.0], Prospect.MISSED),
        ([50.0, 51.0, 52.0], Prospect.MET),
        ([95.0, 103.0, 99.0], Prospect.OPEN),
    ],
)
def test_few_runs_decide_only_what_they_can(runs: list[float], verdict: Prospect) -> None:
    """Far beyond the limit of 100 and far within are settled after three runs of twenty; near it are not."""
    assert prospect({P99: mean_of_runs(runs)}, {P99: 100.0}, 0.95, made=3, runs=20) == verdict


def test_all_runs_decide_or_say_that_they_do_not_tell() -> None:
    """With the last run a figure beyond its limit is missed; one within it that may lie beyond asks for more runs."""
    near, over = mean_of_runs([95.0, 103.0, 99.0]), mean_of_runs([97.0, 105.0, 101.0])
    assert prospect({P99: near}, {P99: 100.0}, 0.95, made=3, runs=3) == Prospect.UNKNOWN
    assert prospect({P99: near}, {P99: 100.0}, 0.55, made=3, runs=3) == Prospect.MET
    assert prospect({P99: over}, {P99: 100.0}, 0.95, made=3, runs=3) == Prospect.MISSED


def test_runs_that_would_show_a_goal_to_be_met_are_counted() -> None:
    """An end 4 above the mean with 10 runs is 1 above it with some 130; beyond the limit, or shown, none would help."""
    runs = [99.0 + 7.0 * side for side in (-1.0, 1.0)] * 5
    times = times_to_clear({P99: mean_of_runs(runs)}, P99, 100.0, 0.95, 10)
    assert times is not None
    assert 12.0 < times < 20.0
    said = why_unknown({P99: mean_of_runs(runs)}, P99, 100.0, 0.95, made=10)
    assert said.startswith("p99 seems to be within its goal, and 10 runs do not show it; more (--runs 1")
    assert times_to_clear({P99: mean_of_runs(runs)}, P99, 110.0, 0.95, 10) is None
    assert times_to_clear({P99: mean_of_runs(runs)}, P99, 98.0, 0.95, 10) is None


def test_one_goal_that_is_missed_is_enough() -> None:
    """Whatever the others say."""
    figures = {P99: mean_of_runs([50.0, 50.0, 51.0]), "refused_share": mean_of_runs([0.2, 0.21, 0.2])}
    assert prospect(figures, {P99: 100.0, "refused_share": 0.01}, 0.95, made=3, runs=20) == Prospect.MISSED
    assert worst_goal(figures, {P99: 100.0, "refused_share": 0.01}, 0.95)[0] == "refused_share"


def test_share_too_small_for_all_runs_together_cannot_be_judged() -> None:
    """Nothing seen in 3 runs worth 300 cases: in 30 runs it is below 0.1 % for sure, and below 0.01 % it cannot be."""
    figures = {"refused_share": unseen(0.01)}
    assert prospect(figures, {"refused_share": 0.0011}, 0.95, made=3, runs=30) == Prospect.MET
    assert prospect(figures, {"refused_share": 0.0001}, 0.95, made=3, runs=30) == Prospect.UNKNOWN
    assert prospect({"refused_share": exact(0.0)}, {"refused_share": 0.0}, 0.95, made=3, runs=30) == Prospect.MET


def test_quantile_without_an_interval_is_judged_by_the_share_beyond_its_goal() -> None:
    """p99 is within its limit where no more than 1 % of the answers are slower; without that share nothing is known."""
    unknown = Figure(None, why="too few", effective_samples=500.0)
    for share, verdict in ((0.002, Prospect.MET), (0.05, Prospect.MISSED)):
        beyond = mean_of_runs([share, 1.1 * share, 0.9 * share])
        figures = {P99: unknown, "beyond_goal.p99_share": beyond}
        assert prospect(figures, {P99: 100.0}, 0.95, made=3, runs=10) == verdict
        assert is_met(figures, {P99: 100.0}, 0.95) == (verdict == Prospect.MET)
    assert prospect({P99: unknown}, {P99: 100.0}, 0.95, made=3, runs=10) == Prospect.UNKNOWN
    assert not is_met({P99: unknown}, {P99: 100.0}, 0.95)


def test_runs_that_do_not_tell_say_how_many_would() -> None:
    """10 runs worth 500 requests each show 5 answers beyond p99.9, and 20 are needed: four times as many runs."""
    p999, unknown = "latency_ms.p999", Figure(None, why="too few", effective_samples=500.0)
    assert times_needed({p999: unknown}, p999, 100.0, 0.95, 10) == pytest.approx(4.0)
    told = why_unknown({p999: unknown}, p999, 100.0, 0.95, made=10, longer="a longer trace")
    assert told == (
        "p99.9 is not known: 10 runs show 5.0 independent answers beyond it, and 20 are needed; more runs (--runs 40), "
        "a longer trace or a less extreme percentile would tell"
    )


def test_share_of_which_nothing_is_seen_needs_as_many_more_runs_as_its_end_is_above_the_limit() -> None:
    """Below 1 % for sure, and 0.5 % is wanted: twice as many runs. What is within, or seen, needs none; 0 %, no end."""
    figures = {"refused_share": unseen(0.01)}
    assert times_needed(figures, "refused_share", 0.005, 0.95, 10) == pytest.approx(2.0, rel=0.01)
    assert times_needed(figures, "refused_share", 0.02, 0.95, 10) is None
    assert times_needed({"refused_share": mean_of_runs([0.1, 0.2])}, "refused_share", 0.01, 0.95, 2) is None
    assert times_needed(figures, "refused_share", 0.0, 0.95, 10) == math.inf
    told = why_unknown(figures, "refused_share", 0.005, 0.95, made=10)
    assert told.endswith("though none is seen; more runs (--runs 21) or longer ones (horizon.duration) would tell")


def test_goal_of_which_none_may_be_is_shown_by_no_number_of_runs() -> None:
    """0 % of an unseen share: longer runs are no way out, a small share is."""
    told = why_unknown({"timed_out_share": unseen(0.01)}, "timed_out_share", 0.0, 0.95, made=10)
    assert told == ("no number of runs shows that none is ever timed out: allow a small share, as in timed_out=0.01%")


@pytest.mark.parametrize(
    ("refused", "p99", "worst"),
    [
        (Share(0.0, 0.0, 5.0), Share(1.1, 1.2, 1.3), P99),  # its end says how few the runs are, not that it is beyond
        (Share(1.0, 1.5, 2.0), Share(1.1, 1.2, 3.0), "refused_share"),  # both are beyond: by their values
        (Share(0.0, 0.0, 0.5), Share(0.1, 0.2, 0.3), P99),  # within: the one of which something is seen
        (Share(0.0, 0.0, 1.5), Share(0.1, 0.2, 0.3), "refused_share"),  # it alone is not met
        (Share(0.0, 0.0, 0.5), Share(0.0, 0.0, 0.3), "refused_share"),  # nothing is seen of either
        (Share(math.nan, math.nan, math.nan), Share(0.0, 0.0, 0.3), P99),
    ],
)
def test_share_of_which_nothing_is_seen_is_no_limit_that_binds(refused: Share, p99: Share, worst: str) -> None:
    """By the upper end alone, refused would be the worst in all but the last."""
    assert worst_of({"refused_share": refused, P99: p99}) == worst
