"""A scenario and its forecast, end to end."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from sim.errors import RefusedToAnswer, ScenarioError
from sim.forecast.enough_runs import Precision
from sim.forecast.forecast import FORECAST_VERSION, Forecast, forecast
from sim.forecast.warm_up import RUNGS
from sim.outcome.queueing_theory import MD1
from sim.report.tables import answer_of
from sim.scenario.spec import Scenario
from tests.sim.scenario.example import calibrated, scenario, trace

SHORT = ("traffic.arrivals.rate=400/s", "horizon={duration: 4s, runs: 4}")

LATENCIES = {"mean", "p50", "p90", "p95", "p99", "p999"}
FIGURES = {
    "throughput_per_s",
    "refused_share",
    "timed_out_share",
    "abandoned_share",
    "failed_share",
    "batch_size_mean",
    "gpu_busy_share",
    "gpu_hours",
    "cost",
}


def single_server(*overrides: str) -> Scenario:
    """Return M/D/1 at load 0.5: 500/s, one request a pass, 1 ms."""
    return scenario("traffic.arrivals.rate=500/s", "model.pass_time={base: 1ms}", "batching={max_batch: 1}", *overrides)


@pytest.fixture(scope="module")
def short() -> Forecast:
    """The forecast of a short scenario."""
    return forecast(scenario(*SHORT), seed=7)


def test_json_holds_what_is_agreed(short: Forecast) -> None:
    """Every figure with its value and all of its intervals; goals, windows, provenance; plain JSON without NaN."""
    content = json.loads(json.dumps(short.to_json(), allow_nan=False))
    assert content["version"] == FORECAST_VERSION == "servecast-forecast/1"
    assert set(content["latency_ms"]) == LATENCIES
    assert set(content["replicas"]) == {"mean", "peak"}
    assert set(content) >= FIGURES | {"goals", "timeline", "provenance", "breakdown_ms"}
    figures = [*content["latency_ms"].values(), *content["replicas"].values(), *(content[name] for name in FIGURES)]
    for figure in figures:
        assert set(figure) >= {"value", "low", "high", "sampling", "calibration", "prediction", "samples"}
        for part in ("sampling", "calibration", "prediction"):
            assert set(figure[part]) >= {"low", "high"}
    assert len(content["timeline"]) >= 20


def test_provenance_says_how_to_get_it_again(short: Forecast) -> None:
    """Scenario hash, seed, versions, host, warm-up and initial state; no path of this machine."""
    found = short.provenance
    assert found["seed"] == 7
    assert found["runs"] == 4
    assert len(found["scenario_hash"]) == 64
    assert found["initial_state"] == "empty"
    assert found["intervals_over"] == ["arrivals", "dice"]
    assert found["calibration"] is None
    assert {"versions", "host", "duration_s"} <= set(found)
    assert "/" not in json.dumps(found["host"])


def test_forecast_carries_what_makes_it_again(short: Forecast) -> None:
    """The manifest has what the provenance has, and the scenario itself; of what it was made here."""
    manifest = short.to_json()["manifest"]
    assert manifest["command"] == "forecast"
    for key in ("scenario_hash", "seed", "runs", "versions", "host"):
        assert manifest[key] == short.provenance[key]
    assert manifest["scenario"]["horizon"] == {"duration": "4s", "warm_up": "auto", "runs": 4}


def test_forecast_agrees_with_theory() -> None:
    """M/D/1: mean and p99 of the exact law lie inside the intervals, and these are narrow."""
    theory = MD1(0.5, 1.0)
    found = forecast(single_server("horizon={duration: 10s, runs: 5}"), seed=1)
    for name, expected in (
        ("latency_ms.mean", theory.mean_response),
        ("latency_ms.p50", theory.response_quantile(0.5)),
        ("latency_ms.p90", theory.response_quantile(0.9)),
    ):
        figure = found[name]
        assert figure.low is not None
        assert figure.high is not None
        assert figure.low <= expected <= figure.high
        assert figure.high - figure.low < 0.1 * expected
    busy = found["gpu_busy_share"]
    assert busy.value == pytest.approx(0.5, rel=0.03)


@pytest.mark.slow
def test_confidence_intervals_cover_the_truth_from_scenario_to_figure() -> None:
    """50 forecasts with seeds of their own: the exact mean lies inside at least 90 % of the 95 % intervals."""
    subject = single_server("horizon={duration: 2s, runs: 4, warm_up: 100ms}")
    hits = []
    for seed in range(50):
        figure = forecast(subject, seed=seed, workers=1)["latency_ms.mean"]
        assert figure.low is not None
        assert figure.high is not None
        hits.append(figure.low <= MD1(0.5, 1.0).mean_response <= figure.high)
    assert np.mean(hits) >= 0.90


@pytest.mark.parametrize("workers", [2, 3])
def test_result_does_not_depend_on_the_number_of_workers(short: Forecast, workers: int) -> None:
    """The same JSON, to the last digit."""
    assert forecast(scenario(*SHORT), seed=7, workers=workers).to_json() == short.to_json()


def test_seed_stated_goes_before_the_scenarios_own() -> None:
    """And the scenario's before 0; another seed is another forecast."""
    tiny = ("traffic.arrivals.rate=400/s", "horizon={duration: 1s, runs: 2, warm_up: 0s}")
    named = forecast(scenario(*tiny, "seed=3"))
    assert named.provenance["seed"] == 3
    stated = forecast(scenario(*tiny, "seed=3"), seed=4)
    assert stated.provenance["seed"] == 4
    default = forecast(scenario(*tiny))
    assert default.provenance["seed"] == 0
    means = {one["latency_ms.mean"].value for one in (named, stated, default)}
    assert len(means) == 3


