"""The first sends of a run: every process, seeds, and sizes."""

from __future__ import annotations

import numpy as np
import pytest

from policy import dice
from sim.errors import ScenarioError
from sim.scenario.distributions import size_table
from sim.scenario.schedule import (
    COUNTED_REQUESTS_MAX,
    REQUESTS_MAX,
    arrival_pieces,
    dice_seed,
    draw_schedule,
    expected_requests,
    request_sizes,
)
from tests.sim.scenario.example import TRACES, scenario, trace

SECOND_NS = 10**9

PROCESSES = {
    "even": "{process: even, rate: 300/s}",
    "poisson": "{process: poisson, rate: 18000/min}",
    "gamma": "{process: gamma, rate: 300/s, cv: 1.5}",
    "mmpp": "{process: mmpp, rates: [100/s, 500/s], dwells: [50ms, 50ms]}",
    "mmpp with jumps": (
        "{process: mmpp, rates: [100/s, 500/s, 300/s], dwells: [50ms, 50ms, 20ms], "
        "jumps: [[0, 1, 1], [1, 0, 1], [1, 1, 0]]}"
    ),
    "steps": "{process: steps, steps: [{rate: 200/s, duration: 5s}, {rate: 400/s, duration: 5s}], repeat: true}",
    "day_curve": "{process: day_curve, mean_rate: 300/s, peak_to_mean: 2, peak_at: 1s, period: 4s}",
    "spike": "{process: spike, rate: 200/s, peak_rate: 1200/s, at: 10s, duration: 3s, ramp: 1s}",
    "timestamps": trace("timestamps_seconds.csv", ", rate: 300/s, repeat: true").partition("=")[2],
    "scaled": trace("timestamps_seconds.csv", ", scale: 100, rate: 3/s, repeat: true").partition("=")[2],
    "azure_llm": trace("azure_llm.csv", ", rate: 300/s, repeat: true").partition("=")[2],
    "counts": trace("counts.csv", ", inside_bin: poisson, rate: 300/s, repeat: true").partition("=")[2],
}


@pytest.mark.parametrize("name", PROCESSES)
def test_every_process_has_its_mean_rate(name: str) -> None:
    """Each is written for 300/s over 40 s: the expected count is exactly 12,000, the drawn one within 11 %.

    The widest of them, the MMPP, has a standard deviation of 2.6 %; how exactly each process hits its rate is tested
    in tests/sim/arrivals.
    """
    loaded = scenario(f"traffic.arrivals={PROCESSES[name]}")
    schedule = draw_schedule(loaded, seed=1, horizon_ns=40 * SECOND_NS)
    assert expected_requests(loaded, 40 * SECOND_NS) == pytest.approx(12_000, rel=1e-6)
    assert len(schedule.arrivals_ns) == pytest.approx(12_000, rel=0.11)
    assert schedule.arrivals_ns.dtype == np.int64
    assert (np.diff(schedule.arrivals_ns) >= 0).all()
    assert schedule.arrivals_ns[-1] < 40 * SECOND_NS


@pytest.mark.parametrize("name", PROCESSES)
def test_runs_repeat_by_seed_and_number(name: str) -> None:
    """The same seed and run give the same arrivals; another run or seed gives others, where chance plays a part."""
    loaded = scenario(f"traffic.arrivals={PROCESSES[name]}")

    def drawn(seed: int, run: int) -> list[int]:
        arrivals: list[int] = draw_schedule(loaded, seed=seed, run=run, horizon_ns=SECOND_NS).arrivals_ns.tolist()
        return arrivals

    assert drawn(1, 0) == drawn(1, 0)
    if name not in ("even", "timestamps", "azure_llm"):
        assert drawn(1, 0) != drawn(1, 1)
        assert drawn(1, 0) != drawn(2, 0)
    # Run r of a seed is not run 0 of the next seed.
    assert dice_seed(1, 1) != dice_seed(2, 0)


def test_other_settings_leave_the_arrivals_alone() -> None:
    """A what-if meets the same arrivals: only traffic and seed decide them."""
    plain = draw_schedule(scenario(), seed=5, horizon_ns=SECOND_NS).arrivals_ns
    other = scenario("batching.max_batch=2", "queue.cap=3", "front_end.request=1ms", "traffic.timeout=1s")
    assert (draw_schedule(other, seed=5, horizon_ns=SECOND_NS).arrivals_ns == plain).all()


@pytest.mark.parametrize("name", PROCESSES)
def test_arrivals_in_pieces_are_the_same(name: str) -> None:
    """Enough of them for several pieces of the processes that come in pieces."""
    loaded = scenario(f"traffic.arrivals={PROCESSES[name]}")
    pieces = list(arrival_pieces(loaded, seed=3, run=2, horizon_ns=2_000 * SECOND_NS))
    whole = draw_schedule(loaded, seed=3, run=2, horizon_ns=2_000 * SECOND_NS).arrivals_ns
    assert np.array_equal(np.concatenate(pieces), whole)
    is_at_once = name.startswith("mmpp") or name in ("timestamps", "scaled", "azure_llm", "counts")
    assert len(pieces) == 1 if is_at_once else len(pieces) > 1


