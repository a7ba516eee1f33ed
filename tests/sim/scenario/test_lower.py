"""From a scenario to the integer tables of one run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from policy.pass_time import SPREAD_ONE
from sim.engine.process_engine import run
from sim.errors import RefusedToAnswer
from sim.scenario.lower import TAIL_LEAST_NS, lower, tail_ns
from sim.scenario.schedule import dice_seed, draw_schedule
from sim.scenario.spec import Scenario
from tests.sim.scenario.example import calibrated, scenario, trace

SECOND_NS = 10**9


def test_minimal_scenario_is_lowered_to_plain_tables() -> None:
    """Constants are tables of one value; what is not stated costs nothing and lasts for ever."""
    lowered = lower(scenario(), seed=1, warm_up_ns=5 * SECOND_NS)
    assert lowered.traffic.arrivals_ns.dtype == np.int64
    assert len(lowered.traffic.sizes) == 0
    assert (lowered.traffic.size_table, lowered.traffic.timeout_table) == ((1,), None)
    assert (lowered.traffic.clients, lowered.traffic.there_ns, lowered.traffic.back_ns) == (0, 0, 0)
    assert (lowered.front_end.workers, lowered.front_end.request_table) == (1, (0,))
    assert (lowered.front_end.pass_result_table, lowered.front_end.timer_table) == ((0,), (0,))
    assert not lowered.front_end.blocking
    assert lowered.fleet.spread_table == (SPREAD_ONE,)
    assert (lowered.fleet.batch_in_table, lowered.fleet.results_out_table) == ((0,), (0,))
    assert (lowered.measure_from_ns, lowered.measure_to_ns) == (5 * SECOND_NS, 65 * SECOND_NS)


def test_stated_values_reach_their_tables() -> None:
    """Every time of a scenario ends in the table of that meaning."""
    lowered = lower(
        scenario(
            "traffic.timeout=2s",
            "traffic.sizes=4",
            "traffic.network={there: 1us, back: 2us}",
            "front_end={workers: 3, request: 3us, response: 4us, pass_result: 7us, timer: 8us}",
            "fleet={instances: 2, turnaround: {batch_in: 5us, results_out: 6us}}",
            "model.pass_time.spread={distribution: lognormal, cv: 5%}",
        ),
        seed=1,
        warm_up_ns=0,
    )
    assert (lowered.traffic.timeout_table, lowered.traffic.size_table) == ((2 * SECOND_NS,), (4,))
    assert (lowered.traffic.there_ns, lowered.traffic.back_ns) == (1_000, 2_000)
    assert lowered.front_end.workers == 3
    assert (lowered.front_end.request_table, lowered.front_end.response_table) == ((3_000,), (4_000,))
    assert (lowered.front_end.pass_result_table, lowered.front_end.timer_table) == ((7_000,), (8_000,))
    assert lowered.fleet.instances == 2
    assert (lowered.fleet.batch_in_table, lowered.fleet.results_out_table) == ((5_000,), (6_000,))
    assert len(lowered.fleet.spread_table) > 1


def test_blocking_handler_is_lowered_to_its_flag() -> None:
    """The engine is told that the front end runs the passes."""
    assert lower(scenario("front_end.blocking=true"), seed=1, warm_up_ns=0).front_end.blocking


def test_closed_loop_is_lowered_to_clients() -> None:
    """There is no schedule; clients and their think times stand in its place."""
    lowered = lower(scenario("traffic={clients: {count: 64, think: 100ms}}"), seed=1, warm_up_ns=0)
    assert len(lowered.traffic.arrivals_ns) == 0
    assert (lowered.traffic.clients, lowered.traffic.think_table) == (64, (100_000_000,))


def test_runs_have_their_own_dice_and_arrivals() -> None:
    """Run 0 and run 1 differ in both; the same run is the same again."""
    first, again, second = (lower(scenario(), seed=4, run=run, warm_up_ns=0) for run in (0, 0, 1))
    assert first.seed == again.seed == dice_seed(4, 0)
    assert (first.traffic.arrivals_ns == again.traffic.arrivals_ns).all()
    assert second.seed == dice_seed(4, 1)
    assert first.traffic.arrivals_ns[:50].tolist() != second.traffic.arrivals_ns[:50].tolist()


def test_arrivals_are_the_schedule_up_to_the_stop() -> None:
    """The engine gets what draw_schedule draws, and arrivals go on behind the measured part."""
    lowered = lower(scenario("horizon.duration=20s"), seed=4, run=3, warm_up_ns=SECOND_NS)
    schedule = draw_schedule(scenario(), seed=4, run=3, horizon_ns=lowered.stop_ns)
    assert (lowered.traffic.arrivals_ns == schedule.arrivals_ns).all()
    assert lowered.stop_ns == lowered.measure_to_ns + tail_ns(scenario("horizon.duration=20s"))
    assert lowered.traffic.arrivals_ns[-1] > lowered.measure_to_ns + 19 * SECOND_NS


def test_longer_warm_up_moves_the_window_and_no_arrival() -> None:
    """The warm-up can be chosen after a look at the runs: the arrivals it had stay."""
    short = lower(scenario(), seed=4, warm_up_ns=0).traffic.arrivals_ns
    long = lower(scenario(), seed=4, warm_up_ns=30 * SECOND_NS).traffic.arrivals_ns
    assert (long[: len(short)] == short).all()


def test_fixed_schedule_takes_the_place_of_the_drawn_one() -> None:
    """A check replays one schedule with its sizes; dice still differ from run to run."""
    arrivals, sizes = np.array([5, 6, 7]), np.array([1, 2, 3])
    one = lower(scenario(), seed=1, run=0, arrivals_ns=arrivals, sizes=sizes, warm_up_ns=0)
    two = lower(scenario(), seed=1, run=1, arrivals_ns=arrivals, warm_up_ns=0)
    assert one.traffic.arrivals_ns.tolist() == two.traffic.arrivals_ns.tolist() == [5, 6, 7]
    assert one.traffic.sizes.tolist() == [1, 2, 3]
    assert len(two.traffic.sizes) == 0
    assert one.seed != two.seed


def test_recorded_sizes_reach_the_engine() -> None:
    """A trace with sizes brings one for each request."""
    lowered = lower(scenario(trace("azure_llm.csv", ", repeat: true")), seed=1, warm_up_ns=0)
    assert lowered.traffic.sizes[:4].tolist() == [4808, 3180, 110, 1]
    assert len(lowered.traffic.sizes) == len(lowered.traffic.arrivals_ns)


@pytest.mark.parametrize(
    ("overrides", "tail_s"),
    [
        (("horizon.duration=1s",), 10),
        (("horizon.duration=30s",), 30),
        (("horizon.duration=1s", "model.pass_time.base=5s", "model.pass_time.per_item=0s"), 50),
        (("horizon.duration=1s", "traffic.timeout=20s"), 20),
        (("horizon.duration=1s", "queue.deadline=20s"), 20),
        (("horizon.duration=1s", "traffic.timeout=20s", "traffic.retries={attempts: 3, backoff_max: 5s}"), 70),
        (("horizon.duration=1s", "traffic.timeout=3d"), 3_600),
    ],
)
def test_tail_is_long_enough_for_the_last_requests(overrides: tuple[str, ...], tail_s: int) -> None:
    """The window over again, ten passes, ten seconds or the longest patience, whichever is longest, within bounds."""
    assert tail_ns(scenario(*overrides)) == tail_s * SECOND_NS
    assert tail_s * SECOND_NS >= TAIL_LEAST_NS


def test_calibration_is_lowered_centrally_or_by_draw() -> None:
    """A draw changes the parts it holds; arrivals and dice are the same for all draws of a run."""
    central = lower(calibrated(), seed=1, warm_up_ns=0)
    drawn = lower(calibrated(), seed=1, profile_draw=1, warm_up_ns=0)
    assert central.fleet.pass_time.base_ns == 8_000_000
    assert drawn.fleet.pass_time.base_ns == 8_100_000
    assert (central.fleet.batch_in_table, drawn.fleet.batch_in_table) == ((200_000,), (250_000,))
    assert (central.traffic.there_ns, central.front_end.request_table) == (50_000, (150_000,))
    assert central.seed == drawn.seed
    assert (central.traffic.arrivals_ns == drawn.traffic.arrivals_ns).all()


def test_larger_batches_than_calibrated_are_refused() -> None:
    """Nothing is known of a batch of 16 when 8 was the largest measured."""
    with pytest.raises(RefusedToAnswer) as error:
        lower(calibrated("batching.max_batch=16"), seed=1, warm_up_ns=0)
    assert str(error.value) == (
        "batching.max_batch is 16, but the calibration bench measured batches up to 8: calibrate with larger ones "
        "first."
    )


@pytest.mark.parametrize(
    "overrides",
    [
        ("traffic.timeout={distribution: exponential, mean: 40ms}", "traffic.retries.attempts=3", "queue.cap=9"),
        ("traffic={clients: {count: 20, think: {distribution: gamma, mean: 10ms, cv: 2}}}",),
        (trace("azure_llm.csv", ", repeat: true, rate: 400/s"), "model.pass_time.per_unit=1us"),
        ("traffic.sizes={distribution: uniform, low: 1, high: 9}", "model.pass_time.per_unit=10us"),
    ],
)
def test_what_is_lowered_runs(overrides: tuple[str, ...]) -> None:
    """An engine takes the tables as they are, and every request of the window has its intended time."""
    lowered = lower(scenario("horizon.duration=2s", *overrides), seed=2, warm_up_ns=SECOND_NS)
    intended = run(lowered).attempt("intended_ns")
    assert ((intended >= lowered.measure_from_ns) & (intended < lowered.measure_to_ns)).sum() > 300


@pytest.mark.parametrize(
    ("model", "measured", "said"),
    [
        ({"serve_with": "minilm"}, {"serve_with": "cnn"}, "model.serve_with is minilm, but the calibration bench was"),
        (
            {"serve_with": "minilm", "options": {"max_tokens": 64}},
            {"serve_with": "minilm", "options": {"max_tokens": 16}},
            r"model.options is \{'max_tokens': 64\}, but the calibration bench was measured of a server with",
        ),
    ],
)
def test_calibration_of_another_model_is_refused(
    tmp_path: Path, model: dict[str, object], measured: dict[str, object], said: str
) -> None:
    """The times of one model say nothing of another: one sentence, not a forecast."""
    with pytest.raises(RefusedToAnswer, match=said):
        lower(_measured_of(tmp_path, model, measured), seed=1, warm_up_ns=0)


@pytest.mark.parametrize(
    ("model", "measured"),
    [
        ({"serve_with": "minilm", "options": {}}, {"serve_with": "minilm", "options": {}}),
        ({"serve_with": "minilm"}, {}),
        ({}, {"serve_with": "minilm", "options": {"max_tokens": 16}}),
    ],
)
def test_calibration_that_may_be_of_the_model_is_taken(
    tmp_path: Path, model: dict[str, object], measured: dict[str, object]
) -> None:
    """A file that does not tell, and a scenario that names no model: an emulated device can stand for any."""
    lower(_measured_of(tmp_path, model, measured), seed=1, warm_up_ns=0)


def _measured_of(folder: Path, model: dict[str, object], measured: dict[str, object]) -> Scenario:
    """Return a scenario that names a model, with a calibration that says what it was measured of."""
    asked = calibrated()
    assert asked.model.profile is not None
    content = json.loads(asked.path_of(asked.model.profile).read_text())
    (folder / "profile.json").write_text(json.dumps(content | measured))
    changed = {**model, "profile": str(folder / "profile.json")}
    return asked.model_copy(update={"model": asked.model.model_copy(update=changed)})