def test_parts_of_the_time_add_up_to_the_mean(short: Forecast) -> None:
    """Where the time goes, of the very requests whose mean is reported."""
    assert sum(short.breakdown_ms.values()) == pytest.approx(short["latency_ms.mean"].value)


def test_warm_up_is_found_and_said(short: Forecast) -> None:
    """Under steady load a rung of the measured time, by MSER-5."""
    warm_up = short.provenance["warm_up"]
    assert warm_up["how"] == "auto: MSER-5"
    assert warm_up["seconds"] in [4.0 * rung for rung in RUNGS]


def test_stated_warm_up_is_taken_as_it_is() -> None:
    """Also if it is 0: the measured time then begins with an empty server."""
    found = forecast(scenario(*SHORT, "horizon.warm_up=0s"))
    assert found.provenance["warm_up"] == {"seconds": 0.0, "how": "stated"}


def test_flood_at_the_start_is_not_measured() -> None:
    """100 clients that start together: the first warm-up tried is too short, the next is taken, and the mean falls."""
    clients = "traffic={clients: {count: 100, think: 400ms}}"
    found = forecast(scenario(clients, "horizon={duration: 6s, runs: 2}"))
    flooded = forecast(scenario(clients, "horizon={duration: 6s, runs: 2, warm_up: 0s}"))
    assert found.provenance["warm_up"]["seconds"] == 6.0 * RUNGS[1]
    means = (found["latency_ms.mean"].value, flooded["latency_ms.mean"].value)
    assert means[0] is not None
    assert means[1] is not None
    assert means[0] < 0.8 * means[1]


def test_changing_load_is_measured_from_the_empty_start() -> None:
    """A spike has no steady state to wait for, and the timeline shows it."""
    spike = "traffic.arrivals={process: spike, rate: 200/s, peak_rate: 900/s, at: 1s, duration: 1s}"
    found = forecast(scenario(spike, "queue.cap=200", "horizon={duration: 4s, runs: 3}"))
    assert found.provenance["warm_up"]["seconds"] == 0.0
    assert found.provenance["warm_up"]["how"].startswith("none")
    refused = [window.figures["refused_share"].value or 0.0 for window in found.timeline]
    assert refused[0] == 0.0
    assert max(refused[5:11]) > 0.1
    assert refused[-1] == 0.0


