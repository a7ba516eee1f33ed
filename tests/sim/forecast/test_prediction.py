"""Where one run on a given schedule will land."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from sim.engine.process_engine import run
from sim.errors import RefusedToAnswer
from sim.forecast.prediction import Prediction, measured_figures, predict_run
from sim.outcome.measures import RunMeasures, measure
from sim.scenario.lower import lower
from sim.scenario.schedule import draw_schedule
from sim.scenario.spec import Scenario
from tests.sim.scenario.example import DATA, calibrated, scenario

SPREAD = "model.pass_time.spread={distribution: lognormal, cv: 30%}"

Ints = npt.NDArray[np.int64]


def schedule_of(subject: Scenario, requests: int) -> Ints:
    """Return the first requests of a schedule, drawn once."""
    return draw_schedule(subject, seed=99, horizon_ns=4 * 10**9).arrivals_ns[:requests]


def one_run(subject: Scenario, arrivals_ns: Ints, seed: int) -> RunMeasures:
    """Return what one run on a schedule shows: a stand-in for a live server, with dice of its own."""
    engine_input = lower(subject, seed=seed, run=0, arrivals_ns=arrivals_ns, warm_up_ns=0)
    to_ns = int(arrivals_ns[-1]) + 1
    return measure(run(replace(engine_input, measure_to_ns=to_ns)), 0, to_ns)


@pytest.fixture(scope="module")
def noisy() -> Scenario:
    """A scenario whose passes vary, loaded to 75 %."""
    return scenario("traffic.arrivals.rate=500/s", SPREAD)


@pytest.fixture(scope="module")
def arrivals_ns(noisy: Scenario) -> Ints:
    """A schedule of 250 requests."""
    return schedule_of(noisy, 250)


@pytest.fixture(scope="module")
def predicted(noisy: Scenario, arrivals_ns: Ints) -> Prediction:
    """200 draws of one run on the schedule."""
    return predict_run(noisy, arrivals_ns, seed=1, draws=200)


@pytest.mark.parametrize("name", ["latency_ms.mean", "latency_ms.p50", "latency_ms.p99", "batch_size_mean"])
def test_runs_on_the_schedule_land_inside(noisy: Scenario, arrivals_ns: Ints, predicted: Prediction, name: str) -> None:
    """Of 60 further runs with dice of their own, 88 to 100 % land in the 95 % interval, half of them below centre."""
    figure = predicted[name]
    values = np.array([measured_figures(one_run(noisy, arrivals_ns, seed=1_000 + index))[name] for index in range(60)])
    inside = (values >= figure.low) & (values <= figure.high)
    assert inside.mean() >= 0.88
    assert 0.25 <= (values < figure.centre).mean() <= 0.75
    assert (figure.method, figure.draws) == ("empirical", 200)


def test_prediction_is_for_the_schedule_and_not_for_the_process() -> None:
    """Other Poisson schedules scatter more than dice on one of them: a check that redrew arrivals would be too kind."""
    subject = scenario("traffic.arrivals.rate=500/s", "model.pass_time.spread={distribution: lognormal, cv: 5%}")
    figure = predict_run(subject, schedule_of(subject, 250), draws=20, workers=1)["latency_ms.mean"]
    means = []
    for index in range(20):
        redrawn = draw_schedule(subject, seed=index, horizon_ns=4 * 10**9).arrivals_ns[:250]
        means.append(measured_figures(one_run(subject, redrawn, seed=5))["latency_ms.mean"])
    assert 4 * np.std(means) > 2 * (figure.high - figure.low)


def test_draws_of_the_calibration_widen_the_interval(tmp_path: Path) -> None:
    """Each draw is another run of another process; with one of them alone the interval would be a third as wide."""
    widths = []
    for draws in ([{"base": 7.0}, {"base": 8.0}, {"base": 9.0}], [{}]):
        profile = tmp_path / f"{len(draws)}.json"
        content = json.loads((DATA / "profile.json").read_text())
        profile.write_text(json.dumps({**content, "run_draws": draws}))
        subject = calibrated("traffic.arrivals.rate=300/s", f"model.profile={profile}")
        figure = predict_run(subject, schedule_of(subject, 150), draws=21, workers=1)["latency_ms.mean"]
        widths.append(figure.high - figure.low)
    assert widths[0] > 3 * widths[1] > 0


def test_few_draws_use_the_normal_theory_and_say_so(noisy: Scenario, arrivals_ns: Ints) -> None:
    """Below 200 draws the tails cannot be read off the draws."""
    found = predict_run(noisy, arrivals_ns[:50], draws=20, workers=1)
    assert found["latency_ms.p50"].method == "normal"
    assert found["latency_ms.p50"].draws == found.draws == 20


def test_window_is_what_is_measured(noisy: Scenario, arrivals_ns: Ints) -> None:
    """Requests intended in [from, to) alone: the empty start is slower to batch and is left out."""
    from_ns, to_ns = int(arrivals_ns[100]), int(arrivals_ns[200])
    found = predict_run(noisy, arrivals_ns, draws=3, from_ns=from_ns, to_ns=to_ns, workers=1)
    expected = lower(noisy, seed=0, run=0, arrivals_ns=arrivals_ns, warm_up_ns=from_ns)
    measures = measure(run(replace(expected, measure_to_ns=to_ns)), from_ns, to_ns)
    assert measures.requests == 100
    lows_and_highs = found["latency_ms.mean"]
    assert lows_and_highs.low <= measured_figures(measures)["latency_ms.mean"] <= lows_and_highs.high


def test_sizes_of_the_schedule_reach_the_passes() -> None:
    """Requests of 100 units take longer than requests of 1, which is what is not stated."""
    subject = scenario("model.pass_time.per_unit=0.01ms")
    arrivals_ns = schedule_of(subject, 50)
    small = predict_run(subject, arrivals_ns, draws=2, workers=1)["latency_ms.mean"].centre
    sizes = np.full(50, 100, dtype=np.int64)
    large = predict_run(subject, arrivals_ns, sizes, draws=2, workers=1)["latency_ms.mean"].centre
    assert large > 1.5 * small


def test_result_does_not_depend_on_the_number_of_workers(noisy: Scenario, arrivals_ns: Ints) -> None:
    """The same draws, whoever made them."""
    one, three = (predict_run(noisy, arrivals_ns[:60], draws=6, workers=workers) for workers in (1, 3))
    assert one.to_json() == three.to_json()


def test_server_and_client_see_different_latencies() -> None:
    """Without a network they are equal; with 5 ms each way the server sees 10 ms less."""
    network = "traffic.network={there: 5ms, back: 5ms}"
    near, far = (
        predict_run(subject, schedule_of(subject, 60), draws=2, workers=1)
        for subject in (scenario(), scenario(network))
    )
    assert near["server_latency_ms.p50"].centre == near["latency_ms.p50"].centre
    assert far["latency_ms.p50"].centre - far["server_latency_ms.p50"].centre == pytest.approx(10.0)


def test_schedule_without_requests_in_the_window_is_refused(noisy: Scenario, arrivals_ns: Ints) -> None:
    """Nothing to predict."""
    with pytest.raises(RefusedToAnswer, match="No request"):
        predict_run(noisy, np.empty(0, dtype=np.int64), draws=2)
    with pytest.raises(RefusedToAnswer, match="No request"):
        predict_run(noisy, arrivals_ns[:5], draws=2, workers=1, from_ns=10**9, to_ns=2 * 10**9)


def test_figures_that_a_draw_cannot_show_are_left_out() -> None:
    """Every client hangs up at once: no latency, and a share abandoned of 1."""
    hasty = scenario("traffic.timeout=1ms")
    found = predict_run(hasty, schedule_of(hasty, 30), draws=3, workers=1)
    assert "latency_ms.p50" not in found.figures
    assert found["abandoned_share"].centre == 1.0
    assert found.latency_curve is None
    figures = measured_figures(one_run(hasty, schedule_of(hasty, 30), seed=1))
    assert math.isnan(figures["latency_ms.p50"])
    assert math.isnan(figures["server_latency_ms.p50"])


def test_json_is_plain(predicted: Prediction) -> None:
    """Every figure with its centre, ends and method."""
    content = json.loads(json.dumps(predicted.to_json(), allow_nan=False))
    assert content["draws"] == 200
    assert set(content["figures"]["latency_ms.p99"]) == {"centre", "low", "high", "method", "draws"}
    assert len(content["latency_curve"]["quantiles"]) > 50


def test_interval_holds_the_models_own_error(arrivals_ns: Ints, tmp_path: Path) -> None:
    """A calibration that tells of an error of 3 % widens what it is about by 1.96 times that, in quadrature."""
    content = json.loads((DATA / "profile.json").read_text(encoding="utf-8"))
    plain = predict_run(calibrated(), arrivals_ns, seed=1, draws=20)
    file = tmp_path / "profile.json"
    file.write_text(json.dumps(content | {"discrepancy": {"latency_ms.p99": 0.03}}), encoding="utf-8")
    wide = predict_run(calibrated(f"model.profile={file}"), arrivals_ns, seed=1, draws=20)
    before, after = plain["latency_ms.p99"], wide["latency_ms.p99"]
    assert after.centre == before.centre
    own = 1.959964 * 0.03 * before.centre
    assert after.high - after.centre == pytest.approx(math.hypot(before.high - before.centre, own))
    assert after.centre - after.low == pytest.approx(math.hypot(before.centre - before.low, own))
    assert after.method == f"{before.method}, and the model's own error"
    assert wide["latency_ms.p50"] == plain["latency_ms.p50"]
