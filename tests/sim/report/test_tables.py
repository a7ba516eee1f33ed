"""Reports as text: the answer first, units on every number, no more digits than they are worth."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sim.forecast.estimates import METRICS, Figure, exact
from sim.forecast.forecast import Forecast
from sim.forecast.goals import GoalResult
from sim.forecast.intervals import Bounds, PredictionBounds
from sim.forecast.latency_curve import LatencyCurve
from sim.report.load_words import load_in_words
from sim.report.tables import answer_of, as_text, figures_table, forecast_report, goal_in_words
from sim.report.units import quantity
from sim.scenario.load import load_scenario
from tests.sim.scenario.example import scenario, trace

LASTS = {"duration_s": 60.0, "runs": 10}


def figure_of(value: float, half: float) -> Figure:
    """Return a figure with its intervals: confidence +- half, prediction +- twice that."""
    bounds = Bounds(value - half, value + half)
    one_run = PredictionBounds(value - 2 * half, value + 2 * half, "normal", 10)
    return Figure(value, bounds.low, bounds.high, bounds, bounds, one_run, samples=1000)


def forecast_of(**changes: Figure) -> Forecast:
    """Return a forecast made by hand: p50 12.3 ms, p99 45.6 ms, 1.5 % refused."""
    figures = {name: figure_of(10.0, 1.0) for name in METRICS}
    figures |= {"latency_ms.p50": figure_of(12.34, 0.05), "latency_ms.p99": figure_of(45.6, 2.0)}
    figures |= {"refused_share": figure_of(0.015, 0.002), "cost": exact(0.5), "timed_out_share": exact(0.0)}
    nothing = np.empty(0)
    return Forecast(
        name="shop",
        figures=figures | {name.replace("__", "."): figure for name, figure in changes.items()},
        goals=[
            GoalResult("p99", "latency_ms.p99", 50.0, 45.6, 43.6, 47.6),
            GoalResult("refused", "refused_share", 0.001, 0.015, 0.013, 0.017),
            GoalResult("p999", "latency_ms.p999", 10.0, 9.5, 8.0, 11.0),
        ],
        timeline=[],
        breakdown_ms={"retry": 0.0, "queue": 2.5, "batch_wait": 2.5, "pass": 5.0},
        latency_curve=LatencyCurve(nothing, nothing, nothing, nothing),
        provenance=LASTS,
        currency="EUR",
    )


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("latency_ms.p50", 12.345, "12.3 ms"),
        ("latency_ms.p50", 22.0, "22.0 ms"),
        ("latency_ms.p99", 12345.6, "12 346 ms"),
        ("latency_ms.p99", 400.4, "400 ms"),
        ("latency_ms.p99", 999.7, "1000 ms"),
        ("server_latency_ms.p50", 0.0456, "0.0456 ms"),
        ("refused_share", 0.0, "0 %"),
        ("refused_share", 0.0123, "1.23 %"),
        ("refused_share", 3e-8, "3e-06 %"),
        ("throughput_per_s", 401.4, "401/s"),
        ("batch_size_mean", 4.444, "4.44"),
    ],
)
def test_quantity_has_its_unit_and_three_digits(name: str, value: float, words: str) -> None:
    """The unit follows from the name of the figure; shares are per cent."""
    assert quantity(name, value) == words


def test_answer_is_one_sentence_with_intervals() -> None:
    """The first line says p50, p99 and refusals, each with its confidence interval."""
    said = answer_of(forecast_of())
    assert (
        said == "shop: p50 12.3 ms [12.3 .. 12.4 ms], p99 45.6 ms [43.6 .. 47.6 ms], refused 1.50 % [1.30 .. 1.70 %]."
    )


def test_answer_says_what_is_not_known() -> None:
    """A quantile that the runs do not support is no number in the answer."""
    unknown = Figure(None, why="a run is worth 10 requests")
    assert "p99 not known," in answer_of(forecast_of(latency_ms__p99=unknown))


def test_rarer_quantile_that_is_known_is_explained() -> None:
    """A p95 that is empty beside a p99 would look like a mistake; one with nothing beyond it says nothing of it."""
    missing = Figure(None, why="a run is worth 10 requests")
    text = as_text(figures_table(forecast_of(latency_ms__p95=missing, latency_ms__p999=missing)), 160)
    assert "No p95 latency: a run is worth 10 requests. p99 is known all the same: what lies beyond it comes" in text
    assert "No p99.9 latency: a run is worth 10 requests.\n" in text


def test_table_gives_the_reason_of_a_missing_figure() -> None:
    """A figure without a value shows a dash, and below the table why."""
    text = as_text(figures_table(forecast_of(latency_ms__p99=Figure(None, why="a run is worth 10 requests"))))
    assert "No p99 latency: a run is worth 10 requests." in text
    row = next(line for line in text.splitlines() if line.startswith("p99 latency"))
    assert row.split() == ["p99", "latency", "-"]


def test_interval_gets_a_digit_more_where_both_ends_would_look_the_same() -> None:
    """12.31 .. 12.34 is not written as 12.3 .. 12.3."""
    text = as_text(figures_table(forecast_of(latency_ms__p90=figure_of(12.326, 0.015))))
    assert "12.33 ms" in text
    assert "12.31 .. 12.34 ms" in text


def test_figure_that_the_scenario_fixes_has_no_interval() -> None:
    """What cannot vary shows its value alone; the cost carries its currency, a share of 0 why nothing can happen."""
    lines = as_text(figures_table(forecast_of())).splitlines()
    assert next(line for line in lines if line.startswith("cost")).split() == ["cost", "of", "1", "min", "0.500", "EUR"]
    timed_out = next(line for line in lines if line.startswith("timed out"))
    assert timed_out.split()[-4:] == ["0", "%", "no", "queue.deadline"]


@pytest.mark.parametrize(("abandoned", "is_said"), [(0.001, True), (0.0, False)])
def test_timeout_of_the_client_is_not_taken_for_a_deadline(abandoned: float, is_said: bool) -> None:
    """A scenario with a timeout and a row that says there is no deadline would seem to contradict each other."""
    may_be = exact(0.0) if abandoned == 0.0 else figure_of(abandoned, 0.0005)
    text = as_text(figures_table(forecast_of(timed_out_share=exact(0.0), abandoned_share=may_be)), 200)
    words = (
        "The server has no deadline of its own (queue.deadline): requests that their client gives up (traffic.timeout)"
    )
    assert (words in text) == is_said
    with_deadline = forecast_of(timed_out_share=figure_of(0.001, 0.0005), abandoned_share=may_be)
    assert words not in as_text(figures_table(with_deadline), 200)


def test_share_of_which_none_was_seen_has_an_upper_end() -> None:
    """That it did not happen does not say that it cannot."""
    bounds, one_run = Bounds(0.0, 0.0003), PredictionBounds(0.0, 0.0003, "none seen", 10)
    unseen = Figure(0.0, 0.0, 0.0003, bounds, bounds, one_run, 1000)
    lines = as_text(figures_table(forecast_of(timed_out_share=unseen))).splitlines()
    assert "0 .. 0.0300 %" in next(line for line in lines if line.startswith("timed out"))


def test_fleet_that_changes_says_which_replicas_count() -> None:
    """Device busy is of those that are ready, and starting ones are paid for; of a fixed fleet they are the same."""
    changes = as_text(figures_table(forecast_of(replicas__mean=figure_of(3.5, 0.1))), width=200)
    assert "Device busy is of the replicas that are ready; replicas and their hours count starting" in changes
    assert "Device busy is of" not in as_text(figures_table(forecast_of(replicas__mean=exact(3.0))))


def test_report_has_answer_figures_parts_and_goals_in_this_order() -> None:
    """What one asked for stands first; parts of the time that are nothing are left out."""
    text = as_text(forecast_report(forecast_of()))
    order = [text.index(words) for words in ("shop: p50", "95 % confidence", "where the time goes", "goal p99 at most")]
    assert order == sorted(order)
    assert "retry" not in text
    row = next(line for line in text.splitlines() if line.startswith("waiting for a device"))
    assert row.split()[4:8] == ["2.50", "ms", "25.0", "%"]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ([], "Load: 450/s, 67.5 % of the saturation of 667/s (full batches)."),
        (["fleet={replicas: 3, spare: 1}"], "Load: 450/s, 33.8 % of the saturation of 1333/s (full batches)."),
        (["front_end.request=2ms"], "Load: 450/s, 90.0 % of the saturation of 500/s (the front end is full)."),
        (
            ["traffic.arrivals={process: steps, steps: [{rate: 100/s, duration: 40s}, {rate: 400/s, duration: 20s}]}"],
            "Load: 200/s, and 400/s in the busiest 5 s: 30.0 % and 60.0 % of the saturation of 667/s (full batches).",
        ),
        (
            ["traffic.arrivals={process: steps, steps: [{rate: 100/s, duration: 2min}, {rate: 400/s, duration: 9s}]}"],
            "Load: 100/s, 15.0 % of the saturation of 667/s (full batches).",  # a run of a minute meets the first alone
        ),
        (["fleet.autoscaler={preset: kubernetes_hpa, target: 80%, max_replicas: 3}"], "Load: 450/s."),
        (
            ["traffic.arrivals={process: mmpp, rates: [200/s, 800/s], dwells: [30s, 10s]}"],
            "Load: 350/s, and 800/s in its densest state: 52.5 % and 120 % of the saturation of 667/s (full batches).",
        ),
        (
            ["versions=[{name: a}, {name: b, weight: 25%}]"],
            "Load: 450/s over all versions, 50.6 % of the saturation of 889/s (full batches, of a, which is full "
            "first).",
        ),
        (
            ["versions=[{name: a}, {name: b, weight: 25%, fleet: {replicas: 1}, model: {pass_time: {base: 40ms}}}]"],
            "Load: 450/s over all versions, 56.2 % of the saturation of 800/s (full batches, of b, which is full "
            "first).",
        ),
        (["versions=[{name: a, model: {pass_time: {base: 16ms}}}]"], "Load: 450/s, 90.0 % of the saturation of 500/s"),
        (
            [
                "versions=[{name: a}, {name: b, role: canary}]",
                "rollout={start: 5s, steps: [{weight: 10%, pause: 10s}]}",
            ],
            "Load: 450/s over all versions.",
        ),
        (
            [
                "versions=[{name: a}, {name: b, weight: 10%}]",
                "fleet.autoscaler={preset: kubernetes_hpa, target: 80%, max_replicas: 3}",
            ],
            "Load: 450/s over all versions.",
        ),
        (
            [
                "versions=[{name: a}, {name: b, weight: 50%}]",
                "traffic.arrivals={process: spike, rate: 100/s, peak_rate: 400/s, at: 20s, duration: 20s}",
            ],
            "Load: 200/s, and 400/s in the busiest 5 s, over all versions: 15.0 % and 30.0 % of the saturation of ",
        ),
        (["traffic={clients: {count: 5}}"], None),
    ],
)
def test_load_stands_beside_the_saturation(overrides: list[str], words: str | None) -> None:
    """A pass of 8 takes 12 ms; device busy would be near 100 % at this load, with batches of 4."""
    content = {
        "traffic": {"arrivals": {"process": "poisson", "rate": "450/s"}},
        "model": {"pass_time": {"base": "8ms", "per_item": "0.5ms"}},
        "batching": {"max_batch": 8},
    }
    scenario = load_scenario(content, overrides)
    said = load_in_words(scenario)
    assert said is words if said is None or words is None else said.startswith(words)
    text = as_text(figures_table(forecast_of(), scenario), 160)
    assert words in text if words else "Load:" not in text


def test_busiest_time_of_a_trace_is_said_of_its_load(tmp_path: Path) -> None:
    """A mean of 10/s says little of the five seconds with 40/s."""
    times = [*np.arange(0.0, 40.0, 1 / 5), *np.arange(20.0, 25.0, 1 / 40)]
    (tmp_path / "trace.csv").write_text("timestamp\n" + "\n".join(map(str, sorted(times))), encoding="utf-8")
    content = {
        "traffic": {"arrivals": {"process": "trace", "file": str(tmp_path / "trace.csv")}},
        "model": {"pass_time": {"base": "10ms"}},
        "batching": {"max_batch": 1},
    }
    words = load_in_words(load_scenario(content))
    assert words is not None
    assert words.startswith("Load: 10.0/s, and 44.8/s in the busiest 5 s: 10.0 % and 44.8 % of the saturation of 100/s")


def test_recorded_arrivals_are_said_beside_the_intervals() -> None:
    """Every run of a trace meets the same arrivals: its narrow intervals promise nothing for another day."""
    recorded = replace(forecast_of(), provenance={**LASTS, "intervals_over": ["dice"]})
    drawn = replace(forecast_of(), provenance={**LASTS, "intervals_over": ["arrivals", "dice"]})
    assert "the intervals hold for this trace" in as_text(figures_table(recorded))
    assert "the intervals hold for this trace" not in as_text(figures_table(drawn))


def test_what_becomes_of_a_trace_is_said_with_its_scenario() -> None:
    """That it is multiplied, and that a rate moves it in time."""
    stated = scenario(trace("timestamps_seconds.csv", ", rate: 100/s, scale: 2, repeat: true"))
    text = as_text(figures_table(forecast_of(), stated), 300)
    assert "follow the recorded course over time in every run, with 2 times the requests" in text
    assert "traffic.arrivals.rate stretches a trace in time" in text


@pytest.mark.parametrize(("others", "is_said"), [((5.0, 5.0), True), ((5.0, 5.1), False)])
def test_runs_that_are_all_the_same_are_said_to_be(others: tuple[float, float], is_said: bool) -> None:
    """A trace and constant times: nothing is left to chance, and no interval means anything."""
    forecast = replace(forecast_of(), provenance={**LASTS, "runs": 2})
    runs = {"latency_ms.mean": others, "refused_share": (0.0, 0.0)}
    figures = {name: replace(figure, runs=runs.get(name, ())) for name, figure in forecast.figures.items()}
    text = as_text(figures_table(replace(forecast, figures=figures)))
    assert ("nothing in this scenario is left to chance" in text) == is_said


def test_both_parts_of_an_interval_are_named() -> None:
    """With a calibration that tells how sure it is each part has a column; else a sentence says what is left out."""
    calibrated = replace(forecast_of(), provenance={**LASTS, "runs": 10})
    calibrated.figures["latency_ms.p99"] = replace(figure_of(45.6, 2.0), sampling=Bounds(44.6, 46.6))
    text = as_text(figures_table(calibrated), 160)
    header, row = text.splitlines()[0], next(line for line in text.splitlines() if line.startswith("p99 latency"))
    assert re.findall(r"by \w+", header) == ["by sampling", "by calibration"]
    assert row.split()[-10:-4] == ["+-", "1.0", "ms", "+-", "2.0", "ms"]
    assert "10 runs of 1 min, 1000 requests in all. The confidence intervals hold what sampling leaves open and" in text

    def uncalibrated(calibration: Bounds | None) -> str:
        figures = {name: replace(one, calibration=calibration) for name, one in calibrated.figures.items()}
        return as_text(figures_table(replace(calibrated, figures=figures)), 160)

    assert "the calibration does not tell how sure it is" in uncalibrated(None)
    assert "the scenario's times are taken as they stand" in uncalibrated(Bounds(1.0, 1.0))
    assert "by calibration" not in uncalibrated(None)


def test_rarest_quantile_says_what_it_rests_on() -> None:
    """How many answers, and how many independent ones lie beyond it; where it has no value it says why instead."""
    rare = replace(figure_of(80.0, 4.0), samples=160_000, effective_samples=15_000.0)
    text = as_text(figures_table(replace(forecast_of(latency_ms__p999=rare), provenance={**LASTS, "runs": 10})))
    words = "rests on 160 000 answers, worth 150 000 independent ones, of which 150 lie beyond it."
    assert f"The p99.9 latency {words}" in text
    recorded = {**LASTS, "runs": 10, "intervals_over": ["dice"]}
    text = as_text(figures_table(replace(forecast_of(latency_ms__p999=rare), provenance=recorded)))
    assert "rests on" not in text  # ten times the same arrivals are no ten samples
    none = Figure(None, samples=1_000, effective_samples=100.0, why="a run is worth 100 independent requests")
    text = as_text(figures_table(replace(forecast_of(latency_ms__p999=none), provenance={**LASTS, "runs": 10})))
    assert "rests on" not in text
    assert "No p99.9 latency: a run is worth 100 independent requests." in text


@pytest.mark.parametrize(
    ("stopped", "reached", "missed", "words"),
    [
        ("precision reached", {}, [], "Sampling leaves nothing that counts open by more than the 2 % that were"),
        (
            "max_runs reached",
            {"latency_ms.p99": 0.031, "refused_share": 0.0015},
            ["latency_ms.p99", "refused_share"],
            "The 2 % that were wanted are not reached, and no more were allowed: sampling leaves open p99 latency by "
            "3.10 %, refused by 0.150 points.",
        ),
        ("budget spent", {"latency_ms.p99": 0.031}, ["latency_ms.p99"], "and the budget of 60 s is spent: sampling"),
        ("no figure to be more precise about", {}, [], "There is no figure that more runs would make sure to 2 %."),
    ],
)
def test_wanted_precision_is_answered(stopped: str, reached: dict[str, float], missed: list[str], words: str) -> None:
    """Reached, or how far it is and what stopped it; of a share in points."""
    told = {"wanted": 0.02, "budget_s": 60.0, "max_runs": 40, "stopped": stopped, "reached": reached, "missed": missed}
    found = replace(forecast_of(), provenance={**LASTS, "runs": 40, "precision": told})
    assert words in as_text(figures_table(found), width=200)


def test_goals_are_met_missed_or_not_clear() -> None:
    """A goal whose limit lies inside the interval is not called met without saying so."""
    text = as_text(forecast_report(forecast_of()))
    assert "goal p99 at most 50 ms: met\n" in text
    assert "goal refused at most 0.1 %: missed\n" in text
    assert "goal p99.9 at most 10 ms: not clear, by its value met\n" in text


def test_goal_that_nothing_can_break_says_so() -> None:
    """No queue is ever full without a cap, so that a goal on refusals is no achievement."""
    made = replace(
        forecast_of(refused_share=exact(0.0)), goals=[GoalResult("refused", "refused_share", 0.001, 0, 0, 0)]
    )
    assert "goal refused at most 0.1 %: met (no cap set)\n" in as_text(forecast_report(made))


def test_plain_text_carries_no_escape_sequences() -> None:
    """Text for a file or a notebook has no colours."""
    assert "\x1b" not in as_text(forecast_report(forecast_of()))


def test_goal_that_a_share_stands_in_for_says_so() -> None:
    """p99 has no value where no run is long enough for it; what it was judged by stands beside its name."""
    assert goal_in_words(GoalResult("p99", "latency_ms.p99", 200.0, 150.0, 140.0, 160.0)) == "p99"
    by_share = GoalResult("p99", "beyond_goal.p99_share", 0.01, 0.002, 0.001, 0.003, slower_than_ms=200.0)
    assert goal_in_words(by_share) == "p99 (share slower than 200 ms)"