def test_latency_that_never_settles_is_refused() -> None:
    """Batches closed by the timer while the device is busy, a load above what such small batches can take.

    The capacity of full batches is not reached, so arithmetic alone does not see it.
    """
    sealed = scenario("traffic.arrivals.rate=400/s", "batching.freeze=timer", "horizon={duration: 2s, runs: 3}")
    with pytest.raises(RefusedToAnswer, match="had not settled"):
        forecast(sealed)


def test_unstable_load_is_refused_before_anything_runs() -> None:
    """At a million requests a second running first would take minutes."""
    with pytest.raises(RefusedToAnswer, match="not below the capacity"):
        forecast(scenario("traffic.arrivals.rate=1000000/s"))


def test_requests_without_an_outcome_are_refused() -> None:
    """Eight times the capacity and a cap that is never reached: a quarter is not through when the run ends."""
    late = scenario(
        "traffic.arrivals.rate=800/s",
        "model.pass_time={base: 10ms}",
        "batching={max_batch: 1}",
        "queue.cap=1000000",
        "horizon={duration: 2s, runs: 2, warm_up: 0s}",
    )
    with pytest.raises(RefusedToAnswer, match="had no outcome"):
        forecast(late)


def test_quantile_without_support_is_null_and_a_goal_on_it_is_not_known(short: Forecast) -> None:
    """4 s hold 1600 requests, 1.6 of them beyond p99.9."""
    figure = short["latency_ms.p999"]
    assert figure.value is None
    assert figure.why is not None
    assert "independent answers" in figure.why
    asked = forecast(scenario(*SHORT, "goals={p999: 1s}"), seed=7)
    assert [goal.verdict for goal in asked.goals] == ["not known"]
    assert not asked.goals_met
    assert asked["latency_ms.p50"] == short["latency_ms.p50"]


def test_goal_on_a_quantile_that_no_run_supports_is_judged_by_all_of_them_together() -> None:
    """12 runs of 4 s: none has 20 answers beyond p99, all have, and half of the answers are beyond the p50."""
    made = forecast(scenario(*SHORT, "horizon.runs=12", "goals={p99: 1s}"), seed=7)
    p99, beyond = made["latency_ms.p99"], made["beyond_goal.p99_share"]
    assert p99.value is None
    assert (beyond.value, made.goals[0].verdict) == (0.0, "met")
    assert 0.0 < (beyond.high or 0.0) < 0.01
    median_ms = made["latency_ms.p50"].value
    missed = forecast(scenario(*SHORT, "horizon.runs=12", f"goals={{p99: {median_ms:.3f}ms}}"), seed=7)
    assert missed["beyond_goal.p99_share"].value == pytest.approx(0.5, abs=0.01)
    assert missed.goals[0].verdict == "missed"


def test_goals_are_judged() -> None:
    """One that is met by far, one that is missed by far."""
    found = forecast(scenario(*SHORT, "queue.cap=64", "goals={p50: 1s, mean: 1ms, refused: 1%}"))
    assert {goal.goal: goal.verdict for goal in found.goals} == {"p50": "met", "mean": "missed", "refused": "met"}
    assert not found.goals_met
    assert forecast(scenario(*SHORT)).goals_met


def test_calibration_widens_the_intervals() -> None:
    """Runs on drawn calibrations beside those on the central one, named as a part; sampling is as it was."""
    options = ("horizon={duration: 2s, runs: 4, warm_up: 200ms}", "traffic.arrivals.rate=300/s")
    told: list[tuple[int, int]] = []
    found = forecast(calibrated(*options), seed=1, workers=1, progress=lambda done, count: told.append((done, count)))
    figure = found["latency_ms.mean"]
    assert figure.value is not None
    assert figure.high is not None
    assert figure.sampling is not None
    assert figure.calibration is not None
    parts = (figure.sampling.high - figure.value, figure.calibration.high - figure.value)
    assert parts[1] > 0
    assert figure.high - figure.value == pytest.approx(math.hypot(*parts))
    assert found.provenance["calibration"]["name"] == "bench"
    assert found.provenance["calibration"]["hash"].startswith("sha256:")
    assert found.provenance["intervals_over"] == ["arrivals", "dice", "calibration"]
    assert told == [(done, 8) for done in range(1, 9)]