def test_pieces_may_hold_more_requests_than_a_whole_schedule() -> None:
    """Nothing is drawn before it is asked for, so an hour at 100,000/s is fine, and a year is not."""
    loaded = scenario("traffic.arrivals={process: poisson, rate: 100000/s}")
    hour_ns = 3_600 * SECOND_NS
    assert REQUESTS_MAX < expected_requests(loaded, hour_ns) < COUNTED_REQUESTS_MAX
    assert len(next(iter(arrival_pieces(loaded, seed=0, horizon_ns=hour_ns)))) > 4_096
    with pytest.raises(ScenarioError, match="at most 2000000000 requests"):
        arrival_pieces(loaded, seed=0, horizon_ns=365 * 24 * hour_ns)


def test_closed_loop_has_no_schedule() -> None:
    """Clients send as they are answered."""
    loaded = scenario("traffic={clients: {count: 3}}")
    assert len(draw_schedule(loaded, seed=1, horizon_ns=SECOND_NS).arrivals_ns) == 0
    assert expected_requests(loaded, SECOND_NS) == 0


def test_too_many_requests_are_refused_before_they_are_drawn() -> None:
    """A day of 10,000/s is more than the memory is meant for, and the sentence says what the limit is."""
    loaded = scenario("traffic.arrivals.rate=10000/s")
    with pytest.raises(ScenarioError) as error:
        draw_schedule(loaded, seed=1, horizon_ns=86_400 * SECOND_NS)
    assert str(error.value).startswith(f"horizon.duration must leave at most {REQUESTS_MAX} requests in a run")


def test_dice_seed_is_64_bits() -> None:
    """Seeds of dice are spread over 64 bits and fit into them."""
    seeds = [dice_seed(seed, run) for seed in range(20) for run in range(20)]
    assert len(set(seeds)) == 400
    assert all(0 <= seed < 2**64 for seed in seeds)
    assert max(seeds) > 2**63


def test_recorded_sizes_come_with_a_trace_unless_sizes_are_stated() -> None:
    """Recorded sizes follow their requests round; stated sizes replace them."""
    recorded = scenario(f"traffic.arrivals={PROCESSES['azure_llm']}")
    schedule = draw_schedule(recorded, seed=1, horizon_ns=SECOND_NS)
    assert schedule.sizes[:6].tolist() == [4808, 3180, 110, 1, 4808, 3180]
    assert (request_sizes(recorded, schedule, seed=1) == schedule.sizes).all()
    stated = scenario(f"traffic.arrivals={PROCESSES['azure_llm']}", "traffic.sizes=7")
    schedule = draw_schedule(stated, seed=1, horizon_ns=SECOND_NS)
    assert len(schedule.sizes) == 0
    assert set(request_sizes(stated, schedule, seed=1).tolist()) == {7}


def test_sizes_are_those_that_the_engine_rolls() -> None:
    """A client that replays a schedule sends the sizes that the simulated client would: die SIZE of the request."""
    loaded = scenario("traffic.sizes={distribution: lognormal, mean: 200, cv: 1}")
    schedule = draw_schedule(loaded, seed=9, run=2, horizon_ns=SECOND_NS)
    sizes = request_sizes(loaded, schedule, seed=9, run=2)
    assert loaded.traffic.sizes is not None
    table = size_table(loaded.traffic.sizes)
    assert len(sizes) == len(schedule.arrivals_ns)
    for request in (0, 1, 57):
        bits = dice.die(dice_seed(9, 2), dice.Stream.SIZE, request, 0)
        assert sizes[request] == dice.draw(table, bits)


def test_sizes_default_to_one() -> None:
    """Where sizes play no role every request has size 1."""
    schedule = draw_schedule(scenario(), seed=1, horizon_ns=SECOND_NS)
    assert set(request_sizes(scenario(), schedule, seed=1).tolist()) == {1}


@pytest.mark.skipif(not TRACES.exists(), reason="the real traces are not beside this repository")
def test_real_azure_trace_goes_through_a_scenario() -> None:
    """The code trace, stretched to 200/s, fills a run of 40 s with its recorded context sizes."""
    file = TRACES / "azure_llm_2023" / "AzureLLMInferenceTrace_code.csv"
    loaded = scenario(f"traffic.arrivals={{process: trace, file: '{file}', rate: 200/s}}", "horizon.duration=40s")
    schedule = draw_schedule(loaded, seed=1, horizon_ns=44 * SECOND_NS)
    assert 7_000 < len(schedule.arrivals_ns) <= 8_819
    assert schedule.sizes.max() > 5_000


def test_arrivals_that_are_kept_are_those_that_are_drawn() -> None:
    """Runs that read them at the same time, each as far as it needs, meet the same ones; nobody can change them."""
    subject = scenario("horizon.duration=20s")
    whole = draw_schedule(subject, seed=3, horizon_ns=10**10).arrivals_ns
    first, second = (arrival_pieces(subject, seed=3, horizon_ns=10**10) for _ in range(2))
    begun = next(first)
    assert np.concatenate(list(second)).tolist() == whole.tolist()
    assert np.concatenate([begun, *first]).tolist() == whole.tolist()
    with pytest.raises(ValueError, match="read-only"):
        begun[0] = 0
    other = np.concatenate(list(arrival_pieces(subject, seed=4, horizon_ns=10**10)))
    assert other.tolist() != whole.tolist()