def test_larger_batches_than_calibrated_are_refused() -> None:
    """A pass of 16 was never measured."""
    with pytest.raises(RefusedToAnswer, match="calibrate"):
        forecast(calibrated("batching.max_batch=16", "horizon={duration: 1s, runs: 2}"))


def test_recorded_trace_leaves_only_the_dice_to_chance() -> None:
    """Arrivals are the same in every run; without dice nothing differs, and the intervals are points."""
    recorded = scenario(
        trace("timestamps_seconds.csv", ", rate: 100/s, repeat: true"), "horizon={duration: 2s, runs: 3}"
    )
    found = forecast(recorded)
    assert found.provenance["intervals_over"] == ["dice"]
    figure = found["latency_ms.mean"]
    assert figure.value == pytest.approx(figure.low)
    assert figure.value == pytest.approx(figure.high)


def test_impossible_outcomes_are_exactly_zero(short: Forecast) -> None:
    """Without a cap nobody is refused; with one that was never reached there is an upper limit instead."""
    assert short["refused_share"].high == 0.0
    assert (short["failed_share"].value, short["failed_share"].high) == (0.0, 0.0)
    capped = forecast(scenario(*SHORT, "queue.cap=256"), seed=7)["refused_share"]
    assert capped.value == 0.0
    assert capped.high is not None
    assert 0.0 < capped.high < 0.05


def test_breaches_over_time_are_a_figure_and_a_goal() -> None:
    """A goal at about the p99 itself is missed in many windows; without one there is no such figure."""
    goals = "goals={p99: 30ms, refused: 1%, breach: 5%}"
    found = forecast(scenario("traffic.arrivals.rate=400/s", "horizon={duration: 20s, runs: 3}", goals), seed=7)
    breach, within = found["breach_share"], found["within_goal_share"]
    assert breach.value is not None
    assert within.value is not None
    assert 0.0 <= breach.value <= 1.0
    assert 0.9 < within.value <= 1.0
    assert next(goal for goal in found.goals if goal.goal == "breach").value == breach.value
    assert {"breach_share", "within_goal_share"} <= set(found.to_json())


def test_figures_of_goals_are_absent_without_them(short: Forecast) -> None:
    """Neither null nor zero."""
    assert not {"breach_share", "within_goal_share"} & set(short.to_json())


def test_spare_replicas_are_down_and_paid_for() -> None:
    """The latencies are those of one replica fewer, hours and cost those of all; answer and provenance say so."""
    cost = "cost={replica_hour: 3600}"
    found = forecast(scenario(*SHORT, cost, "fleet={replicas: 3, spare: 1}"), seed=7)
    fewer = forecast(scenario(*SHORT, cost, "fleet.replicas=2"), seed=7)
    assert found["latency_ms.p90"] == fewer["latency_ms.p90"]
    assert (found["replicas.mean"].value, found["cost"].value) == (3.0, pytest.approx(3 * 4.0))
    assert (found.provenance["spare"], fewer.provenance["spare"]) == (1, 0)
    assert found.provenance["scenario_hash"] != fewer.provenance["scenario_hash"]
    assert answer_of(found).startswith("scenario with 1 replica down: p50 ")
    assert answer_of(fewer).startswith("scenario: p50 ")


def test_crashes_show_as_failed_requests_and_can_be_limited_by_a_goal() -> None:
    """Lives of 1 s and passes of some 10 ms: about 1 % fail, which a goal of 0.1 % does not allow."""
    crashing = ("fleet.crash_every=1s", "fleet.cold_start.load=50ms", "fleet.replicas=4", "goals.failed=0.1%")
    found = forecast(scenario(*SHORT, *crashing), seed=7)
    assert found["failed_share"].value == pytest.approx(0.01, rel=0.5)
    assert [(goal.figure, goal.verdict) for goal in found.goals] == [("failed_share", "missed")]
    assert found["refused_share"].high == 0.0


def test_cost_is_that_of_the_measured_time() -> None:
    """One replica for 4 s at 3600 an hour: 4, in the currency that is stated; without a price there is none."""
    found = forecast(scenario(*SHORT, "cost={replica_hour: 3600, currency: EUR}"))
    assert found["cost"].value == pytest.approx(4.0)
    assert found["gpu_hours"].value == pytest.approx(4 / 3600)
    assert found.to_json()["cost"]["currency"] == "EUR"
    without = forecast(scenario(*SHORT))
    assert without["cost"].value is None
    assert without["cost"].why == "cost.replica_hour is not stated"


def test_one_run_is_not_enough() -> None:
    """It would show no interval."""
    with pytest.raises(ScenarioError, match=r"^runs must be at least 2: .* Got 1\.$"):
        forecast(scenario(*SHORT), runs=1)


def test_wanted_precision_decides_how_many_runs_there_are() -> None:
    """The same figures as from a stated number of so many runs; the provenance says why there are no more.

    Without a wanted precision it says nothing of one.
    """
    subject = scenario("traffic.arrivals.rate=400/s", "queue.cap=64", "horizon={duration: 2s, warm_up: 500ms, runs: 4}")
    found = forecast(subject, precision=Precision(0.015))
    count = found.provenance["runs"]
    assert count > 20
    stated = forecast(subject, runs=count)
    assert found.figures == stated.figures
    told = found.provenance["precision"]
    assert (told["wanted"], told["stopped"], told["missed"]) == (0.015, "precision reached", [])
    assert set(told["reached"]) == {"latency_ms.mean", "latency_ms.p50", "throughput_per_s", "refused_share"}
    assert max(told["reached"].values()) <= 0.015
    assert found.provenance == stated.provenance | {"precision": told}


@pytest.mark.parametrize("workers", [2, 3])
def test_number_of_runs_does_not_depend_on_the_number_of_workers(workers: int) -> None:
    """What is looked at are whole batches."""
    subject = scenario("traffic.arrivals.rate=400/s", "horizon={duration: 1s, warm_up: 500ms}")
    wanted = Precision(0.03, runs_max=70)
    alone = forecast(subject, precision=wanted, workers=1)
    assert forecast(subject, precision=wanted, workers=workers).to_json() == alone.to_json()


def test_figure_of_a_goal_must_be_precise_too() -> None:
    """p90 is none of those that always count."""
    subject = scenario(*SHORT, "goals={p90: 1s}")
    told = forecast(subject, precision=Precision(0.5)).provenance["precision"]
    assert "latency_ms.p90" in told["reached"]


def test_goal_on_a_quantile_that_is_not_known_keeps_no_precision_from_being_reached() -> None:
    """The other figures are as sure as was wanted."""
    subject = scenario("traffic.arrivals.rate=400/s", "horizon={duration: 1s, warm_up: 0s}", "goals={p999: 1s}")
    found = forecast(subject, precision=Precision(0.2), workers=1)
    assert found.provenance["precision"]["stopped"] == "precision reached"
    assert [goal.verdict for goal in found.goals] == ["not known"]


def test_number_of_runs_and_precision_exclude_each_other() -> None:
    """Both say how many runs there are."""
    with pytest.raises(ScenarioError, match=r"^runs is a number, precision asks for as many runs as it takes"):
        forecast(scenario(*SHORT), runs=5, precision=Precision())


def test_silence_is_refused() -> None:
    """No request in the measured time."""
    quiet = scenario(
        "traffic.arrivals={process: poisson, rate: 0.001/s}", "horizon={duration: 1s, runs: 2, warm_up: 0s}"
    )
    with pytest.raises(RefusedToAnswer, match="No request"):
        forecast(quiet)


def test_printed_forecast_is_plain_lines(short: Forecast) -> None:
    """print(forecast) in a script shows every figure that has a value."""
    text = str(short)
    assert "latency_ms.p50" in text
    assert "latency_ms.p999" not in text
    assert text.splitlines()[0] == "scenario (95 % confidence)"
